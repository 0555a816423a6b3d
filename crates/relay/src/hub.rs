//! Wake-ups within this process: who follows which log or inbox, and a bounded queue to each. Of checkpoints of the transparency log only the
//! newest waits for a reader: it says all that those before it said.
//!
//! What other processes of the relay store is found by [`crate::bus`], which asks here what is followed and tells of it here.
//!
//! Never load-bearing: what is told here is stored already, and a client that was not told finds it when it drains.

mod followers;
mod subscription;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use axum::body::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use waxwing_wire::frame::{LogEntry, Push};
use waxwing_wire::limits::MAX_PUSHED_ENTRY;
use waxwing_wire::transparency::{COMPACT_LEN, SignedCheckpoint};
use waxwing_wire::{DeviceId, LogId};

use crate::bus::{Disguise, Tag};
use followers::Followers;

pub use subscription::Subscription;

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
    /// A device is in force no longer: its connections are cut off, whatever they follow.
    Revoked {
        /// Which.
        device: DeviceId,
    },
    /// A device has another relay-auth key: its connections under any other are cut off, as those of one that was revoked.
    Rotated {
        /// Which.
        device: DeviceId,
        /// The key in force.
        relay_auth: [u8; 32],
    },
    /// The operator has decided something that every process goes by. Nobody is told of it here: see [`crate::access`].
    Decided,
    /// The transparency log has a new checkpoint.
    Checkpoint(Box<SignedCheckpoint>),
}

/// Who follows what, and which connections are whose.
#[derive(Default)]
pub struct Hub {
    next: AtomicU64,
    logs: Mutex<Followers<LogId, LogFollower>>,
    /// Of each device its connections, also those that do not follow its inbox.
    devices: Mutex<Followers<DeviceId, Socket>>,
    checkpoint: watch::Sender<Newest>,
    disguise: OnceLock<Arc<Disguise>>,
    /// One for each log that a subscription may follow, of all of them together.
    places: OnceLock<Arc<Semaphore>>,
}

/// The newest checkpoint that was told of.
#[derive(Debug, Default)]
struct Newest {
    time_ms: u64,
    frame: Bytes,
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

/// A connection that has said of which device it is.
struct Socket {
    reader: Reader,
    /// The relay-auth key that its token was asked for with.
    relay_auth: [u8; 32],
    revoked: CancellationToken,
    inbox: Inbox,
}

/// What a device's connection knows of the device's inbox.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inbox {
    /// Nothing: it does not follow it.
    Unfollowed,
    /// It follows, and is asking how far it is.
    Asking,
    /// As far as it was told, or has found.
    Told(u64),
}

/// A log that somebody follows here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FollowedLog {
    pub(crate) log: LogId,
    pub(crate) read_hash: [u8; 32],
    /// What all who follow it with this token have been told of.
    pub(crate) head: u64,
}

/// A device that is connected here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Connected {
    pub(crate) device: DeviceId,
    /// What all of its connections that follow its inbox have been told of; none if there are none, or they are still asking.
    pub(crate) head: Option<u64>,
    /// The relay-auth key that all of its connections were opened under; none if not all under the same.
    pub(crate) relay_auth: Option<[u8; 32]>,
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

    /// Sets how many logs all subscriptions together may follow; a log that several follow counts for each of them. Before anything is followed.
    pub(crate) fn bound(&self, logs: usize) {
        // As above.
        let _ = self.places.set(Arc::new(Semaphore::new(logs.min(Semaphore::MAX_PERMITS))));
    }

    /// A place for one more log, if there is one.
    fn place(&self) -> Option<OwnedSemaphorePermit> {
        let unbounded = || Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        Arc::clone(self.places.get_or_init(unbounded)).try_acquire_owned().ok()
    }

    /// Tells everyone concerned. Never waits.
    pub fn wake(&self, wake: &Wake) {
        match wake {
            Wake::Log { log, read_hash, rekeyed, entry } => self.wake_log(*log, read_hash, *rekeyed, entry),
            Wake::Inbox { device, head } => self.wake_inbox(device, *head),
            Wake::Revoked { device } => {
                lock(&self.devices).take(device).iter().for_each(|socket| socket.revoked.cancel());
            }
            Wake::Rotated { device, relay_auth } => lock(&self.devices).retain(device, |socket| {
                let in_force = socket.relay_auth == *relay_auth;
                if !in_force {
                    socket.revoked.cancel();
                }
                in_force
            }),
            Wake::Decided => {}
            Wake::Checkpoint(checkpoint) => self.wake_checkpoint(checkpoint),
        }
    }

    fn wake_inbox(&self, device: &DeviceId, head: u64) {
        let frame = Bytes::from(Push::Inbox { head }.encode());
        lock(&self.devices).retain(device, |socket| match socket.inbox {
            Inbox::Unfollowed => true,
            Inbox::Told(known) if known >= head => true,
            Inbox::Asking => socket.reader.tell(&frame),
            Inbox::Told(_) => {
                socket.inbox = Inbox::Told(head);
                socket.reader.tell(&frame)
            }
        });
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

    /// Devices that are connected.
    pub(crate) fn connected(&self) -> Vec<Connected> {
        let devices = lock(&self.devices);
        devices.all().map(|(device, sockets)| connected(*device, sockets)).collect()
    }

    /// Of what another process has told of: the logs that are followed here, and the devices that are connected.
    pub(crate) fn tagged(&self, tags: &[Tag]) -> (Vec<FollowedLog>, Vec<Connected>) {
        let logs = lock(&self.logs);
        let found = tags.iter().filter_map(|tag| logs.tagged(tag)).flat_map(|log| of_log(log, logs.of(&log))).collect();
        drop(logs);
        let devices = lock(&self.devices);
        let known = tags.iter().filter_map(|tag| devices.tagged(tag));
        (found, known.map(|device| connected(device, devices.of(&device))).collect())
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

fn connected(device: DeviceId, sockets: &[Socket]) -> Connected {
    let told = |socket: &Socket| match socket.inbox {
        Inbox::Told(head) => Some(head),
        Inbox::Unfollowed | Inbox::Asking => None,
    };
    let (head, first) = (sockets.iter().filter_map(told).min(), sockets.first().map(|socket| socket.relay_auth));
    let relay_auth = first.filter(|first| sockets.iter().all(|socket| socket.relay_auth == *first));
    Connected { device, head, relay_auth }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
