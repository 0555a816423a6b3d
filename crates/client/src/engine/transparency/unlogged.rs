//! Own entries that the own relay has taken and that its log does not hold: nobody else goes by the keys that they state.
//!
//! Not here: entries in the log that no own device has made (`look`), and what a restored relay has lost (`engine::restored`).

use std::collections::HashSet;
use std::sync::PoisonError;

use rusqlite::Transaction;
use waxwing_wire::transparency::{Leaf, account_hash};
use waxwing_wire::{AccountId, ChainEntry};

use super::super::Engine;
use crate::error::{Error, ErrorCode};
use crate::store::transparency::{self as stored, TransparencyLog};
use crate::store::{keys, restorations, rotation as schedule};

/// A relay's processes do not agree on the time to the second, nor does an answer's date.
const CLOCKS_MS: u64 = 60_000;

impl Engine {
    /// Whether the own relay's log, which was read to its newest checkpoint just now, holds all own entries. Told where that has changed, and the keys
    /// are told again where it says something else of them than when they were shown last.
    pub(in super::super) async fn look_for_own_entries(&self) -> Result<(), Error> {
        let (me, now, home) = (self.account, self.now_ms(), self.home.address().authority());
        let origin = home.clone();
        let missing = self.store.run(move |tx| missing(tx, me, &origin, now)).await?;
        let problem = (!missing.is_empty()).then(|| {
            tracing::warn!(?missing, "the relay has taken entries of the own chain, and its log does not hold them");
            Error::new(ErrorCode::KeysNotLogged, format!("numbers of the chain: {missing:?}")).view()
        });
        let news = {
            let mut known = self.unlogged_problem.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *known, problem.clone()) != problem
        };
        if news {
            self.tell_log(&home).await;
        }
        let chain = self.chain(me).await?;
        let logged = self.logged(&chain).await?;
        let moved = {
            let shown = self.logged_as_shown.lock().unwrap_or_else(PoisonError::into_inner);
            shown.as_ref().is_some_and(|shown| *shown != logged)
        };
        if news || moved {
            self.tell_keys().await?;
        }
        Ok(())
    }
}

/// Numbers of the entries of the own chain that the log does not hold, though its relay has signed it after it had taken them all.
fn missing(tx: &Transaction<'_>, me: AccountId, home: &str, now_ms: u64) -> Result<Vec<u32>, Error> {
    // What it has lost is told to it again, and where it does not take that, that is said.
    if restorations::redo(tx)? {
        return Ok(Vec::new());
    }
    let Some(log) = stored::load(tx, home)? else { return Ok(Vec::new()) };
    if !is_past_own_entries(tx, &log, me, now_ms)? {
        return Ok(Vec::new());
    }
    let Some(chain) = keys::chain(tx, me)? else { return Ok(Vec::new()) };
    let held: HashSet<_> = stored::about(tx, &log, &account_hash(&me), 0)?
        .into_iter()
        .filter_map(|placed| match placed.leaf {
            Leaf::Chain { seq, entry_hash, .. } => Some((seq, Some(entry_hash))),
            Leaf::Name { .. } => None,
        })
        .collect();
    Ok((0..=chain.seq()).filter(|seq| !held.contains(&(*seq, chain.hash_at(*seq)))).collect())
}

/// Whether the own relay's log was signed after the relay had taken all own entries for certain: those that it does not hold are not on their way there.
pub(in super::super) fn is_past_own_entries(
    tx: &Transaction<'_>,
    log: &TransparencyLog,
    me: AccountId,
    now_ms: u64,
) -> Result<bool, Error> {
    let Some(proved) = &log.proved else { return Ok(false) };
    Ok(proved.checkpoint().time_ms > taken_ms(tx, me, now_ms)?.saturating_add(CLOCKS_MS))
}

/// When the relay had taken the newest entry of the own chain for certain: a change that waited for the relay was taken long after it was made.
fn taken_ms(tx: &Transaction<'_>, me: AccountId, now_ms: u64) -> Result<u64, Error> {
    let newest = keys::newest_entry(tx, me)?.and_then(|entry| ChainEntry::decode(&entry).ok());
    // One that somebody else has made may name any time.
    let made = newest.map(|entry| entry.unsigned.at_ms).filter(|at| *at <= now_ms);
    let rotated = schedule::last(tx)?.map(|last| last.at_ms);
    let replaced = schedule::last_account_key(tx)?.map(|last| last.at_ms);
    Ok([made, rotated, replaced].into_iter().flatten().max().unwrap_or_default())
}
