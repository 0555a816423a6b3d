//! A tree whose every complete node is kept, as a relay keeps it, and the log key of the tests.

use std::collections::HashMap;

use ed25519_dalek::SigningKey;
use waxwing_wire::transparency::{
    Checkpoint, Frontier, NoteKey, SignedCheckpoint, consistency_path, inclusion_path, leaf_hash, root_at,
};

pub const ORIGIN: &str = "relay.example:8443";
pub const TIME: u64 = 1_795_600_000_123;

/// A node that was asked for and does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoNode(pub u32, pub u64);

#[derive(Default)]
pub struct Tree {
    pub frontier: Frontier,
    pub nodes: HashMap<(u32, u64), [u8; 32]>,
}

impl Tree {
    pub fn new<L: AsRef<[u8]>>(leaves: &[L]) -> Self {
        let mut tree = Self::default();
        for leaf in leaves {
            for node in tree.frontier.append_nodes(leaf_hash(leaf.as_ref())).unwrap() {
                assert_eq!(tree.nodes.insert((node.level, node.index), node.hash), None);
            }
        }
        tree
    }

    /// `size` leaves that differ.
    pub fn of_size(size: u64) -> Self {
        Self::new(&(0..size).map(u64::to_be_bytes).collect::<Vec<_>>())
    }

    pub fn node(&self) -> impl Fn(u32, u64) -> Result<[u8; 32], NoNode> {
        |level, index| self.nodes.get(&(level, index)).copied().ok_or(NoNode(level, index))
    }

    pub fn leaf(&self, index: u64) -> [u8; 32] {
        self.nodes[&(0, index)]
    }

    pub fn root(&self, size: u64) -> [u8; 32] {
        root_at(size, self.node()).unwrap()
    }

    pub fn inclusion(&self, index: u64, size: u64) -> Vec<[u8; 32]> {
        inclusion_path(index, size, self.node()).unwrap()
    }

    pub fn consistency(&self, older: u64, newer: u64) -> Vec<[u8; 32]> {
        consistency_path(older, newer, self.node()).unwrap()
    }

    pub fn checkpoint(&self, size: u64) -> SignedCheckpoint {
        signed(size, self.root(size), TIME + size)
    }
}

pub fn log_key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

pub fn note_key() -> NoteKey {
    NoteKey::new(ORIGIN, log_key().verifying_key().as_bytes()).unwrap()
}

pub fn signed(size: u64, root: [u8; 32], time_ms: u64) -> SignedCheckpoint {
    SignedCheckpoint::sign(&Checkpoint { origin: ORIGIN.to_owned(), size, root, time_ms }, &log_key()).unwrap()
}

pub fn hex32(text: &str) -> [u8; 32] {
    hex::decode(text).unwrap().try_into().unwrap()
}
