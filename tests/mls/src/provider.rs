//! OpenMLS on our cryptography, with its storage in memory.

use openmls_memory_storage::MemoryStorage;
use openmls_traits::OpenMlsProvider;
use openmls_traits::crypto::OpenMlsCrypto as _;
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::types::{Ciphersuite, SignatureScheme};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use waxwing_protocol::MlsCrypto;

/// The suite that everything here is about: 0x0003.
pub const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519;

/// Our cryptography on reproducible randomness.
pub type Crypto = MlsCrypto<ChaCha20Rng>;

/// Our cryptography; the same seed draws the same.
#[must_use]
pub fn crypto(seed: u8) -> Crypto {
    MlsCrypto::new(ChaCha20Rng::from_seed([seed; 32]))
}

/// What OpenMLS is called with.
#[derive(Debug)]
pub struct Ours {
    crypto: Crypto,
    storage: MemoryStorage,
}

impl Ours {
    /// A fresh one, with nothing stored.
    #[must_use]
    pub fn new(seed: u8) -> Self {
        Self { crypto: crypto(seed), storage: MemoryStorage::default() }
    }
}

impl OpenMlsProvider for Ours {
    type CryptoProvider = Crypto;
    type RandProvider = Crypto;
    type StorageProvider = MemoryStorage;

    fn storage(&self) -> &MemoryStorage {
        &self.storage
    }

    fn crypto(&self) -> &Crypto {
        &self.crypto
    }

    fn rand(&self) -> &Crypto {
        &self.crypto
    }
}

/// Signs leaves with our cryptography too.
#[derive(Debug)]
pub struct OurSigner {
    crypto: Crypto,
    seed: Vec<u8>,
    public: Vec<u8>,
}

impl OurSigner {
    /// A fresh key.
    ///
    /// # Panics
    ///
    /// If none can be made.
    #[must_use]
    pub fn new(seed: u8) -> Self {
        let crypto = crypto(seed);
        let (seed, public) = crypto.signature_key_gen(SignatureScheme::ED25519).unwrap();
        Self { crypto, seed, public }
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        &self.public
    }
}

impl Signer for OurSigner {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        self.crypto.sign(SignatureScheme::ED25519, payload, &self.seed).map_err(SignerError::CryptoError)
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}
