//! Keys on a real relay: many rotations with messages in flight, what came of them, the history as a signed text, the phrase's check.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too

mod world;

use waxwing_client::{ErrorCode, KeyEvent, PhraseCheck, RotationOutcomeView, RotationSchedule};
use world::{Person, World, acquainted, introduce};

async fn outcome(person: &Person) -> RotationOutcomeView {
    person.client.keys().await.unwrap().outcome.unwrap()
}

/// Every text stands there, once; in which order is not asked.
async fn until_all(person: &Person, conversation: &str, texts: &[String]) {
    let mut wanted: Vec<_> = texts.to_vec();
    wanted.sort();
    person
        .until("all texts, each once", async |client| {
            let page = client.messages(conversation, None, 500).await.ok()?;
            let mut shown: Vec<_> =
                page.messages.into_iter().filter(|line| line.notice.is_none()).map(|line| line.text).collect();
            shown.sort();
            assert!(shown.len() <= wanted.len(), "something is shown twice: {shown:?}");
            (shown == wanted).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_rotations_in_a_row_with_messages_in_flight_both_ways() {
    let world = World::new().await;
    let (alice, bob, conversation) = acquainted(&world).await;
    let mut texts = Vec::new();
    for turn in 1..=20 {
        // On their way while the keys that they are sealed to, and signed by, are replaced.
        for (person, name) in [(&alice, "alice"), (&bob, "bob")] {
            let text = format!("{name} before {turn}");
            person.send(&conversation, &text).await;
            texts.push(text);
        }
        let view = alice.client.rotate_keys().await.unwrap();
        assert_eq!((view.version, view.rotation_problem), (turn + 1, None));
        for (person, name) in [(&alice, "alice"), (&bob, "bob")] {
            let text = format!("{name} after {turn}");
            person.send(&conversation, &text).await;
            texts.push(text);
        }
    }
    until_all(&alice, &conversation, &texts).await;
    until_all(&bob, &conversation, &texts).await;
    let done = alice
        .until("the new keys everywhere", async |client| {
            let last = client.keys().await.ok()?.outcome?;
            (last.updated == last.conversations).then_some(last)
        })
        .await;
    assert_eq!((done.version, done.scheduled, done.conversations, done.waiting), (21, false, 1, vec![]));
    // Erased with the next look after the keys, at a start at the latest: six versions are kept, the one in force among them.
    let alice = alice.restart().await;
    alice.until("few old keys", async |client| (client.keys().await.ok()?.old_versions_kept == 5).then_some(())).await;
    bob.send(&conversation, "and on").await;
    texts.push("and on".to_owned());
    until_all(&alice, &conversation, &texts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outcome_says_which_conversations_wait_and_why() {
    let mut world = World::new().await;
    let (alice, bob, conversation) = acquainted(&world).await;
    let cem = world.register("cem").await;
    let other = introduce(&alice, &cem).await;
    for id in [&conversation, &other] {
        alice.send(id, "hello").await;
    }
    bob.until_texts(&conversation, &["hello"]).await;
    cem.until_texts(&other, &["hello"]).await;
    assert_eq!(alice.client.keys().await.unwrap().outcome, None, "there was no rotation yet");
    let first = alice.client.rotate_keys().await.unwrap().outcome.unwrap();
    assert_eq!((first.version, first.conversations), (2, 2));
    let done = alice
        .until("both conversations", async |client| {
            let last = client.keys().await.ok()?.outcome?;
            (last.updated == 2).then_some(last)
        })
        .await;
    assert!(done.waiting.is_empty());
    // Without a relay nothing has happened yet, and the last outcome stands.
    world.stop_relay().await;
    let view = alice.client.rotate_keys().await.unwrap();
    assert!(view.rotating);
    assert_eq!(view.outcome, Some(done));
    let alice = alice.restart().await;
    assert_eq!(outcome(&alice).await.updated, 2);
    world.start_relay().await;
    alice.client.try_now();
    let last = alice
        .until("the second rotation", async |client| {
            let last = client.keys().await.ok()?.outcome?;
            (last.version == 3 && last.updated == 2).then_some(last)
        })
        .await;
    assert!(last.waiting.is_empty() && !last.scheduled);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_is_exported_and_checked_by_oneself_and_by_contacts() {
    let world = World::new().await;
    let (alice, bob, _) = acquainted(&world).await;
    alice.client.rotate_keys().await.unwrap();
    alice.client.rotate_keys().await.unwrap();
    let text = alice.client.export_key_log().await.unwrap();
    let view = alice.client.keys().await.unwrap();
    assert_eq!(
        view.history.iter().map(|item| (item.seq, item.what, item.version)).collect::<Vec<_>>(),
        [(2, KeyEvent::Rotated, Some(3)), (1, KeyEvent::Rotated, Some(2)), (0, KeyEvent::Created, Some(1))]
    );
    assert!(text.contains(&view.account_fingerprint) && text.contains(&view.fingerprint), "{text}");
    for item in &view.history {
        assert!(text.contains(&format!("  entry {}\n", item.hash)));
    }
    let mine = alice.client.check_key_log(&text).await.unwrap();
    assert_eq!((mine.mine, mine.entries, mine.newer, mine.version), (true, 3, 0, 3));
    // Bob may not have heard of the rotations yet: her relay is asked.
    let seen = bob.client.check_key_log(&text).await.unwrap();
    assert_eq!((seen.mine, seen.entries, seen.account_id.clone()), (false, 3, alice.account().await));
    assert_eq!(seen.address, format!("alice@{}", world.listen));
    // It holds for as long as the chain only grows.
    alice.client.rotate_keys().await.unwrap();
    assert_eq!(alice.client.check_key_log(&text).await.unwrap().newer, 1);
    assert_eq!(bob.client.key_history(&seen.account_id).await.unwrap().last().unwrap().what, KeyEvent::Created);

    let stranger = world.register("stranger").await;
    let code = async |person: &Person, text: &str| person.client.check_key_log(text).await.unwrap_err().code();
    assert_eq!(code(&stranger, &text).await, ErrorCode::KeyLogUnknown);
    assert_eq!(code(&bob, "").await, ErrorCode::NotAKeyLog);
    assert_eq!(code(&bob, &text[..text.len() / 2]).await, ErrorCode::KeyLogWrong);
    assert_eq!(code(&bob, &text.replace("Name: alice", "Name: bob")).await, ErrorCode::KeyLogWrong);
    assert_eq!(code(&bob, &text.replace("key log 1", "key log 2")).await, ErrorCode::UpdateNeeded);
    assert_eq!(alice.client.key_history("nobody").await.unwrap_err().code(), ErrorCode::NotFound);
    assert_eq!(alice.client.key_history(&"0".repeat(32)).await.unwrap_err().code(), ErrorCode::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_phrase_is_checked_before_and_after_it_is_confirmed() {
    let world = World::new().await;
    let (alice, bob) = tokio::join!(world.register("alice"), world.register("bob"));
    let words = alice.client.phrase_words().await.unwrap();
    let check = async |text: String| alice.client.check_phrase(text.into()).await.unwrap();
    assert_eq!(check(words.join(" ")).await, PhraseCheck::Right);
    let (first, second) = alice.client.phrase_challenge().await.unwrap();
    alice.client.phrase_confirm(&words[first as usize - 1], &words[second as usize - 1]).await.unwrap();
    assert_eq!(check(format!("  {}\n", words.join("\n").to_uppercase())).await, PhraseCheck::Right);
    alice.client.rotate_keys().await.unwrap();
    assert_eq!(check(words.join(" ")).await, PhraseCheck::Right, "it is the account's, and no device's");

    assert_eq!(check(String::new()).await, PhraseCheck::WordCount { words: 0 });
    assert_eq!(check(words[1..].join(" ")).await, PhraseCheck::WordCount { words: 23 });
    assert_eq!(check("zoo ".repeat(2000)).await, PhraseCheck::WordCount { words: 2000 });
    let mut unknown = words.clone();
    unknown[6] = "waxwing".to_owned();
    assert_eq!(check(unknown.join(" ")).await, PhraseCheck::UnknownWord { place: 7 });
    // The words of BIP 39's own first vector, with the last one wrong.
    assert_eq!(check(format!("{}zoo", "abandon ".repeat(23))).await, PhraseCheck::Checksum);
    let theirs = bob.client.phrase_words().await.unwrap();
    assert_eq!(check(theirs.join(" ")).await, PhraseCheck::OtherAccount);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schedule_survives_a_restart() {
    let world = World::new().await;
    let alice = world.register("alice").await;
    let view = alice.client.keys().await.unwrap();
    assert_eq!(view.schedule, RotationSchedule::Days30);
    let view = alice.client.set_rotation_schedule(RotationSchedule::Days7).await.unwrap();
    let day = 24.0 * 60.0 * 60.0 * 1000.0;
    let next = view.next_rotation_at.unwrap();
    assert!((next - view.since - 7.0 * day).abs() < 60_000.0, "{next} after {}", view.since);
    let alice = alice.restart().await;
    assert_eq!(alice.client.keys().await.unwrap().schedule, RotationSchedule::Days7);
    alice.until_online().await;
    assert_eq!(alice.client.keys().await.unwrap().version, 1, "nothing is due");
    let view = alice.client.set_rotation_schedule(RotationSchedule::Manual).await.unwrap();
    assert_eq!((view.schedule, view.next_rotation_at), (RotationSchedule::Manual, None));
}
