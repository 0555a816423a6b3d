//! Retention: what is too old goes, a batch at a time, as in the embedded backend. Of any number of processes several may be at it: rows that
//! another one has are left to it.

use deadpool_postgres::Transaction;

use super::super::OVERHEAD;
use super::super::calendar::{Calendar, Noted};
use super::super::rules::{REMEMBER_CLAIMS_HOURS, REMEMBER_IDS_DAYS, REMEMBER_PACKAGES_DAYS, first_kept_day};
use super::fault::{Fault, Result};
use super::query::{Params, execute, get, int, one};
use crate::clock::Moment;
use crate::replay::KEEP_SECONDS;

/// Rows in a batch: as long as it takes, their log or inbox waits.
const BATCH: i64 = 1000;

/// No other process's clock that is about right is ahead by more.
const FAR_AHEAD_HOURS: i64 = 48;

/// What day was noted.
pub(super) async fn noted(tx: &Transaction<'_>) -> Result<Option<Noted>> {
    let row = one(tx, "SELECT day, skipped, watched FROM calendar WHERE n = 1", &[]).await?;
    row.map(|row| Ok(Noted { day: get(&row, 0)?, skipped: get(&row, 1)?, watched: get(&row, 2)? })).transpose()
}

/// Notes what day it is, by what was noted before and the clock. Of several processes at a time one does; the others find it the next time.
pub(super) async fn note(tx: &Transaction<'_>, calendar: &Calendar) -> Result<i64> {
    let noted = noted(tx).await?;
    let next = calendar.note(noted);
    match noted {
        Some(noted) if noted == next => {}
        Some(noted) => {
            let sql = "UPDATE calendar SET day = $1, skipped = $2, watched = $3
                       WHERE n = 1 AND day = $4 AND skipped = $5 AND watched = $6";
            let (before, after) = (&noted, &next);
            let params: Params<'_> =
                &[&after.day, &after.skipped, &after.watched, &before.day, &before.skipped, &before.watched];
            execute(tx, sql, params).await?;
        }
        None => {
            let sql = "INSERT INTO calendar (n, day) VALUES (1, $1) ON CONFLICT DO NOTHING";
            execute(tx, sql, &[&next.day]).await?;
        }
    }
    Ok(next.day)
}

/// Expires a batch of everything that is too old on this day; whether there may be more.
pub(super) async fn expire(tx: &Transaction<'_>, day: i64, now: Moment, days: u32) -> Result<bool> {
    let kept = first_kept_day(day, days);
    Ok(entries(tx, kept).await? | envelopes(tx, kept).await? | forget(tx, now, day, kept).await?)
}

/// The oldest entries of the log that has the oldest.
async fn entries(tx: &Transaction<'_>, kept: i64) -> Result<bool> {
    let sql = "SELECT n, oldest, head FROM logs WHERE oldest_day < $1
               ORDER BY oldest_day LIMIT 1 FOR UPDATE SKIP LOCKED";
    let Some(row) = one(tx, sql, &[&kept]).await? else { return Ok(false) };
    let (log, oldest, head): (i64, i64, i64) = (get(&row, 0)?, get(&row, 1)?, get(&row, 2)?);
    // The first that stays, of those that one batch looks at; a clock that was set back in between ends nothing too early.
    let end = (oldest + BATCH).min(head + 1);
    let sql = "SELECT coalesce(min(seq), $3) FROM log_entries WHERE log = $1 AND seq >= $2 AND seq < $3 AND day >= $4";
    let row = one(tx, sql, &[&log, &oldest, &end, &kept]).await?.ok_or(Fault::Damaged)?;
    let first: i64 = get(&row, 0)?;
    let sql = "SELECT coalesce(sum(length(blob) + $4::bigint), 0)::bigint FROM log_entries
               WHERE log = $1 AND seq >= $2 AND seq < $3";
    let row = one(tx, sql, &[&log, &oldest, &first, &int(OVERHEAD)]).await?.ok_or(Fault::Damaged)?;
    let bytes: i64 = get(&row, 0)?;
    let sql = "UPDATE log_entries SET blob = '' WHERE log = $1 AND seq >= $2 AND seq < $3";
    execute(tx, sql, &[&log, &oldest, &first]).await?;
    let sql = "UPDATE logs SET oldest = $2, bytes = greatest(0, bytes - $3),
                   oldest_day = (SELECT day FROM log_entries WHERE log = $1 AND seq = $2)
               WHERE n = $1";
    execute(tx, sql, &[&log, &first, &bytes]).await?;
    Ok(true)
}

/// The oldest envelopes of one inbox.
async fn envelopes(tx: &Transaction<'_>, kept: i64) -> Result<bool> {
    let sql =
        "SELECT n FROM devices WHERE n IN (SELECT device FROM inbox_entries WHERE day < $1 ORDER BY day LIMIT 100)
               LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED";
    let Some(row) = one(tx, sql, &[&kept]).await? else { return Ok(false) };
    let device: i64 = get(&row, 0)?;
    let sql = "WITH gone AS (
                   DELETE FROM inbox_entries WHERE device = $1 AND seq IN
                       (SELECT seq FROM inbox_entries WHERE device = $1 AND day < $2 ORDER BY seq LIMIT $3)
                   RETURNING source, size
               ), sums AS (SELECT source, sum(size)::bigint AS size FROM gone GROUP BY source)
               UPDATE inbox_usage u SET bytes = u.bytes - sums.size FROM sums WHERE u.device = $1 AND u.source = sums.source";
    execute(tx, sql, &[&device, &kept, &BATCH]).await?;
    execute(tx, "DELETE FROM inbox_usage WHERE device = $1 AND bytes <= 0", &[&device]).await?;
    Ok(true)
}

/// What was remembered of something that is long gone. What is remembered for hours goes by the clock; what is far ahead of it, too, as it came under another.
async fn forget(tx: &Transaction<'_>, now: Moment, day: i64, kept: i64) -> Result<bool> {
    let mut gone = 0;
    for (sql, before) in [
        (
            "DELETE FROM inbox_ids WHERE ctid = ANY(ARRAY(
                 SELECT ctid FROM inbox_ids WHERE day < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))",
            kept - REMEMBER_IDS_DAYS,
        ),
        (
            "DELETE FROM spent_key_packages WHERE ctid = ANY(ARRAY(
                 SELECT ctid FROM spent_key_packages WHERE day < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))",
            day - REMEMBER_PACKAGES_DAYS,
        ),
        (
            "DELETE FROM key_package_claims WHERE ctid = ANY(ARRAY(
                 SELECT ctid FROM key_package_claims WHERE hour < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))",
            now.hour() - REMEMBER_CLAIMS_HOURS,
        ),
        (
            "DELETE FROM key_package_claims WHERE ctid = ANY(ARRAY(
                 SELECT ctid FROM key_package_claims WHERE hour > $1 LIMIT $2 FOR UPDATE SKIP LOCKED))",
            now.hour() + FAR_AHEAD_HOURS,
        ),
        (
            "DELETE FROM key_package_budgets WHERE ctid = ANY(ARRAY(
                 SELECT ctid FROM key_package_budgets WHERE day < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))",
            now.day(),
        ),
        (
            "DELETE FROM key_package_budgets WHERE ctid = ANY(ARRAY(
                 SELECT ctid FROM key_package_budgets WHERE day > $1 LIMIT $2 FOR UPDATE SKIP LOCKED))",
            now.day() + FAR_AHEAD_HOURS / 24,
        ),
        (
            "DELETE FROM shown WHERE ctid = ANY(ARRAY(
                 SELECT ctid FROM shown WHERE until < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))",
            int(now.seconds()),
        ),
        (
            "DELETE FROM shown WHERE ctid = ANY(ARRAY(
                 SELECT ctid FROM shown WHERE until > $1 LIMIT $2 FOR UPDATE SKIP LOCKED))",
            int(now.seconds() + 2 * KEEP_SECONDS) + FAR_AHEAD_HOURS * 3600,
        ),
    ] {
        gone += execute(tx, sql, &[&before, &BATCH]).await?;
    }
    Ok(gone > 0)
}
