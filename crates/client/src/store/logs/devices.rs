//! Devices that something is noted of with a log, and when.

use rusqlite::{OptionalExtension as _, Transaction, params};
use waxwing_wire::{DeviceId, LogId};

use crate::error::Error;

/// Why a device is noted with a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noted {
    /// It was asked for a resync.
    Asked = 0,
    /// Its signed state of the group is another.
    Disagrees = 1,
    /// It asked for a resync, and was answered.
    Answered = 2,
    /// It was shown another log than this device.
    Forked = 3,
    /// It has told that things were sealed to a key which it has erased.
    Stale = 4,
    /// It asked for a resync while this device could not take in a handshake itself.
    Stuck = 5,
    /// It was asked for a resync under the nonce that another has answered.
    AskedToo = 6,
    /// It has said something that is kept back, since it is not in its account's chain.
    KeptBack = 7,
    /// It has begun the conversation anew, and was told that it may not.
    NotFollowed = 8,
    /// It does not follow this device into the group that this one has begun anew.
    Refuses = 9,
}

/// Notes a device with a log; false if it was noted so since `after_ms`.
pub(crate) fn note_device(
    tx: &Transaction<'_>,
    log: LogId,
    device: DeviceId,
    what: Noted,
    now_ms: u64,
    after_ms: u64,
) -> Result<bool, Error> {
    let known = tx
        .prepare_cached("SELECT 1 FROM log_devices WHERE log = ?1 AND device = ?2 AND what = ?3 AND at_ms >= ?4")?
        .exists(params![log.as_bytes(), device.as_bytes(), what as i64, after_ms])?;
    if known && after_ms > 0 {
        // The first time counts: whoever is refused for coming too often must not have to wait longer for it.
        return Ok(false);
    }
    tx.prepare_cached("INSERT OR REPLACE INTO log_devices (log, device, what, at_ms) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![log.as_bytes(), device.as_bytes(), what as i64, now_ms])?;
    Ok(!known)
}

/// Whether a device is noted so.
pub(crate) fn is_noted(tx: &Transaction<'_>, log: LogId, device: DeviceId, what: Noted) -> Result<bool, Error> {
    Ok(tx.prepare_cached("SELECT 1 FROM log_devices WHERE log = ?1 AND device = ?2 AND what = ?3")?.exists(params![
        log.as_bytes(),
        device.as_bytes(),
        what as i64
    ])?)
}

/// When a device was noted so; 0 if it was not.
pub(crate) fn noted_at(tx: &Transaction<'_>, log: LogId, device: DeviceId, what: Noted) -> Result<u64, Error> {
    let at = tx
        .prepare_cached("SELECT at_ms FROM log_devices WHERE log = ?1 AND device = ?2 AND what = ?3")?
        .query_row(params![log.as_bytes(), device.as_bytes(), what as i64], |row| row.get(0))
        .optional()?;
    Ok(at.unwrap_or(0))
}

/// Devices that are noted so, or have been by then.
pub(crate) fn noted_devices(
    tx: &Transaction<'_>,
    log: LogId,
    what: Noted,
    by_ms: Option<u64>,
) -> Result<Vec<DeviceId>, Error> {
    let mut statement = tx.prepare_cached(
        "SELECT device FROM log_devices WHERE log = ?1 AND what = ?2 AND (?3 IS NULL OR at_ms <= ?3)",
    )?;
    let rows =
        statement.query_map(params![log.as_bytes(), what as i64, by_ms], |row| row.get(0).map(DeviceId::from_bytes))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// How many devices are noted so.
pub(crate) fn noted(tx: &Transaction<'_>, log: LogId, what: Noted) -> Result<u32, Error> {
    Ok(tx
        .prepare_cached("SELECT count(*) FROM log_devices WHERE log = ?1 AND what = ?2")?
        .query_row(params![log.as_bytes(), what as i64], |row| row.get(0))?)
}

/// Forgets devices that are noted so.
pub(crate) fn forget_noted(tx: &Transaction<'_>, log: LogId, what: Noted) -> Result<(), Error> {
    tx.execute("DELETE FROM log_devices WHERE log = ?1 AND what = ?2", params![log.as_bytes(), what as i64])?;
    Ok(())
}
