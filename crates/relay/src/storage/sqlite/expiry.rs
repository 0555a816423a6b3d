//! Retention: what is too old goes, a batch at a time. Of a log's entry the envelope goes, and everything stays that says what was there: its
//! place, its id with the digest, its running hash.

use rusqlite::{Connection, OptionalExtension as _, Result, params};

use super::super::OVERHEAD;
use super::super::calendar::{Calendar, Noted};
use super::super::rules::{REMEMBER_IDS_DAYS, REMEMBER_PACKAGES_DAYS, first_kept_day};
use super::{int, shown};
use crate::clock::Moment;

/// Entries or envelopes in a batch: one write of the queue, behind which others wait.
const BATCH: i64 = 256;

/// What day was noted.
pub(super) fn noted(db: &Connection) -> Result<Option<Noted>> {
    db.prepare_cached("SELECT day, skipped, watched FROM calendar WHERE n = 1")?
        .query_row([], |row| Ok(Noted { day: row.get(0)?, skipped: row.get(1)?, watched: row.get(2)? }))
        .optional()
}

/// Notes what day it is, by what was noted before and the clock.
pub(super) fn note(db: &Connection, calendar: &Calendar) -> Result<i64> {
    let noted = noted(db)?;
    let next = calendar.note(noted);
    if noted != Some(next) {
        db.prepare_cached(
            "INSERT INTO calendar (n, day, skipped, watched) VALUES (1, ?1, ?2, ?3)
             ON CONFLICT (n) DO UPDATE SET day = excluded.day, skipped = excluded.skipped, watched = excluded.watched",
        )?
        .execute(params![next.day, next.skipped, next.watched])?;
    }
    Ok(next.day)
}

/// Expires a batch of what is too old on this day; whether there may be more.
pub(super) fn expire(db: &Connection, day: i64, now: Moment, days: u32) -> Result<bool> {
    let kept = first_kept_day(day, days);
    let logs = entries(db, kept)?;
    let inboxes = envelopes(db, kept)?;
    let ids = forget(db, "inbox_ids", "entry_id", kept - REMEMBER_IDS_DAYS)?;
    let packages = forget(db, "spent_key_packages", "digest", day - REMEMBER_PACKAGES_DAYS)?;
    let shown = shown::forget(db, now, BATCH)?;
    Ok(logs || inboxes || ids || packages || shown)
}

/// The oldest entries of the log that has the oldest.
fn entries(db: &Connection, kept: i64) -> Result<bool> {
    let oldest: Option<(i64, i64, i64)> = db
        .prepare_cached("SELECT n, oldest, head FROM logs WHERE oldest_day < ?1 ORDER BY oldest_day LIMIT 1")?
        .query_map(params![kept], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .next()
        .transpose()?;
    let Some((log, oldest, head)) = oldest else { return Ok(false) };
    // The first that stays, of those that one batch looks at; a clock that was set back in between ends nothing too early.
    let end = (oldest + BATCH).min(head + 1);
    let first: i64 = db
        .prepare_cached(
            "SELECT coalesce(min(seq), ?3) FROM log_entries WHERE log = ?1 AND seq >= ?2 AND seq < ?3 AND day >= ?4",
        )?
        .query_row(params![log, oldest, end, kept], |row| row.get(0))?;
    let bytes: i64 = db
        .prepare_cached(
            "SELECT coalesce(sum(length(blob) + ?4), 0) FROM log_entries WHERE log = ?1 AND seq >= ?2 AND seq < ?3",
        )?
        .query_row(params![log, oldest, first, int(OVERHEAD)], |row| row.get(0))?;
    db.prepare_cached("UPDATE log_entries SET blob = x'' WHERE log = ?1 AND seq >= ?2 AND seq < ?3")?
        .execute(params![log, oldest, first])?;
    db.prepare_cached(
        "UPDATE logs SET oldest = ?2, bytes = max(0, bytes - ?3),
             oldest_day = (SELECT day FROM log_entries WHERE log = ?1 AND seq = ?2)
         WHERE n = ?1",
    )?
    .execute(params![log, first, bytes])?;
    Ok(true)
}

fn envelopes(db: &Connection, kept: i64) -> Result<bool> {
    let gone: Vec<(i64, i64, i64)> = db
        .prepare_cached(
            "DELETE FROM inbox_entries WHERE rowid IN (SELECT rowid FROM inbox_entries WHERE day < ?1 LIMIT ?2)
             RETURNING device, source, size",
        )?
        .query_map(params![kept, BATCH], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_>>()?;
    for (device, source, size) in &gone {
        db.prepare_cached("UPDATE inbox_usage SET bytes = bytes - ?3 WHERE device = ?1 AND source = ?2")?
            .execute(params![device, source, size])?;
        db.prepare_cached("DELETE FROM inbox_usage WHERE device = ?1 AND bytes <= 0")?.execute(params![device])?;
    }
    Ok(!gone.is_empty())
}

/// Forgets what was remembered of something that is long gone. The table has a key of `device` and `key`.
fn forget(db: &Connection, table: &str, key: &str, before: i64) -> Result<bool> {
    let sql = format!(
        "DELETE FROM {table} WHERE (device, {key}) IN (SELECT device, {key} FROM {table} WHERE day < ?1 LIMIT ?2)"
    );
    Ok(db.prepare_cached(&sql)?.execute(params![before, BATCH])? > 0)
}
