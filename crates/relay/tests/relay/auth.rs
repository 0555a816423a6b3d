//! Tokens and proofs.

use reqwest::{Method, Response, StatusCode};
use waxwing_relay::Registration;
use waxwing_wire::api::JWT_BEARER;
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::token::{AccessToken, Assertion, DpopProof};

use crate::kit::{Account, Http, Kit, code, jti, now};

const PATH: &str = "/v1/access-keys";

async fn put(http: &Http, token: &str, proof: &str) -> Response {
    http.request(Method::PUT, PATH)
        .header("authorization", format!("DPoP {token}"))
        .header("dpop", proof)
        .body(r#"{"hashes":[]}"#)
        .send()
        .await
        .unwrap()
}

fn proof(http: &Http, account: &Account, adjust: impl FnOnce(&mut DpopProof)) -> String {
    let mut proof = DpopProof {
        jti: jti(),
        htm: "PUT".to_owned(),
        htu: format!("{}{PATH}", http.base),
        iat: now(),
        ath: Some(AccessToken::ath(&account.token)),
        nonce: http.nonce(),
    };
    adjust(&mut proof);
    proof.sign(&account.dpop).unwrap()
}

#[tokio::test]
async fn a_token_and_a_proof_open() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let good = proof(&kit.http, &alice, |_| {});
    assert_eq!(put(&kit.http, &alice.token, &good).await.status(), StatusCode::NO_CONTENT);
    let keys: serde_json::Value = kit.http.get("/.well-known/jwks.json").await.json().await.unwrap();
    assert_eq!(keys["keys"][0]["kid"], AccessToken::kid(&alice.token).unwrap());
}

/// A4: a token without the key that it is bound to; a proof of another key, request, time or token; a proof shown twice.
#[tokio::test]
async fn a4_stolen_token_alone_is_useless() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let mut thief = kit.account("thief").await;
    let stolen = alice.token.clone();
    let plain = kit.http.request(Method::PUT, PATH).header("authorization", format!("DPoP {stolen}"));
    assert_eq!(code(plain.body(r#"{"hashes":[]}"#).send().await.unwrap()).await, ProblemCode::Unauthorized);
    let bearer = kit.http.request(Method::PUT, PATH).bearer_auth(&stolen).body(r#"{"hashes":[]}"#);
    assert_eq!(code(bearer.send().await.unwrap()).await, ProblemCode::Unauthorized);
    thief.token.clone_from(&stolen);
    let by_thief = proof(&kit.http, &thief, |_| {});
    assert_eq!(code(put(&kit.http, &stolen, &by_thief).await).await, ProblemCode::Unauthorized);
    for bad in [
        proof(&kit.http, &alice, |proof| proof.htm = "DELETE".to_owned()),
        proof(&kit.http, &alice, |proof| proof.htu.push('x')),
        proof(&kit.http, &alice, |proof| proof.htu = format!("https://elsewhere.example{PATH}")),
        proof(&kit.http, &alice, |proof| proof.iat -= 70),
        proof(&kit.http, &alice, |proof| proof.iat += 70),
        proof(&kit.http, &alice, |proof| proof.ath = None),
        proof(&kit.http, &alice, |proof| proof.ath = Some(AccessToken::ath("another"))),
        proof(&kit.http, &alice, |proof| proof.jti = "short".to_owned()),
        proof(&kit.http, &alice, |proof| proof.jti = "x".repeat(65)),
        "garbage".to_owned(),
        String::new(),
    ] {
        assert_eq!(code(put(&kit.http, &stolen, &bad).await).await, ProblemCode::Unauthorized);
    }
    let good = proof(&kit.http, &alice, |_| {});
    assert_eq!(put(&kit.http, &stolen, &good).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(code(put(&kit.http, &stolen, &good).await).await, ProblemCode::Unauthorized);
}

/// A4: a nonce outlives a restart, and so does that a proof or an assertion was shown. Whoever comes right after it with new ones is served.
#[tokio::test]
async fn a4_a_restart_makes_nothing_good_again() {
    let mut kit = Kit::new().await;
    let mut alice = kit.account("alice").await;
    let thief = kit.account("thief").await;
    // As they went to the relay's address, which is another here after the restart.
    let host = kit.http.authority();
    let [shown, kept] = [(); 2].map(|()| proof(&kit.http, &alice, |_| {}));
    let at_host = async |kit: &Kit, proof: &str| {
        let request = kit.http.request(Method::PUT, PATH).header("host", &host).header("dpop", proof);
        let request = request.header("authorization", format!("DPoP {}", alice.token)).body(r#"{"hashes":[]}"#);
        request.send().await.unwrap()
    };
    assert_eq!(at_host(&kit, &shown).await.status(), StatusCode::NO_CONTENT);
    let ask = async |kit: &Kit, by: &Account, assertion: &Assertion| {
        let proof = kit.http.proof(by, "POST", "/oauth/token", None);
        kit.http.token_with(&alice, assertion, &proof).await
    };
    let (used, unused) = (alice.assertion(), alice.assertion());
    assert_eq!(ask(&kit, &alice, &used).await.status(), StatusCode::OK);
    kit.restart().await;
    assert_eq!(code(at_host(&kit, &shown).await).await, ProblemCode::Unauthorized);
    assert_eq!(code(ask(&kit, &thief, &used).await).await, ProblemCode::Unauthorized);
    // It was for having been shown: others of the same time are good.
    assert_eq!(at_host(&kit, &kept).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(ask(&kit, &alice, &unused).await.status(), StatusCode::OK);
    alice.token = kit.http.token(&alice).await;
    let new = proof(&kit.http, &alice, |_| {});
    assert_eq!(put(&kit.http, &alice.token, &new).await.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn forged_and_foreign_tokens_do_not_open() {
    let kit = Kit::new().await;
    let mut alice = kit.account("alice").await;
    let elsewhere = Kit::new().await;
    let there = elsewhere.account("alice").await;
    let kid = AccessToken::kid(&alice.token).unwrap();
    let claims = AccessToken {
        iss: kit.http.authority(),
        sub: alice.device,
        account: alice.id,
        relay_auth: alice.keys.relay_auth.verifying_key().to_bytes(),
        iat: now(),
        exp: now() + 600,
        cnf: waxwing_wire::token::Confirmation {
            jkt: waxwing_wire::token::thumbprint(alice.dpop.verifying_key().as_bytes()),
        },
    };
    for token in [
        claims.sign(&kid, &alice.keys.relay_auth).unwrap(),
        claims.sign("none", &alice.keys.relay_auth).unwrap(),
        there.token.clone(),
        alice.token.rsplit_once('.').unwrap().0.to_owned(),
        "x.y.z".to_owned(),
    ] {
        alice.token = token;
        let proof = proof(&kit.http, &alice, |_| {});
        assert_eq!(code(put(&kit.http, &alice.token, &proof).await).await, ProblemCode::Unauthorized);
    }
}

/// P5: an assertion is good once, for this relay, now, by the device's own key in force.
#[tokio::test]
async fn p5_assertions_are_good_once_here_and_now() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let bob = kit.account("bob").await;
    let ask = async |account: &Account, assertion: &Assertion| {
        let proof = kit.http.proof(account, "POST", "/oauth/token", None);
        kit.http.token_with(account, assertion, &proof).await
    };
    let good = alice.assertion();
    assert_eq!(ask(&alice, &good).await.status(), StatusCode::OK);
    assert_eq!(code(ask(&alice, &good).await).await, ProblemCode::Unauthorized);
    // Bob may use the same id: windows are per device.
    assert_eq!(ask(&bob, &Assertion { jti: good.jti.clone(), ..bob.assertion() }).await.status(), StatusCode::OK);
    let base = || alice.assertion();
    for bad in [
        Assertion { aud: "elsewhere.example".to_owned(), ..base() },
        Assertion { iat: now() - 120, exp: now() - 60, ..base() },
        Assertion { iat: now() + 120, exp: now() + 180, ..base() },
        Assertion { exp: now() + 3600, ..base() },
        Assertion { exp: now() - 1, ..base() },
        Assertion { iss: bob.device, ..base() },
        Assertion { sub: bob.id, ..base() },
        Assertion { jti: String::new(), ..base() },
    ] {
        assert_eq!(code(ask(&alice, &bad).await).await, ProblemCode::Unauthorized, "{bad:?}");
    }
    assert_eq!(code(ask(&bob, &base()).await).await, ProblemCode::Unauthorized);
    // A proof is good once at the token endpoint too, and must be there.
    let proof = kit.http.proof(&alice, "POST", "/oauth/token", None);
    assert_eq!(kit.http.token_with(&alice, &base(), &proof).await.status(), StatusCode::OK);
    assert_eq!(code(kit.http.token_with(&alice, &base(), &proof).await).await, ProblemCode::Unauthorized);
    assert_eq!(code(kit.http.token_with(&alice, &base(), "").await).await, ProblemCode::Unauthorized);
}

#[tokio::test]
async fn what_is_no_token_request() {
    let kit = Kit::new().await;
    let post = |body: &'static str| kit.http.request(Method::POST, "/oauth/token").body(body).send();
    for garbage in ["", "grant_type=password&assertion=x", "assertion=x", "grant_type=", "%%%"] {
        assert_eq!(code(post(garbage).await.unwrap()).await, ProblemCode::BadRequest, "{garbage}");
    }
    let form = [("grant_type", JWT_BEARER), ("assertion", "a.b.c")];
    let answer = kit.http.request(Method::POST, "/oauth/token").form(&form).send().await.unwrap();
    assert_eq!(code(answer).await, ProblemCode::Unauthorized);
    let large = kit.http.request(Method::POST, "/oauth/token").body("x".repeat(10_000)).send().await.unwrap();
    assert_eq!(code(large).await, ProblemCode::TooLarge);
}

/// A proof made for the relay's other spelling of its own address is good: the port that goes without saying may be said.
#[tokio::test]
async fn a_relay_for_others_takes_proofs_for_its_own_name_alone() {
    let kit = Kit::with(|config| {
        config.audience = Some("relay.example".to_owned());
        config.registration = Some(Registration::Open);
    })
    .await;
    let mut alice = Account::new("alice", "relay.example");
    assert_eq!(kit.http.register(&alice).await.status(), StatusCode::CREATED);
    let ask = async |host: &str, htu: &str| {
        let (jti, htm, htu, nonce) = (jti(), "POST".to_owned(), htu.to_owned(), kit.http.nonce());
        let proof = DpopProof { jti, htm, htu, iat: now(), ath: None, nonce };
        let assertion = alice.assertion().sign(&alice.keys.relay_auth).unwrap();
        let form = [("grant_type", JWT_BEARER), ("assertion", assertion.as_str())];
        let request = kit.http.request(Method::POST, "/oauth/token").header("host", host);
        let request = request.header("dpop", proof.sign(&alice.dpop).unwrap()).form(&form);
        let answer = request.send().await.unwrap();
        kit.http.heard(&answer);
        answer.status()
    };
    // Without a nonce a good proof is asked for one, and one for another name is not.
    assert_eq!(ask("relay.example", "https://evil.example/oauth/token").await, StatusCode::UNAUTHORIZED);
    assert_eq!(ask("relay.example", "https://relay.example/oauth/token").await, StatusCode::BAD_REQUEST);
    // Behind a proxy that does TLS, clients see https.
    for (host, htu) in [
        ("relay.example", "https://relay.example/oauth/token"),
        ("relay.example", "https://relay.example:443/oauth/token"),
        ("relay.example:443", "https://relay.example/oauth/token"),
    ] {
        assert_eq!(ask(host, htu).await, StatusCode::OK, "{host} {htu}");
    }
    for (host, htu) in [
        ("evil.example", "https://evil.example/oauth/token"),
        ("relay.example", "http://relay.example/oauth/token"),
        ("relay.example", "https://evil.example/oauth/token"),
        ("relay.example:8443", "https://relay.example:8443/oauth/token"),
    ] {
        assert_eq!(ask(host, htu).await, StatusCode::UNAUTHORIZED, "{host} {htu}");
    }
    alice.token.clear();
}
