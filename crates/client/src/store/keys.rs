//! Chains, older sealing keys, and the journal of a rotation.

use std::collections::HashSet;

use rusqlite::{OptionalExtension as _, Transaction, params};
use waxwing_protocol::{AccountKey, DeviceSeeds, LeafKeys, SealingKeys};
use waxwing_wire::{AccountId, ChainEntry, ChainError, VerifiedChain};
use zeroize::Zeroizing;

use super::{bytes, verifications};
use crate::error::{Error, ErrorCode};

/// An account's chain as stored, verified again. None if nothing is stored.
pub(crate) fn chain(tx: &Transaction<'_>, account: AccountId) -> Result<Option<VerifiedChain>, Error> {
    let mut statement = tx.prepare_cached("SELECT bytes FROM chain_entries WHERE account = ?1 ORDER BY seq")?;
    let entries = statement.query_map([account.as_bytes()], |row| row.get::<_, Vec<u8>>(0))?;
    let entries = entries.collect::<rusqlite::Result<Vec<_>>>()?;
    if entries.is_empty() { Ok(None) } else { Ok(Some(VerifiedChain::verify(&entries)?)) }
}

/// The stored entries of an account's chain, from the first on.
pub(crate) fn chain_entries(tx: &Transaction<'_>, account: AccountId) -> Result<Vec<Vec<u8>>, Error> {
    let mut statement = tx.prepare_cached("SELECT bytes FROM chain_entries WHERE account = ?1 ORDER BY seq")?;
    let entries = statement.query_map([account.as_bytes()], |row| row.get::<_, Vec<u8>>(0))?;
    Ok(entries.collect::<rusqlite::Result<Vec<_>>>()?)
}

/// The newest stored entry of an account's chain.
pub(crate) fn newest_entry(tx: &Transaction<'_>, account: AccountId) -> Result<Option<Vec<u8>>, Error> {
    let mut statement =
        tx.prepare_cached("SELECT bytes FROM chain_entries WHERE account = ?1 ORDER BY seq DESC LIMIT 1")?;
    Ok(statement.query_row([account.as_bytes()], |row| row.get(0)).optional()?)
}

/// How many entries of an account's chain are stored, and their bytes.
pub(crate) fn chain_size(tx: &Transaction<'_>, account: AccountId) -> Result<(usize, usize), Error> {
    let mut statement =
        tx.prepare_cached("SELECT count(*), coalesce(sum(length(bytes)), 0) FROM chain_entries WHERE account = ?1")?;
    Ok(statement.query_row([account.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

/// Adds verified entries from `from` on. What is there already stays, since a chain is append-only; another entry in its place, or before it, is
/// an error, lest two branches that were fetched at once be mixed. What was compared of the account is judged anew.
pub(crate) fn add_chain_entries(
    tx: &Transaction<'_>,
    account: AccountId,
    from: u32,
    entries: &[Vec<u8>],
) -> Result<(), Error> {
    let mut grown = false;
    if let (Some(before), Some(first)) = (from.checked_sub(1), entries.first())
        && let Some(before) = entry_at(tx, account, before)?
        && let (Ok(before), Ok(first)) = (ChainEntry::decode(&before), ChainEntry::decode(first))
        && before.hash() != first.unsigned.prev_hash
    {
        return Err(Error::new(ErrorCode::ChainBroken, "another entry is known before this place of the chain"));
    }
    for (seq, entry) in (from..).zip(entries) {
        let added = tx
            .prepare_cached("INSERT OR IGNORE INTO chain_entries (account, seq, bytes) VALUES (?1, ?2, ?3)")?
            .execute(params![account.as_bytes(), seq, entry])?;
        grown |= added == 1;
        let mut same =
            tx.prepare_cached("SELECT 1 FROM chain_entries WHERE account = ?1 AND seq = ?2 AND bytes = ?3")?;
        if added == 0 && !same.exists(params![account.as_bytes(), seq, entry])? {
            return Err(Error::new(ErrorCode::ChainBroken, "another entry is known in this place of the chain"));
        }
    }
    if grown { verifications::judge(tx, account) } else { Ok(()) }
}

fn entry_at(tx: &Transaction<'_>, account: AccountId, seq: u32) -> Result<Option<Vec<u8>>, Error> {
    let mut statement = tx.prepare_cached("SELECT bytes FROM chain_entries WHERE account = ?1 AND seq = ?2")?;
    Ok(statement.query_row(params![account.as_bytes(), seq], |row| row.get(0)).optional()?)
}

/// Of so many entries of an account that gave way the bytes are kept.
const MOST_GIVEN_UP: u32 = 256;

/// Entries of an account's chain, from this place on, give way to others. All are remembered, since a group may have followed any of them; the newest,
/// and of those that gave way together the first, are kept as evidence of what somebody could sign.
pub(crate) fn give_up_entries(tx: &Transaction<'_>, account: AccountId, from: u32, now_ms: u64) -> Result<(), Error> {
    for (seq, entry) in (0_u32..).zip(chain_entries(tx, account)?).skip(from as usize) {
        let hash = ChainEntry::decode(&entry).map_err(ChainError::from)?.hash();
        tx.execute(
            "INSERT OR IGNORE INTO entries_given_up (account, hash, seq, bytes, at_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![account.as_bytes(), hash, seq, entry, now_ms],
        )?;
    }
    tx.execute(
        "UPDATE entries_given_up SET bytes = x'' WHERE account = ?1 AND length(bytes) > 0 AND hash NOT IN
             (SELECT hash FROM entries_given_up WHERE account = ?1 ORDER BY at_ms DESC, seq LIMIT ?2)",
        params![account.as_bytes(), MOST_GIVEN_UP],
    )?;
    tx.execute("DELETE FROM chain_entries WHERE account = ?1 AND seq >= ?2", params![account.as_bytes(), from])?;
    Ok(())
}

/// Whether an entry of this account's is one that gave way to another.
pub(crate) fn is_given_up(tx: &Transaction<'_>, account: AccountId, hash: &[u8; 32]) -> Result<bool, Error> {
    let mut statement = tx.prepare_cached("SELECT 1 FROM entries_given_up WHERE account = ?1 AND hash = ?2")?;
    Ok(statement.exists(params![account.as_bytes(), hash])?)
}

/// Whether anything of an account's chain is known.
pub(crate) fn knows_chain(tx: &Transaction<'_>, account: AccountId) -> Result<bool, Error> {
    let mut statement = tx.prepare_cached("SELECT 1 FROM chain_entries WHERE account = ?1 AND seq = 0")?;
    Ok(statement.exists([account.as_bytes()])?)
}

/// Most refuted entries that are kept of an account.
const MOST_REFUTED: u32 = 64;

/// Keeps the hash of an entry that can never be this account's. A relay that shows ever more of them is not listened to without end.
pub(crate) fn note_refuted(tx: &Transaction<'_>, account: AccountId, hash: &[u8; 32]) -> Result<(), Error> {
    tx.execute(
        "INSERT OR IGNORE INTO refuted_entries (account, hash)
         SELECT ?1, ?2 WHERE (SELECT count(*) FROM refuted_entries WHERE account = ?1) < ?3",
        params![account.as_bytes(), hash, MOST_REFUTED],
    )?;
    Ok(())
}

/// Hashes of entries that can never be this account's.
pub(crate) fn refuted(tx: &Transaction<'_>, account: AccountId) -> Result<HashSet<[u8; 32]>, Error> {
    let mut statement = tx.prepare_cached("SELECT hash FROM refuted_entries WHERE account = ?1")?;
    let rows = statement.query_map([account.as_bytes()], |row| bytes(row, "hash"))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Older sealing keys, newest first.
pub(crate) fn old_sealing_keys(tx: &Transaction<'_>) -> Result<Vec<SealingKeys>, Error> {
    let mut statement = tx.prepare_cached("SELECT bytes FROM old_sealing_keys ORDER BY key_version DESC")?;
    let mut rows = statement.query([])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        let bytes = Zeroizing::new(row.get::<_, Vec<u8>>(0)?);
        keys.push(SealingKeys::from_bytes(&bytes)?);
    }
    Ok(keys)
}

/// How many older sealing keys are kept.
pub(crate) fn old_versions(tx: &Transaction<'_>) -> Result<u32, Error> {
    Ok(tx.query_row("SELECT count(*) FROM old_sealing_keys", [], |row| row.get(0))?)
}

/// The oldest version whose sealing keys are kept.
pub(crate) fn oldest_sealing(tx: &Transaction<'_>) -> Result<Option<u32>, Error> {
    Ok(tx.query_row("SELECT min(key_version) FROM old_sealing_keys", [], |row| row.get(0))?)
}

/// A version went out of use now, by relay time; when it was by this computer's clock is noted with the next look at it.
pub(crate) fn retire(tx: &Transaction<'_>, key_version: u32, now_ms: u64) -> Result<(), Error> {
    tx.execute(
        "UPDATE old_sealing_keys SET retired_ms = ?2, retired_local_ms = 0 WHERE key_version = ?1",
        params![key_version, now_ms],
    )?;
    tx.execute("UPDATE old_device_keys SET retired_ms = ?2 WHERE key_version = ?1", params![key_version, now_ms])?;
    Ok(())
}

/// Nothing was retired later than now, by either clock: one that was ahead must not keep keys for years.
pub(crate) fn correct_retired(tx: &Transaction<'_>, now_ms: u64, local_ms: u64) -> Result<(), Error> {
    tx.execute("UPDATE old_sealing_keys SET retired_ms = ?1 WHERE retired_ms > ?1", [now_ms])?;
    tx.execute("UPDATE old_device_keys SET retired_ms = ?1 WHERE retired_ms > ?1 OR retired_ms = 0", [now_ms])?;
    tx.execute(
        "UPDATE old_sealing_keys SET retired_local_ms = ?1 WHERE retired_local_ms > ?1 OR retired_local_ms = 0",
        [local_ms],
    )?;
    Ok(())
}

/// Erases sealing keys that were retired before a time, those of versions below `surplus_below`, and the replay records of what they opened.
/// The newest two only where both clocks say so, the relay's and this computer's: one that is wrong must not cost a message.
pub(crate) fn erase_old_sealing_keys(
    tx: &Transaction<'_>,
    (before_ms, before_local_ms): (u64, u64),
    surplus_below: u32,
    in_force: u32,
) -> Result<usize, Error> {
    let newest: Option<u32> = tx.query_row("SELECT max(key_version) FROM old_sealing_keys", [], |row| row.get(0))?;
    let keep = newest.unwrap_or(0).saturating_sub(1);
    // A rotation under way has put the version that is still in force beside the old ones already.
    let which = "key_version < ?5 AND ((key_version < ?2 AND (retired_ms < ?1 OR key_version < ?3))
                 OR (key_version >= ?2 AND retired_ms < ?1 AND retired_local_ms < ?4))";
    let times = params![before_ms, keep, surplus_below, before_local_ms, in_force];
    tx.execute(
        &format!("DELETE FROM seen WHERE opened_with IN (SELECT key_version FROM old_sealing_keys WHERE {which})"),
        times,
    )?;
    Ok(tx.execute(&format!("DELETE FROM old_sealing_keys WHERE {which}"), times)?)
}

/// A rotation under way.
pub(crate) struct Rotation {
    pub(crate) key_version: u32,
    pub(crate) seeds: DeviceSeeds,
    pub(crate) entry: Vec<u8>,
    /// Whether the schedule began it, and not the user.
    pub(crate) scheduled: bool,
}

/// Starts a rotation: the journal, and the keys that it will replace.
pub(crate) fn begin_rotation(
    tx: &Transaction<'_>,
    rotation: &Rotation,
    replaced: &SealingKeys,
    now_ms: u64,
) -> Result<(), Error> {
    tx.execute("DELETE FROM rotation_wanted", [])?;
    tx.execute(
        "INSERT INTO rotation (one, key_version, seeds, entry, scheduled) VALUES (1, ?1, ?2, ?3, ?4)",
        params![rotation.key_version, rotation.seeds.to_bytes().as_slice(), rotation.entry, rotation.scheduled],
    )?;
    keep_sealing_keys(tx, replaced, now_ms)
}

/// Keeps the sealing keys of a version that is replaced: envelopes to them are under way.
pub(crate) fn keep_sealing_keys(tx: &Transaction<'_>, keys: &SealingKeys, now_ms: u64) -> Result<(), Error> {
    tx.execute(
        "INSERT OR REPLACE INTO old_sealing_keys (key_version, bytes, retired_ms) VALUES (?1, ?2, ?3)",
        params![keys.key_version(), keys.to_bytes().as_slice(), now_ms],
    )?;
    Ok(())
}

/// The user wants the rotation that the schedule has begun at once.
pub(crate) fn hurry_rotation(tx: &Transaction<'_>) -> Result<(), Error> {
    tx.execute("UPDATE rotation SET scheduled = 0", [])?;
    Ok(())
}

/// Keeps the Ed25519 keys of a version that a rotation replaces: groups have leaves with them until their updates are in. Nothing that opens
/// an envelope is among them: those are kept, and erased, by their own rule.
pub(crate) fn keep_device_keys(tx: &Transaction<'_>, keys: &LeafKeys, now_ms: u64) -> Result<(), Error> {
    tx.execute(
        "INSERT OR REPLACE INTO old_device_keys (key_version, seeds, retired_ms) VALUES (?1, ?2, ?3)",
        params![keys.key_version(), keys.to_bytes().as_slice(), now_ms],
    )?;
    Ok(())
}

/// The seeds of an earlier version's leaf keys, where they are still kept.
pub(crate) fn old_device_keys(
    tx: &Transaction<'_>,
    key_version: u32,
) -> Result<Option<Zeroizing<[u8; LeafKeys::LEN]>>, Error> {
    let mut statement = tx.prepare_cached("SELECT seeds FROM old_device_keys WHERE key_version = ?1")?;
    let row = statement.query_row([key_version], |row| Ok(Zeroizing::new(bytes(row, "seeds")?)));
    Ok(row.optional()?)
}

/// The oldest version whose leaf keys are kept; none if there are only those in force.
pub(crate) fn oldest_device_keys(tx: &Transaction<'_>) -> Result<Option<u32>, Error> {
    Ok(tx.query_row("SELECT min(key_version) FROM old_device_keys", [], |row| row.get(0))?)
}

/// Whether keys of earlier versions are kept.
pub(crate) fn has_old_device_keys(tx: &Transaction<'_>) -> Result<bool, Error> {
    Ok(tx.prepare_cached("SELECT 1 FROM old_device_keys")?.exists([])?)
}

/// Erases the Ed25519 keys of versions below `oldest`; of those from there on, yet below `spoken`, the ones that were retired before a time.
/// True if there were any.
pub(crate) fn erase_old_device_keys(
    tx: &Transaction<'_>,
    oldest: u32,
    spoken: u32,
    before_ms: u64,
) -> Result<bool, Error> {
    let erased = tx.execute(
        "DELETE FROM old_device_keys WHERE key_version < ?1 OR (key_version < ?2 AND retired_ms < ?3)",
        params![oldest, spoken, before_ms],
    )?;
    Ok(erased > 0)
}

pub(crate) fn rotation(tx: &Transaction<'_>) -> Result<Option<Rotation>, Error> {
    let row = tx
        .query_row("SELECT key_version, seeds, entry, scheduled FROM rotation", [], |row| {
            let seeds = Zeroizing::new(bytes::<160>(row, "seeds")?);
            Ok(Rotation {
                key_version: row.get(0)?,
                seeds: DeviceSeeds::from_bytes(&seeds),
                entry: row.get(2)?,
                scheduled: row.get(3)?,
            })
        })
        .optional()?;
    Ok(row)
}

/// The same new keys are stated by another entry now.
pub(crate) fn set_rotation_entry(tx: &Transaction<'_>, entry: &[u8]) -> Result<(), Error> {
    tx.execute("UPDATE rotation SET entry = ?1", [entry])?;
    Ok(())
}

/// A replacement of the account key under way.
pub(crate) struct AccountChange {
    pub(crate) key: AccountKey,
    pub(crate) entry: Vec<u8>,
    /// Whether the device keys are to be replaced right after it.
    pub(crate) then_rotate: bool,
}

/// Starts one: the journal.
pub(crate) fn begin_account_change(tx: &Transaction<'_>, change: &AccountChange) -> Result<(), Error> {
    tx.execute(
        "INSERT OR IGNORE INTO account_change (one, seed, entry, then_rotate) VALUES (1, ?1, ?2, ?3)",
        params![change.key.seed().as_slice(), change.entry, change.then_rotate],
    )?;
    Ok(())
}

pub(crate) fn account_change(tx: &Transaction<'_>) -> Result<Option<AccountChange>, Error> {
    Ok(tx
        .query_row("SELECT seed, entry, then_rotate FROM account_change", [], |row| {
            let seed = Zeroizing::new(bytes::<32>(row, "seed")?);
            Ok(AccountChange {
                key: AccountKey::from_seed(&seed),
                entry: row.get("entry")?,
                then_rotate: row.get("then_rotate")?,
            })
        })
        .optional()?)
}

/// The same new key is stated by another entry now.
pub(crate) fn set_account_change_entry(tx: &Transaction<'_>, entry: &[u8]) -> Result<(), Error> {
    tx.execute("UPDATE account_change SET entry = ?1", [entry])?;
    Ok(())
}

/// It is complete; a rotation of the device keys may be wanted next.
pub(crate) fn end_account_change(tx: &Transaction<'_>, then_rotate: bool) -> Result<(), Error> {
    tx.execute("DELETE FROM account_change", [])?;
    if then_rotate {
        tx.execute("INSERT OR IGNORE INTO rotation_wanted (one) VALUES (1)", [])?;
    }
    Ok(())
}

/// Whether a rotation is wanted that has not begun.
pub(crate) fn is_rotation_wanted(tx: &Transaction<'_>) -> Result<bool, Error> {
    Ok(tx.prepare_cached("SELECT 1 FROM rotation_wanted")?.exists([])?)
}

/// The rotation is complete.
pub(crate) fn end_rotation(tx: &Transaction<'_>) -> Result<(), Error> {
    tx.execute("DELETE FROM rotation", [])?;
    Ok(())
}

/// The relay will never take it: the keys that it was to replace stay in force, and the keystore alone has them again.
pub(crate) fn drop_rotation(tx: &Transaction<'_>, rotation: &Rotation) -> Result<(), Error> {
    end_rotation(tx)?;
    let in_force = rotation.key_version.saturating_sub(1);
    tx.execute("DELETE FROM old_sealing_keys WHERE key_version = ?1", [in_force])?;
    tx.execute("DELETE FROM old_device_keys WHERE key_version = ?1", [in_force])?;
    Ok(())
}
