//! An account's chain: its signed history of statements (design section 4, docs/protocol.md "Chain").
//!
//! Not here: making signatures (`waxwing-protocol` holds private keys), the transparency log.

mod device;
mod entry;
mod verified;

pub use device::{DeviceState, KeyVersion, Place};
pub use entry::{ChainEntry, Create, InForce, Recover, RotateAccountKey, Statement, UnsignedEntry};
pub use verified::{ChainError, ChainEvent, VerifiedChain, What};
