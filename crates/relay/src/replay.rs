//! Replay windows: each assertion and proof is good once (RFC 7523, section 3; RFC 9449, section 11.1), also where the relay is started anew in between.
//!
//! Not here: where what was shown is kept ([`crate::storage`]).

use waxwing_wire::hash;
use waxwing_wire::limits::ASSERTION_SECONDS;

/// Seconds for which an id is remembered at least. An assertion or proof from up to a minute ahead of relay time is let pass and stays good
/// for a minute after its own time, so it can be shown for two minutes; the rest is for the second that is cut off.
pub(crate) const KEEP_SECONDS: u64 = 2 * ASSERTION_SECONDS + 5;

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
}
