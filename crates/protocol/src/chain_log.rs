//! How a chain stands in its relay's transparency log, by the leaves of the log that are about its account.
//!
//! Not here: how those leaves were read and proved, and who asks the relay again (`waxwing-client`).

use std::collections::HashSet;

use waxwing_wire::VerifiedChain;
use waxwing_wire::limits::MAX_CHAIN;

/// How a chain stands in its relay's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InLog {
    /// All that was asked for is there, and nothing newer.
    Whole,
    /// All that was asked for is there, and entries that the chain does not have: the relay holds them back, or they came in this moment.
    /// Those that were seen and cannot be the account's do not count.
    Newer,
    /// Something that was asked for is not there.
    Lacks,
    /// All that was asked for is there, and for the place of one of these entries another one, too: whose it is nobody can tell who reads the log.
    /// Those that were seen and cannot be the account's do not count.
    Forked,
}

/// Number and hash of an entry of a chain.
pub type EntryId = (u32, [u8; 32]);

/// What a log must hold about an account: its chain, or the newer part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedInLog {
    newest: u32,
    entries: Vec<EntryId>,
}

impl WantedInLog {
    /// A chain's entries, from the one with this number on; whatever comes before counts as proved.
    #[must_use]
    pub fn new(chain: &VerifiedChain, from: u32) -> Self {
        let entries = (from..=chain.seq()).filter_map(|seq| Some((seq, chain.hash_at(seq)?))).collect();
        Self { newest: chain.seq(), entries }
    }

    /// The entry that is wanted in a place.
    fn at(&self, seq: u32) -> Option<&EntryId> {
        let first = self.entries.first()?.0;
        self.entries.get(usize::try_from(seq.checked_sub(first)?).ok()?)
    }

    /// `leaves`: what the log holds about the account; `dropped`: what it held before it was restored, and has lost; `refuted`: hashes of
    /// entries that can never be the account's ([`crate::Refuted`]).
    #[must_use]
    pub fn judge(&self, leaves: &HashSet<EntryId>, dropped: &HashSet<EntryId>, refuted: &HashSet<[u8; 32]>) -> InLog {
        // What a restored log has lost was proved before, and its owner may never come back to state it again. Whatever else is there: a
        // leaf that does not belong takes none away that does.
        if !self.entries.iter().all(|entry| leaves.contains(entry) || dropped.contains(entry)) {
            return InLog::Lacks;
        }
        // An honest relay takes one entry for each place, and its log has no other: two are a thief's and the owner's, or made up. Which of them
        // came first says nothing, since a relay that helps the thief puts them in the order that it likes.
        let another = |leaf: &EntryId| {
            self.at(leaf.0).is_some_and(|wanted| wanted != leaf)
                && !refuted.contains(&leaf.1)
                && !dropped.contains(leaf)
        };
        if leaves.iter().any(another) {
            return InLog::Forked;
        }
        let holds = |(seq, hash): &EntryId| {
            *seq > self.newest && usize::try_from(*seq).is_ok_and(|seq| seq <= MAX_CHAIN) && !refuted.contains(hash)
        };
        if leaves.iter().any(holds) { InLog::Newer } else { InLog::Whole }
    }
}
