//! The shared backend: PostgreSQL, with any number of relay processes over one database.
//!
//! Every write is a task of its own, or goes with others of its kind ([`batches`]): it goes on when its caller has gone away, and those who follow are told. Rows are locked in one order: the
//! transparency log's, an account's, its devices'; logs by themselves, in the order of their ids. No error is lost between a statement and the
//! commit, for PostgreSQL answers the commit of a broken transaction as if it were one.

mod accounts;
mod address;
mod batches;
mod closed;
mod connect;
mod devices;
mod expiry;
mod fault;
mod inboxes;
mod key_packages;
mod logs;
mod operator;
mod query;
pub(crate) mod restore;
mod schema;
mod shared;
mod start;
mod the_trait;
mod tls;
mod transparency;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool_postgres::{Object, Pool, Transaction};
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio_postgres::IsolationLevel;

use super::calendar::Calendar;
use super::quotas::QuotasInForce;
use super::{Answer, OpenError, PostgresTrouble, RestoredOn, Setup, StorageError, WakeListener};
use crate::clock::Clock;
use crate::hub::Wake;
use crate::log_signer::LogSigner;

pub use address::{CONNECTIONS, PostgresConfig, PostgresUrl};
use fault::Fault;

/// Longer than every limit that the server keeps for one statement: then nothing at all is heard of it.
const TRANSACTION_LIMIT: Duration = Duration::from_secs(45);
/// How often a transaction is done again that stood in another's way.
const TRIES: usize = 4;
/// Writes that are no append to a log and no registration, and go on without their callers: more than there are connections.
const PLACES: usize = 64;

/// A connection without limits of time, for whoever moves a whole database in.
pub(super) async fn client(config: &PostgresConfig) -> Result<Object, OpenError> {
    let pool = connect::open(config).await?;
    let client = connect::take(&pool).await.map_err(start::opening)?;
    unlimited(&client).await.map_err(|error| start::opening(error.into()))?;
    Ok(client)
}

/// Makes the tables.
pub(super) async fn migrate_schema(tx: &Transaction<'_>) -> Result<(), OpenError> {
    schema::migrate(tx).await
}

/// What may be said of an error.
pub(super) fn trouble(error: tokio_postgres::Error) -> PostgresTrouble {
    Fault::from(error).trouble()
}

async fn unlimited(client: &Object) -> Result<(), tokio_postgres::Error> {
    let sql = "SET lock_timeout = 0; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0";
    client.batch_execute(sql).await
}

/// [`Storage`] in PostgreSQL.
pub struct PostgresStorage {
    inner: Arc<Inner>,
    /// For each write that goes on whether or not its caller still waits: whoever has not got one yet holds what they want to write themselves.
    places: Arc<Semaphore>,
    batches: batches::Batches,
}

/// What transactions need beside the database.
struct Context {
    quotas: QuotasInForce,
    signer: LogSigner,
    clock: Clock,
    calendar: Calendar,
    retention_days: u32,
}

struct Inner {
    pool: Pool,
    context: Context,
    wake: WakeListener,
    commits: AtomicU64,
    writes: AtomicU64,
}

impl PostgresStorage {
    /// Opens the database, or makes its tables.
    pub async fn open(config: &PostgresConfig, setup: Setup) -> Result<Self, OpenError> {
        let Setup { quotas, retention_days, signer, wake, clock, newest } = setup;
        let pool = connect::open(config).await?;
        let calendar = Calendar::new(clock.clone());
        let context = Context { quotas: QuotasInForce::new(quotas), signer, clock, calendar, retention_days };
        {
            let mut client = connect::take(&pool).await.map_err(start::opening)?;
            let failed = |error: tokio_postgres::Error| start::opening(error.into());
            // Others may be at it, and their migration may take its time.
            unlimited(&client).await.map_err(failed)?;
            let tx = client.transaction().await.map_err(failed)?;
            start::open(&tx, &context, newest.as_ref()).await?;
            tx.commit().await.map_err(failed)?;
            // With its limits the next one starts.
            drop(Object::take(client));
        }
        let inner = Inner { pool, context, wake, commits: AtomicU64::new(0), writes: AtomicU64::new(0) };
        let inner = Arc::new(inner);
        let batches = batches::Batches::start(&inner);
        Ok(Self { inner, places: Arc::new(Semaphore::new(PLACES)), batches })
    }

    /// The restorations of the database, oldest first; none if there are none, or no tables yet. Asked before [`PostgresStorage::open`], for they say how
    /// the transparency log is called.
    pub async fn restorations(config: &PostgresConfig) -> Result<Vec<RestoredOn>, OpenError> {
        let client = client(config).await?;
        let failed = |error: tokio_postgres::Error| start::opening(error.into());
        // A database of before the day was noted gets today's when it is opened.
        let there = "SELECT to_regclass('log_restorations') IS NOT NULL, EXISTS (SELECT FROM pg_attribute
                     WHERE attrelid = to_regclass('log_restorations') AND attname = 'day')";
        let there = client.query_one(there, &[]).await.map_err(failed)?;
        let day = if there.get(1) { "day" } else { "extract(epoch FROM now())::bigint / 86400" };
        let mut found = Vec::new();
        if there.get(0) {
            let select = format!("SELECT note, {day} FROM log_restorations ORDER BY n");
            let rows = client.query(&select, &[]).await.map_err(failed)?;
            found.extend(rows.iter().map(|row| RestoredOn { note: row.get(0), day: row.get(1) }));
        }
        drop(Object::take(client));
        Ok(found)
    }

    /// The key under which processes disguise on the bus what they tell each other of: the same for all of them.
    pub async fn bus_key(&self) -> Result<[u8; 32], StorageError> {
        let mut fresh = [0; 32];
        getrandom::fill(&mut fresh).map_err(|_| StorageError::Unavailable)?;
        self.write(move |tx, _| Box::pin(async move { Ok((shared::bus_key(tx, &fresh).await?, Vec::new())) })).await
    }

    /// Does a write in a task of its own; tells of it after the commit, whether or not the caller still waits.
    fn write<T, W>(&self, work: W) -> Answer<'_, T>
    where
        T: Send + 'static,
        W: for<'t> Fn(&'t Transaction<'t>, &'t Context) -> BoxFuture<'t, Result<(T, Vec<Wake>), Fault>>
            + Send
            + Sync
            + 'static,
    {
        let (inner, places) = (Arc::clone(&self.inner), Arc::clone(&self.places));
        Box::pin(async move {
            let place = places.acquire_owned().await.map_err(|_| StorageError::Unavailable)?;
            let writing = tokio::spawn(async move {
                let _place = place;
                let (value, told) = inner.transaction(1, work).await?;
                told.iter().for_each(|wake| inner.tell(wake));
                Ok(value)
            });
            writing.await.unwrap_or(Err(StorageError::Unavailable))
        })
    }

    /// Reads one state of the database.
    fn read<T, W>(&self, work: W) -> Answer<'_, T>
    where
        T: Send + 'static,
        W: for<'t> FnOnce(&'t Transaction<'t>) -> BoxFuture<'t, Result<T, Fault>> + Send + 'static,
    {
        Box::pin(async move { Ok(self.inner.read(work).await?) })
    }
}

impl Inner {
    /// One transaction, done again where it stood in another's way. `writes` are counted once it is committed.
    async fn transaction<T, W>(&self, writes: usize, work: W) -> Result<T, Fault>
    where
        W: for<'t> Fn(&'t Transaction<'t>, &'t Context) -> BoxFuture<'t, Result<T, Fault>> + Send + Sync,
        T: Send,
    {
        let mut tries = 1;
        loop {
            let mut client = connect::take(&self.pool).await?;
            let attempt = async {
                let tx = client.transaction().await?;
                let value = work(&tx, &self.context).await?;
                tx.commit().await?;
                Ok::<T, Fault>(value)
            };
            match tokio::time::timeout(TRANSACTION_LIMIT, attempt).await {
                Ok(Ok(value)) => {
                    self.commits.fetch_add(1, Ordering::Relaxed);
                    self.writes.fetch_add(writes as u64, Ordering::Relaxed);
                    return Ok(value);
                }
                Ok(Err(fault)) if fault.is_collision() && tries < TRIES => tries += 1,
                Ok(Err(fault)) => return Err(fault),
                Err(_) => {
                    // Whatever it still says is not to be taken for the next one's answer.
                    drop(Object::take(client));
                    return Err(Fault::Late);
                }
            }
        }
    }

    async fn read<T, W>(&self, work: W) -> Result<T, Fault>
    where
        W: for<'t> FnOnce(&'t Transaction<'t>) -> BoxFuture<'t, Result<T, Fault>> + Send,
        T: Send,
    {
        let mut client = connect::take(&self.pool).await?;
        let attempt = async {
            let start = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
            let tx = start.start().await?;
            let value = work(&tx).await?;
            tx.commit().await?;
            Ok(value)
        };
        match tokio::time::timeout(TRANSACTION_LIMIT, attempt).await {
            Ok(done) => done,
            Err(_) => {
                drop(Object::take(client));
                Err(Fault::Late)
            }
        }
    }

    fn tell(&self, wake: &Wake) {
        (self.wake)(wake);
    }
}
