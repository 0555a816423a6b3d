//! Account key: signs device records; what safety numbers cover (design section 4).

use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey};
use waxwing_wire::signing_input;
use zeroize::Zeroizing;

/// Ed25519 (RFC 8032) from a 32-byte seed. On each linked device, in the keychain.
pub struct AccountKey(Box<SigningKey>);

impl AccountKey {
    /// A fresh one from `rng`.
    #[must_use]
    pub fn generate(rng: &mut impl rand_core::CryptoRng) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut_slice());
        Self::from_seed(&seed)
    }

    /// The key of this seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(Box::new(SigningKey::from_bytes(seed)))
    }

    /// Its seed: secret.
    #[must_use]
    pub fn seed(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Its public half.
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

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountKey(***)")
    }
}
