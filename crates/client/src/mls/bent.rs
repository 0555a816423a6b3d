//! Cryptography as a member may have it who bends it: the public half of one key pair is whatever they like. For tests.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use openmls::prelude::KeyPackage;
use openmls_traits::OpenMlsProvider;
use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::random::OpenMlsRand;
use openmls_traits::types::{
    AeadType, Ciphersuite, CryptoError, ExporterSecret, HashType, HpkeCiphertext, HpkeConfig, HpkeKeyPair, KemOutput,
    SignatureScheme,
};
use rusqlite::Transaction;
use tls_codec::SecretVLBytes;
use waxwing_protocol::DeviceKeys;
use waxwing_wire::AccountId;

use super::group::LeafSigner;
use super::storage::TxStorage;
use super::{Crypto, SUITE, capabilities, key_package, lifetime};

/// Keys that nobody can seal to: of odd length, and of low order (RFC 7748, section 6.1).
pub(crate) fn unusable() -> Vec<Vec<u8>> {
    let mut one = vec![0; 32];
    one[0] = 1;
    let order_8 = "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800";
    vec![Vec::new(), vec![9; 31], vec![9; 33], vec![0; 32], one, hex::decode(order_8).unwrap()]
}

/// Which key is bent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// The init key of a key package.
    Init,
    /// The encryption key of a key package's leaf.
    PackageLeaf,
    /// That of the committer's new leaf.
    PathLeaf,
    /// That of the lowest node on a commit's path.
    Node,
}

pub(crate) struct Bent<'a> {
    crypto: &'a Crypto,
    which: Which,
    public: Vec<u8>,
    /// Secrets that were drawn at random.
    drawn: Mutex<Vec<Vec<u8>>>,
    /// Key pairs that were made of those.
    made: AtomicUsize,
    /// What the key pair of the path's lowest node is made of.
    lowest: Mutex<Option<Vec<u8>>>,
}

impl<'a> Bent<'a> {
    pub(crate) fn new(crypto: &'a Crypto, which: Which, public: &[u8]) -> Self {
        let (drawn, made, lowest) = (Mutex::default(), AtomicUsize::new(0), Mutex::default());
        Self { crypto, which, public: public.to_vec(), drawn, made, lowest }
    }

    fn was_drawn(&self, secret: &[u8]) -> bool {
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|drawn| drawn == secret)
    }

    fn bends(&self, ikm: &[u8]) -> bool {
        let place = match self.which {
            Which::Init | Which::PathLeaf => 0,
            Which::PackageLeaf => 1,
            Which::Node => return self.lowest.lock().unwrap().as_deref() == Some(ikm),
        };
        self.was_drawn(ikm) && self.made.fetch_add(1, Ordering::SeqCst) == place
    }
}

impl OpenMlsRand for Bent<'_> {
    type Error = <Crypto as OpenMlsRand>::Error;

    fn random_array<const N: usize>(&self) -> Result<[u8; N], Self::Error> {
        self.crypto.random_array()
    }

    fn random_vec(&self, len: usize) -> Result<Vec<u8>, Self::Error> {
        let drawn = self.crypto.random_vec(len)?;
        self.drawn.lock().unwrap().push(drawn.clone());
        Ok(drawn)
    }
}

impl OpenMlsCrypto for Bent<'_> {
    fn derive_hpke_keypair(&self, config: HpkeConfig, ikm: &[u8]) -> Result<HpkeKeyPair, CryptoError> {
        let pair = self.crypto.derive_hpke_keypair(config, ikm)?;
        Ok(if self.bends(ikm) { HpkeKeyPair { public: self.public.clone(), ..pair } } else { pair })
    }

    fn hkdf_expand(
        &self,
        hash_type: HashType,
        prk: &[u8],
        info: &[u8],
        okm_len: usize,
    ) -> Result<SecretVLBytes, CryptoError> {
        let secret = self.crypto.hkdf_expand(hash_type, prk, info, okm_len)?;
        // `ExpandWithLabel(path_secret, "node", ...)` of a path secret that was drawn, not derived (RFC 9420, section 7.4).
        if self.was_drawn(prk) && info.windows(12).any(|label| label == b"MLS 1.0 node") {
            *self.lowest.lock().unwrap() = Some(secret.as_slice().to_vec());
        }
        Ok(secret)
    }

    fn supports(&self, ciphersuite: Ciphersuite) -> Result<(), CryptoError> {
        self.crypto.supports(ciphersuite)
    }

    fn supported_ciphersuites(&self) -> Vec<Ciphersuite> {
        self.crypto.supported_ciphersuites()
    }

    fn hkdf_extract(&self, hash_type: HashType, salt: &[u8], ikm: &[u8]) -> Result<SecretVLBytes, CryptoError> {
        self.crypto.hkdf_extract(hash_type, salt, ikm)
    }

    fn hmac(&self, hash_type: HashType, key: &[u8], message: &[u8]) -> Result<SecretVLBytes, CryptoError> {
        self.crypto.hmac(hash_type, key, message)
    }

    fn hash(&self, hash_type: HashType, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.crypto.hash(hash_type, data)
    }

    fn aead_encrypt(
        &self,
        alg: AeadType,
        key: &[u8],
        data: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.crypto.aead_encrypt(alg, key, data, nonce, aad)
    }

    fn aead_decrypt(
        &self,
        alg: AeadType,
        key: &[u8],
        ct_tag: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.crypto.aead_decrypt(alg, key, ct_tag, nonce, aad)
    }

    fn signature_key_gen(&self, alg: SignatureScheme) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        self.crypto.signature_key_gen(alg)
    }

    fn verify_signature(
        &self,
        alg: SignatureScheme,
        data: &[u8],
        pk: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        self.crypto.verify_signature(alg, data, pk, signature)
    }

    fn sign(&self, alg: SignatureScheme, data: &[u8], key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.crypto.sign(alg, data, key)
    }

    fn hpke_seal(
        &self,
        config: HpkeConfig,
        pk_r: &[u8],
        info: &[u8],
        aad: &[u8],
        ptxt: &[u8],
    ) -> Result<HpkeCiphertext, CryptoError> {
        self.crypto.hpke_seal(config, pk_r, info, aad, ptxt)
    }

    fn hpke_open(
        &self,
        config: HpkeConfig,
        input: &HpkeCiphertext,
        sk_r: &[u8],
        info: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.crypto.hpke_open(config, input, sk_r, info, aad)
    }

    fn hpke_setup_sender_and_export(
        &self,
        config: HpkeConfig,
        pk_r: &[u8],
        info: &[u8],
        exporter_context: &[u8],
        exporter_length: usize,
    ) -> Result<(KemOutput, ExporterSecret), CryptoError> {
        self.crypto.hpke_setup_sender_and_export(config, pk_r, info, exporter_context, exporter_length)
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
        self.crypto.hpke_setup_receiver_and_export(config, enc, sk_r, info, exporter_context, exporter_length)
    }
}

/// The provider of one transaction, bent.
struct BentProvider<'a> {
    bent: Bent<'a>,
    storage: TxStorage<'a>,
}

impl<'a> OpenMlsProvider for BentProvider<'a> {
    type CryptoProvider = Bent<'a>;
    type RandProvider = Bent<'a>;
    type StorageProvider = TxStorage<'a>;

    fn storage(&self) -> &TxStorage<'a> {
        &self.storage
    }

    fn crypto(&self) -> &Bent<'a> {
        &self.bent
    }

    fn rand(&self) -> &Bent<'a> {
        &self.bent
    }
}

/// A key package of a device with such a key in it, and as it travels.
pub(crate) fn package(
    bent: Bent<'_>,
    tx: &Transaction<'_>,
    account: AccountId,
    keys: &DeviceKeys,
) -> (KeyPackage, Vec<u8>) {
    let provider = BentProvider { bent, storage: TxStorage::new(tx) };
    let builder = KeyPackage::builder().key_package_lifetime(lifetime()).leaf_node_capabilities(capabilities());
    let credential = key_package::credential(account, keys);
    let package = builder.build(SUITE, &provider, &LeafSigner(keys.mls()), credential).unwrap().key_package().clone();
    (package.clone(), key_package::message(package).unwrap())
}
