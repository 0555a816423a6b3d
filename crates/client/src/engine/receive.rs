//! Reading logs: every entry is judged in order, then the page is stored in one transaction with the cursor.
//!
//! What cannot be used is set aside and later entries flow (D9). The network is asked before the transaction, never in it.

use std::sync::Arc;

use waxwing_protocol::content::Content;
use waxwing_protocol::envelope::{self, OpenContext, Opened};
use waxwing_wire::frame::LogEntry;
use waxwing_wire::log::{EnvelopeKind, running_hash};
use waxwing_wire::{AccountId, DeviceId, LogId, RelayAddress, VerifiedChain};

use super::Engine;
use super::emit::Changes;
use super::register::turns_or_controls;
use super::sealing::OpeningKeys;
use crate::error::{Error, ErrorCode};
use crate::store::{contacts, conversations, logs, messages, outbox};
use crate::views::MessageState;

/// A sender's clock further ahead than this is shown.
const CLOCK_AHEAD_MS: u64 = 10 * 60 * 1000;

/// The end of the year 9999: what a sender claims beyond it is shown as that.
const LATEST_MS: u64 = 253_402_300_799_000;

/// A peer's name as it may be shown: nothing in it controls or turns what stands around it. The user name where nothing is left.
pub(super) fn peer_display_name(name: &str, username: &str) -> String {
    let name: String = name.chars().filter(|letter| !turns_or_controls(*letter)).collect();
    let name = name.trim();
    if name.is_empty() { username.to_owned() } else { name.to_owned() }
}

/// One entry, judged.
struct Judged {
    entry: LogEntry,
    verdict: Verdict,
}

enum Verdict {
    Message(Box<envelope::Message>, Box<Content>),
    /// Kept with the reason; not shown.
    SetAside(&'static str),
}

impl Engine {
    /// Reads a log to its head.
    pub(super) async fn drain_log(&self, log: LogId) -> Result<(), Error> {
        let lock = self.log_lock(log);
        let _one = lock.lock().await;
        loop {
            let Some(stored) = self.store.run(move |tx| logs::load(tx, log)).await? else { return Ok(()) };
            if !stored.created {
                return Ok(());
            }
            let relay = self.relay(&stored.relay)?;
            let page = match relay.read_log(log, &stored.secret.read_token(), stored.cursor).await {
                Ok(page) => page,
                Err(error) => return self.log_refused(&stored, error.into()).await,
            };
            if page.head < stored.cursor || page.running != stored.running {
                let error = Error::new(ErrorCode::RelayWentBack, "the log is not the one that was read before");
                return self.log_refused(&stored, error).await;
            }
            self.log_is_readable(&stored).await?;
            let head = page.head;
            let last = stored.cursor + page.entries.len() as u64;
            let moved = !page.entries.is_empty();
            self.take_in(stored, page.entries).await?;
            if last >= head || !moved {
                return Ok(());
            }
        }
    }

    /// Takes the entry that a push frame carried if it is the next one; else reads the log.
    /// What `relay` says of another relay's log counts for nothing.
    pub(super) async fn offer(
        &self,
        relay: &RelayAddress,
        log: LogId,
        head: u64,
        entry: Option<LogEntry>,
    ) -> Result<(), Error> {
        {
            let lock = self.log_lock(log);
            let _one = lock.lock().await;
            let Some(stored) = self.store.run(move |tx| logs::load(tx, log)).await? else { return Ok(()) };
            if stored.cursor >= head || stored.relay != *relay {
                return Ok(());
            }
            if let Some(entry) = entry.filter(|entry| entry.seq == stored.cursor + 1 && entry.seq == head) {
                return self.take_in(stored, vec![entry]).await;
            }
        }
        self.drain_log(log).await
    }

    /// The log is as it was left: what was shown of trouble with it is over.
    async fn log_is_readable(&self, log: &logs::Log) -> Result<(), Error> {
        let conversation = log.conversation;
        let trouble = |code| matches!(code, ErrorCode::RelayWentBack | ErrorCode::RelayMisbehaved);
        let over = self
            .store
            .run(move |tx| {
                let shown = conversations::load(tx, &conversation)?.problem();
                match shown {
                    Some(problem) if trouble(problem.code) => conversations::set_problem(tx, &conversation, None),
                    _ => Ok(false),
                }
            })
            .await?;
        if over {
            let mut changes = Changes::default();
            changes.conversation(conversation);
            self.tell(changes).await;
            self.outbox_wake.notify_one();
        }
        Ok(())
    }

    /// Shows in the conversation why its log cannot be read.
    async fn log_refused(&self, log: &logs::Log, error: Error) -> Result<(), Error> {
        if matches!(
            error.code(),
            ErrorCode::Refused | ErrorCode::RelayWentBack | ErrorCode::RelayMisbehaved | ErrorCode::ChainBroken
        ) {
            let (conversation, view) = (log.conversation, error.view());
            let news = self.store.run(move |tx| conversations::set_problem(tx, &conversation, Some(&view))).await?;
            if news {
                let mut changes = Changes::default();
                changes.conversation(conversation);
                self.tell(changes).await;
            }
        }
        Err(error)
    }

    /// Judges entries that follow the cursor, and stores what they bring. The caller holds the log's lock.
    async fn take_in(&self, log: logs::Log, entries: Vec<LogEntry>) -> Result<(), Error> {
        if entries.is_empty() {
            return Ok(());
        }
        let (mut cursor, mut running) = (log.cursor, log.running);
        for entry in &entries {
            if entry.seq != cursor + 1 {
                return Err(Error::new(ErrorCode::RelayMisbehaved, "a log has a gap"));
            }
            cursor = entry.seq;
            running = running_hash(&running, entry.seq, entry.entry_id, entry.kind, &entry.blob);
        }
        let conversation = log.conversation;
        let peer = self.store.run(move |tx| Ok(conversations::load(tx, &conversation)?.account)).await?;
        let keys = self.opening_keys().await?;
        let mut judge = Judge { engine: self, log: &log, peer, keys: &keys, refreshed: false };
        let mut judged = Vec::with_capacity(entries.len());
        for entry in entries {
            let verdict = judge.judge(&entry).await?;
            judged.push(Judged { entry, verdict });
        }
        let (me, device, now) = (self.account, self.device, self.now_ms());
        let changes = self
            .store
            .run(move |tx| {
                let mut changes = Changes::default();
                for one in judged {
                    store_entry(tx, &log, one, (me, device), now, &mut changes)?;
                }
                logs::advance(tx, log.log, cursor, &running, log.last_handshake)?;
                Ok(changes)
            })
            .await?;
        self.tell(changes).await;
        Ok(())
    }
}

/// Judges the entries of one page.
struct Judge<'a> {
    engine: &'a Engine,
    log: &'a logs::Log,
    peer: AccountId,
    keys: &'a OpeningKeys,
    /// The peer's chain is asked for at most once a page.
    refreshed: bool,
}

impl Judge<'_> {
    /// An error is for the whole page: nothing is stored, and it is read again later.
    async fn judge(&mut self, entry: &LogEntry) -> Result<Verdict, Error> {
        if entry.kind != EnvelopeKind::App {
            return Ok(Verdict::SetAside("a kind that this version does not know"));
        }
        let tag_key = self.log.secret.tag_key();
        let context = OpenContext {
            envelope_id: entry.entry_id,
            kind: entry.kind,
            log: self.log.log,
            tag_key: Some(&tag_key),
            erased: &[],
        };
        let Ok(opened) = envelope::open(&entry.blob, &self.keys.list(), self.engine.account, &context) else {
            return Ok(Verdict::SetAside("it does not open"));
        };
        let claimed = *opened.claimed();
        if claimed.account != self.engine.account && claimed.account != self.peer {
            return Ok(Verdict::SetAside("its sender is not in the conversation"));
        }
        let Some(chain) = self.chain_with(&opened, entry.kind).await? else {
            return Ok(Verdict::SetAside("its sender's keys are not in the chain"));
        };
        let record = chain.device(claimed.device).and_then(|device| device.version(claimed.key_version));
        let Some(record) = record else {
            return Ok(Verdict::SetAside("its sender's keys are not in the chain"));
        };
        let Ok(message) = opened.verify(&record.record) else {
            return Ok(Verdict::SetAside("its signature does not hold"));
        };
        if message.after != self.log.last_handshake {
            return Ok(Verdict::SetAside("it was sealed for another place in the log"));
        }
        match Content::decode(entry.kind, &message.content) {
            Ok(content) => Ok(Verdict::Message(Box::new(message), Box::new(content))),
            Err(_) => Ok(Verdict::SetAside("its content cannot be read")),
        }
    }

    /// The claimed sender's chain. Where it does not have the claimed key version yet: first the chain entries that the
    /// envelope itself may carry (they prove themselves), then the account's relay.
    async fn chain_with(&mut self, opened: &Opened, kind: EnvelopeKind) -> Result<Option<Arc<VerifiedChain>>, Error> {
        let claimed = *opened.claimed();
        let has = |chain: &VerifiedChain| {
            chain.device(claimed.device).is_some_and(|device| device.version(claimed.key_version).is_some())
        };
        let chain = self.engine.chain(claimed.account).await?;
        if has(&chain) {
            return Ok(Some(chain));
        }
        if claimed.account == self.engine.account {
            return Ok(None);
        }
        if let Ok(Content::KeysRotated { from_seq, entries }) = Content::decode(kind, &opened.unverified_content()) {
            let chain = self.engine.learn_entries(claimed.account, from_seq, &entries).await?;
            if has(&chain) {
                return Ok(Some(chain));
            }
        }
        if self.refreshed {
            return Ok(None);
        }
        self.refreshed = true;
        let chain = match self.engine.refresh_chain(claimed.account).await {
            Ok(chain) => chain,
            Err(error) if error.code() == ErrorCode::ChainBroken => {
                return self.engine.log_refused(self.log, error).await.map(|()| None);
            }
            // The sender's relay is another one's trouble: this log waits, and no other does.
            Err(error) => {
                let detail = format!("a sender's chain cannot be had: {error}");
                return Err(Error::new(ErrorCode::RelayBusy, detail));
            }
        };
        Ok(has(&chain).then_some(chain))
    }
}

/// Stores one judged entry, inside the page's transaction.
fn store_entry(
    tx: &rusqlite::Transaction<'_>,
    log: &logs::Log,
    judged: Judged,
    (me, device): (AccountId, DeviceId),
    now: u64,
    changes: &mut Changes,
) -> Result<(), Error> {
    let Judged { entry, verdict } = judged;
    let aside = |reason: &str| {
        logs::set_aside(tx, log.log, entry.seq, entry.entry_id, reason, &entry.blob, now)?;
        tracing::info!(reason, "an entry was set aside");
        Ok(())
    };
    let (message, content) = match verdict {
        Verdict::SetAside(reason) => return aside(reason),
        Verdict::Message(message, content) => (message, content),
    };
    let sender = &message.sender;
    // Once a device has spoken with new keys in this log, its old ones are worth nothing here.
    let known = logs::sender_version(tx, log.log, sender)?;
    if sender.key_version < known {
        return aside("it is signed with keys that were replaced before it");
    }
    if !logs::first_sight(tx, sender, message.envelope_id, message.opened_with)? {
        return aside("a replay");
    }
    if sender.key_version > known {
        logs::set_sender_version(tx, log.log, sender)?;
    }
    if sender.account != me && !log.peer_seen {
        logs::set_peer_seen(tx, log.log)?;
    }
    match *content {
        Content::Text { message_id, text } => {
            let mine = sender.account == me;
            if messages::is_taken(tx, &log.conversation, message_id, sender.account)? {
                return aside("its message id is another sender's");
            }
            if mine && sender.device == device && messages::load(tx, me, message_id)?.is_some_and(|known| !known.placed)
            {
                messages::set_state(tx, me, message_id, MessageState::Sent, None)?;
                messages::place(tx, me, message_id)?;
                outbox::remove_message(tx, message_id)?;
                changes.message(me, message_id, false);
            } else {
                let line = messages::NewMessage {
                    id: message_id,
                    conversation: &log.conversation,
                    sender: sender.account,
                    mine,
                    at_ms: message.sent_ms.min(LATEST_MS),
                    clock_off: message.sent_ms > now.saturating_add(CLOCK_AHEAD_MS),
                    text: &text,
                    notice: None,
                    state: if mine { MessageState::Sent } else { MessageState::Received },
                    placed: true,
                };
                if messages::insert(tx, &line)? {
                    changes.message(sender.account, message_id, !mine);
                    conversations::touch(tx, &log.conversation, now)?;
                }
            }
            changes.conversation(log.conversation);
        }
        // The chain was fetched and verified when the new key version signed this; it made the quiet line.
        Content::KeysRotated { .. } => {}
        Content::Profile { display_name } => {
            if sender.account == me {
                return Ok(());
            }
            let Some(contact) = contacts::load(tx, sender.account)? else { return Ok(()) };
            let name = peer_display_name(&display_name, contact.name.as_str());
            if contacts::set_display_name(tx, sender.account, &name)? {
                changes.conversation(log.conversation);
            }
        }
        Content::Introduction(_) => return aside("an introduction outside an inbox"),
    }
    Ok(())
}
