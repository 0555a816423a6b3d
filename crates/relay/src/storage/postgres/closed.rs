//! What is still to be done for accounts that were closed: blobs are no rows, so they go afterwards.

use deadpool_postgres::Transaction;
use waxwing_wire::blob::BlobSecret;

use super::super::rules::closed_lately;
use super::fault::Result;
use super::query::{all as rows, execute, fixed};
use crate::clock::Moment;

/// The blobs that were put up with this secret are to go.
pub(super) async fn to_remove(tx: &Transaction<'_>, secret: &BlobSecret, now: Moment) -> Result<()> {
    let sql = "INSERT INTO blobs_to_remove (secret, hour) VALUES ($1, $2)
               ON CONFLICT (secret) DO UPDATE SET hour = excluded.hour";
    execute(tx, sql, &[&secret.as_bytes().as_slice(), &now.hour()]).await.map(drop)
}

/// Whose are to go.
pub(super) async fn wanted(tx: &Transaction<'_>) -> Result<Vec<BlobSecret>> {
    let rows = rows(tx, "SELECT secret FROM blobs_to_remove ORDER BY secret", &[]).await?;
    rows.iter().map(|row| fixed(row, 0).map(BlobSecret::from_bytes)).collect()
}

/// They are gone, or `all` but some. Those of an account that was closed lately are looked for again.
pub(super) async fn removed(tx: &Transaction<'_>, of: &[BlobSecret], all: bool, now: Moment) -> Result<()> {
    let (first, last) = closed_lately(now, all);
    let of: Vec<&[u8]> = of.iter().map(|secret| secret.as_bytes().as_slice()).collect();
    let sql = "DELETE FROM blobs_to_remove WHERE secret = ANY($1) AND (hour < $2 OR hour > $3)";
    execute(tx, sql, &[&of, &first, &last]).await.map(drop)
}
