//! Batched writes: a few writers, each with a queue of its own. A writer takes whatever is queued into one transaction (one fsync), and answers only
//! after the commit.
//!
//! Where PostgreSQL refuses a batch for what is in it, each write of it is tried by itself, so that none fails for another's sake. Where the
//! commit's answer is lost nobody is told 201; whoever asks again is told what became of it: of an append by the digest of the request, of a
//! registration by its bytes.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use deadpool_postgres::Transaction;
use futures_util::future::{BoxFuture, join_all};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use waxwing_wire::LogId;

use super::super::{Appended, Appending, Invited, NewAccount, StorageError};
use super::fault::Fault;
use super::{Context, Inner, accounts, logs, operator};
use crate::hub::Wake;

/// Writers of logs: as many transactions are under way at a time, and PostgreSQL syncs them together.
const LOG_WRITERS: usize = 4;
/// Writers of registrations, which take the transparency log's row one after the other in any case.
const REGISTRARS: usize = 1;
/// Writes that wait at most for one writer; whoever comes then waits to wait. Of all together, with those that a writer is at, about as many as in the embedded
/// backend.
const QUEUE: usize = 384;
/// Bytes of writes in one transaction, from which on nothing more is taken into it.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// A write that goes with others of its kind.
trait Batched: Clone + Send + Sync + 'static {
    /// What became of it.
    type Answer: Send + 'static;
    /// How many go into one transaction at most.
    const BATCH: usize;

    /// What it counts of [`BATCH_BYTES`].
    fn bytes(&self) -> usize;

    /// Does them, in this order; gives of each what became of it, and what is to be told after the commit.
    fn all<'t>(batch: &'t [Self], tx: &'t Transaction<'t>, context: &'t Context) -> Done<'t, Self::Answer>;
}

type Done<'t, A> = BoxFuture<'t, Result<Vec<(A, Option<Wake>)>, Fault>>;

impl Batched for Appending {
    type Answer = Appended;
    const BATCH: usize = 256;

    fn bytes(&self) -> usize {
        self.append.blob.len()
    }

    fn all<'t>(batch: &'t [Self], tx: &'t Transaction<'t>, context: &'t Context) -> Done<'t, Appended> {
        Box::pin(logs::append(tx, batch, context))
    }
}

/// An account to be registered, with the hash of an invitation if it came with one.
#[derive(Clone)]
struct Registration {
    account: NewAccount,
    invitation: Option<[u8; 32]>,
}

impl Batched for Registration {
    type Answer = Invited;
    // Each has its own checkpoint, and some statements; whoever else grows the tree waits for all of them.
    const BATCH: usize = 32;

    fn bytes(&self) -> usize {
        self.account.entry.as_bytes().len()
    }

    fn all<'t>(batch: &'t [Self], tx: &'t Transaction<'t>, context: &'t Context) -> Done<'t, Invited> {
        Box::pin(async move {
            let mut answers = Vec::with_capacity(batch.len());
            for Self { account, invitation } in batch {
                let (invited, checkpoint) = match invitation {
                    Some(invitation) => operator::register(tx, account, invitation, context).await?,
                    None => {
                        let (registered, checkpoint) = accounts::register(tx, account, context).await?;
                        (Invited::Judged(registered), checkpoint)
                    }
                };
                answers.push((invited, checkpoint.map(|signed| Wake::Checkpoint(Box::new(signed)))));
            }
            Ok(answers)
        })
    }
}

struct Job<W: Batched> {
    write: W,
    reply: oneshot::Sender<Result<W::Answer, StorageError>>,
}

/// Writers of one kind.
struct Writers<W: Batched> {
    queues: Mutex<Vec<mpsc::Sender<Job<W>>>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl<W: Batched> Writers<W> {
    fn start(inner: &Arc<Inner>, count: usize) -> Self {
        let (queues, tasks) = (0..count)
            .map(|_| {
                let (queue, jobs) = mpsc::channel(QUEUE);
                (queue, tokio::spawn(run(Arc::clone(inner), jobs)))
            })
            .unzip();
        Self { queues: Mutex::new(queues), tasks: Mutex::new(tasks) }
    }

    /// Queues a write for the writer of this number; gives what became of it, after the commit.
    async fn write(&self, which: usize, write: W) -> Result<W::Answer, StorageError> {
        let queue = self.queues.lock().unwrap_or_else(PoisonError::into_inner).get(which).cloned();
        let queue = queue.ok_or(StorageError::Unavailable)?;
        let (reply, answer) = oneshot::channel();
        queue.send(Job { write, reply }).await.map_err(|_| StorageError::Unavailable)?;
        // What was sent lives no longer than its queue: a writer that ends just now would leave it, and whoever waits, to themselves.
        drop(queue);
        answer.await.unwrap_or(Err(StorageError::Unavailable))
    }

    async fn stop(&self) {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        join_all(tasks).await;
    }
}

/// All writers.
pub(super) struct Batches {
    logs: Writers<Appending>,
    registrars: Writers<Registration>,
    hashing: RandomState,
}

impl Batches {
    /// Starts the writers.
    pub(super) fn start(inner: &Arc<Inner>) -> Self {
        let (logs, registrars) = (Writers::start(inner, LOG_WRITERS), Writers::start(inner, REGISTRARS));
        Self { logs, registrars, hashing: RandomState::new() }
    }

    /// Appends to a log. A log is always the same writer's, so what comes to it in one process keeps its order and never waits for a lock that the
    /// process itself holds.
    pub(super) async fn append(&self, appending: Appending) -> Result<Appended, StorageError> {
        self.logs.write(self.writer_of(appending.log), appending).await
    }

    fn writer_of(&self, log: LogId) -> usize {
        usize::try_from(self.hashing.hash_one(log) % (LOG_WRITERS as u64)).unwrap_or(0)
    }

    /// Registers an account, with the hash of an invitation if it came with one. Without one it is never refused for that.
    pub(super) async fn register(
        &self,
        account: NewAccount,
        invitation: Option<[u8; 32]>,
    ) -> Result<Invited, StorageError> {
        self.registrars.write(0, Registration { account, invitation }).await
    }

    /// Takes nothing more, and waits for what is queued.
    pub(super) async fn stop(&self) {
        tokio::join!(self.logs.stop(), self.registrars.stop());
    }
}

async fn run<W: Batched>(inner: Arc<Inner>, mut jobs: mpsc::Receiver<Job<W>>) {
    while let Some(first) = jobs.recv().await {
        let mut bytes = first.write.bytes();
        let (mut batch, mut replies) = (vec![first.write], vec![first.reply]);
        while batch.len() < W::BATCH
            && bytes < BATCH_BYTES
            && let Ok(Job { write, reply }) = jobs.try_recv()
        {
            bytes += write.bytes();
            batch.push(write);
            replies.push(reply);
        }
        let batch = Arc::new(batch);
        match commit(&inner, &batch).await {
            Ok(answers) => settle::<W>(&inner, replies, answers),
            Err(fault) if replies.len() > 1 && fault.is_about_the_statement() => {
                let batch = Arc::try_unwrap(batch).unwrap_or_else(|shared| shared.as_ref().clone());
                for (write, reply) in batch.into_iter().zip(replies) {
                    match commit(&inner, &Arc::new(vec![write])).await {
                        Ok(answers) => settle::<W>(&inner, vec![reply], answers),
                        Err(fault) => {
                            let _ = reply.send(Err(fault.into()));
                        }
                    }
                }
            }
            Err(fault) => {
                let error = StorageError::from(fault);
                for reply in replies {
                    let _ = reply.send(Err(error));
                }
            }
        }
    }
}

async fn commit<W: Batched>(inner: &Inner, batch: &Arc<Vec<W>>) -> Result<Vec<(W::Answer, Option<Wake>)>, Fault> {
    inner
        .transaction(batch.len(), |tx, context| {
            let batch = Arc::clone(batch);
            Box::pin(async move { W::all(&batch, tx, context).await })
        })
        .await
}

/// Answers every waiter, then tells those who follow. A waiter may have gone; what is stored is stored, and told.
fn settle<W: Batched>(
    inner: &Inner,
    replies: Vec<oneshot::Sender<Result<W::Answer, StorageError>>>,
    answers: Vec<(W::Answer, Option<Wake>)>,
) {
    let mut told = Vec::new();
    for (reply, (answer, wake)) in replies.into_iter().zip(answers) {
        let _ = reply.send(Ok(answer));
        told.extend(wake);
    }
    told.iter().for_each(|wake| inner.tell(wake));
}
