//! The way out: access keys, new logs, Welcomes and notices, and each conversation's queue in order. Conversations do not wait
//! for each other. What is sent is retried byte for byte until the relay has answered. Not here: how one item
//! is sealed and handed in (`attempt`), what goes into inboxes (`deliveries`).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rusqlite::Transaction;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use waxwing_protocol::AccessKey;
use waxwing_wire::EnvelopeId;
use waxwing_wire::frame::CreateLog;
use waxwing_wire::problem::ProblemCode;

use super::Engine;
use super::attempt::Attempt;
use super::emit::Changes;
use super::follow::{self, First};
use crate::error::{Error, ErrorCode};
use crate::random;
use crate::relay::ApiError;
use crate::store::conversations::ConversationId;
use crate::store::outbox::{Item, What};
use crate::store::{account, conversations, deliveries, logs, messages, outbox};
use crate::views::MessageState;

/// Conversations sent to at once, through each relay.
const ABREAST: usize = 8;
/// Times that an envelope is sealed anew in one pass before it waits for the next.
const RESEALS: u32 = 8;
/// The longest that a change waits when it is overtaken for the second time.
const FIRST_BACK_OFF: Duration = Duration::from_millis(100);

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
        let mut sends = JoinSet::new();
        for (relay, entries) in self.on_their_way().await? {
            let engine = Arc::clone(self);
            sends.spawn(async move { engine.deliver_to(&relay, entries).await });
        }
        // What is for one relay, and may wait for it, takes no place from what is for another.
        let mut abreast: HashMap<Option<String>, Arc<Semaphore>> = HashMap::new();
        let now = self.now_ms();
        for (conversation, relay) in self.store.run(move |tx| queues(tx, now)).await? {
            let places = abreast.entry(relay).or_insert_with(|| Arc::new(Semaphore::new(ABREAST)));
            let (engine, places) = (Arc::clone(self), Arc::clone(places));
            sends.spawn(async move {
                let _place = places.acquire().await;
                engine.flush_conversation(conversation).await
            });
        }
        while let Some(result) = sends.join_next().await {
            let ended = |_| Error::new(ErrorCode::Internal, "a sending task ended early");
            outcome = outcome.and(result.map_err(ended).and_then(|result| result));
        }
        outcome
    }

    /// Whether something still waits that could be sent now.
    pub(super) async fn outbox_waits(&self) -> bool {
        let now = self.now_ms();
        !self.store.run(move |tx| outbox::is_empty(tx, now)).await.unwrap_or(false)
    }

    /// Milliseconds until something is due that waits for its time.
    pub(super) async fn outbox_due_in(&self) -> Option<u64> {
        let now = self.now_ms();
        let due = self.store.run(move |tx| outbox::next_time(tx, now)).await.ok().flatten();
        due.map(|due| due.saturating_sub(now))
    }

    pub(super) async fn flush_access_keys(&self) -> Result<(), Error> {
        let (new, gone) = self
            .store
            .run(|tx| Ok((account::unregistered_access_keys(tx)?, account::dismissed_access_keys(tx)?)))
            .await?;
        if !gone.is_empty() {
            self.home.delete_access_keys(gone.iter().map(AccessKey::hash).collect()).await?;
            self.store.run(move |tx| gone.iter().try_for_each(|key| account::access_key_dismissed(tx, key))).await?;
        }
        if !new.is_empty() {
            self.home.put_access_keys(new.iter().map(AccessKey::hash).collect()).await?;
            self.store.run(move |tx| new.iter().try_for_each(|key| account::access_key_registered(tx, key))).await?;
        }
        Ok(())
    }

    pub(super) async fn flush_new_logs(&self) -> Result<(), Error> {
        let new = self.store.run(logs::to_create).await?;
        let mut outcome = Ok(());
        for log in new {
            let tokens = log.secret.log_tokens();
            if let Err(error) = self.home.create_log(&CreateLog { log: log.log, tokens }).await {
                let often = error.problem() == Some(ProblemCode::RateLimited);
                outcome = outcome.and(Err(error.into()));
                if often {
                    // Nor will it take the others now.
                    break;
                }
                continue;
            }
            self.store.run(move |tx| logs::set_created(tx, log.log)).await?;
            self.logs_changed.send_modify(|count| *count += 1);
        }
        outcome
    }

    /// Sends a conversation's queue, oldest first, until it is empty or has to wait. Another pass's queue is left to it.
    async fn flush_conversation(&self, conversation: ConversationId) -> Result<(), Error> {
        loop {
            let Some(mine) = Sending::begin(self, conversation) else { return Ok(()) };
            self.send_queue(conversation).await?;
            drop(mine);
            // What came in while the empty queue was let go found it taken.
            let now = self.now_ms();
            if self.store.run(move |tx| outbox::head(tx, &conversation, now)).await?.is_none() {
                return Ok(());
            }
        }
    }

    async fn send_queue(&self, conversation: ConversationId) -> Result<(), Error> {
        let (mut reseals, mut tried) = (0, HashSet::new());
        loop {
            let now = self.now_ms();
            let Some(item) = self.store.run(move |tx| outbox::head(tx, &conversation, now)).await? else {
                return Ok(());
            };
            if item.what == What::Message && item.sealed.is_none() {
                let known = tried.clone();
                match self.store.run(move |tx| follow::comes_first(tx, &conversation, now, &known)).await? {
                    First::Nothing => {}
                    First::Change(n) => {
                        tried.insert(n);
                        continue;
                    }
                    First::Nobody(when) => {
                        let n = item.n;
                        self.store.run(move |tx| outbox::postpone(tx, n, when)).await?;
                        continue;
                    }
                }
            }
            match self.attempt(&item).await? {
                Attempt::Accepted(entry, seq) => self.accepted(&item, (entry, seq)).await?,
                Attempt::Gone => {}
                Attempt::Reseal if reseals < RESEALS => {
                    reseals += 1;
                    let n = item.n;
                    self.store.run(move |tx| outbox::unseal(tx, n)).await?;
                    // Changes of one group by many at once: whoever came second again lets others go first.
                    if item.what == What::Change && reseals > 1 {
                        tokio::time::sleep(back_off(reseals)).await;
                    }
                }
                Attempt::Reseal => {
                    return Err(Error::new(ErrorCode::RelayMisbehaved, "the relay keeps asking to seal again"));
                }
                Attempt::Wait(error) => return Err(error),
                Attempt::Later(when) => {
                    let n = item.n;
                    self.store.run(move |tx| outbox::postpone(tx, n, when)).await?;
                }
                Attempt::Refused(error) => self.refused(&item, &error).await?,
            }
        }
    }

    async fn accepted(&self, item: &Item, (entry, seq): (EnvelopeId, u64)) -> Result<(), Error> {
        let (n, message, conversation, me) = (item.n, item.message, item.conversation, self.account);
        let changes = self
            .store
            .run(move |tx| {
                let mut changes = Changes::default();
                if !outbox::set_accepted(tx, n, entry, seq)? {
                    return Ok(changes);
                }
                if !deliveries::welcoming(tx, &conversation)? && conversations::set_problem(tx, &conversation, None)? {
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
                if message.is_none() || matches!(view.code, ErrorCode::Refused | ErrorCode::LeafKeysErased) {
                    conversations::set_problem(tx, &conversation, Some(&view))?;
                }
                // One that was only to be said again has arrived long ago.
                let arrived = |id| Ok::<_, Error>(messages::load(tx, me, id)?.is_some_and(|line| line.placed));
                if let Some(id) = message
                    && !arrived(id)?
                {
                    messages::set_state(tx, me, id, MessageState::Failed, Some(&view))?;
                    changes.message(me, id, false);
                }
                changes.conversation(conversation);
                changes.group(conversation);
                Ok(changes)
            })
            .await?;
        tracing::warn!(%error, "an envelope was refused");
        self.tell(changes).await;
        Ok(())
    }
}

/// Conversations that something waits in, and through which relay it goes; none where it has no log yet.
fn queues(tx: &Transaction<'_>, now_ms: u64) -> Result<Vec<(ConversationId, Option<String>)>, Error> {
    let relay = |item: Item| {
        let log = match item.log {
            Some(log) => logs::load(tx, log)?,
            None => logs::to_send(tx, &item.conversation)?,
        };
        Ok((item.conversation, log.map(|log| log.relay.authority())))
    };
    outbox::heads(tx, now_ms)?.into_iter().map(relay).collect()
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
        self.engine.queue_freed.notify_waiters();
    }
}

/// How long a change waits that was overtaken for the `times`th time: at random, up to a limit that doubles from 100 ms to 3.2 s.
fn back_off(times: u32) -> Duration {
    let [fraction] = random::bytes::<1>();
    (FIRST_BACK_OFF * 2u32.pow(times.saturating_sub(2).min(5))).mul_f64(f64::from(fraction) / 256.0)
}

/// Whether the same request may succeed later without anybody's doing.
pub(super) fn waits(error: &ApiError) -> bool {
    match error {
        ApiError::Unreachable(_) | ApiError::Certificate(_) => true,
        // The clock may be set, or the certificate renewed.
        ApiError::CertificateTime(_) => true,
        // One may be put there, or renewed.
        ApiError::OwnCertificate { .. } => true,
        ApiError::NotARelay(_) | ApiError::Version(_) => true,
        // An answer that cannot be read says nothing about what was stored.
        ApiError::Malformed(_) => true,
        ApiError::Problem(problem) => matches!(
            problem.code,
            ProblemCode::RateLimited
                | ProblemCode::Timeout
                | ProblemCode::InsufficientStorage
                | ProblemCode::Unavailable
                | ProblemCode::Internal
                | ProblemCode::Unauthorized
                // A relay that is not content with its own nonces, as one whose processes differ.
                | ProblemCode::UseDpopNonce
                // Whoever has disabled an account can enable it again.
                | ProblemCode::AccountDisabled
                | ProblemCode::UpdateNeeded
                | ProblemCode::Unknown
        ),
    }
}

#[cfg(test)]
mod tests {
    use waxwing_wire::problem::Problem;

    use super::*;

    /// What the operator's word alone stands against is kept; what the relay will never take is told as failed.
    #[test]
    fn d2_what_a_disabled_account_has_to_send_waits() {
        let problem = |code| {
            let title = String::new();
            ApiError::Problem(Problem { code, status: 403, title, head: None, oldest: None, retry_after: None })
        };
        assert!(waits(&problem(ProblemCode::AccountDisabled)));
        assert!(!waits(&problem(ProblemCode::TooLarge)));
        assert!(!waits(&problem(ProblemCode::InboxRefused)));
    }

    /// It heals by itself once the clock is set: until then nothing is told as failed.
    #[test]
    fn d8_what_there_is_to_send_waits_for_a_certificate_that_is_valid_by_this_computers_clock() {
        for what in ["has expired", "is not valid yet"] {
            assert!(waits(&ApiError::CertificateTime(what)));
        }
    }
}
