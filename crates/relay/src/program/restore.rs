//! `waxwing-relay restore`: a data folder out of a backup, while no relay runs on it.

use std::io;
use std::path::PathBuf;

use clap::Args;

use super::print;
use crate::relay::stopped::{NotRestored, restore};

/// Of what, to where.
#[derive(Args)]
pub(super) struct Restore {
    /// What `waxwing-relay admin backup` wrote.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The data folder: with the relay's own log-key.json, and without a database.
    #[arg(long, value_name = "DIR", env = "WAXWING_RELAY_DATA")]
    data: PathBuf,
}

/// Nothing was restored, or nobody can read that it was.
#[derive(Debug, thiserror::Error)]
pub(super) enum RestoreError {
    /// Nothing was.
    #[error(transparent)]
    Not(#[from] NotRestored),
    /// It was.
    #[error("standard output cannot be written: {0}")]
    Output(#[from] io::Error),
}

/// Restores, and says what that means.
pub(super) fn run(given: &Restore) -> Result<(), RestoreError> {
    let restored = restore(&given.from, &given.data)?;
    print(&format!(
        "Restored, with {} leaves of the transparency log. The log goes on as {}; a signed note tells clients so.\n\
         Lost is what came after the backup. One-time key packages and invitations in it are void, since they may have\n\
         been used; accounts that were disabled after it are not disabled.\n",
        restored.size, restored.origin
    ))?;
    Ok(())
}
