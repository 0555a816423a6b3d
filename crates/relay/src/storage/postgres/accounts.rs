//! Accounts: names, chains, the devices' keys in force, access keys.
//!
//! Whoever writes to a chain takes the transparency log's row first, so all of them go one after the other, and what one has looked at no other
//! changes meanwhile. After it come the account's row and the devices' rows, always in that order.

use deadpool_postgres::Transaction;
use tokio_postgres::Row;
use waxwing_wire::limits::MAX_ACCESS_KEYS;
use waxwing_wire::transparency::SignedCheckpoint;
use waxwing_wire::{AccountId, DeviceId};

use super::super::{AccountRef, Chained, DeviceChange, NewAccount, NextEntry, PublicName, Registered, StoredChain};
use super::fault::{Fault, Result};
use super::query::{all, execute, exists, fixed, get, int, one};
use super::transparency::{self, Growing};
use super::{Context, devices};
use crate::hub::Wake;

/// Stores a chain's first entry, with its leaf and its name's; gives the checkpoint that covers them, if anything was stored now.
pub(super) async fn register(
    tx: &Transaction<'_>,
    new: &NewAccount,
    context: &Context,
) -> Result<(Registered, Option<SignedCheckpoint>)> {
    let unchanged = |registered| Ok((registered, None));
    let mut log = Growing::lock(tx).await?;
    let account = new.entry.unsigned.account;
    if let Some(n) = number(tx, account).await? {
        let stored = entry(tx, n, 0).await?.ok_or(Fault::Damaged)?;
        return unchanged(if stored == new.entry.as_bytes() { Registered::Stored } else { Registered::IdTaken });
    }
    if let Some(PublicName { name, hash }) = &new.name {
        let held = exists(tx, "SELECT 1 FROM accounts WHERE name = $1", &[&name.as_str()]).await?;
        if held || transparency::name_is_used(tx, hash).await? {
            return unchanged(Registered::NameTaken);
        }
    }
    // A device id names an inbox: whoever came first keeps it.
    if devices::number(tx, new.device.device).await?.is_some() {
        return unchanged(Registered::IdTaken);
    }
    let name = new.name.as_ref().map(|public| public.name.as_str());
    let sql = "INSERT INTO accounts (id, name, head) VALUES ($1, $2, 0) RETURNING n";
    let row = one(tx, sql, &[&account.as_bytes().as_slice(), &name]).await?.ok_or(Fault::Damaged)?;
    let n: i64 = get(&row, 0)?;
    let hash = new.entry.hash();
    insert(tx, n, 0, &hash, new.entry.as_bytes()).await?;
    devices::add(tx, n, &new.device).await?;
    log.chain_entry(n, &account, 0, hash)?;
    if let Some(public) = &new.name {
        log.name(n, public.hash, hash)?;
    }
    let checkpoint = log.seal(tx, &context.signer, context.clock.now()).await?;
    Ok((Registered::Stored, Some(checkpoint)))
}

/// Stores a chain's next entry if it follows the head, with its leaf; gives what is to be told, if it was stored now.
pub(super) async fn extend_chain(
    tx: &Transaction<'_>,
    next: &NextEntry,
    context: &Context,
) -> Result<(Chained, Vec<Wake>)> {
    let unchanged = |chained| Ok((chained, Vec::new()));
    let mut log = Growing::lock(tx).await?;
    let unsigned = &next.entry.unsigned;
    let Some(n) = lock(tx, unsigned.account).await? else { return unchanged(Chained::Conflict) };
    if let Some(stored) = entry(tx, n, unsigned.seq).await? {
        return unchanged(if stored == next.entry.as_bytes() { Chained::Stored } else { Chained::Conflict });
    }
    let sql = "SELECT head, hash FROM accounts JOIN chain_entries ON account = n AND seq = head WHERE n = $1";
    let row = one(tx, sql, &[&n]).await?.ok_or(Fault::Damaged)?;
    let (head, head_hash): (i64, [u8; 32]) = (get(&row, 0)?, fixed(&row, 1)?);
    if head + 1 != i64::from(unsigned.seq) || head_hash != unsigned.prev_hash {
        return unchanged(Chained::Conflict);
    }
    if let DeviceChange::Added(device) | DeviceChange::Only(device) = &next.devices
        && devices::number(tx, device.device).await?.is_some()
    {
        return unchanged(Chained::IdTaken);
    }
    let hash = next.entry.hash();
    insert(tx, n, unsigned.seq, &hash, next.entry.as_bytes()).await?;
    execute(tx, "UPDATE accounts SET head = $2 WHERE n = $1", &[&n, &i64::from(unsigned.seq)]).await?;
    let now = context.clock.now();
    let mut told = devices::change(tx, n, &next.devices, now).await?;
    log.chain_entry(n, &unsigned.account, unsigned.seq, hash)?;
    let checkpoint = log.seal(tx, &context.signer, now).await?;
    told.push(Wake::Checkpoint(Box::new(checkpoint)));
    Ok((Chained::Stored, told))
}

async fn insert(tx: &Transaction<'_>, n: i64, seq: u32, hash: &[u8; 32], bytes: &[u8]) -> Result<()> {
    let sql = "INSERT INTO chain_entries (account, seq, hash, bytes) VALUES ($1, $2, $3, $4)";
    execute(tx, sql, &[&n, &i64::from(seq), &hash.as_slice(), &bytes]).await.map(drop)
}

async fn entry(tx: &Transaction<'_>, n: i64, seq: u32) -> Result<Option<Vec<u8>>> {
    let sql = "SELECT bytes FROM chain_entries WHERE account = $1 AND seq = $2";
    one(tx, sql, &[&n, &i64::from(seq)]).await?.map(|row| get(&row, 0)).transpose()
}

/// Reads at most `limit` entries of a chain, their places in the log, and the checkpoint that covers them.
pub(super) async fn chain(
    tx: &Transaction<'_>,
    account: &AccountRef,
    from: u32,
    limit: usize,
) -> Result<Option<StoredChain>> {
    let by_id = "SELECT n, id, name, head FROM accounts WHERE id = $1";
    let by_name = "SELECT n, id, name, head FROM accounts WHERE name = $1";
    let found = match account {
        AccountRef::Id(id) => one(tx, by_id, &[&id.as_bytes().as_slice()]).await?,
        AccountRef::Name(name) => one(tx, by_name, &[&name.as_str()]).await?,
        AccountRef::IdOrName(id, name) => match one(tx, by_id, &[&id.as_bytes().as_slice()]).await? {
            Some(found) => Some(found),
            None => one(tx, by_name, &[&name.as_str()]).await?,
        },
    };
    let Some(found) = found else { return Ok(None) };
    let n: i64 = get(&found, 0)?;
    // An entry without a leaf is damage, and no reason to leave out the entry: then the place cannot be read.
    let sql = "SELECT bytes, leaf FROM chain_entries LEFT JOIN chain_leaves USING (account, seq)
               WHERE account = $1 AND seq >= $2 ORDER BY seq LIMIT $3";
    let rows = all(tx, sql, &[&n, &i64::from(from), &int(limit as u64)]).await?;
    let row = |row: &Row| Ok((get(row, 0)?, super::query::count(row, 1)?));
    let (entries, indexes) = rows.iter().map(row).collect::<Result<(Vec<Vec<u8>>, Vec<u64>)>>()?;
    let name_index = if from == 0 { transparency::name_index(tx, n).await? } else { None };
    let checkpoint = transparency::checkpoint(tx).await?;
    // A name that was accepted once is still one.
    let name = get::<Option<String>>(&found, 2)?.and_then(|name| name.parse().ok());
    let head = u32::try_from(get::<i64>(&found, 3)?).map_err(|_| Fault::Damaged)?;
    let account = AccountId::from_bytes(fixed(&found, 1)?);
    Ok(Some(StoredChain { account, name, head, entries, indexes, name_index, checkpoint }))
}

/// The relay-auth key in force of a device of an account.
pub(super) async fn relay_auth(tx: &Transaction<'_>, account: AccountId, device: DeviceId) -> Result<Option<[u8; 32]>> {
    let sql = "SELECT relay_auth FROM devices JOIN accounts ON accounts.n = account WHERE devices.id = $1 AND accounts.id = $2";
    let row = one(tx, sql, &[&device.as_bytes().as_slice(), &account.as_bytes().as_slice()]).await?;
    row.map(|row| fixed(&row, 0)).transpose()
}

/// Admits holders of access keys; false (and nothing stored) if that were too many.
pub(super) async fn admit(tx: &Transaction<'_>, account: AccountId, hashes: &[[u8; 32]]) -> Result<bool> {
    let Some(n) = lock(tx, account).await? else { return Ok(true) };
    let hashes: Vec<&[u8]> = hashes.iter().map(<[u8; 32]>::as_slice).collect();
    let sql = "SELECT (SELECT count(*) FROM access_keys WHERE account = $1),
                      (SELECT count(*) FROM (SELECT DISTINCT hash FROM unnest($2::bytea[]) AS asked (hash)) asked
                       WHERE NOT EXISTS (SELECT 1 FROM access_keys k WHERE k.account = $1 AND k.hash = asked.hash))";
    let row = one(tx, sql, &[&n, &hashes]).await?.ok_or(Fault::Damaged)?;
    let (kept, fresh): (i64, i64) = (get(&row, 0)?, get(&row, 1)?);
    if fresh > 0 && kept + fresh > int(MAX_ACCESS_KEYS as u64) {
        return Ok(false);
    }
    let sql = "INSERT INTO access_keys (account, hash) SELECT $1, hash FROM unnest($2::bytea[]) AS asked (hash)
               ON CONFLICT DO NOTHING";
    execute(tx, sql, &[&n, &hashes]).await?;
    Ok(true)
}

/// Admits them no more.
pub(super) async fn dismiss(tx: &Transaction<'_>, account: AccountId, hashes: &[[u8; 32]]) -> Result<()> {
    let Some(n) = lock(tx, account).await? else { return Ok(()) };
    let hashes: Vec<&[u8]> = hashes.iter().map(<[u8; 32]>::as_slice).collect();
    execute(tx, "DELETE FROM access_keys WHERE account = $1 AND hash = ANY($2)", &[&n, &hashes]).await.map(drop)
}

/// An account's number.
pub(super) async fn number(tx: &Transaction<'_>, account: AccountId) -> Result<Option<i64>> {
    let row = one(tx, "SELECT n FROM accounts WHERE id = $1", &[&account.as_bytes().as_slice()]).await?;
    row.map(|row| get(&row, 0)).transpose()
}

/// The same, of which nobody else changes anything until the transaction ends.
pub(super) async fn lock(tx: &Transaction<'_>, account: AccountId) -> Result<Option<i64>> {
    let sql = "SELECT n FROM accounts WHERE id = $1 FOR NO KEY UPDATE";
    one(tx, sql, &[&account.as_bytes().as_slice()]).await?.map(|row| get(&row, 0)).transpose()
}
