//! What members have said whose chains cannot be had, or do not state (yet) who says it: kept until they do.

use rusqlite::{OptionalExtension as _, Transaction, params};
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

/// How many bytes may be kept, where each message takes 256 beside its content (see `held_sizes` in the schema).
#[derive(Clone, Copy)]
pub(crate) struct Room {
    /// Of one sender in one log.
    pub(crate) each: u64,
    /// Of everybody.
    pub(crate) all: u64,
    /// Of one sender in one log, whatever others have filled.
    pub(crate) always: u64,
}

/// Keeps a message of an account; false if as much is kept already as may be.
pub(crate) fn keep(tx: &Transaction<'_>, sender: AccountId, held: &Held, most: Room) -> Result<bool, Error> {
    let (each, all): (u64, u64) = tx
        .prepare_cached(
            "SELECT coalesce(sum(bytes) FILTER (WHERE sender = ?1 AND log = ?2), 0), coalesce(sum(bytes), 0) FROM held_sizes",
        )?
        .query_row(params![sender.as_bytes(), held.log.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if each >= most.each || (all >= most.all && each >= most.always) {
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

/// What an account has said next after `n` (0: first) of what is kept: one at a time, since it may be much.
pub(crate) fn next(tx: &Transaction<'_>, sender: AccountId, n: i64) -> Result<Option<Held>, Error> {
    let mut statement = tx.prepare_cached(
        "SELECT * FROM held INDEXED BY held_in_order WHERE sender = ?1 AND n > ?2 ORDER BY n LIMIT 1",
    )?;
    let row = statement.query_row(params![sender.as_bytes(), n], |row| {
        Ok(Held {
            n: row.get("n")?,
            log: LogId::from_bytes(row.get("log")?),
            leaf: row.get("leaf")?,
            mls_key: row.get("mls_key")?,
            sent_ms: row.get("sent_ms")?,
            content: row.get("content")?,
            at_ms: row.get("at_ms")?,
        })
    });
    Ok(row.optional()?)
}

/// All that is kept of an account, in the order in which it was said.
#[cfg(test)]
pub(crate) fn of(tx: &Transaction<'_>, sender: AccountId) -> Result<Vec<Held>, Error> {
    let mut all = Vec::new();
    while let Some(held) = next(tx, sender, all.last().map_or(0, |last: &Held| last.n))? {
        all.push(held);
    }
    Ok(all)
}

pub(crate) fn remove(tx: &Transaction<'_>, n: i64) -> Result<(), Error> {
    tx.execute("DELETE FROM held WHERE n = ?1", [n])?;
    Ok(())
}
