//! A second device of an account: linked, part of every conversation, handed what changes, and taken out again. On real engines and a real relay.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too

mod world;

use waxwing_client::views::{DeviceRequestView, DevicesView};
use waxwing_client::{
    Client, Connection, ErrorCode, LinkHere, Linking, Profile, ProfileState, Standing, new_message_id,
};
use world::{PASSPHRASE, Person, World, acquainted, introduce};

fn linking(code: &str) -> Linking {
    Linking { code: code.to_owned(), passphrase: Some(PASSPHRASE.to_owned().into()) }
}

fn profile(world: &World, folder: &str) -> Profile {
    Profile::open(&world.dir.path().join(folder)).unwrap()
}

async fn code(person: &Person) -> String {
    person.client.offer_device_link().await.unwrap().offer.unwrap().code
}

/// The device that asks, once one does.
async fn asks(person: &Person) -> DeviceRequestView {
    person.until("a device that asks", async |client| client.devices().await.ok()?.offer?.request).await
}

async fn ids(person: &Person) -> Vec<String> {
    let devices = person.client.devices().await.unwrap().devices;
    assert!(devices[0].this && devices[1..].iter().all(|device| !device.this));
    let mut ids: Vec<_> = devices.into_iter().map(|device| device.device_id).collect();
    ids.sort();
    ids
}

async fn agreed(person: &Person, here: &LinkHere) -> DevicesView {
    let asked = asks(person).await;
    assert_eq!(asked.fingerprint, here.view().fingerprint, "both show the same");
    person.client.accept_device(&asked.device_id).await.unwrap()
}

/// Another device of somebody's account.
async fn link(world: &World, person: &Person, folder: &str) -> Person {
    let profile = profile(world, folder);
    let here = Client::begin_link(&profile, linking(&code(person).await)).await.unwrap();
    let after = agreed(person, &here).await;
    assert_eq!(after.offer, None);
    Person { client: here.wait().await.unwrap(), profile }
}

async fn is_member(person: &Person, conversation: &str) {
    let found = async |client: &Client| {
        let standing = client.conversation(conversation).await.ok()?.standing;
        (standing == Standing::Member).then_some(())
    };
    person.until("a conversation that one takes part in", found).await;
}

async fn no_alarm(people: &[&Person]) {
    for person in people {
        assert_eq!(person.client.transparency_log().await.unwrap().alarms, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_linked_device_takes_part_in_every_conversation_and_no_alarm_is_raised() {
    let world = World::new().await;
    let (alice, bob, direct) = acquainted(&world).await;
    let cem = world.register("cem").await;
    introduce(&alice, &cem).await;
    let group = alice.client.create_group("Birds", &[bob.account().await, cem.account().await]).await.unwrap().id;
    alice.send(&group, "before").await;
    for person in [&bob, &cem] {
        person.until_texts(&group, &["before"]).await;
    }
    let notes = alice.client.note_to_self().await.unwrap().id;
    let other = link(&world, &alice, "alice two").await;
    assert_eq!(ids(&alice).await, ids(&other).await);
    assert_eq!(alice.account().await, other.account().await);
    let profile = other.client.profile().await.unwrap();
    assert!(profile.phrase_confirmed, "the words were shown where the account was made");
    assert_eq!(profile.display_name, "alice the Bird");
    let known = |all: Vec<waxwing_client::ContactView>| all.into_iter().map(|one| one.account_id).collect::<Vec<_>>();
    let of_first = known(alice.client.contacts().await.unwrap());
    let told = async |client: &Client| (known(client.contacts().await.ok()?) == of_first).then_some(());
    other.until("the same contacts", told).await;
    for id in [&direct, &group, &notes] {
        is_member(&other, id).await;
    }
    // What was said before was not for it; from now on everything is, whoever says it.
    bob.send(&direct, "to both").await;
    other.until_texts(&direct, &["to both"]).await;
    other.send(&direct, "by the second").await;
    for person in [&alice, &bob] {
        person
            .until("what the second says", async |client| {
                let page = client.messages(&direct, None, 500).await.ok()?;
                page.messages.iter().any(|line| line.text == "by the second").then_some(())
            })
            .await;
    }
    let lines = alice.client.messages(&direct, None, 500).await.unwrap().messages;
    assert!(lines.iter().any(|line| line.text == "by the second" && line.mine), "it is one's own");
    alice.send(&group, "by the first").await;
    other.until_texts(&group, &["by the first"]).await;
    other.send(&group, "and by the second").await;
    cem.until_texts(&group, &["before", "by the first", "and by the second"]).await;
    alice.send(&notes, "remember").await;
    other.until_texts(&notes, &["remember"]).await;
    // A conversation that begins on one is there on the other.
    let dan = world.register("dan").await;
    let begun = other.client.add_contact(&dan.client.invite().await.unwrap().link).await.unwrap().id;
    other.send(&begun, "hello").await;
    is_member(&alice, &begun).await;
    assert!(known(alice.client.contacts().await.unwrap()).contains(&dan.account().await));
    no_alarm(&[&alice, &other]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_device_does_with_the_keys_the_other_follows() {
    let world = World::new().await;
    let (alice, bob, direct) = acquainted(&world).await;
    let other = link(&world, &alice, "alice two").await;
    is_member(&other, &direct).await;
    for round in 2..4 {
        let (one, two) = tokio::join!(alice.client.rotate_keys(), other.client.rotate_keys());
        for view in [one.unwrap(), two.unwrap()] {
            assert_eq!((view.version, view.rotation_problem), (round, None));
        }
        // Each replaces the account key, and the other goes on with it.
        let by = if round % 2 == 0 { &alice } else { &other };
        let view = by.client.replace_account_key().await.unwrap();
        assert_eq!((view.rotating, view.rotation_problem), (false, None));
        let (a, b) = (&alice, &other);
        b.until("the same account key", async |client| {
            let here = client.keys().await.ok()?.account_fingerprint;
            (here == a.client.keys().await.ok()?.account_fingerprint).then_some(())
        })
        .await;
    }
    bob.send(&direct, "still here?").await;
    for person in [&alice, &other] {
        person.send(&direct, "yes").await;
    }
    bob.until("both answers", async |client| {
        let page = client.messages(&direct, None, 500).await.ok()?;
        (page.messages.iter().filter(|line| line.text == "yes").count() == 2).then_some(())
    })
    .await;
    no_alarm(&[&alice, &other]).await;
    assert_eq!(bob.client.conversation(&direct).await.unwrap().problem, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_removed_reads_and_says_nothing_more_and_says_why() {
    let world = World::new().await;
    let (alice, bob, direct) = acquainted(&world).await;
    let other = link(&world, &alice, "alice two").await;
    is_member(&other, &direct).await;
    let third = link(&world, &other, "alice three").await;
    is_member(&third, &direct).await;
    let gone = other.client.profile().await.unwrap().device_id;
    // By the one that it had linked.
    let left = third.client.revoke_device(&gone).await.unwrap();
    assert!(left.devices.iter().all(|device| device.device_id != gone));
    other
        .until("to be told why", async |client| match client.connection() {
            Connection::Offline { reason, .. } => (reason.code == ErrorCode::DeviceRevoked).then_some(()),
            _ => None,
        })
        .await;
    alice.until("two devices", async |client| (client.devices().await.ok()?.devices.len() == 2).then_some(())).await;
    bob.until("its leaf to be gone", async |client| {
        let group = client.group(&direct).await.ok()?;
        group.members.iter().any(|member| !member.me && member.devices == 2).then_some(())
    })
    .await;
    bob.send(&direct, "among us").await;
    for person in [&alice, &third] {
        person
            .until("what is said without it", async |client| {
                let page = client.messages(&direct, None, 500).await.ok()?;
                page.messages.iter().any(|line| line.text == "among us").then_some(())
            })
            .await;
    }
    let heard = other.client.messages(&direct, None, 500).await.unwrap().messages;
    assert!(heard.iter().all(|line| line.text != "among us"));
    // What it still has is of no use to it: nothing that it says is heard, and nothing that it states is taken.
    let _ = other.client.send(&direct, &new_message_id(), "let me in").await;
    let stated = other.client.rotate_keys().await;
    assert!(stated.is_err() || stated.is_ok_and(|view| view.rotation_problem.is_some()));
    assert!(other.client.replace_account_key().await.is_ok_and(|view| view.rotation_problem.is_some()));
    assert!(other.client.offer_device_link().await.is_err());
    let before = third.client.keys().await.unwrap().history.len();
    third.client.sync().await.unwrap();
    bob.client.sync().await.unwrap();
    assert_eq!(third.client.keys().await.unwrap().history.len(), before);
    for person in [&alice, &bob, &third] {
        let lines = person.client.messages(&direct, None, 500).await.unwrap().messages;
        assert!(lines.iter().all(|line| line.text != "let me in"), "a removed device is heard");
    }
    // Whoever is left was handed the new key, and goes on with it.
    assert_eq!(alice.client.rotate_keys().await.unwrap().rotation_problem, None);
    no_alarm(&[&alice, &third]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_nobody_comes_in_without_the_code_or_without_being_agreed_to() {
    let world = World::new().await;
    let alice = world.register("alice").await;
    let first = code(&alice).await;
    let second = code(&alice).await;
    // The first is of no use any more: it asks, and nobody is shown anything.
    let early = profile(&world, "early");
    let unheard = Client::begin_link(&early, linking(&first)).await.unwrap();
    let here = Client::begin_link(&profile(&world, "here"), linking(&second)).await.unwrap();
    let asked = asks(&alice).await;
    assert_eq!(asked.fingerprint, here.view().fingerprint);
    // Whoever else has seen the code comes too late.
    let late = Client::begin_link(&profile(&world, "late"), linking(&second)).await.unwrap();
    alice.client.sync().await.unwrap();
    assert_eq!(asks(&alice).await, asked);
    // Another one than asks.
    let wrong = alice.client.accept_device(&"ab".repeat(16)).await.unwrap_err();
    assert_eq!(wrong.code(), ErrorCode::LinkExpired);
    assert_eq!(alice.client.withdraw_device_link().await.unwrap().offer, None);
    let refused = alice.client.accept_device(&asked.device_id).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::LinkExpired);
    assert_eq!(ids(&alice).await.len(), 1);
    drop((unheard, here, late));
    // A profile that has asked in vain is free for anything.
    assert_eq!(early.state(), ProfileState::Fresh);
    let here = Client::begin_link(&early, linking(&code(&alice).await)).await.unwrap();
    agreed(&alice, &here).await;
    here.wait().await.unwrap();
    assert_eq!(ids(&alice).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_what_broke_off_on_the_new_device_goes_on_with_another_attempt() {
    let world = World::new().await;
    let alice = world.register("alice").await;
    let new = profile(&world, "new");
    let code = code(&alice).await;
    let here = Client::begin_link(&new, linking(&code)).await.unwrap();
    let fingerprint = here.view().fingerprint;
    // It goes down before anybody agrees, and once more after that.
    drop(here);
    let here = Client::begin_link(&new, linking(&code)).await.unwrap();
    assert_eq!(here.view().fingerprint, fingerprint, "the same keys");
    agreed(&alice, &here).await;
    drop(here);
    let here = Client::begin_link(&new, linking(&code)).await.unwrap();
    let again = Person { client: here.wait().await.unwrap(), profile: new };
    assert_eq!(ids(&again).await, ids(&alice).await);
    no_alarm(&[&alice, &again]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_what_was_agreed_to_while_the_relay_is_away_goes_on_by_itself() {
    let mut world = World::new().await;
    let alice = world.register("alice").await;
    let new = profile(&world, "new");
    let here = Client::begin_link(&new, linking(&code(&alice).await)).await.unwrap();
    let asked = asks(&alice).await;
    world.stop_relay().await;
    let under_way = alice.client.accept_device(&asked.device_id).await;
    // The relay may be missed before anything is begun; then it is asked for again.
    world.start_relay().await;
    match under_way {
        Ok(view) => assert!(view.offer.is_some_and(|offer| offer.adding)),
        Err(error) => {
            assert_eq!(error.code(), ErrorCode::RelayDown);
            alice.client.accept_device(&asked.device_id).await.unwrap();
        }
    }
    let new = Person { client: here.wait().await.unwrap(), profile: new };
    assert_eq!(ids(&new).await, ids(&alice).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_keys_that_changed_since_a_device_asked_need_another_code() {
    let world = World::new().await;
    let alice = world.register("alice").await;
    let new = profile(&world, "new");
    let here = Client::begin_link(&new, linking(&code(&alice).await)).await.unwrap();
    let asked = asks(&alice).await;
    alice.client.rotate_keys().await.unwrap();
    let view = alice.client.accept_device(&asked.device_id).await.unwrap();
    assert_eq!(view.offer.unwrap().problem.unwrap().code, ErrorCode::LinkOvertaken);
    assert_eq!(here.wait().await.err().unwrap().code(), ErrorCode::LinkOvertaken);
    assert_eq!(ids(&alice).await.len(), 1);
    let here = Client::begin_link(&new, linking(&code(&alice).await)).await.unwrap();
    agreed(&alice, &here).await;
    here.wait().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_user_decides_on_one_device_holds_on_the_other() {
    let world = World::new().await;
    let (alice, bob, direct) = acquainted(&world).await;
    let other = link(&world, &alice, "alice two").await;
    is_member(&other, &direct).await;
    other.client.set_display_name("Alice B.").await.unwrap();
    alice
        .until("the same name", async |client| (client.profile().await.ok()?.display_name == "Alice B.").then_some(()))
        .await;
    let renewed = alice.client.renew_invite().await.unwrap().link;
    other
        .until("the same invite link", async |client| (client.invite().await.ok()?.link == renewed).then_some(()))
        .await;
    // By it another device still comes in: its key is what admits the request.
    let third = link(&world, &other, "alice three").await;
    is_member(&third, &direct).await;
    for blocked in [true, false] {
        let by = if blocked { &alice } else { &third };
        by.client.set_blocked(&direct, blocked).await.unwrap();
        for person in [&alice, &other, &third] {
            person
                .until("the same decision", async |client| {
                    (client.blocked().await.ok()?.is_empty() != blocked).then_some(())
                })
                .await;
        }
    }
    bob.send(&direct, "heard again").await;
    for person in [&alice, &other, &third] {
        person
            .until("what is said after it", async |client| {
                let page = client.messages(&direct, None, 500).await.ok()?;
                page.messages.iter().any(|line| line.text == "heard again").then_some(())
            })
            .await;
    }
    no_alarm(&[&alice, &other, &third]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_a_device_that_was_added_and_given_nothing_comes_in_by_any_other() {
    let world = World::new().await;
    let alice = world.register("alice").await;
    let other = link(&world, &alice, "alice two").await;
    let new = profile(&world, "new");
    let here = Client::begin_link(&new, linking(&code(&alice).await)).await.unwrap();
    agreed(&alice, &here).await;
    drop(here);
    other.until("three devices", async |client| (client.devices().await.ok()?.devices.len() == 3).then_some(())).await;
    // The device that has agreed is gone, and what it handed over is not by whoever makes this code.
    let gone = alice.client.profile().await.unwrap().device_id;
    alice.client.stop().await;
    other.client.revoke_device(&gone).await.unwrap();
    let here = Client::begin_link(&new, linking(&code(&other).await)).await.unwrap();
    let third = Person { client: here.wait().await.unwrap(), profile: new };
    assert_eq!(ids(&third).await, ids(&other).await);
    assert_eq!(third.client.rotate_keys().await.unwrap().rotation_problem, None);
    no_alarm(&[&other, &third]).await;
}
