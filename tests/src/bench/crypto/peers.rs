//! What a tutorial's messenger does: an ephemeral ECDH on P-256, HKDF, AES-256-GCM. Nothing signed, one recipient, no forward
//! secrecy for the receiver. In aws-lc, so as fast as any.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, ECDH_P256, EphemeralPrivateKey, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use hkdf::Hkdf;
use sha2::Sha256;

use crate::bench::measure::measure_plain;
use crate::bench::report::{Report, Unit};

fn key(secret: &[u8]) -> Result<LessSafeKey, Unspecified> {
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(None, secret).expand(b"message", &mut key).map_err(|_| Unspecified)?;
    Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key)?))
}

fn seal(public: &[u8], text: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Unspecified> {
    let own = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new())?;
    let enc = own.compute_public_key()?.as_ref().to_vec();
    let key = agreement::agree_ephemeral(own, UnparsedPublicKey::new(&ECDH_P256, public), Unspecified, key)?;
    let mut body = text.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key([0; 12]), Aad::empty(), &mut body)?;
    Ok((enc, body))
}

fn open(private: &PrivateKey, enc: &[u8], body: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let key = agreement::agree(private, UnparsedPublicKey::new(&ECDH_P256, enc), Unspecified, key)?;
    let mut body = body.to_vec();
    let text = key.open_in_place(Nonce::assume_unique_for_key([0; 12]), Aad::empty(), &mut body)?;
    Ok(text.to_vec())
}

/// Measures it.
pub fn measure(report: &mut Report) {
    report.heading("Peers' method: ECDH P-256 + AES-256-GCM, unsigned, 1 KiB to 1 device (aws-lc)");
    let private = PrivateKey::generate(&ECDH_P256).unwrap();
    let public = private.compute_public_key().unwrap();
    let text = [0x42; 1024];
    let (enc, body) = seal(public.as_ref(), &text).unwrap();
    let keygen = measure_plain(|| PrivateKey::generate(&ECDH_P256).unwrap());
    report.add("peer_p256_keygen", "key pair", Unit::Us, keygen);
    report.add("peer_p256_seal_1024", "seal", Unit::Us, measure_plain(|| seal(public.as_ref(), &text).unwrap()));
    report.add("peer_p256_open_1024", "open", Unit::Us, measure_plain(|| open(&private, &enc, &body).unwrap()));
}
