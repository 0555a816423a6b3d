//! An older copy of a device's database, put back beside the keystore as it is now.

use std::collections::HashSet;

use waxwing_wire::{LogId, MessageId};

use super::device::Device;
use super::ledger::Outside;
use crate::store::{keys, logs};

/// A database by itself.
pub(super) struct Snapshot {
    device: Box<Device>,
    /// What its user had seen by then.
    read: HashSet<MessageId>,
}

impl Device {
    pub(super) fn keep_copy(&mut self, outside: &Outside) -> bool {
        let of = |(who, message): &(_, MessageId)| (*who == self.account).then_some(*message);
        let read = outside.ledger.read.iter().filter_map(of).collect();
        self.snapshot = Some(Snapshot { device: Box::new(self.copy()), read });
        true
    }

    /// False where there is none, or keys were rotated since: whoever puts back a database of older keys speaks to the relay with keys
    /// that are not in force, which is another story.
    pub(super) fn put_back(&mut self, outside: &mut Outside) -> bool {
        let Some(mut copy) = self.snapshot.take() else { return false };
        let turning = self.look(keys::rotation).is_some() || copy.device.look(keys::rotation).is_some();
        if turning || copy.device.kept.key_version != self.kept.key_version {
            return false;
        }
        self.db = copy.device.db;
        self.restart(outside);
        // `register::start`, where the counters do not fit.
        self.tx(logs::set_rolled_back).unwrap();
        let known: Vec<(LogId, u64)> = self.look(logs::active).into_iter().map(|log| (log.log, log.cursor)).collect();
        let heads: Vec<_> = outside.relay.logs.iter().map(|(id, log)| (*id, log.entries.len() as u64)).collect();
        outside.ledger.goes_back(self.account, &known, &heads, copy.read);
        true
    }
}
