//! Message: the content of an envelope whose sender's signature was verified.

use std::fmt;

use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{AccountId, DeviceId, EnvelopeId};
use zeroize::Zeroizing;

use super::header::Header;
use super::sender_box::{CompactCheckpoint, Epoch, SenderFields};

/// Who sent it: the signature holds under this device's signing key of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageSender {
    /// The account.
    pub account: AccountId,
    /// Its device.
    pub device: DeviceId,
    /// The version of the device's keys that signed.
    pub key_version: u32,
}

/// What was sent, verified. Only [`super::Opened::verify`] makes it.
pub struct Message {
    /// Who sent it.
    pub sender: MessageSender,
    /// When, by the sender's clock, in milliseconds since the Unix epoch. Shown, never trusted.
    pub sent_ms: u64,
    /// The sending device's count of its envelopes in this log: shows gaps, never rejects.
    pub counter: u64,
    /// Seq of the last handshake that the sender had processed. The caller compares it with the slot.
    pub after: u64,
    /// The MLS epoch that the sender was in. The caller compares it with the own one.
    pub epoch: Epoch,
    /// Running hash of the log at `after`, as the sender had seen it.
    pub running_hash: [u8; 32],
    /// The newest checkpoint of their relay's transparency log that the sender has seen. Not checked: the caller holds it against the own.
    pub checkpoint: Option<CompactCheckpoint>,
    /// Own key version that opened it: replay memory is kept until that version is erased.
    pub opened_with: u32,
    /// The inner content with its type byte, unpadded ([`crate::Content::decode`]).
    pub content: Zeroizing<Vec<u8>>,
    /// What the envelope is for.
    pub kind: EnvelopeKind,
    /// Its id.
    pub envelope_id: EnvelopeId,
    _verified: Verified,
}

/// Proof that the signature was checked: nothing outside this file makes one.
struct Verified(());

impl Message {
    pub(super) fn new(
        header: Header,
        fields: &SenderFields,
        sender: MessageSender,
        opened_with: u32,
        content: Zeroizing<Vec<u8>>,
    ) -> Self {
        Self {
            sender,
            sent_ms: fields.sent_ms,
            counter: fields.counter,
            after: fields.after,
            epoch: fields.epoch,
            running_hash: fields.running_hash,
            checkpoint: fields.checkpoint,
            opened_with,
            content,
            kind: header.kind,
            envelope_id: header.envelope_id,
            _verified: Verified(()),
        }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("envelope_id", &self.envelope_id)
            .field("kind", &self.kind)
            .field("content", &"***")
            .finish_non_exhaustive()
    }
}
