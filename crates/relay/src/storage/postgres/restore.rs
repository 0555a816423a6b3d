//! A database that the operator has put back from a backup.
//!
//! Not here: what a restoration says ([`crate::storage::restore`]), the folders' locks and keys ([`crate::relay`]).

use deadpool_postgres::{Object, Transaction};
use ed25519_dalek::SigningKey;
use waxwing_wire::transparency::Restored;

use super::super::calendar;
use super::super::restore::{INBOX_GAP, Restoration, RestoreError, under_its_origin};
use super::address::PostgresConfig;
use super::fault::{Fault, Result};
use super::query::execute;
use super::transparency::{self, Growing};
use super::{client, expiry, schema, start};
use crate::clock::Clock;

impl From<Fault> for RestoreError {
    fn from(fault: Fault) -> Self {
        start::opening(fault).into()
    }
}

impl From<tokio_postgres::Error> for RestoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        Fault::from(error).into()
    }
}

/// Gives the log of a database that was put back a new origin, all in one transaction; gives what the note says.
pub(crate) async fn restore(
    config: &PostgresConfig,
    log_key: &SigningKey,
) -> std::result::Result<Restored, RestoreError> {
    let mut client = client(config).await?;
    let tx = client.transaction().await?;
    let there: bool = tx.query_one("SELECT to_regclass('transparency_log') IS NOT NULL", &[]).await?.get(0);
    if !there {
        return Err(RestoreError::NothingThere);
    }
    // Whoever starts meanwhile waits for the schema's lock, and then finds another origin than it knew.
    schema::migrate(&tx).await?;
    if others(&tx).await? {
        return Err(RestoreError::InUse);
    }
    let log = Growing::load(&tx).await?.ok_or(RestoreError::NothingThere)?;
    let last = transparency::checkpoint(&tx).await?;
    let signer = under_its_origin(&last, log_key)?;
    start::check(&tx, &log, &signer, None).await?;
    let Restoration { restored, note, signer } = Restoration::after(&last, &signer, log_key)?;
    let clock = Clock::system();
    log.seal(&tx, &signer, clock.now()).await?;
    let today = calendar::today(clock, expiry::noted(&tx).await?);
    execute(&tx, "INSERT INTO log_restorations (note, day) VALUES ($1, $2)", &[&note, &today]).await?;
    void(&tx, today).await?;
    tx.commit().await?;
    drop(Object::take(client));
    Ok(restored)
}

/// Whether another connection of a relay's is open: each process that runs has one.
async fn others(tx: &Transaction<'_>) -> std::result::Result<bool, tokio_postgres::Error> {
    let sql = "SELECT 1 FROM pg_stat_activity
               WHERE datname = current_database() AND application_name = $1 AND pid <> pg_backend_pid() LIMIT 1";
    Ok(tx.query_opt(sql, &[&super::connect::APPLICATION]).await?.is_some())
}

/// After the backup these may have been handed out, or used: once is enough.
async fn void(tx: &Transaction<'_>, today: i64) -> Result<()> {
    let sql = "INSERT INTO spent_key_packages (device, digest, day) SELECT device, digest, $1 FROM key_packages
               ON CONFLICT DO NOTHING";
    execute(tx, sql, &[&today]).await?;
    for sql in ["DELETE FROM key_packages", "DELETE FROM key_package_claims", "DELETE FROM invitations"] {
        execute(tx, sql, &[]).await?;
    }
    // No token key need be kept, and with one that is made anew no process would start. All are stopped: the first one that starts records its keys.
    execute(tx, "DELETE FROM relay_keys", &[]).await?;
    execute(tx, "UPDATE devices SET inbox_head = inbox_head + $1", &[&INBOX_GAP]).await?;
    Ok(())
}
