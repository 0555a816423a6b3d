//! Relays that do not take everybody: by invitation, closed, and an account that the operator has disabled.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too

mod world;

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use waxwing_client::{
    Client, Connection, ConversationView, ErrorCode, MessageState, Profile, ProfileState, Recovery, Registration,
};
use waxwing_relay::Registration as Door;
use world::{PASSPHRASE, Person, World};

const UNKNOWN: &str = "AAECAwQFBgcICQoLDA0ODw";

/// What the operator asks of the running relay, as `waxwing-relay admin` does.
fn admin(world: &World, act: &Value) -> Value {
    let mut stream = UnixStream::connect(world.dir.path().join("relay/admin.sock")).unwrap();
    writeln!(stream, "{act}").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    let answer: Value = serde_json::from_str(&line).unwrap();
    answer.get("done").unwrap_or_else(|| panic!("refused: {line}")).clone()
}

fn invite(world: &World, uses: u32) -> String {
    let made = admin(world, &json!({ "do": "invite", "uses": uses, "days": 1 }));
    made["invitation"].as_str().unwrap().to_owned()
}

fn invited(world: &World, name: &str, invitation: &str) -> Registration {
    Registration { invitation: Some(invitation.to_owned().into()), ..world.registration(name) }
}

fn fresh(world: &World, folder: &str) -> Profile {
    Profile::open(&world.dir.path().join(folder)).unwrap()
}

async fn refused(profile: &Profile, registration: Registration) -> ErrorCode {
    let code = match Client::register(profile, registration).await {
        Ok(_) => panic!("registered"),
        Err(error) => error.code(),
    };
    assert_eq!(profile.state(), ProfileState::Fresh, "{code:?}");
    code
}

/// The keys that a registration has made, sealed: the same file is the same keys.
fn keys(profile: &Profile) -> Vec<u8> {
    std::fs::read(profile.dir().join("keystore.sealed")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_takes_in_as_many_as_it_is_for() {
    let world = World::with_registration(Door::Invite).await;
    let alice = fresh(&world, "alice");
    assert_eq!(refused(&alice, world.registration("alice")).await, ErrorCode::InvitationNeeded);
    let made = keys(&alice);
    assert_eq!(refused(&alice, invited(&world, "alice", "  \n")).await, ErrorCode::InvitationNeeded, "none was typed");
    assert_eq!(refused(&alice, invited(&world, "alice", UNKNOWN)).await, ErrorCode::InvitationRefused);
    let invitation = invite(&world, 1);
    let client = Client::register(&alice, invited(&world, "alice", &format!(" {invitation}\r\n"))).await.unwrap();
    assert!(client.profile().await.unwrap().address.starts_with("alice@"));
    assert_eq!(keys(&alice), made, "what was begun first is what came of it");

    // Used up, and too old.
    let bob = fresh(&world, "bob");
    assert_eq!(refused(&bob, invited(&world, "bob", &invitation)).await, ErrorCode::InvitationRefused);
    let old = invite(&world, 1);
    let database = rusqlite::Connection::open(world.dir.path().join("relay/relay.db")).unwrap();
    assert_eq!(database.execute("UPDATE invitations SET until_hour = until_hour - 25", []).unwrap(), 1);
    assert_eq!(refused(&bob, invited(&world, "bob", &old)).await, ErrorCode::InvitationRefused);
    Client::register(&bob, invited(&world, "bob", &invite(&world, 1))).await.unwrap();
}

/// The process ended after the relay's yes and before it was noted: the same entry is sent again, and asks for no second invitation.
#[tokio::test(flavor = "multi_thread")]
async fn d2_whoever_is_in_already_needs_no_second_invitation() {
    let world = World::with_registration(Door::Invite).await;
    let alice = fresh(&world, "alice");
    let client = Client::register(&alice, invited(&world, "alice", &invite(&world, 1))).await.unwrap();
    let account = client.profile().await.unwrap().account_id;
    let dir = alice.dir().to_owned();
    client.stop().await;
    drop((client, alice));
    let facts = dir.join("profile.json");
    let noted = std::fs::read_to_string(&facts).unwrap();
    let forgotten = noted.replace("\"registered\": true", "\"registered\": false");
    assert_ne!(noted, forgotten);
    std::fs::write(&facts, forgotten).unwrap();
    let alice = opened(&dir).await;
    assert_eq!(alice.state(), ProfileState::Fresh);
    let client = Client::register(&alice, world.registration("alice")).await.unwrap();
    assert_eq!(client.profile().await.unwrap().account_id, account);
}

/// The lock of a profile goes with the last of its engine's tasks.
async fn opened(dir: &Path) -> Profile {
    loop {
        match Profile::open(dir) {
            Ok(profile) => return profile,
            Err(error) => assert_eq!(error.code(), ErrorCode::AlreadyRunning),
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_invitation_is_said_before_anybody_is_asked() {
    let mut world = World::with_registration(Door::Invite).await;
    world.stop_relay().await;
    let alice = fresh(&world, "alice");
    for bad in [&UNKNOWN[1..], &format!("{UNKNOWN}A"), "AAECAwQFBgcICQoLDA0OD+", "waxwing:AAECAwQFBgcICQoL"] {
        assert_eq!(refused(&alice, invited(&world, "alice", bad)).await, ErrorCode::InvalidInvitation, "{bad}");
    }
    assert_eq!(refused(&alice, invited(&world, "alice", UNKNOWN)).await, ErrorCode::RelayDown);
}

/// What a relay has refused holds nobody to what was chosen for it: another passphrase, another name.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_refusal_everything_can_be_chosen_again() {
    let world = World::with_registration(Door::Invite).await;
    let profile = fresh(&world, "somebody");
    assert_eq!(refused(&profile, world.registration("alice")).await, ErrorCode::InvitationNeeded);
    let other = Some("quite another passphrase".to_owned().into());
    let again = Registration { passphrase: other.clone(), ..invited(&world, "alice", UNKNOWN) };
    assert_eq!(refused(&profile, again).await, ErrorCode::InvitationRefused);
    let carol = Registration { passphrase: other.clone(), ..invited(&world, "carol", &invite(&world, 1)) };
    let client = Client::register(&profile, carol).await.unwrap();
    assert!(client.profile().await.unwrap().address.starts_with("carol@"));
    client.stop().await;
    let dir = profile.dir().to_owned();
    drop((client, profile));
    let profile = opened(&dir).await;
    let wrong = Client::start(&profile, Some(PASSPHRASE.to_owned().into())).await.map(drop).unwrap_err();
    assert_eq!(wrong.code(), ErrorCode::WrongPassphrase);
    Client::start(&profile, other).await.unwrap();
}

/// Where the answer was lost the account may be there: the passphrase that was chosen for it stays the one.
#[tokio::test(flavor = "multi_thread")]
async fn d2_what_a_relay_may_have_taken_is_not_begun_anew() {
    let mut world = World::with_registration(Door::Invite).await;
    let alice = fresh(&world, "alice");
    assert_eq!(refused(&alice, world.registration("alice")).await, ErrorCode::InvitationNeeded);
    let made = keys(&alice);
    // The relay answers what it is, and nothing more: it is out of space.
    let database = rusqlite::Connection::open(world.dir.path().join("relay/relay.db")).unwrap();
    database.execute_batch("ALTER TABLE accounts RENAME TO accounts_elsewhere").unwrap();
    let invitation = invite(&world, 1);
    let code = refused(&alice, invited(&world, "alice", &invitation)).await;
    assert!(!matches!(code, ErrorCode::InvitationNeeded | ErrorCode::InvitationRefused), "{code:?}");
    let other = Registration {
        passphrase: Some("quite another passphrase".to_owned().into()),
        ..invited(&world, "alice", &invitation)
    };
    assert_eq!(refused(&alice, other).await, ErrorCode::WrongPassphrase);
    assert_eq!(keys(&alice), made);
    world.stop_relay().await;
    database.execute_batch("ALTER TABLE accounts_elsewhere RENAME TO accounts").unwrap();
    world.start_relay().await;
    Client::register(&alice, invited(&world, "alice", &invitation)).await.unwrap();
    assert_eq!(keys(&alice), made);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_relay_takes_nobody_and_the_same_profile_later() {
    let mut world = World::with_registration(Door::Closed).await;
    let alice = fresh(&world, "alice");
    assert_eq!(refused(&alice, world.registration("alice")).await, ErrorCode::RegistrationClosed);
    assert_eq!(refused(&alice, invited(&world, "alice", &invite(&world, 1))).await, ErrorCode::RegistrationClosed);
    world.stop_relay().await;
    world.registration = Some(Door::Open);
    world.start_relay().await;
    // An open relay does not read it.
    Client::register(&alice, invited(&world, "alice", UNKNOWN)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_needs_no_invitation() {
    let mut world = World::with_registration(Door::Invite).await;
    let alice = fresh(&world, "alice");
    let client = Client::register(&alice, invited(&world, "alice", &invite(&world, 1))).await.unwrap();
    let (words, account) = (client.phrase_words().await.unwrap(), client.profile().await.unwrap().account_id);
    client.stop().await;
    world.stop_relay().await;
    world.registration = Some(Door::Closed);
    world.start_relay().await;
    let recovery = Recovery {
        address: format!("alice@{}", world.address()),
        phrase: words.join(" ").into(),
        display_name: String::new(),
        passphrase: Some(PASSPHRASE.to_owned().into()),
    };
    let client = Client::recover(&fresh(&world, "new-computer"), recovery).await.unwrap();
    assert_eq!(client.profile().await.unwrap().account_id, account);
}

fn disable(world: &World, name: &str, disabled: bool) {
    admin(world, &json!({ "do": if disabled { "disable" } else { "enable" }, "account": name }));
}

fn local_ms() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as f64
}

async fn until_disabled(person: &Person) {
    person
        .until("the account to be disabled", async |client| match client.connection() {
            Connection::Offline { reason, retry_at } if reason.code == ErrorCode::AccountDisabled => {
                // Nobody knocks every second at a door that somebody has shut on purpose.
                assert!(retry_at - local_ms() > 20_000.0, "{}", retry_at - local_ms());
                Some(())
            }
            _ => None,
        })
        .await;
}

async fn state(person: &Person, conversation: &ConversationView, id: &str) -> MessageState {
    person.history(&conversation.id).await.into_iter().find(|line| line.id == id).unwrap().state
}

/// While she is connected, and through a restart: it is said, nothing fails, and all of it is sent once she is served again.
#[tokio::test(flavor = "multi_thread")]
async fn d2_what_a_disabled_account_writes_waits_until_it_is_enabled() {
    let world = World::new().await;
    let (alice, bob, known) = world::acquainted(&world).await;
    let carol = world.register("carol").await;
    alice.until_online().await;
    let mut events = alice.client.events();
    disable(&world, "alice", true);
    until_disabled(&alice).await;
    // Not for a moment was the relay said to be out of reach.
    while let Ok(event) = events.try_recv() {
        if let waxwing_client::Event::Connection { connection: Connection::Offline { reason, .. } } = event {
            assert_eq!(reason.code, ErrorCode::AccountDisabled);
        }
    }
    assert_eq!(alice.client.sync().await.unwrap_err().code(), ErrorCode::AccountDisabled);

    // To somebody new, for which the relay would have to make a log; by address, so that it would have to be asked as oneself.
    let new = alice.client.add_contact(&format!("carol@{}", world.address())).await.unwrap();
    let first = alice.send(&new.id, "are you there?").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(state(&alice, &new, &first).await, MessageState::Sending);
    let alice = alice.restart().await;
    until_disabled(&alice).await;
    let second = alice.send(&new.id, "hello?").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    for id in [&first, &second] {
        assert_eq!(state(&alice, &new, id).await, MessageState::Sending);
    }
    assert!(carol.client.conversation(&new.id).await.is_err());

    // What others say waits at the relay.
    bob.send(&known, "where are you?").await;
    disable(&world, "alice", false);
    alice.client.try_now();
    alice.until_online().await;
    alice.until_texts(&known, &["where are you?"]).await;
    carol.until("the Welcome", async |client| client.conversation(&new.id).await.ok()).await;
    carol.client.accept_request(&new.id).await.unwrap();
    carol.until_texts(&new.id, &["are you there?", "hello?"]).await;
    alice.until_texts(&new.id, &["are you there?", "hello?"]).await;
    assert_eq!(alice.client.conversation(&new.id).await.unwrap().problem, None);
}
