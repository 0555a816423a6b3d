//! Replay windows: each assertion and proof is good once (RFC 7523, section 3; RFC 9449, section 11.1).

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use waxwing_wire::hash;
use waxwing_wire::limits::ASSERTION_SECONDS;

/// Seconds for which an id is remembered at least. An assertion or proof from up to a minute ahead of relay time is let pass and stays good
/// for a minute after its own time, so it can be shown for two minutes; the rest is for the second that is cut off.
pub(crate) const KEEP_SECONDS: u64 = 2 * ASSERTION_SECONDS + 5;

/// Ids that a window in memory remembers per generation: 16 bytes each.
const CAPACITY: usize = 1_000_000;

/// What is shown, each kind in a window of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    /// An assertion (RFC 7523).
    Assertion,
    /// A DPoP proof (RFC 9449).
    Proof,
}

/// That somebody showed an assertion or a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Showing {
    /// What.
    pub shows: Shows,
    /// Which: a hash of its `jti` and of whose it is. Ids of different owners never meet, so nobody can use up another's.
    pub id: [u8; 16],
}

impl Showing {
    /// `owner` (a key's name) shows `jti`.
    #[must_use]
    pub fn new(shows: Shows, owner: &[u8], jti: &str) -> Self {
        let kind = [match shows {
            Shows::Assertion => 1,
            Shows::Proof => 2,
        }];
        let digest = hash(&[&kind, &(owner.len() as u64).to_be_bytes(), owner, jti.as_bytes()]);
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Self { shows, id }
    }
}

/// Whether an id was new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It was, and is remembered now.
    Fresh,
    /// It was shown before.
    Replayed,
    /// The window is full: nothing more is let pass until it has moved on, since what is not remembered could be replayed.
    Full,
}

/// The windows of a relay that is one process.
pub(crate) struct Shown {
    assertions: ReplayWindow,
    proofs: ReplayWindow,
}

impl Default for Shown {
    fn default() -> Self {
        Self { assertions: ReplayWindow::new(CAPACITY), proofs: ReplayWindow::new(CAPACITY) }
    }
}

impl Shown {
    /// Remembers what is shown at `now` (relay time in seconds).
    pub(crate) fn check(&self, showing: Showing, now: u64) -> Seen {
        match showing.shows {
            Shows::Assertion => self.assertions.check(showing.id, now),
            Shows::Proof => self.proofs.check(showing.id, now),
        }
    }
}

/// Ids seen lately, in two generations: constant work, bounded memory.
struct ReplayWindow {
    capacity: usize,
    generations: Mutex<Generations>,
}

struct Generations {
    started: u64,
    current: HashSet<[u8; 16]>,
    previous: HashSet<[u8; 16]>,
}

impl ReplayWindow {
    /// A window that remembers `capacity` ids per generation.
    fn new(capacity: usize) -> Self {
        let generations = Generations { started: 0, current: HashSet::new(), previous: HashSet::new() };
        Self { capacity, generations: Mutex::new(generations) }
    }

    fn check(&self, id: [u8; 16], now: u64) -> Seen {
        let mut guard = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let generations = &mut *guard;
        let age = now.saturating_sub(generations.started);
        if age >= 2 * KEEP_SECONDS {
            generations.previous = HashSet::new();
            generations.current = HashSet::new();
            generations.started = now;
        } else if age >= KEEP_SECONDS {
            generations.previous = std::mem::take(&mut generations.current);
            generations.started = now;
        }
        if generations.previous.contains(&id) || generations.current.contains(&id) {
            return Seen::Replayed;
        }
        if generations.current.len() >= self.capacity {
            return Seen::Full;
        }
        generations.current.insert(id);
        Seen::Fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(owner: &[u8], jti: &str) -> [u8; 16] {
        Showing::new(Shows::Proof, owner, jti).id
    }

    #[test]
    fn each_id_once_within_its_life() {
        let window = ReplayWindow::new(10);
        assert_eq!(window.check(id(b"a", "1"), 1000), Seen::Fresh);
        for now in [1000, 1060, 1000 + KEEP_SECONDS, 1000 + KEEP_SECONDS + 1] {
            assert_eq!(window.check(id(b"a", "1"), now), Seen::Replayed, "{now}");
        }
        assert_eq!(window.check(id(b"b", "1"), 1200), Seen::Fresh);
        assert_eq!(window.check(id(b"a", "1"), 1000 + 3 * KEEP_SECONDS), Seen::Fresh);
    }

    #[test]
    fn a_full_window_lets_nothing_pass_and_moves_on() {
        let window = ReplayWindow::new(2);
        assert_eq!(window.check(id(b"a", "1"), 1000), Seen::Fresh);
        assert_eq!(window.check(id(b"a", "2"), 1000), Seen::Fresh);
        assert_eq!(window.check(id(b"a", "3"), 1000), Seen::Full);
        assert_eq!(window.check(id(b"a", "1"), 1000), Seen::Replayed);
        assert_eq!(window.check(id(b"a", "3"), 1000 + KEEP_SECONDS), Seen::Fresh);
    }

    #[test]
    fn a_clock_set_back_forgets_nothing() {
        let window = ReplayWindow::new(10);
        assert_eq!(window.check(id(b"a", "1"), 1000), Seen::Fresh);
        assert_eq!(window.check(id(b"a", "1"), 900), Seen::Replayed);
    }
}
