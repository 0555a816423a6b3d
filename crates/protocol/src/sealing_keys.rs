//! Sealing keys: the private keys that open envelopes; what is kept of old key versions (design section 4).

use std::fmt;
use std::sync::OnceLock;

use waxwing_wire::{DecodeError, DeviceId, Reader, Writer};
use zeroize::Zeroizing;

use crate::device_keys::KeyError;
use crate::dhkem::{PrivateKey, PublicKey};

const VERSION: u8 = 1;
const ENCODED: usize = 1 + 16 + 4 + 32 + 32;

/// X25519 and X-Wing private keys of one device's key version. Both are 32-byte seeds.
pub struct SealingKeys {
    device: DeviceId,
    key_version: u32,
    secrets: Box<Zeroizing<[[u8; 32]; 2]>>,
    /// Of the X25519 key, once it was asked for: opening needs it each time.
    x25519_public: OnceLock<PublicKey>,
}

impl SealingKeys {
    pub(crate) fn new(device: DeviceId, key_version: u32, x25519: &[u8; 32], xwing: &[u8; 32]) -> Self {
        let mut secrets = Box::new(Zeroizing::new([[0; 32]; 2]));
        let [to_x25519, to_xwing] = &mut **secrets;
        to_x25519.copy_from_slice(x25519);
        to_xwing.copy_from_slice(xwing);
        Self { device, key_version, secrets, x25519_public: OnceLock::new() }
    }

    /// As kept: `version 1 = 1 | device 16 | key_version u32 | x25519 32 | xwing 32`. Secret.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(
            // Room at once, so that no half-written copy is left behind by growing.
            Writer::with_capacity(ENCODED)
                .u8(VERSION)
                .bytes(self.device.as_bytes())
                .u32(self.key_version)
                .bytes(&self.secrets[0])
                .bytes(self.xwing())
                .finish(),
        )
    }

    /// Reads what [`SealingKeys::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let mut reader = Reader::new(bytes);
        if reader.u8("version")? != VERSION {
            return Err(KeyError::Decode(DecodeError::Invalid("version")));
        }
        let device = DeviceId::from_bytes(reader.array("device id")?);
        let key_version = reader.u32("key version")?;
        let x25519 = Zeroizing::new(reader.array("X25519 key")?);
        let xwing = Zeroizing::new(reader.array("X-Wing key")?);
        reader.finish("sealing keys")?;
        if key_version == 0 {
            return Err(KeyError::Version);
        }
        Ok(Self::new(device, key_version, &x25519, &xwing))
    }

    /// Whose keys.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// Their version, from 1.
    #[must_use]
    pub fn key_version(&self) -> u32 {
        self.key_version
    }

    pub(crate) fn x25519(&self) -> PrivateKey {
        let secret = &self.secrets[0];
        let public = self.x25519_public.get_or_init(|| PrivateKey::new(secret).public().clone());
        PrivateKey::with_public(secret, public.clone())
    }

    pub(crate) fn xwing(&self) -> &[u8; 32] {
        &self.secrets[1]
    }
}

impl fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKeys({:?}, version {}, ***)", self.device, self.key_version)
    }
}
