//! A device's public keys of one version: what a chain states and an envelope is sealed to.

use crate::codec::{DecodeError, Reader, Writer};
use crate::ids::DeviceId;
use crate::label::{hash, label};

/// Bytes of an X-Wing encapsulation key (draft-connolly-cfrg-xwing-kem): one of ML-KEM-768, then one of X25519.
pub const XWING_PUBLIC: usize = ML_KEM_PUBLIC + 32;
/// Bytes of an ML-KEM-768 encapsulation key (FIPS 203): 768 coefficients of 12 bits, then a seed of 32 bytes.
const ML_KEM_PUBLIC: usize = ML_KEM_COEFFICIENTS + 32;
const ML_KEM_COEFFICIENTS: usize = 768 * 12 / 8;

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
    ///
    /// Refuses sealing keys that nobody can seal to, or that have another encoding: whoever wrote to a group would fail at
    /// the member who states such a key, and a rotation could pass off an old key as a new one. Low order inside X-Wing hinders
    /// nobody, but leaves ML-KEM to stand alone.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let device = DeviceId::from_bytes(reader.array("device id")?);
        let key_version = reader.u32("key version")?;
        if key_version == 0 {
            return Err(DecodeError::Invalid("key version"));
        }
        let record = Self {
            device,
            key_version,
            relay_auth: reader.array("relay-auth key")?,
            signing: reader.array("signing key")?,
            mls: reader.array("MLS key")?,
            x25519: reader.array("X25519 key")?,
            xwing: Box::new(reader.array("X-Wing key")?),
        };
        if !is_x25519(&record.x25519) {
            return Err(DecodeError::Invalid("X25519 key"));
        }
        if !is_ml_kem(record.xwing_ml_kem()) || !is_x25519(&record.xwing_x25519()) {
            return Err(DecodeError::Invalid("X-Wing key"));
        }
        Ok(record)
    }

    /// The half of the X-Wing key that is of ML-KEM-768.
    #[must_use]
    pub fn xwing_ml_kem(&self) -> &[u8] {
        &self.xwing[..ML_KEM_PUBLIC]
    }

    /// The half of the X-Wing key that is of X25519.
    #[must_use]
    pub fn xwing_x25519(&self) -> [u8; 32] {
        let mut half = [0; 32];
        half.copy_from_slice(&self.xwing[ML_KEM_PUBLIC..]);
        half
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

/// Whether these bytes are the one encoding of a point (below p = 2^255 - 19; RFC 7748, section 5, would take others, too) that
/// can be sealed to (not of low order; RFC 9180, section 7.1.4).
#[must_use]
pub fn is_x25519(key: &[u8; 32]) -> bool {
    let [lowest, middle @ .., highest] = key;
    let below_p = *highest < 0x7f || (*highest == 0x7f && (*lowest < 0xed || middle.iter().any(|byte| *byte != 0xff)));
    below_p && !LOW_ORDER.contains(key)
}

/// All points of low order on Curve25519 and its twist, each in its one encoding: 0, 1, p - 1 and two of order 8.
const LOW_ORDER: [[u8; 32]; 5] = {
    let (zero, mut one, mut minus_one) = ([0; 32], [0; 32], [0xff; 32]);
    one[0] = 1;
    minus_one[0] = 0xec;
    minus_one[31] = 0x7f;
    [
        zero,
        one,
        minus_one,
        [
            0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09,
            0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
        ],
        [
            0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44,
            0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
        ],
    ]
};

/// Whether every coefficient is below q (FIPS 203, section 7.2: the modulus check).
fn is_ml_kem(key: &[u8]) -> bool {
    const Q: u16 = 3329;
    key[..ML_KEM_COEFFICIENTS].chunks_exact(3).all(|bytes| {
        let [low, middle, high] = [bytes[0], bytes[1], bytes[2]].map(u16::from);
        (low | (middle & 0xf) << 8) < Q && (middle >> 4 | high << 4) < Q
    })
}
