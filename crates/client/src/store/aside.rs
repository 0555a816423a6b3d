//! What came in and is not used: kept with the reason within bounds, counted beyond them; and Welcomes and
//! requests that wait for a relay.
//!
//! Whoever can write to a log or an inbox can fill it with what nobody can use. That must cost this device neither its disk nor its
//! time, nor the place of what others have sent: each log has its own share, of which the newest stays.

use std::cmp::Reverse;

use rusqlite::{OptionalExtension as _, Transaction, params};
use waxwing_protocol::envelope::Header;
use waxwing_wire::frame::InboxEntry;
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{AccountId, EnvelopeId, LogId};

use super::{account, bytes};
use crate::error::Error;

/// Most entries kept of one log, or of the inbox.
pub(crate) const MAX_ENTRIES: u64 = 512;
/// Most bytes kept of one log.
pub(crate) const MAX_BYTES: u64 = 4 * 1024 * 1024;
/// Most bytes kept of all logs together.
const MAX_BYTES_IN_ALL: u64 = 64 * 1024 * 1024;
/// Most of one sender that waits.
const MAX_OF_ONE: u64 = 16;
/// The same of what says to be of an own device.
const MAX_OF_OWN: u64 = 64;
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

/// Whose something is that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sender {
    pub(crate) account: AccountId,
    /// Whether it is signed by keys that are known to be theirs; else it merely says so, and is in nobody's way who did sign.
    pub(crate) signed: bool,
}

/// Keeps a Welcome, a notice or a request until its sender's relay can be asked. Each sender has a share, of which the newest stays: whoever has a
/// key to this inbox and names relays that do not answer keeps out what others have sent, and believe to have arrived, only by naming as many
/// accounts as there are places.
pub(crate) fn wait(tx: &Transaction<'_>, entry: &InboxEntry, sender: Sender) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO waiting_welcomes (seq, entry_id, blob, sender, signed) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![entry.seq, entry.entry_id.as_bytes(), entry.blob, sender.account.as_bytes(), sender.signed],
    )?;
    let of_one: u64 = tx.query_row(
        "SELECT count(*) FROM waiting_welcomes WHERE sender = ?1 AND signed = ?2",
        params![sender.account.as_bytes(), sender.signed],
        |row| row.get(0),
    )?;
    // What says to be of an own device is told apart from junk as soon as that device's keys are known.
    let own = account::load(tx)?.is_some_and(|(me, _)| me.account == sender.account);
    if of_one > if own { MAX_OF_OWN } else { MAX_OF_ONE } {
        let own: Vec<_> = places(tx)?.into_iter().filter(|place| place.sender == Some(sender)).collect();
        gives_way(&own).map_or(Ok(()), |n| waited(tx, n))?;
    }
    loop {
        let (entries, bytes): (u64, u64) =
            tx.query_row("SELECT count(*), coalesce(sum(length(blob)), 0) FROM waiting_welcomes", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        if entries <= MAX_WAITING && bytes <= MAX_WAITING_BYTES {
            return Ok(());
        }
        let Some(n) = gives_way(&places(tx)?) else { return Ok(()) };
        waited(tx, n)?;
    }
}

/// What takes a place among what waits.
struct Place {
    n: i64,
    welcome: bool,
    /// None for what has waited since before that was noted.
    sender: Option<Sender>,
}

fn places(tx: &Transaction<'_>) -> Result<Vec<Place>, Error> {
    let mut statement = tx.prepare_cached("SELECT n, blob, sender, signed FROM waiting_welcomes ORDER BY n")?;
    let rows = statement.query_map([], |row| {
        let sender = row.get::<_, Option<[u8; 16]>>("sender")?.map(AccountId::from_bytes);
        let signed = row.get("signed")?;
        let sender = sender.map(|account| Sender { account, signed });
        Ok(Place { n: row.get("n")?, welcome: kind(&row.get::<_, Vec<u8>>("blob")?) == EnvelopeKind::Welcome, sender })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// What goes first: notices and requests before Welcomes, since whoever sends many of them is to keep nobody out; what nobody's known keys have
/// signed before what they have; then of whoever has most the oldest.
fn gives_way(places: &[Place]) -> Option<i64> {
    let of_one = |place: &Place| places.iter().filter(|other| other.sender == place.sender).count();
    let signed = |place: &Place| place.sender.is_some_and(|sender| sender.signed);
    let first = places.iter().min_by_key(|place| (place.welcome, signed(place), Reverse(of_one(place)), place.n));
    first.map(|place| place.n)
}

/// Of what kind an envelope says to be; that is compared when it is opened.
fn kind(blob: &[u8]) -> EnvelopeKind {
    Header::parse(blob).map_or(EnvelopeKind::Welcome, |header| header.kind)
}

/// What waits, oldest first, with their row numbers.
pub(crate) fn waiting(tx: &Transaction<'_>) -> Result<Vec<(i64, InboxEntry)>, Error> {
    let mut statement = tx.prepare_cached("SELECT * FROM waiting_welcomes ORDER BY n")?;
    let rows = statement.query_map([], |row| {
        let blob: Vec<u8> = row.get("blob")?;
        let (entry_id, kind) = (EnvelopeId::from_bytes(bytes(row, "entry_id")?), kind(&blob));
        Ok((row.get("n")?, InboxEntry { seq: row.get("seq")?, entry_id, kind, blob }))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The same, of those that say to be of this account.
pub(crate) fn waiting_of(tx: &Transaction<'_>, account: AccountId) -> Result<Vec<(i64, InboxEntry)>, Error> {
    let mut statement = tx.prepare_cached("SELECT n FROM waiting_welcomes WHERE sender = ?1")?;
    let of: Vec<i64> = statement.query_map([account.as_bytes()], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(waiting(tx)?.into_iter().filter(|(n, _)| of.contains(n)).collect())
}

/// Whether anything waits.
pub(crate) fn any_waits(tx: &Transaction<'_>) -> Result<bool, Error> {
    Ok(tx.prepare_cached("SELECT 1 FROM waiting_welcomes")?.exists([])?)
}

/// It waits no more.
pub(crate) fn waited(tx: &Transaction<'_>, n: i64) -> Result<(), Error> {
    tx.execute("DELETE FROM waiting_welcomes WHERE n = ?1", [n])?;
    Ok(())
}
