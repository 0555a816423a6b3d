//! Envelopes in the logs of requests that nobody here can open any more, until the user has decided. Not here: what is said of them
//! then (`engine::stale_keys`).

use rusqlite::{Transaction, params};
use waxwing_wire::{EnvelopeId, LogId};

use crate::error::Error;

/// Most that are kept of one log, the newest: whoever asks to be heard can write without end.
pub(crate) const MAX_KEPT: u64 = 128;

/// Keeps one.
pub(crate) fn keep(tx: &Transaction<'_>, log: LogId, envelope: EnvelopeId, key_version: u32) -> Result<(), Error> {
    tx.prepare_cached("INSERT INTO sealed_to_erased (log, envelope, key_version) VALUES (?1, ?2, ?3)")?
        .execute(params![log.as_bytes(), envelope.as_bytes(), key_version])?;
    tx.prepare_cached(
        "DELETE FROM sealed_to_erased WHERE n IN
         (SELECT n FROM sealed_to_erased WHERE log = ?1 ORDER BY n DESC LIMIT -1 OFFSET ?2)",
    )?
    .execute(params![log.as_bytes(), MAX_KEPT])?;
    Ok(())
}

/// Takes out those of a log, the oldest first, each with the version of the own keys that it was sealed to.
pub(crate) fn take(tx: &Transaction<'_>, log: LogId) -> Result<Vec<(EnvelopeId, u32)>, Error> {
    let kept = tx
        .prepare_cached("SELECT envelope, key_version FROM sealed_to_erased WHERE log = ?1 ORDER BY n")?
        .query_map([log.as_bytes()], |row| Ok((EnvelopeId::from_bytes(row.get(0)?), row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    forget(tx, log)?;
    Ok(kept)
}

/// Forgets those of a log.
pub(crate) fn forget(tx: &Transaction<'_>, log: LogId) -> Result<(), Error> {
    tx.prepare_cached("DELETE FROM sealed_to_erased WHERE log = ?1")?.execute([log.as_bytes()])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::store::schema;

    #[test]
    fn of_too_many_the_newest_stay() {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db).unwrap();
        let tx = db.transaction().unwrap();
        let (log, other) = (LogId::from_bytes([1; 16]), LogId::from_bytes([2; 16]));
        let envelope = |number: u64| EnvelopeId::from_bytes(u128::from(number).to_be_bytes());
        keep(&tx, other, envelope(0), 1).unwrap();
        (0..MAX_KEPT + 3).for_each(|number| keep(&tx, log, envelope(number), 2).unwrap());
        let kept = take(&tx, log).unwrap();
        assert_eq!(kept.len() as u64, MAX_KEPT);
        assert_eq!((kept[0], kept[127]), ((envelope(3), 2), (envelope(MAX_KEPT + 2), 2)));
        assert!(take(&tx, log).unwrap().is_empty());
        assert_eq!(take(&tx, other).unwrap(), [(envelope(0), 1)]);
    }
}
