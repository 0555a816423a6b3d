//! A device's public keys of one version: what a chain states and an envelope is sealed to.

use crate::codec::{DecodeError, Reader, Writer};
use crate::ids::DeviceId;
use crate::label::{hash, label};

/// Bytes of an X-Wing encapsulation key (draft-connolly-cfrg-xwing-kem).
pub const XWING_PUBLIC: usize = 1216;

/// Public halves of the device keys of one `key_version`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRecord {
    /// Whose keys.
    pub device: DeviceId,
    /// Version, from 1; every rotation adds 1.
    pub key_version: u32,
    /// Ed25519: signs token requests to the relay.
    pub relay_auth: [u8; 32],
    /// Ed25519: signs envelopes.
    pub signing: [u8; 32],
    /// Ed25519: MLS leaf signatures (RFC 9420).
    pub mls: [u8; 32],
    /// X25519: sealing key for app content.
    pub x25519: [u8; 32],
    /// X-Wing: sealing key for everything else.
    pub xwing: Box<[u8; XWING_PUBLIC]>,
}

impl DeviceRecord {
    /// Length of the encoding, in bytes.
    pub const ENCODED: usize = 16 + 4 + 4 * 32 + XWING_PUBLIC;

    /// `device 16 | key_version u32 | relay_auth 32 | signing 32 | mls 32 | x25519 32 | xwing 1216`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        Writer::new()
            .bytes(self.device.as_bytes())
            .u32(self.key_version)
            .bytes(&self.relay_auth)
            .bytes(&self.signing)
            .bytes(&self.mls)
            .bytes(&self.x25519)
            .bytes(self.xwing.as_slice())
            .finish()
    }

    /// Reads one record; the reader stands behind it afterwards.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let device = DeviceId::from_bytes(reader.array("device id")?);
        let key_version = reader.u32("key version")?;
        if key_version == 0 {
            return Err(DecodeError::Invalid("key version"));
        }
        Ok(Self {
            device,
            key_version,
            relay_auth: reader.array("relay-auth key")?,
            signing: reader.array("signing key")?,
            mls: reader.array("MLS key")?,
            x25519: reader.array("X25519 key")?,
            xwing: Box::new(reader.array("X-Wing key")?),
        })
    }

    /// The three Ed25519 keys with the context in which each proves its possession.
    #[must_use]
    pub fn possession_keys(&self) -> [(&'static str, &[u8; 32]); 3] {
        [
            ("chain possess relay-auth", &self.relay_auth),
            ("chain possess signing", &self.signing),
            ("chain possess mls", &self.mls),
        ]
    }

    /// SHA-256 over the record under its own label: what people compare as the device keys' fingerprint.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        hash(&[&label("device keys"), &self.encode()])
    }
}
