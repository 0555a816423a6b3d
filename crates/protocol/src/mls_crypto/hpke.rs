//! HPKE as MLS uses it: base mode, X25519, HKDF-SHA256, ChaCha20-Poly1305 (RFC 9420, section 5.1.3; RFC 9180).

use ::hpke::aead::ChaCha20Poly1305;
use ::hpke::kdf::HkdfSha256;
use ::hpke::{
    Deserializable as _, HpkeError, Kem as _, OpModeR, OpModeS, Serializable as _, setup_receiver,
    setup_sender_with_rng, single_shot_open, single_shot_seal_with_rng,
};
use openmls_traits::types::{
    CryptoError, ExporterSecret, HpkeAeadType, HpkeCiphertext, HpkeConfig, HpkeKdfType, HpkeKemType, HpkeKeyPair,
    HpkePrivateKey, KemOutput,
};
use rand_core::CryptoRng;
use zeroize::Zeroize as _;

use super::MOST_EXPANDED;
use crate::dhkem::DhKem;

type Aead = ChaCha20Poly1305;
type Kdf = HkdfSha256;
type Kem = DhKem;
type PublicKey = <Kem as ::hpke::Kem>::PublicKey;
type PrivateKey = <Kem as ::hpke::Kem>::PrivateKey;
type EncappedKey = <Kem as ::hpke::Kem>::EncappedKey;

/// Least bytes that a key pair is derived from: as many as the private key has (RFC 9180, section 7.1.3).
const LEAST_IKM: usize = 32;

/// Whether it is the suite's HPKE.
pub(super) fn require(config: &HpkeConfig) -> Result<(), CryptoError> {
    match config {
        HpkeConfig(HpkeKemType::DhKem25519, HpkeKdfType::HkdfSha256, HpkeAeadType::ChaCha20Poly1305) => Ok(()),
        _ => Err(CryptoError::UnsupportedCiphersuite),
    }
}

/// Single-shot seal (RFC 9180, section 6.1). A key of another length or of low order (section 7.1.4) is refused.
pub(super) fn seal(
    public: &[u8],
    info: &[u8],
    aad: &[u8],
    plaintext: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<HpkeCiphertext, CryptoError> {
    let public = PublicKey::from_bytes(public).map_err(|_| CryptoError::InvalidPublicKey)?;
    let (enc, ciphertext) =
        single_shot_seal_with_rng::<Aead, Kdf, Kem>(&OpModeS::Base, &public, info, plaintext, aad, rng).map_err(
            |error| match error {
                HpkeError::EncapError => CryptoError::InvalidPublicKey,
                _ => CryptoError::HpkeEncryptionError,
            },
        )?;
    Ok(HpkeCiphertext { kem_output: enc.to_bytes().as_slice().into(), ciphertext: ciphertext.into() })
}

/// Single-shot open (RFC 9180, section 6.1). One error for all reasons.
pub(super) fn open(input: &HpkeCiphertext, private: &[u8], info: &[u8], aad: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let open = || {
        let private = PrivateKey::from_bytes(private)?;
        let enc = EncappedKey::from_bytes(input.kem_output.as_slice())?;
        single_shot_open::<Aead, Kdf, Kem>(&OpModeR::Base, &private, &enc, info, input.ciphertext.as_slice(), aad)
    };
    open().map_err(|_| CryptoError::HpkeDecryptionError)
}

/// Sets up a sender and exports (RFC 9180, section 6.2): `(enc, secret)`.
pub(super) fn sender_export(
    public: &[u8],
    info: &[u8],
    context: &[u8],
    length: usize,
    rng: &mut impl CryptoRng,
) -> Result<(KemOutput, ExporterSecret), CryptoError> {
    let mut secret = room(length)?;
    let setup = PublicKey::from_bytes(public)
        .and_then(|public| setup_sender_with_rng::<Aead, Kdf, Kem>(&OpModeS::Base, &public, info, rng));
    let (enc, sender) = setup.map_err(|_| CryptoError::SenderSetupError)?;
    sender.export(context, &mut secret).map_err(|_| CryptoError::ExporterError)?;
    Ok((enc.to_bytes().to_vec(), secret.into()))
}

/// Sets up a receiver and exports (RFC 9180, section 6.2).
pub(super) fn receiver_export(
    enc: &[u8],
    private: &[u8],
    info: &[u8],
    context: &[u8],
    length: usize,
) -> Result<ExporterSecret, CryptoError> {
    let mut secret = room(length)?;
    let setup = || {
        let private = PrivateKey::from_bytes(private)?;
        setup_receiver::<Aead, Kdf, Kem>(&OpModeR::Base, &private, &EncappedKey::from_bytes(enc)?, info)
    };
    let receiver = setup().map_err(|_| CryptoError::ReceiverSetupError)?;
    receiver.export(context, &mut secret).map_err(|_| CryptoError::ExporterError)?;
    Ok(secret.into())
}

/// Room for an exported secret, which is one HKDF-Expand long at most (RFC 9180, section 5.3).
fn room(length: usize) -> Result<Vec<u8>, CryptoError> {
    if length > MOST_EXPANDED { Err(CryptoError::ExporterError) } else { Ok(vec![0; length]) }
}

/// `DeriveKeyPair(ikm)` (RFC 9180, section 7.1.3).
pub(super) fn derive(ikm: &[u8]) -> Result<HpkeKeyPair, CryptoError> {
    if ikm.len() < LEAST_IKM {
        return Err(CryptoError::InvalidLength);
    }
    let (private, public) = Kem::derive_keypair(ikm);
    let mut bytes = private.to_bytes();
    let private = HpkePrivateKey::from(bytes.as_slice());
    bytes.as_mut_slice().zeroize();
    Ok(HpkeKeyPair { private, public: public.to_bytes().to_vec() })
}
