//! Introduction: whoever speaks to a device for the first time says who they are, where their chain is, and how they can be answered.
//!
//! Nothing in it is believed before the chain at `home` is found to be the one it names.

use std::fmt;

use waxwing_wire::limits::MAX_DISPLAY_NAME;
use waxwing_wire::{AccountId, DecodeError, Reader, RelayAddress, Username, Writer};
use zeroize::Zeroizing;

use crate::access_key::AccessKey;

/// Longest relay address, in bytes: a host name, a port and a pin.
pub(crate) const MAX_RELAY: usize = 253 + 6 + 1 + 64;
/// Longest user name, in bytes.
pub(super) const MAX_NAME: usize = 32;

/// Who sends.
#[derive(Clone, PartialEq, Eq)]
pub struct Introduction {
    /// The account.
    pub account: AccountId,
    /// Its relay, with the TLS pin.
    pub home: RelayAddress,
    /// Its user name.
    pub name: Username,
    /// What its user wants to be called; 0 to 128 bytes of UTF-8, empty: none set.
    pub display_name: String,
    /// Admits the receiver to its inboxes and key packages.
    pub access_key: AccessKey,
    /// The account key.
    pub account_key: [u8; 32],
    /// Place of the newest chain entry.
    pub chain_seq: u32,
    /// Its hash.
    pub chain_head: [u8; 32],
}

impl Introduction {
    /// `account 16 | home var | name var | display_name var | access_key 16 | account_key 32 | chain_seq u32 | chain_head 32`.
    pub(super) fn write(&self, writer: &mut Writer) {
        writer
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
        128 + MAX_RELAY + MAX_NAME + self.display_name.len()
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
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

/// An address in its one spelling (P18).
pub(super) fn relay(reader: &mut Reader<'_>, field: &'static str) -> Result<RelayAddress, DecodeError> {
    let text = reader.text(MAX_RELAY, field)?;
    let address: RelayAddress = text.parse().map_err(|_| DecodeError::Invalid(field))?;
    if address.to_string() == text { Ok(address) } else { Err(DecodeError::Invalid(field)) }
}

impl fmt::Debug for Introduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Introduction(***)")
    }
}
