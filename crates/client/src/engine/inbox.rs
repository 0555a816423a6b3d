//! The own inbox: first contacts. Each entry is stored with the cursor in one transaction, then acknowledged.

use std::sync::Arc;

use waxwing_protocol::content::{Content, Introduction};
use waxwing_protocol::conversation_id;
use waxwing_protocol::envelope::{self, OpenContext, Opened};
use waxwing_wire::frame::InboxEntry;
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{LogId, VerifiedChain};

use super::contacts::started_line;
use super::emit::Changes;
use super::Engine;
use crate::error::{Error, ErrorCode};
use crate::store::contacts::Contact;
use crate::store::{account, contacts, conversations, keys, logs, messages};
use crate::views::{ConversationKind, Notice, Trust};

const INBOX: LogId = LogId::from_bytes([0; 16]);

/// Why an introduction waits; it is looked at again with every new connection.
const OUT_OF_REACH: &str = "its sender's relay is out of reach";

/// What one inbox entry came to.
enum Verdict {
    Introduced { introduction: Box<Introduction>, chain: Arc<VerifiedChain>, entries: Vec<Vec<u8>>, from: u32 },
    SetAside(&'static str),
}

impl Engine {
    /// Reads the inbox to its end.
    pub(super) async fn drain_inbox(&self) -> Result<(), Error> {
        let _one = self.inbox_lock.lock().await;
        loop {
            let cursor = self.store.run(account::inbox_cursor).await?;
            let page = self.home.read_inbox(cursor).await?;
            let Some(last) = page.entries.last().map(|entry| entry.seq) else { return Ok(()) };
            if page.entries.iter().any(|entry| entry.seq <= cursor) || !page.entries.is_sorted_by_key(|entry| entry.seq) {
                return Err(Error::new(ErrorCode::RelayMisbehaved, "the inbox is out of order"));
            }
            for entry in page.entries {
                let verdict = self.judge_inbox(&entry).await?;
                self.store_inbox(entry, verdict).await?;
            }
            // After the commit: a lost ack only makes the relay show the entries again.
            self.home.ack_inbox(last).await?;
            if last >= page.head {
                return Ok(());
            }
        }
    }

    /// An error is for later: the entry stays at the relay. A stranger's relay out of reach must not hold up the inbox.
    async fn judge_inbox(&self, entry: &InboxEntry) -> Result<Verdict, Error> {
        if entry.kind != EnvelopeKind::Welcome {
            return Ok(Verdict::SetAside("a kind that this version does not know"));
        }
        let keys = self.opening_keys().await?;
        let context = OpenContext { envelope_id: entry.entry_id, kind: entry.kind, log: INBOX, tag_key: None, erased: &[] };
        let Ok(opened) = envelope::open(&entry.blob, &keys.list(), self.account, &context) else {
            return Ok(Verdict::SetAside("it does not open"));
        };
        // Only to learn which relay has the sender's chain; used for nothing else before the signature is checked.
        let Ok(Content::Introduction(introduction)) = Content::decode(entry.kind, &opened.unverified_content()) else {
            return Ok(Verdict::SetAside("its content cannot be read"));
        };
        match self.check_introduction(opened, introduction).await {
            Err(error) if error.code() == ErrorCode::RelayDown => Err(error),
            Err(error) => {
                tracing::info!(%error, "an introduction was refused");
                Ok(Verdict::SetAside("its sender's chain cannot be had or does not match"))
            }
            checked => checked,
        }
    }

    async fn check_introduction(&self, opened: Opened, introduction: Introduction) -> Result<Verdict, Error> {
        let claimed = opened.claimed().clone();
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
        let at_home = relay.authority() == self.home.address().authority();
        let from = known.as_ref().map_or(0, |chain| chain.seq() + 1);
        let fetched = self.fetch_chain(&relay, &sender.to_string(), known.as_ref()).await;
        let (chain, entries) = match fetched {
            // Another relay out of reach is not this one's fault; the inbox goes on without it.
            Err(error) if error.code() == ErrorCode::RelayDown && !at_home => {
                return Ok(Verdict::SetAside(OUT_OF_REACH));
            }
            fetched => fetched?,
        };
        let matches = *chain.account_key() == introduction.account_key
            && chain.hash_at(introduction.chain_seq) == Some(introduction.chain_head)
            && chain.name() == Some(&introduction.name);
        if !matches {
            return Ok(Verdict::SetAside("the chain is not the one it names"));
        }
        // The version in force, or the one before: an introduction can have waited through one rotation.
        let device = chain.device(claimed.device);
        let record = device.and_then(|device| device.versions().rev().take(2).find(|one| one.record.key_version == claimed.key_version));
        let Some(record) = record else {
            return Ok(Verdict::SetAside("its sender's keys are not in force"));
        };
        if opened.verify(&record.record).is_err() {
            return Ok(Verdict::SetAside("its signature does not hold"));
        }
        let introduction = Box::new(introduction);
        Ok(Verdict::Introduced { introduction, chain: Arc::new(chain), entries, from })
    }

    /// Looks again at introductions whose sender's relay was out of reach.
    pub(super) async fn retry_introductions(&self) -> Result<(), Error> {
        let _one = self.inbox_lock.lock().await;
        for (n, entry) in self.store.run(|tx| logs::set_aside_for(tx, INBOX, OUT_OF_REACH)).await? {
            let verdict = self.judge_inbox(&entry).await?;
            if matches!(verdict, Verdict::SetAside(OUT_OF_REACH)) {
                continue;
            }
            self.store_inbox(entry, verdict).await?;
            self.store.run(move |tx| logs::remove_set_aside(tx, n)).await?;
        }
        Ok(())
    }

    async fn store_inbox(&self, entry: InboxEntry, verdict: Verdict) -> Result<(), Error> {
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
                    Verdict::Introduced { introduction, entries, from, .. } => {
                        keys::add_chain_entries(tx, introduction.account, from, &entries)?;
                        store_introduction(tx, *introduction, now, &mut changes)?;
                    }
                }
                account::set_inbox_cursor(tx, entry.seq)?;
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

/// Contact, conversation and log of a checked introduction. Known ones are extended, never replaced.
fn store_introduction(
    tx: &rusqlite::Transaction<'_>,
    introduction: Introduction,
    now: u64,
    changes: &mut Changes,
) -> Result<(), Error> {
    let (conversation, sender) = (introduction.conversation, introduction.account);
    let contact = Contact {
        account: sender,
        name: introduction.name,
        relay: introduction.home,
        display_name: introduction.display_name,
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
