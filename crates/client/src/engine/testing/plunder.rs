//! What a thief can make of a stolen database beyond letting the program run on it: every byte looked through, and the stored MLS state
//! altered until OpenMLS tries what it refuses by itself. It reads no message of the own leaf ("OwnPrivateMessage"), whatever keys there
//! are; for somebody who has the bytes that is no obstacle.
//!
//! The rows are altered in their encoding (`mls::storage`), since OpenMLS has no way in.

use std::collections::HashSet;

use ciborium::Value;
use openmls::prelude::GroupId;
use waxwing_wire::{DeviceId, LogId};

use super::device::{Device, empty_database};
use crate::mls::{Group, Incoming};

/// Kinds of rows of `mls_state` (`mls::storage::rows::Kind`).
const MESSAGE_SECRETS: i64 = 9;
const OWN_LEAF_INDEX: i64 = 11;
const EPOCH_SECRETS: i64 = 12;
const KEY_PAIRS: i64 = 13;

/// What every key and secret of the suite is long.
pub(super) type Secret = [u8; 32];

impl Device {
    /// Everything that this device has, in other hands: the whole database page by page, and the keystore.
    pub(super) fn copy(&mut self) -> Self {
        let mut db = empty_database();
        let backup = rusqlite::backup::Backup::new(&self.db, &mut db).unwrap();
        backup.run_to_completion(1 << 20, std::time::Duration::ZERO, None).unwrap();
        drop(backup);
        Self::from_parts(&self.name, self.account, self.device, db, self.kept.clone())
    }

    /// Every byte of it: the pages of the database, those that are free among them; the MLS state once more, since a value may lie
    /// across two pages; and the keystore.
    pub(super) fn bytes(&mut self) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy");
        let mut file = rusqlite::Connection::open(&path).unwrap();
        let backup = rusqlite::backup::Backup::new(&self.db, &mut file).unwrap();
        backup.run_to_completion(1 << 20, std::time::Duration::ZERO, None).unwrap();
        drop(backup);
        drop(file);
        let mut all = std::fs::read(&path).unwrap();
        let values: Vec<Vec<u8>> = self.look(|tx| {
            let mut statement = tx.prepare("SELECT value FROM mls_state")?;
            Ok(statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
        });
        all.extend(values.concat());
        all.extend(self.kept.account_seed);
        all.extend(self.kept.seeds);
        all
    }

    /// What a group's epoch has that nobody outside may know: the own key pairs (with their public halves), the secrets that everything
    /// is derived from, and those of messages.
    pub(super) fn epoch_secrets(&mut self, log: LogId) -> HashSet<Secret> {
        let mut found = HashSet::new();
        for (_, kind, _, value) in self.mls_rows(log) {
            if kind != OWN_LEAF_INDEX {
                strings(&decoded(&value), &mut found);
            }
        }
        found
    }

    /// The same, of messages alone.
    pub(super) fn message_secrets(&mut self, log: LogId) -> HashSet<Secret> {
        let mut found = HashSet::new();
        for (_, _, _, value) in self.mls_rows(log).iter().filter(|(_, kind, ..)| *kind == MESSAGE_SECRETS) {
            strings(&decoded(value), &mut found);
        }
        found
    }

    /// The secrets of messages without these, each with another in its place.
    pub(super) fn forgets_secrets(&mut self, log: LogId, gone: &HashSet<Secret>) {
        for (n, _, _, value) in self.mls_rows(log).into_iter().filter(|(_, kind, ..)| *kind == MESSAGE_SECRETS) {
            let mut secrets = decoded(&value);
            replace(&mut secrets, gone);
            let changed = "UPDATE mls_state SET value = ?2 WHERE n = ?1";
            self.db.execute(changed, rusqlite::params![n, encoded(&secrets)]).unwrap();
        }
    }

    /// The group as if its own leaf were that one, so that what the true one has sent is read like anybody's: with all the secrets that
    /// are there, and as far as they reach.
    pub(super) fn poses_as(&mut self, log: LogId, leaf: u32) {
        for (n, kind, key, value) in self.mls_rows(log) {
            let (mut new_key, mut new_value) = (key, value);
            match kind {
                OWN_LEAF_INDEX => new_value = encoded(&Value::from(leaf)),
                KEY_PAIRS => {
                    // (epoch, own leaf)
                    let mut place = decoded(&new_key);
                    *place.as_array_mut().unwrap().last_mut().unwrap() = Value::from(leaf);
                    new_key = encoded(&place);
                }
                MESSAGE_SECRETS => {
                    let mut secrets = decoded(&new_value);
                    turn_around(&mut secrets, leaf);
                    new_value = encoded(&secrets);
                }
                _ => {}
            }
            let changed = "UPDATE mls_state SET key = ?2, value = ?3 WHERE n = ?1";
            self.db.execute(changed, rusqlite::params![n, new_key, new_value]).unwrap();
        }
    }

    /// The key pairs of somebody else in this group instead of the own ones.
    pub(super) fn takes_key_pairs_of(&mut self, other: &mut Self, log: LogId) {
        let theirs: Vec<_> = other.mls_rows(log).into_iter().filter(|(_, kind, ..)| *kind == KEY_PAIRS).collect();
        assert!(!theirs.is_empty());
        let erased = "DELETE FROM mls_state WHERE group_id = ?1 AND kind = ?2";
        self.db.execute(erased, rusqlite::params![group_id(log), KEY_PAIRS]).unwrap();
        for (_, kind, key, value) in theirs {
            let added = "INSERT INTO mls_state (group_id, kind, key, value) VALUES (?1, ?2, ?3, ?4)";
            self.db.execute(added, rusqlite::params![group_id(log), kind, key, value]).unwrap();
        }
    }

    /// Whether MLS opens a commit with all that is in the database, and after it a message.
    pub(super) fn follows(&mut self, log: LogId, commit: (DeviceId, &[u8]), next: (DeviceId, &[u8])) -> bool {
        let crypto = self.crypto.clone();
        self.look(|tx| {
            let mut group = Group::load(&crypto, tx, log)?.unwrap();
            let Ok(Incoming::Change(change)) = group.read(commit.0, true, commit.1) else { return Ok(false) };
            group.merge(change)?;
            Ok(matches!(group.read(next.0, false, next.1), Ok(Incoming::Message(_))))
        })
    }

    fn mls_rows(&mut self, log: LogId) -> Vec<(i64, i64, Vec<u8>, Vec<u8>)> {
        let kinds = [MESSAGE_SECRETS, OWN_LEAF_INDEX, EPOCH_SECRETS, KEY_PAIRS];
        let rows: Vec<(i64, i64, Vec<u8>, Vec<u8>)> = self.look(|tx| {
            let mut statement = tx
                .prepare("SELECT n, kind, key, value FROM mls_state WHERE group_id = ?1 AND kind IN (9, 11, 12, 13)")?;
            let rows =
                statement.query_map([group_id(log)], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        });
        let there: HashSet<_> = rows.iter().map(|(_, kind, ..)| *kind).collect();
        assert_eq!(there, HashSet::from(kinds), "OpenMLS, or the storage, keeps its state in another way");
        rows
    }
}

/// Whether a secret is among these bytes, as it is or as a list of numbers in CBOR, which is how OpenMLS's own types are stored.
pub(super) fn is_in(bytes: &[u8], secret: &Secret) -> bool {
    let mut numbers = Vec::new();
    for byte in secret {
        if *byte >= 24 {
            numbers.push(0x18);
        }
        numbers.push(*byte);
    }
    [secret.as_slice(), &numbers].iter().any(|form| bytes.windows(form.len()).any(|window| window == *form))
}

fn group_id(log: LogId) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(&GroupId::from_slice(log.as_bytes()), &mut bytes).unwrap();
    bytes
}

fn decoded(bytes: &[u8]) -> Value {
    ciborium::from_reader(bytes).unwrap()
}

fn encoded(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

/// The ratchet that the own leaf encrypts with becomes one that decrypts. It keeps nothing of what it has passed: there is nothing to keep.
fn turn_around(value: &mut Value, leaf: u32) {
    match value {
        Value::Map(fields) => {
            for (name, field) in fields {
                match name.as_text() {
                    Some("own_index") => *field = Value::from(leaf),
                    Some("EncryptionRatchet") => {
                        let head = std::mem::replace(field, Value::Null);
                        let passed = (Value::from("past_secrets"), Value::Array(Vec::new()));
                        *name = Value::from("DecryptionRatchet");
                        *field = Value::Map(vec![passed, (Value::from("ratchet_head"), head)]);
                    }
                    _ => turn_around(field, leaf),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| turn_around(item, leaf)),
        _ => {}
    }
}

/// Puts another secret in the place of each of these.
fn replace(value: &mut Value, gone: &HashSet<Secret>) {
    let mut found = HashSet::new();
    match value {
        Value::Map(fields) => return fields.iter_mut().for_each(|(_, field)| replace(field, gone)),
        Value::Array(items) if items.iter().any(|item| !item.is_integer()) => {
            return items.iter_mut().for_each(|item| replace(item, gone));
        }
        _ => strings(value, &mut found),
    }
    if found.iter().any(|secret| gone.contains(secret)) {
        let other = [0x5a; 32];
        *value = match value {
            Value::Bytes(_) => Value::Bytes(other.to_vec()),
            _ => Value::Array(other.iter().map(|byte| Value::from(*byte)).collect()),
        };
    }
}

fn strings(value: &Value, found: &mut HashSet<Secret>) {
    match value {
        Value::Bytes(bytes) => found.extend(Secret::try_from(bytes.as_slice())),
        Value::Map(fields) => fields.iter().for_each(|(_, field)| strings(field, found)),
        Value::Array(items) => {
            let byte = |item: &Value| item.as_integer().and_then(|number| u8::try_from(number).ok());
            match items.iter().map(byte).collect::<Option<Vec<_>>>() {
                Some(bytes) => found.extend(Secret::try_from(bytes)),
                None => items.iter().for_each(|item| strings(item, found)),
            }
        }
        _ => {}
    }
}
