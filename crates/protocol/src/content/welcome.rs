//! Welcome: what brings a device into a group, in a sealed envelope to its inbox: where the log is and how far it has come,
//! who invites, and the MLS Welcome (RFC 9420, section 12.4.3.1).

use std::fmt;

use waxwing_wire::limits::{MAX_DISPLAY_NAME, MAX_ENVELOPE};
use waxwing_wire::{AccountId, DecodeError, LogId, Reader, RelayAddress, Username, Writer};
use zeroize::Zeroizing;

use crate::access_key::AccessKey;
use crate::channel_secret::ChannelSecret;

/// Longest relay address, in bytes: a host name, a port and a pin.
pub(crate) const MAX_RELAY: usize = 253 + 6 + 1 + 64;
/// Longest user name, in bytes.
pub(super) const MAX_NAME: usize = 32;

/// A group to join, and who invites.
#[derive(Clone, PartialEq, Eq)]
pub struct Welcome {
    /// The conversation; the group's roster must say the same.
    pub conversation: [u8; 32],
    /// The relay where the log lives.
    pub relay: RelayAddress,
    /// The log, whose id is the MLS group's.
    pub log: LogId,
    /// Its channel secret in force after the commit that added the receiver.
    pub channel_secret: ChannelSecret,
    /// Place of that commit in the log.
    pub slot: u64,
    /// Running hash of the log at that place.
    pub running: [u8; 32],
    /// Nonce of the resync request that it answers; zeros if it answers none.
    pub nonce: [u8; 16],
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
    /// The `MLSMessage` with the Welcome, its ratchet tree inside.
    pub mls: Vec<u8>,
}

impl Welcome {
    /// `conversation 32 | relay var | log 16 | channel_secret 32 | slot u64 | running 32 | nonce 16 | account 16 | home var |
    /// name var | display_name var | access_key 16 | account_key 32 | chain_seq u32 | chain_head 32 | mls var`.
    pub(super) fn write(&self, writer: &mut Writer) {
        writer
            .bytes(&self.conversation)
            .var(self.relay.to_string().as_bytes())
            .bytes(self.log.as_bytes())
            .bytes(self.channel_secret.as_bytes())
            .u64(self.slot)
            .bytes(&self.running)
            .bytes(&self.nonce)
            .bytes(self.account.as_bytes())
            .var(self.home.to_string().as_bytes())
            .var(self.name.as_str().as_bytes())
            .var(self.display_name.as_bytes())
            .bytes(self.access_key.as_bytes())
            .bytes(&self.account_key)
            .u32(self.chain_seq)
            .bytes(&self.chain_head)
            .var(&self.mls);
    }

    /// At least the encoded length.
    pub(super) fn capacity(&self) -> usize {
        320 + 2 * MAX_RELAY + MAX_NAME + self.display_name.len() + self.mls.len()
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            conversation: reader.array("conversation id")?,
            relay: relay(reader, "relay")?,
            log: LogId::from_bytes(reader.array("log id")?),
            channel_secret: ChannelSecret::from_bytes(&Zeroizing::new(reader.array("channel secret")?)),
            slot: reader.u64("slot")?,
            running: reader.array("running hash")?,
            nonce: reader.array("nonce")?,
            account: AccountId::from_bytes(reader.array("account id")?),
            home: relay(reader, "home relay")?,
            name: reader.text(MAX_NAME, "name")?.parse().map_err(|_| DecodeError::Invalid("name"))?,
            display_name: reader.text(MAX_DISPLAY_NAME, "display name")?.to_owned(),
            access_key: AccessKey::from_bytes(&Zeroizing::new(reader.array("access key")?)),
            account_key: reader.array("account key")?,
            chain_seq: reader.u32("chain seq")?,
            chain_head: reader.array("chain head")?,
            mls: reader.var(MAX_ENVELOPE, "MLS welcome")?.to_vec(),
        })
    }
}

/// An address in its one spelling (P18).
pub(super) fn relay(reader: &mut Reader<'_>, field: &'static str) -> Result<RelayAddress, DecodeError> {
    let text = reader.text(MAX_RELAY, field)?;
    let address: RelayAddress = text.parse().map_err(|_| DecodeError::Invalid(field))?;
    if address.to_string() == text { Ok(address) } else { Err(DecodeError::Invalid(field)) }
}

impl fmt::Debug for Welcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Welcome(***)")
    }
}
