//! The cryptography of Waxwing, sans I/O: time and randomness are arguments.
//!
//! One spec word = one file = one type; docs/protocol.md is the specification, docs/crypto.md names the primitives.
//! Not here: networks, disks, clocks, keychains (`waxwing-client`); what a relay checks (`waxwing-wire`); MLS,
//! but for the primitives that it asks for ([`MlsCrypto`]).

#![forbid(unsafe_code)]

mod access_key;
mod account_key;
mod app_message;
mod chain_fetch;
mod chain_log;
mod chain_pages;
mod channel_secret;
pub mod content;
mod conversation;
pub mod device_keys;
mod device_link;
mod device_seeds;
mod dhkem;
pub mod envelope;
mod fingerprint;
pub mod group;
mod group_invite;
mod invite;
mod kdf;
pub mod key_log;
mod leaf_identity;
mod leaf_keys;
mod mls_crypto;
mod recovery_key;
mod recovery_phrase;
mod safety_number;
mod sealing_keys;
mod secret;
pub mod stale_key;
pub mod statement;
mod tag_key;

pub use access_key::AccessKey;
pub use account_key::AccountKey;
pub use app_message::AppMessage;
pub use chain_fetch::{ChainAnswer, ChainFetch, ChainFetched, NotLogged};
pub use chain_log::{EntryId, InLog, WantedInLog};
pub use chain_pages::{ChainPageError, ChainPages, ChainProgress, Refuted};
pub use channel_secret::ChannelSecret;
pub use content::{
    AccountSeed, Content, ContentError, HandOver, Introduction, JoinRequest, LinkRequest, OwnContact, OwnEntry,
    OwnProfile, ResyncRequest, Welcome,
};
pub use conversation::{conversation_id, group_conversation_id, is_group_conversation};
pub use device_keys::{DeviceKeys, KeyError};
pub use device_link::{DeviceLink, LinkSecret};
pub use device_seeds::DeviceSeeds;
pub use envelope::{
    Claimed, Epoch, Header, Message, MessageSender, OpenContext, OpenError, Opened, Recipient, SealError, SealRequest,
    Sender, Suite,
};
pub use fingerprint::{account_fingerprint, fingerprint_text};
pub use group_invite::GroupInvite;
pub use invite::{Invite, InviteError, Link};
pub use key_log::{KeyLog, KeyLogError, civil_date};
pub use leaf_identity::LeafIdentity;
pub use leaf_keys::LeafKeys;
pub use mls_crypto::{MlsCrypto, RandomnessError};
pub use recovery_key::RecoveryKey;
pub use recovery_phrase::{PhraseError, RecoveryPhrase};
pub use safety_number::{Comparison, Fingerprint, SafetyNumber};
pub use sealing_keys::SealingKeys;
pub use stale_key::StaleKey;
pub use tag_key::TagKey;
