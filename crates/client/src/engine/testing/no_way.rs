//! What is for somebody on another relay who has told nobody here how to reach them, and what nobody waits for any more.

use std::time::Duration;

use rusqlite::Transaction;
use waxwing_protocol::envelope::Recipient;
use waxwing_protocol::{AccessKey, AccountKey, Content, DeviceKeys, DeviceSeeds, RecoveryPhrase, statement};
use waxwing_wire::frame::InboxEntry;
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{AccountId, DeviceId, EnvelopeId, LogId};

use super::super::sealing::seal_for_inbox;
use super::lone::Lone;
use super::world::World;
use crate::error::{Error, ErrorCode};
use crate::random;
use crate::store;
use crate::store::aside::Sender;
use crate::store::contacts::Contact;
use crate::store::conversations::ConversationId;
use crate::store::deliveries::{self, Delivery};
use crate::store::{aside, contacts, conversations};
use crate::views::Trust;

const FAR: AccountId = AccountId::from_bytes([7; 16]);

fn delivery(kind: EnvelopeKind, conversation: ConversationId) -> Delivery {
    Delivery {
        entry_id: EnvelopeId::from_bytes([kind as u8; 16]),
        kind,
        conversation,
        account: FAR,
        device: DeviceId::from_bytes([8; 16]),
        // Where nobody listens.
        relay: "127.0.0.2:1".parse().unwrap(),
        blob: vec![1; 100],
        link: None,
    }
}

fn far(access_key: Option<AccessKey>) -> Contact {
    Contact {
        account: FAR,
        name: "far".parse().unwrap(),
        relay: "127.0.0.2:1".parse().unwrap(),
        display_name: "Far".to_owned(),
        trust: Trust::FirstUse,
        access_key,
        known: false,
        blocked: false,
    }
}

/// What is on its way still, and whether it is something that could be sent now.
fn rest(tx: &Transaction<'_>) -> Result<Vec<(EnvelopeId, bool)>, Error> {
    let mut statement = tx.prepare("SELECT entry_id, no_way FROM deliveries ORDER BY rowid")?;
    let rows = statement.query_map([], |row| Ok((EnvelopeId::from_bytes(row.get(0)?), row.get::<_, i64>(1)? == 0)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// A notice and a request end, a Welcome waits and is told; neither is a failure of everything else.
#[tokio::test]
async fn without_a_way_a_notice_ends_and_a_welcome_waits_for_one() {
    let lone = Lone::new().await;
    let engine = lone.engine();
    let id = conversations::parse_id(&lone.client.note_to_self().await.unwrap().id).unwrap();
    let welcome = delivery(EnvelopeKind::Welcome, id).entry_id;
    let pushed = engine.store.run(move |tx| {
        contacts::upsert(tx, &far(None))?;
        for kind in [EnvelopeKind::Notice, EnvelopeKind::Resync, EnvelopeKind::Welcome] {
            deliveries::push(tx, &delivery(kind, id))?;
        }
        Ok(())
    });
    pushed.await.unwrap();
    // The engine's own pass may be about it, too.
    let mut left = Vec::new();
    for _ in 0..200 {
        for (relay, entries) in engine.on_their_way().await.unwrap() {
            engine.deliver_to(&relay, entries).await.unwrap();
        }
        left = engine.store.run(rest).await.unwrap();
        if left == [(welcome, false)] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(left, [(welcome, false)]);
    let problem = engine.store.run(move |tx| Ok(conversations::load(tx, &id)?.problem())).await.unwrap();
    assert_eq!(problem.map(|problem| problem.code), Some(ErrorCode::OtherRelay));
    // They have told a key: now it is tried.
    let told = engine.store.run(|tx| contacts::upsert(tx, &far(Some(AccessKey::from_bytes(&[3; 16])))));
    told.await.unwrap();
    engine.on_their_way().await.unwrap();
    assert_eq!(engine.store.run(rest).await.unwrap(), [(welcome, true)]);
    let mut tried = Ok(());
    for _ in 0..200 {
        for (relay, entries) in engine.on_their_way().await.unwrap() {
            tried = tried.and(engine.deliver_to(&relay, entries).await);
        }
        if tried.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(tried.map_err(|error| error.code()), Err(ErrorCode::RelayDown));
    assert_eq!(engine.store.run(rest).await.unwrap(), [(welcome, true)], "it is gone");
    lone.client.end_tasks().await;
}

#[test]
fn what_an_inbox_would_keep_no_longer_is_not_sent_any_more() {
    let mut world = World::new(7, 1);
    let left = world.devices[0].tx(|tx| {
        for kind in [EnvelopeKind::Notice, EnvelopeKind::Resync, EnvelopeKind::Welcome] {
            deliveries::push(tx, &delivery(kind, [1; 32]))?;
        }
        deliveries::expire(tx, 5000)?;
        let undated = rest(tx)?.len();
        deliveries::date(tx, 5000)?;
        deliveries::date(tx, 9000)?;
        deliveries::expire(tx, 4999)?;
        let young = rest(tx)?.len();
        deliveries::expire(tx, 5000)?;
        Ok((undated, young, rest(tx)?))
    });
    let welcome = delivery(EnvelopeKind::Welcome, [1; 32]).entry_id;
    assert_eq!(left.unwrap(), (3, 3, vec![(welcome, true)]));
}

/// Entries of an inbox of these kinds.
fn entries(world: &World) -> impl Fn(u64, EnvelopeKind) -> InboxEntry + use<> {
    let (account, keys) = (world.devices[0].account, world.devices[0].keys.clone());
    let recipient = Recipient { account, record: keys.record() };
    let sealed = |kind| seal_for_inbox(&keys, account, kind, &recipient, b"anything", (0, None)).unwrap().1;
    let (welcome, notice) = (sealed(EnvelopeKind::Welcome), sealed(EnvelopeKind::Notice));
    move |seq, kind| {
        let entry_id = EnvelopeId::from_bytes(u128::from(seq).to_be_bytes());
        let blob = if kind == EnvelopeKind::Welcome { welcome.clone() } else { notice.clone() };
        InboxEntry { seq, entry_id, kind, blob }
    }
}

/// Somebody, by a number.
fn by(number: u64, signed: bool) -> Sender {
    Sender { account: AccountId::from_bytes(u128::from(number).to_be_bytes()), signed }
}

/// Whoever has a key to the inbox and names relays that do not answer has a share of what waits, and no more.
#[test]
fn d13_whoever_sends_much_that_waits_keeps_out_nobody_elses_welcome() {
    let mut world = World::new(7, 1);
    let entry = entries(&world);
    let (bea, mallory) = (1, 1000);
    let places = |tx: &Transaction<'_>| Ok(aside::waiting(tx)?.into_iter().map(|(_, entry)| entry.seq).collect());
    let waiting: Result<Vec<u64>, _> = world.devices[0].tx(|tx| {
        aside::wait(tx, &entry(1, EnvelopeKind::Welcome), by(bea, false))?;
        for seq in 2..=300 {
            aside::wait(tx, &entry(seq, EnvelopeKind::Welcome), by(mallory, false))?;
        }
        places(tx)
    });
    assert_eq!(waiting.unwrap(), [1].into_iter().chain(285..=300).collect::<Vec<_>>(), "their own oldest go first");
    // Under as many names as fill all places, as long as they have more than one each.
    let waiting: Result<Vec<u64>, _> = world.devices[0].tx(|tx| {
        for seq in 301..=1000 {
            aside::wait(tx, &entry(seq, EnvelopeKind::Welcome), by(mallory + seq % 40, false))?;
        }
        places(tx)
    });
    let waiting = waiting.unwrap();
    assert_eq!((waiting.len(), waiting[0]), (256, 1));
    // Under hers: what her known keys have signed stays, whoever says to be her.
    let waiting: Result<Vec<u64>, _> = world.devices[0].tx(|tx| {
        aside::wait(tx, &entry(2000, EnvelopeKind::Welcome), by(bea, true))?;
        for seq in 2001..=2100 {
            aside::wait(tx, &entry(seq, EnvelopeKind::Welcome), by(bea, false))?;
        }
        for seq in 3001..=4000 {
            aside::wait(tx, &entry(seq, EnvelopeKind::Welcome), by(seq, false))?;
        }
        places(tx)
    });
    assert!(waiting.unwrap().contains(&2000), "what somebody has signed gives way to what nobody has");
}

/// Whose something is: of somebody who is known it must be signed, or it only says so.
#[tokio::test]
async fn d13_nobody_takes_the_share_of_somebody_who_is_known() {
    let lone = Lone::new().await;
    let engine = lone.engine();
    let device = DeviceId::from_bytes([7; 16]);
    let keys = || DeviceKeys::new(device, 1, DeviceSeeds::generate(&mut random::rng())).unwrap();
    let (beas, mallorys) = (keys(), keys());
    let (account_key, phrase) =
        (AccountKey::generate(&mut random::rng()), RecoveryPhrase::generate(&mut random::rng()));
    let name = Some("far".parse().unwrap());
    let entry = statement::create(FAR, "127.0.0.2:1", name, &account_key, &phrase.recovery_key(), &beas, 0);
    let known = entry.as_bytes().to_vec();
    let (me, own) = (engine.account, engine.keys());
    let sent = |signer: &DeviceKeys| {
        let (kind, recipient) = (EnvelopeKind::Notice, Recipient { account: me, record: own.record() });
        let content = Content::Removed { log: LogId::from_bytes([1; 16]), seq: 1 }.encode();
        let (entry_id, blob) = seal_for_inbox(signer, FAR, kind, &recipient, &content, (0, None)).unwrap();
        InboxEntry { seq: 1, entry_id, kind, blob }
    };
    let sender = |signed| Some(Sender { account: FAR, signed });
    assert_eq!(engine.who_waits(&sent(&beas)).await.unwrap(), sender(false), "nobody knows her yet");
    engine.store.run(move |tx| store::keys::add_chain_entries(tx, FAR, 0, &[known])).await.unwrap();
    assert_eq!(engine.who_waits(&sent(&beas)).await.unwrap(), sender(true));
    assert_eq!(engine.who_waits(&sent(&mallorys)).await.unwrap(), sender(false));
    lone.client.end_tasks().await;
}

/// Whoever fills up what waits for other relays with notices keeps no Welcome out.
#[test]
fn what_waits_for_other_relays_gives_place_to_welcomes() {
    let mut world = World::new(7, 1);
    let entry = entries(&world);
    let waiting = world.devices[0].tx(|tx| {
        aside::wait(tx, &entry(1, EnvelopeKind::Welcome), by(1, false))?;
        for seq in 2..=400 {
            aside::wait(tx, &entry(seq, EnvelopeKind::Notice), by(seq, seq % 2 == 0))?;
        }
        aside::wait(tx, &entry(401, EnvelopeKind::Welcome), by(401, false))?;
        aside::waiting(tx)
    });
    let waiting: Vec<_> = waiting.unwrap().into_iter().map(|(_, entry)| (entry.seq, entry.kind)).collect();
    assert_eq!(waiting.len(), 256);
    assert_eq!(waiting[0], (1, EnvelopeKind::Welcome));
    assert_eq!(waiting[255], (401, EnvelopeKind::Welcome));
    // Of the others those go first that nobody's known keys have signed, the oldest of them before the newer.
    assert!(waiting[1..255].iter().filter(|(seq, _)| seq % 2 == 1).all(|(seq, _)| *seq > 290), "{waiting:?}");
}
