//! Two devices of one account that rotate at the same moment: nobody loses keys, and what no device has made stays an alarm.

use waxwing_protocol::{AccountKey, DeviceKeys, OwnEntry, statement};
use waxwing_wire::transparency::{Leaf, account_hash};
use waxwing_wire::{ChainEntry, DeviceId, VerifiedChain};

use super::super::keys::Cause;
use super::super::own_devices::MOST_TURNS;
use super::doubts::leaf;
use super::lone::Lone;
use super::two_engines::{TwoEngines, keys_of, looks};
use crate::error::ErrorCode;
use crate::random;
use crate::store::keys;
use crate::store::own_entries as told;
use crate::store::own_shown::{self, Shown};
use crate::views::KeyEvent::{AccountKeyRotated, Created, DeviceAdded, Rotated};
use crate::views::{KeyEvent, KeysView};

pub(super) async fn alarms(lone: &Lone) -> Vec<Option<u32>> {
    // Whether or not all could be asked for.
    let _ = looks(lone.engine()).await;
    lone.client.transparency_log().await.unwrap().alarms.iter().map(|alarm| alarm.seq).collect()
}

fn kinds(view: &KeysView) -> Vec<KeyEvent> {
    view.history.iter().map(|item| item.what).collect()
}

#[tokio::test]
async fn d2_two_own_devices_that_rotate_at_the_same_moment_both_have_new_keys() {
    let ada = TwoEngines::new().await;
    for round in 2..8 {
        let (one, two) = tokio::join!(ada.one.client.rotate_keys(), ada.two.client.rotate_keys());
        for view in [one.unwrap(), two.unwrap()] {
            assert_eq!((view.version, view.rotating, view.rotation_problem), (round, false, None));
        }
        ada.is_well().await;
    }
    assert_eq!(ada.chain().seq(), 13);
}

#[tokio::test]
async fn d2_a_rotation_that_another_own_device_has_overtaken_states_the_same_keys_behind_it() {
    let ada = TwoEngines::new().await;
    let (one, two) = (ada.one.engine(), ada.two.engine());
    two.begin_rotation(Cause::Schedule).await.unwrap();
    let entry = two.store.run(keys::rotation).await.unwrap().unwrap().entry;
    two.say_what_is_stated(&entry, None, &[]).await.unwrap();
    ada.relay.lock().unwrap().first.push_back(entry);
    one.begin_rotation(Cause::ByHand).await.unwrap();
    let new = one.store.run(keys::rotation).await.unwrap().unwrap().seeds.to_bytes();
    one.resume_changes().await.unwrap();
    assert_eq!(one.secrets.lock().await.device_seeds, *new, "other keys than those that were begun with");
    assert_eq!(ada.relay.lock().unwrap().conflicts, 1);
    assert_eq!(kinds(&ada.one.client.keys().await.unwrap()), [Rotated, Rotated, DeviceAdded, Created]);
    // The one that was first has heard nothing yet, not even that it was taken.
    two.resume_changes().await.unwrap();
    ada.is_well().await;
}

#[tokio::test]
async fn d2_another_account_key_is_stated_behind_what_another_own_device_has_stated() {
    let ada = TwoEngines::new().await;
    let one = ada.one.engine();
    one.begin_account_change(&[], false).await.unwrap();
    let new = one.store.run(keys::account_change).await.unwrap().unwrap().key.public();
    ada.two.client.rotate_keys().await.unwrap();
    one.resume_changes().await.unwrap();
    assert_eq!((one.account_key().public(), *ada.chain().account_key()), (new, new));
    let view = ada.one.client.keys().await.unwrap();
    assert_eq!(kinds(&view), [AccountKeyRotated, Rotated, DeviceAdded, Created]);
    // The other one was handed the new key, and goes on with it.
    let view = ada.two.client.rotate_keys().await.unwrap();
    assert_eq!((view.version, view.rotating, view.rotation_problem), (3, false, None));
    ada.is_well().await;
    assert_eq!(ada.two.engine().account_key().public(), new);
}

#[tokio::test]
async fn p11_an_account_key_that_was_not_handed_over_is_an_alarm_and_nothing_is_done_with_the_old_one() {
    let ada = TwoEngines::new().await;
    ada.relay.lock().unwrap().loses = true;
    ada.one.client.replace_account_key().await.unwrap();
    let refused = ada.two.client.rotate_keys().await.unwrap();
    assert_eq!(refused.rotation_problem.unwrap().code, ErrorCode::OwnKeysChanged);
    assert_eq!((refused.version, refused.rotating), (1, false));
    assert_eq!(alarms(&ada.two).await, [Some(2)]);
}

/// Both at the same moment, by turns: each hears of the other's, and both end with the same account key.
#[tokio::test]
async fn d2_own_devices_that_replace_the_account_key_at_the_same_moment_both_have_the_newest() {
    let ada = TwoEngines::new().await;
    for round in 1..4 {
        let (one, two) = tokio::join!(ada.one.client.replace_account_key(), ada.two.client.replace_account_key());
        for view in [one.unwrap(), two.unwrap()] {
            assert_eq!((view.rotating, view.rotation_problem), (false, None), "round {round}");
        }
        ada.is_well().await;
        let public = *ada.chain().account_key();
        for lone in [&ada.one, &ada.two] {
            assert_eq!(lone.engine().account_key().public(), public);
            assert_eq!(lone.engine().secrets.lock().await.account_seed, *lone.engine().account_key().seed());
        }
    }
}

/// Whoever is taken out is not told, and knows of it as of somebody else's doing.
#[tokio::test]
async fn p11_a_revoked_device_is_not_handed_the_new_account_key() {
    let ada = TwoEngines::new().await;
    let two = ada.two.engine().device;
    let left = ada.one.client.revoke_device(&two.to_string()).await.unwrap();
    assert_eq!(left.devices.iter().map(|device| device.this).collect::<Vec<_>>(), [true]);
    assert!(ada.relay.lock().unwrap().inboxes.get(&two).is_none_or(Vec::is_empty), "it is told");
    assert!(ada.chain().device(two).is_none());
    assert_eq!(alarms(&ada.one).await, []);
    assert_eq!(alarms(&ada.two).await, [Some(2)]);
    for nobody in [two.to_string(), ada.one.engine().device.to_string(), "x".to_owned()] {
        assert_eq!(ada.one.client.revoke_device(&nobody).await.unwrap_err().code(), ErrorCode::NotFound);
    }
}

/// Whoever holds the account key and a device of the account can say what it likes; nobody takes itself out for it.
#[tokio::test]
async fn p11_an_entry_that_takes_this_device_out_is_an_alarm_whatever_an_own_device_says() {
    let ada = TwoEngines::new().await;
    let (one, new) = (ada.one.engine(), AccountKey::generate(&mut random::rng()));
    let entry = statement::rotate_account_key(&ada.chain(), &ada.account_key, &new, &[ada.two.engine().device], 5);
    one.say_what_is_stated(entry.as_bytes(), Some(&new), &[]).await.unwrap();
    ada.states(&entry);
    assert_eq!(alarms(&ada.two).await, [Some(2)]);
    assert_eq!(ada.two.engine().account_key().public(), ada.account_key.public());
}

/// A crash between the keystore and the database: the entries that lead to the new key are found.
#[tokio::test]
async fn d2_an_account_key_that_was_handed_over_outlives_a_crash_behind_the_keystore() {
    let mut ada = TwoEngines::new().await;
    ada.one.client.replace_account_key().await.unwrap();
    let two = ada.two.engine();
    let new = ada.one.engine().secrets.lock().await.account_seed;
    let mut secrets = two.secrets.lock().await.clone();
    secrets.account_seed = new;
    two.keystore.write(&secrets).await.unwrap();
    ada.two = ada.two.restart().await;
    ada.two.client.end_tasks().await;
    ada.is_well().await;
    assert_eq!(ada.two.engine().secrets.lock().await.account_seed, new);
    let view = ada.two.client.rotate_keys().await.unwrap();
    assert_eq!((view.version, view.rotation_problem), (2, None));
}

/// A further device of which an own one has said that it adds it is no alarm; and nothing is said in the name of who is not in the account.
#[tokio::test]
async fn p2_a_further_device_is_taken_on_an_own_devices_word_alone() {
    for told in [true, false] {
        let ada = TwoEngines::new().await;
        let (third, _) = keys_of(DeviceId::from_bytes([9; 16]), 1);
        let entry = statement::add_device(&ada.chain(), &ada.account_key, &third, 5);
        if told {
            ada.one.engine().say_what_is_stated(entry.as_bytes(), None, &[]).await.unwrap();
        }
        ada.states(&entry);
        let expected = if told { vec![] } else { vec![Some(2)] };
        assert_eq!(alarms(&ada.two).await, expected, "{told}");
        let known = ada.two.client.devices().await.unwrap().devices.len();
        assert_eq!(known, if told { 3 } else { 2 });
    }
}

#[tokio::test]
async fn p11_nothing_but_the_rotation_of_a_known_device_is_taken_for_its_own_doing() {
    let key = |ada: &TwoEngines| AccountKey::from_seed(ada.account_key.seed());
    let device = |number: u8, version| keys_of(DeviceId::from_bytes([number; 16]), version).0;
    type Thief = fn(&VerifiedChain, &AccountKey, DeviceKeys) -> ChainEntry;
    let add: Thief = |chain, key, keys| statement::add_device(chain, key, &keys, 5);
    let rotate: Thief = |chain, key, keys| statement::rotate_device_keys(chain, key, &keys, 5);
    let another: Thief =
        |chain, key, _| statement::rotate_account_key(chain, key, &AccountKey::generate(&mut random::rng()), &[], 5);
    for (what, thief, number, version) in [
        ("another device", add, 9, 1),
        ("keys of this very device", rotate, 1, 2),
        ("another account key", another, 9, 1),
    ] {
        for behind in [false, true] {
            let ada = TwoEngines::new().await;
            let one = ada.one.engine();
            let before = one.keys();
            one.begin_rotation(Cause::ByHand).await.unwrap();
            let expected = if behind {
                ada.two.client.rotate_keys().await.unwrap();
                3
            } else {
                2
            };
            ada.states(&thief(&ada.chain(), &key(&ada), device(number, version)));
            assert_eq!(one.resume_changes().await.unwrap_err().code(), ErrorCode::OwnKeysChanged, "{what}");
            assert_eq!(one.keys().record(), before.record(), "{what}: keys that nobody has stated are in force");
            assert!(one.store.run(keys::rotation).await.unwrap().is_none(), "{what}: it can never end");
            assert_eq!(one.chain(one.account).await.unwrap().seq(), expected - 1, "{what}: it is taken for one's own");
            assert_eq!(alarms(&ada.one).await, [Some(expected)], "{what}, {behind}");
        }
    }
}

/// Whoever holds the account key can do it in another device's name. No device has said so, with the keys that these replace.
#[tokio::test]
async fn p11_keys_that_somebody_else_has_stated_for_another_own_device_are_its_alarm() {
    let ada = TwoEngines::new().await;
    let (stolen, _) = keys_of(ada.two.engine().device, 2);
    ada.states(&statement::rotate_device_keys(&ada.chain(), &ada.account_key, &stolen, 5));
    assert_eq!((alarms(&ada.one).await, alarms(&ada.two).await), (vec![Some(2)], vec![Some(2)]));
    assert_eq!(kinds(&ada.one.client.keys().await.unwrap()), [DeviceAdded, Created]);
    // What is done about it shuts the thief out.
    let refused = ada.two.client.shut_others_out().await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::OwnKeysChanged, "its keys are gone: by another device, or by the phrase");
    ada.one.client.shut_others_out().await.unwrap();
    let (chain, one) = (ada.chain(), ada.one.engine());
    assert_eq!(chain.devices().map(|device| device.id()).collect::<Vec<_>>(), [one.device]);
    assert_eq!(chain.device(one.device).unwrap().current().record, *one.keys().record());
}

/// What everybody else does not see is no reason to give way.
#[tokio::test]
async fn p11_what_another_own_device_has_stated_waits_for_the_log() {
    let ada = TwoEngines::new().await;
    let one = ada.one.engine();
    one.begin_rotation(Cause::ByHand).await.unwrap();
    let new = one.store.run(keys::rotation).await.unwrap().unwrap().seeds.to_bytes();
    ada.relay.lock().unwrap().keeps_out = true;
    ada.two.client.rotate_keys().await.unwrap();
    assert_eq!(one.resume_changes().await.unwrap_err().code(), ErrorCode::NotInLog);
    assert!(ada.one.client.keys().await.unwrap().rotating, "it is given up");
    assert_eq!(one.chain(one.account).await.unwrap().seq(), 1);
    let chain = ada.chain();
    {
        let mut relay = ada.relay.lock().unwrap();
        relay.keeps_out = false;
        relay.log.leaves.push(leaf(&chain, 2));
    }
    one.resume_changes().await.unwrap();
    assert_eq!(one.secrets.lock().await.device_seeds, *new);
    ada.is_well().await;
}

/// An alarm that the log gave before the relay showed the entry is over with that.
#[tokio::test]
async fn p11_what_another_own_device_has_stated_is_an_alarm_for_as_long_as_it_is_withheld() {
    let ada = TwoEngines::new().await;
    ada.two.client.rotate_keys().await.unwrap();
    let withheld = ada.relay.lock().unwrap().entries.pop().unwrap();
    assert_eq!(alarms(&ada.one).await, [Some(2)]);
    ada.relay.lock().unwrap().entries.push(withheld);
    assert_eq!(alarms(&ada.one).await, []);
    ada.is_well().await;
}

/// The relay has taken what was stated anew, and this device goes down before it knows: the journal has the entry that it has taken.
#[tokio::test]
async fn d2_a_change_that_was_stated_anew_and_its_answer_lost_is_in_force_after_the_next_start() {
    for account_key in [false, true] {
        let mut ada = TwoEngines::new().await;
        let one = ada.one.engine();
        if account_key {
            one.begin_account_change(&[], false).await.unwrap();
        } else {
            one.begin_rotation(Cause::ByHand).await.unwrap();
        }
        ada.two.client.rotate_keys().await.unwrap();
        ada.relay.lock().unwrap().answers_nothing = true;
        assert_eq!(one.resume_changes().await.unwrap_err().code(), ErrorCode::RelayDown, "{account_key}");
        assert_eq!(ada.chain().seq(), 3, "the control: the relay has it");
        ada.one = ada.one.restart().await;
        ada.one.client.end_tasks().await;
        let one = ada.one.engine();
        one.resume_changes().await.unwrap();
        let chain = ada.chain();
        assert_eq!(chain.seq(), 3, "{account_key}: it is stated twice");
        assert_eq!(*one.chain(one.account).await.unwrap(), chain);
        assert!(one.leads_here(&chain), "{account_key}: the keys are lost");
        assert!(!ada.one.client.keys().await.unwrap().rotating);
    }
}

/// A copy of before knows the entry that a change was begun with, and not the one that has stated it in the end. The keystore may be as old.
#[tokio::test]
async fn d14_an_older_copy_finds_what_was_stated_anew() {
    for (known, older_keystore) in [(1, false), (2, false), (1, true), (2, true)] {
        let mut ada = TwoEngines::new().await;
        let one = ada.one.engine();
        let (before, secrets) = (one.keys(), one.secrets.lock().await.clone());
        one.begin_rotation(Cause::ByHand).await.unwrap();
        let begun = one.store.run(keys::rotation).await.unwrap().unwrap();
        ada.two.client.rotate_keys().await.unwrap();
        one.resume_changes().await.unwrap();
        let (record, me) = (one.keys().record().clone(), one.account);
        assert_eq!((record.key_version, ada.chain().seq()), (2, 3), "the control");
        let put_back = one.store.run(move |tx| {
            tx.execute("DELETE FROM chain_entries WHERE account = ?1 AND seq > ?2", (me.as_bytes(), known))?;
            tx.execute_batch("DELETE FROM old_sealing_keys; DELETE FROM old_device_keys")?;
            keys::begin_rotation(tx, &begun, before.sealing(), 0)
        });
        put_back.await.unwrap();
        if older_keystore {
            one.keystore.write(&secrets).await.unwrap();
        }
        ada.one = ada.one.restart().await;
        ada.one.client.end_tasks().await;
        let one = ada.one.engine();
        // Once more as if it had gone down in between.
        one.take_stated(&record, &one.account_key().public()).await.unwrap();
        one.resume_changes().await.unwrap();
        assert_eq!(*one.keys().record(), record, "{known}, {older_keystore}: the keys in force are lost");
        assert_eq!(one.secrets.lock().await.key_version, 2);
        ada.is_well().await;
    }
}

/// The same of an account key.
#[tokio::test]
async fn d14_an_older_copy_finds_the_account_key_that_was_stated_anew() {
    for older_keystore in [false, true] {
        let mut ada = TwoEngines::new().await;
        let one = ada.one.engine();
        let secrets = one.secrets.lock().await.clone();
        one.begin_account_change(&[], false).await.unwrap();
        let begun = one.store.run(keys::account_change).await.unwrap().unwrap();
        ada.two.client.rotate_keys().await.unwrap();
        one.resume_changes().await.unwrap();
        let (key, me) = (begun.key.public(), one.account);
        assert_eq!(one.account_key().public(), key, "the control");
        let put_back = one.store.run(move |tx| {
            tx.execute("DELETE FROM chain_entries WHERE account = ?1 AND seq > 1", [me.as_bytes()])?;
            keys::begin_account_change(tx, &begun)
        });
        put_back.await.unwrap();
        if older_keystore {
            one.keystore.write(&secrets).await.unwrap();
        }
        ada.one = ada.one.restart().await;
        ada.one.client.end_tasks().await;
        let one = ada.one.engine();
        one.take_stated(one.keys().record(), &key).await.unwrap();
        one.resume_changes().await.unwrap();
        assert_eq!(one.account_key().public(), key, "{older_keystore}: the account key in force is lost");
        let chain = one.chain(one.account).await.unwrap();
        assert_eq!((*chain == ada.chain(), one.leads_here(&chain)), (true, true), "{older_keystore}");
    }
}

/// However often others are first, it goes on with its next turn, and not for ever in this one.
#[tokio::test]
async fn d2_a_rotation_that_is_overtaken_again_and_again_waits_for_its_next_turn() {
    let ada = TwoEngines::new().await;
    let (one, mut chain) = (ada.one.engine(), ada.chain());
    for version in 2..=MOST_TURNS + 2 {
        let (other, _) = keys_of(ada.two.engine().device, version);
        let entry = statement::rotate_device_keys(&chain, &ada.account_key, &other, 5);
        chain.extend(entry.as_bytes()).unwrap();
        let said = OwnEntry { seq: entry.unsigned.seq, hash: entry.hash(), account_key: None };
        one.store.run(move |tx| told::note(tx, &said, 0)).await.unwrap();
        ada.relay.lock().unwrap().first.push_back(entry.as_bytes().to_vec());
    }
    one.begin_rotation(Cause::ByHand).await.unwrap();
    let new = one.store.run(keys::rotation).await.unwrap().unwrap().seeds.to_bytes();
    assert_eq!(one.resume_changes().await.unwrap_err().code(), ErrorCode::OwnKeysChanged);
    assert!(ada.one.client.keys().await.unwrap().rotating, "it is given up");
    one.resume_changes().await.unwrap();
    assert_eq!(one.secrets.lock().await.device_seeds, *new);
    assert!(one.leads_here(&ada.chain()));
}

/// Whoever is to be shut out is not waited for, and the log is not asked: it may be in disorder.
#[tokio::test]
async fn p11_others_are_shut_out_whatever_the_log_says_and_whatever_they_state() {
    let ada = TwoEngines::new().await;
    let one = ada.one.engine();
    one.begin_rotation(Cause::ByHand).await.unwrap();
    // The other device is a thief's, and its entries stand in no log.
    ada.relay.lock().unwrap().keeps_out = true;
    let mut chain = ada.chain();
    for version in 2..4 {
        let (other, _) = keys_of(ada.two.engine().device, version);
        let entry = statement::rotate_device_keys(&chain, &ada.account_key, &other, 5);
        chain.extend(entry.as_bytes()).unwrap();
        match version {
            2 => ada.states(&entry),
            _ => ada.relay.lock().unwrap().first.push_back(entry.as_bytes().to_vec()),
        }
    }
    // Overtaken once more, it shuts them out behind that.
    let done = ada.one.client.shut_others_out().await.unwrap();
    assert_eq!((done.rotating, done.rotation_problem), (false, None));
    let chain = ada.chain();
    assert_eq!(chain.devices().map(|device| device.id()).collect::<Vec<_>>(), [one.device]);
    assert!(one.leads_here(&chain));
}

/// A relay that does not show the own chain stops neither alarms nor the news of contacts.
#[tokio::test]
async fn p17_a_relay_that_does_not_answer_for_the_own_chain_holds_up_no_alarm() {
    let ada = TwoEngines::new().await;
    let engine = ada.one.engine();
    {
        let mut relay = ada.relay.lock().unwrap();
        let entry_hash = [0xee; 32];
        relay.log.leaves.push(Leaf::Chain { account_hash: account_hash(&engine.account), seq: 2, entry_hash });
    }
    engine.follow_log(engine.home.address()).await.unwrap();
    ada.relay.lock().unwrap().stalls = true;
    assert_eq!(engine.look_at_logs().await.unwrap_err().code(), ErrorCode::RelayDown, "it is tried again");
    let alarms = ada.one.client.transparency_log().await.unwrap().alarms;
    assert_eq!(alarms.iter().map(|alarm| alarm.seq).collect::<Vec<_>>(), [Some(2)]);
}

/// Whoever holds a log's lock is told to come again, and waits for nobody.
#[tokio::test]
async fn what_other_own_devices_have_stated_is_not_asked_for_while_a_change_of_the_chain_is_under_way() {
    let ada = TwoEngines::new().await;
    let one = ada.one.engine();
    ada.two.client.rotate_keys().await.unwrap();
    let under_way = one.rotating.lock().await;
    assert_eq!(one.refresh_chain(one.account).await.unwrap_err().code(), ErrorCode::RelayBusy);
    drop(under_way);
    one.drain_inbox().await.unwrap();
    assert_eq!(*one.refresh_chain(one.account).await.unwrap(), ada.chain());
}

/// What a conversation shows of another own device waits until this one has asked its relay, and until it knows what has become of its own change.
#[tokio::test]
async fn p11_what_a_conversation_shows_of_another_own_device_is_no_alarm_before_it_can_be_asked_for() {
    let ada = TwoEngines::new().await;
    let one = ada.one.engine();
    ada.two.client.rotate_keys().await.unwrap();
    let shown = Shown { seq: 2, hash: ada.chain().head(), at_ms: one.now_ms() };
    one.store.run(move |tx| own_shown::note(tx, &shown)).await.unwrap();
    let seen = async || {
        let noted = one.store.run(own_shown::all).await.unwrap().len();
        (ada.one.client.transparency_log().await.unwrap().alarms.len(), noted)
    };
    // The log does not have it yet, so it is not taken.
    let leaf = ada.relay.lock().unwrap().log.leaves.pop().unwrap();
    assert_eq!(one.look_at_logs().await.unwrap_err().code(), ErrorCode::NotInLog);
    assert_eq!(seen().await, (0, 1), "nobody could be asked");
    ada.relay.lock().unwrap().log.leaves.push(leaf);
    one.begin_rotation(Cause::ByHand).await.unwrap();
    let withheld = ada.relay.lock().unwrap().entries.pop().unwrap();
    one.look_at_logs().await.unwrap();
    assert_eq!(seen().await, (0, 1), "a change of this device is under way");
    ada.relay.lock().unwrap().entries.push(withheld);
    one.resume_changes().await.unwrap();
    ada.is_well().await;
    assert_eq!(seen().await, (0, 0));
}
