//! A log that somebody has filled up: what is said waits, the conversation says so, and after an hour an admin begins anew.

use waxwing_wire::{LogId, MessageId};

use super::super::full::{AGAIN_MS, FULL_MS};
use super::faults::{everybody, group, say, shows};
use super::world::World;
use crate::error::ErrorCode;
use crate::mls::GroupChange;
use crate::store::conversations::ConversationId;
use crate::store::{account, conversations, links, logs, messages, outbox, people};
use crate::views::{MessageState, Notice};

/// Ada (admin), bea, cem; nothing waits.
fn setting() -> (World, ConversationId, LogId) {
    let (mut world, id) = group(3);
    world.settle();
    let log = world.devices[0].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap().log));
    (world, id, log)
}

fn state(world: &mut World, who: usize, message: MessageId) -> MessageState {
    let me = world.devices[who].account;
    world.devices[who].look(|tx| messages::load(tx, me, message)).unwrap().state
}

fn problem(world: &mut World, who: usize, id: ConversationId) -> Option<ErrorCode> {
    world.devices[who].look(|tx| Ok(conversations::load(tx, &id)?.problem().map(|view| view.code)))
}

fn log_of(world: &mut World, who: usize, id: ConversationId) -> LogId {
    world.devices[who].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap().log))
}

fn title(world: &mut World, who: usize, id: ConversationId) -> String {
    world.devices[who].look(|tx| Ok(conversations::load(tx, &id)?.title))
}

/// An admin's change that waits.
fn wants(world: &mut World, who: usize, id: ConversationId, change: &GroupChange) {
    assert_eq!(world.on(who, |device, _| device.change(id, change)), Some(true));
    world.on(who, |device, outside| device.flush(outside));
}

/// However long it is full: what others say there meanwhile would be lost to whoever begins anew.
#[test]
fn p13_texts_wait_in_a_full_log_until_it_has_room() {
    let (mut world, id, log) = setting();
    world.outside.relay.full.insert(log, false);
    let said = [0, 1, 1].map(|who| (who, say(&mut world, who, id)));
    for (who, message) in said {
        assert_eq!(state(&mut world, who, message), MessageState::Sending);
        assert_eq!(problem(&mut world, who, id), Some(ErrorCode::LogFull));
    }
    // There is room for changes: one that comes after what waits is made.
    wants(&mut world, 0, id, &GroupChange::Rename("Fish".to_owned()));
    everybody(&mut world);
    assert_eq!(title(&mut world, 1, id), "Fish");
    for _ in 0..3 {
        world.outside.now += FULL_MS;
        everybody(&mut world);
        assert!((0..3).all(|who| log_of(&mut world, who, id) == log));
    }
    assert_eq!(state(&mut world, 1, said[1].1), MessageState::Sending);
    world.outside.relay.full.clear();
    world.outside.now += AGAIN_MS;
    everybody(&mut world);
    for who in 0..3 {
        assert_eq!((problem(&mut world, who, id), log_of(&mut world, who, id)), (None, log), "{who}");
        for (by, message) in said {
            assert!(shows(&mut world, who, id, message), "{who} has not heard {by}");
        }
    }
    world.settle();
}

/// No room for changes either: what an admin wanted is done in the new group, and whoever was to go is not brought along.
#[test]
fn p13_changes_wait_in_a_full_log_and_are_made_in_the_one_that_comes_after() {
    let (mut world, id, log) = setting();
    let (bea, cem) = (world.devices[1].account, world.devices[2].account);
    world.outside.relay.full.insert(log, true);
    for change in [
        GroupChange::Remove(cem),
        GroupChange::SetRole { account: bea, admin: true },
        GroupChange::Rename("Fish".to_owned()),
        GroupChange::Update,
    ] {
        wants(&mut world, 0, id, &change);
    }
    assert_eq!(problem(&mut world, 0, id), Some(ErrorCode::LogFull));
    // Bea's own, and her words behind it.
    wants(&mut world, 1, id, &GroupChange::Update);
    let message = MessageId::from_bytes([7; 16]);
    world.on(1, |device, outside| device.send(outside, id, message)).unwrap();
    everybody(&mut world);
    let waiting = [0, 1].map(|who| world.devices[who].look(|tx| outbox::changes(tx, &id)).len());
    assert_eq!(waiting, [4, 1], "they are dropped");
    world.outside.now += FULL_MS;
    everybody(&mut world);
    everybody(&mut world);
    for who in [0, 1] {
        assert_ne!(log_of(&mut world, who, id), log, "{who} is where it was");
        assert_eq!((problem(&mut world, who, id), title(&mut world, who, id)), (None, "Fish".to_owned()));
        assert!(shows(&mut world, who, id, message), "{who}");
        let here = world.devices[who].look(|tx| people::of(tx, &id));
        let of = |account| here.iter().find(|one| one.account == account).map(|one| one.admin);
        assert_eq!((here.len(), of(bea), of(cem)), (2, Some(true), None), "{who}");
    }
    assert!(world.devices[0].look(|tx| outbox::changes(tx, &id)).is_empty(), "something waits still");
    assert_eq!(log_of(&mut world, 2, id), log);
    assert!(world.devices[0].look(|tx| links::is_removed(tx, &id, cem)));
    let told = world.devices[0].look(|tx| {
        let page = messages::page(tx, &account::require(tx)?, &id, None, 500)?;
        let removed =
            |line: &&crate::views::MessageView| matches!(line.notice, Some(Notice::Removed { mine: true, .. }));
        Ok(page.messages.iter().filter(removed).count())
    });
    assert_eq!(told, 1);
    let message = say(&mut world, 0, id);
    everybody(&mut world);
    assert!(shows(&mut world, 1, id, message) && !shows(&mut world, 2, id, message));
}

/// Of two people either may.
#[test]
fn a_log_of_two_people_that_is_full_for_changes_is_begun_anew_by_either() {
    let mut world = World::new(7, 2);
    let bea = world.devices[1].account;
    let id = world.on(0, |device, outside| device.start_direct(outside, bea)).unwrap();
    everybody(&mut world);
    world.settle();
    let log = log_of(&mut world, 1, id);
    world.outside.relay.full.insert(log, true);
    let message = say(&mut world, 1, id);
    wants(&mut world, 1, id, &GroupChange::Update);
    world.outside.now += FULL_MS;
    everybody(&mut world);
    everybody(&mut world);
    assert!((0..2).all(|who| shows(&mut world, who, id, message) && log_of(&mut world, who, id) != log));
    let message = say(&mut world, 0, id);
    everybody(&mut world);
    assert!(shows(&mut world, 1, id, message));
}

/// Two admins may find it at once, and each leave out whom they were about to take out: all end in one group all the same.
#[test]
fn p13_two_admins_who_give_up_a_full_log_at_once_end_in_one_group() {
    let (mut world, id, log) = setting();
    let (bea, cem) = (world.devices[1].account, world.devices[2].account);
    wants(&mut world, 0, id, &GroupChange::SetRole { account: bea, admin: true });
    everybody(&mut world);
    world.outside.relay.full.insert(log, true);
    wants(&mut world, 0, id, &GroupChange::Remove(cem));
    wants(&mut world, 1, id, &GroupChange::Rename("Fish".to_owned()));
    world.outside.now += FULL_MS;
    for who in [0, 1] {
        world.on(who, |device, outside| device.flush(outside));
        assert_ne!(log_of(&mut world, who, id), log, "{who}");
    }
    for _ in 0..3 {
        everybody(&mut world);
    }
    assert_eq!(log_of(&mut world, 0, id), log_of(&mut world, 1, id));
    for who in 0..2 {
        let message = say(&mut world, who, id);
        everybody(&mut world);
        assert!((0..2).all(|other| shows(&mut world, other, id, message)), "{who} is not heard");
    }
}

/// A wish to add somebody that waits for their key packages is over once an admin takes them out.
#[test]
fn whoever_is_taken_out_is_not_added_by_what_was_wanted_before() {
    let (mut world, id, log) = setting();
    let cem = world.devices[2].account;
    let context = world.devices[0].context(world.outside.now);
    let add = GroupChange::Add(vec![cem]).encode().unwrap();
    let later = context.now + FULL_MS;
    world.devices[0].tx(|tx| outbox::push_change(tx, &id, log, &add, later)).unwrap();
    wants(&mut world, 0, id, &GroupChange::Remove(cem));
    everybody(&mut world);
    assert!(world.devices[0].look(|tx| outbox::changes(tx, &id)).is_empty(), "it waits still");
    world.outside.now += 2 * FULL_MS;
    everybody(&mut world);
    let here = world.devices[0].look(|tx| people::of(tx, &id));
    assert!(here.iter().all(|one| one.account != cem), "cem is back");
    // What is wanted afterwards counts.
    wants(&mut world, 0, id, &GroupChange::Add(vec![cem]));
    everybody(&mut world);
    assert!(world.devices[0].look(|tx| people::of(tx, &id)).iter().any(|one| one.account == cem));
}
