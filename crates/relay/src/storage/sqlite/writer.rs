//! Group commit: one thread owns the one writing connection, runs everything that is queued in one transaction, commits (fsync), and only
//! then answers every waiter.
//!
//! Each write runs in its own savepoint, so that one that fails takes nothing else with it. Where the transaction itself fails (disk full),
//! nobody is told that anything was stored; every write can be repeated.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::super::{Answer, StorageError, StorageStats};

/// Writes that wait at most; whoever comes then waits to wait.
const QUEUE: usize = 1536;
/// Writes in one commit at most, so that the first of them is not kept waiting for long.
const BATCH: usize = 512;

/// The handle to the thread.
pub(super) struct Writer {
    queue: Mutex<Option<mpsc::Sender<Box<dyn Job>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Counters {
    commits: AtomicU64,
    writes: AtomicU64,
}

/// A queued write.
trait Job: Send {
    /// Does the work; keeps what it gives.
    fn run(&mut self, db: &Connection) -> Result<(), StorageError>;
    /// Answers the waiter: what the work gave, or why the commit failed.
    fn answer(&mut self, committed: Result<(), StorageError>);
    /// Tells others, after every waiter has been answered.
    fn tell(self: Box<Self>);
}

struct Write<T, R, W, V, A> {
    work: Option<W>,
    view: V,
    after: A,
    result: Option<Result<T, StorageError>>,
    reply: Option<oneshot::Sender<Result<R, StorageError>>>,
    stored: bool,
}

impl<T, R, W, V, A> Job for Write<T, R, W, V, A>
where
    T: Send,
    R: Send,
    W: FnOnce(&Connection) -> rusqlite::Result<T> + Send,
    V: Fn(&T) -> R + Send,
    A: FnOnce(T) + Send,
{
    fn run(&mut self, db: &Connection) -> Result<(), StorageError> {
        let Some(work) = self.work.take() else { return Ok(()) };
        let result = work(db).map_err(StorageError::from);
        let outcome = result.as_ref().map(drop).map_err(|error| *error);
        self.result = Some(result);
        outcome
    }

    fn answer(&mut self, committed: Result<(), StorageError>) {
        let result = match (&self.result, committed) {
            (Some(Ok(value)), Ok(())) => {
                self.stored = true;
                Ok((self.view)(value))
            }
            (Some(Err(error)), _) => Err(*error),
            (_, Err(error)) => Err(error),
            (None, Ok(())) => Err(StorageError::Unavailable),
        };
        if let Some(reply) = self.reply.take() {
            // The waiter may have gone; what is stored is stored.
            let _ = reply.send(result);
        }
    }

    fn tell(self: Box<Self>) {
        if let (true, Some(Ok(value))) = (self.stored, self.result) {
            (self.after)(value);
        }
    }
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(db: Connection) -> std::io::Result<Self> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let counters = Arc::new(Counters::default());
        let counted = Arc::clone(&counters);
        let thread =
            std::thread::Builder::new().name("relay-writer".to_owned()).spawn(move || run(db, jobs, &counted))?;
        Ok(Self { queue: Mutex::new(Some(queue)), thread: Mutex::new(Some(thread)), counters })
    }

    /// Queues `work`; gives what it gave, after the commit.
    pub(super) fn write<T, W>(&self, work: W) -> Answer<'_, T>
    where
        T: Clone + Send + 'static,
        W: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.write_then(work, T::clone, drop)
    }

    /// Queues `work`; gives a `view` of what it gave, after the commit; then, whether or not the caller still waits, calls `after`.
    pub(super) fn write_then<T, R, W, V, A>(&self, work: W, view: V, after: A) -> Answer<'_, R>
    where
        T: Send + 'static,
        R: Send + 'static,
        W: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        V: Fn(&T) -> R + Send + 'static,
        A: FnOnce(T) + Send + 'static,
    {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let job = Write { work: Some(work), view, after, result: None, reply: Some(reply), stored: false };
            let queue = queue.ok_or(StorageError::Unavailable)?;
            queue.send(Box::new(job)).await.map_err(|_| StorageError::Unavailable)?;
            // What was sent lives no longer than its queue: a writer that ends just now would leave it, and whoever waits, to themselves.
            drop(queue);
            answer.await.unwrap_or(Err(StorageError::Unavailable))
        })
    }

    /// Counters.
    pub(super) fn stats(&self) -> StorageStats {
        StorageStats {
            commits: self.counters.commits.load(Ordering::Relaxed),
            writes: self.counters.writes.load(Ordering::Relaxed),
        }
    }

    /// Takes no more writes, and waits for those that are queued.
    pub(super) async fn stop(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

fn run(db: Connection, mut jobs: mpsc::Receiver<Box<dyn Job>>, counters: &Counters) {
    let mut batch: Vec<Box<dyn Job>> = Vec::with_capacity(BATCH);
    while let Some(first) = jobs.blocking_recv() {
        batch.push(first);
        while batch.len() < BATCH
            && let Ok(next) = jobs.try_recv()
        {
            batch.push(next);
        }
        let outcome = commit(&db, &mut batch);
        if outcome.is_err() && !db.is_autocommit() {
            let _ = db.execute_batch("ROLLBACK");
        }
        if outcome.is_ok() {
            counters.commits.fetch_add(1, Ordering::Relaxed);
            counters.writes.fetch_add(batch.len() as u64, Ordering::Relaxed);
        }
        for job in &mut batch {
            job.answer(outcome);
        }
        for job in batch.drain(..) {
            job.tell();
        }
    }
}

/// One transaction over all of `batch`. An error means that nothing of it is stored.
fn commit(db: &Connection, batch: &mut [Box<dyn Job>]) -> Result<(), StorageError> {
    db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    for job in batch {
        db.prepare_cached("SAVEPOINT one")?.execute([])?;
        if let Err(error) = job.run(db) {
            // A full disk ends the whole transaction, not only this write.
            if db.is_autocommit() {
                return Err(error);
            }
            db.prepare_cached("ROLLBACK TO one")?.execute([])?;
        }
        db.prepare_cached("RELEASE one")?.execute([])?;
    }
    db.prepare_cached("COMMIT")?.execute([])?;
    Ok(())
}
