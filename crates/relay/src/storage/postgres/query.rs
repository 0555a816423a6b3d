//! Statements, prepared once for each connection, and their rows.

use deadpool_postgres::Transaction;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql};

use super::fault::{Fault, Result};

/// What a statement is given.
pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// All rows.
pub(super) async fn all(tx: &Transaction<'_>, sql: &'static str, params: Params<'_>) -> Result<Vec<Row>> {
    let statement = tx.prepare_cached(sql).await?;
    Ok(tx.query(&statement, params).await?)
}

/// The one row, if there is one.
pub(super) async fn one(tx: &Transaction<'_>, sql: &'static str, params: Params<'_>) -> Result<Option<Row>> {
    let statement = tx.prepare_cached(sql).await?;
    Ok(tx.query_opt(&statement, params).await?)
}

/// Whether there is a row.
pub(super) async fn exists(tx: &Transaction<'_>, sql: &'static str, params: Params<'_>) -> Result<bool> {
    Ok(one(tx, sql, params).await?.is_some())
}

/// Changes rows; how many.
pub(super) async fn execute(tx: &Transaction<'_>, sql: &'static str, params: Params<'_>) -> Result<u64> {
    let statement = tx.prepare_cached(sql).await?;
    Ok(tx.execute(&statement, params).await?)
}

/// A column.
pub(super) fn get<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Result<T> {
    Ok(row.try_get(column)?)
}

/// A column of so many bytes.
pub(super) fn fixed<const N: usize>(row: &Row, column: usize) -> Result<[u8; N]> {
    let bytes: &[u8] = row.try_get(column)?;
    bytes.try_into().map_err(|_| Fault::Damaged)
}

/// A column that counts something.
pub(super) fn count(row: &Row, column: usize) -> Result<u64> {
    u64::try_from(row.try_get::<_, i64>(column)?).map_err(|_| Fault::Damaged)
}

/// PostgreSQL's integers are signed; the relay's counters stay far below their end.
pub(super) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
