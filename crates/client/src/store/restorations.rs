//! Relays that were restored from a backup: which notes were followed, what a restored log does not hold any more, and what is still to be
//! told to the own relay again. Not here: what makes a note good, and what is told (`engine`).

use std::collections::HashSet;

use rusqlite::{Row, Transaction, params};
use waxwing_protocol::AccessKey;
use waxwing_wire::LogId;
use waxwing_wire::transparency::{Frontier, account_hash};

use super::transparency::TransparencyLog;
use super::{account, contacts, keys, logs};
use crate::error::Error;

/// One restoration that was followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Restoration {
    /// Under which origin the log went on.
    pub(crate) origin: String,
    /// Under which it was read before.
    pub(crate) previous: String,
    /// So many leaves of that one are the same in both.
    pub(crate) size: u64,
    /// Time of the backup's last checkpoint, and no later than when it was found.
    pub(crate) time_ms: u64,
    /// When it was found (relay time).
    pub(crate) found_ms: u64,
    /// As it was signed.
    pub(crate) note: String,
    /// The last checkpoint that was proved under the origin before.
    pub(crate) proved: Option<String>,
}

/// Most restorations of a relay that are kept, and read: no honest one has as many, and each is shown for good.
pub(crate) const MOST: u32 = 256;

/// All that a relay has gone through while it was known here, the oldest first.
pub(crate) fn of(tx: &Transaction<'_>, relay: &str) -> Result<Vec<Restoration>, Error> {
    // Of a database from before there may be more: then the newest, from which alone anything can go on.
    let mut statement = tx.prepare_cached(
        "SELECT * FROM (SELECT * FROM transparency_restorations WHERE relay = ?1 ORDER BY n DESC LIMIT ?2) ORDER BY n",
    )?;
    let rows = statement.query_map(params![relay, MOST], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Restoration> {
    Ok(Restoration {
        origin: row.get("origin")?,
        previous: row.get("previous")?,
        size: row.get("size")?,
        time_ms: row.get("time_ms")?,
        found_ms: row.get("found_ms")?,
        note: row.get("note")?,
        proved: row.get("proved")?,
    })
}

/// Pins the last of these as the log's origin; whoever calls sees to it that there are no more than [`MOST`] then. Of what was read `kept` stays;
/// the leaves of known accounts behind it are remembered as such that were proved. Logs of conversations at this relay may have gone back with
/// it; of the own relay, what it was told since is to be told again.
pub(crate) fn follow(
    tx: &Transaction<'_>,
    log: &TransparencyLog,
    restorations: &[Restoration],
    kept: &Frontier,
) -> Result<(), Error> {
    let Some(last) = restorations.last() else { return Ok(()) };
    let me = account::require(tx)?;
    let home = me.relay.authority() == log.relay;
    for account in contacts::all(tx)?.into_iter().map(|contact| contact.account).chain([me.account]) {
        // Of the chain that is known here alone: what else the log held, this device has never taken for true.
        let Some(chain) = keys::chain(tx, account)? else { continue };
        let (who, mut lost) = (account_hash(&account), Vec::new());
        {
            let mut statement = tx.prepare_cached(
                "SELECT seq, hash FROM transparency_leaves WHERE log = ?1 AND who = ?2 AND place >= ?3 AND place < ?4 AND seq >= 0",
            )?;
            let mut rows = statement.query(params![log.n, who, kept.size(), log.size()])?;
            while let Some(row) = rows.next()? {
                let (seq, hash): (u32, [u8; 32]) = (row.get(0)?, row.get(1)?);
                lost.extend((chain.hash_at(seq) == Some(hash)).then_some((seq, hash)));
            }
        }
        for (seq, hash) in lost {
            tx.prepare_cached(
                "INSERT OR IGNORE INTO transparency_dropped (log, who, seq, hash) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![log.n, who, seq, hash])?;
        }
    }
    tx.execute("DELETE FROM transparency_leaves WHERE log = ?1 AND place >= ?2", params![log.n, kept.size()])?;
    tx.execute("DELETE FROM transparency_edges WHERE log = ?1 AND size > ?2", params![log.n, kept.size()])?;
    tx.execute(
        "UPDATE transparency_logs SET log_origin = ?2, read_edge = ?3, proved_edge = ?3, proved = NULL, looked = min(looked, ?4)
         WHERE n = ?1",
        params![log.n, last.origin, kept.encode(), kept.size()],
    )?;
    for one in restorations {
        tx.execute(
            "INSERT INTO transparency_restorations (relay, origin, previous, size, time_ms, found_ms, note, proved, redo)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                log.relay, one.origin, one.previous, one.size, one.time_ms, one.found_ms, one.note, one.proved, home
            ],
        )?;
    }
    unread(tx, &log.relay)?;
    if home {
        tx.execute("UPDATE access_keys SET registered = 0 WHERE registered = 1", [])?;
    }
    Ok(())
}

/// Logs of conversations at a relay may have gone back with it: none was read yet.
pub(crate) fn unread(tx: &Transaction<'_>, relay: &str) -> Result<(), Error> {
    for log in logs::active(tx)?.iter().filter(|one| one.relay.authority() == relay) {
        tx.execute("UPDATE logs SET restored = 1 WHERE log = ?1", [log.log.as_bytes()])?;
    }
    Ok(())
}

/// Entries of an account that a log held, and has lost.
pub(crate) fn dropped(
    tx: &Transaction<'_>,
    log: &TransparencyLog,
    who: &[u8; 32],
) -> Result<HashSet<(u32, [u8; 32])>, Error> {
    let mut statement = tx.prepare_cached("SELECT seq, hash FROM transparency_dropped WHERE log = ?1 AND who = ?2")?;
    let rows = statement.query_map(params![log.n, who], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Whether the own relay is still to be told what it has lost.
pub(crate) fn redo(tx: &Transaction<'_>) -> Result<bool, Error> {
    Ok(tx.prepare_cached("SELECT 1 FROM transparency_restorations WHERE redo = 1")?.exists([])?)
}

/// How many restorations are known, for [`done`].
pub(crate) fn last(tx: &Transaction<'_>) -> Result<i64, Error> {
    Ok(tx.query_row("SELECT coalesce(max(n), 0) FROM transparency_restorations", [], |row| row.get(0))?)
}

/// It was told, after the restorations up to this one.
pub(crate) fn done(tx: &Transaction<'_>, last: i64) -> Result<(), Error> {
    tx.execute("UPDATE transparency_restorations SET redo = 0 WHERE n <= ?1", [last])?;
    Ok(())
}

/// Hashes of access keys that the relay was told to forget.
pub(crate) fn forgotten_access_keys(tx: &Transaction<'_>) -> Result<Vec<[u8; 32]>, Error> {
    let mut statement = tx.prepare_cached("SELECT hash FROM forgotten_access_keys")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The relay was told to forget it.
pub(crate) fn note_forgotten(tx: &Transaction<'_>, key: &AccessKey) -> Result<(), Error> {
    tx.execute("INSERT OR IGNORE INTO forgotten_access_keys (hash) VALUES (?1)", [key.hash()])?;
    Ok(())
}

/// Whether the log of a conversation was not read yet since its relay was restored.
pub(crate) fn is_unread(tx: &Transaction<'_>, log: LogId) -> Result<bool, Error> {
    Ok(tx.prepare_cached("SELECT 1 FROM logs WHERE log = ?1 AND restored = 1")?.exists([log.as_bytes()])?)
}

/// It was read, and goes on from where it was.
pub(crate) fn is_read(tx: &Transaction<'_>, log: LogId) -> Result<(), Error> {
    tx.prepare_cached("UPDATE logs SET restored = 0 WHERE log = ?1 AND restored = 1")?.execute([log.as_bytes()])?;
    Ok(())
}

/// Since when texts may have been lost at a relay: the time of the backup that it was restored from, if that was found after `after_ms`.
pub(crate) fn lost_since(tx: &Transaction<'_>, relay: &str, after_ms: u64) -> Result<Option<u64>, Error> {
    let mut statement =
        tx.prepare_cached("SELECT min(time_ms) FROM transparency_restorations WHERE relay = ?1 AND found_ms >= ?2")?;
    Ok(statement.query_row(params![relay, after_ms], |row| row.get(0))?)
}
