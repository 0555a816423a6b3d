//! Entries of the own chain that other own devices have said, sealed, that they state; with the account keys that they have put in force. Not here:
//! what is taken into the own chain (`engine::own_devices`).

use rusqlite::{Transaction, params};
use waxwing_protocol::{AccountKey, AccountSeed, OwnEntry};
use zeroize::Zeroizing;

use super::bytes;
use crate::error::Error;

/// So many are kept; the oldest go first. A device that says more states them one after the other.
const MOST: u32 = 64;
/// For so long an account key is kept that was never put in force.
const SEEDS_LIVE_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// What is known of them.
#[derive(Default)]
pub(crate) struct Told(Vec<(u32, [u8; 32], Option<AccountSeed>)>);

impl Told {
    /// Whether an own device has said that it states this entry.
    pub(crate) fn has(&self, seq: u32, hash: [u8; 32]) -> bool {
        self.0.iter().any(|(place, one, _)| (*place, *one) == (seq, hash))
    }

    /// The account key with this public half, where an own device has handed it over.
    pub(crate) fn account_key(&self, public: &[u8; 32]) -> Option<AccountKey> {
        let keys = self.0.iter().filter_map(|(_, _, seed)| seed.as_ref().map(AccountSeed::account_key));
        keys.into_iter().find(|key| key.public() == *public)
    }
}

/// An own device has said it (relay time).
pub(crate) fn note(tx: &Transaction<'_>, entry: &OwnEntry, now_ms: u64) -> Result<(), Error> {
    tx.execute(
        "INSERT OR REPLACE INTO own_entries (seq, hash, seed, at_ms) VALUES (?1, ?2, ?3, ?4)",
        params![entry.seq, entry.hash, entry.account_key.as_ref().map(|seed| *seed.as_bytes()), now_ms],
    )?;
    tx.execute(
        "DELETE FROM own_entries WHERE rowid NOT IN (SELECT rowid FROM own_entries ORDER BY rowid DESC LIMIT ?1)",
        [MOST],
    )?;
    tx.execute("UPDATE own_entries SET seed = NULL WHERE at_ms < ?1", [now_ms.saturating_sub(SEEDS_LIVE_MS)])?;
    Ok(())
}

pub(crate) fn all(tx: &Transaction<'_>) -> Result<Told, Error> {
    let mut statement = tx.prepare_cached("SELECT seq, hash, seed FROM own_entries")?;
    let rows = statement.query_map([], |row| {
        let seed: Option<Zeroizing<[u8; 32]>> = row.get::<_, Option<[u8; 32]>>("seed")?.map(Zeroizing::new);
        Ok((row.get("seq")?, bytes(row, "hash")?, seed.map(|seed| AccountSeed::from_bytes(&seed))))
    })?;
    Ok(Told(rows.collect::<rusqlite::Result<_>>()?))
}

/// The account key in force is in the keystore: of none of them the seed is needed any more. True if there was one.
pub(crate) fn forget_seeds(tx: &Transaction<'_>) -> Result<bool, Error> {
    Ok(tx.execute("UPDATE own_entries SET seed = NULL WHERE seed IS NOT NULL", [])? > 0)
}
