//! Nonces of DPoP proofs (RFC 9449, sections 8 and 9): a proof names one that the relay gave lately, so nobody with a device's key for a moment can make
//! proofs for days to come.
//!
//! Nothing is kept. A nonce is a keyed hash of the window of time that it is of, under a key that all processes of a relay make of their common log key:
//! each takes what another gave, also after a restart. Whoever asks in one window is given the same, so a nonce tells nobody from anybody.
//!
//! Not here: where proofs are checked ([`crate::auth`]), and that each is good once ([`crate::replay`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ed25519_dalek::SigningKey;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use waxwing_wire::api::base64url;
use waxwing_wire::{hash, label};
use zeroize::Zeroizing;

use crate::keys::{KeyError, KeyRole};

/// A window, in seconds. A nonce is good in its own and in the one after: for 5 to 10 minutes.
const WINDOW_SECONDS: u64 = 300;
/// Bytes of a nonce.
const LEN: usize = 16;

/// Gives nonces, and knows them again.
pub(crate) struct Nonces {
    mac: Hmac<Sha256>,
}

/// Which of the good nonces one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Age {
    /// The newest, or of a process whose clock is ahead of this one's.
    Newest,
    /// Of the window before: good, but not for long.
    Older,
}

impl Nonces {
    /// Those of the relay whose transparency log has this key. It is the one key that all its processes have for good; that of tokens changes.
    pub(crate) fn new(log_key: &SigningKey) -> Result<Self, KeyError> {
        // A key of its own: nothing that is signed with the log's tells anything of it.
        let seed = Zeroizing::new(log_key.to_bytes());
        let key = Zeroizing::new(hash(&[&label("relay nonce key"), seed.as_ref()]));
        // It takes keys of any length.
        let mac = Hmac::new_from_slice(key.as_ref()).map_err(|_| KeyError::Damaged(KeyRole::Log))?;
        Ok(Self { mac })
    }

    /// The nonce to use at `now` (relay time in seconds).
    pub(crate) fn newest(&self, now: u64) -> String {
        let tag = self.of(now / WINDOW_SECONDS).finalize().into_bytes();
        base64url::encode(&tag[..LEN])
    }

    /// Whether `nonce` is good at `now`; none if it is not. Compared in constant time.
    pub(crate) fn check(&self, nonce: &str, now: u64) -> Option<Age> {
        let tag = <[u8; LEN]>::try_from(base64url::decode(nonce)?).ok()?;
        let window = now / WINDOW_SECONDS;
        let is_of = |window| self.of(window).verify_truncated_left(&tag).is_ok();
        // The next one: the clocks of two processes never turn at once, and a client should not have to ask each of them anew.
        if is_of(window) || is_of(window + 1) {
            return Some(Age::Newest);
        }
        window.checked_sub(1).filter(|before| is_of(*before)).map(|_| Age::Older)
    }

    fn of(&self, window: u64) -> Hmac<Sha256> {
        self.mac.clone().chain_update(label("relay nonce")).chain_update(window.to_be_bytes())
    }
}

/// Goes along with a request: whether its proof, a good one, has a nonce that is about to end (RFC 9449, section 8.2).
#[derive(Clone, Default)]
pub(crate) struct Ending(Arc<AtomicBool>);

impl Ending {
    /// It has.
    pub(crate) fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it has.
    pub(crate) fn noted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_123;

    fn nonces(key: u8) -> Nonces {
        Nonces::new(&SigningKey::from_bytes(&[key; 32])).unwrap()
    }

    #[test]
    fn a_nonce_is_good_in_its_window_and_the_next() {
        let nonces = nonces(1);
        let given = nonces.newest(NOW);
        let start = NOW - NOW % WINDOW_SECONDS;
        for (now, age) in [
            (start - WINDOW_SECONDS - 1, None),
            // Of a process that is behind by less than a window.
            (start - 1, Some(Age::Newest)),
            (start, Some(Age::Newest)),
            (start + WINDOW_SECONDS - 1, Some(Age::Newest)),
            (start + WINDOW_SECONDS, Some(Age::Older)),
            (start + 2 * WINDOW_SECONDS - 1, Some(Age::Older)),
            (start + 2 * WINDOW_SECONDS, None),
            (0, None),
            (u64::MAX, None),
        ] {
            assert_eq!(nonces.check(&given, now), age, "{now}");
        }
    }

    #[test]
    fn all_processes_with_the_same_key_give_the_same_to_all_and_others_another() {
        let (one, other, foreign) = (nonces(1), nonces(1), nonces(2));
        assert_eq!(one.newest(NOW), other.newest(NOW + 1));
        assert_eq!(other.check(&one.newest(NOW), NOW), Some(Age::Newest));
        assert_ne!(one.newest(NOW), one.newest(NOW + WINDOW_SECONDS));
        assert_eq!(foreign.check(&one.newest(NOW), NOW), None);
    }

    #[test]
    fn p18_nothing_else_is_a_nonce() {
        let nonces = nonces(1);
        let good = nonces.newest(NOW);
        assert_eq!(good.len(), 22);
        assert!(waxwing_wire::token::is_nonce(&good));
        let mut all = vec![String::new(), "AA".to_owned(), format!("{good}A"), format!("{good}=="), format!(" {good}")];
        for (at, byte) in good.char_indices() {
            let mut changed = good.clone();
            changed.replace_range(at..=at, if byte == 'B' { "C" } else { "B" });
            all.push(changed);
            // A part of it, though a truncated tag would verify.
            all.push(good[..at].to_owned());
        }
        for bad in all {
            assert_eq!(nonces.check(&bad, NOW), None, "{bad}");
        }
    }
}
