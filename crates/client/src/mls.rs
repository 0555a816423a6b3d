//! MLS (RFC 9420): one group for each log, under the same id; suite 0x0003 alone. OpenMLS keeps its state in the caller's
//! transaction, and a group is loaded anew in each, so a transaction that is rolled back leaves nothing behind.
//!
//! Not here: the network, what is shown to people (`engine`), the encodings of what travels (`waxwing_protocol::group`).

#[cfg(test)]
pub(crate) mod bent;
mod change;
mod facts;
mod group;
#[cfg(test)]
mod group_tests;
mod joining;
mod key_package;
mod provider;
pub(crate) mod rules;
pub(crate) mod storage;

use openmls::prelude::{
    Capabilities, Ciphersuite, CredentialType, ExtensionType, Lifetime, MlsGroupJoinConfig,
    PURE_CIPHERTEXT_WIRE_FORMAT_POLICY, ProposalType, ProtocolVersion, SenderRatchetConfiguration,
};
use waxwing_protocol::group::ROSTER_EXTENSION;

pub(crate) use change::{GroupChange, PendingWelcome};
pub(crate) use group::{Group, Incoming, Plan, StagedChange, Unreadable};
pub(crate) use joining::{Joined, NO_PRIVATE_PART, join};
pub(crate) use key_package::{ClaimedPackage, make_packages, read_package};
pub(crate) use provider::{Crypto, Provider};

/// MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519.
const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519;

/// Messages of one sender that may come after later ones of the same epoch. A log is in order, so this is slack.
const OUT_OF_ORDER: u32 = 64;
/// Messages of one sender that may be missing.
const FORWARD: u32 = 2000;

/// How groups are kept: everything encrypted, no past epochs (the relay lets an entry only into its own), the tree inside Welcomes.
fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
        .use_ratchet_tree_extension(true)
        .max_past_epochs(0)
        .sender_ratchet_configuration(SenderRatchetConfiguration::new(OUT_OF_ORDER, FORWARD))
        .build()
}

pub(crate) fn capabilities() -> Capabilities {
    Capabilities::new(
        Some(&[ProtocolVersion::Mls10]),
        Some(&[SUITE]),
        Some(&[ExtensionType::Unknown(ROSTER_EXTENSION), ExtensionType::LastResort]),
        None::<&[ProposalType]>,
        Some(&[CredentialType::Basic]),
    )
}

/// No clock may fork a group: how fresh a key package is, is judged against the chain when it is claimed.
fn lifetime() -> Lifetime {
    Lifetime::init(0, u64::MAX)
}
