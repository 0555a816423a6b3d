//! Reading logs: pages are fetched, taken in (`entries`), and told. The network is asked before a transaction, never in it.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Transaction;
use waxwing_wire::frame::LogEntry;
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::{AccountId, LogId, RelayAddress};

use super::emit::Changes;
use super::transparency::keep_heard;
use super::{Engine, entries};
use crate::error::{Error, ErrorCode};
use crate::store::logs::Trouble;
use crate::store::{conversations, logs, people, restorations};
use crate::views::ConversationKind;

/// Longest wait for a sender's relay while others' words wait behind it.
const PATIENCE: Duration = Duration::from_secs(10);
/// A member's relay that did not answer is not asked again in this time, for the sake of those who wait behind it.
const ABSENT_FOR: Duration = Duration::from_secs(120);

/// A log that is another than the one that was read is given up after this time: a copy of the relay may merely lag behind.
pub(super) const WENT_BACK_MS: u64 = 60 * 60 * 1000;

impl Engine {
    /// Reads a log to its head.
    pub(super) async fn drain_log(&self, log: LogId) -> Result<(), Error> {
        let lock = self.log_lock(log);
        let _one = lock.lock().await;
        loop {
            let Some(stored) = self.store.run(move |tx| logs::load(tx, log)).await? else { return Ok(()) };
            if !stored.created || !stored.active {
                return Ok(());
            }
            let relay = self.relay(&stored.relay)?;
            let page = match relay.read_log(log, &stored.secret.read_token(), stored.cursor).await {
                Ok(page) => page,
                Err(error) if error.problem() == Some(ProblemCode::Gone) => {
                    // Entries were dropped before this device could read them.
                    self.store.run(move |tx| logs::note_trouble(tx, log, Trouble::Behind)).await?;
                    return self.mend(log).await;
                }
                // The relay knows the log no more, or its tokens were replaced by nothing that is valid.
                Err(error) if error.problem() == Some(ProblemCode::LogRefused) => return self.freeze(log).await,
                Err(error) => return self.log_refused(&stored, error.into()).await,
            };
            if page.head < stored.cursor || page.running != stored.running {
                // Nobody gets back what a restored relay has lost: somebody begins anew.
                let now = self.now_ms();
                if self.went_back_with_its_relay(&stored).await? {
                    self.store.run(move |tx| logs::note_went_back(tx, log, now)).await?;
                    return self.freeze(log).await;
                }
                // Nothing but a Welcome has said how far it goes: whoever has sent that is not to be believed.
                if self.store.run(move |tx| logs::is_unread_since_joined(tx, log)).await? {
                    let belied = move |tx: &Transaction<'_>| {
                        logs::belie(tx, log)?;
                        logs::note_trouble(tx, log, Trouble::Behind)
                    };
                    self.store.run(belied).await?;
                    self.introductions_wake.notify_one();
                    return self.mend(log).await;
                }
                // What its relay has lost for an hour it has lost for good.
                let since = self.store.run(move |tx| logs::note_went_back(tx, log, now)).await?;
                if now.saturating_sub(since) >= WENT_BACK_MS {
                    return self.freeze(log).await;
                }
                if self.is_replaced(&stored).await? {
                    // It stops nothing that is said in the one that has taken its place.
                    return Ok(());
                }
                let error = Error::new(ErrorCode::RelayWentBack, "the log is not the one that was read before");
                return self.log_refused(&stored, error).await;
            }
            self.log_is_readable(&stored).await?;
            let (head, moved, retired) = (page.head, !page.entries.is_empty(), page.retired);
            let last = stored.cursor + page.entries.len() as u64;
            // After a rekey the same log goes on under its new token.
            let rekeyed = self.take_in(&stored, page.entries).await?;
            if !rekeyed && (last >= head || !moved) {
                self.replayed.lock().unwrap_or_else(PoisonError::into_inner).insert(log);
                // Read to the end of what this token reads, and no valid commit has set another: nobody here can go on (P13).
                return if retired && last >= head { self.freeze(log).await } else { self.mend(log).await };
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
                self.take_in(&stored, vec![entry]).await?;
                return self.mend(log).await;
            }
        }
        self.drain_log(log).await
    }

    /// Whether the conversation goes on in another log by now.
    async fn is_replaced(&self, log: &logs::Log) -> Result<bool, Error> {
        let (conversation, generation) = (log.conversation, log.generation);
        let all = self.store.run(move |tx| logs::of(tx, &conversation)).await?;
        Ok(all.iter().any(|other| other.active && other.generation > generation))
    }

    /// The log is as it was left, also if its relay was restored: what was shown of trouble with it is over.
    pub(super) async fn log_is_readable(&self, log: &logs::Log) -> Result<(), Error> {
        let (conversation, id) = (log.conversation, log.log);
        let trouble =
            |code| matches!(code, ErrorCode::RelayWentBack | ErrorCode::RelayMisbehaved) || asks_for_certificate(code);
        let over = self
            .store
            .run(move |tx| {
                restorations::is_read(tx, id)?;
                logs::is_sound(tx, id)?;
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

    /// Shows in the conversation why its log cannot be read. What the own relay wants of everybody is said of the connection, and not here.
    pub(super) async fn log_refused(&self, log: &logs::Log, error: Error) -> Result<(), Error> {
        let theirs = asks_for_certificate(error.code()) && self.is_abroad(&log.relay);
        if theirs || matches!(error.code(), ErrorCode::Refused | ErrorCode::RelayWentBack | ErrorCode::RelayMisbehaved)
        {
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

    /// The chains of everybody in a conversation are at hand, so that they are not verified anew with each message.
    async fn warm_chains(&self, log: &logs::Log) -> Result<(), Error> {
        let conversation = log.conversation;
        let here = self.store.run(move |tx| people::of(tx, &conversation)).await?;
        for account in here.into_iter().map(|person| person.account).chain([self.account]) {
            if self.chains.cached(account).is_none() {
                match self.chain(account).await {
                    Err(error) if error.code() != ErrorCode::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// The newest chain of somebody who speaks with keys that are not known here, in the time that others can wait for it.
    pub(super) async fn chain_for_reading(&self, account: AccountId) -> Result<(), Error> {
        match tokio::time::timeout(PATIENCE, self.refresh_chain(account)).await {
            Ok(refreshed) => {
                refreshed?;
                self.is_back(account);
                Ok(())
            }
            Err(_) => Err(Error::new(ErrorCode::RelayDown, "no answer in time")),
        }
    }

    /// Whose chains could not be had a moment ago.
    pub(super) fn absent_now(&self) -> HashSet<AccountId> {
        let mut all = self.absent.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, since| since.elapsed() < ABSENT_FOR);
        all.keys().copied().collect()
    }

    /// An account's chain could not be had now.
    pub(super) fn is_absent(&self, account: AccountId) {
        self.absent.lock().unwrap_or_else(PoisonError::into_inner).insert(account, Instant::now());
    }

    /// It can be had: what was held meanwhile need not wait for the next look.
    fn is_back(&self, account: AccountId) {
        if self.absent.lock().unwrap_or_else(PoisonError::into_inner).remove(&account).is_some() {
            self.introductions_wake.notify_one();
        }
    }

    /// Takes in entries that follow the cursor. The caller holds the log's lock. True if the log has other tokens now.
    async fn take_in(&self, log: &logs::Log, entries: Vec<LogEntry>) -> Result<bool, Error> {
        let (id, mut rest) = (log.log, Arc::<[LogEntry]>::from(entries));
        self.warm_chains(log).await?;
        let (mut asked, mut absent) = (HashSet::new(), self.absent_now());
        let mut rekeyed = false;
        while !rest.is_empty() {
            let opening = self.opening_keys().await?;
            let (context, these, known) = (self.context(), Arc::clone(&rest), (asked.clone(), absent.clone()));
            let (heard, now) = (Arc::clone(&self.heard), self.now_ms());
            let take = move |tx: &Transaction<'_>| {
                let mut taken = entries::take(tx, &context, &opening, id, &these, (&known.0, &known.1))?;
                let kept = keep_heard(tx, &heard, std::mem::take(&mut taken.heard), now);
                Ok((taken, kept))
            };
            let (taken, kept) = self.store.run(take).await?;
            if !taken.chains.is_empty() || taken.shown {
                // Whether everybody can see these entries, and whose the own ones are, is still to be looked at.
                self.transparency_wake.notify_one();
            }
            taken.chains.into_iter().for_each(|chain| self.chains.keep(chain));
            self.tell(taken.changes).await;
            self.hear(kept);
            if taken.updated {
                self.erase_unused_device_keys().await?;
                // A rotation has got on by one conversation.
                if let Err(error) = self.tell_keys().await {
                    tracing::warn!(%error, "telling how a rotation gets on");
                }
            }
            if taken.rekeyed {
                rekeyed = true;
                self.logs_changed.send_modify(|count| *count += 1);
            }
            if taken.wake {
                self.outbox_wake.notify_one();
            }
            rest = rest.get(taken.done..).unwrap_or_default().into();
            let Some(account) = taken.need else { continue };
            asked.insert(account);
            let Err(error) = self.chain_for_reading(account).await else { continue };
            let conversation = log.conversation;
            let kind = self.store.run(move |tx| Ok(conversations::load(tx, &conversation)?.kind)).await?;
            if kind == ConversationKind::Group {
                // One member's relay, or chain, is no reason not to hear the others.
                tracing::info!(%error, "a member's chain cannot be had; what they say is kept apart");
                absent.insert(account);
                self.is_absent(account);
            } else if error.code() == ErrorCode::ChainBroken {
                // It was noted with the account, and is shown in all conversations with them.
                return Err(error);
            } else {
                // The sender's relay is another one's trouble: this log waits, and no other does.
                return Err(Error::new(ErrorCode::RelayBusy, format!("a sender's chain cannot be had: {error}")));
            }
        }
        Ok(rekeyed)
    }
}

/// Whether a relay serves only those who show it a certificate, and this device shows none that it takes.
fn asks_for_certificate(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::CertificateNeeded | ErrorCode::CertificateRefused | ErrorCode::CertificateUnusable)
}
