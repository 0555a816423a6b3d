//! Key packages: kept for devices, and handed out once each to whoever may send to the account's inboxes.
//!
//! As the embedded backend does it: a claim never drains a victim (P10), who claimed is not kept. A claim holds the account's row, so that two
//! of them never hand out the same package, nor use the same allowance twice.

use deadpool_postgres::Transaction;
use waxwing_wire::api::KeyPackageCount;
use waxwing_wire::frame::{ClaimedKeyPackage, ClaimedKeyPackages, UploadKeyPackages};
use waxwing_wire::limits::{KEY_PACKAGES, MAX_DEVICES};
use waxwing_wire::{AccountId, DeviceId, hash};

use super::super::rules::{NOBODY, REMEMBER_CLAIMS_HOURS, REMEMBER_PACKAGES_DAYS, allowances};
use super::super::{Admission, Claim, Claimed, Claimer, Uploaded};
use super::fault::{Fault, Result};
use super::query::{all, execute, exists, fixed, get, int, one};
use super::{accounts, devices, inboxes};
use crate::clock::Moment;

/// Stores key packages of a device. Those that are there, or were and have been handed out, are there already.
pub(super) async fn upload(
    tx: &Transaction<'_>,
    device: DeviceId,
    upload: &UploadKeyPackages,
    day: i64,
) -> Result<Uploaded> {
    let Some(device) = devices::lock(tx, device).await? else { return Ok(Uploaded::UnknownDevice) };
    let fresh = fresh(tx, device, upload).await?;
    let kept = if upload.replace { 0 } else { left(tx, device).await? };
    if !fresh.is_empty() && kept + int(fresh.len() as u64) > int(KEY_PACKAGES as u64) {
        return Ok(Uploaded::QuotaExceeded);
    }
    if upload.replace {
        remove(tx, device).await?;
    }
    if let Some(package) = &upload.last_resort {
        let sql = "INSERT INTO last_resort_packages (device, package) VALUES ($1, $2)
                   ON CONFLICT (device) DO UPDATE SET package = excluded.package";
        execute(tx, sql, &[&device, package]).await?;
    }
    for (digest, package) in fresh {
        let sql = "INSERT INTO key_packages (device, digest, package) VALUES ($1, $2, $3)";
        execute(tx, sql, &[&device, &digest.as_slice(), &package]).await?;
    }
    let sql = "DELETE FROM spent_key_packages WHERE device = $1 AND day < $2";
    execute(tx, sql, &[&device, &day.saturating_sub(REMEMBER_PACKAGES_DAYS)]).await?;
    Ok(Uploaded::Stored(count_of(tx, device).await?))
}

/// What an upload adds, each package once.
async fn fresh<'a>(
    tx: &Transaction<'_>,
    device: i64,
    upload: &'a UploadKeyPackages,
) -> Result<Vec<([u8; 32], &'a [u8])>> {
    let mut asked: Vec<([u8; 32], &[u8])> = Vec::new();
    for package in upload.packages.iter().map(Vec::as_slice) {
        let digest = hash(&[package]);
        if !asked.iter().any(|(known, _)| *known == digest) {
            asked.push((digest, package));
        }
    }
    let digests: Vec<&[u8]> = asked.iter().map(|(digest, _)| digest.as_slice()).collect();
    let sql = "SELECT digest FROM spent_key_packages WHERE device = $1 AND digest = ANY($2)
               UNION SELECT digest FROM key_packages WHERE device = $1 AND digest = ANY($2) AND NOT $3";
    let known = all(tx, sql, &[&device, &digests, &upload.replace]).await?;
    let known: Vec<[u8; 32]> = known.iter().map(|row| fixed(row, 0)).collect::<Result<_>>()?;
    asked.retain(|(digest, _)| !known.contains(digest));
    Ok(asked)
}

/// How many key packages of a device are left; none if there is no such device.
pub(super) async fn count(tx: &Transaction<'_>, device: DeviceId) -> Result<Option<KeyPackageCount>> {
    match devices::number(tx, device).await? {
        Some(device) => count_of(tx, device).await.map(Some),
        None => Ok(None),
    }
}

/// The device's keys were replaced: what was made under them is of no use to anybody, also not as a repeated answer.
pub(super) async fn outdated(tx: &Transaction<'_>, account: i64, device: DeviceId) -> Result<()> {
    if let Some(device) = devices::lock(tx, device).await? {
        remove(tx, device).await?;
    }
    forget_claims(tx, account).await
}

/// Answers to claims hold packages that are of no use any more.
pub(super) async fn forget_claims(tx: &Transaction<'_>, account: i64) -> Result<()> {
    execute(tx, "DELETE FROM key_package_claims WHERE account = $1", &[&account]).await.map(drop)
}

/// Hands out a package of each device of an account. No such account, one that only its access keys find, and a claimer who is not admitted
/// look alike.
pub(super) async fn claim(tx: &Transaction<'_>, claim: &Claim, now: Moment, today: i64) -> Result<Claimed> {
    let Some(account) = admitted(tx, claim.account, &claim.claimer).await? else { return Ok(Claimed::Refused) };
    if let Some(answer) = answered(tx, account, &claim.id, now).await? {
        return Ok(Claimed::Packages(answer));
    }
    let allowances = allowances(&claim.claimer);
    let one_time = within(tx, account, &allowances, now).await?;
    let mut claimed = Vec::new();
    for (n, device) in devices_of(tx, account).await? {
        let taken = if one_time { take(tx, n, today).await? } else { None };
        let last_resort = taken.is_none();
        let package = if last_resort { last_resort_of(tx, n).await? } else { taken };
        claimed.extend(package.map(|package| ClaimedKeyPackage { device, last_resort, package }));
    }
    let took = claimed.iter().any(|claimed| !claimed.last_resort);
    let answer = ClaimedKeyPackages { devices: claimed };
    // Where nothing was taken, asking again costs nothing, so nothing is kept: nobody fills the disk by claiming.
    if took {
        count_against(tx, account, &allowances, now).await?;
        let sql = "INSERT INTO key_package_claims (account, id, hour, answer) VALUES ($1, $2, $3, $4)
                   ON CONFLICT (account, id) DO UPDATE SET hour = excluded.hour, answer = excluded.answer";
        execute(tx, sql, &[&account, &claim.id.as_slice(), &now.hour(), &answer.encode()]).await?;
    }
    Ok(Claimed::Packages(answer))
}

/// The account's number, if the claimer may send to its inboxes. Who has no name is found through an access key alone.
async fn admitted(tx: &Transaction<'_>, account: AccountId, claimer: &Claimer) -> Result<Option<i64>> {
    let admission = match claimer {
        Claimer::AccessKey(hash) => Admission::AccessKey(*hash),
        Claimer::Stranger(_) => Admission::Stranger,
    };
    // Before anything is locked (P15): a lock is written, and the commit then waits for the disk, as that of an unknown account never does.
    let number = accounts::number(tx, account).await?.unwrap_or(NOBODY);
    if inboxes::source(tx, number, admission).await?.is_none() {
        return Ok(None);
    }
    // And once it is: the key may have been dismissed meanwhile.
    let number = accounts::lock(tx, account).await?.unwrap_or(NOBODY);
    Ok(inboxes::source(tx, number, admission).await?.map(|_| number))
}

/// Whether every one of the allowances has something left today. What is counted of another day, also of one ahead, counts no more.
async fn within(tx: &Transaction<'_>, account: i64, allowances: &[(&[u8], i64)], now: Moment) -> Result<bool> {
    for (source, most) in allowances {
        let sql = "SELECT used FROM key_package_budgets WHERE account = $1 AND source = $2 AND day = $3";
        let row = one(tx, sql, &[&account, source, &now.day()]).await?;
        let used: i64 = row.map(|row| get(&row, 0)).transpose()?.unwrap_or(0);
        if used >= *most {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn count_against(tx: &Transaction<'_>, account: i64, allowances: &[(&[u8], i64)], now: Moment) -> Result<()> {
    for (source, _) in allowances {
        let sql = "INSERT INTO key_package_budgets AS b (account, source, day, used) VALUES ($1, $2, $3, 1)
                   ON CONFLICT (account, source) DO UPDATE
                   SET day = $3, used = CASE WHEN b.day = $3 THEN b.used + 1 ELSE 1 END";
        execute(tx, sql, &[&account, source, &now.day()]).await?;
    }
    Ok(())
}

/// What the same claim got before, lately.
async fn answered(
    tx: &Transaction<'_>,
    account: i64,
    id: &[u8; 32],
    now: Moment,
) -> Result<Option<ClaimedKeyPackages>> {
    let sql = "SELECT answer FROM key_package_claims WHERE account = $1 AND id = $2 AND hour BETWEEN $3 AND $4";
    let (first, last) = (now.hour() - REMEMBER_CLAIMS_HOURS, now.hour() + REMEMBER_CLAIMS_HOURS);
    let row = one(tx, sql, &[&account, &id.as_slice(), &first, &last]).await?;
    let decode = |bytes: &[u8]| ClaimedKeyPackages::decode(bytes).map_err(|_| Fault::Damaged);
    row.map(|row| decode(get(&row, 0)?)).transpose()
}

async fn devices_of(tx: &Transaction<'_>, account: i64) -> Result<Vec<(i64, DeviceId)>> {
    let sql = "SELECT n, id FROM devices WHERE account = $1 ORDER BY n LIMIT $2";
    let rows = all(tx, sql, &[&account, &int(MAX_DEVICES as u64)]).await?;
    rows.iter().map(|row| Ok((get(row, 0)?, DeviceId::from_bytes(fixed(row, 1)?)))).collect()
}

/// Takes the oldest one-time package of a device.
async fn take(tx: &Transaction<'_>, device: i64, today: i64) -> Result<Option<Vec<u8>>> {
    let sql = "DELETE FROM key_packages WHERE n = (SELECT min(n) FROM key_packages WHERE device = $1)
               RETURNING digest, package";
    let Some(row) = one(tx, sql, &[&device]).await? else { return Ok(None) };
    let digest: &[u8] = get(&row, 0)?;
    let sql = "INSERT INTO spent_key_packages (device, digest, day) VALUES ($1, $2, $3)";
    execute(tx, sql, &[&device, &digest, &today]).await?;
    get(&row, 1).map(Some)
}

async fn last_resort_of(tx: &Transaction<'_>, device: i64) -> Result<Option<Vec<u8>>> {
    let row = one(tx, "SELECT package FROM last_resort_packages WHERE device = $1", &[&device]).await?;
    row.map(|row| get(&row, 0)).transpose()
}

async fn remove(tx: &Transaction<'_>, device: i64) -> Result<()> {
    execute(tx, "DELETE FROM key_packages WHERE device = $1", &[&device]).await?;
    execute(tx, "DELETE FROM last_resort_packages WHERE device = $1", &[&device]).await.map(drop)
}

async fn count_of(tx: &Transaction<'_>, device: i64) -> Result<KeyPackageCount> {
    let last_resort = exists(tx, "SELECT 1 FROM last_resort_packages WHERE device = $1", &[&device]).await?;
    let count = u32::try_from(left(tx, device).await?).map_err(|_| Fault::Damaged)?;
    Ok(KeyPackageCount { count, last_resort })
}

async fn left(tx: &Transaction<'_>, device: i64) -> Result<i64> {
    let row = one(tx, "SELECT count(*) FROM key_packages WHERE device = $1", &[&device]).await?;
    get(&row.ok_or(Fault::Damaged)?, 0)
}
