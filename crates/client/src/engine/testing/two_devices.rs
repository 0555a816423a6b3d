//! Two devices of one account in a conversation with others: both rotate at the same moment, by turns, and with a crash anywhere.

use std::sync::Arc;

use waxwing_wire::{DeviceId, MessageId};

use super::device::Device;
use super::faults::{everybody, rotate, say, shows};
use super::ledger::Outside;
use super::world::World;
use crate::mls::Group;
use crate::store::conversations::ConversationId;
use crate::store::{keys, logs};

/// Of ada, bea, cem and the other device of cem's.
const CEM: usize = 2;
const OTHER: usize = 3;

fn with_two_devices() -> (World, ConversationId) {
    let mut world = World::new(11, 3);
    let device = DeviceId::from_bytes(world.dice.bytes());
    let others = world.others(0);
    let World { outside, devices, .. } = &mut world;
    let mut second = Device::link(&mut outside.relay, &mut devices[CEM], device);
    second.refill_key_packages(outside).unwrap();
    for other in &devices[..CEM] {
        second.know(outside, &other.name, other.account).unwrap();
    }
    devices.push(second);
    let id = world.create_with(0, &others);
    everybody(&mut world);
    world.settle();
    (world, id)
}

/// The key version of each leaf of cem's as a member sees it, the first device's first.
fn versions(world: &mut World, who: usize, id: ConversationId) -> [u32; 2] {
    let crypto = Arc::clone(&world.devices[who].crypto);
    let devices = [world.devices[CEM].device, world.devices[OTHER].device];
    world.devices[who].look(|tx| {
        let log = logs::to_send(tx, &id)?.unwrap().log;
        let group = Group::load(&crypto, tx, log)?.unwrap();
        Ok(devices.map(|device| group.leaf(device).unwrap().unwrap().identity.key_version))
    })
}

/// Every device says something, and everybody has it once.
fn all_hear(world: &mut World, id: ConversationId) {
    let said: Vec<MessageId> = (0..world.devices.len()).map(|who| say(world, who, id)).collect();
    everybody(world);
    for message in said {
        assert!((0..world.devices.len()).all(|who| shows(world, who, id, message)));
    }
}

fn ends(device: &mut Device, outside: &mut Outside) -> super::Step<()> {
    device.resume_rotation(outside)?;
    device.refill_key_packages(outside)
}

#[test]
fn d2_own_devices_that_rotate_at_the_same_moment_go_on_in_every_conversation() {
    let (mut world, id) = with_two_devices();
    for round in 2..8 {
        world.on(CEM, |device, outside| device.begin_rotation(outside)).unwrap();
        world.on(OTHER, |device, outside| device.begin_rotation(outside)).unwrap();
        let meanwhile = [say(&mut world, 0, id), say(&mut world, CEM, id), say(&mut world, OTHER, id)];
        let order = if round % 2 == 0 { [CEM, OTHER] } else { [OTHER, CEM] };
        for who in order {
            world.on(who, ends).unwrap();
        }
        let between = [say(&mut world, CEM, id), say(&mut world, OTHER, id)];
        everybody(&mut world);
        for message in meanwhile.into_iter().chain(between) {
            assert!((0..4).all(|who| shows(&mut world, who, id, message)), "round {round}");
        }
        for who in 0..4 {
            assert_eq!(versions(&mut world, who, id), [round; 2], "round {round}, {who}");
        }
        all_hear(&mut world, id);
    }
}

/// One never rotates, and still knows what the other has in force.
#[test]
fn an_own_device_follows_the_rotations_of_another() {
    let (mut world, id) = with_two_devices();
    for round in 2..9 {
        rotate(&mut world, OTHER);
        all_hear(&mut world, id);
        assert_eq!(versions(&mut world, CEM, id), [1, round]);
    }
    let me = world.devices[CEM].account;
    let known = world.devices[CEM].look(|tx| keys::chain(tx, me)).unwrap();
    assert_eq!(known.device(world.devices[OTHER].device).unwrap().current().record.key_version, 8);
}

#[test]
fn d2_a_crash_anywhere_in_a_rotation_that_was_overtaken_loses_nothing() {
    for point in 0.. {
        let (mut world, id) = with_two_devices();
        world.on(CEM, |device, outside| device.begin_rotation(outside)).unwrap();
        rotate(&mut world, OTHER);
        let before = say(&mut world, 1, id);
        world.devices[CEM].faults.crash_in = Some(point);
        world.on(CEM, |device, outside| {
            device.resume_rotation(outside)?;
            device.sync(outside)
        });
        let crashed = world.outside.ledger.crashes > 0;
        let meanwhile = say(&mut world, OTHER, id);
        everybody(&mut world);
        world.on(CEM, ends).unwrap();
        everybody(&mut world);
        for message in [before, meanwhile] {
            assert!((0..4).all(|who| shows(&mut world, who, id, message)), "point {point}");
        }
        all_hear(&mut world, id);
        for who in 0..4 {
            assert_eq!(versions(&mut world, who, id), [2, 2], "point {point}, {who}");
        }
        if !crashed {
            assert!(point > 10, "too few points: {point}");
            break;
        }
    }
}
