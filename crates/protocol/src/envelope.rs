//! The envelope: the hybrid-encrypted unit that travels (design section 5; docs/protocol.md "Envelope").
//!
//! The body is encrypted once under a fresh message key M, M is wrapped for each device, and the sender signs it all.
//! Not here: who is a recipient, replay, gaps in `counter`, whether `after` fits the log (the engine judges those).

mod body;
mod error;
mod header;
pub(crate) mod kem;
mod message;
mod message_key;
mod open;
mod seal;
mod sender_box;
mod suite;
mod wrap;

pub use error::{OpenError, SealError};
pub use header::Header;
pub use message::{Message, MessageSender};
pub use open::{Claimed, OpenContext, Opened, open};
pub use seal::{Recipient, SealRequest, Sender, seal};
pub use sender_box::{CompactCheckpoint, Epoch, SENDER_BOX};
pub use suite::Suite;

/// Context of the sender's signature.
const SIGNATURE_CONTEXT: &str = "envelope";

/// Bytes that ChaCha20-Poly1305 (RFC 8439) adds.
const AEAD_TAG: usize = 16;

#[cfg(test)]
mod vectors;
