//! One engine without a relay: what a history of keys says of entries that a log holds, that it does not hold, and that may stand behind what was
//! read of it (P11).

use super::super::keys::Cause;
use super::alarms::log_of;
use super::doubts::{Log, chain, know, leaf, lone};
use crate::event::Event;
use crate::store::unproved;
use crate::views::KeyHistoryItem;

/// An entry's place in the log, and whether that is proved.
type State = (Option<u32>, Option<bool>);

/// It may stand behind what was read.
const OPEN: State = (None, None);
/// The log was read past it.
const MISSING: State = (None, Some(false));

fn at(index: u32) -> State {
    (Some(index), Some(true))
}

/// Those of a history, the newest first.
fn states(history: &[KeyHistoryItem]) -> Vec<State> {
    history.iter().map(|item| (item.log_index, item.proved)).collect()
}

#[tokio::test]
async fn p11_an_own_entry_is_missing_only_where_the_log_was_signed_since() {
    let lone = lone().await;
    let engine = lone.engine();
    let own = async || states(&lone.client.keys().await.unwrap().history);
    assert_eq!(own().await, [OPEN], "nothing was read");
    let mut log = log_of(engine).await;
    assert_eq!(own().await, [at(0)]);
    lone.rotate(Cause::ByHand).await;
    let taken = engine.now_ms();
    // Signed before it, and at what may be the same moment.
    for signed in [taken - 3_600_000, taken + 30_000] {
        log.is_read_at(engine, signed).await;
        assert_eq!(own().await, [OPEN, at(0)], "{}", i128::from(signed) - i128::from(taken));
    }
    log.is_read_at(engine, taken + 3_600_000).await;
    assert_eq!(own().await, [MISSING, at(0)]);
    // What was stated behind it is there: it has been passed over, whenever that was signed.
    lone.rotate(Cause::ByHand).await;
    let chain = engine.chain(engine.account).await.unwrap();
    log.leaves.push(leaf(&chain, 2));
    log.is_read_at(engine, taken).await;
    assert_eq!(own().await, [at(2), MISSING, at(0)]);
}

#[tokio::test]
async fn p11_the_own_keys_are_told_again_once_the_log_says_something_else_of_them() {
    let lone = lone().await;
    let engine = lone.engine();
    let mut log = log_of(engine).await;
    lone.rotate(Cause::ByHand).await;
    log.is_read_at(engine, engine.now_ms()).await;
    assert_eq!(states(&lone.client.keys().await.unwrap().history), [OPEN, at(0)]);
    let mut events = engine.events.subscribe();
    engine.look_for_own_entries().await.unwrap();
    assert!(events.try_recv().is_err(), "nothing has changed");
    let chain = engine.chain(engine.account).await.unwrap();
    log.leaves.push(leaf(&chain, 1));
    log.is_read(engine).await;
    engine.look_for_own_entries().await.unwrap();
    let Ok(Event::Keys { keys }) = events.try_recv() else { panic!("the keys are not told") };
    assert_eq!(states(&keys.history), [at(2), at(0)]);
    engine.look_for_own_entries().await.unwrap();
    assert!(events.try_recv().is_err(), "they are told again and again");
}

#[tokio::test]
async fn p11_an_entry_that_came_in_a_conversation_is_missing_only_once_it_was_looked_up() {
    let lone = lone().await;
    let (engine, bea) = (lone.engine(), chain(7));
    know(engine, &bea).await;
    let account = bea.0.account();
    let theirs = async || states(&lone.client.key_history(&account.to_string()).await.unwrap());
    assert_eq!(theirs().await, [OPEN, OPEN], "nothing was read");
    let mut log = Log::new();
    log.leaves.push(leaf(&bea.0, 0));
    log.is_read(engine).await;
    engine.store.run(move |tx| unproved::learned(tx, account, 1)).await.unwrap();
    // Her relay does not answer.
    engine.check_learned().await.unwrap();
    assert_eq!(theirs().await, [OPEN, at(0)]);
    engine.store.run(move |tx| unproved::done(tx, account, 1)).await.unwrap();
    assert_eq!(theirs().await, [MISSING, at(0)]);
    log.leaves.push(leaf(&bea.0, 1));
    log.is_read(engine).await;
    assert_eq!(theirs().await, [at(1), at(0)]);
}
