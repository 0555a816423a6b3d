//! The encrypted database: SQLCipher with a key from the keystore, WAL, `synchronous=FULL`, one writer.
//!
//! Every state change is one transaction. What the rows mean is in the submodules, one for each thing.
//! Not here: deciding anything; the engine does.

pub(crate) mod account;
pub(crate) mod aside;
pub(crate) mod begun_anew;
pub(crate) mod closing;
pub(crate) mod contacts;
pub(crate) mod conversations;
pub(crate) mod deliveries;
pub(crate) mod device_link;
pub(crate) mod held;
pub(crate) mod keys;
pub(crate) mod links;
pub(crate) mod logs;
pub(crate) mod lost_welcomes;
pub(crate) mod messages;
pub(crate) mod outbox;
pub(crate) mod own_entries;
pub(crate) mod own_shown;
pub(crate) mod people;
pub(crate) mod recovery;
pub(crate) mod restorations;
pub(crate) mod rotation;
mod schema;
pub(crate) mod sealed_for;
pub(crate) mod sealed_to_erased;
pub(crate) mod strange;
pub(crate) mod transparency;
pub(crate) mod uncompared;
pub(crate) mod unproved;
pub(crate) mod verifications;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use tokio::sync::Notify;
use waxwing_wire::ids::to_hex;
use zeroize::{Zeroize as _, Zeroizing};

use crate::error::{Error, ErrorCode};

const FILE: &str = "waxwing.db";
/// What is erased or overwritten stands in the WAL for at most so long after it, beside the time that moving it takes, as long as the app runs.
const WAL_FOR: Duration = Duration::from_secs(2);

/// An open database. Clones share it.
#[derive(Clone)]
pub(crate) struct Store {
    /// None once it is closed.
    connection: Arc<Mutex<Option<Connection>>>,
    /// Whether these clones have handed the database over.
    closed: Arc<AtomicBool>,
    /// Told of every transaction that has changed something.
    written: Arc<Notify>,
    opening: Arc<Opening>,
}

/// What a connection is made from.
struct Opening {
    path: PathBuf,
    /// None in tests alone: without encryption.
    key: Option<Box<Zeroizing<[u8; 32]>>>,
}

impl Store {
    /// Makes a new database; one that is there already is an error.
    pub(crate) fn create(dir: &Path, key: &[u8; 32]) -> Result<Self, Error> {
        let path = dir.join(FILE);
        if path.exists() {
            return Err(Error::new(ErrorCode::ProfileUnusable, "database: it exists already"));
        }
        // SQLite gives its WAL the database's own permissions.
        crate::profile::create_private_file(&path)?;
        Self::connect(path, key, OpenFlags::SQLITE_OPEN_CREATE)
    }

    /// Opens a database that must be there: a missing one is never replaced by a fresh one.
    pub(crate) fn open(dir: &Path, key: &[u8; 32]) -> Result<Self, Error> {
        let path = dir.join(FILE);
        if !path.exists() {
            return Err(Error::new(ErrorCode::DatabaseDamaged, "database: the file is gone"));
        }
        Self::connect(path, key, OpenFlags::empty())
    }

    /// Whether there is a database, readable or not.
    pub(crate) fn exists(dir: &Path) -> bool {
        dir.join(FILE).exists()
    }

    /// Renames the database, so that a new one can be made and nothing is lost.
    pub(crate) fn move_aside(dir: &Path) -> Result<(), Error> {
        let aside = format!("aside-{}", crate::relay::local_ms());
        for name in Self::files() {
            match std::fs::rename(dir.join(&name), dir.join(format!("{name}.{aside}"))) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }

    fn files() -> [String; 3] {
        [FILE.to_owned(), format!("{FILE}-wal"), format!("{FILE}-shm")]
    }

    /// Removes an unregistered profile's database.
    pub(crate) fn discard(dir: &Path) -> Result<(), Error> {
        for name in Self::files() {
            match std::fs::remove_file(dir.join(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }

    fn connect(path: PathBuf, key: &[u8; 32], create: OpenFlags) -> Result<Self, Error> {
        Self::over(Opening { path, key: Some(Box::new(Zeroizing::new(*key))) }, create)
    }

    fn over(opening: Opening, create: OpenFlags) -> Result<Self, Error> {
        let connection = Arc::new(Mutex::new(Some(opening.connection(create)?)));
        Ok(Self { connection, closed: Arc::default(), written: Arc::default(), opening: Arc::new(opening) })
    }

    /// The same database without encryption: what is left in its files can be looked for.
    #[cfg(test)]
    pub(crate) fn plain(dir: &Path) -> Result<Self, Error> {
        Self::over(Opening { path: dir.join(FILE), key: None }, OpenFlags::SQLITE_OPEN_CREATE)
    }

    /// The same database for the engine that takes the place of this one. From here on every transaction of the old handle is refused.
    pub(crate) fn hand_over(&self) -> Self {
        // Under the lock, so that none is in the midst of one.
        let _connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        self.closed.store(true, Ordering::Release);
        let (connection, opening) = (Arc::clone(&self.connection), Arc::clone(&self.opening));
        Self { connection, closed: Arc::default(), written: Arc::default(), opening }
    }

    /// Runs one transaction on a thread for blocking work: all of it happens, or none.
    pub(crate) async fn run<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, Error> + Send + 'static,
    {
        let (connection, closed) = (Arc::clone(&self.connection), Arc::clone(&self.closed));
        let written = Arc::clone(&self.written);
        tokio::task::spawn_blocking(move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(connection) = connection.as_mut().filter(|_| !closed.load(Ordering::Acquire)) else {
                return Err(Error::new(
                    ErrorCode::Internal,
                    "database: it is closed, or another engine has taken over",
                ));
            };
            let before = connection.total_changes();
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = work(&transaction)?;
            transaction.commit()?;
            if connection.total_changes() != before {
                written.notify_one();
            }
            Ok(result)
        })
        .await
        .map_err(|_| Error::new(ErrorCode::Internal, "database: a task ended early"))?
    }

    /// Empties the WAL again and again, a moment after something was written: what was erased or overwritten (secrets of messages that were read,
    /// texts that were deleted) stands in it until then.
    pub(crate) async fn keep_wal_empty(&self) {
        loop {
            self.written.notified().await;
            // With what follows at once.
            tokio::time::sleep(WAL_FOR).await;
            if let Err(error) = self.checkpoint().await {
                tracing::warn!(%error, "the WAL is not empty");
            }
        }
    }

    /// Moves the WAL into the database and empties it: `secure_delete` alone leaves erased keys in the WAL.
    pub(crate) async fn checkpoint(&self) -> Result<(), Error> {
        let connection = Arc::clone(&self.connection);
        tokio::task::spawn_blocking(move || {
            let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(connection) = &*connection {
                connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            }
            Ok(())
        })
        .await
        .map_err(|_| Error::new(ErrorCode::Internal, "database: a task ended early"))?
    }

    /// After keys were erased: empties the WAL, and goes on with another connection. SQLite wipes what it frees, but pages lie about in it for as
    /// long as it is open: in its cache, and in the room in which it puts them together (P12).
    pub(crate) async fn forget(&self) -> Result<(), Error> {
        self.checkpoint().await?;
        let (connection, opening) = (Arc::clone(&self.connection), Arc::clone(&self.opening));
        tokio::task::spawn_blocking(move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            if connection.is_some() {
                // The other one first: without a connection nothing could go on.
                *connection = Some(opening.connection(OpenFlags::empty())?);
            }
            Ok(())
        })
        .await
        .map_err(|_| Error::new(ErrorCode::Internal, "database: a task ended early"))?
    }

    /// Empties the WAL and closes the files, once the transaction under way is at its end: none comes after it. Not where the database was
    /// handed over.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        self.checkpoint().await?;
        let (connection, closed) = (Arc::clone(&self.connection), Arc::clone(&self.closed));
        tokio::task::spawn_blocking(move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            if !closed.swap(true, Ordering::AcqRel) {
                drop(connection.take());
            }
        })
        .await
        .map_err(|_| Error::new(ErrorCode::Internal, "database: a task ended early"))
    }
}

impl Opening {
    fn connection(&self, create: OpenFlags) -> Result<Connection, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | create;
        let mut connection = Connection::open_with_flags(&self.path, flags)?;
        if let Some(key) = &self.key {
            unlock(&connection, key)?;
        }
        connection.execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA secure_delete = ON;
             PRAGMA foreign_keys = ON;
             PRAGMA temp_store = MEMORY;
             PRAGMA busy_timeout = 5000;",
        )?;
        schema::migrate(&mut connection)?;
        // What was erased before a crash is not to stand in the WAL or behind it.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    }
}

fn unlock(connection: &Connection, key: &[u8; 32]) -> Result<(), Error> {
    // What SQLite frees is overwritten at once: keys and texts were in it (P12).
    connection.execute_batch("PRAGMA cipher_log_level = NONE; PRAGMA cipher_memory_security = ON;")?;
    let mut hex = Zeroizing::new(to_hex(key));
    let mut pragma = Zeroizing::new(format!("PRAGMA key = \"x'{}'\";", hex.as_str()));
    // The error would print the statement, and with it the key.
    connection
        .execute_batch(&pragma)
        .map_err(|_| Error::new(ErrorCode::Internal, "database: the key was not taken"))?;
    pragma.zeroize();
    hex.zeroize();
    let cipher: Option<String> = connection.query_row("PRAGMA cipher_version", [], |row| row.get(0)).ok();
    if cipher.is_none_or(|version| version.is_empty()) {
        return Err(Error::new(ErrorCode::Internal, "database: built without SQLCipher"));
    }
    Ok(())
}

/// A column that must hold exactly `N` bytes.
pub(crate) fn bytes<const N: usize>(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<[u8; N]> {
    row.get(column)
}

#[cfg(test)]
mod tests;
