//! Devices come and go with their account's chain: who may append what, and what is left of a device that is in force no longer.

use reqwest::{Method, Response, StatusCode};
use waxwing_wire::api::{EntryBytes, SubmitEntry};
use waxwing_wire::problem::ProblemCode;

use crate::accounts::submit;
use crate::kit::{Account, Kit, code};

/// Appends without a token, as from a machine that no device of the account is on.
async fn submit_unnamed(kit: &Kit, account: &Account, entry: &[u8]) -> Response {
    let body = SubmitEntry { entry: EntryBytes(entry.to_vec()) };
    let path = format!("/v1/accounts/{}/chain", account.id);
    kit.http.request(Method::POST, &path).json(&body).send().await.unwrap()
}

async fn inbox(kit: &Kit, account: &Account) -> StatusCode {
    let path = format!("/v1/inboxes/{}?after=0", account.device);
    kit.http.authed(account, Method::GET, &path).send().await.unwrap().status()
}

#[tokio::test]
async fn whoever_has_the_phrase_needs_no_token_and_nobody_else_does_without() {
    let kit = Kit::new().await;
    let mut alice = kit.account("alice").await;
    // Everything else is refused without one, rightly signed as it is.
    let rotation = alice.rotation().0;
    let close = alice.close();
    for entry in [&rotation, &close] {
        assert_eq!(code(submit_unnamed(&kit, &alice, entry).await).await, ProblemCode::Unauthorized);
    }
    let (entry, mut again) = alice.recover();
    // Somebody else's phrase is none.
    let bob = kit.account("bob").await;
    let (forged, _) = bob.recover();
    assert_ne!(submit_unnamed(&kit, &alice, &forged).await.status(), StatusCode::CREATED);
    assert_eq!(submit_unnamed(&kit, &alice, &entry).await.status(), StatusCode::CREATED);
    // The answer may have been lost.
    assert_eq!(submit_unnamed(&kit, &alice, &entry).await.status(), StatusCode::CREATED);

    // The old device is out: its token opens nothing, and it gets no other.
    assert_ne!(inbox(&kit, &alice).await, StatusCode::OK);
    alice.chain = again.chain.clone();
    let stolen = alice.rotation().0;
    assert_ne!(submit(&kit, &alice, &stolen).await.status(), StatusCode::CREATED);
    let assertion = alice.assertion();
    let proof = kit.http.proof(&alice, "POST", "/oauth/token", None);
    assert_ne!(kit.http.token_with(&alice, &assertion, &proof).await.status(), StatusCode::OK);
    // The new one is in, and goes on.
    again.token = kit.http.token(&again).await;
    assert_eq!(inbox(&kit, &again).await, StatusCode::OK);
    let next = again.rotation();
    assert_eq!(submit(&kit, &again, &next.0).await.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn p1_a_revoked_device_is_cut_off_with_its_token() {
    let kit = Kit::new().await;
    let mut alice = kit.account("alice").await;
    let (entry, mut thief) = alice.add_device();
    assert_eq!(submit(&kit, &alice, &entry).await.status(), StatusCode::CREATED);
    thief.token = kit.http.token(&thief).await;
    assert_eq!(inbox(&kit, &thief).await, StatusCode::OK);

    let entry = alice.replace_account_key(vec![thief.device]);
    assert_eq!(submit(&kit, &alice, &entry).await.status(), StatusCode::CREATED);
    // Its token has minutes to live, its account key was the account's.
    assert_ne!(inbox(&kit, &thief).await, StatusCode::OK);
    thief.chain = alice.chain.clone();
    for entry in [thief.rotation().0, thief.close()] {
        let refused = submit(&kit, &thief, &entry).await;
        assert!(refused.status().is_client_error(), "{}", refused.status());
    }
    assert_eq!(inbox(&kit, &alice).await, StatusCode::OK);
    // The same id comes back for nobody.
    let (again, _) = alice.add_device();
    assert_eq!(submit(&kit, &alice, &again).await.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn a_closed_account_has_nothing_at_the_relay_but_its_chain_and_name() {
    let kit = Kit::new().await;
    let mut alice = kit.account("alice").await;
    let entry = alice.close();
    assert_eq!(submit(&kit, &alice, &entry).await.status(), StatusCode::CREATED);
    alice.chain.push(entry);
    assert_ne!(inbox(&kit, &alice).await, StatusCode::OK);
    let later = alice.rotation().0;
    assert_ne!(submit(&kit, &alice, &later).await.status(), StatusCode::CREATED);
    assert_eq!(kit.http.get("/v1/accounts/alice/chain").await.status(), StatusCode::OK);
    let other = Account::new("alice", &kit.http.authority());
    assert_eq!(code(kit.http.register(&other).await).await, ProblemCode::NameTaken);
    // The phrase opens it again.
    let (entry, mut again) = alice.recover();
    assert_eq!(submit_unnamed(&kit, &alice, &entry).await.status(), StatusCode::CREATED);
    again.token = kit.http.token(&again).await;
    assert_eq!(inbox(&kit, &again).await, StatusCode::OK);
}

#[tokio::test]
async fn strangers_use_up_nobodys_allowance() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let bob = kit.account("bob").await;
    let (forged, _) = bob.recover();
    for _ in 0..90 {
        let refused = submit_unnamed(&kit, &alice, &forged).await.status();
        assert!(refused.is_client_error(), "{refused}");
    }
    let rotation = alice.rotation();
    assert_eq!(submit(&kit, &alice, &rotation.0).await.status(), StatusCode::CREATED);
}
