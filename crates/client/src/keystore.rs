//! Where a profile's secrets rest: one keychain item, or a file sealed under a passphrase.
//!
//! One record holds what must never be lost together: database key, account seed, the seeds of the device keys in force,
//! and the rollback counter. Older sealing keys are rows of the encrypted database. Not here: what the keys are for.

mod keychain;
mod passphrase;
mod record;

use std::time::Duration;

use zeroize::Zeroizing;

pub(crate) use record::Secrets;

use crate::error::{Error, ErrorCode};
use crate::profile::Profile;
use crate::views::KeystoreKind;

/// Longest wait for a keychain: a locked one may be asking the user for its password.
const PATIENCE: Duration = Duration::from_secs(45);

/// An opened place for secrets.
#[derive(Clone)]
pub(crate) enum Keystore {
    Keychain { profile_id: String },
    Passphrase { profile: Profile, key: passphrase::SealingKey },
}

impl Keystore {
    /// For a new profile: nothing is read.
    pub(crate) async fn create(profile: &Profile, passphrase: Option<Zeroizing<String>>) -> Result<Self, Error> {
        match passphrase {
            None => Ok(Self::Keychain { profile_id: profile.id() }),
            Some(text) => {
                let key = blocking(move || passphrase::SealingKey::new(&text)).await?;
                Ok(Self::Passphrase { profile: profile.clone(), key })
            }
        }
    }

    /// Opens what `create` and `write` have left. A failure to read changes nothing.
    pub(crate) async fn open(
        profile: &Profile,
        passphrase: Option<Zeroizing<String>>,
    ) -> Result<(Self, Secrets), Error> {
        if !profile.facts().passphrase {
            let profile_id = profile.id();
            let text = on_own_thread({
                let profile_id = profile_id.clone();
                move || keychain::read(&profile_id)
            })
            .await?;
            return Ok((Self::Keychain { profile_id }, Secrets::from_text(&text)?));
        }
        let text = passphrase.ok_or_else(|| Error::new(ErrorCode::WrongPassphrase, "a passphrase is needed"))?;
        let dir = profile.dir().to_owned();
        let (key, secrets) = blocking(move || passphrase::open(&dir, &text)).await?;
        Ok((Self::Passphrase { profile: profile.clone(), key }, secrets))
    }

    /// Replaces the record.
    pub(crate) async fn write(&self, secrets: &Secrets) -> Result<(), Error> {
        match self {
            Self::Keychain { profile_id } => {
                let (profile_id, text) = (profile_id.clone(), secrets.to_text()?);
                on_own_thread(move || keychain::write(&profile_id, &text)).await
            }
            Self::Passphrase { profile, key } => key.seal_into(profile.dir(), secrets),
        }
    }

    /// Removes what a profile has left in one of the two places. Nothing there is no error.
    pub(crate) async fn erase(profile: &Profile, kind: KeystoreKind) -> Result<(), Error> {
        match kind {
            KeystoreKind::Passphrase => passphrase::erase(profile.dir()),
            KeystoreKind::Keychain => {
                let profile_id = profile.id();
                on_own_thread(move || keychain::erase(&profile_id)).await
            }
        }
    }

    pub(crate) fn kind(&self) -> KeystoreKind {
        match self {
            Self::Keychain { .. } => KeystoreKind::Keychain,
            Self::Passphrase { .. } => KeystoreKind::Passphrase,
        }
    }
}

/// Keychain calls can hang on a locked collection, and their D-Bus library panics inside a tokio runtime: each runs on a
/// thread of its own, which is left behind where it does not come back in time.
async fn on_own_thread<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let (answer, answered) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("keychain".to_owned()).spawn(move || {
        let _ = answer.send(call());
    })?;
    match tokio::time::timeout(PATIENCE, answered).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(Error::new(ErrorCode::KeychainAbsent, "keychain: the call ended without an answer")),
        Err(_) => Err(Error::new(ErrorCode::KeychainLocked, "keychain: no answer in time")),
    }
}

async fn blocking<T: Send + 'static>(call: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(call).await.map_err(|_| Error::new(ErrorCode::Internal, "a task ended early"))?
}
