//! What is still to be done for accounts that were closed: blobs are no rows, so they go afterwards.

use rusqlite::{Connection, Result, params};
use waxwing_wire::blob::BlobSecret;

use super::super::rules::closed_lately;
use crate::clock::Moment;

/// The blobs that were put up with this secret are to go.
pub(super) fn to_remove(db: &Connection, secret: &BlobSecret, now: Moment) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO blobs_to_remove (secret, hour) VALUES (?1, ?2)
             ON CONFLICT (secret) DO UPDATE SET hour = excluded.hour",
    )?
    .execute(params![secret.as_bytes(), now.hour()])?;
    Ok(())
}

/// Whose are to go.
pub(super) fn wanted(db: &Connection) -> Result<Vec<BlobSecret>> {
    db.prepare_cached("SELECT secret FROM blobs_to_remove ORDER BY secret")?
        .query_map([], |row| row.get(0).map(BlobSecret::from_bytes))?
        .collect()
}

/// They are gone, or `all` but some. Those of an account that was closed lately are looked for again.
pub(super) fn removed(db: &Connection, of: &[BlobSecret], all: bool, now: Moment) -> Result<()> {
    let (first, last) = closed_lately(now, all);
    for secret in of {
        db.prepare_cached("DELETE FROM blobs_to_remove WHERE secret = ?1 AND (hour < ?2 OR hour > ?3)")?
            .execute(params![secret.as_bytes(), first, last])?;
    }
    Ok(())
}
