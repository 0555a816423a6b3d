//! One engine without a relay: another account key, stopped where no relay can stop it (D2): between keystore and database, and between the
//! two halves of shutting others out. What a relay can do to it: `tests/tests/account_changes.rs`.

use waxwing_protocol::{DeviceKeys, DeviceSeeds, statement};
use waxwing_wire::{DeviceId, VerifiedChain};

use super::super::Engine;
use super::super::keys::Cause;
use super::doubts::lone;
use super::lone::Lone;
use super::slow_logs::speaks_to;
use super::small_relay::chain_of;
use crate::mls::GroupChange;
use crate::random;
use crate::store::{keys, outbox, rotation as schedule};
use crate::views::KeyEvent::{AccountKeyRotated, Created, Rotated};
use crate::views::{KeyEvent, KeysView};

/// How often the own groups are to be told.
async fn follows(engine: &Engine) -> usize {
    let me = engine.account;
    let find = engine.store.run(move |tx| {
        let ids = schedule::conversations(tx)?;
        let items = ids.iter().map(|id| outbox::changes(tx, id)).collect::<Result<Vec<_>, _>>()?.concat();
        let follow = GroupChange::Follow(me).encode()?;
        Ok(items.into_iter().filter(|item| *item.content == follow).count())
    });
    find.await.unwrap()
}

fn kinds(keys: &KeysView) -> Vec<KeyEvent> {
    keys.history.iter().map(|item| item.what).collect()
}

/// The journal, and the relay and the keystore have the new key; then it goes down.
async fn until_the_keystore(lone: Lone, then_rotate: bool) -> Lone {
    // The engine itself would go on with it as well.
    lone.client.end_tasks().await;
    let engine = lone.engine();
    engine.begin_account_change(&[], then_rotate).await.unwrap();
    let change = engine.store.run(keys::account_change).await.unwrap().unwrap();
    engine.store_account_seed(&change).await.unwrap();
    let begun = lone.client.keys().await.unwrap();
    assert_eq!((begun.rotating, kinds(&begun)), (true, vec![Created]), "the database has not followed");
    lone.restart().await
}

#[tokio::test]
async fn d2_an_account_key_that_the_keystore_has_is_in_force_once_after_the_next_start() {
    let lone = Lone::new().await;
    lone.client.create_group("one", &[]).await.unwrap();
    let before = lone.client.keys().await.unwrap();
    assert_eq!(before.account_outcome, None);
    let mut lone = until_the_keystore(lone, false).await;
    for start in 0..3 {
        let view = lone.client.keys().await.unwrap();
        assert_eq!((view.rotating, kinds(&view)), (false, vec![AccountKeyRotated, Created]), "start {start}");
        assert_ne!(view.account_fingerprint, before.account_fingerprint);
        assert_eq!(view.fingerprint, before.fingerprint, "the device's keys are another matter");
        let engine = lone.engine();
        assert_eq!(engine.account_key().public(), *engine.chain(engine.account).await.unwrap().account_key());
        assert_eq!(follows(engine).await, 1, "each group is told once");
        // And it is said that the group does not know it yet.
        let outcome = view.account_outcome.expect("what has become of it");
        assert_eq!((outcome.shut_out, outcome.conversations, outcome.updated), (false, 1, 0), "start {start}");
        assert_eq!(outcome.waiting.iter().map(|one| one.title.as_str()).collect::<Vec<_>>(), ["one"]);
        assert!(!engine.store.run(keys::is_rotation_wanted).await.unwrap());
        lone = lone.restart().await;
    }
    // What comes next is signed by it.
    lone.rotate(Cause::ByHand).await;
    assert_eq!(kinds(&lone.client.keys().await.unwrap()), [Rotated, AccountKeyRotated, Created]);
    lone.client.end_tasks().await;
}

#[tokio::test]
async fn d2_the_second_half_of_shutting_others_out_is_done_after_the_next_start() {
    let lone = Lone::new().await;
    lone.client.create_group("one", &[]).await.unwrap();
    let before = lone.client.keys().await.unwrap();
    let lone = until_the_keystore(lone, true).await;
    // The account key is in force, and no rotation has begun: once more it goes down.
    let begun = |tx: &rusqlite::Transaction<'_>| Ok(keys::is_rotation_wanted(tx)? || keys::rotation(tx)?.is_some());
    assert!(lone.engine().store.run(begun).await.unwrap(), "the second half is forgotten");
    assert!(lone.client.keys().await.unwrap().rotating, "it is said to be complete between its halves");
    let lone = lone.restart().await;
    let engine = lone.engine();
    engine.resume_rotation().await;
    let view = lone.client.keys().await.unwrap();
    assert_eq!((view.rotating, view.version, kinds(&view)), (true, 1, vec![AccountKeyRotated, Created]));
    let rotation = engine.store.run(keys::rotation).await.unwrap().expect("the rotation has begun");
    engine.store_new_seeds(&rotation).await.unwrap();
    // And between keystore and database.
    let lone = lone.restart().await;
    for _ in 0..2 {
        // Without a relay nothing gets further than a journal, and there is to be none.
        lone.engine().resume_rotation().await;
        let view = lone.client.keys().await.unwrap();
        assert_eq!((view.rotating, view.version), (false, 2), "{:?}", view.rotation_problem);
        assert_eq!(kinds(&view), [Rotated, AccountKeyRotated, Created]);
        assert_ne!(view.account_fingerprint, before.account_fingerprint);
        assert!(!lone.engine().store.run(begun).await.unwrap());
        assert!(view.account_outcome.is_some_and(|outcome| outcome.shut_out && outcome.updated == 0));
        assert_eq!(follows(lone.engine()).await, 1, "each group is told once");
    }
    lone.client.end_tasks().await;
}

/// The own chain with a device that a thief of the account key has put into it, and the entry that says so.
async fn with_a_thief(engine: &Engine) -> (VerifiedChain, Vec<Vec<u8>>, DeviceId) {
    let mut chain = VerifiedChain::clone(&*engine.chain(engine.account).await.unwrap());
    let device = DeviceId::from_bytes(random::bytes());
    let thief = DeviceKeys::new(device, 1, DeviceSeeds::generate(&mut random::rng())).unwrap();
    let entry = statement::add_device(&chain, &engine.account_key(), &thief, 1);
    chain.extend(entry.as_bytes()).unwrap();
    (chain, vec![entry.as_bytes().to_vec()], device)
}

/// What an engine has of it after the next start: the thief's device in the own chain, and the journal of what revokes it.
async fn has(engine: &Engine, device: DeviceId) -> (bool, bool) {
    let journal = engine.store.run(keys::account_change).await.unwrap();
    let chain = engine.chain(engine.account).await.unwrap();
    if let Some(change) = &journal {
        let mut after = VerifiedChain::clone(&chain);
        after.extend(&change.entry).unwrap();
        assert!(after.device(device).is_none() && after.device(engine.device).is_some() && change.then_rotate);
    }
    (chain.device(device).is_some(), journal.is_some())
}

/// Else the thief's device would be one's own for good, and nothing would tell of it: what stands in the own chain is no alarm.
#[tokio::test]
async fn d2_p11_a_thiefs_entries_are_taken_into_the_own_chain_with_what_revokes_them_or_not_at_all() {
    let lone = Lone::new().await;
    lone.client.end_tasks().await;
    // It goes down between the two, wherever that is.
    for table in ["account_change", "chain_entries"] {
        let engine = lone.engine();
        let (chain, fresh, device) = with_a_thief(engine).await;
        let break_it =
            format!("CREATE TRIGGER goes_down BEFORE INSERT ON {table} BEGIN SELECT raise(ABORT, 'it goes down'); END");
        engine.store.run(move |tx| Ok(tx.execute_batch(&break_it)?)).await.unwrap();
        engine.begin_shutting_out(chain, fresh).await.unwrap_err();
        engine.store.run(|tx| Ok(tx.execute_batch("DROP TRIGGER goes_down")?)).await.unwrap();
        assert_eq!(has(engine, device).await, (false, false), "{table}");
        // Nor after a start, which finds what is stored alone.
        let stored = engine
            .store
            .run(|tx| Ok(tx.query_row("SELECT count(*) FROM chain_entries", [], |row| row.get::<_, u32>(0))?));
        assert_eq!(stored.await.unwrap(), 1, "{table}");
    }
    let (chain, fresh, device) = with_a_thief(lone.engine()).await;
    lone.engine().begin_shutting_out(chain, fresh).await.unwrap();
    assert_eq!(has(lone.engine(), device).await, (true, true));
    let lone = lone.restart().await;
    lone.client.end_tasks().await;
    assert_eq!(has(lone.engine(), device).await, (true, true), "it goes on");
}

/// Each would state the same place of the chain, and the closing would never come there.
#[tokio::test]
async fn nothing_else_is_begun_while_the_account_is_being_closed() {
    for closing in [true, false] {
        let lone = Lone::new().await;
        lone.client.end_tasks().await;
        let engine = lone.engine();
        let chain = engine.chain(engine.account).await.unwrap();
        if closing {
            engine.begin_closing(&chain).await.unwrap();
        }
        engine.begin_rotation(Cause::ByHand).await.unwrap();
        assert_eq!(engine.store.run(keys::rotation).await.unwrap().is_none(), closing);
        engine.begin_account_change(&[], false).await.unwrap();
        assert_eq!(engine.store.run(keys::account_change).await.unwrap().is_none(), closing);
    }
}

/// A thief has put a device of theirs where this device's own change was to stand.
#[tokio::test]
async fn p11_others_are_shut_out_at_once_where_their_entry_has_overtaken_a_change_of_ones_own() {
    for account_key in [false, true] {
        let lone = lone().await;
        let engine = lone.engine();
        match account_key {
            true => engine.begin_account_change(&[], false).await.unwrap(),
            false => engine.begin_rotation(Cause::ByHand).await.unwrap(),
        }
        let (me, own) = (engine.account, engine.chain(engine.account).await.unwrap());
        let mut entries = engine.store.run(move |tx| keys::chain_entries(tx, me)).await.unwrap();
        let thief = DeviceId::from_bytes([66; 16]);
        let theirs = DeviceKeys::new(thief, 1, DeviceSeeds::generate(&mut random::rng())).unwrap();
        let added = statement::add_device(&own, &engine.account_key(), &theirs, 0);
        entries.push(added.as_bytes().to_vec());
        let relay = chain_of(me, &entries).await;
        speaks_to(engine, "127.0.0.1:1", &relay);
        let view = lone.client.shut_others_out().await.unwrap();
        assert!(view.rotating, "it has begun, and the relay takes nothing");
        let change = engine.store.run(keys::account_change).await.unwrap().unwrap();
        let mut chain = VerifiedChain::verify(&entries).unwrap();
        chain.extend(&change.entry).unwrap();
        assert!(change.then_rotate && chain.device(thief).is_none(), "the thief stays");
        assert!(engine.store.run(keys::rotation).await.unwrap().is_none());
    }
}
