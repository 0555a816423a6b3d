//! Welcome: what brings a device into a group, in a sealed envelope to its inbox: where the log is and how far it has come,
//! who invites, and the MLS Welcome (RFC 9420, section 12.4.3.1).

use std::fmt;

use waxwing_wire::limits::MAX_ENVELOPE;
use waxwing_wire::{DecodeError, LogId, Reader, RelayAddress, Writer};
use zeroize::Zeroizing;

use super::introduction::{Introduction, MAX_RELAY, relay};
use crate::channel_secret::ChannelSecret;

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
    /// Who invites.
    pub sender: Introduction,
    /// The `MLSMessage` with the Welcome, its ratchet tree inside.
    pub mls: Vec<u8>,
}

impl Welcome {
    /// `conversation 32 | relay var | log 16 | channel_secret 32 | slot u64 | running 32 | nonce 16 | introduction | mls var`.
    pub(super) fn write(&self, writer: &mut Writer) {
        writer
            .bytes(&self.conversation)
            .var(self.relay.to_string().as_bytes())
            .bytes(self.log.as_bytes())
            .bytes(self.channel_secret.as_bytes())
            .u64(self.slot)
            .bytes(&self.running)
            .bytes(&self.nonce);
        self.sender.write(writer);
        writer.var(&self.mls);
    }

    /// At least the encoded length.
    pub(super) fn capacity(&self) -> usize {
        192 + MAX_RELAY + self.sender.capacity() + self.mls.len()
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
            sender: Introduction::read(reader)?,
            mls: reader.var(MAX_ENVELOPE, "MLS welcome")?.to_vec(),
        })
    }
}

impl fmt::Debug for Welcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Welcome(***)")
    }
}
