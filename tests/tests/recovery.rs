//! Accounts that are got back with their phrase, and what becomes of their conversations; keys and the transparency log. On real engines and a
//! real relay.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too

mod world;

use std::time::Duration;

use waxwing_client::{Client, ErrorCode, Notice, Profile, ProfileState, Recovery, Safety, Standing, new_message_id};
use world::{PASSPHRASE, Person, World, acquainted, introduce, until_notice};

fn recovery(world: &World, name: &str, words: &[String]) -> Recovery {
    Recovery {
        address: format!("{name}@{}", world.address()),
        phrase: words.join(" ").into(),
        display_name: String::new(),
        passphrase: Some(PASSPHRASE.to_owned().into()),
    }
}

async fn recover(world: &World, name: &str, folder: &str, words: &[String]) -> Person {
    let profile = Profile::open(&world.dir.path().join(folder)).unwrap();
    let client = Client::recover(&profile, recovery(world, name, words)).await.unwrap();
    Person { client, profile }
}

/// The one conversation, once it is there.
async fn conversation(person: &Person, title: &str) -> String {
    let found = async |client: &Client| {
        let all = client.conversations().await.ok()?;
        all.into_iter().find(|one| one.title == title).map(|one| one.id)
    };
    person.until(&format!("the conversation {title}"), found).await
}

/// Alice and Bob with a conversation of their own, and a group of Bob's with both and Cem in it.
async fn three(world: &World) -> (Person, Person, Person, String, String) {
    let (alice, bob, direct) = acquainted(world).await;
    let cem = world.register("cem").await;
    introduce(&bob, &cem).await;
    let group = bob.client.create_group("Birds", &[alice.account().await, cem.account().await]).await.unwrap().id;
    bob.send(&group, "welcome").await;
    for person in [&alice, &cem] {
        conversation(person, "Birds").await;
        person.until_texts(&group, &["welcome"]).await;
    }
    (alice, bob, cem, direct, group)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_the_phrase_is_back_in_every_conversation_on_a_new_machine() {
    let world = World::new().await;
    let (alice, bob, cem, direct, group) = three(&world).await;
    let words = alice.client.phrase_words().await.unwrap();
    // The machine is gone.
    let account = alice.account().await;
    alice.client.stop().await;

    let again = recover(&world, "alice", "alice again", &words).await;
    assert_eq!(again.account().await, account, "the same account");
    assert!(again.client.profile().await.unwrap().phrase_confirmed);
    for id in [&direct, &group] {
        until_notice(&bob, id, |notice| matches!(notice, Notice::Recovered { mine: false, .. })).await;
    }
    until_notice(&cem, &group, |notice| matches!(notice, Notice::Recovered { mine: false, .. })).await;
    // The new device knows nobody: whoever brings it back asks like anybody else.
    for id in [&direct, &group] {
        let standing = again
            .until("to be back", async |client| {
                let standing = client.conversation(id).await.ok()?.standing;
                matches!(standing, Standing::Request | Standing::Member).then_some(standing)
            })
            .await;
        // Whoever was accepted a moment ago is known by now.
        if standing == Standing::Request {
            again.client.accept_request(id).await.unwrap();
        }
    }
    bob.send(&direct, "there you are").await;
    again.until_texts(&direct, &["there you are"]).await;
    again.send(&direct, "here I am").await;
    bob.until("the answer", async |client| {
        let page = client.messages(&direct, None, 500).await.ok()?;
        page.messages.iter().any(|line| line.text == "here I am").then_some(())
    })
    .await;
    again.send(&group, "hello all").await;
    cem.until_texts(&group, &["welcome", "hello all"]).await;
    let view = cem.client.group(&group).await.unwrap();
    assert!(view.members.iter().all(|member| member.devices == 1), "a revoked device is still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_who_is_no_admin_brings_somebody_back() {
    let world = World::new().await;
    let (alice, bob, cem, _, group) = three(&world).await;
    let words = alice.client.phrase_words().await.unwrap();
    alice.client.stop().await;
    // The only admin is away.
    bob.client.stop().await;
    let again = recover(&world, "alice", "alice again", &words).await;
    until_notice(&cem, &group, |notice| matches!(notice, Notice::Recovered { mine: false, .. })).await;
    again
        .until("to be back", async |client| {
            (client.conversation(&group).await.ok()?.standing == Standing::Request).then_some(())
        })
        .await;
    again.client.accept_request(&group).await.unwrap();
    again.send(&group, "back again").await;
    cem.until_texts(&group, &["welcome", "back again"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_a_device_that_was_revoked_is_shut_out() {
    let world = World::new().await;
    let (alice, bob, direct) = acquainted(&world).await;
    bob.send(&direct, "before").await;
    alice.until_texts(&direct, &["before"]).await;
    let words = alice.client.phrase_words().await.unwrap();
    // The old machine is not gone: it is a thief's.
    let again = recover(&world, "alice", "alice again", &words).await;
    again
        .until("to be back", async |client| {
            (client.conversation(&direct).await.ok()?.standing == Standing::Request).then_some(())
        })
        .await;
    again.client.accept_request(&direct).await.unwrap();
    again.send(&direct, "it is me").await;
    bob.until("the new device", async |client| {
        let page = client.messages(&direct, None, 500).await.ok()?;
        page.messages.iter().any(|line| line.text == "it is me").then_some(())
    })
    .await;
    // What the thief says does not arrive, and what is said now the thief does not read.
    let _ = alice.client.send(&direct, &waxwing_client::new_message_id(), "I am alice").await;
    bob.send(&direct, "for the new device").await;
    again
        .until("the words", async |client| {
            let page = client.messages(&direct, None, 500).await.ok()?;
            page.messages.iter().any(|line| line.text == "for the new device").then_some(())
        })
        .await;
    let heard = bob.texts(&direct).await;
    assert!(!heard.contains(&"I am alice".to_owned()), "{heard:?}");
    assert!(!alice.texts(&direct).await.contains(&"for the new device".to_owned()));
    // And an entry that the old device signs with the old account key is refused.
    let keys = alice.client.rotate_keys().await;
    let told = |keys: waxwing_client::KeysView| {
        assert_eq!((keys.version, keys.rotating), (1, false), "a revoked device has rotated");
        keys.rotation_problem.map(|problem| problem.code)
    };
    assert_eq!(keys.map_or_else(|error| Some(error.code()), told), Some(ErrorCode::OwnKeysChanged));
}

/// Longer than it takes at most until a member follows somebody else's recovery.
const WITHIN: Duration = Duration::from_secs(7);

async fn verify(person: &Person, other: &str) {
    let number = person.client.safety_number(other).await.unwrap();
    assert_eq!(person.client.verify(other, &number.groups.join(" ")).await.unwrap().safety, Safety::Verified);
}

/// Two people have verified each other, and one of them recovers: the other's app asks before it lets the new device in (design section 4).
async fn asks_first(decide: impl AsyncFn(&Person, &str), after: Safety) {
    let world = World::new().await;
    let (alice, bob, direct) = acquainted(&world).await;
    let (a, b) = (alice.account().await, bob.account().await);
    verify(&bob, &a).await;
    verify(&alice, &b).await;
    alice.send(&direct, "before").await;
    bob.until_texts(&direct, &["before"]).await;
    let words = alice.client.phrase_words().await.unwrap();
    alice.client.stop().await;
    let again = recover(&world, "alice", "alice again", &words).await;

    let safety = async |client: &Client| Some(client.conversation(&direct).await.ok()?.safety);
    bob.until("the question", async |client| (safety(client).await? == Safety::Ask).then_some(())).await;
    let refused = bob.client.send(&direct, &new_message_id(), "who is it?").await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::VerifyAgain);
    // However long he leaves it open, and whatever his app looks at meanwhile.
    let start = std::time::Instant::now();
    while start.elapsed() < WITHIN {
        for person in [&bob, &again] {
            person.client.sync().await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let bob = bob.restart().await;
    bob.client.sync().await.unwrap();
    let followed = bob.notices(&direct).await.into_iter().any(|notice| matches!(notice, Notice::Recovered { .. }));
    assert!(!followed, "the new device was let in without being asked about");
    assert!(again.client.conversation(&direct).await.is_err(), "the new device is in the conversation");

    decide(&bob, &a).await;
    until_notice(&bob, &direct, |notice| matches!(notice, Notice::Recovered { mine: false, .. })).await;
    again
        .until("to be back", async |client| {
            (client.conversation(&direct).await.ok()?.standing == Standing::Request).then_some(())
        })
        .await;
    again.client.accept_request(&direct).await.unwrap();
    bob.send(&direct, "there you are").await;
    again.until_texts(&direct, &["there you are"]).await;
    again.send(&direct, "here I am").await;
    bob.until_texts(&direct, &["before", "there you are", "here I am"]).await;
    assert_eq!(safety(&bob.client).await, Some(after));
}

#[tokio::test(flavor = "multi_thread")]
async fn p11_a_verified_contact_who_recovers_is_let_back_in_once_they_are_verified_again() {
    asks_first(async |bob, alice| verify(bob, alice).await, Safety::Verified).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p11_a_verified_contact_who_recovers_is_let_back_in_once_the_verification_is_taken_back() {
    let unverify = async |bob: &Person, alice: &str| {
        assert_eq!(bob.client.unverify(alice).await.unwrap().safety, Safety::NotVerified);
    };
    asks_first(unverify, Safety::NotVerified).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_phrase_changes_nothing_and_says_why() {
    let world = World::new().await;
    let (alice, bob, _) = acquainted(&world).await;
    let words = alice.client.phrase_words().await.unwrap();
    let others = bob.client.phrase_words().await.unwrap();
    let profile = Profile::open(&world.dir.path().join("again")).unwrap();
    let refused = async |words: &[String], name: &str| {
        let result = Client::recover(&profile, recovery(&world, name, words)).await;
        assert_eq!(profile.state(), ProfileState::Fresh);
        result.map(drop).unwrap_err()
    };
    let mut unknown = words.clone();
    unknown[6] = "waxwing".to_owned();
    let error = refused(&unknown, "alice").await;
    assert_eq!(error.code(), ErrorCode::UnknownWord);
    assert!(error.view().detail.contains("word 7"), "{}", error.view().detail);
    assert_eq!(refused(&words[1..], "alice").await.code(), ErrorCode::NotAPhrase);
    // One in 256 of wrong orders has a checksum that fits.
    let wrong = (1..24).find_map(|at| {
        let mut swapped = words.clone();
        swapped.swap(0, at);
        waxwing_protocol::RecoveryPhrase::parse(&swapped.join(" ")).is_err().then_some(swapped)
    });
    assert_eq!(refused(&wrong.unwrap(), "alice").await.code(), ErrorCode::NotAPhrase);
    assert_eq!(refused(&others, "alice").await.code(), ErrorCode::PhraseOfAnother);
    assert_eq!(refused(&words, "nobody").await.code(), ErrorCode::UnknownUser);
    // The account is as it was.
    assert_eq!(alice.client.keys().await.unwrap().history.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_that_broke_off_goes_on_with_the_same_words() {
    let mut world = World::new().await;
    let (alice, bob, direct) = acquainted(&world).await;
    let words = alice.client.phrase_words().await.unwrap();
    alice.client.stop().await;
    let address = world.address();
    // The relay goes away in between: nothing is half done.
    world.stop_relay().await;
    let profile = Profile::open(&world.dir.path().join("again")).unwrap();
    let broken = Recovery { address: format!("alice@{address}"), ..recovery_at(&address, &words) };
    assert_eq!(Client::recover(&profile, broken).await.map(drop).unwrap_err().code(), ErrorCode::RelayDown);
    assert_eq!(profile.state(), ProfileState::Fresh);
    world.start_relay().await;
    let client = Client::recover(&profile, recovery(&world, "alice", &words)).await.unwrap();
    let again = Person { client, profile };
    until_notice(&bob, &direct, |notice| matches!(notice, Notice::Recovered { .. })).await;
    // Once more, on a third machine: the second is revoked in turn.
    again.client.stop().await;
    let third = recover(&world, "alice", "third", &words).await;
    let history = third.client.keys().await.unwrap().history;
    assert_eq!(history.len(), 3);
}

fn recovery_at(address: &str, words: &[String]) -> Recovery {
    Recovery {
        address: format!("alice@{address}"),
        phrase: words.join(" ").into(),
        display_name: String::new(),
        passphrase: Some(PASSPHRASE.to_owned().into()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_account_key_reaches_every_conversation_and_nobody_is_parted() {
    let world = World::new().await;
    let (alice, bob, direct) = acquainted(&world).await;
    let before = alice.client.keys().await.unwrap();
    let after = alice.client.replace_account_key().await.unwrap();
    assert!(!after.rotating && after.rotation_problem.is_none());
    assert_ne!(before.account_fingerprint, after.account_fingerprint);
    assert_eq!((after.version, after.history.len()), (before.version, 2));
    until_notice(&bob, &direct, |notice| matches!(notice, Notice::AccountKeyReplaced { mine: false, .. })).await;
    until_notice(&alice, &direct, |notice| matches!(notice, Notice::AccountKeyReplaced { mine: true, .. })).await;
    alice.send(&direct, "under the new key").await;
    bob.until_texts(&direct, &["under the new key"]).await;
    // The new key signs what follows, also after a restart.
    let alice = alice.restart().await;
    alice.client.rotate_keys().await.unwrap();
    let shut = alice.client.shut_others_out().await.unwrap();
    assert_eq!((shut.version, shut.history.len()), (3, 5));
    bob.send(&direct, "still there").await;
    alice.until_texts(&direct, &["under the new key", "still there"]).await;
    // Each of them stands in the log.
    alice
        .until("every entry in the log", async |client| {
            let history = client.keys().await.ok()?.history;
            history.iter().all(|item| item.proved == Some(true) && item.log_index.is_some()).then_some(())
        })
        .await;
    assert!(alice.client.transparency_log().await.unwrap().alarms.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn d14_an_older_database_takes_its_own_rotation_up_again() {
    let world = World::new().await;
    let (alice, bob, direct) = acquainted(&world).await;
    alice.send(&direct, "before").await;
    bob.until_texts(&direct, &["before"]).await;
    alice.client.stop().await;
    let dir = alice.profile.dir().to_owned();
    drop(alice);
    let database = std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|ending| ending == "db"))
        .unwrap();
    let copy = std::fs::read(&database).unwrap();
    let alice = world::start(&dir).await;
    alice.client.rotate_keys().await.unwrap();
    alice.client.replace_account_key().await.unwrap();
    alice.client.stop().await;
    drop(alice);
    std::fs::write(&database, copy).unwrap();
    let alice = world::start(&dir).await;
    alice
        .until("its own entries", async |client| {
            let _ = client.sync().await;
            (client.keys().await.ok()?.history.len() == 3).then_some(())
        })
        .await;
    let log = alice.client.transparency_log().await.unwrap();
    assert!(log.alarms.is_empty(), "an alarm about an own rotation");
    // And it goes on from there.
    let keys = alice.client.rotate_keys().await.unwrap();
    assert_eq!((keys.version, keys.rotating), (3, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_closed_is_gone_everywhere() {
    let world = World::new().await;
    let (alice, bob, direct) = acquainted(&world).await;
    let cem = world.register("cem").await;
    introduce(&bob, &cem).await;
    let group = bob.client.create_group("Birds", &[alice.account().await, cem.account().await]).await.unwrap().id;
    bob.send(&group, "welcome").await;
    alice.until_texts(&group, &["welcome"]).await;
    let words = alice.client.phrase_words().await.unwrap();
    let Person { client, profile } = alice;
    client.close_account(&profile).await.unwrap();
    assert_eq!(profile.state(), ProfileState::Fresh);
    let left: Vec<_> = std::fs::read_dir(profile.dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name == "lock" || name == "profile.json"), "{left:?}");
    until_notice(&bob, &group, |notice| matches!(notice, Notice::AccountClosed { .. })).await;
    until_notice(&cem, &group, |notice| matches!(notice, Notice::AccountClosed { .. })).await;
    assert_eq!(cem.client.group(&group).await.unwrap().members.len(), 2);
    // Its name is nobody else's, ever.
    let taken = Client::register(&profile, world.registration("alice")).await.map(drop).unwrap_err();
    assert_eq!(taken.code(), ErrorCode::NameTaken);
    // The phrase opens it again, in the very profile that was emptied.
    let again = Person { client: Client::recover(&profile, recovery(&world, "alice", &words)).await.unwrap(), profile };
    again.until("to be back with Bob", async |client| client.conversation(&direct).await.ok().map(drop)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_own_relays_log_is_read_to_its_end_and_holds_everybody() {
    let world = World::new().await;
    let (alice, bob, direct) = acquainted(&world).await;
    bob.client.rotate_keys().await.unwrap();
    // Two accounts, two names, one rotation.
    let log = alice
        .until("the whole log", async |client| client.transparency_log().await.ok().filter(|log| log.size >= 5.0))
        .await;
    assert!(log.contradictions.is_empty() && log.alarms.is_empty() && !log.stale);
    assert!(log.since > 0.0 && log.proved_at >= log.since);
    assert_eq!(alice.client.peer_log(&direct).await.unwrap().origin, log.origin);
    // It is there again after a restart.
    let alice = alice.restart().await;
    let again = alice.client.transparency_log().await.unwrap();
    assert!(again.size >= 5.0 && (again.since - log.since).abs() < 1.0);
}
