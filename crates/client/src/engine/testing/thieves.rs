//! Asking to be let back in: who is, who is not, and how often (design section 6 'Resync'). A thief who has a device's keys as they
//! were gets nothing with them once the device is gone from the group, or its leaf has other keys.
//!
//! Nor once its owner's chain has revoked it, whether or not the group has taken it out by then.

use std::sync::Arc;

use waxwing_protocol::content::{Content, ResyncRequest};
use waxwing_protocol::group::{CommitData, ResyncProof};
use waxwing_protocol::{AccountKey, DeviceKeys, Recipient, statement};
use waxwing_wire::frame::InboxSend;
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{AccountId, DeviceId, EnvelopeId, LogId, hash};

use super::super::sealing::seal_for_inbox;
use super::super::{follow, resync};
use super::device::{Device, home};
use super::faults::{change, everybody, group, rotate, say, shows};
use super::world::World;
use crate::mls::{Group, GroupChange, Plan, read_package};
use crate::random;
use crate::store::conversations::ConversationId;
use crate::store::logs::{self, Trouble};
use crate::store::{keys, outbox};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

fn setting() -> (World, ConversationId, LogId) {
    let (mut world, id) = group(3);
    world.settle();
    let log = world.devices[0].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap().log));
    (world, id, log)
}

impl Device {
    /// This device has lost its place, and asks to be let back in, if that is due.
    fn asks(&mut self, log: LogId, now: u64) -> bool {
        let context = self.context(now);
        let mended = self.tx(|tx| {
            logs::note_trouble(tx, log, Trouble::Lost)?;
            let stored = logs::load(tx, log)?.unwrap();
            resync::mend(tx, &context, &stored, home())
        });
        mended.unwrap().is_some()
    }

    /// A request of this device's own making.
    fn request(&mut self, log: LogId, nonce: [u8; 16]) -> ResyncRequest {
        let (keys, key_package) = (Arc::clone(&self.keys), self.package());
        let proof = ResyncProof::sign(keys.mls(), log, self.account, self.device, nonce, hash(&[&key_package]));
        ResyncRequest { log, proof, key_package }
    }
}

/// Puts a request into somebody's inbox, signed by these keys.
fn ask(world: &mut World, to: usize, request: &ResyncRequest, (account, keys): (AccountId, &DeviceKeys)) -> EnvelopeId {
    let content = Content::Resync(request.clone()).encode();
    let record = world.devices[to].keys.record().clone();
    let recipient = Recipient { account: world.devices[to].account, record: &record };
    let kind = EnvelopeKind::Resync;
    let (entry_id, blob) =
        seal_for_inbox(keys, account, kind, &recipient, &content, (world.outside.now, None)).unwrap();
    world.outside.relay.send(record.device, &InboxSend { entry_id, kind, blob }).unwrap();
    world.on(to, |device, outside| device.drain_inbox(outside)).unwrap();
    entry_id
}

/// What waits to be answered there.
fn answers(world: &mut World, who: usize, id: ConversationId) -> usize {
    world.devices[who].look(|tx| {
        let all = outbox::changes(tx, &id)?;
        let answers = all.iter().map(|item| GroupChange::decode(&item.content).unwrap());
        Ok(answers.filter(|change| matches!(change, GroupChange::Resync { .. })).count())
    })
}

#[track_caller]
fn refused(world: &mut World, who: usize, id: ConversationId, why: &str) {
    assert_eq!(answers(world, who, id), 0, "it is answered");
    assert_eq!(world.devices[who].set_aside().last().map(String::as_str), Some(why));
}

fn commits(world: &World, log: LogId) -> usize {
    world.outside.relay.logs[&log].entries.iter().filter(|entry| entry.kind == EnvelopeKind::Handshake).count()
}

fn all_hear(world: &mut World, id: ConversationId, who: &[usize]) {
    for from in who {
        let message = say(world, *from, id);
        everybody(world);
        assert!(who.iter().all(|other| shows(world, *other, id, message)), "{from} is not heard");
    }
}

#[test]
fn p5_whoever_has_lost_their_place_is_let_back_in_once() {
    let (mut world, id, log) = setting();
    let (now, before) = (world.outside.now, commits(&world, log));
    assert!(world.devices[2].asks(log, now));
    // Asked once a day, however lost.
    assert!(!world.devices[2].asks(log, now + DAY_MS - 1));
    everybody(&mut world);
    // Those who were asked answer within seconds; the second finds it done.
    world.outside.now += 4000;
    everybody(&mut world);
    assert_eq!(commits(&world, log), before + 1, "one answer for two who were asked");
    all_hear(&mut world, id, &[0, 1, 2]);
    // The relay shows the requests, and the Welcome, again and again.
    for which in 0..6 {
        for who in 0..3 {
            let device = world.devices[who].device;
            world.outside.relay.repeat(device, which);
        }
        everybody(&mut world);
    }
    world.outside.now += DAY_MS;
    everybody(&mut world);
    let after = commits(&world, log);
    world.outside.relay.repeat(world.devices[0].device, 0);
    everybody(&mut world);
    assert_eq!(commits(&world, log), after, "a request that was answered is answered again");
    all_hear(&mut world, id, &[0, 1, 2]);
}

#[test]
fn p5_a_request_is_good_for_one_answer() {
    let (mut world, id, log) = setting();
    let (cem, keys) = (world.devices[2].account, Arc::clone(&world.devices[2].keys));
    let request = world.devices[2].request(log, [1; 16]);
    ask(&mut world, 0, &request, (cem, &keys));
    assert_eq!(answers(&mut world, 0, id), 1);
    // Sealed anew with the same nonce: once a day. With another one it is answered in the place of the first.
    ask(&mut world, 0, &request, (cem, &keys));
    assert_eq!(world.devices[0].set_aside().last().unwrap(), "it asks too often");
    let other = world.devices[2].request(log, [2; 16]);
    ask(&mut world, 0, &other, (cem, &keys));
    assert_eq!(answers(&mut world, 0, id), 1);
    let before = commits(&world, log);
    world.outside.now += 4000;
    world.on(0, |device, outside| device.sync(outside)).unwrap();
    assert_eq!(commits(&world, log), before + 1);
    // A day later that one is stale: its key package is the leaf already.
    world.outside.now += DAY_MS + 1;
    ask(&mut world, 0, &other, (cem, &keys));
    world.outside.now += 4000;
    let before = commits(&world, log);
    world.on(0, |device, outside| device.flush(outside)).unwrap();
    assert_eq!(commits(&world, log), before, "a stale request is answered");
}

/// A device asks once a day; one request may take longer on its way than the next, and what was refused does not count.
#[test]
fn the_next_days_request_is_answered() {
    let (mut world, id, log) = setting();
    let (cem, keys) = (world.devices[2].account, Arc::clone(&world.devices[2].keys));
    let requests: Vec<_> = (1..4).map(|nonce| world.devices[2].request(log, [nonce; 16])).collect();
    for (request, later, answered) in
        [(&requests[0], 0, 1), (&requests[1], DAY_MS / 2, 0), (&requests[2], DAY_MS / 2 - 5000, 1)]
    {
        world.outside.now += later;
        ask(&mut world, 0, request, (cem, &keys));
        assert_eq!(answers(&mut world, 0, id), answered);
        // Its turn came, and it was dropped.
        world.devices[0].tx(|tx| outbox::remove_changes(tx, log)).unwrap();
    }
}

#[test]
fn p5_nobody_asks_for_another() {
    let (mut world, id, log) = setting();
    let (bea, beas) = (world.devices[1].account, Arc::clone(&world.devices[1].keys));
    // Bea was asked, and sends the request on as if it were hers to send; or alters whom it is for.
    let request = world.devices[2].request(log, [1; 16]);
    ask(&mut world, 0, &request, (bea, &beas));
    refused(&mut world, 0, id, "it asks for somebody else");
    let mut altered = request.clone();
    (altered.proof.account, altered.proof.device) = (bea, beas.device());
    ask(&mut world, 0, &altered, (bea, &beas));
    refused(&mut world, 0, id, "its proof does not hold");
    // A proof for another group.
    let mut elsewhere = world.devices[1].request(LogId::from_bytes([8; 16]), [1; 16]);
    elsewhere.log = log;
    ask(&mut world, 0, &elsewhere, (bea, &beas));
    refused(&mut world, 0, id, "its proof does not hold");
    all_hear(&mut world, id, &[0, 1, 2]);
}

#[test]
fn p13_a_thief_of_a_removed_device_is_not_let_back_in() {
    let (mut world, id, log) = setting();
    let cem = world.devices[2].account;
    let mut thief = world.devices[2].copy();
    let early = thief.request(log, [1; 16]);
    change(&mut world, 0, id, &GroupChange::Remove(cem));
    everybody(&mut world);
    let before = commits(&world, log);
    let (keys, late) = (Arc::clone(&thief.keys), thief.request(log, [2; 16]));
    for who in [0, 1] {
        for (request, why) in [(&early, "it is not in the group any more"), (&late, "it asks too often")] {
            ask(&mut world, who, request, (cem, &keys));
            refused(&mut world, who, id, why);
        }
    }
    world.outside.now += DAY_MS;
    everybody(&mut world);
    assert_eq!(commits(&world, log), before);
    let message = say(&mut world, 1, id);
    everybody(&mut world);
    assert!(shows(&mut world, 0, id, message));
    let (entry, now) = (
        world.outside.relay.logs[&log].entries.last().unwrap().clone(),
        world.devices[0].look(|tx| Ok(logs::load(tx, log)?.unwrap().secret)),
    );
    assert!(thief.opens(log, &now, &entry).is_none());
}

#[test]
fn p13_a_thief_with_keys_from_before_a_rotation_is_not_let_in() {
    let (mut world, id, log) = setting();
    let cem = world.devices[2].account;
    let mut thief = world.devices[2].copy();
    rotate(&mut world, 2);
    world.settle();
    let before = commits(&world, log);
    // The old signing key is within its grace time: the envelope holds. The leaf's key is another one by now.
    let (keys, request) = (Arc::clone(&thief.keys), thief.request(log, [1; 16]));
    for who in [0, 1] {
        ask(&mut world, who, &request, (cem, &keys));
        refused(&mut world, who, id, "its proof does not hold");
    }
    // A member who does the thief's bidding cannot either: the others judge the commit by the leaf.
    world.outside.now += 4000;
    everybody(&mut world);
    assert_eq!(commits(&world, log), before);
    all_hear(&mut world, id, &[0, 1, 2]);
}

/// An answer that was queued before the device was removed, or rotated, is not given afterwards.
#[test]
fn p13_an_answer_that_comes_too_late_is_not_given() {
    for rotates in [false, true] {
        let (mut world, id, log) = setting();
        let cem = world.devices[2].account;
        let mut thief = world.devices[2].copy();
        let (keys, request) = (Arc::clone(&thief.keys), thief.request(log, [1; 16]));
        ask(&mut world, 1, &request, (cem, &keys));
        assert_eq!(answers(&mut world, 1, id), 1);
        if rotates {
            rotate(&mut world, 2);
            world.on(2, |device, outside| device.sync(outside)).unwrap();
        } else {
            change(&mut world, 0, id, &GroupChange::Remove(cem));
        }
        everybody(&mut world);
        let before = commits(&world, log);
        world.outside.now += 4000;
        everybody(&mut world);
        assert_eq!((commits(&world, log), answers(&mut world, 1, id)), (before, 0));
    }
}

/// A proof holds as long as the leaf has its MLS key, and every member has seen it. Whoever answers it once more takes the device out
/// of the group; it notices that it has not asked, and comes back by asking.
#[test]
fn p5_an_old_request_throws_nobody_out_for_good() {
    let (mut world, id, log) = setting();
    let (cem, device, now) = (world.devices[2].account, world.devices[2].device, world.outside.now);
    assert!(world.devices[2].asks(log, now));
    world.on(2, |device, outside| device.flush(outside)).unwrap();
    world.on(1, |device, outside| device.drain_inbox(outside)).unwrap();
    let waiting = world.devices[1].look(|tx| outbox::changes(tx, &id));
    let request = waiting.iter().find_map(|item| match GroupChange::decode(&item.content) {
        Ok(GroupChange::Resync { content, .. }) => match Content::decode(EnvelopeKind::Resync, &content) {
            Ok(Content::Resync(request)) => Some(request),
            _ => None,
        },
        _ => None,
    });
    let request = request.unwrap();
    world.outside.now += 4000;
    everybody(&mut world);
    world.settle();
    all_hear(&mut world, id, &[0, 1, 2]);
    // Bea, no admin, answers it again.
    let World { outside, devices, .. } = &mut world;
    let bea = &mut devices[1];
    let (crypto, keys) = (Arc::clone(&bea.crypto), Arc::clone(&bea.keys));
    let chain = bea.look(|tx| keys::chain(tx, cem)).unwrap();
    let again = read_package(&crypto, &chain, device, &request.key_package).unwrap();
    let leaf = bea.look(|tx| Group::load(&crypto, tx, log)?.unwrap().leaf(device)).unwrap();
    let data = CommitData { resyncs: vec![request.proof], ..CommitData::default() };
    let plan = Plan { add: vec![again], remove: vec![leaf.index], data, ..Plan::default() };
    bea.commit_anyway(outside, (id, log), &keys, plan);
    everybody(&mut world);
    let stored = world.devices[2].look(|tx| Ok(logs::load(tx, log)?.unwrap()));
    assert!(stored.active && stored.trouble == Trouble::Behind);
    // Those who are asked have seen an answer, and give none before a day is over.
    world.outside.now += DAY_MS + 1;
    everybody(&mut world);
    world.outside.now += 4000;
    everybody(&mut world);
    all_hear(&mut world, id, &[0, 1, 2]);
}

/// ada (admin), bea and cem, who has two devices; everybody has read everything. The second is a machine by itself: what it does is up to
/// whoever has it.
pub(super) fn with_a_second_device() -> (World, ConversationId, LogId, Device) {
    let mut world = World::new(7, 3);
    let device = DeviceId::from_bytes(world.dice.bytes());
    let others = world.others(0);
    let World { outside, devices, .. } = &mut world;
    let mut second = Device::link(&mut outside.relay, &mut devices[2], device);
    second.refill_key_packages(outside).unwrap();
    for other in &devices[..2] {
        second.know(outside, &other.name, other.account).unwrap();
    }
    devices.push(second);
    let id = world.create_with(0, &others);
    everybody(&mut world);
    world.settle();
    let log = world.devices[0].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap().log));
    let message = say(&mut world, 0, id);
    everybody(&mut world);
    assert!((0..4).all(|who| shows(&mut world, who, id, message)));
    let second = world.devices.pop().unwrap();
    (world, id, log, second)
}

/// Somebody replaces their account key with this device, and revokes another one of theirs.
fn revoke(world: &mut World, who: usize, device: DeviceId) {
    let World { outside, devices, .. } = world;
    let first = &mut devices[who];
    let (me, new) = (first.account, AccountKey::generate(&mut random::rng()));
    let mut chain = first.look(|tx| keys::chain(tx, me)).unwrap();
    let old = AccountKey::from_seed(&first.kept.account_seed);
    let entry = statement::rotate_account_key(&chain, &old, &new, &[device], outside.now);
    outside.relay.append_chain(me, entry.as_bytes()).unwrap();
    chain.extend(entry.as_bytes()).unwrap();
    first.kept.account_seed = *new.seed();
    let (seq, bytes) = (chain.seq(), entry.as_bytes().to_vec());
    first.tx(|tx| keys::add_chain_entries(tx, me, seq, &[bytes])).unwrap();
    first.chains.keep(Arc::new(chain));
}

/// This member has heard of it, and takes the device out of the group: as `chains::refresh_chain` and `account_key` do.
fn follows(world: &mut World, who: usize, account: AccountId, log: LogId) {
    world.on(who, |device, outside| device.refresh_chain(outside, account)).unwrap();
    let (context, before) = (world.devices[who].context(world.outside.now), commits(world, log));
    assert!(world.devices[who].tx(|tx| follow::chain_grew(tx, &context, account)).unwrap());
    // Whoever it is not about waits for a moment of their own.
    world.outside.now += 4000;
    world.on(who, |device, outside| device.flush(outside)).unwrap();
    assert_eq!(commits(world, log), before + 1);
}

fn is_in(world: &mut World, who: usize, log: LogId, device: DeviceId) -> bool {
    let crypto = Arc::clone(&world.devices[who].crypto);
    world.devices[who].look(|tx| Group::load(&crypto, tx, log)?.unwrap().leaf(device)).is_some()
}

const NOT_IN_FORCE: &str = "a request of somebody unknown, or without keys in force";

#[test]
fn p13_a_thief_with_a_revoked_device_is_not_let_back_in() {
    let (mut world, id, log, mut thief) = with_a_second_device();
    let (cem, keys) = (world.devices[2].account, Arc::clone(&thief.keys));
    revoke(&mut world, 2, thief.device);
    let before = commits(&world, log);
    let requests: Vec<_> = (1..4).map(|nonce| thief.request(log, [nonce; 16])).collect();
    // Its leaf is in the group still, and the proof is right; nobody has heard of the revocation but by looking now.
    assert!((0..3).all(|who| is_in(&mut world, who, log, thief.device)));
    for who in 0..3 {
        ask(&mut world, who, &requests[0], (cem, &keys));
        refused(&mut world, who, id, NOT_IN_FORCE);
    }
    // And as its own program asks, with whoever it asks.
    let told = |world: &mut World| -> usize {
        let aside = world.devices.iter_mut().flat_map(Device::set_aside);
        aside.filter(|reason| reason == NOT_IN_FORCE).count()
    };
    let counted = told(&mut world);
    assert!(thief.asks(log, world.outside.now));
    thief.flush(&mut world.outside).unwrap();
    everybody(&mut world);
    assert_eq!(told(&mut world), counted + 2);

    follows(&mut world, 1, cem, log);
    everybody(&mut world);
    assert!((0..3).all(|who| !is_in(&mut world, who, log, thief.device)));
    for (request, later) in [(&requests[1], 0), (&requests[2], DAY_MS)] {
        world.outside.now += later;
        for who in 0..3 {
            ask(&mut world, who, request, (cem, &keys));
            refused(&mut world, who, id, NOT_IN_FORCE);
        }
        everybody(&mut world);
        world.outside.now += 4000;
        everybody(&mut world);
    }
    assert_eq!(commits(&world, log), before + 1, "more than that it was taken out");
    all_hear(&mut world, id, &[0, 1, 2]);
    let (entry, now) = (
        world.outside.relay.logs[&log].entries.last().unwrap().clone(),
        world.devices[0].look(|tx| Ok(logs::load(tx, log)?.unwrap().secret)),
    );
    assert!(thief.opens(log, &now, &entry).is_none());
}

/// It has asked while it was in force; the answer waits for its moment, and the revocation comes first.
#[test]
fn p13_an_answer_to_a_device_that_is_revoked_meanwhile_is_not_given() {
    let (mut world, id, log, mut thief) = with_a_second_device();
    let (cem, keys) = (world.devices[2].account, Arc::clone(&thief.keys));
    let request = thief.request(log, [1; 16]);
    for who in [0, 1] {
        ask(&mut world, who, &request, (cem, &keys));
        assert_eq!(answers(&mut world, who, id), 1, "a device in force is let back in");
    }
    revoke(&mut world, 2, thief.device);
    // Ada knows, and nobody has taken it out yet: she does not bring it in anew.
    world.on(0, |device, outside| device.refresh_chain(outside, cem)).unwrap();
    let before = commits(&world, log);
    world.outside.now += 4000;
    world.on(0, |device, outside| device.flush(outside)).unwrap();
    assert_eq!((commits(&world, log), answers(&mut world, 0, id)), (before, 0));
    follows(&mut world, 2, cem, log);
    everybody(&mut world);
    assert_eq!((commits(&world, log), answers(&mut world, 1, id)), (before + 1, 0));
    assert!((0..3).all(|who| !is_in(&mut world, who, log, thief.device)));
    all_hear(&mut world, id, &[0, 1, 2]);
}
