//! How far logs and inboxes are, and under which keys their devices are in force: what those who follow them are told by.

use waxwing_wire::{DeviceId, LogId};

/// What somebody follows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watched {
    /// Logs, with the hash of a read token.
    pub logs: Vec<(LogId, [u8; 32])>,
    /// Devices' inboxes.
    pub inboxes: Vec<DeviceId>,
}

/// How far it is, in the same order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heads {
    /// Of each log its head; none where there is no such log, or another token is in force.
    pub logs: Vec<Option<u64>>,
    /// Of each inbox its head, with its device's key; none where there is no such device.
    pub inboxes: Vec<Option<InForce>>,
}

/// A device that is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InForce {
    /// Its inbox's head.
    pub head: u64,
    /// Its relay-auth key.
    pub relay_auth: [u8; 32],
}
