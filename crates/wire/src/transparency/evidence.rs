//! Whether two signed checkpoints can both be true (P17).
//!
//! Only a contradiction is evidence against a log. A proof that does not hold shows nothing: whoever handed it over may have
//! spoilt it. Not here: fetching proofs, keeping and showing evidence.

use super::checkpoint::{Checkpoint, SignedCheckpoint};
use super::proof::{ProofError, verify_consistency};

/// The checkpoints are of two logs, or signed by two keys: they cannot speak against each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the checkpoints are of two logs")]
pub struct OtherLog;

/// What two checkpoints of one log say of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// One tree extends the other, or they are the same.
    Consistent,
    /// One size, two roots: the log showed two histories. Both notes together prove it to anybody.
    Contradiction,
    /// They are of two sizes, and the proof does not hold. Nothing is known.
    Unproven(ProofError),
}

/// Judges two checkpoints of one log, in any order, by a consistency proof from the smaller to the larger.
///
/// Where both have one size, or one is of the empty tree, no proof is needed and `path` is not looked at; an empty `path`
/// therefore asks for what can be said without one.
///
/// # Errors
///
/// [`OtherLog`] if key or origin differ.
pub fn judge(a: &SignedCheckpoint, b: &SignedCheckpoint, path: &[[u8; 32]]) -> Result<Verdict, OtherLog> {
    // The key's name is the origin.
    if a.key() != b.key() {
        return Err(OtherLog);
    }
    let (older, newer) = (a.checkpoint(), b.checkpoint());
    let (older, newer) = if older.size <= newer.size { (older, newer) } else { (newer, older) };
    Ok(verdict(older, newer, path))
}

fn verdict(older: &Checkpoint, newer: &Checkpoint, path: &[[u8; 32]]) -> Verdict {
    if older.size == newer.size {
        return if older.root == newer.root { Verdict::Consistent } else { Verdict::Contradiction };
    }
    // A checkpoint of the empty tree has its one root, or would not have been read; every tree extends it.
    if older.size == 0 {
        return Verdict::Consistent;
    }
    match verify_consistency(older.size, &older.root, newer.size, &newer.root, path) {
        Ok(()) => Verdict::Consistent,
        Err(error) => Verdict::Unproven(error),
    }
}
