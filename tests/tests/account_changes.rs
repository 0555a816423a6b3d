//! Another account key, and shutting others out, interrupted wherever a relay can interrupt it (D2). Real engines, a real relay, and somebody
//! between them who loses what goes into chains. Where no relay has a part in it: `engine::testing::account_changes` of the client.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too

mod world;

use waxwing_client::KeyEvent::{self, AccountKeyRotated, Rotated};
use waxwing_client::{KeysView, Notice};
use world::losing::{self, Fate, Losing};
use world::{Person, acquainted, start};

fn kinds(keys: &KeysView) -> Vec<KeyEvent> {
    keys.history.iter().map(|item| item.what).collect()
}

/// The quiet lines about another account key.
async fn told(person: &Person, conversation: &str) -> usize {
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
        bob.until("the quiet line", async |_| (told(&bob, &conversation).await > turn).then_some(())).await;
        // Another start finds nothing left to do.
        alice = alice.restart().await;
        alice.until_online().await;
        alice.client.sync().await.unwrap();
        let again = alice.client.keys().await.unwrap();
        assert_eq!((again.rotating, kinds(&again)), (false, whole), "case {turn}");
        assert_eq!((told(&bob, &conversation).await, told(&alice, &conversation).await), (turn + 1, turn + 1));
    }
    assert!(alice.client.transparency_log().await.unwrap().alarms.is_empty(), "an alarm about an own key");
}
