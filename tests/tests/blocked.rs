//! Who is blocked stays so after their conversation is deleted, and is taken in again from the list of them: on real engines and a real
//! relay, and on a terminal.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too

mod terminal;
mod world;

use terminal::Terminal;
use waxwing_client::{BlockedView, ErrorCode, Event, Standing};
use waxwing_tests::relay::RelayProcess;
use world::{Person, World, introduce};

/// The only one who is blocked.
async fn only(person: &Person) -> BlockedView {
    let blocked = person.client.blocked().await.unwrap();
    assert_eq!(blocked.len(), 1, "{blocked:?}");
    blocked.into_iter().next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn d15_whoever_is_blocked_is_taken_in_again_after_the_conversation_was_deleted() {
    let world = World::new().await;
    let (ada, bea) = tokio::join!(world.register("ada"), world.register("bea"));
    let id = introduce(&ada, &bea).await;
    ada.send(&id, "one").await;
    bea.until_texts(&id, &["one"]).await;
    assert_eq!(bea.client.blocked().await.unwrap(), []);
    bea.client.set_blocked(&id, true).await.unwrap();
    bea.client.delete_conversation(&id).await.unwrap();

    let bea = bea.restart().await;
    let found = only(&bea).await;
    assert_eq!((&found.account_id, &found.address), (&ada.account().await, &format!("ada@{}", world.address())));
    let at = ada.history(&id).await.last().unwrap().at;
    assert!(found.since.is_some_and(|since| (since - at).abs() < 300_000.0), "{found:?}, said at {at}");
    assert_eq!(bea.client.contacts().await.unwrap(), []);
    ada.send(&id, "two").await;
    // Nor do changes of the group: hers, and one's own.
    for person in [&ada, &bea] {
        person.client.rotate_keys().await.unwrap();
        person
            .until("the new keys in the conversation", async |client| {
                let outcome = client.keys().await.ok()?.outcome?;
                (outcome.conversations == 1 && outcome.updated == 1).then_some(())
            })
            .await;
    }
    bea.client.sync().await.unwrap();
    assert_eq!(bea.client.conversations().await.unwrap(), [], "who is blocked brings nothing back");

    let free = bea.client.unblock(&found.account_id).await.unwrap();
    assert_eq!(bea.client.blocked().await.unwrap(), []);
    assert_eq!(bea.client.contacts().await.unwrap(), [free]);
    // Twice is once, and nobody is known by another id.
    bea.client.unblock(&found.account_id).await.unwrap();
    for nobody in ["0".repeat(32), "no id".to_owned()] {
        assert_eq!(bea.client.unblock(&nobody).await.unwrap_err().code(), ErrorCode::NotFound);
    }
    assert_eq!(bea.client.conversations().await.unwrap(), [], "it comes back with the next message");
    ada.send(&id, "three").await;
    bea.until_texts(&id, &["three"]).await;
    bea.send(&id, "four").await;
    ada.until_texts(&id, &["one", "two", "three", "four"]).await;
}

/// There is a conversation still, and another that had nothing to do with the blocking: both say how it is now.
#[tokio::test(flavor = "multi_thread")]
async fn all_conversations_tell_that_somebody_is_blocked_and_is_not_any_more() {
    let world = World::new().await;
    let (ada, bea) = tokio::join!(world.register("ada"), world.register("bea"));
    let direct = introduce(&ada, &bea).await;
    let group = ada.client.create_group("Noise", &[bea.account().await]).await.unwrap().id;
    bea.until("the group", async |client| client.conversation(&group).await.ok().map(drop)).await;
    bea.client.leave_group(&group).await.unwrap();
    let mut events = bea.client.events();
    let mut told = async |blocked: bool| {
        let mut waiting = vec![&direct, &group];
        while !waiting.is_empty() {
            if let Event::Conversation { conversation } = events.recv().await.unwrap()
                && conversation.blocked == blocked
            {
                waiting.retain(|id| **id != conversation.id);
            }
        }
    };
    let minute = std::time::Duration::from_secs(60);
    bea.client.set_blocked(&direct, true).await.unwrap();
    tokio::time::timeout(minute, told(true)).await.unwrap();
    bea.client.unblock(&only(&bea).await.account_id).await.unwrap();
    tokio::time::timeout(minute, told(false)).await.unwrap();
}

/// The group goes altogether when it is deleted, and there was never a conversation with whoever is blocked.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_blocked_from_a_group_that_is_gone_is_taken_in_again() {
    let world = World::new().await;
    let (ada, bea) = tokio::join!(world.register("ada"), world.register("bea"));
    let link = ada.client.invite().await.unwrap().link;
    bea.client.add_contact(&link).await.unwrap();
    let group = bea.client.create_group("Noise", &[ada.account().await]).await.unwrap().id;
    let seen = ada.until("the group", async |client| client.conversation(&group).await.ok()).await;
    assert_eq!(seen.standing, Standing::Request);
    ada.client.set_blocked(&group, true).await.unwrap();
    ada.client.delete_conversation(&group).await.unwrap();
    assert_eq!(ada.client.conversation(&group).await.unwrap_err().code(), ErrorCode::NotFound);

    let found = only(&ada).await;
    assert_eq!(found.account_id, bea.account().await);
    ada.client.unblock(&found.account_id).await.unwrap();
    let more = bea.client.create_group("More noise", &[ada.account().await]).await.unwrap().id;
    let seen = ada.until("another group", async |client| client.conversation(&more).await.ok()).await;
    assert_eq!((seen.standing, seen.blocked), (Standing::Request, false));
}

#[test]
fn a_terminal_lists_who_is_blocked_and_unblocks_them() {
    let relay = RelayProcess::start().unwrap();
    let [ada, bea] = ["ada", "bea"].map(|name| Terminal::register(&relay, name, &[]));
    bea.run(&["add", &ada.address]);
    ada.run(&["accept", "bea"]);
    assert_eq!(ada.asides(&["blocked"]), "Nobody is blocked.\n");
    assert!(ada.run(&["blocked"]).is_empty());
    ada.run(&["block", "bea"]);
    assert!(ada.says(&["delete", "bea"]).contains("`waxwing-cli blocked` lists them"));
    assert!(ada.run(&["list"]).is_empty());

    let found = ada.run(&["blocked"]);
    assert_eq!((found.len(), &found[0]["address"]), (1, &bea.address.as_str().into()));
    assert!(found[0]["since"].as_f64().is_some_and(|since| since > 0.0));
    let line = ada.says(&["blocked"]);
    assert!(line.starts_with(&format!("{}  bea  (since 2", bea.address)), "{line}");
    ada.fails(&["unblock", "cem"], "notFound", "There is no conversation with cem.");
    assert_eq!(ada.says(&["unblock", "bea"]), format!("{} is not blocked.\n", bea.address));
    assert!(ada.run(&["blocked"]).is_empty());
    bea.run(&["send", "ada", "here again"]);
    let read = ada.run(&["read", "bea"]);
    assert!(read.iter().any(|line| line["text"] == "here again"), "{read:?}");
}
