//! The way out: `outbox::{flush, deliver, send_queue, attempt, seal, claim, append, accepted, refused}`, one conversation after another.
//! Everybody is at home on one relay and known to it, so access keys are not asked for.

use std::collections::HashSet;
use std::sync::Arc;

use waxwing_protocol::ChannelSecret;
use waxwing_wire::frame::{Append, InboxSend};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::{AccountId, EnvelopeId, LogId};

use super::super::claims::{self, Ready, Sorted};
use super::super::conversations::ensure_group;
use super::super::entries::AGAIN_MS;
use super::super::follow::{self, First};
use super::super::sealing::{self, Outcome};
use super::super::{full, in_hand, safety};
use super::device::{Device, home, refused};
use super::ledger::Outside;
use super::sync::fatal;
use super::{Halt, Step};
use crate::error::{Error, ErrorCode};
use crate::mls::{ClaimedPackage, GroupChange, read_package};
use crate::store::conversations::ConversationId;
use crate::store::outbox::{Item, Sealed, What};
use crate::store::{account, conversations, deliveries, keys, logs, messages, outbox, sealed_for};
use crate::views::{ConversationKind, MessageState, Standing};

const RESEALS: usize = 8;
const MOST_CHAINS: usize = 80;

enum Attempt {
    Accepted(EnvelopeId, u64),
    Gone,
    Reseal,
    Refused(Error),
    Later(u64),
}

impl Device {
    pub(super) fn flush(&mut self, outside: &mut Outside) -> Step<()> {
        self.tx(|tx| {
            account::unregistered_access_keys(tx)?
                .iter()
                .try_for_each(|key| account::access_key_registered(tx, key))?;
            account::dismissed_access_keys(tx)?.iter().try_for_each(|key| account::access_key_dismissed(tx, key))
        })?;
        self.flush_new_logs(outside)?;
        for (_, entry) in self.look(deliveries::waiting) {
            let Some(delivery) = self.look(|tx| deliveries::load(tx, entry)) else { continue };
            let entry = InboxSend { entry_id: delivery.entry_id, kind: delivery.kind, blob: delivery.blob };
            self.ask(&mut outside.relay, |relay| relay.send(delivery.device, &entry))?.map_err(refused)?;
            self.tx(|tx| deliveries::remove(tx, delivery.entry_id))?;
        }
        let (now, mut outcome) = (outside.now, Ok(()));
        for head in self.look(|tx| outbox::heads(tx, now)) {
            let sent = self.send_queue(outside, head.conversation);
            fatal(&sent)?;
            outcome = outcome.and(sent);
        }
        outcome
    }

    fn flush_new_logs(&mut self, outside: &mut Outside) -> Step<()> {
        for log in self.look(logs::to_create) {
            let tokens = log.secret.log_tokens();
            self.ask(&mut outside.relay, |relay| relay.create_log(log.log, tokens))?.map_err(refused)?;
            self.tx(|tx| logs::set_created(tx, log.log))?;
        }
        Ok(())
    }

    fn send_queue(&mut self, outside: &mut Outside, conversation: ConversationId) -> Step<()> {
        let (mut reseals, mut tried) = (0, HashSet::new());
        while let Some(item) = self.look(|tx| outbox::head(tx, &conversation, outside.now)) {
            if item.what == What::Message && item.sealed.is_none() {
                match self.tx(|tx| follow::comes_first(tx, &conversation, outside.now, &tried))? {
                    First::Nothing => {}
                    First::Change(n) => {
                        tried.insert(n);
                        continue;
                    }
                    First::Nobody(when) => {
                        self.tx(|tx| outbox::postpone(tx, item.n, when))?;
                        continue;
                    }
                }
            }
            match self.attempt(outside, &item)? {
                Attempt::Accepted(entry, seq) => self.accepted(&item, (entry, seq))?,
                Attempt::Gone => {}
                Attempt::Reseal if reseals < RESEALS => {
                    reseals += 1;
                    self.tx(|tx| outbox::unseal(tx, item.n).map(drop))?;
                }
                Attempt::Reseal => return Err(Error::new(ErrorCode::RelayMisbehaved, "sealed again and again").into()),
                Attempt::Later(when) => self.tx(|tx| outbox::postpone(tx, item.n, when))?,
                Attempt::Refused(error) => self.refused(&item, &error)?,
            }
        }
        Ok(())
    }

    fn attempt(&mut self, outside: &mut Outside, item: &Item) -> Step<Attempt> {
        let (conversation, bound) = (item.conversation, item.log);
        let context = self.context(outside.now);
        let sealed_change = item.what == What::Change && item.sealed.is_some();
        let depends = if sealed_change { safety::DependsOn::Nobody } else { safety::DependsOn::of(item) };
        let (log, standing, stopped, (awaited, made)) = self.tx(|tx| {
            let found = conversations::load(tx, &conversation)?;
            if let Some(doubt) = depends.waits(tx, context.account, &found)? {
                return Ok((None, found.standing, Some(doubt), (false, false)));
            }
            let mut made = false;
            let log = match bound {
                Some(log) => logs::load(tx, log)?.filter(|log| log.active),
                None => logs::to_send(tx, &conversation)?,
            };
            if log.is_none() && logs::awaits_welcome(tx, &conversation)? {
                return Ok((None, found.standing, None, (true, false)));
            }
            if log.is_none() && bound.is_none() && found.standing == Standing::Member {
                made = ensure_group(tx, &context, &found, home())?.is_some();
            }
            let stops = |code| matches!(code, ErrorCode::RelayWentBack | ErrorCode::ChainBroken);
            Ok((log, found.standing, found.problem().filter(|problem| stops(problem.code)), (false, made)))
        })?;
        if made {
            return Ok(Attempt::Later(0));
        }
        if awaited {
            return Err(Error::new(ErrorCode::RelayBusy, "this device waits to be let back in").into());
        }
        if let Some(problem) = &stopped
            && matches!(problem.code, ErrorCode::VerifyAgain | ErrorCode::KeysInDoubt)
        {
            return Ok(Attempt::Later(outside.now + safety::LOOK_AGAIN_MS));
        }
        if let Some(problem) = stopped {
            return Err(Error::new(problem.code, problem.detail).into());
        }
        let Some(log) = log else {
            return Ok(Attempt::Refused(Error::new(ErrorCode::NotMember, "one is not in the conversation any more")));
        };
        if standing == Standing::Request {
            return Ok(Attempt::Refused(Error::new(ErrorCode::Internal, "nothing is sent before one accepts")));
        }
        if !log.created {
            self.flush_new_logs(outside)?;
        }
        let sealed = match &item.sealed {
            Some(sealed) => sealed.clone(),
            None => match self.seal(outside, item, &log)? {
                Outcome::Sealed(sealed) => sealed,
                Outcome::Done => return Ok(Attempt::Gone),
                Outcome::Refused(error) => return Ok(Attempt::Refused(error)),
                Outcome::Wait(error) => return Err(error.into()),
                Outcome::Later(when) => return Ok(Attempt::Later(when)),
                _ => return Err(Error::new(ErrorCode::RelayBusy, "it waits").into()),
            },
        };
        match self.look(|tx| logs::load(tx, log.log)).filter(|log| log.active) {
            Some(log) => self.append(outside, item, log, sealed),
            None => Ok(Attempt::Reseal),
        }
    }

    pub(super) fn seal(&mut self, outside: &mut Outside, item: &Item, log: &logs::Log) -> Step<Outcome> {
        let (mut claimed, mut item) = (Vec::new(), item.clone());
        if item.what == What::Message && !self.replayed.contains(&log.log) {
            self.drain_log(outside, log.log)?;
        }
        if item.what == What::Change {
            // No own commit before the log is replayed to its head.
            self.drain_log(outside, log.log)?;
            if let GroupChange::Follow(account) = GroupChange::decode(&item.content)? {
                let context = self.context(outside.now);
                if self.look(|tx| follow::needs_packages(tx, &context, log, account)) {
                    match self.claim(outside, account) {
                        Ok(packages) => claimed.extend(packages),
                        Err(Halt::Trouble(_)) => {
                            let chain = self.look(|tx| keys::chain(tx, account));
                            return Ok(Outcome::Later(follow::again(chain.as_ref(), outside.now)));
                        }
                        Err(halt) => return Err(halt),
                    }
                }
            }
            if let GroupChange::Add(people) = GroupChange::decode(&item.content)? {
                let (mut sorted, mut why) = (Sorted::default(), None);
                for account in people {
                    if !self.look(|tx| sorted.has_place(tx, account)) {
                        sorted.rest.push(account);
                        continue;
                    }
                    match self.claim(outside, account) {
                        Ok(packages) => {
                            sorted = self.look(|tx| sorted.with(tx, account));
                            claimed.extend(packages);
                        }
                        Err(Halt::Trouble(error)) => {
                            sorted.is_missing(account, in_hand::AGAIN_MS);
                            why = Some(error);
                        }
                        Err(halt) => return Err(halt),
                    }
                }
                let (context, of) = (self.context(outside.now), (item.n, &item.conversation, log.log));
                match self.tx(|tx| claims::without(tx, &context, of, sorted))? {
                    Ready::Change(content) => item.content = content.into(),
                    Ready::Later(when) => return Ok(Outcome::Later(when)),
                    Ready::Nobody => return Err(why.unwrap().into()),
                }
            }
        }
        let item = &item;
        let kind = self.look(|tx| Ok(conversations::load(tx, &item.conversation)?.kind));
        let (mut asked, mut absent) = (HashSet::new(), HashSet::new());
        for _ in 0..MOST_CHAINS {
            let (context, claimed) = (self.context(outside.now), claimed.clone());
            match self.tx(|tx| sealing::seal_item(tx, &context, item, log.log, claimed, (&asked, &absent)))? {
                Outcome::Need(account) => match self.refresh_chain(outside, account).map(drop) {
                    Ok(()) => drop(asked.insert(account)),
                    Err(Halt::Trouble(_)) if kind == ConversationKind::Group => drop(absent.insert(account)),
                    refreshed => refreshed?,
                },
                outcome => return Ok(outcome),
            }
        }
        Err(Error::new(ErrorCode::RelayMisbehaved, "somebody's chain does not state their device").into())
    }

    fn claim(&mut self, outside: &mut Outside, account: AccountId) -> Step<Vec<ClaimedPackage>> {
        let chain = self.refresh_chain(outside, account)?;
        let packages = self.ask(&mut outside.relay, |relay| relay.claim(account))?.map_err(refused)?;
        let crypto = Arc::clone(&self.crypto);
        let usable: Vec<_> =
            packages.iter().filter_map(|(device, bytes)| read_package(&crypto, &chain, *device, bytes).ok()).collect();
        if usable.is_empty() {
            return Err(Error::new(ErrorCode::NoKeyPackage, "no device of theirs can be added now").into());
        }
        Ok(usable)
    }

    fn append(&mut self, outside: &mut Outside, item: &Item, log: logs::Log, sealed: Sealed) -> Step<Attempt> {
        if let Some(message) = item.message {
            let before = outside.ledger.sealed.iter().any(|(entry, of)| *of == message && *entry != sealed.entry_id);
            if before {
                let chains = &outside.relay;
                let devices = self.look(|tx| sealed_for::devices_of_envelope(tx, sealed.entry_id));
                let accounts = devices.iter().filter_map(|device| chains.account_of(*device)).collect();
                outside.ledger.again_for.insert(sealed.entry_id, accounts);
            }
            outside.ledger.sealed.insert(sealed.entry_id, message);
        }
        let change = item.what == What::Change;
        let append = Append {
            entry_id: sealed.entry_id,
            kind: if change { EnvelopeKind::Handshake } else { EnvelopeKind::App },
            after: sealed.after,
            rekey: sealed.secret.as_ref().map(ChannelSecret::log_tokens),
            blob: sealed.blob,
        };
        let token = log.secret.write_token();
        let answer = self.ask(&mut outside.relay, |relay| relay.append(log.log, token.as_slice(), &append))?;
        match answer {
            Ok(seq) if !change => {
                let (there, now) = self.look(|tx| Ok((outbox::exists(tx, item.n)?, logs::load(tx, log.log)?)));
                let unseen = there && now.is_some_and(|now| now.active && now.cursor >= seq);
                if !unseen {
                    return Ok(Attempt::Accepted(append.entry_id, seq));
                }
                self.tx(|tx| outbox::unseal(tx, item.n))?;
                Ok(Attempt::Later(outside.now + AGAIN_MS))
            }
            Ok(seq) => {
                outside.ledger.story.push(format!("{} commits {:?}", self.name, GroupChange::decode(&item.content)?));
                self.drain_log(outside, log.log)?;
                let (there, now) = self.look(|tx| Ok((outbox::exists(tx, item.n)?, logs::load(tx, log.log)?)));
                if there && now.is_some_and(|now| now.active && now.cursor < seq) {
                    // Accepted, and not shown: it may stand there, so its bytes are kept and asked about again.
                    return Err(Error::new(ErrorCode::RelayMisbehaved, "what was accepted is not in the log").into());
                }
                outside.ledger.commits += 1;
                Ok(if there { Attempt::Reseal } else { Attempt::Gone })
            }
            Err(problem @ (ProblemCode::Conflict | ProblemCode::Rekeyed)) => {
                outside.ledger.count("conflict");
                self.drain_log(outside, log.log)?;
                let now = self.look(|tx| logs::load(tx, log.log));
                let same = now.filter(|now| now.active && now.secret.write_token() == token);
                if problem == ProblemCode::Conflict
                    && same.as_ref().is_some_and(|now| now.last_handshake == append.after)
                {
                    // It shows no handshake that would be in the way, and may have this very entry.
                    return Err(waits(problem).into());
                }
                if problem == ProblemCode::Rekeyed
                    && let Some(now) = same
                {
                    let head = outside.relay.logs[&log.log].entries.len() as u64;
                    return if head > now.cursor {
                        Err(waits(problem).into())
                    } else {
                        self.freeze(outside, log.log, problem)
                    };
                }
                let there = self.look(|tx| outbox::exists(tx, item.n));
                Ok(if there { Attempt::Reseal } else { Attempt::Gone })
            }
            Err(ProblemCode::IdReused) => Ok(Attempt::Reseal),
            Err(ProblemCode::QuotaExceeded) => self.has_no_room(outside, item, log.log),
            Err(problem @ ProblemCode::LogRefused) => self.freeze(outside, log.log, problem),
            Err(problem) => match refused(problem) {
                Halt::Trouble(error) => Ok(Attempt::Refused(error)),
                halt => Err(halt),
            },
        }
    }

    /// `freeze`, and what becomes of the item that has found it out.
    fn freeze(&mut self, outside: &mut Outside, log: LogId, problem: ProblemCode) -> Step<Attempt> {
        self.tx(|tx| logs::note_trouble(tx, log, logs::Trouble::Frozen))?;
        self.mend(outside, log)?;
        let gone = self.look(|tx| logs::load(tx, log)).is_none_or(|log| !log.active);
        if gone { Ok(Attempt::Reseal) } else { Err(waits(problem).into()) }
    }

    /// `full::has_no_room`.
    fn has_no_room(&mut self, outside: &mut Outside, item: &Item, log: LogId) -> Step<Attempt> {
        let (context, now) = (self.context(outside.now), outside.now);
        let (since, _) = self.tx(|tx| full::no_room(tx, &context, item, log))?;
        if item.what == What::Change && self.tx(|tx| full::leave_replaced(tx, log))?.is_some() {
            return Ok(Attempt::Reseal);
        }
        if item.what == What::Change && now.saturating_sub(since) >= full::FULL_MS {
            self.drain_inbox(outside)?;
            self.drain_log(outside, log)?;
            if self.tx(|tx| full::begin_anew(tx, &context, log, home()))?.is_some() {
                outside.ledger.count("mended");
                return Ok(Attempt::Reseal);
            }
        }
        match item.what {
            What::Message => Ok(Attempt::Later(now + full::AGAIN_MS)),
            What::Change => Err(full::why().into()),
        }
    }

    fn accepted(&mut self, item: &Item, (entry, seq): (EnvelopeId, u64)) -> Step<()> {
        let me = self.account;
        self.tx(|tx| {
            if !outbox::set_accepted(tx, item.n, entry, seq)? {
                return Ok(());
            }
            if !deliveries::welcoming(tx, &item.conversation)? {
                conversations::set_problem(tx, &item.conversation, None)?;
            }
            if let Some(id) = item.message {
                messages::set_state(tx, me, id, MessageState::Sent, None)?;
            }
            Ok(())
        })
    }

    fn refused(&mut self, item: &Item, error: &Error) -> Step<()> {
        let (me, view) = (self.account, error.view());
        self.tx(|tx| {
            outbox::remove(tx, item.n)?;
            if item.message.is_none() || view.code == ErrorCode::Refused {
                conversations::set_problem(tx, &item.conversation, Some(&view))?;
            }
            // One that was only to be said again has arrived long ago.
            let arrived = |id| Ok::<_, Error>(messages::load(tx, me, id)?.is_some_and(|line| line.placed));
            if let Some(id) = item.message
                && !arrived(id)?
            {
                messages::set_state(tx, me, id, MessageState::Failed, Some(&view))?;
            }
            Ok(())
        })
    }
}

/// Nobody can write there now. No fault: the relay hides something, or whoever is to begin anew has not yet.
fn waits(problem: ProblemCode) -> Error {
    Error::new(ErrorCode::RelayMisbehaved, format!("nobody can write here: {problem:?}"))
}
