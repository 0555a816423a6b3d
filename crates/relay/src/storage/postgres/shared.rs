//! What any number of processes of one relay share beside the messages: which assertions and proofs were shown, that they have the same keys, and
//! how they disguise what they tell each other.

use deadpool_postgres::Transaction;

use super::fault::{Fault, Result};
use super::query::{execute, fixed, int, one};
use crate::clock::Moment;
use crate::replay::{KEEP_SECONDS, Seen, Showing};

/// Remembers what is shown; whether it was new. Processes' clocks may differ: each row is kept for as long again.
pub(super) async fn shown(tx: &Transaction<'_>, showing: &Showing, now: Moment) -> Result<Seen> {
    let sql = "INSERT INTO shown AS s (id, until) VALUES ($1, $2)
               ON CONFLICT (id) DO UPDATE SET until = excluded.until WHERE s.until < $3";
    let (until, now) = (int(now.seconds() + 2 * KEEP_SECONDS), int(now.seconds()));
    let new = execute(tx, sql, &[&showing.id.as_slice(), &until, &now]).await? == 1;
    Ok(if new { Seen::Fresh } else { Seen::Replayed })
}

/// The key of the bus, made by the first who asks. `fresh` is what it is then.
pub(super) async fn bus_key(tx: &Transaction<'_>, fresh: &[u8; 32]) -> Result<[u8; 32]> {
    let sql = "INSERT INTO bus_key (n, key) VALUES (1, $1) ON CONFLICT (n) DO NOTHING";
    execute(tx, sql, &[&fresh.as_slice()]).await?;
    fixed(&one(tx, "SELECT key FROM bus_key WHERE n = 1", &[]).await?.ok_or(Fault::Damaged)?, 0)
}

/// Records the fingerprint if there is none, or that of `replacing`; whether it is the recorded one then.
pub(super) async fn record_keys(
    tx: &Transaction<'_>,
    fingerprint: &[u8; 32],
    replacing: Option<&[u8; 32]>,
) -> Result<bool> {
    let sql = "INSERT INTO relay_keys (n, fingerprint) VALUES (1, $1) ON CONFLICT (n) DO NOTHING";
    if execute(tx, sql, &[&fingerprint.as_slice()]).await? == 1 {
        return Ok(true);
    }
    if let Some(replacing) = replacing {
        let sql = "UPDATE relay_keys SET fingerprint = $1 WHERE n = 1 AND fingerprint = $2";
        execute(tx, sql, &[&fingerprint.as_slice(), &replacing.as_slice()]).await?;
    }
    let row = one(tx, "SELECT fingerprint FROM relay_keys WHERE n = 1", &[]).await?;
    Ok(row.map(|row| fixed::<32>(&row, 0)).transpose()?.is_some_and(|recorded| recorded == *fingerprint))
}
