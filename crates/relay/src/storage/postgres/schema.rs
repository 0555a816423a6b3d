//! Tables and their versions. A migration, once released, is never changed.
//!
//! The tables are those of the embedded backend, so that a database can be moved from there.

use deadpool_postgres::Transaction;

use super::super::OpenError;
use super::fault::Fault;

/// Migration `i` leads from schema version `i` to `i + 1`.
const MIGRATIONS: [&str; 6] = [
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/5.sql"),
    include_str!("schema/6.sql"),
];

/// Of all processes that start at a time one goes first. A number of this program's own, for advisory locks have no names.
const LOCK: i64 = 0x5761_7877_696e_6701;

/// Brings the database to the newest schema. The transaction then holds the lock under which processes start one after the other.
pub(super) async fn migrate(tx: &Transaction<'_>) -> Result<(), OpenError> {
    migrate_with(tx, &MIGRATIONS).await
}

async fn migrate_with(tx: &Transaction<'_>, migrations: &[&str]) -> Result<(), OpenError> {
    let failed = |error| OpenError::Postgres(Fault::from(error).trouble());
    tx.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.map_err(failed)?;
    tx.batch_execute("CREATE TABLE IF NOT EXISTS relay_schema (version bigint NOT NULL)").await.map_err(failed)?;
    let version = tx.query_opt("SELECT version FROM relay_schema", &[]).await.map_err(failed)?;
    let version: i64 = match version {
        Some(row) => row.get(0),
        None => {
            tx.execute("INSERT INTO relay_schema (version) VALUES (0)", &[]).await.map_err(failed)?;
            0
        }
    };
    let done = usize::try_from(version).map_err(|_| OpenError::TooNew(version))?;
    for migration in migrations.get(done..).ok_or(OpenError::TooNew(version))? {
        tx.batch_execute(migration).await.map_err(failed)?;
    }
    let newest = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    tx.execute("UPDATE relay_schema SET version = $1", &[&newest]).await.map_err(failed)?;
    Ok(())
}
