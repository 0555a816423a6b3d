//! Fetching a chain until its relay's log has nothing newer of it: what is asked next, and which chain is taken in the end.
//!
//! Not here: how an answer is read ([`crate::ChainPages`]), what the log says of it ([`crate::WantedInLog`]), who asks (`waxwing-client`).

use waxwing_wire::VerifiedChain;

use crate::InLog;

/// So often the log may have more than the relay has shown: somebody may replace their keys again and again while their chain is fetched.
const TRIES: usize = 3;

/// A chain that is to be asked for.
#[derive(Debug, Clone)]
pub struct ChainFetch {
    known: Option<VerifiedChain>,
    from: u32,
    fresh: Vec<Vec<u8>>,
    tries: usize,
}

/// A chain that was answered, and is to be looked up in its relay's log.
#[derive(Debug, Clone)]
pub struct ChainAnswer {
    chain: VerifiedChain,
    from: u32,
    fresh: Vec<Vec<u8>>,
    tries: usize,
}

/// What comes of an answer.
#[derive(Debug, Clone)]
pub enum ChainFetched {
    /// The log has more: it is asked for what follows.
    More(ChainFetch),
    /// The chain, and the entries of it that were not known.
    Whole(VerifiedChain, Vec<Vec<u8>>),
}

/// Why a chain is not taken. Nothing of it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotLogged {
    /// The log does not hold what was answered.
    #[error("the relay's log does not hold these keys")]
    Lacks,
    /// The log held more each time.
    #[error("the relay's log holds newer keys than the relay shows")]
    Newer,
    /// The log holds two entries for one place.
    #[error("the relay's log holds two entries for one place of the chain")]
    Forked,
}

impl ChainFetch {
    /// Goes on from what is known: entries up to there count as logged.
    #[must_use]
    pub fn new(known: Option<VerifiedChain>) -> Self {
        let from = known.as_ref().map_or(0, |known| known.seq().saturating_add(1));
        Self { known, from, fresh: Vec::new(), tries: TRIES }
    }

    /// What the relay is asked to extend.
    #[must_use]
    pub fn known(&self) -> Option<&VerifiedChain> {
        self.known.as_ref()
    }

    /// Takes the verified answer: the chain extended, and the entries that extend it.
    ///
    /// # Errors
    ///
    /// [`NotLogged::Newer`] where it was asked often enough.
    pub fn answered(mut self, chain: VerifiedChain, more: Vec<Vec<u8>>) -> Result<ChainAnswer, NotLogged> {
        let tries = self.tries.checked_sub(1).ok_or(NotLogged::Newer)?;
        self.fresh.extend(more);
        Ok(ChainAnswer { chain, from: self.from, fresh: self.fresh, tries })
    }
}

impl ChainAnswer {
    /// What is to be looked up.
    #[must_use]
    pub fn chain(&self) -> &VerifiedChain {
        &self.chain
    }

    /// Number of its first entry that the log must hold.
    #[must_use]
    pub fn from(&self) -> u32 {
        self.from
    }

    /// Goes on by what the log says.
    ///
    /// # Errors
    ///
    /// [`NotLogged::Lacks`] and [`NotLogged::Forked`].
    pub fn judged(self, found: InLog) -> Result<ChainFetched, NotLogged> {
        let Self { chain, from, fresh, tries } = self;
        match found {
            InLog::Whole => Ok(ChainFetched::Whole(chain, fresh)),
            InLog::Newer => Ok(ChainFetched::More(ChainFetch { known: Some(chain), from, fresh, tries })),
            InLog::Lacks => Err(NotLogged::Lacks),
            InLog::Forked => Err(NotLogged::Forked),
        }
    }
}
