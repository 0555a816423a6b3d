//! What others have seen of their relays' logs is held against the own view (P17), until it was.
//!
//! What cannot be compared yet stays (`store::uncompared`): the relay is asked for more with the next round in which something new of it is heard, and
//! by itself after a while, which grows. What it does not show within a day counts as a log that is not available. Not here: what is heard, and what
//! of that is signed (`gossip`).

use std::collections::{BTreeMap, HashSet};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use rusqlite::Transaction;
use waxwing_protocol::envelope::CompactCheckpoint;
use waxwing_wire::RelayAddress;
use waxwing_wire::transparency::{Frontier, NoteKey, SignedCheckpoint, Verdict, judge};

use super::super::Engine;
use super::gossip::{Heard, MOST_HEARD};
use super::{ABROAD, FIRST_REST, PATIENCE, STALE_MS, load, unavailable};
use crate::error::{Error, ErrorCode};
use crate::store::transparency::{self as stored, Against, relay_of};
use crate::store::{contacts, restorations, uncompared};

/// Most checkpoints of others that are compared at a time, beside those that wait.
const MOST_COMPARED: usize = 64;
/// Why something cannot be compared.
const WITHHELD: &str = "the relay does not show all that it has signed";

/// A relay that is not asked again and again for what it does not show.
pub(super) struct Rest {
    until: Instant,
    length: Duration,
}

#[cfg(test)]
impl Rest {
    pub(super) fn is_over(&mut self) {
        self.until = Instant::now();
    }
}

/// What a relay does not show yet.
struct Behind {
    relay: RelayAddress,
    heard: Vec<Heard>,
}

/// Whether a relay has signed what it has not shown here for a day, while it has shown something that it signed later than that was heard. One that
/// is out of reach withholds nothing: its log is merely old.
pub(in super::super) fn is_withheld(
    tx: &Transaction<'_>,
    relay: &str,
    proved_ms: Option<u64>,
    now_ms: u64,
) -> Result<bool, Error> {
    let heard_before = now_ms.saturating_sub(STALE_MS).min(proved_ms.unwrap_or_default());
    uncompared::any_heard_before(tx, relay, heard_before)
}

/// Whether a log says nothing of today's keys: the newest checkpoint here is more than a day old, or the relay has signed another that has waited
/// for a day to be compared, or that it signed more than a day after all that it has shown.
pub(super) fn is_outdated(
    tx: &Transaction<'_>,
    relay: &str,
    proved_ms: Option<u64>,
    now_ms: u64,
) -> Result<bool, Error> {
    let day_ago = now_ms.saturating_sub(STALE_MS);
    let Some(proved_ms) = proved_ms.filter(|proved_ms| *proved_ms >= day_ago) else { return Ok(true) };
    Ok(uncompared::any_heard_before(tx, relay, day_ago)?
        || uncompared::any_signed_after(tx, relay, proved_ms.saturating_add(STALE_MS))?)
}

impl Engine {
    /// Holds what others have seen against the own view. False if something of that is to be tried again.
    pub(in super::super) async fn compare_heard(&self) -> bool {
        let fresh: HashSet<Heard> = {
            let mut all = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            let some: HashSet<_> = all.new.iter().copied().take(MOST_COMPARED).collect();
            all.new.retain(|one| !some.contains(one));
            if !all.new.is_empty() {
                // The rest has its turn with the next round, which begins at once.
                self.transparency_wake.notify_one();
            }
            some
        };
        let now = self.now_ms();
        let waiting = self.store.run(move |tx| uncompared::all(tx, now)).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "checkpoints that others have seen");
            Vec::new()
        });
        let waiting = {
            let all = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.into_iter().filter(|one| !fresh.contains(one) && !all.new.contains(one)).collect::<Vec<_>>()
        };
        let mut calm = true;
        for (authority, Behind { relay, heard }) in self.compare_all(fresh.iter().copied().chain(waiting)).await {
            if !heard.iter().any(|one| fresh.contains(one)) && self.rests(&authority) {
                calm = false;
                continue;
            }
            // The relay has signed more than was read here: now it must show it.
            match tokio::time::timeout(PATIENCE, self.follow_log(&relay)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::info!(%error, "a checkpoint that somebody has seen"),
                Err(_) => tracing::info!("a checkpoint that somebody has seen: no answer in time"),
            }
            let shown = self.compare_all(heard).await.is_empty();
            self.is_asked(authority, shown);
            calm &= shown;
        }
        self.tell_withheld().await;
        calm
    }

    /// Holds what waits of a relay's log against what was read here; nobody is asked.
    pub(super) async fn compare_waiting(&self, relay: &str) -> Result<(), Error> {
        let (relay, now) = (relay.to_owned(), self.now_ms());
        let waiting = self.store.run(move |tx| uncompared::of(tx, &relay, now)).await?;
        self.compare_all(waiting).await;
        Ok(())
    }

    /// What could not be compared, by relay. The rest is done with.
    async fn compare_all(&self, heard: impl IntoIterator<Item = Heard>) -> BTreeMap<String, Behind> {
        let (mut behind, mut done) = (BTreeMap::<_, Behind>::new(), Vec::new());
        for (who, checkpoint) in heard {
            let relay = match self.store.run(move |tx| Ok(contacts::load(tx, who)?.map(|contact| contact.relay))).await
            {
                Ok(Some(relay)) => relay,
                Ok(None) => {
                    done.push((who, checkpoint));
                    continue;
                }
                Err(error) => {
                    tracing::warn!(%error, "whose a checkpoint is that somebody has seen");
                    continue;
                }
            };
            let compared = tokio::time::timeout(PATIENCE, self.compare_checkpoint(&relay, &checkpoint)).await;
            match compared.unwrap_or_else(|_| Err(unavailable("it takes too long"))) {
                Err(error) if error.code() != ErrorCode::LogContradicts => {
                    tracing::debug!(%error, "a checkpoint that somebody has seen");
                    let new = || Behind { relay: relay.clone(), heard: Vec::new() };
                    behind.entry(relay.authority()).or_insert_with(new).heard.push((who, checkpoint));
                }
                _ => done.push((who, checkpoint)),
            }
        }
        if done.is_empty() {
            return behind;
        }
        {
            let mut all = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            for one in &done {
                if all.known.len() >= MOST_HEARD {
                    all.known.clear();
                }
                all.known.insert(*one);
            }
        }
        if let Err(error) = self.store.run(move |tx| uncompared::done(tx, &done)).await {
            // They are compared once more.
            tracing::warn!(%error, "checkpoints that were compared");
        }
        behind
    }

    /// Whether a relay is not asked now for what it did not show.
    fn rests(&self, authority: &str) -> bool {
        let all = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        all.resting.get(authority).is_some_and(|rest| Instant::now() < rest.until)
    }

    /// It was asked: each rest is twice as long as the one before, until it shows all that it has signed.
    fn is_asked(&self, authority: String, shown: bool) {
        let mut all = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.resting.remove(&authority).map(|rest| rest.length * 2);
        if !shown {
            let length = before.unwrap_or(FIRST_REST).min(ABROAD);
            all.resting.insert(authority, Rest { until: Instant::now() + length, length });
        }
    }

    /// Tells of logs that have withheld something for a day, and of those that do so no more.
    async fn tell_withheld(&self) {
        let now = self.now_ms();
        let find = move |tx: &Transaction<'_>| {
            let mut found = HashSet::new();
            for relay in uncompared::relays(tx)? {
                let proved = stored::load(tx, &relay)?.and_then(|log| log.proved);
                if is_withheld(tx, &relay, proved.map(|proved| proved.checkpoint().time_ms), now)? {
                    found.insert(relay);
                }
            }
            Ok(found)
        };
        let found = match self.store.run(find).await {
            Ok(found) => found,
            Err(error) => return tracing::warn!(%error, "what relays withhold"),
        };
        let changed: Vec<_> = {
            let mut all = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            let changed = all.withholding.symmetric_difference(&found).cloned().collect();
            all.withholding = found;
            changed
        };
        for relay in changed {
            tracing::info!("what a relay does not show of its log, or shows again");
            self.tell_log(&relay).await;
        }
    }

    /// A checkpoint that came with somebody's envelope: it must be of the same history as what is seen here. Judged by the leaves that were
    /// read here, so the relay is asked for no proof that it can refuse, nor does it learn what was heard.
    async fn compare_checkpoint(&self, relay: &RelayAddress, compact: &CompactCheckpoint) -> Result<(), Error> {
        let origin = relay.authority();
        let not_yet = || unavailable("the log is not read yet");
        let log = self.store.run(move |tx| stored::load(tx, &origin)).await?.ok_or_else(not_yet)?;
        let Ok(theirs) = SignedCheckpoint::from_compact(compact, &log.key) else {
            return self.compare_earlier(relay, &log.key, compact).await;
        };
        let (size, time_ms) = (theirs.checkpoint().size, theirs.checkpoint().time_ms);
        if time_ms <= log.settled_ms {
            // Of what the user knows, and goes on without.
            return Ok(());
        }
        let ours = log.proved.as_ref().ok_or_else(not_yet)?;
        if ours.checkpoint().size < size {
            if ours.checkpoint().time_ms > time_ms {
                // Signed later, and less: somebody is shown a log that does not go on.
                return Err(self.against(Against::WentBack, ours, &theirs).await);
            }
            return Err(unavailable(WITHHELD));
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
}
