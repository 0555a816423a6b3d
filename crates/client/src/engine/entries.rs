//! Entries of a log, inside one transaction: judged in order, each under a savepoint of its own, and stored with the cursor.
//!
//! What cannot be used is set aside and later entries flow (D9). Nothing here asks the network: what is needed from there is named,
//! and the entry is taken up again with it. Not here: what a commit changes for people (`handshake`).

use std::collections::HashSet;
use std::sync::Arc;

use rusqlite::Transaction;
use waxwing_protocol::group::LeaveProof;
use waxwing_protocol::{AppMessage, Content, LeafIdentity, Message, OpenError};
use waxwing_wire::frame::LogEntry;
use waxwing_wire::log::{EnvelopeKind, running_hash};
use waxwing_wire::{AccountId, DeviceId, LogId, MessageId, VerifiedChain, hash};

use super::ahead::{Ahead, Opener};
use super::context::Context;
use super::conversations::{accept, started_line};
use super::emit::Changes;
use super::handshake::{self, Committer};
use super::missed;
use super::register::turns_or_controls;
use super::sealing::OpeningKeys;
use super::stale_keys;
use super::transparency::Heard;
use crate::error::{Error, ErrorCode};
use crate::mls::rules::Leaf;
use crate::mls::{Group, GroupChange, Incoming, Unreadable};
use crate::store::conversations::Conversation;
use crate::store::logs::{Noted, Trouble};
use crate::store::{account, aside, contacts, conversations, logs, messages, outbox, people};
use crate::views::{ConversationKind, MessageState, Notice, Standing};

/// A sender's clock further ahead than this is shown.
const CLOCK_AHEAD_MS: u64 = 10 * 60 * 1000;
/// The end of the year 9999: what a sender claims beyond it is shown as that.
pub(super) const LATEST_MS: u64 = 253_402_300_799_000;
/// Others answer a wish to leave this much later than the member whose turn it is, times their place in the tree.
const ANSWER_LATER_MS: u64 = 20_000;
/// What the relay has accepted and does not show is sent again after this time.
pub(super) const AGAIN_MS: u64 = 5000;

/// A peer's name as it may be shown: nothing in it controls or turns what stands around it. The user name where nothing is left.
pub(super) fn peer_display_name(name: &str, username: &str) -> String {
    let name: String = name.chars().filter(|letter| !turns_or_controls(*letter)).collect();
    let name = name.trim();
    if name.is_empty() { username.to_owned() } else { name.to_owned() }
}

/// What became of a stretch of entries.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) changes: Changes,
    /// How many of them are done with.
    pub(super) done: usize,
    /// Whose chain is needed for the next one.
    pub(super) need: Option<AccountId>,
    /// Whether the log has other tokens now, or is not followed any more.
    pub(super) rekeyed: bool,
    /// Whether something waits to be sent because of it.
    pub(super) wake: bool,
    /// Whether an own leaf has newer keys now, or a group has learnt of the own account key.
    pub(super) updated: bool,
    /// Chains that were extended and stored.
    pub(super) chains: Vec<Arc<VerifiedChain>>,
    /// Whether an entry of the own chain was noted that is not known here.
    pub(super) shown: bool,
    /// Checkpoints of transparency logs that others have seen.
    pub(super) heard: HashSet<Heard>,
}

/// What became of one entry.
pub(super) enum Verdict {
    Used,
    /// Kept with the reason; not shown.
    Aside(&'static str),
    /// A member's signed entry that does not open here: kept, said calmly, and a reason to ask for a resync. Whose it is, and why.
    Stuck(AccountId, &'static str),
    /// It was sealed to a key of this device that is erased: kept, and told to whoever sealed it. Which version.
    Stale(u32),
    /// A member signs that the relay has shown them another log.
    Forked(LeafIdentity),
    /// A member signs another state of the group than the own.
    Disagrees(DeviceId),
    /// Judged again once this account's chain is here.
    Need(AccountId),
}

/// A member's word that the relay shows two logs is told once a day, and so is that words of a device are kept back.
pub(super) const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// One log being read.
pub(super) struct Reading<'a> {
    pub(super) tx: &'a Transaction<'a>,
    pub(super) context: &'a Context,
    pub(super) log: logs::Log,
    pub(super) conversation: Conversation,
    pub(super) group: Option<Group<'a>>,
    pub(super) taken: Taken,
    /// Whose wish to leave the own commit at hand answers.
    pub(super) answered: Option<AccountId>,
    /// Whether OpenMLS has looked at the entry at hand, and may have changed its state.
    touched: bool,
    /// Which member signed the entry at hand, once that is known.
    signed: Option<AccountId>,
    /// Whom the own commit that is being merged lets in by a link.
    pub(super) admitted: Option<AccountId>,
    /// The own change that it is, if it is one.
    pub(super) own_change: Option<i64>,
    ahead: &'a Ahead<'a>,
    /// Accounts whose relay has been asked already.
    asked: &'a HashSet<AccountId>,
    /// Accounts whose chain cannot be had: what they say is kept apart.
    absent: &'a HashSet<AccountId>,
}

/// Takes in entries that follow the log's cursor, until all are done or a chain is missing.
pub(super) fn take(
    tx: &Transaction<'_>,
    context: &Context,
    opening: &OpeningKeys,
    log: LogId,
    entries: &[LogEntry],
    (asked, absent): (&HashSet<AccountId>, &HashSet<AccountId>),
) -> Result<Taken, Error> {
    let Some(log) = logs::load(tx, log)? else { return Ok(Taken { done: entries.len(), ..Taken::default() }) };
    let conversation = conversations::load(tx, &log.conversation)?;
    let group = Group::load(&context.crypto, tx, log.log)?;
    let leaves = group.as_ref().map_or_else(|| Ok(Vec::new()), Group::leaves)?;
    let leaves = leaves.iter().map(|leaf| leaf.identity).collect();
    let opener = Opener::new(opening, context.account, log.log);
    let ahead = Ahead::new(&opener, log.secret.tag_key(), leaves, entries);
    let reading = Reading {
        tx,
        context,
        log,
        conversation,
        group,
        taken: Taken::default(),
        answered: None,
        admitted: None,
        own_change: None,
        touched: false,
        signed: None,
        ahead: &ahead,
        asked,
        absent,
    };
    ahead.during(|| reading.all(entries))
}

impl Reading<'_> {
    fn all(mut self, entries: &[LogEntry]) -> Result<Taken, Error> {
        for entry in entries {
            if !self.log.active {
                self.taken.done = entries.len();
                break;
            }
            if let Some(need) = self.entry(entry)? {
                self.taken.need = Some(need);
                break;
            }
            self.taken.done += 1;
        }
        logs::advance(self.tx, &self.log)?;
        if self.log.active {
            self.look_for_accepted()?;
        }
        Ok(self.taken)
    }

    fn entry(&mut self, entry: &LogEntry) -> Result<Option<AccountId>, Error> {
        if entry.seq != self.log.cursor + 1 {
            return Err(Error::new(ErrorCode::RelayMisbehaved, "a log has a gap"));
        }
        let running = running_hash(&self.log.running, entry.seq, entry.entry_id, entry.kind, &entry.blob);
        let (before, known) = (self.log.clone(), self.log.trouble);
        self.touched = false;
        self.signed = None;
        // Of the entry before, which may be about the same person.
        (self.answered, self.admitted, self.own_change) = (None, None, None);
        self.tx.prepare_cached("SAVEPOINT entry")?.execute([])?;
        let verdict = self.judge(entry, &running)?;
        if !matches!(verdict, Verdict::Used) {
            // Whatever OpenMLS did to its state while it looked at it is undone, and the group read again.
            self.tx.prepare_cached("ROLLBACK TO entry")?.execute([])?;
            self.log = logs::Log { trouble: self.log.trouble, ..before };
            // Not for each piece of junk: to read a group takes far longer than to see that there is nothing to open.
            if self.touched {
                self.group = Group::load(&self.context.crypto, self.tx, self.log.log)?;
            }
        }
        self.tx.prepare_cached("RELEASE entry")?.execute([])?;
        if self.log.trouble == Trouble::RolledBack && known != Trouble::RolledBack {
            // The private parts of some key packages at the relay are lost with the newer database.
            account::set_packages(self.tx, 0, 0)?;
        }
        let counts = matches!(verdict, Verdict::Used);
        match verdict {
            Verdict::Need(account) => return Ok(Some(account)),
            Verdict::Aside(reason) => self.aside(entry, reason)?,
            Verdict::Stuck(account, reason) => {
                self.aside(entry, reason)?;
                if entry.kind == EnvelopeKind::Handshake {
                    self.behind()
                } else {
                    self.lost()
                }
                if entry.kind == EnvelopeKind::App {
                    self.note_unreadable(account)?;
                }
            }
            Verdict::Stale(key_version) => {
                self.aside(entry, "it is sealed to an erased key")?;
                if entry.kind == EnvelopeKind::Handshake {
                    self.behind();
                } else {
                    stale_keys::note(self, entry.entry_id, key_version)?;
                }
            }
            Verdict::Forked(who) => {
                // Kept as evidence: signed by them, and it does not fit what the relay has shown here (P13).
                self.aside(entry, "its sender has seen another log")?;
                let since = self.context.now.saturating_sub(DAY_MS);
                if logs::note_device(self.tx, self.log.log, who.device, Noted::Forked, self.context.now, since)? {
                    let name = people::name(self.tx, &account::require(self.tx)?, who.account)?;
                    self.quiet_line(who.account, &Notice::Forked { name })?;
                }
            }
            Verdict::Disagrees(device) => {
                self.aside(entry, "its sender is in another state of the group")?;
                logs::note_device(self.tx, self.log.log, device, Noted::Disagrees, self.context.now, 0)?;
                let two = people::count(self.tx, &self.log.conversation)? <= 2;
                if two || self.who_disagrees()?.len() >= 2 {
                    logs::belie(self.tx, self.log.log)?;
                    self.behind();
                }
            }
            Verdict::Used => {}
        }
        self.log.cursor = entry.seq;
        self.log.running = running;
        if entry.kind == EnvelopeKind::Handshake {
            // Valid or not: it had its slot, and `after` counts it.
            self.log.last_handshake = entry.seq;
            self.log.handshake_running = running;
            self.log.spoiler = self.signed.filter(|_| !counts);
        }
        Ok(None)
    }

    /// A handshake went by that this device has not taken in, if nothing worse is known.
    pub(super) fn behind(&mut self) {
        if matches!(self.log.trouble, Trouble::None | Trouble::Lost) {
            self.log.trouble = Trouble::Behind;
        }
    }

    /// Something could not be read, if nothing worse is known.
    fn lost(&mut self) {
        if self.log.trouble == Trouble::None {
            self.log.trouble = Trouble::Lost;
        }
    }

    fn aside(&self, entry: &LogEntry, reason: &'static str) -> Result<(), Error> {
        tracing::info!(reason, "an entry was set aside");
        let (id, now) = (self.log.log, self.context.now);
        aside::keep(self.tx, id, entry.seq, entry.entry_id, reason, &entry.blob, now)
    }

    /// Whose devices have signed another state of the group: nobody is two by bringing in leaves of their own, and of oneself nobody counts, nor a leaf that
    /// its account's chain does not state.
    fn who_disagrees(&self) -> Result<HashSet<AccountId>, Error> {
        let devices = logs::noted_devices(self.tx, self.log.log, Noted::Disagrees, None)?;
        let mut who = HashSet::new();
        for leaf in self.group.as_ref().map_or_else(|| Ok(Vec::new()), Group::leaves)? {
            let account = leaf.identity.account;
            let counts = account != self.context.account && devices.contains(&leaf.identity.device);
            if counts && self.stated(&leaf)? == Some(true) {
                who.insert(account);
            }
        }
        Ok(who)
    }

    /// One quiet line in the place of a message that cannot be read.
    pub(super) fn note_unreadable(&mut self, sender: AccountId) -> Result<(), Error> {
        let name = people::name(self.tx, &account::require(self.tx)?, sender)?;
        self.quiet_line(sender, &Notice::Unreadable { name })
    }

    /// The newest chain of an account that is known here, with what this reading has learned.
    pub(super) fn chain_of(&self, account: AccountId) -> Result<Option<Arc<VerifiedChain>>, Error> {
        match self.taken.chains.iter().rev().find(|chain| chain.account() == account) {
            Some(chain) => Ok(Some(Arc::clone(chain))),
            None => self.context.chains.load(self.tx, account),
        }
    }

    /// A quiet line by an account.
    pub(super) fn quiet_line(&mut self, of: AccountId, notice: &Notice) -> Result<(), Error> {
        let mine = of == self.context.account;
        let line = started_line(&self.log.conversation, of, mine, self.context.now, notice);
        messages::insert(self.tx, &line)?;
        self.taken.changes.message(of, line.id, false);
        self.taken.changes.conversation(self.log.conversation);
        Ok(())
    }

    fn judge(&mut self, entry: &LogEntry, running: &[u8; 32]) -> Result<Verdict, Error> {
        if let Some(own) = outbox::shown(self.tx, self.log.log, entry.entry_id)?
            && own.digest == hash(&[&entry.blob])
        {
            return self.own(entry, own, running);
        }
        let tag_key = self.log.secret.tag_key();
        let opened = match self.ahead.open(entry, &tag_key) {
            Ok(opened) => opened,
            // A handshake that has a wrap for this device, and does not open: a state may have been missed.
            Err(OpenError::Cryptographic) if entry.kind == EnvelopeKind::Handshake => {
                self.behind();
                return Ok(Verdict::Aside("a handshake for this device does not open"));
            }
            Err(OpenError::SealedToErasedKey { key_version }) => return Ok(Verdict::Stale(key_version)),
            Err(_) => return Ok(Verdict::Aside("it does not open")),
        };
        let Some(group) = self.group.as_mut() else { return Ok(Verdict::Aside("its group is gone")) };
        let Some(leaf) = group.leaf(opened.device())? else {
            return Ok(Verdict::Aside("its sender is not in the group"));
        };
        let Some(message) = self.ahead.verified(opened, &leaf.identity, (entry, &tag_key)) else {
            return Ok(Verdict::Aside("its signature does not hold"));
        };
        self.signed = Some(leaf.identity.account);
        if let Some(checkpoint) = message.checkpoint.filter(|_| leaf.identity.account != self.context.account) {
            self.taken.heard.insert((leaf.identity.account, checkpoint));
        }
        if message.after != self.log.last_handshake {
            let (other, log) = (leaf.identity.device != self.context.device, self.log.log);
            // Where the group stands is known from the Welcome alone: members who have sealed since, and know of no handshake there, belie it.
            if other && logs::is_slot_unseen(self.tx, log, self.log.last_handshake, message.sent_ms)? {
                return Ok(Verdict::Disagrees(leaf.identity.device));
            }
            return Ok(Verdict::Aside("it was sealed for another place in the log"));
        }
        if message.running_hash != self.log.handshake_running {
            let other = leaf.identity.device != self.context.device;
            return Ok(if other {
                Verdict::Forked(leaf.identity)
            } else {
                Verdict::Aside("an own entry of another log")
            });
        }
        if message.epoch != group.epoch() {
            return Ok(Verdict::Disagrees(leaf.identity.device));
        }
        let speaker = (leaf.identity.account, leaf.identity.device);
        self.taken.wake |= missed::has_spoken(self.tx, self.context, &self.log, speaker)?;
        if leaf.identity.device == self.context.device {
            // Never given to MLS: nothing of one's own is read there.
            if message.counter > logs::counter(self.tx, self.log.log)? {
                self.log.trouble = Trouble::RolledBack;
            }
            return Ok(Verdict::Aside("an own entry that this device did not make"));
        }
        if !logs::first_sight(self.tx, &message.sender, message.envelope_id, message.opened_with)? {
            return Ok(Verdict::Aside("a replay"));
        }
        let Ok(Content::Mls(bytes)) = Content::decode(entry.kind, &message.content) else {
            return Ok(Verdict::Aside("its content cannot be read"));
        };
        let handshake = entry.kind == EnvelopeKind::Handshake;
        self.touched = true;
        match group.read(leaf.identity.device, handshake, &bytes) {
            Err(Unreadable::Failed(error)) => Err(error),
            Err(Unreadable::Refused(reason)) => Ok(Verdict::Aside(reason)),
            Err(Unreadable::Stuck(reason)) => Ok(Verdict::Stuck(leaf.identity.account, reason)),
            Ok(Incoming::Change(change)) => handshake::take(self, Committer::Member(leaf), change),
            Ok(Incoming::Message(bytes)) => self.said(&leaf, &message, &bytes),
        }
    }

    /// An own envelope, byte for byte as it was sealed here.
    fn own(&mut self, entry: &LogEntry, own: outbox::Shown, running: &[u8; 32]) -> Result<Verdict, Error> {
        let kind = match own.what {
            outbox::What::Message => EnvelopeKind::App,
            outbox::What::Change => EnvelopeKind::Handshake,
        };
        if own.after != self.log.last_handshake || entry.kind != kind {
            // The relay put it where it does not belong, or calls it something else: everybody skips it, and it is sealed again.
            outbox::unseal(self.tx, own.n)?;
            self.is_on_its_way(own.message)?;
            return Ok(Verdict::Used);
        }
        if own.what == outbox::What::Change {
            self.touched = true;
            return handshake::own(self, own, running, entry.seq);
        }
        outbox::remove(self.tx, own.n)?;
        logs::has_room(self.tx, self.log.log)?;
        if let Some(id) = own.message {
            let me = self.context.account;
            messages::set_state(self.tx, me, id, MessageState::Sent, None)?;
            messages::place(self.tx, me, id)?;
            self.taken.changes.message(me, id, false);
            self.taken.changes.conversation(self.log.conversation);
        }
        Ok(Verdict::Used)
    }

    /// What the relay has said to have put into the log stands there, as far as that was read; else it is sent again (P5).
    fn look_for_accepted(&mut self) -> Result<(), Error> {
        let when = self.context.now.saturating_add(AGAIN_MS);
        for message in outbox::take_back_unshown(self.tx, self.log.log, self.log.cursor, when)? {
            tracing::warn!("the relay does not show what it has accepted");
            self.is_on_its_way(message)?;
        }
        Ok(())
    }

    /// Of an own text that was believed to be sent.
    fn is_on_its_way(&mut self, message: Option<MessageId>) -> Result<(), Error> {
        let me = self.context.account;
        if let Some(id) = message
            && messages::load(self.tx, me, id)?.is_some_and(|line| !line.placed)
        {
            messages::set_state(self.tx, me, id, MessageState::Sending, None)?;
            self.taken.changes.message(me, id, false);
            self.taken.changes.conversation(self.log.conversation);
        }
        self.taken.wake = true;
        Ok(())
    }

    /// Somebody else said something.
    fn said(&mut self, leaf: &Leaf, message: &Message, bytes: &[u8]) -> Result<Verdict, Error> {
        let sender = leaf.identity.account;
        match self.stated(leaf)? {
            Some(true) => logs::is_shared_with(self.tx, self.log.log, sender)?,
            _ if self.absent.contains(&sender) => return self.hold(leaf, message, bytes),
            Some(false) if self.asked.contains(&sender) => return self.not_stated(leaf, message, bytes),
            _ => return Ok(Verdict::Need(sender)),
        }
        if !self.log.peer_seen && sender != self.context.account {
            self.log.peer_seen = true;
            logs::set_peer_seen(self.tx, self.log.log)?;
        }
        if is_unheard(self.tx, &self.conversation, sender)? {
            return Ok(Verdict::Used);
        }
        if sender == self.context.account && self.conversation.standing == Standing::Request {
            // Who speaks on another own device has accepted there.
            let home = account::require(self.tx)?.relay;
            self.taken.changes.join(accept(self.tx, self.context, &self.conversation.id, home)?);
            self.conversation = conversations::load(self.tx, &self.conversation.id)?;
        }
        match AppMessage::decode(bytes) {
            Err(_) => Ok(Verdict::Aside("its content cannot be read")),
            Ok(AppMessage::Leave(proof)) => self.leave(leaf, &proof, bytes),
            Ok(AppMessage::StaleKey(told)) => stale_keys::told(self, leaf, &told).map(|()| Verdict::Used),
            Ok(said) => {
                let from = (sender, message.sent_ms);
                spoken(self.tx, self.context, &self.conversation, from, said, &mut self.taken.changes)
            }
        }
    }

    /// Whether a leaf's keys are those that its account's chain states for the device; none if there is no chain here.
    pub(super) fn stated(&self, leaf: &Leaf) -> Result<Option<bool>, Error> {
        // Also by what came along with a commit of this very page.
        Ok(self.chain_of(leaf.identity.account)?.map(|chain| states(&chain, leaf)))
    }

    /// Somebody wants to leave. Any member answers; the one with the lowest leaf at once, the others if that one does not.
    pub(super) fn leave(&mut self, leaf: &Leaf, proof: &LeaveProof, bytes: &[u8]) -> Result<Verdict, Error> {
        let identity = leaf.identity;
        let theirs = (proof.account, proof.device) == (identity.account, identity.device);
        let holds = theirs && proof.holds(&leaf.mls_key, &leaf.encryption_key, self.log.log);
        if self.conversation.kind != ConversationKind::Group || !holds {
            return Ok(Verdict::Aside("its wish to leave does not hold"));
        }
        // Where one has not accepted, the answer waits until one has.
        let Some(group) = &self.group else { return Ok(Verdict::Used) };
        let own = group.own_leaf()?.index;
        let before_me = group
            .leaves()?
            .iter()
            .filter(|other| other.identity.account != identity.account && other.index < own)
            .count() as u64;
        let change = GroupChange::AnswerLeave { account: identity.account, message: bytes.to_vec() };
        let when = if before_me == 0 { 0 } else { self.context.now + before_me.min(20) * ANSWER_LATER_MS };
        outbox::push_change(self.tx, &self.log.conversation, self.log.log, &change.encode()?, when)?;
        self.taken.wake = true;
        Ok(Verdict::Used)
    }
}

/// Whether nothing is taken in that somebody says in a conversation: it is one with somebody who is blocked, or one that one has left.
pub(super) fn is_unheard(tx: &Transaction<'_>, conversation: &Conversation, sender: AccountId) -> Result<bool, Error> {
    let direct = conversation.kind == ConversationKind::Direct;
    let blocked = direct && contacts::load(tx, sender)?.is_some_and(|contact| contact.blocked);
    Ok(blocked || matches!(conversation.standing, Standing::Left | Standing::Asked))
}

/// Stores what somebody whose leaf is stated has said: when, by their clock.
pub(super) fn spoken(
    tx: &Transaction<'_>,
    context: &Context,
    conversation: &Conversation,
    (sender, sent_ms): (AccountId, u64),
    said: AppMessage,
    changes: &mut Changes,
) -> Result<Verdict, Error> {
    match said {
        AppMessage::Text { message_id, text } => {
            let Some(message_id) = messages::line_id(tx, &conversation.id, sender, message_id)? else {
                return Ok(Verdict::Aside("its id is another's, again and again"));
            };
            let (mine, now) = (sender == context.account, context.now);
            let line = messages::NewMessage {
                id: message_id,
                conversation: &conversation.id,
                sender,
                mine,
                at_ms: sent_ms.min(LATEST_MS),
                clock_off: sent_ms > now.saturating_add(CLOCK_AHEAD_MS),
                text: &text,
                notice: None,
                state: if mine { MessageState::Sent } else { MessageState::Received },
                placed: true,
            };
            if messages::insert(tx, &line)? {
                changes.message(sender, message_id, !mine);
                conversations::touch(tx, &conversation.id, now)?;
            }
            changes.conversation(conversation.id);
        }
        AppMessage::Profile { display_name, access_key } => {
            let Some(contact) = contacts::load(tx, sender)? else { return Ok(Verdict::Used) };
            contacts::set_access_key(tx, sender, &access_key)?;
            let name = peer_display_name(&display_name, contact.name.as_str());
            if contacts::set_display_name(tx, sender, &name)? {
                changes.conversation(conversation.id);
                changes.group(conversation.id);
            }
        }
        // Takes a leaf in the group, and no chain.
        AppMessage::Leave(_) | AppMessage::StaleKey(_) => {}
    }
    Ok(Verdict::Used)
}

/// Whether a chain states these keys for the leaf's device.
pub(super) fn states(chain: &VerifiedChain, leaf: &Leaf) -> bool {
    chain
        .device(leaf.identity.device)
        .and_then(|device| device.version(leaf.identity.key_version))
        .is_some_and(|version| leaf.identity.is(&version.record) && leaf.mls_key == version.record.mls)
}
