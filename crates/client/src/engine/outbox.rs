//! The way out: access keys, new logs, introductions, then each conversation's queue in order. Conversations do not wait
//! for each other. What is sent is retried byte for byte until the relay has answered.

use std::sync::{Arc, PoisonError};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use waxwing_wire::frame::{Append, CreateLog, InboxSend};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::problem::ProblemCode;

use super::Engine;
use super::emit::Changes;
use crate::error::{Error, ErrorCode};
use crate::relay::ApiError;
use crate::store::conversations::ConversationId;
use crate::store::outbox::{Introduction, Item, Sealed};
use crate::store::{account, contacts, conversations, logs, messages, outbox};
use crate::views::MessageState;

/// Conversations sent to at once.
const ABREAST: usize = 8;
/// Times that an envelope is sealed anew in one pass before it waits for the next.
const RESEALS: usize = 4;

/// What became of one attempt.
enum Attempt {
    /// It is at the relay.
    Accepted,
    /// It must be sealed again under a new id.
    Reseal,
    /// It waits: the relay is out of reach or busy.
    Wait(Error),
    /// It will not be sent without the user.
    Refused(Error),
}

impl Engine {
    /// One pass over everything that waits. The first error met is given back; the rest was tried all the same.
    ///
    /// Passes may overlap: what one of them is sending, another leaves to it. So a relay that does not answer holds up
    /// nothing but what is for it.
    pub(super) async fn flush(self: &Arc<Self>) -> Result<(), Error> {
        let mut outcome = Ok(());
        if let Ok(_one) = self.flushing.try_lock() {
            outcome = outcome.and(self.flush_access_keys().await);
            outcome = outcome.and(self.flush_new_logs().await);
        }
        // Dropped with this pass, so a cancelled pass leaves nothing running.
        let (mut sends, abreast) = (JoinSet::new(), Arc::new(Semaphore::new(ABREAST)));
        for introduction in self.store.run(outbox::introductions).await? {
            let (engine, abreast) = (Arc::clone(self), Arc::clone(&abreast));
            sends.spawn(async move {
                let _place = abreast.acquire().await;
                engine.send_introduction(introduction).await
            });
        }
        for head in self.store.run(outbox::heads).await? {
            let (engine, abreast) = (Arc::clone(self), Arc::clone(&abreast));
            sends.spawn(async move {
                let _place = abreast.acquire().await;
                engine.flush_conversation(head.conversation).await
            });
        }
        while let Some(result) = sends.join_next().await {
            let ended = |_| Error::new(ErrorCode::Internal, "a sending task ended early");
            outcome = outcome.and(result.map_err(ended).and_then(|result| result));
        }
        outcome
    }

    /// Whether something still waits.
    pub(super) async fn outbox_waits(&self) -> bool {
        !self.store.run(outbox::is_empty).await.unwrap_or(false)
    }

    async fn flush_access_keys(&self) -> Result<(), Error> {
        let keys = self.store.run(account::unregistered_access_keys).await?;
        if keys.is_empty() {
            return Ok(());
        }
        self.home.put_access_keys(keys.iter().map(waxwing_protocol::AccessKey::hash).collect()).await?;
        self.store.run(move |tx| keys.iter().try_for_each(|key| account::access_key_registered(tx, key))).await
    }

    async fn flush_new_logs(&self) -> Result<(), Error> {
        let new: Vec<_> = self.store.run(logs::all).await?.into_iter().filter(|log| log.mine && !log.created).collect();
        let mut outcome = Ok(());
        for log in new {
            let tokens = log.secret.log_tokens();
            if let Err(error) = self.home.create_log(&CreateLog { log: log.log, tokens }).await {
                outcome = outcome.and(Err(error.into()));
                continue;
            }
            self.store.run(move |tx| logs::set_created(tx, log.log)).await?;
            self.logs_changed.send_modify(|count| *count += 1);
        }
        outcome
    }

    async fn send_introduction(&self, introduction: Introduction) -> Result<(), Error> {
        let peer = introduction.account;
        let (log, contact) =
            self.store.run(move |tx| Ok((logs::load(tx, introduction.log)?, contacts::load(tx, peer)?))).await?;
        let Some(log) = log.filter(|log| log.created) else { return Ok(()) };
        let entry = InboxSend { entry_id: introduction.entry_id, kind: EnvelopeKind::Welcome, blob: introduction.blob };
        let access_key = contact.and_then(|contact| contact.access_key);
        let mut outcome = Err(ApiError::Malformed("no path"));
        if let Some(key) = &access_key {
            let relay = self.relay(&introduction.relay)?;
            outcome = relay.inbox_send(introduction.device, Some(key), &entry).await;
        }
        // A refused key falls back to the stranger's path, which needs an account on the same relay.
        let refused = matches!(&outcome, Err(error) if error.problem() == Some(ProblemCode::InboxRefused));
        if (access_key.is_none() || refused) && introduction.relay.authority() == self.home.address().authority() {
            outcome = self.home.inbox_send(introduction.device, None, &entry).await;
        }
        let conversation = log.conversation;
        let error = match outcome {
            Ok(_) => None,
            Err(error) if waits(&error) => return Err(error.into()),
            Err(error) => Some(Error::from(error)),
        };
        // One that is refused is kept and tried again (the other side may free space, a better link may be pasted); until
        // it has arrived, the conversation says that nobody can have read anything.
        let view = error.as_ref().map(Error::view);
        let news = self
            .store
            .run(move |tx| {
                if view.is_none() {
                    outbox::remove_introduction(tx, introduction.entry_id)?;
                }
                let over = view.is_none() && !outbox::introducing(tx, &conversation)?;
                if over || view.is_some() {
                    conversations::set_problem(tx, &conversation, view.as_ref())
                } else {
                    Ok(false)
                }
            })
            .await?;
        if news {
            let mut changes = Changes::default();
            changes.conversation(conversation);
            self.tell(changes).await;
        }
        error.map_or(Ok(()), Err)
    }

    /// Sends a conversation's queue, oldest first, until it is empty or has to wait. Another pass's queue is left to it.
    async fn flush_conversation(&self, conversation: ConversationId) -> Result<(), Error> {
        loop {
            let Some(mine) = Sending::begin(self, conversation) else { return Ok(()) };
            self.send_queue(conversation).await?;
            drop(mine);
            // What came in while the empty queue was let go found it taken.
            let queues = self.store.run(outbox::heads).await?;
            if queues.iter().all(|item| item.conversation != conversation) {
                return Ok(());
            }
        }
    }

    async fn send_queue(&self, conversation: ConversationId) -> Result<(), Error> {
        let mut reseals = 0;
        loop {
            let queues = self.store.run(outbox::heads).await?;
            let Some(item) = queues.into_iter().find(|item| item.conversation == conversation) else { return Ok(()) };
            match self.attempt(&item).await? {
                Attempt::Accepted => self.accepted(&item).await?,
                Attempt::Reseal if reseals < RESEALS => {
                    reseals += 1;
                    let n = item.n;
                    self.store.run(move |tx| outbox::unseal(tx, Some(n))).await?;
                }
                Attempt::Reseal => {
                    return Err(Error::new(ErrorCode::RelayMisbehaved, "the relay keeps asking to seal again"));
                }
                Attempt::Wait(error) => return Err(error),
                Attempt::Refused(error) => self.refused(&item, &error).await?,
            }
        }
    }

    async fn attempt(&self, item: &Item) -> Result<Attempt, Error> {
        let conversation = item.conversation;
        let stored = item.sealed.as_ref().map(|sealed| sealed.log);
        let (log, peer, stopped) = self
            .store
            .run(move |tx| {
                let log = match stored {
                    Some(log) => logs::load(tx, log)?,
                    None => logs::to_send(tx, &conversation)?,
                };
                let found = conversations::load(tx, &conversation)?;
                let stops = |code| matches!(code, ErrorCode::RelayWentBack | ErrorCode::ChainBroken);
                let stopped = found.problem().filter(|problem| stops(problem.code));
                Ok((log, found.account, stopped))
            })
            .await?;
        if let Some(problem) = stopped {
            // The log is another than the one that was read, or somebody's keys are in doubt: nothing is sent into that.
            return Ok(Attempt::Wait(Error::new(problem.code, problem.detail)));
        }
        let Some(log) = log else {
            return Ok(Attempt::Refused(Error::new(ErrorCode::Internal, "the conversation has no log")));
        };
        if !log.created {
            return Ok(Attempt::Wait(Error::new(ErrorCode::RelayDown, "the log does not exist at the relay yet")));
        }
        let (relay, log_id, write_token) = (self.relay(&log.relay)?, log.log, log.secret.write_token());
        let sealed = match &item.sealed {
            Some(sealed) => Sealed { blob: sealed.blob.clone(), ..*sealed },
            None => {
                let n = item.n;
                // The user may have deleted the message since the queue was read.
                if !self.store.run(move |tx| outbox::exists(tx, n)).await? {
                    return Ok(Attempt::Accepted);
                }
                match self.seal_for_log(item.n, log, peer, &item.content).await {
                    Ok(sealed) => sealed,
                    // Somebody's keys cannot be sealed to: said of this message, and no later one waits for it.
                    Err(error) if error.code() == ErrorCode::Internal => return Ok(Attempt::Refused(error)),
                    Err(error) => return Err(error),
                }
            }
        };
        let append = Append {
            entry_id: sealed.entry_id,
            kind: EnvelopeKind::App,
            after: sealed.after,
            rekey: None,
            blob: sealed.blob,
        };
        match relay.append(log_id, &write_token, &append).await {
            Ok(_) => Ok(Attempt::Accepted),
            Err(error) if waits(&error) => Ok(Attempt::Wait(error.into())),
            Err(error) => match error.problem() {
                Some(ProblemCode::Conflict | ProblemCode::Rekeyed) => {
                    self.drain_log(log_id).await?;
                    Ok(Attempt::Reseal)
                }
                Some(ProblemCode::IdReused) => Ok(Attempt::Reseal),
                _ => Ok(Attempt::Refused(error.into())),
            },
        }
    }

    async fn accepted(&self, item: &Item) -> Result<(), Error> {
        let (n, message, conversation, me) = (item.n, item.message, item.conversation, self.account);
        let changes = self
            .store
            .run(move |tx| {
                let mut changes = Changes::default();
                outbox::remove(tx, n)?;
                if !outbox::introducing(tx, &conversation)? && conversations::set_problem(tx, &conversation, None)? {
                    changes.conversation(conversation);
                }
                if let Some(id) = message {
                    messages::set_state(tx, me, id, MessageState::Sent, None)?;
                    changes.message(me, id, false);
                    changes.conversation(conversation);
                }
                Ok(changes)
            })
            .await?;
        self.tell(changes).await;
        Ok(())
    }

    async fn refused(&self, item: &Item, error: &Error) -> Result<(), Error> {
        let (n, message, conversation, me) = (item.n, item.message, item.conversation, self.account);
        let view = error.view();
        let changes = self
            .store
            .run(move |tx| {
                let mut changes = Changes::default();
                outbox::remove(tx, n)?;
                if view.code == ErrorCode::Refused {
                    conversations::set_problem(tx, &conversation, Some(&view))?;
                }
                if let Some(id) = message {
                    messages::set_state(tx, me, id, MessageState::Failed, Some(&view))?;
                    changes.message(me, id, false);
                }
                changes.conversation(conversation);
                Ok(changes)
            })
            .await?;
        tracing::warn!(%error, "an envelope was refused");
        self.tell(changes).await;
        Ok(())
    }
}

/// A conversation whose queue this pass is sending; given free when dropped, also where the pass is cancelled.
struct Sending<'a> {
    engine: &'a Engine,
    conversation: ConversationId,
}

impl<'a> Sending<'a> {
    fn begin(engine: &'a Engine, conversation: ConversationId) -> Option<Self> {
        let free = engine.sending.lock().unwrap_or_else(PoisonError::into_inner).insert(conversation);
        // Made only if it was free: dropping one gives the conversation free.
        free.then(|| Self { engine, conversation })
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.engine.sending.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.conversation);
    }
}

/// Whether the same request may succeed later without anybody's doing.
fn waits(error: &ApiError) -> bool {
    match error {
        ApiError::Unreachable(_) | ApiError::Certificate | ApiError::NotARelay(_) | ApiError::Version(_) => true,
        // An answer that cannot be read says nothing about what was stored.
        ApiError::Malformed(_) => true,
        ApiError::Problem(problem) => matches!(
            problem.code,
            ProblemCode::RateLimited
                | ProblemCode::InsufficientStorage
                | ProblemCode::Unavailable
                | ProblemCode::Internal
                | ProblemCode::Unauthorized
                | ProblemCode::UpdateNeeded
                | ProblemCode::Unknown
        ),
    }
}
