//! A log or an inbox, as the test has read it back so far.

use std::collections::HashMap;

use waxwing_wire::EnvelopeId;

use crate::fault::{Broken, promised};

/// What was read back, in order. An entry that was read once stays where it is.
#[derive(Default)]
pub struct Place {
    /// Newest seq that was read.
    pub head: u64,
    /// Of a log: the running hash there.
    pub running: [u8; 32],
    /// Of an inbox: what is acknowledged, and so must not come again.
    pub acknowledged: u64,
    seqs: HashMap<EnvelopeId, u64>,
}

impl Place {
    /// Takes in the next entry.
    pub fn take(&mut self, seq: u64, id: EnvelopeId) -> Result<(), Broken> {
        promised!(seq > self.head, "seq {seq} comes after {}", self.head);
        let before = self.seqs.insert(id, seq);
        promised!(before.is_none(), "an entry is there twice, at {before:?} and at {seq}");
        self.head = seq;
        Ok(())
    }

    /// Whether somebody else has read the same.
    pub fn same(&self, other: &Self) -> bool {
        (self.head, self.running, &self.seqs) == (other.head, other.running, &other.seqs)
    }

    /// Where an entry is.
    pub fn seq(&self, id: EnvelopeId) -> Option<u64> {
        self.seqs.get(&id).copied()
    }
}
