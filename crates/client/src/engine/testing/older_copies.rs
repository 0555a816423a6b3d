//! One engine, and an older copy of its database beside the keystore as it is now, with a change of the own keys under way that was complete long ago (D14).

use rusqlite::Transaction;
use waxwing_protocol::{AccountKey, DeviceSeeds};

use super::super::Engine;
use super::super::keys::Cause;
use super::doubts::lone;
use super::lone::Lone;
use super::slow_logs::speaks_to;
use super::small_relay::chain_of;
use crate::error::{Error, ErrorCode};
use crate::store::keys::{self, AccountChange, Rotation};
use crate::views::KeyEvent::{AccountKeyRotated, Created, Rotated};

const HOME: &str = "127.0.0.1:1";

/// The own chain as it is, entry by entry.
async fn own_chain(engine: &Engine) -> Vec<Vec<u8>> {
    let me = engine.account;
    engine.store.run(move |tx| keys::chain_entries(tx, me)).await.unwrap()
}

/// Puts a database of before back, which knows nothing but the first entry, and starts on it.
async fn copy_of_before(
    lone: Lone,
    under_way: impl FnOnce(&Transaction<'_>) -> Result<(), Error> + Send + 'static,
) -> Lone {
    let me = lone.engine().account;
    let put_back = lone.engine().store.run(move |tx| {
        tx.execute("DELETE FROM chain_entries WHERE account = ?1 AND seq > 0", [me.as_bytes()])?;
        tx.execute_batch("DELETE FROM old_sealing_keys; DELETE FROM old_device_keys")?;
        under_way(tx)
    });
    put_back.await.unwrap();
    let lone = lone.restart().await;
    lone.client.end_tasks().await;
    lone
}

#[tokio::test]
async fn d14_a_rotation_that_the_keystore_is_past_puts_no_older_keys_in_force() {
    let lone = lone().await;
    let engine = lone.engine();
    let first = engine.keys();
    engine.begin_rotation(Cause::ByHand).await.unwrap();
    let rotation = engine.store.run(keys::rotation).await.unwrap().unwrap();
    let seeds = DeviceSeeds::from_bytes(&rotation.seeds.to_bytes());
    let under_way = Rotation { key_version: 2, seeds, entry: rotation.entry.clone(), scheduled: false };
    engine.store_new_seeds(&rotation).await.unwrap();
    engine.finish_rotation(rotation).await.unwrap();
    lone.rotate(Cause::ByHand).await;
    let (newest, entries) = (engine.keys(), own_chain(engine).await);
    assert_eq!((newest.key_version(), entries.len()), (3, 3));
    let lone = copy_of_before(lone, move |tx| keys::begin_rotation(tx, &under_way, first.sealing(), 0)).await;
    let engine = lone.engine();
    assert_eq!(engine.keys().record(), newest.record(), "keys of before are in force");
    assert_eq!(engine.secrets.lock().await.key_version, 3);
    assert!(engine.store.run(keys::rotation).await.unwrap().is_none());
    let old = engine.store.run(keys::old_sealing_keys).await.unwrap();
    assert_eq!(old.iter().map(|keys| keys.key_version()).collect::<Vec<_>>(), [2, 1], "what is on its way to them");
    // The copy lacks the entries, and takes them up again.
    let relay = chain_of(engine.account, &entries).await;
    speaks_to(engine, HOME, &relay);
    engine.resume_changes().await.unwrap();
    let view = lone.client.keys().await.unwrap();
    assert_eq!((view.version, view.rotating), (3, false));
    assert_eq!(view.history.iter().map(|item| item.what).collect::<Vec<_>>(), [Rotated, Rotated, Created]);
}

/// Another account key: nobody but the keystore has the newer one.
#[tokio::test]
async fn d14_an_account_key_that_the_keystore_is_past_takes_the_place_of_no_newer_one() {
    let lone = lone().await;
    let engine = lone.engine();
    let mut under_way = None;
    for _ in 0..2 {
        engine.begin_account_change(&[], false).await.unwrap();
        let change = engine.store.run(keys::account_change).await.unwrap().unwrap();
        let copy = AccountChange {
            key: AccountKey::from_seed(change.key.seed()),
            entry: change.entry.clone(),
            then_rotate: false,
        };
        under_way.get_or_insert(copy);
        engine.store_account_seed(&change).await.unwrap();
        engine.finish_account_change(change).await.unwrap();
    }
    let (newest, entries, under_way) = (engine.account_key().public(), own_chain(engine).await, under_way.unwrap());
    let lone = copy_of_before(lone, move |tx| keys::begin_account_change(tx, &under_way)).await;
    let engine = lone.engine();
    let kept = async || AccountKey::from_seed(&engine.secrets.lock().await.account_seed).public();
    // A relay that shows no more than the older one.
    let relay = chain_of(engine.account, &entries[..2]).await;
    speaks_to(engine, HOME, &relay);
    assert_eq!(engine.resume_changes().await.unwrap_err().code(), ErrorCode::KeysHeldBack);
    assert_eq!((kept().await, engine.account_key().public()), (newest, newest));
    let relay = chain_of(engine.account, &entries).await;
    speaks_to(engine, HOME, &relay);
    engine.resume_changes().await.unwrap();
    assert_eq!((kept().await, engine.account_key().public()), (newest, newest), "the newer one is lost");
    let view = lone.client.keys().await.unwrap();
    assert!(!view.rotating);
    let kinds: Vec<_> = view.history.iter().map(|item| item.what).collect();
    assert_eq!(kinds, [AccountKeyRotated, AccountKeyRotated, Created]);
}
