//! Keys that nobody has, and chains with what is signed under them.

use waxwing_protocol::{AccountKey, DeviceKeys, DeviceSeeds};
use waxwing_wire::{ChainEntry, DeviceId, VerifiedChain};

use crate::random;

/// Somebody's account key.
pub(super) fn account_key() -> AccountKey {
    AccountKey::generate(&mut random::rng())
}

/// Keys of a device that nobody has.
pub(super) fn device_keys(number: u8, version: u32) -> DeviceKeys {
    DeviceKeys::new(DeviceId::from_bytes([number; 16]), version, DeviceSeeds::generate(&mut random::rng())).unwrap()
}

/// A chain with one entry more.
pub(super) fn extended(chain: &VerifiedChain, entry: &ChainEntry) -> VerifiedChain {
    let mut chain = chain.clone();
    chain.extend(entry.as_bytes()).unwrap();
    chain
}
