//! A relay that answers half a chain (P2): an entry in the middle, or the newest, is missing. Nobody is added by it, nobody's keys change,
//! and it is over with the first whole answer.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too

mod world;

use waxwing_client::{ErrorCode, Trust};
use waxwing_tests::lies::Lies;
use world::{Person, World, introduce, start};

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
            Self::HeldBack => ErrorCode::NotInLog,
        }
    }
}

fn lies(world: &World, name: &str) -> Lies {
    assert!(world.relay.is_none(), "the relay still runs");
    Lies::about(&world.dir.path().join("relay"), name).unwrap()
}

/// All that an answer of the relay might have changed.
async fn state(person: &Person, other: &str) -> impl PartialEq + std::fmt::Debug + use<> {
    let client = &person.client;
    let conversations = client.conversations().await.unwrap().into_iter();
    let conversations: Vec<_> = conversations.map(|one| (one.id, one.kind, one.standing, one.title)).collect();
    let contacts = client.contacts().await.unwrap().into_iter();
    let contacts: Vec<_> = contacts.map(|one| (one.account_id, one.address, one.trust)).collect();
    let keys = client.keys().await.unwrap();
    let theirs = client.key_history(other).await.map_err(|error| error.code());
    let theirs = theirs.map(|all| all.into_iter().map(|item| (item.seq, item.hash)).collect::<Vec<_>>());
    (conversations, contacts, (keys.version, keys.fingerprint, keys.history.len()), theirs)
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
    Half::MovedUp.tell(&lies(&world, "bob"), &honest);
    world.start_relay().await;
    let alice = start(&alices).await;
    let everybody = [&alice, &cem, &dan];
    let before = [state(&alice, &account).await, state(&cem, &account).await, state(&dan, &account).await];
    assert_eq!(alice.client.key_history(&account).await.unwrap().len(), 1);
    assert_eq!(dan.client.key_history(&account).await.unwrap().len(), 3);
    assert_eq!(cem.client.key_history(&account).await.unwrap_err().code(), ErrorCode::NotFound);

    for half in [Half::MovedUp, Half::Gap, Half::Short, Half::HeldBack] {
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
    assert_eq!(cem.client.add_contact(&link).await.unwrap().trust, Trust::Invite);
    let bob = start(&bobs).await;
    bob.client.accept_request(&conversation).await.unwrap();
    alice.send(&conversation, "whole again").await;
    bob.until_texts(&conversation, &["whole again"]).await;
}
