//! One engine without a relay, and what others have seen of somebody else's relay's log that cannot be compared at once: it is compared later, whatever
//! happens in between (P17).

use std::collections::HashSet;
use std::time::Duration;

use waxwing_protocol::envelope::CompactCheckpoint;
use waxwing_wire::transparency::Leaf;
use waxwing_wire::{AccountId, MAX_U64, RelayAddress};

use super::super::Engine;
use super::doubts::{self, Log, RELAY, chain, keeps, know, lone};
use super::lone::{DAY_MS, Lone};
use crate::event::Event;
use crate::store::transparency::{self as stored, Against};
use crate::store::uncompared;

fn name(number: u8) -> Leaf {
    Leaf::Name { name_hash: [number; 32], entry_hash: [number; 32] }
}

fn log(leaves: u8) -> Log {
    let mut log = Log::new();
    log.leaves = (0..leaves).map(name).collect();
    log
}

/// The same key has signed another history from this leaf on.
fn fork(log: &Log, from: usize, leaves: u8) -> Log {
    let mut fork = log.branch(RELAY);
    fork.leaves.truncate(from);
    fork.leaves.extend((fork.leaves.len()..usize::from(leaves)).map(|place| name(100 + u8::try_from(place).unwrap())));
    fork
}

async fn evidence(engine: &Engine) -> Vec<Against> {
    let kept = engine.store.run(|tx| stored::evidence(tx, RELAY)).await.unwrap();
    kept.into_iter().map(|one| one.against).collect()
}

async fn waiting(engine: &Engine) -> Vec<(AccountId, CompactCheckpoint)> {
    let now = engine.now_ms();
    engine.store.run(move |tx| uncompared::all(tx, now)).await.unwrap()
}

async fn hears(engine: &Engine, who: AccountId, checkpoint: CompactCheckpoint) {
    doubts::hears(engine, HashSet::from([(who, checkpoint)])).await;
}

/// On the same files, and nothing happens but what the test does.
async fn again(lone: Lone) -> Lone {
    let lone = lone.restart().await;
    lone.client.end_tasks().await;
    lone
}

#[tokio::test]
async fn p17_a_second_history_that_was_heard_of_while_the_relay_did_not_answer_is_evidence_after_a_restart() {
    let lone = lone().await;
    let (mut log, now) = (log(4), lone.engine().now_ms());
    let (bea, cem) = (chain(7), chain(8));
    know(lone.engine(), &bea).await;
    know(lone.engine(), &cem).await;
    log.is_read_at(lone.engine(), now).await;
    let other = fork(&log, 4, 6);
    // As far as was heard before the end of the program, and as far as was looked at.
    hears(lone.engine(), bea.0.account(), other.compact(6, now + 5)).await;
    assert!(!lone.engine().compare_heard().await, "nobody answers: it is to be tried again");
    // Of this no more than the words that it came with.
    keeps(lone.engine(), HashSet::from([(cem.0.account(), other.compact(5, now + 4))])).await;
    let lone = again(lone).await;
    let engine = lone.engine();
    assert!(!engine.compare_heard().await);
    assert_eq!((evidence(engine).await, waiting(engine).await.len()), (vec![], 2));
    // Once the relay's log goes on past it, nobody needs to be asked.
    log.leaves.extend((4..8).map(name));
    log.is_read_at(engine, now + 10).await;
    assert!(engine.compare_heard().await, "all is compared");
    assert_eq!(evidence(engine).await, [Against::Diverged; 2]);
    assert_eq!(waiting(engine).await, []);
    let told = lone.client.contradicted_logs().await.unwrap();
    assert_eq!(told.iter().map(|log| log.contradictions.len()).collect::<Vec<_>>(), [2], "and it is shown");
}

#[tokio::test]
async fn p17_a_relay_that_was_merely_slow_is_told_of_by_nobody() {
    let lone = lone().await;
    let (mut log, now) = (log(4), lone.engine().now_ms());
    let bea = chain(7);
    know(lone.engine(), &bea).await;
    log.is_read_at(lone.engine(), now).await;
    log.leaves.extend((4..8).map(name));
    hears(lone.engine(), bea.0.account(), log.compact(6, now + 5)).await;
    assert!(!lone.engine().compare_heard().await);
    let lone = again(lone).await;
    let engine = lone.engine();
    assert_eq!(waiting(engine).await, [(bea.0.account(), log.compact(6, now + 5))]);
    let mut events = engine.events.subscribe();
    assert!(!engine.compare_heard().await);
    log.is_read_at(engine, now + 10).await;
    assert!(engine.compare_heard().await);
    assert_eq!((waiting(engine).await, evidence(engine).await), (vec![], vec![]));
    assert!(events.try_recv().is_err(), "something was told");
    let view = engine.log_view(RELAY.to_owned()).await.unwrap();
    assert!(!view.stale && !view.withheld);
}

/// A relay that signs the second history on and on, each time later than what it shows here, is caught by the first of it.
#[tokio::test]
async fn p17_what_was_heard_first_is_not_crowded_out_by_what_comes_after_it() {
    let lone = lone().await;
    let engine = lone.engine();
    let (log, now) = (log(4), engine.now_ms());
    let bea = chain(7);
    know(engine, &bea).await;
    log.is_read_at(engine, now).await;
    let other = fork(&log, 4, 20);
    for more in 5..20 {
        hears(engine, bea.0.account(), other.compact(more, now + 10 * more as u64)).await;
        engine.compare_heard().await;
    }
    let kept = [5, 19].map(|more| (bea.0.account(), other.compact(more, now + 10 * more as u64)));
    assert_eq!(waiting(engine).await, kept, "the first and the newest");
    // Signed again, and not longer: after the first, and before the newest.
    log.is_read_at(engine, now + 55).await;
    engine.compare_heard().await;
    assert_eq!(evidence(engine).await, [Against::WentBack]);
    assert_eq!(waiting(engine).await, kept[1..]);
}

/// Nobody is asked again and again: without anything new the relay has its rest.
#[tokio::test]
async fn p17_a_relay_that_does_not_show_what_it_has_signed_is_asked_after_a_while() {
    let lone = lone().await;
    let engine = lone.engine();
    let (mut log, now) = (log(4), engine.now_ms());
    let bea = chain(7);
    know(engine, &bea).await;
    log.is_read_at(engine, now).await;
    log.leaves.extend((4..8).map(name));
    let relay: RelayAddress = RELAY.parse().unwrap();
    let asked = async || {
        // Whoever asks holds this.
        let lock = engine.transparency_lock(&relay.authority());
        let held = lock.lock().await;
        let asks = tokio::time::timeout(Duration::from_secs(2), engine.compare_heard()).await.is_err();
        drop(held);
        asks
    };
    hears(engine, bea.0.account(), log.compact(6, now + 5)).await;
    assert!(!engine.compare_heard().await);
    assert!(!asked().await, "at once again");
    // With something new it is asked at once.
    hears(engine, bea.0.account(), log.compact(7, now + 6)).await;
    assert!(asked().await, "the control");
    engine.heard.lock().unwrap().rest_is_over();
    assert!(asked().await, "never again");
}

#[tokio::test]
async fn p17_what_is_withheld_for_a_day_makes_the_log_unavailable() {
    let lone = lone().await;
    let engine = lone.engine();
    lone.relay_is_ahead(0);
    let (mut log, now) = (log(4), engine.now_ms());
    let bea = chain(7);
    know(engine, &bea).await;
    log.is_read_at(engine, now).await;
    let relay: RelayAddress = RELAY.parse().unwrap();
    let mut events = engine.events.subscribe();
    let mut told = || {
        let mut told = Vec::new();
        while let Ok(event) = events.try_recv() {
            if let Event::Log { log } = event {
                told.push((log.withheld, log.stale));
            }
        }
        told
    };
    log.leaves.extend((4..8).map(name));
    // More than a day after what is shown, by the relay's own word: it may say any time. Nobody is met by such a log; but it may be out of reach.
    hears(engine, bea.0.account(), log.compact(6, MAX_U64)).await;
    engine.compare_heard().await;
    assert_eq!(told(), []);
    engine.require_fresh(&relay).await.unwrap_err();
    log.is_read_at(engine, now + 5).await;
    assert!(engine.compare_heard().await);
    assert_eq!(told(), []);
    engine.require_fresh(&relay).await.unwrap();
    // Not so much later, and not shown for a day, although the log is signed again.
    let day = u64::try_from(DAY_MS).unwrap();
    let more = fork(&log, 8, 9);
    hears(engine, bea.0.account(), more.compact(9, now + day)).await;
    log.is_read_at(engine, now + day - 3_600_000).await;
    lone.relay_is_ahead(DAY_MS - 60_000);
    engine.compare_heard().await;
    assert_eq!(told(), [], "a minute too early");
    engine.require_fresh(&relay).await.unwrap();
    lone.relay_is_ahead(DAY_MS + 60_000);
    for _ in 0..2 {
        engine.compare_heard().await;
    }
    assert_eq!(told(), [(true, true)], "once");
    engine.require_fresh(&relay).await.unwrap_err();
    assert_eq!(evidence(engine).await, [], "nobody has signed that");
    // Shown at last.
    more.is_read_at(engine, now + day + 60_000).await;
    engine.compare_heard().await;
    assert_eq!(told(), [(false, false)], "it is over");
}

/// A relay signs a contradiction of a time that never comes, and the user goes on: that settles what was signed by then, and nothing else.
#[tokio::test]
async fn p17_a_contradiction_from_the_future_settles_none_that_comes_after_it() {
    let lone = lone().await;
    let engine = lone.engine();
    lone.relay_is_ahead(0);
    let (log, now) = (log(4), engine.now_ms());
    let bea = chain(7);
    know(engine, &bea).await;
    log.is_read_at(engine, now).await;
    hears(engine, bea.0.account(), fork(&log, 2, 4).compact(4, MAX_U64)).await;
    engine.compare_heard().await;
    assert_eq!(evidence(engine).await, [Against::TwoHistories]);
    let unsettled = async || engine.store.run(|tx| stored::unsettled(tx, RELAY)).await.unwrap().len();
    assert_eq!(unsettled().await, 1);
    lone.client.settle_log(RELAY).await.unwrap();
    assert_eq!(unsettled().await, 0);
    log.is_read_at(engine, now + 1).await;
    // Of before the user went on: that is what they know of.
    hears(engine, bea.0.account(), fork(&log, 1, 4).compact(4, now)).await;
    engine.compare_heard().await;
    assert_eq!(unsettled().await, 0);
    hears(engine, bea.0.account(), fork(&log, 3, 4).compact(4, now + 3_600_000)).await;
    engine.compare_heard().await;
    assert_eq!(unsettled().await, 1, "all that others see from now on is settled before it is signed");
}

/// What a log's first checkpoint says of the time is kept and shown for good.
#[tokio::test]
async fn p17_times_that_cannot_have_been_yet_are_shown_as_now_and_do_not_move_on() {
    let lone = lone().await;
    let engine = lone.engine();
    lone.relay_is_ahead(0);
    let now = engine.now_ms() as f64;
    log(4).is_read_at(engine, MAX_U64).await;
    let view = async || engine.log_view(RELAY.to_owned()).await.unwrap();
    let first = view().await;
    assert!((first.since - now).abs() < 60_000.0 && (first.proved_at - now).abs() < 60_000.0, "{first:?}");
    lone.relay_is_ahead(3 * DAY_MS);
    let since = view().await.since;
    assert!((since - now).abs() < 60_000.0, "consistent since {since}, and not {now}");
}

/// A relay that is out of reach is not said to withhold anything, however long: its log is old, and that is what is said.
#[tokio::test]
async fn p17_a_relay_that_is_out_of_reach_withholds_nothing() {
    let lone = lone().await;
    let engine = lone.engine();
    lone.relay_is_ahead(0);
    let (mut log, now) = (log(4), engine.now_ms());
    let bea = chain(7);
    know(engine, &bea).await;
    log.is_read_at(engine, now - 5).await;
    log.leaves.extend((4..8).map(name));
    hears(engine, bea.0.account(), log.compact(6, now)).await;
    lone.relay_is_ahead(3 * DAY_MS);
    let (day, relay) = (u64::try_from(DAY_MS).unwrap(), RELAY.parse().unwrap());
    hears(engine, bea.0.account(), log.compact(7, now + 3 * day)).await;
    engine.compare_heard().await;
    let view = engine.log_view(RELAY.to_owned()).await.unwrap();
    assert!(view.stale && !view.withheld);
    engine.require_fresh(&relay).await.unwrap_err();
    // There it is again, with all that it has signed.
    log.is_read_at(engine, now + 3 * day).await;
    assert!(engine.compare_heard().await);
    let view = engine.log_view(RELAY.to_owned()).await.unwrap();
    assert!(!view.stale && !view.withheld);
    engine.require_fresh(&relay).await.unwrap();
}

#[tokio::test]
async fn p17_what_waits_to_be_compared_is_bounded_for_each_account_each_relay_and_in_all() {
    let lone = lone().await;
    let noted = lone.engine().store.run(|tx| {
        let note = |account: u16, relay: &str, hour: u8| {
            let mut id = [0; 16];
            id[..2].copy_from_slice(&account.to_be_bytes());
            let seen = (AccountId::from_bytes(id), [hour; 112]);
            uncompared::note(tx, &seen, relay, u64::from(hour), 1).unwrap();
            seen
        };
        let count = |relay: &str| uncompared::of(tx, relay, 1).unwrap().len();
        // One account: the first and the newest, in whatever order they come.
        for hour in [5, 3, 9, 4, 7] {
            note(0, "one", hour);
        }
        assert_eq!(uncompared::of(tx, "one", 1)?.iter().map(|one| one.1[0]).collect::<Vec<_>>(), [3, 9]);
        note(0, "one", 9);
        // One relay: those that are there stay.
        (1..200).for_each(|account| _ = note(account, "one", 1));
        let kept = uncompared::of(tx, "one", 1)?;
        assert_eq!(kept.len(), 64);
        assert_eq!((kept[0].1[0], kept[1].1[0], kept[63].0.as_bytes()[1]), (3, 9, 62));
        // Many: whoever has most makes room.
        for (first, relay) in [(1000, "two"), (2000, "three"), (3000, "four")] {
            (first..first + 100).for_each(|account| _ = note(account, relay, 1));
        }
        assert_eq!(uncompared::all(tx, 1)?.len(), 256);
        let honest = note(5000, "honest", 1);
        (6000..6100).for_each(|account| _ = note(account, "five", 1));
        assert_eq!(uncompared::all(tx, 1)?.len(), 256);
        assert_eq!(uncompared::of(tx, "honest", 1)?, [honest]);
        assert!(count("five") > 32 && count("one") > 32, "{} {}", count("five"), count("one"));
        // What was compared goes, and nothing else.
        uncompared::done(tx, &[honest])?;
        assert_eq!((count("honest"), uncompared::all(tx, 1)?.len()), (0, 255));
        Ok(())
    });
    noted.await.unwrap();
}
