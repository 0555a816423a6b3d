//! `waxwing-relay restore`, also spelt `waxwing-relay admin restore`: a relay's database out of a backup, while no relay runs on it. So unlike the other
//! acts of `admin` it asks no running relay.

use std::io;
use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::database::{BadAddress, DatabaseArgs};
use super::print;
use super::which::{Unknown, Which};
use crate::relay::stopped::{NotRestored, restore, restore_postgres};

/// Of what, to where.
#[derive(Args)]
#[command(group(ArgGroup::new("backup").required(true)))]
pub(super) struct Restore {
    /// What `waxwing-relay admin backup` wrote: it becomes the database of a data folder that has the relay's own log-key.json, and no database.
    #[arg(long, value_name = "FILE", group = "backup")]
    from: Option<PathBuf>,
    /// The PostgreSQL database at the address in WAXWING_RELAY_DATABASE_URL, or in the file that --database-url-file names. It has been put back already, and
    /// no process of the relay has been started on it since. The data folder is that of any one of its processes.
    #[arg(long, group = "backup")]
    postgres: bool,
    #[command(flatten)]
    which: Which,
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
    /// It is not known of which relay.
    #[error(transparent)]
    Which(#[from] Unknown),
    /// The address.
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// There is none.
    #[error(
        "PostgreSQL's address is needed: in the file of --database-url-file, here or in the configuration, or in WAXWING_RELAY_DATABASE_URL"
    )]
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
    let configured = given.which.configuration()?;
    let data = given.which.data(configured.as_ref())?;
    let keys = given.keys.or_else(|| configured.as_ref()?.value("keys").map(PathBuf::from));
    let keys = keys.as_ref().unwrap_or(&data);
    let restored = match &given.from {
        Some(from) => restore(from, &data, keys)?,
        None => {
            let database = given.database.or(configured.as_ref()).postgres()?.ok_or(RestoreError::NoAddress)?;
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
            runtime.map_err(RestoreError::Runtime)?.block_on(restore_postgres(&database, &data, keys))?
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
