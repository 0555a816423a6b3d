//! An account's chain: its signed history of statements (design section 4, docs/protocol.md "Chain").
//!
//! Not here: making signatures (`waxwing-protocol` holds private keys), the transparency log.

mod entry;
mod verified;

pub use entry::{ChainEntry, Create, Statement, UnsignedEntry};
pub use verified::{ChainError, DeviceState, KeyVersion, VerifiedChain};
