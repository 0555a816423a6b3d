//! One engine, and a relay of its own that shows its log leaf by leaf, or not at all: what waits for it, and what does not (P17).

use std::collections::HashSet;
use std::future::{pending, ready};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use waxwing_wire::transparency::{Leaf, SignedCheckpoint, account_hash};

use super::super::Engine;
use super::super::keys::Cause;
use super::doubts::{Log, RELAY, chain, hears, know, leaf, lone};
use super::lone::Lone;
use super::small_relay::{Answer, Asked, SmallRelay, problem};
use crate::relay::RelayApi;
use crate::store::transparency::{self as stored, Against};

/// Where a [`Lone`] is at home.
const HOME: &str = "127.0.0.1:1";
/// Longest that any of this may take.
const LONG: Duration = Duration::from_secs(20);

pub(super) fn name(number: u32) -> Leaf {
    let mut hash = [0; 32];
    hash[..4].copy_from_slice(&number.to_be_bytes());
    Leaf::Name { name_hash: hash, entry_hash: hash }
}

/// From which leaf on is asked for.
pub(super) fn from(asked: &Asked) -> Option<usize> {
    asked.what.strip_prefix("GET /v1/transparency/leaves?from=")?.parse().ok()
}

/// A relay with this checkpoint and these leaves, so many at a time, each time after so long; without any it never answers.
pub(super) async fn relay(newest: SignedCheckpoint, leaves: Vec<Leaf>, page: usize, wait: Duration) -> SmallRelay {
    let (newest, leaves) = (Arc::new(newest), Arc::new(leaves));
    SmallRelay::new(move |asked: Asked| {
        let (newest, leaves) = (Arc::clone(&newest), Arc::clone(&leaves));
        async move {
            if asked.what == "GET /v1/transparency/checkpoint" {
                return (200, newest.note().as_bytes().to_vec());
            }
            let Some(from) = from(&asked) else { return problem(503, "unavailable") };
            if page == 0 {
                return pending::<Answer>().await;
            }
            tokio::time::sleep(wait).await;
            let page: Vec<u8> = leaves.iter().skip(from).take(page).flat_map(Leaf::encode).collect();
            ready((200, page)).await
        }
    })
    .await
}

/// Whatever the engine says to a relay goes to this one.
pub(super) fn speaks_to(engine: &Engine, address: &str, relay: &SmallRelay) {
    let api = Arc::new(RelayApi::new(relay.address.clone(), Path::new("nowhere"), None).unwrap());
    engine.relays.lock().unwrap().insert(address.parse().unwrap(), api);
}

/// How many leaves were read of a log.
pub(super) async fn read(engine: &Engine, relay: &'static str) -> u64 {
    engine.store.run(move |tx| Ok(stored::load(tx, relay)?.map_or(0, |log| log.read.size()))).await.unwrap()
}

async fn is_woken(engine: &Engine) -> bool {
    tokio::time::timeout(Duration::from_millis(10), engine.transparency_wake.notified()).await.is_ok()
}

/// Its own relay has proved an entry of the account that no device has made; another relay's log was read, and somebody has seen another history of it.
/// None of that was looked at.
async fn with_news(lone: &Lone) -> Log {
    let engine = lone.engine();
    let own = engine.chain(engine.account).await.unwrap();
    let mut home = Log::new().branch(HOME);
    let alarm = Leaf::Chain { account_hash: account_hash(&engine.account), seq: 1, entry_hash: [0xee; 32] };
    home.leaves = vec![leaf(&own, 0), alarm];
    home.is_read(engine).await;
    let (bea, mut theirs) = (chain(7), Log::new());
    know(engine, &bea).await;
    theirs.leaves = (0..4).map(name).collect();
    theirs.is_read(engine).await;
    let mut fork = theirs.branch(RELAY);
    fork.leaves[3] = name(99);
    hears(engine, HashSet::from([(bea.0.account(), fork.compact(4, 7))])).await;
    home
}

#[tokio::test]
async fn p17_a_home_relay_that_dribbles_its_log_or_shows_none_of_it_stops_neither_evidence_nor_alarms() {
    for page in [1, 0] {
        let lone = lone().await;
        let engine = lone.engine();
        let mut home = with_news(&lone).await;
        home.leaves.extend((0..5000).map(name));
        let (newest, wait) = (home.signs(home.leaves.len(), 1_900_000_000_000), Duration::from_millis(30));
        let relay = relay(newest, home.leaves.clone(), page, wait).await;
        speaks_to(engine, HOME, &relay);
        // What was heard has asked for this round.
        assert!(is_woken(engine).await);
        let round = engine.follow_home_for(Duration::from_millis(600));
        let calm = tokio::time::timeout(LONG, round).await.expect("the round waits for the log");
        let evidence = engine.store.run(|tx| stored::evidence(tx, RELAY)).await.unwrap();
        assert_eq!(evidence.iter().map(|one| one.against).collect::<Vec<_>>(), [Against::TwoHistories], "page {page}");
        assert_eq!(lone.client.transparency_log().await.unwrap().alarms.len(), 1, "page {page}");
        // As long as there is progress the next round begins at once, and goes on; else it rests.
        let first = read(engine, HOME).await;
        assert_eq!((calm, is_woken(engine).await, first > 2), (page > 0, page > 0, page > 0), "page {page}");
        assert!(relay.asked().iter().any(|asked| from(asked) == Some(2)));
        engine.follow_home_for(Duration::from_millis(600)).await;
        assert!(read(engine, HOME).await >= first + u64::from(page > 0), "what was read is lost");
        assert!(!relay.asked().iter().any(|asked| from(asked) == Some(2)) || page == 0, "it is read from the start");
    }
}

/// What is cut short is the reading, and not what there is to be read.
#[tokio::test]
async fn p17_a_long_log_is_proved_within_a_few_rounds() {
    let lone = lone().await;
    let engine = lone.engine();
    let own = engine.chain(engine.account).await.unwrap();
    let mut home = Log::new().branch(HOME);
    home.leaves = vec![leaf(&own, 0)];
    home.is_read(engine).await;
    // What is not there is missed once all was read, and not before.
    lone.rotate(Cause::ByHand).await;
    home.leaves.extend((0..100).map(name));
    let newest = home.signs(home.leaves.len(), 1_900_000_000_000);
    let relay = relay(newest, home.leaves.clone(), 10, Duration::from_millis(150)).await;
    speaks_to(engine, HOME, &relay);
    for round in 0.. {
        assert!(round < 12, "it makes no progress");
        assert!(engine.follow_home_for(Duration::from_millis(600)).await, "it counts as a failure");
        // Told by itself: nothing has to wake it.
        assert!(is_woken(engine).await, "the rest of the log waits");
        let log = lone.client.transparency_log().await.unwrap();
        assert_eq!(log.unlogged_problem.is_some(), log.size >= 101.0);
        if log.size >= 101.0 {
            break;
        }
    }
}

/// A relay may give one name to everybody, and make up any number of leaves about one account: what is looked through does not grow faster than what was read.
#[tokio::test]
async fn p17_leaves_that_are_all_alike_are_looked_through_once() {
    const NAMES: u32 = 400;
    const ABOUT: usize = 9000;
    let lone = lone().await;
    let engine = lone.engine();
    let mut log = Log::new();
    let name_hash = [7; 32];
    let hash = |n: u32| {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&n.to_be_bytes());
        hash
    };
    log.leaves = (0..NAMES).map(|n| Leaf::Name { name_hash, entry_hash: hash(n) }).collect();
    log.leaves.push(name(5));
    log.is_read(engine).await;
    let given = async |from: u64| {
        let given = engine.store.run(move |tx| {
            let (mut given, log) = (Vec::new(), stored::load(tx, RELAY)?.unwrap());
            stored::given_again(tx, &log, from, |hash| {
                given.push(hash);
                Ok(())
            })?;
            Ok(given)
        });
        given.await.unwrap()
    };
    let mut all = given(0).await;
    all.sort_unstable();
    assert_eq!(all, (0..NAMES - 1).map(hash).collect::<Vec<_>>(), "each that had it before the last, once");
    assert_eq!(given(u64::from(NAMES)).await, Vec::<[u8; 32]>::new(), "nothing new is about it");
    // Given back at once, it was given away all the same.
    let before = log.leaves.len() as u64;
    log.leaves.extend([11, 5].map(|n| Leaf::Name { name_hash: hash(5), entry_hash: hash(n) }));
    log.is_read(engine).await;
    let mut both = given(before).await;
    both.sort_unstable();
    assert_eq!(both, [hash(5), hash(11)]);
    let about = (0..ABOUT).map(|_| Leaf::Chain { account_hash: [8; 32], seq: 1, entry_hash: [9; 32] });
    log.leaves.extend(about);
    log.is_read(engine).await;
    let read = engine.store.run(|tx| stored::about(tx, &stored::load(tx, RELAY)?.unwrap(), &[8; 32], 0));
    assert_eq!(read.await.unwrap().len(), 2 * 4096 + 1);
}
