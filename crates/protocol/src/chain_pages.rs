//! A chain as a relay serves it: page after page, each entry verified before it counts.
//!
//! Not here: requests (`waxwing-client`), whether the chain stands in the relay's transparency log.

use waxwing_wire::api::ChainPage;
use waxwing_wire::limits::MAX_CHAIN_PAGE;
use waxwing_wire::{AccountId, ChainEntry, ChainError, VerifiedChain};

/// A chain that grows page by page, from its first entry or from what is known of it.
#[derive(Debug, Clone)]
pub struct ChainPages {
    chain: Option<VerifiedChain>,
    fresh: Vec<Vec<u8>>,
}

/// What a page leads to.
#[derive(Debug, Clone)]
pub enum ChainProgress {
    /// The relay says that there are further ones.
    More(ChainPages),
    /// The chain, and the entries of it that were not known.
    Whole(VerifiedChain, Vec<Vec<u8>>),
}

/// Why a page was not taken. Nothing of it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChainPageError {
    /// The page has more entries than one may have, or none where the known head must stand.
    #[error("a page of a chain is too long or empty")]
    Length,
    /// The page tells of a head that it does not lead to: half a chain is no chain.
    #[error("a page of a chain does not lead to the head that it tells")]
    Head,
    /// Another account's.
    #[error("a page of another account's chain")]
    Account,
    /// An entry is not valid where it stands.
    #[error("{error}")]
    Chain {
        /// Why not.
        error: ChainError,
        /// The entry, if no later answer can make it one of this chain.
        refuted: Option<Refuted>,
    },
}

/// An entry that names the known head as its predecessor, and is not signed by whoever may go on from there. Whose signature may follow a head
/// depends on nothing but what leads up to it, so it is never one of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refuted {
    /// Whose chain it pretends to be of.
    pub account: AccountId,
    /// [`ChainEntry::hash`], signatures and all: a good entry with other signatures has another one.
    pub hash: [u8; 32],
}

impl From<ChainError> for ChainPageError {
    fn from(error: ChainError) -> Self {
        Self::Chain { error, refuted: None }
    }
}

impl ChainPages {
    /// Goes on from what is known: the relay cannot take back what it has shown.
    #[must_use]
    pub fn new(known: Option<VerifiedChain>) -> Self {
        Self { chain: known, fresh: Vec::new() }
    }

    /// Number of the first entry that the next page must have: the last one known, since a relay that has another one in its place shows
    /// another history.
    #[must_use]
    pub fn from(&self) -> u32 {
        self.chain.as_ref().map_or(0, VerifiedChain::seq)
    }

    /// Takes the page that was asked for.
    pub fn page(mut self, page: ChainPage) -> Result<ChainProgress, ChainPageError> {
        if page.entries.len() > MAX_CHAIN_PAGE {
            return Err(ChainPageError::Length);
        }
        let mut entries = page.entries.into_iter();
        if let Some(chain) = &self.chain {
            // It may be behind, or pretend to be. That proves nothing against anybody.
            let last = entries.next().ok_or(ChainPageError::Length)?;
            if ChainEntry::decode(last.as_ref()).map_err(ChainError::from)?.hash() != chain.head() {
                return Err(ChainError::Order.into());
            }
        }
        let entries: Vec<_> = entries.collect();
        // The first entry, and then one after the other: what is refuted behind it is found in either case.
        let (mut chain, rest) = match (self.chain, entries.split_at_checked(1)) {
            (Some(chain), _) => (chain, entries.as_slice()),
            (None, Some((first, rest))) => (VerifiedChain::verify(first)?, rest),
            (None, None) => (VerifiedChain::verify(&entries)?, entries.as_slice()),
        };
        rest.iter().try_for_each(|entry| extend(&mut chain, entry.as_ref()))?;
        let ends = entries.is_empty();
        self.fresh.extend(entries.into_iter().map(|entry| entry.0));
        if chain.account() != page.account {
            return Err(ChainPageError::Account);
        }
        if chain.seq() == page.head {
            return Ok(ChainProgress::Whole(chain, self.fresh));
        }
        if ends || chain.seq() > page.head {
            return Err(ChainPageError::Head);
        }
        Ok(ChainProgress::More(Self { chain: Some(chain), fresh: self.fresh }))
    }
}

fn extend(chain: &mut VerifiedChain, bytes: &[u8]) -> Result<(), ChainPageError> {
    chain.extend(bytes).map_err(|error| {
        // Anything else is no successor of this head, or cannot be read by this version; and what breaks a rule may be allowed by a later one.
        let judged = error == ChainError::Signature;
        let entry = ChainEntry::decode(bytes).ok().filter(|_| judged);
        let refuted = entry.map(|entry| Refuted { account: chain.account(), hash: entry.hash() });
        ChainPageError::Chain { error, refuted }
    })
}
