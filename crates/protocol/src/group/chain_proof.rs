//! Chain proof: what entries of somebody's chain prove to a group that knows of them nothing but their roster line (design section 6).
//!
//! Every member comes to the same judgement, whatever chain it holds itself: the entries follow the one that the line names, each signed
//! with the keys in force before it. An entry from before cannot be shown again, since the line has moved on. Not here: the rules of a whole
//! chain ([`waxwing_wire::VerifiedChain`]), what a commit may do with a proof (the client judges it).

use waxwing_wire::chain::{ChainEntry, InForce, Statement};
use waxwing_wire::{DeviceId, DeviceRecord};

use super::{ChainPart, RosterLine};
use crate::leaf_identity::LeafIdentity;

/// What a part of a chain leads to from a roster line on.
#[derive(Clone)]
pub struct Followed {
    /// The line with the keys in force in the end; role and home as they were.
    pub line: RosterLine,
    /// Devices that the part revokes one by one.
    revoked: Vec<DeviceId>,
    /// Whether it recovers the account: then no device is in force but those of `stated`.
    recovered: bool,
    closed: bool,
    /// Devices whose keys it states, each with its newest.
    stated: Vec<DeviceRecord>,
}

/// Follows a part of a chain from a roster line on. None if it is another account's, says nothing new, has a gap, or a signature does not
/// hold. O(entries), at most 6 signature checks each.
#[must_use]
pub fn follow(line: &RosterLine, part: &ChainPart) -> Option<Followed> {
    let next = line.chain_seq.checked_add(1)?;
    let skip = usize::try_from(next.checked_sub(part.from_seq)?).ok()?;
    let fresh = part.entries.get(skip..).filter(|fresh| !fresh.is_empty() && part.account == line.account)?;
    let mut followed =
        Followed { line: line.clone(), revoked: Vec::new(), recovered: false, closed: false, stated: Vec::new() };
    fresh.iter().try_for_each(|bytes| followed.take(bytes))?;
    Some(followed)
}

impl Followed {
    fn take(&mut self, bytes: &[u8]) -> Option<()> {
        let entry = ChainEntry::decode(bytes).ok()?;
        let unsigned = &entry.unsigned;
        let in_force = InForce { account_key: &self.line.account_key, recovery_key: &self.line.recovery_key };
        let follows = unsigned.account == self.line.account
            && Some(unsigned.seq) == self.line.chain_seq.checked_add(1)
            && unsigned.prev_hash == self.line.chain_head
            && entry.is_signed(in_force);
        if !follows || (self.closed && !matches!(unsigned.statement, Statement::Recover(_))) {
            return None;
        }
        match &unsigned.statement {
            Statement::Create(_) => return None,
            Statement::AddDevice(record) | Statement::RotateDeviceKeys(record) => {
                if self.removes(record.device) {
                    return None;
                }
                self.stated.retain(|known| known.device != record.device);
                self.stated.push(DeviceRecord::clone(record));
            }
            Statement::RotateAccountKey(rotate) => {
                self.line.account_key = rotate.account_key;
                self.stated.retain(|known| !rotate.revoked.contains(&known.device));
                self.revoked.extend_from_slice(&rotate.revoked);
            }
            Statement::Recover(recover) => {
                self.line.account_key = recover.account_key;
                self.line.recovery_key = recover.recovery_key;
                (self.recovered, self.closed) = (true, false);
                self.revoked.clear();
                self.stated = vec![recover.device.clone()];
            }
            Statement::Close => self.closed = true,
        }
        self.line.chain_seq = unsigned.seq;
        self.line.chain_head = entry.hash();
        Some(())
    }

    /// Whether it recovers the account.
    #[must_use]
    pub fn is_recovered(&self) -> bool {
        self.recovered
    }

    /// Whether the account was given up.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether a device of the account is in force no longer.
    #[must_use]
    pub fn removes(&self, device: DeviceId) -> bool {
        let stated = || self.stated.iter().any(|record| record.device == device);
        self.closed || self.revoked.contains(&device) || (self.recovered && !stated())
    }

    /// Whether it states a leaf's keys, as the newest of a device in force.
    #[must_use]
    pub fn states(&self, leaf: &LeafIdentity, mls_key: &[u8; 32]) -> bool {
        leaf.account == self.line.account
            && !self.removes(leaf.device)
            && self.stated.iter().any(|record| leaf.is(record) && record.mls == *mls_key)
    }
}
