//! What Waxwing puts into MLS groups: the roster (GroupContext extension), what travels with commits, and proofs by leaves
//! (design section 6; docs/protocol.md "Group").
//!
//! Not here: MLS itself and the judgement of commits (`waxwing-client`).

mod chain_proof;
mod commit_data;
mod proof;
mod roster;

pub use chain_proof::{Followed, follow};
pub use commit_data::{ChainPart, CommitData};
pub use proof::{LeaveProof, ResyncProof};
pub use roster::{GroupKind, Roster, RosterLine, RosterRole};

/// Type of the roster's GroupContext extension: in the private range of RFC 9420, section 17.3.
pub const ROSTER_EXTENSION: u16 = 0xf0a1;

/// Label of the MLS exporter (RFC 9420, section 8.5) that gives a channel secret of 32 bytes; the context is empty.
pub const CHANNEL_SECRET_EXPORT: &str = "waxwing cs";
