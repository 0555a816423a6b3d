//! OpenMLS as `waxwing-client` sets it up (`crates/client/src/mls.rs`), on storage in memory.

use std::sync::RwLock;

use openmls::prelude::{
    BasicCredential, Capabilities, Ciphersuite, CredentialType, CredentialWithKey, Extension, ExtensionType,
    Extensions, GroupContext, LeafNodeIndex, Lifetime, Member, MlsGroup, MlsGroupJoinConfig,
    PURE_CIPHERTEXT_WIRE_FORMAT_POLICY, ProposalType, ProtocolVersion, RequiredCapabilitiesExtension,
    SenderRatchetConfiguration, UnknownExtension,
};
use openmls_memory_storage::MemoryStorage;
use openmls_traits::OpenMlsProvider;
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::types::SignatureScheme;
use rand_chacha::ChaCha20Rng;
use waxwing_protocol::group::{ROSTER_EXTENSION, Roster};
use waxwing_protocol::{Epoch, LeafIdentity, MlsCrypto};
use waxwing_wire::DeviceId;

use crate::people::{Person, rng};

pub(super) const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519;

pub(super) type Crypto = MlsCrypto<ChaCha20Rng>;

pub(super) struct Provider {
    crypto: Crypto,
    storage: MemoryStorage,
}

impl Provider {
    pub(super) fn new(seed: u8, stored: &MemoryStorage) -> Self {
        Self { crypto: MlsCrypto::new(rng(seed)), storage: copy(stored) }
    }

    /// Goes back to what was stored.
    pub(super) fn restore(&mut self, stored: MemoryStorage) {
        self.storage = stored;
    }
}

impl OpenMlsProvider for Provider {
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

/// The same, byte for byte.
pub(super) fn copy(stored: &MemoryStorage) -> MemoryStorage {
    MemoryStorage { values: RwLock::new(stored.values.read().expect("nobody panicked with it").clone()) }
}

pub(super) struct LeafSigner(pub(super) &'static Person);

impl Signer for LeafSigner {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        use ed25519_dalek::Signer as _;
        Ok(self.0.keys.mls().sign(payload).to_bytes().to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

pub(super) fn credential(person: &Person) -> CredentialWithKey {
    CredentialWithKey {
        credential: BasicCredential::new(person.leaf().encode()).into(),
        signature_key: person.keys.record().mls.to_vec().into(),
    }
}

pub(super) fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
        .use_ratchet_tree_extension(true)
        .max_past_epochs(0)
        .sender_ratchet_configuration(SenderRatchetConfiguration::new(64, 2000))
        .build()
}

pub(super) fn capabilities() -> Capabilities {
    Capabilities::new(
        Some(&[ProtocolVersion::Mls10]),
        Some(&[SUITE]),
        Some(&[ExtensionType::Unknown(ROSTER_EXTENSION), ExtensionType::LastResort]),
        None::<&[ProposalType]>,
        Some(&[CredentialType::Basic]),
    )
}

pub(super) fn lifetime() -> Lifetime {
    Lifetime::init(0, u64::MAX)
}

pub(super) fn extensions(roster: &Roster) -> Extensions<GroupContext> {
    let demanded =
        RequiredCapabilitiesExtension::new(&[ExtensionType::Unknown(ROSTER_EXTENSION)], &[] as &[ProposalType], &[]);
    Extensions::from_vec(vec![
        Extension::RequiredCapabilities(demanded),
        Extension::Unknown(ROSTER_EXTENSION, UnknownExtension(roster.encode())),
    ])
    .expect("two extensions of two types")
}

pub(super) fn epoch(group: &MlsGroup) -> Epoch {
    let authenticator = group.epoch_authenticator().as_slice().try_into().expect("32 bytes");
    Epoch { number: group.epoch().as_u64(), authenticator }
}

pub(super) fn leaf(group: &MlsGroup, device: DeviceId) -> Option<(LeafNodeIndex, LeafIdentity)> {
    group.members().map(|member| identity(&member)).find(|(_, leaf)| leaf.device == device)
}

fn identity(member: &Member) -> (LeafNodeIndex, LeafIdentity) {
    let credential = BasicCredential::try_from(member.credential.clone()).expect("a basic credential");
    (member.index, LeafIdentity::decode(credential.identity()).expect("a leaf identity"))
}
