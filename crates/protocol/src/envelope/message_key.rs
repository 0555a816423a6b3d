//! Message key M: fresh for every envelope; gives the commitment and the two single-use keys.

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, KeyInit as _, Nonce};
use subtle::ConstantTimeEq as _;
use waxwing_wire::label;
use zeroize::Zeroizing;

use crate::kdf;

/// `prk = HKDF-Extract(salt = label("env"), ikm = M)`. M itself is kept only as long as it is being wrapped.
pub(super) struct MessageKey {
    prk: Zeroizing<[u8; 32]>,
}

/// Which of the two boxes a key is for.
#[derive(Clone, Copy)]
pub(super) enum BoxKind {
    Sender,
    Body,
}

impl BoxKind {
    fn info(self) -> &'static [u8] {
        match self {
            Self::Sender => b"sender",
            Self::Body => b"body",
        }
    }
}

/// Encryption or decryption failed. Deliberately says no more (P8).
pub(super) struct Failed;

impl MessageKey {
    pub(super) fn new(m: &[u8; 32]) -> Self {
        Self { prk: kdf::extract(&label("env"), m) }
    }

    /// `com = Expand(prk, "com", 32)`: commits to M, which the AEAD alone does not.
    pub(super) fn commitment(&self) -> [u8; 32] {
        *kdf::expand(&self.prk, &[b"com"])
    }

    /// Whether `com` commits to this M. In constant time.
    pub(super) fn matches(&self, com: &[u8; 32]) -> bool {
        self.commitment().ct_eq(com).into()
    }

    /// ChaCha20-Poly1305 under `Expand(prk, "sender" or "body" || H(Header), 32)`, nonce 0: each key is used once.
    fn cipher(&self, kind: BoxKind, header_hash: &[u8; 32]) -> ChaCha20Poly1305 {
        let key = kdf::expand::<32>(&self.prk, &[kind.info(), header_hash]);
        ChaCha20Poly1305::new(<&Key>::from(&*key))
    }

    pub(super) fn encrypt(
        &self,
        kind: BoxKind,
        header_hash: &[u8; 32],
        aad: &[u8; 32],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, Failed> {
        let payload = Payload { msg: plaintext, aad };
        self.cipher(kind, header_hash).encrypt(&Nonce::default(), payload).map_err(|_| Failed)
    }

    pub(super) fn decrypt(
        &self,
        kind: BoxKind,
        header_hash: &[u8; 32],
        aad: &[u8; 32],
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Failed> {
        let payload = Payload { msg: ciphertext, aad };
        let plaintext = self.cipher(kind, header_hash).decrypt(&Nonce::default(), payload).map_err(|_| Failed)?;
        Ok(Zeroizing::new(plaintext))
    }
}
