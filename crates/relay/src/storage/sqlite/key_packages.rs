//! Key packages: kept for devices, and handed out once each to whoever may send to the account's inboxes.
//!
//! A claim never drains a victim (P10): one-time packages go out within daily allowances, for each access key and for strangers, and
//! beyond them the last resort does. An allowance is counted in claims: a claim takes at most one package of each device, so it bounds what
//! any one device loses, however many there are. Who claimed is not kept: an access key is known by its hash here as everywhere, a
//! stranger by a pseudonym of the day.

use rusqlite::types::Type;
use rusqlite::{Connection, Error, OptionalExtension as _, Result, params};
use waxwing_wire::api::KeyPackageCount;
use waxwing_wire::frame::{ClaimedKeyPackage, ClaimedKeyPackages, UploadKeyPackages};
use waxwing_wire::limits::{KEY_PACKAGES, MAX_DEVICES};
use waxwing_wire::{AccountId, DeviceId, hash};

use super::super::rules::{NOBODY, REMEMBER_CLAIMS_HOURS, REMEMBER_PACKAGES_DAYS, allowances};
use super::super::{Admission, Claim, Claimed, Claimer, Uploaded};
use super::accounts::number as account_number;
use super::{inboxes, int};
use crate::clock::Moment;

/// One-time packages that wait for one device at most.
const LIMIT: u32 = KEY_PACKAGES as u32;

/// Stores key packages of a device. Those that are there, or were and have been handed out, are there already.
pub(super) fn upload(db: &Connection, device: DeviceId, upload: &UploadKeyPackages, day: i64) -> Result<Uploaded> {
    let Some(device) = number(db, device)? else { return Ok(Uploaded::UnknownDevice) };
    let fresh = fresh(db, device, upload)?;
    let kept = if upload.replace { 0 } else { left(db, device)? };
    if !fresh.is_empty() && kept.saturating_add(u32::try_from(fresh.len()).unwrap_or(u32::MAX)) > LIMIT {
        return Ok(Uploaded::QuotaExceeded);
    }
    if upload.replace {
        remove(db, device)?;
    }
    if let Some(package) = &upload.last_resort {
        db.prepare_cached(
            "INSERT INTO last_resort_packages (device, package) VALUES (?1, ?2)
             ON CONFLICT (device) DO UPDATE SET package = excluded.package",
        )?
        .execute(params![device, package])?;
    }
    for (digest, package) in fresh {
        db.prepare_cached("INSERT INTO key_packages (device, digest, package) VALUES (?1, ?2, ?3)")?
            .execute(params![device, digest, package])?;
    }
    db.prepare_cached("DELETE FROM spent_key_packages WHERE device = ?1 AND day < ?2")?
        .execute(params![device, day.saturating_sub(REMEMBER_PACKAGES_DAYS)])?;
    Ok(Uploaded::Stored(count_of(db, device)?))
}

/// What an upload adds, each package once.
fn fresh<'a>(db: &Connection, device: i64, upload: &'a UploadKeyPackages) -> Result<Vec<([u8; 32], &'a [u8])>> {
    let mut fresh: Vec<([u8; 32], &[u8])> = Vec::new();
    for package in upload.packages.iter().map(Vec::as_slice) {
        let digest = hash(&[package]);
        let spent = db
            .prepare_cached("SELECT 1 FROM spent_key_packages WHERE device = ?1 AND digest = ?2")?
            .exists(params![device, digest])?;
        let stored = !upload.replace
            && db
                .prepare_cached("SELECT 1 FROM key_packages WHERE device = ?1 AND digest = ?2")?
                .exists(params![device, digest])?;
        if !spent && !stored && !fresh.iter().any(|(known, _)| *known == digest) {
            fresh.push((digest, package));
        }
    }
    Ok(fresh)
}

/// How many key packages of a device are left; none if there is no such device.
pub(super) fn count(db: &Connection, device: DeviceId) -> Result<Option<KeyPackageCount>> {
    number(db, device)?.map(|device| count_of(db, device)).transpose()
}

/// The device's keys were replaced: what was made under them is of no use to anybody, also not as a repeated answer.
pub(super) fn outdated(db: &Connection, account: i64, device: DeviceId) -> Result<()> {
    if let Some(device) = number(db, device)? {
        remove(db, device)?;
    }
    forget_claims(db, account)
}

/// Answers to claims hold packages that are of no use any more.
pub(super) fn forget_claims(db: &Connection, account: i64) -> Result<()> {
    db.prepare_cached("DELETE FROM key_package_claims WHERE account = ?1")?.execute(params![account])?;
    Ok(())
}

/// Hands out a package of each device of an account. No such account, one that only its access keys find, and a claimer who is not admitted
/// look alike.
pub(super) fn claim(db: &Connection, claim: &Claim, now: Moment, today: i64) -> Result<Claimed> {
    let Some(account) = admitted(db, claim.account, &claim.claimer)? else { return Ok(Claimed::Refused) };
    forget(db, now)?;
    if let Some(answer) = answered(db, account, &claim.id)? {
        return Ok(Claimed::Packages(answer));
    }
    let allowances = allowances(&claim.claimer);
    let one_time = within(db, account, &allowances)?;
    let mut devices = Vec::new();
    for (n, device) in devices_of(db, account)? {
        let taken = if one_time { take(db, n, today)? } else { None };
        let last_resort = taken.is_none();
        let package = if last_resort { last_resort_of(db, n)? } else { taken };
        devices.extend(package.map(|package| ClaimedKeyPackage { device, last_resort, package }));
    }
    let took = devices.iter().any(|claimed| !claimed.last_resort);
    let answer = ClaimedKeyPackages { devices };
    // Where nothing was taken, asking again costs nothing, so nothing is kept: nobody fills the disk by claiming.
    if took {
        count_against(db, account, &allowances, now)?;
        db.prepare_cached("INSERT INTO key_package_claims (account, id, hour, answer) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![account, claim.id, now.hour(), answer.encode()])?;
    }
    Ok(Claimed::Packages(answer))
}

/// The account's number, if the claimer may send to its inboxes. Who has no name is found through an access key alone.
fn admitted(db: &Connection, account: AccountId, claimer: &Claimer) -> Result<Option<i64>> {
    let account = account_number(db, account)?.unwrap_or(NOBODY);
    let admission = match claimer {
        Claimer::AccessKey(hash) => Admission::AccessKey(*hash),
        Claimer::Stranger(_) => Admission::Stranger,
    };
    Ok(inboxes::source(db, account, admission)?.map(|_| account))
}

/// Whether every one of the allowances has something left today.
fn within(db: &Connection, account: i64, allowances: &[(&[u8], i64)]) -> Result<bool> {
    for (source, most) in allowances {
        let used: Option<i64> = db
            .prepare_cached("SELECT used FROM key_package_budgets WHERE account = ?1 AND source = ?2")?
            .query_row(params![account, source], |row| row.get(0))
            .optional()?;
        if used.unwrap_or(0) >= *most {
            return Ok(false);
        }
    }
    Ok(true)
}

fn count_against(db: &Connection, account: i64, allowances: &[(&[u8], i64)], now: Moment) -> Result<()> {
    for (source, _) in allowances {
        db.prepare_cached(
            "INSERT INTO key_package_budgets (account, source, day, used) VALUES (?1, ?2, ?3, 1)
             ON CONFLICT (account, source) DO UPDATE SET used = used + 1",
        )?
        .execute(params![account, source, now.day()])?;
    }
    Ok(())
}

/// Drops answers that nobody asks for again, and allowances of other days: what is left is of today. The clock may have been set back, so what
/// is ahead of it goes too.
fn forget(db: &Connection, now: Moment) -> Result<()> {
    let (hour, day) = (now.hour(), now.day());
    db.prepare_cached("DELETE FROM key_package_claims WHERE hour < ?1 OR hour > ?2")?
        .execute(params![hour - REMEMBER_CLAIMS_HOURS, hour + REMEMBER_CLAIMS_HOURS])?;
    db.prepare_cached("DELETE FROM key_package_budgets WHERE day < ?1 OR day > ?1")?.execute(params![day])?;
    Ok(())
}

/// What the same claim got before.
fn answered(db: &Connection, account: i64, id: &[u8; 32]) -> Result<Option<ClaimedKeyPackages>> {
    let answer: Option<Vec<u8>> = db
        .prepare_cached("SELECT answer FROM key_package_claims WHERE account = ?1 AND id = ?2")?
        .query_row(params![account, id], |row| row.get(0))
        .optional()?;
    let decode = |bytes: Vec<u8>| {
        ClaimedKeyPackages::decode(&bytes)
            .map_err(|error| Error::FromSqlConversionFailure(0, Type::Blob, Box::new(error)))
    };
    answer.map(decode).transpose()
}

fn devices_of(db: &Connection, account: i64) -> Result<Vec<(i64, DeviceId)>> {
    db.prepare_cached("SELECT n, id FROM devices WHERE account = ?1 ORDER BY n LIMIT ?2")?
        .query_map(params![account, int(MAX_DEVICES as u64)], |row| {
            Ok((row.get(0)?, DeviceId::from_bytes(row.get(1)?)))
        })?
        .collect()
}

/// Takes the oldest one-time package of a device.
fn take(db: &Connection, device: i64, today: i64) -> Result<Option<Vec<u8>>> {
    let taken: Option<([u8; 32], Vec<u8>)> = db
        .prepare_cached(
            "DELETE FROM key_packages WHERE n = (SELECT min(n) FROM key_packages WHERE device = ?1) RETURNING digest, package",
        )?
        .query_row(params![device], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((digest, package)) = taken else { return Ok(None) };
    db.prepare_cached("INSERT INTO spent_key_packages (device, digest, day) VALUES (?1, ?2, ?3)")?
        .execute(params![device, digest, today])?;
    Ok(Some(package))
}

fn last_resort_of(db: &Connection, device: i64) -> Result<Option<Vec<u8>>> {
    db.prepare_cached("SELECT package FROM last_resort_packages WHERE device = ?1")?
        .query_row(params![device], |row| row.get(0))
        .optional()
}

fn remove(db: &Connection, device: i64) -> Result<()> {
    db.prepare_cached("DELETE FROM key_packages WHERE device = ?1")?.execute(params![device])?;
    db.prepare_cached("DELETE FROM last_resort_packages WHERE device = ?1")?.execute(params![device])?;
    Ok(())
}

fn count_of(db: &Connection, device: i64) -> Result<KeyPackageCount> {
    let last_resort =
        db.prepare_cached("SELECT 1 FROM last_resort_packages WHERE device = ?1")?.exists(params![device])?;
    Ok(KeyPackageCount { count: left(db, device)?, last_resort })
}

fn left(db: &Connection, device: i64) -> Result<u32> {
    db.prepare_cached("SELECT count(*) FROM key_packages WHERE device = ?1")?
        .query_row(params![device], |row| row.get(0))
}

pub(super) fn number(db: &Connection, device: DeviceId) -> Result<Option<i64>> {
    db.prepare_cached("SELECT n FROM devices WHERE id = ?1")?
        .query_row(params![device.as_bytes()], |row| row.get(0))
        .optional()
}
