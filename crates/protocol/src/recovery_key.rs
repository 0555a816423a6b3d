//! Recovery key: beats the account key; kept offline by the user as 24 words (design section 4).

use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey};
use waxwing_wire::signing_input;

/// Ed25519 (RFC 8032); made by [`crate::RecoveryPhrase::recovery_key`] alone.
pub struct RecoveryKey(Box<SigningKey>);

impl RecoveryKey {
    pub(crate) fn from_seed(seed: &[u8; 32]) -> Self {
        Self(Box::new(SigningKey::from_bytes(seed)))
    }

    /// Its public half: what a chain's `create` names.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// Signature over `message` in `context` (see [`signing_input`]).
    #[must_use]
    pub fn sign(&self, context: &str, message: &[u8]) -> [u8; 64] {
        self.0.sign(&signing_input(context, message)).to_bytes()
    }
}

impl fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryKey(***)")
    }
}
