//! Wake-ups within this process: who follows which log or inbox, and a bounded queue to each. Of checkpoints of the transparency log only the
//! newest waits for a reader: it says all that those before it said.
//!
//! What other processes of the relay store is found by [`crate::bus`], which asks here what is followed and tells of it here.
//!
//! Never load-bearing: what is told here is stored already, and a client that was not told finds it when it drains.

mod followers;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use axum::body::Bytes;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use waxwing_wire::frame::{LogEntry, Push};
use waxwing_wire::limits::MAX_PUSHED_ENTRY;
use waxwing_wire::transparency::{COMPACT_LEN, SignedCheckpoint};
use waxwing_wire::{DeviceId, LogId};

use crate::bus::{Disguise, Tag};
use followers::Followers;

/// Frames that wait for one reader; one that lets more pile up is disconnected.
const QUEUE: usize = 512;
/// With less room than this, entries are left out: the head alone makes the reader drain.
const ROOM_FOR_ENTRIES: usize = QUEUE - 64;

/// Something was stored.
#[derive(Debug)]
pub enum Wake {
    /// In a log.
    Log {
        /// Which.
        log: LogId,
        /// Hash of the read token that was good for this entry.
        read_hash: [u8; 32],
        /// Whether the entry replaced the tokens: that read token ends here.
        rekeyed: bool,
        /// The entry.
        entry: LogEntry,
    },
    /// In an inbox.
    Inbox {
        /// Whose.
        device: DeviceId,
        /// Its head.
        head: u64,
    },
    /// A device is in force no longer: whoever follows its inbox is cut off.
    Revoked {
        /// Which.
        device: DeviceId,
    },
    /// The transparency log has a new checkpoint.
    Checkpoint(Box<SignedCheckpoint>),
}

/// Who follows what.
#[derive(Default)]
pub struct Hub {
    next: AtomicU64,
    logs: Mutex<Followers<LogId, LogFollower>>,
    inboxes: Mutex<Followers<DeviceId, InboxFollower>>,
    checkpoint: watch::Sender<Newest>,
    disguise: OnceLock<Arc<Disguise>>,
}

/// The newest checkpoint that was told of.
#[derive(Debug, Default)]
struct Newest {
    time_ms: u64,
    frame: Bytes,
}

/// One connection's end of the hub. Dropping it ends what it follows.
pub struct Subscription {
    hub: Arc<Hub>,
    reader: Reader,
    frames: mpsc::Receiver<Bytes>,
    logs: HashMap<LogId, [u8; 32]>,
    inbox: Option<DeviceId>,
    checkpoints: Option<watch::Receiver<Newest>>,
}

#[derive(Clone)]
struct Reader {
    id: u64,
    queue: mpsc::Sender<Bytes>,
    slow: CancellationToken,
}

struct LogFollower {
    reader: Reader,
    read_hash: [u8; 32],
    /// As far as it was told, or finds by itself; none until that was asked.
    head: Option<u64>,
}

struct InboxFollower {
    reader: Reader,
    head: Option<u64>,
}

/// A log that somebody follows here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FollowedLog {
    pub(crate) log: LogId,
    pub(crate) read_hash: [u8; 32],
    /// What all who follow it with this token have been told of.
    pub(crate) head: u64,
}

/// An inbox that is followed here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FollowedInbox {
    pub(crate) device: DeviceId,
    pub(crate) head: u64,
}

impl Reader {
    /// Queues a frame; false if the reader is to be forgotten.
    fn tell(&self, frame: &Bytes) -> bool {
        match self.queue.try_send(frame.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.slow.cancel();
                false
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }
}

impl Hub {
    /// Sets what other processes call logs and devices. Before anything is followed.
    pub(crate) fn disguise(&self, disguise: Arc<Disguise>) {
        // A second time changes nothing.
        let _ = self.disguise.set(disguise);
    }

    /// A connection that follows nothing yet.
    #[must_use]
    pub fn connect(self: &Arc<Self>) -> Subscription {
        let (queue, frames) = mpsc::channel(QUEUE);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let reader = Reader { id, queue, slow: CancellationToken::new() };
        Subscription { hub: Arc::clone(self), reader, frames, logs: HashMap::new(), inbox: None, checkpoints: None }
    }

    /// Tells everyone concerned. Never waits.
    pub fn wake(&self, wake: &Wake) {
        match wake {
            Wake::Log { log, read_hash, rekeyed, entry } => self.wake_log(*log, read_hash, *rekeyed, entry),
            Wake::Inbox { device, head } => {
                let frame = Bytes::from(Push::Inbox { head: *head }.encode());
                lock(&self.inboxes).retain(device, |follower| {
                    if follower.head.is_some_and(|known| known >= *head) {
                        return true;
                    }
                    follower.head = follower.head.map(|_| *head);
                    follower.reader.tell(&frame)
                });
            }
            Wake::Revoked { device } => {
                lock(&self.inboxes).take(device).iter().for_each(|follower| follower.reader.slow.cancel());
            }
            Wake::Checkpoint(checkpoint) => self.wake_checkpoint(checkpoint),
        }
    }

    fn wake_log(&self, log: LogId, read_hash: &[u8; 32], rekeyed: bool, entry: &LogEntry) {
        let mut logs = lock(&self.logs);
        if logs.of(&log).is_empty() {
            return;
        }
        let head = entry.seq;
        let bare = Bytes::from(Push::Log { log, head, entry: None }.encode());
        let full = if entry.blob.len() <= MAX_PUSHED_ENTRY {
            Bytes::from(Push::Log { log, head, entry: Some(entry.clone()) }.encode())
        } else {
            bare.clone()
        };
        let refused = Bytes::from(Push::Refused { log }.encode());
        logs.retain(&log, |follower| {
            // Another token: not checked yet, or of another time of this log. Neither learns of this entry.
            if follower.read_hash != *read_hash {
                return true;
            }
            let mut told = true;
            // Told already, where two processes tell of it.
            if follower.head.is_none_or(|known| known < head) {
                let frame = if follower.reader.queue.capacity() >= ROOM_FOR_ENTRIES { &full } else { &bare };
                told = follower.reader.tell(frame);
                follower.head = follower.head.map(|_| head);
            }
            if rekeyed && told {
                follower.reader.tell(&refused);
            }
            told && !rekeyed
        });
    }

    /// Tells that a log has grown up to `head`: more than is told one by one.
    pub(crate) fn wake_far(&self, log: LogId, read_hash: &[u8; 32], head: u64) {
        let bare = Bytes::from(Push::Log { log, head, entry: None }.encode());
        lock(&self.logs).retain(&log, |follower| {
            let behind = follower.read_hash == *read_hash && follower.head.is_none_or(|known| known < head);
            if behind {
                follower.head = follower.head.map(|_| head);
            }
            !behind || follower.reader.tell(&bare)
        });
    }

    /// Tells that a token opens a log no longer.
    pub(crate) fn refuse(&self, log: LogId, read_hash: &[u8; 32]) {
        let refused = Bytes::from(Push::Refused { log }.encode());
        lock(&self.logs).retain(&log, |follower| {
            let ended = follower.read_hash == *read_hash;
            if ended {
                follower.reader.tell(&refused);
            }
            !ended
        });
    }

    fn wake_checkpoint(&self, signed: &SignedCheckpoint) {
        let Ok(compact) = <[u8; COMPACT_LEN]>::try_from(signed.to_compact()) else { return };
        let time_ms = signed.checkpoint().time_ms;
        self.checkpoint.send_if_modified(|newest| {
            // Times of a log's checkpoints only grow; wake-ups may overtake each other.
            let newer = time_ms > newest.time_ms;
            if newer {
                *newest = Newest { time_ms, frame: Push::Checkpoint { compact }.encode().into() };
            }
            newer
        });
    }
}

/// What the bus asks.
impl Hub {
    /// Logs that are followed, each token once. Those whose head is not known yet are being asked for by their readers.
    pub(crate) fn followed_logs(&self) -> Vec<FollowedLog> {
        let logs = lock(&self.logs);
        logs.all().flat_map(|(log, followers)| of_log(*log, followers)).collect()
    }

    /// Inboxes that are followed.
    pub(crate) fn followed_inboxes(&self) -> Vec<FollowedInbox> {
        let inboxes = lock(&self.inboxes);
        inboxes.all().filter_map(|(device, followers)| of_inbox(*device, followers)).collect()
    }

    /// What is followed of what another process has told of.
    pub(crate) fn tagged(&self, tags: &[Tag]) -> (Vec<FollowedLog>, Vec<FollowedInbox>) {
        let logs = lock(&self.logs);
        let found = tags.iter().filter_map(|tag| logs.tagged(tag)).flat_map(|log| of_log(log, logs.of(&log))).collect();
        drop(logs);
        let inboxes = lock(&self.inboxes);
        let devices = tags.iter().filter_map(|tag| inboxes.tagged(tag));
        (found, devices.filter_map(|device| of_inbox(device, inboxes.of(&device))).collect())
    }

    /// Whether anybody follows the transparency log.
    pub(crate) fn checkpoints_are_followed(&self) -> bool {
        self.checkpoint.receiver_count() > 0
    }
}

/// For each token the least that is known of those who have it.
fn of_log(log: LogId, followers: &[LogFollower]) -> Vec<FollowedLog> {
    let mut tokens: Vec<FollowedLog> = Vec::new();
    for LogFollower { read_hash, head, .. } in followers {
        let Some(head) = *head else { continue };
        match tokens.iter_mut().find(|known| known.read_hash == *read_hash) {
            Some(known) => known.head = known.head.min(head),
            None => tokens.push(FollowedLog { log, read_hash: *read_hash, head }),
        }
    }
    tokens
}

fn of_inbox(device: DeviceId, followers: &[InboxFollower]) -> Option<FollowedInbox> {
    let head = followers.iter().filter_map(|follower| follower.head).min()?;
    Some(FollowedInbox { device, head })
}

impl Subscription {
    /// Follows `log` for the holder of the read token with this hash. Call it BEFORE checking that the token is good, so that nothing stored
    /// in between is missed; a token that is not the log's is told nothing meanwhile.
    pub fn follow_log(&mut self, log: LogId, read_hash: [u8; 32]) {
        self.unfollow_log(log);
        let tag = self.hub.disguise.get().map(|disguise| disguise.log(log));
        let follower = LogFollower { reader: self.reader.clone(), read_hash, head: None };
        lock(&self.hub.logs).add(log, tag, follower);
        self.logs.insert(log, read_hash);
    }

    /// `log` was found at `head` after it was followed: what comes later is told, also where another process stores it.
    pub fn found_log(&self, log: LogId, head: u64) {
        lock(&self.hub.logs).retain(&log, |follower| {
            if follower.reader.id == self.reader.id {
                follower.head = Some(head);
            }
            true
        });
    }

    /// Stops following `log`.
    pub fn unfollow_log(&mut self, log: LogId) {
        if self.logs.remove(&log).is_some() {
            lock(&self.hub.logs).retain(&log, |follower| follower.reader.id != self.reader.id);
        }
    }

    /// Follows the inbox of `device`. As with logs: call it before looking at the inbox.
    pub fn follow_inbox(&mut self, device: DeviceId) {
        if self.inbox.is_none() {
            let tag = self.hub.disguise.get().map(|disguise| disguise.device(device));
            lock(&self.hub.inboxes).add(device, tag, InboxFollower { reader: self.reader.clone(), head: None });
            self.inbox = Some(device);
        }
    }

    /// The inbox was found at `head` after it was followed.
    pub fn found_inbox(&self, head: u64) {
        let Some(device) = self.inbox else { return };
        lock(&self.hub.inboxes).retain(&device, |follower| {
            if follower.reader.id == self.reader.id {
                follower.head = Some(head);
            }
            true
        });
    }

    /// Follows the transparency log: checkpoints from now on.
    pub fn follow_checkpoints(&mut self) {
        if self.checkpoints.is_none() {
            self.checkpoints = Some(self.hub.checkpoint.subscribe());
        }
    }

    /// How many logs it follows.
    #[must_use]
    pub fn followed_logs(&self) -> usize {
        self.logs.len()
    }

    /// Whether it follows `log`.
    #[must_use]
    pub fn follows(&self, log: LogId) -> bool {
        self.logs.contains_key(&log)
    }

    /// The next frame to send; none once the reader was too slow.
    pub async fn next(&mut self) -> Option<Bytes> {
        tokio::select! {
            biased;
            () = self.reader.slow.cancelled() => None,
            frame = self.frames.recv() => frame,
            frame = next_checkpoint(self.checkpoints.as_mut()) => Some(frame),
        }
    }
}

/// The frame of the newest checkpoint, once there is one that was not given yet; never for a connection that follows none.
async fn next_checkpoint(checkpoints: Option<&mut watch::Receiver<Newest>>) -> Bytes {
    if let Some(checkpoints) = checkpoints
        && checkpoints.changed().await.is_ok()
    {
        return checkpoints.borrow_and_update().frame.clone();
    }
    std::future::pending().await
}

impl Drop for Subscription {
    fn drop(&mut self) {
        for log in self.logs.keys().copied().collect::<Vec<_>>() {
            self.unfollow_log(log);
        }
        if let Some(device) = self.inbox {
            lock(&self.hub.inboxes).retain(&device, |follower| follower.reader.id != self.reader.id);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
