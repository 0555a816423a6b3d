//! One writer for each blob at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};
use waxwing_wire::BlobId;

/// So many are kept before those that nobody holds are let go.
const TIDY_AT: usize = 1024;

/// Turns, by blob.
#[derive(Default)]
pub(super) struct Locks(Mutex<HashMap<BlobId, Weak<Turn<()>>>>);

impl Locks {
    /// Waits for the turn at this blob.
    pub(super) async fn lock(&self, id: BlobId) -> OwnedMutexGuard<()> {
        self.turn(id).lock_owned().await
    }

    /// The turn at this blob, if nobody has it.
    pub(super) fn try_lock(&self, id: BlobId) -> Option<OwnedMutexGuard<()>> {
        self.turn(id).try_lock_owned().ok()
    }

    fn turn(&self, id: BlobId) -> Arc<Turn<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
