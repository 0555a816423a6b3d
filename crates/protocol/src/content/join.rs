//! Join request: somebody who was given a link into a group asks the device that made it to be let in.

use std::fmt;

use subtle::ConstantTimeEq as _;
use waxwing_wire::{AccountId, DecodeError, Reader, Writer, hash, label};

use super::introduction::Introduction;
use crate::access_key::AccessKey;

/// Who asks, and the proof that they hold the link.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinRequest {
    /// The conversation.
    pub conversation: [u8; 32],
    /// See [`JoinRequest::prove`].
    pub proof: [u8; 32],
    /// Who asks.
    pub sender: Introduction,
}

impl JoinRequest {
    /// `H(label("join") || the link's access key || conversation || who lets in 16 || who asks 16)`. All of fixed length, so that no
    /// two say the same; the key itself is not handed on.
    #[must_use]
    pub fn prove(link: &AccessKey, conversation: &[u8; 32], inviter: AccountId, asks: AccountId) -> [u8; 32] {
        hash(&[&label("join"), link.as_bytes(), conversation, inviter.as_bytes(), asks.as_bytes()])
    }

    /// Whether the sender holds the link of `inviter` with this access key into the conversation that is asked for.
    #[must_use]
    pub fn holds(&self, link: &AccessKey, inviter: AccountId) -> bool {
        let expected = Self::prove(link, &self.conversation, inviter, self.sender.account);
        self.proof.ct_eq(&expected).into()
    }

    /// `conversation 32 | proof 32 | introduction`.
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.bytes(&self.conversation).bytes(&self.proof);
        self.sender.write(writer);
    }

    /// At least the encoded length.
    pub(super) fn capacity(&self) -> usize {
        64 + self.sender.capacity()
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            conversation: reader.array("conversation id")?,
            proof: reader.array("proof")?,
            sender: Introduction::read(reader)?,
        })
    }
}

impl fmt::Debug for JoinRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinRequest(***)")
    }
}
