//! Proofs by a leaf: what lets somebody else remove it (design section 6, validity of a commit, (c)).
//!
//! Signed with the leaf's MLS signature key, under labels of their own.

use ed25519_dalek::{Signer as _, SigningKey};
use waxwing_wire::{AccountId, DecodeError, DeviceId, LogId, Reader, Writer, signature, signing_input};

const LEAVE: &str = "leave";
const RESYNC: &str = "resync";

/// A leaf asks to be removed for good, with everything else of its account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaveProof {
    /// Whose leaf.
    pub account: AccountId,
    /// Which device.
    pub device: DeviceId,
    /// Random.
    pub nonce: [u8; 16],
    signature: [u8; 64],
}

/// A leaf asks to be removed and added again, with this key package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResyncProof {
    /// Whose leaf.
    pub account: AccountId,
    /// Which device.
    pub device: DeviceId,
    /// Random; the Welcome echoes it.
    pub nonce: [u8; 16],
    /// SHA-256 of the key package to be added with.
    pub key_package: [u8; 32],
    signature: [u8; 64],
}

/// `group 16 | account 16 | device 16 | nonce 16 | what 32`: what both signatures cover. `what` is the leaf's encryption key where it
/// leaves, and the hash of a key package where it is to be added again.
fn message(group: LogId, account: AccountId, device: DeviceId, nonce: &[u8; 16], what: &[u8; 32]) -> Vec<u8> {
    Writer::with_capacity(96)
        .bytes(group.as_bytes())
        .bytes(account.as_bytes())
        .bytes(device.as_bytes())
        .bytes(nonce)
        .bytes(what)
        .finish()
}

impl LeaveProof {
    /// Signs with the leaf's MLS key. `group` is the group's id, which is its log's; `leaf` is the leaf's encryption key (HPKE public key,
    /// RFC 9420, section 7.2) as it is now: the proof is of no use against a later leaf of the same device.
    #[must_use]
    pub fn sign(
        key: &SigningKey,
        group: LogId,
        account: AccountId,
        device: DeviceId,
        leaf: &[u8; 32],
        nonce: [u8; 16],
    ) -> Self {
        let message = message(group, account, device, &nonce, leaf);
        let signature = key.sign(&signing_input(LEAVE, &message)).to_bytes();
        Self { account, device, nonce, signature }
    }

    /// Whether the leaf with this MLS key and this encryption key asked to leave this group.
    #[must_use]
    pub fn holds(&self, key: &[u8; 32], leaf: &[u8; 32], group: LogId) -> bool {
        let message = message(group, self.account, self.device, &self.nonce, leaf);
        signature::verify(key, LEAVE, &message, &self.signature).is_ok()
    }

    /// `account 16 | device 16 | nonce 16 | signature 64`.
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.bytes(self.account.as_bytes()).bytes(self.device.as_bytes()).bytes(&self.nonce).bytes(&self.signature);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            account: AccountId::from_bytes(reader.array("account id")?),
            device: DeviceId::from_bytes(reader.array("device id")?),
            nonce: reader.array("nonce")?,
            signature: reader.array("signature")?,
        })
    }
}

impl ResyncProof {
    /// Signs with the leaf's MLS key. `group` is the group's id, which is its log's.
    #[must_use]
    pub fn sign(
        key: &SigningKey,
        group: LogId,
        account: AccountId,
        device: DeviceId,
        nonce: [u8; 16],
        key_package: [u8; 32],
    ) -> Self {
        let message = message(group, account, device, &nonce, &key_package);
        let signature = key.sign(&signing_input(RESYNC, &message)).to_bytes();
        Self { account, device, nonce, key_package, signature }
    }

    /// Whether the leaf with this MLS key asked to be added again to this group.
    #[must_use]
    pub fn holds(&self, key: &[u8; 32], group: LogId) -> bool {
        let message = message(group, self.account, self.device, &self.nonce, &self.key_package);
        signature::verify(key, RESYNC, &message, &self.signature).is_ok()
    }

    /// `account 16 | device 16 | nonce 16 | key_package 32 | signature 64`.
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer
            .bytes(self.account.as_bytes())
            .bytes(self.device.as_bytes())
            .bytes(&self.nonce)
            .bytes(&self.key_package)
            .bytes(&self.signature);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            account: AccountId::from_bytes(reader.array("account id")?),
            device: DeviceId::from_bytes(reader.array("device id")?),
            nonce: reader.array("nonce")?,
            key_package: reader.array("key package")?,
            signature: reader.array("signature")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p4_each_proof_is_for_one_group_one_leaf_and_one_purpose() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let public = key.verifying_key().to_bytes();
        let (group, other) = (LogId::from_bytes([1; 16]), LogId::from_bytes([2; 16]));
        let (account, device) = (AccountId::from_bytes([3; 16]), DeviceId::from_bytes([4; 16]));
        let leave = LeaveProof::sign(&key, group, account, device, &[0; 32], [5; 16]);
        assert!(leave.holds(&public, &[0; 32], group) && !leave.holds(&public, &[0; 32], other));
        assert!(!LeaveProof { nonce: [6; 16], ..leave.clone() }.holds(&public, &[0; 32], group));
        assert!(!LeaveProof { device: DeviceId::from_bytes([9; 16]), ..leave.clone() }.holds(&public, &[0; 32], group));
        assert!(!leave.holds(&public, &[1; 32], group), "a later leaf of the same device");
        let resync = ResyncProof::sign(&key, group, account, device, [5; 16], [0; 32]);
        assert!(resync.holds(&public, group) && !resync.holds(&public, other));
        // The same bytes under the other label.
        let crossed = LeaveProof { signature: resync.signature, ..leave };
        assert!(!crossed.holds(&public, &[0; 32], group));
    }
}
