//! What relay and client both speak: ids, names, addresses, chain entries, the transparency log, API types, limits.
//!
//! No decryption code lives here, so that `cargo tree -p waxwing-relay` shows a relay that cannot read messages.
//! Not here: the envelope (`waxwing-protocol`), storage, HTTP.

pub mod address;
pub mod api;
pub mod blob;
pub mod chain;
pub mod codec;
pub mod device;
pub mod frame;
pub mod ids;
pub mod label;
pub mod limits;
pub mod log;
#[cfg(feature = "openapi")]
mod openapi;
pub mod problem;
pub mod signature;
pub mod token;
pub mod transparency;
pub mod username;

pub use address::{AccountAddress, RelayAddress};
pub use blob::BlobId;
pub use chain::{ChainEntry, ChainError, VerifiedChain};
pub use codec::{DecodeError, MAX_U64, Reader, Writer};
pub use device::DeviceRecord;
pub use ids::{AccountId, DeviceId, EnvelopeId, LogId, MessageId};
pub use label::{hash, label, signing_input};
pub use username::Username;

/// Version of the HTTP API. A relay answers it in the header `Waxwing-Api`; a client with another major version stops.
pub const API_VERSION: u32 = 1;
