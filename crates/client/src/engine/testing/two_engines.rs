//! Two real engines of one account at one relay, which takes whichever entry is first. How a device comes into an account is not theirs to say: the
//! second one's profile is written as linking would leave it.

use std::collections::{HashMap, VecDeque};
use std::future::pending;
use std::sync::{Arc, Mutex};

use waxwing_protocol::{AccessKey, AccountKey, DeviceKeys, DeviceSeeds, RecoveryPhrase, statement};
use waxwing_wire::api::{ChainPage, EntryAccepted, EntryBytes, SubmitEntry};
use waxwing_wire::frame::{InboxEntry, InboxPage, InboxSend};
use waxwing_wire::transparency::Leaf;
use waxwing_wire::{AccountId, ChainEntry, DeviceId, Username, VerifiedChain};

use super::super::{Engine, register};
use super::doubts::{Log, leaf};
use super::lone::Lone;
use super::small_relay::{Answer, Asked, SmallRelay, problem, stored};
use super::{shell, slow_logs};
use crate::error::Error;
use crate::keystore::{Keystore, Secrets};
use crate::profile::Profile;
use crate::random;
use crate::store::account::Account;
use crate::store::{Store, account, keys};

/// What the relay of both has.
pub(super) struct State {
    pub(super) account: AccountId,
    pub(super) entries: Vec<Vec<u8>>,
    pub(super) log: Log,
    /// When it last signed its log.
    pub(super) signed_ms: u64,
    /// Entries that come in, one before each that is sent to it.
    pub(super) first: VecDeque<Vec<u8>>,
    /// It takes the next one and does not say so.
    pub(super) answers_nothing: bool,
    /// It does not answer who asks for the chain.
    pub(super) stalls: bool,
    /// What is new in the chain does not come into the log.
    pub(super) keeps_out: bool,
    /// How many entries were too late.
    pub(super) conflicts: usize,
    /// What came into the inboxes.
    pub(super) inboxes: HashMap<DeviceId, Vec<InboxSend>>,
    /// What comes into inboxes is lost.
    pub(super) loses: bool,
}

impl State {
    pub(super) fn chain(&self) -> VerifiedChain {
        VerifiedChain::verify(&self.entries).unwrap()
    }

    /// False where it does not follow what is there.
    fn takes(&mut self, entry: &[u8]) -> bool {
        let mut chain = self.chain();
        if chain.extend(entry).is_err() {
            return false;
        }
        self.entries.push(entry.to_vec());
        if !self.keeps_out {
            self.log.leaves.push(leaf(&chain, chain.seq()));
        }
        true
    }

    fn answer(&mut self, asked: &Asked) -> Answer {
        let chain = format!("/v1/accounts/{}/chain", self.account);
        if let Some(from) = slow_logs::from(asked) {
            return (200, self.log.leaves.iter().skip(from).flat_map(Leaf::encode).collect());
        }
        if let Some(from) = asked.what.strip_prefix(&format!("GET {chain}?from=")) {
            return (200, self.page(from.parse().unwrap()));
        }
        match asked.what.as_str() {
            "GET /v1/transparency/checkpoint" => {
                self.signed_ms += 1000;
                (200, self.log.signs(self.log.leaves.len(), self.signed_ms).note().as_bytes().to_vec())
            }
            "GET /v1/relay" => (200, br#"{"service":"waxwing-relay","version":"1","api":1,"audience":"x"}"#.to_vec()),
            "POST /oauth/token" => (200, br#"{"access_token":"a.b.c","token_type":"DPoP","expires_in":600}"#.to_vec()),
            what if what == format!("POST {chain}") => {
                if let Some(entry) = self.first.pop_front() {
                    assert!(self.takes(&entry));
                }
                let SubmitEntry { entry } = serde_json::from_slice(&asked.body).unwrap();
                if !self.takes(&entry.0) {
                    self.conflicts += 1;
                    return problem(409, "chain_conflict");
                }
                if std::mem::take(&mut self.answers_nothing) {
                    return problem(503, "unavailable");
                }
                let accepted = EntryAccepted { account: self.account, seq: self.chain().seq() };
                (201, serde_json::to_vec(&accepted).unwrap())
            }
            what => self.inbox(what, &asked.body).unwrap_or_else(|| problem(503, "unavailable")),
        }
    }

    fn inbox(&mut self, what: &str, body: &[u8]) -> Option<Answer> {
        let (method, path) = what.split_once(" /v1/inboxes/")?;
        if path.ends_with("/ack") {
            return Some((204, Vec::new()));
        }
        let (device, after) = path.split_once("?after=").unwrap_or((path, "0"));
        let inbox = self.inboxes.entry(device.parse().ok()?).or_default();
        if method == "POST" {
            if !self.loses {
                inbox.push(InboxSend::decode(body).ok()?);
            }
            return Some(stored(inbox.len() as u64));
        }
        let entries = (1..).zip(inbox.iter()).skip(after.parse().ok()?);
        let entries = entries.map(|(seq, sent)| InboxEntry {
            seq,
            entry_id: sent.entry_id,
            kind: sent.kind,
            blob: sent.blob.clone(),
        });
        let page = InboxPage { head: inbox.len() as u64, entries: entries.collect() };
        Some((200, page.encode()))
    }

    fn page(&self, from: usize) -> Vec<u8> {
        let page = ChainPage {
            account: self.account,
            name: self.chain().name().cloned(),
            head: self.chain().seq(),
            entries: self.entries.iter().skip(from).cloned().map(EntryBytes).collect(),
            indexes: Vec::new(),
            name_index: None,
            checkpoint: None,
        };
        serde_json::to_vec(&page).unwrap()
    }
}

/// Two real engines of one account, and the relay of both.
pub(super) struct TwoEngines {
    pub(super) relay: Arc<Mutex<State>>,
    pub(super) one: Lone,
    pub(super) two: Lone,
    pub(super) account_key: AccountKey,
}

/// A device's profile, as it is at home at this relay, with the chain that both know.
async fn at_home(folder: tempfile::TempDir, (secrets, own): (Secrets, Account), entries: Vec<Vec<u8>>) -> Lone {
    let profile = Profile::open(folder.path()).unwrap();
    let keystore = Keystore::create(&profile, shell::passphrase()).await.unwrap();
    keystore.write(&secrets).await.unwrap();
    let store = Store::plain(profile.dir()).unwrap();
    let made = store.run(move |tx| {
        let me = own.account;
        account::insert(tx, &Account { counter: secrets.counter, ..own }, &[0; 32])?;
        keys::add_chain_entries(tx, me, 0, &entries)?;
        account::set_registered(tx)?;
        Ok(secrets)
    });
    let secrets = made.await.unwrap();
    profile
        .change(|facts| {
            facts.passphrase = true;
            facts.registered = true;
        })
        .unwrap();
    let client = register::run(&profile, keystore, secrets, store).await.unwrap();
    client.end_tasks().await;
    Lone { client, folder }
}

pub(super) fn keys_of(device: DeviceId, version: u32) -> (DeviceKeys, [u8; 160]) {
    let seeds = DeviceSeeds::generate(&mut random::rng());
    let bytes = *seeds.to_bytes();
    (DeviceKeys::new(device, version, seeds).unwrap(), bytes)
}

impl TwoEngines {
    pub(super) async fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (mut rng, account) = (random::rng(), AccountId::from_bytes([7; 16]));
        let account_key = AccountKey::generate(&mut rng);
        let recovery = RecoveryPhrase::generate(&mut rng).recovery_key();
        let devices = [1, 2].map(|number| keys_of(DeviceId::from_bytes([number; 16]), 1));
        let state = State {
            account,
            entries: Vec::new(),
            log: Log::new(),
            signed_ms: 1_900_000_000_000,
            first: VecDeque::new(),
            answers_nothing: false,
            stalls: false,
            keeps_out: false,
            conflicts: 0,
            inboxes: HashMap::new(),
            loses: false,
        };
        let relay = Arc::new(Mutex::new(state));
        let answers = Arc::clone(&relay);
        let small = SmallRelay::new(move |asked: Asked| {
            let mut state = answers.lock().unwrap();
            let stalls = state.stalls && asked.what.contains("/chain?from=");
            let answer = state.answer(&asked);
            async move { if stalls { pending().await } else { answer } }
        })
        .await;
        let home = small.address.to_string();
        let name: Username = "ada".parse().unwrap();
        let created = statement::create(account, &home, Some(name.clone()), &account_key, &recovery, &devices[0].0, 0);
        let chain = VerifiedChain::verify(&[created.as_bytes()]).unwrap();
        let added = statement::add_device(&chain, &account_key, &devices[1].0, 1);
        {
            let mut state = relay.lock().unwrap();
            state.log = Log::new().branch(&home);
            state.log.leaves.push(leaf(&chain, 0));
            state.entries.push(created.as_bytes().to_vec());
            assert!(state.takes(added.as_bytes()));
        }
        let entries = relay.lock().unwrap().entries.clone();
        let mut lones = Vec::new();
        for (keys, seeds) in devices {
            let secrets = Secrets::new(random::bytes(), *account_key.seed(), seeds);
            let own = Account {
                account,
                device: keys.device(),
                username: name.clone(),
                relay: small.address.clone(),
                display_name: "Ada".to_owned(),
                create_entry: entries[0].clone(),
                invite_key: AccessKey::generate(&mut rng),
                phrase_places: (1, 2),
                phrase_confirmed: false,
                counter: 0,
            };
            lones.push(at_home(tempfile::tempdir().unwrap(), (secrets, own), entries.clone()).await);
        }
        let log = relay.lock().unwrap().log.branch(&home);
        for lone in &lones {
            log.is_read(lone.engine()).await;
        }
        let (two, one) = (lones.pop().unwrap(), lones.pop().unwrap());
        Self { relay, one, two, account_key }
    }

    pub(super) fn chain(&self) -> VerifiedChain {
        self.relay.lock().unwrap().chain()
    }

    /// Whoever holds the account key states this.
    pub(super) fn states(&self, entry: &ChainEntry) {
        assert!(self.relay.lock().unwrap().takes(entry.as_bytes()));
    }

    /// Both have looked: they know what the relay has, their keys are in force by it, and nothing is an alarm.
    pub(super) async fn is_well(&self) {
        let chain = self.chain();
        for lone in [&self.one, &self.two] {
            let engine = lone.engine();
            looks(engine).await.unwrap();
            assert_eq!(*engine.chain(engine.account).await.unwrap(), chain);
            assert_eq!(chain.device(engine.device).unwrap().current().record, *engine.keys().record());
            assert_eq!(lone.client.transparency_log().await.unwrap().alarms, []);
            let view = lone.client.keys().await.unwrap();
            assert_eq!((view.rotating, view.rotation_problem), (false, None));
            let stored = engine.store.run({
                let me = engine.account;
                move |tx| keys::chain_entries(tx, me)
            });
            assert_eq!(stored.await.unwrap(), self.relay.lock().unwrap().entries);
        }
    }
}

/// Reads the log and looks through it.
pub(super) async fn looks(engine: &Engine) -> Result<(), Error> {
    engine.follow_log(engine.home.address()).await.unwrap();
    engine.look_at_logs().await
}
