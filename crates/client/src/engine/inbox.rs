//! The own inbox: Welcomes, notices, requests. Each entry is stored with the cursor in one transaction, then acknowledged.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Transaction;
use waxwing_protocol::content::{Content, JoinRequest, ResyncRequest, Welcome};
use waxwing_protocol::envelope::{self, Message, OpenContext, Opened};
use waxwing_wire::frame::InboxEntry;
use waxwing_wire::{AccountId, ChainEntry, LogId, RelayAddress, VerifiedChain};

use super::Engine;
use super::abroad::Known;
use super::admit::{self, Asking};
use super::context::Context;
use super::emit::Changes;
use super::join::{self, Welcomed};
use super::own_news::{self, OwnNews};
use super::{follow, resync, safety};
use crate::error::{Error, ErrorCode};
use crate::relay::local_ms;
use crate::store::device_link::{self, Stage};
use crate::store::{account, aside, contacts, keys, logs, own_entries, unproved};

pub(super) const INBOX: LogId = LogId::from_bytes([0; 16]);

pub(super) const THIS_COMPUTER: &str = "it names this computer as a relay";

/// Longest wait for another relay's answer about one of them.
pub(super) const ABROAD: Duration = Duration::from_secs(20);

/// How long after its replacement a signing key is still taken in an inbox: 30 days at the relay, and as much again for whoever made the
/// envelope and could not send it, and 7 days.
const REPLACED_SIGNS_FOR_MS: u64 = 67 * 24 * 60 * 60 * 1000;

/// What one inbox entry came to.
enum Verdict {
    Welcomed(Box<Welcomed>),
    /// A notice that a log has news.
    Look(LogId, u64, Box<Message>),
    /// Somebody in a group asks to be let back in.
    Resync(Box<(ResyncRequest, Message)>),
    /// Its sender's relay, or that of its log, is to be asked first, which the inbox does not wait for; it is looked at again with every new
    /// connection.
    Waits,
    /// Somebody asks with a link to be let into a group.
    Asked(Box<Asking>),
    /// A new device asks to be added to the account, with this entry.
    Link(Box<(ChainEntry, Message, Stage)>),
    /// Another own device has said something.
    Own(Box<(OwnNews, Message)>),
    SetAside(&'static str),
}

/// A sender whose chain is the one that they name, and whose signature holds.
pub(super) struct CheckedSender {
    pub(super) message: Message,
    pub(super) chain: Arc<VerifiedChain>,
    /// What is new of the chain, from this place on.
    pub(super) entries: Vec<Vec<u8>>,
    pub(super) from: u32,
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
                let again = self.store.run(|tx| {
                    own_entries::may_have_missed(tx)?;
                    account::set_inbox_cursor(tx, 0)
                });
                again.await?;
                continue;
            }
            let Some(last) = page.entries.last().map(|entry| entry.seq) else { return self.has_heard().await };
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
                return self.has_heard().await;
            }
        }
    }

    /// The inbox was read to its end.
    async fn has_heard(&self) -> Result<(), Error> {
        let Some(now) = self.home.relay_ms() else { return Ok(()) };
        let local = u64::try_from(local_ms()).unwrap_or(0);
        self.store.run(move |tx| own_entries::heard(tx, now, local)).await
    }

    /// An error is for later: the entry stays at the relay. A stranger's relay out of reach must not hold up the inbox.
    ///
    /// `abroad`: whether another relay may be asked; the inbox itself never waits for one.
    async fn judge_inbox(&self, entry: &InboxEntry, abroad: bool) -> Result<Verdict, Error> {
        let keys = self.opening_keys().await?;
        let context =
            OpenContext { envelope_id: entry.entry_id, kind: entry.kind, log: INBOX, tag_key: None, erased: &[] };
        let Ok(opened) = envelope::open(&entry.blob, &keys.list(), self.account, &context) else {
            return Ok(Verdict::SetAside("it does not open"));
        };
        // Only to learn which relay has the sender's chain; used for nothing else before the signature is checked.
        match Content::decode(entry.kind, &opened.unverified_content()) {
            Ok(Content::Welcome(welcome)) => {
                let home = self.asked_at(&welcome.sender).await?;
                self.patiently(&home, abroad, self.check_welcome(opened, welcome, abroad)).await
            }
            Ok(Content::Join(request)) => {
                let (context, asked) = (self.context(), request.clone());
                // Before anybody is spoken to: it must hold a link that is in force.
                if let Some(reason) = self.store.run(move |tx| admit::refuse(tx, &context, &asked)).await? {
                    return Ok(Verdict::SetAside(reason));
                }
                let home = self.asked_at(&request.sender).await?;
                self.patiently(&home, abroad, self.check_join(opened, request, abroad)).await
            }
            Ok(Content::Removed { log, seq }) => Ok(match self.known_sender(opened, abroad).await? {
                Known::Signed(message) => Verdict::Look(log, seq, message),
                Known::Later => Verdict::Waits,
                Known::Nobody => Verdict::SetAside("a notice of somebody unknown, or without keys in force"),
            }),
            Ok(Content::Resync(request)) => Ok(match self.known_sender(opened, abroad).await? {
                Known::Signed(message) => Verdict::Resync(Box::new((request, *message))),
                Known::Later => Verdict::Waits,
                Known::Nobody => Verdict::SetAside("a request of somebody unknown, or without keys in force"),
            }),
            Ok(Content::Link(request)) => Ok(match self.judge_link(opened, request).await? {
                Ok((message, entry, stage)) => Verdict::Link(Box::new((entry, message, stage))),
                Err(reason) => Verdict::SetAside(reason),
            }),
            Ok(Content::OwnEntry(entry)) => self.own_news(opened, abroad, OwnNews::Entry(entry)).await,
            Ok(Content::OwnContacts(contacts)) => self.own_news(opened, abroad, OwnNews::Contacts(contacts)).await,
            Ok(Content::OwnProfile(profile)) => self.own_news(opened, abroad, OwnNews::Profile(profile)).await,
            Ok(Content::OwnAsk(from)) => self.own_news(opened, abroad, OwnNews::Ask(from)).await,
            Ok(Content::HandOver(_)) => self.own_news(opened, abroad, OwnNews::Nothing).await,
            _ => Ok(Verdict::SetAside("its content cannot be read")),
        }
    }

    async fn own_news(&self, opened: Opened, abroad: bool, news: OwnNews) -> Result<Verdict, Error> {
        Ok(match self.of_own_device(opened, abroad).await? {
            Known::Signed(message) => Verdict::Own(Box::new((news, *message))),
            Known::Later => Verdict::Waits,
            Known::Nobody => Verdict::SetAside("it is of no other own device in force"),
        })
    }

    /// Checks what needs its sender's chain, which their relay `home` has.
    async fn patiently(
        &self,
        home: &RelayAddress,
        abroad: bool,
        check: impl Future<Output = Result<Verdict, Error>>,
    ) -> Result<Verdict, Error> {
        let at_home = !self.is_abroad(home);
        if !at_home && (!abroad || self.is_silent(home)) {
            return Ok(Verdict::Waits);
        }
        let checked = if abroad { tokio::time::timeout(ABROAD, check).await } else { Ok(check.await) };
        let Ok(checked) = checked else {
            if !at_home {
                self.did_not_answer(home);
            }
            return Ok(Verdict::Waits);
        };
        match checked {
            Err(error) if matches!(error.code(), ErrorCode::ChainBroken | ErrorCode::UnknownUser) => {
                tracing::info!(%error, "an inbox entry was refused");
                Ok(Verdict::SetAside("its sender's chain does not match"))
            }
            // Trouble with another relay or with a log, or an answer that makes no sense: it waits here, and the inbox goes on without it.
            Err(error) if !at_home || is_of_one_sender(error.code()) => {
                tracing::info!(%error, "an inbox entry waits");
                Ok(Verdict::Waits)
            }
            // Trouble with the own relay or this computer is an error: the entry stays in the inbox.
            checked => checked,
        }
    }

    async fn check_welcome(&self, opened: Opened, welcome: Welcome, abroad: bool) -> Result<Verdict, Error> {
        if let Some(reason) = self.refuse_sender(&opened, welcome.sender.account).await? {
            return Ok(Verdict::SetAside(reason));
        }
        let log = welcome.log;
        if let Some(known) = self.store.run(move |tx| logs::load(tx, log)).await?.filter(|log| log.active) {
            if !abroad && self.is_abroad(&known.relay) {
                return Ok(Verdict::Waits);
            }
            // Taken out and brought in again, perhaps, and the first is not read yet.
            if let Err(error) = self.drain_log(log).await {
                tracing::info!(%error, "a Welcome waits for its log");
                return Ok(Verdict::Waits);
            }
        }
        if !self.home.address().is_loopback() && welcome.relay.is_loopback() {
            return Ok(Verdict::SetAside(THIS_COMPUTER));
        }
        if welcome.sender.account == self.account {
            // Its chain is one's own, of which nobody brings anything.
            return Ok(match self.of_own_device(opened, abroad).await? {
                Known::Signed(message) => {
                    let (chain, entries) = (self.chain(self.account).await?, Vec::new());
                    let sender = CheckedSender { message: *message, chain, entries, from: 0 };
                    Verdict::Welcomed(Box::new(Welcomed { welcome, sender }))
                }
                Known::Later => Verdict::Waits,
                Known::Nobody => Verdict::SetAside("it is of no other own device in force"),
            });
        }
        Ok(match self.check_sender(opened, &welcome.sender).await? {
            Ok(sender) => Verdict::Welcomed(Box::new(Welcomed { welcome, sender })),
            Err(reason) => Verdict::SetAside(reason),
        })
    }

    async fn check_join(&self, opened: Opened, request: JoinRequest, abroad: bool) -> Result<Verdict, Error> {
        if request.sender.account == self.account {
            return Ok(Verdict::SetAside("it is of oneself"));
        }
        if let Some(reason) = self.refuse_sender(&opened, request.sender.account).await? {
            return Ok(Verdict::SetAside(reason));
        }
        let conversation = request.conversation;
        if let Some(log) = self.store.run(move |tx| logs::to_send(tx, &conversation)).await? {
            if !abroad && self.is_abroad(&log.relay) {
                return Ok(Verdict::Waits);
            }
            // They may have left before they asked again, and that is not read yet.
            if let Err(error) = self.drain_log(log.log).await {
                tracing::info!(%error, "a request to be let in is judged by what is known");
            }
        }
        Ok(match self.check_sender(opened, &request.sender).await? {
            Ok(sender) => Verdict::Asked(Box::new(Asking { request, sender })),
            Err(reason) => Verdict::SetAside(reason),
        })
    }

    /// Why nothing is taken in from whoever an envelope says to be from, if so.
    async fn refuse_sender(&self, opened: &Opened, stated: AccountId) -> Result<Option<&'static str>, Error> {
        if opened.claimed().account != stated {
            return Ok(Some("it names another sender"));
        }
        let contact = self.store.run(move |tx| contacts::load(tx, stated)).await?;
        Ok(contact.is_some_and(|contact| contact.blocked).then_some("its sender is blocked"))
    }

    /// Looks again at Welcomes and requests whose sender's relay was out of reach.
    pub(super) async fn retry_welcomes(&self) -> Result<(), Error> {
        for (n, entry) in self.store.run(aside::waiting).await? {
            let verdict = match self.judge_inbox(&entry, true).await? {
                Verdict::Waits => continue,
                verdict => verdict,
            };
            self.store_inbox(entry, verdict, None).await?;
            self.store.run(move |tx| aside::waited(tx, n)).await?;
        }
        Ok(())
    }

    /// Looks again at what waits of own devices.
    pub(super) async fn retry_own_news(&self) -> Result<(), Error> {
        let me = self.account;
        for (n, entry) in self.store.run(move |tx| aside::waiting_of(tx, me)).await? {
            let verdict = match self.judge_inbox(&entry, false).await? {
                Verdict::Waits => continue,
                verdict => verdict,
            };
            self.store_inbox(entry, verdict, None).await?;
            self.store.run(move |tx| aside::waited(tx, n)).await?;
        }
        Ok(())
    }

    /// Whose something is that waits: by its signature, where it holds under keys that are known here, or else as it claims.
    pub(super) async fn who_waits(&self, entry: &InboxEntry) -> Result<Option<aside::Sender>, Error> {
        let keys = self.opening_keys().await?;
        let context =
            OpenContext { envelope_id: entry.entry_id, kind: entry.kind, log: INBOX, tag_key: None, erased: &[] };
        let Ok(opened) = envelope::open(&entry.blob, &keys.list(), self.account, &context) else { return Ok(None) };
        let account = opened.claimed().account;
        let chain = self.store.run(move |tx| keys::chain(tx, account)).await?;
        let signed = chain.is_some_and(|chain| verify_in_force(opened, &chain, self.now_ms()).is_some());
        Ok(Some(aside::Sender { account, signed }))
    }

    /// `cursor`: where the inbox stands now, for an entry that comes from there.
    async fn store_inbox(&self, entry: InboxEntry, verdict: Verdict, cursor: Option<u64>) -> Result<(), Error> {
        let context = self.context();
        let asked = matches!(verdict, Verdict::Resync(_) | Verdict::Asked(_));
        let about = if let Verdict::Resync(resync) = &verdict { Some(resync.0.log) } else { None };
        let (own, asks) = (matches!(verdict, Verdict::Own(_)), matches!(verdict, Verdict::Link(_)));
        let home = self.home.address().clone();
        let question = match &verdict {
            Verdict::Own(said) => match &said.0 {
                OwnNews::Ask(from) => Some((said.1.sender.device, *from)),
                _ => None,
            },
            _ => None,
        };
        let named = matches!(&verdict, Verdict::Own(said) if matches!(said.0, OwnNews::Profile(_)));
        let (chain, look) = match &verdict {
            Verdict::Welcomed(welcomed) => (Some(Arc::clone(&welcomed.sender.chain)), None),
            Verdict::Asked(asking) => (Some(Arc::clone(&asking.sender.chain)), None),
            Verdict::Look(log, ..) => (None, Some(*log)),
            Verdict::Resync(_) | Verdict::Link(_) | Verdict::Own(_) | Verdict::Waits | Verdict::SetAside(_) => {
                (None, None)
            }
        };
        let welcomed = matches!(verdict, Verdict::Welcomed(_));
        let waits = matches!(verdict, Verdict::Waits);
        let by = if waits { self.who_waits(&entry).await? } else { None };
        let changes = self
            .store
            .run(move |tx| {
                let mut changes = Changes::default();
                let set_aside = |reason: &'static str| {
                    tracing::info!(reason, "an inbox entry was set aside");
                    aside::keep(tx, INBOX, entry.seq, entry.entry_id, reason, &entry.blob, context.now)
                };
                match verdict {
                    Verdict::SetAside(reason) => set_aside(reason)?,
                    Verdict::Waits => match by {
                        Some(sender) => aside::wait(tx, &entry, sender)?,
                        None => set_aside("it does not open")?,
                    },
                    Verdict::Resync(resync) => {
                        let (request, message) = *resync;
                        let sender = (message.sender.account, message.sender.device);
                        if logs::first_sight(tx, &message.sender, message.envelope_id, message.opened_with)?
                            && let Some(reason) = resync::asked(tx, &context, sender, request)?
                        {
                            set_aside(reason)?;
                        }
                    }
                    Verdict::Asked(asking) => {
                        if new_from(tx, &context, &asking.sender)? {
                            match admit::admit(tx, &context, &asking)? {
                                Some(reason) => set_aside(reason)?,
                                // Their relay's log may have been too long to be read for a stranger.
                                None => unproved::note(tx, asking.sender.message.sender.account)?,
                            }
                        }
                    }
                    Verdict::Link(link) => {
                        let (entry, message, stage) = *link;
                        // The first counts: whoever else has seen the code comes too late, and the user is shown one.
                        let waits = device_link::load(tx)?.is_some_and(|link| link.stage == Stage::Offered);
                        if logs::first_sight(tx, &message.sender, message.envelope_id, message.opened_with)? && waits {
                            device_link::reach(tx, stage, entry.as_bytes())?;
                        }
                    }
                    Verdict::Own(said) => {
                        let (news, message) = *said;
                        if logs::first_sight(tx, &message.sender, message.envelope_id, message.opened_with)? {
                            changes.join(own_news::take(tx, &context, (&home, &message), news)?);
                        }
                    }
                    Verdict::Look(log, seq, message) => {
                        let sender = (message.sender.account, message.sender.device);
                        if logs::first_sight(tx, &message.sender, message.envelope_id, message.opened_with)? {
                            resync::told_removed(tx, &context, (log, seq), sender, &mut changes)?;
                        }
                    }
                    Verdict::Welcomed(welcomed) => {
                        if let Came::Refused(reason) = take_welcome(tx, &context, &entry, *welcomed, &mut changes)? {
                            set_aside(reason)?;
                        }
                    }
                }
                safety::announce(tx, context.now, &mut changes)?;
                if let Some(seq) = cursor {
                    account::set_inbox_cursor(tx, seq)?;
                }
                Ok(changes)
            })
            .await?;
        if let Some(chain) = chain {
            self.chains.keep(chain);
        }
        self.tell(changes).await;
        if waits {
            // Only now: whoever looks again before it is stored would not find it.
            self.introductions_wake.notify_one();
        }
        if welcomed {
            self.logs_changed.send_modify(|count| *count += 1);
            self.outbox_wake.notify_one();
        }
        if asked || own {
            self.outbox_wake.notify_one();
        }
        if own {
            // What it has stated may stand in the log by now.
            self.transparency_wake.notify_one();
        }
        if asks {
            self.tell_devices().await?;
        }
        if named {
            self.tell_profile().await?;
        }
        self.answer_own_devices(question).await;
        // Whoever asks may be what shows that all are locked out. Judged with the log read to its head, as everything that mends.
        for log in about.into_iter().chain(look) {
            self.look_at(log).await?;
        }
        Ok(())
    }
}

/// Whether an error says something of one sender's keys, and nothing of the inbox.
fn is_of_one_sender(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::RelayMisbehaved
            | ErrorCode::NotInLog
            | ErrorCode::NewerKeysHeldBack
            | ErrorCode::LogUnavailable
            | ErrorCode::LogContradicts
    )
}

/// What became of a Welcome.
pub(super) enum Came {
    Joined,
    Refused(&'static str),
    /// It waits for another to prove true or false, or is a copy of one that was seen.
    Nothing,
}

/// Takes in a Welcome whose sender was checked.
pub(super) fn take_welcome(
    tx: &Transaction<'_>,
    context: &Context,
    entry: &InboxEntry,
    welcomed: Welcomed,
    changes: &mut Changes,
) -> Result<Came, Error> {
    if join::must_wait(tx, &welcomed)? {
        store_chain(tx, context, &welcomed.sender)?;
        let account = welcomed.sender.message.sender.account;
        aside::wait(tx, entry, aside::Sender { account, signed: true })?;
        return Ok(Came::Nothing);
    }
    if !new_from(tx, context, &welcomed.sender)? {
        return Ok(Came::Nothing);
    }
    Ok(join::welcomed(tx, context, welcomed, changes)?.map_or(Came::Joined, Came::Refused))
}

/// Stores what is new of a sender's chain: it is kept at hand, and what comes in later goes behind it.
fn store_chain(tx: &Transaction<'_>, context: &Context, sender: &CheckedSender) -> Result<(), Error> {
    let account = sender.message.sender.account;
    keys::add_chain_entries(tx, account, sender.from, &sender.entries)?;
    if follow::concerns_groups(&sender.entries) && sender.from > 0 {
        follow::chain_grew(tx, context, account)?;
    }
    Ok(())
}

/// Stores what is new of a sender's chain; whether the envelope is no copy of one that was seen.
fn new_from(tx: &Transaction<'_>, context: &Context, sender: &CheckedSender) -> Result<bool, Error> {
    let message = &sender.message;
    // Also with a copy.
    store_chain(tx, context, sender)?;
    logs::first_sight(tx, &message.sender, message.envelope_id, message.opened_with)
}

/// Checks the signature: under the version in force, or one that was replaced within the grace time (an envelope can have waited
/// through any number of rotations).
pub(super) fn verify_in_force(opened: Opened, chain: &VerifiedChain, now_ms: u64) -> Option<Message> {
    let claimed = *opened.claimed();
    if claimed.account != chain.account() {
        return None;
    }
    let device = chain.device(claimed.device)?;
    let record = device.version(claimed.key_version)?;
    let replaced = claimed.key_version.checked_add(1).and_then(|next| device.version(next));
    if replaced.is_some_and(|next| next.at_ms.saturating_add(REPLACED_SIGNS_FOR_MS) < now_ms) {
        return None;
    }
    opened.verify(&record.record).ok()
}
