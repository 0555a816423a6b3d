//! What one account can fill: so many logs a day, and a disk down to its reserve.

use reqwest::{Method, StatusCode};
use waxwing_wire::BlobId;
use waxwing_wire::problem::ProblemCode;

use crate::inboxes::{as_stranger, letter};
use crate::kit::{Kit, Log, app, code, handshake, problem};

/// A3: new logs are counted for each account.
#[tokio::test]
async fn a3_an_account_makes_so_many_logs_a_day() {
    let kit = Kit::with(|config| config.limits.logs_per_day = 3).await;
    let (alice, bob) = (kit.account("alice").await, kit.account("bob").await);
    for _ in 0..3 {
        kit.log(&alice).await;
    }
    let more = kit.http.authed(&alice, Method::POST, "/v1/logs").body(Log::new().create().encode());
    let refused = problem(more.send().await.unwrap()).await;
    assert_eq!(refused.code, ProblemCode::RateLimited);
    assert!(
        refused.retry_after.is_some_and(|seconds| (86_400 / 3 - 600..=86_400 / 3).contains(&seconds)),
        "{refused:?}"
    );
    kit.log(&bob).await;
}

/// A3: below the reserve no words and no blobs are taken; handshakes are, and all that reads or makes room.
#[tokio::test]
async fn a3_below_the_reserve_words_are_refused_and_nothing_else() {
    let mut kit = Kit::new().await;
    let (alice, bob) = (kit.account("alice").await, kit.account("bob").await);
    let log = kit.log(&alice).await;
    kit.http.stored(&log, &app(0, b"before")).await;
    assert_eq!(as_stranger(&kit, bob.device, &alice, &letter(b"before")).await.status(), StatusCode::CREATED);
    let (first, second) = (vec![1; 1000], vec![2; 1000]);
    let (one, other) = (BlobId::of(&first), BlobId::of(&second));
    let put = |kit: &Kit, id: BlobId, range: Option<&str>, body: Vec<u8>| {
        let request = kit.http.authed(&alice, Method::PUT, &format!("/v1/blobs/{id}")).body(body);
        range.iter().fold(request, |request, range| request.header("content-range", *range)).send()
    };
    assert_eq!(put(&kit, one, None, first.clone()).await.unwrap().status(), StatusCode::CREATED);
    kit.take().stop().await;
    kit.start_with(|config| config.limits.disk_reserve = u64::MAX).await;
    for refused in [
        kit.http.append(log.id, &log.write, &app(0, b"after")).await,
        as_stranger(&kit, bob.device, &alice, &letter(b"after")).await,
        put(&kit, other, None, second.clone()).await.unwrap(),
        put(&kit, other, Some("bytes 0-999/1000"), second.clone()).await.unwrap(),
    ] {
        assert_eq!(refused.status(), StatusCode::INSUFFICIENT_STORAGE);
        assert_eq!(code(refused).await, ProblemCode::InsufficientStorage);
    }
    assert_eq!(kit.http.stored(&log, &handshake(0, None)).await, 2);
    assert_eq!(kit.http.page(&log, 0).await.entries.len(), 2);
    let ack = kit.http.authed(&bob, Method::POST, &format!("/v1/inboxes/{}/ack", bob.device));
    let ack = ack.json(&waxwing_wire::api::Ack { up_to: 1 }).send().await.unwrap();
    assert_eq!(ack.status(), StatusCode::NO_CONTENT);
    kit.account("carol").await;
    // Those that are there can be fetched, and how much there is of one is told.
    let fetched = kit.http.get(&format!("/v1/blobs/{one}")).await;
    assert_eq!(fetched.bytes().await.unwrap(), first);
    assert_eq!(put(&kit, other, Some("bytes */1000"), Vec::new()).await.unwrap().status(), StatusCode::ACCEPTED);
    // With room again all goes on.
    kit.restart().await;
    assert_eq!(put(&kit, other, None, second).await.unwrap().status(), StatusCode::CREATED);
    assert_eq!(kit.http.stored(&log, &app(2, b"after")).await, 3);
}
