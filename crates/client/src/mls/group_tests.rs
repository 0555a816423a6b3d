//! Real groups on real databases: what is committed, what hostile members and hosts try, and that nothing of it sticks.
//!
//! Every step is one transaction, as in the engine; what is refused is rolled back.

mod hostile;
mod messages;
mod odd_keys;
mod own;
mod packages;
mod welcomes;

use openmls::group::{CommitBuilder, Initial};
use openmls::prelude::*;
use rusqlite::{Connection, TransactionBehavior};
use tls_codec::{Deserialize as _, Serialize as _};
use waxwing_protocol::group::{CommitData, GroupKind, ROSTER_EXTENSION, Roster, RosterLine, RosterRole};
use waxwing_protocol::{DeviceKeys, DeviceSeeds, LeafIdentity};
use waxwing_wire::{AccountId, DeviceId, LogId};

use super::bent::{Bent, Which, unusable};
use super::group::{Committed, LeafSigner};
use super::storage::SCHEMA;
use super::*;
use crate::error::Error;
use crate::random;

const LOG: LogId = LogId::from_bytes([7; 16]);

/// A device with a database of its own.
struct Person {
    db: Connection,
    crypto: Crypto,
    account: AccountId,
    keys: DeviceKeys,
}

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
enum Took {
    Text(Vec<u8>),
    Merged { secret: Option<[u8; 32]>, removes_me: bool },
    Refused(&'static str),
    Stuck(&'static str),
}

impl Person {
    fn new(number: u8) -> Self {
        Self::device(number, number)
    }

    fn device(account: u8, device: u8) -> Self {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(SCHEMA).unwrap();
        let seeds = DeviceSeeds::generate(&mut random::rng());
        let keys = DeviceKeys::new(DeviceId::from_bytes([device; 16]), 1, seeds).unwrap();
        Self { db, crypto: Crypto::new(random::rng()), account: AccountId::from_bytes([account; 16]), keys }
    }

    /// Keys of the device's next version.
    fn next_keys(&self) -> DeviceKeys {
        let seeds = DeviceSeeds::generate(&mut random::rng());
        DeviceKeys::new(self.keys.device(), self.keys.key_version() + 1, seeds).unwrap()
    }

    fn line(&self, role: RosterRole) -> RosterLine {
        let number = self.account.as_bytes()[0];
        RosterLine {
            account: self.account,
            role,
            account_key: [number; 32],
            recovery_key: [number + 100; 32],
            chain_seq: 0,
            chain_head: [number + 50; 32],
            home: format!("person{number}@example.org").parse().unwrap(),
        }
    }

    fn create(&mut self, roster: &Roster) {
        let tx = self.db.transaction().unwrap();
        Group::create(&self.crypto, &tx, self.account, &self.keys, LOG, roster).unwrap();
        tx.commit().unwrap();
    }

    /// One transaction on the group, committed if all is well.
    fn step<T, E>(
        &mut self,
        work: impl FnOnce(&mut Group<'_>, AccountId, &DeviceKeys) -> Result<T, E>,
    ) -> Result<T, E> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        let mut group = Group::load(&self.crypto, &tx, LOG).unwrap().unwrap();
        let result = work(&mut group, self.account, &self.keys);
        drop(group);
        match result {
            Ok(_) => tx.commit().unwrap(),
            Err(_) => tx.rollback().unwrap(),
        }
        result
    }

    /// OpenMLS by itself, with nothing of ours in between. Rolled back.
    fn raw<T>(&mut self, work: impl FnOnce(&Provider<'_>, &mut MlsGroup, &DeviceKeys) -> T) -> T {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        let provider = Provider::new(&self.crypto, &tx);
        let group =
            MlsGroup::load(openmls_traits::OpenMlsProvider::storage(&provider), &GroupId::from_slice(LOG.as_bytes()));
        let mut group = group.unwrap().unwrap();
        let result = work(&provider, &mut group, &self.keys);
        drop(group);
        tx.rollback().unwrap();
        result
    }

    /// A commit that no honest program makes. The committer's own state stays as it was.
    fn hostile<F>(&mut self, aad: Vec<u8>, build: F) -> Vec<u8>
    where
        F: for<'b> FnOnce(CommitBuilder<'b, Initial>) -> CommitBuilder<'b, Initial>,
    {
        self.raw(|provider, group, keys| {
            group.set_aad(aad);
            let builder = build(group.commit_builder().force_self_update(true));
            let commit = builder
                .load_psks(provider.storage())
                .unwrap()
                .build(provider.rand(), provider.crypto(), &LeafSigner(keys.mls()), |_| true)
                .unwrap()
                .stage_commit(provider)
                .unwrap();
            commit.commit().tls_serialize_detached().unwrap()
        })
    }

    /// Commits to a plan; the commit still has to be merged.
    fn commit(&mut self, plan: Plan) -> Result<Committed, Error> {
        self.step(|group, account, keys| group.commit(account, keys.leaf(), keys, plan))
    }

    fn merge(&mut self) {
        self.step(|group, _, _| group.merge_pending()).unwrap();
    }

    /// Reads what `from` signed the envelope of, and merges it.
    fn read(&mut self, from: &DeviceKeys, handshake: bool, bytes: &[u8]) -> Took {
        let read = self.step(|group, _, _| match group.read(from.device(), handshake, bytes)? {
            Incoming::Message(text) => Ok(Took::Text(text.to_vec())),
            Incoming::Change(change) => {
                let secret = change.secret.as_ref().map(|secret| *secret.write_token());
                let took = Took::Merged { secret, removes_me: change.removes_me };
                group.merge(change).map_err(Unreadable::Failed)?;
                Ok(took)
            }
        });
        match read {
            Ok(took) => took,
            Err(Unreadable::Refused(why)) => Took::Refused(why),
            Err(Unreadable::Stuck(why)) => Took::Stuck(why),
            Err(Unreadable::Failed(error)) => panic!("{error:?}"),
        }
    }

    fn say(&mut self, text: &[u8]) -> Vec<u8> {
        self.step(|group, _, keys| group.encrypt(keys.leaf(), text)).unwrap()
    }

    /// A key package as the relay has it.
    fn package(&mut self) -> ClaimedPackage {
        let tx = self.db.transaction().unwrap();
        let (_, mut packages) = make_packages(&self.crypto, &tx, self.account, &self.keys, 1).unwrap();
        tx.commit().unwrap();
        self.claimed(&packages.remove(0))
    }

    fn claimed(&self, bytes: &[u8]) -> ClaimedPackage {
        let MlsMessageBodyIn::KeyPackage(package) = MlsMessageIn::tls_deserialize_exact(bytes).unwrap().extract()
        else {
            panic!("not a key package");
        };
        let package = package.validate(&self.crypto, ProtocolVersion::Mls10).unwrap();
        ClaimedPackage { account: self.account, device: self.keys.device(), package, chain: [0; 32] }
    }

    /// A key package of this device's MLS key, with any credential and any lifetime.
    fn odd_package(&mut self, identity: Vec<u8>, lifetime: Lifetime) -> KeyPackage {
        let tx = self.db.transaction().unwrap();
        let provider = Provider::new(&self.crypto, &tx);
        let credential = CredentialWithKey {
            credential: BasicCredential::new(identity).into(),
            signature_key: self.keys.record().mls.to_vec().into(),
        };
        let bundle = KeyPackage::builder()
            .key_package_lifetime(lifetime)
            .leaf_node_capabilities(capabilities())
            .build(SUITE, &provider, &LeafSigner(self.keys.mls()), credential)
            .unwrap();
        tx.commit().unwrap();
        bundle.key_package().clone()
    }

    /// A key package of this device with such a key in it, and as it travels.
    fn bent_package(&mut self, which: Which, public: &[u8]) -> (KeyPackage, Vec<u8>) {
        let tx = self.db.transaction().unwrap();
        let package = bent::package(Bent::new(&self.crypto, which, public), &tx, self.account, &self.keys);
        tx.commit().unwrap();
        package
    }

    fn join(&mut self, log: LogId, welcome: &[u8]) -> Result<Joined, &'static str> {
        let tx = self.db.transaction().unwrap();
        let joined = join(&self.crypto, &tx, log, welcome).unwrap();
        match joined {
            Ok(_) => tx.commit().unwrap(),
            Err(_) => tx.rollback().unwrap(),
        }
        joined
    }

    fn facts(&mut self) -> rules::GroupFacts {
        self.step(|group, _, _| group.facts()).unwrap()
    }

    fn epoch(&mut self) -> waxwing_protocol::Epoch {
        self.step(|group, _, _| Ok::<_, Error>(group.epoch())).unwrap()
    }

    fn rows(&self) -> i64 {
        self.db.query_row("SELECT count(*) FROM mls_state", [], |row| row.get(0)).unwrap()
    }
}

fn named(name: &str, lines: impl IntoIterator<Item = RosterLine>) -> Roster {
    let mut roster =
        Roster { kind: GroupKind::Group, conversation: [9; 32], generation: 1, name: name.into(), lines: Vec::new() };
    lines.into_iter().for_each(|line| roster.set(line));
    roster
}

/// alice (admin), bob and carol (members), in one group.
fn trio() -> [Person; 3] {
    let [mut alice, mut bob, mut carol] = [1, 2, 3].map(Person::new);
    let lines = [alice.line(RosterRole::Admin), bob.line(RosterRole::Member), carol.line(RosterRole::Member)];
    alice.create(&named("Birds", lines));
    let committed = alice.commit(Plan { add: vec![bob.package(), carol.package()], ..Plan::default() }).unwrap();
    alice.merge();
    let welcome = committed.welcome.unwrap();
    for person in [&mut bob, &mut carol] {
        person.join(LOG, &welcome.mls).unwrap();
    }
    [alice, bob, carol]
}

/// Data of a commit with no proofs.
fn data(rekey: bool) -> Vec<u8> {
    CommitData { rekey, ..CommitData::default() }.encode()
}

/// Messages and commits of each go through to all others, who agree.
#[track_caller]
fn all_is_well(people: &mut [Person]) {
    for from in 0..people.len() {
        let text = [from as u8; 10];
        let message = people[from].say(&text);
        let commit = people[from].commit(Plan::default()).unwrap();
        let secret = commit.secret.as_ref().map(|secret| *secret.write_token());
        assert!(secret.is_some(), "a self-update sets a channel secret");
        people[from].merge();
        let (before, rest) = people.split_at_mut(from);
        let (sender, after) = rest.split_first_mut().unwrap();
        for person in before.iter_mut().chain(after) {
            assert_eq!(person.read(&sender.keys, false, &message), Took::Text(text.to_vec()));
            let took = person.read(&sender.keys, true, &commit.message);
            assert_eq!(took, Took::Merged { secret, removes_me: false });
            assert_eq!(person.epoch(), sender.epoch());
            let (theirs, own) = (person.facts(), sender.facts());
            assert_eq!((theirs.roster, theirs.leaves), (own.roster, own.leaves));
        }
    }
}
