//! What a device speaks with under one key version: all that is kept of an old version while a group has a leaf with it.

use std::fmt;

use ed25519_dalek::SigningKey;
use waxwing_wire::DeviceId;
use zeroize::Zeroizing;

/// The two Ed25519 keys of a device's key version that a leaf of its needs: they open nothing.
pub struct LeafKeys {
    device: DeviceId,
    key_version: u32,
    signing: Box<SigningKey>,
    mls: Box<SigningKey>,
}

impl LeafKeys {
    /// Length in bytes: `signing 32 | mls 32`.
    pub const LEN: usize = 64;

    pub(crate) fn new(device: DeviceId, key_version: u32, signing: &[u8; 32], mls: &[u8; 32]) -> Self {
        let key = |seed| Box::new(SigningKey::from_bytes(seed));
        Self { device, key_version, signing: key(signing), mls: key(mls) }
    }

    /// The seeds as kept: secret.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; Self::LEN]> {
        let mut bytes = Zeroizing::new([0; Self::LEN]);
        let (signing, mls) = bytes.split_at_mut(32);
        signing.copy_from_slice(self.signing.as_bytes());
        mls.copy_from_slice(self.mls.as_bytes());
        bytes
    }

    /// Reads them back. The caller wipes its own copy.
    #[must_use]
    pub fn from_bytes(device: DeviceId, key_version: u32, bytes: &[u8; Self::LEN]) -> Self {
        let mut halves = Zeroizing::new([[0; 32]; 2]);
        halves.as_flattened_mut().copy_from_slice(bytes);
        let [signing, mls] = &*halves;
        Self::new(device, key_version, signing, mls)
    }

    /// Signs envelopes.
    #[must_use]
    pub fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// Signs MLS leaves (RFC 9420).
    #[must_use]
    pub fn mls(&self) -> &SigningKey {
        &self.mls
    }

    /// Version, from 1.
    #[must_use]
    pub fn key_version(&self) -> u32 {
        self.key_version
    }

    /// Whose keys.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.device
    }
}

impl fmt::Debug for LeafKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LeafKeys({:?}, version {}, ***)", self.device, self.key_version)
    }
}
