//! What transactions that deal with groups are given: own ids and keys, chains, the cryptography of MLS. Cheap to clone into one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Transaction;
use waxwing_protocol::envelope::CompactCheckpoint;
use waxwing_protocol::group::{Roster, RosterLine, RosterRole};
use waxwing_protocol::{AccessKey, DeviceKeys, Introduction, LeafKeys};
use waxwing_wire::{AccountAddress, AccountId, DeviceId, VerifiedChain};

use super::Engine;
use crate::error::Error;
use crate::mls::Crypto;
use crate::store::account::Account;
use crate::store::contacts::Contact;
use crate::store::{contacts, keys};

/// See the module.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) account: AccountId,
    pub(super) device: DeviceId,
    /// The device keys in force.
    pub(super) keys: Arc<DeviceKeys>,
    pub(super) crypto: Arc<Crypto>,
    pub(super) chains: Chains,
    /// The newest checkpoint of the own relay's log.
    pub(super) checkpoint: Option<CompactCheckpoint>,
    /// Relay time in milliseconds.
    pub(super) now: u64,
}

impl Context {
    /// Own keys of a version to speak with: those in force, or older ones that some leaf still has. None where they are gone: one had not
    /// accepted, or had left, for longer than keys are kept.
    pub(super) fn leaf_keys(&self, tx: &Transaction<'_>, key_version: u32) -> Result<Option<Arc<LeafKeys>>, Error> {
        if key_version == self.keys.key_version() {
            return Ok(Some(Arc::clone(self.keys.leaf())));
        }
        let seeds = keys::old_device_keys(tx, key_version)?;
        Ok(seeds.map(|seeds| Arc::new(LeafKeys::from_bytes(self.device, key_version, &seeds))))
    }
}

/// Verified chains in memory; what is not there is read from the store and verified again.
#[derive(Clone, Default)]
pub(super) struct Chains(Arc<Mutex<InMemory>>);

#[derive(Default)]
struct InMemory {
    chains: HashMap<AccountId, Arc<VerifiedChain>>,
    /// Places and hashes of entries that gave way to others since the start: no chain that has one is stored any more.
    given_up: HashMap<AccountId, Vec<(u32, [u8; 32])>>,
}

impl Chains {
    pub(super) fn cached(&self, account: AccountId) -> Option<Arc<VerifiedChain>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).chains.get(&account).cloned()
    }

    /// Keeps a chain that is stored. A slower reader must not put an older state back.
    pub(super) fn keep(&self, chain: Arc<VerifiedChain>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = |(seq, hash): &(u32, [u8; 32])| chain.hash_at(*seq) == Some(*hash);
        if all.given_up.get(&chain.account()).is_some_and(|given_up| given_up.iter().any(gone)) {
            return;
        }
        if all.chains.get(&chain.account()).is_none_or(|known| known.seq() <= chain.seq()) {
            all.chains.insert(chain.account(), chain);
        }
    }

    /// The same for one that has taken the place of another, whose entries from `given_up` on are stored no more.
    pub(super) fn replace(&self, chain: Arc<VerifiedChain>, given_up: (u32, [u8; 32])) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.given_up.entry(chain.account()).or_default().push(given_up);
        all.chains.insert(chain.account(), chain);
    }

    /// The stored chain of an account, if there is one. Not kept in memory here: the transaction may yet be rolled back.
    pub(super) fn load(&self, tx: &Transaction<'_>, account: AccountId) -> Result<Option<Arc<VerifiedChain>>, Error> {
        match self.cached(account) {
            Some(chain) => Ok(Some(chain)),
            None => Ok(keys::chain(tx, account)?.map(Arc::new)),
        }
    }
}

impl Engine {
    pub(super) fn context(&self) -> Context {
        Context {
            account: self.account,
            device: self.device,
            keys: self.keys(),
            crypto: Arc::clone(&self.crypto),
            chains: self.chains.clone(),
            checkpoint: *self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner),
            now: self.now_ms(),
        }
    }
}

/// The own line of a roster.
pub(super) fn own_line(me: &Account, chain: &VerifiedChain, role: RosterRole) -> RosterLine {
    let home = AccountAddress { name: me.username.clone(), relay: me.relay.clone() };
    line_of(chain, home, role)
}

/// How one introduces oneself: with the key that admits whoever is told.
pub(super) fn introduction(me: &Account, chain: &VerifiedChain, access_key: AccessKey) -> Introduction {
    Introduction {
        account: me.account,
        home: me.relay.clone(),
        name: me.username.clone(),
        display_name: me.display_name.clone(),
        access_key,
        account_key: *chain.account_key(),
        chain_seq: chain.seq(),
        chain_head: chain.head(),
    }
}

/// A contact's line of a roster.
pub(super) fn contact_line(contact: &Contact, chain: &VerifiedChain, role: RosterRole) -> RosterLine {
    let home = AccountAddress { name: contact.name.clone(), relay: contact.relay.clone() };
    line_of(chain, home, role)
}

fn line_of(chain: &VerifiedChain, home: AccountAddress, role: RosterRole) -> RosterLine {
    RosterLine {
        account: chain.account(),
        role,
        account_key: *chain.account_key(),
        recovery_key: *chain.recovery_key(),
        chain_seq: chain.seq(),
        chain_head: chain.head(),
        home,
    }
}

/// Whether a roster line is of this chain: it names keys that were in force at an entry that the chain has. They may have been replaced
/// since; the group follows when its members do.
pub(super) fn is_line_of(line: &RosterLine, chain: &VerifiedChain) -> bool {
    chain.account() == line.account
        && chain.hash_at(line.chain_seq) == Some(line.chain_head)
        && chain
            .keys_at(line.chain_seq)
            .is_some_and(|keys| *keys.account_key == line.account_key && *keys.recovery_key == line.recovery_key)
}

/// Keeps in mind everybody who is on a roster: where their chain is. What is known already stays.
pub(super) fn meet(tx: &Transaction<'_>, me: AccountId, roster: &Roster) -> Result<(), Error> {
    for line in roster.lines.iter().filter(|line| line.account != me) {
        if contacts::load(tx, line.account)?.is_some() {
            continue;
        }
        contacts::upsert(
            tx,
            &Contact {
                account: line.account,
                name: line.home.name.clone(),
                relay: line.home.relay.clone(),
                display_name: line.home.name.to_string(),
                trust: crate::views::Trust::FirstUse,
                access_key: None,
                known: false,
                blocked: false,
            },
        )?;
    }
    Ok(())
}
