//! When the device keys are replaced, when they and the account key last were, and how much of that each group knows. Not here: the journals
//! of what is under way and the keys themselves (`keys`).

use rusqlite::{OptionalExtension as _, Row, Transaction, params};
use waxwing_wire::LogId;

use super::bytes;
use super::conversations::ConversationId;
use crate::error::Error;

/// Days between scheduled rotations where the user has chosen nothing.
pub(crate) const DEFAULT_DAYS: u32 = 30;

/// A rotation that is complete but for the updates of the groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Last {
    pub(crate) version: u32,
    /// When, by relay time.
    pub(crate) at_ms: u64,
    pub(crate) scheduled: bool,
}

/// Days between scheduled rotations; 0: by hand alone.
pub(crate) fn days(tx: &Transaction<'_>) -> Result<u32, Error> {
    let days = tx.prepare_cached("SELECT days FROM key_schedule")?.query_row([], |row| row.get(0)).optional()?;
    Ok(days.unwrap_or(DEFAULT_DAYS))
}

pub(crate) fn set_days(tx: &Transaction<'_>, days: u32) -> Result<(), Error> {
    make_row(tx)?;
    tx.execute("UPDATE key_schedule SET days = ?1", [days])?;
    Ok(())
}

/// A version of the device keys, and since when (relay time) it was known here to be in force; zeros if nothing is known.
pub(crate) fn since(tx: &Transaction<'_>) -> Result<(u32, u64), Error> {
    let row = tx
        .prepare_cached("SELECT version, since_ms FROM key_schedule")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(row.unwrap_or_default())
}

pub(crate) fn set_since(tx: &Transaction<'_>, version: u32, since_ms: u64) -> Result<(), Error> {
    make_row(tx)?;
    tx.execute("UPDATE key_schedule SET version = ?1, since_ms = ?2", params![version, since_ms])?;
    Ok(())
}

/// The last rotation, if there was one.
pub(crate) fn last(tx: &Transaction<'_>) -> Result<Option<Last>, Error> {
    let read = |row: &Row<'_>| Ok(Last { version: row.get(0)?, at_ms: row.get(1)?, scheduled: row.get(2)? });
    let row = tx
        .prepare_cached("SELECT last_version, last_ms, last_scheduled FROM key_schedule WHERE last_version > 0")?
        .query_row([], read)
        .optional()?;
    Ok(row)
}

pub(crate) fn set_last(tx: &Transaction<'_>, last: &Last) -> Result<(), Error> {
    make_row(tx)?;
    tx.execute(
        "UPDATE key_schedule SET last_version = ?1, last_ms = ?2, last_scheduled = ?3",
        params![last.version, last.at_ms, last.scheduled],
    )?;
    Ok(())
}

/// A replacement of the account key that is complete but for the groups that are to learn of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastAccountKey {
    /// Number of its entry in the own chain.
    pub(crate) seq: u32,
    /// When, by relay time.
    pub(crate) at_ms: u64,
    /// Whether every other device was revoked, and this one's keys were replaced too.
    pub(crate) shut_out: bool,
}

/// The last replacement of the account key, if there was one.
pub(crate) fn last_account_key(tx: &Transaction<'_>) -> Result<Option<LastAccountKey>, Error> {
    let read = |row: &Row<'_>| Ok(LastAccountKey { seq: row.get(0)?, at_ms: row.get(1)?, shut_out: row.get(2)? });
    let row = tx
        .prepare_cached("SELECT account_seq, account_ms, account_shut_out FROM key_schedule WHERE account_seq > 0")?
        .query_row([], read)
        .optional()?;
    Ok(row)
}

pub(crate) fn set_last_account_key(tx: &Transaction<'_>, last: &LastAccountKey) -> Result<(), Error> {
    make_row(tx)?;
    tx.execute(
        "UPDATE key_schedule SET account_seq = ?1, account_ms = ?2, account_shut_out = ?3,
             shut_out_seq = CASE WHEN ?3 THEN ?1 ELSE shut_out_seq END",
        params![last.seq, last.at_ms, last.shut_out],
    )?;
    Ok(())
}

/// Number of the own chain's last entry that has shut every other device out; 0 where there is none.
pub(crate) fn shut_out_seq(tx: &Transaction<'_>) -> Result<u32, Error> {
    let seq = tx.prepare_cached("SELECT shut_out_seq FROM key_schedule")?.query_row([], |row| row.get(0)).optional()?;
    Ok(seq.unwrap_or(0))
}

fn make_row(tx: &Transaction<'_>) -> Result<(), Error> {
    tx.execute("INSERT OR IGNORE INTO key_schedule (one, days) VALUES (1, ?1)", [DEFAULT_DAYS])?;
    Ok(())
}

/// The key version of the own leaf in a log's group; 0: the group is to be asked.
pub(crate) fn leaf_version(tx: &Transaction<'_>, log: LogId) -> Result<u32, Error> {
    let version = tx
        .prepare_cached("SELECT leaf_version FROM logs WHERE log = ?1")?
        .query_row([log.as_bytes()], |row| row.get(0));
    Ok(version.optional()?.unwrap_or(0))
}

pub(crate) fn set_leaf_version(tx: &Transaction<'_>, log: LogId, version: u32) -> Result<(), Error> {
    tx.prepare_cached("UPDATE logs SET leaf_version = ?2 WHERE log = ?1")?.execute(params![log.as_bytes(), version])?;
    Ok(())
}

/// Up to which entry of the own chain the roster of a log's group has followed it; none: the group is to be asked.
pub(crate) fn line_seq(tx: &Transaction<'_>, log: LogId) -> Result<Option<u32>, Error> {
    let mut statement = tx.prepare_cached("SELECT line_seq FROM logs WHERE log = ?1 AND line_seq >= 0")?;
    Ok(statement.query_row([log.as_bytes()], |row| row.get(0)).optional()?)
}

pub(crate) fn set_line_seq(tx: &Transaction<'_>, log: LogId, seq: u32) -> Result<(), Error> {
    tx.prepare_cached("UPDATE logs SET line_seq = ?2 WHERE log = ?1")?.execute(params![log.as_bytes(), seq])?;
    Ok(())
}

/// Logs in whose groups one takes part with an own leaf that is older than `version` and whose keys are there, and which nothing is wrong
/// with.
pub(crate) fn behind(tx: &Transaction<'_>, version: u32) -> Result<Vec<(LogId, ConversationId)>, Error> {
    let mut statement = tx.prepare_cached(
        "SELECT log, conversation FROM logs WHERE active = 1 AND trouble = 0 AND leaf_version > 0 AND leaf_version < ?1
             AND leaf_version IN (SELECT key_version FROM old_device_keys)
             AND conversation IN (SELECT id FROM conversations WHERE standing = 0)",
    )?;
    let rows = statement
        .query_map([version], |row| Ok((LogId::from_bytes(bytes(row, "log")?), bytes::<32>(row, "conversation")?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Conversations that one takes part in and whose group exists.
pub(crate) fn conversations(tx: &Transaction<'_>) -> Result<Vec<ConversationId>, Error> {
    let mut statement = tx.prepare_cached(
        "SELECT id FROM conversations WHERE standing = 0 AND id IN (SELECT conversation FROM logs WHERE active = 1)
         ORDER BY active_ms DESC",
    )?;
    let rows = statement.query_map([], |row| bytes::<32>(row, "id"))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
