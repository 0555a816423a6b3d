//! A copy of the database while it is in use: whole, checked and on disk, or not there at all.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::super::BackupError;
use super::connect;
use crate::private_file;

/// Pages between two looks at whether the relay stops.
const PAGES: i32 = 1024;
/// The same while the copy is checked, in instructions of SQLite's virtual machine.
const INSTRUCTIONS: i32 = 10_000;

/// The copies of one database, one at a time: each keeps what is written meanwhile in the write-ahead log, and two to one name would be mixed up.
pub(super) struct Backups {
    from: PathBuf,
    /// Held by the one that is being made.
    making: Arc<Mutex<()>>,
    /// Cancelled when the storage is closed: a copy that is being made is broken off.
    closing: CancellationToken,
}

impl Backups {
    pub(super) fn of(database: &Path) -> Self {
        Self { from: database.to_owned(), making: Arc::default(), closing: CancellationToken::new() }
    }

    /// As [`copy`], off the async threads. Refused while another copy is made: one whose disk hangs would have everybody wait who comes after it.
    pub(super) async fn make(&self, to: PathBuf) -> Result<u64, BackupError> {
        let Ok(making) = Arc::clone(&self.making).try_lock_owned() else { return Err(BackupError::Busy) };
        let (from, closing) = (self.from.clone(), self.closing.clone());
        let copying = tokio::task::spawn_blocking(move || {
            // To its end, also where nobody waits for it any more.
            let _making = making;
            copy(&from, &to, &closing)
        });
        copying.await.unwrap_or_else(|_| Err(BackupError::Copy("it was broken off".to_owned())))
    }

    /// Breaks off the copy that is being made.
    pub(super) fn close(&self) {
        self.closing.cancel();
    }
}

/// Copies the database at `from` to the new file `to`, unless the storage is `closing`; gives the copy's size in bytes.
///
/// All in one read transaction: the copy is one state of the database, and the writer goes on meanwhile. What is committed in that time waits
/// in the write-ahead log for the next checkpoint.
fn copy(from: &Path, to: &Path, closing: &CancellationToken) -> Result<u64, BackupError> {
    if to.exists() {
        return Err(BackupError::Exists);
    }
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    let part = Path::new(&part);
    let outcome = fill(from, part, closing).and_then(|()| {
        // A link, since a rename would replace a file that has come there meanwhile.
        fs::hard_link(part, to).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => BackupError::Exists,
            _ => BackupError::Io(error),
        })
    });
    let _ = fs::remove_file(part);
    outcome?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()?;
    Ok(fs::metadata(to)?.len())
}

fn fill(from: &Path, part: &Path, closing: &CancellationToken) -> Result<(), BackupError> {
    // Made here for its mode, and anew: one that a relay has left which was killed may be the finished backup, under its other name. Its journal means
    // nothing to an empty file.
    private_file::anew(part)?;
    let failed = |error: rusqlite::Error| BackupError::Copy(error.to_string());
    let source = connect(from).map_err(failed)?;
    let mut copy = Connection::open(part).map_err(failed)?;
    // Held to the end of the copy, which each step would else begin anew after a write.
    let reading = source.unchecked_transaction().map_err(failed)?;
    reading.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).map_err(failed)?;
    let backup = Backup::new(&reading, &mut copy).map_err(failed)?;
    loop {
        if closing.is_cancelled() {
            return Err(BackupError::Stopping);
        }
        match backup.step(PAGES).map_err(failed)? {
            StepResult::Done => break,
            StepResult::More => {}
            _ => return Err(BackupError::Copy("it is too busy".to_owned())),
        }
    }
    drop(backup);
    reading.finish().map_err(failed)?;
    // The copy says of itself that it has a write-ahead log; one file must be all of it.
    copy.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).map_err(failed)?;
    let stops = closing.clone();
    copy.progress_handler(INSTRUCTIONS, Some(move || stops.is_cancelled())).map_err(failed)?;
    check(&copy).map_err(|error| if closing.is_cancelled() { BackupError::Stopping } else { error })?;
    copy.close().map_err(|(_, error)| failed(error))?;
    File::open(part)?.sync_all()?;
    Ok(())
}

/// Whether SQLite finds the database whole.
pub(super) fn check(db: &Connection) -> Result<(), BackupError> {
    let found: String = db
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(|error| BackupError::Damaged(error.to_string()))?;
    if found == "ok" { Ok(()) } else { Err(BackupError::Damaged(found)) }
}

#[cfg(test)]
mod tests {
    use super::super::{Storage as _, restore};
    use super::*;
    use crate::config::Quotas;
    use crate::log_signer::LogSigner;

    /// Killed between the two, a relay leaves one file under both names. The operator moves the backup away and makes another: the first stays.
    #[tokio::test]
    async fn what_a_killed_relay_has_left_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
        let signer = LogSigner::new("relay.example", key.clone()).unwrap();
        let storage =
            super::super::SqliteStorage::open(folder.path(), Quotas::default(), signer, Arc::new(|_| ())).unwrap();
        storage.backup(at("b")).await.unwrap();
        let first = fs::read(at("b")).unwrap();
        fs::hard_link(at("b"), at("b.part")).unwrap();
        fs::rename(at("b"), at("b.1")).unwrap();
        storage.probe().await.unwrap();
        storage.backup(at("b")).await.unwrap();
        assert!(fs::read(at("b.1")).unwrap() == first && fs::read(at("b")).unwrap() != first);
        assert!(!at("b.part").exists());
        storage.close().await.unwrap();

        // A restoration that was cut off there, likewise.
        let other = tempfile::tempdir().unwrap();
        let database = other.path().join("relay.db");
        restore::restore(&at("b"), other.path(), &key).unwrap();
        let restored = fs::read(&database).unwrap();
        fs::hard_link(&database, other.path().join("restoring.part")).unwrap();
        fs::rename(&database, other.path().join("relay.db.1")).unwrap();
        restore::restore(&at("b"), other.path(), &key).unwrap();
        assert!(fs::read(other.path().join("relay.db.1")).unwrap() == restored);
        assert!(database.exists() && !other.path().join("restoring.part").exists());
    }
}
