//! Checkpoints that others have seen of their relays' logs, signed by those, which were not held against the own view yet. Kept, since neither
//! the next start nor a relay that shows less than it has signed may have them forgotten. Not here: the comparing (`engine::transparency`).

use rusqlite::{Row, Transaction, params};
use waxwing_protocol::envelope::CompactCheckpoint;
use waxwing_wire::AccountId;

use super::bytes;
use crate::error::Error;

/// Most that are kept of one relay's log: each of them speaks for the others, since that relay has signed them all.
const MOST_OF_A_RELAY: u32 = 64;
/// Most in all.
const MOST: u32 = 256;

/// Whose it is, and what they have seen.
type Seen = (AccountId, CompactCheckpoint);

/// Keeps one. Of each account the first and the newest: the first is proved or refuted soonest, whatever the relay signs after it. Where a relay's
/// share is full, those that are there stay; where there is no room at all, the newest of whichever relay has most goes.
pub(crate) fn note(
    tx: &Transaction<'_>,
    (account, checkpoint): &Seen,
    relay: &str,
    signed_ms: u64,
    now_ms: u64,
) -> Result<(), Error> {
    // A log may sign any time.
    let signed_ms = i64::try_from(signed_ms).unwrap_or(i64::MAX);
    tx.prepare_cached(
        "INSERT OR IGNORE INTO uncompared_checkpoints (account, checkpoint, relay, signed_ms, since_ms)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![account.as_bytes(), checkpoint, relay, signed_ms, now_ms])?;
    tx.prepare_cached(
        "DELETE FROM uncompared_checkpoints WHERE account = ?1
             AND n <> (SELECT n FROM uncompared_checkpoints WHERE account = ?1 ORDER BY signed_ms, n LIMIT 1)
             AND n <> (SELECT n FROM uncompared_checkpoints WHERE account = ?1 ORDER BY signed_ms DESC, n DESC LIMIT 1)",
    )?
    .execute([account.as_bytes()])?;
    tx.prepare_cached(
        "DELETE FROM uncompared_checkpoints WHERE n IN
             (SELECT n FROM uncompared_checkpoints WHERE relay = ?1 ORDER BY n LIMIT -1 OFFSET ?2)",
    )?
    .execute(params![relay, MOST_OF_A_RELAY])?;
    tx.prepare_cached(
        "DELETE FROM uncompared_checkpoints WHERE (SELECT count(*) FROM uncompared_checkpoints) > ?1 AND n =
             (SELECT max(n) FROM uncompared_checkpoints GROUP BY relay ORDER BY count(*) DESC, max(n) DESC LIMIT 1)",
    )?
    .execute([MOST])?;
    Ok(())
}

/// All of them, the oldest first.
pub(crate) fn all(tx: &Transaction<'_>, now_ms: u64) -> Result<Vec<Seen>, Error> {
    correct(tx, now_ms)?;
    let mut statement = tx.prepare_cached("SELECT account, checkpoint FROM uncompared_checkpoints ORDER BY n")?;
    let rows = statement.query_map([], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Those of a relay's log.
pub(crate) fn of(tx: &Transaction<'_>, relay: &str, now_ms: u64) -> Result<Vec<Seen>, Error> {
    correct(tx, now_ms)?;
    let mut statement =
        tx.prepare_cached("SELECT account, checkpoint FROM uncompared_checkpoints WHERE relay = ?1 ORDER BY n")?;
    let rows = statement.query_map([relay], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Seen> {
    Ok((AccountId::from_bytes(bytes(row, "account")?), bytes(row, "checkpoint")?))
}

/// None was heard later than now: a clock that was ahead must not make them seem new for years.
fn correct(tx: &Transaction<'_>, now_ms: u64) -> Result<(), Error> {
    tx.prepare_cached("UPDATE uncompared_checkpoints SET since_ms = ?1 WHERE since_ms > ?1")?.execute([now_ms])?;
    Ok(())
}

/// They were compared, or belong to nobody who is known here any more.
pub(crate) fn done(tx: &Transaction<'_>, seen: &[Seen]) -> Result<(), Error> {
    let mut statement =
        tx.prepare_cached("DELETE FROM uncompared_checkpoints WHERE account = ?1 AND checkpoint = ?2")?;
    for (account, checkpoint) in seen {
        statement.execute(params![account.as_bytes(), checkpoint])?;
    }
    Ok(())
}

/// Nothing of a relay's log is to be compared any more.
pub(crate) fn forget(tx: &Transaction<'_>, relay: &str) -> Result<(), Error> {
    tx.execute("DELETE FROM uncompared_checkpoints WHERE relay = ?1", [relay])?;
    Ok(())
}

/// Relays of which there are any.
pub(crate) fn relays(tx: &Transaction<'_>) -> Result<Vec<String>, Error> {
    let mut statement = tx.prepare_cached("SELECT DISTINCT relay FROM uncompared_checkpoints ORDER BY relay")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Whether there is one of a relay's log that was heard before a time.
pub(crate) fn any_heard_before(tx: &Transaction<'_>, relay: &str, before_ms: u64) -> Result<bool, Error> {
    let mut statement = tx.prepare_cached("SELECT 1 FROM uncompared_checkpoints WHERE relay = ?1 AND since_ms < ?2")?;
    Ok(statement.exists(params![relay, before_ms])?)
}

/// Whether there is one of a relay's log that was signed after a time, by its own word.
pub(crate) fn any_signed_after(tx: &Transaction<'_>, relay: &str, after_ms: u64) -> Result<bool, Error> {
    let after_ms = i64::try_from(after_ms).unwrap_or(i64::MAX);
    let mut statement =
        tx.prepare_cached("SELECT 1 FROM uncompared_checkpoints WHERE relay = ?1 AND signed_ms > ?2")?;
    Ok(statement.exists(params![relay, after_ms])?)
}
