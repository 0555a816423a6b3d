//! Chains that are still to be looked up: entries that came in a conversation and were not found in a log yet, and entries that a log has and
//! that could not be had yet. Kept, since the next start must not forget either. Not here: the looking (`engine::transparency`).

use rusqlite::{OptionalExtension as _, Transaction, params};
use waxwing_wire::AccountId;

use super::bytes;
use crate::error::Error;

/// Entries of an account's chain have come in a conversation.
pub(crate) fn note(tx: &Transaction<'_>, account: AccountId) -> Result<(), Error> {
    tx.execute("INSERT OR IGNORE INTO unproved_chains (account) VALUES (?1)", [account.as_bytes()])?;
    Ok(())
}

/// The same of entries from this place on. Until a log was seen to hold them they may have to give way to others.
pub(crate) fn learned(tx: &Transaction<'_>, account: AccountId, from: u32) -> Result<(), Error> {
    note(tx, account)?;
    tx.execute(
        "INSERT INTO unlogged_chains (account, from_seq) VALUES (?1, ?2)
         ON CONFLICT (account) DO UPDATE SET from_seq = min(from_seq, excluded.from_seq)",
        params![account.as_bytes(), from],
    )?;
    Ok(())
}

/// From which place on an account's chain was not seen in a log yet, where something of it came in a conversation.
pub(crate) fn unlogged_from(tx: &Transaction<'_>, account: AccountId) -> Result<Option<u32>, Error> {
    let mut statement = tx.prepare_cached("SELECT from_seq FROM unlogged_chains WHERE account = ?1")?;
    Ok(statement.query_row([account.as_bytes()], |row| row.get(0)).optional()?)
}

/// The log holds the account's chain up to this entry.
pub(crate) fn is_logged(tx: &Transaction<'_>, account: AccountId, seq: u32) -> Result<(), Error> {
    // More may have come in meanwhile.
    tx.execute(
        "UPDATE unlogged_chains SET from_seq = max(from_seq, ?2 + 1) WHERE account = ?1",
        params![account.as_bytes(), seq],
    )?;
    tx.execute(
        "DELETE FROM unlogged_chains WHERE account = ?1
             AND (SELECT coalesce(max(seq), 0) FROM chain_entries WHERE account = ?1) < from_seq",
        [account.as_bytes()],
    )?;
    Ok(())
}

/// Whose chains are to be looked up in a log.
pub(crate) fn all(tx: &Transaction<'_>) -> Result<Vec<AccountId>, Error> {
    accounts(tx, "SELECT account FROM unproved_chains")
}

/// From which place on an account's chain waits to be looked up in a log, if it does.
pub(crate) fn waits_from(tx: &Transaction<'_>, account: AccountId) -> Result<Option<u32>, Error> {
    let mut statement = tx.prepare_cached(
        "SELECT coalesce((SELECT from_seq FROM unlogged_chains WHERE account = ?1), 0) FROM unproved_chains
         WHERE account = ?1",
    )?;
    Ok(statement.query_row([account.as_bytes()], |row| row.get(0)).optional()?)
}

/// It was looked up, up to the entry that is the newest.
pub(crate) fn done(tx: &Transaction<'_>, account: AccountId, seq: u32) -> Result<(), Error> {
    // More may have come in meanwhile.
    tx.execute(
        "DELETE FROM unproved_chains WHERE account = ?1
             AND (SELECT coalesce(max(seq), 0) FROM chain_entries WHERE account = ?1) <= ?2",
        params![account.as_bytes(), seq],
    )?;
    Ok(())
}

/// A log has newer entries of a contact.
pub(crate) fn note_news(tx: &Transaction<'_>, account: AccountId) -> Result<(), Error> {
    tx.execute("INSERT OR IGNORE INTO chain_news (account) VALUES (?1)", [account.as_bytes()])?;
    Ok(())
}

/// Of whom there are newer entries.
pub(crate) fn news(tx: &Transaction<'_>) -> Result<Vec<AccountId>, Error> {
    accounts(tx, "SELECT account FROM chain_news")
}

/// They were asked for in vain, that time counted: since when, the earliest, for a clock may have been ahead; and in how many hours.
pub(crate) fn news_not_had(tx: &Transaction<'_>, account: AccountId, now: u64) -> Result<(u64, u32), Error> {
    let note = "UPDATE chain_news SET since_ms = min(coalesce(since_ms, ?2), ?2),
                    hours = hours + (hour_ms IS NULL OR abs(?2 - hour_ms) >= 3600000),
                    hour_ms = CASE WHEN hour_ms IS NULL OR abs(?2 - hour_ms) >= 3600000 THEN ?2 ELSE hour_ms END
                WHERE account = ?1 RETURNING since_ms, hours";
    let mut statement = tx.prepare_cached(note)?;
    let noted = statement.query_row(params![account.as_bytes(), now], |row| Ok((row.get(0)?, row.get(1)?)));
    Ok(noted.optional()?.unwrap_or((now, 0)))
}

/// They were had.
pub(crate) fn news_are_had(tx: &Transaction<'_>, account: AccountId) -> Result<(), Error> {
    tx.execute("DELETE FROM chain_news WHERE account = ?1", [account.as_bytes()])?;
    Ok(())
}

fn accounts(tx: &Transaction<'_>, find: &str) -> Result<Vec<AccountId>, Error> {
    let mut statement = tx.prepare_cached(find)?;
    let rows = statement.query_map([], |row| Ok(AccountId::from_bytes(bytes(row, "account")?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
