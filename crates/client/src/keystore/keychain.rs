//! The operating system's keychain, through `keyring`. Blocking; called on a thread of its own.

use keyring::{Entry, Error as KeyringError};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorCode};

const SERVICE: &str = "app.waxwing.desktop";

/// The item of this profile. A missing item is `KeychainChanged`: the profile exists, so it was there once.
pub(super) fn read(profile_id: &str) -> Result<Zeroizing<String>, Error> {
    entry(profile_id)?.get_password().map(Zeroizing::new).map_err(|error| classify(&error))
}

/// Replaces the item of this profile, and reads it back: some keychains report success and keep nothing.
pub(super) fn write(profile_id: &str, text: &str) -> Result<(), Error> {
    entry(profile_id)?.set_password(text).map_err(|error| classify(&error))?;
    if read(profile_id)?.as_str() == text {
        Ok(())
    } else {
        Err(Error::new(ErrorCode::KeychainChanged, "keychain: the item is not what was written"))
    }
}

/// Removes the item of this profile. One that is gone already is no error.
pub(super) fn erase(profile_id: &str) -> Result<(), Error> {
    match entry(profile_id)?.delete_credential() {
        Ok(()) | Err(KeyringError::NoEntry) => Ok(()),
        Err(error) => Err(classify(&error)),
    }
}

fn entry(profile_id: &str) -> Result<Entry, Error> {
    Entry::new(SERVICE, profile_id).map_err(|error| classify(&error))
}

/// The texts of these errors come from the platform and hold no secret; those that carry data are not printed.
fn classify(error: &KeyringError) -> Error {
    let (code, detail) = match error {
        KeyringError::NoEntry => (ErrorCode::KeychainChanged, "there is no item for this profile".to_owned()),
        KeyringError::NoStorageAccess(cause) => (ErrorCode::KeychainLocked, cause.to_string()),
        KeyringError::NoDefaultStore => (ErrorCode::KeychainAbsent, "there is no keychain service".to_owned()),
        KeyringError::PlatformFailure(cause) => (ErrorCode::KeychainAbsent, cause.to_string()),
        KeyringError::BadEncoding(_) | KeyringError::BadDataFormat(..) => {
            (ErrorCode::KeychainWrong, "the item cannot be read".to_owned())
        }
        _ => (ErrorCode::KeychainAbsent, "the keychain cannot be used".to_owned()),
    };
    Error::new(code, format!("keychain: {detail}"))
}
