//! One entry of a chain, as a line.

use waxwing_wire::chain::{ChainEvent, What};
use waxwing_wire::ids::to_hex;
use waxwing_wire::{DeviceId, VerifiedChain};

use super::utc;
use crate::fingerprint::{account_fingerprint, fingerprint_text};

/// What one entry has done, with the fingerprints of what it has put in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyLogEntry<'a> {
    /// Its number in the chain, from 0.
    pub seq: u32,
    /// When, in milliseconds since the Unix epoch, by the signer's clock.
    pub at_ms: u64,
    /// What it did.
    pub what: &'a What,
    /// The device that it puts in force, or gives keys.
    pub device: Option<DeviceId>,
    /// Version of that device's keys.
    pub key_version: Option<u32>,
    /// Their fingerprint.
    pub keys: Option<[u8; 32]>,
    /// Fingerprint of the account key, where the entry has set it.
    pub account_key: Option<[u8; 32]>,
    /// Hash of the entry.
    pub hash: [u8; 32],
}

impl<'a> KeyLogEntry<'a> {
    pub(super) fn of(chain: &VerifiedChain, event: &'a ChainEvent) -> Self {
        let (device, key_version) = match &event.what {
            What::Created(device) | What::DeviceAdded(device) | What::Recovered { device, .. } => {
                (Some(*device), Some(1))
            }
            What::DeviceKeysRotated(device, version) => (Some(*device), Some(*version)),
            What::AccountKeyRotated(_) | What::Closed => (None, None),
        };
        let record = device.zip(key_version).and_then(|(device, version)| chain.past_device(device)?.version(version));
        let seq = event.place.seq;
        let sets = matches!(event.what, What::Created(_) | What::AccountKeyRotated(_) | What::Recovered { .. });
        Self {
            seq,
            at_ms: event.place.at_ms,
            what: &event.what,
            device,
            key_version,
            keys: record.map(|version| version.record.fingerprint()),
            account_key: chain.keys_at(seq).filter(|_| sets).map(|keys| account_fingerprint(keys.account_key)),
            hash: chain.hash_at(seq).unwrap_or_default(),
        }
    }

    /// Fields with two spaces between them: docs/protocol.md, "Key log".
    pub(super) fn line(&self) -> String {
        let mut fields = vec![self.seq.to_string(), utc::text(self.at_ms), self.words().to_owned()];
        if let Some(device) = self.device {
            fields.push(format!("device {device}"));
        }
        if let Some(version) = self.key_version {
            fields.push(format!("version {version}"));
        }
        if let Some(keys) = &self.keys {
            fields.push(format!("keys {}", fingerprint_text(keys)));
        }
        if let Some(key) = &self.account_key {
            fields.push(format!("account key {}", fingerprint_text(key)));
        }
        match self.what {
            What::AccountKeyRotated(revoked) => fields.extend(revoked.iter().map(|device| format!("revoked {device}"))),
            What::Recovered { new_phrase: true, .. } => fields.push("new recovery phrase".to_owned()),
            _ => {}
        }
        fields.push(format!("entry {}", to_hex(&self.hash)));
        fields.join("  ")
    }

    fn words(&self) -> &'static str {
        match self.what {
            What::Created(_) => "account created",
            What::DeviceAdded(_) => "device added",
            What::DeviceKeysRotated(..) => "device keys rotated",
            What::AccountKeyRotated(_) => "account key rotated",
            What::Recovered { .. } => "account recovered",
            What::Closed => "account closed",
        }
    }
}
