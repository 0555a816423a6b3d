//! A copy of the database while it is in use: whole, checked and on disk, or not there at all.

use std::fs::{self, File};
use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::super::BackupError;
use super::connect;
use crate::private_file;

/// Copies the database at `from` to the new file `to`; gives the copy's size in bytes.
///
/// All in one read transaction: the copy is one state of the database, and the writer goes on meanwhile. What is committed in that time waits
/// in the write-ahead log for the next checkpoint.
pub(super) fn copy(from: &Path, to: &Path) -> Result<u64, BackupError> {
    if to.exists() {
        return Err(BackupError::Exists);
    }
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    let part = Path::new(&part);
    let outcome = fill(from, part).and_then(|()| {
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

fn fill(from: &Path, part: &Path) -> Result<(), BackupError> {
    // Made here for its mode.
    private_file::open(part)?;
    let failed = |error: rusqlite::Error| BackupError::Copy(error.to_string());
    let source = connect(from).map_err(failed)?;
    let mut copy = Connection::open(part).map_err(failed)?;
    match Backup::new(&source, &mut copy).and_then(|backup| backup.step(-1)).map_err(failed)? {
        StepResult::Done => {}
        _ => return Err(BackupError::Copy("it is too busy".to_owned())),
    }
    // The copy says of itself that it has a write-ahead log; one file must be all of it.
    copy.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).map_err(failed)?;
    check(&copy)?;
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
