//! Checkpoints, on a thread and connection of their own: what is in the write-ahead log goes into the database file without the writer waiting.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use super::connect;

/// How often to look.
const EVERY: Duration = Duration::from_millis(500);
/// From this size on the log is copied, while the writer goes on.
const COPY_FROM: u64 = 4 * 1024 * 1024;
/// From this size on the log is also cut back, for which the writer waits a moment: the rest since the copy.
pub(super) const TRUNCATE_FROM: u64 = 64 * 1024 * 1024;
/// For the writer to end a commit, and for readers to end. While SQLite waits for readers nobody else may write, so the writer waits that long,
/// too: a reader that takes longer (a backup, `admin stats`) lets the log grow until it has ended.
const BUSY: Duration = Duration::from_millis(50);

/// The handle to the thread.
pub(super) struct Checkpointer {
    stop: Mutex<Option<mpsc::Sender<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Checkpointer {
    /// Starts the thread.
    pub(super) fn start(path: &Path) -> Result<Self, super::OpenError> {
        let db = connect(path)?;
        db.busy_timeout(BUSY)?;
        let wal = wal_of(path);
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::Builder::new().name("relay-checkpoint".to_owned()).spawn(move || {
            let mut before = None;
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(EVERY) {
                let size = std::fs::metadata(&wal).map_or(0, |file| file.len());
                // The file keeps its size when the log starts over within it, so its size alone does not say whether there is something to
                // copy. Where there is nothing this costs nothing.
                if size < COPY_FROM {
                    continue;
                }
                let copied = copy(&db);
                // No page further than at the last look: a reader holds it back. With a busy writer there is always something left.
                let held = copied.is_none_or(|(copied, all)| copied < all && before == Some(copied));
                before = copied.map(|(copied, _)| copied);
                if size >= TRUNCATE_FROM && !held {
                    truncate(&db);
                }
            }
            truncate(&db);
        })?;
        Ok(Self { stop: Mutex::new(Some(stop)), thread: Mutex::new(Some(thread)) })
    }

    /// Copies everything a last time, and waits for that.
    pub(super) async fn stop(&self) {
        drop(self.stop.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

/// Copies what no reader needs in the log, beside the writer and without waiting for anybody: how many pages of the log are copied, of how many.
fn copy(db: &Connection) -> Option<(i64, i64)> {
    let pages = |row: &rusqlite::Row<'_>| Ok((row.get(2)?, row.get(1)?));
    db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], pages).map_err(|error| failed(&error)).ok()
}

/// Copies the rest and cuts the log back, or gives up soon.
fn truncate(db: &Connection) {
    if let Err(error) = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
        failed(&error);
    }
}

/// A checkpoint that fails (disk full, busy) is tried again; nothing is lost by it.
fn failed(error: &rusqlite::Error) {
    tracing::warn!(code = ?error.sqlite_error_code(), "a checkpoint failed");
}

pub(super) fn wal_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}
