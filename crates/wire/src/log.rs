//! Logs: kinds of envelopes, token hashes, the running hash (docs/protocol.md "Log").

use crate::codec::DecodeError;
use crate::ids::EnvelopeId;
use crate::label::{hash, label};

/// What an envelope is for. The relay is told the kind; the receiver refuses an envelope whose header says another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EnvelopeKind {
    /// App content in a log. The only kind that may use suite X25519.
    App = 1,
    /// A handshake in a log (MLS commits).
    Handshake = 2,
    /// Brings a device into a group, in an inbox.
    Welcome = 3,
    /// A notice in an inbox (removed, or a request to be let into a group).
    Notice = 4,
    /// A resync request in an inbox.
    Resync = 5,
}

impl EnvelopeKind {
    /// Reads the byte on the wire.
    pub fn from_byte(byte: u8) -> Result<Self, DecodeError> {
        [Self::App, Self::Handshake, Self::Welcome, Self::Notice, Self::Resync]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
            .ok_or(DecodeError::Invalid("kind"))
    }

    /// Whether it travels in a log (else in an inbox).
    #[must_use]
    pub fn in_log(self) -> bool {
        matches!(self, Self::App | Self::Handshake)
    }
}

/// What a relay keeps of a bearer token or access key: its SHA-256, under a label.
#[must_use]
pub fn token_hash(token: &[u8]) -> [u8; 32] {
    hash(&[&label("token"), token])
}

/// The hash after one more entry: `H(label("log running") || before || seq u64 || entry_id || kind || H(blob))`.
/// Before the first entry it is all zeros.
#[must_use]
pub fn running_hash(before: &[u8; 32], seq: u64, entry_id: EnvelopeId, kind: EnvelopeKind, blob: &[u8]) -> [u8; 32] {
    hash(&[&label("log running"), before, &seq.to_be_bytes(), entry_id.as_bytes(), &[kind as u8], &hash(&[blob])])
}
