//! Reading logs: `receive::{drain_log, take_in}` and `chains::{refresh_chain, fetch_chain}`, without network and locks.

use std::collections::HashSet;
use std::sync::Arc;

use waxwing_wire::frame::LogEntry;
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::{AccountId, LogId, VerifiedChain};

use super::super::context::Context;
use super::super::receive::WENT_BACK_MS;
use super::super::{entries, not_found, own_devices, resync, rotation};
use super::device::{Device, home, refused};
use super::ledger::{Outside, State};
use super::{Halt, Step};
use crate::error::{Error, ErrorCode};
use crate::mls::Group;
use crate::store::logs::Trouble;
use crate::store::own_entries::Told;
use crate::store::{conversations, held, keys, logs, sealed_for};
use crate::views::ConversationKind;

impl Device {
    /// Everything once, as `sync::sync_once`.
    pub(super) fn sync(&mut self, outside: &mut Outside) -> Step<()> {
        self.resume_rotation(outside)?;
        self.drain_inbox(outside)?;
        if outside.spreads {
            self.tend_keys(outside)?;
        }
        self.refill_key_packages(outside)?;
        let flushed = self.flush(outside);
        fatal(&flushed)?;
        self.drain_logs(outside)?;
        let again = self.flush(outside);
        fatal(&again)?;
        self.drain_logs(outside)?;
        self.release_held(outside)?;
        self.retry_welcomes(outside)?;
        self.mend_missed(outside)?;
        flushed.and(again)
    }

    pub(super) fn drain_logs(&mut self, outside: &mut Outside) -> Step<()> {
        for log in self.look(logs::followed) {
            self.drain_log(outside, log.log)?;
        }
        for log in self.look(logs::awaited) {
            self.mend(outside, log.log)?;
        }
        Ok(())
    }

    pub(super) fn drain_log(&mut self, outside: &mut Outside, log: LogId) -> Step<()> {
        loop {
            let Some(stored) = self.look(|tx| logs::load(tx, log)) else { return Ok(()) };
            if !stored.created || !stored.active {
                return Ok(());
            }
            let token = stored.secret.read_token();
            let page = self.ask(&mut outside.relay, |relay| relay.read_log(log, token.as_slice(), stored.cursor))?;
            if matches!(page, Err(ProblemCode::LogRefused)) {
                self.tx(|tx| logs::note_trouble(tx, log, Trouble::Frozen))?;
                return self.mend(outside, log);
            }
            if matches!(page, Err(ProblemCode::Gone)) {
                self.tx(|tx| logs::note_trouble(tx, log, Trouble::Behind))?;
                return self.mend(outside, log);
            }
            let page = page.map_err(refused)?;
            if outside.relay.withheld.get(&log).is_some_and(|shown| (*shown).max(stored.cursor) == page.head)
                && page.head < outside.relay.logs[&log].entries.len() as u64
            {
                outside.ledger.count("entries withheld");
            }
            if page.head < stored.cursor || page.running != stored.running {
                if self.look(|tx| logs::is_unread_since_joined(tx, log)) {
                    self.tx(|tx| {
                        logs::belie(tx, log)?;
                        logs::note_trouble(tx, log, Trouble::Behind)
                    })?;
                    return self.mend(outside, log);
                }
                let now = outside.now;
                if now.saturating_sub(self.tx(|tx| logs::note_went_back(tx, log, now))?) >= WENT_BACK_MS {
                    self.tx(|tx| logs::note_trouble(tx, log, Trouble::Frozen))?;
                    return self.mend(outside, log);
                }
                return Err(Error::new(ErrorCode::RelayWentBack, "the log is not the one that was read before").into());
            }
            self.tx(|tx| logs::is_sound(tx, log))?;
            let (head, moved, retired) = (page.head, !page.entries.is_empty(), page.retired);
            let last = stored.cursor + page.entries.len() as u64;
            let rekeyed = self.take_in(outside, log, page.entries)?;
            if !rekeyed && (last >= head || !moved) {
                self.replayed.insert(log);
                if retired && last >= head {
                    self.tx(|tx| logs::note_trouble(tx, log, Trouble::Frozen))?;
                }
                return self.mend(outside, log);
            }
        }
    }

    /// As `take_in`; what it is given ends with the next handshake, so that the state after each can be written down.
    fn take_in(&mut self, outside: &mut Outside, log: LogId, entries: Vec<LogEntry>) -> Step<bool> {
        let (mut rest, mut asked, mut rekeyed) = (entries, HashSet::new(), false);
        let mut absent = HashSet::new();
        while !rest.is_empty() {
            let end =
                rest.iter().position(|entry| entry.kind == EnvelopeKind::Handshake).map_or(rest.len(), |at| at + 1);
            let (context, opening) = (self.context(outside.now), Arc::clone(&self.opening));
            let taken = self.tx(|tx| entries::take(tx, &context, &opening, log, &rest[..end], (&asked, &absent)));
            // Between handshakes nothing changes. Also where it went down right behind the commit: what it says next is of that state.
            if rest[end - 1].kind == EnvelopeKind::Handshake && !outside.ledger.misled.contains(&self.account) {
                let seen = self.look(|tx| {
                    // Whoever knows to have lost their place is not in step; who merely could not read something is.
                    let in_step = |trouble| matches!(trouble, Trouble::None | Trouble::Lost);
                    let lost = logs::load(tx, log)?.is_some_and(|log| !in_step(log.trouble));
                    if lost { Ok(None) } else { state(tx, &context, log) }
                });
                if let Some((after, state)) = seen {
                    outside.ledger.observe(log, after, state);
                }
            }
            let taken = taken?;
            taken.chains.into_iter().for_each(|chain| self.chains.keep(chain));
            if taken.updated {
                self.erase_unused_device_keys(outside)?;
            }
            rekeyed |= taken.rekeyed;
            rest.drain(..taken.done);
            let Some(account) = taken.need else { continue };
            asked.insert(account);
            let refreshed = self.refresh_chain(outside, account).map(drop);
            fatal(&refreshed)?;
            let kind = self.look(|tx| {
                let conversation = logs::load(tx, log)?.unwrap().conversation;
                Ok(conversations::load(tx, &conversation)?.kind)
            });
            match refreshed {
                Err(_) if kind == ConversationKind::Group => drop(absent.insert(account)),
                refreshed => refreshed?,
            }
        }
        Ok(rekeyed)
    }

    /// `held::release_held`.
    pub(super) fn release_held(&mut self, outside: &mut Outside) -> Step<()> {
        for sender in self.look(held::senders) {
            let refreshed = self.refresh_chain(outside, sender).map(drop);
            fatal(&refreshed)?;
            if refreshed.is_ok() {
                let context = self.context(outside.now);
                self.tx(|tx| super::super::held::release(tx, &context, sender))?;
            }
        }
        Ok(())
    }

    /// `missed::mend_missed`.
    fn mend_missed(&mut self, outside: &mut Outside) -> Step<()> {
        for (account, _) in self.look(sealed_for::missed) {
            let refreshed = self.refresh_chain(outside, account).map(drop);
            fatal(&refreshed)?;
            if refreshed.is_ok() {
                let context = self.context(outside.now);
                self.tx(|tx| super::super::missed::say_again(tx, &context, account))?;
            }
        }
        Ok(())
    }

    /// `rotation::erase_unused_device_keys`.
    fn erase_unused_device_keys(&mut self, outside: &Outside) -> Step<()> {
        let context = self.context(outside.now);
        self.tx(|tx| rotation::erase_unused_device_keys(tx, &context).map(drop))
    }

    /// `rotation::tend_keys`, but for beginning a rotation.
    pub(super) fn tend_keys(&mut self, outside: &Outside) -> Step<()> {
        let context = self.context(outside.now);
        self.tx(|tx| {
            rotation::look_after_updates(tx, context.keys.key_version(), context.now)?;
            rotation::erase_expired(tx, &context).map(drop)
        })?;
        self.renew_opening();
        Ok(())
    }

    /// `resync::mend`.
    pub(super) fn mend(&mut self, outside: &mut Outside, log: LogId) -> Step<()> {
        let Some(stored) = self.look(|tx| logs::load(tx, log)) else { return Ok(()) };
        let context = self.context(outside.now);
        let mended = self.tx(|tx| resync::mend(tx, &context, &stored, home()))?;
        if mended.is_some() {
            outside.ledger.story.push(format!("{} mends {log:?}: {:?}", self.name, stored.trouble));
            outside.ledger.count("mended");
        }
        Ok(())
    }

    pub(super) fn refresh_chain(&mut self, outside: &mut Outside, account: AccountId) -> Step<Arc<VerifiedChain>> {
        let known = self.look(|tx| keys::chain(tx, account));
        let (chain, from, fresh) = if account == self.account {
            let known = known.ok_or_else(|| not_found("no own chain"))?;
            if known.devices().all(|device| device.id() == self.device) {
                return Ok(Arc::new(known));
            }
            let (_, from, fresh) = self.fetch_chain(outside, account, Some(known.clone()))?;
            let told = Told::of(&fresh);
            match (own_devices::Others { device: self.device, told: &told }).entries(&known, &fresh)? {
                Some((chain, fresh)) => (chain, from, fresh),
                None => return Ok(Arc::new(known)),
            }
        } else {
            self.fetch_chain(outside, account, known)?
        };
        let chain = Arc::new(chain);
        self.tx(|tx| keys::add_chain_entries(tx, account, from, &fresh))?;
        self.chains.keep(Arc::clone(&chain));
        Ok(chain)
    }

    /// The chain, and what is new of it from a place on.
    pub(super) fn fetch_chain(
        &mut self,
        outside: &mut Outside,
        account: AccountId,
        known: Option<VerifiedChain>,
    ) -> Step<(VerifiedChain, u32, Vec<Vec<u8>>)> {
        let from = known.as_ref().map_or(0, |chain| chain.seq() + 1);
        let fresh = self.ask(&mut outside.relay, |relay| relay.chain(account, from))?.map_err(refused)?;
        let broken = |_| Error::new(ErrorCode::ChainBroken, "the chain does not hold");
        let chain = match known {
            None => VerifiedChain::verify(&fresh).map_err(broken)?,
            Some(mut chain) => {
                for entry in &fresh {
                    chain.extend(entry).map_err(broken)?;
                }
                chain
            }
        };
        Ok((chain, from, fresh))
    }
}

/// What ends a pass at once; other trouble of one conversation holds up no other.
pub(super) fn fatal(result: &Step<()>) -> Step<()> {
    match result {
        Err(Halt::Crash) => Err(Halt::Crash),
        Err(Halt::Away) => Err(Halt::Away),
        _ => Ok(()),
    }
}

/// The group as it stands, and the last handshake before.
pub(super) fn state(
    tx: &rusqlite::Transaction<'_>,
    context: &Context,
    log: LogId,
) -> Result<Option<(u64, State)>, Error> {
    // A device with an older database knows that it is elsewhere.
    let here = |log: &logs::Log| log.active && log.trouble != Trouble::RolledBack;
    let Some(stored) = logs::load(tx, log)?.filter(here) else { return Ok(None) };
    let Some(group) = Group::load(&context.crypto, tx, log)? else { return Ok(None) };
    let mut members: Vec<_> = group.leaves()?.iter().map(|leaf| leaf.identity.account).collect();
    members.sort();
    Ok(Some((stored.last_handshake, State { epoch: group.epoch(), members, secret: *stored.secret.as_bytes() })))
}
