//! Following relays' transparency logs (design section 4): every leaf is read, a chain's entry is used only if its leaf is there, and what
//! does not go together is kept and shown.
//!
//! Not here: chains and their rules (`waxwing_wire::chain`), what is shown of a log (`transparency_view`).

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Transaction;
use waxwing_protocol::envelope::CompactCheckpoint;
use waxwing_wire::limits::{MAX_CHAIN, MAX_PROOF};
use waxwing_wire::transparency::{
    Checkpoint, Leaf, NoteKey, SignedCheckpoint, Verdict, account_hash, judge, name_hash, verify_consistency,
};
use waxwing_wire::{AccountId, RelayAddress, Username, VerifiedChain};

use super::emit::Changes;
use super::{Engine, follow, safety};
use crate::error::{Error, ErrorCode};
use crate::random;
use crate::relay::RelayApi;
use crate::store::transparency::{self as stored, Against, Alarm, Evidence, Placed, TransparencyLog};
use crate::store::{account, contacts, keys, verifications};

/// A checkpoint older than this proves nothing about now: relays sign one each hour.
pub(super) const STALE_MS: u64 = 24 * 60 * 60 * 1000;
/// Checkpoints of others that are kept in mind.
const MOST_HEARD: usize = 4096;
/// So many leaves take a while: how far it got is told with each page.
const A_WHILE: u64 = 100_000;
/// The backstop: the own relay's log is read this often, woken or not.
const POLL: Duration = Duration::from_secs(600);
/// A checkpoint that was pushed is looked at within this time.
const WITHIN: Duration = Duration::from_secs(2);
/// Longest that one other relay is waited for at a time.
const PATIENCE: Duration = Duration::from_secs(60);
/// Most checkpoints of others that are compared at a time.
const MOST_COMPARED: usize = 64;
/// Most leaves that a log may have: a plain scan is outgrown long before (design section 4).
const MOST_LEAVES: u64 = 50_000_000;
/// How often other relays' logs are read.
const ABROAD: Duration = Duration::from_secs(3600);

/// A checkpoint that somebody has seen of their relay's log, in its compact form.
pub(super) type Heard = (AccountId, CompactCheckpoint);

/// How a chain stands in its relay's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InLog {
    /// All that was asked for is there, and nothing newer.
    Whole,
    /// All that was asked for is there, and entries that the chain does not have: the relay holds them back, or they came in this moment.
    Newer,
    /// Something that was asked for is not there.
    Lacks,
}

/// What a log must hold about an account.
struct Wanted {
    who: [u8; 32],
    /// Number of the newest entry that is known.
    newest: u32,
    /// Entries, by number, and their hashes.
    hashes: Vec<(u32, [u8; 32])>,
}

/// What others have seen: what is to be looked at, and what was.
#[derive(Default)]
pub(super) struct AllHeard {
    new: HashSet<Heard>,
    known: HashSet<Heard>,
}

impl Engine {
    /// Notes what others have seen of their relays' logs.
    pub(super) fn hear(&self, heard: HashSet<Heard>) {
        let mut all = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh: Vec<_> = heard.into_iter().filter(|one| !all.known.contains(one)).collect();
        if all.new.len() < MOST_HEARD && !fresh.is_empty() {
            all.new.extend(fresh);
            self.transparency_wake.notify_one();
        }
    }

    /// Holds what others have seen against the own view (P17).
    async fn compare_heard(&self) {
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

    /// Follows the own relay's log, and now and then those of contacts.
    pub(super) async fn run_transparency(self: Arc<Self>) {
        // What was proved before the start goes along in envelopes from the first one on.
        let home = self.home.address().authority();
        if let Ok(Some(log)) = self.store.run(move |tx| stored::load(tx, &home)).await
            && let Some(proved) = &log.proved
        {
            self.note_checkpoint(proved);
        }
        let mut abroad = Instant::now();
        loop {
            self.follow_home().await;
            if Instant::now() >= abroad {
                abroad = Instant::now() + ABROAD;
                self.follow_logs_abroad().await;
            }
            let _ = tokio::time::timeout(POLL, self.transparency_wake.notified()).await;
            // A relay wakes all its devices at once, for each change of anybody's keys: they come one by one, and for several at a time.
            let [soon] = random::bytes::<1>();
            tokio::time::sleep(WITHIN.mul_f64(f64::from(soon) / 256.0)).await;
        }
    }

    /// Reads the own relay's log, and looks at what is new in all of them.
    pub(super) async fn follow_home(&self) {
        let home = self.home.address().clone();
        if let Err(error) = self.follow_log(&home).await {
            tracing::info!(%error, "the relay's transparency log");
        }
        self.compare_heard().await;
        if let Err(error) = self.look_at_logs().await {
            tracing::warn!(%error, "looking through transparency logs");
        }
        let context = self.context();
        match self.store.run(move |tx| follow::reconcile(tx, &context)).await {
            Ok(true) => self.outbox_wake.notify_one(),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "groups that are to follow a chain"),
        }
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

    /// Reads a relay's log up to its newest checkpoint, and proves what was read by it.
    pub(super) async fn follow_log(&self, relay: &RelayAddress) -> Result<(), Error> {
        let lock = self.transparency_lock(&relay.authority());
        let _one = lock.lock().await;
        let api = self.relay(relay)?;
        let key = self.log_key(relay, &api).await?;
        let note = api.checkpoint().await?;
        let newest = SignedCheckpoint::verify(note.as_bytes(), &key).map_err(|error| unavailable(error.to_string()))?;
        let origin = key.name().to_owned();
        let log = self.store.run(move |tx| load(tx, &origin)).await?;
        let news = match &log.proved {
            Some(proved) => self.weigh(&log, proved, &newest).await?,
            None => true,
        };
        if !news {
            return Ok(());
        }
        let log = self.read_up_to(&api, log, &newest).await?;
        self.note_checkpoint(&newest);
        self.tell_log(log.key.name()).await;
        // Looked at by the task: whoever waits for these leaves may hold what looking needs.
        self.transparency_wake.notify_one();
        Ok(())
    }

    /// The pinned key of a relay's log; on first sight, the one that the relay names.
    async fn log_key(&self, relay: &RelayAddress, api: &RelayApi) -> Result<NoteKey, Error> {
        let origin = relay.authority();
        let known = self.store.run(move |tx| Ok(stored::load(tx, &origin)?.map(|log| log.key))).await?;
        if let Some(key) = known {
            return Ok(key);
        }
        let named = api.info().await?.log_key.ok_or_else(|| unavailable("the relay has no log"))?;
        let key: NoteKey = named.parse().map_err(|_| unavailable("the relay's log key cannot be read"))?;
        if key.name() != relay.authority() {
            return Err(unavailable("the relay's log key is another relay's"));
        }
        self.store.run(move |tx| stored::pin(tx, &key)).await
    }

    /// Pins the key that an invite names. A log with another key is not the one that the inviter sees.
    pub(super) async fn pin_log(&self, relay: &RelayAddress, public: &[u8; 32]) -> Result<(), Error> {
        if *public == [0; 32] {
            return Ok(());
        }
        let key = NoteKey::new(&relay.authority(), public).map_err(|_| unavailable("the link's log key is no key"))?;
        let (origin, named) = (relay.authority(), key.clone());
        if self.store.run(move |tx| stored::load(tx, &origin)).await?.is_none() {
            // Whoever made the link may have made the key up: only one that the relay signs with is kept.
            let note = self.relay(relay)?.checkpoint().await?;
            SignedCheckpoint::verify(note.as_bytes(), &key).map_err(|_| {
                Error::new(ErrorCode::LogContradicts, "the relay does not sign with the link's log key")
            })?;
        }
        let pinned = self.store.run(move |tx| stored::pin(tx, &named)).await?;
        if pinned == key {
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
                    let (n, newest, edge) = (log.n, newest.clone(), log.proved_edge.clone());
                    self.store.run(move |tx| stored::set_proved(tx, n, &newest, &edge)).await?;
                    self.tell_log(log.key.name()).await;
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
                self.tell_log(log.key.name()).await;
            }
        }
        if log.read.root() == newest.checkpoint().root {
            let (n, proof, edge) = (log.n, newest.clone(), log.read.clone());
            self.store.run(move |tx| stored::set_proved(tx, n, &proof, &edge)).await?;
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
                load(tx, log.key.name())
            })
            .await
    }

    /// Keeps and shows what speaks against a log.
    pub(super) async fn against(&self, against: Against, first: &SignedCheckpoint, second: &SignedCheckpoint) -> Error {
        let origin = first.key().name().to_owned();
        let (notes, of) = ((first.note().to_owned(), second.note().to_owned()), origin.clone());
        let evidence = Evidence { against, first: notes.0, second: notes.1, at_ms: self.now_ms() };
        tracing::warn!(?against, "a transparency log contradicts itself");
        match self.store.run(move |tx| stored::keep_evidence(tx, &of, &evidence)).await {
            Ok(_) => self.tell_log(&origin).await,
            Err(error) => return error,
        }
        Error::new(ErrorCode::LogContradicts, "the relay's log contradicts itself")
    }

    /// A checkpoint that came with somebody's envelope: it must be of the same history as what is seen here.
    pub(super) async fn compare_checkpoint(
        &self,
        relay: &RelayAddress,
        compact: &CompactCheckpoint,
    ) -> Result<(), Error> {
        let origin = relay.authority();
        let Some(log) = self.store.run(move |tx| stored::load(tx, &origin)).await? else { return Ok(()) };
        // Whoever it comes from may have made it up: without the log's signature it says nothing.
        let Ok(theirs) = SignedCheckpoint::from_compact(compact, &log.key) else { return Ok(()) };
        let Some(ours) = &log.proved else { return Ok(()) };
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

    /// How a chain that a relay has served stands in its log as it is seen here. The log is read once more before anything is missed.
    pub(super) async fn in_log(&self, relay: &RelayAddress, chain: &VerifiedChain, from: u32) -> Result<InLog, Error> {
        let hashes: Vec<_> = (from..=chain.seq()).filter_map(|seq| Some((seq, chain.hash_at(seq)?))).collect();
        let wanted = Arc::new(Wanted { who: account_hash(&chain.account()), newest: chain.seq(), hashes });
        for again in [true, false] {
            let (origin, wanted) = (relay.authority(), Arc::clone(&wanted));
            let found = self.store.run(move |tx| look_up(tx, &origin, &wanted)).await?;
            if found != InLog::Lacks || !again {
                return Ok(found);
            }
            self.follow_log(relay).await?;
        }
        Ok(InLog::Lacks)
    }

    /// Refuses a name that the log gives to nobody, to somebody else, or to two; and a log that is too old to say so.
    pub(super) async fn require_name(
        &self,
        relay: &RelayAddress,
        name: &Username,
        chain: &VerifiedChain,
    ) -> Result<(), Error> {
        let hash = hash_of(name.clone(), relay.authority()).await?;
        let (origin, now) = (relay.authority(), self.now_ms());
        let (leaves, age) = self
            .store
            .run(move |tx| {
                let log = load(tx, &origin)?;
                let age = log.proved.as_ref().map(|proved| now.saturating_sub(proved.checkpoint().time_ms));
                Ok((stored::naming(tx, &log, &hash)?, age))
            })
            .await?;
        if age.is_none_or(|age| age > STALE_MS) {
            return Err(unavailable("the relay's log is more than a day old"));
        }
        let created = chain.hash_at(0);
        match leaves.as_slice() {
            [one] if matches!(one.leaf, Leaf::Name { entry_hash, .. } if Some(entry_hash) == created) => Ok(()),
            [] | [_] => Err(Error::new(ErrorCode::NotInLog, "the relay's log gives that name to somebody else")),
            _ => Err(Error::new(ErrorCode::LogContradicts, "the relay's log gives that name to two accounts")),
        }
    }

    /// What is new in the logs about oneself and about contacts.
    async fn look_at_logs(&self) -> Result<(), Error> {
        self.catch_up_with_own_keys().await?;
        let home = self.home.address().authority();
        for origin in self.store.run(stored::origins).await? {
            let own = origin == home;
            let name = match own {
                true => Some(hash_of(self.store.run(account::require).await?.username, origin.clone()).await?),
                false => None,
            };
            let (me, now) = (self.account, self.now_ms());
            let (news, raised, changes, seen) = self
                .store
                .run(move |tx| {
                    let log = load(tx, &origin)?;
                    if log.looked >= log.size() {
                        return Ok((Vec::new(), false, Changes::default(), None));
                    }
                    let raised = match name {
                        Some(name) => look_for_oneself(tx, &log, (me, &name), now)?,
                        None => false,
                    };
                    let mut changes = Changes::default();
                    let news = news_of_contacts(tx, &log, me, now)?;
                    safety::announce(tx, now, &mut changes)?;
                    Ok((news, raised, changes, Some((log.n, log.size()))))
                })
                .await?;
            self.tell(changes).await;
            if raised {
                tracing::warn!("the relay's log holds an entry of the own account that no own device has made");
                self.tell_log(&home).await;
            }
            let mut all = true;
            for account in news {
                if let Err(error) = self.refresh_chain(account).await {
                    tracing::info!(%error, "a contact's new keys cannot be had");
                    all = false;
                }
            }
            // What could not be had is looked for again with the next round.
            if let (true, Some((n, size))) = (all, seen) {
                self.store.run(move |tx| stored::set_looked(tx, n, size)).await?;
            }
        }
        Ok(())
    }

    /// The newest checkpoint of the own relay goes along in every envelope.
    fn note_checkpoint(&self, newest: &SignedCheckpoint) {
        if newest.key().name() == self.home.address().authority() {
            let compact = newest.to_compact().try_into().ok();
            *self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner) = compact;
        }
    }

    fn transparency_lock(&self, origin: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.transparency_locks.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(locks.entry(origin.to_owned()).or_default())
    }
}

/// Contacts of whom a log has newer entries than are known. Another entry in the place of a known one puts their keys in doubt.
fn news_of_contacts(
    tx: &Transaction<'_>,
    log: &TransparencyLog,
    me: AccountId,
    now: u64,
) -> Result<Vec<AccountId>, Error> {
    let mut news = Vec::new();
    for contact in contacts::all(tx)?.iter().filter(|one| one.relay.authority() == log.key.name() && one.account != me)
    {
        let leaves = stored::about(tx, log, &account_hash(&contact.account), log.looked)?;
        if leaves.is_empty() {
            continue;
        }
        let Some(chain) = keys::chain(tx, contact.account)? else { continue };
        let differs = |placed: &Placed| match placed.leaf {
            Leaf::Chain { seq, entry_hash, .. } => chain.hash_at(seq).is_some_and(|known| known != entry_hash),
            Leaf::Name { .. } => false,
        };
        if leaves.iter().any(differs) {
            tracing::warn!("a relay's log holds another entry in the place of a contact's");
            verifications::note_trouble(tx, contact.account, "the relay's log holds another entry", now)?;
        }
        let newer = |placed: &Placed| matches!(placed.leaf, Leaf::Chain { seq, .. } if seq > chain.seq());
        if leaves.iter().any(newer) {
            news.push(contact.account);
        }
    }
    Ok(news)
}

/// An entry of one's own that no own device has made is an alarm, and so is the own name given to another. True if one was raised.
fn look_for_oneself(
    tx: &Transaction<'_>,
    log: &TransparencyLog,
    (me, name): (AccountId, &[u8; 32]),
    now: u64,
) -> Result<bool, Error> {
    let about = stored::about(tx, log, &account_hash(&me), log.looked)?;
    let naming = stored::naming(tx, log, name)?;
    if about.is_empty() && naming.iter().all(|placed| placed.index < log.looked) {
        return Ok(false);
    }
    let chain = keys::chain(tx, me)?.ok_or_else(|| super::not_found("no own chain"))?;
    // A change under way whose answer is still to come has made one that the chain here does not have yet.
    let rotation = keys::rotation(tx)?.map(|one| one.entry);
    let under_way: Vec<_> = [rotation, keys::account_change(tx)?.map(|one| one.entry)]
        .iter()
        .flatten()
        .filter_map(|entry| waxwing_wire::ChainEntry::decode(entry).ok())
        .map(|entry| (entry.unsigned.seq, entry.hash()))
        .collect();
    let mut raised = false;
    let mut raise = |index, seq, entry_hash| {
        let fresh = stored::raise(tx, &Alarm { index, seq, entry_hash, at_ms: now })?;
        raised |= fresh;
        Ok::<_, Error>(())
    };
    for placed in about {
        let Leaf::Chain { seq, entry_hash, .. } = placed.leaf else { continue };
        if chain.hash_at(seq) != Some(entry_hash) && !under_way.contains(&(seq, entry_hash)) {
            raise(placed.index, Some(seq), entry_hash)?;
        }
    }
    for placed in naming.into_iter().filter(|placed| placed.index >= log.looked) {
        let Leaf::Name { entry_hash, .. } = placed.leaf else { continue };
        if chain.hash_at(0) != Some(entry_hash) {
            raise(placed.index, None, entry_hash)?;
        }
    }
    Ok(raised)
}

/// The leaves about an account against what its chain must have there: the newest entry's number, and entries with their hashes.
fn look_up(tx: &Transaction<'_>, origin: &str, Wanted { who, newest, hashes }: &Wanted) -> Result<InLog, Error> {
    let Some(log) = stored::load(tx, origin)?.filter(|log| log.size() > 0) else { return Ok(InLog::Lacks) };
    let leaves: HashSet<(u32, [u8; 32])> = stored::about(tx, &log, who, 0)?
        .into_iter()
        .filter_map(|placed| match placed.leaf {
            Leaf::Chain { seq, entry_hash, .. } => Some((seq, entry_hash)),
            Leaf::Name { .. } => None,
        })
        .collect();
    // Whatever else is there: a leaf that does not belong takes none away that does.
    if !hashes.iter().all(|entry| leaves.contains(entry)) {
        return Ok(InLog::Lacks);
    }
    let newer = leaves.iter().any(|(seq, _)| seq > newest && *seq as usize <= MAX_CHAIN);
    Ok(if newer { InLog::Newer } else { InLog::Whole })
}

fn load(tx: &Transaction<'_>, origin: &str) -> Result<TransparencyLog, Error> {
    stored::load(tx, origin)?.ok_or_else(|| unavailable("the log was not read yet"))
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

pub(super) fn unavailable(why: impl Into<String>) -> Error {
    Error::new(ErrorCode::LogUnavailable, why)
}
