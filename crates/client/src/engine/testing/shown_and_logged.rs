//! One engine, and a relay whose log says something else than the relay shows: each is told as what it is (P6, P17).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use waxwing_wire::api::{ChainPage, EntryBytes};
use waxwing_wire::transparency::{Leaf, name_hash};
use waxwing_wire::{RelayAddress, VerifiedChain};

use super::super::Engine;
use super::doubts::{Log, RELAY, chain, in_doubt, know, leaf, lone};
use super::slow_logs::speaks_to;
use super::small_relay::{Asked, SmallRelay, chain_of, problem};
use crate::error::ErrorCode;
use crate::store::unproved;

/// What the relay shows stands in its log, and is not the newest there.
#[tokio::test]
async fn p17_newer_keys_that_a_relay_holds_back_are_not_told_as_keys_that_are_not_in_its_log() {
    let lone = lone().await;
    let (engine, (bea, entries)) = (lone.engine(), chain(7));
    let (address, account): (RelayAddress, _) = (RELAY.parse().unwrap(), bea.account());
    let mut log = Log::new();
    log.leaves = vec![leaf(&bea, 0), leaf(&bea, 1)];
    log.is_read(engine).await;
    for (shown, expected) in [(1, Err(ErrorCode::NewerKeysHeldBack)), (2, Ok(()))] {
        let relay = chain_of(account, &entries[..shown]).await;
        speaks_to(engine, RELAY, &relay);
        let fetched = engine.fetch_chain(&address, &account.to_string(), None).await;
        assert_eq!(fetched.map(drop).map_err(|error| error.code()), expected, "{shown}");
    }
}

/// The keys that it shows may well stand in its log: what does not fit is the name.
#[tokio::test]
async fn p6_a_name_that_the_log_gives_to_another_account_or_to_none_is_told_as_that() {
    let lone = lone().await;
    let (engine, (bea, _), (cem, _)) = (lone.engine(), chain(7), chain(8));
    let address: RelayAddress = RELAY.parse().unwrap();
    let (beas, cems) = (bea.hash_at(0).unwrap(), cem.hash_at(0).unwrap());
    let named = |chain: &VerifiedChain, entry_hash: [u8; 32]| {
        let name_hash = name_hash(chain.name().unwrap(), RELAY).unwrap();
        Leaf::Name { name_hash, entry_hash }
    };
    let told = async |log: &Log, chain: &VerifiedChain| {
        log.is_read_at(engine, engine.now_ms()).await;
        let found = engine.require_name(&address, chain.name().unwrap(), chain).await;
        found.map_err(|error| error.code())
    };
    let mut log = Log::new();
    log.leaves = vec![leaf(&bea, 0), leaf(&bea, 1), named(&cem, cems)];
    assert_eq!(told(&log, &cem).await, Ok(()));
    assert_eq!(told(&log, &bea).await, Err(ErrorCode::NameOfAnother), "it is nobody's");
    log.leaves.push(named(&bea, [9; 32]));
    assert_eq!(told(&log, &bea).await, Err(ErrorCode::NameOfAnother), "it is somebody else's");
    log.leaves.push(named(&bea, beas));
    assert_eq!(told(&log, &bea).await, Err(ErrorCode::LogContradicts), "it is given to two");
}

/// What a relay answers about somebody, and whether its log can be read.
#[derive(Clone, Default)]
struct Shows {
    chain: Arc<AtomicBool>,
    log: Arc<AtomicBool>,
}

/// Somebody is known by the first of two entries, and the relay's log has both. It shows the first alone, or nothing.
async fn keeps_back(engine: &Engine) -> (VerifiedChain, Shows, SmallRelay) {
    let (bea, entries) = chain(7);
    let old = VerifiedChain::verify(&entries[..1]).unwrap();
    know(engine, &(old, entries[..1].to_vec())).await;
    let (mut log, now) = (Log::new(), engine.now_ms());
    log.leaves = vec![leaf(&bea, 0), leaf(&bea, 1)];
    log.is_read_at(engine, now).await;
    let shows = Shows::default();
    let (said, note) = (shows.clone(), log.signs(2, now).note().to_owned());
    let page = ChainPage {
        account: bea.account(),
        name: bea.name().cloned(),
        head: 0,
        entries: Vec::new(),
        indexes: Vec::new(),
        name_index: None,
        checkpoint: None,
    };
    let first = EntryBytes(entries[0].clone());
    let path = format!("GET /v1/accounts/{}/chain?from=", bea.account());
    let relay = SmallRelay::new(move |asked: Asked| {
        let answer = match asked.what.strip_prefix(&path) {
            Some(from) if said.chain.load(Ordering::Relaxed) => {
                let entries = if from == "0" { vec![first.clone()] } else { Vec::new() };
                (200, serde_json::to_vec(&ChainPage { entries, ..page.clone() }).unwrap())
            }
            None if asked.what == "GET /v1/transparency/checkpoint" && said.log.load(Ordering::Relaxed) => {
                (200, note.clone().into())
            }
            _ => problem(503, "unavailable"),
        };
        std::future::ready(answer)
    })
    .await;
    speaks_to(engine, RELAY, &relay);
    (bea, shows, relay)
}

/// As if it had been asked for since two days ago, in so many hours.
async fn asked_for(engine: &Engine, hours: u32) {
    let change = "UPDATE chain_news SET since_ms = unixepoch() * 1000 - 172800000, hours = ?1";
    assert_eq!(engine.store.run(move |tx| Ok(tx.execute(change, [hours])?)).await.unwrap(), 1);
}

/// A relay that answers an older chain than its log has is caught at once where its log can be read, and where it hides that, too, after a day.
#[tokio::test]
async fn p17_newest_keys_that_are_held_back_put_keys_in_doubt() {
    for readable in [true, false] {
        let lone = lone().await;
        let engine = lone.engine();
        let (bea, shows, _relay) = keeps_back(engine).await;
        shows.chain.store(true, Ordering::Relaxed);
        shows.log.store(readable, Ordering::Relaxed);
        engine.look_at_logs().await.unwrap();
        assert_eq!(in_doubt(engine, bea.account()).await, readable);
        if !readable {
            asked_for(engine, 4).await;
            engine.look_at_logs().await.unwrap();
            assert!(!in_doubt(engine, bea.account()).await, "asked for too seldom to say so");
            asked_for(engine, 6).await;
            engine.look_at_logs().await.unwrap();
            assert!(in_doubt(engine, bea.account()).await);
        }
    }
}

/// A relay that answers nothing about somebody, while its log can be read: not at once, and not for a few hours that were far apart. One that cannot be
/// reached at all keeps nothing back, however long.
#[tokio::test]
async fn p17_newest_keys_that_are_never_shown_put_keys_in_doubt_after_a_day() {
    let lone = lone().await;
    let engine = lone.engine();
    let (bea, shows, _relay) = keeps_back(engine).await;
    let account = bea.account();
    shows.log.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        engine.look_at_logs().await.unwrap();
    }
    let (since, hours) = engine.store.run(move |tx| unproved::news_not_had(tx, account, 5)).await.unwrap();
    assert_eq!((since, hours), (5, 2), "once in an hour, whatever the clock says");
    asked_for(engine, 4).await;
    engine.look_at_logs().await.unwrap();
    assert!(!in_doubt(engine, bea.account()).await);
    shows.log.store(false, Ordering::Relaxed);
    asked_for(engine, 20).await;
    engine.look_at_logs().await.unwrap();
    assert!(!in_doubt(engine, bea.account()).await, "it cannot be reached");
    shows.log.store(true, Ordering::Relaxed);
    engine.look_at_logs().await.unwrap();
    assert!(in_doubt(engine, bea.account()).await);
}
