//! One account's one device: a database in memory, a keystore, and what an engine holds in memory beside them.

use std::collections::HashSet;
use std::sync::Arc;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use waxwing_protocol::{AccessKey, AccountKey, DeviceKeys, DeviceSeeds, RecoveryPhrase, statement};
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::{AccountId, DeviceId, LogId, RelayAddress};

use super::super::context::{Chains, Context};
use super::super::sealing::OpeningKeys;
use super::ledger::Outside;
use super::relay::{Answer, FakeRelay};
use super::shell::{self, KeyRows};
use super::snapshot::Snapshot;
use super::{Halt, Step};
use crate::error::{Error, ErrorCode};
use crate::mls::Crypto;
use crate::random;
use crate::store::account::Account;
use crate::store::{account, keys};

/// Where everybody is at home.
pub(super) const HOME: &str = "127.0.0.1:1";

/// What goes wrong next. Each counts down.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Points at which the device may go down: before and after each commit and each request.
    pub(super) crash_in: Option<u32>,
    /// Requests until one is lost.
    pub(super) lose_in: Option<u32>,
    /// Whether the lost request arrives all the same, and its answer is lost.
    pub(super) arrives: bool,
    /// Where it went down.
    pub(super) fell: Option<&'static str>,
}

impl Faults {
    fn point(&mut self, place: &'static str) -> Step<()> {
        match &mut self.crash_in {
            Some(0) => {
                self.crash_in = None;
                self.fell = Some(place);
                Err(Halt::Crash)
            }
            Some(points) => {
                *points -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// What the keystore holds.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) account_seed: [u8; 32],
    pub(super) seeds: [u8; 160],
    pub(super) key_version: u32,
}

pub(super) struct Device {
    pub(super) name: String,
    pub(super) account: AccountId,
    pub(super) device: DeviceId,
    /// What survives a crash: the database and the keystore.
    pub(super) db: Connection,
    pub(super) kept: Kept,
    /// What does not.
    pub(super) keys: Arc<DeviceKeys>,
    pub(super) chains: Chains,
    pub(super) crypto: Arc<Crypto>,
    pub(super) opening: Arc<OpeningKeys>,
    /// Logs that were read to their head since the start.
    pub(super) replayed: HashSet<LogId>,
    pub(super) faults: Faults,
    /// A copy of the database that somebody made and may put back.
    pub(super) snapshot: Option<Snapshot>,
}

pub(super) fn home() -> RelayAddress {
    HOME.parse().unwrap()
}

/// An empty database with all tables.
pub(super) fn empty_database() -> Connection {
    let db = Connection::open_in_memory().unwrap();
    db.execute_batch("PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY;").unwrap();
    db.execute_batch(&shell::schema()).unwrap();
    db.set_prepared_statement_cache_capacity(128);
    db
}

impl Device {
    /// An account as `register::begin` makes it, accepted by the relay.
    pub(super) fn register(relay: &mut FakeRelay, name: &str, account: AccountId, device: DeviceId) -> Self {
        let mut rng = random::rng();
        let account_key = AccountKey::generate(&mut rng);
        let phrase = RecoveryPhrase::generate(&mut rng);
        let seeds = DeviceSeeds::generate(&mut rng);
        let kept = Kept { account_seed: *account_key.seed(), seeds: *seeds.to_bytes(), key_version: 1 };
        let keys = Arc::new(DeviceKeys::new(device, 1, seeds).unwrap());
        let username: waxwing_wire::Username = name.parse().unwrap();
        let recovery = phrase.recovery_key();
        let entry = statement::create(account, HOME, Some(username.clone()), &account_key, &recovery, &keys, 0);
        let new = Account {
            account,
            device,
            username,
            relay: home(),
            display_name: format!("{name} the Bird"),
            create_entry: entry.as_bytes().to_vec(),
            invite_key: AccessKey::generate(&mut rng),
            phrase_places: (1, 2),
            phrase_confirmed: false,
            counter: 1,
        };
        let mut db = empty_database();
        let tx = db.transaction().unwrap();
        account::insert(&tx, &new, &phrase.entropy()).unwrap();
        keys::add_chain_entries(&tx, account, 0, std::slice::from_ref(&new.create_entry)).unwrap();
        account::set_registered(&tx).unwrap();
        tx.commit().unwrap();
        relay.register(account, device, new.create_entry);
        Self::from_parts(name, account, device, db, kept)
    }

    /// Another device of the same account, with the account key of the first, as the account's chain then says.
    pub(super) fn link(relay: &mut FakeRelay, first: &mut Self, device: DeviceId) -> Self {
        let seeds = DeviceSeeds::generate(&mut random::rng());
        let kept = Kept { account_seed: first.kept.account_seed, seeds: *seeds.to_bytes(), key_version: 1 };
        let keys = DeviceKeys::new(device, 1, seeds).unwrap();
        let me = first.account;
        let (own, mut chain) = first.look(|tx| Ok((account::require(tx)?, keys::chain(tx, me)?.unwrap())));
        let entry = statement::add_device(&chain, &AccountKey::from_seed(&kept.account_seed), &keys, 0);
        relay.append_chain(me, entry.as_bytes()).unwrap();
        chain.extend(entry.as_bytes()).unwrap();
        let entries = relay.chain(me, 0).unwrap();
        first.tx(|tx| keys::add_chain_entries(tx, me, chain.seq(), &entries[chain.seq() as usize..])).unwrap();
        first.chains.keep(Arc::new(chain));
        let mut db = empty_database();
        let tx = db.transaction().unwrap();
        account::insert(&tx, &Account { device, counter: 1, ..own }, &[0; 32]).unwrap();
        keys::add_chain_entries(&tx, me, 0, &entries).unwrap();
        account::set_registered(&tx).unwrap();
        tx.commit().unwrap();
        Self::from_parts(&first.name, me, device, db, kept)
    }

    /// A start: everything is read from the database and the keystore.
    pub(super) fn from_parts(name: &str, account: AccountId, device: DeviceId, db: Connection, kept: Kept) -> Self {
        let seeds = DeviceSeeds::from_bytes(&kept.seeds);
        let keys = Arc::new(DeviceKeys::new(device, kept.key_version, seeds).unwrap());
        let opening = Arc::new(opening(&db, device, &keys));
        let (chains, crypto) = (Chains::default(), Arc::new(Crypto::new(random::rng())));
        let faults = Faults::default();
        let (name, replayed) = (name.to_owned(), HashSet::new());
        Self { name, account, device, db, kept, keys, chains, crypto, opening, replayed, faults, snapshot: None }
    }

    /// Goes down and comes up again.
    pub(super) fn restart(&mut self, outside: &mut Outside) {
        let db = std::mem::replace(&mut self.db, Connection::open_in_memory().unwrap());
        let (name, snapshot) = (std::mem::take(&mut self.name), self.snapshot.take());
        *self = Self { snapshot, ..Self::from_parts(&name, self.account, self.device, db, self.kept.clone()) };
        self.finish_stored_rotation(outside).unwrap();
    }

    pub(super) fn renew_opening(&mut self) {
        self.opening = Arc::new(opening(&self.db, self.device, &self.keys));
    }

    pub(super) fn context(&self, now: u64) -> Context {
        Context {
            account: self.account,
            device: self.device,
            keys: Arc::clone(&self.keys),
            crypto: Arc::clone(&self.crypto),
            chains: self.chains.clone(),
            checkpoint: None,
            now,
        }
    }

    /// One transaction, as `Store::run`: all of it, or none. It may be the last that this device does.
    pub(super) fn tx<T>(&mut self, work: impl FnOnce(&Transaction<'_>) -> Result<T, Error>) -> Step<T> {
        let Self { db, faults, .. } = self;
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = work(&tx)?;
        faults.point("crash before commit")?;
        tx.commit()?;
        faults.point("crash after commit")?;
        Ok(result)
    }

    /// One request to the relay.
    pub(super) fn ask<T>(
        &mut self,
        relay: &mut FakeRelay,
        request: impl FnOnce(&mut FakeRelay) -> Answer<T>,
    ) -> Step<Answer<T>> {
        self.faults.point("crash before request")?;
        match &mut self.faults.lose_in {
            Some(0) => {
                self.faults.lose_in = None;
                if self.faults.arrives {
                    self.faults.fell = Some("answer lost");
                    let _ = request(relay);
                } else {
                    self.faults.fell = Some("request lost");
                }
                return Err(Halt::Away);
            }
            Some(requests) => *requests -= 1,
            None => {}
        }
        relay.requests += 1;
        let answer = request(relay);
        self.faults.point("crash before answer")?;
        Ok(answer)
    }

    /// A read that neither fails nor changes anything.
    pub(super) fn look<T>(&mut self, work: impl FnOnce(&Transaction<'_>) -> Result<T, Error>) -> T {
        let tx = self.db.transaction().unwrap();
        work(&tx).unwrap()
    }
}

/// How the engine names a relay's refusal.
pub(super) fn refused(problem: ProblemCode) -> Halt {
    Halt::Trouble(Error::new(ErrorCode::Refused, format!("the relay says {problem:?}")))
}

fn opening(db: &Connection, device: DeviceId, keys: &Arc<DeviceKeys>) -> OpeningKeys {
    let tx = db.unchecked_transaction().unwrap();
    let rotation = crate::store::keys::rotation(&tx).unwrap();
    let mut statement = tx.prepare("SELECT key_version, bytes, retired_ms FROM old_sealing_keys").unwrap();
    let old = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    let old = old.collect::<rusqlite::Result<_>>().unwrap();
    shell::opening_keys(device, Arc::clone(keys), KeyRows { rotation, old })
}
