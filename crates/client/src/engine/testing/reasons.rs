//! What makes a device ask to be let back in (docs/protocol.md "Resync"), each reason by itself: it asks once a day, somebody lets it back in,
//! and everybody hears everybody again. And what it makes of the answer that it was taken out.
//!
//! Not here: entries that are gone at the relay (c: `tests/tests/gone.rs`, where there is a relay that drops some), an older database (e:
//! `schedules`), being taken out and in without having asked (f: `thieves`), who may ask, and how often one is answered (`thieves`).

use std::sync::Arc;

use waxwing_protocol::{AppMessage, Content, Epoch, Recipient};
use waxwing_wire::frame::InboxSend;
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{DeviceId, EnvelopeId, LogId, MessageId};

use super::super::sealing::seal_for_inbox;
use super::faults::{change, everybody, group, say, shows};
use super::forge::Twist;
use super::liar::impostor;
use super::lockouts::update_twisted;
use super::world::World;
use crate::mls::{Group, GroupChange, Plan};
use crate::random;
use crate::store::conversations::ConversationId;
use crate::store::logs::{self, Noted, Trouble};
use crate::store::{account, conversations, messages};
use crate::views::{MessageState, Notice, Standing};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// Whoever was asked has answered by then.
const ANSWERED_MS: u64 = 3000;

/// Ada (admin), bea, cem and so on; everybody has read everything, and nothing waits.
fn setting(people: usize) -> (World, ConversationId, LogId) {
    let (mut world, id) = group(people);
    world.settle();
    let log = world.devices[0].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap().log));
    (world, id, log)
}

/// Bea alone is awake.
fn bea_looks(world: &mut World) {
    for _ in 0..3 {
        world.on(1, |bea, outside| bea.sync(outside)).unwrap();
    }
}

/// How many requests have been sent, and what bea takes to be wrong.
fn asked(world: &mut World, log: LogId) -> (usize, Trouble) {
    let trouble = world.devices[1].look(|tx| Ok(logs::load(tx, log)?.unwrap().trouble));
    (world.outside.relay.sent(EnvelopeKind::Resync), trouble)
}

fn notices(world: &mut World, who: usize, id: ConversationId) -> Vec<Notice> {
    world.devices[who].look(|tx| {
        let page = messages::page(tx, &account::require(tx)?, &id, None, 500)?;
        Ok(page.messages.into_iter().filter_map(|line| line.notice).collect())
    })
}

/// Bea asks as many as two others, however often she looks; and once more when nobody has answered for a day. Then they come back to both
/// requests, one of them lets her in, and all hear all.
#[track_caller]
fn asks_once_a_day_until_let_in(world: &mut World, id: ConversationId, log: LogId, trouble: Trouble) {
    let each = (world.devices.len() - 1).min(2);
    bea_looks(world);
    assert_eq!(asked(world, log), (each, trouble));
    world.outside.now += DAY_MS - 1;
    bea_looks(world);
    assert_eq!(asked(world, log), (each, trouble), "she asks twice a day");
    world.outside.now += 1;
    bea_looks(world);
    assert_eq!(asked(world, log), (2 * each, trouble), "she gives up");
    everybody(world);
    world.outside.now += ANSWERED_MS;
    everybody(world);
    assert_eq!(asked(world, log), (2 * each, Trouble::None), "she is not let back in");
    let repaired = |notice: &&Notice| matches!(notice, Notice::Repaired);
    assert_eq!(notices(world, 1, id).iter().filter(repaired).count(), 1);
    for from in 0..world.devices.len() {
        let message = say(world, from, id);
        everybody(world);
        assert!((0..world.devices.len()).all(|who| shows(world, who, id, message)), "{from} is not heard");
    }
    world.settle();
    world.outside.now += DAY_MS;
    everybody(world);
    assert_eq!(asked(world, log), (2 * each, Trouble::None), "she asks though nothing is wrong");
}

/// (a) Cem's words open on the outside and not inside. Nothing else is lost by it: what bea says meanwhile is heard.
#[test]
fn a_message_whose_mls_part_does_not_open_is_a_reason_to_ask() {
    let (mut world, id, log) = setting(3);
    let (cem, keys) = (world.devices[2].account, Arc::clone(&world.devices[2].keys));
    let text = AppMessage::Text { message_id: MessageId::from_bytes([7; 16]), text: "unheard".to_owned() }.encode();
    let mut mls = world.devices[2].encrypt(log, &text);
    *mls.last_mut().unwrap() ^= 1;
    // For bea alone.
    let twist = Twist { without: Some(world.devices[0].device), ..Twist::default() };
    let entry = EnvelopeId::from_bytes(random::bytes());
    let blob = world.devices[2].envelope_twisted(&twist, log, EnvelopeKind::App, mls, (cem, &keys), entry);
    world.outside.relay.inject(log, entry, EnvelopeKind::App, blob);
    bea_looks(&mut world);
    let meanwhile = say(&mut world, 1, id);
    asks_once_a_day_until_let_in(&mut world, id, log, Trouble::Lost);
    assert!([0, 2].iter().all(|who| shows(&mut world, *who, id, meanwhile)));
    let unreadable = |who: usize, world: &mut World| {
        let all = notices(world, who, id);
        all.into_iter().filter(|notice| *notice == Notice::Unreadable { name: "cem the Bird".to_owned() }).count()
    };
    assert_eq!([0, 1, 2].map(|who| unreadable(who, &mut world)), [0, 1, 0]);
}

/// Somebody signs another state of the group in the same place: their number of the epoch, and another authenticator.
fn is_elsewhere(world: &mut World, log: LogId, who: usize) {
    let device = &mut world.devices[who];
    let (crypto, keys) = (Arc::clone(&device.crypto), Arc::clone(&device.keys));
    let here = device.look(|tx| Ok(Group::load(&crypto, tx, log)?.unwrap().epoch()));
    let mut authenticator = here.authenticator;
    authenticator[0] ^= 1;
    let text = AppMessage::Text { message_id: MessageId::from_bytes([8; 16]), text: "elsewhere".to_owned() }.encode();
    let mls = device.encrypt(log, &text);
    // Not for themselves: they have not said it.
    let twist = Twist { shut: Some(device.device), epoch: Some(Epoch { authenticator, ..here }), ..Twist::default() };
    let (entry, by) = (EnvelopeId::from_bytes(random::bytes()), (device.account, &*keys));
    let blob = device.envelope_twisted(&twist, log, EnvelopeKind::App, mls, by, entry);
    world.outside.relay.inject(log, entry, EnvelopeKind::App, blob);
}

/// Any member may add leaves of the own account: with these nobody is two.
#[test]
fn p13_one_member_with_two_leaves_puts_nobody_out_of_step() {
    let (mut world, id, log) = setting(3);
    let cem = world.devices[2].account;
    let mut second = impostor("cem", cem, DeviceId::from_bytes([9; 16]));
    let World { outside, devices, .. } = &mut world;
    let (keys, plan) = (Arc::clone(&devices[2].keys), Plan { add: vec![second.claimed()], ..Plan::default() });
    let welcome = devices[2].commit_anyway(outside, (id, log), &keys, plan).unwrap();
    second.joins(log, &welcome);
    everybody(&mut world);
    is_elsewhere(&mut world, log, 2);
    let crypto = Arc::clone(&world.devices[2].crypto);
    let here = world.devices[2].look(|tx| Ok(Group::load(&crypto, tx, log)?.unwrap().epoch()));
    let text = AppMessage::Text { message_id: MessageId::from_bytes([7; 16]), text: "elsewhere".to_owned() }.encode();
    let mls = second.says(log, &text);
    let mut authenticator = here.authenticator;
    authenticator[0] ^= 2;
    let twist = Twist { epoch: Some(Epoch { authenticator, ..here }), ..Twist::default() };
    let (entry, by) = (EnvelopeId::from_bytes(random::bytes()), (cem, &*second.keys));
    let blob = world.devices[2].envelope_twisted(&twist, log, EnvelopeKind::App, mls, by, entry);
    world.outside.relay.inject(log, entry, EnvelopeKind::App, blob);
    bea_looks(&mut world);
    let aside = world.devices[1].set_aside();
    let elsewhere = aside.iter().filter(|one| *one == "its sender is in another state of the group").count();
    assert_eq!(elsewhere, 2, "the control: both have said so");
    assert_eq!(asked(&mut world, log), (0, Trouble::None), "cem alone has said so");
}

/// (b) One of several may lie, or be lost; of two the same is less likely.
#[test]
fn p13_two_members_who_sign_another_state_of_the_group_are_a_reason_to_ask() {
    let (mut world, id, log) = setting(3);
    for _ in 0..2 {
        is_elsewhere(&mut world, log, 2);
        bea_looks(&mut world);
        assert_eq!(asked(&mut world, log), (0, Trouble::None), "cem alone has said so");
    }
    // A commit counts, bea's own: whoever was elsewhere before it is to be seen there again.
    change(&mut world, 1, id, &GroupChange::Update);
    everybody(&mut world);
    is_elsewhere(&mut world, log, 0);
    bea_looks(&mut world);
    assert_eq!(asked(&mut world, log), (0, Trouble::None), "what cem said was of another place in the log");
    // And somebody else's.
    change(&mut world, 2, id, &GroupChange::Update);
    everybody(&mut world);
    is_elsewhere(&mut world, log, 2);
    bea_looks(&mut world);
    assert_eq!(asked(&mut world, log), (0, Trouble::None), "what ada said was of another place in the log");
    is_elsewhere(&mut world, log, 0);
    asks_once_a_day_until_let_in(&mut world, id, log, Trouble::Behind);
}

/// (b) Where there is nobody else, the other one's word is enough.
#[test]
fn p13_of_two_people_the_others_state_of_the_group_is_a_reason_to_ask() {
    let (mut world, id, log) = setting(2);
    is_elsewhere(&mut world, log, 0);
    asks_once_a_day_until_let_in(&mut world, id, log, Trouble::Behind);
}

/// Ada's update counts, and bea's wrap in it does not open.
fn shut_out(world: &mut World, id: ConversationId, log: LogId) {
    let shut = Some(world.devices[1].device);
    update_twisted(world, (id, log), 0, &Twist { shut, ..Twist::default() });
}

/// (d) The others go on behind a handshake that bea cannot open.
#[test]
fn a_handshake_whose_wrap_does_not_open_is_a_reason_to_ask() {
    let (mut world, id, log) = setting(3);
    shut_out(&mut world, id, log);
    bea_looks(&mut world);
    assert_eq!(world.devices[1].set_aside(), ["a handshake for this device does not open"]);
    asks_once_a_day_until_let_in(&mut world, id, log, Trouble::Behind);
}

/// Somebody tells bea that she was taken out of the log by the commit in this place.
fn tells_removed(world: &mut World, by: usize, log: LogId, seq: u64) {
    let (sender, keys, now) = (world.devices[by].account, Arc::clone(&world.devices[by].keys), world.outside.now);
    let (bea, record) = (world.devices[1].account, world.devices[1].keys.record().clone());
    let content = Content::Removed { log, seq }.encode();
    let (kind, recipient) = (EnvelopeKind::Notice, Recipient { account: bea, record: &record });
    let (entry_id, blob) = seal_for_inbox(&keys, sender, kind, &recipient, &content, (now, None)).unwrap();
    world.outside.relay.send(record.device, &InboxSend { entry_id, kind, blob }).unwrap();
    bea_looks(world);
}

fn standing(world: &mut World, id: ConversationId) -> Standing {
    world.devices[1].look(|tx| Ok(conversations::load(tx, &id)?.standing))
}

/// What comes into inboxes meanwhile is lost to Bea.
fn lost_to_bea(world: &mut World, act: impl FnOnce(&mut World)) {
    world.outside.relay.holds = true;
    act(world);
    world.outside.relay.lose(world.devices[1].device);
    world.outside.relay.holds = false;
    world.outside.relay.release();
}

/// Bea was taken out and brought in again, as she had asked, and the Welcome is lost. Then an admin removes her for good, and that notice is lost,
/// too: nothing that she can still read says so. Those whom she asks do, and nobody else is believed.
#[test]
fn whoever_waits_for_a_welcome_and_was_taken_out_is_told_so_and_waits_no_more() {
    let (mut world, id, log) = setting(4);
    let bea = world.devices[1].account;
    // That something waits until then is no fault.
    world.outside.ledger.restored.insert(bea);
    world.devices[1].tx(|tx| logs::note_trouble(tx, log, Trouble::Behind)).unwrap();
    bea_looks(&mut world);
    assert_eq!(asked(&mut world, log), (2, Trouble::Behind));
    lost_to_bea(&mut world, |world| {
        for _ in 0..3 {
            world.outside.now += ANSWERED_MS;
            for who in [0, 2, 3] {
                world.on(who, |device, outside| device.sync(outside));
            }
        }
    });
    bea_looks(&mut world);
    let waits = |world: &mut World| {
        world.devices[1].look(|tx| Ok((logs::load(tx, log)?.unwrap().active, logs::resync(tx, log)?.1.is_some())))
    };
    assert_eq!(waits(&mut world), (false, true), "the control: she reads that log no more, and waits");
    lost_to_bea(&mut world, |world| {
        change(world, 0, id, &GroupChange::Remove(bea));
        world.on(0, |device, outside| device.sync(outside));
    });
    bea_looks(&mut world);
    let place = world.devices[1].look(|tx| Ok(logs::load(tx, log)?.unwrap().last_handshake));
    let devices: Vec<_> = world.devices.iter().map(|one| one.device).collect();
    let was_asked =
        |who: usize, world: &mut World| world.devices[1].look(|tx| logs::is_noted(tx, log, devices[who], Noted::Asked));
    let unasked = [2, 3].into_iter().find(|who| !was_asked(*who, &mut world)).unwrap();
    tells_removed(&mut world, unasked, log, place + 1);
    assert_eq!(standing(&mut world, id), Standing::Member, "whoever was not asked is believed");
    // One answer is on its way: no member may have it come in vain by another.
    let member = [2, 3].into_iter().find(|who| was_asked(*who, &mut world)).unwrap();
    tells_removed(&mut world, member, log, place + 1);
    assert_eq!(
        (standing(&mut world, id), waits(&mut world)),
        (Standing::Member, (false, true)),
        "a member is believed"
    );
    tells_removed(&mut world, 0, log, place - 1);
    assert_eq!(standing(&mut world, id), Standing::Member, "she has read further than that");
    tells_removed(&mut world, 0, LogId::from_bytes([1; 16]), place + 1);
    assert_eq!((standing(&mut world, id), waits(&mut world)), (Standing::Member, (false, true)), "of another log");

    let text = MessageId::from_bytes([9; 16]);
    world.on(1, |device, outside| device.send(outside, id, text)).unwrap();
    world.outside.now += DAY_MS;
    everybody(&mut world);
    assert_eq!((standing(&mut world, id), waits(&mut world)), (Standing::Removed, (false, false)), "she waits on");
    assert_eq!(world.devices[1].look(|tx| messages::load(tx, bea, text)).unwrap().state, MessageState::Failed);
    let told = |world: &mut World| {
        notices(world, 1, id).iter().filter(|notice| matches!(notice, Notice::Removed { me: true, .. })).count()
    };
    assert_eq!(told(&mut world), 1);
    // She waits for nothing any more: whoever says it once more says nothing new.
    world.devices[1].tx(|tx| conversations::set_standing(tx, &id, Standing::Member)).unwrap();
    tells_removed(&mut world, 0, log, place + 9);
    assert_eq!((told(&mut world), standing(&mut world, id)), (1, Standing::Member));
    let before = asked(&mut world, log).0;
    world.outside.now += 2 * DAY_MS;
    everybody(&mut world);
    assert_eq!(asked(&mut world, log).0, before, "she asks again");
}

/// Bea cannot read that she was taken out. Those whom she asks say so, and the conversation does.
#[test]
fn whoever_asks_and_was_taken_out_is_told_so_and_asks_no_more() {
    let (mut world, id, log) = setting(4);
    let (bea, name) = (world.devices[1].account, "bea the Bird".to_owned());
    shut_out(&mut world, id, log);
    change(&mut world, 0, id, &GroupChange::Remove(bea));
    // Ada's notice comes before bea has seen that anything is wrong, and counts for nothing yet.
    bea_looks(&mut world);
    assert_eq!((asked(&mut world, log), standing(&mut world, id)), ((2, Trouble::Behind), Standing::Member));
    let place = world.devices[1].look(|tx| Ok(logs::load(tx, log)?.unwrap().last_handshake));
    let devices: Vec<_> = world.devices.iter().map(|one| one.device).collect();
    let was_asked: Vec<bool> = world.devices[1]
        .look(|tx| devices.iter().map(|device| logs::is_noted(tx, log, *device, Noted::Asked)).collect());
    assert!(was_asked[0], "the admin is one of them");
    let unasked = [2, 3].into_iter().find(|who| !was_asked[*who]).unwrap();
    tells_removed(&mut world, unasked, log, place + 1);
    assert_eq!(standing(&mut world, id), Standing::Member, "whoever was not asked is believed");
    tells_removed(&mut world, 0, log, place - 1);
    assert_eq!(standing(&mut world, id), Standing::Member, "she has read further than that");

    everybody(&mut world);
    assert_eq!(standing(&mut world, id), Standing::Removed);
    let told = notices(&mut world, 1, id);
    let told =
        told.iter().filter(|notice| matches!(notice, Notice::Removed { name: who, me: true, .. } if *who == name));
    assert_eq!(told.count(), 1);
    for from in [0, 2, 3] {
        let message = say(&mut world, from, id);
        everybody(&mut world);
        assert!([0, 2, 3].iter().all(|who| shows(&mut world, *who, id, message)), "{from} is not heard");
        assert!(!shows(&mut world, 1, id, message));
    }
    for _ in 0..2 {
        world.outside.now += DAY_MS;
        everybody(&mut world);
    }
    assert_eq!(asked(&mut world, log).0, 2, "she asks again");
    world.settle();
}
