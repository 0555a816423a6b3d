//! A profile's folder: its random id, how its secrets are kept, and the lock that lets one process open it.
//!
//! `profile.json` holds nothing secret. Not here: the keys (`keystore`) and the database (`store`).

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use waxwing_wire::ids::{from_hex, to_hex};

use crate::error::{Error, ErrorCode};
use crate::random;
use crate::views::KeystoreKind;

const LOCK: &str = "lock";
const FACTS: &str = "profile.json";

/// How a profile stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProfileState {
    /// Nobody has registered here yet.
    Fresh,
    /// Registered; its secrets are in the keychain.
    Keychain,
    /// Registered; its secrets are sealed under a passphrase.
    Passphrase,
}

/// A profile folder, locked for this process. Clones share the lock.
#[derive(Debug, Clone)]
pub struct Profile(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    facts: Mutex<Facts>,
    /// Held for as long as the profile is open.
    _lock: File,
}

/// What `profile.json` says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// Random id; names the keychain item.
    pub(crate) id: String,
    /// Whether an account was accepted by a relay.
    pub(crate) registered: bool,
    /// Whether the secrets are sealed under a passphrase.
    pub(crate) passphrase: bool,
    /// First 8 bytes of a hash of the database key: tells a wrong key from a damaged database.
    pub(crate) key_check: Option<String>,
    /// Whether a relay has refused the account that was begun here: nobody has it, so nothing is lost with it.
    #[serde(default)]
    pub(crate) refused: bool,
    /// Where secrets of an account that was closed may still be, until they are erased.
    #[serde(default)]
    pub(crate) closing: Option<KeystoreKind>,
}

impl Facts {
    /// Where the secrets are kept.
    pub(crate) fn keystore(&self) -> KeystoreKind {
        if self.passphrase { KeystoreKind::Passphrase } else { KeystoreKind::Keychain }
    }
}

/// The id of the profile in `dir`, made if there is none, without taking the lock.
pub fn profile_id(dir: &Path) -> Result<String, Error> {
    Ok(read_or_make(dir)?.id)
}

impl Profile {
    /// Opens the folder (made if absent, readable by its owner alone) and locks it.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        create_private(dir)?;
        let lock = create_private_file(&dir.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::new(ErrorCode::AlreadyRunning, "the profile is open in another process"));
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let facts = read_or_make(dir)?;
        Ok(Self(Arc::new(Inner { dir: dir.to_owned(), facts: Mutex::new(facts), _lock: lock })))
    }

    /// 32 hexadecimal digits, made once.
    #[must_use]
    pub fn id(&self) -> String {
        self.facts().id
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self) -> ProfileState {
        match self.facts() {
            Facts { registered: false, .. } => ProfileState::Fresh,
            Facts { passphrase: true, .. } => ProfileState::Passphrase,
            Facts { .. } => ProfileState::Keychain,
        }
    }

    /// Notes that the account was closed: it is nobody's any more, and its secrets are still to be erased.
    pub(crate) fn note_closed(&self) -> Result<(), Error> {
        self.change(|facts| {
            // What is still noted of the keychain stays: of the other kind is a file in here, which goes with the profile.
            let kept = facts.closing.filter(|kind| *kind == KeystoreKind::Keychain);
            facts.closing = Some(kept.unwrap_or_else(|| facts.keystore()));
            facts.registered = false;
            facts.key_check = None;
        })
    }

    pub(crate) fn facts(&self) -> Facts {
        self.0.facts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes `profile.json`, durably, then the copy in memory.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Facts)) -> Result<(), Error> {
        let mut facts = self.0.facts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = facts.clone();
        change(&mut changed);
        write_facts(&self.0.dir, &changed)?;
        *facts = changed;
        Ok(())
    }
}

/// Makes a folder that only its owner may look into, and those above it, if absent.
pub(crate) fn create_private(dir: &Path) -> Result<(), Error> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    Ok(builder.create(dir)?)
}

/// Opens a file that only its owner may read, made if absent.
pub(crate) fn create_private_file(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    Ok(options.open(path)?)
}

fn read_or_make(dir: &Path) -> Result<Facts, Error> {
    create_private(dir)?;
    let damaged = |detail: &str| Error::new(ErrorCode::ProfileUnusable, format!("{FACTS}: {detail}"));
    match fs::read(dir.join(FACTS)) {
        Ok(bytes) => {
            let facts: Facts = serde_json::from_slice(&bytes).map_err(|_| damaged("cannot be read"))?;
            from_hex::<16>(&facts.id).ok_or_else(|| damaged("holds no id"))?;
            Ok(facts)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let id = to_hex(&random::bytes::<16>());
            let facts =
                Facts { id, registered: false, passphrase: false, key_check: None, refused: false, closing: None };
            write_facts(dir, &facts)?;
            Ok(facts)
        }
        Err(error) => Err(error.into()),
    }
}

fn write_facts(dir: &Path, facts: &Facts) -> Result<(), Error> {
    let bytes = serde_json::to_vec_pretty(facts).map_err(|error| Error::new(ErrorCode::Internal, error.to_string()))?;
    write_durably(dir, FACTS, &bytes)
}

/// Replaces a file as a whole: a crash leaves the old one or the new one.
pub(crate) fn write_durably(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let temporary = dir.join(format!("{name}.new"));
    let mut options = OpenOptions::new();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, dir.join(name))?;
    #[cfg(unix)]
    File::open(dir)?.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d12_a_second_instance_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let first = Profile::open(dir.path()).unwrap();
        assert_eq!(Profile::open(dir.path()).unwrap_err().code(), ErrorCode::AlreadyRunning);
        assert_eq!(profile_id(dir.path()).unwrap(), first.id());
        drop(first);
        assert_eq!(Profile::open(dir.path()).unwrap().state(), ProfileState::Fresh);
    }

    #[test]
    fn a_damaged_file_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FACTS), b"{").unwrap();
        assert_eq!(Profile::open(dir.path()).unwrap_err().code(), ErrorCode::ProfileUnusable);
        assert_eq!(fs::read(dir.path().join(FACTS)).unwrap(), b"{");
    }
}
