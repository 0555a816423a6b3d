//! A relay that lies (P3, P5, P16): it reorders, withholds, repeats, and carries things where they do not belong.

use waxwing_protocol::envelope::Header;
use waxwing_protocol::{Content, Suite, Welcome};
use waxwing_wire::frame::InboxSend;
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{AccountId, EnvelopeId, LogId, MessageId};

use super::super::context::introduction;
use super::super::sealing::seal_for_inbox;
use super::Halt;
use super::device::Faults;
use super::faults::{everybody, group, say, shows};
use super::world::World;
use crate::error::ErrorCode;
use crate::mls::{Group, GroupChange, Plan, read_package, storage};
use crate::store::conversations::ConversationId;
use crate::store::{account, conversations, keys, logs, messages};
use crate::views::MessageState;

fn log_of(world: &mut World, id: ConversationId) -> LogId {
    world.devices[0].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap().log))
}

fn texts(world: &mut World, who: usize, id: ConversationId) -> usize {
    world.devices[who].look(|tx| {
        let me = account::require(tx)?;
        let page = crate::store::messages::page(tx, &me, &id, None, 500)?;
        Ok(page.messages.iter().filter(|line| line.notice.is_none()).count())
    })
}

#[test]
fn p3_an_unsolicited_welcome_replaces_no_group() {
    let (mut world, id) = group(3);
    let log = log_of(&mut world, id);
    let bea = world.devices[1].account;
    let before = world.devices[1].context(0);
    let state = world.devices[1].look(|tx| super::sync::state(tx, &before, log));
    // Ada, an admin, makes a second group under the same id, with bea and herself alone, and welcomes bea into it.
    let World { outside, devices, .. } = &mut world;
    let (device, package) = outside.relay.claim(bea).unwrap().remove(0);
    let ada = &mut devices[0];
    let context = ada.context(outside.now);
    let mls = ada.look(|tx| {
        let mut roster = Group::load(&context.crypto, tx, log)?.unwrap().roster()?;
        roster.lines.retain(|line| [context.account, bea].contains(&line.account));
        let chain = keys::chain(tx, bea)?.unwrap();
        let claimed = read_package(&context.crypto, &chain, device, &package)?;
        storage::delete_group(tx, log.as_bytes())?;
        let mut group = Group::create(&context.crypto, tx, context.account, &context.keys, log, &roster)?;
        let plan = Plan { add: vec![claimed], ..Plan::default() };
        let committed = group.commit(context.account, context.keys.leaf(), &context.keys, plan)?;
        Ok(committed.welcome.unwrap().mls)
    });
    let content = ada.look(|tx| {
        let (me, stored) = (account::require(tx)?, logs::load(tx, log)?.unwrap());
        let own = keys::chain(tx, me.account)?.unwrap();
        Ok(Content::Welcome(Welcome {
            conversation: id,
            relay: me.relay.clone(),
            log,
            channel_secret: stored.secret,
            slot: stored.cursor,
            running: stored.running,
            nonce: [0; 16],
            sender: introduction(&me, &own, me.invite_key.clone()),
            mls,
        })
        .encode())
    });
    let chain = ada.look(|tx| keys::chain(tx, bea)).unwrap();
    let record = &chain.device(device).unwrap().current().record;
    let recipient = waxwing_protocol::Recipient { account: bea, record };
    let kind = EnvelopeKind::Welcome;
    let (entry_id, blob) =
        seal_for_inbox(&context.keys, context.account, kind, &recipient, &content, (outside.now, None)).unwrap();
    outside.relay.send(device, &InboxSend { entry_id, kind, blob }).unwrap();
    everybody(&mut world);
    assert_eq!(world.devices[1].set_aside(), ["one is in its group already"]);
    let after = world.devices[1].look(|tx| super::sync::state(tx, &before, log));
    assert_eq!(state, after);
    let message = say(&mut world, 2, id);
    everybody(&mut world);
    assert!(shows(&mut world, 1, id, message));
    world.settle();
    world.check();
}

#[test]
fn p5_p6_entries_in_another_order_are_noticed() {
    let (mut world, id) = group(2);
    let log = log_of(&mut world, id);
    say(&mut world, 0, id);
    say(&mut world, 0, id);
    let last = world.outside.relay.logs[&log].entries.len();
    world.outside.relay.logs.get_mut(&log).unwrap().swap(last - 2, last - 1);
    world.on(1, |device, outside| device.drain_log(outside, log)).unwrap();
    // Both in one epoch: each is good in either place. The running hash is not.
    assert_eq!(texts(&mut world, 1, id), 2);
    world.outside.relay.logs.get_mut(&log).unwrap().swap(last - 2, last - 1);
    let World { outside, devices, .. } = &mut world;
    let noticed = devices[1].drain_log(outside, log);
    assert!(matches!(noticed, Err(Halt::Trouble(error)) if error.code() == ErrorCode::RelayWentBack));
    assert_eq!(texts(&mut world, 1, id), 2);
}

#[test]
fn p5_what_is_withheld_is_late_and_not_lost() {
    let (mut world, id) = group(2);
    world.outside.relay.page = 0;
    let said: Vec<_> = (0..5).map(|_| say(&mut world, 0, id)).collect();
    world.on(1, |device, outside| device.sync(outside)).unwrap();
    assert_eq!(texts(&mut world, 1, id), 0);
    world.outside.relay.page = 2;
    everybody(&mut world);
    assert!(said.iter().all(|message| shows(&mut world, 1, id, *message)));
    world.settle();
    world.check();
}

/// A commit is in the log, and the relay says that another was in its way and shows neither: its maker keeps its bytes, and its place.
#[test]
fn p5_a_conflict_that_nothing_is_shown_of_costs_no_place() {
    let (mut world, id) = group(3);
    let log = log_of(&mut world, id);
    let commits = |world: &World| {
        let entries = &world.outside.relay.logs[&log].entries;
        entries.iter().filter(|entry| entry.kind == EnvelopeKind::Handshake).count()
    };
    let before = commits(&world);
    let shown = world.outside.relay.logs[&log].entries.len() as u64;
    world.outside.relay.withheld.insert(log, shown);
    world.outside.relay.belies = true;
    let rename = GroupChange::Rename("ours".to_owned());
    assert_eq!(world.on(0, |device, _| device.change(id, &rename)), Some(true));
    for _ in 0..4 {
        world.on(0, |device, outside| device.flush(outside));
    }
    assert_eq!(commits(&world), before + 1, "the control: it is there, once");
    world.outside.relay.withheld.clear();
    world.outside.relay.belies = false;
    everybody(&mut world);
    for who in 0..3 {
        let title = world.devices[who].look(|tx| Ok(conversations::load(tx, &id)?.title));
        assert_eq!(title, "ours");
        assert!(world.devices[who].set_aside().is_empty());
    }
    assert_eq!(world.outside.relay.sent(EnvelopeKind::Resync), 0);
    world.settle();
    world.check();
}

#[test]
fn p5_nothing_is_carried_into_another_conversation() {
    let (mut world, one) = group(3);
    let others = world.others(0);
    let other = world.create_with(0, &others);
    everybody(&mut world);
    let (from, to) = (log_of(&mut world, one), log_of(&mut world, other));
    say(&mut world, 0, one);
    let all: Vec<_> = world.outside.relay.logs[&from].entries.clone();
    for entry in all {
        world.outside.relay.inject(to, entry.entry_id, entry.kind, entry.blob);
    }
    everybody(&mut world);
    for who in 0..3 {
        assert_eq!(texts(&mut world, who, other), 0);
    }
    let message = say(&mut world, 1, other);
    everybody(&mut world);
    assert!(shows(&mut world, 2, other, message));
    world.settle();
    world.check();
}

#[test]
fn p5_own_messages_are_not_reflected() {
    let (mut world, id) = group(2);
    let log = log_of(&mut world, id);
    let message = say(&mut world, 1, id);
    // Once before the device has seen it stand in the log, and once behind.
    let entry = world.outside.relay.logs[&log].entries.last().unwrap().clone();
    world.outside.relay.inject(log, entry.entry_id, entry.kind, entry.blob.clone());
    everybody(&mut world);
    world.outside.relay.inject(log, entry.entry_id, entry.kind, entry.blob.clone());
    // Under an id of the relay's own it is no envelope of that id.
    world.outside.relay.inject(log, EnvelopeId::from_bytes([3; 16]), entry.kind, entry.blob);
    everybody(&mut world);
    for who in 0..2 {
        assert!(shows(&mut world, who, id, message));
        assert_eq!(texts(&mut world, who, id), 1);
    }
    world.settle();
    world.check();
}

#[test]
fn p5_junk_under_a_copied_id_shadows_nothing() {
    let (mut world, id) = group(2);
    let log = log_of(&mut world, id);
    let message = MessageId::from_bytes([5; 16]);
    world.on(0, |device, outside| device.send(outside, id, message)).unwrap();
    // Sealed, and lost on its way: the relay has seen the id.
    world.devices[0].faults.lose_in = Some(0);
    world.on(0, |device, outside| device.flush(outside));
    let now = world.outside.now;
    let sealed = world.devices[0].look(|tx| crate::store::outbox::head(tx, &id, now)).unwrap().sealed.unwrap();
    let junk = vec![0x57; sealed.blob.len()];
    world.outside.relay.inject(log, sealed.entry_id, EnvelopeKind::App, junk);
    let mut bent = sealed.blob.clone();
    *bent.last_mut().unwrap() ^= 1;
    world.outside.relay.inject(log, sealed.entry_id, EnvelopeKind::App, bent);
    everybody(&mut world);
    for who in 0..2 {
        assert!(shows(&mut world, who, id, message));
    }
    world.settle();
    world.check();
}

/// The place of somebody's wrap in an envelope.
fn wrap_of(world: &mut World, log: LogId, who: usize, entry: EnvelopeId, blob: &[u8]) -> std::ops::Range<usize> {
    let secret = world.devices[who].look(|tx| Ok(logs::load(tx, log)?.unwrap().secret));
    let tag = secret.tag_key().tag(entry, world.devices[who].device, 1);
    let length = Suite::X25519.wrap_len();
    let mut starts = (0..).map(|n| Header::LEN + n * length);
    let start = starts.find(|start| blob[*start..start + 8] == tag).unwrap();
    start..start + length
}

#[test]
fn p16_two_people_are_not_shown_two_texts_by_one_envelope() {
    let (mut world, id) = group(3);
    let log = log_of(&mut world, id);
    let ada: AccountId = world.devices[0].account;
    let keys = world.devices[0].keys.clone();
    let entry = EnvelopeId::from_bytes([6; 16]);
    let said = |text: &str| {
        waxwing_protocol::AppMessage::Text { message_id: MessageId::from_bytes([8; 16]), text: text.to_owned() }
            .encode()
    };
    let mut blobs = Vec::new();
    for text in ["one", "two"] {
        let mls = world.devices[0].encrypt(log, &said(text));
        blobs.push(world.devices[0].envelope_as(log, EnvelopeKind::App, mls, (ada, &keys), entry).1);
    }
    // Cem's wrap opens the other envelope's key.
    let (here, there) = (wrap_of(&mut world, log, 2, entry, &blobs[0]), wrap_of(&mut world, log, 2, entry, &blobs[1]));
    let other = blobs[1][there].to_vec();
    blobs[0][here].copy_from_slice(&other);
    world.outside.relay.inject(log, entry, EnvelopeKind::App, blobs[0].clone());
    everybody(&mut world);
    assert_eq!(texts(&mut world, 2, id), 0, "cem is shown nothing");
    assert_eq!(world.devices[2].set_aside(), ["it does not open"]);
    // The signature covers the wraps: whoever is meant by it is not shown a bent envelope either.
    assert_eq!(texts(&mut world, 1, id), 0);
    let message = say(&mut world, 1, id);
    everybody(&mut world);
    assert!(shows(&mut world, 0, id, message) && shows(&mut world, 2, id, message));
}

#[test]
fn p5_an_own_commit_under_another_kind_is_not_merged() {
    for lies in [false, true] {
        let (mut world, id) = group(2);
        let log = log_of(&mut world, id);
        let epoch = |world: &mut World| {
            let crypto = world.devices[0].crypto.clone();
            world.devices[0].look(|tx| Ok(Group::load(&crypto, tx, log)?.unwrap().epoch()))
        };
        let before = epoch(&mut world);
        world.on(0, |ada, _| ada.change(id, &GroupChange::Rename("Storks".to_owned())));
        // It arrives, and she does not hear of it: the third request, behind her name and the reading of the log.
        world.devices[0].faults = Faults { lose_in: Some(2), arrives: true, ..Faults::default() };
        world.on(0, |ada, outside| ada.flush(outside));
        let last = world.outside.relay.logs.get_mut(&log).unwrap().entries.last_mut().unwrap();
        assert_eq!(last.kind, EnvelopeKind::Handshake);
        if lies {
            last.kind = EnvelopeKind::App;
        }
        world.on(0, |ada, outside| ada.drain_log(outside, log));
        assert_eq!(epoch(&mut world) == before, lies);
    }
}

fn state_of(world: &mut World, who: usize, message: MessageId) -> MessageState {
    let me = world.devices[who].account;
    world.devices[who].look(|tx| messages::load(tx, me, message)).unwrap().state
}

/// The relay says that it has a text, and shows something else in that place.
#[test]
fn p5_what_was_accepted_and_is_not_shown_is_sent_again() {
    let (mut world, id) = group(2);
    let log = log_of(&mut world, id);
    world.outside.relay.replaces = 2;
    let message = say(&mut world, 0, id);
    assert_eq!(state_of(&mut world, 0, message), MessageState::Sent, "as the relay says");
    world.on(0, |ada, outside| ada.drain_log(outside, log)).unwrap();
    assert_eq!(state_of(&mut world, 0, message), MessageState::Sending);
    everybody(&mut world);
    assert!(!shows(&mut world, 1, id, message), "not at once, and the next is not shown either");
    for _ in 0..3 {
        world.outside.now += 6000;
        everybody(&mut world);
    }
    assert!(shows(&mut world, 1, id, message));
    assert_eq!(state_of(&mut world, 0, message), MessageState::Sent);
    assert!(!world.outside.relay.logs[&log].injected.is_empty(), "the control");
    world.settle();
    world.check();
}

/// The relay puts somebody else's junk before it: what was sealed for the place before is read by nobody.
#[test]
fn p5_what_is_put_behind_a_junk_handshake_is_sent_again() {
    let (mut world, id) = group(2);
    let log = log_of(&mut world, id);
    let message = say(&mut world, 0, id);
    assert_eq!(state_of(&mut world, 0, message), MessageState::Sent);
    let relay = &mut world.outside.relay;
    relay.inject(log, EnvelopeId::from_bytes([9; 16]), EnvelopeKind::Handshake, vec![7; 256]);
    let kept = relay.logs.get_mut(&log).unwrap();
    let last = kept.entries.len();
    kept.swap(last - 2, last - 1);
    kept.injected = vec![last as u64 - 1];
    for _ in 0..3 {
        world.outside.now += 6000;
        everybody(&mut world);
    }
    assert!(shows(&mut world, 1, id, message));
    assert_eq!(state_of(&mut world, 0, message), MessageState::Sent);
}

/// A relay that has lost the newest of a log, and does not say that it was restored.
#[test]
fn p5_a_log_that_went_back_is_begun_anew_after_an_hour() {
    for people in [2, 3] {
        let (mut world, id) = group(people);
        let log = log_of(&mut world, id);
        say(&mut world, 0, id);
        everybody(&mut world);
        let length = world.outside.relay.logs[&log].entries.len();
        world.outside.relay.went_back = true;
        world.outside.relay.logs.get_mut(&log).unwrap().go_back(length - 1);
        everybody(&mut world);
        assert_eq!(log_of(&mut world, id), log, "not at once: a copy may lag behind");
        world.outside.now += 61 * 60 * 1000;
        for _ in 0..3 {
            everybody(&mut world);
            world.outside.now += 4000;
        }
        assert_ne!(log_of(&mut world, id), log);
        for who in 0..people {
            let message = say(&mut world, who, id);
            everybody(&mut world);
            assert!((0..people).all(|who| shows(&mut world, who, id, message)), "{people}: {who}");
        }
    }
}
