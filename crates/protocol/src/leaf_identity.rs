//! Leaf identity: who a leaf of an MLS group is (its credential, RFC 9420 section 5.3; docs/protocol.md "Group").
//!
//! Not here: whether the account's chain contains it (the engine looks), the leaf's own keys (OpenMLS).

use waxwing_wire::{AccountId, DecodeError, DeviceId, DeviceRecord, Reader, Writer};

/// The identity in a leaf's basic credential. Envelopes in the log are checked with [`Self::signing`], and with nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeafIdentity {
    /// The account.
    pub account: AccountId,
    /// Its device.
    pub device: DeviceId,
    /// Version of the device's keys.
    pub key_version: u32,
    /// Signing key of that version (Ed25519).
    pub signing: [u8; 32],
}

impl LeafIdentity {
    /// Length of the encoding, in bytes.
    pub const LEN: usize = 16 + 16 + 4 + 32;

    /// The identity that a device record states.
    #[must_use]
    pub fn of(account: AccountId, record: &DeviceRecord) -> Self {
        Self { account, device: record.device, key_version: record.key_version, signing: record.signing }
    }

    /// Whether this is the record's device, version and signing key.
    #[must_use]
    pub fn is(&self, record: &DeviceRecord) -> bool {
        *self == Self::of(self.account, record)
    }

    /// `account 16 | device 16 | key_version u32 | signing 32`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        Writer::with_capacity(Self::LEN)
            .bytes(self.account.as_bytes())
            .bytes(self.device.as_bytes())
            .u32(self.key_version)
            .bytes(&self.signing)
            .finish()
    }

    /// Reads it back. Version 0 does not exist.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let identity = Self {
            account: AccountId::from_bytes(reader.array("account id")?),
            device: DeviceId::from_bytes(reader.array("device id")?),
            key_version: reader.u32("key version")?,
            signing: reader.array("signing key")?,
        };
        reader.finish("leaf identity")?;
        if identity.key_version == 0 {
            return Err(DecodeError::Invalid("key version"));
        }
        Ok(identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_wrote_and_nothing_else() {
        let identity = LeafIdentity {
            account: AccountId::from_bytes([1; 16]),
            device: DeviceId::from_bytes([2; 16]),
            key_version: 3,
            signing: [4; 32],
        };
        let bytes = identity.encode();
        assert_eq!(bytes.len(), LeafIdentity::LEN);
        assert_eq!(LeafIdentity::decode(&bytes), Ok(identity));
        for len in 0..bytes.len() {
            LeafIdentity::decode(&bytes[..len]).unwrap_err();
        }
        LeafIdentity::decode(&[bytes.as_slice(), &[0]].concat()).unwrap_err();
        let mut zero = bytes;
        zero[32..36].fill(0);
        LeafIdentity::decode(&zero).unwrap_err();
    }
}
