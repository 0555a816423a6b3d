//! MLS crypto: the primitives that OpenMLS runs on, for the one suite that Waxwing speaks (design section 6).
//!
//! Not here: MLS itself (RFC 9420; OpenMLS, driven by `waxwing-client`), its storage, and where randomness comes from.

mod hpke;
mod random;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Mutex;

use ::hkdf::hmac::Hmac;
use ::hkdf::{Hkdf, HmacImpl};
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, KeyInit as _, Nonce};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::types::{
    AeadType, Ciphersuite, CryptoError, ExporterSecret, HashType, HpkeCiphertext, HpkeConfig, HpkeKeyPair, KemOutput,
    SignatureScheme,
};
use rand_core::CryptoRng;
use sha2::{Digest as _, Sha256};
use tls_codec::SecretVLBytes;
use zeroize::{Zeroize as _, Zeroizing};

pub use self::random::RandomnessError;
use crate::kdf;

/// The only suite: X25519, ChaCha20-Poly1305, SHA-256, Ed25519; 0x0003 (RFC 9420, section 17.1).
const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519;

/// Most bytes that one HKDF-Expand gives: 255 blocks (RFC 5869, section 2.3).
const MOST_EXPANDED: usize = 255 * 32;

/// The cryptography and randomness that OpenMLS asks for, for suite 0x0003 alone: everything else is answered by the
/// `Unsupported...` error that fits. `R` is the source of all randomness.
///
/// | what | how it looks |
/// |---|---|
/// | signing key | the 32-byte seed (RFC 8032, section 5.1.5), as [`crate::DeviceSeeds`] keeps it and `openmls_basic_credential` too |
/// | verifying key, signature | 32 and 64 bytes (RFC 8032); verified strictly: canonical `S`, no point of low order |
/// | HPKE private and public key | 32 bytes each (RFC 9180, section 7.1.1); private keys are clamped when read (section 7.1.2) |
///
/// No input makes it panic. Lengths are checked before anything is computed or allocated. What fails on secrets
/// (decryption, decapsulation) fails with one error for all reasons.
pub struct MlsCrypto<R> {
    rng: Mutex<R>,
}

impl<R: CryptoRng + Send> MlsCrypto<R> {
    /// One that draws from `rng`.
    #[must_use]
    pub fn new(rng: R) -> Self {
        Self { rng: Mutex::new(rng) }
    }
}

impl<R> fmt::Debug for MlsCrypto<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MlsCrypto(***)")
    }
}

impl<R: CryptoRng + Send> OpenMlsCrypto for MlsCrypto<R> {
    fn supports(&self, ciphersuite: Ciphersuite) -> Result<(), CryptoError> {
        if ciphersuite == SUITE { Ok(()) } else { Err(CryptoError::UnsupportedCiphersuite) }
    }

    fn supported_ciphersuites(&self) -> Vec<Ciphersuite> {
        vec![SUITE]
    }

    fn hkdf_extract(&self, hash_type: HashType, salt: &[u8], ikm: &[u8]) -> Result<SecretVLBytes, CryptoError> {
        require_sha256(hash_type)?;
        Ok(kdf::extract(salt, ikm).as_slice().into())
    }

    fn hmac(&self, hash_type: HashType, key: &[u8], message: &[u8]) -> Result<SecretVLBytes, CryptoError> {
        require_sha256(hash_type)?;
        let mut hmac = <Hmac<Sha256> as HmacImpl>::new_from_slice(key);
        HmacImpl::update(&mut hmac, message);
        let mut output = HmacImpl::finalize(hmac);
        let tag = output.as_slice().into();
        output.as_mut_slice().zeroize();
        Ok(tag)
    }

    fn hkdf_expand(
        &self,
        hash_type: HashType,
        prk: &[u8],
        info: &[u8],
        okm_len: usize,
    ) -> Result<SecretVLBytes, CryptoError> {
        require_sha256(hash_type)?;
        if okm_len > MOST_EXPANDED {
            return Err(CryptoError::HkdfOutputLengthInvalid);
        }
        // At least as long as the hash (RFC 5869, section 2.3).
        let hkdf = Hkdf::<Sha256>::from_prk(prk).map_err(|_| CryptoError::InvalidLength)?;
        let mut okm = vec![0; okm_len];
        hkdf.expand(info, &mut okm).map_err(|_| CryptoError::HkdfOutputLengthInvalid)?;
        Ok(okm.into())
    }

    fn hash(&self, hash_type: HashType, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        require_sha256(hash_type)?;
        Ok(Sha256::digest(data).to_vec())
    }

    fn aead_encrypt(
        &self,
        alg: AeadType,
        key: &[u8],
        data: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let (cipher, nonce) = cipher(alg, key, nonce)?;
        cipher.encrypt(&nonce, Payload { msg: data, aad }).map_err(|_| CryptoError::TooMuchData)
    }

    fn aead_decrypt(
        &self,
        alg: AeadType,
        key: &[u8],
        ct_tag: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let (cipher, nonce) = cipher(alg, key, nonce)?;
        cipher.decrypt(&nonce, Payload { msg: ct_tag, aad }).map_err(|_| CryptoError::AeadDecryptionError)
    }

    /// Gives `(seed, verifying key)`. The caller wipes the seed.
    fn signature_key_gen(&self, alg: SignatureScheme) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        require_ed25519(alg)?;
        let mut seed = Zeroizing::new([0; 32]);
        self.rng()?.fill_bytes(seed.as_mut_slice());
        let public = SigningKey::from_bytes(&seed).verifying_key();
        Ok((seed.to_vec(), public.to_bytes().to_vec()))
    }

    fn verify_signature(
        &self,
        alg: SignatureScheme,
        data: &[u8],
        pk: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        require_ed25519(alg)?;
        let key = VerifyingKey::try_from(pk).map_err(|_| CryptoError::InvalidPublicKey)?;
        let signature = Signature::from_slice(signature).map_err(|_| CryptoError::InvalidSignature)?;
        key.verify_strict(data, &signature).map_err(|_| CryptoError::InvalidSignature)
    }

    fn sign(&self, alg: SignatureScheme, data: &[u8], key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        require_ed25519(alg)?;
        let seed = key.try_into().map_err(|_| CryptoError::InvalidLength)?;
        Ok(SigningKey::from_bytes(seed).sign(data).to_bytes().to_vec())
    }

    fn hpke_seal(
        &self,
        config: HpkeConfig,
        pk_r: &[u8],
        info: &[u8],
        aad: &[u8],
        ptxt: &[u8],
    ) -> Result<HpkeCiphertext, CryptoError> {
        hpke::require(&config)?;
        hpke::seal(pk_r, info, aad, ptxt, &mut *self.rng()?)
    }

    fn hpke_open(
        &self,
        config: HpkeConfig,
        input: &HpkeCiphertext,
        sk_r: &[u8],
        info: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        hpke::require(&config)?;
        hpke::open(input, sk_r, info, aad)
    }

    fn hpke_setup_sender_and_export(
        &self,
        config: HpkeConfig,
        pk_r: &[u8],
        info: &[u8],
        exporter_context: &[u8],
        exporter_length: usize,
    ) -> Result<(KemOutput, ExporterSecret), CryptoError> {
        hpke::require(&config)?;
        hpke::sender_export(pk_r, info, exporter_context, exporter_length, &mut *self.rng()?)
    }

    fn hpke_setup_receiver_and_export(
        &self,
        config: HpkeConfig,
        enc: &[u8],
        sk_r: &[u8],
        info: &[u8],
        exporter_context: &[u8],
        exporter_length: usize,
    ) -> Result<ExporterSecret, CryptoError> {
        hpke::require(&config)?;
        hpke::receiver_export(enc, sk_r, info, exporter_context, exporter_length)
    }

    fn derive_hpke_keypair(&self, config: HpkeConfig, ikm: &[u8]) -> Result<HpkeKeyPair, CryptoError> {
        hpke::require(&config)?;
        hpke::derive(ikm)
    }
}

fn require_sha256(hash: HashType) -> Result<(), CryptoError> {
    if hash == HashType::Sha2_256 { Ok(()) } else { Err(CryptoError::UnsupportedHashAlgorithm) }
}

fn require_ed25519(scheme: SignatureScheme) -> Result<(), CryptoError> {
    if scheme == SignatureScheme::ED25519 { Ok(()) } else { Err(CryptoError::UnsupportedSignatureScheme) }
}

/// ChaCha20-Poly1305 under `key` (32 bytes), and `nonce` (12 bytes) as it wants it (RFC 8439, section 2.8).
fn cipher(alg: AeadType, key: &[u8], nonce: &[u8]) -> Result<(ChaCha20Poly1305, Nonce), CryptoError> {
    if alg != AeadType::ChaCha20Poly1305 {
        return Err(CryptoError::UnsupportedAeadAlgorithm);
    }
    let key = <&Key>::try_from(key).map_err(|_| CryptoError::InvalidLength)?;
    let nonce = Nonce::try_from(nonce).map_err(|_| CryptoError::InvalidLength)?;
    Ok((ChaCha20Poly1305::new(key), nonce))
}
