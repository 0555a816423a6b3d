//! The greatest and the smallest that a peer can write into a number: it stops nothing that comes behind it (D9).

use waxwing_protocol::group::CommitData;
use waxwing_protocol::{AppMessage, Epoch};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{EnvelopeId, LogId, MAX_U64, MessageId};

use super::faults::{everybody, group, say, shows};
use super::forge::{Forged, Twist};
use super::world::World;
use crate::random;
use crate::store::conversations::ConversationId;
use crate::store::{contacts, conversations, logs};
use crate::views::Standing;

const ADA: usize = 0;
const BEA: usize = 1;
/// Of what a `u64` can be; the last two are none of the protocol's.
const EXTREMES: [u64; 4] = [0, MAX_U64, MAX_U64 + 1, u64::MAX];

fn log_of(world: &mut World, who: usize, id: ConversationId) -> LogId {
    world.devices[who].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap().log))
}

/// Ada says something in an envelope that is otherwise true.
fn says(world: &mut World, log: LogId, twist: &Twist) {
    let text =
        AppMessage::Text { message_id: MessageId::from_bytes(random::bytes()), text: "late".to_owned() }.encode();
    let ada = &mut world.devices[ADA];
    let (mls, who) = (ada.encrypt(log, &text), (ada.account, ada.keys.clone()));
    let id = EnvelopeId::from_bytes(random::bytes());
    let blob = ada.envelope_twisted(twist, log, EnvelopeKind::App, mls, (who.0, &who.1), id);
    world.outside.relay.inject(log, id, EnvelopeKind::App, blob);
}

#[test]
fn d9_no_number_in_an_envelope_stops_what_comes_behind_it() {
    let (mut world, id) = group(3);
    let log = log_of(&mut world, ADA, id);
    for value in EXTREMES {
        let epoch = Some(Epoch { number: value, authenticator: [7; 32] });
        let twists = [
            Twist { sent_ms: Some(value), ..Twist::default() },
            Twist { sent_ms: Some(value), after: Some(MAX_U64), ..Twist::default() },
            Twist { counter: Some(value), ..Twist::default() },
            Twist { after: Some(value), ..Twist::default() },
            Twist { epoch, ..Twist::default() },
        ];
        for twist in &twists {
            says(&mut world, log, twist);
        }
        // Bea is right behind them.
        let message = say(&mut world, BEA, id);
        everybody(&mut world);
        for who in 0..3 {
            assert!(shows(&mut world, who, id, message), "{value}: {who}");
        }
    }
    world.settle();
}

/// P13: whoever takes the other out of a conversation of two shuts nobody out: with the next words it begins anew.
#[test]
fn p13_nobody_is_put_out_of_a_conversation_of_two() {
    let mut world = World::new(7, 2);
    let (ada, bea) = (world.devices[ADA].account, world.devices[BEA].account);
    let id = world.on(ADA, |device, outside| device.start_direct(outside, bea)).unwrap();
    everybody(&mut world);
    let first = say(&mut world, ADA, id);
    everybody(&mut world);
    assert!(shows(&mut world, BEA, id, first));
    let log = log_of(&mut world, ADA, id);
    let data = CommitData { rekey: true, ..CommitData::default() };
    let mls = world.devices[ADA].forge(log, Forged { remove: vec![bea], data, ..Forged::default() });
    let keys = world.devices[ADA].keys.clone();
    let (entry, blob) = world.devices[ADA].envelope(log, EnvelopeKind::Handshake, mls, (ada, &keys));
    world.outside.relay.inject(log, entry, EnvelopeKind::Handshake, blob);
    world.on(BEA, |device, outside| device.sync(outside));
    let gone = world.devices[BEA].look(|tx| Ok(logs::load(tx, log)?.is_none_or(|log| !log.active)));
    assert!(gone, "the control: her client has seen it");
    assert!(world.devices[BEA].look(|tx| Ok(contacts::load(tx, ada)?.is_some())));
    let standing = world.devices[BEA].look(|tx| Ok(conversations::load(tx, &id)?.standing));
    assert_eq!(standing, Standing::Member);
    let words = say(&mut world, BEA, id);
    everybody(&mut world);
    everybody(&mut world);
    assert_ne!(log_of(&mut world, BEA, id), log);
    assert!(shows(&mut world, ADA, id, words), "in a group that she has made");
}
