//! The primitives by themselves, from the very crates that the project runs on.

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, KeyInit as _, Nonce};
use ed25519_dalek::{Signer as _, SigningKey};
use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};
use x_wing::{Decapsulate as _, Encapsulate as _, KeyExport as _, TryKeyInit as _};
use x25519_dalek::{PublicKey, StaticSecret};

use super::rng;
use crate::bench::measure::{Figure, measure_briefly, measure_plain};
use crate::bench::report::{Report, Unit};

/// A message as long as the one that an envelope's signature covers.
const SIGNED: usize = 490;

/// Each in microseconds.
#[derive(Clone, Copy)]
pub struct Primitives {
    pub x25519_base: f64,
    pub x25519_dh: f64,
    pub xwing_encapsulate: f64,
    pub xwing_decapsulate: f64,
    pub sign: f64,
    pub verify: f64,
    /// ChaCha20-Poly1305 of 32 bytes: a wrap.
    pub aead_small: f64,
    pub aead_kib: f64,
    pub sha256_kib: f64,
    /// One extract and one expand to 32 bytes: two HMACs.
    pub hkdf: f64,
}

/// What shows whether the machine itself changes its pace.
pub fn yardstick() -> Figure {
    let (secret, public) = x25519();
    measure_plain(|| secret.diffie_hellman(&public))
}

fn x25519() -> (StaticSecret, PublicKey) {
    let other = StaticSecret::from([7; 32]);
    (StaticSecret::from([9; 32]), PublicKey::from(&other))
}

/// Measures each.
pub fn measure(report: &mut Report) -> Primitives {
    report.heading("Primitives");
    let mut add = |key: &str, name: &str, figure: Figure| {
        report.add(&format!("prim_{key}"), name, Unit::Us, figure);
        figure.us
    };
    let (secret, public) = x25519();
    let signer = SigningKey::from_bytes(&[3; 32]);
    let message = [5; SIGNED];
    let (signature, verifier) = (signer.sign(&message), signer.verifying_key());
    // The key from bytes each time, as a record has it.
    let verifying = verifier.to_bytes();
    let cipher = ChaCha20Poly1305::new(&Key::from([1; 32]));
    let (kib, small) = ([0x77; 1024], [0x77; 32]);
    let encrypt = |msg: &[u8]| cipher.encrypt(&Nonce::default(), Payload { msg, aad: &[2; 32] }).unwrap();
    let mib = vec![0x77; 64 * 1024];
    let seed = [4; 32];
    let xwing = x_wing::DecapsulationKey::from(seed);
    let xwing_public = x_wing::Decapsulator::encapsulation_key(&xwing).to_bytes();
    let encapsulate = || {
        let public = x_wing::EncapsulationKey::new(&xwing_public).unwrap();
        public.encapsulate_with_rng(&mut rng())
    };
    let (enc, _) = encapsulate();
    // Beside the others alone: no sum has it.
    add(
        "xwing_keygen",
        "X-Wing, public key from its seed",
        measure_plain(|| x_wing::Decapsulator::encapsulation_key(&x_wing::DecapsulationKey::from(seed)).to_bytes()),
    );
    Primitives {
        x25519_base: add("x25519_base", "X25519, base point", measure_plain(|| PublicKey::from(&secret))),
        x25519_dh: add("x25519_dh", "X25519, Diffie-Hellman", measure_plain(|| secret.diffie_hellman(&public))),
        xwing_encapsulate: add("xwing_encapsulate", "X-Wing, encapsulate", measure_plain(encapsulate)),
        xwing_decapsulate: add(
            "xwing_decapsulate",
            "X-Wing, decapsulate from the seed",
            measure_plain(|| x_wing::DecapsulationKey::from(seed).decapsulate(&enc)),
        ),
        sign: add("ed25519_sign", "Ed25519, sign", measure_plain(|| signer.sign(&message))),
        verify: add(
            "ed25519_verify_strict",
            "Ed25519, verify_strict",
            measure_plain(|| {
                let key = ed25519_dalek::VerifyingKey::from_bytes(&verifying).unwrap();
                key.verify_strict(&message, &signature).unwrap();
            }),
        ),
        aead_small: add("chacha20poly1305_32", "ChaCha20-Poly1305, 32 bytes", measure_plain(|| encrypt(&small))),
        aead_kib: {
            let long = measure_plain(|| encrypt(&mib));
            add("chacha20poly1305_1024", "ChaCha20-Poly1305, 1 KiB", measure_plain(|| encrypt(&kib)));
            let each = Figure { us: long.us / 64.0, ..long };
            add("chacha20poly1305_kib", "ChaCha20-Poly1305, each KiB of 64", each)
        },
        sha256_kib: {
            let long = measure_plain(|| Sha256::digest(&mib));
            add("sha256_kib", "SHA-256, each KiB of 64", Figure { us: long.us / 64.0, ..long })
        },
        hkdf: add(
            "hkdf",
            "HKDF-SHA256, extract and expand",
            measure_plain(|| {
                let mut okm = [0; 32];
                Hkdf::<Sha256>::new(Some(&[1; 32]), &[2; 32]).expand(b"info", &mut okm).unwrap();
                okm
            }),
        ),
    }
}

impl Primitives {
    /// The same with what takes nearly all of an envelope's time measured once more: its curve operations.
    pub fn with_curves_anew(&self) -> Self {
        let (secret, public) = x25519();
        let signer = SigningKey::from_bytes(&[3; 32]);
        let message = [5; SIGNED];
        let (signature, verifying) = (signer.sign(&message), signer.verifying_key().to_bytes());
        let verify = || {
            let key = ed25519_dalek::VerifyingKey::from_bytes(&verifying).unwrap();
            key.verify_strict(&message, &signature).unwrap();
        };
        Self {
            x25519_base: measure_briefly(|| PublicKey::from(&secret)).us,
            x25519_dh: measure_briefly(|| secret.diffie_hellman(&public)).us,
            sign: measure_briefly(|| signer.sign(&message)).us,
            verify: measure_briefly(verify).us,
            ..*self
        }
    }

    /// ChaCha20-Poly1305 of a longer message.
    pub fn aead(&self, bytes: usize) -> f64 {
        self.aead_small + self.aead_kib * bytes as f64 / 1024.0
    }

    pub fn sha256(&self, bytes: usize) -> f64 {
        self.sha256_kib * bytes as f64 / 1024.0
    }
}
