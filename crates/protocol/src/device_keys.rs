//! Device keys: everything of one `key_version` of a device (design section 4).

use std::fmt;
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use subtle::ConstantTimeEq as _;
use waxwing_wire::{DecodeError, DeviceId, DeviceRecord};

use crate::device_seeds::DeviceSeeds;
use crate::envelope::kem;
use crate::leaf_keys::LeafKeys;
use crate::sealing_keys::SealingKeys;

/// Why keys cannot be made or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Key versions start at 1.
    #[error("key version 0 does not exist")]
    Version,
    /// Two of the seeds are the same: one key would serve in two roles (P4).
    #[error("two device keys are the same")]
    Reused,
    /// The bytes are not what was written.
    #[error("the keys cannot be read: {0}")]
    Decode(#[from] DecodeError),
}

/// A device's private keys of one version, and the public record of them.
pub struct DeviceKeys {
    seeds: DeviceSeeds,
    relay_auth: Box<SigningKey>,
    leaf: Arc<LeafKeys>,
    sealing: SealingKeys,
    record: DeviceRecord,
}

impl DeviceKeys {
    /// The keys of these seeds. Each Ed25519 seed is an RFC 8032 private key; the X25519 seed is clamped as in RFC 7748;
    /// the X-Wing seed is its decapsulation key.
    pub fn new(device: DeviceId, key_version: u32, seeds: DeviceSeeds) -> Result<Self, KeyError> {
        if key_version == 0 {
            return Err(KeyError::Version);
        }
        for (place, seed) in seeds.split().iter().enumerate() {
            if seeds.split().iter().take(place).any(|other| other.ct_eq(seed).into()) {
                return Err(KeyError::Reused);
            }
        }
        let [relay_auth, signing, mls, x25519, xwing] = seeds.split();
        let relay_auth = Box::new(SigningKey::from_bytes(relay_auth));
        let leaf = Arc::new(LeafKeys::new(device, key_version, signing, mls));
        let sealing = SealingKeys::new(device, key_version, x25519, xwing);
        let record = DeviceRecord {
            device,
            key_version,
            relay_auth: relay_auth.verifying_key().to_bytes(),
            signing: leaf.signing().verifying_key().to_bytes(),
            mls: leaf.mls().verifying_key().to_bytes(),
            x25519: kem::x25519_public(&sealing),
            xwing: kem::xwing_public(&sealing)?,
        };
        Ok(Self { seeds, relay_auth, leaf, sealing, record })
    }

    /// The public halves: what a chain states.
    #[must_use]
    pub fn record(&self) -> &DeviceRecord {
        &self.record
    }

    /// The seeds: what the keychain keeps.
    #[must_use]
    pub fn seeds(&self) -> &DeviceSeeds {
        &self.seeds
    }

    /// Signs token requests to the relay.
    #[must_use]
    pub fn relay_auth(&self) -> &SigningKey {
        &self.relay_auth
    }

    /// Signs envelopes.
    #[must_use]
    pub fn signing(&self) -> &SigningKey {
        self.leaf.signing()
    }

    /// Signs MLS leaves (RFC 9420).
    #[must_use]
    pub fn mls(&self) -> &SigningKey {
        self.leaf.mls()
    }

    /// Those of the two that a leaf needs.
    #[must_use]
    pub fn leaf(&self) -> &Arc<LeafKeys> {
        &self.leaf
    }

    /// Opens envelopes.
    #[must_use]
    pub fn sealing(&self) -> &SealingKeys {
        &self.sealing
    }

    /// Version, from 1.
    #[must_use]
    pub fn key_version(&self) -> u32 {
        self.record.key_version
    }

    /// Whose keys.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.record.device
    }
}

impl fmt::Debug for DeviceKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceKeys({:?}, version {}, ***)", self.record.device, self.record.key_version)
    }
}
