//! A relay that lies about its transparency log to somebody who reads it (P6, P11, P17): leaves that are not those it signed, no proofs, a log that
//! stands still. Real engines on a real relay, with somebody between them.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too

mod world;

use std::path::PathBuf;

use waxwing_client::{ContradictionKind, ErrorCode, LogView, Safety, new_message_id};
use world::between::{Between, Lie};
use world::{Person, World, acquainted, copy, start};

async fn log(person: &Person) -> LogView {
    person.client.transparency_log().await.unwrap()
}

async fn until_size(person: &Person, size: f64) -> LogView {
    person
        .until(&format!("a log of {size}"), async |client| {
            let _ = client.sync().await;
            client.transparency_log().await.ok().filter(|log| log.size >= size)
        })
        .await
}

/// The engine has heard the lie so often.
async fn until_told(person: &Person, between: &Between, times: usize) {
    person
        .until("the lie", async |client| {
            let _ = client.sync().await;
            (between.told() >= times).then_some(())
        })
        .await;
}

async fn stopped(person: Person) -> PathBuf {
    let dir = person.profile.dir().to_owned();
    person.client.stop().await;
    dir
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_leaf_that_is_missing_or_changed_is_believed_by_nobody() {
    let world = World::behind().await;
    let between = world.between.clone().unwrap();
    let alice = world.register("alice").await;
    let mut size = until_size(&alice, 2.0).await.size;
    for (name, lie) in [("bob", Lie::Missing(2)), ("cem", Lie::Changed(4))] {
        between.tells(lie.clone());
        let person = world.register(name).await;
        let link = person.client.invite().await.unwrap().link;
        stopped(person).await;
        // From here on only Alice asks.
        between.tells(lie.clone());
        until_told(&alice, &between, 3).await;
        let refused = alice.client.add_contact(&link).await.unwrap_err();
        assert!(matches!(refused.code(), ErrorCode::LogUnavailable | ErrorCode::NotInLog), "{lie:?}: {refused}");
        let seen = log(&alice).await;
        assert_eq!(seen.size, size, "{lie:?}: something was taken for true");
        assert!(seen.contradictions.is_empty(), "{lie:?}: leaves are not signed, so they speak against nobody");
        // The relay is right again: it goes on from where it was.
        between.tells(Lie::None);
        size = until_size(&alice, size + 2.0).await.size;
        alice.client.add_contact(&link).await.unwrap();
        assert!(log(&alice).await.contradictions.is_empty());
    }
    assert_eq!(size, 6.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p17_a_split_view_of_two_lengths_is_noticed_without_a_proof() {
    let mut world = World::behind().await;
    let between = world.between.clone().unwrap();
    let (alice, bob, conversation) = acquainted(&world).await;
    // Nothing is wrong: who has seen less and who has seen more get on, though no proof is to be had.
    between.tells(Lie::NoProofs);
    alice.send(&conversation, "before").await;
    bob.until_texts(&conversation, &["before"]).await;
    for person in [&alice, &bob] {
        until_size(person, 4.0).await;
    }
    let bobs = stopped(bob).await;
    let (relay, kept) = (world.dir.path().join("relay"), world.dir.path().join("relay of before"));
    world.stop_relay().await;
    copy(&relay, &kept);
    world.start_relay().await;
    // Alice is shown one history of six leaves,
    stopped(world.register("cem").await).await;
    until_size(&alice, 6.0).await;
    world.stop_relay().await;
    copy(&kept, &relay);
    world.start_relay().await;
    // and Bob another one of eight.
    for name in ["dan", "eve"] {
        stopped(world.register(name).await).await;
    }
    let bob = start(&bobs).await;
    assert!(until_size(&bob, 8.0).await.contradictions.is_empty());
    alice.send(&conversation, "across").await;
    let seen = bob
        .until("the evidence", async |client| {
            let _ = client.sync().await;
            client.transparency_log().await.ok().filter(|log| !log.contradictions.is_empty())
        })
        .await;
    assert_eq!(seen.contradictions.len(), 1);
    assert_eq!(seen.contradictions[0].kind, ContradictionKind::Diverged);
    assert!(bob.texts(&conversation).await.contains(&"across".to_owned()));
}

/// Nothing but that one message says so, and the relay hides for as long as it likes.
#[tokio::test(flavor = "multi_thread")]
async fn p17_a_split_view_that_is_heard_of_while_the_log_is_silent_is_noticed_after_a_restart() {
    let mut world = World::behind().await;
    let between = world.between.clone().unwrap();
    let (alice, bob, conversation) = acquainted(&world).await;
    alice.send(&conversation, "before").await;
    bob.until_texts(&conversation, &["before"]).await;
    for person in [&alice, &bob] {
        until_size(person, 4.0).await;
    }
    let bobs = stopped(bob).await;
    let (relay, kept) = (world.dir.path().join("relay"), world.dir.path().join("relay of before"));
    world.stop_relay().await;
    copy(&relay, &kept);
    world.start_relay().await;
    // Alice is shown one history of six leaves,
    stopped(world.register("cem").await).await;
    until_size(&alice, 6.0).await;
    // and from here on nobody anything.
    between.tells(Lie::Silent);
    world.stop_relay().await;
    copy(&kept, &relay);
    world.start_relay().await;
    let bob = start(&bobs).await;
    alice.send(&conversation, "across").await;
    bob.until_texts(&conversation, &["before", "across"]).await;
    alice.client.stop().await;
    until_told(&bob, &between, 3).await;
    let bob = bob.restart().await;
    assert!(log(&bob).await.contradictions.is_empty(), "the control: he has nothing to hold it against");
    for name in ["dan", "eve"] {
        stopped(world.register(name).await).await;
    }
    between.tells(Lie::None);
    until_size(&bob, 8.0).await;
    let seen = bob
        .until("the evidence", async |client| {
            let _ = client.sync().await;
            client.transparency_log().await.ok().filter(|log| !log.contradictions.is_empty())
        })
        .await;
    assert_eq!(seen.contradictions.iter().map(|one| one.kind).collect::<Vec<_>>(), [ContradictionKind::Diverged]);
}

#[tokio::test(flavor = "multi_thread")]
async fn p11_keys_that_the_log_does_not_hold_stay_in_doubt_until_it_does() {
    let world = World::behind().await;
    let between = world.between.clone().unwrap();
    let (alice, bob, conversation) = acquainted(&world).await;
    for person in [&alice, &bob] {
        until_size(person, 4.0).await;
    }
    alice.send(&conversation, "before").await;
    bob.until_texts(&conversation, &["before"]).await;
    let b = bob.account().await;
    let before = between.newest().await;
    // His new keys come in the conversation while no log can be read; what was to be looked up is looked up after a restart, too.
    between.tells(Lie::Silent);
    bob.client.rotate_keys().await.unwrap();
    bob.send(&conversation, "new keys").await;
    alice.until_texts(&conversation, &["before", "new keys"]).await;
    assert_eq!(alice.client.safety_number(&b).await.unwrap().safety, Safety::NotVerified);
    let dir = stopped(alice).await;
    // And the log that she is shown then is the one of before.
    between.tells(Lie::Frozen(before));
    let alice = start(&dir).await;
    let broken = async |person: &Person| {
        person
            .until("the doubt", async |client| {
                let _ = client.sync().await;
                client.safety_number(&b).await.ok().filter(|number| number.safety == Safety::Broken)
            })
            .await
    };
    broken(&alice).await;
    // The relay shows his chain as it is known, again and again: that alone ends nothing.
    for _ in 0..3 {
        let _ = alice.client.sync().await;
        assert_eq!(alice.client.safety_number(&b).await.unwrap().safety, Safety::Broken);
    }
    let alice = alice.restart().await;
    broken(&alice).await;
    let refused = alice.client.send(&conversation, &new_message_id(), "whose keys?").await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::KeysInDoubt);
    // With the entry in the log it heals by itself.
    between.tells(Lie::None);
    alice
        .until("an end of the doubt", async |client| {
            let _ = client.sync().await;
            client.safety_number(&b).await.ok().filter(|number| number.safety == Safety::NotVerified)
        })
        .await;
    alice.send(&conversation, "there you are").await;
    bob.until_texts(&conversation, &["before", "new keys", "there you are"]).await;
}
