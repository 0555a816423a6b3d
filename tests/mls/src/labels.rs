//! The labelled functions of RFC 9420, on the primitives of a provider alone. Suite 0x0003: `Nh` = `Nk` = 32, `Nn` = 12.

use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::types::{CryptoError, HashType, HpkeCiphertext, SignatureScheme};

use crate::codec::var;
use crate::provider::SUITE;

/// `Nh`: bytes of a hash and of a secret.
pub const NH: usize = 32;
/// `Nk`: bytes of an AEAD key.
pub const NK: usize = 32;
/// `Nn`: bytes of an AEAD nonce.
pub const NN: usize = 12;

const HASH: HashType = HashType::Sha2_256;

fn labelled(label: &str, value: &[u8]) -> Vec<u8> {
    [var(format!("MLS 1.0 {label}").as_bytes()), var(value)].concat()
}

/// `RefHash(Label, Value)` (section 5.2). Its labels are complete: no prefix is added.
///
/// # Panics
///
/// If the provider cannot hash.
pub fn ref_hash(crypto: &impl OpenMlsCrypto, label: &str, value: &[u8]) -> Vec<u8> {
    hash(crypto, &[var(label.as_bytes()), var(value)].concat())
}

/// `Hash(Value)`.
///
/// # Panics
///
/// If the provider cannot hash.
pub fn hash(crypto: &impl OpenMlsCrypto, value: &[u8]) -> Vec<u8> {
    crypto.hash(HASH, value).unwrap()
}

/// `KDF.Extract(Salt, IKM)`.
///
/// # Panics
///
/// If the provider cannot.
pub fn extract(crypto: &impl OpenMlsCrypto, salt: &[u8], ikm: &[u8]) -> Vec<u8> {
    crypto.hkdf_extract(HASH, salt, ikm).unwrap().as_slice().to_vec()
}

/// `MAC(Key, Value)`: HMAC with the suite's hash (section 5.1).
///
/// # Panics
///
/// If the provider cannot.
pub fn mac(crypto: &impl OpenMlsCrypto, key: &[u8], value: &[u8]) -> Vec<u8> {
    crypto.hmac(HASH, key, value).unwrap().as_slice().to_vec()
}

/// `ExpandWithLabel(Secret, Label, Context, Length)` (section 8).
///
/// # Panics
///
/// If the provider cannot.
pub fn expand_with_label(
    crypto: &impl OpenMlsCrypto,
    secret: &[u8],
    label: &str,
    context: &[u8],
    length: usize,
) -> Vec<u8> {
    let mut info = u16::try_from(length).unwrap().to_be_bytes().to_vec();
    info.extend(labelled(label, context));
    crypto.hkdf_expand(HASH, secret, &info, length).unwrap().as_slice().to_vec()
}

/// `DeriveSecret(Secret, Label)` (section 8).
pub fn derive_secret(crypto: &impl OpenMlsCrypto, secret: &[u8], label: &str) -> Vec<u8> {
    expand_with_label(crypto, secret, label, b"", NH)
}

/// `DeriveTreeSecret(Secret, Label, Generation, Length)` (section 9).
pub fn derive_tree_secret(
    crypto: &impl OpenMlsCrypto,
    secret: &[u8],
    label: &str,
    generation: u32,
    length: usize,
) -> Vec<u8> {
    expand_with_label(crypto, secret, label, &generation.to_be_bytes(), length)
}

/// `SignWithLabel(SignatureKey, Label, Content)` (section 5.1.2).
///
/// # Panics
///
/// If the provider cannot.
pub fn sign_with_label(crypto: &impl OpenMlsCrypto, private: &[u8], label: &str, content: &[u8]) -> Vec<u8> {
    crypto.sign(SignatureScheme::ED25519, &labelled(label, content), private).unwrap()
}

/// `VerifyWithLabel(VerificationKey, Label, Content, SignatureValue)` (section 5.1.2).
pub fn verify_with_label(
    crypto: &impl OpenMlsCrypto,
    public: &[u8],
    label: &str,
    content: &[u8],
    signature: &[u8],
) -> Result<(), CryptoError> {
    crypto.verify_signature(SignatureScheme::ED25519, &labelled(label, content), public, signature)
}

/// `EncryptWithLabel(PublicKey, Label, Context, Plaintext)` (section 5.1.3).
pub fn encrypt_with_label(
    crypto: &impl OpenMlsCrypto,
    public: &[u8],
    label: &str,
    context: &[u8],
    plaintext: &[u8],
) -> Result<HpkeCiphertext, CryptoError> {
    crypto.hpke_seal(SUITE.hpke_config(), public, &labelled(label, context), b"", plaintext)
}

/// `DecryptWithLabel(PrivateKey, Label, Context, KEMOutput, Ciphertext)` (section 5.1.3).
pub fn decrypt_with_label(
    crypto: &impl OpenMlsCrypto,
    private: &[u8],
    label: &str,
    context: &[u8],
    sealed: &HpkeCiphertext,
) -> Result<Vec<u8>, CryptoError> {
    crypto.hpke_open(SUITE.hpke_config(), sealed, private, &labelled(label, context), b"")
}
