//! HPKE as instantiated here: base mode, single-shot, two KEMs (RFC 9180, sections 5 and 6).

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::{Deserializable, HpkeError, Kem, OpModeR, OpModeS, Serializable};
use waxwing_wire::DecodeError;
use waxwing_wire::device::XWING_PUBLIC;
use zeroize::Zeroizing;

use super::suite::Suite;
use crate::dhkem::DhKem;
use crate::sealing_keys::SealingKeys;

/// Bytes of `enc` in suite X25519.
pub(super) const X25519_ENC: usize = 32;
/// Bytes of `enc` in suite X-Wing.
pub(super) const XWING_ENC: usize = 1120;

pub(super) type Aead = ChaCha20Poly1305;
pub(super) type Kdf = HkdfSha256;
pub(super) type X25519Kem = DhKem;
pub(super) type XWingKem = XWing;

/// A key does not fit its KEM, or nothing opens. Deliberately says no more (P8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failed;

impl From<HpkeError> for Failed {
    fn from(_: HpkeError) -> Self {
        Self
    }
}

/// What both sides of a wrap agree on beside the key.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) info: &'a [u8],
    pub(super) aad: &'a [u8],
}

/// Public half of the X25519 key.
pub(crate) fn x25519_public(keys: &SealingKeys) -> [u8; 32] {
    *keys.x25519().public().as_bytes()
}

/// Public half of the X-Wing key.
pub(crate) fn xwing_public(keys: &SealingKeys) -> Result<Box<[u8; XWING_PUBLIC]>, DecodeError> {
    let public = |private| Some(XWingKem::sk_to_pk(&Deserializable::from_bytes(private).ok()?).to_bytes());
    public(keys.xwing())
        .and_then(|key| Box::<[u8]>::from(key.as_slice()).try_into().ok())
        .ok_or(DecodeError::Invalid("X-Wing key"))
}

/// Seals `plaintext` to a public key: `enc | ct`. Fails if the key is not one (X-Wing) or has low order (X25519, P9).
pub(super) fn seal(
    suite: Suite,
    public: &[u8],
    context: Context<'_>,
    plaintext: &[u8],
    rng: &mut impl rand_core::CryptoRng,
) -> Result<Vec<u8>, Failed> {
    match suite {
        Suite::X25519 => seal_with::<X25519Kem>(&Deserializable::from_bytes(public)?, context, plaintext, rng),
        Suite::XWing => seal_with::<XWingKem>(&Deserializable::from_bytes(public)?, context, plaintext, rng),
    }
}

/// Seals `plaintext` to a key whose private half nobody keeps: indistinguishable from [`seal`].
pub(super) fn seal_to_nobody(
    suite: Suite,
    context: Context<'_>,
    plaintext: &[u8],
    rng: &mut impl rand_core::CryptoRng,
) -> Result<Vec<u8>, Failed> {
    match suite {
        Suite::X25519 => seal_with::<X25519Kem>(&X25519Kem::gen_keypair_with_rng(rng).1, context, plaintext, rng),
        Suite::XWing => seal_with::<XWingKem>(&XWingKem::gen_keypair_with_rng(rng).1, context, plaintext, rng),
    }
}

fn seal_with<K: Kem>(
    public: &K::PublicKey,
    Context { info, aad }: Context<'_>,
    plaintext: &[u8],
    rng: &mut impl rand_core::CryptoRng,
) -> Result<Vec<u8>, Failed> {
    let (enc, ct) = hpke::single_shot_seal_with_rng::<Aead, Kdf, K>(&OpModeS::Base, public, info, plaintext, aad, rng)?;
    Ok([enc.to_bytes().as_slice(), &ct].concat())
}

/// Opens `enc` and `ct` with a device's private key.
pub(super) fn open(
    suite: Suite,
    keys: &SealingKeys,
    context: Context<'_>,
    enc: &[u8],
    ct: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Failed> {
    match suite {
        Suite::X25519 => open_with::<X25519Kem>(&keys.x25519(), context, enc, ct),
        Suite::XWing => open_with::<XWingKem>(&Deserializable::from_bytes(keys.xwing())?, context, enc, ct),
    }
}

fn open_with<K: Kem>(
    private: &K::PrivateKey,
    Context { info, aad }: Context<'_>,
    enc: &[u8],
    ct: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Failed> {
    let enc = K::EncappedKey::from_bytes(enc)?;
    let plaintext = hpke::single_shot_open::<Aead, Kdf, K>(&OpModeR::Base, private, &enc, info, ct, aad)?;
    Ok(Zeroizing::new(plaintext))
}
