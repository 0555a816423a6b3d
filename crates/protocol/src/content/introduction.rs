//! Introduction: what a first contact brings, in a sealed envelope to each of the other's inboxes.

use std::fmt;

use waxwing_wire::limits::MAX_DISPLAY_NAME;
use waxwing_wire::{AccountId, DecodeError, LogId, Reader, RelayAddress, Username, Writer};
use zeroize::Zeroizing;

use crate::access_key::AccessKey;
use crate::channel_secret::ChannelSecret;

/// Longest relay address, in bytes: a host name, a port and a pin.
pub(crate) const MAX_RELAY: usize = 253 + 6 + 1 + 64;
/// Longest user name, in bytes.
const MAX_NAME: usize = 32;

/// A conversation and who is in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Introduction {
    /// [`crate::conversation_id`] of both accounts.
    pub conversation: [u8; 32],
    /// The relay where the log lives.
    pub relay: RelayAddress,
    /// The log.
    pub log: LogId,
    /// Its channel secret.
    pub channel_secret: ChannelSecret,
    /// The sender's account.
    pub account: AccountId,
    /// The sender's relay, with its TLS pin.
    pub home: RelayAddress,
    /// The sender's user name.
    pub name: Username,
    /// What the sender wants to be called; 0 to 128 bytes of UTF-8, empty: none set.
    pub display_name: String,
    /// Admits the receiver to the sender's inboxes.
    pub access_key: AccessKey,
    /// The sender's account key.
    pub account_key: [u8; 32],
    /// Place of the sender's newest chain entry.
    pub chain_seq: u32,
    /// Its hash.
    pub chain_head: [u8; 32],
    /// When the conversation was made, by the sender's clock, in milliseconds since the Unix epoch.
    pub created_ms: u64,
}

impl Introduction {
    /// `conversation 32 | relay var | log 16 | channel_secret 32 | account 16 | home var | name var | display_name var |
    /// access_key 16 | account_key 32 | chain_seq u32 | chain_head 32 | created_ms u64`.
    pub(super) fn write(&self, writer: &mut Writer) {
        writer
            .bytes(&self.conversation)
            .var(self.relay.to_string().as_bytes())
            .bytes(self.log.as_bytes())
            .bytes(self.channel_secret.as_bytes())
            .bytes(self.account.as_bytes())
            .var(self.home.to_string().as_bytes())
            .var(self.name.as_str().as_bytes())
            .var(self.display_name.as_bytes())
            .bytes(self.access_key.as_bytes())
            .bytes(&self.account_key)
            .u32(self.chain_seq)
            .bytes(&self.chain_head)
            .u64(self.created_ms);
    }

    /// At least the encoded length.
    pub(super) fn capacity(&self) -> usize {
        256 + 2 * MAX_RELAY + MAX_NAME + self.display_name.len()
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            conversation: reader.array("conversation id")?,
            relay: relay(reader, "relay")?,
            log: LogId::from_bytes(reader.array("log id")?),
            channel_secret: ChannelSecret::from_bytes(&Zeroizing::new(reader.array("channel secret")?)),
            account: AccountId::from_bytes(reader.array("account id")?),
            home: relay(reader, "home relay")?,
            name: reader.text(MAX_NAME, "name")?.parse().map_err(|_| DecodeError::Invalid("name"))?,
            display_name: reader.text(MAX_DISPLAY_NAME, "display name")?.to_owned(),
            access_key: AccessKey::from_bytes(&Zeroizing::new(reader.array("access key")?)),
            account_key: reader.array("account key")?,
            chain_seq: reader.u32("chain seq")?,
            chain_head: reader.array("chain head")?,
            created_ms: reader.u64("time")?,
        })
    }
}

/// An address in its one spelling (P18).
fn relay(reader: &mut Reader<'_>, field: &'static str) -> Result<RelayAddress, DecodeError> {
    let text = reader.text(MAX_RELAY, field)?;
    let address: RelayAddress = text.parse().map_err(|_| DecodeError::Invalid(field))?;
    if address.to_string() == text { Ok(address) } else { Err(DecodeError::Invalid(field)) }
}

impl fmt::Debug for Introduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Introduction(***)")
    }
}
