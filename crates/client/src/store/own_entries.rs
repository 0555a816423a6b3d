//! Entries of the own chain that other own devices have said, sealed, that they state; with the account keys that they have put in force. Not here:
//! what is taken into the own chain (`engine::own_devices`).

use rusqlite::{Transaction, params};
use waxwing_protocol::{AccountKey, AccountSeed, OwnEntry};
use zeroize::Zeroizing;

use super::bytes;
use crate::error::Error;

/// How exactly it is kept when the inbox was read.
const NOTED_EACH_MS: u64 = 60 * 60 * 1000;
/// So many are kept; the oldest go first. A device that says more states them one after the other.
const MOST: u32 = 64;
/// For so long an account key is kept that was never put in force.
const SEEDS_LIVE_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// An inbox keeps what comes for about 30 days: whoever was away for nearly as long may have missed some.
const AWAY_MS: u64 = 20 * 24 * 60 * 60 * 1000;
/// For so long afterwards that counts: until the relay has shown all.
const MISSED_MS: u64 = 24 * 60 * 60 * 1000;

/// What is known of them.
#[derive(Default)]
pub(crate) struct Told {
    entries: Vec<(u32, [u8; 32], Option<AccountSeed>)>,
    /// Whether some may have been missed, since this device was away for weeks.
    missed: bool,
}

impl Told {
    /// As if own devices had said all of these.
    #[cfg(test)]
    pub(crate) fn of(entries: &[Vec<u8>]) -> Self {
        let entries = entries.iter().map(|entry| waxwing_wire::ChainEntry::decode(entry).unwrap());
        let entries = entries.map(|entry| (entry.unsigned.seq, entry.hash(), None)).collect();
        Self { entries, missed: false }
    }

    /// Whether an own device has said that it states this entry.
    pub(crate) fn has(&self, seq: u32, hash: [u8; 32]) -> bool {
        self.entries.iter().any(|(place, one, _)| (*place, *one) == (seq, hash))
    }

    /// Whether this device was away for so long that own devices may have said something in vain.
    pub(crate) fn missed(&self) -> bool {
        self.missed
    }

    /// The account key with this public half, where an own device has handed it over.
    pub(crate) fn account_key(&self, public: &[u8; 32]) -> Option<AccountKey> {
        let keys = self.entries.iter().filter_map(|(_, _, seed)| seed.as_ref().map(AccountSeed::account_key));
        keys.into_iter().find(|key| key.public() == *public)
    }
}

/// An own device has said it (relay time).
pub(crate) fn note(tx: &Transaction<'_>, entry: &OwnEntry, now_ms: u64) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO own_entries (seq, hash, seed, at_ms) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (seq, hash) DO UPDATE SET seed = coalesce(excluded.seed, seed), at_ms = excluded.at_ms",
        params![entry.seq, entry.hash, entry.account_key.as_ref().map(|seed| *seed.as_bytes()), now_ms],
    )?;
    tx.execute(
        "DELETE FROM own_entries WHERE rowid NOT IN (SELECT rowid FROM own_entries ORDER BY rowid DESC LIMIT ?1)",
        [MOST],
    )?;
    Ok(())
}

/// Forgets account keys that never came in force. True if there was one.
pub(crate) fn expire(tx: &Transaction<'_>, now_ms: u64) -> Result<bool, Error> {
    let until = now_ms.saturating_sub(SEEDS_LIVE_MS);
    Ok(tx.execute("UPDATE own_entries SET seed = NULL WHERE seed IS NOT NULL AND at_ms < ?1", [until])? > 0)
}

/// The inbox was read to its end, by relay time and by this computer's clock. One of them may be wrong for a while: both must say that it was long ago before.
pub(crate) fn heard(tx: &Transaction<'_>, now_ms: u64, local_ms: u64) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO inbox_heard (one, read_ms, local_ms, missed_ms) VALUES (1, ?1, ?2, 0)
         ON CONFLICT (one) DO UPDATE SET
             missed_ms = iif(?1 - read_ms > ?3 AND ?2 - local_ms > ?3, ?1, missed_ms), read_ms = ?1, local_ms = ?2
         WHERE ?1 - read_ms > ?4 OR ?1 < read_ms OR ?2 < local_ms",
        params![now_ms, local_ms, AWAY_MS, NOTED_EACH_MS],
    )?;
    Ok(())
}

/// What was heard may be forgotten, here or by the relay: this database is an older copy, or the inbox went back.
pub(crate) fn may_have_missed(tx: &Transaction<'_>) -> Result<(), Error> {
    tx.execute("INSERT OR REPLACE INTO inbox_heard (one, read_ms, local_ms, missed_ms) VALUES (1, 1, 1, 0)", [])?;
    Ok(())
}

pub(crate) fn all(tx: &Transaction<'_>, now_ms: u64) -> Result<Told, Error> {
    let missed = tx
        .prepare_cached("SELECT 1 FROM inbox_heard WHERE missed_ms > 0 AND ?1 >= missed_ms AND ?1 - missed_ms < ?2")?
        .exists(params![now_ms, MISSED_MS])?;
    let mut statement = tx.prepare_cached("SELECT seq, hash, seed FROM own_entries")?;
    let rows = statement.query_map([], |row| {
        let seed: Option<Zeroizing<[u8; 32]>> = row.get::<_, Option<[u8; 32]>>("seed")?.map(Zeroizing::new);
        Ok((row.get("seq")?, bytes(row, "hash")?, seed.map(|seed| AccountSeed::from_bytes(&seed))))
    })?;
    Ok(Told { entries: rows.collect::<rusqlite::Result<_>>()?, missed })
}

/// The account key that was put in force up to this place is in the keystore: those seeds are not needed any more.
pub(crate) fn forget_seeds(tx: &Transaction<'_>, seq: u32) -> Result<(), Error> {
    tx.execute("UPDATE own_entries SET seed = NULL WHERE seed IS NOT NULL AND seq <= ?1", [seq])?;
    Ok(())
}
