//! A relay that lies about keys (P6, P17), on real engines: a real relay whose folder is put back, or whose database somebody has changed.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too

mod world;

use std::path::PathBuf;

use waxwing_client::{ContradictionKind, ErrorCode, LogView, Notice, Safety};
use world::{Person, World, acquainted, copy, start, until_log};

/// The relay's folder, and a copy of it from another time.
struct Times {
    relay: PathBuf,
    copy: PathBuf,
}

impl Times {
    /// Copies the folder of a relay, which stops for it and runs again.
    async fn keep(world: &mut World) -> Self {
        let (relay, kept) = (world.dir.path().join("relay"), world.dir.path().join("relay of before"));
        world.stop_relay().await;
        copy(&relay, &kept);
        world.start_relay().await;
        Self { relay, copy: kept }
    }

    /// Puts it back.
    async fn back(&self, world: &mut World) {
        world.stop_relay().await;
        copy(&self.copy, &self.relay);
        world.start_relay().await;
    }

    /// Changes the database of a relay, which stops for it and runs again.
    async fn change(world: &mut World, statements: &str) {
        world.stop_relay().await;
        let db = rusqlite::Connection::open(world.dir.path().join("relay/relay.db")).unwrap();
        db.execute_batch(statements).unwrap();
        drop(db);
        world.start_relay().await;
    }
}

async fn stopped(person: Person) -> PathBuf {
    let dir = person.profile.dir().to_owned();
    person.client.stop().await;
    dir
}

fn kinds(log: &LogView) -> Vec<ContradictionKind> {
    log.contradictions.iter().map(|one| one.kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn p17_a_log_that_went_back_is_evidence_and_gives_no_new_keys() {
    let mut world = World::new().await;
    let (alice, _bob, _) = acquainted(&world).await;
    let times = Times::keep(&mut world).await;
    let cem = world.register("cem").await;
    let before = until_log(&alice, "Cem in the log", |log| log.size >= 6.0).await;
    stopped(cem).await;
    times.back(&mut world).await;
    let log = until_log(&alice, "the evidence", |log| !log.contradictions.is_empty()).await;
    assert!(kinds(&log).contains(&ContradictionKind::WentBack), "{:?}", kinds(&log));
    // What was proved stays: nothing is read again from a shorter log.
    assert!(log.size >= before.size);
    for evidence in &log.contradictions {
        assert!(evidence.first.contains(&log.origin) && evidence.second.contains('\u{2014}'), "no signed notes");
    }
    // Whoever registers now is in no log that Alice has seen.
    let dan = world.register("dan").await;
    let refused = alice.client.add_contact(&dan.client.invite().await.unwrap().link).await.unwrap_err();
    assert!(matches!(refused.code(), ErrorCode::LogContradicts | ErrorCode::NotInLog), "{:?}", refused.code());
}

/// A backup that was put back by hand, without a word: nothing ends that but the user.
#[tokio::test(flavor = "multi_thread")]
async fn p17_a_log_that_went_back_goes_on_once_the_user_says_so() {
    let mut world = World::new().await;
    let (alice, bob, conversation) = acquainted(&world).await;
    until_log(&alice, "both in the log", |log| log.size >= 4.0).await;
    let times = Times::keep(&mut world).await;
    stopped(world.register("cem").await).await;
    until_log(&alice, "Cem in the log", |log| log.size >= 6.0).await;
    let origin = alice.client.transparency_log().await.unwrap().origin;
    let early = alice.client.settle_log(&origin).await.unwrap_err();
    assert_eq!(early.code(), ErrorCode::NotFound, "nothing speaks against it");
    times.back(&mut world).await;
    until_log(&alice, "the evidence", |log| !log.contradictions.is_empty()).await;
    let dan = world.register("dan").await;
    let link = dan.client.invite().await.unwrap().link;
    alice.client.add_contact(&link).await.unwrap_err();
    let log = alice.client.settle_log(&origin).await.unwrap();
    assert!(!log.contradictions.is_empty() && log.contradictions.iter().all(|one| one.settled), "{:?}", kinds(&log));
    // It is read anew, over a restart too, and gives keys again.
    let alice = alice.restart().await;
    let log = until_log(&alice, "the log read anew", |log| log.size >= 6.0).await;
    assert!(log.contradictions.iter().all(|one| one.settled), "{:?}", kinds(&log));
    alice.client.add_contact(&link).await.unwrap();
    // Bob has seen the same and has settled nothing: what he has heard of the log by then is no news to Alice.
    bob.send(&conversation, "still here").await;
    alice.until_texts(&conversation, &["still here"]).await;
    assert!(alice.client.transparency_log().await.unwrap().contradictions.iter().all(|one| one.settled));
    // What is found from now on counts again.
    let times = Times::keep(&mut world).await;
    stopped(world.register("eve").await).await;
    until_log(&alice, "Eve in the log", |log| log.size >= 8.0).await;
    times.back(&mut world).await;
    until_log(&alice, "new evidence", |log| log.contradictions.iter().any(|one| !one.settled)).await;
}

/// What was said after the backup was made, and read by nobody else, is not lost with it: the conversation begins anew at once, and not in an hour.
#[tokio::test(flavor = "multi_thread")]
async fn p17_conversations_that_went_back_begin_anew_once_the_user_goes_on() {
    let mut world = World::new().await;
    let (alice, bob, conversation) = acquainted(&world).await;
    alice.send(&conversation, "before").await;
    bob.until_texts(&conversation, &["before"]).await;
    let bobs = stopped(bob).await;
    let times = Times::keep(&mut world).await;
    alice.send(&conversation, "lost with the relay").await;
    alice.until_texts(&conversation, &["before", "lost with the relay"]).await;
    stopped(world.register("cem").await).await;
    until_log(&alice, "Cem in the log", |log| log.size >= 6.0).await;
    times.back(&mut world).await;
    until_log(&alice, "the evidence", |log| !log.contradictions.is_empty()).await;
    let bob = start(&bobs).await;
    let origin = alice.client.transparency_log().await.unwrap().origin;
    alice.client.settle_log(&origin).await.unwrap();
    bob.until_texts(&conversation, &["before", "lost with the relay"]).await;
    bob.send(&conversation, "and here is the answer").await;
    alice.until_texts(&conversation, &["before", "lost with the relay", "and here is the answer"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p17_two_histories_of_one_length_are_told_apart() {
    let mut world = World::new().await;
    let (alice, _bob, _) = acquainted(&world).await;
    let times = Times::keep(&mut world).await;
    stopped(world.register("cem").await).await;
    until_log(&alice, "Cem in the log", |log| log.size >= 6.0).await;
    let dir = stopped(alice).await;
    times.back(&mut world).await;
    stopped(world.register("dan").await).await;
    let alice = start(&dir).await;
    let log = until_log(&alice, "the evidence", |log| !log.contradictions.is_empty()).await;
    assert!(kinds(&log).contains(&ContradictionKind::TwoHistories), "{:?}", kinds(&log));
    // Kept over a restart.
    let alice = alice.restart().await;
    assert!(!alice.client.transparency_log().await.unwrap().contradictions.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn p17_a_longer_log_that_does_not_go_on_from_the_one_before_is_evidence() {
    let mut world = World::new().await;
    let (alice, _bob, _) = acquainted(&world).await;
    let times = Times::keep(&mut world).await;
    stopped(world.register("cem").await).await;
    until_log(&alice, "Cem in the log", |log| log.size >= 6.0).await;
    let dir = stopped(alice).await;
    times.back(&mut world).await;
    for name in ["dan", "eve"] {
        stopped(world.register(name).await).await;
    }
    let alice = start(&dir).await;
    let log = until_log(&alice, "the evidence", |log| !log.contradictions.is_empty()).await;
    assert!(kinds(&log).contains(&ContradictionKind::Unproved), "{:?}", kinds(&log));
}

#[tokio::test(flavor = "multi_thread")]
async fn p17_a_split_view_is_noticed_when_a_message_crosses() {
    let mut world = World::new().await;
    let (alice, bob, conversation) = acquainted(&world).await;
    alice.send(&conversation, "before").await;
    bob.until_texts(&conversation, &["before"]).await;
    for person in [&alice, &bob] {
        until_log(person, "both in the log", |log| log.size >= 4.0).await;
    }
    let bobs = stopped(bob).await;
    let times = Times::keep(&mut world).await;
    // Alice is shown one history,
    stopped(world.register("cem").await).await;
    until_log(&alice, "Cem in the log", |log| log.size >= 6.0).await;
    times.back(&mut world).await;
    // and Bob another one. Nothing in his own view is wrong.
    stopped(world.register("dan").await).await;
    let bob = start(&bobs).await;
    let log = until_log(&bob, "Dan in the log", |log| log.size >= 6.0).await;
    assert!(log.contradictions.is_empty());
    // A message of hers carries what she has seen.
    alice.send(&conversation, "across").await;
    let log = until_log(&bob, "the evidence", |log| !log.contradictions.is_empty()).await;
    assert!(kinds(&log).contains(&ContradictionKind::TwoHistories), "{:?}", kinds(&log));
    assert!(bob.texts(&conversation).await.contains(&"across".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn p17_a_newest_key_version_that_is_held_back_is_missed() {
    let mut world = World::new().await;
    let (alice, bob, _) = acquainted(&world).await;
    bob.client.rotate_keys().await.unwrap();
    until_log(&alice, "Bob's new keys in the log", |log| log.size >= 5.0).await;
    stopped(bob).await;
    let cem = world.register("cem").await;
    // The relay answers Cem with the chain as it was before; the log it cannot change.
    Times::change(
        &mut world,
        "PRAGMA foreign_keys = OFF;
         UPDATE accounts SET head = 0 WHERE name = 'bob';
         DELETE FROM chain_entries WHERE seq = 1;",
    )
    .await;
    let refused = cem.client.add_contact(&format!("bob@{}", world.address())).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::NewerKeysHeldBack, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_name_that_points_to_another_account_is_not_believed() {
    let mut world = World::new().await;
    let (alice, bob) = (world.register("alice").await, world.register("bob").await);
    stopped(bob).await;
    stopped(world.register("mallory").await).await;
    Times::change(
        &mut world,
        "UPDATE accounts SET name = 'nobody' WHERE name = 'bob';
         UPDATE accounts SET name = 'bob' WHERE name = 'mallory';",
    )
    .await;
    let refused = alice.client.add_contact(&format!("bob@{}", world.address())).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::ChainBroken, "{refused}");
    assert!(alice.client.conversations().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_contacts_name_given_to_another_account_is_said() {
    let mut world = World::new().await;
    let (alice, bob, conversation) = acquainted(&world).await;
    stopped(bob).await;
    stopped(world.register("mallory").await).await;
    // Mallory's first entry is logged once more, under Bob's name.
    Times::change(
        &mut world,
        "PRAGMA foreign_keys = OFF;
         UPDATE accounts SET name = 'nobody' WHERE name = 'bob';
         UPDATE accounts SET name = 'bob' WHERE name = 'mallory';
         DELETE FROM name_leaves;
         DELETE FROM chain_leaves WHERE seq = 0 AND account = (SELECT n FROM accounts WHERE name = 'bob');",
    )
    .await;
    let said = async || {
        let given_again = |notice: &Notice| matches!(notice, Notice::NameGivenAgain { name } if name == "bob");
        let lines = alice.history(&conversation).await;
        lines.into_iter().filter(|line| line.notice.as_ref().is_some_and(given_again)).count()
    };
    alice
        .until("it is said", async |client| {
            let _ = client.sync().await;
            (said().await > 0).then_some(())
        })
        .await;
    // Once, and nothing is stopped: what is said here goes to an account's keys and not to a name.
    let _ = alice.client.sync().await;
    assert_eq!(said().await, 1);
    let view = alice.client.conversation(&conversation).await.unwrap();
    assert_eq!((view.safety, view.problem), (Safety::NotVerified, None));
    // By the name nobody is met any more.
    let other = world.register("carol").await;
    let refused = other.client.add_contact(&format!("bob@{}", world.address())).await.unwrap_err();
    assert!(matches!(refused.code(), ErrorCode::LogContradicts | ErrorCode::ChainBroken), "{refused}");
}
