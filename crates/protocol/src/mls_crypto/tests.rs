//! Known answers for the formats, and everything that must be refused. The MLS working group's vectors and a group shared
//! with another provider are in `tests/mls`, outside this workspace.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};

use openmls_traits::random::OpenMlsRand as _;
use openmls_traits::types::{HpkeAeadType, HpkeKdfType, HpkeKemType};
use proptest::collection::vec;
use proptest::prelude::{any, proptest};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use rand_core::{TryCryptoRng, TryRng};

use super::random::MOST_RANDOM;
use super::*;

const HASH: HashType = HashType::Sha2_256;
const AEAD: AeadType = AeadType::ChaCha20Poly1305;
const ED25519: SignatureScheme = SignatureScheme::ED25519;

/// Coordinates whose products with any clamped scalar are zero (RFC 7748, section 6.1): 0, 1, the two of order 8, p - 1,
/// p, p + 1.
const LOW_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

fn crypto() -> MlsCrypto<ChaCha20Rng> {
    MlsCrypto::new(ChaCha20Rng::from_seed([7; 32]))
}

fn config() -> HpkeConfig {
    SUITE.hpke_config()
}

fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex).unwrap()
}

fn key_pair(crypto: &MlsCrypto<ChaCha20Rng>) -> HpkeKeyPair {
    crypto.derive_hpke_keypair(config(), &[1; 32]).unwrap()
}

/// RFC 5869, appendix A.1; RFC 4231, test case 2; FIPS 180-2, appendix B.1.
#[test]
fn hashes_known_answers() {
    let crypto = crypto();
    let prk = crypto.hkdf_extract(HASH, &bytes("000102030405060708090a0b0c"), &[0x0b; 22]).unwrap();
    assert_eq!(hex::encode(prk.as_slice()), "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
    let okm = crypto.hkdf_expand(HASH, prk.as_slice(), &bytes("f0f1f2f3f4f5f6f7f8f9"), 42).unwrap();
    assert_eq!(
        hex::encode(okm.as_slice()),
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    );
    let tag = crypto.hmac(HASH, b"Jefe", b"what do ya want for nothing?").unwrap();
    assert_eq!(hex::encode(tag.as_slice()), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_eq!(
        hex::encode(crypto.hash(HASH, b"abc").unwrap()),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}

/// RFC 8032, section 7.1, TEST 2: the private key is the seed.
#[test]
fn signs_a_known_answer() {
    let seed = bytes("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
    let public = bytes("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    let signature = crypto().sign(ED25519, &[0x72], &seed).unwrap();
    assert_eq!(
        hex::encode(&signature),
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
         085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    );
    assert_eq!(crypto().verify_signature(ED25519, &[0x72], &public, &signature), Ok(()));
}

/// RFC 9180, appendix A.2.1: deriving, opening (sequence number 0) and exporting.
#[test]
fn hpke_known_answers() {
    let crypto = crypto();
    let pair = crypto
        .derive_hpke_keypair(config(), &bytes("1ac01f181fdf9f352797655161c58b75c656a6cc2716dcb66372da835542e1df"))
        .unwrap();
    // The appendix shows ...fb: unclamped, which section 7.1.2 forbids. The same key, clamped:
    assert_eq!(hex::encode(&*pair.private), "8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e07b");
    assert_eq!(hex::encode(&pair.public), "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a");
    let enc = bytes("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a");
    let info = b"Ode on a Grecian Urn";
    let sealed = HpkeCiphertext {
        kem_output: enc.as_slice().into(),
        ciphertext: bytes("1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28")
            .into(),
    };
    let plaintext = crypto.hpke_open(config(), &sealed, &pair.private, info, b"Count-0").unwrap();
    assert_eq!(plaintext, b"Beauty is truth, truth beauty");
    let exported =
        crypto.hpke_setup_receiver_and_export(config(), &enc, &pair.private, info, b"TestContext", 32).unwrap();
    assert_eq!(hex::encode(&*exported), "5acb09211139c43b3090489a9da433e8a30ee7188ba8b0a9a1ccf0c229283e53");
}

#[test]
fn both_sides_of_hpke_agree() {
    let crypto = crypto();
    let pair = key_pair(&crypto);
    let sealed = crypto.hpke_seal(config(), &pair.public, b"info", b"aad", b"text").unwrap();
    assert_eq!(crypto.hpke_open(config(), &sealed, &pair.private, b"info", b"aad").unwrap(), b"text");
    let again = crypto.hpke_seal(config(), &pair.public, b"info", b"aad", b"text").unwrap();
    assert_ne!(sealed, again, "a fresh key for each");
    let (enc, secret) = crypto.hpke_setup_sender_and_export(config(), &pair.public, b"info", b"context", 40).unwrap();
    let received =
        crypto.hpke_setup_receiver_and_export(config(), &enc, &pair.private, b"info", b"context", 40).unwrap();
    assert_eq!(*secret, *received);
    assert_eq!(secret.len(), 40);
}

#[test]
fn generated_keys_are_seeds() {
    let crypto = crypto();
    let (seed, public) = crypto.signature_key_gen(ED25519).unwrap();
    assert_eq!(SigningKey::from_bytes(seed.as_slice().try_into().unwrap()).verifying_key().as_bytes(), &*public);
    assert_ne!(crypto.signature_key_gen(ED25519).unwrap().0, seed);
}

#[test]
fn one_suite_only() {
    let crypto = crypto();
    assert_eq!(crypto.supported_ciphersuites(), [SUITE]);
    for number in 0..=8 {
        let Ok(suite) = Ciphersuite::try_from(number) else { continue };
        let answer = crypto.supports(suite);
        assert_eq!(answer, if number == 3 { Ok(()) } else { Err(CryptoError::UnsupportedCiphersuite) });
    }
    for hash in [HashType::Sha2_384, HashType::Sha2_512] {
        let no = CryptoError::UnsupportedHashAlgorithm;
        assert_eq!(crypto.hash(hash, b"").unwrap_err(), no);
        assert_eq!(crypto.hmac(hash, b"", b"").unwrap_err(), no);
        assert_eq!(crypto.hkdf_extract(hash, b"", b"").unwrap_err(), no);
        assert_eq!(crypto.hkdf_expand(hash, &[1; 64], b"", 32).unwrap_err(), no);
    }
    for aead in [AeadType::Aes128Gcm, AeadType::Aes256Gcm] {
        let (key, nonce) = (vec![1; aead.key_size()], [1; 12]);
        let no = CryptoError::UnsupportedAeadAlgorithm;
        assert_eq!(crypto.aead_encrypt(aead, &key, b"", &nonce, b"").unwrap_err(), no);
        assert_eq!(crypto.aead_decrypt(aead, &key, &[0; 16], &nonce, b"").unwrap_err(), no);
    }
    for scheme in [SignatureScheme::ECDSA_SECP256R1_SHA256, SignatureScheme::ED448] {
        let no = CryptoError::UnsupportedSignatureScheme;
        assert_eq!(crypto.signature_key_gen(scheme).unwrap_err(), no);
        assert_eq!(crypto.sign(scheme, b"", &[1; 32]).unwrap_err(), no);
        assert_eq!(crypto.verify_signature(scheme, b"", &[1; 32], &[1; 64]).unwrap_err(), no);
    }
}

#[test]
fn one_hpke_only() {
    let crypto = crypto();
    let pair = key_pair(&crypto);
    let sealed = crypto.hpke_seal(config(), &pair.public, b"", b"", b"").unwrap();
    let others = [
        (HpkeKemType::DhKemP256, HpkeKdfType::HkdfSha256, HpkeAeadType::ChaCha20Poly1305),
        (HpkeKemType::DhKem448, HpkeKdfType::HkdfSha256, HpkeAeadType::ChaCha20Poly1305),
        (HpkeKemType::DhKem25519, HpkeKdfType::HkdfSha512, HpkeAeadType::ChaCha20Poly1305),
        (HpkeKemType::DhKem25519, HpkeKdfType::HkdfSha256, HpkeAeadType::AesGcm128),
        (HpkeKemType::DhKem25519, HpkeKdfType::HkdfSha256, HpkeAeadType::Export),
    ];
    for (kem, kdf, aead) in others {
        let other = || HpkeConfig(kem, kdf, aead);
        let no = CryptoError::UnsupportedCiphersuite;
        assert_eq!(crypto.hpke_seal(other(), &pair.public, b"", b"", b"").unwrap_err(), no);
        assert_eq!(crypto.hpke_open(other(), &sealed, &pair.private, b"", b"").unwrap_err(), no);
        assert_eq!(crypto.derive_hpke_keypair(other(), &[1; 32]).unwrap_err(), no);
        assert_eq!(crypto.hpke_setup_sender_and_export(other(), &pair.public, b"", b"", 32).unwrap_err(), no);
        let enc = sealed.kem_output.as_slice();
        assert_eq!(crypto.hpke_setup_receiver_and_export(other(), enc, &pair.private, b"", b"", 32).unwrap_err(), no);
    }
}

#[test]
fn wrong_lengths() {
    let crypto = crypto();
    let pair = key_pair(&crypto);
    let sealed = crypto.hpke_seal(config(), &pair.public, b"", b"", b"").unwrap();
    let (seed, public) = crypto.signature_key_gen(ED25519).unwrap();
    let signature = crypto.sign(ED25519, b"", &seed).unwrap();
    let bad_length = CryptoError::InvalidLength;
    for length in [0, 1, 11, 13, 16, 31, 33, 64] {
        let other = vec![1; length];
        assert_eq!(crypto.aead_encrypt(AEAD, &other, b"", &[0; 12], b"").unwrap_err(), bad_length);
        assert_eq!(crypto.aead_decrypt(AEAD, &other, &[0; 16], &[0; 12], b"").unwrap_err(), bad_length);
        assert_eq!(crypto.aead_encrypt(AEAD, &[0; 32], b"", &other, b"").unwrap_err(), bad_length);
        assert_eq!(crypto.aead_decrypt(AEAD, &[0; 32], &[0; 16], &other, b"").unwrap_err(), bad_length);
        assert_eq!(crypto.sign(ED25519, b"", &other).unwrap_err(), bad_length);
        assert_eq!(
            crypto.verify_signature(ED25519, b"", &other, &signature).unwrap_err(),
            CryptoError::InvalidPublicKey
        );
        assert_eq!(crypto.hpke_seal(config(), &other, b"", b"", b"").unwrap_err(), CryptoError::InvalidPublicKey);
        assert_eq!(
            crypto.hpke_open(config(), &sealed, &other, b"", b"").unwrap_err(),
            CryptoError::HpkeDecryptionError
        );
        let sender = crypto.hpke_setup_sender_and_export(config(), &other, b"", b"", 32);
        assert_eq!(sender.unwrap_err(), CryptoError::SenderSetupError);
        let enc = sealed.kem_output.as_slice();
        for (enc, private) in [(enc, other.as_slice()), (&other, &*pair.private)] {
            let receiver = crypto.hpke_setup_receiver_and_export(config(), enc, private, b"", b"", 32);
            assert_eq!(receiver.unwrap_err(), CryptoError::ReceiverSetupError);
        }
        let wrong = HpkeCiphertext { kem_output: other.as_slice().into(), ciphertext: sealed.ciphertext.clone() };
        assert_eq!(
            crypto.hpke_open(config(), &wrong, &pair.private, b"", b"").unwrap_err(),
            CryptoError::HpkeDecryptionError
        );
    }
    for length in [0, 32, 63, 65, 128] {
        let refused = crypto.verify_signature(ED25519, b"", &public, &vec![0; length]);
        assert_eq!(refused.unwrap_err(), CryptoError::InvalidSignature);
    }
    for length in [0, 16, 31] {
        assert_eq!(crypto.hkdf_expand(HASH, &vec![1; length], b"", 32).unwrap_err(), bad_length);
        assert_eq!(crypto.derive_hpke_keypair(config(), &vec![1; length]).unwrap_err(), bad_length);
    }
    for length in 0..16 {
        let refused = crypto.aead_decrypt(AEAD, &[0; 32], &vec![0; length], &[0; 12], b"");
        assert_eq!(refused.unwrap_err(), CryptoError::AeadDecryptionError);
    }
}

/// Lengths that would exhaust memory are refused before anything is allocated.
#[test]
fn absurd_lengths() {
    let crypto = crypto();
    let pair = key_pair(&crypto);
    let (enc, longest) = crypto.hpke_setup_sender_and_export(config(), &pair.public, b"", b"", MOST_EXPANDED).unwrap();
    assert_eq!(longest.len(), MOST_EXPANDED);
    assert_eq!(crypto.hkdf_expand(HASH, &[1; 32], b"", MOST_EXPANDED).unwrap().as_slice().len(), MOST_EXPANDED);
    assert_eq!(crypto.random_vec(MOST_RANDOM).unwrap().len(), MOST_RANDOM);
    for length in [MOST_EXPANDED + 1, 1 << 16, usize::MAX] {
        assert_eq!(crypto.hkdf_expand(HASH, &[1; 32], b"", length).unwrap_err(), CryptoError::HkdfOutputLengthInvalid);
        let sender = crypto.hpke_setup_sender_and_export(config(), &pair.public, b"", b"", length);
        assert_eq!(sender.unwrap_err(), CryptoError::ExporterError);
        let receiver = crypto.hpke_setup_receiver_and_export(config(), &enc, &pair.private, b"", b"", length);
        assert_eq!(receiver.unwrap_err(), CryptoError::ExporterError);
    }
    for length in [MOST_RANDOM + 1, usize::MAX] {
        assert_eq!(crypto.random_vec(length), Err(RandomnessError::TooMany));
    }
}

#[test]
fn what_was_changed_does_not_open() {
    let crypto = crypto();
    let (key, nonce, aad, text) = ([3; 32], [4; 12], b"aad", b"text");
    let sealed = crypto.aead_encrypt(AEAD, &key, text, &nonce, aad).unwrap();
    assert_eq!(sealed.len(), text.len() + 16);
    assert_eq!(crypto.aead_decrypt(AEAD, &key, &sealed, &nonce, aad).unwrap(), text);
    let no = CryptoError::AeadDecryptionError;
    for place in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[place] ^= 1;
        assert_eq!(crypto.aead_decrypt(AEAD, &key, &changed, &nonce, aad).unwrap_err(), no);
    }
    assert_eq!(crypto.aead_decrypt(AEAD, &[5; 32], &sealed, &nonce, aad).unwrap_err(), no);
    assert_eq!(crypto.aead_decrypt(AEAD, &key, &sealed, &[5; 12], aad).unwrap_err(), no);
    assert_eq!(crypto.aead_decrypt(AEAD, &key, &sealed, &nonce, b"other").unwrap_err(), no);

    let (pair, other) = (key_pair(&crypto), crypto.derive_hpke_keypair(config(), &[2; 32]).unwrap());
    let sealed = crypto.hpke_seal(config(), &pair.public, b"info", aad, text).unwrap();
    let open = |sealed: &HpkeCiphertext, private: &[u8], info: &[u8], aad: &[u8]| {
        crypto.hpke_open(config(), sealed, private, info, aad)
    };
    let no = CryptoError::HpkeDecryptionError;
    assert_eq!(open(&sealed, &pair.private, b"info", aad).unwrap(), text);
    assert_eq!(open(&sealed, &other.private, b"info", aad).unwrap_err(), no);
    assert_eq!(open(&sealed, &pair.private, b"other", aad).unwrap_err(), no);
    assert_eq!(open(&sealed, &pair.private, b"info", b"other").unwrap_err(), no);
    for place in 0..sealed.ciphertext.as_slice().len() {
        let mut changed = sealed.ciphertext.as_slice().to_vec();
        changed[place] ^= 1;
        let changed = HpkeCiphertext { kem_output: sealed.kem_output.clone(), ciphertext: changed.into() };
        assert_eq!(open(&changed, &pair.private, b"info", aad).unwrap_err(), no);
    }
    let short = HpkeCiphertext { kem_output: sealed.kem_output.clone(), ciphertext: vec![0; 15].into() };
    assert_eq!(open(&short, &pair.private, b"info", aad).unwrap_err(), no);
}

/// RFC 9180, section 7.1.4.
#[test]
fn low_order_points() {
    let crypto = crypto();
    let pair = key_pair(&crypto);
    for point in LOW_ORDER.map(bytes) {
        // The top bit is not part of the coordinate (RFC 7748, section 5).
        for top in [0, 0x80] {
            let mut point = point.clone();
            point[31] |= top;
            let refused = crypto.hpke_seal(config(), &point, b"", b"", b"");
            assert_eq!(refused.unwrap_err(), CryptoError::InvalidPublicKey);
            let refused = crypto.hpke_setup_sender_and_export(config(), &point, b"", b"", 32);
            assert_eq!(refused.unwrap_err(), CryptoError::SenderSetupError);
            let refused = crypto.hpke_setup_receiver_and_export(config(), &point, &pair.private, b"", b"", 32);
            assert_eq!(refused.unwrap_err(), CryptoError::ReceiverSetupError);
            let sealed = HpkeCiphertext { kem_output: point.as_slice().into(), ciphertext: vec![0; 16].into() };
            let refused = crypto.hpke_open(config(), &sealed, &pair.private, b"", b"");
            assert_eq!(refused.unwrap_err(), CryptoError::HpkeDecryptionError);
        }
    }
}

/// The same signature with `S + L` (RFC 8032, section 5.1.7: `S` must be below `L`).
#[test]
fn malleable_signatures() {
    let crypto = crypto();
    let (seed, public) = crypto.signature_key_gen(ED25519).unwrap();
    let mut signature = crypto.sign(ED25519, b"message", &seed).unwrap();
    assert_eq!(crypto.verify_signature(ED25519, b"message", &public, &signature), Ok(()));
    let order = bytes("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut carry = 0;
    for (byte, add) in signature[32..].iter_mut().zip(&order) {
        let sum = u16::from(*byte) + u16::from(*add) + carry;
        let [low, high] = sum.to_le_bytes();
        (*byte, carry) = (low, u16::from(high));
    }
    assert_eq!(carry, 0);
    let refused = crypto.verify_signature(ED25519, b"message", &public, &signature);
    assert_eq!(refused.unwrap_err(), CryptoError::InvalidSignature);
}

/// With the neutral element as key and as `R`, `S = 0` satisfies the equation for every message. Only strict verification
/// refuses it.
#[test]
fn keys_that_fit_every_message() {
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let signature = [neutral, [0; 32]].concat();
    let lax = VerifyingKey::from_bytes(&neutral).unwrap();
    assert!(ed25519_dalek::Verifier::verify(&lax, b"any", &Signature::from_slice(&signature).unwrap()).is_ok());
    let refused = crypto().verify_signature(ED25519, b"any", &neutral, &signature);
    assert_eq!(refused.unwrap_err(), CryptoError::InvalidSignature);
}

#[test]
fn wrong_signatures() {
    let crypto = crypto();
    let (seed, public) = crypto.signature_key_gen(ED25519).unwrap();
    let signature = crypto.sign(ED25519, b"message", &seed).unwrap();
    let no = CryptoError::InvalidSignature;
    assert_eq!(crypto.verify_signature(ED25519, b"other", &public, &signature).unwrap_err(), no);
    for place in 0..signature.len() {
        let mut changed = signature.clone();
        changed[place] ^= 1;
        assert_eq!(crypto.verify_signature(ED25519, b"message", &public, &changed).unwrap_err(), no);
    }
    // No point has this y (2 is no such coordinate).
    let mut no_point = [0; 32];
    no_point[0] = 2;
    let refused = crypto.verify_signature(ED25519, b"message", &no_point, &signature);
    assert_eq!(refused.unwrap_err(), CryptoError::InvalidPublicKey);
}

/// A source that panics when it is asked.
struct Broken;

impl TryRng for Broken {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("no randomness")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("no randomness")
    }

    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Infallible> {
        panic!("no randomness")
    }
}

impl TryCryptoRng for Broken {}

#[test]
fn a_source_that_failed_is_not_asked_again() {
    let crypto = MlsCrypto::new(Broken);
    assert!(catch_unwind(AssertUnwindSafe(|| crypto.random_vec(1))).is_err());
    let no = CryptoError::InsufficientRandomness;
    assert_eq!(crypto.random_vec(1), Err(RandomnessError::Failed));
    assert_eq!(crypto.random_array::<1>(), Err(RandomnessError::Failed));
    assert_eq!(crypto.signature_key_gen(ED25519).unwrap_err(), no);
    let public = key_pair(&self::crypto()).public;
    assert_eq!(crypto.hpke_seal(config(), &public, b"", b"", b"").unwrap_err(), no);
    assert_eq!(crypto.hpke_setup_sender_and_export(config(), &public, b"", b"", 32).unwrap_err(), no);
}

#[test]
fn shows_nothing() {
    assert_eq!(format!("{:?}", crypto()), "MlsCrypto(***)");
}

proptest! {
    #[test]
    fn no_input_panics(
        a in vec(any::<u8>(), 0..80), b in vec(any::<u8>(), 0..80), c in vec(any::<u8>(), 0..80),
        key in any::<[u8; 32]>(), long in any::<[u8; 64]>(), length in any::<usize>(),
    ) {
        let crypto = crypto();
        let _ = crypto.hkdf_extract(HASH, &a, &b);
        let _ = crypto.hkdf_expand(HASH, &a, &b, length);
        let _ = crypto.hkdf_expand(HASH, &key, &b, length % 9000);
        let _ = crypto.hmac(HASH, &a, &b);
        let _ = crypto.aead_encrypt(AEAD, &a, &b, &c, &a);
        let _ = crypto.aead_decrypt(AEAD, &key, &b, &long[..12], &a);
        let _ = crypto.sign(ED25519, &a, &b);
        let _ = crypto.verify_signature(ED25519, &a, &b, &c);
        let _ = crypto.verify_signature(ED25519, &a, &key, &long);
        let _ = crypto.hpke_seal(config(), &a, &b, &c, &a);
        let _ = crypto.hpke_seal(config(), &key, &b, &c, &a);
        let sealed = HpkeCiphertext { kem_output: a.clone().into(), ciphertext: b.clone().into() };
        let _ = crypto.hpke_open(config(), &sealed, &c, &a, &b);
        let sealed = HpkeCiphertext { kem_output: key.as_slice().into(), ciphertext: b.clone().into() };
        let _ = crypto.hpke_open(config(), &sealed, &key, &a, &b);
        let _ = crypto.hpke_setup_sender_and_export(config(), &key, &b, &c, length % 9000);
        let _ = crypto.hpke_setup_receiver_and_export(config(), &a, &b, &c, &a, length);
        let _ = crypto.hpke_setup_receiver_and_export(config(), &key, &long[..32], &c, &a, length % 9000);
        let _ = crypto.derive_hpke_keypair(config(), &a);
        let _ = crypto.random_vec(length);
    }
}
