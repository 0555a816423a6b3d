//! What own devices tell each other, and what comes of it where that is lost, late, or said by somebody who has an own device's older keys.

use waxwing_protocol::content::{Content, OwnContact};
use waxwing_protocol::{AccountKey, OwnEntry, statement};
use waxwing_wire::{AccountId, DeviceId};

use super::erased::{files_with, remains};
use super::own_devices::alarms;
use super::two_engines::{TwoEngines, keys_of, looks};
use crate::random;
use crate::store::contacts;
use crate::store::own_entries as told;

/// Notices are gone with an inbox after a while: whoever was away for so long takes keys that other own devices have given themselves, and asks these for
/// the rest.
#[tokio::test]
async fn d4_what_own_devices_have_said_while_one_was_away_for_weeks_is_asked_for() {
    for away in [true, false] {
        let ada = TwoEngines::new().await;
        ada.relay.lock().unwrap().loses = true;
        ada.one.client.rotate_keys().await.unwrap();
        ada.one.client.replace_account_key().await.unwrap();
        // Of two account keys that it has missed it can be given the last one alone.
        ada.one.client.replace_account_key().await.unwrap();
        ada.relay.lock().unwrap().loses = false;
        if away {
            let long_ago = ada.two.engine().now_ms() - 25 * 24 * 60 * 60 * 1000;
            ada.two.engine().store.run(move |tx| told::heard(tx, long_ago, long_ago)).await.unwrap();
            let now = ada.two.engine().now_ms();
            ada.two.engine().store.run(move |tx| told::heard(tx, now, now)).await.unwrap();
        }
        let expected = if away { vec![Some(3), Some(4)] } else { vec![Some(2), Some(3), Some(4)] };
        assert_eq!(alarms(&ada.two).await, expected, "nobody has said so yet");
        // It has asked; the other one answers when it reads its inbox.
        ada.one.engine().drain_inbox().await.unwrap();
        if !away {
            assert_eq!(alarms(&ada.two).await, expected, "its newer keys speak for nobody who was there all the time");
            continue;
        }
        ada.is_well().await;
        assert_eq!(ada.two.engine().account_key().public(), *ada.chain().account_key());
        let view = ada.two.client.rotate_keys().await.unwrap();
        assert_eq!((view.version, view.rotation_problem), (2, None));
    }
}

/// Newer keys are known only once the entry is taken that they are told in, and more was said with them before that.
#[tokio::test]
async fn d4_what_is_said_with_keys_that_were_told_a_moment_before_is_heard() {
    let ada = TwoEngines::new().await;
    for _ in 0..3 {
        ada.one.client.rotate_keys().await.unwrap();
        ada.one.client.replace_account_key().await.unwrap();
    }
    // As where it was away: all of it is read at once, with the chain as it was.
    assert_eq!(alarms(&ada.two).await, []);
    ada.is_well().await;
}

/// The relay shows the first of two, with its log: the seed of the second is kept until that one is shown.
#[tokio::test]
async fn p6_a_relay_that_lags_makes_no_device_forget_the_account_key_to_come() {
    let ada = TwoEngines::new().await;
    ada.one.client.replace_account_key().await.unwrap();
    ada.one.client.replace_account_key().await.unwrap();
    let (entry, leaf) = {
        let mut relay = ada.relay.lock().unwrap();
        (relay.entries.pop().unwrap(), relay.log.leaves.pop().unwrap())
    };
    looks(ada.two.engine()).await.unwrap();
    assert_eq!(ada.two.engine().account_key().public(), *ada.chain().account_key());
    {
        let mut relay = ada.relay.lock().unwrap();
        relay.entries.push(entry);
        relay.log.leaves.push(leaf);
    }
    ada.is_well().await;
    assert_eq!(ada.two.engine().account_key().public(), *ada.chain().account_key());
}

/// Whoever has the keys that a device has replaced says nothing of what came after that.
#[tokio::test]
async fn p11_replaced_keys_of_an_own_device_state_nothing_later() {
    let ada = TwoEngines::new().await;
    let (one, two) = (ada.one.engine(), ada.two.engine());
    let old = one.keys();
    ada.one.client.rotate_keys().await.unwrap();
    ada.is_well().await;
    let (thiefs, _) = keys_of(DeviceId::from_bytes([9; 16]), 1);
    let entry = statement::add_device(&ada.chain(), &ada.account_key, &thiefs, 5);
    let said = Content::OwnEntry(OwnEntry { seq: entry.unsigned.seq, hash: entry.hash(), account_key: None });
    let new = std::mem::replace(&mut *one.keys.write().unwrap(), old);
    one.tell_own_device(two.device, &said).await.unwrap();
    *one.keys.write().unwrap() = new;
    ada.states(&entry);
    assert_eq!(alarms(&ada.two).await, [Some(3)]);
}

/// Keys that somebody else has stated for a device speak for nobody, and are handed nothing.
#[tokio::test]
async fn p11_stolen_keys_of_a_device_that_is_away_are_not_handed_the_next_account_key() {
    let ada = TwoEngines::new().await;
    let two = ada.two.engine().device;
    let (stolen, _) = keys_of(two, 2);
    ada.states(&statement::rotate_device_keys(&ada.chain(), &ada.account_key, &stolen, 5));
    let refused = ada.one.client.replace_account_key().await;
    assert!(refused.is_ok_and(|view| view.rotation_problem.is_some()), "it follows what nobody has said");
    assert_eq!(*ada.chain().account_key(), ada.account_key.public());
    assert_eq!(alarms(&ada.one).await, [Some(2)]);
}

fn contact(known: bool, blocked: bool, decided_ms: u64) -> OwnContact {
    OwnContact {
        account: AccountId::from_bytes([3; 16]),
        name: "bea".parse().unwrap(),
        relay: "waxwing.example".parse().unwrap(),
        display_name: "Bea".to_owned(),
        known,
        blocked,
        by_link: false,
        decided_ms,
        access_key: None,
    }
}

/// What was decided last holds, in whichever order it is heard; and who merely tells whom they know takes nothing back.
#[tokio::test]
async fn what_the_user_decides_of_a_contact_on_one_device_holds_on_the_other() {
    let ada = TwoEngines::new().await;
    let (one, two) = (ada.one.engine(), ada.two.engine());
    let blocked = async || {
        two.drain_inbox().await.unwrap();
        let found = two.store.run(|tx| contacts::load(tx, AccountId::from_bytes([3; 16]))).await.unwrap().unwrap();
        (found.known, found.blocked)
    };
    let tell = async |contact| {
        one.tell_own_device(two.device, &Content::OwnContacts(vec![contact])).await.unwrap();
    };
    tell(contact(true, false, 0)).await;
    assert_eq!(blocked().await, (true, false));
    tell(contact(true, false, 1)).await;
    tell(contact(true, true, 2)).await;
    assert_eq!(blocked().await, (true, true));
    // Handed over once more after a crash, by who has not heard of it.
    tell(contact(true, false, 0)).await;
    assert_eq!(blocked().await, (true, true));
    tell(contact(true, false, 3)).await;
    assert_eq!(blocked().await, (true, false));
    // An older decision comes last.
    tell(contact(true, true, 4)).await;
    tell(contact(true, false, 5)).await;
    {
        let mut relay = ada.relay.lock().unwrap();
        let inbox = relay.inboxes.get_mut(&two.device).unwrap();
        let last = inbox.len() - 1;
        inbox.swap(last, last - 1);
    }
    assert_eq!(blocked().await, (true, false));
}

#[tokio::test]
async fn p12_a_seed_that_was_told_and_never_came_in_force_is_forgotten() {
    let ada = TwoEngines::new().await;
    let (one, two) = (ada.one.engine(), ada.two.engine());
    let new = AccountKey::generate(&mut random::rng());
    let entry = statement::rotate_account_key(&ada.chain(), &ada.account_key, &new, &[], 5);
    one.say_what_is_stated(entry.as_bytes(), Some(&new), &[]).await.unwrap();
    two.drain_inbox().await.unwrap();
    let (public, now) = (new.public(), two.now_ms());
    let known = |told: told::Told| told.account_key(&public).is_some();
    let all = async || two.store.run(move |tx| told::all(tx, now)).await.unwrap();
    assert!(known(all().await));
    let month = 30 * 24 * 60 * 60 * 1000;
    assert!(!two.store.run(move |tx| told::expire(tx, now + month - 1000)).await.unwrap());
    assert!(two.store.run(move |tx| told::expire(tx, now + month + 60_000)).await.unwrap());
    assert!(!known(all().await));
}

/// The account key comes through the inbox and the database into the keystore, and stays nowhere else.
#[tokio::test]
async fn p12_a_seed_that_was_handed_over_is_in_no_file_once_it_is_in_the_keystore() {
    let ada = TwoEngines::new().await;
    ada.one.client.replace_account_key().await.unwrap();
    let new = *ada.one.engine().account_key().seed();
    let two = ada.two.engine();
    let found = async || files_with(&remains(ada.two.folder.path()).await, &new);
    two.drain_inbox().await.unwrap();
    assert!(!found().await.is_empty(), "the control: it waits in the database");
    ada.is_well().await;
    assert_eq!(*two.account_key().seed(), new);
    assert_eq!(found().await, Vec::<String>::new());
}

/// Both clocks must say so, and only for a day: a relay whose clock leaps opens nothing.
#[tokio::test]
async fn p11_a_leap_of_one_clock_is_no_absence() {
    let ada = TwoEngines::new().await;
    let (store, day) = (&ada.two.engine().store, 24 * 60 * 60 * 1000_u64);
    let now = ada.two.engine().now_ms();
    let missed = async |relay: u64, local: u64, asked: u64| {
        let look = store.run(move |tx| {
            told::heard(tx, relay, local)?;
            Ok(told::all(tx, asked)?.missed())
        });
        look.await.unwrap()
    };
    assert!(!missed(now, now, now).await);
    let ahead = now + 30 * day;
    assert!(!missed(ahead, now + day, ahead).await, "the relay's clock alone");
    assert!(!missed(now + day, now + day, now + day).await, "set right again");
    assert!(!missed(now + 2 * day, now + 40 * day, now + 2 * day).await, "this computer's alone");
    assert!(!missed(now + 3 * day, now + 3 * day, now + 3 * day).await);
    let back = now + 30 * day;
    assert!(missed(back, back, back).await, "away by both");
    assert!(
        !missed(back, back, back - day).await && !missed(back, back, back + 2 * day).await,
        "for a day, and no other"
    );
    // An older copy of the database has not heard what it forgot.
    store.run(told::may_have_missed).await.unwrap();
    assert!(missed(back + 5 * day, back + 5 * day, back + 5 * day).await);
}

/// A notice of an own device whose keys are newer than the older copy of this database knows is asked for, too.
#[tokio::test]
async fn d14_an_older_copy_takes_what_own_devices_have_stated_since() {
    let mut ada = TwoEngines::new().await;
    let me = ada.two.engine().account;
    ada.one.client.rotate_keys().await.unwrap();
    ada.one.client.replace_account_key().await.unwrap();
    ada.is_well().await;
    let old = ada.account_key.seed().to_owned();
    let put_back = ada.two.engine().store.run(move |tx| {
        tx.execute("DELETE FROM chain_entries WHERE account = ?1 AND seq > 1", [me.as_bytes()])?;
        tx.execute_batch("DELETE FROM own_entries")?;
        told::may_have_missed(tx)?;
        let now = crate::relay::local_ms() as u64;
        told::heard(tx, now, now)
    });
    put_back.await.unwrap();
    let mut secrets = ada.two.engine().secrets.lock().await.clone();
    secrets.account_seed = old;
    ada.two.engine().keystore.write(&secrets).await.unwrap();
    ada.two = ada.two.restart().await;
    ada.two.client.end_tasks().await;
    let _ = looks(ada.two.engine()).await;
    ada.one.engine().drain_inbox().await.unwrap();
    ada.is_well().await;
    assert_eq!(ada.two.engine().account_key().public(), *ada.chain().account_key());
}
