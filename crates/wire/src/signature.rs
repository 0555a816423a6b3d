//! Ed25519 verification (RFC 8032) as the whole project does it: labelled, strict, weak keys refused.

use ed25519_dalek::{Signature, VerifyingKey};

use crate::label::signing_input;

/// The signature does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not hold")]
pub struct BadSignature;

/// Checks that `signature` is `key`'s over `message` in `context`.
///
/// `verify_strict` refuses small-order keys and non-canonical points and scalars (P9).
pub fn verify(key: &[u8; 32], context: &str, message: &[u8], signature: &[u8; 64]) -> Result<(), BadSignature> {
    let key = VerifyingKey::from_bytes(key).map_err(|_| BadSignature)?;
    key.verify_strict(&signing_input(context, message), &Signature::from_bytes(signature)).map_err(|_| BadSignature)
}
