//! Scheduled rotations and many of them, among devices in memory: spread updates, crashes anywhere, keys that are erased.

use std::collections::HashSet;

use waxwing_wire::{LogId, MessageId};

use super::super::outcome;
use super::faults::{change, everybody, group, requests, rotate, say, shows};
use super::world::World;
use crate::error::ErrorCode;
use crate::mls::{Group, GroupChange};
use crate::store::conversations::ConversationId;
use crate::store::{conversations, keys, logs, messages, outbox};
use crate::views::{MessageState, RotationOutcomeView, RotationWait, Standing};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const HOUR_MS: u64 = 60 * 60 * 1000;

/// A group that is past the updates that come after joining; its rotations are scheduled ones.
fn setting(people: usize) -> (World, ConversationId) {
    let (mut world, id) = group(people);
    world.settle();
    world.outside.spreads = true;
    (world, id)
}

fn outcome(world: &mut World, who: usize) -> RotationOutcomeView {
    let context = world.devices[who].context(world.outside.now);
    world.devices[who].look(|tx| outcome::of_rotation(tx, &context)).unwrap()
}

/// When each update of an own leaf is to go out.
fn updates(world: &mut World, who: usize) -> Vec<u64> {
    let change = GroupChange::RotateUpdate.encode().unwrap();
    world.devices[who].look(|tx| {
        let mut times = Vec::new();
        for log in logs::active(tx)? {
            let changes = outbox::changes(tx, &log.conversation)?;
            times.extend(changes.iter().filter(|item| *item.content == change).map(|item| item.not_before_ms));
        }
        Ok(times)
    })
}

fn leaf(world: &mut World, who: usize, log: LogId) -> u32 {
    let crypto = world.devices[who].crypto.clone();
    world.devices[who].look(|tx| Ok(Group::load(&crypto, tx, log)?.unwrap().own_leaf()?.identity.key_version))
}

fn old_versions(world: &mut World, who: usize) -> u32 {
    world.devices[who].look(keys::old_versions)
}

/// A day goes by, and everybody is there now and then.
fn a_day(world: &mut World) {
    for _ in 0..25 {
        world.outside.now += HOUR_MS;
        everybody(world);
    }
}

fn log_of(world: &mut World, who: usize, id: ConversationId) -> LogId {
    world.devices[who].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap().log))
}

#[test]
fn a_scheduled_rotation_spreads_its_updates_and_holds_up_no_message() {
    let (mut world, first) = setting(3);
    let others = world.others(0);
    let ids: Vec<_> = (0..6).map(|_| world.create_with(0, &others)).chain([first]).collect();
    everybody(&mut world);
    let now = world.outside.now;
    world.on(0, |device, outside| {
        device.begin_rotation(outside)?;
        device.resume_rotation(outside)
    });
    let times = updates(&mut world, 0);
    assert_eq!(times.len(), ids.len());
    assert!(times.iter().all(|time| (now..now + DAY_MS).contains(time)), "{times:?}");
    assert!(times.iter().collect::<HashSet<_>>().len() > 1, "all at one time");
    let sorted = times.is_sorted() || times.iter().rev().is_sorted();
    assert!(!sorted || times.len() < 5, "in the order of the logs (once in 2,520 times by chance)");
    let seen = outcome(&mut world, 0);
    assert_eq!((seen.version, seen.scheduled, seen.conversations, seen.updated), (2, true, 7, 0));
    assert!(seen.waiting.iter().all(|wait| wait.why == RotationWait::Later && wait.due.is_some()), "{seen:?}");

    // Words go out before the update has its turn, under the leaf as it is; and words come in for the old sealing keys and the new.
    let log = log_of(&mut world, 0, first);
    let (mine, theirs) = (say(&mut world, 0, first), say(&mut world, 1, first));
    assert_eq!(leaf(&mut world, 0, log), 1);
    for who in 0..3 {
        world.on(who, |device, outside| device.sync(outside));
    }
    assert!(shows(&mut world, 1, first, mine) && shows(&mut world, 0, first, theirs));
    a_day(&mut world);
    assert_eq!(leaf(&mut world, 0, log), 2);
    let seen = outcome(&mut world, 0);
    assert_eq!((seen.conversations, seen.updated, seen.waiting.len()), (7, 7, 0));
    assert!(updates(&mut world, 0).is_empty());
    let after = say(&mut world, 1, first);
    everybody(&mut world);
    assert!(shows(&mut world, 0, first, after));
}

#[test]
fn by_hand_all_go_at_once_and_what_the_schedule_had_queued_with_them() {
    let (mut world, id) = setting(2);
    rotate(&mut world, 0);
    assert!(updates(&mut world, 0)[0] >= world.outside.now);
    world.outside.spreads = false;
    rotate(&mut world, 0);
    assert_eq!(updates(&mut world, 0), [0], "one update for each group, and it does not wait");
    everybody(&mut world);
    let log = log_of(&mut world, 0, id);
    assert_eq!(leaf(&mut world, 0, log), 3);
    let seen = outcome(&mut world, 0);
    assert_eq!((seen.version, seen.scheduled, seen.conversations, seen.updated), (3, false, 1, 1));
}

/// Goes down at every point of a scheduled rotation and of what comes after it, once at each.
#[test]
fn d2_a_crash_anywhere_in_a_scheduled_rotation_loses_nothing() {
    let mut fell = HashSet::new();
    for point in 0.. {
        let (mut world, id) = setting(2);
        let before = say(&mut world, 1, id);
        world.devices[0].faults.crash_in = Some(point);
        world.on(0, |device, outside| {
            device.begin_rotation(outside)?;
            device.resume_rotation(outside)?;
            device.sync(outside)
        });
        let crashed = world.outside.ledger.crashes > 0;
        // Before the journal was written nothing has begun; the schedule would begin it again.
        let begun = world.devices[0].look(keys::rotation).is_some() || world.devices[0].keys.key_version() == 2;
        fell.insert(begun);
        let meanwhile = say(&mut world, 1, id);
        everybody(&mut world);
        a_day(&mut world);
        let after = say(&mut world, 0, id);
        everybody(&mut world);
        let version = if begun { 2 } else { 1 };
        assert_eq!(world.devices[0].keys.key_version(), version, "point {point}");
        let log = log_of(&mut world, 0, id);
        assert_eq!(leaf(&mut world, 0, log), version, "point {point}");
        for message in [before, meanwhile] {
            assert!(shows(&mut world, 0, id, message), "point {point}");
        }
        assert!(shows(&mut world, 1, id, after), "point {point}");
        if begun {
            let seen = outcome(&mut world, 0);
            assert_eq!((seen.scheduled, seen.conversations, seen.updated), (true, 1, 1), "point {point}");
        }
        if !crashed {
            assert!(point > 10, "too few points: {point}");
            break;
        }
    }
    assert_eq!(fell.len(), 2);
}

/// An update that nobody has queued (it was refused, say) is queued again.
#[test]
fn a_group_that_was_left_out_is_made_up_for() {
    let (mut world, id) = setting(2);
    rotate(&mut world, 0);
    let log = log_of(&mut world, 0, id);
    // What is known of the leaf is asked for when it is shown.
    assert_eq!(outcome(&mut world, 0).updated, 0);
    world.on(0, |device, _| device.tx(|tx| outbox::remove_changes(tx, log)));
    assert!(updates(&mut world, 0).is_empty());
    a_day(&mut world);
    a_day(&mut world);
    assert_eq!(leaf(&mut world, 0, log), 2);
    assert_eq!(outcome(&mut world, 0).updated, 1);
}

/// A clock that was ahead when the updates were queued must not hold them back for years.
#[test]
fn updates_from_a_wrong_clock_are_brought_forward() {
    let (mut world, id) = setting(2);
    let now = world.outside.now;
    world.outside.now += 5 * 365 * DAY_MS;
    rotate(&mut world, 0);
    world.outside.now = now;
    assert!(updates(&mut world, 0)[0] > now + 2 * DAY_MS);
    a_day(&mut world);
    a_day(&mut world);
    let log = log_of(&mut world, 0, id);
    assert_eq!(leaf(&mut world, 0, log), 2);
}

/// Both ways: what one says before the other has rotated is read after it, and after any number of rotations.
fn many_rotations(world: &mut World, id: ConversationId) -> Vec<(usize, MessageId)> {
    let mut said = Vec::new();
    for turn in 0..20 {
        said.push((0, say(world, 0, id)));
        // On the wire while the keys that it is sealed to are replaced.
        said.push((1, say(world, 1, id)));
        rotate(world, 0);
        said.push((0, say(world, 0, id)));
        said.push((1, say(world, 1, id)));
        if turn % 3 == 0 {
            rotate(world, 1);
        }
        if turn % 2 == 1 {
            everybody(world);
            world.on(0, |device, outside| device.tend_keys(outside));
            let old = old_versions(world, 0);
            assert!(old <= 5, "{old} old versions after {turn} rotations");
        }
    }
    everybody(world);
    said
}

#[test]
fn twenty_rotations_in_a_row_lose_nothing_and_show_nothing_twice() {
    for spreads in [false, true] {
        let (mut world, id) = setting(2);
        world.outside.spreads = spreads;
        let said = if spreads {
            // A scheduled one comes a week after the other at the earliest.
            let mut said = Vec::new();
            for _ in 0..20 {
                said.push((1, say(&mut world, 1, id)));
                rotate(&mut world, 0);
                said.push((0, say(&mut world, 0, id)));
                said.push((1, say(&mut world, 1, id)));
                for _ in 0..7 {
                    world.outside.now += DAY_MS;
                    world.on(0, |device, outside| device.sync(outside));
                }
                everybody(&mut world);
                assert!(old_versions(&mut world, 0) <= 5);
            }
            said
        } else {
            let said = many_rotations(&mut world, id);
            world.on(0, |device, outside| device.tend_keys(outside));
            said
        };
        for (who, message) in &said {
            assert!(shows(&mut world, 1 - who, id, *message), "spread: {spreads}; {message:?} is lost or shown twice");
        }
        assert_eq!(world.devices[0].keys.key_version(), 21);
        assert_eq!(old_versions(&mut world, 0), 5, "six versions with the one in force");
        let log = log_of(&mut world, 0, id);
        assert_eq!(leaf(&mut world, 0, log), 21);
    }
}

/// Six at most, but not at the cost of a message: whoever has not got an update may know no newer key.
#[test]
fn more_than_six_versions_stay_while_a_group_knows_no_newer_one() {
    let (mut world, id) = setting(2);
    for _ in 0..9 {
        rotate(&mut world, 0);
        // Reads and tends the keys, and sends nothing: each update waits for its time.
        world.on(0, |device, outside| device.sync(outside));
    }
    assert_eq!(old_versions(&mut world, 0), 9);
    let message = say(&mut world, 1, id);
    world.on(0, |device, outside| device.sync(outside));
    assert!(shows(&mut world, 0, id, message), "it was sealed to the first version");
    a_day(&mut world);
    assert_eq!(old_versions(&mut world, 0), 5);
    let device_keys = world.devices[0].look(|tx| {
        let kept: Vec<u32> =
            (1..10).filter(|version| keys::old_device_keys(tx, *version).is_ok_and(|k| k.is_some())).collect();
        Ok(kept)
    });
    assert!(device_keys.iter().all(|version| *version >= 5), "{device_keys:?}");
}

/// The versions whose leaf keys are kept.
fn leaf_keys(world: &mut World, who: usize) -> Vec<u32> {
    let kept = |tx: &rusqlite::Transaction<'_>, version| keys::old_device_keys(tx, version).map(|keys| keys.is_some());
    world.devices[who].look(|tx| Ok((1..20).filter(|version| kept(tx, *version).unwrap()).collect()))
}

/// The leaf of a group that one has not accepted is renewed by nobody: whoever sent the Welcome must not keep old keys alive with it.
#[test]
fn p12_an_open_request_keeps_no_more_versions_than_others() {
    let (mut world, id) = requests();
    world.outside.spreads = true;
    for _ in 0..9 {
        rotate(&mut world, 1);
        everybody(&mut world);
    }
    assert_eq!(old_versions(&mut world, 1), 5);
    assert!(leaf_keys(&mut world, 1).contains(&1), "it is too early: one may still accept");
    world.on(1, |device, outside| device.accept(outside, id)).unwrap();
    everybody(&mut world);
    let message = say(&mut world, 1, id);
    everybody(&mut world);
    assert!(shows(&mut world, 0, id, message));
}

#[test]
fn a_request_between_two_is_accepted_after_its_keys_were_erased() {
    let mut world = World::new(7, 2);
    world.outside.spreads = true;
    let (ada, bea) = (world.devices[0].account, world.devices[1].account);
    world.devices[1].db.execute("DELETE FROM contacts WHERE account = ?1", [ada.as_bytes()]).unwrap();
    let id = world.on(0, |device, outside| device.start_direct(outside, bea)).unwrap();
    let first = say(&mut world, 0, id);
    everybody(&mut world);
    let standing = world.devices[1].look(|tx| Ok(conversations::load(tx, &id)?.standing));
    assert_eq!(standing, Standing::Request);
    for _ in 0..4 {
        rotate(&mut world, 1);
    }
    everybody(&mut world);
    assert!(leaf_keys(&mut world, 1).contains(&1), "the control");
    world.outside.now += 130 * DAY_MS;
    everybody(&mut world);
    assert!(!leaf_keys(&mut world, 1).contains(&1));
    world.on(1, |device, outside| device.accept(outside, id)).unwrap();
    everybody(&mut world);
    let (mine, theirs) = (say(&mut world, 1, id), say(&mut world, 0, id));
    everybody(&mut world);
    assert!(shows(&mut world, 0, id, mine) && shows(&mut world, 1, id, theirs) && shows(&mut world, 1, id, first));
}

/// In a group whose own leaf cannot speak any more one says so, and can still leave.
#[test]
fn a_group_request_whose_keys_were_erased_says_so_when_it_is_accepted() {
    let (mut world, id) = requests();
    world.outside.spreads = true;
    for _ in 0..4 {
        rotate(&mut world, 1);
    }
    // Her newer keys are known from her relay's log, also to those who renew their own leaves meanwhile.
    let bea = world.devices[1].account;
    for who in [0, 2] {
        world.on(who, |device, outside| device.refresh_chain(outside, bea)).unwrap();
    }
    world.outside.now += 130 * DAY_MS;
    everybody(&mut world);
    assert!(!leaf_keys(&mut world, 1).contains(&1));
    let problem = |world: &mut World| {
        let problem = world.devices[1].look(|tx| Ok(conversations::load(tx, &id)?.problem()));
        problem.map(|problem| problem.code)
    };
    world.on(1, |device, outside| device.accept(outside, id)).unwrap();
    assert_eq!(problem(&mut world), Some(ErrorCode::LeafKeysErased), "it is not said before she has written");
    assert!(world.devices[1].look(|tx| outbox::messages(tx, &id)).is_empty(), "she introduces herself to nobody");
    everybody(&mut world);
    assert_eq!(problem(&mut world), Some(ErrorCode::LeafKeysErased));
    // Nothing is tried again and again, and what others say is still read.
    a_day(&mut world);
    assert!(world.devices[1].look(|tx| outbox::changes(tx, &id)).is_empty());
    let message = say(&mut world, 0, id);
    everybody(&mut world);
    assert!(shows(&mut world, 1, id, message));
    // What she writes all the same is said to have failed, and why.
    let mute = say(&mut world, 1, id);
    let line = world.devices[1].look(|tx| messages::load(tx, bea, mute)).unwrap();
    let why = line.error.map(|error| error.code);
    assert_eq!((line.state, why), (MessageState::Failed, Some(ErrorCode::LeafKeysErased)));
    // What she is told to do helps: an admin removes her and adds her again.
    change(&mut world, 0, id, &GroupChange::Remove(bea));
    everybody(&mut world);
    change(&mut world, 0, id, &GroupChange::Add(vec![bea]));
    everybody(&mut world);
    if world.devices[1].look(|tx| Ok(conversations::load(tx, &id)?.standing)) == Standing::Request {
        world.on(1, |device, outside| device.accept(outside, id)).unwrap();
    }
    assert_eq!(problem(&mut world), None);
    let heard = say(&mut world, 1, id);
    everybody(&mut world);
    assert!(shows(&mut world, 0, id, heard));
}
