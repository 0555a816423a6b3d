//! `waxwing-relay restore`: a relay's database out of a backup, while no relay runs on it.

use std::io;
use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::database::{BadAddress, DatabaseArgs};
use super::print;
use crate::relay::stopped::{NotRestored, restore, restore_postgres};

/// Of what, to where.
#[derive(Args)]
#[command(group(ArgGroup::new("backup").required(true)))]
pub(super) struct Restore {
    /// What `waxwing-relay admin backup` wrote: it becomes the database of a data folder that has none.
    #[arg(long, value_name = "FILE", group = "backup")]
    from: Option<PathBuf>,
    /// The PostgreSQL database at the address in WAXWING_RELAY_DATABASE_URL, or in the file that --database-url-file names. It has been put back already, and
    /// no process of the relay has been started on it since.
    #[arg(long, group = "backup")]
    postgres: bool,
    /// The data folder: with the relay's own log-key.json, and without a database. For --postgres that of any one of its processes.
    #[arg(long, value_name = "DIR", env = "WAXWING_RELAY_DATA")]
    data: PathBuf,
    /// The folder with log-key.json, if it is not the data folder.
    #[arg(long, value_name = "DIR", env = "WAXWING_RELAY_KEYS")]
    keys: Option<PathBuf>,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// Nothing was restored, or nobody can read that it was.
#[derive(Debug, thiserror::Error)]
pub(super) enum RestoreError {
    /// Nothing was.
    #[error(transparent)]
    Not(#[from] NotRestored),
    /// The address.
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// There is none.
    #[error("PostgreSQL's address is needed, in WAXWING_RELAY_DATABASE_URL or in the file of --database-url-file")]
    NoAddress,
    /// No threads.
    #[error("no threads could be started: {0}")]
    Runtime(#[source] io::Error),
    /// It was.
    #[error("standard output cannot be written: {0}")]
    Output(#[from] io::Error),
}

/// Restores, and says what that means.
pub(super) fn run(given: Restore) -> Result<(), RestoreError> {
    let keys = given.keys.as_ref().unwrap_or(&given.data);
    let restored = match &given.from {
        Some(from) => restore(from, &given.data, keys)?,
        None => {
            let database = given.database.postgres()?.ok_or(RestoreError::NoAddress)?;
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
            runtime.map_err(RestoreError::Runtime)?.block_on(restore_postgres(&database, &given.data, keys))?
        }
    };
    print(&format!(
        "Restored, with {} leaves of the transparency log. The log goes on as {}; a signed note tells clients so.\n\
         Lost is what came after the backup. One-time key packages and invitations in it are void, since they may have\n\
         been used; accounts that were disabled after it are not disabled.\n",
        restored.size, restored.origin
    ))?;
    Ok(())
}
