//! Faults that the schedules have found, each alone, straight at it.

use waxwing_wire::MessageId;

use super::Halt;
use super::device::Device;
use super::ledger::Outside;
use super::world::World;
use crate::mls::GroupChange;
use crate::store::conversations::ConversationId;
use crate::store::{conversations, keys, messages};
use crate::views::{MessageState, Standing};

/// A group of `people`, of which everybody knows.
pub(super) fn group(people: usize) -> (World, ConversationId) {
    let mut world = World::new(7, people);
    let others = world.others(0);
    let id = world.create_with(0, &others);
    everybody(&mut world);
    (world, id)
}

/// Everybody reads and sends.
pub(super) fn everybody(world: &mut World) {
    for _ in 0..3 {
        for who in 0..world.devices.len() {
            world.on(who, |device, outside| device.sync(outside));
        }
    }
}

/// Somebody says something; its id is its text.
pub(super) fn say(world: &mut World, who: usize, id: ConversationId) -> MessageId {
    let message = MessageId::from_bytes(world.dice.bytes());
    world.on(who, |device, outside| device.send(outside, id, message)).unwrap();
    world.on(who, |device, outside| device.flush(outside)).unwrap();
    message
}

/// Whether the text is shown there, once.
pub(super) fn shows(world: &mut World, who: usize, id: ConversationId, message: MessageId) -> bool {
    let text = message.to_string();
    world.devices[who].look(|tx| {
        let me = crate::store::account::require(tx)?;
        let page = messages::page(tx, &me, &id, None, 500)?;
        Ok(page.messages.iter().filter(|line| line.text == text).count() == 1)
    })
}

pub(super) fn rotate(world: &mut World, who: usize) {
    world.on(who, |device, outside| {
        device.begin_rotation(outside)?;
        device.resume_rotation(outside)?;
        device.refill_key_packages(outside)
    });
}

pub(super) fn change(world: &mut World, who: usize, id: ConversationId, change: &GroupChange) {
    assert_eq!(world.on(who, |device, _| device.change(id, change)), Some(true));
    world.on(who, |device, outside| device.flush(outside)).unwrap();
}

#[test]
fn a_crash_between_keystore_and_database_keeps_the_keys_of_leaves() {
    let (mut world, id) = group(2);
    let World { outside, devices, .. } = &mut world;
    let ada = &mut devices[0];
    ada.begin_rotation(outside).unwrap();
    down_before_the_database_follows(ada, outside);
    ada.restart(outside);
    assert_eq!(ada.keys.key_version(), 2);
    assert!(ada.look(|tx| keys::old_device_keys(tx, 1)).is_some(), "the keys of the own leaves are gone");
    let message = say(&mut world, 0, id);
    everybody(&mut world);
    assert!(shows(&mut world, 1, id, message));
}

/// Two points of the request for the chain, two of the append; the next is the commit.
fn down_before_the_database_follows(ada: &mut Device, outside: &mut Outside) {
    ada.faults.crash_in = Some(4);
    assert!(matches!(ada.resume_rotation(outside), Err(Halt::Crash)));
    assert_eq!((ada.kept.key_version, ada.keys.key_version()), (2, 1), "not the place that was meant");
}

#[test]
fn what_was_not_sent_when_one_left_is_said_to_have_failed() {
    let (mut world, id) = group(2);
    let message = MessageId::from_bytes([9; 16]);
    world.on(1, |device, outside| device.send(outside, id, message)).unwrap();
    world.on(1, |device, outside| device.leave(outside, id)).unwrap();
    everybody(&mut world);
    let account = world.devices[1].account;
    let line = world.devices[1].look(|tx| messages::load(tx, account, message));
    assert_ne!(line.map(|line| line.state), Some(MessageState::Sending));
}

#[test]
fn whoever_rotates_after_leaving_is_taken_out_all_the_same() {
    let (mut world, id) = group(3);
    world.on(2, |device, outside| device.leave(outside, id)).unwrap();
    // The keys are replaced while the wish is on its way; `finish_rotation` replaces the leaf there too.
    rotate(&mut world, 2);
    world.settle();
    let people = world.devices[0].look(|tx| crate::store::people::of(tx, &id));
    assert_eq!(people.len(), 2);
}

#[test]
fn a_welcome_waits_through_two_rotations_of_its_sender() {
    let mut world = World::new(7, 2);
    let others = world.others(0);
    let id = world.create_with(0, &others);
    world.on(0, |device, outside| device.sync(outside));
    rotate(&mut world, 0);
    rotate(&mut world, 0);
    everybody(&mut world);
    assert_eq!(world.devices[1].look(|tx| Ok(conversations::load(tx, &id)?.standing)), Standing::Member);
}

#[test]
fn a_welcome_waits_through_two_rotations_of_its_receiver() {
    let (mut world, first) = group(2);
    let others = world.others(0);
    let id = world.create_with(0, &others);
    world.outside.relay.holds = true;
    world.on(0, |device, outside| device.sync(outside));
    for _ in 0..2 {
        rotate(&mut world, 1);
        world.on(1, |device, outside| device.sync(outside));
    }
    world.outside.relay.holds = false;
    world.outside.relay.release();
    everybody(&mut world);
    let message = say(&mut world, 1, id);
    everybody(&mut world);
    assert!(shows(&mut world, 0, id, message));
    assert_ne!(first, id);
}

#[test]
fn p5_a_welcome_that_comes_before_the_removal_is_not_lost() {
    let (mut world, id) = group(2);
    let bea = world.devices[1].account;
    world.outside.relay.holds = true;
    change(&mut world, 0, id, &GroupChange::Remove(bea));
    change(&mut world, 0, id, &GroupChange::Add(vec![bea]));
    world.on(0, |device, outside| device.sync(outside));
    // The newest first: the Welcome before the notice.
    world.outside.relay.holds = false;
    world.outside.relay.release();
    everybody(&mut world);
    let message = say(&mut world, 0, id);
    everybody(&mut world);
    assert!(shows(&mut world, 1, id, message));
}

/// The proof names no epoch: the same leaf key, back in the group, is still asking to leave.
#[test]
fn a_wish_to_leave_ends_with_its_answer() {
    let (mut world, id) = group(4);
    world.on(3, |device, outside| device.leave(outside, id)).unwrap();
    world.on(3, |device, outside| device.sync(outside));
    // Everybody reads the wish; whose turn it is answers, the others wait for their time.
    everybody(&mut world);
    let dot = world.devices[3].account;
    let here = |world: &mut World| world.devices[0].look(|tx| Ok(crate::store::people::of(tx, &id)?.len()));
    assert_eq!(here(&mut world), 3);
    change(&mut world, 0, id, &GroupChange::Add(vec![dot]));
    everybody(&mut world);
    assert_eq!(here(&mut world), 4);
    world.settle();
    assert_eq!(here(&mut world), 4, "a wish that was answered has taken her out again");
}

/// A group that somebody unknown has put one into: nothing is sent there, and that is no trouble.
pub(super) fn requests() -> (World, ConversationId) {
    let mut world = World::new(7, 3);
    let ada = world.devices[0].account;
    for device in &mut world.devices[1..] {
        device.db.execute("DELETE FROM contacts WHERE account = ?1", [ada.as_bytes()]).unwrap();
    }
    let others = world.others(0);
    let id = world.create_with(0, &others);
    everybody(&mut world);
    let standing = world.devices[1].look(|tx| Ok(conversations::load(tx, &id)?.standing));
    assert_eq!(standing, Standing::Request);
    (world, id)
}

#[test]
fn a_rotation_leaves_requests_alone() {
    let (mut world, id) = requests();
    rotate(&mut world, 1);
    everybody(&mut world);
    let problem = world.devices[1].look(|tx| Ok(conversations::load(tx, &id)?.problem()));
    assert!(problem.is_none(), "{problem:?}");
    // The leaf gets the new keys with the acceptance.
    world.on(1, |device, outside| device.accept(outside, id)).unwrap();
    everybody(&mut world);
    let message = say(&mut world, 1, id);
    everybody(&mut world);
    assert!(shows(&mut world, 0, id, message));
}

#[test]
fn a_wish_to_leave_that_was_read_before_one_accepted_is_answered() {
    let (mut world, id) = requests();
    world.on(0, |device, outside| device.leave(outside, id)).unwrap();
    everybody(&mut world);
    for who in [1, 2] {
        world.on(who, |device, outside| device.accept(outside, id)).unwrap();
    }
    world.settle();
    let people = world.devices[1].look(|tx| Ok(crate::store::people::of(tx, &id)?.len()));
    assert_eq!(people, 2, "whoever has left is there still");
}
