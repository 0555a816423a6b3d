//! Envelopes that are opened before their turn say what they say in their turn, whatever the entries before them change.

use std::collections::HashSet;
use std::sync::Arc;

use waxwing_protocol::{ChannelSecret, LeafIdentity, OpenError};
use waxwing_wire::frame::LogEntry;
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{LogId, MessageId};

use super::super::ahead::{Ahead, Envelope, Opener};
use super::super::entries;
use super::faults::{change, everybody, group, rotate, say, shows};
use super::world::World;
use crate::mls::{Group, GroupChange};
use crate::store::conversations::ConversationId;
use crate::store::logs;

fn log_of(world: &mut World, id: ConversationId) -> LogId {
    world.devices[0].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap().log))
}

/// What a device has not read yet.
fn unread(world: &mut World, who: usize, log: LogId) -> Vec<LogEntry> {
    let cursor = world.devices[who].look(|tx| Ok(logs::load(tx, log)?.unwrap().cursor));
    world.outside.relay.logs[&log].entries.iter().filter(|entry| entry.seq > cursor).cloned().collect()
}

/// All that is there, in one stretch.
fn takes_all(world: &mut World, who: usize, log: LogId) {
    let page = unread(world, who, log);
    let now = world.outside.now;
    let device = &mut world.devices[who];
    let (context, opening, nobody) = (device.context(now), device.opening.clone(), HashSet::new());
    let taken = device.tx(|tx| entries::take(tx, &context, &opening, log, &page, (&nobody, &nobody))).unwrap();
    assert_eq!(taken.done, page.len(), "it is not read to the end");
    taken.chains.into_iter().for_each(|chain| device.chains.keep(chain));
}

#[test]
fn what_an_entry_changes_holds_for_those_behind_it_in_the_same_stretch() {
    let (mut world, id) = group(3);
    world.settle();
    let log = log_of(&mut world, id);
    let mut said: Vec<MessageId> = Vec::new();
    let mut both_speak = |world: &mut World| {
        for _ in 0..3 {
            for who in [0, 1] {
                said.push(say(world, who, id));
                world.on(1 - who, |device, outside| device.sync(outside));
            }
        }
    };
    // Cem is away. Bea's leaf has other keys, twice; the tag key is another one, and another.
    both_speak(&mut world);
    rotate(&mut world, 1);
    world.on(1, |device, outside| device.flush(outside)).unwrap();
    world.on(0, |device, outside| device.sync(outside));
    both_speak(&mut world);
    change(&mut world, 0, id, &GroupChange::Update);
    world.on(1, |device, outside| device.sync(outside));
    both_speak(&mut world);
    rotate(&mut world, 1);
    world.on(1, |device, outside| device.flush(outside)).unwrap();
    world.on(0, |device, outside| device.sync(outside));
    both_speak(&mut world);
    let page = unread(&mut world, 2, log);
    let commits: Vec<_> = (0..).zip(&page).filter(|(_, entry)| entry.kind == EnvelopeKind::Handshake).collect();
    assert!(commits.len() >= 3 && commits[0].0 > 4, "the control: commits among the words");
    assert!(page.len() >= said.len() + commits.len());
    takes_all(&mut world, 2, log);
    assert!(said.iter().all(|message| shows(&mut world, 2, id, *message)));
    let message = say(&mut world, 2, id);
    everybody(&mut world);
    assert!((0..3).all(|who| shows(&mut world, who, id, message)));
}

#[test]
fn what_was_opened_by_keys_that_are_not_in_force_in_its_turn_is_opened_again() {
    let (mut world, id) = group(2);
    world.settle();
    let log = log_of(&mut world, id);
    for _ in 0..3 {
        say(&mut world, 1, id);
    }
    let page = unread(&mut world, 0, log);
    assert_eq!(page.len(), 3);
    let bea = world.devices[1].device;
    let ada = &mut world.devices[0];
    let (crypto, account, opening) = (Arc::clone(&ada.crypto), ada.account, ada.opening.clone());
    let (leaves, secret) = ada.look(|tx| {
        let leaves = Group::load(&crypto, tx, log)?.unwrap().leaves()?;
        Ok((leaves.iter().map(|leaf| leaf.identity).collect::<Vec<_>>(), logs::load(tx, log)?.unwrap().secret))
    });
    let (tag_key, other_key) = (secret.tag_key(), ChannelSecret::from_bytes(&[9; 32]).tag_key());
    let leaf = *leaves.iter().find(|leaf| leaf.device == bea).unwrap();
    let stranger = LeafIdentity { signing: [9; 32], ..leaf };
    let opener = Opener::new(&opening, account, log);
    let ahead = |leaves| {
        let ahead = Ahead::new(&opener, secret.tag_key(), leaves, &page);
        ahead.open_all();
        ahead
    };

    // The first is left to whoever reads; of the others a leaf that is known has been asked for.
    let opened = ahead(leaves);
    let kinds = page.iter().map(|entry| matches!(opened.open(entry, &tag_key).unwrap(), Envelope::Checked(..)));
    assert_eq!(kinds.collect::<Vec<_>>(), [false, true, true]);
    // It is there once.
    assert!(matches!(opened.open(&page[1], &tag_key).unwrap(), Envelope::Open(_)));

    let opened = ahead(vec![leaf]);
    assert_eq!(opened.open(&page[1], &other_key).err(), Some(OpenError::NotForMe), "by another tag key");
    let place = (&page[1], &tag_key);
    let envelope = || ahead(vec![leaf]).open(&page[1], &tag_key).unwrap();
    assert_eq!(envelope().device(), bea);
    let message = opened.verified(envelope(), &leaf, place).unwrap();
    assert_eq!((message.sender.device, message.envelope_id), (bea, page[1].entry_id));
    assert!(opened.verified(envelope(), &stranger, place).is_none(), "a leaf that has not signed it");
    // The leaf that was asked for is not the one that speaks.
    let envelope = || ahead(vec![stranger]).open(&page[1], &tag_key).unwrap();
    assert!(opened.verified(envelope(), &leaf, place).is_some());
    assert!(opened.verified(envelope(), &stranger, place).is_none());
    let envelope = || ahead(vec![]).open(&page[1], &tag_key).unwrap();
    assert!(opened.verified(envelope(), &leaf, place).is_some());
    assert!(opened.verified(envelope(), &stranger, place).is_none());
}
