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
/// From so many bytes in the log on it also starts over, for which the writer waits a moment: the rest since the copy. Its file keeps its size: to
/// write over what is there costs the disk less than to write more of it.
const RESTART_FROM: i64 = 64 * 1024 * 1024;
/// What the file is cut back to once the log has started over, where a reader has made it longer than that.
pub(super) const LARGEST: i64 = 2 * RESTART_FROM;
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
        let page: i64 = db.query_row("PRAGMA page_size", [], |row| row.get(0))?;
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
                let now = copy(&db);
                if now.is_some_and(|now| now.of.saturating_mul(page) >= RESTART_FROM && now.went_on_since(before)) {
                    checkpoint(&db, "PRAGMA wal_checkpoint(RESTART)");
                }
                before = now;
            }
            checkpoint(&db, "PRAGMA wal_checkpoint(TRUNCATE)");
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

/// How many pages of the log are copied, of how many.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Copied {
    pages: i64,
    of: i64,
}

impl Copied {
    /// Whether anything was written since the last look, and no reader holds it back: with a busy writer there is always something left.
    fn went_on_since(self, before: Option<Self>) -> bool {
        before.is_none_or(|before| self != before && (self.pages == self.of || self.pages != before.pages))
    }
}

/// Copies what no reader needs in the log, beside the writer and without waiting for anybody.
fn copy(db: &Connection) -> Option<Copied> {
    let pages = |row: &rusqlite::Row<'_>| Ok(Copied { pages: row.get(2)?, of: row.get(1)? });
    db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], pages).map_err(|error| failed(&error)).ok()
}

/// Copies the rest, so that the log starts over, or gives up soon.
fn checkpoint(db: &Connection, pragma: &str) {
    if let Err(error) = db.query_row(pragma, [], |_| Ok(())) {
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
