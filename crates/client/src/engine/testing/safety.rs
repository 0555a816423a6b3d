//! P11: what a verification outlives and what it does not, and what waits while somebody's keys are in doubt.

use rusqlite::{Connection, Transaction};
use waxwing_protocol::statement::{self, NewKeys};
use waxwing_protocol::{AccountKey, DeviceKeys, DeviceSeeds, RecoveryPhrase};
use waxwing_wire::{AccountId, DeviceId, VerifiedChain};

use super::super::emit::Changes;
use super::super::safety::{announce, may_say};
use super::device::empty_database;
use super::faults::{change, everybody, group, say, shows};
use crate::error::{Error, ErrorCode};
use crate::mls::GroupChange;
use crate::random;
use crate::store::{conversations, keys, logs, messages, outbox, verifications};
use crate::views::{Notice, Safety};

/// Somebody whose every statement a test makes, as seen by somebody else's database.
struct Peer {
    db: Connection,
    chain: VerifiedChain,
    account_key: AccountKey,
    phrase: RecoveryPhrase,
    devices: Vec<DeviceKeys>,
}

fn device(number: u8, version: u32) -> DeviceKeys {
    DeviceKeys::new(DeviceId::from_bytes([number; 16]), version, DeviceSeeds::generate(&mut random::rng())).unwrap()
}

impl Peer {
    fn new() -> Self {
        let (account_key, phrase) =
            (AccountKey::generate(&mut random::rng()), RecoveryPhrase::generate(&mut random::rng()));
        let (account, first) = (AccountId::from_bytes([1; 16]), device(1, 1));
        let name = Some("bea".parse().unwrap());
        let entry = statement::create(account, "relay", name, &account_key, &phrase.recovery_key(), &first, 0);
        let chain = VerifiedChain::verify(&[entry.as_bytes()]).unwrap();
        let mut peer = Self { db: empty_database(), chain, account_key, phrase, devices: vec![first] };
        let bytes = entry.as_bytes().to_vec();
        peer.tx(|tx, account| keys::add_chain_entries(tx, account, 0, &[bytes])).unwrap();
        peer
    }

    fn tx<T>(&mut self, work: impl FnOnce(&Transaction<'_>, AccountId) -> Result<T, Error>) -> Result<T, Error> {
        let tx = self.db.transaction()?;
        let done = work(&tx, self.chain.account())?;
        tx.commit()?;
        Ok(done)
    }

    fn verify(&mut self) {
        let chain = self.chain.clone();
        self.tx(|tx, _| verifications::set(tx, &chain, 1)).unwrap();
    }

    fn states(&mut self, entry: &waxwing_wire::ChainEntry) {
        self.chain.extend(entry.as_bytes()).unwrap();
        let (seq, bytes) = (self.chain.seq(), entry.as_bytes().to_vec());
        self.tx(|tx, account| keys::add_chain_entries(tx, account, seq, &[bytes])).unwrap();
    }

    fn add_device(&mut self, number: u8) {
        let new = device(number, 1);
        self.states(&statement::add_device(&self.chain, &self.account_key, &new, 2));
        self.devices.push(new);
    }

    fn rotate(&mut self, number: u8) {
        let version = self.devices.iter().filter(|one| one.device() == DeviceId::from_bytes([number; 16])).count();
        let new = device(number, u32::try_from(version).unwrap() + 1);
        self.states(&statement::rotate_device_keys(&self.chain, &self.account_key, &new, 3));
        self.devices.push(new);
    }

    fn revoke(&mut self, numbers: &[u8]) {
        let (new, revoked) = (
            AccountKey::generate(&mut random::rng()),
            numbers.iter().map(|number| DeviceId::from_bytes([*number; 16])),
        );
        let revoked: Vec<_> = revoked.collect();
        self.states(&statement::rotate_account_key(&self.chain, &self.account_key, &new, &revoked, 4));
        self.account_key = new;
    }

    fn recover(&mut self, number: u8) {
        let (account_key, new) = (AccountKey::generate(&mut random::rng()), device(number, 1));
        let recovery = self.phrase.recovery_key();
        let with = NewKeys { recovery_key: &recovery, account_key: &account_key, device: &new };
        self.states(&statement::recover(&self.chain, &recovery, &with, 5));
        self.account_key = account_key;
        self.devices.push(new);
    }

    fn safety(&mut self) -> Safety {
        self.tx(verifications::of).unwrap()
    }
}

#[test]
fn p11_it_outlives_every_change_in_which_a_device_of_then_had_a_part() {
    let mut bea = Peer::new();
    bea.add_device(2);
    assert_eq!(bea.safety(), Safety::NotVerified);
    bea.verify();
    for _ in 0..3 {
        bea.rotate(1);
        assert_eq!(bea.safety(), Safety::Verified);
    }
    bea.add_device(3);
    // The account key changes with it, and the number, too.
    bea.revoke(&[1]);
    assert_eq!(bea.safety(), Safety::Verified);
    bea.states(&statement::close(&bea.chain, &bea.account_key, 6));
    assert_eq!(bea.safety(), Safety::Verified);
}

#[test]
fn p11_it_asks_again_when_no_device_of_then_is_left() {
    let mut bea = Peer::new();
    bea.verify();
    bea.add_device(2);
    assert_eq!(bea.safety(), Safety::Verified);
    bea.revoke(&[1]);
    assert_eq!(bea.safety(), Safety::Ask);
    // It does not become good by itself, whatever comes.
    bea.rotate(2);
    bea.add_device(3);
    assert_eq!(bea.safety(), Safety::Ask);
    bea.verify();
    assert_eq!(bea.safety(), Safety::Verified);
    // From then on the devices of then count.
    bea.revoke(&[2]);
    assert_eq!(bea.safety(), Safety::Verified);
}

#[test]
fn p11_it_asks_again_after_a_recovery() {
    let mut bea = Peer::new();
    bea.add_device(2);
    bea.verify();
    bea.recover(3);
    assert_eq!(bea.safety(), Safety::Ask);
    bea.verify();
    bea.rotate(3);
    assert_eq!(bea.safety(), Safety::Verified);
    // Whoever is not verified is not asked about.
    bea.tx(verifications::remove).unwrap();
    bea.recover(4);
    assert_eq!(bea.safety(), Safety::NotVerified);
}

#[test]
fn p11_a_broken_chain_takes_no_verification_and_gives_none() {
    let mut bea = Peer::new();
    assert!(bea.tx(|tx, account| verifications::note_trouble(tx, account, "forked", 7)).unwrap());
    assert!(!bea.tx(|tx, account| verifications::note_trouble(tx, account, "forked", 8)).unwrap(), "noted once");
    assert_eq!(bea.safety(), Safety::Broken);
    assert!(bea.tx(verifications::end_trouble).unwrap());
    assert_eq!(bea.safety(), Safety::NotVerified);
    bea.verify();
    bea.tx(|tx, account| verifications::note_trouble(tx, account, "forked", 9)).unwrap();
    assert_eq!(bea.safety(), Safety::Broken);
    bea.rotate(1);
    bea.tx(verifications::end_trouble).unwrap();
    assert_eq!(bea.safety(), Safety::Verified);
    // What the chain says once it is whole again is what counts.
    bea.tx(|tx, account| verifications::note_trouble(tx, account, "forked", 10)).unwrap();
    bea.recover(2);
    assert_eq!(bea.safety(), Safety::Broken);
    bea.tx(verifications::end_trouble).unwrap();
    assert_eq!(bea.safety(), Safety::Ask);
}

#[test]
fn p11_two_branches_are_never_mixed() {
    let mut bea = Peer::new();
    let (one, other) = (device(1, 2), device(1, 2));
    let known = statement::rotate_device_keys(&bea.chain, &bea.account_key, &one, 1);
    let forked = statement::rotate_device_keys(&bea.chain, &bea.account_key, &other, 1);
    let mut branch = bea.chain.clone();
    branch.extend(forked.as_bytes()).unwrap();
    let later = statement::rotate_device_keys(&branch, &bea.account_key, &device(1, 3), 2);
    bea.states(&known);
    let both = vec![forked.as_bytes().to_vec(), later.as_bytes().to_vec()];
    let error = bea.tx(|tx, account| keys::add_chain_entries(tx, account, 1, &both)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::ChainBroken);
    assert_eq!(bea.tx(keys::chain).unwrap().unwrap().head(), bea.chain.head());
    // The same once more is no other branch.
    let again = vec![known.as_bytes().to_vec()];
    bea.tx(|tx, account| keys::add_chain_entries(tx, account, 1, &again)).unwrap();
}

/// What was written before the doubt came waits, is sealed to nobody, and goes out in order when it is over. Changes go meanwhile: to
/// remove whoever is in doubt must be possible.
#[test]
fn p11_words_wait_for_keys_in_doubt_and_changes_do_not() {
    let (mut world, id) = group(3);
    world.settle();
    let (bea, log) = (world.devices[1].account, world.devices[0].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap().log)));
    let before = world.outside.relay.logs[&log].entries.len();
    world.devices[0].tx(|tx| verifications::note_trouble(tx, bea, "forked", 1)).unwrap();
    let waiting = [say(&mut world, 0, id), say(&mut world, 0, id)];
    everybody(&mut world);
    assert_eq!(world.outside.relay.logs[&log].entries.len(), before, "something was sealed");
    let sealed =
        world.devices[0].look(|tx| Ok(outbox::messages(tx, &id)?.iter().filter(|item| item.sealed.is_some()).count()));
    assert_eq!(sealed, 0);
    change(&mut world, 0, id, &GroupChange::Rename("Waxwings".to_owned()));
    assert_eq!(world.outside.relay.logs[&log].entries.len(), before + 1, "the change has to wait");
    // Over: in order, and at once.
    world.devices[0]
        .tx(|tx| {
            verifications::end_trouble(tx, bea)?;
            outbox::release(tx, bea)
        })
        .unwrap();
    let last = say(&mut world, 0, id);
    everybody(&mut world);
    for who in [1, 2] {
        let texts: Vec<_> = world.devices[who].look(|tx| {
            let me = crate::store::account::require(tx)?;
            Ok(messages::page(tx, &me, &id, None, 500)?.messages)
        });
        let texts: Vec<_> = texts.into_iter().filter(|line| line.notice.is_none()).map(|line| line.text).collect();
        let expected: Vec<_> = [waiting[0], waiting[1], last].iter().map(ToString::to_string).collect();
        assert_eq!(&texts[texts.len() - 3..], expected);
    }
}

/// Whoever had been verified and began anew is not let back in by itself: the user decides first.
#[test]
fn p11_nobody_is_let_back_in_before_the_user_has_decided() {
    let (mut world, id) = group(2);
    world.settle();
    let bea = world.devices[1].account;
    world.devices[0]
        .tx(|tx| {
            verifications::set(tx, &keys::chain(tx, bea)?.unwrap(), 1)?;
            tx.execute("UPDATE verifications SET asks = 1", [])?;
            let log = logs::to_send(tx, &id)?.unwrap().log;
            outbox::push_change(tx, &id, log, &GroupChange::Follow(bea).encode()?, 0)
        })
        .unwrap();
    everybody(&mut world);
    assert_eq!(world.devices[0].look(|tx| outbox::changes(tx, &id)).len(), 1);
    world.devices[0].tx(|tx| verifications::remove(tx, bea)).unwrap();
    world.outside.now += super::super::safety::LOOK_AGAIN_MS;
    everybody(&mut world);
    // Nothing of their chain is new here, so there was nothing to do.
    assert_eq!(world.devices[0].look(|tx| outbox::changes(tx, &id)).len(), 0);
}

/// Removed, whoever was in doubt keeps nobody from writing.
#[test]
fn p11_without_them_the_others_are_heard_again() {
    let (mut world, id) = group(3);
    world.settle();
    let bea = world.devices[1].account;
    world.devices[0].tx(|tx| verifications::note_trouble(tx, bea, "forked", 1)).unwrap();
    let waiting = say(&mut world, 0, id);
    change(&mut world, 0, id, &GroupChange::Remove(bea));
    world.outside.now += super::super::safety::LOOK_AGAIN_MS;
    everybody(&mut world);
    assert!(shows(&mut world, 2, id, waiting));
    assert!(!shows(&mut world, 1, id, waiting));
}

#[test]
fn p11_a_conversation_is_as_sound_as_the_worst_in_it_and_says_so_once() {
    let (mut world, id) = group(3);
    world.settle();
    let (ada, bea, cem) = (world.devices[0].account, world.devices[1].account, world.devices[2].account);
    let (device, now) = (&mut world.devices[0], world.outside.now);
    let verify = |tx: &Transaction<'_>, who| verifications::set(tx, &keys::chain(tx, who)?.unwrap(), now);
    let of = |tx: &Transaction<'_>| verifications::of_conversation(tx, ada, &id);
    assert_eq!(device.look(of), Safety::NotVerified);
    device.tx(|tx| verify(tx, bea)).unwrap();
    assert_eq!(device.look(of), Safety::NotVerified);
    device.tx(|tx| verify(tx, cem)).unwrap();
    assert_eq!(device.look(of), Safety::Verified);
    let notices = |tx: &Transaction<'_>| {
        let me = crate::store::account::require(tx)?;
        let lines = messages::page(tx, &me, &id, None, 500)?.messages;
        let doubt = |notice: &Notice| matches!(notice, Notice::KeysInDoubt { .. } | Notice::VerifyAgain { .. });
        Ok(lines.into_iter().filter_map(|line| line.notice).filter(doubt).count())
    };
    let tell = |tx: &Transaction<'_>| {
        let mut changes = Changes::default();
        announce(tx, now, &mut changes)?;
        Ok(changes.messages.len())
    };
    device.tx(|tx| verifications::note_trouble(tx, cem, "forked", now)).unwrap();
    assert_eq!(device.tx(tell).unwrap(), 1);
    assert_eq!(device.tx(tell).unwrap(), 0, "said once");
    assert_eq!((device.look(of), device.look(notices)), (Safety::Broken, 1));
    let refused = |tx: &Transaction<'_>| Ok(may_say(tx, ada, &conversations::load(tx, &id)?).unwrap_err().code());
    assert_eq!(device.look(refused), ErrorCode::KeysInDoubt);
    device.tx(|tx| verifications::end_trouble(tx, cem)).unwrap();
    assert_eq!(device.look(of), Safety::Verified);
    // Of somebody who was never verified nothing is said in the timeline; writing is refused all the same.
    device.tx(|tx| verifications::remove(tx, bea)).unwrap();
    device.tx(|tx| verifications::note_trouble(tx, bea, "forked", now)).unwrap();
    assert_eq!((device.tx(tell).unwrap(), device.look(of)), (0, Safety::Broken));
    assert_eq!(device.look(refused), ErrorCode::KeysInDoubt);
}
