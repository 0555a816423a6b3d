//! The transparency log over HTTP (P17).

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::StatusCode;
use reqwest_websocket::{CloseCode, WebSocket};
use waxwing_relay::{Rate, StartError, start};
use waxwing_wire::api::Subscribe;
use waxwing_wire::frame::Push;
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::transparency::{SignedCheckpoint, Verdict, judge};

use crate::accounts::submit;
use crate::auditor::{Auditor, consistency, log_key};
use crate::kit::{Account, Kit, code};
use crate::subscribe::{ask_for, closed_with, connect, connect_as, push};

/// Entry, leaves and checkpoint agree, after registrations and rotations; every proof holds.
#[tokio::test]
async fn p17_entries_leaves_and_checkpoints_agree() {
    let kit = Kit::new().await;
    let mut auditor = Auditor::new(&kit.http).await;
    assert_eq!(auditor.checkpoint(&kit.http).await.checkpoint().size, 0);
    assert_eq!(auditor.check(&kit.http).await, []);
    let (mut alice, _bob) = (kit.account("alice").await, kit.account("bob").await);
    for _ in 0..3 {
        let rotation = alice.rotation();
        assert_eq!(submit(&kit, &alice, &rotation.0).await.status(), StatusCode::CREATED);
        auditor.checkpoint(&kit.http).await;
        // The answer was lost: asked again, nothing is appended, and nothing signed.
        assert_eq!(submit(&kit, &alice, &rotation.0).await.status(), StatusCode::CREATED);
        assert_eq!(auditor.checkpoint(&kit.http).await, auditor.served[auditor.served.len() - 2]);
        alice.adopt(rotation);
        alice.token = kit.http.token(&alice).await;
    }
    assert_eq!(kit.http.register(&alice).await.status(), StatusCode::CREATED);
    let leaves = auditor.check(&kit.http).await;
    assert_eq!(leaves.len(), 2 * 2 + 3);
    let by_name = auditor.chain(&kit.http, "alice", &leaves).await;
    assert_eq!((by_name.indexes.as_slice(), by_name.name_index), ([0, 4, 5, 6].as_slice(), Some(1)));
    assert_eq!(auditor.chain(&kit.http, &alice.id.to_string(), &leaves).await, by_name);
    assert_eq!(auditor.chain(&kit.http, "bob", &leaves).await.indexes, [2]);
    let tail: waxwing_wire::api::ChainPage =
        kit.http.get("/v1/accounts/alice/chain?from=2").await.json().await.unwrap();
    assert_eq!((tail.indexes.as_slice(), tail.name_index), ([5, 6].as_slice(), None));
    assert_eq!(auditor.verify(&tail.checkpoint.unwrap()).checkpoint().size, 7);
    auditor.check(&kit.http).await;
}

#[tokio::test]
async fn p17_a_restart_keeps_log_and_key() {
    let mut kit = Kit::new().await;
    kit.account("alice").await;
    let mut auditor = Auditor::new(&kit.http).await;
    let before = auditor.checkpoint(&kit.http).await;
    kit.restart().await;
    assert_eq!(log_key(&kit.http).await, auditor.key);
    // Signed anew at the start.
    let after = auditor.checkpoint(&kit.http).await;
    assert!(after.checkpoint().time_ms > before.checkpoint().time_ms);
    assert_eq!(after.checkpoint().root, before.checkpoint().root);
    kit.account("bob").await;
    let leaves = auditor.check(&kit.http).await;
    auditor.chain(&kit.http, "alice", &leaves).await;
    auditor.chain(&kit.http, "bob", &leaves).await;
}

/// A key that was lost is not replaced by itself, nor is a log taken along to another address: clients would see two histories.
#[tokio::test]
async fn p17_a_log_under_another_key_or_name_does_not_start() {
    let mut kit = Kit::new().await;
    kit.account("alice").await;
    let audience = kit.http.authority();
    kit.take().stop().await;
    let config = |audience: &str| {
        let mut config = waxwing_relay::Config::new("127.0.0.1:0".parse().unwrap(), kit.folder.path().to_owned());
        config.audience = Some(audience.to_owned());
        config
    };
    let refused = |result: Result<_, StartError>| match result {
        Err(StartError::Storage(error)) => error.to_string(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it started"),
    };
    assert!(refused(start(config("other.example")).await).contains("another key or address"));
    let key = kit.folder.path().join("log-key.json");
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    assert!(refused(start(config(&audience)).await).contains("restore log-key.json"));
    std::fs::write(&key, kept).unwrap();
    start(config(&audience)).await.unwrap().stop().await;
}

#[tokio::test]
async fn p17_registrations_at_once_give_one_line_of_checkpoints() {
    let kit = Kit::new().await;
    let here = kit.http.authority();
    let mut auditor = Auditor::new(&kit.http).await;
    let accounts: Vec<_> = (0..24).map(|n| Account::new(&format!("name-{}", n / 2), &here)).collect();
    let registered = join_all(accounts.iter().map(|account| kit.http.register(account)));
    let watching = async {
        for _ in 0..40 {
            auditor.checkpoint(&kit.http).await;
        }
        &mut auditor
    };
    let (answers, auditor) = futures_util::join!(registered, watching);
    // Each name was wanted by two.
    assert_eq!(answers.iter().filter(|answer| answer.status() == StatusCode::CREATED).count(), 12);
    let leaves = auditor.check(&kit.http).await;
    assert_eq!(leaves.len(), 24);
    for n in 0..12 {
        auditor.chain(&kit.http, &format!("name-{n}"), &leaves).await;
    }
    assert!(auditor.served.is_sorted_by_key(|served| (served.checkpoint().size, served.checkpoint().time_ms)));
}

/// A database from before the log: whoever asks first finds everything in it.
#[tokio::test]
async fn an_older_database_is_taken_into_the_log() {
    let mut kit = Kit::new().await;
    let (mut alice, _bob) = (kit.account("alice").await, kit.account("bob").await);
    let rotation = alice.rotation();
    assert_eq!(submit(&kit, &alice, &rotation.0).await.status(), StatusCode::CREATED);
    alice.adopt(rotation);
    kit.take().stop().await;
    kit.database()
        .execute_batch(
            "PRAGMA foreign_keys = OFF; DROP TABLE transparency_log; DROP TABLE chain_leaves; DROP TABLE name_leaves;
             DROP TABLE transparency_leaves; DROP TABLE transparency_nodes;
             DROP TABLE invitations; DROP TABLE disabled_accounts; DROP TABLE log_restorations; DROP TABLE probes;
             DROP INDEX logs_by_oldest_day; ALTER TABLE logs DROP COLUMN oldest_day;
             DROP INDEX inbox_entries_by_day; ALTER TABLE inbox_entries DROP COLUMN day;
             DROP INDEX inbox_ids_by_day; DROP INDEX spent_key_packages_by_day; DROP TABLE relay_keys;
             DROP TABLE decisions; DROP TABLE quotas; DROP TABLE shown; DROP TABLE calendar;
             DROP TABLE blobs_to_remove;
             PRAGMA user_version = 2;",
        )
        .unwrap();
    kit.start().await;
    let mut auditor = Auditor::new(&kit.http).await;
    let leaves = auditor.check(&kit.http).await;
    assert_eq!(leaves.len(), 5);
    let page = auditor.chain(&kit.http, "alice", &leaves).await;
    // By account, then in the order of the chain.
    assert_eq!((page.indexes.as_slice(), page.name_index), ([0, 2].as_slice(), Some(1)));
    let page = auditor.chain(&kit.http, "bob", &leaves).await;
    assert_eq!((page.indexes.as_slice(), page.name_index), ([3].as_slice(), Some(4)));
}

#[tokio::test]
async fn what_is_no_question_to_the_log() {
    let kit = Kit::new().await;
    for name in ["alice", "bob"] {
        kit.account(name).await;
    }
    for bad in [
        "leaves?from=5",
        "leaves?from=18446744073709551615",
        "leaves?from=-1",
        "leaves?from=x",
        "leaves?from=1&from=1",
        "proof",
        "proof?first=1",
        "proof?second=4",
        "proof?index=1",
        "proof?size=4",
        "proof?first=1&size=4",
        "proof?index=1&second=4",
        "proof?first=1&second=4&index=1&size=4",
        "proof?first=0&second=4",
        "proof?first=3&second=2",
        "proof?first=1&second=5",
        "proof?first=5&second=5",
        "proof?index=4&size=4",
        "proof?index=0&size=5",
        "proof?index=0&size=0",
        "proof?index=0&size=18446744073709551615",
        "proof?index=a&size=4",
        "proof?first=1&second=99999999999999999999",
    ] {
        let answer = kit.http.get(&format!("/v1/transparency/{bad}")).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{bad}");
        assert_eq!(code(answer).await, ProblemCode::BadRequest, "{bad}");
    }
    let end = kit.http.get("/v1/transparency/leaves?from=4").await;
    assert_eq!((end.status(), end.bytes().await.unwrap().len()), (StatusCode::OK, 0));
    assert_eq!(consistency(&kit.http, 4, 4).await, [[0; 32]; 0]);
    assert_eq!(kit.http.get("/v1/transparency/leaves").await.bytes().await.unwrap().len(), 4 * 69);
}

#[tokio::test]
async fn the_log_is_limited_by_address_like_look_ups() {
    let kit = Kit::with(|config| config.limits.lookup = Rate { per_minute: 1, burst: 3 }).await;
    for path in ["checkpoint", "leaves", "proof?first=0&second=0"] {
        assert_ne!(
            kit.http.get(&format!("/v1/transparency/{path}")).await.status(),
            StatusCode::TOO_MANY_REQUESTS,
            "{path}"
        );
    }
    for path in ["transparency/checkpoint", "transparency/leaves", "transparency/proof", "accounts/nobody/chain"] {
        assert_eq!(code(kit.http.get(&format!("/v1/{path}")).await).await, ProblemCode::RateLimited, "{path}");
    }
}

fn transparency() -> Subscribe {
    Subscribe { logs: Vec::new(), inbox: false, transparency: true }
}

async fn pushed(auditor: &Auditor, socket: &mut WebSocket) -> SignedCheckpoint {
    match push(socket).await {
        Push::Checkpoint { compact } => SignedCheckpoint::from_compact(&compact, &auditor.key).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn new_checkpoints_are_pushed_to_devices_that_ask() {
    let kit = Kit::new().await;
    let mut auditor = Auditor::new(&kit.http).await;
    let alice = kit.account("alice").await;
    let (mut asked, mut other) = (connect_as(&kit, &alice).await, connect_as(&kit, &alice).await);
    ask_for(&mut asked, &transparency()).await;
    ask_for(&mut other, &Subscribe { logs: Vec::new(), inbox: true, transparency: false }).await;
    assert_eq!((push(&mut asked).await, push(&mut other).await), (Push::Ready, Push::Ready));
    let before = auditor.checkpoint(&kit.http).await;
    kit.account("bob").await;
    let mut told = pushed(&auditor, &mut asked).await;
    if told == before {
        // Alice's own entry was told of late: after its answer, and after she had asked.
        told = pushed(&auditor, &mut asked).await;
    }
    assert_eq!(told, auditor.checkpoint(&kit.http).await);
    let path = consistency(&kit.http, 2, 4).await;
    assert_eq!(judge(&before, &told, &path), Ok(Verdict::Consistent));
    // Who did not ask is told nothing of it.
    ask_for(&mut other, &Subscribe { logs: Vec::new(), inbox: true, transparency: false }).await;
    assert_eq!(push(&mut other).await, Push::Ready);
    // An anonymous connection follows logs and says nothing more.
    let mut anonymous = connect(&kit).await;
    ask_for(&mut anonymous, &transparency()).await;
    assert_eq!(closed_with(&mut anonymous).await, CloseCode::Policy);
}

#[tokio::test]
async fn a_checkpoint_is_signed_anew_and_pushed_though_nothing_changed() {
    let kit = Kit::with(|config| config.checkpoint_every = Duration::from_millis(300)).await;
    let mut auditor = Auditor::new(&kit.http).await;
    let alice = kit.account("alice").await;
    let mut socket = connect_as(&kit, &alice).await;
    ask_for(&mut socket, &transparency()).await;
    assert_eq!(push(&mut socket).await, Push::Ready);
    let first = pushed(&auditor, &mut socket).await;
    let second = pushed(&auditor, &mut socket).await;
    assert!(first.checkpoint().time_ms < second.checkpoint().time_ms);
    assert_eq!(judge(&first, &second, &[]), Ok(Verdict::Consistent));
    auditor.served.extend([first, second]);
    auditor.check(&kit.http).await;
}
