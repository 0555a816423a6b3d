//! What came in and is not used: kept with the reason within bounds, counted beyond them; and Welcomes and
//! requests that wait for a relay.
//!
//! Whoever can write to a log or an inbox can fill it with what nobody can use. That must cost this device neither its disk nor its
//! time, nor the place of what others have sent: each log has its own share, of which the newest stays.

use rusqlite::{OptionalExtension as _, Transaction, params};
use waxwing_protocol::envelope::Header;
use waxwing_wire::frame::InboxEntry;
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{EnvelopeId, LogId};

use super::bytes;
use crate::error::Error;

/// Most entries kept of one log, or of the inbox.
pub(crate) const MAX_ENTRIES: u64 = 512;
/// Most bytes kept of one log.
pub(crate) const MAX_BYTES: u64 = 4 * 1024 * 1024;
/// Most bytes kept of all logs together.
const MAX_BYTES_IN_ALL: u64 = 64 * 1024 * 1024;
/// Most Welcomes that wait, and their bytes.
const MAX_WAITING: u64 = 256;
const MAX_WAITING_BYTES: u64 = 16 * 1024 * 1024;

/// What is kept of a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    /// How many were dropped to keep within the bounds.
    pub(crate) dropped: u64,
}

/// Keeps what could not be used. The oldest of its log makes room for it.
pub(crate) fn keep(
    tx: &Transaction<'_>,
    log: LogId,
    seq: u64,
    entry_id: EnvelopeId,
    reason: &str,
    blob: &[u8],
    now_ms: u64,
) -> Result<(), Error> {
    tx.prepare_cached(
        "INSERT INTO set_aside (log, seq, entry_id, reason, blob, at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![log.as_bytes(), seq, entry_id.as_bytes(), reason, blob, now_ms])?;
    tx.prepare_cached(
        "INSERT INTO aside_sums (log, entries, bytes, dropped) VALUES (?1, 1, ?2, 0)
         ON CONFLICT (log) DO UPDATE SET entries = entries + 1, bytes = bytes + excluded.bytes",
    )?
    .execute(params![log.as_bytes(), blob.len()])?;
    let mut kept = sums(tx, log)?;
    while kept.entries > MAX_ENTRIES || (kept.bytes > MAX_BYTES && kept.entries > 1) {
        drop_oldest(tx, "SELECT min(n) FROM set_aside WHERE log = ?1", params![log.as_bytes()])?;
        kept = sums(tx, log)?;
    }
    let in_all = |tx: &Transaction<'_>| -> rusqlite::Result<u64> {
        tx.prepare_cached("SELECT coalesce(sum(bytes), 0) FROM aside_sums")?.query_row([], |row| row.get(0))
    };
    // Of the log that has most, so that one log's junk crowds out no other's.
    while in_all(tx)? > MAX_BYTES_IN_ALL {
        let fullest =
            "SELECT min(n) FROM set_aside WHERE log = (SELECT log FROM aside_sums ORDER BY bytes DESC LIMIT 1)";
        drop_oldest(tx, fullest, [])?;
    }
    Ok(())
}

fn drop_oldest(tx: &Transaction<'_>, which: &str, of: impl rusqlite::Params) -> Result<(), Error> {
    let n: i64 = tx.prepare_cached(which)?.query_row(of, |row| row.get(0))?;
    tx.prepare_cached(
        "UPDATE aside_sums SET entries = entries - 1, dropped = dropped + 1,
             bytes = bytes - (SELECT length(blob) FROM set_aside WHERE n = ?1)
         WHERE log = (SELECT log FROM set_aside WHERE n = ?1)",
    )?
    .execute([n])?;
    tx.prepare_cached("DELETE FROM set_aside WHERE n = ?1")?.execute([n])?;
    Ok(())
}

/// What is kept of a log, or of the inbox.
pub(crate) fn sums(tx: &Transaction<'_>, log: LogId) -> Result<Sums, Error> {
    let found = tx
        .prepare_cached("SELECT entries, bytes, dropped FROM aside_sums WHERE log = ?1")?
        .query_row([log.as_bytes()], |row| Ok(Sums { entries: row.get(0)?, bytes: row.get(1)?, dropped: row.get(2)? }))
        .optional()?;
    Ok(found.unwrap_or_default())
}

/// Keeps a Welcome, a notice or a request until its sender's relay can be asked.
pub(crate) fn wait(tx: &Transaction<'_>, entry: &InboxEntry) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO waiting_welcomes (seq, entry_id, blob) VALUES (?1, ?2, ?3)",
        params![entry.seq, entry.entry_id.as_bytes(), entry.blob],
    )?;
    loop {
        let (entries, bytes): (u64, u64) =
            tx.query_row("SELECT count(*), coalesce(sum(length(blob)), 0) FROM waiting_welcomes", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        if entries <= MAX_WAITING && bytes <= MAX_WAITING_BYTES {
            return Ok(());
        }
        // Notices and requests make room before Welcomes do: whoever sends many of them keeps nobody out.
        let all = waiting(tx)?;
        let lesser = all.iter().find(|(_, entry)| entry.kind != EnvelopeKind::Welcome);
        let Some((n, _)) = lesser.or(all.first()) else { return Ok(()) };
        waited(tx, *n)?;
    }
}

/// What waits, oldest first, with their row numbers.
pub(crate) fn waiting(tx: &Transaction<'_>) -> Result<Vec<(i64, InboxEntry)>, Error> {
    let mut statement = tx.prepare_cached("SELECT * FROM waiting_welcomes ORDER BY n")?;
    let rows = statement.query_map([], |row| {
        let blob: Vec<u8> = row.get("blob")?;
        // As it says itself; that is compared when it is opened.
        let kind = Header::parse(&blob).map_or(EnvelopeKind::Welcome, |header| header.kind);
        let entry =
            InboxEntry { seq: row.get("seq")?, entry_id: EnvelopeId::from_bytes(bytes(row, "entry_id")?), kind, blob };
        Ok((row.get("n")?, entry))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// It waits no more.
pub(crate) fn waited(tx: &Transaction<'_>, n: i64) -> Result<(), Error> {
    tx.execute("DELETE FROM waiting_welcomes WHERE n = ?1", [n])?;
    Ok(())
}
