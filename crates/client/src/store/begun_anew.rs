//! Groups of several people that this device has begun anew, as long as they are followed. Not here: what the others make of one (`engine::not_followed`).

use rusqlite::{OptionalExtension as _, Transaction, params};
use waxwing_wire::{AccountId, LogId};

use super::conversations::ConversationId;
use crate::error::Error;

/// What was so when a group was begun anew.
pub(crate) struct Begun {
    /// Lines behind this place came later.
    pub(crate) ord: i64,
    /// Who were admins of the group before, as far as that was known here.
    pub(crate) admins: Vec<AccountId>,
}

/// A group was begun anew just now.
pub(crate) fn note(tx: &Transaction<'_>, log: LogId, admins: &[AccountId]) -> Result<(), Error> {
    let admins: Vec<u8> = admins.iter().flat_map(|one| *one.as_bytes()).collect();
    tx.execute(
        "INSERT OR REPLACE INTO begun_anew (log, ord, admins)
         VALUES (?1, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'messages'), 0), ?2)",
        params![log.as_bytes(), admins],
    )?;
    Ok(())
}

/// None where another has begun a log's group, it is the conversation's first, or there are but two people.
pub(crate) fn load(tx: &Transaction<'_>, log: LogId) -> Result<Option<Begun>, Error> {
    let row: Option<(i64, Vec<u8>)> = tx
        .query_row("SELECT ord, admins FROM begun_anew WHERE log = ?1", [log.as_bytes()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    Ok(row.map(|(ord, admins)| Begun {
        ord,
        admins: admins.as_chunks::<16>().0.iter().map(|id| AccountId::from_bytes(*id)).collect(),
    }))
}

/// Somebody has brought this device into a group of the conversation: it takes part, whatever became of those that it has begun.
pub(crate) fn forget_all(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<(), Error> {
    tx.execute("DELETE FROM begun_anew WHERE log IN (SELECT log FROM logs WHERE conversation = ?1)", [conversation])?;
    Ok(())
}

/// The log is not followed any more.
pub(crate) fn forget(tx: &Transaction<'_>, log: LogId) -> Result<(), Error> {
    tx.execute("DELETE FROM begun_anew WHERE log = ?1", [log.as_bytes()])?;
    Ok(())
}
