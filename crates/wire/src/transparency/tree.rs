//! The Merkle tree of RFC 6962 and RFC 9162, section 2.1: hashes, growth, and the paths that proofs are made of.
//!
//! Not here: checking proofs ([`super::verify_inclusion`], [`super::verify_consistency`]), keeping nodes. A node is named by
//! its level (0: leaves) and its index on that level; it is complete when all `2^level` leaves under it exist, and never
//! changes from then on. A store that keeps every complete node gives any root or path in O(log n) look-ups.

use crate::codec::{DecodeError, Reader, Writer};
use crate::label::hash;

/// The log has 2^64 - 1 leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the log is full")]
pub struct TreeFull;

/// Why a path could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BuildError<E> {
    /// No such leaf, or no such pair of sizes, has a proof.
    #[error("no proof exists for that place and size")]
    Range,
    /// The source of nodes failed.
    #[error("a node of the tree could not be read: {0}")]
    Source(E),
}

/// A complete node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// 0 for a leaf; below 64.
    pub level: u32,
    /// Place on its level, from 0.
    pub index: u64,
    /// Its hash.
    pub hash: [u8; 32],
}

/// `MTH({}) = SHA-256()`: the root of the tree without leaves.
#[must_use]
pub fn empty_root() -> [u8; 32] {
    hash(&[])
}

/// `SHA-256(0x00 || leaf)`.
#[must_use]
pub fn leaf_hash(leaf: &[u8]) -> [u8; 32] {
    hash(&[&[0], leaf])
}

/// `SHA-256(0x01 || left || right)`.
#[must_use]
pub fn node_hash(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    hash(&[&[1], left, right])
}

/// The right edge of a tree: all that is needed to append to it and to know its root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    /// One complete node for each 1 bit of `size`, largest first.
    peaks: Vec<[u8; 32]>,
}

impl Frontier {
    /// The tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The right edge of the tree of the first `size` leaves. O(log n) look-ups in `node` (level, index).
    ///
    /// # Errors
    ///
    /// The source's.
    pub fn load<E>(size: u64, mut node: impl FnMut(u32, u64) -> Result<[u8; 32], E>) -> Result<Self, E> {
        let mut peaks =
            complete_nodes(0, size).map(|(level, index)| node(level, index)).collect::<Result<Vec<_>, E>>()?;
        peaks.reverse();
        Ok(Self { size, peaks })
    }

    /// How many leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root. O(log n) hashes.
    #[must_use]
    pub fn root(&self) -> [u8; 32] {
        let mut peaks = self.peaks.iter().rev();
        match peaks.next() {
            Some(last) => peaks.fold(*last, |right, left| node_hash(left, &right)),
            None => empty_root(),
        }
    }

    /// Appends a leaf by its hash ([`leaf_hash`]). Amortised O(1) hashes.
    ///
    /// # Errors
    ///
    /// [`TreeFull`]; the frontier is then unchanged.
    pub fn append(&mut self, leaf_hash: [u8; 32]) -> Result<(), TreeFull> {
        self.grow(leaf_hash, |_| ())
    }

    /// Like [`Frontier::append`]; gives the nodes that became complete, the leaf first, each the parent of the one before.
    ///
    /// # Errors
    ///
    /// [`TreeFull`]; the frontier is then unchanged.
    pub fn append_nodes(&mut self, leaf_hash: [u8; 32]) -> Result<Vec<Node>, TreeFull> {
        let mut nodes = Vec::new();
        self.grow(leaf_hash, |node| nodes.push(node))?;
        Ok(nodes)
    }

    fn grow(&mut self, leaf_hash: [u8; 32], mut complete: impl FnMut(Node)) -> Result<(), TreeFull> {
        let size = self.size.checked_add(1).ok_or(TreeFull)?;
        let mut node = Node { level: 0, index: self.size, hash: leaf_hash };
        complete(node);
        // A right child completes its parent; its left sibling is the smallest peak.
        while node.index & 1 == 1
            && let Some(left) = self.peaks.pop()
        {
            node = Node { level: node.level + 1, index: node.index >> 1, hash: node_hash(&left, &node.hash) };
            complete(node);
        }
        self.peaks.push(node.hash);
        self.size = size;
        Ok(())
    }

    /// `size u64 | hash 32 for each 1 bit of size, largest subtree first`: to be kept on disk.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u64(self.size);
        for peak in &self.peaks {
            writer.bytes(peak);
        }
        writer.finish()
    }

    /// Reads a frontier. Accepts exactly what [`Frontier::encode`] makes, byte for byte. Whether the hashes are right can be
    /// seen from nothing but the root.
    ///
    /// # Errors
    ///
    /// Another length than the size asks for.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let size = u64::from_be_bytes(reader.array("frontier size")?);
        let peaks = (0..size.count_ones()).map(|_| reader.array("frontier hash")).collect::<Result<_, _>>()?;
        reader.finish("frontier")?;
        Ok(Self { size, peaks })
    }
}

/// The root of the first `size` leaves. `node` gives complete nodes by level and index; O(log n) look-ups.
///
/// # Errors
///
/// The source's.
pub fn root_at<E>(size: u64, node: impl FnMut(u32, u64) -> Result<[u8; 32], E>) -> Result<[u8; 32], E> {
    Ok(range_root(0, size, node)?.unwrap_or_else(empty_root))
}

/// `PATH(index, D_size)` (RFC 9162, section 2.1.3.1): the proof that leaf `index` is in the tree of the first `size` leaves.
///
/// `node` gives complete nodes by level and index; O(log n) look-ups.
///
/// # Errors
///
/// [`BuildError::Range`] if `index` is not below `size`, and the source's.
pub fn inclusion_path<E>(
    index: u64,
    size: u64,
    node: impl FnMut(u32, u64) -> Result<[u8; 32], E>,
) -> Result<Vec<[u8; 32]>, BuildError<E>> {
    if index >= size {
        return Err(BuildError::Range);
    }
    let mut path = Vec::new();
    climb(0, index, size, node, &mut path).map_err(BuildError::Source)?;
    Ok(path)
}

/// `PROOF(older, D_newer)` (RFC 9162, section 2.1.4.1): the proof that the first `newer` leaves begin with the first `older`.
///
/// `node` gives complete nodes by level and index; O(log n) look-ups.
///
/// # Errors
///
/// [`BuildError::Range`] unless `0 < older <= newer`, and the source's.
pub fn consistency_path<E>(
    older: u64,
    newer: u64,
    mut node: impl FnMut(u32, u64) -> Result<[u8; 32], E>,
) -> Result<Vec<[u8; 32]>, BuildError<E>> {
    if older == 0 || older > newer {
        return Err(BuildError::Range);
    }
    let mut path = Vec::new();
    if older == newer {
        return Ok(path);
    }
    // The last complete node of the older tree. Where it is the whole of it, the verifier has it: it is the older root.
    let level = older.trailing_zeros();
    let index = (older - 1) >> level;
    if index != 0 {
        path.push(node(level, index).map_err(BuildError::Source)?);
    }
    climb(level, index, newer, node, &mut path).map_err(BuildError::Source)?;
    Ok(path)
}

/// Adds the siblings on the way from a node of the tree of `size > 0` leaves to its root.
fn climb<E>(
    level: u32,
    index: u64,
    size: u64,
    mut node: impl FnMut(u32, u64) -> Result<[u8; 32], E>,
    path: &mut Vec<[u8; 32]>,
) -> Result<(), E> {
    let mut at = index;
    for level in level..u64::BITS {
        // The last node on this level; it may be incomplete, all before it are complete.
        let last = (size - 1) >> level;
        if last == 0 {
            break;
        }
        let sibling = at ^ 1;
        if sibling < last {
            path.push(node(level, sibling)?);
        } else if sibling == last {
            path.extend(range_root(sibling << level, size, &mut node)?);
        }
        at >>= 1;
    }
    Ok(())
}

/// The root of the leaves from `begin` to before `end`; none if there are none. They must be the leaves of one node, which
/// may be incomplete.
fn range_root<E>(
    begin: u64,
    end: u64,
    mut node: impl FnMut(u32, u64) -> Result<[u8; 32], E>,
) -> Result<Option<[u8; 32]>, E> {
    let mut root = None;
    for (level, index) in complete_nodes(begin, end) {
        let left = node(level, index)?;
        root = Some(root.map_or(left, |right| node_hash(&left, &right)));
    }
    Ok(root)
}

/// The largest complete nodes that make up the leaves of `begin..end`, from the right. See [`range_root`].
fn complete_nodes(begin: u64, mut end: u64) -> impl Iterator<Item = (u32, u64)> {
    std::iter::from_fn(move || {
        let rest = end.checked_sub(begin).filter(|rest| *rest > 0)?;
        let level = rest.trailing_zeros();
        end -= 1 << level;
        Some((level, end >> level))
    })
}
