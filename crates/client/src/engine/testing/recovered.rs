//! Somebody gets their account back after their chain has grown by more than one commit takes along, or rotates on and on before anybody has
//! followed: they are brought back, and what was said meanwhile is for them (P5, D13).

use waxwing_protocol::statement::{self, NewKeys};
use waxwing_protocol::{AccountKey, DeviceKeys, DeviceSeeds, RecoveryPhrase};
use waxwing_wire::{DeviceId, MessageId};

use super::super::follow;
use super::device::{Device, Kept, empty_database};
use super::faults::{everybody, group, say, shows};
use super::long_chains::{grow, members};
use super::world::World;
use crate::mls::GroupChange;
use crate::random;
use crate::store::account::Account;
use crate::store::conversations::ConversationId;
use crate::store::{account, conversations, keys, logs, outbox};
use crate::views::Standing;

const ADA: usize = 0;
const BEA: usize = 1;
const CEM: usize = 2;
/// More than a commit takes along.
const MANY: u32 = 70;

/// As `recover`: with the phrase, on a machine that knows nothing else. The device before is revoked.
fn recover(world: &mut World, who: usize) {
    let World { outside, devices, dice } = world;
    let before = &mut devices[who];
    let (me, name) = (before.account, before.name.clone());
    let (own, chain, entropy) =
        before.look(|tx| Ok((account::require(tx)?, keys::chain(tx, me)?.unwrap(), account::phrase(tx)?.unwrap())));
    let recovery_key = RecoveryPhrase::from_entropy(&entropy).recovery_key();
    let (account_key, seeds) = (AccountKey::generate(&mut random::rng()), DeviceSeeds::generate(&mut random::rng()));
    let kept = Kept { account_seed: *account_key.seed(), seeds: *seeds.to_bytes(), key_version: 1 };
    let device = DeviceId::from_bytes(dice.bytes());
    let new = DeviceKeys::new(device, 1, seeds).unwrap();
    let with = NewKeys { recovery_key: &recovery_key, account_key: &account_key, device: &new };
    let entry = statement::recover(&chain, &recovery_key, &with, outside.now);
    outside.relay.append_chain(me, entry.as_bytes()).unwrap();
    let entries = outside.relay.chain(me, 0).unwrap();
    let mut db = empty_database();
    let tx = db.transaction().unwrap();
    account::insert(&tx, &Account { device, counter: 1, ..own }, &entropy).unwrap();
    keys::add_chain_entries(&tx, me, 0, &entries).unwrap();
    account::set_registered(&tx).unwrap();
    tx.commit().unwrap();
    devices[who] = Device::from_parts(&name, me, device, db, kept);
    devices[who].refill_key_packages(outside).unwrap();
}

/// Their relay tells these of it: as `chains::refresh_chain` does.
fn hear_of_it(world: &mut World, who: &[usize]) {
    let bea = world.devices[BEA].account;
    for one in who {
        world.on(*one, |device, outside| device.refresh_chain(outside, bea)).unwrap();
        let context = world.devices[*one].context(world.outside.now);
        assert!(world.devices[*one].tx(|tx| follow::chain_grew(tx, &context, bea)).unwrap());
    }
}

/// Bea is let in, and says yes.
fn comes_back(world: &mut World, id: ConversationId, others: &[usize]) {
    for _ in 0..4 {
        for who in others.iter().chain(&[BEA]) {
            world.on(*who, |device, outside| device.sync(outside));
        }
        world.outside.now += 4000;
    }
    let standing = world.devices[BEA].look(|tx| Ok(conversations::all(tx)?.into_iter().find(|one| one.id == id)));
    assert_eq!(standing.map(|one| one.standing), Some(Standing::Request), "nobody has brought her in");
    world.on(BEA, |device, outside| device.accept(outside, id)).unwrap();
    for who in [BEA].iter().chain(others).chain(&[BEA]) {
        world.on(*who, |device, outside| device.sync(outside));
    }
}

fn has_arrived(world: &mut World, id: ConversationId, messages: &[MessageId]) {
    for message in messages {
        assert!(shows(world, BEA, id, *message), "it was said to nobody");
    }
    let answer = say(world, BEA, id);
    world.on(ADA, |device, outside| device.sync(outside));
    assert!(shows(world, ADA, id, answer));
}

fn two() -> (World, ConversationId) {
    let mut world = World::new(7, 2);
    let bea = world.devices[BEA].account;
    let id = world.on(ADA, |device, outside| device.start_direct(outside, bea)).unwrap();
    everybody(&mut world);
    world.on(BEA, |device, outside| device.accept(outside, id));
    everybody(&mut world);
    (world, id)
}

#[test]
fn p5_d13_what_is_said_to_somebody_who_recovers_after_many_rotations_is_for_them() {
    for before in [0, 30, MANY, 2 * MANY] {
        let (mut world, id) = two();
        grow(&mut world, BEA, before);
        recover(&mut world, BEA);
        hear_of_it(&mut world, &[ADA]);
        let messages = [say(&mut world, ADA, id), say(&mut world, ADA, id)];
        comes_back(&mut world, id, &[ADA]);
        has_arrived(&mut world, id, &messages);
    }
}

#[test]
fn p5_d13_somebody_who_rotates_on_after_a_recovery_is_brought_back() {
    for after in [1, 33, MANY, 2 * MANY] {
        let (mut world, id) = two();
        recover(&mut world, BEA);
        grow(&mut world, BEA, after);
        hear_of_it(&mut world, &[ADA]);
        let messages = [say(&mut world, ADA, id), say(&mut world, ADA, id)];
        comes_back(&mut world, id, &[ADA]);
        has_arrived(&mut world, id, &messages);
    }
}

#[test]
fn p5_d13_both_before_and_after_a_recovery_there_may_be_many_rotations() {
    for (before, after) in [(MANY, 10), (40, 40), (MANY, MANY)] {
        let (mut world, id) = group(3);
        grow(&mut world, BEA, before);
        recover(&mut world, BEA);
        grow(&mut world, BEA, after);
        hear_of_it(&mut world, &[ADA, CEM]);
        let message = say(&mut world, ADA, id);
        comes_back(&mut world, id, &[ADA, CEM]);
        has_arrived(&mut world, id, &[message]);
        let all: Vec<_> = world.devices.iter().map(|device| device.account).collect();
        assert!(all.iter().all(|one| members(&mut world, CEM, id).1.contains(one)), "{before} {after}");
    }
}

/// As long as all that follows the recovery fits, it needs no admin.
#[test]
fn p5_whoever_is_no_admin_brings_back_somebody_with_a_long_chain() {
    let (mut world, id) = group(3);
    grow(&mut world, BEA, MANY);
    recover(&mut world, BEA);
    grow(&mut world, BEA, 40);
    hear_of_it(&mut world, &[CEM]);
    let message = say(&mut world, CEM, id);
    comes_back(&mut world, id, &[CEM]);
    assert!(shows(&mut world, BEA, id, message));
}

/// Nobody else is there who could hear it, and it would look as if it had been sent.
#[test]
fn p5_nothing_is_said_in_a_group_to_which_the_only_other_one_is_to_come_back() {
    let (mut world, id) = group(2);
    recover(&mut world, BEA);
    grow(&mut world, BEA, MANY);
    let device = world.devices[BEA].device;
    let packages = world.outside.relay.packages.remove(&device).unwrap();
    hear_of_it(&mut world, &[ADA]);
    let message = say(&mut world, ADA, id);
    world.outside.relay.packages.insert(device, packages);
    world.outside.now += 120_000;
    comes_back(&mut world, id, &[ADA]);
    has_arrived(&mut world, id, &[message]);
}

/// Somebody who cannot be had is the first of a new group: who comes after them is brought in, and what is said waits for somebody to hear it.
#[test]
fn d13_nobody_who_can_be_had_waits_behind_one_who_cannot() {
    let mut world = World::new(7, 3);
    let (bea, cem) = (world.devices[BEA].account, world.devices[CEM].account);
    let gone = world.devices[CEM].device;
    world.outside.relay.packages.remove(&gone);
    let id = world.create_with(ADA, &[cem]);
    let World { outside, devices, .. } = &mut world;
    let early = MessageId::from_bytes([9; 16]);
    devices[ADA].send(outside, id, early).unwrap();
    devices[ADA].flush(outside).unwrap_err();
    devices[ADA].change(id, &GroupChange::Add(vec![bea])).unwrap();
    for _ in 0..3 {
        for who in [ADA, BEA] {
            world.on(who, |device, outside| device.sync(outside));
        }
    }
    assert!(members(&mut world, ADA, id).1.contains(&bea), "she waits behind him");
    world.on(BEA, |device, outside| device.accept(outside, id));
    world.on(BEA, |device, outside| device.sync(outside));
    assert!(shows(&mut world, BEA, id, early));
    let waits = world.devices[ADA].look(|tx| outbox::changes(tx, &id));
    assert_eq!(waits.len(), 1, "and he is forgotten");
}

/// What waits to be answered in another group of the same conversation is not answered in this one.
#[test]
fn d13_an_answer_in_one_group_ends_no_other() {
    let (mut world, id) = group(3);
    let (cem, log) = (world.devices[CEM].account, members(&mut world, ADA, id).0);
    let other = waxwing_wire::LogId::from_bytes([9; 16]);
    let late = world.outside.now + 60 * 60 * 1000;
    let wish = GroupChange::AnswerLeave { account: cem, message: vec![1] }.encode().unwrap();
    world.devices[ADA]
        .tx(|tx| {
            outbox::push_change(tx, &id, log, &wish, late)?;
            outbox::push_change(tx, &id, other, &wish, late)
        })
        .unwrap();
    world.on(CEM, |device, outside| device.leave(outside, id)).unwrap();
    world.on(CEM, |device, outside| device.sync(outside));
    // Bea answers.
    for who in [BEA, ADA, BEA, ADA] {
        world.outside.now += 30_000;
        world.on(who, |device, outside| device.sync(outside));
    }
    assert!(!members(&mut world, ADA, id).1.contains(&cem), "the control");
    let waiting = world.devices[ADA].look(|tx| Ok((outbox::changes(tx, &id)?, logs::of(tx, &id)?.len())));
    let logs: Vec<_> = waiting.0.iter().map(|item| item.log).collect();
    assert_eq!(logs, [Some(other)]);
}
