//! The profile, and which state (`phase`) opening it leads to. Not here: the changes between states, and telling the window of them (`shell`).

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use waxwing_client::{Client, Error, ErrorCode, ErrorView, Profile, ProfileState};
use zeroize::Zeroizing;

use crate::phase::Phase;

/// The profile of this app.
pub(crate) struct Opening {
    dir: PathBuf,
    /// Opened once and kept: a second opening would find the lock of the first.
    profile: Mutex<Option<Profile>>,
}

impl Opening {
    /// Nothing is opened yet.
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir, profile: Mutex::new(None) }
    }

    /// The profile's folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The profile, opened and locked.
    pub(crate) fn profile(&self) -> Result<Profile, Error> {
        let mut slot = self.profile.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(profile) = &*slot {
            return Ok(profile.clone());
        }
        let profile = Profile::open(&self.dir)?;
        *slot = Some(profile.clone());
        Ok(profile)
    }

    /// Unlocks the profile, as far as no engine holds it.
    pub(crate) fn let_go(&self) {
        *self.profile.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Starts the engine, where there is an account.
    pub(crate) async fn open(&self, passphrase: Option<Zeroizing<String>>) -> Phase {
        let profile = match self.profile() {
            Ok(profile) => profile,
            Err(error) => return Phase::Problem(error.view()),
        };
        match profile.state() {
            ProfileState::Fresh => return without_account(Client::finish_closing(&profile).await),
            ProfileState::Passphrase if passphrase.is_none() => return Phase::Locked(None),
            ProfileState::Passphrase | ProfileState::Keychain => {}
        }
        match Client::start(&profile, passphrase).await {
            Ok(client) => Phase::Ready(client),
            // Its closing had broken off, and is done now.
            Err(error) if error.code() == ErrorCode::NotRegistered && profile.state() == ProfileState::Fresh => {
                Phase::FirstRun
            }
            Err(error) if error.code() == ErrorCode::WrongPassphrase => Phase::Locked(Some(error.view())),
            Err(error) => Phase::Problem(error.view()),
        }
    }

    /// The state after closing the account has met with trouble and the engine has ended. Where the account is closed, and only this computer is
    /// left to be emptied, that is what is said; looking again goes on with it.
    pub(crate) async fn after_closing(&self, trouble: &ErrorView) -> Phase {
        let closed = self.profile().is_ok_and(|profile| profile.state() == ProfileState::Fresh);
        match trouble.code {
            _ if !closed => self.open(None).await,
            ErrorCode::KeychainAbsent => {
                Phase::Problem(ErrorView { code: ErrorCode::KeysLeft, detail: trouble.detail.clone() })
            }
            _ => Phase::Problem(trouble.clone()),
        }
    }
}

/// Where there is no keychain at all nobody is kept from beginning anew: what is left in it stays noted, and goes before anything else comes there.
fn without_account(emptied: Result<(), Error>) -> Phase {
    match emptied {
        Err(error) if error.code() != ErrorCode::KeychainAbsent => Phase::Problem(error.view()),
        _ => Phase::FirstRun,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// As closing leaves a profile whose sealed secrets cannot be erased: a folder stands in their place.
    fn half_closed(dir: &Path) {
        let facts = r#"{"id":"00112233445566778899aabbccddeeff","registered":false,"passphrase":true,"key_check":null,"closing":"passphrase"}"#;
        fs::write(dir.join("profile.json"), facts).unwrap();
        fs::write(dir.join("waxwing.db"), b"what was said").unwrap();
        fs::create_dir(dir.join("keystore.sealed")).unwrap();
    }

    fn code(phase: &Phase) -> Option<ErrorCode> {
        match phase {
            Phase::Problem(error) => Some(error.code),
            _ => None,
        }
    }

    #[tokio::test]
    async fn keys_that_a_closed_account_has_left_are_a_problem_until_they_are_erased() {
        let dir = tempfile::tempdir().unwrap();
        half_closed(dir.path());
        let opening = Opening::new(dir.path().to_owned());
        for _ in 0..2 {
            assert_eq!(code(&opening.open(None).await), Some(ErrorCode::KeysLeft));
            assert!(!dir.path().join("waxwing.db").exists(), "what was said is there");
        }
        fs::remove_dir(dir.path().join("keystore.sealed")).unwrap();
        fs::write(dir.path().join("keystore.sealed"), b"secrets").unwrap();
        assert!(matches!(opening.open(None).await, Phase::FirstRun));
        assert!(!dir.path().join("keystore.sealed").exists(), "the secrets are there");
        // Once is enough: nothing that comes later is taken for what was left.
        fs::write(dir.path().join("keystore.sealed"), b"another account's").unwrap();
        assert!(matches!(opening.open(None).await, Phase::FirstRun));
        assert!(dir.path().join("keystore.sealed").exists());
    }

    #[tokio::test]
    async fn a_window_whose_engine_has_ended_is_never_left_with_it() {
        let dir = tempfile::tempdir().unwrap();
        half_closed(dir.path());
        let opening = Opening::new(dir.path().to_owned());
        let trouble = |code| ErrorView { code, detail: String::new() };
        let [left, absent, away] = [ErrorCode::KeysLeft, ErrorCode::KeychainAbsent, ErrorCode::RelayDown].map(trouble);
        // Closed, and its keys are left: that is what the window says.
        fs::remove_dir(dir.path().join("keystore.sealed")).unwrap();
        for trouble in [&left, &absent] {
            assert_eq!(code(&opening.after_closing(trouble).await), Some(ErrorCode::KeysLeft));
        }
        opening.let_go();
        // The engine has ended and the account is there: it is opened again, here with its passphrase.
        let facts = fs::read_to_string(dir.path().join("profile.json")).unwrap();
        let facts = facts.replace(r#""registered":false"#, r#""registered":true"#);
        fs::write(dir.path().join("profile.json"), facts).unwrap();
        assert!(matches!(opening.after_closing(&away).await, Phase::Locked(None)));
    }
}
