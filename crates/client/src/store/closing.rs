//! Closing the account: its journal. The chain entry is no secret, and goes with the database.

use rusqlite::{OptionalExtension as _, Transaction};

use crate::error::Error;

/// Stores the entry before the relay is sent it, in the place of one that came to nothing.
pub(crate) fn begin(tx: &Transaction<'_>, entry: &[u8]) -> Result<(), Error> {
    tx.execute("INSERT OR REPLACE INTO closing (one, entry) VALUES (1, ?1)", [entry])?;
    Ok(())
}

/// The entry under way, if the account is being closed.
pub(crate) fn load(tx: &Transaction<'_>) -> Result<Option<Vec<u8>>, Error> {
    Ok(tx.prepare_cached("SELECT entry FROM closing")?.query_row([], |row| row.get(0)).optional()?)
}

/// It came to nothing, or the account is wanted again.
pub(crate) fn forget(tx: &Transaction<'_>) -> Result<(), Error> {
    tx.execute("DELETE FROM closing", [])?;
    Ok(())
}
