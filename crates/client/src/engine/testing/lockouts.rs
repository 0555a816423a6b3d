//! A member, or whoever has the write token, locks everybody out of a log: an admin begins anew, and the timeline says whose doing it was.

use waxwing_protocol::Content;
use waxwing_protocol::group::CommitData;
use waxwing_wire::frame::{LogEntry, LogTokens};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{LogId, MessageId};

use super::super::restart::begin_with_all;
use super::super::sealing::Outcome;
use super::faults::{change, everybody, group, say, shows};
use super::forge::{Forged, Twist};
use super::world::World;
use crate::mls::{Group, GroupChange};
use crate::store::conversations::ConversationId;
use crate::store::{account, conversations, logs, messages, outbox, people};
use crate::views::Notice;

fn log_of(world: &mut World, id: ConversationId) -> LogId {
    world.devices[0].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap().log))
}

/// A handshake in the log that brings tokens which nobody has.
fn lock(world: &mut World, log: LogId, blob: Vec<u8>, id: waxwing_wire::EnvelopeId) {
    let seq = world.outside.relay.inject(log, id, EnvelopeKind::Handshake, blob);
    let stored = world.outside.relay.logs.get_mut(&log).unwrap();
    let old = std::mem::replace(&mut stored.tokens, LogTokens { write: [0x5a; 32], read: [0x5a; 32] });
    stored.retired.push((seq, old));
}

/// What each timeline says of the new beginning: by whom the log was locked.
fn restarts(world: &mut World, who: usize, id: ConversationId) -> Vec<Option<String>> {
    world.devices[who].look(|tx| {
        let page = messages::page(tx, &account::require(tx)?, &id, None, 500)?;
        let spoiler = |notice| match notice {
            Some(Notice::Restarted { spoiler, .. }) => Some(spoiler),
            _ => None,
        };
        Ok(page.messages.into_iter().filter_map(|line| spoiler(line.notice)).collect())
    })
}

/// All of them are in a group of the next generation and hear each other.
fn all_begin_anew(world: &mut World, id: ConversationId, log: LogId) {
    let generation = world.devices[0].look(|tx| Ok(logs::load(tx, log)?.unwrap().generation));
    everybody(world);
    everybody(world);
    for who in 0..world.devices.len() {
        let now = world.devices[who].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap()));
        assert!(now.log != log && now.generation > generation, "{who} is where it was");
        assert_eq!(now.trouble, logs::Trouble::None, "{who}");
        let message = say(world, who, id);
        everybody(world);
        for other in 0..world.devices.len() {
            assert!(shows(world, other, id, message), "{other} has not heard {who}");
        }
    }
}

#[test]
fn p13_junk_with_new_tokens_is_noticed_by_reading_alone() {
    let (mut world, id) = group(3);
    let log = log_of(&mut world, id);
    lock(&mut world, log, vec![0x5a; 900], waxwing_wire::EnvelopeId::from_bytes([0x5a; 16]));
    all_begin_anew(&mut world, id, log);
    for who in 0..3 {
        assert_eq!(restarts(&mut world, who, id), [None], "nobody's signature stands under it");
    }
}

/// The read token stays, so reading shows nothing: whoever wants to write finds out.
#[test]
fn p13_junk_that_changes_the_write_token_alone_is_noticed_by_writing() {
    let (mut world, id) = group(3);
    let log = log_of(&mut world, id);
    let blob = vec![0x5a; 900];
    let entry = waxwing_wire::EnvelopeId::from_bytes([0x5a; 16]);
    let seq = world.outside.relay.inject(log, entry, EnvelopeKind::Handshake, blob);
    let stored = world.outside.relay.logs.get_mut(&log).unwrap();
    let locked = LogTokens { write: [0x5a; 32], read: stored.tokens.read };
    let old = std::mem::replace(&mut stored.tokens, locked);
    stored.retired.push((seq, old));
    everybody(&mut world);
    let trouble = world.devices[0].look(|tx| Ok(logs::load(tx, log)?.unwrap().trouble));
    assert_eq!(trouble, logs::Trouble::None, "the control: nobody has written");
    // First somebody who may not begin anew, then an admin.
    let said = [2, 0].map(|who| {
        let message = MessageId::from_bytes(world.dice.bytes());
        world.on(who, |device, outside| device.send(outside, id, message)).unwrap();
        world.on(who, |device, outside| device.sync(outside));
        message
    });
    all_begin_anew(&mut world, id, log);
    for who in 0..3 {
        assert!(said.iter().all(|message| shows(&mut world, who, id, *message)), "{who}");
    }
}

#[test]
fn p13_a_member_whose_invalid_commit_brings_new_tokens_is_named() {
    let (mut world, id) = group(3);
    let log = log_of(&mut world, id);
    let bea = world.devices[1].account;
    let mut roster = world.devices[1].roster(log);
    roster.remove(world.devices[2].account);
    let data = CommitData { rekey: true, ..CommitData::default() };
    let mls = world.devices[1].forge(log, Forged { remove: Vec::new(), roster: Some(roster), data });
    let keys = world.devices[1].keys.clone();
    let (entry, blob) = world.devices[1].envelope(log, EnvelopeKind::Handshake, mls, (bea, &keys));
    lock(&mut world, log, blob, entry);
    all_begin_anew(&mut world, id, log);
    for who in [0, 2] {
        let name = format!("{} the Bird", world.devices[1].name);
        assert_eq!(restarts(&mut world, who, id), [Some(name)], "device {who}");
    }
}

#[test]
fn p13_a_member_who_locks_everybody_out_is_named_and_nobody_waits_a_day() {
    for tokens in [true, false] {
        let (mut world, id) = group(4);
        let log = log_of(&mut world, id);
        let bea = world.devices[1].account;
        let mut mls = world.devices[1].forge(log, Forged::default());
        // Of the right form, for this group and epoch, and nobody can open it: each thinks that they have lost their place.
        *mls.last_mut().unwrap() ^= 1;
        let keys = world.devices[1].keys.clone();
        let (entry, blob) = world.devices[1].envelope(log, EnvelopeKind::Handshake, mls, (bea, &keys));
        if tokens {
            lock(&mut world, log, blob, entry);
        } else {
            world.outside.relay.inject(log, entry, EnvelopeKind::Handshake, blob);
        }
        let before = world.outside.now;
        all_begin_anew(&mut world, id, log);
        assert!(world.outside.now - before < 24 * 60 * 60 * 1000);
        for who in [0, 2, 3] {
            let name = format!("{} the Bird", world.devices[1].name);
            assert_eq!(restarts(&mut world, who, id), [Some(name)], "device {who}");
        }
    }
}

/// Two admins see at once that nobody can write any more, and each begins anew before the other is heard of. Everybody follows both groups,
/// and what is said goes into one.
#[test]
fn two_admins_who_begin_anew_at_once_end_in_one_group() {
    for order in [[0, 1], [1, 0]] {
        let (mut world, id) = group(4);
        let log = log_of(&mut world, id);
        let bea = world.devices[1].account;
        change(&mut world, 0, id, &GroupChange::SetRole { account: bea, admin: true });
        everybody(&mut world);
        lock(&mut world, log, vec![0x5a; 900], waxwing_wire::EnvelopeId::from_bytes([0x5a; 16]));
        let waiting = MessageId::from_bytes([7; 16]);
        world.on(3, |device, outside| device.send(outside, id, waiting)).unwrap();
        world.outside.relay.holds = true;
        for who in order {
            world.on(who, |device, outside| device.sync(outside));
            world.on(who, |device, outside| device.sync(outside));
        }
        let own = order.map(|who| world.devices[who].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap())));
        let told = own.each_ref().map(|own| (own.log, own.generation, own.mine, own.trouble));
        assert!(own[0].log != own[1].log && own.iter().all(|own| own.generation == 2 && own.mine), "{told:?}");
        world.outside.relay.holds = false;
        world.outside.relay.release();
        all_begin_anew(&mut world, id, log);
        let lowest = own.iter().map(|own| own.log).min();
        for who in 0..4 {
            let now = world.devices[who].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap()));
            assert_eq!(Some(now.log), lowest, "{who}");
            assert!(shows(&mut world, who, id, waiting), "{who} lacks what was written before");
        }
    }
}

/// The same conversation once more in a log of its own, as whoever has changed their app can make it.
pub(super) fn again(world: &mut World, id: ConversationId, who: usize, generation: u32) {
    let context = world.devices[who].context(world.outside.now);
    let relay = world.devices[who].look(|tx| Ok(account::require(tx)?.relay));
    world.devices[who]
        .tx(|tx| {
            let known = conversations::load(tx, &id)?;
            tx.execute("UPDATE logs SET active = 0 WHERE conversation = ?1", [id])?;
            let people = people::of(tx, &id)?;
            begin_with_all(tx, &context, &known, generation, relay)?;
            people::replace(tx, &id, &people)
        })
        .unwrap();
}

/// The relay has lost the older log, and an own change for it still waits.
#[test]
fn what_waits_for_a_group_that_another_has_replaced_holds_up_nothing() {
    let (mut world, id) = group(3);
    let log = log_of(&mut world, id);
    again(&mut world, id, 0, 2);
    everybody(&mut world);
    for who in 0..3 {
        assert_ne!(world.devices[who].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap().log)), log, "{who}");
    }
    let followed = world.devices[1].look(|tx| Ok(logs::load(tx, log)?.unwrap()));
    assert!(followed.active && followed.trouble == logs::Trouble::None, "the control: it is still read");
    world.devices[1].tx(|tx| outbox::push_change(tx, &id, log, &GroupChange::Update.encode()?, 0)).unwrap();
    let stored = world.outside.relay.logs.get_mut(&log).unwrap();
    stored.tokens = LogTokens { write: [0x5a; 32], read: [0x5a; 32] };
    stored.retired.clear();
    let message = MessageId::from_bytes([8; 16]);
    world.on(1, |device, outside| device.send(outside, id, message)).unwrap();
    everybody(&mut world);
    for who in 0..3 {
        assert!(shows(&mut world, who, id, message), "{who}");
    }
    assert!(world.devices[1].look(|tx| outbox::changes(tx, &id)).is_empty());
}

/// What a group that takes the place of another one must be.
#[test]
fn a_group_that_is_not_newer_or_not_an_admins_takes_no_place() {
    let (mut world, id) = group(3);
    let before: Vec<_> = (0..2).map(|who| world.devices[who].look(|tx| logs::to_send(tx, &id)).unwrap().log).collect();
    // Cem is no admin.
    again(&mut world, id, 2, 2);
    everybody(&mut world);
    let why = world.devices[0].set_aside();
    assert!(why.contains(&"its sender may not start the group anew".to_owned()), "{why:?}");
    for (who, log) in before.iter().enumerate() {
        assert_eq!(world.devices[who].look(|tx| logs::to_send(tx, &id)).unwrap().log, *log);
    }
    // Ada is, and her group is no newer than the one that all are in.
    again(&mut world, id, 0, 1);
    everybody(&mut world);
    let why = world.devices[1].set_aside();
    assert!(why.contains(&"its group is not newer than the one before".to_owned()), "{why:?}");
    assert_eq!(world.devices[1].look(|tx| logs::to_send(tx, &id)).unwrap().log, before[1]);
}

#[test]
fn an_admin_whom_nobody_lets_back_in_for_a_day_begins_anew() {
    let (mut world, id) = group(3);
    let log = log_of(&mut world, id);
    // As a recovery in place leaves it: nothing of the group, and the wait for whoever is in it.
    let now = world.outside.now;
    world.devices[0]
        .tx(|tx| {
            crate::mls::storage::delete_group(tx, log.as_bytes())?;
            Ok(tx.execute(
                "UPDATE logs SET active = 0, resync_nonce = randomblob(16), resync_ms = ?2 WHERE log = ?1",
                rusqlite::params![log.as_bytes(), now],
            )?)
        })
        .unwrap();
    world.outside.now += 23 * 60 * 60 * 1000;
    everybody(&mut world);
    let of = |world: &mut World| world.devices[0].look(|tx| logs::of(tx, &id)).len();
    assert_eq!(of(&mut world), 1, "it waits for a day");
    world.outside.now += 2 * 60 * 60 * 1000;
    all_begin_anew(&mut world, id, log);
    for who in 0..3 {
        assert_eq!(restarts(&mut world, who, id), [None]);
    }
}

/// A member's update, the true one, in an envelope that is not for everybody as it should be.
pub(super) fn update_twisted(world: &mut World, (id, log): (ConversationId, LogId), who: usize, twist: &Twist) {
    let (account, keys) = (world.devices[who].account, world.devices[who].keys.clone());
    let sealed = world.on(who, |device, outside| {
        device.change(id, &GroupChange::Update)?;
        let (item, stored) = device.look(|tx| {
            let item = outbox::changes(tx, &id)?.into_iter().last().unwrap();
            Ok((item, logs::load(tx, log)?.unwrap()))
        });
        match device.seal(outside, &item, &stored)? {
            Outcome::Sealed(sealed) => Ok((item.n, stored.secret, sealed)),
            _ => panic!("nothing was sealed"),
        }
    });
    let (item, secret, sealed) = sealed.unwrap();
    let entry = LogEntry {
        seq: sealed.after + 1,
        entry_id: sealed.entry_id,
        kind: EnvelopeKind::Handshake,
        blob: sealed.blob.clone(),
    };
    // What was sealed opens for any of them.
    let other = usize::from(who == 0);
    let opened = world.devices[other].opens(log, &secret, &entry).unwrap();
    let crypto = world.devices[other].crypto.clone();
    let by = opened.claimed().device;
    let leaf = world.devices[other].look(|tx| Group::load(&crypto, tx, log)?.unwrap().leaf(by)).unwrap();
    let message = opened.verify_leaf(&leaf.identity).unwrap();
    let Ok(Content::Mls(mls)) = Content::decode(EnvelopeKind::Handshake, &message.content) else { panic!("no MLS") };
    let device = &mut world.devices[who];
    let blob = device.envelope_twisted(twist, log, EnvelopeKind::Handshake, mls, (account, &keys), sealed.entry_id);
    device.tx(|tx| outbox::set_sealed(tx, item, &outbox::Sealed { blob, ..sealed })).unwrap();
    world.on(who, |device, outside| device.flush(outside)).unwrap();
}

/// A member's update that counts, with the new tokens, and with nothing in it for one of the others: to them it is junk, and the log one
/// that nobody can write to any more. They are no admin, so they ask to be let back in, and are.
#[test]
fn p13_whoever_is_given_nothing_of_an_update_is_let_back_in() {
    let (mut world, id) = group(4);
    let log = log_of(&mut world, id);
    let without = Some(world.devices[2].device);
    update_twisted(&mut world, (id, log), 1, &Twist { without, ..Twist::default() });

    let out_of_step = world.devices[2].account;
    world.outside.ledger.misled.insert(out_of_step);
    everybody(&mut world);
    assert!(world.devices[2].set_aside().iter().any(|why| why.contains("does not open")), "it was for everybody");
    world.outside.now += 60_000;
    everybody(&mut world);
    // The same group goes on, and all are in it.
    for who in [2, 1, 0, 3] {
        let now = world.devices[who].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap()));
        assert_eq!((now.log, now.trouble), (log, logs::Trouble::None), "{who}");
        let message = say(&mut world, who, id);
        everybody(&mut world);
        for other in 0..4 {
            assert!(shows(&mut world, other, id, message), "{other} has not heard {who}");
        }
    }
}
