//! A small pool of reading connections. Readers never wait for the writer (WAL), and see only what is committed and on disk.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::super::{Answer, StorageError};
use super::connect;

/// Reads at a time: they are short, and mostly from the page cache.
const READERS: usize = 4;

/// The pool.
pub(super) struct Readers {
    free: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    /// Opens the connections.
    pub(super) fn open(path: &Path) -> rusqlite::Result<Self> {
        let free = (0..READERS)
            .map(|_| {
                let connection = connect(path)?;
                connection.execute_batch("PRAGMA query_only = ON")?;
                Ok(connection)
            })
            .collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(Self { free: Arc::new(Mutex::new(free)), permits: Arc::new(Semaphore::new(READERS)) })
    }

    /// Runs `work` on a connection, off the async threads, in one read transaction: it sees one state of the database.
    pub(super) fn read<T, W>(&self, work: W) -> Answer<'_, T>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        Box::pin(async move {
            let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| StorageError::Unavailable)?;
            let free = Arc::clone(&self.free);
            let reading = tokio::task::spawn_blocking(move || {
                let taken = free.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let connection = taken.ok_or(StorageError::Unavailable)?;
                let result = in_transaction(&connection, work);
                free.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
                drop(permit);
                Ok(result?)
            });
            reading.await.unwrap_or(Err(StorageError::Unavailable))
        })
    }
}

fn in_transaction<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let transaction = connection.unchecked_transaction()?;
    let value = work(&transaction)?;
    transaction.finish()?;
    Ok(value)
}
