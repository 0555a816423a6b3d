//! A device in a chain, with all keys that it ever had.

use crate::device::DeviceRecord;
use crate::ids::DeviceId;

/// An entry's place and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its number in the chain.
    pub seq: u32,
    /// Milliseconds since the Unix epoch, by the signer's clock.
    pub at_ms: u64,
}

/// Device keys that were in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyVersion {
    /// The keys.
    pub record: DeviceRecord,
    /// The entry that stated them.
    pub seq: u32,
    /// That entry's time, in milliseconds since the Unix epoch, by the signer's clock.
    pub at_ms: u64,
}

/// A device and all its key versions, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceState {
    first: KeyVersion,
    later: Vec<KeyVersion>,
    revoked: Option<Place>,
}

impl DeviceState {
    pub(super) fn new(record: DeviceRecord, place: Place) -> Self {
        let first = KeyVersion { record, seq: place.seq, at_ms: place.at_ms };
        Self { first, later: Vec::new(), revoked: None }
    }

    pub(super) fn rotate(&mut self, version: KeyVersion) {
        self.later.push(version);
    }

    /// The first time counts.
    pub(super) fn revoke(&mut self, place: Place) {
        self.revoked.get_or_insert(place);
    }

    /// Which device.
    #[must_use]
    pub fn id(&self) -> DeviceId {
        self.first.record.device
    }

    /// The newest version.
    #[must_use]
    pub fn current(&self) -> &KeyVersion {
        self.later.last().unwrap_or(&self.first)
    }

    /// All versions, oldest first.
    pub fn versions(&self) -> impl DoubleEndedIterator<Item = &KeyVersion> {
        std::iter::once(&self.first).chain(&self.later)
    }

    /// The keys of version `key_version`, current or not.
    #[must_use]
    pub fn version(&self, key_version: u32) -> Option<&KeyVersion> {
        self.versions().find(|version| version.record.key_version == key_version)
    }

    /// The entry that took it out of force, if one did.
    #[must_use]
    pub fn revoked(&self) -> Option<Place> {
        self.revoked
    }

    /// Whether it was in force after entry `seq`.
    #[must_use]
    pub fn in_force_at(&self, seq: u32) -> bool {
        self.first.seq <= seq && self.revoked.is_none_or(|place| place.seq > seq)
    }
}
