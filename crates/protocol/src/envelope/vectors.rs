//! Official vectors, against the very instantiation of [`super::kem`]: RFC 9180 and HPKE with X-Wing.
//!
//! They are read from the folder named by `WAXWING_VECTORS` and never kept here. Where it is set, a missing file or no
//! matching case fails; where it is unset, the tests say so and end.

use std::path::PathBuf;

use hpke::{Deserializable as _, Kem, OpModeR, Serializable as _};
use rand_chacha::rand_core::{Infallible, TryCryptoRng, TryRng};
use serde::Deserialize;
use waxwing_wire::DeviceId;

use super::kem::{self, Aead, Context, Failed, Kdf, X25519Kem, XWingKem};
use super::suite::Suite;
use crate::sealing_keys::SealingKeys;

#[derive(Deserialize)]
struct Case {
    mode: u8,
    kem_id: u16,
    kdf_id: u16,
    aead_id: u16,
    info: String,
    #[serde(rename = "ikmE")]
    ikm_e: String,
    #[serde(rename = "ikmR")]
    ikm_r: String,
    #[serde(rename = "skRm")]
    sk_rm: String,
    #[serde(rename = "pkRm")]
    pk_rm: String,
    enc: String,
    encryptions: Vec<Encryption>,
    exports: Vec<Export>,
}

#[derive(Deserialize)]
struct Encryption {
    aad: String,
    ct: String,
    pt: String,
}

#[derive(Deserialize)]
struct Export {
    exporter_context: String,
    #[serde(rename = "L")]
    len: usize,
    exported_value: String,
}

/// Randomness that was written down.
struct Scripted(Vec<u8>);

impl TryRng for Scripted {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("the vectors script bytes alone")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("the vectors script bytes alone")
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
        let rest = self.0.split_off(to.len());
        to.copy_from_slice(&std::mem::replace(&mut self.0, rest));
        Ok(())
    }
}

impl TryCryptoRng for Scripted {}

/// The file's text; none (said aloud) where `WAXWING_VECTORS` is unset.
fn file(name: &str) -> Option<String> {
    let Some(folder) = std::env::var_os("WAXWING_VECTORS") else {
        println!("SKIPPED: WAXWING_VECTORS unset");
        return None;
    };
    let path = PathBuf::from(folder).join(name);
    Some(std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

/// Runs the cases of mode base, HKDF-SHA256 and ChaCha20-Poly1305; counts (cases, encryptions, exports).
fn run<K: Kem>(name: &str, suite: Suite) -> Option<(usize, usize, usize)> {
    let cases: Vec<Case> = serde_json::from_str(&file(name)?).unwrap();
    let ours = |case: &&Case| (case.mode, case.kem_id, case.kdf_id, case.aead_id) == (0, K::KEM_ID, 1, 3);
    let (mut n_cases, mut n_encryptions, mut n_exports) = (0, 0, 0);
    for case in cases.iter().filter(ours) {
        let (info, enc, public) = (bytes(&case.info), bytes(&case.enc), bytes(&case.pk_rm));
        let private: [u8; 32] = bytes(&case.sk_rm).try_into().unwrap();
        let keys = SealingKeys::new(DeviceId::from_bytes([0; 16]), 1, &private, &private);

        // The keys.
        let (derived, derived_public) = K::derive_keypair(&bytes(&case.ikm_r));
        assert_eq!(derived_public.to_bytes().as_slice(), public);
        assert_eq!(K::sk_to_pk(&derived).to_bytes().as_slice(), public);
        match suite {
            Suite::X25519 => assert_eq!(kem::x25519_public(&keys).as_slice(), public),
            Suite::XWing => assert_eq!(kem::xwing_public(&keys).unwrap().as_slice(), public),
        }

        // The first encryption is a single-shot one: seal gives the vector's bytes, open takes them.
        let first = &case.encryptions[0];
        let (aad, pt, ct) = (bytes(&first.aad), bytes(&first.pt), bytes(&first.ct));
        let context = Context { info: &info, aad: &aad };
        let sealed = kem::seal(suite, &public, context, &pt, &mut Scripted(bytes(&case.ikm_e))).unwrap();
        assert_eq!(sealed, [enc.clone(), ct.clone()].concat());
        assert_eq!(kem::open(suite, &keys, context, &enc, &ct).unwrap().as_slice(), pt);
        let other = Context { info: b"other", aad: &aad };
        assert_eq!(kem::open(suite, &keys, other, &enc, &ct), Err(Failed));

        // All encryptions and exports, in one context.
        let private = K::PrivateKey::from_bytes(&private).unwrap();
        let enc = K::EncappedKey::from_bytes(&enc).unwrap();
        let mut receiver = hpke::setup_receiver::<Aead, Kdf, K>(&OpModeR::Base, &private, &enc, &info).unwrap();
        // RFC 9180's file lists some sequence numbers alone; this one must list all from 0 on.
        for encryption in &case.encryptions {
            let opened = receiver.open(&bytes(&encryption.ct), &bytes(&encryption.aad)).unwrap();
            assert_eq!(opened, bytes(&encryption.pt));
            n_encryptions += 1;
        }
        for export in &case.exports {
            let mut exported = vec![0; export.len];
            receiver.export(&bytes(&export.exporter_context), &mut exported).unwrap();
            assert_eq!(exported, bytes(&export.exported_value));
            n_exports += 1;
        }
        n_cases += 1;
    }
    Some((n_cases, n_encryptions, n_exports))
}

#[test]
fn rfc_9180() {
    if let Some(counts) = run::<X25519Kem>("rfc9180_x25519_sha256_chacha20poly1305.json", Suite::X25519) {
        assert_eq!(counts, (1, 257, 3));
    }
}

#[test]
fn hpke_with_xwing() {
    if let Some(counts) = run::<XWingKem>("hpke_pq_xwing.json", Suite::XWing) {
        assert_eq!(counts, (1, 10, 5));
    }
}

#[derive(Deserialize)]
struct XWingCase {
    seed: String,
    eseed: String,
    ss: String,
    sk: String,
    pk: String,
    ct: String,
}

/// draft-connolly-cfrg-xwing-kem, appendix: the KEM beneath, through the crate that `hpke` uses.
#[test]
fn xwing_draft() {
    use x_wing::{Decapsulate as _, Decapsulator as _, KeyExport as _};

    let Some(text) = file("xwing_draft.json") else { return };
    let cases: Vec<XWingCase> = serde_json::from_str(&text).unwrap();
    for case in &cases {
        let private: [u8; 32] = bytes(&case.sk).try_into().unwrap();
        assert_eq!(case.seed, case.sk);
        let keys = SealingKeys::new(DeviceId::from_bytes([0; 16]), 1, &private, &private);
        assert_eq!(hex::encode(kem::xwing_public(&keys).unwrap().as_slice()), case.pk);
        let private = x_wing::DecapsulationKey::from(private);
        assert_eq!(hex::encode(private.encapsulation_key().to_bytes()), case.pk);
        let eseed: [u8; 64] = bytes(&case.eseed).try_into().unwrap();
        let (ct, ss) = private.encapsulation_key().encapsulate_deterministic(&eseed.into());
        assert_eq!((hex::encode(ct), hex::encode(ss)), (case.ct.clone(), case.ss.clone()));
        assert_eq!(hex::encode(private.decapsulate(&ct)), case.ss);
    }
    assert_eq!(cases.len(), 3);
}
