//! Two real engines of one account, and a relay that takes whichever entry is first: both rotate, nobody loses keys, and what no device has made stays
//! an alarm. How a device comes into an account is not theirs to say: the second one's profile is written as linking would leave it.

use std::future::ready;
use std::sync::{Arc, Mutex};

use waxwing_protocol::{AccountKey, DeviceKeys, DeviceSeeds, statement};
use waxwing_wire::api::{ChainPage, EntryAccepted, EntryBytes, SubmitEntry};
use waxwing_wire::transparency::Leaf;
use waxwing_wire::{AccountId, ChainEntry, DeviceId, VerifiedChain};

use super::super::keys::Cause;
use super::super::{Engine, register};
use super::doubts::{Log, leaf};
use super::lone::Lone;
use super::small_relay::{Answer, Asked, SmallRelay, problem};
use super::{shell, slow_logs};
use crate::error::ErrorCode;
use crate::keystore::{Keystore, Secrets};
use crate::profile::Profile;
use crate::random;
use crate::store::account::Account;
use crate::store::{Store, account, keys};
use crate::views::KeyEvent::{AccountKeyRotated, Created, DeviceAdded, Rotated};
use crate::views::KeysView;

/// What the relay of both has.
struct State {
    account: AccountId,
    entries: Vec<Vec<u8>>,
    log: Log,
    /// When it last signed its log.
    signed_ms: u64,
    /// Entries that come in before the next one that is sent to it.
    first: Vec<Vec<u8>>,
    /// What is new in the chain does not come into the log.
    keeps_out: bool,
    /// How many entries were too late.
    conflicts: usize,
}

impl State {
    fn chain(&self) -> VerifiedChain {
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
                for entry in std::mem::take(&mut self.first) {
                    assert!(self.takes(&entry));
                }
                let SubmitEntry { entry } = serde_json::from_slice(&asked.body).unwrap();
                if !self.takes(&entry.0) {
                    self.conflicts += 1;
                    return problem(409, "chain_conflict");
                }
                let accepted = EntryAccepted { account: self.account, seq: self.chain().seq() };
                (201, serde_json::to_vec(&accepted).unwrap())
            }
            _ => problem(503, "unavailable"),
        }
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

struct Account2 {
    relay: Arc<Mutex<State>>,
    one: Lone,
    two: Lone,
    account_key: AccountKey,
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

fn keys_of(device: DeviceId, version: u32) -> (DeviceKeys, [u8; 160]) {
    let seeds = DeviceSeeds::generate(&mut random::rng());
    let bytes = *seeds.to_bytes();
    (DeviceKeys::new(device, version, seeds).unwrap(), bytes)
}

impl Account2 {
    async fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (mut rng, account) = (random::rng(), AccountId::from_bytes([7; 16]));
        let account_key = AccountKey::generate(&mut rng);
        let recovery = waxwing_protocol::RecoveryPhrase::generate(&mut rng).recovery_key();
        let devices = [1, 2].map(|number| keys_of(DeviceId::from_bytes([number; 16]), 1));
        let state = State {
            account,
            entries: Vec::new(),
            log: Log::new(),
            signed_ms: 1_900_000_000_000,
            first: Vec::new(),
            keeps_out: false,
            conflicts: 0,
        };
        let relay = Arc::new(Mutex::new(state));
        let answers = Arc::clone(&relay);
        let small = SmallRelay::new(move |asked: Asked| ready(answers.lock().unwrap().answer(&asked))).await;
        let home = small.address.to_string();
        let name: waxwing_wire::Username = "ada".parse().unwrap();
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
                invite_key: waxwing_protocol::AccessKey::generate(&mut rng),
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

    fn chain(&self) -> VerifiedChain {
        self.relay.lock().unwrap().chain()
    }

    /// Whoever holds the account key states this.
    fn states(&self, entry: &ChainEntry) {
        assert!(self.relay.lock().unwrap().takes(entry.as_bytes()));
    }

    /// Both have looked: they know what the relay has, their keys are in force by it, and nothing is an alarm.
    async fn is_well(&self) {
        let chain = self.chain();
        for lone in [&self.one, &self.two] {
            let engine = lone.engine();
            looks(engine).await;
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

async fn looks(engine: &Engine) {
    let home = engine.home.address().clone();
    engine.follow_log(&home).await.unwrap();
    engine.look_at_logs().await.unwrap();
}

async fn alarms(lone: &Lone) -> Vec<Option<u32>> {
    looks(lone.engine()).await;
    lone.client.transparency_log().await.unwrap().alarms.iter().map(|alarm| alarm.seq).collect()
}

fn kinds(view: &KeysView) -> Vec<crate::views::KeyEvent> {
    view.history.iter().map(|item| item.what).collect()
}

#[tokio::test]
async fn d2_two_own_devices_that_rotate_at_the_same_moment_both_have_new_keys() {
    let ada = Account2::new().await;
    for round in 2..8 {
        let (one, two) = tokio::join!(ada.one.client.rotate_keys(), ada.two.client.rotate_keys());
        for view in [one.unwrap(), two.unwrap()] {
            assert_eq!((view.version, view.rotating, view.rotation_problem), (round, false, None));
        }
        ada.is_well().await;
    }
    assert_eq!(ada.chain().seq(), 13);
    assert!(ada.relay.lock().unwrap().conflicts > 0, "they were not there at the same moment");
}

#[tokio::test]
async fn d2_a_rotation_that_another_own_device_has_overtaken_states_the_same_keys_behind_it() {
    let ada = Account2::new().await;
    let (one, two) = (ada.one.engine(), ada.two.engine());
    two.begin_rotation(Cause::Schedule).await.unwrap();
    let entry = two.store.run(keys::rotation).await.unwrap().unwrap().entry;
    ada.relay.lock().unwrap().first.push(entry);
    one.begin_rotation(Cause::ByHand).await.unwrap();
    let new = one.store.run(keys::rotation).await.unwrap().unwrap().seeds.to_bytes();
    one.resume_changes().await.unwrap();
    assert_eq!(one.secrets.lock().await.device_seeds, *new, "other keys than those that were begun with");
    assert_eq!(ada.relay.lock().unwrap().conflicts, 1);
    assert_eq!(kinds(&ada.one.client.keys().await.unwrap()), [Rotated, Rotated, DeviceAdded, Created]);
    // The one that was first has heard nothing yet, not even that it was taken.
    two.resume_changes().await.unwrap();
    ada.is_well().await;
}

#[tokio::test]
async fn d2_another_account_key_is_stated_behind_what_another_own_device_has_stated() {
    let ada = Account2::new().await;
    let one = ada.one.engine();
    one.begin_account_change(&[], false).await.unwrap();
    let new = one.store.run(keys::account_change).await.unwrap().unwrap().key.public();
    ada.two.client.rotate_keys().await.unwrap();
    one.resume_changes().await.unwrap();
    assert_eq!((one.account_key().public(), *ada.chain().account_key()), (new, new));
    let view = ada.one.client.keys().await.unwrap();
    assert_eq!(kinds(&view), [AccountKeyRotated, Rotated, DeviceAdded, Created]);
    // The other one was not told the new key: it does nothing more, and says so.
    let refused = ada.two.client.rotate_keys().await.unwrap();
    assert_eq!(refused.rotation_problem.unwrap().code, ErrorCode::OwnKeysChanged);
    assert_eq!((refused.version, refused.rotating), (2, false));
    assert_eq!(alarms(&ada.two).await, [Some(3)]);
}

#[tokio::test]
async fn p11_nothing_but_the_rotation_of_a_known_device_is_taken_for_its_own_doing() {
    let key = |ada: &Account2| AccountKey::from_seed(ada.account_key.seed());
    let device = |number: u8, version| keys_of(DeviceId::from_bytes([number; 16]), version).0;
    type Thief = fn(&VerifiedChain, &AccountKey, DeviceKeys) -> ChainEntry;
    let add: Thief = |chain, key, keys| statement::add_device(chain, key, &keys, 5);
    let rotate: Thief = |chain, key, keys| statement::rotate_device_keys(chain, key, &keys, 5);
    let another: Thief =
        |chain, key, _| statement::rotate_account_key(chain, key, &AccountKey::generate(&mut random::rng()), &[], 5);
    for (what, thief, number, version) in [
        ("another device", add, 9, 1),
        ("keys of this very device", rotate, 1, 2),
        ("another account key", another, 9, 1),
    ] {
        for behind in [false, true] {
            let ada = Account2::new().await;
            let one = ada.one.engine();
            let before = one.keys();
            one.begin_rotation(Cause::ByHand).await.unwrap();
            let expected = if behind {
                ada.two.client.rotate_keys().await.unwrap();
                3
            } else {
                2
            };
            ada.states(&thief(&ada.chain(), &key(&ada), device(number, version)));
            assert_eq!(one.resume_changes().await.unwrap_err().code(), ErrorCode::OwnKeysChanged, "{what}");
            assert_eq!(one.keys().record(), before.record(), "{what}: keys that nobody has stated are in force");
            assert!(one.store.run(keys::rotation).await.unwrap().is_none(), "{what}: it can never end");
            assert_eq!(one.chain(one.account).await.unwrap().seq(), expected - 1, "{what}: it is taken for one's own");
            assert_eq!(alarms(&ada.one).await, [Some(expected)], "{what}, {behind}");
        }
    }
}

/// Whoever holds the account key can do it in another device's name. That one tells.
#[tokio::test]
async fn p11_keys_that_somebody_else_has_stated_for_another_own_device_are_its_alarm() {
    let ada = Account2::new().await;
    let (stolen, _) = keys_of(ada.two.engine().device, 2);
    ada.states(&statement::rotate_device_keys(&ada.chain(), &ada.account_key, &stolen, 5));
    assert_eq!((alarms(&ada.one).await, alarms(&ada.two).await), (vec![], vec![Some(2)]));
    assert_eq!(kinds(&ada.one.client.keys().await.unwrap()), [Rotated, DeviceAdded, Created]);
    // What is done about it shuts the thief out.
    let refused = ada.two.client.shut_others_out().await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::OwnKeysChanged, "its keys are gone: by another device, or by the phrase");
    ada.one.client.shut_others_out().await.unwrap();
    let (chain, one) = (ada.chain(), ada.one.engine());
    assert_eq!(chain.devices().map(|device| device.id()).collect::<Vec<_>>(), [one.device]);
    assert_eq!(chain.device(one.device).unwrap().current().record, *one.keys().record());
}

/// What everybody else does not see is no reason to give way.
#[tokio::test]
async fn p11_what_another_own_device_has_stated_waits_for_the_log() {
    let ada = Account2::new().await;
    let one = ada.one.engine();
    one.begin_rotation(Cause::ByHand).await.unwrap();
    let new = one.store.run(keys::rotation).await.unwrap().unwrap().seeds.to_bytes();
    ada.relay.lock().unwrap().keeps_out = true;
    ada.two.client.rotate_keys().await.unwrap();
    assert_eq!(one.resume_changes().await.unwrap_err().code(), ErrorCode::NotInLog);
    assert!(ada.one.client.keys().await.unwrap().rotating, "it is given up");
    assert_eq!(one.chain(one.account).await.unwrap().seq(), 1);
    let chain = ada.chain();
    {
        let mut relay = ada.relay.lock().unwrap();
        relay.keeps_out = false;
        relay.log.leaves.push(leaf(&chain, 2));
    }
    one.resume_changes().await.unwrap();
    assert_eq!(one.secrets.lock().await.device_seeds, *new);
    ada.is_well().await;
}

/// An alarm that the log gave before the relay showed the entry is over with that.
#[tokio::test]
async fn p11_what_another_own_device_has_stated_is_an_alarm_for_as_long_as_it_is_withheld() {
    let ada = Account2::new().await;
    ada.two.client.rotate_keys().await.unwrap();
    let withheld = ada.relay.lock().unwrap().entries.pop().unwrap();
    assert_eq!(alarms(&ada.one).await, [Some(2)]);
    ada.relay.lock().unwrap().entries.push(withheld);
    assert_eq!(alarms(&ada.one).await, []);
    ada.is_well().await;
}
