//! The relay's token key: signs access tokens, nothing else. Made at first start, kept in a file of mode 0600.

use std::path::Path;

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use waxwing_wire::api::EntryBytes;
use waxwing_wire::token::thumbprint;
use zeroize::{Zeroize as _, Zeroizing};

use crate::private_file;

const FILE: &str = "token-key.json";

/// The token key could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("the token key's file cannot be used: {0}")]
    Io(#[from] std::io::Error),
    /// The file holds something else.
    #[error("the token key's file is damaged; restore it from a backup, or remove it to have a new key made")]
    Damaged,
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    Random,
}

/// The key in force. Its `kid` is its thumbprint (RFC 7638), so two keys never share one.
pub(crate) struct TokenKey {
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

impl TokenKey {
    /// Reads the key from `folder`; makes and keeps one if there is none.
    pub(crate) fn open(folder: &Path) -> Result<Self, KeyError> {
        let path = folder.join(FILE);
        if let Some(bytes) = private_file::read(&path)?.map(Zeroizing::new) {
            let stored: Stored = serde_json::from_slice(&bytes).map_err(|_| KeyError::Damaged)?;
            let seed = Zeroizing::new(<[u8; 32]>::try_from(stored.seed.as_ref()).map_err(|_| KeyError::Damaged)?);
            let key = Self::from_seed(&seed);
            return if key.kid == stored.kid { Ok(key) } else { Err(KeyError::Damaged) };
        }
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut()).map_err(|_| KeyError::Random)?;
        let key = Self::from_seed(&seed);
        let stored = Stored { kid: key.kid.clone(), seed: EntryBytes(seed.to_vec()) };
        let bytes = Zeroizing::new(serde_json::to_vec(&stored).map_err(|_| KeyError::Damaged)?);
        private_file::write(&path, &bytes)?;
        Ok(key)
    }

    fn from_seed(seed: &[u8; 32]) -> Self {
        let signing = SigningKey::from_bytes(seed);
        let public = signing.verifying_key().to_bytes();
        Self { signing, public, kid: thumbprint(&public) }
    }

    /// The private half.
    pub(crate) fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// The public half.
    pub(crate) fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// Its name in tokens and in the key set.
    pub(crate) fn kid(&self) -> &str {
        &self.kid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_stays_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let first = TokenKey::open(folder.path()).unwrap();
        assert_eq!(TokenKey::open(folder.path()).unwrap().kid(), first.kid());
        let path = folder.path().join(FILE);
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600);
        }
        std::fs::write(&path, b"{}").unwrap();
        assert!(matches!(TokenKey::open(folder.path()), Err(KeyError::Damaged)));
    }
}
