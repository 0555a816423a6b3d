//! One item of the way out: what keeps it back, sealing it with all that it needs at hand, and handing it in at the log's relay.
//!
//! Not here: which item is next, and what becomes of it afterwards (`outbox`); what is in an envelope (`sealing`).

use std::collections::HashSet;
use std::sync::PoisonError;

use rusqlite::Transaction;
use waxwing_wire::EnvelopeId;
use waxwing_wire::frame::Append;
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::problem::ProblemCode;

use super::context::Context;
use super::conversations::ensure_group;
use super::outbox::waits;
use super::sealing::{self, Outcome};
use super::{Engine, entries, safety};
use crate::error::{Error, ErrorCode};
use crate::mls::{ClaimedPackage, Group};
use crate::store::conversations::ConversationId;
use crate::store::outbox::{Item, Sealed, What};
use crate::store::{conversations, logs, outbox};
use crate::views::{ConversationKind, Standing};

/// How long a device that has recovered waits for the other side of a conversation to let it back in.
const GIVE_UP_MS: u64 = 24 * 60 * 60 * 1000;
/// Chains that are asked for before one envelope is sealed.
const MOST_CHAINS: usize = 80;

/// What became of one attempt.
pub(super) enum Attempt {
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
    /// Seals the item if it is not sealed yet, and hands it in.
    pub(super) async fn attempt(&self, item: &Item) -> Result<Attempt, Error> {
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
        let outcome = self.seal_with(item, log, claimed.clone()).await;
        if !matches!(outcome, Ok(Outcome::Sealed(_) | Outcome::Done | Outcome::Refused(_))) {
            self.in_hand.put(claimed);
        }
        outcome
    }

    /// Seals what is ready, asking for the chains that are wanting.
    async fn seal_with(&self, item: Item, log: &logs::Log, claimed: Vec<ClaimedPackage>) -> Result<Outcome, Error> {
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
        let (entry_id, after) = (sealed.entry_id, sealed.after);
        let append = Append {
            entry_id,
            kind,
            after,
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
                    if problem == ProblemCode::Conflict && same.as_ref().is_some_and(|now| now.last_handshake == after)
                    {
                        // It shows no handshake that would be in the way. It may have this very entry: sealed anew, that would be one which
                        // this device did not make, and its place lost.
                        return Ok(Attempt::Wait(error.into()));
                    }
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
                Some(ProblemCode::QuotaExceeded) => self.has_no_room(item, id).await,
                _ => Ok(Attempt::Refused(error.into())),
            },
        }
    }
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

/// Whether what a relay has shown of a chain is another one than is known.
fn is_doubt(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::ChainBroken | ErrorCode::NotInLog | ErrorCode::NewerKeysHeldBack | ErrorCode::LogContradicts
    )
}
