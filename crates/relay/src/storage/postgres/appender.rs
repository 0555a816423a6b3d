//! Batched appends: a few writers, each with a queue of its own. A log is always the same writer's, so what comes to it in one process keeps its
//! order and never waits for a lock that the process itself holds. A writer takes whatever is queued into one transaction (one fsync), and answers
//! only after the commit.
//!
//! Where PostgreSQL refuses a batch for what is in it, each append of it is tried by itself, so that none fails for another's sake. Where the
//! commit's answer is lost nobody is told 201; whoever asks again is told what became of it, by the digest of the request.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::super::{Appended, Appending, StorageError};
use super::fault::Fault;
use super::{Inner, logs};
use crate::hub::Wake;

/// Writers: as many transactions are under way at a time, and PostgreSQL syncs them together.
const WRITERS: usize = 4;
/// Appends that wait at most for one writer; whoever comes then waits to wait.
const QUEUE: usize = 1024;
/// Appends in one transaction at most.
const BATCH: usize = 256;
/// Bytes of envelopes in one transaction, from which on nothing more is taken into it.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

struct Job {
    appending: Appending,
    reply: oneshot::Sender<Result<Appended, StorageError>>,
}

/// The writers' queues.
pub(super) struct Appender {
    queues: Mutex<Vec<mpsc::Sender<Job>>>,
    writers: Mutex<Vec<JoinHandle<()>>>,
    hashing: RandomState,
}

impl Appender {
    /// Starts the writers.
    pub(super) fn start(inner: &Arc<Inner>) -> Self {
        let (queues, writers) = (0..WRITERS)
            .map(|_| {
                let (queue, jobs) = mpsc::channel(QUEUE);
                (queue, tokio::spawn(run(Arc::clone(inner), jobs)))
            })
            .unzip();
        Self { queues: Mutex::new(queues), writers: Mutex::new(writers), hashing: RandomState::new() }
    }

    /// Queues an append; gives what became of it, after the commit.
    pub(super) async fn append(&self, appending: Appending) -> Result<Appended, StorageError> {
        let queue = {
            let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
            let which = self.hashing.hash_one(appending.log) % (WRITERS as u64);
            usize::try_from(which).ok().and_then(|which| queues.get(which).cloned())
        };
        let queue = queue.ok_or(StorageError::Unavailable)?;
        let (reply, answer) = oneshot::channel();
        queue.send(Job { appending, reply }).await.map_err(|_| StorageError::Unavailable)?;
        answer.await.unwrap_or(Err(StorageError::Unavailable))
    }

    /// Takes nothing more, and waits for what is queued.
    pub(super) async fn stop(&self) {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let writers = std::mem::take(&mut *self.writers.lock().unwrap_or_else(PoisonError::into_inner));
        join_all(writers).await;
    }
}

async fn run(inner: Arc<Inner>, mut jobs: mpsc::Receiver<Job>) {
    while let Some(first) = jobs.recv().await {
        let mut bytes = first.appending.append.blob.len();
        let (mut batch, mut replies) = (vec![first.appending], vec![first.reply]);
        while batch.len() < BATCH
            && bytes < BATCH_BYTES
            && let Ok(Job { appending, reply }) = jobs.try_recv()
        {
            bytes += appending.append.blob.len();
            batch.push(appending);
            replies.push(reply);
        }
        let batch = Arc::new(batch);
        match append(&inner, &batch).await {
            Ok(answers) => settle(&inner, replies, answers),
            Err(fault) if replies.len() > 1 && fault.is_about_the_statement() => {
                let batch = Arc::try_unwrap(batch).unwrap_or_else(|shared| shared.as_ref().clone());
                for (appending, reply) in batch.into_iter().zip(replies) {
                    match append(&inner, &Arc::new(vec![appending])).await {
                        Ok(answers) => settle(&inner, vec![reply], answers),
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

async fn append(inner: &Inner, batch: &Arc<Vec<Appending>>) -> Result<Vec<(Appended, Option<Wake>)>, Fault> {
    inner
        .transaction(batch.len(), |tx, context| {
            let batch = Arc::clone(batch);
            Box::pin(async move { logs::append(tx, &batch, context).await })
        })
        .await
}

/// Answers every waiter, then tells those who follow. A waiter may have gone; what is stored is stored, and told.
fn settle(
    inner: &Inner,
    replies: Vec<oneshot::Sender<Result<Appended, StorageError>>>,
    answers: Vec<(Appended, Option<Wake>)>,
) {
    let mut told = Vec::new();
    for (reply, (appended, wake)) in replies.into_iter().zip(answers) {
        let _ = reply.send(Ok(appended));
        told.extend(wake);
    }
    told.iter().for_each(|wake| inner.tell(wake));
}
