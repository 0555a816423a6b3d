//! A database out of a backup. Its transparency log goes on under a new origin, which a signed note joins to the one before; what must not be
//! given out twice is given out no more.
//!
//! Not here: the folder's lock and keys ([`crate::relay`]), who is served the notes ([`mod@crate::command`]).

use std::fs::{self, File};
use std::io;
use std::path::Path;

use ed25519_dalek::SigningKey;
use rusqlite::{Connection, OpenFlags, params};
use waxwing_wire::ids::to_hex;
use waxwing_wire::transparency::{Checkpoint, NoteError, Restored, RestoredError, SignedCheckpoint};

use super::super::BackupError;
use super::transparency::{self, Growing};
use super::{FILE, OpenError, backfill, backup, schema};
use crate::clock::Clock;
use crate::log_signer::LogSigner;
use crate::private_file;

/// Nothing was restored, and nothing that was there has changed.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The folder has a database.
    #[error(
        "the data folder has a database already; move relay.db, relay.db-wal and relay.db-shm away first: what is restored replaces nothing"
    )]
    Exists,
    /// Clients know the relay's log by its key.
    #[error(
        "log-key.json is not in the data folder; put the relay's own there first: clients know its log by that key"
    )]
    NoLogKey,
    /// The backup or the folder cannot be used.
    #[error("the backup cannot be copied: {0}")]
    Io(#[from] io::Error),
    /// The backup is no whole database.
    #[error("the backup cannot be used: {0}")]
    Backup(#[from] BackupError),
    /// It is no relay's, or of a newer one, or its log is not whole or not this key's.
    #[error("the backup cannot be used: {0}")]
    Open(#[from] OpenError),
    /// It is from before the transparency log.
    #[error(
        "the backup has entries without a place in the transparency log; start the version that made it once on a copy of it, and back that up"
    )]
    NoLog,
    /// The note could not be signed.
    #[error("the note of the restoration could not be signed: {0}")]
    Note(#[from] NoteError),
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    Random,
}

impl From<rusqlite::Error> for RestoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Open(error.into())
    }
}

/// Makes the database of `folder` out of the backup `from`; gives what its note says.
pub(crate) fn restore(from: &Path, folder: &Path, log_key: &SigningKey) -> Result<Restored, RestoreError> {
    let path = folder.join(FILE);
    // A write-ahead log that an old database left behind would be taken for the new one's.
    let leftovers = ["-wal", "-shm", "-journal"].map(|end| folder.join(format!("{FILE}{end}")));
    if path.exists() || leftovers.iter().any(|file| file.exists()) {
        return Err(RestoreError::Exists);
    }
    let part = folder.join("restoring.part");
    let outcome = fill(from, &part, log_key).and_then(|restored| {
        fs::hard_link(&part, &path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => RestoreError::Exists,
            _ => RestoreError::Io(error),
        })?;
        Ok(restored)
    });
    let _ = fs::remove_file(&part);
    let restored = outcome?;
    File::open(folder)?.sync_all()?;
    Ok(restored)
}

fn fill(from: &Path, part: &Path, log_key: &SigningKey) -> Result<Restored, RestoreError> {
    io::copy(&mut File::open(from)?, &mut private_file::open(part)?)?;
    let mut db =
        Connection::open_with_flags(part, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // One file, also meanwhile.
    db.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
    backup::check(&db)?;
    schema::migrate(&mut db)?;
    if backfill::count_missing(&db)? > 0 {
        return Err(RestoreError::NoLog);
    }
    let last = last_checkpoint(&db, log_key)?;
    let restored = Restored {
        origin: new_origin(&last.origin)?,
        previous: last.origin,
        size: last.size,
        root: last.root,
        time_ms: last.time_ms,
    };
    let note = restored.sign(log_key)?;
    let signer = LogSigner::new(&restored.origin, log_key.clone())?;
    let transaction = db.transaction()?;
    transaction.execute("INSERT INTO log_restorations (note) VALUES (?1)", params![note])?;
    Growing::lock(&transaction)?.seal(&signer, Clock::system().now())?;
    // After the backup these may have been handed out, or used: once is enough.
    transaction.execute(
        "INSERT OR IGNORE INTO spent_key_packages (device, digest, day) SELECT device, digest, ?1 FROM key_packages",
        params![Clock::system().now().day()],
    )?;
    transaction.execute_batch("DELETE FROM key_packages; DELETE FROM key_package_claims; DELETE FROM invitations;")?;
    transaction.commit()?;
    db.close().map_err(|(_, error)| error)?;
    File::open(part)?.sync_all()?;
    Ok(restored)
}

/// What the backup's log says of itself, under whatever origin it has, once all of it is found to be so.
fn last_checkpoint(db: &Connection, log_key: &SigningKey) -> Result<Checkpoint, RestoreError> {
    let note = transparency::checkpoint(db)?;
    let origin = note.split('\n').next().unwrap_or_default();
    let signer = LogSigner::new(origin, log_key.clone()).map_err(|_| OpenError::OtherLog)?;
    backfill::check(db, &signer)?;
    let signed = SignedCheckpoint::verify(note.as_bytes(), signer.key()).map_err(|_| OpenError::OtherLog)?;
    Ok(signed.checkpoint().clone())
}

/// The relay's `host[:port]` with something behind it that no other restoration has, not even one of the same backup: two logs that begin
/// alike and go on differently must not share an origin.
fn new_origin(previous: &str) -> Result<String, RestoreError> {
    let relay = previous.split('/').next().unwrap_or_default();
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|_| RestoreError::Random)?;
    Ok(format!("{relay}/{}", to_hex(&random)))
}

/// The notes in `folder`'s database, oldest first; none if there is no database yet, or it was never restored.
pub(crate) fn notes(folder: &Path) -> Result<Vec<String>, OpenError> {
    let path = folder.join(FILE);
    if !path.exists() {
        return Ok(Vec::new());
    }
    // With its write-ahead log, which a relay that was killed may have left.
    let db = super::connect(&path)?;
    let known = db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'log_restorations'")?.exists([])?;
    if !known {
        return Ok(Vec::new());
    }
    let mut statement = db.prepare("SELECT note FROM log_restorations ORDER BY n")?;
    let notes = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(notes)
}

/// The origin under which the log of the relay at `audience` goes on: its own, or that of the last restoration.
pub(crate) fn origin(notes: &[String], audience: &str, public: &[u8; 32]) -> Result<String, RestoredError> {
    let Some(note) = notes.last() else { return Ok(audience.to_owned()) };
    let restored = Restored::verify(note.as_bytes(), public)?;
    // A relay that goes by another name has another log.
    let own = restored.origin.split('/').next() == Some(audience);
    if own { Ok(restored.origin) } else { Err(RestoredError::Origin) }
}
