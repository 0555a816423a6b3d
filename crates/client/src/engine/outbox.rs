//! The way out: access keys, new logs, Welcomes and notices, and each conversation's queue in order. Conversations do not wait
//! for each other. What is sent is retried byte for byte until the relay has answered. Not here: what goes into inboxes (`deliveries`).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rusqlite::Transaction;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use waxwing_protocol::AccessKey;
use waxwing_wire::EnvelopeId;
use waxwing_wire::frame::{Append, CreateLog};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::problem::ProblemCode;

use super::context::Context;
use super::conversations::ensure_group;
use super::emit::Changes;
use super::follow::{self, First};
use super::sealing::{self, Outcome};
use super::{Engine, entries, safety};
use crate::error::{Error, ErrorCode};
use crate::mls::Group;
use crate::random;
use crate::relay::ApiError;
use crate::store::conversations::ConversationId;
use crate::store::outbox::{Item, Sealed, What};
use crate::store::{account, conversations, deliveries, logs, messages, outbox};
use crate::views::{ConversationKind, MessageState, Standing};

/// Conversations sent to at once, through each relay.
const ABREAST: usize = 8;
/// Times that an envelope is sealed anew in one pass before it waits for the next.
const RESEALS: u32 = 8;
/// The longest that a change waits when it is overtaken for the second time.
const FIRST_BACK_OFF: Duration = Duration::from_millis(100);
/// How long a device that has recovered waits for the other side of a conversation to let it back in.
const GIVE_UP_MS: u64 = 24 * 60 * 60 * 1000;
/// Chains that are asked for before one envelope is sealed.
const MOST_CHAINS: usize = 80;

/// What became of one attempt.
enum Attempt {
    /// The relay has put this envelope at this place of its log.
    Accepted(EnvelopeId, u64),
    /// There is nothing to do any more.
    Gone,
    /// It must be sealed again under a new id.
    Reseal,
    /// It waits: the relay is out of reach or busy.
    Wait(Error),
    /// It is tried again then, and holds up nothing that comes after it.
    Later(u64),
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

    async fn flush_new_logs(&self) -> Result<(), Error> {
        let new = self.store.run(logs::to_create).await?;
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

    async fn attempt(&self, item: &Item) -> Result<Attempt, Error> {
        let conversation = item.conversation;
        let bound = item.log;
        let context = self.context();
        let home = self.home.address().clone();
        // A change that is sealed may be in the log already: it is not put off, for another would take its place in the group.
        let sealed_change = item.what == What::Change && item.sealed.is_some();
        let depends = if sealed_change { safety::DependsOn::Nobody } else { safety::DependsOn::of(item) };
        let (log, standing, stopped, (awaited, made)) = self
            .store
            .run(move |tx| {
                let found = conversations::load(tx, &conversation)?;
                if let Some(doubt) = depends.waits(tx, context.account, &found)? {
                    return Ok((None, found.standing, Some(doubt), (false, false)));
                }
                let mut made = false;
                let log = match bound {
                    Some(log) => logs::load(tx, log)?.filter(|log| log.active),
                    None => logs::to_send(tx, &conversation)?,
                };
                let mut awaited = logs::awaits_welcome(tx, &conversation)?;
                if awaited && found.kind == ConversationKind::Direct && given_up(tx, &context, &conversation)? {
                    // The other side may have nobody left in the group either: the two begin anew.
                    awaited = false;
                }
                if log.is_none() && awaited {
                    return Ok((None, found.standing, None, (true, false)));
                }
                if log.is_none() && bound.is_none() && found.standing == Standing::Member {
                    // Whoever is to be in it is brought in before anything is said there.
                    made = ensure_group(tx, &context, &found, home)?.is_some();
                }
                let stops = |code| matches!(code, ErrorCode::RelayWentBack | ErrorCode::ChainBroken);
                let stopped = found.problem().filter(|problem| stops(problem.code));
                Ok((log, found.standing, stopped, (false, made)))
            })
            .await?;
        if awaited {
            return Ok(Attempt::Wait(Error::new(ErrorCode::RelayBusy, "this device waits to be let back in")));
        }
        if let Some(problem) = &stopped
            && matches!(problem.code, ErrorCode::VerifyAgain | ErrorCode::KeysInDoubt)
        {
            // Not sealed to keys in doubt. It holds up nothing: whoever is in doubt may be about to be removed.
            return Ok(Attempt::Later(self.now_ms() + safety::LOOK_AGAIN_MS));
        }
        if let Some(problem) = stopped {
            // The log is another than the one that was read, or somebody's keys are in doubt: nothing is sent into that.
            return Ok(Attempt::Wait(Error::new(problem.code, problem.detail)));
        }
        if made {
            return Ok(Attempt::Later(0));
        }
        let Some(log) = log else {
            return Ok(Attempt::Refused(Error::new(ErrorCode::NotMember, "one is not in the conversation any more")));
        };
        if standing == Standing::Request {
            return Ok(Attempt::Refused(Error::new(ErrorCode::Internal, "nothing is sent before one accepts")));
        }
        if !log.created {
            self.flush_new_logs().await?;
        }
        let sealed = match &item.sealed {
            Some(sealed) => sealed.clone(),
            None => match self.seal(item, &log).await? {
                Outcome::Sealed(sealed) => sealed,
                Outcome::Done => return Ok(Attempt::Gone),
                Outcome::Need(_) => {
                    return Ok(Attempt::Wait(Error::new(ErrorCode::RelayBusy, "somebody's chain is not complete")));
                }
                Outcome::Wait(error) => return Ok(Attempt::Wait(error)),
                Outcome::Later(when) => return Ok(Attempt::Later(when)),
                Outcome::Refused(error) => return Ok(Attempt::Refused(error)),
            },
        };
        // It may have been rekeyed while it was read for this.
        let id = log.log;
        match self.store.run(move |tx| logs::load(tx, id)).await?.filter(|log| log.active) {
            Some(log) => self.append(item, log, sealed).await,
            None => Ok(Attempt::Reseal),
        }
    }

    /// Seals an item, with the log read to its head, everybody's chain at hand and key packages claimed.
    async fn seal(&self, item: &Item, log: &logs::Log) -> Result<Outcome, Error> {
        let (item, claimed) = match item.what {
            What::Message => {
                // An older copy of the database must not use a key twice: what this device has said is read first.
                let replayed = self.replayed.lock().unwrap_or_else(PoisonError::into_inner).contains(&log.log);
                if !replayed {
                    self.drain_log(log.log).await?;
                }
                (item.clone(), Vec::new())
            }
            What::Change => {
                // No own commit before the log is replayed to its head.
                self.drain_log(log.log).await?;
                match self.claim_for(item, log).await? {
                    Ok(ready) => ready,
                    Err(outcome) => return Ok(outcome),
                }
            }
        };
        let conversation = item.conversation;
        let kind = self.store.run(move |tx| Ok(conversations::load(tx, &conversation)?.kind)).await?;
        let (group, says) = (kind == ConversationKind::Group, item.what == What::Message);
        let mut asked = HashSet::new();
        let mut absent = if group { self.absent_now() } else { HashSet::new() };
        for _ in 0..MOST_CHAINS {
            let lock = self.log_lock(log.log);
            let one = lock.lock().await;
            // A rotation's last step waits meanwhile.
            let guard = self.keys_guard.read().await;
            let (context, item, id, claimed) = (self.context(), item.clone(), log.log, claimed.clone());
            let (known, gone) = (asked.clone(), absent.clone());
            let seal =
                move |tx: &Transaction<'_>| sealing::seal_item(tx, &context, &item, id, claimed, (&known, &gone));
            let outcome = self.store.run(seal).await?;
            drop((guard, one));
            match outcome {
                Outcome::Need(account) => match self.chain_for_reading(account).await {
                    Ok(()) => drop(asked.insert(account)),
                    // Where there is but one to hear it, it waits.
                    Err(error) if !group => return Err(error),
                    Err(error) => {
                        tracing::info!(%error, "a member's chain cannot be had; what is sealed now is not for them yet");
                        self.is_absent(account);
                        absent.insert(account);
                        if says && is_doubt(error.code()) {
                            // Whether anything is said there is looked at anew.
                            return Err(error);
                        }
                    }
                },
                outcome => return Ok(outcome),
            }
        }
        Err(Error::new(ErrorCode::RelayMisbehaved, "somebody's chain does not state their device"))
    }

    async fn append(&self, item: &Item, log: logs::Log, sealed: Sealed) -> Result<Attempt, Error> {
        let (relay, id, write_token) = (self.relay(&log.relay)?, log.log, log.secret.write_token());
        let kind = if item.what == What::Change { EnvelopeKind::Handshake } else { EnvelopeKind::App };
        let entry_id = sealed.entry_id;
        let append = Append {
            entry_id,
            kind,
            after: sealed.after,
            rekey: sealed.secret.as_ref().map(waxwing_protocol::ChannelSecret::log_tokens),
            blob: sealed.blob,
        };
        match relay.append(id, &write_token, &append).await {
            Ok(stored) if item.what == What::Message => {
                let (n, seq) = (item.n, stored.seq);
                let (there, now) = self.store.run(move |tx| Ok((outbox::exists(tx, n)?, logs::load(tx, id)?))).await?;
                // Read so far already, and not seen there: another place is lied about, or the log was read on from behind it.
                let unseen = there && now.is_some_and(|now| now.active && now.cursor >= seq);
                if !unseen {
                    return Ok(Attempt::Accepted(entry_id, seq));
                }
                self.store.run(move |tx| outbox::unseal(tx, n)).await?;
                Ok(Attempt::Later(self.now_ms() + entries::AGAIN_MS))
            }
            Ok(stored) => {
                // It takes effect where it stands: everything before it is read first.
                self.drain_log(id).await?;
                let n = item.n;
                let (there, now) = self.store.run(move |tx| Ok((outbox::exists(tx, n)?, logs::load(tx, id)?))).await?;
                if there && now.is_some_and(|now| now.active && now.cursor < stored.seq) {
                    // Accepted, and not shown: it may stand there, so its bytes are kept and asked about again. Sealed anew, the one in the
                    // log would be an own commit that this device did not make, and its place lost.
                    let error = Error::new(ErrorCode::RelayMisbehaved, "what was accepted is not in the log");
                    return Ok(Attempt::Wait(error));
                }
                Ok(if there { Attempt::Reseal } else { Attempt::Gone })
            }
            Err(error) if waits(&error) => Ok(Attempt::Wait(error.into())),
            Err(error) => match error.problem() {
                Some(problem @ (ProblemCode::Conflict | ProblemCode::Rekeyed)) => {
                    self.drain_log(id).await?;
                    let now = self.store.run(move |tx| logs::load(tx, id)).await?;
                    let same = now.filter(|now| now.active && now.secret.write_token() == write_token);
                    if problem == ProblemCode::Rekeyed
                        && let Some(now) = same
                    {
                        if error.head().is_none_or(|head| head > now.cursor) {
                            // The relay says so, and does not show by what: it may yet.
                            return Ok(Attempt::Wait(error.into()));
                        }
                        // All that there is was read, and no valid commit has set other tokens: nobody here can write any more.
                        self.freeze(id).await?;
                        let gone = self.store.run(move |tx| logs::load(tx, id)).await?.is_none_or(|log| !log.active);
                        return Ok(if gone { Attempt::Reseal } else { Attempt::Wait(error.into()) });
                    }
                    let n = item.n;
                    // The entry itself may have been there.
                    let done = !self.store.run(move |tx| outbox::exists(tx, n)).await?;
                    Ok(if done { Attempt::Gone } else { Attempt::Reseal })
                }
                Some(ProblemCode::IdReused) => Ok(Attempt::Reseal),
                Some(ProblemCode::LogRefused) => {
                    // The relay knows the log, or its token, no more: somebody begins anew, and this waits for it.
                    self.freeze(id).await?;
                    let gone = self.store.run(move |tx| logs::load(tx, id)).await?.is_none_or(|log| !log.active);
                    Ok(if gone { Attempt::Reseal } else { Attempt::Wait(error.into()) })
                }
                _ => Ok(Attempt::Refused(error.into())),
            },
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
                if message.is_none() || view.code == ErrorCode::Refused {
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

/// Whether nobody has let a device back in for a day that has nothing left of the group: not even what it would ask with.
fn given_up(tx: &Transaction<'_>, context: &Context, conversation: &ConversationId) -> Result<bool, Error> {
    for log in logs::of(tx, conversation)?.into_iter().filter(|log| !log.active) {
        let (since, nonce) = logs::resync(tx, log.log)?;
        let waits = nonce.is_some() && context.now.saturating_sub(since) < GIVE_UP_MS;
        if waits || Group::load(&context.crypto, tx, log.log)?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
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

/// Whether what a relay has shown of a chain is another one than is known.
fn is_doubt(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::ChainBroken | ErrorCode::NotInLog | ErrorCode::LogContradicts)
}

/// Whether the same request may succeed later without anybody's doing.
pub(super) fn waits(error: &ApiError) -> bool {
    match error {
        ApiError::Unreachable(_) | ApiError::Certificate(_) | ApiError::NotValidYet => true,
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
}
