//! The account is closed, and what can come between (D2): a lost answer, a crash, a relay out of reach, somebody else's entry, a keystore that
//! does not let go of what it holds. Real engines, a real relay, and somebody between them who loses what goes into chains.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too

mod world;

use std::fs;
use std::path::Path;

use tokio::sync::broadcast::Receiver;
use waxwing_client::{Client, ErrorCode, Event, KeyEvent, Profile, ProfileState, Recovery, Registration};
use world::losing::{self, Fate, Losing};
use world::{PASSPHRASE, PATIENCE, Person, World, acquainted};

/// The user wants it, and is told that nobody knows yet whether it is so.
async fn unheard(alice: &Person, losing: &Losing) {
    let told = alice.client.clone().close_account(&alice.profile).await.unwrap_err();
    assert_eq!((told.code(), losing.met()), (ErrorCode::ClosingUnderWay, 1), "{told}");
}

/// No alarm was told until now.
fn no_alarm(events: &mut Receiver<Event>) {
    while let Ok(event) = events.try_recv() {
        let alarm = matches!(&event, Event::Log { log } if !log.alarms.is_empty());
        assert!(!alarm, "an alarm about an own act: {event:?}");
    }
}

/// Nothing is left in the profile, and nothing is noted that would have to be done.
fn is_empty(profile: &Profile) {
    assert_eq!(profile.state(), ProfileState::Fresh);
    let left: Vec<_> = fs::read_dir(profile.dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name == "lock" || name == "profile.json"), "{left:?}");
    assert_eq!(noted(profile.dir()), serde_json::Value::Null);
}

/// What `profile.json` says is left of a closed account.
fn noted(dir: &Path) -> serde_json::Value {
    let facts: serde_json::Value = serde_json::from_slice(&fs::read(dir.join("profile.json")).unwrap()).unwrap();
    facts["closing"].clone()
}

/// Whoever knows the account sees that it is closed.
async fn is_known_closed(by: &Person, account: &str) {
    by.until("the end of the chain", async |client| {
        let history = client.key_history(account).await.ok()?;
        history.iter().any(|item| item.what == KeyEvent::Closed).then_some(())
    })
    .await;
}

async fn start_anew(dir: &Path) -> (Profile, Result<Client, ErrorCode>) {
    let profile = loop {
        match Profile::open(dir) {
            Ok(profile) => break profile,
            Err(error) if error.code() == ErrorCode::AlreadyRunning => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    let started = Client::start(&profile, Some(PASSPHRASE.to_owned().into())).await;
    (profile, started.map_err(|error| error.code()))
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_a_closing_whose_answer_was_lost_ends_the_engine_by_itself_and_is_no_alarm() {
    let (world, losing) = losing::world().await;
    let (alice, bob, _) = acquainted(&world).await;
    let account = alice.account().await;
    alice.until_online().await;
    let (mut events, ended) = (alice.client.events(), alice.client.ended());
    losing.loses(0, Fate::Unanswered);
    unheard(&alice, &losing).await;
    losing.is_mended();
    tokio::time::timeout(PATIENCE, ended).await.expect("the engine knows that the account is closed");
    assert!(alice.client.is_stopped());
    no_alarm(&mut events);
    let Person { client, profile } = alice;
    // Whoever runs it does what the app does.
    client.stop().await;
    Client::finish_closing(&profile).await.unwrap();
    is_empty(&profile);
    is_known_closed(&bob, &account).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closing_that_did_not_get_through_gets_through_when_it_is_wanted_again() {
    let (world, losing) = losing::world().await;
    let (alice, bob, _) = acquainted(&world).await;
    let account = alice.account().await;
    alice.until_online().await;
    losing.loses(0, Fate::Lost);
    unheard(&alice, &losing).await;
    assert!(!alice.client.is_stopped());
    losing.is_mended();
    let Person { client, profile } = alice;
    client.close_account(&profile).await.unwrap();
    is_empty(&profile);
    is_known_closed(&bob, &account).await;
}

/// It goes down right after the send; and the next start has a relay to ask, or not.
#[tokio::test(flavor = "multi_thread")]
async fn d2_a_crash_after_the_send_ends_in_a_first_run() {
    for fate in [Fate::Unanswered, Fate::Lost] {
        for away in [false, true] {
            let (world, losing) = losing::world().await;
            let (alice, bob, _) = acquainted(&world).await;
            let account = alice.account().await;
            losing.loses_and_is_away(fate);
            unheard(&alice, &losing).await;
            alice.client.stop().await;
            let dir = alice.profile.dir().to_owned();
            drop(alice);
            assert_eq!(noted(&dir), serde_json::Value::Null, "the control: nobody knows that it is closed");
            if !away {
                losing.is_mended();
            }
            let (profile, started) = start_anew(&dir).await;
            if away || fate == Fate::Lost {
                // The engine runs as before, and finds out.
                let client = started.unwrap();
                let (mut events, ended) = (client.events(), client.ended());
                losing.is_mended();
                client.try_now();
                tokio::time::timeout(PATIENCE, ended).await.expect("the engine goes on with it");
                no_alarm(&mut events);
                client.stop().await;
                Client::finish_closing(&profile).await.unwrap();
            } else {
                assert_eq!(started.map(drop), Err(ErrorCode::NotRegistered));
            }
            is_empty(&profile);
            is_known_closed(&bob, &account).await;
        }
    }
}

/// Somebody with the words was faster: that is told as it always is, and the closing is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_closing_whose_place_somebody_else_has_taken_comes_to_nothing_and_is_told() {
    let (world, losing) = losing::world().await;
    let alice = world.register("alice").await;
    alice.until_online().await;
    let words = alice.client.phrase_words().await.unwrap().join(" ");
    let mut events = alice.client.events();
    losing.loses(0, Fate::Lost);
    unheard(&alice, &losing).await;
    losing.is_mended();
    let elsewhere = Profile::open(&world.dir.path().join("elsewhere")).unwrap();
    let recovery = Recovery {
        address: format!("alice@{}", world.address()),
        phrase: words.into(),
        display_name: String::new(),
        passphrase: Some(PASSPHRASE.to_owned().into()),
    };
    let other = Client::recover(&elsewhere, recovery).await.unwrap();
    let told = async {
        loop {
            let Ok(Event::Keys { keys }) = events.recv().await else { continue };
            if keys.rotation_problem.is_some_and(|problem| problem.code == ErrorCode::OwnKeysChanged) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("what became of it");
    alice
        .until("the alarm", async |client| (!client.transparency_log().await.ok()?.alarms.is_empty()).then_some(()))
        .await;
    // Whoever has the account now has it still, and this device what it shows.
    assert!(!alice.client.is_stopped());
    assert_eq!(alice.profile.state(), ProfileState::Passphrase);
    let alice = alice.restart().await;
    assert_eq!(alice.client.keys().await.unwrap().history.len(), 1);
    let history = other.keys().await.unwrap().history;
    assert!(history.iter().all(|item| item.what != KeyEvent::Closed), "{history:?}");
    other.stop().await;
}

/// What was said is gone at once; the secrets are noted until they are gone, and before that nobody else moves in.
#[tokio::test(flavor = "multi_thread")]
async fn d12_secrets_that_cannot_be_erased_are_noted_and_erased_before_anything_else_comes_there() {
    let world = World::new().await;
    let alice = world.register("alice").await;
    let (client, profile) = (alice.client, alice.profile);
    let (dir, secrets) = (profile.dir().to_owned(), profile.dir().join("keystore.sealed"));
    let kept = fs::read(&secrets).unwrap();
    // A folder is nothing that can be removed like a file.
    fs::remove_file(&secrets).unwrap();
    fs::create_dir(&secrets).unwrap();
    let told = client.clone().close_account(&profile).await.unwrap_err();
    assert_eq!(told.code(), ErrorCode::KeysLeft, "{told}");
    assert!(client.is_stopped());
    assert_eq!((profile.state(), noted(&dir)), (ProfileState::Fresh, "passphrase".into()));
    assert!(!dir.join("waxwing.db").exists());
    drop((client, profile));

    // After a start as well; and nobody's secrets come to lie on them.
    let (profile, started) = start_anew(&dir).await;
    assert_eq!(started.map(drop), Err(ErrorCode::KeysLeft));
    let register = async |name: &str| {
        let registration: Registration = world.registration(name);
        Client::register(&profile, registration).await.map_err(|error| error.code())
    };
    assert_eq!(register("bob").await.map(drop), Err(ErrorCode::KeysLeft));
    fs::remove_dir(&secrets).unwrap();
    fs::write(&secrets, &kept).unwrap();
    Client::finish_closing(&profile).await.unwrap();
    is_empty(&profile);
    let bob = register("bob").await.unwrap();
    // What is there now is his, and no start takes it for what was left, whatever is noted.
    bob.stop().await;
    drop(bob);
    drop(profile);
    let facts = fs::read_to_string(dir.join("profile.json")).unwrap();
    let facts = facts.replace(r#""closing": null"#, r#""closing": "passphrase""#);
    fs::write(dir.join("profile.json"), facts).unwrap();
    assert_eq!(noted(&dir), "passphrase");
    let (_profile, started) = start_anew(&dir).await;
    let bob = started.unwrap();
    assert_eq!(noted(&dir), serde_json::Value::Null);
    assert!(bob.profile().await.unwrap().address.starts_with("bob@"));
    bob.stop().await;
}
