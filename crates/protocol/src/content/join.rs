//! Join request: somebody who was given a link into a group asks the device that made it to be let in.

use std::fmt;

use subtle::ConstantTimeEq as _;
use waxwing_wire::limits::MAX_DISPLAY_NAME;
use waxwing_wire::{AccountId, DecodeError, Reader, RelayAddress, Username, Writer, hash, label};
use zeroize::Zeroizing;

use super::welcome::{MAX_NAME, MAX_RELAY, relay};
use crate::access_key::AccessKey;

/// Who asks, and the proof that they hold the link.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinRequest {
    /// The conversation.
    pub conversation: [u8; 32],
    /// See [`JoinRequest::prove`].
    pub proof: [u8; 32],
    /// The sender's account.
    pub account: AccountId,
    /// The sender's relay, with its TLS pin.
    pub home: RelayAddress,
    /// The sender's user name.
    pub name: Username,
    /// What the sender wants to be called; 0 to 128 bytes of UTF-8, empty: none set.
    pub display_name: String,
    /// Admits the receiver to the sender's inboxes and key packages.
    pub access_key: AccessKey,
    /// The sender's account key.
    pub account_key: [u8; 32],
    /// Place of the sender's newest chain entry.
    pub chain_seq: u32,
    /// Its hash.
    pub chain_head: [u8; 32],
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
        let expected = Self::prove(link, &self.conversation, inviter, self.account);
        self.proof.ct_eq(&expected).into()
    }

    /// `conversation 32 | proof 32 | account 16 | home var | name var | display_name var | access_key 16 | account_key 32 |
    /// chain_seq u32 | chain_head 32`.
    pub(super) fn write(&self, writer: &mut Writer) {
        writer
            .bytes(&self.conversation)
            .bytes(&self.proof)
            .bytes(self.account.as_bytes())
            .var(self.home.to_string().as_bytes())
            .var(self.name.as_str().as_bytes())
            .var(self.display_name.as_bytes())
            .bytes(self.access_key.as_bytes())
            .bytes(&self.account_key)
            .u32(self.chain_seq)
            .bytes(&self.chain_head);
    }

    /// At least the encoded length.
    pub(super) fn capacity(&self) -> usize {
        192 + MAX_RELAY + MAX_NAME + self.display_name.len()
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            conversation: reader.array("conversation id")?,
            proof: reader.array("proof")?,
            account: AccountId::from_bytes(reader.array("account id")?),
            home: relay(reader, "home relay")?,
            name: reader.text(MAX_NAME, "name")?.parse().map_err(|_| DecodeError::Invalid("name"))?,
            display_name: reader.text(MAX_DISPLAY_NAME, "display name")?.to_owned(),
            access_key: AccessKey::from_bytes(&Zeroizing::new(reader.array("access key")?)),
            account_key: reader.array("account key")?,
            chain_seq: reader.u32("chain seq")?,
            chain_head: reader.array("chain head")?,
        })
    }
}

impl fmt::Debug for JoinRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinRequest(***)")
    }
}
