//! Real engines, and a relay that answers whatever it likes: what an answer counts for, what it holds up, and what is not put off.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rusqlite::{Transaction, params};
use waxwing_protocol::AccessKey;
use waxwing_wire::frame::LogPage;
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{AccountId, DeviceId, EnvelopeId, LogId, MessageId, RelayAddress};

use super::super::entries::AGAIN_MS;
use super::doubts::{chain, know, lone};
use super::lone::{DAY_MS, Lone};
use super::small_relay::{Asked, SmallRelay, problem, stored};
use crate::error::ErrorCode;
use crate::mls::GroupChange;
use crate::store::contacts::Contact;
use crate::store::conversations::{self, ConversationId};
use crate::store::deliveries::{self, Delivery};
use crate::store::logs::Trouble;
use crate::store::outbox::{self, Sealed};
use crate::store::{contacts, logs, messages, verifications};
use crate::views::{MessageState, Trust};

/// A group of the engine's account alone, whose log is at a relay of others.
struct Group {
    id: ConversationId,
    log: LogId,
}

impl Group {
    /// The log was read up to an entry.
    async fn at(lone: &Lone, relay: &SmallRelay, cursor: u64) -> Self {
        let view = lone.client.create_group("Birds", &[]).await.unwrap();
        let (id, address) = (conversations::parse_id(&view.id).unwrap(), relay.address.to_string());
        let moved = lone.engine().store.run(move |tx| {
            let log = logs::to_send(tx, &id)?.unwrap().log;
            tx.execute(
                "UPDATE logs SET relay = ?2, created = 1, cursor = ?3 WHERE log = ?1",
                params![log.as_bytes(), address, cursor],
            )?;
            Ok(log)
        });
        let log = moved.await.unwrap();
        lone.engine().replayed.lock().unwrap().insert(log);
        Self { id, log }
    }

    async fn say(&self, lone: &Lone) -> MessageId {
        let message = MessageId::from_bytes([7; 16]);
        let id = waxwing_wire::ids::to_hex(&self.id);
        lone.client.send(&id, &message.to_string(), "hello").await.unwrap();
        message
    }

    async fn state(&self, lone: &Lone, message: MessageId) -> MessageState {
        let me = lone.engine().account;
        let line = lone.engine().store.run(move |tx| messages::load(tx, me, message)).await.unwrap();
        line.unwrap().state
    }
}

/// One pass. That the own relay is out of reach is none of a group's concern.
async fn flush(lone: &Lone) {
    let _ = lone.client.0.flush().await;
}

/// Nothing came of it at once, so it is not tried over and over within the same second.
#[tokio::test]
async fn p5_what_is_said_to_stand_where_the_log_was_read_already_waits_before_it_is_sent_again() {
    let lone = lone().await;
    lone.relay_is_ahead(0);
    let place = Arc::new(AtomicU64::new(3));
    let told = Arc::clone(&place);
    let relay = SmallRelay::new(move |_| ready(stored(told.load(Ordering::Relaxed)))).await;
    let group = Group::at(&lone, &relay, 5).await;
    let message = group.say(&lone).await;
    flush(&lone).await;
    let first = relay.appended();
    assert_eq!(first.len(), 1, "it is sent again and again");
    assert_eq!(group.state(&lone, message).await, MessageState::Sending);
    flush(&lone).await;
    assert_eq!(relay.appended().len(), 0, "not before its time");
    // Then under another id, to a relay that has come to its senses.
    lone.relay_is_ahead(i64::try_from(AGAIN_MS).unwrap() + 60_000);
    place.store(9, Ordering::Relaxed);
    flush(&lone).await;
    let again = relay.appended();
    assert_eq!(again.len(), 1);
    assert_ne!(again[0].entry_id, first[0].entry_id);
    assert_eq!(group.state(&lone, message).await, MessageState::Sent);
}

/// While the relay answers, what was sealed is given up: another envelope is in its place, and of that one nobody has said anything.
#[tokio::test]
async fn d2_that_an_envelope_is_stored_counts_for_that_very_envelope() {
    let lone = lone().await;
    let (store, begun, places) = (lone.engine().store.clone(), Arc::new(AtomicBool::new(false)), AtomicU64::new(100));
    let relay = SmallRelay::new(move |_| {
        let (store, begun, place) = (store.clone(), Arc::clone(&begun), places.fetch_add(1, Ordering::Relaxed));
        async move {
            if !begun.swap(true, Ordering::Relaxed) {
                let all =
                    |tx: &Transaction<'_>| logs::active(tx)?.iter().try_for_each(|log| outbox::unseal_for(tx, log.log));
                store.run(all).await.unwrap();
            }
            stored(place)
        }
    })
    .await;
    let group = Group::at(&lone, &relay, 5).await;
    let message = group.say(&lone).await;
    flush(&lone).await;
    let sent: Vec<_> = relay.appended().into_iter().map(|append| append.entry_id).collect();
    assert_eq!(sent.len(), 2, "what was answered for the envelope before is believed of this one");
    assert_ne!(sent[0], sent[1]);
    let row = lone.engine().store.run(move |tx| {
        let row = "SELECT entry_id, accepted FROM outbox WHERE message = ?1";
        Ok(tx.query_row(row, [message.as_bytes()], |row| {
            Ok((EnvelopeId::from_bytes(row.get(0)?), row.get::<_, u64>(1)?))
        })?)
    });
    assert_eq!(row.await.unwrap(), (sent[1], 101));
    assert_eq!(group.state(&lone, message).await, MessageState::Sent);
}

/// It may be in the log already: before anything else it is asked about once more, whoever's keys are in doubt meanwhile.
#[tokio::test]
async fn p11_a_sealed_change_goes_before_everything_and_waits_for_nobodys_keys() {
    let lone = lone().await;
    let bea = chain(7);
    know(lone.engine(), &bea).await;
    let relay =
        SmallRelay::new(|asked: Asked| ready(if asked.appends() { stored(1) } else { problem(503, "unavailable") }))
            .await;
    let group = Group::at(&lone, &relay, 0).await;
    group.say(&lone).await;
    let (id, log, account) = (group.id, group.log, bea.0.account());
    let sealed = Sealed {
        log,
        entry_id: EnvelopeId::from_bytes([9; 16]),
        after: 0,
        blob: vec![7; 300],
        secret: None,
        welcome: None,
    };
    let (entry, blob) = (sealed.entry_id, sealed.blob.clone());
    let pushed = lone.engine().store.run(move |tx| {
        verifications::note_trouble(tx, account, "forked", 1)?;
        outbox::push_change(tx, &id, log, &GroupChange::Follow(account).encode()?, 0)?;
        outbox::set_sealed(tx, outbox::changes(tx, &id)?[0].n, &sealed)
    });
    pushed.await.unwrap();
    flush(&lone).await;
    let sent = relay.appended();
    let sent: Vec<_> = sent.iter().map(|append| (append.kind, append.entry_id, &append.blob)).collect();
    // The log cannot be read then, so it is not known what has become of it, and nothing follows.
    assert_eq!(sent, [(EnvelopeKind::Handshake, entry, &blob)]);
    // The control: not sealed, it waits for the user, and holds up no words.
    let unsealed = move |tx: &Transaction<'_>| outbox::unseal(tx, outbox::changes(tx, &id)?[0].n);
    lone.engine().store.run(unsealed).await.unwrap();
    flush(&lone).await;
    let kinds: Vec<_> = relay.appended().into_iter().map(|append| append.kind).collect();
    assert_eq!(kinds, [EnvelopeKind::App]);
}

/// A copy of the relay that lags behind shows less than a Welcome has said. Whoever has seen the log since knows that the Welcome was right.
#[tokio::test]
async fn p5_a_copy_that_lags_behind_belies_no_welcome_by_which_the_log_was_seen() {
    for seen in [true, false] {
        let lone = lone().await;
        let head = Arc::new(AtomicU64::new(5));
        let shown = Arc::clone(&head);
        let relay = SmallRelay::new(move |asked: Asked| {
            let head = shown.load(Ordering::Relaxed);
            let page =
                LogPage { oldest: 1, head, running: [0; 32], last_handshake: 0, retired: false, entries: Vec::new() };
            ready(if asked.reads() { (200, page.encode()) } else { problem(404, "not_found") })
        })
        .await;
        let Group { log, .. } = Group::at(&lone, &relay, 5).await;
        let let_in = lone.engine().store.run(move |tx| {
            logs::set_joined(tx, log, 5, 1)?;
            logs::set_answered(tx, log, &[1; 16], AccountId::from_bytes([7; 16]), &[], 1)
        });
        let_in.await.unwrap();
        if seen {
            lone.engine().drain_log(log).await.unwrap();
        }
        head.store(4, Ordering::Relaxed);
        let outcome = lone.engine().drain_log(log).await.map_err(|error| error.code());
        let stands = move |tx: &Transaction<'_>| Ok((logs::load(tx, log)?.unwrap().trouble, logs::is_belied(tx, log)?));
        let stands = lone.engine().store.run(stands).await.unwrap();
        let expected = if seen {
            (Err(ErrorCode::RelayWentBack), (Trouble::None, false))
        } else {
            (Ok(()), (Trouble::Behind, true))
        };
        assert_eq!((outcome, stands), expected, "seen: {seen}");
    }
}

const DEVICES: [DeviceId; 2] = [DeviceId::from_bytes([1; 16]), DeviceId::from_bytes([2; 16])];

/// Something for each of the two, on its way to these relays; whoever it is for has told a key.
async fn deliver(lone: &Lone, relays: [&RelayAddress; 2]) {
    let deliveries: Vec<_> = DEVICES
        .into_iter()
        .zip(relays)
        .map(|(device, relay)| Delivery {
            entry_id: EnvelopeId::from_bytes(*device.as_bytes()),
            kind: EnvelopeKind::Notice,
            conversation: [1; 32],
            account: AccountId::from_bytes(*device.as_bytes()),
            device,
            relay: relay.clone(),
            blob: vec![1; 100],
            link: None,
        })
        .collect();
    let pushed = lone.engine().store.run(move |tx| {
        deliveries.iter().try_for_each(|delivery| {
            let contact = Contact {
                account: delivery.account,
                name: "far".parse().unwrap(),
                relay: delivery.relay.clone(),
                display_name: "Far".to_owned(),
                trust: Trust::FirstUse,
                access_key: Some(AccessKey::from_bytes(&[3; 16])),
                known: false,
                blocked: false,
            };
            contacts::upsert(tx, &contact)?;
            deliveries::push(tx, delivery)
        })
    });
    pushed.await.unwrap();
}

/// One pass over what is on its way: what came of each lane.
async fn pass(lone: &Lone) -> Vec<Result<(), ErrorCode>> {
    let mut came = Vec::new();
    for (relay, entries) in lone.engine().on_their_way().await.unwrap() {
        came.push(lone.engine().deliver_to(&relay, entries).await.map_err(|error| error.code()));
    }
    came
}

/// For whom something is on its way still.
async fn waiting(lone: &Lone) -> Vec<DeviceId> {
    let waiting = lone.engine().store.run(|tx| {
        let entries = deliveries::waiting(tx)?.into_iter();
        entries.map(|(_, entry)| Ok(deliveries::load(tx, entry)?.unwrap().device)).collect()
    });
    waiting.await.unwrap()
}

/// The relay has a fault with one inbox and takes what is for another; where it can answer nobody now, it is left alone.
#[tokio::test]
async fn d13_a_delivery_that_is_refused_for_its_own_sake_holds_up_no_other_for_that_relay() {
    for (status, code, others_wait) in
        [(500, "internal", false), (507, "insufficient_storage", false), (503, "unavailable", true)]
    {
        let lone = lone().await;
        let refused = format!("POST /v1/inboxes/{}", DEVICES[0]);
        let relay = SmallRelay::new(move |asked: Asked| {
            ready(if asked.what == refused { problem(status, code) } else { stored(1) })
        })
        .await;
        deliver(&lone, [&relay.address, &relay.address]).await;
        assert!(pass(&lone).await[0].is_err());
        let left = if others_wait { &DEVICES[..] } else { &DEVICES[..1] };
        assert_eq!(waiting(&lone).await, left, "{code}");
        // Nor is the relay left alone for it.
        relay.asked();
        assert!(pass(&lone).await[0].is_err());
        assert_eq!(relay.asked().len(), usize::from(!others_wait), "{code}");
    }
}

/// Somebody names a relay with a pin of their own making: nobody is there by that certificate, and whoever else is there is reached.
#[tokio::test]
async fn d13_a_wrong_pin_holds_up_nobody_else_who_is_at_that_relay() {
    let lone = lone().await;
    let relay = SmallRelay::new(|_| ready(stored(1))).await;
    let pinned = relay.address.clone().with_pin([9; 32]);
    deliver(&lone, [&pinned, &relay.address]).await;
    assert_eq!(pass(&lone).await, [Err(ErrorCode::RelayDown), Ok(())]);
    assert_eq!(waiting(&lone).await, DEVICES[..1]);
}

/// An engine that has had no answer as itself yet, as one whose account is disabled.
#[tokio::test]
async fn d8_a_wrong_clock_is_noticed_by_answers_to_what_was_asked_without_a_name() {
    let lone = lone().await;
    let unnamed = |address: &RelayAddress| lone.engine().relay(address).unwrap();
    let code = || lone.client.clock_problem().map(|problem| problem.code);
    assert_eq!(code(), None, "nobody has said what time it is");
    unnamed(&"127.0.0.1:2".parse().unwrap()).set_offset(DAY_MS);
    assert_eq!(code(), None, "another relay may be wrong about it");
    unnamed(lone.engine().home.address()).set_offset(DAY_MS);
    assert_eq!(code(), Some(ErrorCode::ClockWrong));
    unnamed(lone.engine().home.address()).set_offset(0);
    assert_eq!(code(), None);
}
