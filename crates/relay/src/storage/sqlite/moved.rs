//! The database as it is read once more, to be moved to another backend.
//!
//! Not here: the moving ([`crate::storage::migrate`]).

use std::path::Path;

use rusqlite::Connection;

use super::super::MigrateError;
use super::{FILE, backfill, connect, schema};

/// The database in `folder`, of this version, to be read once more.
pub(in super::super) fn to_be_moved(folder: &Path) -> Result<Connection, MigrateError> {
    let path = folder.join(FILE);
    if !path.exists() {
        return Err(MigrateError::NoDatabase);
    }
    let db = connect(&path)?;
    let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    // Older entries get their leaves at a start.
    if !schema::is_newest(version) || backfill::count_missing(&db)? != 0 {
        return Err(MigrateError::OtherVersion);
    }
    Ok(db)
}
