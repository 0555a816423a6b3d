//! Tokens: what is good, and each way in which one is not (P4, A4).

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use ed25519_dalek::{Signer as _, SigningKey};
use waxwing_wire::api::base64url;
use waxwing_wire::limits::{ASSERTION_SECONDS, MAX_DPOP_NONCE};
use waxwing_wire::token::{AccessToken, Assertion, Confirmation, DpopProof, InvalidToken, is_nonce, jwk, thumbprint};
use waxwing_wire::{AccountId, DeviceId};

const NOW: u64 = 1_700_000_000;
const RELAY: &str = "waxwing.example";
const URL: &str = "https://waxwing.example/v1/logs";

fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

fn public(key: &SigningKey) -> [u8; 32] {
    key.verifying_key().to_bytes()
}

fn assertion() -> Assertion {
    Assertion {
        iss: DeviceId::from_bytes([1; 16]),
        sub: AccountId::from_bytes([2; 16]),
        aud: RELAY.to_owned(),
        iat: NOW,
        exp: NOW + ASSERTION_SECONDS,
        jti: "0123456789abcdef".to_owned(),
    }
}

fn access_token() -> AccessToken {
    AccessToken {
        iss: RELAY.to_owned(),
        sub: DeviceId::from_bytes([1; 16]),
        account: AccountId::from_bytes([2; 16]),
        relay_auth: public(&key(1)),
        iat: NOW,
        exp: NOW + 600,
        cnf: Confirmation { jkt: thumbprint(&public(&key(3))) },
    }
}

fn proof() -> DpopProof {
    let jti = "0123456789abcdef".to_owned();
    DpopProof { jti, htm: "POST".to_owned(), htu: URL.to_owned(), iat: NOW, ath: None, nonce: None }
}

/// A compact JWT of any header and claims, rightly signed.
fn forge(header: &str, claims: &str, key: &SigningKey) -> String {
    let message = format!("{}.{}", base64url::encode(header.as_bytes()), base64url::encode(claims.as_bytes()));
    let signature = base64url::encode(&key.sign(message.as_bytes()).to_bytes());
    format!("{message}.{signature}")
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

/// Each part of a good token with one character changed, cut or added.
fn damaged(token: &str) -> Vec<String> {
    let mut all = vec![String::new(), "a.b".to_owned(), "a.b.c".to_owned(), format!("{token}."), format!("{token}A")];
    for (at, byte) in token.char_indices() {
        let mut changed = token.to_owned();
        changed.replace_range(at..=at, if byte == 'B' { "C" } else { "B" });
        all.push(changed);
        all.push(token[..at].to_owned());
    }
    all
}

#[test]
fn assertions() {
    let (device, public) = (key(1), public(&key(1)));
    let verify = |token: &str, now| Assertion::verify(token, &public, RELAY, now);
    let good = assertion().sign(&device).unwrap();
    assert_eq!(Assertion::peek(&good), Ok(assertion()));
    // Good from a minute before it was made (clocks differ) until it ends.
    for now in [NOW - ASSERTION_SECONDS, NOW, NOW + 30, NOW + ASSERTION_SECONDS] {
        assert_eq!(verify(&good, now), Ok(assertion()));
    }
    for now in [0, NOW - ASSERTION_SECONDS - 1, NOW + ASSERTION_SECONDS + 1, u64::MAX] {
        assert_eq!(verify(&good, now), Err(InvalidToken), "{now}");
    }
    assert_eq!(Assertion::verify(&good, &self::public(&key(2)), RELAY, NOW), Err(InvalidToken));
    assert_eq!(Assertion::verify(&good, &public, "other.example", NOW), Err(InvalidToken));
    let refuse = |change: &dyn Fn(&mut Assertion)| {
        let mut changed = assertion();
        change(&mut changed);
        assert_eq!(verify(&changed.sign(&device).unwrap(), NOW), Err(InvalidToken), "{changed:?}");
    };
    refuse(&|token| token.exp = NOW + ASSERTION_SECONDS + 1);
    refuse(&|token| token.exp = u64::MAX);
    refuse(&|token| token.exp = NOW - 1);
    refuse(&|token| token.iat = u64::MAX);
    refuse(&|token| token.aud = String::new());
    refuse(&|token| token.jti = "short".to_owned());
    refuse(&|token| token.jti = "a".repeat(65));
    for token in damaged(&good) {
        assert_eq!(verify(&token, NOW), Err(InvalidToken), "{token}");
    }
}

#[test]
fn access_tokens() {
    let (relay, public) = (key(2), public(&key(2)));
    let verify = |token: &str, now| AccessToken::verify(token, &public, RELAY, now);
    let good = access_token().sign("k1", &relay).unwrap();
    assert_eq!(AccessToken::kid(&good).as_deref(), Ok("k1"));
    for now in [0, NOW, NOW + 599] {
        assert_eq!(verify(&good, now), Ok(access_token()));
    }
    for now in [NOW + 600, u64::MAX] {
        assert_eq!(verify(&good, now), Err(InvalidToken));
    }
    assert_eq!(AccessToken::verify(&good, &self::public(&key(1)), RELAY, NOW), Err(InvalidToken));
    assert_eq!(AccessToken::verify(&good, &public, "other.example", NOW), Err(InvalidToken));
    for token in damaged(&good) {
        assert_eq!(verify(&token, NOW), Err(InvalidToken), "{token}");
    }
}

#[test]
fn dpop_proofs() {
    let dpop = key(3);
    let token = access_token().sign("k1", &key(2)).unwrap();
    let ath = AccessToken::ath(&token);
    let with_ath = DpopProof { ath: Some(ath.clone()), ..proof() };
    let verify = |proof: &DpopProof, htm: &str, htu: &str, ath: Option<&str>, now| {
        DpopProof::verify(&proof.sign(&dpop).unwrap(), htm, htu, ath, now).map(|(_, jkt)| jkt)
    };
    let jkt = thumbprint(&public(&dpop));
    assert_eq!(jkt, access_token().cnf.jkt);
    for now in [NOW - ASSERTION_SECONDS, NOW, NOW + ASSERTION_SECONDS] {
        assert_eq!(verify(&proof(), "POST", URL, None, now), Ok(jkt.clone()));
        assert_eq!(verify(&with_ath, "POST", URL, Some(&ath), now), Ok(jkt.clone()));
    }
    for now in [NOW - ASSERTION_SECONDS - 1, NOW + ASSERTION_SECONDS + 1, 0, u64::MAX] {
        assert_eq!(verify(&proof(), "POST", URL, None, now), Err(InvalidToken), "{now}");
    }
    assert_eq!(verify(&proof(), "GET", URL, None, NOW), Err(InvalidToken));
    assert_eq!(verify(&proof(), "post", URL, None, NOW), Err(InvalidToken));
    assert_eq!(verify(&proof(), "POST", "https://waxwing.example/v1/inboxes", None, NOW), Err(InvalidToken));
    // A proof for the token endpoint is none for another request, nor the other way round, nor for another token (A4).
    assert_eq!(verify(&proof(), "POST", URL, Some(&ath), NOW), Err(InvalidToken));
    assert_eq!(verify(&with_ath, "POST", URL, None, NOW), Err(InvalidToken));
    assert_eq!(verify(&with_ath, "POST", URL, Some(&AccessToken::ath("other")), NOW), Err(InvalidToken));
    for jti in ["", "short", &"a".repeat(65)] {
        let changed = DpopProof { jti: jti.to_owned(), ..proof() };
        assert_eq!(verify(&changed, "POST", URL, None, NOW), Err(InvalidToken));
    }
    // A proof by a thief's own key verifies, and has the thief's thumbprint: `cnf` does not match it (A4).
    let (_, theirs) = DpopProof::verify(&proof().sign(&key(9)).unwrap(), "POST", URL, None, NOW).unwrap();
    assert_ne!(theirs, access_token().cnf.jkt);
    let good = proof().sign(&dpop).unwrap();
    for token in damaged(&good) {
        assert!(DpopProof::verify(&token, "POST", URL, None, NOW).is_err(), "{token}");
    }
}

/// RFC 9449, section 4.2: the nonce is a claim of the proof, and absent where there is none.
#[test]
fn a_proof_carries_its_nonce() {
    let verify = |proof: &DpopProof| {
        let token = proof.sign(&key(3)).unwrap();
        let claims = String::from_utf8(base64url::decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap();
        (DpopProof::verify(&token, "POST", URL, None, NOW).unwrap().0.nonce, claims)
    };
    let (nonce, claims) = verify(&DpopProof { nonce: Some("eyJ7S_zG.eyJH0-Z".to_owned()), ..proof() });
    assert_eq!(nonce.as_deref(), Some("eyJ7S_zG.eyJH0-Z"));
    assert!(claims.contains(r#""nonce":"eyJ7S_zG.eyJH0-Z""#), "{claims}");
    let (nonce, claims) = verify(&proof());
    assert!(nonce.is_none() && !claims.contains("nonce"), "{claims}");
    // Of another type it is none, and neither is the proof.
    let header = format!(r#"{{"alg":"EdDSA","typ":"dpop+jwt","jwk":{}}}"#, json(&jwk(&public(&key(3)))));
    let mut claims = serde_json::to_value(proof()).unwrap();
    claims["nonce"] = 5.into();
    let token = forge(&header, &claims.to_string(), &key(3));
    assert_eq!(DpopProof::verify(&token, "POST", URL, None, NOW), Err(InvalidToken));
}

/// RFC 9449, section 8.1: `nonce = 1*NQCHAR` (RFC 6749, appendix A).
#[test]
fn p18_what_can_be_a_nonce() {
    for good in ["a", "!", "~", "#[]^", "eyJ7S_zG.eyJH0-Z.HX4w-7v", &"n".repeat(MAX_DPOP_NONCE)] {
        assert!(is_nonce(good), "{good}");
    }
    for bad in ["", " ", "a b", "a\"b", "a\\b", "a\tb", "a\r\nb", "\u{7f}", "\u{e4}", &"n".repeat(MAX_DPOP_NONCE + 1)] {
        assert!(!is_nonce(bad), "{bad:?}");
    }
}

/// RFC 8037, appendix A.3.
#[test]
fn thumbprint_vector() {
    let public = base64url::decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
    assert_eq!(thumbprint(&public.try_into().unwrap()), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn p4_one_type_of_token_is_no_other() {
    // One key for all, and claims that would fit all: `typ` alone tells them apart (RFC 8725, section 3.11).
    let (one, public) = (key(1), public(&key(1)));
    let mut claims = serde_json::to_value(assertion()).unwrap();
    for other in [serde_json::to_value(access_token()).unwrap(), serde_json::to_value(proof()).unwrap()] {
        for (name, value) in other.as_object().unwrap() {
            claims.as_object_mut().unwrap().entry(name).or_insert_with(|| value.clone());
        }
    }
    claims["iss"] = json(&"x").replace('"', "").into();
    let jwk = json(&jwk(&public));
    for typ in ["JWT", "at+jwt", "dpop+jwt", "other"] {
        let header = format!(r#"{{"alg":"EdDSA","typ":"{typ}","jwk":{jwk}}}"#);
        let mut as_assertion = claims.clone();
        as_assertion["iss"] = serde_json::to_value(assertion().iss).unwrap();
        let token = forge(&header, &as_assertion.to_string(), &one);
        assert_eq!(Assertion::verify(&token, &public, RELAY, NOW).is_ok(), typ == "JWT");
        let mut as_access = claims.clone();
        as_access["iss"] = RELAY.into();
        let token = forge(&header, &as_access.to_string(), &one);
        assert_eq!(AccessToken::verify(&token, &public, RELAY, NOW).is_ok(), typ == "at+jwt");
        assert_eq!(DpopProof::verify(&token, "POST", URL, None, NOW).is_ok(), typ == "dpop+jwt");
    }
}

#[test]
fn p8_other_algorithms_and_extensions_are_refused() {
    let (device, public) = (key(1), public(&key(1)));
    let claims = json(&assertion());
    let verify = |header: &str| Assertion::verify(&forge(header, &claims, &device), &public, RELAY, NOW).is_ok();
    assert!(verify(r#"{"alg":"EdDSA","typ":"JWT"}"#));
    for header in [
        r#"{"alg":"none","typ":"JWT"}"#,
        r#"{"alg":"HS256","typ":"JWT"}"#,
        r#"{"alg":"ES256","typ":"JWT"}"#,
        r#"{"alg":"RS256","typ":"JWT"}"#,
        r#"{"alg":"Ed448","typ":"JWT"}"#,
        r#"{"alg":"eddsa","typ":"JWT"}"#,
        r#"{"typ":"JWT"}"#,
        r#"{"alg":"EdDSA"}"#,
        // RFC 7515, section 4.1.11.
        r#"{"alg":"EdDSA","typ":"JWT","crit":["exp"]}"#,
        r#"{"alg":"EdDSA","typ":"JWT","crit":["b64"],"b64":false}"#,
        r#"{"alg":"EdDSA","alg":"EdDSA","typ":"JWT"}"#,
        "[]",
        "",
    ] {
        assert!(!verify(header), "{header}");
    }
    // HMAC with the public key as its secret: the classic confusion.
    let hs256 = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
    let secret = jsonwebtoken::EncodingKey::from_secret(&public);
    if let Ok(token) = jsonwebtoken::encode(&hs256, &assertion(), &secret) {
        assert_eq!(Assertion::verify(&token, &public, RELAY, NOW), Err(InvalidToken));
    }
    // No signature at all.
    let unsigned = forge(r#"{"alg":"EdDSA","typ":"JWT"}"#, &claims, &device);
    let (message, _) = unsigned.rsplit_once('.').unwrap();
    assert_eq!(Assertion::verify(&format!("{message}."), &public, RELAY, NOW), Err(InvalidToken));
}

#[test]
fn p18_claims_stand_once() {
    let (device, public) = (key(1), public(&key(1)));
    let claims = json(&assertion());
    let twice = claims.replacen('{', &format!(r#"{{"aud":"{RELAY}","#), 1);
    let token = forge(r#"{"alg":"EdDSA","typ":"JWT"}"#, &twice, &device);
    assert_eq!(Assertion::verify(&token, &public, RELAY, NOW), Err(InvalidToken));
}

#[test]
fn p9_a_proof_by_a_weak_key_is_refused() {
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let header = format!(r#"{{"alg":"EdDSA","typ":"dpop+jwt","jwk":{}}}"#, json(&jwk(&neutral)));
    let message = format!("{}.{}", base64url::encode(header.as_bytes()), base64url::encode(json(&proof()).as_bytes()));
    // R = the neutral point, S = 0: holds under the neutral key where verification is not strict.
    let mut signature = [0; 64];
    signature[0] = 1;
    let token = format!("{message}.{}", base64url::encode(&signature));
    assert_eq!(DpopProof::verify(&token, "POST", URL, None, NOW), Err(InvalidToken));
}

#[test]
fn a_proof_names_its_key_rightly() {
    let header = |jwk: &str| format!(r#"{{"alg":"EdDSA","typ":"dpop+jwt","jwk":{jwk}}}"#);
    let verify = |header: &str| DpopProof::verify(&forge(header, &json(&proof()), &key(3)), "POST", URL, None, NOW);
    let x = base64url::encode(&public(&key(3)));
    assert!(verify(&header(&format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#))).is_ok());
    for jwk in [
        format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#, base64url::encode(&public(&key(4)))),
        format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}AA"}}"#),
        format!(r#"{{"kty":"OKP","crv":"P-256","x":"{x}"}}"#),
        format!(r#"{{"kty":"oct","k":"{x}"}}"#),
        "{}".to_owned(),
        "null".to_owned(),
    ] {
        assert!(verify(&header(&jwk)).is_err(), "{jwk}");
    }
    assert!(verify(r#"{"alg":"EdDSA","typ":"dpop+jwt"}"#).is_err());
}
