//! Following relays' transparency logs (design section 4): every leaf is read, a chain's entry is used only if its leaf is there, and what
//! does not go together is kept and shown.
//!
//! Here: keys, checkpoints, leaves, evidence. In the modules: what others have seen (`gossip`) and how it is held against the own view (`compare`), whether a chain or name stands in a log
//! (`in_log`), what a log says of oneself and of contacts (`look`), a relay that was restored from a backup (`restored`), going on with a log that has contradicted itself (`settled`),
//! own entries that the log does not hold (`unlogged`), logs of strangers' relays (`strange`). Not here: chains and their rules (`waxwing_wire::chain`), what is shown
//! of a log (`transparency_view`).

mod compare;
mod gossip;
mod in_log;
mod look;
pub(super) mod restored;
mod settled;
mod strange;
mod unlogged;

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Transaction;
use waxwing_wire::limits::MAX_PROOF;
use waxwing_wire::transparency::{
    Checkpoint, NoteKey, SignedCheckpoint, Verdict, judge, name_hash, verify_consistency,
};
use waxwing_wire::{RelayAddress, Username};

use compare::is_outdated;
pub(super) use compare::is_withheld;
pub(super) use gossip::{AllHeard, Heard, keep as keep_heard};
#[cfg(test)]
pub(super) use gossip::{Kept, Strange};
pub(super) use unlogged::is_past_own_entries;

use super::{Engine, follow};
use crate::error::{Error, ErrorCode};
use crate::random;
use crate::relay::RelayApi;
use crate::store::contacts;
use crate::store::transparency::{self as stored, Against, Evidence, TransparencyLog, relay_of};

/// A checkpoint older than this proves nothing about now: relays sign one each hour.
pub(super) const STALE_MS: u64 = 24 * 60 * 60 * 1000;
/// So many leaves take a while: how far it got is told with each page.
const A_WHILE: u64 = 100_000;
/// The backstop: the own relay's log is read this often, woken or not.
const POLL: Duration = Duration::from_secs(600);
/// A checkpoint that was pushed is looked at within this time.
const WITHIN: Duration = Duration::from_secs(2);
/// Longest that one other relay is waited for at a time.
const PATIENCE: Duration = Duration::from_secs(60);
/// The first wait after something could not be read; each is twice as long as the one before, up to `POLL`.
const FIRST_REST: Duration = Duration::from_secs(5);
/// Most leaves that a log may have: a plain scan is outgrown long before (design section 4).
pub(super) const MOST_LEAVES: u64 = 50_000_000;
/// How often other relays' logs are read.
const ABROAD: Duration = Duration::from_secs(3600);

/// How far a log was read.
enum Followed {
    /// Up to the checkpoint that the relay shows.
    Whole,
    /// There is more of it.
    InPart,
}

impl Engine {
    /// Follows the own relay's log, and now and then those of contacts.
    pub(super) async fn run_transparency(self: Arc<Self>) {
        // What was proved before the start goes along in envelopes from the first one on.
        let home = self.home.address().authority();
        if let Ok(Some(log)) = self.store.run(move |tx| stored::load(tx, &home)).await
            && let Some(proved) = &log.proved
        {
            self.note_checkpoint(proved);
        }
        let (mut abroad, mut rest) = (Instant::now(), FIRST_REST);
        loop {
            let calm = self.follow_home().await;
            if Instant::now() >= abroad {
                abroad = Instant::now() + ABROAD;
                self.follow_logs_abroad().await;
                if let Err(error) = self.forget_strange_logs().await {
                    tracing::warn!(%error, "logs of relays at which nobody is known any more");
                }
            }
            self.follow_strange().await;
            // What has failed is not left until the log changes again.
            rest = if calm { FIRST_REST } else { POLL.min(rest * 2) };
            let _ = tokio::time::timeout(if calm { POLL } else { rest }, self.transparency_wake.notified()).await;
            // A relay wakes all its devices at once, for each change of anybody's keys: they come one by one, and for several at a time.
            let [soon] = random::bytes::<1>();
            tokio::time::sleep(WITHIN.mul_f64(f64::from(soon) / 256.0)).await;
        }
    }

    /// Reads the own relay's log, and looks at what is new in all of them. False if something of that is to be tried again.
    pub(super) async fn follow_home(&self) -> bool {
        self.follow_home_for(PATIENCE).await
    }

    /// The same. `patience`: longest that the log is read, and longest that the relays of those of whom it has news are waited for: whoever shows
    /// what they have leaf by leaf keeps nothing else from its turn.
    pub(super) async fn follow_home_for(&self, patience: Duration) -> bool {
        let home = self.home.address().clone();
        let mut calm = true;
        let mut note = |outcome: Result<(), Error>, what: &str| {
            if let Err(error) = outcome {
                calm = false;
                tracing::info!(%error, "{what}");
            }
        };
        let read = self.follow_log_for(&home, patience).await;
        if matches!(read, Ok(Followed::Whole)) {
            note(self.look_for_own_entries().await, "own entries in the relay's transparency log");
        }
        note(read.map(drop), "the relay's transparency log");
        note(self.tell_restored_relay().await, "what the own relay has lost is not told again yet");
        note(self.check_learned().await, "chains that came in conversations");
        let compared = self.compare_heard().await;
        let looked = tokio::time::timeout(patience, self.look_at_logs()).await;
        note(looked.unwrap_or_else(|_| Err(not_in_time())), "looking through transparency logs");
        let context = self.context();
        match self.store.run(move |tx| follow::reconcile(tx, &context)).await {
            Ok(true) => self.outbox_wake.notify_one(),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "groups that are to follow a chain"),
        }
        calm && compared
    }

    async fn follow_logs_abroad(&self) {
        let home = self.home.address().authority();
        let relays = self.store.run(|tx| {
            // Not for whoever merely stands on some roster: a stranger does not make this computer speak to relays of their choice.
            let mut relays: Vec<_> = contacts::known(tx)?.into_iter().map(|contact| contact.relay).collect();
            relays.sort_by_key(RelayAddress::authority);
            relays.dedup_by_key(|relay| relay.authority());
            Ok(relays)
        });
        let near = self.home.address().is_loopback();
        for relay in relays.await.unwrap_or_default().iter().filter(|relay| relay.authority() != home) {
            if relay.is_loopback() && !near {
                continue;
            }
            // What was read by then is kept, and gone on with the next time.
            if let Ok(Err(error)) = tokio::time::timeout(PATIENCE, self.follow_log(relay)).await {
                tracing::info!(%error, "another relay's transparency log");
            }
        }
    }

    /// Reads a log for so long. What was read by then is kept; where that is something, the next round begins at once and goes on with it.
    async fn follow_log_for(&self, relay: &RelayAddress, patience: Duration) -> Result<Followed, Error> {
        let authority = relay.authority();
        let read = move |tx: &Transaction<'_>| Ok(stored::load(tx, &authority)?.map_or(0, |log| log.read.size()));
        let before = self.store.run(read.clone()).await?;
        if let Ok(followed) = tokio::time::timeout(patience, self.follow_log(relay)).await {
            return followed.map(|()| Followed::Whole);
        }
        if self.store.run(read).await? <= before {
            return Err(not_in_time());
        }
        self.transparency_wake.notify_one();
        Ok(Followed::InPart)
    }

    /// Reads a relay's log up to its newest checkpoint, and proves what was read by it.
    pub(super) async fn follow_log(&self, relay: &RelayAddress) -> Result<(), Error> {
        // In one piece it is too large for the stack of a thread, with all that waits for it.
        Box::pin(self.read_log(relay)).await
    }

    async fn read_log(&self, relay: &RelayAddress) -> Result<(), Error> {
        let lock = self.transparency_lock(&relay.authority());
        let _one = lock.lock().await;
        self.require_room_still(&relay.authority()).await?;
        let api = self.relay(relay)?;
        let key = self.log_key(relay, &api).await?;
        let note = api.checkpoint().await?;
        let key = match restored::other_origin(&note, &key) {
            true => self.follow_restored(relay, &api, &note).await?,
            false => key,
        };
        let newest = SignedCheckpoint::verify(note.as_bytes(), &key).map_err(|error| unavailable(error.to_string()))?;
        let authority = relay.authority();
        let log = self.store.run(move |tx| load(tx, &authority)).await?;
        let news = match &log.proved {
            Some(proved) => self.weigh(&log, proved, &newest).await?,
            None => true,
        };
        if !news {
            return Ok(());
        }
        let log = self.read_up_to(&api, log, &newest).await?;
        self.note_checkpoint(&newest);
        self.tell_log(&log.relay).await;
        // Looked at by the task: whoever waits for these leaves may hold what looking needs.
        self.transparency_wake.notify_one();
        Ok(())
    }

    /// The pinned key of a relay's log; on first sight, the one that the relay names.
    async fn log_key(&self, relay: &RelayAddress, api: &RelayApi) -> Result<NoteKey, Error> {
        let authority = relay.authority();
        let known = self.store.run(move |tx| Ok(stored::load(tx, &authority)?.map(|log| log.key))).await?;
        if let Some(key) = known {
            return Ok(key);
        }
        let named = api.info().await?.log_key.ok_or_else(|| unavailable("the relay has no log"))?;
        let key: NoteKey = named.parse().map_err(|_| unavailable("the relay's log key cannot be read"))?;
        // To a newcomer a relay that was restored is as good as any: nothing of before was seen here.
        if relay_of(key.name()) != relay.authority() {
            return Err(unavailable("the relay's log key is another relay's"));
        }
        self.store.run(move |tx| stored::pin(tx, &key)).await
    }

    /// Pins the key that an invite names. A log with another key is not the one that the inviter sees.
    pub(super) async fn pin_log(&self, relay: &RelayAddress, public: &[u8; 32]) -> Result<(), Error> {
        if *public == [0; 32] {
            return Ok(());
        }
        let authority = relay.authority();
        let known = self.store.run(move |tx| Ok(stored::load(tx, &authority)?.map(|log| log.key))).await?;
        let pinned = match known {
            Some(known) => known,
            None => {
                // Whoever made the link may have made the key up: only one that the relay signs with is kept, under the origin that the
                // log has now.
                let note = self.relay(relay)?.checkpoint().await?;
                let key = NoteKey::new(&restored::origin_of(&note, relay), public);
                let key = key.map_err(|_| unavailable("the link's log key is no key"))?;
                SignedCheckpoint::verify(note.as_bytes(), &key).map_err(|_| {
                    Error::new(ErrorCode::LogContradicts, "the relay does not sign with the link's log key")
                })?;
                self.store.run(move |tx| stored::pin(tx, &key)).await?
            }
        };
        if pinned.public() == public {
            Ok(())
        } else {
            Err(Error::new(ErrorCode::LogContradicts, "the link names another log key"))
        }
    }

    /// Holds the newest checkpoint against the one that was proved last. False if there is nothing new to read.
    async fn weigh(
        &self,
        log: &TransparencyLog,
        proved: &SignedCheckpoint,
        newest: &SignedCheckpoint,
    ) -> Result<bool, Error> {
        let (old, new) = (proved.checkpoint(), newest.checkpoint());
        if new.size < old.size {
            // One from before: another process of the relay, or a copy on the way. A later one that is smaller is a history taken back.
            if new.time_ms <= old.time_ms {
                return Ok(false);
            }
            return Err(self.against(Against::WentBack, proved, newest).await);
        }
        match judge(proved, newest, &[]) {
            Ok(Verdict::Contradiction) => Err(self.against(Against::TwoHistories, proved, newest).await),
            Ok(Verdict::Consistent) if new.size == old.size => {
                if new.time_ms > old.time_ms {
                    self.note_checkpoint(newest);
                    let (n, newest, edge, now) = (log.n, newest.clone(), log.proved_edge.clone(), self.now_ms());
                    self.store.run(move |tx| stored::set_proved(tx, n, &newest, (&edge, now))).await?;
                    self.tell_log(&log.relay).await;
                }
                Ok(false)
            }
            _ => Ok(true),
        }
    }

    /// Reads the leaves up to a checkpoint, whose root they must give.
    async fn read_up_to(
        &self,
        api: &RelayApi,
        mut log: TransparencyLog,
        newest: &SignedCheckpoint,
    ) -> Result<TransparencyLog, Error> {
        let size = newest.checkpoint().size;
        if size > MOST_LEAVES {
            return Err(unavailable("the relay's log is larger than any that can be read"));
        }
        if log.read.size() > size {
            // Read for a checkpoint that is not shown any more.
            log = self.start_over(log).await?;
        }
        while log.read.size() < size {
            let from = log.read.size();
            self.require_room(&log.relay, size - from).await?;
            let mut leaves = api.log_leaves(from).await?;
            leaves.truncate(usize::try_from(size - from).unwrap_or(usize::MAX));
            if leaves.is_empty() {
                return Err(unavailable("the relay's log has fewer leaves than it says"));
            }
            let (n, mut edge) = (log.n, log.read);
            let edge = self
                .store
                .run(move |tx| {
                    for leaf in &leaves {
                        edge.append(leaf.hash()).map_err(|error| unavailable(error.to_string()))?;
                    }
                    stored::add_leaves(tx, n, from, &leaves, &edge)?;
                    Ok(edge)
                })
                .await?;
            log.read = edge;
            if size - from > A_WHILE {
                self.tell_log(&log.relay).await;
            }
        }
        if log.read.root() == newest.checkpoint().root {
            let (n, proof, edge, now) = (log.n, newest.clone(), log.read.clone(), self.now_ms());
            self.store.run(move |tx| stored::set_proved(tx, n, &proof, (&edge, now))).await?;
            log.proved_edge = log.read.clone();
            log.proved = Some(newest.clone());
            return Ok(log);
        }
        let log = self.start_over(log).await?;
        let Some(proved) = &log.proved else { return Err(unavailable("the log's leaves are not those it signed")) };
        // Leaves are not signed: wrong ones speak against nobody. Two checkpoints that nothing leads between do.
        let path = match api.log_consistency(proved.checkpoint().size, size).await {
            // It says itself that it has no such proof.
            Err(error) if error.problem().is_some() => Vec::new(),
            answer => answer?,
        };
        if extends(proved.checkpoint(), newest.checkpoint(), &path) {
            return Err(unavailable("the log's leaves are not those it signed"));
        }
        Err(self.against(Against::Unproved, proved, newest).await)
    }

    async fn start_over(&self, log: TransparencyLog) -> Result<TransparencyLog, Error> {
        self.store
            .run(move |tx| {
                stored::drop_unproved(tx, &log)?;
                load(tx, &log.relay)
            })
            .await
    }

    /// Keeps and shows what speaks against a log.
    pub(super) async fn against(&self, against: Against, first: &SignedCheckpoint, second: &SignedCheckpoint) -> Error {
        self.against_notes(against, relay_of(first.key().name()), first.note(), second.note()).await
    }

    /// The same, of notes that the log's key has signed.
    pub(super) async fn against_notes(&self, against: Against, relay: &str, first: &str, second: &str) -> Error {
        let evidence =
            Evidence { n: 0, against, first: first.to_owned(), second: second.to_owned(), at_ms: self.now_ms() };
        tracing::warn!(?against, "a transparency log contradicts itself");
        let of = relay.to_owned();
        match self.store.run(move |tx| stored::keep_evidence(tx, &of, &evidence)).await {
            Ok(_) => self.tell_log(relay).await,
            Err(error) => return error,
        }
        Error::new(ErrorCode::LogContradicts, "the relay's log contradicts itself")
    }

    pub(super) fn transparency_lock(&self, origin: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.transparency_locks.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(locks.entry(origin.to_owned()).or_default())
    }
}

fn load(tx: &Transaction<'_>, relay: &str) -> Result<TransparencyLog, Error> {
    stored::load(tx, relay)?.ok_or_else(|| unavailable("the log was not read yet"))
}

/// Whether a proof leads from one checkpoint to a later one.
fn extends(older: &Checkpoint, newer: &Checkpoint, path: &[[u8; 32]]) -> bool {
    older.size == 0
        || (path.len() <= MAX_PROOF
            && verify_consistency(older.size, &older.root, newer.size, &newer.root, path).is_ok())
}

/// Slow on purpose, so not on a thread that others wait for.
async fn hash_of(name: Username, origin: String) -> Result<[u8; 32], Error> {
    let hash = tokio::task::spawn_blocking(move || name_hash(&name, &origin)).await;
    let hash = hash.map_err(|_| Error::new(ErrorCode::Internal, "a task ended early"))?;
    hash.map_err(|error| Error::new(ErrorCode::Internal, error.to_string()))
}

fn not_in_time() -> Error {
    unavailable("no answer in time")
}

pub(super) fn unavailable(why: impl Into<String>) -> Error {
    Error::new(ErrorCode::LogUnavailable, why)
}
