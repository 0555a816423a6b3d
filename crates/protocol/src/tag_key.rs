//! Tag key: lets the members of a log find their wraps, and nobody else (design section 5).

use waxwing_wire::{DeviceId, EnvelopeId};

use crate::kdf;
use crate::secret::secret;

secret!(
    /// 32 bytes from [`crate::ChannelSecret::tag_key`].
    TagKey,
    32
);

impl TagKey {
    /// Tag of the wrap for one device's key version in one envelope:
    /// `HKDF-Expand(tag key, envelope_id 16 || device 16 || key_version u32, 8)`.
    #[must_use]
    pub fn tag(&self, envelope_id: EnvelopeId, device: DeviceId, key_version: u32) -> [u8; 8] {
        *kdf::expand(self.as_bytes(), &[envelope_id.as_bytes(), device.as_bytes(), &key_version.to_be_bytes()])
    }
}
