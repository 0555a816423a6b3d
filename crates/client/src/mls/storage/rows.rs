//! The table behind the storage: a row for each value and each item of a list, under its group, kind and key.

use openmls::group::GroupId;
use rusqlite::{Row, Transaction, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StorageError;
use super::codec::{decode, encode};

/// The table, for a migration of the store.
pub(crate) const SCHEMA: &str = "
-- What OpenMLS keeps, in CBOR.
CREATE TABLE mls_state (
    -- The order of a list.
    n INTEGER PRIMARY KEY,
    -- Empty for what belongs to no group.
    group_id BLOB NOT NULL,
    kind INTEGER NOT NULL,
    -- Empty for what a group has once.
    key BLOB NOT NULL,
    value BLOB NOT NULL,
    UNIQUE (group_id, kind, key)
) STRICT;
";

/// What a row holds. The numbers are in databases: they never change, and none is used again.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    JoinConfig = 1,
    OwnLeafNode = 2,
    Proposal = 3,
    Tree = 4,
    InterimTranscriptHash = 5,
    GroupContext = 6,
    ConfirmationTag = 7,
    GroupState = 8,
    MessageSecrets = 9,
    ResumptionPskStore = 10,
    OwnLeafIndex = 11,
    GroupEpochSecrets = 12,
    EpochKeyPairs = 13,
    SignatureKeyPair = 14,
    EncryptionKeyPair = 15,
    KeyPackage = 16,
    Psk = 17,
}

/// Where a value stands.
pub(super) struct Place {
    group: Vec<u8>,
    kind: Kind,
    key: Vec<u8>,
}

impl Place {
    /// Of a value that a group has once.
    pub(super) fn only<G: Serialize>(kind: Kind, group: &G) -> Result<Self, StorageError> {
        Ok(Self { group: bytes(group)?, kind, key: Vec::new() })
    }

    /// Of one of several values in a group.
    pub(super) fn within<G: Serialize, K: Serialize>(kind: Kind, group: &G, key: &K) -> Result<Self, StorageError> {
        Ok(Self { group: bytes(group)?, kind, key: bytes(key)? })
    }

    /// Of a value that belongs to no group.
    pub(super) fn apart<K: Serialize>(kind: Kind, key: &K) -> Result<Self, StorageError> {
        Ok(Self { group: Vec::new(), kind, key: bytes(key)? })
    }
}

/// Stores a value. One that is there already is overwritten, and keeps its place in a list.
pub(super) fn put<T: Serialize + ?Sized>(tx: &Transaction<'_>, place: &Place, value: &T) -> Result<(), StorageError> {
    let value = encode(value)?;
    tx.prepare_cached(
        "INSERT INTO mls_state (group_id, kind, key, value) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (group_id, kind, key) DO UPDATE SET value = excluded.value",
    )?
    .execute(params![place.group, place.kind as i64, place.key, value.as_slice()])?;
    Ok(())
}

/// The value in a place, if there is one.
pub(super) fn find<T: DeserializeOwned>(tx: &Transaction<'_>, place: &Place) -> Result<Option<T>, StorageError> {
    let mut statement =
        tx.prepare_cached("SELECT value FROM mls_state WHERE group_id = ?1 AND kind = ?2 AND key = ?3")?;
    let mut rows = statement.query(params![place.group, place.kind as i64, place.key])?;
    rows.next()?.map(|row| column(row, "value")).transpose()
}

/// Erases the value in a place. Nothing there is no error.
pub(super) fn erase(tx: &Transaction<'_>, place: &Place) -> Result<(), StorageError> {
    let mut statement = tx.prepare_cached("DELETE FROM mls_state WHERE group_id = ?1 AND kind = ?2 AND key = ?3")?;
    statement.execute(params![place.group, place.kind as i64, place.key])?;
    Ok(())
}

/// Adds to the end of a group's list. Such a list is only ever erased whole, so its length is the next free key.
pub(super) fn append<G: Serialize, T: Serialize>(
    tx: &Transaction<'_>,
    kind: Kind,
    group: &G,
    item: &T,
) -> Result<(), StorageError> {
    let length: i64 = tx
        .prepare_cached("SELECT count(*) FROM mls_state WHERE group_id = ?1 AND kind = ?2")?
        .query_row(params![bytes(group)?, kind as i64], |row| row.get(0))?;
    put(tx, &Place::within(kind, group, &length)?, item)
}

/// What `read` takes from each row of a group's list, in order.
pub(super) fn list<G: Serialize, T>(
    tx: &Transaction<'_>,
    kind: Kind,
    group: &G,
    read: impl Fn(&Row<'_>) -> Result<T, StorageError>,
) -> Result<Vec<T>, StorageError> {
    let mut statement =
        tx.prepare_cached("SELECT key, value FROM mls_state WHERE group_id = ?1 AND kind = ?2 ORDER BY n")?;
    let mut rows = statement.query(params![bytes(group)?, kind as i64])?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        items.push(read(row)?);
    }
    Ok(items)
}

/// Erases a group's list.
pub(super) fn erase_list<G: Serialize>(tx: &Transaction<'_>, kind: Kind, group: &G) -> Result<(), StorageError> {
    let mut statement = tx.prepare_cached("DELETE FROM mls_state WHERE group_id = ?1 AND kind = ?2")?;
    statement.execute(params![bytes(group)?, kind as i64])?;
    Ok(())
}

/// Erases everything of a group, key pairs of all its epochs included (`MlsGroup::delete` erases those of one epoch).
/// Also to be called before a group is replaced by one of the same id: that would load with the old one's proposals.
/// What belongs to no group stays: key packages, PSKs, signature keys, the keys of update proposals never committed.
pub(crate) fn delete_group(tx: &Transaction<'_>, group_id: &[u8]) -> Result<(), StorageError> {
    let group = bytes(&GroupId::from_slice(group_id))?;
    tx.prepare_cached("DELETE FROM mls_state WHERE group_id = ?1")?.execute([group])?;
    Ok(())
}

/// A column, decoded where SQLite holds it.
pub(super) fn column<T: DeserializeOwned>(row: &Row<'_>, name: &str) -> Result<T, StorageError> {
    decode(row.get_ref(name)?.as_blob().map_err(|_| StorageError::Decode)?)
}

/// Group ids and keys name things; they are no secrets.
fn bytes<K: Serialize>(key: &K) -> Result<Vec<u8>, StorageError> {
    Ok(encode(key)?.to_vec())
}

/// The relay is given other key packages now: those that were made before are used by nothing but Welcomes on their way.
pub(crate) fn retire_key_packages(tx: &Transaction<'_>, now_ms: u64) -> Result<(), StorageError> {
    tx.execute(
        "INSERT OR IGNORE INTO retired_packages (key, retired_ms)
             SELECT key, ?2 FROM mls_state WHERE group_id = x'' AND kind = ?1",
        params![Kind::KeyPackage as i64, now_ms],
    )?;
    Ok(())
}

/// Nothing was retired later than now: a clock that was ahead must not keep private parts for years.
pub(crate) fn correct_retired_packages(tx: &Transaction<'_>, now_ms: u64) -> Result<(), StorageError> {
    tx.execute("UPDATE retired_packages SET retired_ms = ?1 WHERE retired_ms > ?1", [now_ms])?;
    Ok(())
}

/// Erases the private parts of key packages that were retired before a time. True if there were any.
pub(crate) fn erase_key_packages(tx: &Transaction<'_>, before_ms: u64) -> Result<bool, StorageError> {
    let erased = tx.execute(
        "DELETE FROM mls_state WHERE group_id = x'' AND kind = ?1
             AND key IN (SELECT key FROM retired_packages WHERE retired_ms < ?2)",
        params![Kind::KeyPackage as i64, before_ms],
    )?;
    tx.execute("DELETE FROM retired_packages WHERE retired_ms < ?1", [before_ms])?;
    Ok(erased > 0)
}
