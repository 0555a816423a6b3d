//! Gossip: what others have seen of their relays' logs is held against the own view (P17), and the own newest checkpoint goes along in every
//! envelope.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use rusqlite::Transaction;
use tokio::sync::Notify;
use waxwing_protocol::InLog;
use waxwing_protocol::envelope::CompactCheckpoint;
use waxwing_wire::transparency::{Frontier, NoteKey, SignedCheckpoint, Verdict, judge};
use waxwing_wire::{AccountId, RelayAddress};

use super::super::emit::Changes;
use super::super::{Engine, safety};
use super::{PATIENCE, load, unavailable};
use crate::error::{Error, ErrorCode};
use crate::store::transparency::{self as stored, Against, relay_of};
use crate::store::{contacts, restorations, unproved};

/// Why a chain is in doubt that came in a conversation.
const NOT_IN_LOG: &str = "keys that came in a conversation are not in the relay's log";
/// Checkpoints of others that are kept in mind.
const MOST_HEARD: usize = 4096;
/// A relay of which something unknown was heard is looked at once in this time.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// Most checkpoints of others that are compared at a time.
const MOST_COMPARED: usize = 64;

/// A checkpoint that somebody has seen of their relay's log, in its compact form.
pub(in super::super) type Heard = (AccountId, CompactCheckpoint);

/// What others have seen: what is to be looked at, and what was.
#[derive(Default)]
pub(in super::super) struct AllHeard {
    pub(in super::super) new: HashSet<Heard>,
    pub(in super::super) known: HashSet<Heard>,
    /// Relays of which something was heard that no origin known here has signed: they may have been restored.
    pub(in super::super) strange: HashMap<String, Strange>,
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

    /// Notes what others have seen of their relays' logs.
    pub(in super::super) async fn hear(&self, heard: HashSet<Heard>) {
        let fresh: Vec<_> = {
            let all = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.into_iter().filter(|one| !all.known.contains(one) && !all.new.contains(one)).collect()
        };
        if fresh.is_empty() {
            return;
        }
        // Whoever it comes from may have made it up: without the log's signature it says nothing, and it takes no other's room.
        let signed = self.store.run(move |tx| signed(tx, fresh)).await;
        let (signed, strange) = signed.unwrap_or_else(|error| {
            tracing::warn!(%error, "checkpoints that others have seen");
            (Vec::new(), Vec::new())
        });
        let mut all = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        for relay in strange {
            all.wonder(relay, &self.transparency_wake);
        }
        let room = MOST_HEARD.saturating_sub(all.new.len());
        let before = all.new.len();
        all.new.extend(signed.into_iter().take(room));
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
        let lacks = self.in_log(&contact.relay, &chain, 0).await? == InLog::Lacks;
        let (now, seq) = (self.now_ms(), chain.seq());
        let changes = self
            .store
            .run(move |tx| {
                let mut changes = Changes::default();
                if lacks {
                    safety::note_doubt(tx, account, NOT_IN_LOG, now, &mut changes)?;
                }
                // A doubt is kept, and over only once all of the chain stands there.
                unproved::done(tx, account, seq)?;
                Ok(changes)
            })
            .await?;
        self.tell(changes).await;
        Ok(())
    }

    /// Holds what others have seen against the own view (P17).
    pub(in super::super) async fn compare_heard(&self) {
        let some: Vec<Heard> = {
            let mut all = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            let some: Vec<_> = all.new.iter().copied().take(MOST_COMPARED).collect();
            all.new.retain(|one| !some.contains(one));
            if !all.new.is_empty() {
                // The rest has its turn with the next round, which begins at once.
                self.transparency_wake.notify_one();
            }
            some
        };
        for (who, checkpoint) in some {
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

    /// A checkpoint that came with somebody's envelope: it must be of the same history as what is seen here. Judged by the leaves that were
    /// read here, so the relay is not asked for a proof that it can refuse, nor does it learn what was heard.
    async fn compare_checkpoint(&self, relay: &RelayAddress, compact: &CompactCheckpoint) -> Result<(), Error> {
        let origin = relay.authority();
        let not_yet = || unavailable("the log is not read yet");
        let known = origin.clone();
        let log = self.store.run(move |tx| stored::load(tx, &known)).await?.ok_or_else(not_yet)?;
        let Ok(theirs) = SignedCheckpoint::from_compact(compact, &log.key) else {
            return self.compare_earlier(relay, &log.key, compact).await;
        };
        let (size, time_ms) = (theirs.checkpoint().size, theirs.checkpoint().time_ms);
        if time_ms <= log.settled_ms {
            // Of what the user knows, and goes on without.
            return Ok(());
        }
        let log = match log.size() < size {
            false => log,
            true => {
                // The relay has signed more than was read here: now it must show it.
                self.follow_log(relay).await?;
                self.store.run(move |tx| stored::load(tx, &origin)).await?.ok_or_else(not_yet)?
            }
        };
        let ours = log.proved.as_ref().ok_or_else(not_yet)?;
        if ours.checkpoint().size < size {
            if ours.checkpoint().time_ms > time_ms {
                // Signed later, and less: somebody is shown a log that does not go on.
                return Err(self.against(Against::WentBack, ours, &theirs).await);
            }
            return Err(unavailable("the relay does not show all that it has signed"));
        }
        match judge(ours, &theirs, &[]) {
            Ok(Verdict::Consistent) | Err(_) => return Ok(()),
            Ok(Verdict::Contradiction) => return Err(self.against(Against::TwoHistories, ours, &theirs).await),
            Ok(Verdict::Unproven(_)) => {}
        }
        if self.own_root(&log.key, size).await? == theirs.checkpoint().root {
            return Ok(());
        }
        Err(self.against(Against::Diverged, ours, &theirs).await)
    }

    /// A checkpoint from before a restoration that this device has followed: it must still be of the history that was read here, as far as that
    /// is the same in both. What the relay has lost cannot be compared any more.
    async fn compare_earlier(
        &self,
        relay: &RelayAddress,
        key: &NoteKey,
        compact: &CompactCheckpoint,
    ) -> Result<(), Error> {
        let authority = relay.authority();
        let before = self.store.run(move |tx| restorations::of(tx, &authority)).await?;
        for (at, one) in before.iter().enumerate().rev() {
            let Ok(key) = NoteKey::new(&one.previous, key.public()) else { continue };
            let Ok(theirs) = SignedCheckpoint::from_compact(compact, &key) else { continue };
            let ours = one.proved.as_ref().and_then(|note| SignedCheckpoint::verify(note.as_bytes(), &key).ok());
            let Some(ours) = ours else { return Ok(()) };
            if matches!(judge(&ours, &theirs, &[]), Ok(Verdict::Contradiction)) {
                return Err(self.against(Against::TwoHistories, &ours, &theirs).await);
            }
            let (size, root) = (theirs.checkpoint().size, theirs.checkpoint().root);
            let kept = before.iter().skip(at).map(|one| one.size).min().unwrap_or_default();
            if size > kept {
                return Ok(());
            }
            let authority = relay.authority();
            if self.store.run(move |tx| Ok(load(tx, &authority)?.size())).await? < size {
                return Err(unavailable("the restored log is not read yet"));
            }
            if self.own_root(&key, size).await? == root {
                return Ok(());
            }
            return Err(self.against(Against::Diverged, &ours, &theirs).await);
        }
        Ok(())
    }

    /// The root of the first leaves of a log as it was read here.
    pub(in super::super) async fn own_root(&self, key: &NoteKey, size: u64) -> Result<[u8; 32], Error> {
        Ok(self.own_edge(relay_of(key.name()), size).await?.root())
    }

    /// The right edge of their tree. No more of them are gone through at a time than others can wait for.
    pub(super) async fn own_edge(&self, relay: &str, size: u64) -> Result<Frontier, Error> {
        loop {
            let relay = relay.to_owned();
            let edge = self.store.run(move |tx| stored::edge_at(tx, &load(tx, &relay)?, size)).await?;
            if edge.size() >= size {
                return Ok(edge);
            }
        }
    }

    /// The newest checkpoint of the own relay goes along in every envelope.
    pub(super) fn note_checkpoint(&self, newest: &SignedCheckpoint) {
        if relay_of(newest.key().name()) == self.home.address().authority() {
            let compact = newest.to_compact().try_into().ok();
            *self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner) = compact;
        }
    }
}

/// Those that the pinned key of their log has signed, under the origin that it has or had; and the relays of the others.
fn signed(tx: &Transaction<'_>, heard: Vec<Heard>) -> Result<(Vec<Heard>, Vec<RelayAddress>), Error> {
    let (mut keys, mut signed, mut strange) = (HashMap::new(), Vec::new(), Vec::new());
    for (who, checkpoint) in heard {
        let Some(contact) = contacts::load(tx, who)? else { continue };
        let keys = match keys.entry(contact.relay.authority()) {
            Entry::Occupied(keys) => keys.into_mut(),
            Entry::Vacant(place) => {
                let known = keys_of(tx, place.key())?;
                place.insert(known)
            }
        };
        if keys.iter().any(|key| SignedCheckpoint::from_compact(&checkpoint, key).is_ok()) {
            signed.push((who, checkpoint));
        } else if !keys.is_empty() {
            strange.push(contact.relay);
        }
    }
    Ok((signed, strange))
}

/// The pinned key of a relay's log, under its origin and under those before.
fn keys_of(tx: &Transaction<'_>, relay: &str) -> Result<Vec<NoteKey>, Error> {
    let Some(log) = stored::load(tx, relay)? else { return Ok(Vec::new()) };
    let before = restorations::of(tx, relay)?;
    let before = before.iter().rev().filter_map(|one| NoteKey::new(&one.previous, log.key.public()).ok());
    Ok([log.key.clone()].into_iter().chain(before).collect())
}
