//! Registration, look-ups, chains.

use reqwest::{Method, Response, StatusCode};
use waxwing_relay::Rate;
use waxwing_wire::api::{ChainPage, EntryAccepted, EntryBytes, SubmitEntry};
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::{AccountId, DeviceId, VerifiedChain};

use crate::kit::{Account, Kit, code, problem, random};

async fn chain(kit: &Kit, who: &str) -> ChainPage {
    let answer = kit.http.get(&format!("/v1/accounts/{who}/chain")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    answer.json().await.unwrap()
}

/// Appends to an account's chain.
pub async fn submit(kit: &Kit, account: &Account, entry: &[u8]) -> Response {
    let body = SubmitEntry { entry: EntryBytes(entry.to_vec()) };
    kit.http
        .authed(account, Method::POST, &format!("/v1/accounts/{}/chain", account.id))
        .json(&body)
        .send()
        .await
        .unwrap()
}

#[tokio::test]
async fn register_and_look_up_by_name_and_id() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    for who in ["alice".to_owned(), alice.id.to_string()] {
        let page = chain(&kit, &who).await;
        assert_eq!((page.account, page.head), (alice.id, 0));
        assert_eq!(page.name.unwrap().as_str(), "alice");
        assert_eq!(VerifiedChain::verify(&page.entries).unwrap().account(), alice.id);
    }
    // The same bytes again: the answer may have been lost.
    let again = kit.http.register(&alice).await;
    assert_eq!(again.status(), StatusCode::CREATED);
    assert_eq!(again.json::<EntryAccepted>().await.unwrap(), EntryAccepted { account: alice.id, seq: 0 });
}

#[tokio::test]
async fn a_name_of_32_hexadecimal_digits_is_found() {
    let kit = Kit::new().await;
    let name = "0123456789abcdef0123456789abcdef";
    let alice = kit.account(name).await;
    assert_eq!(chain(&kit, name).await.account, alice.id);
    // An account whose id looks like that name comes first: ids are never ambiguous.
    let id = name.parse().unwrap();
    let bob = Account::made(Some("bob"), &kit.http.authority(), id, DeviceId::from_bytes(random()));
    assert_eq!(kit.http.register(&bob).await.status(), StatusCode::CREATED);
    assert_eq!(chain(&kit, name).await.account, id);
}

#[tokio::test]
async fn registration_refuses_what_is_taken_or_broken() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let here = kit.http.authority();
    let fresh = || (AccountId::from_bytes(random()), DeviceId::from_bytes(random()));
    let (id, device) = fresh();
    for (account, expected) in [
        (Account::new("alice", &here), ProblemCode::NameTaken),
        (Account::made(Some("eve"), &here, alice.id, device), ProblemCode::AccountExists),
        (Account::made(Some("eve"), &here, id, alice.device), ProblemCode::AccountExists),
        (Account::made(None, &here, id, device), ProblemCode::InvalidEntry),
        (Account::new("eve", "elsewhere.example"), ProblemCode::InvalidEntry),
    ] {
        assert_eq!(code(kit.http.register(&account).await).await, expected);
    }
    let mut forged = Account::new("eve", &here);
    *forged.chain[0].last_mut().unwrap() ^= 1;
    assert_eq!(code(kit.http.register(&forged).await).await, ProblemCode::InvalidEntry);
    let post = |body: Vec<u8>| kit.http.request(Method::POST, "/v1/accounts").body(body).send();
    for garbage in [
        b"".to_vec(),
        b"{}".to_vec(),
        b"\xff\xff".to_vec(),
        br#"{"entry":"!"}"#.to_vec(),
        br#"{"entry":"","more":1}"#.to_vec(),
    ] {
        assert_eq!(code(post(garbage).await.unwrap()).await, ProblemCode::BadRequest);
    }
    assert_eq!(code(post(vec![b' '; 100_000]).await.unwrap()).await, ProblemCode::TooLarge);
    assert_eq!(code(post(br#"{"entry":""}"#.to_vec()).await.unwrap()).await, ProblemCode::InvalidEntry);
    assert_eq!(kit.http.get("/v1/accounts/eve/chain").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn of_two_at_once_one_gets_the_name() {
    let kit = Kit::new().await;
    let here = kit.http.authority();
    let accounts: Vec<_> = (0..8).map(|_| Account::new("alice", &here)).collect();
    let answers = futures_util::future::join_all(accounts.iter().map(|account| kit.http.register(account))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status() == StatusCode::CREATED).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status() == StatusCode::CONFLICT).count(), 7);
}

/// P15: names that nobody has, that cannot be, and unknown ids.
#[tokio::test]
async fn p15_lookups_of_unknown_names_answer_alike() {
    let kit = Kit::new().await;
    let mut answers = Vec::new();
    for who in ["nobody", "NOT-A-NAME", "x", &"0".repeat(32), &"f".repeat(31), "%F0%9F%A6%86"] {
        let answer = kit.http.get(&format!("/v1/accounts/{who}/chain")).await;
        let mut headers = answer.headers().clone();
        headers.remove("date");
        answers.push((answer.status(), headers, answer.text().await.unwrap()));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(answers[0].0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn rotate_device_keys() {
    let kit = Kit::new().await;
    let mut alice = kit.account("alice").await;
    for expected in 1..=3 {
        let rotation = alice.rotation();
        let answer = submit(&kit, &alice, &rotation.0).await;
        assert_eq!(answer.status(), StatusCode::CREATED);
        assert_eq!(answer.json::<EntryAccepted>().await.unwrap().seq, expected);
        // Repeated: the same answer.
        assert_eq!(submit(&kit, &alice, &rotation.0).await.status(), StatusCode::CREATED);
        let old = alice.assertion().sign(&alice.keys.relay_auth).unwrap();
        alice.adopt(rotation);
        // The replaced key gets no token; the new one does.
        let form = [("grant_type", waxwing_wire::api::JWT_BEARER), ("assertion", old.as_str())];
        let proof = kit.http.proof(&alice, "POST", "/oauth/token", None);
        let answer =
            kit.http.request(Method::POST, "/oauth/token").header("dpop", proof).form(&form).send().await.unwrap();
        assert_eq!(code(answer).await, ProblemCode::Unauthorized);
        alice.token = kit.http.token(&alice).await;
    }
    let page = chain(&kit, "alice").await;
    assert_eq!(page.entries.iter().map(|entry| entry.0.clone()).collect::<Vec<_>>(), alice.chain);
    let tail: ChainPage = kit.http.get("/v1/accounts/alice/chain?from=2").await.json().await.unwrap();
    assert_eq!((tail.head, tail.entries.len()), (3, 2));
    let none: ChainPage = kit.http.get("/v1/accounts/alice/chain?from=4000000000").await.json().await.unwrap();
    assert_eq!((none.head, none.entries.len()), (3, 0));
    assert_eq!(code(kit.http.get("/v1/accounts/alice/chain?from=-1").await).await, ProblemCode::BadRequest);
}

#[tokio::test]
async fn a_chain_grows_only_at_its_head_and_by_its_owner() {
    let kit = Kit::new().await;
    let mut alice = kit.account("alice").await;
    let bob = kit.account("bob").await;
    let (first, second) = (alice.rotation(), alice.rotation());
    // Somebody else's entry, and one that cannot be read.
    assert_eq!(code(submit(&kit, &alice, &bob.rotation().0).await).await, ProblemCode::InvalidEntry);
    assert_eq!(code(submit(&kit, &alice, b"garbage").await).await, ProblemCode::InvalidEntry);
    let mut forged = first.0.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(code(submit(&kit, &alice, &forged).await).await, ProblemCode::InvalidEntry);
    // Another account's chain.
    let body = SubmitEntry { entry: EntryBytes(first.0.clone()) };
    let path = format!("/v1/accounts/{}/chain", alice.id);
    let by_bob = kit.http.authed(&bob, Method::POST, &path).json(&body).send().await.unwrap();
    assert_eq!(code(by_bob).await, ProblemCode::Unauthorized);
    let by_nobody = kit.http.request(Method::POST, &path).json(&body).send().await.unwrap();
    assert_eq!(by_nobody.headers()["www-authenticate"].to_str().unwrap().split(' ').next(), Some("DPoP"));
    assert_eq!(code(by_nobody).await, ProblemCode::Unauthorized);
    // Compare and swap: of two successors one stands.
    assert_eq!(submit(&kit, &alice, &first.0).await.status(), StatusCode::CREATED);
    assert_eq!(code(submit(&kit, &alice, &second.0).await).await, ProblemCode::ChainConflict);
    alice.adopt(first);
    alice.token = kit.http.token(&alice).await;
    let (mut skipping, third) = (Account::new("x11", ""), alice.rotation());
    std::mem::swap(&mut skipping.chain, &mut alice.chain);
    alice.chain = [skipping.chain.clone(), vec![third.0]].concat();
    assert_eq!(code(submit(&kit, &alice, &alice.rotation().0).await).await, ProblemCode::ChainConflict);
    assert_eq!(chain(&kit, "alice").await.head, 1);
}

#[tokio::test]
async fn concurrent_rotations_one_stands() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let rotations: Vec<_> = (0..6).map(|_| alice.rotation().0).collect();
    let answers = futures_util::future::join_all(rotations.iter().map(|entry| submit(&kit, &alice, entry))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status() == StatusCode::CREATED).count(), 1);
    assert_eq!(chain(&kit, "alice").await.head, 1);
}

#[tokio::test]
async fn registration_is_limited_by_address_and_forwarded_headers_change_nothing() {
    let kit = Kit::with(|config| config.limits.registration = Rate { per_minute: 1, burst: 2 }).await;
    let send = |forwarded: &'static str| {
        kit.http.request(Method::POST, "/v1/accounts").header("x-forwarded-for", forwarded).body("{}").send()
    };
    for forwarded in ["192.0.2.1", "192.0.2.2"] {
        assert_eq!(code(send(forwarded).await.unwrap()).await, ProblemCode::BadRequest);
    }
    let answer = send("192.0.2.3").await.unwrap();
    let wait: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    let problem = problem(answer).await;
    assert_eq!((problem.code, problem.retry_after), (ProblemCode::RateLimited, Some(wait)));
    assert!((1..=60).contains(&wait));
}
