//! Entries of the own chain that were shown in a conversation and are not known here, until it is clear whose they are. Kept, since the next start must
//! not forget them. Not here: what is worth noting (`engine::own_parts`), what becomes an alarm (`engine::transparency`).

use rusqlite::{Transaction, params};

use crate::error::Error;

/// So many are kept. What comes beyond is dropped: a few are enough to tell.
const MOST: u32 = 64;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Its place in the chain.
    pub(crate) seq: u32,
    pub(crate) hash: [u8; 32],
    /// When it was shown first (relay time).
    pub(crate) at_ms: u64,
}

/// Notes one; false if it is noted already, or if there is no room for more.
pub(crate) fn note(tx: &Transaction<'_>, shown: &Shown) -> Result<bool, Error> {
    if is_full(tx)? {
        return Ok(false);
    }
    Ok(tx.execute(
        "INSERT OR IGNORE INTO own_shown (seq, hash, at_ms) VALUES (?1, ?2, ?3)",
        params![shown.seq, shown.hash, shown.at_ms],
    )? == 1)
}

/// Whether there is no room for more.
pub(crate) fn is_full(tx: &Transaction<'_>) -> Result<bool, Error> {
    let mut statement = tx.prepare_cached("SELECT count(*) FROM own_shown")?;
    Ok(statement.query_row([], |row| row.get::<_, u32>(0))? >= MOST)
}

/// Whether this one is noted.
pub(crate) fn is_noted(tx: &Transaction<'_>, seq: u32, hash: &[u8; 32]) -> Result<bool, Error> {
    let mut statement = tx.prepare_cached("SELECT 1 FROM own_shown WHERE seq = ?1 AND hash = ?2")?;
    Ok(statement.exists(params![seq, hash])?)
}

/// All that are noted, the first ones first.
pub(crate) fn all(tx: &Transaction<'_>) -> Result<Vec<Shown>, Error> {
    let mut statement = tx.prepare_cached("SELECT seq, hash, at_ms FROM own_shown ORDER BY at_ms, seq")?;
    let rows = statement
        .query_map([], |row| Ok(Shown { seq: row.get("seq")?, hash: row.get("hash")?, at_ms: row.get("at_ms")? }))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// It is clear whose this one is.
pub(crate) fn remove(tx: &Transaction<'_>, shown: &Shown) -> Result<(), Error> {
    tx.execute("DELETE FROM own_shown WHERE seq = ?1 AND hash = ?2", params![shown.seq, shown.hash])?;
    Ok(())
}

/// Whoever could make them is shut out: it is no matter any more whose they are.
pub(crate) fn forget(tx: &Transaction<'_>) -> Result<(), Error> {
    tx.execute("DELETE FROM own_shown", [])?;
    Ok(())
}
