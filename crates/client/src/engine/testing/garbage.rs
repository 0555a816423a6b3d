//! What nobody can use (P8, P18, D9): garbage, cut and bent envelopes, unknown versions, in the log and in the inbox. It is set aside
//! with a reason, later messages flow, nothing is said about it to the network, and what is kept of it is bounded.

use std::sync::Arc;

use waxwing_protocol::Content;
use waxwing_protocol::Recipient;
use waxwing_protocol::content::{ResyncRequest, Welcome};
use waxwing_protocol::group::ResyncProof;
use waxwing_wire::frame::InboxSend;
use waxwing_wire::limits::MAX_ENVELOPE;
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{EnvelopeId, LogId, MessageId};

use super::super::context::introduction;
use super::super::inbox::INBOX;
use super::super::sealing::seal_for_inbox;
use super::faults::{everybody, group, say, shows};
use super::world::World;
use crate::random;
use crate::store::conversations::ConversationId;
use crate::store::{account, aside, deliveries, keys, logs};

fn log_of(world: &mut World, id: ConversationId) -> LogId {
    world.devices[0].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap().log))
}

/// Everything of a device that the network sees, or will see: what waits to be sent.
fn outgoing(world: &mut World, who: usize) -> (usize, usize, logs::Trouble, LogId) {
    world.devices[who].look(|tx| {
        let waiting: usize = tx.query_row("SELECT count(*) FROM outbox", [], |row| row.get(0))?;
        let log = logs::active(tx)?.remove(0);
        Ok((waiting, deliveries::waiting(tx)?.len(), log.trouble, log.log))
    })
}

/// Requests that reading the log takes with this entry at its head.
fn requests_for_log(world: &mut World, log: LogId, kind: EnvelopeKind, entry: EnvelopeId, blob: &[u8]) -> u64 {
    world.outside.relay.inject(log, entry, kind, blob.to_vec());
    let before = world.outside.relay.requests;
    world.on(1, |device, outside| device.sync(outside)).unwrap();
    world.outside.relay.requests - before
}

/// Ways to bend an envelope of which each must be refused: where in the header, and what.
fn bent(good: &[u8], other_kind: EnvelopeKind) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let mut with = |name: String, change: &dyn Fn(&mut Vec<u8>)| {
        let mut blob = good.to_vec();
        change(&mut blob);
        all.push((name, blob));
    };
    with("magic".into(), &|blob| blob[0] = b'w');
    for version in [0, 2, 0xff] {
        with(format!("version {version}"), &|blob| blob[2] = version);
    }
    for suite in [0, 3, 0xff] {
        with(format!("suite {suite}"), &|blob| blob[3] = suite);
    }
    with("the other suite".into(), &|blob| blob[3] ^= 3);
    for kind in [0, 6, 0xff, other_kind as u8] {
        with(format!("kind {kind}"), &|blob| blob[4] = kind);
    }
    for flag in [1, 0x80] {
        with(format!("flag {flag}"), &|blob| blob[5] = flag);
    }
    with("id".into(), &|blob| blob[6] ^= 1);
    with("com".into(), &|blob| blob[22] ^= 1);
    with("more wraps".into(), &|blob| blob[55] ^= 1);
    with("257 wraps".into(), &|blob| blob[54..56].copy_from_slice(&[1, 1]));
    with("sender length".into(), &|blob| blob[57] ^= 1);
    with("body length".into(), &|blob| blob[58..62].fill(0xff));
    with("body".into(), &|blob| *blob.last_mut().unwrap() ^= 1);
    with("one more byte".into(), &|blob| blob.push(0));
    for length in [0, 1, 2, 61, 62, 63, good.len() / 2, good.len() - 1] {
        with(format!("cut to {length}"), &|blob| blob.truncate(length));
    }
    with("nothing but noise".into(), &|blob| blob.iter_mut().for_each(|byte| *byte = byte.wrapping_mul(31) ^ 0x5a));
    with("too long".into(), &|blob| blob.resize(MAX_ENVELOPE + 1, 0));
    all
}

#[test]
fn p8_p18_what_is_unknown_or_bent_in_a_log_is_set_aside_in_silence() {
    let (mut world, id) = group(3);
    world.settle();
    let log = log_of(&mut world, id);
    let good = say(&mut world, 0, id);
    let entry = world.outside.relay.logs[&log].entries.last().unwrap().clone();
    let before = world.outside.relay.requests;
    world.on(1, |device, outside| device.sync(outside)).unwrap();
    let usual = world.outside.relay.requests - before;
    assert!(shows(&mut world, 1, id, good));
    let quiet = outgoing(&mut world, 1);
    for (name, blob) in bent(&entry.blob, EnvelopeKind::Handshake) {
        let aside = world.devices[1].set_aside().len();
        // The same requests as for a good one, and nothing that waits to be sent: whoever looks on learns nothing.
        let requests = requests_for_log(&mut world, log, EnvelopeKind::App, entry.entry_id, &blob);
        assert_eq!(requests, usual, "{name}");
        assert_eq!(outgoing(&mut world, 1), quiet, "{name}");
        assert_eq!(world.devices[1].set_aside()[aside..], ["it does not open"], "{name}");
    }
    let message = say(&mut world, 0, id);
    everybody(&mut world);
    assert!(shows(&mut world, 1, id, message) && shows(&mut world, 2, id, message));
    world.settle();
    world.check();
}

/// In a slot of a handshake too, which it costs; unless the own wrap is found in it: that is a reason to ask for a resync.
#[test]
fn p8_p18_what_is_unknown_in_a_handshakes_place_costs_a_slot() {
    let (mut world, id) = group(3);
    world.settle();
    let log = log_of(&mut world, id);
    super::faults::change(&mut world, 0, id, &crate::mls::GroupChange::Update);
    everybody(&mut world);
    let entries = &world.outside.relay.logs[&log].entries;
    let entry = entries.iter().rev().find(|entry| entry.kind == EnvelopeKind::Handshake).unwrap().clone();
    let quiet = outgoing(&mut world, 1);
    // Whatever does not get as far as the wraps.
    let names = ["magic", "version", "suite", "the other", "kind", "flag", "id", "one more", "cut to", "too long"];
    let all = bent(&entry.blob, EnvelopeKind::App);
    for (name, blob) in all.into_iter().filter(|(name, _)| names.iter().any(|start| name.starts_with(start))) {
        let aside = world.devices[1].set_aside().len();
        requests_for_log(&mut world, log, EnvelopeKind::Handshake, entry.entry_id, &blob);
        assert_eq!(outgoing(&mut world, 1), quiet, "{name}");
        assert_eq!(world.devices[1].set_aside()[aside..], ["it does not open"], "{name}");
    }
    let message = say(&mut world, 0, id);
    everybody(&mut world);
    assert!(shows(&mut world, 1, id, message) && shows(&mut world, 2, id, message));
}

/// Sends to bea's inbox what ada would: sealed and signed as it must be, with this content; the blob before it goes.
fn sealed(world: &mut World, kind: EnvelopeKind, content: &[u8]) -> (EnvelopeId, Vec<u8>) {
    let (ada, keys) = (world.devices[0].account, Arc::clone(&world.devices[0].keys));
    let (bea, record) = (world.devices[1].account, world.devices[1].keys.record().clone());
    let recipient = Recipient { account: bea, record: &record };
    seal_for_inbox(&keys, ada, kind, &recipient, content, (world.outside.now, None)).unwrap()
}

/// What it came to, and how many requests it took.
fn in_inbox(world: &mut World, kind: EnvelopeKind, entry_id: EnvelopeId, blob: Vec<u8>) -> (Vec<String>, u64) {
    let device = world.devices[1].device;
    let before = world.devices[1].set_aside().len();
    world.outside.relay.send(device, &InboxSend { entry_id, kind, blob }).unwrap();
    let requests = world.outside.relay.requests;
    world.on(1, |device, outside| device.sync(outside)).unwrap();
    (world.devices[1].set_aside().split_off(before), world.outside.relay.requests - requests)
}

#[test]
fn p8_p18_what_is_unknown_or_bent_in_an_inbox_is_set_aside_in_silence() {
    let (mut world, id) = group(2);
    world.settle();
    let notice = Content::Removed { log: LogId::from_bytes([1; 16]), seq: 1 }.encode();
    let (entry, blob) = sealed(&mut world, EnvelopeKind::Notice, &notice);
    let (aside, asked) = in_inbox(&mut world, EnvelopeKind::Notice, entry, blob.clone());
    assert!(aside.is_empty());
    // What opens to somebody who is known makes their chain be looked at, and nothing else does.
    let usual = asked - 1;
    let quiet = outgoing(&mut world, 1);
    for (name, bent) in bent(&blob, EnvelopeKind::App) {
        let (aside, requests) = in_inbox(&mut world, EnvelopeKind::Notice, entry, bent);
        assert_eq!((aside.as_slice(), requests), (["it does not open".to_owned()].as_slice(), usual), "{name}");
        assert_eq!(outgoing(&mut world, 1), quiet, "{name}");
    }
    // Rightly sealed and signed, and nothing that can be read in it.
    for content in [&[][..], &[0xff], b"hello", &notice[..notice.len() - 1], &[notice.as_slice(), &[0]].concat()] {
        for kind in [EnvelopeKind::Notice, EnvelopeKind::Welcome, EnvelopeKind::Resync] {
            let (entry, blob) = sealed(&mut world, kind, content);
            let (aside, requests) = in_inbox(&mut world, kind, entry, blob);
            assert_eq!((aside.len(), requests), (1, usual), "{kind:?} {content:?}");
        }
    }
    let last = world.devices[1].look(account::inbox_cursor);
    assert_eq!(world.outside.relay.read_inbox(world.devices[1].device, last).1, [], "all of it is acknowledged");
    let message = say(&mut world, 0, id);
    everybody(&mut world);
    assert!(shows(&mut world, 1, id, message));
    world.settle();
    world.check();
}

/// A Welcome whose MLS part is none, and a request to be let back in, for groups that nobody here has heard of.
#[test]
fn p3_welcomes_and_requests_for_unknown_groups_change_nothing() {
    let (mut world, id) = group(2);
    world.settle();
    let (log, quiet) = (LogId::from_bytes([3; 16]), outgoing(&mut world, 1));
    let (ada, device) = (world.devices[0].account, world.devices[0].device);
    let mls_key = world.devices[0].keys.mls().clone();
    let welcome = |world: &mut World, nonce: [u8; 16], mls: &[u8]| {
        let content = world.devices[0].look(|tx| {
            let (me, own) = (account::require(tx)?, keys::chain(tx, ada)?.unwrap());
            Ok(Content::Welcome(Welcome {
                conversation: [4; 32],
                relay: me.relay.clone(),
                log,
                channel_secret: waxwing_protocol::ChannelSecret::from_bytes(&[5; 32]),
                slot: 1,
                running: [0; 32],
                nonce,
                sender: introduction(&me, &own, me.invite_key.clone()),
                mls: mls.to_vec(),
            })
            .encode())
        });
        let (entry, blob) = sealed(world, EnvelopeKind::Welcome, &content);
        in_inbox(world, EnvelopeKind::Welcome, entry, blob).0
    };
    assert_eq!(welcome(&mut world, [0; 16], b"no Welcome"), ["it holds no Welcome"]);
    assert_eq!(welcome(&mut world, [1; 16], b"no Welcome"), ["it answers a resync that was not asked for"]);
    // A real one, made with a key package that bea has never had.
    let elsewhere = super::liar::impostor("bea", world.devices[1].account, world.devices[1].device).claimed();
    let mls = world.devices[0].founds(log, elsewhere);
    assert_eq!(welcome(&mut world, [0; 16], &mls), ["the private part of its key package is not here"]);
    let proof = ResyncProof::sign(&mls_key, log, ada, device, [6; 16], [7; 32]);
    let content = Content::Resync(ResyncRequest { log, proof, key_package: b"package".to_vec() }).encode();
    let (entry, blob) = sealed(&mut world, EnvelopeKind::Resync, &content);
    let (aside, _) = in_inbox(&mut world, EnvelopeKind::Resync, entry, blob);
    assert_eq!(aside, ["it asks about a group that is not followed"]);
    assert_eq!(outgoing(&mut world, 1), quiet);
    let message = say(&mut world, 0, id);
    everybody(&mut world);
    assert!(shows(&mut world, 1, id, message));
    world.settle();
    world.check();
}

/// 10,000 entries of junk with words among them, in short pages: read to the end, and little of it is kept.
#[test]
fn d9_a_backlog_of_junk_is_read_to_its_end_and_bounded() {
    let (mut world, id) = group(2);
    world.settle();
    let log = log_of(&mut world, id);
    let mut said: Vec<MessageId> = Vec::new();
    for n in 0..10_000_usize {
        if n % 500 == 250 {
            said.push(say(&mut world, 0, id));
        }
        // Most of it small; some as large as it may be.
        let length = if n % 250 == 0 { MAX_ENVELOPE } else { 40 + n % 1000 };
        let entry = EnvelopeId::from_bytes(random::bytes());
        world.outside.relay.inject(log, entry, EnvelopeKind::App, vec![n as u8; length]);
    }
    world.outside.relay.page = 64;
    let World { outside, devices, .. } = &mut world;
    devices[1].drain_log(outside, log).unwrap();
    let read = devices[1].look(|tx| Ok(logs::load(tx, log)?.unwrap().cursor));
    assert_eq!(read, world.outside.relay.logs[&log].entries.len() as u64);
    for message in &said {
        assert!(shows(&mut world, 1, id, *message));
    }
    let (kept, bytes, newest): (u64, u64, u64) = world.devices[1].look(|tx| {
        let all = "SELECT count(*), sum(length(blob)), max(seq) FROM set_aside";
        Ok(tx.query_row(all, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?)
    });
    let sums = world.devices[1].look(|tx| aside::sums(tx, log));
    assert!(kept <= aside::MAX_ENTRIES && bytes <= aside::MAX_BYTES, "{kept} entries of {bytes} bytes are kept");
    assert_eq!((sums.entries, sums.bytes, sums.entries + sums.dropped), (kept, bytes, 10_000));
    assert_eq!(newest, read, "the newest is kept");
    let message = say(&mut world, 1, id);
    everybody(&mut world);
    assert!(shows(&mut world, 0, id, message));
}

/// One log's junk takes nobody else's place: neither what other logs have set aside, nor a Welcome that waits for a relay.
#[test]
fn d9_junk_of_one_log_crowds_out_no_other() {
    let (mut world, _) = group(2);
    let waiting = waxwing_wire::frame::InboxEntry {
        seq: 1,
        entry_id: EnvelopeId::from_bytes([1; 16]),
        kind: EnvelopeKind::Welcome,
        blob: b"a Welcome".to_vec(),
    };
    let kept = |world: &mut World, log: LogId| world.devices[1].look(|tx| aside::sums(tx, log));
    let junk = vec![0; MAX_ENVELOPE];
    let fill = |world: &mut World, log: LogId, times: u64, blob: &[u8]| {
        let filled = world.devices[1].tx(|tx| {
            (0..times).try_for_each(|n| aside::keep(tx, log, n, EnvelopeId::from_bytes([2; 16]), "junk", blob, 0))
        });
        filled.unwrap();
    };
    let few = LogId::from_bytes([3; 16]);
    let sender = aside::Sender { account: world.devices[0].account, signed: true };
    world.devices[1].tx(|tx| aside::wait(tx, &waiting, sender)).unwrap();
    fill(&mut world, few, 3, b"little");
    fill(&mut world, INBOX, 40, &junk);
    let inbox = kept(&mut world, INBOX);
    assert!(inbox.bytes <= aside::MAX_BYTES && inbox.entries + inbox.dropped >= 40, "{inbox:?}");
    // As many logs as would be too much together.
    for log in 10..40 {
        fill(&mut world, LogId::from_bytes([log; 16]), 8, &junk);
    }
    let all: u64 =
        world.devices[1].look(|tx| Ok(tx.query_row("SELECT sum(length(blob)) FROM set_aside", [], |row| row.get(0))?));
    assert!(all <= 64 * 1024 * 1024, "{all}");
    assert_eq!(kept(&mut world, few).entries, 3);
    assert_eq!(world.devices[1].look(|tx| Ok(aside::waiting(tx)?.len())), 1);
}
