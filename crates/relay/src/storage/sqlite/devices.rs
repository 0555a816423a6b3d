//! The devices of an account, as its chain says: who may ask for tokens, and whose inboxes and key packages there are.
//!
//! Not here: whether a chain entry is valid (the command judges it), chains ([`super::accounts`]).

use rusqlite::{Connection, Result, params};
use waxwing_wire::{DeviceId, DeviceRecord};

use super::super::DeviceChange;
use super::{closed, key_packages};
use crate::clock::Moment;
use crate::hub::Wake;

/// What is kept for a device beside its row, and goes with it.
const OF_DEVICE: [&str; 6] = [
    "DELETE FROM inbox_entries WHERE device = ?1",
    "DELETE FROM inbox_ids WHERE device = ?1",
    "DELETE FROM inbox_usage WHERE device = ?1",
    "DELETE FROM key_packages WHERE device = ?1",
    "DELETE FROM last_resort_packages WHERE device = ?1",
    "DELETE FROM spent_key_packages WHERE device = ?1",
];

/// Does to an account's devices what a chain entry says; gives what is to be told.
pub(super) fn change(db: &Connection, account: i64, change: &DeviceChange, now: Moment) -> Result<Vec<Wake>> {
    match change {
        DeviceChange::Added(device) => add(db, account, device).map(|()| Vec::new()),
        DeviceChange::Rotated(device) => {
            db.prepare_cached("UPDATE devices SET relay_auth = ?3 WHERE account = ?1 AND id = ?2")?
                .execute(params![account, device.device.as_bytes(), device.relay_auth])?;
            key_packages::outdated(db, account, device.device)?;
            Ok(vec![Wake::Rotated { device: device.device, relay_auth: device.relay_auth }])
        }
        DeviceChange::Revoked(devices) => {
            for device in devices {
                remove(db, account, *device)?;
            }
            key_packages::forget_claims(db, account)?;
            Ok(revoked(devices))
        }
        DeviceChange::Only(device) => {
            let gone = remove_all(db, account)?;
            add(db, account, device)?;
            Ok(revoked(&gone))
        }
        DeviceChange::Closed(secret) => {
            if let Some(secret) = secret {
                closed::to_remove(db, secret, now)?;
            }
            db.prepare_cached("DELETE FROM access_keys WHERE account = ?1")?.execute(params![account])?;
            Ok(revoked(&remove_all(db, account)?))
        }
    }
}

fn revoked(devices: &[DeviceId]) -> Vec<Wake> {
    devices.iter().map(|device| Wake::Revoked { device: *device }).collect()
}

fn add(db: &Connection, account: i64, device: &DeviceRecord) -> Result<()> {
    db.prepare_cached("INSERT INTO devices (id, account, relay_auth) VALUES (?1, ?2, ?3)")?.execute(params![
        device.device.as_bytes(),
        account,
        device.relay_auth
    ])?;
    Ok(())
}

fn remove_all(db: &Connection, account: i64) -> Result<Vec<DeviceId>> {
    let all: Vec<DeviceId> = db
        .prepare_cached("SELECT id FROM devices WHERE account = ?1")?
        .query_map(params![account], |row| row.get(0).map(DeviceId::from_bytes))?
        .collect::<Result<_>>()?;
    for device in &all {
        remove(db, account, *device)?;
    }
    key_packages::forget_claims(db, account)?;
    Ok(all)
}

fn remove(db: &Connection, account: i64, device: DeviceId) -> Result<()> {
    let Some(n) = key_packages::number(db, device)? else { return Ok(()) };
    for statement in OF_DEVICE {
        db.prepare_cached(statement)?.execute(params![n])?;
    }
    db.prepare_cached("DELETE FROM devices WHERE n = ?1 AND account = ?2")?.execute(params![n, account])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;

    /// A device that is gone leaves nothing behind, in whatever table.
    #[test]
    fn everything_of_a_device_goes_with_it() {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db).unwrap();
        let tables: Vec<String> = db
            .prepare(
                "SELECT m.name FROM sqlite_schema m JOIN pragma_foreign_key_list(m.name) f
                 WHERE m.type = 'table' AND f.\"table\" = 'devices'",
            )
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_>>()
            .unwrap();
        let emptied = |table: &String| OF_DEVICE.iter().any(|statement| statement.contains(&format!("FROM {table} ")));
        assert!(tables.len() >= 6 && tables.iter().all(emptied), "{tables:?}");
    }
}
