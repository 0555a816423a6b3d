//! Another account key, and shutting others out, interrupted wherever a relay can interrupt it (D2), and what they say of each conversation. Real
//! engines, a real relay, and somebody between them who loses what goes into chains. Where no relay has a part in it:
//! `engine::testing::account_changes` of the client.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too

mod world;

use waxwing_client::KeyEvent::{self, AccountKeyRotated, Rotated};
use waxwing_client::{AccountKeyOutcomeView, Event, KeysView, Notice, RotationWait};
use world::losing::{self, Fate, Losing};
use world::{Person, acquainted, introduce, start};

fn kinds(keys: &KeysView) -> Vec<KeyEvent> {
    keys.history.iter().map(|item| item.what).collect()
}

/// The quiet lines about another account key.
async fn told_of(person: &Person, conversation: &str) -> usize {
    let notices = person.notices(conversation).await;
    notices.iter().filter(|notice| matches!(notice, Notice::AccountKeyReplaced { .. })).count()
}

/// What is to come of it, newest first, and whether other keys of the device come, too.
struct Case {
    shuts_out: bool,
    /// So many appends get through.
    first: usize,
    fate: Fate,
    comes: &'static [KeyEvent],
}

const CASES: [Case; 6] = [
    // With nothing but the journal, and with an entry that the relay has taken without being heard.
    Case { shuts_out: false, first: 0, fate: Fate::Lost, comes: &[AccountKeyRotated] },
    Case { shuts_out: false, first: 0, fate: Fate::Unanswered, comes: &[AccountKeyRotated] },
    Case { shuts_out: true, first: 0, fate: Fate::Lost, comes: &[Rotated, AccountKeyRotated] },
    Case { shuts_out: true, first: 0, fate: Fate::Unanswered, comes: &[Rotated, AccountKeyRotated] },
    // Between the account key and the keys of the device, and after those.
    Case { shuts_out: true, first: 1, fate: Fate::Lost, comes: &[Rotated, AccountKeyRotated] },
    Case { shuts_out: true, first: 1, fate: Fate::Unanswered, comes: &[Rotated, AccountKeyRotated] },
];

/// Begins it, and goes down where it is lost.
async fn interrupted(alice: Person, losing: &Losing, case: &Case) -> Person {
    let before = alice.client.keys().await.unwrap();
    losing.loses(case.first, case.fate);
    let client = &alice.client;
    let begun = if case.shuts_out { client.shut_others_out().await } else { client.replace_account_key().await };
    let begun = begun.unwrap();
    assert!(losing.met() > 0, "nothing was lost");
    assert!(begun.rotating && begun.rotation_problem.is_some(), "it is said to be complete");
    assert_eq!(begun.account_fingerprint == before.account_fingerprint, case.first == 0);
    assert_eq!(begun.version, before.version);
    alice.client.stop().await;
    let dir = alice.profile.dir().to_owned();
    drop(alice);
    losing.is_mended();
    start(&dir).await
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_another_account_key_is_complete_exactly_once_wherever_it_was_interrupted() {
    let (world, losing) = losing::world().await;
    let (mut alice, bob, conversation) = acquainted(&world).await;
    let account = alice.account().await;
    let mut texts = Vec::new();
    for (turn, case) in CASES.iter().enumerate() {
        let before = alice.client.keys().await.unwrap();
        alice = interrupted(alice, &losing, case).await;
        let after =
            alice.until("the end of it", async |client| client.keys().await.ok().filter(|keys| !keys.rotating)).await;
        let whole = [case.comes, &kinds(&before)].concat();
        assert_eq!(kinds(&after), whole, "case {turn}");
        assert_ne!(after.account_fingerprint, before.account_fingerprint);
        assert_eq!(after.version, before.version + u32::from(case.shuts_out));
        assert_eq!(after.fingerprint != before.fingerprint, case.shuts_out);
        // Messages go on, both ways and in order, and the other side has seen the same chain and is told once.
        for (from, to) in [(&alice, &bob), (&bob, &alice)] {
            texts.push(format!("text {}", texts.len()));
            from.send(&conversation, texts.last().unwrap()).await;
            let wanted: Vec<_> = texts.iter().map(String::as_str).collect();
            to.until_texts(&conversation, &wanted).await;
        }
        let chain = bob
            .until("the whole chain", async |client| {
                client.key_history(&account).await.ok().filter(|history| history.len() >= whole.len())
            })
            .await;
        assert_eq!(chain.iter().map(|item| item.what).collect::<Vec<_>>(), whole, "case {turn}");
        bob.until("the quiet line", async |_| (told_of(&bob, &conversation).await > turn).then_some(())).await;
        // Another start finds nothing left to do.
        alice = alice.restart().await;
        alice.until_online().await;
        alice.client.sync().await.unwrap();
        let again = alice.client.keys().await.unwrap();
        assert_eq!((again.rotating, kinds(&again)), (false, whole), "case {turn}");
        assert_eq!((told_of(&bob, &conversation).await, told_of(&alice, &conversation).await), (turn + 1, turn + 1));
    }
    assert!(alice.client.transparency_log().await.unwrap().alarms.is_empty(), "an alarm about an own key");
}

async fn outcome(person: &Person) -> Option<AccountKeyOutcomeView> {
    person.client.keys().await.unwrap().account_outcome
}

/// Whether all conversations know the account key that was replaced last; what is told meanwhile goes together.
fn is_everywhere(outcome: &AccountKeyOutcomeView) -> bool {
    assert_eq!(outcome.conversations - outcome.updated, u32::try_from(outcome.waiting.len()).unwrap(), "{outcome:?}");
    outcome.updated == outcome.conversations
}

/// The relay takes the account key, and nothing that would tell a conversation of it; then it does.
#[tokio::test(flavor = "multi_thread")]
async fn each_conversation_is_said_to_wait_for_the_account_key_until_it_has_it() {
    let (world, losing) = losing::world().await;
    let (mut alice, bob, with_bob) = acquainted(&world).await;
    let cem = world.register("cem").await;
    let with_cem = introduce(&alice, &cem).await;
    for (other, id) in [(&bob, &with_bob), (&cem, &with_cem)] {
        alice.send(id, "hello").await;
        other.until_texts(id, &["hello"]).await;
    }
    assert_eq!(outcome(&alice).await, None, "it was never replaced");
    for shut_out in [false, true] {
        losing.loses_entries();
        let client = &alice.client;
        let view = if shut_out { client.shut_others_out().await } else { client.replace_account_key().await }.unwrap();
        assert!(!view.rotating, "{:?}", view.rotation_problem);
        let begun = view.account_outcome.unwrap();
        assert_eq!((begun.shut_out, begun.conversations, begun.updated), (shut_out, 2, 0));
        let mut waiting: Vec<_> = begun.waiting.iter().map(|one| one.conversation.clone()).collect();
        waiting.sort();
        let mut both = vec![with_bob.clone(), with_cem.clone()];
        both.sort();
        assert_eq!(waiting, both);
        assert!(begun.waiting.iter().all(|one| one.why == RotationWait::Sending && one.due.is_none()), "{begun:?}");
        // After a start it says the same.
        alice = alice.restart().await;
        let again = outcome(&alice).await.unwrap();
        assert_eq!((again.at, again.shut_out, again.updated, again.waiting.len()), (begun.at, shut_out, 0, 2));
        // Told as it gets on: no question is needed.
        let mut events = alice.client.events();
        losing.is_mended();
        alice.client.try_now();
        let told = async {
            loop {
                let Ok(Event::Keys { keys }) = events.recv().await else { continue };
                if keys.account_outcome.as_ref().is_some_and(is_everywhere) {
                    return keys;
                }
            }
        };
        let keys = tokio::time::timeout(world::PATIENCE, told).await.expect("what it has come to is told");
        assert_eq!(keys.account_outcome.map(|last| (last.shut_out, last.updated)), Some((shut_out, 2)));
        // Where shutting others out has replaced the device's keys, too, that is told beside it.
        assert_eq!(keys.outcome.is_some(), shut_out);
        alice = alice.restart().await;
        assert!(is_everywhere(&outcome(&alice).await.unwrap()), "after a start");
        for (other, id) in [(&bob, &with_bob), (&cem, &with_cem)] {
            other
                .until("the quiet line", async |_| (told_of(other, id).await > usize::from(shut_out)).then_some(()))
                .await;
        }
    }
}
