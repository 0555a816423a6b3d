//! A database out of a backup, which is a file.
//!
//! Not here: what a restoration says ([`crate::storage::restore`]), the folder's lock and keys ([`crate::relay`]).

use std::fs::{self, File};
use std::io;
use std::path::Path;

use ed25519_dalek::SigningKey;
use rusqlite::{Connection, OpenFlags, params};
use waxwing_wire::transparency::Restored;

use super::super::calendar;
use super::super::restore::{INBOX_GAP, Restoration, RestoreError, RestoredOn, under_its_origin};
use super::transparency::{self, Growing};
use super::{FILE, OpenError, backfill, backup, expiry, schema};
use crate::clock::Clock;
use crate::private_file;

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
    // Anew: one that is left may be a database under its other name.
    io::copy(&mut File::open(from)?, &mut private_file::anew(part)?)?;
    let mut db =
        Connection::open_with_flags(part, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // One file, also meanwhile.
    db.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
    backup::check(&db)?;
    schema::migrate(&mut db)?;
    if backfill::count_missing(&db)? > 0 {
        return Err(RestoreError::NoLog);
    }
    let signer = under_its_origin(&transparency::checkpoint(&db)?, log_key)?;
    backfill::check(&db, &signer, None)?;
    let Restoration { restored, note, signer } = Restoration::after(&transparency::checkpoint(&db)?, &signer, log_key)?;
    let transaction = db.transaction()?;
    let clock = Clock::system();
    Growing::lock(&transaction)?.seal(&signer, clock.now())?;
    let today = calendar::today(clock, expiry::noted(&transaction)?);
    transaction.execute("INSERT INTO log_restorations (note, day) VALUES (?1, ?2)", params![note, today])?;
    // After the backup these may have been handed out, or used: once is enough.
    transaction.execute(
        "INSERT OR IGNORE INTO spent_key_packages (device, digest, day) SELECT device, digest, ?1 FROM key_packages",
        params![today],
    )?;
    // Devices have read on since, and ask for what comes after: no place in an inbox is given again.
    transaction.execute("UPDATE devices SET inbox_head = inbox_head + ?1", [INBOX_GAP])?;
    transaction.execute_batch("DELETE FROM key_packages; DELETE FROM key_package_claims; DELETE FROM invitations;")?;
    transaction.commit()?;
    db.close().map_err(|(_, error)| error)?;
    File::open(part)?.sync_all()?;
    Ok(restored)
}

/// The restorations of `folder`'s database, oldest first; none if there is no database yet, or it was never restored.
pub(crate) fn restorations(folder: &Path) -> Result<Vec<RestoredOn>, OpenError> {
    let path = folder.join(FILE);
    if !path.exists() {
        return Ok(Vec::new());
    }
    // With its write-ahead log, which a relay that was killed may have left.
    let db = super::connect(&path)?;
    let has = |what: &str| db.prepare(what)?.exists([]);
    if !has("SELECT 1 FROM sqlite_schema WHERE name = 'log_restorations'")? {
        return Ok(Vec::new());
    }
    // A database of before the day was noted gets today's when it is opened.
    let day = has("SELECT 1 FROM pragma_table_info('log_restorations') WHERE name = 'day'")?;
    let day = if day { "day" } else { "unixepoch() / 86400" };
    let mut statement = db.prepare(&format!("SELECT note, {day} FROM log_restorations ORDER BY n"))?;
    let found = statement.query_map([], |row| Ok(RestoredOn { note: row.get(0)?, day: row.get(1)? }))?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}
