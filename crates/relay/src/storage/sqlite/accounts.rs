//! Accounts: names, chains, the devices' keys in force, access keys.

use rusqlite::{Connection, OptionalExtension as _, Result, params};
use waxwing_wire::limits::MAX_ACCESS_KEYS;
use waxwing_wire::transparency::SignedCheckpoint;
use waxwing_wire::{AccountId, DeviceId, Username};

use super::super::{AccountRef, Chained, DeviceChange, NewAccount, NextEntry, PublicName, Registered, StoredChain};
use super::transparency::{self, Growing};
use super::{devices, int, nat};
use crate::clock::Moment;
use crate::hub::Wake;
use crate::log_signer::LogSigner;

/// Stores a chain's first entry, with its leaf and its name's; gives the checkpoint that covers them, if anything was stored now.
pub(super) fn register(
    db: &Connection,
    new: &NewAccount,
    signer: &LogSigner,
    now: Moment,
) -> Result<(Registered, Option<SignedCheckpoint>)> {
    let unchanged = |registered| Ok((registered, None));
    let account = new.entry.unsigned.account;
    if let Some(n) = number(db, account)? {
        let stored: Vec<u8> = db
            .prepare_cached("SELECT bytes FROM chain_entries WHERE account = ?1 AND seq = 0")?
            .query_row(params![n], |row| row.get(0))?;
        return unchanged(if stored == new.entry.as_bytes() { Registered::Stored } else { Registered::IdTaken });
    }
    if let Some(PublicName { name, hash }) = &new.name {
        let held = exists(db, "SELECT 1 FROM accounts WHERE name = ?1", name.as_str())?;
        if held || transparency::name_is_used(db, hash)? {
            return unchanged(Registered::NameTaken);
        }
    }
    // A device id names an inbox: whoever came first keeps it.
    if exists(db, "SELECT 1 FROM devices WHERE id = ?1", new.device.device.as_bytes())? {
        return unchanged(Registered::IdTaken);
    }
    let name = new.name.as_ref().map(|public| public.name.as_str());
    db.prepare_cached("INSERT INTO accounts (id, name, head) VALUES (?1, ?2, 0)")?
        .execute(params![account.as_bytes(), name])?;
    let n = db.last_insert_rowid();
    let hash = new.entry.hash();
    db.prepare_cached("INSERT INTO chain_entries (account, seq, hash, bytes) VALUES (?1, 0, ?2, ?3)")?
        .execute(params![n, hash, new.entry.as_bytes()])?;
    db.prepare_cached("INSERT INTO devices (id, account, relay_auth) VALUES (?1, ?2, ?3)")?.execute(params![
        new.device.device.as_bytes(),
        n,
        new.device.relay_auth
    ])?;
    let mut log = Growing::lock(db)?;
    log.chain_entry(n, &account, 0, hash)?;
    if let Some(public) = &new.name {
        log.name(n, public.hash, hash)?;
    }
    Ok((Registered::Stored, Some(log.seal(signer, now)?)))
}

/// Stores a chain's next entry if it follows the head, with its leaf; gives what is to be told, if it was stored now.
pub(super) fn extend_chain(
    db: &Connection,
    next: &NextEntry,
    signer: &LogSigner,
    now: Moment,
) -> Result<(Chained, Vec<Wake>)> {
    let unchanged = |chained| Ok((chained, Vec::new()));
    let unsigned = &next.entry.unsigned;
    let Some(n) = number(db, unsigned.account)? else { return unchanged(Chained::Conflict) };
    let stored: Option<Vec<u8>> = db
        .prepare_cached("SELECT bytes FROM chain_entries WHERE account = ?1 AND seq = ?2")?
        .query_row(params![n, unsigned.seq], |row| row.get(0))
        .optional()?;
    if let Some(stored) = stored {
        return unchanged(if stored == next.entry.as_bytes() { Chained::Stored } else { Chained::Conflict });
    }
    let (head, head_hash): (u32, [u8; 32]) = db
        .prepare_cached(
            "SELECT head, hash FROM accounts JOIN chain_entries ON account = n AND seq = head WHERE n = ?1",
        )?
        .query_row(params![n], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if head.checked_add(1) != Some(unsigned.seq) || head_hash != unsigned.prev_hash {
        return unchanged(Chained::Conflict);
    }
    if let DeviceChange::Added(device) | DeviceChange::Only(device) = &next.devices
        && exists(db, "SELECT 1 FROM devices WHERE id = ?1", device.device.as_bytes())?
    {
        return unchanged(Chained::IdTaken);
    }
    let hash = next.entry.hash();
    db.prepare_cached("INSERT INTO chain_entries (account, seq, hash, bytes) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![n, unsigned.seq, hash, next.entry.as_bytes()])?;
    db.prepare_cached("UPDATE accounts SET head = ?2 WHERE n = ?1")?.execute(params![n, unsigned.seq])?;
    let mut told = devices::change(db, n, &next.devices, now)?;
    let mut log = Growing::lock(db)?;
    log.chain_entry(n, &unsigned.account, unsigned.seq, hash)?;
    told.push(Wake::Checkpoint(Box::new(log.seal(signer, now)?)));
    Ok((Chained::Stored, told))
}

/// Reads at most `limit` entries of a chain, their places in the log, and the checkpoint that covers them.
pub(super) fn chain(db: &Connection, account: &AccountRef, from: u32, limit: usize) -> Result<Option<StoredChain>> {
    let by_id = |id: &AccountId| {
        db.prepare_cached("SELECT n, id, name, head FROM accounts WHERE id = ?1")?
            .query_row(params![id.as_bytes()], account_row)
            .optional()
    };
    let by_name = |name: &Username| {
        db.prepare_cached("SELECT n, id, name, head FROM accounts WHERE name = ?1")?
            .query_row(params![name.as_str()], account_row)
            .optional()
    };
    let found = match account {
        AccountRef::Id(id) => by_id(id)?,
        AccountRef::Name(name) => by_name(name)?,
        AccountRef::IdOrName(id, name) => match by_id(id)? {
            Some(found) => Some(found),
            None => by_name(name)?,
        },
    };
    let Some((n, id, name, head)) = found else { return Ok(None) };
    // An entry without a leaf is damage, and no reason to leave out the entry: then the place cannot be read.
    let (entries, indexes) = db
        .prepare_cached(
            "SELECT bytes, leaf FROM chain_entries LEFT JOIN chain_leaves USING (account, seq)
             WHERE account = ?1 AND seq >= ?2 ORDER BY seq LIMIT ?3",
        )?
        .query_map(params![n, from, int(limit as u64)], |row| Ok((row.get(0)?, row.get(1).map(nat)?)))?
        .collect::<Result<(Vec<Vec<u8>>, Vec<u64>)>>()?;
    let name_index = if from == 0 { transparency::name_index(db, n)? } else { None };
    let checkpoint = transparency::checkpoint(db)?;
    // A name that was accepted once is still one.
    let name = name.and_then(|name| name.parse().ok());
    let account = AccountId::from_bytes(id);
    Ok(Some(StoredChain { account, name, head, entries, indexes, name_index, checkpoint }))
}

type AccountRow = (i64, [u8; 16], Option<String>, u32);

fn account_row(row: &rusqlite::Row<'_>) -> Result<AccountRow> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

/// The relay-auth key in force of a device of an account.
pub(super) fn relay_auth(db: &Connection, account: AccountId, device: DeviceId) -> Result<Option<[u8; 32]>> {
    db.prepare_cached(
        "SELECT relay_auth FROM devices JOIN accounts ON accounts.n = account WHERE devices.id = ?1 AND accounts.id = ?2",
    )?
    .query_row(params![device.as_bytes(), account.as_bytes()], |row| row.get(0))
    .optional()
}

/// Admits holders of access keys; false (and nothing stored) if that were too many.
pub(super) fn admit(db: &Connection, account: AccountId, hashes: &[[u8; 32]]) -> Result<bool> {
    let Some(n) = number(db, account)? else { return Ok(true) };
    let mut count: i64 = db
        .prepare_cached("SELECT count(*) FROM access_keys WHERE account = ?1")?
        .query_row(params![n], |row| row.get(0))?;
    let mut fresh = Vec::new();
    for hash in hashes {
        let known = db
            .prepare_cached("SELECT 1 FROM access_keys WHERE account = ?1 AND hash = ?2")?
            .exists(params![n, hash])?;
        if !known && !fresh.contains(&hash) {
            fresh.push(hash);
            count += 1;
        }
    }
    if count > int(MAX_ACCESS_KEYS as u64) && !fresh.is_empty() {
        return Ok(false);
    }
    for hash in fresh {
        db.prepare_cached("INSERT INTO access_keys (account, hash) VALUES (?1, ?2)")?.execute(params![n, hash])?;
    }
    Ok(true)
}

/// Admits them no more.
pub(super) fn dismiss(db: &Connection, account: AccountId, hashes: &[[u8; 32]]) -> Result<()> {
    let Some(n) = number(db, account)? else { return Ok(()) };
    for hash in hashes {
        db.prepare_cached("DELETE FROM access_keys WHERE account = ?1 AND hash = ?2")?.execute(params![n, hash])?;
    }
    Ok(())
}

pub(super) fn number(db: &Connection, account: AccountId) -> Result<Option<i64>> {
    db.prepare_cached("SELECT n FROM accounts WHERE id = ?1")?
        .query_row(params![account.as_bytes()], |row| row.get(0))
        .optional()
}

fn exists(db: &Connection, sql: &'static str, key: impl rusqlite::ToSql) -> Result<bool> {
    db.prepare_cached(sql)?.exists(params![key])
}
