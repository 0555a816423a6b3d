//! What members have said whose chains cannot be had, or do not state (yet) who says it: kept until they do.

use rusqlite::{Transaction, params};
use waxwing_wire::{AccountId, LogId};

use crate::error::Error;

/// One message.
pub(crate) struct Held {
    pub(crate) n: i64,
    pub(crate) log: LogId,
    /// The leaf's identity, encoded, and its MLS key.
    pub(crate) leaf: Vec<u8>,
    pub(crate) mls_key: [u8; 32],
    /// By the sender's clock.
    pub(crate) sent_ms: u64,
    /// The app message.
    pub(crate) content: Vec<u8>,
    /// Since when it is kept (relay time).
    pub(crate) at_ms: u64,
}

/// What a message takes beside its content, about, in bytes.
const BESIDE: u64 = 256;

/// Keeps a message of an account; false if `most` bytes of its messages are kept for this log already.
pub(crate) fn keep(tx: &Transaction<'_>, sender: AccountId, held: &Held, most: u64) -> Result<bool, Error> {
    let kept: u64 = tx
        .prepare_cached("SELECT coalesce(sum(length(content) + ?3), 0) FROM held WHERE sender = ?1 AND log = ?2")?
        .query_row(params![sender.as_bytes(), held.log.as_bytes(), BESIDE], |row| row.get(0))?;
    if kept >= most {
        return Ok(false);
    }
    tx.prepare_cached(
        "INSERT INTO held (log, sender, leaf, mls_key, sent_ms, content, at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        held.log.as_bytes(),
        sender.as_bytes(),
        held.leaf,
        held.mls_key,
        held.sent_ms,
        held.content,
        held.at_ms
    ])?;
    Ok(true)
}

/// What is kept from before its time was noted is kept from now on.
pub(crate) fn date(tx: &Transaction<'_>, now_ms: u64) -> Result<(), Error> {
    tx.prepare_cached("UPDATE held SET at_ms = ?1 WHERE at_ms = 0")?.execute([now_ms])?;
    Ok(())
}

/// Whose messages are kept.
pub(crate) fn senders(tx: &Transaction<'_>) -> Result<Vec<AccountId>, Error> {
    let mut statement = tx.prepare_cached("SELECT DISTINCT sender FROM held")?;
    let rows = statement.query_map([], |row| row.get(0).map(AccountId::from_bytes))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// What is kept of an account, in the order in which it was said.
pub(crate) fn of(tx: &Transaction<'_>, sender: AccountId) -> Result<Vec<Held>, Error> {
    let mut statement = tx.prepare_cached("SELECT * FROM held WHERE sender = ?1 ORDER BY n")?;
    let rows = statement.query_map([sender.as_bytes()], |row| {
        Ok(Held {
            n: row.get("n")?,
            log: LogId::from_bytes(row.get("log")?),
            leaf: row.get("leaf")?,
            mls_key: row.get("mls_key")?,
            sent_ms: row.get("sent_ms")?,
            content: row.get("content")?,
            at_ms: row.get("at_ms")?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(crate) fn remove(tx: &Transaction<'_>, n: i64) -> Result<(), Error> {
    tx.execute("DELETE FROM held WHERE n = ?1", [n])?;
    Ok(())
}
