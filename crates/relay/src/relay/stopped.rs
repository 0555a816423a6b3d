//! What is done with the folder of a relay that does not run: its keys before the first start, a database out of a backup, the way to PostgreSQL.

use std::path::Path;

use waxwing_wire::RelayAddress;
use waxwing_wire::transparency::Restored;

use super::{StartError, lock_folder, open_keys};
use crate::audit::{Audit, Event, Subject};
use crate::config::Tls;
use crate::keys;
use crate::storage::{self, MigrateError, Moved, PostgresConfig, RestoreError, postgres, sqlite};

/// What a relay has before its first start.
pub(crate) struct Prepared {
    /// SHA-256 of the self-signed certificate, if it has one.
    pub(crate) pin: Option<[u8; 32]>,
}

/// Makes the folder and the keys of a relay that does not run yet. Keys that are there stay.
pub(crate) fn prepare(data: &Path, tls: &Tls, audience: &RelayAddress) -> Result<Prepared, StartError> {
    let _lock = lock_folder(data)?;
    let keys = open_keys(data, tls, None, audience)?;
    Ok(Prepared { pin: keys.tls.and_then(|tls| tls.pin) })
}

/// Nothing was restored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotRestored {
    /// The folder, or its keys.
    #[error(transparent)]
    Folder(#[from] StartError),
    /// The backup.
    #[error(transparent)]
    Backup(#[from] RestoreError),
}

/// Makes the database of `data`, where no relay runs, out of the backup `from`. The relay's keys are in `keys`.
pub(crate) fn restore(from: &Path, data: &Path, keys: &Path) -> Result<Restored, NotRestored> {
    let _lock = lock_folder(data)?;
    let log_key = keys::existing_log_key(keys).map_err(StartError::Key)?.ok_or(RestoreError::NoLogKey)?;
    let restored = sqlite::restore::restore(from, data, &log_key)?;
    write_down(data)?;
    Ok(restored)
}

/// The same for a PostgreSQL database that was put back, of a relay whose keys are in `keys`; `data` is the folder of one of its processes.
pub(crate) async fn restore_postgres(
    database: &PostgresConfig,
    data: &Path,
    keys: &Path,
) -> Result<Restored, NotRestored> {
    let _lock = lock_folder(data)?;
    let log_key = keys::existing_log_key(keys).map_err(StartError::Key)?.ok_or(RestoreError::NoLogKey)?;
    let restored = postgres::restore::restore(database, &log_key).await?;
    write_down(data)?;
    Ok(restored)
}

fn write_down(data: &Path) -> Result<(), StartError> {
    Audit::open(data).map_err(StartError::Audit)?.record(Event::Restored, Subject::Nobody);
    Ok(())
}

/// Moves a stopped relay's SQLite database in the folder `from` into the empty PostgreSQL database `to`.
///
/// # Errors
///
/// [`MigrateError`]; nothing was moved then.
pub async fn migrate(from: &Path, to: &PostgresConfig) -> Result<Moved, MigrateError> {
    if !from.is_dir() {
        return Err(MigrateError::NoDatabase);
    }
    let _lock = lock_folder(from).map_err(|error| match error {
        StartError::Folder(error) => MigrateError::Folder(error),
        _ => MigrateError::InUse,
    })?;
    storage::migrate(from, to).await
}
