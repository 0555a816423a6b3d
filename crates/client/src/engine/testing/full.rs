//! A group as large as it may be: 64 people, 128 devices. It works like a pair, and nobody comes on top.

use std::sync::Arc;

use waxwing_wire::limits::{MAX_GROUP_DEVICES, MAX_GROUP_PEOPLE};
use waxwing_wire::{DeviceId, LogId};

use super::Halt;
use super::device::Device;
use super::faults::{change, say, shows};
use super::world::World;
use crate::error::ErrorCode;
use crate::mls::{Group, GroupChange, Plan};
use crate::store::conversations::ConversationId;
use crate::store::{conversations, logs};

/// How many people and devices the group has, as this device sees it.
fn size(world: &mut World, who: usize, id: ConversationId) -> (usize, usize) {
    let device = &mut world.devices[who];
    let crypto = device.crypto.clone();
    device.look(|tx| {
        let log: LogId = logs::to_send(tx, &id)?.unwrap().log;
        let facts = Group::load(&crypto, tx, log)?.unwrap().facts()?;
        Ok((facts.roster.lines.len(), facts.leaves.len()))
    })
}

/// Nobody can be added: the person who wanted it is told, and the group goes on.
fn nobody_more(world: &mut World, id: ConversationId, newcomer: usize) {
    let account = world.devices[newcomer].account;
    assert_eq!(world.on(0, |device, _| device.change(id, &GroupChange::Add(vec![account]))), Some(true));
    world.on(0, |device, outside| device.flush(outside)).unwrap();
    let problem = world.devices[0].look(|tx| Ok(conversations::load(tx, &id)?.problem().map(|view| view.code)));
    assert_eq!(problem, Some(ErrorCode::GroupFull));
}

#[test]
fn a_group_of_64_people_works_like_a_pair() {
    let mut world = World::new(7, MAX_GROUP_PEOPLE + 1);
    let others: Vec<_> = world.devices[1..MAX_GROUP_PEOPLE].iter().map(|one| one.account).collect();
    let id = world.create_with(0, &others);
    let sync = |world: &mut World| {
        for who in 0..world.devices.len() {
            world.on(who, |device, outside| device.sync(outside));
        }
    };
    sync(&mut world);
    sync(&mut world);
    assert_eq!(size(&mut world, 0, id).0, MAX_GROUP_PEOPLE);
    nobody_more(&mut world, id, MAX_GROUP_PEOPLE);
    // The first, somebody in the middle, and the last.
    let said = [0, 31, MAX_GROUP_PEOPLE - 1].map(|who| say(&mut world, who, id));
    sync(&mut world);
    for message in said {
        for who in 0..MAX_GROUP_PEOPLE {
            assert!(shows(&mut world, who, id, message), "{who}");
        }
    }
    // Whoever is taken out hears no more, and somebody else fits in.
    let gone = world.devices[5].account;
    change(&mut world, 0, id, &GroupChange::Remove(gone));
    let newcomer = world.devices[MAX_GROUP_PEOPLE].account;
    change(&mut world, 0, id, &GroupChange::Add(vec![newcomer]));
    sync(&mut world);
    let message = say(&mut world, MAX_GROUP_PEOPLE, id);
    sync(&mut world);
    for who in 0..=MAX_GROUP_PEOPLE {
        assert_eq!(shows(&mut world, who, id, message), who != 5, "{who}");
    }
    for who in [1, 63, MAX_GROUP_PEOPLE] {
        assert_eq!(size(&mut world, who, id), (MAX_GROUP_PEOPLE, MAX_GROUP_PEOPLE));
    }
}

#[test]
fn a_group_of_128_devices_works_like_a_pair() {
    let mut world = World::new(8, MAX_GROUP_PEOPLE);
    for who in 0..MAX_GROUP_PEOPLE {
        let device = DeviceId::from_bytes(world.dice.bytes());
        let World { outside, devices, .. } = &mut world;
        let mut second = Device::link(&mut outside.relay, &mut devices[who], device);
        second.refill_key_packages(outside).unwrap();
        // Each knows the others, as devices that were linked do.
        for other in (0..MAX_GROUP_PEOPLE).filter(|other| *other != who) {
            let (name, account) = (devices[other].name.clone(), devices[other].account);
            second.know(outside, &name, account).unwrap();
        }
        devices.push(second);
    }
    let others: Vec<_> = world.devices[1..MAX_GROUP_PEOPLE].iter().map(|one| one.account).collect();
    let id = world.create_with(0, &others);
    world.on(0, |device, outside| device.sync(outside));
    // All but the other device of whoever made it, which comes in last.
    assert_eq!(size(&mut world, 0, id), (MAX_GROUP_PEOPLE, MAX_GROUP_DEVICES - 1));
    let add = vec![world.devices[MAX_GROUP_PEOPLE].claimed()];
    assert_eq!(add[0].account, world.devices[0].account);
    let log = world.devices[0].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap().log));
    let World { outside, devices, .. } = &mut world;
    let keys = Arc::clone(&devices[0].keys);
    devices[0].commit_anyway(outside, (id, log), &keys, Plan { add, ..Plan::default() });
    assert_eq!(size(&mut world, 0, id), (MAX_GROUP_PEOPLE, MAX_GROUP_DEVICES));
    // Both devices of two people; the others would do as they do, which takes long.
    let some = [1, MAX_GROUP_PEOPLE - 1, MAX_GROUP_PEOPLE + 1, MAX_GROUP_DEVICES - 1];
    for who in some {
        world.on(who, |device, outside| device.sync(outside));
    }
    let said = some.map(|who| say(&mut world, who, id));
    for message in said {
        for who in [0].into_iter().chain(some) {
            world.on(who, |device, outside| device.sync(outside));
            assert!(shows(&mut world, who, id, message), "{who}");
        }
    }
    one_device_too_many(&mut world, id, log);
}

/// With 128 devices: nobody can bring one of their own in, and the admin nobody who has one more than there is room for.
fn one_device_too_many(world: &mut World, id: ConversationId, log: LogId) {
    let third = DeviceId::from_bytes(world.dice.bytes());
    let World { outside, devices, .. } = &mut *world;
    let mut third = Device::link(&mut outside.relay, &mut devices[1], third);
    third.refill_key_packages(outside).unwrap();
    let (one, add) = (&mut devices[1], vec![third.claimed()]);
    let (crypto, account, keys) = (Arc::clone(&one.crypto), one.account, Arc::clone(&one.keys));
    let refused = one.tx(|tx| {
        let mut group = Group::load(&crypto, tx, log)?.unwrap();
        group.commit(account, keys.leaf(), &keys, Plan { add, ..Plan::default() }).map(drop)
    });
    assert!(matches!(&refused, Err(Halt::Trouble(error)) if error.to_string().contains("too large")), "{refused:?}");
    // Whoever goes makes room for two, and comes back with three.
    change(world, 0, id, &GroupChange::Remove(account));
    assert_eq!(size(world, 0, id), (MAX_GROUP_PEOPLE - 1, MAX_GROUP_DEVICES - 2));
    nobody_more(world, id, 1);
    assert_eq!(size(world, 0, id), (MAX_GROUP_PEOPLE - 1, MAX_GROUP_DEVICES - 2));
    let message = say(world, 0, id);
    let last = MAX_GROUP_DEVICES - 1;
    world.on(last, |device, outside| device.sync(outside));
    assert!(shows(world, last, id, message), "the group does not go on");
}
