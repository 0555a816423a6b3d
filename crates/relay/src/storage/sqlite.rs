//! The embedded backend: one SQLite file, one writer with group commit, a few readers, checkpoints off the writer's path.

mod accounts;
mod backfill;
mod backup;
mod checkpoint;
mod devices;
mod inboxes;
mod key_packages;
#[cfg(test)]
mod log_tests;
mod logs;
mod operator;
mod readers;
pub(crate) mod restore;
mod schema;
#[cfg(test)]
mod tests;
mod transparency;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use waxwing_wire::api::{ConsistencyProof, InclusionProof, KeyPackageCount};
use waxwing_wire::frame::{CreateLog, InboxPage, UploadKeyPackages};
use waxwing_wire::transparency::{Leaf, SignedCheckpoint};
use waxwing_wire::{AccountId, DeviceId, LogId};

use super::{
    AccountRef, AccountUse, Answer, Appended, Appending, BackupError, Chained, Claim, Claimed, Delivered, Delivery,
    Invitation, Invited, LogRead, NewAccount, NextEntry, Registered, Storage, StorageError, StorageStats, StoredChain,
    Totals, Uploaded,
};
use crate::config::Quotas;
use crate::hub::Wake;
use crate::log_signer::LogSigner;
use crate::private_file;
use crate::state::now;

/// 3.51.3: the first release in which a WAL that is reset at the wrong moment cannot lose a commit.
const OLDEST_SQLITE: i32 = 3_051_003;
const FILE: &str = "relay.db";

/// The database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The linked SQLite can lose commits.
    #[error("this program is linked with SQLite {0}, which can lose accepted messages; it needs 3.51.3 or newer")]
    OldSqlite(&'static str),
    /// The file cannot be opened.
    #[error("the database cannot be opened: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The file cannot be made, or a thread cannot be started.
    #[error("the database cannot be opened: {0}")]
    Io(#[from] std::io::Error),
    /// A newer program wrote it.
    #[error("the database was written by a newer waxwing-relay (schema {0}); start that version")]
    TooNew(i64),
    /// WAL mode is not to be had there (a network file system).
    #[error("the database's folder is on a file system without write-ahead logs; use a local disk")]
    NoWal,
    /// The transparency log is of another relay, or its key was lost.
    #[error(
        "the database's transparency log was signed under another key or address than this relay's; restore log-key.json, and start with the `--audience` that accounts were made for"
    )]
    OtherLog,
    /// Leaves, nodes or checkpoint of the transparency log do not belong together.
    #[error("the database's transparency log is damaged; restore the data folder from a backup")]
    DamagedLog,
    /// The hash of a name needs 19 MiB for a moment.
    #[error("a user name could not be hashed for the transparency log: out of memory")]
    NameHash,
}

/// Version of the linked SQLite.
#[must_use]
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}

/// [`Storage`] in one SQLite file.
pub struct SqliteStorage {
    path: PathBuf,
    writer: writer::Writer,
    readers: readers::Readers,
    checkpointer: checkpoint::Checkpointer,
    quotas: Quotas,
    signer: Arc<LogSigner>,
    wake: WakeListener,
}

/// Told of everything stored, in the order of the commits. Must not wait.
pub type WakeListener = Arc<dyn Fn(&Wake) + Send + Sync>;

impl SqliteStorage {
    /// Opens the database in `folder`, or makes it. Chain entries from before the transparency log get their leaves first, which takes a while
    /// for many accounts; a fresh checkpoint is signed in any case.
    pub fn open(folder: &Path, quotas: Quotas, signer: LogSigner, wake: WakeListener) -> Result<Self, OpenError> {
        if rusqlite::version_number() < OLDEST_SQLITE {
            return Err(OpenError::OldSqlite(sqlite_version()));
        }
        let path = folder.join(FILE);
        if !path.exists() {
            // Made here for its mode: SQLite gives the WAL the same one.
            private_file::open(&path)?;
        }
        let mut connection = connect(&path)?;
        let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if mode != "wal" {
            return Err(OpenError::NoWal);
        }
        schema::migrate(&mut connection)?;
        backfill::open(&mut connection, &signer)?;
        let checkpointer = checkpoint::Checkpointer::start(&path)?;
        let readers = readers::Readers::open(&path)?;
        let writer = writer::Writer::start(connection)?;
        Ok(Self { path, writer, readers, checkpointer, quotas, signer: Arc::new(signer), wake })
    }

    /// Appends leaves of entries that there are not, so that a benchmark has a long log to work on.
    #[doc(hidden)]
    pub fn fill_log(&self, leaves: Vec<Leaf>) -> Answer<'_, ()> {
        let signer = Arc::clone(&self.signer);
        self.writer.write(move |db| {
            let mut log = transparency::Growing::lock(db)?;
            leaves.iter().try_for_each(|leaf| log.append(leaf).map(drop))?;
            log.seal(&signer).map(drop)
        })
    }

    /// Queues a write that may give a checkpoint; after the commit those who follow the log are told of it.
    fn write_logged<T, W>(&self, work: W) -> Answer<'_, T>
    where
        T: Copy + Send + 'static,
        W: FnOnce(&Connection, &LogSigner) -> rusqlite::Result<(T, Option<SignedCheckpoint>)> + Send + 'static,
    {
        let (signer, wake) = (Arc::clone(&self.signer), Arc::clone(&self.wake));
        self.writer.write_then(
            move |db| work(db, &signer),
            |(answer, _)| *answer,
            move |(_, checkpoint)| {
                if let Some(checkpoint) = checkpoint {
                    wake(&Wake::Checkpoint(Box::new(checkpoint)));
                }
            },
        )
    }
}

impl Storage for SqliteStorage {
    fn register(&self, account: NewAccount) -> Answer<'_, Registered> {
        self.write_logged(move |db, signer| accounts::register(db, &account, signer))
    }

    fn extend_chain(&self, next: NextEntry) -> Answer<'_, Chained> {
        let (signer, wake) = (Arc::clone(&self.signer), Arc::clone(&self.wake));
        self.writer.write_then(
            move |db| accounts::extend_chain(db, &next, &signer),
            |(chained, _)| *chained,
            move |(_, told)| told.iter().for_each(|told| wake(told)),
        )
    }

    fn chain(&self, account: AccountRef, from: u32, limit: usize) -> Answer<'_, Option<StoredChain>> {
        self.readers.read(move |db| accounts::chain(db, &account, from, limit))
    }

    fn relay_auth(&self, account: AccountId, device: DeviceId) -> Answer<'_, Option<[u8; 32]>> {
        self.readers.read(move |db| accounts::relay_auth(db, account, device))
    }

    fn checkpoint(&self) -> Answer<'_, String> {
        self.readers.read(transparency::checkpoint)
    }

    fn renew_checkpoint(&self) -> Answer<'_, ()> {
        self.write_logged(|db, signer| Ok(((), Some(transparency::Growing::lock(db)?.seal(signer)?))))
    }

    fn leaves(&self, from: u64, limit: usize) -> Answer<'_, Option<Vec<u8>>> {
        self.readers.read(move |db| transparency::leaves(db, from, limit))
    }

    fn consistency(&self, first: u64, second: u64) -> Answer<'_, Option<ConsistencyProof>> {
        self.readers.read(move |db| transparency::consistency(db, first, second))
    }

    fn inclusion(&self, index: u64, size: u64) -> Answer<'_, Option<InclusionProof>> {
        self.readers.read(move |db| transparency::inclusion(db, index, size))
    }

    fn admit(&self, account: AccountId, hashes: Vec<[u8; 32]>) -> Answer<'_, bool> {
        self.writer.write(move |db| accounts::admit(db, account, &hashes))
    }

    fn dismiss(&self, account: AccountId, hashes: Vec<[u8; 32]>) -> Answer<'_, ()> {
        self.writer.write(move |db| accounts::dismiss(db, account, &hashes))
    }

    fn upload_key_packages(&self, device: DeviceId, upload: UploadKeyPackages) -> Answer<'_, Uploaded> {
        self.writer.write(move |db| key_packages::upload(db, device, &upload))
    }

    fn count_key_packages(&self, device: DeviceId) -> Answer<'_, Option<KeyPackageCount>> {
        self.readers.read(move |db| key_packages::count(db, device))
    }

    fn claim_key_packages(&self, claim: Claim) -> Answer<'_, Claimed> {
        self.writer.write(move |db| key_packages::claim(db, &claim))
    }

    fn create_log(&self, log: CreateLog) -> Answer<'_, bool> {
        self.writer.write(move |db| logs::create(db, &log))
    }

    fn append(&self, appending: Appending) -> Answer<'_, Appended> {
        let quotas = self.quotas;
        let wake = Arc::clone(&self.wake);
        self.writer.write_then(
            move |db| logs::append(db, appending, &quotas),
            |(appended, _)| *appended,
            move |(_, told)| told.iter().for_each(|told| wake(told)),
        )
    }

    fn read_log(&self, log: LogId, read_hash: [u8; 32], after: u64) -> Answer<'_, LogRead> {
        self.readers.read(move |db| logs::read(db, log, &read_hash, after))
    }

    fn current_read_tokens(&self, tokens: Vec<(LogId, [u8; 32])>) -> Answer<'_, Vec<bool>> {
        self.readers.read(move |db| logs::current_read_tokens(db, &tokens))
    }

    fn deliver(&self, delivery: Delivery) -> Answer<'_, Delivered> {
        let quotas = self.quotas;
        let wake = Arc::clone(&self.wake);
        self.writer.write_then(
            move |db| inboxes::deliver(db, &delivery, &quotas),
            |(delivered, _)| *delivered,
            move |(_, told)| told.iter().for_each(|told| wake(told)),
        )
    }

    fn read_inbox(&self, device: DeviceId, after: u64) -> Answer<'_, Option<InboxPage>> {
        self.readers.read(move |db| inboxes::read(db, device, after))
    }

    fn acknowledge(&self, device: DeviceId, up_to: u64) -> Answer<'_, ()> {
        self.writer.write(move |db| inboxes::acknowledge(db, device, up_to))
    }

    fn stats(&self) -> StorageStats {
        self.writer.stats()
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async {
            self.writer.stop().await;
            self.checkpointer.stop().await;
            Ok(())
        })
    }

    fn invite(&self, invitation: Invitation) -> Answer<'_, ()> {
        self.writer.write(move |db| operator::invite(db, &invitation))
    }

    fn register_invited(&self, account: NewAccount, invitation: [u8; 32]) -> Answer<'_, Invited> {
        self.write_logged(move |db, signer| operator::register(db, &account, &invitation, signer))
    }

    fn set_disabled(&self, account: AccountRef, disabled: bool) -> Answer<'_, Option<AccountId>> {
        self.writer.write(move |db| operator::set_disabled(db, &account, disabled))
    }

    fn disabled(&self) -> Answer<'_, Vec<AccountId>> {
        self.readers.read(operator::disabled)
    }

    fn account_use(&self, account: AccountRef) -> Answer<'_, Option<AccountUse>> {
        self.readers.read(move |db| operator::account_use(db, &account))
    }

    fn totals(&self) -> Answer<'_, Totals> {
        self.readers.read(operator::totals)
    }

    fn database_bytes(&self) -> Answer<'_, u64> {
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        let bytes = size(&self.path) + size(&checkpoint::wal_of(&self.path));
        Box::pin(async move { Ok(bytes) })
    }

    fn probe(&self) -> Answer<'_, ()> {
        self.writer.write(operator::probe)
    }

    fn backup(&self, to: PathBuf) -> BoxFuture<'_, Result<u64, BackupError>> {
        let from = self.path.clone();
        Box::pin(async move {
            let copying = tokio::task::spawn_blocking(move || backup::copy(&from, &to));
            copying.await.unwrap_or_else(|_| Err(BackupError::Copy("it was broken off".to_owned())))
        })
    }
}

/// A connection as every part uses it.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    // FULL: a commit returns only after fsync of the WAL. No automatic checkpoints: the writer never pays for one.
    connection.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;",
    )?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

impl From<rusqlite::Error> for StorageError {
    fn from(error: rusqlite::Error) -> Self {
        let code = error.sqlite_error_code();
        // The error's text can quote a statement, never a bound value: nothing of a user gets into the log.
        tracing::error!(code = ?code, "the database answered an error");
        match code {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged,
            Some(_) => Self::Unavailable,
            None => Self::Damaged,
        }
    }
}

/// SQLite's integers are signed; the relay's counters stay far below their end.
fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn nat(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// Days since 1970: as precisely as the relay keeps when something came.
fn today() -> i64 {
    int(seconds() / 86_400)
}

/// Hours since 1970: for what it keeps no longer than that.
fn this_hour() -> i64 {
    int(seconds() / 3600)
}

fn seconds() -> u64 {
    now().as_secs()
}

/// Milliseconds since 1970.
fn millis() -> u64 {
    u64::try_from(now().as_millis()).unwrap_or(u64::MAX)
}
