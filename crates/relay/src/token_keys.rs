//! The keys of access tokens: one that signs, and those before it for as long as a token of theirs can live.
//!
//! Any number of relays can share the folder: whoever meets a token of a key that it does not know looks there.
//! Not here: how a key is kept ([`crate::keys`]), what a token says ([`waxwing_wire::token`]).

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use waxwing_wire::api::EntryBytes;
use waxwing_wire::limits::TOKEN_SECONDS;

use crate::keys::{self, KeyError, KeyRole, TokenKey, fingerprint};
use crate::private_file;

const RETIRED: &str = "token-keys-retired.json";
/// Another relay on the folder goes on signing with the old key until it has looked there: once a minute.
const NOTICE_SECONDS: u64 = 120;

/// The keys in a folder.
pub(crate) struct TokenKeys {
    folder: PathBuf,
    ring: RwLock<Arc<Ring>>,
    /// Second of the last look into the folder.
    looked: Mutex<u64>,
}

/// The keys at one moment.
pub(crate) struct Ring {
    /// Signs.
    pub(crate) current: TokenKey,
    retired: Vec<Retired>,
}

/// The public half of a key that signs no more.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Retired {
    kid: String,
    public: EntryBytes,
    until: u64,
}

impl Ring {
    /// Reads the keys in `folder`; makes and keeps one if there is none.
    fn open(folder: &Path) -> Result<Self, KeyError> {
        Self::with(TokenKey::open(folder)?, folder)
    }

    /// Reads the keys in `folder`, and makes none.
    fn read(folder: &Path) -> Result<Self, KeyError> {
        Self::with(TokenKey::read(folder)?, folder)
    }

    fn with(current: TokenKey, folder: &Path) -> Result<Self, KeyError> {
        let io = |error| KeyError::Io(KeyRole::Token, error);
        let retired = match private_file::read(&folder.join(RETIRED)).map_err(io)? {
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|_| KeyError::Damaged(KeyRole::Token))?,
            None => Vec::new(),
        };
        Ok(Self { current, retired })
    }

    /// The public keys under which a token can verify at `now` (relay time in seconds), with their names.
    pub(crate) fn public(&self, now: u64) -> Vec<(&str, [u8; 32])> {
        let retired = self.retired.iter().filter(|key| key.until > now && key.kid != self.current.kid());
        let retired = retired.filter_map(|key| Some((key.kid.as_str(), key.public.as_ref().try_into().ok()?)));
        std::iter::once((self.current.kid(), *self.current.public())).chain(retired).collect()
    }

    fn verifying(&self, kid: &str, now: u64) -> Option<[u8; 32]> {
        self.public(now).into_iter().find(|(name, _)| *name == kid).map(|(_, key)| key)
    }
}

/// What says whether two processes have the same keys, over one key of the log.
pub(crate) struct Fingerprints {
    /// With the key in force.
    pub(crate) current: [u8; 32],
    /// With those before it, as far as they are known.
    pub(crate) before: Vec<[u8; 32]>,
}

impl TokenKeys {
    /// Reads the keys in `folder`; makes and keeps one if there is none.
    pub(crate) fn open(folder: &Path) -> Result<Self, KeyError> {
        let ring = RwLock::new(Arc::new(Ring::open(folder)?));
        Ok(Self { folder: folder.to_owned(), ring, looked: Mutex::new(0) })
    }

    /// The keys as they are now.
    pub(crate) fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The public key named `kid`, if a token of it can be good at `now`.
    pub(crate) fn verifying(&self, kid: &str, now: u64) -> Option<[u8; 32]> {
        if let Some(key) = self.ring().verifying(kid, now) {
            return Some(key);
        }
        // Anybody can name a key that there is not: that costs a look at the files once a second, not each time.
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if *looked == now {
            return None;
        }
        *looked = now;
        drop(looked);
        self.refresh();
        self.ring().verifying(kid, now)
    }

    /// Of these keys and the public key of the transparency log.
    pub(crate) fn fingerprints(&self, log_key: &[u8; 32]) -> Fingerprints {
        let ring = self.ring();
        let of = |public: &[u8; 32]| fingerprint(&[*public, *log_key]);
        let before = ring.retired.iter().rev().filter_map(|key| Some(of(&key.public.as_ref().try_into().ok()?)));
        Fingerprints { current: of(ring.current.public()), before: before.collect() }
    }

    /// Takes in what another relay on the folder has changed. A key that is gone is no change: one that this process made by itself would be
    /// nobody else's.
    pub(crate) fn refresh(&self) {
        match Ring::read(&self.folder) {
            Ok(ring) => *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring),
            Err(error) => {
                tracing::error!(%error, "the token keys could not be read again; the relay goes on with those it has");
            }
        }
    }

    /// Puts a new key in force; tokens of the one before stay good for their life. Gives the new key's name.
    pub(crate) fn rotate(&self, now: u64) -> Result<String, KeyError> {
        let io = |error| KeyError::Io(KeyRole::Token, error);
        // Others may be at it, or starting: what one has put there the next must not leave out.
        let _lock = keys::lock(&self.folder).map_err(io)?;
        let ring = match Ring::read(&self.folder) {
            Ok(ring) => Arc::new(ring),
            // The way back for an operator who has lost the file: tokens of the key that is still in force here stay good.
            Err(KeyError::Gone(_)) => self.ring(),
            Err(error) => return Err(error),
        };
        let mut retired: Vec<Retired> = ring.retired.iter().filter(|key| key.until > now).cloned().collect();
        retired.push(Retired {
            kid: ring.current.kid().to_owned(),
            public: EntryBytes(ring.current.public().to_vec()),
            until: now + TOKEN_SECONDS + NOTICE_SECONDS,
        });
        // First what makes the old tokens good: a crash in between leaves the key in force among the retired, which changes nothing.
        let bytes = serde_json::to_vec(&retired).map_err(|_| KeyError::Damaged(KeyRole::Token))?;
        private_file::write(&self.folder.join(RETIRED), &bytes).map_err(io)?;
        let current = TokenKey::replace(&self.folder)?;
        let kid = current.kid().to_owned();
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Ring { current, retired });
        Ok(kid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_key_is_good_for_as_long_as_its_tokens() {
        let folder = tempfile::tempdir().unwrap();
        let keys = TokenKeys::open(folder.path()).unwrap();
        let (first, public) = (keys.ring().current.kid().to_owned(), *keys.ring().current.public());
        let second = keys.rotate(1000).unwrap();
        assert_ne!(first, second);
        assert_eq!(keys.ring().current.kid(), second);
        assert_eq!(keys.verifying(&first, 1000 + TOKEN_SECONDS), Some(public));
        assert_eq!(keys.verifying(&first, 1000 + TOKEN_SECONDS + NOTICE_SECONDS), None);
        // Twice within a token's life, and after a restart: all three.
        let third = keys.rotate(1010).unwrap();
        let restarted = TokenKeys::open(folder.path()).unwrap();
        for keys in [&keys, &restarted] {
            let ring = keys.ring();
            assert_eq!(ring.public(1020).iter().map(|(kid, _)| *kid).collect::<Vec<_>>(), [&third, &first, &second]);
        }
        // What has run out is forgotten.
        keys.rotate(100_000).unwrap();
        assert_eq!(keys.ring().public(100_001).len(), 2);
    }

    /// A key that one process of several made for itself would sign what no other takes.
    #[test]
    fn a_key_that_is_gone_is_not_made_by_a_look() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token-key.json");
        let keys = TokenKeys::open(folder.path()).unwrap();
        let (first, public) = (keys.ring().current.kid().to_owned(), *keys.ring().current.public());
        std::fs::remove_file(&file).unwrap();
        keys.refresh();
        assert_eq!(keys.verifying("none", 1000), None);
        assert_eq!(keys.ring().current.kid(), first);
        assert!(!file.exists());
        // The operator has one made, and nobody is signed out by it.
        let second = keys.rotate(1000).unwrap();
        assert_eq!(TokenKeys::open(folder.path()).unwrap().ring().current.kid(), second);
        assert_eq!(keys.verifying(&first, 1000 + TOKEN_SECONDS), Some(public));
        // What is there and cannot be read is not replaced.
        std::fs::write(&file, b"{}").unwrap();
        assert!(matches!(keys.rotate(1001), Err(KeyError::Damaged(KeyRole::Token))));
    }

    /// Each writes down what there was before: two at once would forget a key whose tokens are good.
    #[test]
    fn a_rotation_waits_for_whoever_has_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let keys = TokenKeys::open(folder.path()).unwrap();
        let first = keys.ring().current.kid().to_owned();
        let lock = keys::lock(folder.path()).unwrap();
        std::thread::scope(|scope| {
            let rotation = scope.spawn(|| keys.rotate(1000).unwrap());
            std::thread::sleep(std::time::Duration::from_millis(500));
            assert!(!rotation.is_finished());
            // Meanwhile the key in force is at hand.
            assert_eq!(keys.ring().current.kid(), first);
            drop(lock);
            assert_eq!(rotation.join().unwrap(), keys.ring().current.kid());
        });
        assert_ne!(keys.ring().current.kid(), first);
    }

    #[test]
    fn a_relay_beside_it_learns_of_a_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = [(); 2].map(|()| TokenKeys::open(folder.path()).unwrap());
        let kid = one.rotate(1000).unwrap();
        assert!(other.verifying(&kid, 1001).is_some());
        assert_eq!(other.verifying("none", 1001), None);
        assert_eq!(other.ring().current.kid(), kid);
    }
}
