//! A relay that answers half a chain (P2): an entry in the middle, or the newest, is missing. Nobody is added by it, nobody's keys change (what
//! does not go on from the known ones, or is less than the log has, is told as a doubt, which stops sending),
//! no recovery goes on behind it, and it is over with the first whole answer.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too

mod world;

use waxwing_client::{Client, ErrorCode, Notice, Profile, ProfileState, Recovery, Safety, Trust};
use waxwing_tests::lies::Lies;
use world::{PASSPHRASE, Person, World, acquainted, copy, introduce, start, until_notice};

/// Which half it shows of a chain of three.
#[derive(Debug, Clone, Copy)]
enum Half {
    /// The second is missing, and the third stands in its place.
    MovedUp,
    /// The second is missing.
    Gap,
    /// The third is missing, and the relay says that there are three.
    Short,
    /// The third is missing, and the relay says that there are two. The log that everybody sees has it.
    HeldBack,
}

impl Half {
    fn tell(self, lies: &Lies, honest: &[Vec<u8>]) {
        match self {
            Self::MovedUp => lies.put(&[honest[0].clone(), honest[2].clone()]),
            Self::Gap => lies.lose(1),
            Self::Short => lies.lose(2),
            Self::HeldBack => lies.put(&honest[..2]),
        }
        .unwrap();
    }

    /// How it is told to somebody who knows the first entry, or nothing.
    fn code(self) -> ErrorCode {
        match self {
            Self::MovedUp | Self::Gap => ErrorCode::ChainBroken,
            Self::Short => ErrorCode::RelayMisbehaved,
            Self::HeldBack => ErrorCode::NewerKeysHeldBack,
        }
    }

    /// The same where it is one's own chain, and one's own recovery that would go on behind it.
    fn code_of_recovery(self) -> ErrorCode {
        match self {
            Self::HeldBack => ErrorCode::KeysHeldBack,
            other => other.code(),
        }
    }

    const ALL: [Self; 4] = [Self::HeldBack, Self::Short, Self::MovedUp, Self::Gap];
}

fn lies(world: &World, name: &str) -> Lies {
    assert!(world.relay.is_none(), "the relay still runs");
    Lies::about(&world.dir.path().join("relay"), name).unwrap()
}

/// All that an answer of the relay might have changed.
#[derive(Debug, PartialEq)]
struct State<T> {
    known: T,
    /// How the people of each conversation stand.
    safety: Vec<Safety>,
}

async fn state(person: &Person, other: &str) -> State<impl PartialEq + std::fmt::Debug + use<>> {
    let client = &person.client;
    let conversations = client.conversations().await.unwrap();
    let safety = conversations.iter().map(|one| one.safety).collect();
    let conversations: Vec<_> =
        conversations.into_iter().map(|one| (one.id, one.kind, one.standing, one.title)).collect();
    let contacts = client.contacts().await.unwrap().into_iter();
    let contacts: Vec<_> = contacts.map(|one| (one.account_id, one.address, one.trust)).collect();
    let keys = client.keys().await.unwrap();
    let theirs = client.key_history(other).await.map_err(|error| error.code());
    let theirs = theirs.map(|all| all.into_iter().map(|item| (item.seq, item.hash)).collect::<Vec<_>>());
    let known = (conversations, contacts, (keys.version, keys.fingerprint, keys.history.len()), theirs);
    State { known, safety }
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_half_a_chain_adds_nobody_and_changes_nobodys_keys() {
    let mut world = World::new().await;
    let (alice, bob) = (world.register("alice").await, world.register("bob").await);
    // Alice knows of Bob's keys as he registered (a request stays as it is when he rotates), Cem nothing, and Dan all of them.
    let conversation = alice.client.add_contact(&format!("bob@{}", world.address())).await.unwrap().id;
    bob.until("the request", async |client| client.conversation(&conversation).await.ok()).await;
    let (cem, dan) = (world.register("cem").await, world.register("dan").await);
    let account = bob.account().await;
    let alices = alice.profile.dir().to_owned();
    alice.client.stop().await;
    drop(alice);
    for _ in 0..2 {
        assert!(!bob.client.rotate_keys().await.unwrap().rotating);
    }
    introduce(&bob, &dan).await;
    let (text, link) = (bob.client.export_key_log().await.unwrap(), bob.client.invite().await.unwrap().link);
    let (name, bobs) = (format!("bob@{}", world.address()), bob.profile.dir().to_owned());
    bob.client.stop().await;
    drop(bob);
    // Two leaves for each of four people, and two rotations.
    for person in [&cem, &dan] {
        person
            .until("all of the log", async |client| {
                let _ = client.sync().await;
                client.transparency_log().await.ok().filter(|log| log.read >= 10.0)
            })
            .await;
    }

    world.stop_relay().await;
    let honest = lies(&world, "bob").chain().unwrap();
    assert_eq!(honest.len(), 3);
    Half::HeldBack.tell(&lies(&world, "bob"), &honest);
    world.start_relay().await;
    let alice = start(&alices).await;
    let everybody = [&alice, &cem, &dan];
    // Of whoever knows older keys the relay keeps back newer ones, which everybody sees in its log.
    until_broken(&alice, &conversation).await;
    let before = [state(&alice, &account).await, state(&cem, &account).await, state(&dan, &account).await];
    assert_eq!(
        before.each_ref().map(|state| state.safety.as_slice()),
        [&[Safety::Broken][..], &[], &[Safety::NotVerified]]
    );
    assert_eq!(alice.client.key_history(&account).await.unwrap().len(), 1);
    assert_eq!(dan.client.key_history(&account).await.unwrap().len(), 3);
    assert_eq!(cem.client.key_history(&account).await.unwrap_err().code(), ErrorCode::NotFound);

    for half in Half::ALL {
        world.stop_relay().await;
        let told = lies(&world, "bob");
        told.put(&honest).unwrap();
        half.tell(&told, &honest);
        drop(told);
        world.start_relay().await;
        for person in everybody {
            person.client.try_now();
            person.until_online().await;
        }
        // Somebody new, by name and by link; and the same for those who know him: they ask for all of it.
        for person in everybody {
            for input in [&name, &link] {
                let refused = person.client.add_contact(input).await.unwrap_err();
                assert_eq!(refused.code(), half.code(), "{half:?}, {input}: {refused}");
            }
        }
        // Known keys are refreshed: for a text that lists newer ones, and for the safety number, which is shown as it is known.
        let refused = alice.client.check_key_log(&text).await.unwrap_err();
        assert_eq!(refused.code(), half.code(), "{half:?}: {refused}");
        assert_eq!(cem.client.check_key_log(&text).await.unwrap_err().code(), ErrorCode::KeyLogUnknown, "{half:?}");
        assert_eq!(dan.client.check_key_log(&text).await.unwrap().newer, 0, "{half:?}");
        for person in [&alice, &dan] {
            person.client.safety_number(&account).await.unwrap();
        }
        assert_eq!(cem.client.safety_number(&account).await.unwrap_err().code(), ErrorCode::NotFound, "{half:?}");
        for (person, before) in everybody.iter().zip(&before) {
            assert_eq!(state(person, &account).await, *before, "{half:?}");
        }
    }

    world.stop_relay().await;
    lies(&world, "bob").put(&honest).unwrap();
    world.start_relay().await;
    for person in everybody {
        person.client.try_now();
        person.until_online().await;
    }
    assert_eq!(alice.client.check_key_log(&text).await.unwrap().entries, 3);
    assert_eq!(alice.client.key_history(&account).await.unwrap().len(), 3);
    assert_eq!(state(&alice, &account).await.safety, [Safety::NotVerified], "the doubt is over");
    assert_eq!(cem.client.add_contact(&link).await.unwrap().trust, Trust::Invite);
    let bob = start(&bobs).await;
    bob.client.accept_request(&conversation).await.unwrap();
    alice.send(&conversation, "whole again").await;
    bob.until_texts(&conversation, &["whole again"]).await;
}

async fn until_broken(person: &Person, conversation: &str) {
    let broken = async |client: &Client| Some(client.conversation(conversation).await.ok()?.safety == Safety::Broken);
    person.until("the doubt", async |client| broken(client).await?.then_some(())).await;
}

/// Somebody has lost a device and recovered, and the relay shows that to nobody who knows the old one: they see in its log that there is something, write
/// nothing to the device that was lost, and verify nobody.
#[tokio::test(flavor = "multi_thread")]
async fn p17_a_recovery_that_is_held_back_stops_sending() {
    let mut world = World::new().await;
    let (alice, bob, direct) = acquainted(&world).await;
    let account = bob.account().await;
    let number = alice.client.safety_number(&account).await.unwrap();
    let digits = number.groups.join(" ");
    assert_eq!(alice.client.verify(&account, &digits).await.unwrap().safety, Safety::Verified);
    let words = bob.client.phrase_words().await.unwrap().join(" ");
    let alices = alice.profile.dir().to_owned();
    alice.client.stop().await;
    drop(alice);
    bob.client.stop().await;
    let profile = Profile::open(&world.dir.path().join("bob again")).unwrap();
    let recovery = Recovery {
        address: format!("bob@{}", world.address()),
        phrase: words.into(),
        display_name: String::new(),
        passphrase: Some(PASSPHRASE.to_owned().into()),
    };
    Client::recover(&profile, recovery).await.unwrap().stop().await;
    world.stop_relay().await;
    let honest = lies(&world, "bob").chain().unwrap();
    assert_eq!(honest.len(), 2);
    lies(&world, "bob").put(&honest[..1]).unwrap();
    world.start_relay().await;

    let alice = start(&alices).await;
    until_broken(&alice, &direct).await;
    let said = alice.client.send(&direct, &waxwing_client::new_message_id(), "for the lost device").await;
    assert_eq!(said.unwrap_err().code(), ErrorCode::KeysInDoubt);
    assert_eq!(alice.client.verify(&account, &digits).await.unwrap_err().code(), ErrorCode::KeysInDoubt);
    let lines = alice.notices(&direct).await;
    assert!(lines.iter().any(|line| matches!(line, Notice::KeysInDoubt { .. })), "{lines:?}");
    // Over a start, and once only.
    let alice = alice.restart().await;
    alice.client.sync().await.unwrap();
    let count = |lines: Vec<Notice>| lines.iter().filter(|line| matches!(line, Notice::KeysInDoubt { .. })).count();
    assert_eq!(count(alice.notices(&direct).await), 1);

    world.stop_relay().await;
    lies(&world, "bob").put(&honest).unwrap();
    world.start_relay().await;
    alice.client.try_now();
    // What it was that was kept back.
    let asked = async |client: &Client| Some(client.conversation(&direct).await.ok()?.safety == Safety::Ask);
    alice.until("the question", async |client| asked(client).await?.then_some(())).await;
}

/// A recovery behind half a chain would be another history of the account: whoever knows the other half would never follow it.
#[tokio::test(flavor = "multi_thread")]
async fn p2_half_a_chain_is_no_place_for_a_recovery() {
    let mut world = World::new().await;
    let (alice, bob, direct) = acquainted(&world).await;
    let words = alice.client.phrase_words().await.unwrap().join(" ");
    assert!(!alice.client.rotate_keys().await.unwrap().rotating);
    let (dir, stolen) = (alice.profile.dir().to_owned(), world.dir.path().join("thief"));
    alice.client.stop().await;
    drop(alice);
    copy(&dir, &stolen);
    // Whoever has stolen the profile states the third entry, which her own device sees in the log alone.
    let (alice, thief) = (start(&dir).await, start(&stolen).await);
    assert!(!thief.client.rotate_keys().await.unwrap().rotating);
    thief.client.stop().await;
    let alarmed = async |client: &Client| {
        let log = client.transparency_log().await.ok()?;
        (!log.alarms.is_empty()).then_some(())
    };
    alice.until("the alarm", alarmed).await;
    let (account, bobs) = (bob.account().await, bob.profile.dir().to_owned());
    bob.client.stop().await;
    drop(bob);

    world.stop_relay().await;
    let honest = lies(&world, "alice").chain().unwrap();
    assert_eq!(honest.len(), 3);
    let again = Profile::open(&world.dir.path().join("again")).unwrap();
    let recovery = |world: &World| Recovery {
        address: format!("alice@{}", world.address()),
        phrase: words.clone().into(),
        display_name: String::new(),
        passphrase: Some(PASSPHRASE.to_owned().into()),
    };
    let before = state(&alice, &account).await;
    for half in Half::ALL {
        let told = lies(&world, "alice");
        told.put(&honest).unwrap();
        half.tell(&told, &honest);
        let shown = told.chain().unwrap();
        drop(told);
        world.start_relay().await;
        alice.client.try_now();
        let refused = Client::recover(&again, recovery(&world)).await.map(drop).unwrap_err();
        assert_eq!(refused.code(), half.code_of_recovery(), "{half:?}, on a new machine: {refused}");
        assert_eq!(again.state(), ProfileState::Fresh);
        assert!(!again.dir().join("waxwing.db").exists(), "{half:?}: keys were made for nothing");
        let refused = alice.client.recover_here(words.clone().into()).await.map(drop).unwrap_err();
        assert_eq!(refused.code(), half.code_of_recovery(), "{half:?}, in place: {refused}");
        assert!(!alice.client.is_stopped());
        assert_eq!(state(&alice, &account).await, before, "{half:?}");
        world.stop_relay().await;
        assert_eq!(lies(&world, "alice").chain().unwrap(), shown, "{half:?}: something was signed behind it");
    }

    lies(&world, "alice").put(&honest).unwrap();
    world.start_relay().await;
    let bob = start(&bobs).await;
    let new = Client::recover(&again, recovery(&world)).await.unwrap();
    assert_eq!(new.keys().await.unwrap().history.len(), 4);
    new.stop().await;
    let client = alice.client.recover_here(words.into()).await.unwrap();
    let alice = Person { client, profile: alice.profile };
    assert_eq!(alice.client.keys().await.unwrap().history.len(), 5);
    until_notice(&bob, &direct, |notice| matches!(notice, Notice::Recovered { mine: false, .. })).await;
    alice.send(&direct, "whole again").await;
    bob.until_texts(&direct, &["whole again"]).await;
}
