//! One for each blob at a time who adds to it or removes it: of this process, and where several share the folder, of all of them. It is for moments:
//! nobody has it while a body comes.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};
use waxwing_wire::BlobId;

use super::BlobError;
use crate::private_file;

/// So many are kept before those that nobody holds are let go.
const TIDY_AT: usize = 1024;
/// Between two looks whether another process has let go: no thread waits for that.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Turns, by blob.
#[derive(Default)]
pub(super) struct Locks {
    turns: Mutex<HashMap<BlobId, Weak<Turn<()>>>>,
    /// Files that processes lock, one for each first twelve bits of an id; none where there is one process. They end with whoever holds them.
    files: Option<PathBuf>,
}

/// The turn at a blob, until it is dropped.
pub(super) struct Held {
    _here: OwnedMutexGuard<()>,
    _everywhere: Option<File>,
}

impl Locks {
    /// For processes that share `folder`, which is made if it is absent.
    pub(super) fn shared(folder: &Path) -> std::io::Result<Self> {
        private_file::make_folder(folder)?;
        Ok(Self { files: Some(folder.to_owned()), ..Self::default() })
    }

    /// Waits for the turn at this blob.
    pub(super) async fn lock(&self, id: BlobId) -> Result<Held, BlobError> {
        let here = self.turn(id).lock_owned().await;
        loop {
            if let Ok(everywhere) = self.try_everywhere(id)? {
                return Ok(Held { _here: here, _everywhere: everywhere });
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// The turn at this blob, if nobody has it.
    pub(super) fn try_lock(&self, id: BlobId) -> Result<Option<Held>, BlobError> {
        let Ok(here) = self.turn(id).try_lock_owned() else { return Ok(None) };
        let everywhere = self.try_everywhere(id)?;
        Ok(everywhere.ok().map(|everywhere| Held { _here: here, _everywhere: everywhere }))
    }

    /// The file, locked, if there is one; the inner error says that another process has it.
    fn try_everywhere(&self, id: BlobId) -> Result<Result<Option<File>, Busy>, BlobError> {
        let Some(files) = &self.files else { return Ok(Ok(None)) };
        let name = id.to_string();
        let file = private_file::open(&files.join(name.get(..3).unwrap_or_default()));
        let file = file.map_err(|_| BlobError::Unavailable)?;
        match file.try_lock() {
            Ok(()) => Ok(Ok(Some(file))),
            Err(TryLockError::WouldBlock) => Ok(Err(Busy)),
            Err(TryLockError::Error(_)) => Err(BlobError::Unavailable),
        }
    }

    fn turn(&self, id: BlobId) -> Arc<Turn<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(&id).and_then(Weak::upgrade) {
            return turn;
        }
        if turns.len() >= TIDY_AT {
            turns.retain(|_, turn| turn.strong_count() > 0);
        }
        let turn = Arc::new(Turn::new(()));
        turns.insert(id, Arc::downgrade(&turn));
        turn
    }
}

/// Another process has the turn.
struct Busy;
