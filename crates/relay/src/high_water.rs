//! The newest checkpoint of the transparency log that this process knows of, in its data folder: a database whose log is older was put back from a
//! backup, and must not go on as if nothing had happened, since clients have seen more of it.
//!
//! It is written once a minute and at a stop, so it says nothing of the last minute before a crash; a data folder that was put back together with the
//! database, or is new, knows nothing. Not here: how such a database goes on ([`crate::storage::restore`]).

use std::io;
use std::path::{Path, PathBuf};

use waxwing_wire::transparency::{Checkpoint, NoteKey, SignedCheckpoint};

use crate::private_file;
use crate::storage::Storage;

const FILE: &str = "newest-checkpoint";

/// The file.
pub(crate) struct HighWater {
    path: PathBuf,
    key: NoteKey,
}

impl HighWater {
    /// Of the log of `key`, in the data folder `data`.
    pub(crate) fn new(data: &Path, key: NoteKey) -> Self {
        Self { path: data.join(FILE), key }
    }

    /// The newest checkpoint that was noted; none if there is none of this log, as after a restoration, or it cannot be read.
    pub(crate) fn read(&self) -> io::Result<Option<Checkpoint>> {
        let Some(note) = private_file::read(&self.path)? else { return Ok(None) };
        Ok(SignedCheckpoint::verify(&note, &self.key).ok().map(|signed| signed.checkpoint().clone()))
    }

    /// Notes the newest checkpoint. A database that was put back while the relay ran is said, and not noted: the next start refuses it.
    pub(crate) async fn note(&self, storage: &dyn Storage) {
        // Without a database there is nothing new to note.
        let Ok(note) = storage.checkpoint().await else { return };
        let Ok(newest) = SignedCheckpoint::verify(note.as_bytes(), &self.key) else { return };
        let outcome = self.read().and_then(|known| match known {
            Some(known) if is_newer(&known, newest.checkpoint()) => {
                tracing::error!(
                    "the database's transparency log went back: it was put back from a backup. Stop the relay and run `waxwing-relay restore`"
                );
                Ok(())
            }
            Some(known) if known == *newest.checkpoint() => Ok(()),
            _ => private_file::write(&self.path, note.as_bytes()),
        });
        if let Err(error) = outcome {
            tracing::warn!(kind = ?error.kind(), "the newest checkpoint could not be noted");
        }
    }
}

/// Whether `known` is newer than the one of the database: times of a log's checkpoints only grow.
pub(crate) fn is_newer(known: &Checkpoint, database: &Checkpoint) -> bool {
    known.origin == database.origin && known.time_ms > database.time_ms
}
