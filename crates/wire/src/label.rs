//! Labels for domain separation (docs/protocol.md, "Conventions"): every hash, key derivation and signature has its own.

use sha2::{Digest, Sha256};

/// `label(x) = "waxwing/1 " || x`.
#[must_use]
pub fn label(context: &str) -> Vec<u8> {
    [b"waxwing/1 ", context.as_bytes()].concat()
}

/// `H`: SHA-256 (FIPS 180-4) over the concatenation of `parts`.
#[must_use]
pub fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part);
    }
    digest.finalize().into()
}

/// What an Ed25519 signature in context `context` covers: `label(context) || 0x00 || message`.
///
/// No context contains a zero byte, so no two contexts can sign the same bytes.
#[must_use]
pub fn signing_input(context: &str, message: &[u8]) -> Vec<u8> {
    let mut input = label(context);
    input.push(0);
    input.extend_from_slice(message);
    input
}
