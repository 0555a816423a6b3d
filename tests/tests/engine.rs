//! The engine against a real relay, without windows: two people on one machine.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too

mod world;

use std::path::Path;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use waxwing_client::{
    Client, Connection, ErrorCode, Event, KeyEvent, MessageState, MessageView, Notice, Profile, ProfileState,
    Registration, Trust, check_relay, new_message_id,
};
use waxwing_relay::Tls;
use world::losing::{self, Fate};
use world::{PASSPHRASE, World, acquainted};

#[tokio::test(flavor = "multi_thread")]
async fn two_people_chat_both_ways_by_invite_link() {
    let world = World::new().await;
    let (alice, bob, conversation) = acquainted(&world).await;
    alice.send(&conversation, "Hello, Bob").await;
    bob.until_texts(&conversation, &["Hello, Bob"]).await;
    bob.send(&conversation, "Hello, Alice\nhow are you? 🐦").await;
    let expected = ["Hello, Bob", "Hello, Alice\nhow are you? 🐦"];
    alice.until_texts(&conversation, &expected).await;
    bob.until_texts(&conversation, &expected).await;

    let seen = bob.client.conversation(&conversation).await.unwrap();
    assert_eq!((seen.title.as_str(), seen.trust, seen.unread), ("alice the Bird", Trust::FirstUse, 1));
    let last = bob.history(&conversation).await;
    let read = bob.client.mark_read(&conversation, last.last().unwrap().order).await.unwrap();
    assert_eq!(read.unread, 0);
    // Bob told his name with his first words, not before.
    alice
        .until("Bob's name", async |client| {
            let view = client.conversation(&conversation).await.ok()?;
            (view.title == "bob the Bird").then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_address_and_with_oneself() {
    let world = World::new().await;
    let (alice, bob) = tokio::join!(world.register("alice"), world.register("bob"));
    let conversation = alice.client.add_contact(&format!(" bob@{} ", world.listen)).await.unwrap();
    assert_eq!((conversation.trust, conversation.title.as_str()), (Trust::FirstUse, "bob"));
    alice.send(&conversation.id, "by address").await;
    bob.until_texts(&conversation.id, &["by address"]).await;

    let note = alice.client.note_to_self().await.unwrap();
    alice.send(&note.id, "buy seeds").await;
    alice.until_texts(&note.id, &["buy seeds"]).await;
    assert_eq!(alice.client.note_to_self().await.unwrap().id, note.id);
    assert_eq!(alice.client.conversations().await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_start_at_once_and_share_one_conversation() {
    let world = World::new().await;
    let (alice, bob) = tokio::join!(world.register("alice"), world.register("bob"));
    let (to_bob, to_alice) = (format!("bob@{}", world.listen), format!("alice@{}", world.listen));
    let (a, b) = tokio::join!(alice.client.add_contact(&to_bob), bob.client.add_contact(&to_alice));
    let id = a.unwrap().id;
    assert_eq!(id, b.unwrap().id);
    tokio::join!(alice.send(&id, "from Alice"), bob.send(&id, "from Bob"));
    for person in [&alice, &bob] {
        person
            .until("both texts", async |client| {
                let page = client.messages(&id, None, 50).await.ok()?;
                let mut texts: Vec<_> = page.messages.iter().filter(|line| line.notice.is_none()).collect();
                texts.sort_by(|a, b| a.text.cmp(&b.text));
                let texts: Vec<_> = texts.iter().map(|line| line.text.as_str()).collect();
                (texts == ["from Alice", "from Bob"]).then_some(())
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn history_identity_and_drafts_survive_a_restart() {
    let world = World::new().await;
    let (alice, bob, conversation) = acquainted(&world).await;
    alice.send(&conversation, "before").await;
    bob.until_texts(&conversation, &["before"]).await;
    bob.client.set_draft(&conversation, "half a thou").await.unwrap();
    let before = bob.client.profile().await.unwrap();
    let bob = bob.restart().await;
    assert_eq!(bob.client.profile().await.unwrap(), before);
    assert_eq!(bob.texts(&conversation).await, ["before"]);
    assert_eq!(bob.client.conversation(&conversation).await.unwrap().draft, "half a thou");
    alice.send(&conversation, "after").await;
    bob.until_texts(&conversation, &["before", "after"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d4_what_is_sent_offline_arrives_once() {
    let mut world = World::new().await;
    let (alice, bob, conversation) = acquainted(&world).await;
    alice.until_online().await;
    world.stop_relay().await;
    alice
        .until("the outage", async |client| matches!(client.connection(), Connection::Offline { .. }).then_some(()))
        .await;
    for text in ["one", "two", "three"] {
        alice.send(&conversation, text).await;
    }
    assert!(
        alice
            .history(&conversation)
            .await
            .iter()
            .filter(|line| line.notice.is_none())
            .all(|line| line.state == MessageState::Sending)
    );
    // It also survives the end of the program meanwhile.
    let alice = alice.restart().await;
    world.start_relay().await;
    alice.client.try_now();
    bob.client.try_now();
    bob.until_texts(&conversation, &["one", "two", "three"]).await;
    alice.until_texts(&conversation, &["one", "two", "three"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rotation_replaces_every_key_and_the_chat_goes_on() {
    let world = World::new().await;
    let (alice, bob, conversation) = acquainted(&world).await;
    alice.send(&conversation, "old keys").await;
    bob.until_texts(&conversation, &["old keys"]).await;
    let before = bob.client.keys().await.unwrap();
    // A message sealed to the old keys, on the wire while they are replaced.
    alice.send(&conversation, "in flight").await;
    let after = bob.client.rotate_keys().await.unwrap();
    assert_eq!((before.version, after.version, after.rotating, after.rotation_problem.clone()), (1, 2, false, None));
    assert_ne!(before.fingerprint, after.fingerprint);
    assert_eq!(before.account_fingerprint, after.account_fingerprint);
    assert_eq!(after.history.iter().map(|item| item.what).collect::<Vec<_>>(), [KeyEvent::Rotated, KeyEvent::Created]);
    assert_eq!(after.old_versions_kept, 1);
    bob.send(&conversation, "new keys").await;
    alice.until_texts(&conversation, &["old keys", "in flight", "new keys"]).await;
    alice.send(&conversation, "to the new keys").await;
    bob.until_texts(&conversation, &["old keys", "in flight", "new keys", "to the new keys"]).await;
    let notices = |lines: Vec<MessageView>| {
        lines
            .into_iter()
            .filter_map(|line| line.notice)
            .filter(|notice| matches!(notice, Notice::KeysRotated { .. }))
            .collect::<Vec<_>>()
    };
    let seen = notices(alice.history(&conversation).await);
    assert_eq!(seen, [Notice::KeysRotated { name: "bob the Bird".to_owned(), version: 2, mine: false }]);
    assert_eq!(notices(bob.history(&conversation).await).len(), 1);
    // And again, across a restart.
    let bob = bob.restart().await;
    assert_eq!(bob.client.keys().await.unwrap().version, 2);
    bob.client.rotate_keys().await.unwrap();
    bob.send(&conversation, "third").await;
    alice
        .until("the third version", async |client| {
            client.messages(&conversation, None, 50).await.ok()?.messages.into_iter().find(|line| line.text == "third")
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_without_a_relay_goes_on_when_it_is_back() {
    let mut world = World::new().await;
    let (alice, bob, conversation) = acquainted(&world).await;
    world.stop_relay().await;
    let view = bob.client.rotate_keys().await.unwrap();
    assert_eq!((view.version, view.rotating), (1, true));
    assert_eq!(view.rotation_problem.map(|problem| problem.code), Some(ErrorCode::RelayDown));
    let bob = bob.restart().await;
    assert!(bob.client.keys().await.unwrap().rotating);
    world.start_relay().await;
    bob.client.try_now();
    bob.until("version 2", async |client| client.keys().await.ok().filter(|keys| keys.version == 2 && !keys.rotating))
        .await;
    alice.client.try_now();
    bob.send(&conversation, "rotated").await;
    alice.until_texts(&conversation, &["rotated"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_a_rotation_whose_answer_was_lost_locks_nobody_out() {
    let (world, losing) = losing::world().await;
    let (alice, bob, conversation) = acquainted(&world).await;
    losing.loses(0, Fate::Unanswered);
    let view = bob.client.rotate_keys().await.unwrap();
    assert_eq!(losing.met(), 1, "the append went through the proxy");
    // The relay knows only the new keys by now; this device still has the old ones in force, and no token after a restart.
    assert_eq!((view.version, view.rotating), (1, true));
    losing.is_mended();
    let bob = bob.restart().await;
    bob.until("version 2", async |client| client.keys().await.ok().filter(|keys| keys.version == 2 && !keys.rotating))
        .await;
    bob.until_online().await;
    bob.send(&conversation, "still here").await;
    alice.until_texts(&conversation, &["still here"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recovery_phrase_is_kept_until_it_is_confirmed() {
    let world = World::new().await;
    let alice = world.register("alice").await;
    let words = alice.client.phrase_words().await.unwrap();
    let (first, second) = alice.client.phrase_challenge().await.unwrap();
    let word = |place: u32| words[place as usize - 1].clone();
    assert_eq!(words.len(), 24);
    let wrong = alice.client.phrase_confirm(&word(second), &word(first)).await;
    assert!(word(first) == word(second) || wrong.unwrap_err().code() == ErrorCode::WrongWords);
    let alice = alice.restart().await;
    assert_eq!(alice.client.phrase_words().await.unwrap(), words);
    let profile =
        alice.client.phrase_confirm(&format!(" {}", word(first).to_uppercase()), &word(second)).await.unwrap();
    assert!(profile.phrase_confirmed);
    assert_eq!(alice.client.phrase_words().await.unwrap_err().code(), ErrorCode::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_self_signed_relay_is_pinned_and_another_is_refused() {
    let world = World::with_tls(Tls::SelfSigned).await;
    let (alice, bob, conversation) = acquainted(&world).await;
    alice.send(&conversation, "over TLS").await;
    bob.until_texts(&conversation, &["over TLS"]).await;
    let code =
        |result: Result<_, waxwing_client::Error>| result.map(|_: waxwing_client::RelayView| ()).unwrap_err().code();
    assert_eq!(
        code(check_relay(world.dir.path(), &format!("{}#{}", world.listen, "00".repeat(32))).await),
        ErrorCode::WrongCertificate
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_a_typed_error_and_changes_nothing() {
    let mut world = World::new().await;
    let (alice, bob, conversation) = acquainted(&world).await;
    let count = alice.client.conversations().await.unwrap().len();
    for (input, code) in [
        ("", ErrorCode::InvalidLink),
        ("hello", ErrorCode::InvalidLink),
        ("https://example.org/i#AAAA", ErrorCode::InvalidLink),
        ("Bob@host", ErrorCode::InvalidLink),
        (&format!("nobody@{}", world.listen), ErrorCode::UnknownUser),
        ("bob@elsewhere.example", ErrorCode::OtherRelay),
        (&format!("alice@{}", world.listen), ErrorCode::OwnLink),
        (&alice.client.invite().await.unwrap().link, ErrorCode::OwnLink),
    ] {
        assert_eq!(alice.client.add_contact(input).await.unwrap_err().code(), code, "{input}");
    }
    let link = bob.client.invite().await.unwrap().link;
    assert_eq!(alice.client.add_contact(&link[..link.len() - 3]).await.unwrap_err().code(), ErrorCode::InvalidLink);
    assert_eq!(alice.client.conversations().await.unwrap().len(), count);

    let send =
        async |id: &str, text: &str| alice.client.send(&conversation, id, text).await.map(|_| ()).unwrap_err().code();
    assert_eq!(send(&new_message_id(), " \n").await, ErrorCode::Empty);
    assert_eq!(send(&new_message_id(), &"x".repeat(64 * 1024 + 1)).await, ErrorCode::TooLong);
    assert_eq!(send("nonsense", "x").await, ErrorCode::NotFound);
    assert_eq!(
        alice.client.send(&"00".repeat(32), &new_message_id(), "x").await.unwrap_err().code(),
        ErrorCode::NotFound
    );
    alice.send(&conversation, &"é".repeat(32 * 1024)).await;
    bob.until_texts(&conversation, &[&"é".repeat(32 * 1024)]).await;

    let fresh = Profile::open(&world.dir.path().join("fresh")).unwrap();
    let register = async |registration: Registration| match Client::register(&fresh, registration).await {
        Ok(_) => panic!("registered"),
        Err(error) => error.code(),
    };
    let address = world.address();
    let wrong = |change: &dyn Fn(&mut Registration)| {
        let mut registration = Registration {
            username: "carol".to_owned(),
            display_name: String::new(),
            relay: address.clone(),
            passphrase: Some(PASSPHRASE.to_owned().into()),
            invitation: None,
        };
        change(&mut registration);
        registration
    };
    assert_eq!(register(wrong(&|r| r.username = "Carol!".to_owned())).await, ErrorCode::InvalidName);
    assert_eq!(register(wrong(&|r| r.username = "alice".to_owned())).await, ErrorCode::NameTaken);
    assert_eq!(register(wrong(&|r| r.display_name = "x".repeat(200))).await, ErrorCode::InvalidDisplayName);
    assert_eq!(register(wrong(&|r| r.relay = "not an address".to_owned())).await, ErrorCode::InvalidAddress);
    assert_eq!(register(wrong(&|r| r.passphrase = Some("short".to_owned().into()))).await, ErrorCode::WeakPassphrase);
    world.stop_relay().await;
    assert_eq!(register(wrong(&|_| ())).await, ErrorCode::RelayDown);
    assert_eq!(fresh.state(), ProfileState::Fresh);
    world.start_relay().await;
    let carol = Client::register(&fresh, world.registration("carol")).await.unwrap();
    assert!(carol.profile().await.unwrap().address.starts_with("carol@"));
    assert_eq!(register(wrong(&|_| ())).await, ErrorCode::AlreadyRegistered);
}

#[tokio::test(flavor = "multi_thread")]
async fn something_else_at_the_address_is_not_a_relay() {
    let _world = World::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 1024];
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi").await;
        }
    });
    assert_eq!(check_relay(Path::new("nowhere"), &address.to_string()).await.unwrap_err().code(), ErrorCode::NotARelay);
    server.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn d12_wrong_passphrase_and_lost_files_open_nothing_and_destroy_nothing() {
    let world = World::new().await;
    let alice = world.register("alice").await;
    let dir = alice.profile.dir().to_owned();
    alice.client.stop().await;
    drop(alice);
    let opened = async |passphrase: Option<&str>| {
        let profile = loop {
            match Profile::open(&dir) {
                Ok(profile) => break profile,
                Err(error) => assert_eq!(error.code(), ErrorCode::AlreadyRunning),
            }
            tokio::task::yield_now().await;
        };
        let passphrase = passphrase.map(|text| text.to_owned().into());
        match Client::start(&profile, passphrase).await {
            Ok(client) => {
                client.stop().await;
                None
            }
            Err(error) => Some(error.code()),
        }
    };
    assert_eq!(opened(None).await, Some(ErrorCode::WrongPassphrase));
    assert_eq!(opened(Some("another passphrase")).await, Some(ErrorCode::WrongPassphrase));
    let rename = |from: &str, to: &str| std::fs::rename(dir.join(from), dir.join(to)).unwrap();
    rename("keystore.sealed", "aside");
    assert_eq!(opened(Some(PASSPHRASE)).await, Some(ErrorCode::KeychainChanged));
    rename("aside", "keystore.sealed");
    rename("waxwing.db", "aside");
    assert_eq!(opened(Some(PASSPHRASE)).await, Some(ErrorCode::DatabaseDamaged));
    assert!(!dir.join("waxwing.db").exists());
    std::fs::write(dir.join("waxwing.db"), vec![7; 8192]).unwrap();
    assert_eq!(opened(Some(PASSPHRASE)).await, Some(ErrorCode::DatabaseDamaged));
    rename("aside", "waxwing.db");
    assert_eq!(opened(Some(PASSPHRASE)).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn d13_deleted_messages_stay_deleted_and_events_tell() {
    let world = World::new().await;
    let (alice, bob, conversation) = acquainted(&world).await;
    let mut events = bob.client.events();
    alice.send(&conversation, "regretted").await;
    bob.until_texts(&conversation, &["regretted"]).await;
    let id = bob.history(&conversation).await.into_iter().find(|line| line.notice.is_none()).unwrap().id;
    bob.client.delete(&id).await.unwrap();
    let bob = bob.restart().await;
    assert!(bob.texts(&conversation).await.is_empty());
    let mut arrived = 0;
    while let Ok(event) = events.try_recv() {
        match event {
            Event::Message { message, arrived: true } => {
                assert_eq!(message.text, "regretted");
                arrived += 1;
            }
            Event::MessageDeleted { id: deleted, .. } => assert_eq!(deleted, id),
            _ => {}
        }
    }
    assert_eq!(arrived, 1);
}
