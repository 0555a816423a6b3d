//! The devices of an account, as its chain says: who may ask for tokens, and whose inboxes and key packages there are.
//!
//! Not here: whether a chain entry is valid (the command judges it), chains ([`super::accounts`]).

use deadpool_postgres::Transaction;
use waxwing_wire::{DeviceId, DeviceRecord};

use super::super::DeviceChange;
use super::fault::Result;
use super::query::{all, execute, fixed, get, one};
use super::{closed, key_packages};
use crate::clock::Moment;
use crate::hub::Wake;

/// What is kept for a device beside its row, and goes with it.
pub(super) const OF_DEVICE: [&str; 6] = [
    "DELETE FROM inbox_entries WHERE device = $1",
    "DELETE FROM inbox_ids WHERE device = $1",
    "DELETE FROM inbox_usage WHERE device = $1",
    "DELETE FROM key_packages WHERE device = $1",
    "DELETE FROM last_resort_packages WHERE device = $1",
    "DELETE FROM spent_key_packages WHERE device = $1",
];

/// Does to an account's devices what a chain entry says; gives what is to be told. The account's row is locked.
pub(super) async fn change(
    tx: &Transaction<'_>,
    account: i64,
    change: &DeviceChange,
    now: Moment,
) -> Result<Vec<Wake>> {
    match change {
        DeviceChange::Added(device) => add(tx, account, device).await.map(|()| Vec::new()),
        DeviceChange::Rotated(device) => {
            let sql = "UPDATE devices SET relay_auth = $3 WHERE account = $1 AND id = $2";
            execute(tx, sql, &[&account, &device.device.as_bytes().as_slice(), &device.relay_auth.as_slice()]).await?;
            key_packages::outdated(tx, account, device.device).await?;
            Ok(vec![Wake::Rotated { device: device.device, relay_auth: device.relay_auth }])
        }
        DeviceChange::Revoked(devices) => {
            for device in devices {
                remove(tx, account, *device).await?;
            }
            key_packages::forget_claims(tx, account).await?;
            Ok(revoked(devices))
        }
        DeviceChange::Only(device) => {
            let gone = remove_all(tx, account).await?;
            add(tx, account, device).await?;
            Ok(revoked(&gone))
        }
        DeviceChange::Closed(secret) => {
            if let Some(secret) = secret {
                closed::to_remove(tx, secret, now).await?;
            }
            execute(tx, "DELETE FROM access_keys WHERE account = $1", &[&account]).await?;
            Ok(revoked(&remove_all(tx, account).await?))
        }
    }
}

fn revoked(devices: &[DeviceId]) -> Vec<Wake> {
    devices.iter().map(|device| Wake::Revoked { device: *device }).collect()
}

/// A further device.
pub(super) async fn add(tx: &Transaction<'_>, account: i64, device: &DeviceRecord) -> Result<()> {
    let sql = "INSERT INTO devices (id, account, relay_auth) VALUES ($1, $2, $3)";
    execute(tx, sql, &[&device.device.as_bytes().as_slice(), &account, &device.relay_auth.as_slice()]).await.map(drop)
}

async fn remove_all(tx: &Transaction<'_>, account: i64) -> Result<Vec<DeviceId>> {
    let rows = all(tx, "SELECT id FROM devices WHERE account = $1 ORDER BY n", &[&account]).await?;
    let devices: Vec<_> = rows.iter().map(|row| fixed(row, 0).map(DeviceId::from_bytes)).collect::<Result<_>>()?;
    for device in &devices {
        remove(tx, account, *device).await?;
    }
    key_packages::forget_claims(tx, account).await?;
    Ok(devices)
}

async fn remove(tx: &Transaction<'_>, account: i64, device: DeviceId) -> Result<()> {
    // For everybody else the inbox ends here: who waits for this row finds none.
    let sql = "SELECT n FROM devices WHERE id = $1 AND account = $2 FOR UPDATE";
    let Some(row) = one(tx, sql, &[&device.as_bytes().as_slice(), &account]).await? else { return Ok(()) };
    let n: i64 = get(&row, 0)?;
    for statement in OF_DEVICE {
        execute(tx, statement, &[&n]).await?;
    }
    execute(tx, "DELETE FROM devices WHERE n = $1", &[&n]).await.map(drop)
}

/// A device's number.
pub(super) async fn number(tx: &Transaction<'_>, device: DeviceId) -> Result<Option<i64>> {
    let row = one(tx, "SELECT n FROM devices WHERE id = $1", &[&device.as_bytes().as_slice()]).await?;
    row.map(|row| get(&row, 0)).transpose()
}

/// The same, of which nobody else changes anything until the transaction ends.
pub(super) async fn lock(tx: &Transaction<'_>, device: DeviceId) -> Result<Option<i64>> {
    let sql = "SELECT n FROM devices WHERE id = $1 FOR NO KEY UPDATE";
    one(tx, sql, &[&device.as_bytes().as_slice()]).await?.map(|row| get(&row, 0)).transpose()
}
