//! Members that lie: what they put into the log costs a slot or nothing, and everybody goes on alike.

use std::collections::HashSet;
use std::sync::Arc;

use waxwing_protocol::group::{ChainPart, CommitData, RosterRole};
use waxwing_protocol::{AccountKey, AppMessage, DeviceKeys, DeviceSeeds, statement};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{DeviceId, LogId, MessageId};

use super::super::entries;
use super::faults::{change, everybody, group, say, shows};
use super::forge::Forged;
use super::world::World;
use crate::mls::{GroupChange, Plan};
use crate::random;
use crate::store::conversations::ConversationId;
use crate::store::{account, keys, links, logs, messages, people};
use crate::views::Notice;

fn log_of(world: &mut World, id: ConversationId) -> LogId {
    world.devices[0].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap().log))
}

/// Everybody but the liar has set the entry aside for this reason.
fn all_set_aside(world: &mut World, liar: usize, reason: &str) {
    for who in (0..world.devices.len()).filter(|who| *who != liar) {
        let aside = world.devices[who].set_aside();
        assert!(aside.iter().any(|one| one.contains(reason)), "{}: {aside:?}", world.devices[who].name);
    }
}

/// All of them still hear each other, and agree in everything.
fn all_go_on(world: &mut World, id: ConversationId) {
    everybody(world);
    let people = world.devices.len();
    for who in 0..people {
        let message = say(world, who, id);
        everybody(world);
        for other in 0..people {
            assert!(shows(world, other, id, message), "{other} has not heard {who}");
        }
    }
    world.settle();
    world.check();
}

/// `liar` puts a handshake into the log.
fn handshake(world: &mut World, liar: usize, log: LogId, mls: Vec<u8>) {
    let device = &mut world.devices[liar];
    let (account, keys) = (device.account, device.keys.clone());
    let (id, blob) = device.envelope(log, EnvelopeKind::Handshake, mls, (account, &keys));
    world.outside.relay.inject(log, id, EnvelopeKind::Handshake, blob);
}

#[test]
fn p13_a_commit_by_a_non_admin_is_refused_by_all() {
    let (mut world, id) = group(4);
    let log = log_of(&mut world, id);
    let cem = world.devices[2].account;
    let mut roster = world.devices[1].roster(log);
    roster.remove(cem);
    let data = CommitData { rekey: true, ..CommitData::default() };
    let mls = world.devices[1].forge(log, Forged { remove: vec![cem], roster: Some(roster), data });
    handshake(&mut world, 1, log, mls);
    everybody(&mut world);
    all_set_aside(&mut world, 1, "it removes somebody without the right to");
    all_go_on(&mut world, id);
}

#[test]
fn p13_nobody_makes_themselves_an_admin() {
    let (mut world, id) = group(3);
    let log = log_of(&mut world, id);
    let bea = world.devices[1].account;
    let mut roster = world.devices[1].roster(log);
    let line = roster.line(bea).unwrap().clone();
    roster.set(waxwing_protocol::group::RosterLine { role: RosterRole::Admin, ..line });
    let mls = world.devices[1].forge(log, Forged { roster: Some(roster), ..Forged::default() });
    handshake(&mut world, 1, log, mls);
    everybody(&mut world);
    all_set_aside(&mut world, 1, "it changes the roster without the right to");
    all_go_on(&mut world, id);
}

#[test]
fn a_commit_that_says_wrongly_whether_it_rekeys_is_refused_by_all() {
    let (mut world, id) = group(3);
    let log = log_of(&mut world, id);
    // A self-update that keeps the channel secret: whoever stole it could read on.
    let mls = world.devices[0].forge(log, Forged::default());
    handshake(&mut world, 0, log, mls);
    everybody(&mut world);
    all_set_aside(&mut world, 0, "it sets a channel secret where none is due");
    // An admin's removal that keeps the old tokens: whoever is removed could read on.
    let cem = world.devices[2].account;
    let mut roster = world.devices[0].roster(log);
    roster.remove(cem);
    let mls = world.devices[0].forge(log, Forged { remove: vec![cem], roster: Some(roster), ..Forged::default() });
    handshake(&mut world, 0, log, mls);
    everybody(&mut world);
    assert_eq!(world.devices[1].set_aside().len(), 2);
    all_go_on(&mut world, id);
}

#[test]
fn a_members_garbage_costs_a_slot_and_nothing_else() {
    let (mut world, id) = group(3);
    let log = log_of(&mut world, id);
    handshake(&mut world, 1, log, b"no MLS message at all".to_vec());
    everybody(&mut world);
    all_set_aside(&mut world, 1, "no MLS message of the right form");
    // What is said in the place of a commit.
    let mls = world.devices[1].encrypt(log, b"said");
    handshake(&mut world, 1, log, mls);
    everybody(&mut world);
    all_set_aside(&mut world, 1, "stand in for each other");
    // And a message with nothing in it that can be read: it flows on (D9).
    let (account, keys) = (world.devices[1].account, world.devices[1].keys.clone());
    let mls = world.devices[1].encrypt(log, b"\xff");
    let (entry, blob) = world.devices[1].envelope(log, EnvelopeKind::App, mls, (account, &keys));
    world.outside.relay.inject(log, entry, EnvelopeKind::App, blob);
    everybody(&mut world);
    all_set_aside(&mut world, 1, "its content cannot be read");
    change(&mut world, 0, id, &GroupChange::Update);
    all_go_on(&mut world, id);
}

/// Two entries of the own account for one place, in one commit: the first is taken, and nobody's log stands still for the other (D9).
#[test]
fn d9_two_branches_of_a_chain_in_one_commit_stop_nobody() {
    let (mut world, id) = group(3);
    let log = log_of(&mut world, id);
    let bea = world.devices[1].account;
    let chain = world.devices[1].look(|tx| keys::chain(tx, bea)).unwrap();
    let key = AccountKey::from_seed(&world.devices[1].kept.account_seed);
    let part = |number: u8| {
        let seeds = DeviceSeeds::generate(&mut random::rng());
        let device = DeviceKeys::new(DeviceId::from_bytes([number; 16]), 1, seeds).unwrap();
        let entry = statement::add_device(&chain, &key, &device, 1);
        ChainPart { account: bea, from_seq: chain.seq() + 1, entries: vec![entry.as_bytes().to_vec()] }
    };
    let data = CommitData { chains: vec![part(7), part(8)], ..CommitData::default() };
    let World { outside, devices, .. } = &mut world;
    let keys = Arc::clone(&devices[1].keys);
    devices[1].commit_anyway(outside, (id, log), &keys, Plan { data, ..Plan::default() });
    let messages = [0, 2].map(|who| {
        world.on(who, |device, outside| device.drain_log(outside, log)).unwrap();
        let message = MessageId::from_bytes(random::bytes());
        world.on(who, |device, outside| device.send(outside, id, message)).unwrap();
        // Nobody can bring in the device that it states: that holds up no words.
        for _ in 0..3 {
            world.on(who, |device, outside| device.flush(outside));
        }
        message
    });
    for who in [0, 2] {
        world.on(who, |device, outside| device.drain_log(outside, log)).unwrap();
        assert!(messages.iter().all(|message| shows(&mut world, who, id, *message)), "{who}");
    }
}

#[test]
fn p13_a_member_cannot_speak_as_another() {
    let (mut world, id) = group(3);
    let log = log_of(&mut world, id);
    let text = AppMessage::Text { message_id: MessageId::from_bytes([7; 16]), text: "I am cem".to_owned() }.encode();
    let mls = world.devices[1].encrypt(log, &text);
    // Signed by nobody but bea, under cem's name.
    let cem = (world.devices[2].account, world.devices[2].device);
    let seeds = DeviceSeeds::from_bytes(&world.devices[1].kept.seeds);
    let disguised = DeviceKeys::new(cem.1, 1, seeds).unwrap();
    let (entry, blob) = world.devices[1].envelope(log, EnvelopeKind::App, mls.clone(), (cem.0, &disguised));
    world.outside.relay.inject(log, entry, EnvelopeKind::App, blob);
    everybody(&mut world);
    all_set_aside(&mut world, 1, "its signature does not hold");
    // Even with cem's help the two layers must say the same (P3: identity taken from the wrong layer).
    let keys = world.devices[2].keys.clone();
    let (entry, blob) = world.devices[1].envelope(log, EnvelopeKind::App, mls, (cem.0, &keys));
    world.outside.relay.inject(log, entry, EnvelopeKind::App, blob);
    everybody(&mut world);
    let aside = world.devices[0].set_aside();
    assert!(aside.iter().any(|one| one.contains("its two signatures are of two senders")), "{aside:?}");
    all_go_on(&mut world, id);
}

#[test]
fn p13_a_removed_member_reads_nothing_new() {
    let (mut world, id) = group(3);
    let log = log_of(&mut world, id);
    let cem = world.devices[2].account;
    let copy = world.devices[2].copy();
    change(&mut world, 0, id, &GroupChange::Remove(cem));
    let message = say(&mut world, 0, id);
    everybody(&mut world);
    assert!(shows(&mut world, 1, id, message) && !shows(&mut world, 2, id, message));
    // A client that keeps everything it ever had, and a relay that hands it the entries all the same.
    let mut thief = copy;
    let old = thief.look(|tx| Ok(logs::load(tx, log)?.unwrap()));
    let relay = &world.outside.relay;
    let up_to = relay.read_log(log, old.secret.read_token().as_slice(), old.cursor).unwrap();
    assert_eq!(up_to.head, up_to.last_handshake, "the old token reads up to the removal");
    let now = world.devices[0].look(|tx| Ok(logs::load(tx, log)?.unwrap()));
    let entry = relay.logs[&log].entries.last().unwrap().clone();
    for secret in [&old.secret, &now.secret] {
        assert!(thief.opens(log, secret, &entry).is_none());
    }
    assert!(world.devices[1].opens(log, &now.secret, &entry).is_some());
    all_go_on_without(&mut world, id);
}

fn all_go_on_without(world: &mut World, id: ConversationId) {
    let message = say(world, 1, id);
    everybody(world);
    assert!(shows(world, 0, id, message) && !shows(world, 2, id, message));
    world.settle();
    world.check();
}

#[test]
fn p13_a_fork_that_a_member_signs_is_shown() {
    let (mut world, id) = group(3);
    let log = log_of(&mut world, id);
    let (account, keys) = (world.devices[1].account, world.devices[1].keys.clone());
    let running: [u8; 32] = world.devices[1].look(|tx| Ok(logs::load(tx, log)?.unwrap().handshake_running));
    let believe = |world: &mut World, running: [u8; 32]| {
        world.devices[1].tx(|tx| Ok(tx.execute("UPDATE logs SET handshake_running = ?1", [running])?)).unwrap();
    };
    for _ in 0..2 {
        let mls = world.devices[1].encrypt(log, b"\xff");
        // As if the relay had shown bea another log up to here.
        believe(&mut world, [9; 32]);
        let (entry, blob) = world.devices[1].envelope(log, EnvelopeKind::App, mls, (account, &keys));
        believe(&mut world, running);
        world.outside.relay.inject(log, entry, EnvelopeKind::App, blob);
        everybody(&mut world);
    }
    all_set_aside(&mut world, 1, "its sender has seen another log");
    for who in [0, 2] {
        let told = world.devices[who].look(|tx| {
            let page = messages::page(tx, &account::require(tx)?, &id, None, 500)?;
            Ok(page.messages.iter().filter(|line| matches!(line.notice, Some(Notice::Forked { .. }))).count())
        });
        assert_eq!(told, 1, "once a day, however often it is said");
    }
    all_go_on(&mut world, id);
}

/// A relay may show in one page what no token reads in one: the answer that one has given to a wish to leave, and what happens to the same person
/// behind it. Each change is judged by itself.
#[test]
fn p13_an_own_answer_to_a_wish_to_leave_says_nothing_of_a_removal_behind_it() {
    let (mut world, id) = group(3);
    world.settle();
    let log = log_of(&mut world, id);
    let cem = world.devices[2].account;
    world.on(2, |device, outside| device.leave(outside, id)).unwrap();
    world.on(2, |device, outside| device.flush(outside)).unwrap();
    // Bea answers in ada's place, and does not hear that it has arrived.
    world.on(1, |device, outside| device.drain_log(outside, log)).unwrap();
    world.outside.now += 20_000;
    let answered = world.on(1, |device, outside| {
        (device.faults.lose_in, device.faults.arrives) = (Some(1), true);
        device.flush(outside)
    });
    assert!(answered.is_none(), "the control: the answer got through");
    world.on(0, |device, outside| device.drain_log(outside, log)).unwrap();
    assert_eq!(world.devices[0].look(|tx| people::of(tx, &id)).len(), 2, "the control: cem is out");
    change(&mut world, 0, id, &GroupChange::Add(vec![cem]));
    change(&mut world, 0, id, &GroupChange::Remove(cem));
    let cursor = world.devices[1].look(|tx| Ok(logs::load(tx, log)?.unwrap().cursor));
    let page: Vec<_> =
        world.outside.relay.logs[&log].entries.iter().filter(|entry| entry.seq > cursor).cloned().collect();
    let bea = &mut world.devices[1];
    let (context, opening, nobody) = (bea.context(world.outside.now), bea.opening.clone(), HashSet::new());
    let taken = bea.tx(|tx| entries::take(tx, &context, &opening, log, &page, (&nobody, &nobody))).unwrap();
    assert_eq!(taken.done, page.len(), "the control: all of it was read");
    let told = bea.look(|tx| {
        let page = messages::page(tx, &account::require(tx)?, &id, None, 500)?;
        Ok(page.messages.into_iter().filter_map(|line| line.notice).collect::<Vec<_>>())
    });
    let about_cem: Vec<_> = told
        .iter()
        .filter_map(|notice| match notice {
            Notice::Left { .. } => Some("left"),
            Notice::Added { names, .. } if names.len() == 1 => Some("added"),
            Notice::Removed { .. } => Some("removed"),
            _ => None,
        })
        .collect();
    assert_eq!(about_cem[about_cem.len() - 3..], ["left", "added", "removed"]);
    assert!(bea.look(|tx| links::is_removed(tx, &id, cem)), "a link would let them in again");
}
