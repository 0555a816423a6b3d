//! The fingerprint of the relay's public keys: a process with other keys is not this relay.

use rusqlite::{Connection, OptionalExtension as _, Result, params};

/// Records the fingerprint if there is none, or that of `replacing`; whether it is the recorded one then.
pub(super) fn record(db: &Connection, fingerprint: &[u8; 32], replacing: Option<&[u8; 32]>) -> Result<bool> {
    let recorded: Option<[u8; 32]> = db
        .prepare_cached("SELECT fingerprint FROM relay_keys WHERE n = 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let Some(recorded) = recorded else {
        db.prepare_cached("INSERT INTO relay_keys (n, fingerprint) VALUES (1, ?1)")?.execute(params![fingerprint])?;
        return Ok(true);
    };
    if replacing == Some(&recorded) {
        db.prepare_cached("UPDATE relay_keys SET fingerprint = ?1 WHERE n = 1")?.execute(params![fingerprint])?;
        return Ok(true);
    }
    Ok(recorded == *fingerprint)
}
