//! Checking the log's proofs (RFC 9162, section 2.1).
//!
//! Not here: making them ([`super::inclusion_path`], [`super::consistency_path`]), and whether the roots are the log's:
//! they come from a [`super::SignedCheckpoint`].

use crate::limits::MAX_PROOF;

use super::tree::node_hash;

/// Why a proof does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The leaf's index is not below the tree's size.
    #[error("the tree has no such leaf")]
    Index,
    /// The older tree is larger than the newer, or empty: about an empty tree nothing can be proved.
    #[error("there is no proof between trees of those sizes")]
    Sizes,
    /// The path is shorter or longer than the sizes ask for.
    #[error("the proof has the wrong length")]
    Length,
    /// The path does not lead to the root (of the newer tree).
    #[error("the proof does not lead to the root")]
    Root,
    /// The path does not lead to the older tree's root, or two trees of one size have two roots.
    #[error("the proof does not lead to the older root")]
    OlderRoot,
}

/// Checks that the leaf with hash `leaf_hash` stands at `index` in the tree of `size` leaves with this root.
///
/// RFC 9162, section 2.1.3.2.
///
/// # Errors
///
/// See [`ProofError`].
pub fn verify_inclusion(
    leaf_hash: &[u8; 32],
    index: u64,
    size: u64,
    path: &[[u8; 32]],
    root: &[u8; 32],
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Index);
    }
    if path.len() > MAX_PROOF {
        return Err(ProofError::Length);
    }
    let mut walk = Walk { node: index, last: size - 1 };
    let mut hash = *leaf_hash;
    for sibling in path {
        hash = match walk.step()? {
            Side::Left => node_hash(sibling, &hash),
            Side::Right => node_hash(&hash, sibling),
        };
    }
    walk.finish()?;
    if hash == *root { Ok(()) } else { Err(ProofError::Root) }
}

/// Checks that the tree of `newer_size` leaves begins with the leaves of the tree of `older_size`.
///
/// RFC 9162, section 2.1.4.2. Two trees of one size are consistent if their roots are equal and the path is empty.
///
/// # Errors
///
/// See [`ProofError`].
pub fn verify_consistency(
    older_size: u64,
    older_root: &[u8; 32],
    newer_size: u64,
    newer_root: &[u8; 32],
    path: &[[u8; 32]],
) -> Result<(), ProofError> {
    if older_size == 0 || older_size > newer_size {
        return Err(ProofError::Sizes);
    }
    if path.len() > MAX_PROOF {
        return Err(ProofError::Length);
    }
    if older_size == newer_size {
        return match path {
            [] if older_root == newer_root => Ok(()),
            [] => Err(ProofError::OlderRoot),
            _ => Err(ProofError::Length),
        };
    }
    // Step 2: a complete older tree is itself the first node of the path.
    let (first, rest) =
        if older_size.is_power_of_two() { (older_root, path) } else { path.split_first().ok_or(ProofError::Length)? };
    // Steps 3 and 4: start at the last complete node of the older tree.
    let level = older_size.trailing_zeros();
    let mut walk = Walk { node: (older_size - 1) >> level, last: (newer_size - 1) >> level };
    let (mut older, mut newer) = (*first, *first);
    for sibling in rest {
        match walk.step()? {
            Side::Left => {
                older = node_hash(sibling, &older);
                newer = node_hash(sibling, &newer);
            }
            Side::Right => newer = node_hash(&newer, sibling),
        }
    }
    walk.finish()?;
    if older != *older_root {
        Err(ProofError::OlderRoot)
    } else if newer != *newer_root {
        Err(ProofError::Root)
    } else {
        Ok(())
    }
}

/// On which side of the node the next element of the path stands.
enum Side {
    Left,
    Right,
}

/// The way from a node to the root: `fn` and `sn` of RFC 9162.
struct Walk {
    /// Index of the node on its level.
    node: u64,
    /// Index of the last node on that level.
    last: u64,
}

impl Walk {
    /// Takes the next element of the path, and goes up to the parent that it completes.
    fn step(&mut self) -> Result<Side, ProofError> {
        if self.last == 0 {
            return Err(ProofError::Length);
        }
        let side = if self.node & 1 == 1 || self.node == self.last {
            // A last node without a sibling is its own parent, up to where it is a right child.
            while self.node & 1 == 0 && self.node != 0 {
                self.up();
            }
            Side::Left
        } else {
            Side::Right
        };
        self.up();
        Ok(side)
    }

    fn up(&mut self) {
        self.node >>= 1;
        self.last >>= 1;
    }

    /// The root must have been reached.
    fn finish(&self) -> Result<(), ProofError> {
        if self.last == 0 { Ok(()) } else { Err(ProofError::Length) }
    }
}
