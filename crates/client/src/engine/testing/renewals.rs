//! Replacing the own leaf now and then: by time, on devices that have sent something, and after so many envelopes.

use std::collections::HashSet;

use waxwing_wire::LogId;

use super::super::renewal::{AFTER_ENVELOPES, AFTER_MS};
use super::faults::{everybody, group, say, shows};
use super::world::World;
use crate::mls::{Group, GroupChange};
use crate::store::conversations::ConversationId;
use crate::store::{logs, outbox};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const HOUR_MS: u64 = 60 * 60 * 1000;

/// A group in which each one's leaf is a fresh one of their own, and nobody has sent anything since but ada.
fn setting() -> (World, ConversationId, LogId) {
    let (mut world, id) = group(3);
    world.settle();
    world.outside.spreads = true;
    let log = world.devices[0].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap().log));
    let message = say(&mut world, 0, id);
    everybody(&mut world);
    assert!(shows(&mut world, 1, id, message));
    (world, id, log)
}

/// The encryption key of everybody's leaf.
fn leaves(world: &mut World, log: LogId) -> Vec<[u8; 32]> {
    let crypto = world.devices[0].crypto.clone();
    let devices: Vec<_> = world.devices.iter().map(|one| one.device).collect();
    world.devices[0].look(|tx| {
        let group = Group::load(&crypto, tx, log)?.unwrap();
        devices.iter().map(|device| Ok(group.leaf(*device)?.unwrap().encryption_key)).collect()
    })
}

/// When the updates of an own leaf that wait are to be made.
fn waiting(world: &mut World, who: usize, id: ConversationId) -> Vec<u64> {
    let change = GroupChange::Update.encode().unwrap();
    let changes = world.devices[who].look(|tx| outbox::changes(tx, &id));
    changes.iter().filter(|item| *item.content == change).map(|item| item.not_before_ms).collect()
}

fn a_day(world: &mut World) {
    for _ in 0..25 {
        world.outside.now += HOUR_MS;
        everybody(world);
    }
}

#[test]
fn a_week_after_the_last_time_the_leaf_of_whoever_has_sent_is_replaced_without_words() {
    let (mut world, id, log) = setting();
    let before = leaves(&mut world, log);
    // The leaves are some hours old by now.
    world.outside.now += AFTER_MS - DAY_MS;
    everybody(&mut world);
    assert!((0..3).all(|who| waiting(&mut world, who, id).is_empty()), "before a week has gone by");
    world.outside.now += DAY_MS + HOUR_MS;
    let now = world.outside.now;
    for who in 0..3 {
        world.on(who, |device, outside| device.sync(outside)).unwrap();
    }
    let times = waiting(&mut world, 0, id);
    assert!(times.len() == 1 && (now..now + DAY_MS).contains(&times[0]), "{times:?} at {now}");
    assert!((1..3).all(|who| waiting(&mut world, who, id).is_empty()), "whoever has sent nothing has nothing to renew");
    a_day(&mut world);
    let after = leaves(&mut world, log);
    assert_ne!(after[0], before[0]);
    assert_eq!(after[1..], before[1..]);
    // Once: the update itself is nothing that was sent.
    world.outside.now += 2 * AFTER_MS;
    everybody(&mut world);
    a_day(&mut world);
    assert_eq!(leaves(&mut world, log), after);
}

/// Not everybody at one moment, nor all of one device's groups.
#[test]
fn the_updates_of_a_week_are_spread_over_a_day() {
    let (mut world, first, _) = setting();
    let others = world.others(0);
    let ids: Vec<_> = (0..6).map(|_| world.create_with(0, &others)).chain([first]).collect();
    everybody(&mut world);
    for id in &ids {
        say(&mut world, 0, *id);
    }
    world.outside.now += AFTER_MS + DAY_MS;
    let now = world.outside.now;
    world.on(0, |device, outside| device.tend_keys(outside)).unwrap();
    world.on(0, |device, outside| device.tend_keys(outside)).unwrap();
    let times: Vec<_> = ids.iter().flat_map(|id| waiting(&mut world, 0, *id)).collect();
    assert_eq!(times.len(), ids.len(), "one for each");
    assert!(times.iter().all(|time| (now..now + DAY_MS).contains(time)), "{times:?}");
    assert!(times.iter().collect::<HashSet<_>>().len() > 1, "all at one time");
}

#[test]
fn words_do_not_wait_for_the_updates_time_and_take_it_along() {
    let (mut world, id, log) = setting();
    let before = leaves(&mut world, log);
    world.outside.now += AFTER_MS + HOUR_MS;
    world.on(0, |device, outside| device.tend_keys(outside)).unwrap();
    assert_eq!(waiting(&mut world, 0, id).len(), 1);
    let entries = world.outside.relay.logs[&log].entries.len();
    let message = say(&mut world, 0, id);
    let kinds: Vec<_> = world.outside.relay.logs[&log].entries[entries..].iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, [waxwing_wire::log::EnvelopeKind::Handshake, waxwing_wire::log::EnvelopeKind::App]);
    everybody(&mut world);
    assert!(shows(&mut world, 1, id, message));
    assert_ne!(leaves(&mut world, log)[0], before[0]);
    assert!(waiting(&mut world, 0, id).is_empty(), "and once more later");
}

#[test]
fn after_500_envelopes_the_leaf_is_replaced_before_the_next() {
    let (mut world, id, log) = setting();
    super::faults::change(&mut world, 0, id, &GroupChange::Update);
    everybody(&mut world);
    let before = leaves(&mut world, log);
    let handshake = |world: &World| world.outside.relay.logs[&log].last_handshake;
    let last = handshake(&world);
    for _ in 0..AFTER_ENVELOPES {
        say(&mut world, 0, id);
    }
    assert_eq!((handshake(&world), AFTER_ENVELOPES), (last, 500), "before the time");
    let message = say(&mut world, 0, id);
    assert_eq!(handshake(&world), last + 501);
    everybody(&mut world);
    assert!(shows(&mut world, 1, id, message));
    assert_ne!(leaves(&mut world, log)[0], before[0]);
    say(&mut world, 0, id);
    assert_eq!(handshake(&world), last + 501, "once, and then after as many again");
}

/// A clock that was ahead when the leaf was replaced must not keep it for years.
#[test]
fn a_leaf_from_the_future_is_replaced_too() {
    let (mut world, id, log) = setting();
    let now = world.outside.now;
    world.outside.now += 5 * 365 * DAY_MS;
    super::faults::change(&mut world, 0, id, &GroupChange::Update);
    world.outside.now = now;
    everybody(&mut world);
    say(&mut world, 0, id);
    let before = leaves(&mut world, log);
    world.outside.now += AFTER_MS + HOUR_MS;
    everybody(&mut world);
    a_day(&mut world);
    assert_ne!(leaves(&mut world, log)[0], before[0]);
}
