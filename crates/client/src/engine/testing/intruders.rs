//! Somebody who is not whom they say they are, brought in by a member, by the relay, or by themselves (P1).

use std::sync::Arc;

use waxwing_protocol::group::{ChainPart, CommitData};
use waxwing_protocol::{AccountKey, AppMessage, DeviceKeys, DeviceSeeds, statement};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{AccountId, DeviceId, LogId, MessageId};

use super::device::Device;
use super::faults::{everybody, group, say, shows};
use super::forge::Forged;
use super::liar::impostor;
use super::world::World;
use crate::mls::{GroupChange, Plan};
use crate::random;
use crate::store;
use crate::store::conversations::ConversationId;
use crate::store::{keys, logs};

const NOT_IN_CHAIN: &str = "its sender's device is not in their chain";

/// ada (admin), bea and cem in a group; dot is known to all of them and outside.
fn three_and_one() -> (World, ConversationId, LogId) {
    let mut world = World::new(7, 4);
    let others: Vec<_> = world.others(0)[..2].to_vec();
    let id = world.create_with(0, &others);
    everybody(&mut world);
    let log = world.devices[0].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap().log));
    (world, id, log)
}

/// The intruder speaks in the group, sealed by a member who helps.
fn intrude(world: &mut World, log: LogId, helper: usize, intruder: &mut Device) -> MessageId {
    let message = MessageId::from_bytes(random::bytes());
    let text = AppMessage::Text { message_id: message, text: message.to_string() }.encode();
    let mls = intruder.says(log, &text);
    let (account, keys) = (intruder.account, Arc::clone(&intruder.keys));
    let (entry, blob) = world.devices[helper].envelope(log, EnvelopeKind::App, mls, (account, &keys));
    world.outside.relay.inject(log, entry, EnvelopeKind::App, blob);
    message
}

/// Ada brings a device in as one of this account's.
fn brought_in(world: &mut World, (id, log): (ConversationId, LogId), account: AccountId, device: &mut Device) {
    let World { outside, devices, .. } = world;
    let ada = &mut devices[0];
    let mut roster = ada.roster(log);
    roster.set(ada.line("dot", account));
    let (keys, plan) =
        (Arc::clone(&ada.keys), Plan { add: vec![device.claimed()], roster: Some(roster), ..Plan::default() });
    let welcome = ada.commit_anyway(outside, (id, log), &keys, plan).unwrap();
    device.joins(log, &welcome);
}

/// What was said is set aside by each of these, with the reason, and shown by none; they go on among themselves.
#[track_caller]
fn aside(world: &mut World, id: ConversationId, message: MessageId, who: &[usize]) {
    everybody(world);
    for who in who {
        let aside = world.devices[*who].set_aside();
        assert!(aside.iter().any(|one| one == NOT_IN_CHAIN), "{}: {aside:?}", world.devices[*who].name);
    }
    unheard(world, id, message, who);
}

/// What was said as `sender` is kept back by each of these, since a chain may yet state who said it, and told as that once; it is shown by none,
/// and they go on among themselves.
#[track_caller]
fn kept_back(world: &mut World, id: ConversationId, (sender, message): (AccountId, MessageId), who: &[usize]) {
    everybody(world);
    for who in who {
        let device = &mut world.devices[*who];
        assert!(device.look(store::held::senders).contains(&sender), "{}", device.name);
        assert_eq!(device.told_kept_back(id), 1, "{}", device.name);
    }
    unheard(world, id, message, who);
}

#[track_caller]
fn unheard(world: &mut World, id: ConversationId, message: MessageId, who: &[usize]) {
    for who in who {
        assert!(!shows(world, *who, id, message), "{} shows it", world.devices[*who].name);
    }
    for from in who {
        let message = say(world, *from, id);
        everybody(world);
        assert!(who.iter().all(|other| shows(world, *other, id, message)), "{from} is not heard");
    }
}

/// Neither does the intruder read what is said, whatever it was told.
fn deaf(world: &mut World, log: LogId, intruder: &mut Device) {
    let secret = world.devices[0].look(|tx| Ok(logs::load(tx, log)?.unwrap().secret));
    let entry = world.outside.relay.logs[&log].entries.last().unwrap().clone();
    assert!(intruder.opens(log, &secret, &entry).is_none(), "it is sealed for the intruder");
}

#[test]
fn p1_a_device_that_is_in_no_chain_speaks_for_nobody_and_hears_nothing() {
    let (mut world, id, log) = three_and_one();
    let dot = world.devices[3].account;
    let mut mallory = impostor("dot", dot, DeviceId::from_bytes([9; 16]));
    brought_in(&mut world, (id, log), dot, &mut mallory);
    let message = intrude(&mut world, log, 0, &mut mallory);
    kept_back(&mut world, id, (dot, message), &[0, 1, 2]);
    deaf(&mut world, log, &mut mallory);
}

#[test]
fn p1_other_keys_under_a_device_of_the_chain_speak_for_nobody() {
    let (mut world, id, log) = three_and_one();
    let (dot, device) = (world.devices[3].account, world.devices[3].device);
    let mut mallory = impostor("dot", dot, device);
    brought_in(&mut world, (id, log), dot, &mut mallory);
    let message = intrude(&mut world, log, 0, &mut mallory);
    aside(&mut world, id, message, &[0, 1, 2]);
    deaf(&mut world, log, &mut mallory);
    assert_eq!(world.devices[3].set_aside(), ["the private part of its key package is not here"]);
}

#[test]
fn p1_a_second_leaf_of_ones_own_account_stops_nobody_from_writing() {
    let (mut world, id) = group(3);
    let log = world.devices[0].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap().log));
    // Any member may add leaves of the own account: this one is in no chain.
    let mut second = impostor("bea", world.devices[1].account, DeviceId::from_bytes([9; 16]));
    let World { outside, devices, .. } = &mut world;
    let (keys, plan) = (Arc::clone(&devices[1].keys), Plan { add: vec![second.claimed()], ..Plan::default() });
    let welcome = devices[1].commit_anyway(outside, (id, log), &keys, plan).unwrap();
    second.joins(log, &welcome);
    let message = intrude(&mut world, log, 1, &mut second);
    let bea = world.devices[1].account;
    kept_back(&mut world, id, (bea, message), &[0, 2]);
    deaf(&mut world, log, &mut second);
}

#[test]
fn p1_a_device_list_that_the_account_key_has_not_signed_counts_for_nothing() {
    let (mut world, id) = group(3);
    let log = world.devices[0].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap().log));
    let bea = world.devices[1].account;
    // Whoever has the device's keys and not the account's states new keys for it, in the commit and at the relay.
    let new = DeviceKeys::new(world.devices[1].device, 2, DeviceSeeds::generate(&mut random::rng())).unwrap();
    let new = Arc::new(new);
    let chain = world.devices[1].look(|tx| keys::chain(tx, bea)).unwrap();
    let another = AccountKey::generate(&mut random::rng());
    let entry = statement::rotate_device_keys(&chain, &another, &new, world.outside.now).as_bytes().to_vec();
    let part = ChainPart { account: bea, from_seq: 1, entries: vec![entry.clone()] };
    let data = CommitData { chains: vec![part], ..CommitData::default() };
    let World { outside, devices, .. } = &mut world;
    devices[1].commit_anyway(outside, (id, log), &new, Plan { data, ..Plan::default() });
    let said = |world: &mut World| {
        let message = MessageId::from_bytes(random::bytes());
        let text = AppMessage::Text { message_id: message, text: message.to_string() }.encode();
        let mls = world.devices[1].says(log, &text);
        let (id, blob) = world.devices[1].envelope(log, EnvelopeKind::App, mls, (bea, &new));
        world.outside.relay.inject(log, id, EnvelopeKind::App, blob);
        message
    };
    // The relay plays along: its chain is refused, and the words are kept apart.
    world.outside.relay.forge_chain(bea, entry);
    let message = said(&mut world);
    for who in [0, 2] {
        let World { outside, devices, .. } = &mut world;
        devices[who].drain_log(outside, log).unwrap();
        assert!(!shows(&mut world, who, id, message));
        assert_eq!(world.devices[who].look(|tx| keys::chain(tx, bea)).unwrap().seq(), 0);
    }
    world.outside.relay.withhold_chain(bea);
    everybody(&mut world);
    assert!([0, 2].iter().all(|who| !shows(&mut world, *who, id, message)), "no chain states that leaf");
    let message = said(&mut world);
    kept_back(&mut world, id, (bea, message), &[0, 2]);
}

/// A member whose relay does not answer is heard late, and the others at once.
#[test]
fn p1_a_member_whose_chain_cannot_be_had_silences_nobody() {
    let (mut world, id) = group(3);
    let log = world.devices[0].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap().log));
    let bea = world.devices[1].account;
    let new = DeviceKeys::new(world.devices[1].device, 2, DeviceSeeds::generate(&mut random::rng())).unwrap();
    let new = Arc::new(new);
    let chain = world.devices[1].look(|tx| keys::chain(tx, bea)).unwrap();
    let key = AccountKey::from_seed(&world.devices[1].kept.account_seed);
    let entry = statement::rotate_device_keys(&chain, &key, &new, world.outside.now).as_bytes().to_vec();
    // New keys, and nothing in the commit that says so: the relay would have to be asked.
    world.outside.relay.dark.insert(bea);
    let World { outside, devices, .. } = &mut world;
    devices[1].commit_anyway(outside, (id, log), &new, Plan::default());
    let message = MessageId::from_bytes(random::bytes());
    let text = AppMessage::Text { message_id: message, text: message.to_string() }.encode();
    let mls = world.devices[1].says(log, &text);
    let (entry_id, blob) = world.devices[1].envelope(log, EnvelopeKind::App, mls, (bea, &new));
    world.outside.relay.inject(log, entry_id, EnvelopeKind::App, blob);
    let heard = say(&mut world, 0, id);
    for who in [0, 2, 0, 2] {
        world.on(who, |device, outside| device.sync(outside));
    }
    assert!(shows(&mut world, 2, id, heard));
    assert!([0, 2].iter().all(|who| !shows(&mut world, *who, id, message)), "whose words are they?");
    world.outside.relay.append_chain(bea, &entry).unwrap();
    world.outside.relay.dark.clear();
    for who in [0, 2, 0, 2] {
        world.on(who, |device, outside| device.sync(outside));
    }
    for who in [0, 2] {
        assert!(shows(&mut world, who, id, message));
        assert!(world.devices[who].look(crate::store::held::senders).is_empty());
    }
}

/// Each of the members has set it aside for this reason, and the group is as it was.
#[track_caller]
fn refused(world: &mut World, id: ConversationId, log: LogId, members: &[usize], why: &str) {
    let states: Vec<_> = members.iter().map(|who| state(world, *who, log)).collect();
    everybody(world);
    for (who, before) in members.iter().zip(&states) {
        let aside = world.devices[*who].set_aside();
        assert!(aside.last().is_some_and(|one| one.contains(why)), "{}: {aside:?}", world.devices[*who].name);
        assert_eq!(state(world, *who, log), *before, "its group has changed");
    }
    let message = say(world, members[0], id);
    everybody(world);
    assert!(members.iter().all(|other| shows(world, *other, id, message)));
}

fn state(world: &mut World, who: usize, log: LogId) -> Option<super::ledger::State> {
    let context = world.devices[who].context(0);
    world.devices[who].look(|tx| super::sync::state(tx, &context, log)).map(|(_, state)| state)
}

#[test]
fn p1_nobody_lets_themselves_in() {
    let (mut world, id, log) = three_and_one();
    let (ada, dot) = (world.devices[0].account, world.devices[3].account);
    // Dot has what the relay never has: the tree and the group's public state, in ada's own signature.
    let info = world.devices[0].group_info(log);
    let commit = world.devices[3].external_commit(&info);
    let dots = Arc::clone(&world.devices[3].keys);
    let (entry, blob) = world.devices[0].envelope(log, EnvelopeKind::Handshake, commit.clone(), (dot, &dots));
    world.outside.relay.inject(log, entry, EnvelopeKind::Handshake, blob);
    refused(&mut world, id, log, &[0, 1, 2], "its sender is not in the group");
    // In a member's name, without that member's key.
    let disguised = DeviceKeys::new(world.devices[0].device, 1, dots.seeds().clone()).unwrap();
    let (entry, blob) = world.devices[1].envelope(log, EnvelopeKind::Handshake, commit.clone(), (ada, &disguised));
    world.outside.relay.inject(log, entry, EnvelopeKind::Handshake, blob);
    refused(&mut world, id, log, &[0, 1, 2], "its signature does not hold");
    // A member signs the envelope: what is in it is dot's all the same.
    let (bea, beas) = (world.devices[1].account, Arc::clone(&world.devices[1].keys));
    let (entry, blob) = world.devices[1].envelope(log, EnvelopeKind::Handshake, commit, (bea, &beas));
    world.outside.relay.inject(log, entry, EnvelopeKind::Handshake, blob);
    refused(&mut world, id, log, &[0, 2], "it is no MLS message of the right form");
}

#[test]
fn p1_whoever_was_removed_brings_nobody_in() {
    let (mut world, id) = group(3);
    let log = world.devices[0].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap().log));
    let (bea, cem) = (world.devices[1].account, world.devices[2].account);
    let mut copy = world.devices[2].copy();
    super::faults::change(&mut world, 0, id, &GroupChange::Remove(cem));
    everybody(&mut world);
    // The commit of a member that is one no more, in the epoch that it knows; under its own name, and with a member's help.
    let mut roster = copy.roster(log);
    roster.remove(bea);
    let forged = || Forged { remove: vec![bea], roster: Some(roster.clone()), ..Forged::default() };
    let (mls, keys) = (copy.forge(log, forged()), Arc::clone(&copy.keys));
    let (entry, blob) = world.devices[1].envelope(log, EnvelopeKind::Handshake, mls.clone(), (cem, &keys));
    world.outside.relay.inject(log, entry, EnvelopeKind::Handshake, blob);
    refused(&mut world, id, log, &[0, 1], "its sender is not in the group");
    let (bea, keys) = (world.devices[1].account, Arc::clone(&world.devices[1].keys));
    let (entry, blob) = world.devices[1].envelope(log, EnvelopeKind::Handshake, mls, (bea, &keys));
    world.outside.relay.inject(log, entry, EnvelopeKind::Handshake, blob);
    refused(&mut world, id, log, &[0], "it is of another epoch");
}
