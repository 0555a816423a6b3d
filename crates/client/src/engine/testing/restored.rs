//! One engine without a relay, and somebody else's relay that was restored from a backup: what others have heard of its log before and after,
//! and what was proved there and is lost (D14, P17).

use std::collections::HashSet;

use waxwing_protocol::InLog;
use waxwing_wire::RelayAddress;
use waxwing_wire::transparency::Leaf;

use super::super::Engine;
use super::super::transparency::Strange;
use super::doubts::{Log, RELAY, chain, hears, in_doubt, know, leaf, lone};
use crate::store::restorations::{self, Restoration};
use crate::store::transparency::{self as stored, Against, Alarm};
use crate::store::unproved;

const AFTER: &str = "127.0.0.1:2/00ff";

fn name(number: u8) -> Leaf {
    Leaf::Name { name_hash: [number; 32], entry_hash: [number; 32] }
}

/// The engine has read eight leaves, and follows a backup of five.
async fn follows(engine: &Engine, log: &Log) {
    let (kept, last) = (log.edge(5), log.signs(8, 1_800_000_000_000));
    let restored = Restoration {
        origin: AFTER.to_owned(),
        previous: RELAY.to_owned(),
        size: 5,
        time_ms: 3,
        found_ms: 4,
        note: String::new(),
        proved: Some(last.note().to_owned()),
    };
    let follow = engine.store.run(move |tx| {
        let log = stored::load(tx, RELAY)?.unwrap();
        restorations::follow(tx, &log, &[restored], &kept)
    });
    follow.await.unwrap();
}

async fn evidence(engine: &Engine) -> Vec<Against> {
    let kept = engine.store.run(|tx| stored::evidence(tx, RELAY)).await.unwrap();
    kept.into_iter().map(|one| one.against).collect()
}

fn is_wanted(engine: &Engine) -> bool {
    matches!(engine.heard.lock().unwrap().strange.get(RELAY), Some(Strange::Wanted(_)))
}

/// Others may have followed before this device, and after it.
#[tokio::test]
async fn p17_checkpoints_of_before_and_after_a_restoration_are_no_evidence() {
    let lone = lone().await;
    let (engine, bea) = (lone.engine(), chain(7));
    know(engine, &bea).await;
    let who = bea.0.account();
    let mut log = Log::new();
    log.leaves = (0..8).map(name).collect();
    log.is_read(engine).await;
    let mut after = log.branch(AFTER);
    after.leaves.truncate(5);
    after.leaves.extend((20..24).map(name));

    // She has followed, this device has not: it looks, and not at once again.
    hears(engine, HashSet::from([(who, after.compact(9, 7))])).await;
    assert!(is_wanted(engine));
    assert!(engine.heard.lock().unwrap().new.is_empty());
    engine.follow_strange().await;
    assert!(!is_wanted(engine), "it was looked at");
    hears(engine, HashSet::from([(who, after.compact(8, 6))])).await;
    assert!(!is_wanted(engine), "anybody can make such things up");
    assert_eq!(evidence(engine).await, []);

    follows(engine, &log).await;
    after.is_read(engine).await;
    // Now it is the other way round: what she has seen before is of the same history up to the backup, and beyond that nobody can say.
    hears(engine, [4, 5, 7, 8].map(|size| (who, log.compact(size, 6))).into_iter().collect()).await;
    hears(engine, HashSet::from([(who, after.compact(7, 6))])).await;
    assert_eq!(engine.heard.lock().unwrap().new.len(), 5);
    engine.compare_heard().await;
    assert_eq!(engine.heard.lock().unwrap().known.len(), 5);
    assert_eq!(evidence(engine).await, []);
    // A restoration hides no second history: neither a shorter one, nor one as long as what was proved last.
    let mut branch = log.branch(RELAY);
    branch.leaves[2] = name(99);
    hears(engine, HashSet::from([(who, branch.compact(4, 6))])).await;
    engine.compare_heard().await;
    assert_eq!(evidence(engine).await, [Against::Diverged]);
    hears(engine, HashSet::from([(who, branch.compact(8, 6))])).await;
    engine.compare_heard().await;
    assert_eq!(evidence(engine).await, [Against::Diverged, Against::TwoHistories]);
}

/// Whoever's entry was lost may never come back to state it again.
#[tokio::test]
async fn d14_what_was_proved_and_is_lost_raises_no_doubt() {
    let lone = lone().await;
    let (engine, bea, cem) = (lone.engine(), chain(7), chain(8));
    for one in [&bea, &cem] {
        know(engine, one).await;
        let account = one.0.account();
        engine.store.run(move |tx| unproved::note(tx, account)).await.unwrap();
    }
    let relay: RelayAddress = RELAY.parse().unwrap();
    let mut log = Log::new();
    log.leaves = vec![leaf(&bea.0, 0), leaf(&cem.0, 0), name(1), name(2), name(3), name(4), leaf(&bea.0, 1), name(5)];
    log.is_read(engine).await;
    follows(engine, &log).await;
    let mut after = log.branch(AFTER);
    after.leaves.truncate(5);
    after.leaves.push(name(30));
    after.is_read(engine).await;
    assert_eq!(engine.in_log(&relay, &bea.0, 0).await.unwrap(), InLog::Whole);
    engine.check_learned().await.unwrap();
    assert!(!in_doubt(engine, bea.0.account()).await);
    // Another entry in its place does.
    after.leaves.push(Leaf::Chain {
        account_hash: waxwing_wire::transparency::account_hash(&bea.0.account()),
        seq: 1,
        entry_hash: [0xee; 32],
    });
    after.is_read(engine).await;
    engine.look_at_logs().await.unwrap();
    assert!(in_doubt(engine, bea.0.account()).await);
    assert!(!in_doubt(engine, cem.0.account()).await, "his second entry was never seen, and nobody answers for it");
}

/// A restored log gives places again.
#[tokio::test]
async fn p6_an_alarm_hides_no_other_in_the_same_place() {
    let lone = lone().await;
    let raise = |hash| Alarm { index: Some(6), seq: Some(1), entry_hash: [hash; 32], at_ms: 1 };
    let raised = lone.engine().store.run(move |tx| {
        assert!(stored::raise(tx, &raise(1))? && stored::raise(tx, &raise(2))?);
        assert!(!stored::raise(tx, &raise(2))?, "it is known");
        stored::forget_alarms(tx, |_, hash| hash == [1; 32])?;
        stored::alarms(tx)
    });
    assert_eq!(raised.await.unwrap(), (vec![raise(2)], false));
}

/// A relay's notes say any time, and what was kept before is bounded where it is read.
#[tokio::test]
async fn p17_restorations_are_bounded_in_number_and_in_time() {
    let lone = lone().await;
    let engine = lone.engine();
    let kept = engine.store.run(|tx| {
        for n in 0..300_u32 {
            tx.execute(
                "INSERT INTO transparency_restorations (relay, origin, previous, size, time_ms, found_ms, note, redo)
                 VALUES (?1, ?1 || '/' || ?2, ?1, 1, ?3, ?2, '', 0)",
                rusqlite::params![RELAY, n, waxwing_wire::MAX_U64],
            )?;
        }
        restorations::of(tx, RELAY)
    });
    let kept: Vec<_> = kept.await.unwrap().into_iter().map(|one| one.found_ms).collect();
    assert_eq!(kept, (44..300).collect::<Vec<_>>(), "the newest, in order");
    let shown = engine.log_view(RELAY.to_owned()).await.unwrap().restorations;
    assert_eq!(shown.len(), 256);
    assert!(shown.iter().all(|one| (one.backup - one.found).abs() < 1.0), "a backup of after it was put back");
}
