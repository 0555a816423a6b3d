//! The own inbox: first contacts. Each entry is stored with the cursor in one transaction, then acknowledged.

use std::sync::Arc;
use std::time::Duration;

use waxwing_protocol::content::{Content, Introduction};
use waxwing_protocol::conversation_id;
use waxwing_protocol::envelope::{self, Message, OpenContext, Opened};
use waxwing_wire::frame::InboxEntry;
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{LogId, VerifiedChain};

use super::Engine;
use super::contacts::started_line;
use super::emit::Changes;
use super::receive::peer_display_name;
use crate::error::{Error, ErrorCode};
use crate::store::contacts::Contact;
use crate::store::{account, contacts, conversations, keys, logs, messages};
use crate::views::{ConversationKind, Notice, Trust};

const INBOX: LogId = LogId::from_bytes([0; 16]);

/// Why an introduction waits; it is looked at again with every new connection.
const OUT_OF_REACH: &str = "its sender's relay is out of reach";

/// Longest wait for another relay's answer to one introduction.
const ABROAD: Duration = Duration::from_secs(20);

/// What one inbox entry came to.
enum Verdict {
    Introduced {
        introduction: Box<Introduction>,
        message: Box<Message>,
        chain: Arc<VerifiedChain>,
        entries: Vec<Vec<u8>>,
        from: u32,
    },
    SetAside(&'static str),
}

impl Engine {
    /// Reads the inbox to its end.
    pub(super) async fn drain_inbox(&self) -> Result<(), Error> {
        let _one = self.inbox_lock.lock().await;
        loop {
            let cursor = self.store.run(account::inbox_cursor).await?;
            let page = self.home.read_inbox(cursor).await?;
            if page.head < cursor {
                // The relay was restored from a copy. What is stored is known by its ids, so all may be read again.
                tracing::warn!("the inbox went back; it is read from the start");
                self.store.run(|tx| account::set_inbox_cursor(tx, 0)).await?;
                continue;
            }
            let Some(last) = page.entries.last().map(|entry| entry.seq) else { return Ok(()) };
            let in_order = page.entries.is_sorted_by(|a, b| a.seq < b.seq);
            if !in_order || last > page.head || page.entries.iter().any(|entry| entry.seq <= cursor) {
                return Err(Error::new(ErrorCode::RelayMisbehaved, "the inbox is out of order"));
            }
            for entry in page.entries {
                let verdict = self.judge_inbox(&entry, false).await?;
                let seq = entry.seq;
                self.store_inbox(entry, verdict, Some(seq)).await?;
            }
            // After the commit: a lost ack only makes the relay show the entries again.
            self.home.ack_inbox(last).await?;
            if last >= page.head {
                return Ok(());
            }
        }
    }

    /// An error is for later: the entry stays at the relay. A stranger's relay out of reach must not hold up the inbox.
    ///
    /// `abroad`: whether another relay may be asked; the inbox itself never waits for one.
    async fn judge_inbox(&self, entry: &InboxEntry, abroad: bool) -> Result<Verdict, Error> {
        if entry.kind != EnvelopeKind::Welcome {
            return Ok(Verdict::SetAside("a kind that this version does not know"));
        }
        let keys = self.opening_keys().await?;
        let context =
            OpenContext { envelope_id: entry.entry_id, kind: entry.kind, log: INBOX, tag_key: None, erased: &[] };
        let Ok(opened) = envelope::open(&entry.blob, &keys.list(), self.account, &context) else {
            return Ok(Verdict::SetAside("it does not open"));
        };
        // Only to learn which relay has the sender's chain; used for nothing else before the signature is checked.
        let Ok(Content::Introduction(introduction)) = Content::decode(entry.kind, &opened.unverified_content()) else {
            return Ok(Verdict::SetAside("its content cannot be read"));
        };
        let at_home = introduction.home.authority() == self.home.address().authority();
        if !at_home && !abroad {
            self.introductions_wake.notify_one();
            return Ok(Verdict::SetAside(OUT_OF_REACH));
        }
        match self.check_introduction(opened, introduction).await {
            Err(error) if matches!(error.code(), ErrorCode::ChainBroken | ErrorCode::UnknownUser) => {
                tracing::info!(%error, "an introduction was refused");
                Ok(Verdict::SetAside("its sender's chain does not match"))
            }
            // Trouble with another relay, or an answer that makes no sense: it waits here, and the inbox goes on without it.
            Err(error) if !at_home || error.code() == ErrorCode::RelayMisbehaved => {
                tracing::info!(%error, "an introduction waits");
                Ok(Verdict::SetAside(OUT_OF_REACH))
            }
            // Trouble with the own relay or this computer is an error: the entry stays in the inbox.
            checked => checked,
        }
    }

    async fn check_introduction(&self, opened: Opened, introduction: Introduction) -> Result<Verdict, Error> {
        let claimed = *opened.claimed();
        let sender = introduction.account;
        if claimed.account != sender || sender == self.account {
            return Ok(Verdict::SetAside("it names another sender"));
        }
        if introduction.conversation != conversation_id(self.account, sender) {
            return Ok(Verdict::SetAside("it names another conversation"));
        }
        let (known, contact) =
            self.store.run(move |tx| Ok((keys::chain(tx, sender)?, contacts::load(tx, sender)?))).await?;
        // Somebody who is known already is asked for where they are known to be.
        let relay = contact.map_or_else(|| introduction.home.clone(), |contact| contact.relay);
        // A stranger does not make this computer speak to itself.
        if !self.home.address().is_loopback() && (relay.is_loopback() || introduction.relay.is_loopback()) {
            return Ok(Verdict::SetAside("it names this computer as a relay"));
        }
        let from = known.as_ref().map_or(0, |chain| chain.seq() + 1);
        let (chain, entries) = self.fetch_chain(&relay, &sender.to_string(), known.as_ref()).await?;
        let matches = *chain.account_key() == introduction.account_key
            && chain.hash_at(introduction.chain_seq) == Some(introduction.chain_head)
            && chain.name() == Some(&introduction.name)
            && chain.log_origin() == relay.authority();
        if !matches {
            return Ok(Verdict::SetAside("the chain is not the one it names"));
        }
        // The version in force, or the one before: an introduction can have waited through one rotation.
        let device = chain.device(claimed.device);
        let record = device.and_then(|device| {
            device.versions().rev().take(2).find(|one| one.record.key_version == claimed.key_version)
        });
        let Some(record) = record else {
            return Ok(Verdict::SetAside("its sender's keys are not in force"));
        };
        let Ok(message) = opened.verify(&record.record) else {
            return Ok(Verdict::SetAside("its signature does not hold"));
        };
        let (introduction, message) = (Box::new(introduction), Box::new(message));
        Ok(Verdict::Introduced { introduction, message, chain: Arc::new(chain), entries, from })
    }

    /// Looks again at introductions whose sender's relay was out of reach.
    pub(super) async fn retry_introductions(&self) -> Result<(), Error> {
        for (n, entry) in self.store.run(|tx| logs::set_aside_for(tx, INBOX, OUT_OF_REACH)).await? {
            let looked_at = tokio::time::timeout(ABROAD, self.judge_inbox(&entry, true)).await;
            let verdict = match looked_at {
                Err(_) | Ok(Ok(Verdict::SetAside(OUT_OF_REACH))) => continue,
                Ok(verdict) => verdict?,
            };
            self.store_inbox(entry, verdict, None).await?;
            self.store.run(move |tx| logs::remove_set_aside(tx, n)).await?;
        }
        Ok(())
    }

    /// `cursor`: where the inbox stands now, for an entry that comes from there.
    async fn store_inbox(&self, entry: InboxEntry, verdict: Verdict, cursor: Option<u64>) -> Result<(), Error> {
        let now = self.now_ms();
        let (chain, introduced) = match &verdict {
            Verdict::Introduced { chain, .. } => (Some(Arc::clone(chain)), true),
            Verdict::SetAside(_) => (None, false),
        };
        let changes = self
            .store
            .run(move |tx| {
                let mut changes = Changes::default();
                match verdict {
                    Verdict::SetAside(reason) => {
                        tracing::info!(reason, "an inbox entry was set aside");
                        logs::set_aside(tx, INBOX, entry.seq, entry.entry_id, reason, &entry.blob, now)?;
                    }
                    Verdict::Introduced { introduction, message, entries, from, .. } => {
                        let opened_with = message.opened_with;
                        if logs::first_sight(tx, &message.sender, message.envelope_id, opened_with)? {
                            keys::add_chain_entries(tx, introduction.account, from, &entries)?;
                            store_introduction(tx, *introduction, now, &mut changes)?;
                        }
                    }
                }
                if let Some(seq) = cursor {
                    account::set_inbox_cursor(tx, seq)?;
                }
                Ok(changes)
            })
            .await?;
        if let Some(chain) = chain {
            self.cache_chain(chain);
        }
        self.tell(changes).await;
        if introduced {
            self.logs_changed.send_modify(|count| *count += 1);
            self.outbox_wake.notify_one();
        }
        Ok(())
    }
}

/// Most logs that somebody else can make one follow for one conversation.
const MOST_LOGS: usize = 8;

/// Contact, conversation and log of a checked introduction. Known ones are extended, never replaced.
fn store_introduction(
    tx: &rusqlite::Transaction<'_>,
    introduction: Introduction,
    now: u64,
    changes: &mut Changes,
) -> Result<(), Error> {
    let (conversation, sender) = (introduction.conversation, introduction.account);
    if logs::foreign(tx, &conversation)? >= MOST_LOGS && logs::load(tx, introduction.log)?.is_none() {
        tracing::warn!("somebody makes one log after another; this one is not followed");
        return Ok(());
    }
    let display_name = peer_display_name(&introduction.display_name, introduction.name.as_str());
    let contact = Contact {
        account: sender,
        name: introduction.name,
        relay: introduction.home,
        display_name,
        trust: Trust::FirstUse,
        access_key: Some(introduction.access_key),
    };
    contacts::upsert(tx, &contact)?;
    let new = conversations::insert(tx, &conversation, ConversationKind::Direct, sender, false, now)?;
    let log = logs::Log {
        log: introduction.log,
        conversation,
        relay: introduction.relay,
        secret: introduction.channel_secret,
        mine: false,
        created: true,
        peer_seen: true,
        cursor: 0,
        running: [0; 32],
        last_handshake: 0,
    };
    logs::insert(tx, &log)?;
    if new {
        let notice = Notice::Started { name: contact.display_name, mine: false };
        let line = started_line(&conversation, sender, false, now, &notice);
        messages::insert(tx, &line)?;
        changes.message(sender, line.id, false);
    }
    changes.conversation(conversation);
    Ok(())
}
