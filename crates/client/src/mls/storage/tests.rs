//! Devices that keep their groups in databases: each step is one transaction, and every group is loaded anew for it.

mod encoding;
mod erasing;
mod groups;
mod lists;
mod steps;
mod v1;

use std::path::Path;

use ed25519_dalek::{Signer as _, SigningKey};
use openmls::prelude::tls_codec::{Deserialize as _, Serialize as _};
use openmls::prelude::*;
use openmls_traits::signatures::{Signer, SignerError};
use rusqlite::{Connection, TransactionBehavior};

use super::SCHEMA;
use crate::mls::provider::{Crypto, Provider};

const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519;
const GROUP: &[u8] = b"the group of the tests";

struct TestSigner(SigningKey);

impl Signer for TestSigner {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(self.0.sign(payload).to_bytes().to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// What `Device::receive` made of a message.
#[derive(Debug, PartialEq, Eq)]
enum Received {
    Text(Vec<u8>),
    Proposal,
    Commit,
}

/// (n, group id, kind, key, value)
type StoredRow = (i64, Vec<u8>, i64, Vec<u8>, Vec<u8>);

struct Device {
    db: Connection,
    crypto: Crypto,
    signer: TestSigner,
    credential: CredentialWithKey,
}

impl Device {
    fn new(name: &str) -> Self {
        Self::with(name, Connection::open_in_memory().unwrap())
    }

    /// In a file without encryption, so that a test can look into it.
    fn in_file(name: &str, path: &Path, secure_delete: bool) -> Self {
        let db = Connection::open(path).unwrap();
        db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;").unwrap();
        db.pragma_update(None, "secure_delete", secure_delete).unwrap();
        Self::with(name, db)
    }

    fn with(name: &str, db: Connection) -> Self {
        Self::of_seed(name, db, &crate::random::bytes())
    }

    fn of_seed(name: &str, db: Connection, seed: &[u8; 32]) -> Self {
        db.execute_batch(SCHEMA).unwrap();
        let signer = TestSigner(SigningKey::from_bytes(seed));
        let credential = CredentialWithKey {
            credential: BasicCredential::new(name.as_bytes().to_vec()).into(),
            signature_key: signer.0.verifying_key().as_bytes().as_slice().into(),
        };
        Self { db, crypto: Crypto::new(crate::random::rng()), signer, credential }
    }

    /// One transaction, committed or rolled back. The group in it is loaded, and dropped at the end.
    fn transact<T>(&mut self, commit: bool, work: impl FnOnce(&Provider<'_>, &TestSigner, &mut MlsGroup) -> T) -> T {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        let provider = Provider::new(&self.crypto, &tx);
        let mut group = MlsGroup::load(provider.storage(), &GroupId::from_slice(GROUP)).unwrap().unwrap();
        let result = work(&provider, &self.signer, &mut group);
        drop(group);
        if commit {
            tx.commit().unwrap()
        } else {
            tx.rollback().unwrap()
        }
        result
    }

    fn step<T>(&mut self, work: impl FnOnce(&Provider<'_>, &TestSigner, &mut MlsGroup) -> T) -> T {
        self.transact(true, work)
    }

    fn rolled_back<T>(&mut self, work: impl FnOnce(&Provider<'_>, &TestSigner, &mut MlsGroup) -> T) -> T {
        self.transact(false, work)
    }

    fn create_group(&mut self) {
        let tx = self.db.transaction().unwrap();
        let provider = Provider::new(&self.crypto, &tx);
        MlsGroup::builder()
            .with_group_id(GroupId::from_slice(GROUP))
            .ciphersuite(SUITE)
            .lifetime(Lifetime::init(0, u64::MAX))
            .with_wire_format_policy(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
            .sender_ratchet_configuration(SenderRatchetConfiguration::new(64, 2000))
            .use_ratchet_tree_extension(true)
            .build(&provider, &self.signer, self.credential.clone())
            .unwrap();
        tx.commit().unwrap();
    }

    fn key_package(&mut self) -> KeyPackage {
        let tx = self.db.transaction().unwrap();
        let provider = Provider::new(&self.crypto, &tx);
        let bundle = KeyPackage::builder()
            .key_package_lifetime(Lifetime::init(0, u64::MAX))
            .build(SUITE, &provider, &self.signer, self.credential.clone())
            .unwrap();
        tx.commit().unwrap();
        bundle.key_package().clone()
    }

    fn join(&mut self, welcome: &[u8]) {
        let MlsMessageBodyIn::Welcome(welcome) = MlsMessageIn::tls_deserialize_exact(welcome).unwrap().extract() else {
            panic!("not a welcome");
        };
        let tx = self.db.transaction().unwrap();
        let provider = Provider::new(&self.crypto, &tx);
        let config = MlsGroupJoinConfig::builder()
            .wire_format_policy(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
            .sender_ratchet_configuration(SenderRatchetConfiguration::new(64, 2000))
            .use_ratchet_tree_extension(true)
            .build();
        let staged = StagedWelcome::build_from_welcome(&provider, &config, welcome).unwrap().build().unwrap();
        staged.into_group(&provider).unwrap();
        tx.commit().unwrap();
    }

    /// Commits to adding these devices and gives (commit, welcome), the commit still pending.
    fn add(&mut self, key_packages: &[KeyPackage]) -> (Vec<u8>, Vec<u8>) {
        self.step(|provider, signer, group| {
            let (commit, welcome, _) = group.add_members(provider, signer, key_packages).unwrap();
            (wire(&commit), wire(&welcome))
        })
    }

    fn remove(&mut self, leaves: &[LeafNodeIndex]) -> Vec<u8> {
        self.step(|provider, signer, group| wire(&group.remove_members(provider, signer, leaves).unwrap().0))
    }

    fn update(&mut self) -> Vec<u8> {
        self.step(|provider, signer, group| {
            let bundle = group.self_update(provider, signer, LeafNodeParameters::default()).unwrap();
            wire(&bundle.into_commit())
        })
    }

    fn merge(&mut self) {
        self.step(|provider, _, group| group.merge_pending_commit(provider).unwrap());
    }

    fn send(&mut self, text: &[u8]) -> Vec<u8> {
        self.step(|provider, signer, group| wire(&group.create_message(provider, signer, text).unwrap()))
    }

    fn receive(&mut self, message: &[u8]) -> Received {
        self.step(|provider, _, group| receive(provider, group, message))
    }

    fn authenticator(&mut self) -> Vec<u8> {
        self.rolled_back(|_, _, group| group.epoch_authenticator().as_slice().to_vec())
    }

    /// Every row, in order.
    fn rows(&self) -> Vec<StoredRow> {
        let mut statement = self.db.prepare("SELECT n, group_id, kind, key, value FROM mls_state ORDER BY n").unwrap();
        let rows = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
            .unwrap();
        rows.map(Result::unwrap).collect()
    }
}

fn receive(provider: &Provider<'_>, group: &mut MlsGroup, message: &[u8]) -> Received {
    match group.process_message(provider, unwired(message)).unwrap().into_content() {
        ProcessedMessageContent::ApplicationMessage(text) => Received::Text(text.into_bytes()),
        ProcessedMessageContent::ProposalMessage(proposal) => {
            group.store_pending_proposal(provider.storage(), *proposal).unwrap();
            Received::Proposal
        }
        ProcessedMessageContent::StagedCommitMessage(commit) => {
            group.merge_staged_commit(provider, *commit).unwrap();
            Received::Commit
        }
        _ => panic!("not expected here"),
    }
}

fn wire(message: &MlsMessageOut) -> Vec<u8> {
    message.tls_serialize_detached().unwrap()
}

fn unwired(message: &[u8]) -> ProtocolMessage {
    MlsMessageIn::tls_deserialize_exact(message).unwrap().try_into_protocol_message().unwrap()
}

/// Two devices in one group.
fn pair() -> (Device, Device) {
    pair_of(Device::new("alice"), Device::new("bob"))
}

fn pair_of(mut first: Device, mut second: Device) -> (Device, Device) {
    first.create_group();
    let (_, welcome) = first.add(&[second.key_package()]);
    first.merge();
    second.join(&welcome);
    (first, second)
}
