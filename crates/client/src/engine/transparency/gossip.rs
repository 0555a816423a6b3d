//! Gossip: what others have seen of their relays' logs is taken in, and the own newest checkpoint goes along in every envelope. Not here: the
//! comparing (`compare`).

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Transaction;
use tokio::sync::Notify;
use waxwing_protocol::InLog;
use waxwing_protocol::envelope::CompactCheckpoint;
use waxwing_wire::transparency::{NoteKey, SignedCheckpoint};
use waxwing_wire::{AccountId, RelayAddress};

use super::super::emit::Changes;
use super::super::{Engine, safety};
use super::compare::Rest;
use super::{PATIENCE, unavailable};
use crate::error::Error;
use crate::store::transparency::{self as stored, relay_of};
use crate::store::{contacts, restorations, uncompared, unproved};

/// Why a chain is in doubt that came in a conversation.
const NOT_IN_LOG: &str = "keys that came in a conversation are not in the relay's log";
const TWO_IN_LOG: &str = "the relay's log holds two entries for one place";
/// Checkpoints of others that are kept in mind.
pub(super) const MOST_HEARD: usize = 4096;
/// A relay of which something unknown was heard is looked at once in this time.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// A checkpoint that somebody has seen of their relay's log, in its compact form.
pub(in super::super) type Heard = (AccountId, CompactCheckpoint);

/// What others have seen: what is to be looked at, and what was.
#[derive(Default)]
pub(in super::super) struct AllHeard {
    pub(in super::super) new: HashSet<Heard>,
    pub(in super::super) known: HashSet<Heard>,
    /// Relays of which something was heard that no origin known here has signed: they may have been restored.
    pub(in super::super) strange: HashMap<String, Strange>,
    /// Relays that do not show what others have seen, and when they are asked again.
    pub(super) resting: HashMap<String, Rest>,
    /// Relays of which it was told that they have not for a day.
    pub(super) withholding: HashSet<String>,
}

/// A relay whose log is to be looked at, or was.
pub(in super::super) enum Strange {
    Wanted(RelayAddress),
    Since(Instant),
}

impl AllHeard {
    /// Something was heard that no known origin of this relay has signed. It is looked at, and not again and again: anybody can make such
    /// things up.
    fn wonder(&mut self, relay: RelayAddress, wake: &Notify) {
        let looked = |strange: &Strange| match strange {
            Strange::Wanted(_) => true,
            Strange::Since(then) => then.elapsed() < LOOK_AGAIN,
        };
        if self.strange.get(&relay.authority()).is_some_and(looked) {
            return;
        }
        self.strange.insert(relay.authority(), Strange::Wanted(relay));
        wake.notify_one();
    }

    /// Nobody rests any more.
    #[cfg(test)]
    pub(in super::super) fn rest_is_over(&mut self) {
        self.resting.values_mut().for_each(Rest::is_over);
    }

    /// Relays that are to be looked at; they count as looked at from now on.
    fn wondered(&mut self) -> Vec<RelayAddress> {
        let mut relays = Vec::new();
        for strange in self.strange.values_mut() {
            if let Strange::Wanted(relay) = std::mem::replace(strange, Strange::Since(Instant::now())) {
                relays.push(relay);
            }
        }
        relays
    }
}

impl Engine {
    /// Looks at the logs of relays of which others have seen something under an origin that is not known here.
    pub(in super::super) async fn follow_strange(&self) {
        let relays = self.heard.lock().unwrap_or_else(PoisonError::into_inner).wondered();
        for relay in relays {
            if let Ok(Err(error)) = tokio::time::timeout(PATIENCE, self.follow_log(&relay)).await {
                tracing::info!(%error, "a log that others have seen more of");
            }
        }
    }

    /// Looks at what others have seen of their relays' logs, as it was kept ([`keep`]), with the next round.
    pub(in super::super) fn hear(&self, kept: Kept) {
        let mut all = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        for relay in kept.strange {
            all.wonder(relay, &self.transparency_wake);
        }
        let room = MOST_HEARD.saturating_sub(all.new.len());
        let before = all.new.len();
        all.new.extend(kept.signed.into_iter().take(room));
        if all.new.len() > before {
            self.transparency_wake.notify_one();
        }
    }

    /// Looks whether chains that came in a conversation stand in their relays' logs. One that does not is a member's invention, or their
    /// relay hides it: nothing is said to these keys.
    pub(in super::super) async fn check_learned(&self) -> Result<(), Error> {
        for account in self.store.run(unproved::all).await? {
            let checked = tokio::time::timeout(PATIENCE, self.check_chain(account)).await;
            if let Err(error) = checked.unwrap_or_else(|_| Err(unavailable("no answer in time"))) {
                tracing::info!(%error, "a chain that came in a conversation cannot be looked up now");
            }
        }
        Ok(())
    }

    async fn check_chain(&self, account: AccountId) -> Result<(), Error> {
        let contact = self.store.run(move |tx| contacts::load(tx, account)).await?;
        let Some(contact) = contact.filter(|_| account != self.account) else {
            return self.store.run(move |tx| unproved::done(tx, account, u32::MAX)).await;
        };
        let chain = self.chain(account).await?;
        let found = self.in_log(&contact.relay, &chain, 0).await?;
        let (now, seq) = (self.now_ms(), chain.seq());
        let changes = self
            .store
            .run(move |tx| {
                let mut changes = Changes::default();
                match found {
                    InLog::Lacks => safety::note_doubt(tx, account, NOT_IN_LOG, now, &mut changes)?,
                    InLog::Forked => safety::note_doubt(tx, account, TWO_IN_LOG, now, &mut changes)?,
                    InLog::Whole | InLog::Newer => unproved::is_logged(tx, account, seq)?,
                }
                // A doubt is kept, and over only once all of the chain stands there.
                unproved::done(tx, account, seq)?;
                Ok(changes)
            })
            .await?;
        self.tell(changes).await;
        Ok(())
    }

    /// The newest checkpoint of the own relay goes along in every envelope.
    pub(super) fn note_checkpoint(&self, newest: &SignedCheckpoint) {
        if relay_of(newest.key().name()) == self.home.address().authority() {
            let compact = newest.to_compact().try_into().ok();
            *self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner) = compact;
        }
    }
}

/// What the pinned key of a relay's log can have signed.
struct Pinned {
    /// Under the log's origin, and under those before.
    keys: Vec<NoteKey>,
    /// The newest that was proved here.
    proved: Option<SignedCheckpoint>,
}

impl Pinned {
    fn load(tx: &Transaction<'_>, relay: &str) -> Result<Self, Error> {
        let Some(log) = stored::load(tx, relay)? else { return Ok(Self { keys: Vec::new(), proved: None }) };
        let before = restorations::of(tx, relay)?;
        let before = before.iter().rev().filter_map(|one| NoteKey::new(&one.previous, log.key.public()).ok());
        Ok(Self { keys: [log.key.clone()].into_iter().chain(before).collect(), proved: log.proved })
    }

    fn read(&self, compact: &CompactCheckpoint) -> Option<SignedCheckpoint> {
        self.keys.iter().find_map(|key| SignedCheckpoint::from_compact(compact, key).ok())
    }

    /// Whether it is of the very log that was proved here.
    fn is_proved(&self, theirs: &SignedCheckpoint) -> bool {
        self.proved.as_ref().is_some_and(|ours| {
            let (one, other) = (ours.checkpoint(), theirs.checkpoint());
            ours.key() == theirs.key() && one.size == other.size && one.root == other.root
        })
    }
}

/// What others have seen of their relays' logs, once it is kept.
#[derive(Default)]
pub(in super::super) struct Kept {
    /// What the pinned key of their log has signed, under the origin that it has or had.
    signed: Vec<Heard>,
    /// Relays of the others.
    strange: Vec<RelayAddress>,
}

/// Keeps what others have seen of their relays' logs and was not `heard` before, in the transaction that takes the words it came with, until it is
/// compared: neither an end of this program nor a relay that does not answer makes a second history unseen. Whoever it comes from may have made it
/// up: without the log's signature it says nothing, and takes no other's room.
pub(in super::super) fn keep(
    tx: &Transaction<'_>,
    heard: &Mutex<AllHeard>,
    fresh: HashSet<Heard>,
    now_ms: u64,
) -> Kept {
    let fresh: Vec<_> = {
        let all = heard.lock().unwrap_or_else(PoisonError::into_inner);
        fresh.into_iter().filter(|one| !all.known.contains(one) && !all.new.contains(one)).collect()
    };
    signed(tx, fresh, now_ms).unwrap_or_else(|error| {
        // No reason not to take the words.
        tracing::warn!(%error, "checkpoints that others have seen");
        Kept::default()
    })
}

fn signed(tx: &Transaction<'_>, heard: Vec<Heard>, now_ms: u64) -> Result<Kept, Error> {
    let (mut pinned, mut kept) = (HashMap::new(), Kept::default());
    for (who, checkpoint) in heard {
        let Some(contact) = contacts::load(tx, who)? else { continue };
        let relay = contact.relay.authority();
        let pinned: &Pinned = match pinned.entry(relay.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(Pinned::load(tx, &relay)?),
        };
        if let Some(theirs) = pinned.read(&checkpoint) {
            // What everybody has most of the time costs no writing.
            if !pinned.is_proved(&theirs) {
                uncompared::note(tx, &(who, checkpoint), &relay, theirs.checkpoint().time_ms, now_ms)?;
            }
            kept.signed.push((who, checkpoint));
        } else if !pinned.keys.is_empty() {
            kept.strange.push(contact.relay);
        }
    }
    Ok(kept)
}
