//! Nonces of DPoP proofs (RFC 9449, sections 8 and 9).

use std::path::Path;

use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::{Method, Response, StatusCode};
use reqwest_websocket::Upgrade as _;
use serde_json::Value;
use waxwing_wire::api::base64url;
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::token::{AccessToken, DpopProof, is_nonce};
use waxwing_wire::{hash, label};

use crate::kit::{Account, Http, Kit, code, jti, now, random};

const PATH: &str = "/v1/key-packages";
const WINDOW: u64 = 300;

/// The nonce of a window, from the folder of keys alone. Processes of two versions of the relay must give the same.
fn nonce_of(keys: &Path, window: u64) -> String {
    let file: Value = serde_json::from_slice(&std::fs::read(keys.join("log-key.json")).unwrap()).unwrap();
    let seed = base64url::decode(file["seed"].as_str().unwrap()).unwrap();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&hash(&[&label("relay nonce key"), &seed])).unwrap();
    mac.update(&label("relay nonce"));
    mac.update(&window.to_be_bytes());
    base64url::encode(&mac.finalize().into_bytes()[..16])
}

fn window() -> u64 {
    now() / WINDOW
}

/// What `ask` gives in one window, which it is told.
async fn within_a_window<T>(ask: impl AsyncFn(u64) -> T) -> T {
    loop {
        let before = window();
        let answer = ask(before).await;
        if window() == before {
            return answer;
        }
    }
}

fn proof(http: &Http, account: &Account, nonce: Option<&str>) -> DpopProof {
    DpopProof {
        jti: jti(),
        htm: "GET".to_owned(),
        htu: format!("{}{PATH}", http.base),
        iat: now(),
        ath: Some(AccessToken::ath(&account.token)),
        nonce: nonce.map(str::to_owned),
    }
}

async fn show(http: &Http, account: &Account, proof: &DpopProof) -> Response {
    let request = http.request(Method::GET, PATH).header("authorization", format!("DPoP {}", account.token));
    request.header("dpop", proof.sign(&account.dpop).unwrap()).send().await.unwrap()
}

async fn ask(http: &Http, account: &Account, nonce: Option<&str>) -> Response {
    show(http, account, &proof(http, account, nonce)).await
}

/// The nonce that an answer comes with.
fn given(answer: &Response) -> Option<String> {
    answer.headers().get("dpop-nonce").map(|nonce| nonce.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_proof_without_a_nonce_is_told_the_nonce_and_nothing_is_used_up() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let without = proof(&kit.http, &alice, None);
    let refused = show(&kit.http, &alice, &without).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(refused.headers()["www-authenticate"], "DPoP error=\"use_dpop_nonce\", algs=\"EdDSA\"");
    let nonce = given(&refused).unwrap();
    assert!(is_nonce(&nonce));
    assert_eq!(code(refused).await, ProblemCode::UseDpopNonce);
    // The same id: what was refused for its nonce was not remembered.
    let with = DpopProof { nonce: Some(nonce.clone()), ..without };
    assert_eq!(show(&kit.http, &alice, &with).await.status(), StatusCode::OK);
    // Now it is, and a good nonce does not make it new.
    let again = show(&kit.http, &alice, &with).await;
    assert_eq!(given(&again), None);
    assert_eq!(code(again).await, ProblemCode::Unauthorized);
    let with = DpopProof { jti: with.jti, nonce: kit.http.nonce(), ..proof(&kit.http, &alice, None) };
    assert_eq!(code(show(&kit.http, &alice, &with).await).await, ProblemCode::Unauthorized);
    // Whoever has not even a proof for this very request is not asked for a nonce.
    let elsewhere = DpopProof { htm: "POST".to_owned(), ..proof(&kit.http, &alice, None) };
    let refused = show(&kit.http, &alice, &elsewhere).await;
    assert_eq!(given(&refused), None);
    assert_eq!(code(refused).await, ProblemCode::Unauthorized);
}

/// RFC 9449, section 8: a 400, and the same assertion is good with the nonce.
#[tokio::test]
async fn the_token_endpoint_asks_for_a_nonce_too() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let base = DpopProof {
        htm: "POST".to_owned(),
        htu: format!("{}/oauth/token", kit.http.base),
        ath: None,
        ..proof(&kit.http, &alice, None)
    };
    let assertion = alice.assertion();
    let ask = async |nonce: Option<String>| {
        let proof = DpopProof { jti: jti(), nonce, ..base.clone() }.sign(&alice.dpop).unwrap();
        kit.http.token_with(&alice, &assertion, &proof).await
    };
    for bad in [None, Some(String::new()), Some("unknown".to_owned()), Some(base64url::encode(&random::<16>()))] {
        let refused = ask(bad).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
        assert!(refused.headers().get("www-authenticate").is_none());
        assert_eq!(given(&refused), kit.http.nonce());
        assert_eq!(code(refused).await, ProblemCode::UseDpopNonce);
    }
    let answer = ask(kit.http.nonce()).await;
    assert_eq!((answer.status(), given(&answer)), (StatusCode::OK, None));
}

#[tokio::test]
async fn a_nonce_is_good_in_its_window_and_the_next() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let keys = kit.folder.path();
    let (status, told) = within_a_window(async |window| {
        let newest = nonce_of(keys, window);
        let answer = ask(&kit.http, &alice, Some(&newest)).await;
        assert_eq!((answer.status(), given(&answer)), (StatusCode::OK, None));
        let answer = ask(&kit.http, &alice, Some(&nonce_of(keys, window - 1))).await;
        (answer.status(), given(&answer) == Some(nonce_of(keys, window)))
    })
    .await;
    assert_eq!((status, told), (StatusCode::OK, true));
    // A refusal for another reason tells the newer one too: the proof was good.
    let (status, told) = within_a_window(async |window| {
        let path = format!("/v1/inboxes/{}", waxwing_wire::DeviceId::from_bytes(random()));
        let nonce = Some(nonce_of(keys, window - 1));
        let base = proof(&kit.http, &alice, None);
        let proof = DpopProof { htu: format!("{}{path}", kit.http.base), nonce, ..base }.sign(&alice.dpop).unwrap();
        let request = kit.http.request(Method::GET, &format!("{path}?after=0"));
        let request = request.header("authorization", format!("DPoP {}", alice.token)).header("dpop", proof);
        let answer = request.send().await.unwrap();
        (answer.status(), given(&answer) == Some(nonce_of(keys, window)))
    })
    .await;
    assert_eq!((status, told), (StatusCode::FORBIDDEN, true));
    let old = ask(&kit.http, &alice, Some(&nonce_of(keys, window() - 2))).await;
    assert_eq!(old.status(), StatusCode::UNAUTHORIZED);
    let new = given(&old).unwrap();
    assert_eq!(code(old).await, ProblemCode::UseDpopNonce);
    assert_eq!(ask(&kit.http, &alice, Some(&new)).await.status(), StatusCode::OK);
}

/// The authentication of a subscription is that of every request.
#[tokio::test]
async fn a_subscription_needs_a_nonce() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let subscribe = async |nonce: Option<String>| {
        let base = proof(&kit.http, &alice, None);
        let proof = DpopProof { htu: format!("{}/v1/subscribe", kit.http.base), nonce, ..base };
        let request = kit.http.request(Method::GET, "/v1/subscribe");
        let request = request.header("authorization", format!("DPoP {}", alice.token));
        request.header("dpop", proof.sign(&alice.dpop).unwrap()).upgrade().send().await.unwrap().into_inner()
    };
    let refused = subscribe(None).await;
    assert_eq!((refused.status(), given(&refused)), (StatusCode::UNAUTHORIZED, kit.http.nonce()));
    assert_eq!(code(refused).await, ProblemCode::UseDpopNonce);
    let (status, told) = within_a_window(async |window| {
        let answer = subscribe(Some(nonce_of(kit.folder.path(), window - 1))).await;
        (answer.status(), given(&answer) == Some(nonce_of(kit.folder.path(), window)))
    })
    .await;
    assert_eq!((status, told), (StatusCode::SWITCHING_PROTOCOLS, true));
}

/// Processes that have the same keys take each other's nonces, and the same process after a restart; one with others does not.
#[tokio::test]
async fn all_processes_of_a_relay_have_the_same_nonces() {
    let mut one = Kit::new().await;
    let mut alice = one.account("alice").await;
    let keys = one.folder.path().to_owned();
    let same = one.beside(|config| config.keys = Some(keys.clone())).await;
    let other = one.beside(|_| {}).await;
    let nonce = one.http.nonce().unwrap();
    for (kit, takes) in [(&same, true), (&other, false)] {
        assert_eq!(kit.http.register(&alice).await.status(), StatusCode::CREATED);
        let base = proof(&kit.http, &alice, Some(&nonce));
        let proof =
            DpopProof { htm: "POST".to_owned(), htu: format!("{}/oauth/token", kit.http.base), ath: None, ..base };
        let proof = proof.sign(&alice.dpop).unwrap();
        let form = [
            ("grant_type", waxwing_wire::api::JWT_BEARER.to_owned()),
            ("assertion", alice.assertion().sign(&alice.keys.relay_auth).unwrap()),
        ];
        let answer =
            kit.http.request(Method::POST, "/oauth/token").header("dpop", proof).form(&form).send().await.unwrap();
        match takes {
            true => assert_eq!(answer.status(), StatusCode::OK),
            false => {
                assert_ne!(given(&answer).unwrap(), nonce);
                assert_eq!(code(answer).await, ProblemCode::UseDpopNonce);
            }
        }
    }
    one.restart().await;
    alice.token = one.http.token(&alice).await;
    assert_eq!(ask(&one.http, &alice, Some(&nonce)).await.status(), StatusCode::OK);
}

/// It must not become a name by which a device is known again.
#[tokio::test]
async fn everybody_is_given_the_same_nonce() {
    let kit = Kit::new().await;
    let (alice, bob) = (kit.account("alice").await, kit.account("bob").await);
    let same = within_a_window(async |_| {
        let mut all = Vec::new();
        for account in [&alice, &bob, &alice] {
            all.push(given(&ask(&kit.http, account, None).await).unwrap());
        }
        all.iter().all(|nonce| *nonce == all[0])
    })
    .await;
    assert!(same);
}
