//! The keystore for computers without a keychain: a file sealed under a passphrase that the user chose.
//!
//! File: `"WXK1" | salt 16 | nonce 12 | ChaCha20-Poly1305(Argon2id(passphrase, salt), nonce, aad = "WXK1" || salt)`.
//! Argon2id (RFC 9106): 64 MiB, 3 passes, 1 lane.

use std::fs;
use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use zeroize::Zeroizing;

use super::record::Secrets;
use crate::error::{Error, ErrorCode};
use crate::profile::write_durably;
use crate::random;

const FILE: &str = "keystore.sealed";
const MAGIC: &[u8; 4] = b"WXK1";
const SHORTEST: usize = 8;

/// The key that a passphrase gives. Kept while the profile is open, so that the record can be replaced.
#[derive(Clone)]
pub(crate) struct SealingKey {
    salt: [u8; 16],
    key: Zeroizing<[u8; 32]>,
}

/// Removes the sealed file of a profile. One that is gone already is no error.
pub(super) fn erase(dir: &Path) -> Result<(), Error> {
    match fs::remove_file(dir.join(FILE)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

impl SealingKey {
    /// A new salt, and the key that the passphrase gives with it.
    pub(super) fn new(passphrase: &str) -> Result<Self, Error> {
        if passphrase.chars().count() < SHORTEST {
            return Err(Error::new(ErrorCode::WeakPassphrase, "the passphrase is too short"));
        }
        Self::derive(passphrase, random::bytes())
    }

    fn derive(passphrase: &str, salt: [u8; 16]) -> Result<Self, Error> {
        let fault = |_| Error::new(ErrorCode::Internal, "keystore: Argon2id");
        let params = Params::new(64 * 1024, 3, 1, Some(32)).map_err(fault)?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), &salt, key.as_mut_slice())
            .map_err(fault)?;
        Ok(Self { salt, key })
    }

    fn aad(&self) -> Vec<u8> {
        [MAGIC.as_slice(), &self.salt].concat()
    }

    /// Replaces the file.
    pub(super) fn seal_into(&self, dir: &Path, secrets: &Secrets) -> Result<(), Error> {
        let fault = || Error::new(ErrorCode::Internal, "keystore: sealing");
        let text = secrets.to_text()?;
        let nonce = random::bytes::<12>();
        let cipher = ChaCha20Poly1305::new_from_slice(self.key.as_slice()).map_err(|_| fault())?;
        let sealed =
            cipher.encrypt(&nonce.into(), Payload { msg: text.as_bytes(), aad: &self.aad() }).map_err(|_| fault())?;
        write_durably(dir, FILE, &[self.aad().as_slice(), &nonce, &sealed].concat())
    }
}

/// Opens the file with the passphrase.
pub(super) fn open(dir: &Path, passphrase: &str) -> Result<(SealingKey, Secrets), Error> {
    let wrong = || Error::new(ErrorCode::WrongPassphrase, "keystore: the passphrase does not open it");
    let file = fs::read(dir.join(FILE)).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::new(ErrorCode::KeychainChanged, "keystore: the file is gone"),
        _ => error.into(),
    })?;
    let damaged = || Error::new(ErrorCode::KeychainWrong, "keystore: the file is damaged");
    let rest = file.strip_prefix(MAGIC).ok_or_else(damaged)?;
    let (salt, rest) = rest.split_first_chunk::<16>().ok_or_else(damaged)?;
    let (nonce, sealed) = rest.split_first_chunk::<12>().ok_or_else(damaged)?;
    let key = SealingKey::derive(passphrase, *salt)?;
    let cipher = ChaCha20Poly1305::new_from_slice(key.key.as_slice()).map_err(|_| damaged())?;
    let text = cipher.decrypt(&(*nonce).into(), Payload { msg: sealed, aad: &key.aad() }).map_err(|_| wrong())?;
    let text = Zeroizing::new(text);
    let secrets = Secrets::from_text(std::str::from_utf8(&text).map_err(|_| damaged())?)?;
    Ok((key, secrets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_passphrase_opens_it() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(SealingKey::new("short").err().map(|error| error.code()), Some(ErrorCode::WeakPassphrase));
        let code = |passphrase: &str| open(dir.path(), passphrase).err().map(|error| error.code());
        assert_eq!(code("a good passphrase"), Some(ErrorCode::KeychainChanged));
        let key = SealingKey::new("a good passphrase").unwrap();
        key.seal_into(dir.path(), &Secrets::new([1; 32], [2; 32], [3; 160])).unwrap();
        assert_eq!(open(dir.path(), "a good passphrase").unwrap().1.account_seed, [2; 32]);
        assert_eq!(code("another passphrase"), Some(ErrorCode::WrongPassphrase));
        let mut file = fs::read(dir.path().join(FILE)).unwrap();
        let last = file.len() - 1;
        file[last] ^= 1;
        fs::write(dir.path().join(FILE), &file).unwrap();
        assert_eq!(code("a good passphrase"), Some(ErrorCode::WrongPassphrase));
        fs::write(dir.path().join(FILE), &file[..20]).unwrap();
        assert_eq!(code("a good passphrase"), Some(ErrorCode::KeychainWrong));
    }
}
