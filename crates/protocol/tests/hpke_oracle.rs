//! Differential test: HPKE as the `hpke` crate does it against a short implementation of our own, both ways.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod common;

use common::rng;
use common::second::{SUITE_X25519, SUITE_XWING, hpke_oracle};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::{X25519HkdfSha256, XWing};
use hpke::{Deserializable as _, Kem, OpModeR, OpModeS, Serializable as _};
use rand_chacha::rand_core::Rng as _;

fn agree<K: Kem>(suite: u8, rounds: u8) {
    for round in 0..rounds {
        let mut rng = rng(round);
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        let private = K::PrivateKey::from_bytes(&seed).unwrap();
        let public = K::sk_to_pk(&private);
        let mut noise = vec![0; usize::from(round) * 7];
        rng.fill_bytes(&mut noise);
        let (info, rest) = noise.split_at(noise.len() / 3);
        let (aad, plaintext) = rest.split_at(rest.len() / 2);

        let (enc, ct) = hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, K>(
            &OpModeS::Base,
            &public,
            info,
            plaintext,
            aad,
            &mut rng,
        )
        .unwrap();
        let ours = hpke_oracle::open(suite, &seed, enc.to_bytes().as_slice(), info, aad, &ct);
        assert_eq!(ours.as_deref(), Some(plaintext));

        let sealed = hpke_oracle::seal(suite, public.to_bytes().as_slice(), info, aad, plaintext, &mut rng).unwrap();
        let (enc, ct) = sealed.split_at(K::EncappedKey::size());
        let enc = K::EncappedKey::from_bytes(enc).unwrap();
        let open = |info: &[u8], aad: &[u8], ct: &[u8]| {
            hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, K>(&OpModeR::Base, &private, &enc, info, ct, aad)
        };
        assert_eq!(open(info, aad, ct).unwrap(), plaintext);
        assert!(open(b"other", aad, ct).is_err());
        assert!(open(info, b"other", ct).is_err());
        assert!(open(info, aad, &ct[1..]).is_err());
    }
}

#[test]
fn x25519() {
    agree::<X25519HkdfSha256>(SUITE_X25519, 64);
}

#[test]
fn xwing() {
    agree::<XWing>(SUITE_XWING, 16);
}

/// Low-order points: neither implementation seals to them or opens from them (P9).
#[test]
fn p9_low_order_points() {
    let points = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    let private = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(&[7; 32]).unwrap();
    for point in points {
        let point = hex::decode(point).unwrap();
        let public = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&point).unwrap();
        let sealed = hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeS::Base,
            &public,
            b"",
            b"",
            b"",
            &mut rng(1),
        );
        assert!(sealed.is_err());
        assert!(hpke_oracle::seal(SUITE_X25519, &point, b"", b"", b"", &mut rng(1)).is_none());
        let enc = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(&point).unwrap();
        let opened = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &private,
            &enc,
            b"",
            &[0; 16],
            b"",
        );
        assert_eq!(opened, Err(hpke::HpkeError::DecapError));
        assert!(hpke_oracle::open(SUITE_X25519, &[7; 32], &point, b"", b"", &[0; 16]).is_none());
    }
}
