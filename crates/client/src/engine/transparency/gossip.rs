//! Gossip: what others have seen of their relays' logs is held against the own view (P17), and the own newest checkpoint goes along in every
//! envelope.

use std::collections::HashSet;
use std::sync::PoisonError;

use waxwing_protocol::envelope::CompactCheckpoint;
use waxwing_wire::transparency::{SignedCheckpoint, Verdict, judge};
use waxwing_wire::{AccountId, RelayAddress};

use super::super::emit::Changes;
use super::super::{Engine, safety};
use super::{InLog, PATIENCE, extends, unavailable};
use crate::error::{Error, ErrorCode};
use crate::store::transparency::{self as stored, Against};
use crate::store::{contacts, verifications};

/// Checkpoints of others that are kept in mind.
const MOST_HEARD: usize = 4096;
/// Most checkpoints of others that are compared at a time.
const MOST_COMPARED: usize = 64;

/// A checkpoint that somebody has seen of their relay's log, in its compact form.
pub(in super::super) type Heard = (AccountId, CompactCheckpoint);

/// What others have seen: what is to be looked at, and what was.
#[derive(Default)]
pub(in super::super) struct AllHeard {
    new: HashSet<Heard>,
    known: HashSet<Heard>,
    /// Whose chain entries came in a conversation, and were not looked up in a log yet.
    learned: HashSet<AccountId>,
}

impl Engine {
    /// Notes what others have seen of their relays' logs.
    pub(in super::super) fn hear(&self, heard: HashSet<Heard>) {
        let mut all = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh: Vec<_> = heard.into_iter().filter(|one| !all.known.contains(one)).collect();
        if all.new.len() < MOST_HEARD && !fresh.is_empty() {
            all.new.extend(fresh);
            self.transparency_wake.notify_one();
        }
    }

    /// Chain entries have come in a conversation: whether everybody can see them is still to be looked at.
    pub(in super::super) fn doubt(&self, accounts: impl Iterator<Item = AccountId>) {
        let mut all = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.learned.len();
        all.learned.extend(accounts);
        if all.learned.len() > before {
            self.transparency_wake.notify_one();
        }
    }

    /// Looks whether chains that came in a conversation stand in their relays' logs. One that does not is a member's invention, or their
    /// relay hides it: nothing is said to these keys.
    pub(super) async fn check_learned(&self) {
        let learned = std::mem::take(&mut self.heard.lock().unwrap_or_else(PoisonError::into_inner).learned);
        for account in learned {
            let checked = tokio::time::timeout(PATIENCE, self.check_chain(account)).await;
            if let Err(error) = checked.unwrap_or_else(|_| Err(unavailable("no answer in time"))) {
                tracing::info!(%error, "a chain that came in a conversation cannot be looked up now");
                self.heard.lock().unwrap_or_else(PoisonError::into_inner).learned.insert(account);
            }
        }
    }

    async fn check_chain(&self, account: AccountId) -> Result<(), Error> {
        let contact = self.store.run(move |tx| contacts::load(tx, account)).await?;
        let Some(contact) = contact.filter(|_| account != self.account) else { return Ok(()) };
        let chain = self.chain(account).await?;
        if self.in_log(&contact.relay, &chain, 0).await? != InLog::Lacks {
            return Ok(());
        }
        let now = self.now_ms();
        let changes = self
            .store
            .run(move |tx| {
                let mut changes = Changes::default();
                let what = "keys that came in a conversation are not in the relay's log";
                if verifications::note_trouble(tx, account, what, now)? {
                    tracing::warn!(what, "a member's keys are in doubt");
                    safety::announce(tx, now, &mut changes)?;
                }
                Ok(changes)
            })
            .await?;
        self.tell(changes).await;
        Ok(())
    }

    /// Holds what others have seen against the own view (P17).
    pub(super) async fn compare_heard(&self) {
        let new = std::mem::take(&mut self.heard.lock().unwrap_or_else(PoisonError::into_inner).new);
        for (who, checkpoint) in new.into_iter().take(MOST_COMPARED) {
            let relay = self.store.run(move |tx| Ok(contacts::load(tx, who)?.map(|contact| contact.relay))).await;
            let Ok(Some(relay)) = relay else { continue };
            let compared = tokio::time::timeout(PATIENCE, self.compare_checkpoint(&relay, &checkpoint)).await;
            match compared.unwrap_or_else(|_| Err(unavailable("no answer in time"))) {
                // Asked again when it is heard again.
                Err(error) if error.code() != ErrorCode::LogContradicts => {
                    tracing::info!(%error, "a checkpoint that somebody has seen");
                    continue;
                }
                _ => {}
            }
            let mut all = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            if all.known.len() >= MOST_HEARD {
                all.known.clear();
            }
            all.known.insert((who, checkpoint));
        }
    }

    /// A checkpoint that came with somebody's envelope: it must be of the same history as what is seen here.
    async fn compare_checkpoint(&self, relay: &RelayAddress, compact: &CompactCheckpoint) -> Result<(), Error> {
        let origin = relay.authority();
        let not_yet = || unavailable("the log is not read yet");
        let known = origin.clone();
        let log = self.store.run(move |tx| stored::load(tx, &known)).await?.ok_or_else(not_yet)?;
        // Whoever it comes from may have made it up: without the log's signature it says nothing.
        let Ok(theirs) = SignedCheckpoint::from_compact(compact, &log.key) else { return Ok(()) };
        let (size, time_ms) = (theirs.checkpoint().size, theirs.checkpoint().time_ms);
        let log = match log.size() < size {
            false => log,
            true => {
                // The relay has signed more than was read here: now it must show it.
                self.follow_log(relay).await?;
                self.store.run(move |tx| stored::load(tx, &origin)).await?.ok_or_else(not_yet)?
            }
        };
        let ours = log.proved.as_ref().ok_or_else(not_yet)?;
        if ours.checkpoint().size < size && ours.checkpoint().time_ms > time_ms {
            // Signed later, and less: somebody is shown a log that does not go on.
            return Err(self.against(Against::WentBack, ours, &theirs).await);
        }
        match judge(ours, &theirs, &[]) {
            Ok(Verdict::Consistent) | Err(_) => return Ok(()),
            Ok(Verdict::Contradiction) => return Err(self.against(Against::TwoHistories, ours, &theirs).await),
            Ok(Verdict::Unproven(_)) => {}
        }
        let (a, b) = (ours.checkpoint(), theirs.checkpoint());
        let (older, newer) = if a.size <= b.size { (a, b) } else { (b, a) };
        let path = self.relay(relay)?.log_consistency(older.size, newer.size).await?;
        if extends(older, newer, &path) {
            return Ok(());
        }
        Err(self.against(Against::Unproved, ours, &theirs).await)
    }

    /// The newest checkpoint of the own relay goes along in every envelope.
    pub(super) fn note_checkpoint(&self, newest: &SignedCheckpoint) {
        if newest.key().name() == self.home.address().authority() {
            let compact = newest.to_compact().try_into().ok();
            *self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner) = compact;
        }
    }
}
