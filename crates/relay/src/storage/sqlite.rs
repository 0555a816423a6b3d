//! The embedded backend: one SQLite file, one writer with group commit, a few readers, checkpoints off the writer's path.

mod accounts;
mod backfill;
mod backup;
mod checkpoint;
mod closed;
mod devices;
mod expiry;
mod inboxes;
mod key_packages;
#[cfg(test)]
mod log_tests;
mod logs;
mod moved;
mod operator;
mod readers;
mod relay_keys;
pub(crate) mod restore;
mod schema;
mod shown;
#[cfg(test)]
mod tests;
mod transparency;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use waxwing_wire::api::{ConsistencyProof, InclusionProof, KeyPackageCount};
use waxwing_wire::blob::BlobSecret;
use waxwing_wire::frame::{CreateLog, InboxPage, UploadKeyPackages};
use waxwing_wire::transparency::{Leaf, SignedCheckpoint};
use waxwing_wire::{AccountId, DeviceId, LogId};

use super::calendar::Calendar;
use super::quotas::QuotasInForce;
use super::{
    AccountRef, AccountUse, Answer, Appended, Appending, BackupError, Chained, Claim, Claimed, Decided, Delivered,
    Delivery, Heads, Invitation, Invited, LogRead, NewAccount, NextEntry, OpenError, Quota, Registered, Setup, Storage,
    StorageError, StorageStats, StoredChain, Totals, Uploaded, WakeListener, Watched,
};
use crate::clock::{Clock, Moment};
use crate::config::Quotas;
use crate::hub::Wake;
use crate::log_signer::LogSigner;
use crate::private_file;
use crate::replay::{Seen, Showing};

pub(super) use moved::to_be_moved;

/// 3.51.3: the first release in which a WAL that is reset at the wrong moment cannot lose a commit.
const OLDEST_SQLITE: i32 = 3_051_003;
const FILE: &str = "relay.db";

/// Version of the linked SQLite.
#[must_use]
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}

/// Refuses a release of SQLite that can lose what was committed.
fn check_version(linked: i32) -> Result<(), OpenError> {
    if linked < OLDEST_SQLITE { Err(OpenError::OldSqlite(sqlite_version())) } else { Ok(()) }
}

/// [`Storage`] in one SQLite file.
pub struct SqliteStorage {
    path: PathBuf,
    writer: writer::Writer,
    readers: readers::Readers,
    checkpointer: checkpoint::Checkpointer,
    quotas: Arc<QuotasInForce>,
    retention_days: u32,
    signer: Arc<LogSigner>,
    wake: WakeListener,
    clock: Clock,
    calendar: Arc<Calendar>,
    backups: backup::Backups,
}

impl SqliteStorage {
    /// As [`SqliteStorage::open_with`], with the usual retention and the system's time.
    pub fn open(folder: &Path, quotas: Quotas, signer: LogSigner, wake: WakeListener) -> Result<Self, OpenError> {
        Self::open_with(folder, Setup { quotas, ..Setup::new(signer, wake) })
    }

    /// Opens the database in `folder`, or makes it. Chain entries from before the transparency log get their leaves first, which takes a while
    /// for many accounts; a fresh checkpoint is signed in any case.
    pub fn open_with(folder: &Path, setup: Setup) -> Result<Self, OpenError> {
        let Setup { quotas, retention_days, signer, wake, clock, newest } = setup;
        check_version(rusqlite::version_number())?;
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
        backfill::open(&mut connection, &signer, clock.now(), newest.as_ref())?;
        let calendar = Arc::new(Calendar::new(clock.clone()));
        expiry::note(&connection, &calendar)?;
        let quotas = Arc::new(QuotasInForce::new(quotas));
        operator::decided(&connection, None)?.iter().for_each(|decided| quotas.take_in(decided));
        let checkpointer = checkpoint::Checkpointer::start(&path)?;
        let readers = readers::Readers::open(&path)?;
        let writer = writer::Writer::start(connection)?;
        let (signer, backups) = (Arc::new(signer), backup::Backups::of(&path));
        Ok(Self { path, writer, readers, checkpointer, quotas, retention_days, signer, wake, clock, calendar, backups })
    }

    /// Appends leaves of entries that there are not, so that a benchmark has a long log to work on.
    #[doc(hidden)]
    pub fn fill_log(&self, leaves: Vec<Leaf>) -> Answer<'_, ()> {
        let (signer, clock) = (Arc::clone(&self.signer), self.clock.clone());
        self.writer.write(move |db| {
            let mut log = transparency::Growing::lock(db)?;
            leaves.iter().try_for_each(|leaf| log.append(leaf).map(drop))?;
            log.seal(&signer, clock.now()).map(drop)
        })
    }

    /// Queues a write that may give a checkpoint; after the commit those who follow the log are told of it.
    fn write_logged<T, W>(&self, work: W) -> Answer<'_, T>
    where
        T: Copy + Send + 'static,
        W: FnOnce(&Connection, &LogSigner, Moment) -> rusqlite::Result<(T, Option<SignedCheckpoint>)> + Send + 'static,
    {
        let (signer, wake, clock) = (Arc::clone(&self.signer), Arc::clone(&self.wake), self.clock.clone());
        self.writer.write_then(
            move |db| work(db, &signer, clock.now()),
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
        self.write_logged(move |db, signer, now| accounts::register(db, &account, signer, now))
    }

    fn extend_chain(&self, next: NextEntry) -> Answer<'_, Chained> {
        let (signer, wake, clock) = (Arc::clone(&self.signer), Arc::clone(&self.wake), self.clock.clone());
        self.writer.write_then(
            move |db| accounts::extend_chain(db, &next, &signer, clock.now()),
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
        self.write_logged(|db, signer, now| Ok(((), Some(transparency::Growing::lock(db)?.seal(signer, now)?))))
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
        let calendar = Arc::clone(&self.calendar);
        self.writer.write(move |db| key_packages::upload(db, device, &upload, calendar.day()))
    }

    fn count_key_packages(&self, device: DeviceId) -> Answer<'_, Option<KeyPackageCount>> {
        self.readers.read(move |db| key_packages::count(db, device))
    }

    fn claim_key_packages(&self, claim: Claim) -> Answer<'_, Claimed> {
        let (clock, calendar) = (self.clock.clone(), Arc::clone(&self.calendar));
        self.writer.write(move |db| key_packages::claim(db, &claim, clock.now(), calendar.today()))
    }

    fn create_log(&self, log: CreateLog) -> Answer<'_, bool> {
        self.writer.write(move |db| logs::create(db, &log))
    }

    fn append(&self, appending: Appending) -> Answer<'_, Appended> {
        let (quotas, wake, calendar) = (self.quotas.now(), Arc::clone(&self.wake), Arc::clone(&self.calendar));
        self.writer.write_then(
            move |db| logs::append(db, appending, &quotas, calendar.today()),
            |(appended, _)| *appended,
            move |(_, told)| told.iter().for_each(|told| wake(told)),
        )
    }

    fn read_log(&self, log: LogId, read_hash: [u8; 32], after: u64) -> Answer<'_, LogRead> {
        self.readers.read(move |db| logs::read(db, log, &read_hash, after))
    }

    fn heads(&self, watched: Watched) -> Answer<'_, Heads> {
        self.readers.read(move |db| logs::heads(db, &watched))
    }

    fn deliver(&self, delivery: Delivery) -> Answer<'_, Delivered> {
        let (quotas, wake, calendar) = (self.quotas.now(), Arc::clone(&self.wake), Arc::clone(&self.calendar));
        self.writer.write_then(
            move |db| inboxes::deliver(db, &delivery, &quotas, calendar.today()),
            |(delivered, _)| *delivered,
            move |(_, told)| told.iter().for_each(|told| wake(told)),
        )
    }

    fn read_inbox(&self, device: DeviceId, after: u64) -> Answer<'_, Option<InboxPage>> {
        self.readers.read(move |db| inboxes::read(db, device, after))
    }

    fn acknowledge(&self, device: DeviceId, up_to: u64) -> Answer<'_, ()> {
        let calendar = Arc::clone(&self.calendar);
        self.writer.write(move |db| inboxes::acknowledge(db, device, up_to, calendar.day()))
    }

    fn shown(&self, showing: Showing) -> Answer<'_, Seen> {
        let clock = self.clock.clone();
        self.writer.write(move |db| shown::check(db, &showing, clock.now()))
    }

    fn expire(&self) -> Answer<'_, bool> {
        let (days, clock, calendar) = (self.retention_days, self.clock.clone(), Arc::clone(&self.calendar));
        // Of its own: where nothing can be removed the day goes on all the same.
        let noting = self.writer.write(move |db| expiry::note(db, &calendar));
        Box::pin(async move {
            let day = noting.await?;
            self.writer.write(move |db| expiry::expire(db, day, clock.now(), days)).await
        })
    }

    fn expiry_time(&self) -> Moment {
        self.calendar.now()
    }

    fn arrival_time(&self) -> Moment {
        self.calendar.arrival()
    }

    fn blobs_to_remove(&self) -> Answer<'_, Vec<BlobSecret>> {
        self.readers.read(closed::wanted)
    }

    fn blobs_removed(&self, of: Vec<BlobSecret>, all: bool) -> Answer<'_, ()> {
        let clock = self.clock.clone();
        self.writer.write(move |db| closed::removed(db, &of, all, clock.now()))
    }

    fn spare(&self) -> Answer<'_, u64> {
        self.readers.read(|db| {
            let get = |pragma: &str| db.query_row(pragma, [], |row| row.get::<_, u64>(0));
            Ok(get("PRAGMA freelist_count")?.saturating_mul(get("PRAGMA page_size")?))
        })
    }

    fn record_keys(&self, fingerprint: [u8; 32], replacing: Option<[u8; 32]>) -> Answer<'_, bool> {
        self.writer.write(move |db| relay_keys::record(db, &fingerprint, replacing.as_ref()))
    }

    fn stats(&self) -> StorageStats {
        self.writer.stats()
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async {
            self.backups.close();
            self.writer.stop().await;
            self.checkpointer.stop().await;
            Ok(())
        })
    }

    fn invite(&self, invitation: Invitation) -> Answer<'_, ()> {
        let clock = self.clock.clone();
        self.writer.write(move |db| operator::invite(db, &invitation, clock.now()))
    }

    fn invited(&self, invitation: [u8; 32]) -> Answer<'_, bool> {
        let clock = self.clock.clone();
        self.readers.read(move |db| operator::is_good(db, &invitation, clock.now()))
    }

    fn register_invited(&self, account: NewAccount, invitation: [u8; 32]) -> Answer<'_, Invited> {
        self.write_logged(move |db, signer, now| operator::register(db, &account, &invitation, signer, now))
    }

    fn set_disabled(&self, account: AccountRef, disabled: bool) -> Answer<'_, Option<AccountId>> {
        let wake = Arc::clone(&self.wake);
        self.writer.write_then(
            move |db| operator::set_disabled(db, &account, disabled),
            Option::clone,
            move |found| found.iter().for_each(|_| wake(&Wake::Decided)),
        )
    }

    fn set_quotas(&self, of: Option<AccountRef>, changes: Vec<(Quota, Option<u64>)>) -> Answer<'_, bool> {
        let wake = Arc::clone(&self.wake);
        let setting = self.writer.write_then(
            move |db| operator::set_quotas(db, of.as_ref(), &changes),
            |set| *set,
            move |set| {
                if set {
                    wake(&Wake::Decided);
                }
            },
        );
        Box::pin(async move {
            let set = setting.await?;
            self.decided(None).await?;
            Ok(set)
        })
    }

    fn decided(&self, known: Option<u64>) -> Answer<'_, Option<Decided>> {
        let quotas = Arc::clone(&self.quotas);
        self.readers.read(move |db| Ok(operator::decided(db, known)?.inspect(|decided| quotas.take_in(decided))))
    }

    fn account_use(&self, account: AccountRef) -> Answer<'_, Option<AccountUse>> {
        self.readers.read(move |db| operator::account_use(db, &account))
    }

    fn totals(&self) -> Answer<'_, Totals> {
        let clock = self.clock.clone();
        self.readers.read(move |db| operator::totals(db, clock.now()))
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
        Box::pin(self.backups.make(to))
    }
}

/// A database in memory with all tables and nothing in them.
#[cfg(test)]
pub(super) fn empty() -> Connection {
    let mut db = Connection::open_in_memory().unwrap();
    schema::migrate(&mut db).unwrap();
    db
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
    connection.pragma_update(None, "journal_size_limit", checkpoint::LARGEST)?;
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
