//! Keys in the wrong place: of another account, device or version (P2), or in another role (P4); and key packages that run out (P10).

use std::sync::Arc;

use waxwing_protocol::group::{CommitData, LeaveProof, ResyncProof};
use waxwing_protocol::{
    AccountKey, AppMessage, Content, DeviceKeys, DeviceSeeds, Recipient, RecoveryPhrase, statement,
};
use waxwing_wire::frame::InboxSend;
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{AccountId, DeviceId, LogId, MessageId};

use super::super::sealing::seal_for_inbox;
use super::Halt;
use super::device::HOME;
use super::faults::{everybody, group, rotate, say, shows};
use super::world::World;
use crate::error::ErrorCode;
use crate::random;
use crate::store::conversations::ConversationId;
use crate::store::{conversations, keys, logs};

fn log_of(world: &mut World, id: ConversationId) -> LogId {
    world.devices[0].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap().log))
}

/// Everybody hears everybody, and nothing is left undone.
fn all_is_well(world: &mut World, id: ConversationId) {
    for from in 0..world.devices.len() {
        let message = say(world, from, id);
        everybody(world);
        assert!((0..world.devices.len()).all(|who| shows(world, who, id, message)), "{from} is not heard");
    }
    world.settle();
    world.check();
}

fn is_there(world: &mut World, who: usize, id: ConversationId) -> bool {
    world.devices[who].look(|tx| Ok(conversations::all(tx)?.iter().any(|one| one.id == id)))
}

#[test]
fn p2_the_relay_hands_out_somebody_elses_key_package() {
    let (mut world, id) = group(3);
    let (bea, cem) = (world.devices[1].device, world.devices[2].device);
    let others = vec![world.devices[1].account, world.devices[2].account];
    // Each of them gets the other's: under the right device's name, the wrong keys.
    let packages = &mut world.outside.relay.packages;
    let (beas, cems) = (packages.remove(&bea).unwrap(), packages.remove(&cem).unwrap());
    packages.insert(bea, cems);
    packages.insert(cem, beas);
    let second = world.create_with(0, &others);
    let World { outside, devices, .. } = &mut world;
    let refused = devices[0].flush(outside);
    assert!(matches!(&refused, Err(Halt::Trouble(error)) if error.code() == ErrorCode::NoKeyPackage), "{refused:?}");
    world.on(1, |device, outside| device.drain_inbox(outside)).unwrap();
    assert!(!is_there(&mut world, 1, second) && !is_there(&mut world, 2, second));
    // With the right ones it goes on by itself.
    let packages = &mut world.outside.relay.packages;
    let (cems, beas) = (packages.remove(&bea).unwrap(), packages.remove(&cem).unwrap());
    packages.insert(bea, beas);
    packages.insert(cem, cems);
    everybody(&mut world);
    all_is_well(&mut world, second);
    all_is_well(&mut world, id);
}

#[test]
fn p2_the_relay_hands_out_a_key_package_of_an_older_version() {
    let (mut world, _) = group(2);
    let (bea, device) = (world.devices[1].account, world.devices[1].device);
    let old = world.outside.relay.packages.remove(&device).unwrap();
    rotate(&mut world, 1);
    let new = world.outside.relay.packages.insert(device, old).unwrap();
    let id = world.create_with(0, &[bea]);
    let World { outside, devices, .. } = &mut world;
    let refused = devices[0].flush(outside);
    assert!(matches!(&refused, Err(Halt::Trouble(error)) if error.code() == ErrorCode::NoKeyPackage), "{refused:?}");
    world.outside.relay.packages.insert(device, new);
    everybody(&mut world);
    all_is_well(&mut world, id);
}

fn text() -> (MessageId, Vec<u8>) {
    let message = MessageId::from_bytes(random::bytes());
    (message, AppMessage::Text { message_id: message, text: message.to_string() }.encode().to_vec())
}

/// The sender's key version is part of who they are: another version's signature, or another version's name, is nobody's.
#[test]
fn p2_key_versions_of_the_sender_are_not_confused() {
    let (mut world, id) = group(3);
    let log = log_of(&mut world, id);
    let (ada, first) = (world.devices[0].account, Arc::clone(&world.devices[0].keys));
    rotate(&mut world, 0);
    everybody(&mut world);
    let second = Arc::clone(&world.devices[0].keys);
    let keys = |version: u32, of: &DeviceKeys| DeviceKeys::new(of.device(), version, of.seeds().clone()).unwrap();
    assert_eq!((first.key_version(), second.key_version()), (1, 2));
    let wrong = [keys(1, &first), keys(2, &first), keys(1, &second), keys(3, &second)];
    for signer in &wrong {
        let (message, bytes) = text();
        let mls = world.devices[0].encrypt(log, &bytes);
        let (entry, blob) = world.devices[0].envelope(log, EnvelopeKind::App, mls, (ada, signer));
        world.outside.relay.inject(log, entry, EnvelopeKind::App, blob);
        everybody(&mut world);
        for who in [1, 2] {
            assert!(!shows(&mut world, who, id, message));
            assert_eq!(world.devices[who].set_aside().last().unwrap(), "its signature does not hold");
        }
    }
    // The same words under the leaf's version are good.
    let (message, bytes) = text();
    let mls = world.devices[0].encrypt(log, &bytes);
    let (entry, blob) = world.devices[0].envelope(log, EnvelopeKind::App, mls, (ada, &second));
    world.outside.relay.inject(log, entry, EnvelopeKind::App, blob);
    everybody(&mut world);
    assert!(shows(&mut world, 1, id, message) && shows(&mut world, 2, id, message));
}

/// A notice for a device's inbox, sealed to `record` of `account` and signed by `signer`; why it was set aside, if it was.
fn notice(
    world: &mut World,
    to: usize,
    (account, record): (AccountId, &waxwing_wire::DeviceRecord),
    (sender, signer): (AccountId, &DeviceKeys),
) -> Option<String> {
    let content = Content::Removed { log: LogId::from_bytes([1; 16]), seq: 1 }.encode();
    let (kind, now) = (EnvelopeKind::Notice, world.outside.now);
    let recipient = Recipient { account, record };
    let (entry_id, blob) = seal_for_inbox(signer, sender, kind, &recipient, &content, (now, None)).unwrap();
    let device = world.devices[to].device;
    let before = world.devices[to].set_aside().len();
    world.outside.relay.send(device, &InboxSend { entry_id, kind, blob }).unwrap();
    world.on(to, |device, outside| device.drain_inbox(outside)).unwrap();
    world.devices[to].set_aside().get(before).cloned()
}

/// A wrap is for one account, one device and one key version: what is addressed otherwise opens nothing, whatever key it is sealed to.
#[test]
fn p2_key_versions_of_the_recipient_are_not_confused() {
    let (mut world, _) = group(2);
    rotate(&mut world, 1);
    let (ada, keys) = (world.devices[0].account, Arc::clone(&world.devices[0].keys));
    let (bea, second) = (world.devices[1].account, world.devices[1].keys.record().clone());
    let chain = world.devices[1].look(|tx| keys::chain(tx, bea)).unwrap();
    let first = chain.device(second.device).unwrap().version(1).unwrap().record.clone();
    let by_ada = (ada, &*keys);
    // Both versions still open.
    assert_eq!(notice(&mut world, 1, (bea, &first), by_ada), None);
    assert_eq!(notice(&mut world, 1, (bea, &second), by_ada), None);
    let another = |change: &dyn Fn(&mut waxwing_wire::DeviceRecord)| {
        let mut record = second.clone();
        change(&mut record);
        record
    };
    for record in [
        another(&|record| record.key_version = 1),
        another(&|record| record.key_version = 3),
        another(&|record| record.xwing = first.xwing.clone()),
        another(&|record| record.device = keys.device()),
    ] {
        assert_eq!(notice(&mut world, 1, (bea, &record), by_ada).unwrap(), "it does not open");
    }
    assert_eq!(notice(&mut world, 1, (ada, &second), by_ada).unwrap(), "it does not open");
}

/// In an inbox the chain says who speaks: account, device, version and key of one and the same line.
#[test]
fn p2_nobody_speaks_for_another_in_an_inbox() {
    let (mut world, _) = group(3);
    rotate(&mut world, 0);
    everybody(&mut world);
    let (ada, adas) = (world.devices[0].account, Arc::clone(&world.devices[0].keys));
    let (cem, cems) = (world.devices[2].account, Arc::clone(&world.devices[2].keys));
    let bea = (world.devices[1].account, world.devices[1].keys.record().clone());
    let to = (bea.0, &bea.1);
    let keys =
        |device: DeviceId, version: u32, of: &DeviceKeys| DeviceKeys::new(device, version, of.seeds().clone()).unwrap();
    assert_eq!(notice(&mut world, 1, to, (ada, &adas)), None);
    let why = "a notice of somebody unknown, or without keys in force";
    for (account, signer) in [
        (ada, keys(cems.device(), 1, &cems)),
        (cem, keys(adas.device(), 2, &adas)),
        (ada, keys(adas.device(), 2, &cems)),
        (ada, keys(adas.device(), 1, &adas)),
        (ada, keys(adas.device(), 3, &adas)),
        (AccountId::from_bytes([9; 16]), keys(adas.device(), 2, &adas)),
    ] {
        assert_eq!(notice(&mut world, 1, to, (account, &signer)).as_deref(), Some(why));
    }
}

/// One key in two roles is nobody's chain: whoever comes with one is not known at all.
#[test]
fn p4_an_account_key_that_is_a_device_key_too_makes_no_account() {
    let (mut world, _) = group(2);
    let stranger = AccountId::from_bytes([9; 16]);
    for role in 0..3 {
        let account_key = AccountKey::generate(&mut random::rng());
        let mut seeds = *DeviceSeeds::generate(&mut random::rng()).to_bytes();
        seeds[role * 32..role * 32 + 32].copy_from_slice(account_key.seed());
        let keys = DeviceKeys::new(DeviceId::from_bytes([9; 16]), 1, DeviceSeeds::from_bytes(&seeds)).unwrap();
        let recovery = RecoveryPhrase::generate(&mut random::rng()).recovery_key();
        let name = Some("eli".parse().unwrap());
        let entry = statement::create(stranger, HOME, name, &account_key, &recovery, &keys, 0);
        world.outside.relay.register(stranger, keys.device(), entry.as_bytes().to_vec());
        let World { outside, devices, .. } = &mut world;
        let refused = devices[0].know(outside, "eli", stranger);
        assert!(matches!(refused, Err(Halt::Trouble(error)) if error.code() == ErrorCode::ChainBroken));
        assert!(devices[0].look(|tx| keys::chain(tx, stranger)).is_none());
    }
}

/// Every signature has its own label: the same key over the same bytes in one context is worth nothing in another.
#[test]
fn p4_a_signature_is_good_in_one_context_alone() {
    use ed25519_dalek::Signer as _;
    let contexts = [
        "chain account",
        "chain recovery",
        "chain possess relay-auth",
        "chain possess signing",
        "chain possess mls",
        "envelope",
        "leave",
        "resync",
    ];
    let keys = DeviceKeys::new(DeviceId::from_bytes([1; 16]), 1, DeviceSeeds::generate(&mut random::rng())).unwrap();
    let (key, public) = (keys.mls(), keys.record().mls);
    let (group, account, device) = (LogId::from_bytes([2; 16]), AccountId::from_bytes([3; 16]), keys.device());
    let leave = LeaveProof::sign(key, group, account, device, &[0; 32], [4; 16]);
    let resync = ResyncProof::sign(key, group, account, device, [4; 16], [0; 32]);
    assert!(leave.holds(&public, &[0; 32], group) && resync.holds(&public, group));
    // The bytes that both proofs sign are the same here.
    let message = [group.as_bytes().as_slice(), account.as_bytes(), device.as_bytes(), &[4; 16], &[0; 32]].concat();
    for context in contexts {
        let signature = key.sign(&waxwing_wire::signing_input(context, &message)).to_bytes();
        let mut bytes = CommitData { leaves: vec![leave.clone()], ..CommitData::default() }.encode();
        let at = bytes.len() - 64;
        bytes[at..].copy_from_slice(&signature);
        let forged = CommitData::decode(&bytes).unwrap().leaves.remove(0);
        assert_eq!(forged.holds(&public, &[0; 32], group), context == "leave", "{context}");
        let mut bytes = CommitData { resyncs: vec![resync.clone()], ..CommitData::default() }.encode();
        let at = bytes.len() - 64;
        bytes[at..].copy_from_slice(&signature);
        let forged = CommitData::decode(&bytes).unwrap().resyncs.remove(0);
        assert_eq!(forged.holds(&public, group), context == "resync", "{context}");
        for other in contexts.into_iter().filter(|other| *other != context) {
            let (one, two) = (waxwing_wire::signing_input(context, &message), waxwing_wire::signing_input(other, b""));
            assert!(!one.starts_with(&two), "{context} can be read as {other}");
        }
    }
    // What MLS signs begins otherwise.
    assert!(!waxwing_wire::signing_input("leave", b"").starts_with(b"MLS 1.0 "));
}

/// Takes key packages away until the last resort is all there is.
fn drained(world: &mut World, who: usize) -> Vec<u8> {
    let (account, device) = (world.devices[who].account, world.devices[who].device);
    while !world.outside.relay.packages[&device].once.is_empty() {
        world.outside.relay.claim(account).unwrap();
    }
    world.outside.relay.claim(account).unwrap().remove(0).1
}

/// The group's Add at the relay, before the device itself hears of it.
fn invite(world: &mut World, who: AccountId) -> ConversationId {
    let id = world.create_with(0, &[who]);
    world.on(0, |device, outside| device.flush(outside)).unwrap();
    id
}

#[test]
fn p10_the_last_resort_brings_one_in_again_and_again_and_gives_way_to_fresh_ones() {
    let (mut world, _) = group(2);
    let (bea, device) = (world.devices[1].account, world.devices[1].device);
    let last = drained(&mut world, 1);
    // Bea is away; whoever invites her has nothing but the last resort, each time.
    let ids = [invite(&mut world, bea), invite(&mut world, bea), invite(&mut world, bea)];
    assert_eq!(drained(&mut world, 1), last, "it is still what the relay gives");
    everybody(&mut world);
    for id in ids {
        all_is_well(&mut world, id);
    }
    // Back again she has put up fresh ones, and they are what the next one gets.
    let fresh = world.outside.relay.packages[&device].once.len();
    assert!(fresh > 0);
    let id = invite(&mut world, bea);
    assert_eq!(world.outside.relay.packages[&device].once.len(), fresh - 1);
    everybody(&mut world);
    all_is_well(&mut world, id);
    assert_ne!(drained(&mut world, 1), last, "the last resort was replaced too");
}
