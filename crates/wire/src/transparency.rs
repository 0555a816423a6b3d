//! The transparency log: what its leaves say, its Merkle tree, its proofs, and what its key signs
//! (design section 4).
//!
//! Not here: storing leaves and nodes, when a checkpoint is signed (the relay's), which checkpoint is pinned, how old one
//! may be, what an alarm is (the client's), chains ([`crate::chain`]).

mod checkpoint;
mod evidence;
mod leaf;
mod name_hash;
mod note;
mod proof;
mod restored;
mod tree;

pub use checkpoint::{COMPACT_LEN, Checkpoint, CheckpointError, SignedCheckpoint};
pub use evidence::{OtherLog, Verdict, judge};
pub use leaf::{LEAF_LEN, Leaf, account_hash, decode_leaves};
pub use name_hash::{NameHashError, name_hash};
pub use note::{NoteError, NoteKey, OpenedNote, open_note, sign_note};
pub use proof::{ProofError, verify_consistency, verify_inclusion};
pub use restored::{Restored, RestoredError};
pub use tree::{
    BuildError, Frontier, Node, TreeFull, consistency_path, empty_root, inclusion_path, leaf_hash, node_hash, root_at,
};
