//! The own inbox: `inbox::{drain_inbox, judge_inbox, check_welcome, known_sender, store_inbox}`, for one relay.

use std::sync::Arc;

use waxwing_protocol::content::{Content, ResyncRequest, Welcome};
use waxwing_protocol::envelope::{self, Message, OpenContext, Opened};
use waxwing_wire::LogId;
use waxwing_wire::frame::InboxEntry;

use super::super::emit::Changes;
use super::super::inbox::{Came, CheckedSender, INBOX, take_welcome, verify_in_force};
use super::super::join::Welcomed;
use super::super::resync;
use super::device::Device;
use super::ledger::Outside;
use super::sync::state;
use super::{Halt, Step};
use crate::mls::GroupChange;
use crate::store::{account, aside, contacts, conversations, keys, logs, outbox};
use crate::views::Standing;

/// The engine replaces a new leaf at a random time; here it is this long after joining, so that a seed gives one schedule.
const SOON_MS: u64 = 90 * 60 * 1000;

enum Verdict {
    Welcomed(Box<Welcomed>),
    Look(LogId, u64, Box<Message>),
    Resync(Box<(ResyncRequest, Message)>),
    SetAside(&'static str),
}

impl Device {
    pub(super) fn drain_inbox(&mut self, outside: &mut Outside) -> Step<()> {
        let cursor = self.look(account::inbox_cursor);
        let device = self.device;
        let page = self.ask(&mut outside.relay, |relay| Ok(relay.read_inbox(device, cursor)))?;
        let (_, entries) = page.map_err(super::device::refused)?;
        let Some(last) = entries.last().map(|entry| entry.seq) else { return Ok(()) };
        for entry in entries {
            let verdict = self.judge_inbox(outside, &entry)?;
            self.store_inbox(outside, &entry, verdict)?;
        }
        self.ask(&mut outside.relay, |relay| {
            relay.ack(device, last);
            Ok(())
        })?
        .map_err(super::device::refused)
    }

    /// `inbox::retry_welcomes`: what waits for another Welcome to prove right or wrong.
    pub(super) fn retry_welcomes(&mut self, outside: &mut Outside) -> Step<()> {
        for (n, entry) in self.look(aside::waiting) {
            let verdict = self.judge_inbox(outside, &entry)?;
            self.store_inbox(outside, &entry, verdict)?;
            self.tx(|tx| aside::waited(tx, n))?;
        }
        Ok(())
    }

    fn judge_inbox(&mut self, outside: &mut Outside, entry: &InboxEntry) -> Step<Verdict> {
        let context =
            OpenContext { envelope_id: entry.entry_id, kind: entry.kind, log: INBOX, tag_key: None, erased: &[] };
        let Ok(opened) = envelope::open(&entry.blob, &self.opening.list(), self.account, &context) else {
            return Ok(Verdict::SetAside("it does not open"));
        };
        match Content::decode(entry.kind, &opened.unverified_content()) {
            Ok(Content::Welcome(welcome)) => self.check_welcome(outside, opened, welcome),
            Ok(Content::Removed { log, seq }) => Ok(match self.known_sender(outside, opened)? {
                Some(message) => Verdict::Look(log, seq, Box::new(message)),
                None => Verdict::SetAside("a notice of somebody unknown, or without keys in force"),
            }),
            Ok(Content::Resync(request)) => Ok(match self.known_sender(outside, opened)? {
                Some(message) => Verdict::Resync(Box::new((request, message))),
                None => Verdict::SetAside("a request of somebody unknown, or without keys in force"),
            }),
            _ => Ok(Verdict::SetAside("its content cannot be read")),
        }
    }

    fn known_sender(&mut self, outside: &mut Outside, opened: Opened) -> Step<Option<Message>> {
        let sender = opened.claimed().account;
        if self.look(|tx| keys::chain(tx, sender)).is_none() {
            return Ok(None);
        }
        let chain = match self.refresh_chain(outside, sender) {
            Err(Halt::Trouble(_)) => Arc::new(self.look(|tx| keys::chain(tx, sender)).unwrap()),
            chain => chain?,
        };
        Ok(verify_in_force(opened, &chain, outside.now))
    }

    fn check_welcome(&mut self, outside: &mut Outside, opened: Opened, welcome: Welcome) -> Step<Verdict> {
        let (claimed, sender) = (*opened.claimed(), welcome.sender.account);
        if claimed.account != sender || sender == self.account {
            return Ok(Verdict::SetAside("it names another sender"));
        }
        let (known, contact) = self.look(|tx| Ok((keys::chain(tx, sender)?, contacts::load(tx, sender)?)));
        if contact.is_some_and(|contact| contact.blocked) {
            return Ok(Verdict::SetAside("its sender is blocked"));
        }
        let (chain, from, entries) = self.fetch_chain(outside, sender, known)?;
        let matches = *chain.account_key() == welcome.sender.account_key
            && chain.hash_at(welcome.sender.chain_seq) == Some(welcome.sender.chain_head)
            && chain.name() == Some(&welcome.sender.name);
        if !matches {
            return Ok(Verdict::SetAside("the chain is not the one it names"));
        }
        let Some(message) = verify_in_force(opened, &chain, outside.now) else {
            return Ok(Verdict::SetAside("it is not signed with keys in force"));
        };
        let chain = Arc::new(chain);
        Ok(Verdict::Welcomed(Box::new(Welcomed { welcome, sender: CheckedSender { message, chain, entries, from } })))
    }

    fn store_inbox(&mut self, outside: &mut Outside, entry: &InboxEntry, verdict: Verdict) -> Step<()> {
        if let Verdict::Welcomed(welcomed) = &verdict {
            super::sync::fatal(&self.drain_log(outside, welcomed.welcome.log))?;
        }
        let context = self.context(outside.now);
        let (chain, slot, look) = match &verdict {
            Verdict::Welcomed(one) => {
                (Some(Arc::clone(&one.sender.chain)), Some((one.welcome.log, one.welcome.slot)), None)
            }
            Verdict::Look(log, ..) => (None, None, Some(*log)),
            Verdict::Resync(_) | Verdict::SetAside(_) => (None, None, None),
        };
        let cursor = slot.and_then(|(log, _)| self.look(|tx| logs::load(tx, log))).map(|log| log.cursor);
        let mut joined = None;
        let stored = self.tx(|tx| {
            let aside =
                |reason: &str| aside::keep(tx, INBOX, entry.seq, entry.entry_id, reason, &entry.blob, context.now);
            match verdict {
                Verdict::SetAside(reason) => aside(reason)?,
                Verdict::Look(log, seq, message) => {
                    let sender = (message.sender.account, message.sender.device);
                    if logs::first_sight(tx, &message.sender, message.envelope_id, message.opened_with)? {
                        resync::told_removed(tx, &context, (log, seq), sender, &mut Changes::default())?;
                    }
                }
                Verdict::Resync(resync) => {
                    let (request, message) = *resync;
                    let sender = (message.sender.account, message.sender.device);
                    if logs::first_sight(tx, &message.sender, message.envelope_id, message.opened_with)?
                        && let Some(reason) = resync::asked(tx, &context, sender, request)?
                    {
                        aside(reason)?;
                    }
                }
                Verdict::Welcomed(welcomed) => {
                    let log = welcomed.welcome.log;
                    let came = take_welcome(tx, &context, entry, *welcomed, &mut Changes::default())?;
                    match came {
                        Came::Joined => joined = state(tx, &context, log)?,
                        Came::Refused(reason) => aside(reason)?,
                        Came::Nothing => {}
                    }
                    if !matches!(came, Came::Nothing) {
                        settle_time(tx, log, context.now)?;
                    }
                }
            }
            account::set_inbox_cursor(tx, entry.seq.max(account::inbox_cursor(tx)?))
        });
        // Also where it went down right behind the commit.
        let committed = self.look(account::inbox_cursor) >= entry.seq;
        if let (true, Some((after, state)), Some((log, slot))) = (committed, joined, slot) {
            outside.ledger.story.push(format!("{} joins {log:?} at {slot}", self.name));
            if !outside.ledger.misled.contains(&self.account) {
                outside.ledger.observe(log, after, state);
            }
            let stays = self.look(|tx| {
                let conversation = logs::load(tx, log)?.map(|log| log.conversation);
                conversation.map_or(Ok(true), |id| Ok(conversations::load(tx, &id)?.standing != Standing::Left))
            });
            outside.ledger.joins(self.account, log, cursor, (slot, stays));
        }
        stored?;
        if let Some(chain) = chain {
            self.chains.keep(chain);
        }
        // Trouble with looking is no trouble with the inbox.
        match look {
            Some(log) => super::sync::fatal(&self.drain_log(outside, log)),
            None => Ok(()),
        }
    }

    /// Why inbox entries were set aside.
    pub(super) fn set_aside(&mut self) -> Vec<String> {
        self.look(|tx| {
            let mut statement = tx.prepare("SELECT reason FROM set_aside ORDER BY n")?;
            Ok(statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
        })
    }
}

fn settle_time(tx: &rusqlite::Transaction<'_>, log: LogId, now: u64) -> Result<(), crate::error::Error> {
    let Some(log) = logs::load(tx, log)? else { return Ok(()) };
    for item in outbox::changes(tx, &log.conversation)? {
        if item.not_before_ms > 0 && GroupChange::decode(&item.content)? == GroupChange::JoinUpdate {
            tx.execute("UPDATE outbox SET not_before_ms = ?2 WHERE n = ?1", (item.n, now + SOON_MS))?;
        }
    }
    Ok(())
}
