//! The relay's own signing keys: one for access tokens, one for the transparency log. Each is made at first start and kept in a file of its
//! own, of mode 0600.
//!
//! Not here: what is signed with them ([`waxwing_wire::token`], [`crate::log_signer`]), TLS.

use std::fmt;
use std::fs::File;
use std::path::Path;

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use waxwing_wire::api::EntryBytes;
use waxwing_wire::token::thumbprint;
use waxwing_wire::{hash, label};
use zeroize::{Zeroize as _, Zeroizing};

use crate::private_file;

/// What a key is for. No key is for two things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRole {
    /// Signs access tokens, nothing else.
    Token,
    /// Signs checkpoints of the transparency log, nothing else.
    Log,
}

impl KeyRole {
    fn file(self) -> &'static str {
        match self {
            Self::Token => "token-key.json",
            Self::Log => "log-key.json",
        }
    }

    /// What an operator can do about a damaged file. Tokens live for minutes; the log's key is what clients have pinned.
    fn remedy(self) -> &'static str {
        match self {
            Self::Token => {
                "restore it from a backup, or remove it to have a new key made (over PostgreSQL with `DELETE FROM relay_keys`, too, every process stopped)"
            }
            Self::Log => "restore it from a backup: clients know this relay's log by this key",
        }
    }
}

impl fmt::Display for KeyRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token => "token key",
            Self::Log => "log key",
        })
    }
}

/// A key could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("the {0}'s file cannot be used: {1}")]
    Io(KeyRole, #[source] std::io::Error),
    /// The file holds something else.
    #[error("the {0}'s file is damaged; {remedy}", remedy = .0.remedy())]
    Damaged(KeyRole),
    /// There is no file, where one is not to be made.
    #[error("the {0}'s file is gone")]
    Gone(KeyRole),
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    Random,
}

/// A key pair as it is kept. Its `kid` is its thumbprint (RFC 7638), so two keys never share one.
struct KeptKey {
    signing: SigningKey,
    public: [u8; 32],
    kid: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    kid: String,
    seed: EntryBytes,
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.seed.0.zeroize();
    }
}

impl KeptKey {
    /// Reads the key from `folder`; makes and keeps one if there is none.
    fn open(folder: &Path, role: KeyRole) -> Result<Self, KeyError> {
        match Self::read(folder, role) {
            Err(KeyError::Gone(_)) => Self::make(folder, role),
            read => read,
        }
    }

    /// Reads the key from `folder`.
    fn read(folder: &Path, role: KeyRole) -> Result<Self, KeyError> {
        let read = private_file::read(&folder.join(role.file())).map_err(|error| KeyError::Io(role, error))?;
        let bytes = read.map(Zeroizing::new).ok_or(KeyError::Gone(role))?;
        Self::parse(&bytes).ok_or(KeyError::Damaged(role))
    }

    /// Makes a key and keeps it, in the place of one that was there.
    fn make(folder: &Path, role: KeyRole) -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut()).map_err(|_| KeyError::Random)?;
        let key = Self::from_seed(&seed);
        let stored = Stored { kid: key.kid.clone(), seed: EntryBytes(seed.to_vec()) };
        let bytes = Zeroizing::new(serde_json::to_vec(&stored).map_err(|_| KeyError::Damaged(role))?);
        private_file::write(&folder.join(role.file()), &bytes).map_err(|error| KeyError::Io(role, error))?;
        Ok(key)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let stored: Stored = serde_json::from_slice(bytes).ok()?;
        let seed = Zeroizing::new(<[u8; 32]>::try_from(stored.seed.as_ref()).ok()?);
        let key = Self::from_seed(&seed);
        (key.kid == stored.kid).then_some(key)
    }

    fn from_seed(seed: &[u8; 32]) -> Self {
        let signing = SigningKey::from_bytes(seed);
        let public = signing.verifying_key().to_bytes();
        Self { signing, public, kid: thumbprint(&public) }
    }
}

/// The key in force that signs access tokens.
pub(crate) struct TokenKey(KeptKey);

impl TokenKey {
    /// Reads the key from `folder`; makes and keeps one if there is none.
    pub(crate) fn open(folder: &Path) -> Result<Self, KeyError> {
        KeptKey::open(folder, KeyRole::Token).map(Self)
    }

    /// Reads the key from `folder`, and makes none.
    pub(crate) fn read(folder: &Path) -> Result<Self, KeyError> {
        KeptKey::read(folder, KeyRole::Token).map(Self)
    }

    /// Makes another key and keeps it in the place of the one before.
    pub(crate) fn replace(folder: &Path) -> Result<Self, KeyError> {
        KeptKey::make(folder, KeyRole::Token).map(Self)
    }

    /// The private half.
    pub(crate) fn signing(&self) -> &SigningKey {
        &self.0.signing
    }

    /// The public half.
    pub(crate) fn public(&self) -> &[u8; 32] {
        &self.0.public
    }

    /// Its name in tokens and in the key set.
    pub(crate) fn kid(&self) -> &str {
        &self.0.kid
    }
}

/// Waits until no other process makes or replaces anything in `folder`; none does until the file is dropped.
pub(crate) fn lock(folder: &Path) -> std::io::Result<File> {
    let lock = private_file::open(&folder.join("keys.lock"))?;
    lock.lock()?;
    Ok(lock)
}

/// The key of the transparency log, from `folder`; made and kept if there is none.
pub(crate) fn open_log_key(folder: &Path) -> Result<SigningKey, KeyError> {
    KeptKey::open(folder, KeyRole::Log).map(|key| key.signing)
}

/// The same; none if there is none. Nothing is made.
pub(crate) fn existing_log_key(folder: &Path) -> Result<Option<SigningKey>, KeyError> {
    if folder.join(KeyRole::Log.file()).exists() { open_log_key(folder).map(Some) } else { Ok(None) }
}

/// What says whether two processes have the same keys. It says nothing of what they are: they are public.
pub(crate) fn fingerprint(public: &[[u8; 32]]) -> [u8; 32] {
    let name = label("relay keys");
    let parts: Vec<&[u8]> = std::iter::once(name.as_slice()).chain(public.iter().map(<[u8; 32]>::as_slice)).collect();
    hash(&parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_stay_and_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let mut kids = Vec::new();
        for role in [KeyRole::Token, KeyRole::Log] {
            let first = KeptKey::open(folder.path(), role).unwrap();
            assert_eq!(KeptKey::open(folder.path(), role).unwrap().kid, first.kid);
            kids.push(first.kid);
            let path = folder.path().join(role.file());
            #[cfg(unix)]
            {
                let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
                assert_eq!(mode & 0o777, 0o600);
            }
            std::fs::write(&path, b"{}").unwrap();
            assert!(matches!(KeptKey::open(folder.path(), role), Err(KeyError::Damaged(damaged)) if damaged == role));
        }
        assert_ne!(kids[0], kids[1]);
    }
}
