//! Members whose chains are long, as those of all are after some years: they come into groups, more of them than fit into one commit, and
//! whoever cannot have such a chain is kept from nothing by it.

use std::collections::BTreeSet;
use std::sync::Arc;

use waxwing_protocol::{AccountKey, DeviceKeys, DeviceSeeds, statement};
use waxwing_wire::{AccountId, LogId, VerifiedChain};

use super::super::claims;
use super::faults::{change, everybody, say, shows};
use super::world::World;
use crate::mls::{Group, GroupChange};
use crate::random;
use crate::store::conversations::ConversationId;
use crate::store::{conversations, keys, logs, outbox};

/// Somebody's device keys have been rotated so many times, long ago. The others do not know of it.
pub(super) fn grow(world: &mut World, who: usize, entries: u32) {
    let World { outside, devices, .. } = world;
    let device = &mut devices[who];
    let (me, account_key) = (device.account, AccountKey::from_seed(&device.kept.account_seed));
    let mut chain: VerifiedChain = device.look(|tx| keys::chain(tx, me)).unwrap();
    let (from, mut fresh) = (chain.seq() + 1, Vec::new());
    for _ in 0..entries {
        let (seeds, version) = (DeviceSeeds::generate(&mut random::rng()), device.kept.key_version + 1);
        (device.kept.seeds, device.kept.key_version) = (*seeds.to_bytes(), version);
        let keys = DeviceKeys::new(device.device, version, seeds).unwrap();
        let entry = statement::rotate_device_keys(&chain, &account_key, &keys, 0).as_bytes().to_vec();
        chain.extend(&entry).unwrap();
        outside.relay.forge_chain(me, entry.clone());
        fresh.push(entry);
    }
    outside.relay.packages.remove(&device.device);
    device.tx(|tx| keys::add_chain_entries(tx, me, from, &fresh)).unwrap();
    device.restart(outside);
    device.refill_key_packages(outside).unwrap();
}

/// Nothing is known there of somebody.
fn forget(world: &mut World, who: usize, whom: AccountId) {
    let World { outside, devices, .. } = world;
    for table in ["chain_entries", "contacts"] {
        let forget = format!("DELETE FROM {table} WHERE account = ?1");
        devices[who].db.execute(&forget, [whom.as_bytes()]).unwrap();
    }
    devices[who].restart(outside);
}

/// The log that is written to, and who has a leaf in its group.
pub(super) fn members(world: &mut World, who: usize, id: ConversationId) -> (LogId, BTreeSet<AccountId>) {
    let crypto = Arc::clone(&world.devices[who].crypto);
    world.devices[who].look(|tx| {
        let log = logs::to_send(tx, &id)?.unwrap().log;
        let leaves = Group::load(&crypto, tx, log)?.unwrap().leaves()?;
        Ok((log, leaves.iter().map(|leaf| leaf.identity.account).collect()))
    })
}

fn everyone(world: &World) -> BTreeSet<AccountId> {
    world.devices.iter().map(|device| device.account).collect()
}

/// Nothing is said to be wrong, and nothing waits.
fn is_well(world: &mut World, who: usize, id: ConversationId) {
    let (problem, waiting) =
        world.devices[who].look(|tx| Ok((conversations::load(tx, &id)?.problem(), outbox::changes(tx, &id)?.len())));
    assert_eq!((problem, waiting), (None, 0));
}

#[test]
fn a_group_of_people_with_long_chains_is_made_and_begun_anew() {
    let mut world = World::new(7, 20);
    // 19 chains of 20 entries are more than an envelope holds.
    for who in 1..world.devices.len() {
        grow(&mut world, who, 19);
    }
    let (all, others) = (everyone(&world), world.others(0));
    let id = world.create_with(0, &others);
    // Said at once, it is for all of them.
    let first = say(&mut world, 0, id);
    let (log, here) = members(&mut world, 0, id);
    assert_eq!(here, all);
    is_well(&mut world, 0, id);
    let few = [1, 10, 19];
    // What is for inboxes goes out with the next pass.
    let some = [0].into_iter().chain(few).chain(few);
    for who in some.clone() {
        world.on(who, |device, outside| device.sync(outside));
    }
    for who in few {
        assert!(shows(&mut world, who, id, first), "{who}");
    }
    // Nobody can write there any more, and an admin begins anew with all of them.
    world.devices[0].tx(|tx| logs::note_trouble(tx, log, logs::Trouble::Frozen)).unwrap();
    world.on(0, |device, outside| device.mend(outside, log)).unwrap();
    let second = say(&mut world, 0, id);
    let (new, here) = members(&mut world, 0, id);
    assert_ne!(new, log);
    assert_eq!(here, all, "somebody is left outside");
    is_well(&mut world, 0, id);
    for who in some {
        world.on(who, |device, outside| device.sync(outside));
    }
    for who in few {
        assert!(shows(&mut world, who, id, second), "{who}");
    }
}

/// A group of three, and a fourth, of whom the second and third know nothing, comes in with so many entries; then their relay is gone.
pub(super) fn with_a_newcomer(entries: u32) -> (World, ConversationId) {
    let mut world = World::new(7, 4);
    grow(&mut world, 3, entries);
    let dot = world.devices[3].account;
    for who in [1, 2] {
        forget(&mut world, who, dot);
    }
    let others = [world.devices[1].account, world.devices[2].account];
    let id = world.create_with(0, &others);
    everybody(&mut world);
    let bea = world.devices[1].account;
    change(&mut world, 0, id, &GroupChange::SetRole { account: bea, admin: true });
    change(&mut world, 0, id, &GroupChange::Add(vec![dot]));
    world.outside.relay.dark.insert(dot);
    everybody(&mut world);
    (world, id)
}

/// More entries than one part holds come along in several.
#[test]
fn d13_the_chain_of_whoever_is_added_comes_along_in_parts() {
    let (mut world, id) = with_a_newcomer(70);
    let dot = world.devices[3].account;
    for who in [1, 2] {
        let known = world.devices[who].look(|tx| Ok(keys::chain_entries(tx, dot)?.len()));
        assert_eq!(known, 71, "{who}");
    }
    let message = say(&mut world, 1, id);
    everybody(&mut world);
    for who in 0..4 {
        assert!(shows(&mut world, who, id, message), "{who}");
    }
}

/// A chain that is too long to come along, of somebody whose relay does not answer: that keeps nobody from sending, and they hear it later.
#[test]
fn d13_a_member_whose_chain_cannot_be_had_keeps_nobody_from_sending() {
    let (mut world, id) = with_a_newcomer(130);
    let messages = [say(&mut world, 1, id), say(&mut world, 1, id)];
    everybody(&mut world);
    for message in messages {
        for who in 0..4 {
            assert_eq!(shows(&mut world, who, id, message), who != 3, "{who}");
        }
    }
    // Their relay answers: what was sealed without them is said again, once.
    world.outside.relay.dark.clear();
    everybody(&mut world);
    for message in messages {
        for who in 0..4 {
            assert!(shows(&mut world, who, id, message), "{who}");
        }
    }
    let log = members(&mut world, 1, id).0;
    let entries = world.outside.relay.logs[&log].entries.len();
    everybody(&mut world);
    assert_eq!(world.outside.relay.logs[&log].entries.len(), entries, "it is said again and again");
}

/// The same for what changes the group: somebody is taken out all the same, and whoever could not be told comes back in.
#[test]
fn d13_a_member_whose_chain_cannot_be_had_keeps_nobody_from_being_removed() {
    let (mut world, id) = with_a_newcomer(130);
    let (cem, dot) = (world.devices[2].account, world.devices[3].account);
    // Dot is out of step until she is let back in.
    world.outside.ledger.misled.insert(dot);
    change(&mut world, 1, id, &GroupChange::Remove(cem));
    let message = say(&mut world, 1, id);
    everybody(&mut world);
    assert!(!members(&mut world, 0, id).1.contains(&cem));
    assert!(shows(&mut world, 0, id, message));
    world.outside.relay.dark.clear();
    everybody(&mut world);
    // Whoever was asked first may not have known her, or answers when she has asked anew; she asks again after a day, and is answered once a day.
    for _ in 0..3 {
        if !shows(&mut world, 3, id, message) {
            world.outside.now += 25 * 60 * 60 * 1000;
            world.settle();
        }
    }
    assert!(shows(&mut world, 3, id, message), "what was said without her is lost");
    let message = say(&mut world, 3, id);
    world.settle();
    for who in [0, 1, 3] {
        assert!(shows(&mut world, who, id, message), "{who}");
    }
}

/// What would leave somebody out of step without their knowing waits, and nothing waits for it.
#[test]
fn d13_a_change_that_somebody_would_not_hear_of_waits_and_holds_up_no_words() {
    let (mut world, id) = with_a_newcomer(130);
    change(&mut world, 1, id, &GroupChange::Rename("Owls".to_owned()));
    let message = say(&mut world, 1, id);
    everybody(&mut world);
    assert!(shows(&mut world, 2, id, message));
    let title = |world: &mut World, who: usize| world.devices[who].look(|tx| Ok(conversations::load(tx, &id)?.title));
    assert_eq!(title(&mut world, 2), "Birds");
    // Nobody has lost their place by it.
    let heard = say(&mut world, 3, id);
    everybody(&mut world);
    assert!(shows(&mut world, 0, id, heard));
    world.outside.relay.dark.clear();
    world.settle();
    for who in 0..4 {
        assert_eq!(title(&mut world, who), "Owls", "{who}");
        assert!(shows(&mut world, who, id, message) && shows(&mut world, who, id, heard), "{who}");
    }
}

/// In a conversation of two there is nobody else to say it to: it waits.
#[test]
fn what_is_said_to_one_whose_chain_cannot_be_had_waits() {
    let mut world = World::new(7, 2);
    let bea = world.devices[1].account;
    let id = world.on(0, |device, outside| device.start_direct(outside, bea)).unwrap();
    everybody(&mut world);
    world.devices[0].db.execute("DELETE FROM chain_entries WHERE account = ?1", [bea.as_bytes()]).unwrap();
    world.outside.relay.dark.insert(bea);
    let World { outside, devices, .. } = &mut world;
    devices[0].restart(outside);
    let message = waxwing_wire::MessageId::from_bytes([9; 16]);
    world.on(0, |device, outside| device.send(outside, id, message)).unwrap();
    let World { outside, devices, .. } = &mut world;
    devices[0].flush(outside).unwrap_err();
    let waiting = devices[0].look(|tx| Ok(outbox::messages(tx, &id)?.into_iter().any(|item| item.sealed.is_none())));
    assert!(waiting, "it was sealed for nobody");
    world.outside.relay.dark.clear();
    everybody(&mut world);
    assert!(shows(&mut world, 1, id, message));
}

/// Should a commit be longer than was reckoned, nobody is lost: it is made in two, before what was said after them.
#[test]
fn an_add_that_is_too_long_is_halved_before_what_follows_it() {
    let (mut world, id) = super::faults::group(2);
    let people: Vec<_> = (1..=5).map(|n| AccountId::from_bytes([n; 16])).collect();
    let log = members(&mut world, 0, id).0;
    let add = GroupChange::Add(people.clone()).encode().unwrap();
    let message = waxwing_wire::MessageId::from_bytes([9; 16]);
    let waiting = world.devices[0].tx(|tx| {
        outbox::push_change(tx, &id, log, &add, 0)?;
        outbox::push(tx, &id, Some(message), b"text")?;
        let item = outbox::head(tx, &id, 1)?.unwrap();
        assert!(claims::halve(tx, (item.n, &id, log), &item.content)?);
        let heads = std::iter::from_fn(|| {
            let head = outbox::head(tx, &id, 1).unwrap()?;
            outbox::remove(tx, head.n).unwrap();
            Some(head)
        });
        Ok(heads.collect::<Vec<_>>())
    });
    let waiting = waiting.unwrap();
    assert_eq!(waiting.last().unwrap().message, Some(message), "it is said to half of them");
    let mut here = Vec::new();
    for item in &waiting[..waiting.len() - 1] {
        let GroupChange::Add(some) = GroupChange::decode(&item.content).unwrap() else { panic!("not an addition") };
        assert!(some.len() <= 3);
        here.extend(some);
        let alone = GroupChange::Add(vec![people[0]]).encode().unwrap();
        assert!(!world.devices[0].tx(|tx| claims::halve(tx, (item.n, &id, log), &alone)).unwrap(), "one person is one");
    }
    here.sort_unstable();
    assert_eq!(here, people);
}
