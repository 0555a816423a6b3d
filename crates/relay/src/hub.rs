//! Wake-ups within this process: who follows which log or inbox, and a bounded queue to each. Of checkpoints of the transparency log only the
//! newest waits for a reader: it says all that those before it said.
//!
//! Never load-bearing: what is told here is stored already, and a client that was not told finds it when it drains.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use waxwing_wire::frame::{LogEntry, Push};
use waxwing_wire::limits::MAX_PUSHED_ENTRY;
use waxwing_wire::transparency::{COMPACT_LEN, SignedCheckpoint};
use waxwing_wire::{DeviceId, LogId};

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
    logs: Mutex<HashMap<LogId, Vec<LogFollower>>>,
    inboxes: Mutex<HashMap<DeviceId, Vec<Reader>>>,
    checkpoint: watch::Sender<Newest>,
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
                let mut inboxes = lock(&self.inboxes);
                if let Some(readers) = inboxes.get_mut(device) {
                    let frame = Bytes::from(Push::Inbox { head: *head }.encode());
                    readers.retain(|reader| reader.tell(&frame));
                    drop_if_empty(&mut inboxes, device);
                }
            }
            Wake::Revoked { device } => {
                for reader in lock(&self.inboxes).remove(device).into_iter().flatten() {
                    reader.slow.cancel();
                }
            }
            Wake::Checkpoint(checkpoint) => self.wake_checkpoint(checkpoint),
        }
    }

    fn wake_log(&self, log: LogId, read_hash: &[u8; 32], rekeyed: bool, entry: &LogEntry) {
        let mut logs = lock(&self.logs);
        let Some(followers) = logs.get_mut(&log) else { return };
        let head = entry.seq;
        let bare = Bytes::from(Push::Log { log, head, entry: None }.encode());
        let full = if entry.blob.len() <= MAX_PUSHED_ENTRY {
            Bytes::from(Push::Log { log, head, entry: Some(entry.clone()) }.encode())
        } else {
            bare.clone()
        };
        let refused = Bytes::from(Push::Refused { log }.encode());
        followers.retain(|follower| {
            // Another token: not checked yet, or of another time of this log. Neither learns of this entry.
            if follower.read_hash != *read_hash {
                return true;
            }
            let frame = if follower.reader.queue.capacity() >= ROOM_FOR_ENTRIES { &full } else { &bare };
            let told = follower.reader.tell(frame);
            if rekeyed && told {
                follower.reader.tell(&refused);
            }
            told && !rekeyed
        });
        drop_if_empty(&mut logs, &log);
    }
}

impl Hub {
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

impl Subscription {
    /// Follows `log` for the holder of the read token with this hash. Call it BEFORE checking that the token is good, so that nothing stored
    /// in between is missed; a token that is not the log's is told nothing meanwhile.
    pub fn follow_log(&mut self, log: LogId, read_hash: [u8; 32]) {
        self.unfollow_log(log);
        let follower = LogFollower { reader: self.reader.clone(), read_hash };
        lock(&self.hub.logs).entry(log).or_default().push(follower);
        self.logs.insert(log, read_hash);
    }

    /// Stops following `log`.
    pub fn unfollow_log(&mut self, log: LogId) {
        if self.logs.remove(&log).is_some() {
            let mut logs = lock(&self.hub.logs);
            if let Some(followers) = logs.get_mut(&log) {
                followers.retain(|follower| follower.reader.id != self.reader.id);
            }
            drop_if_empty(&mut logs, &log);
        }
    }

    /// Follows the inbox of `device`.
    pub fn follow_inbox(&mut self, device: DeviceId) {
        if self.inbox.is_none() {
            lock(&self.hub.inboxes).entry(device).or_default().push(self.reader.clone());
            self.inbox = Some(device);
        }
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
            let mut inboxes = lock(&self.hub.inboxes);
            if let Some(readers) = inboxes.get_mut(&device) {
                readers.retain(|reader| reader.id != self.reader.id);
            }
            drop_if_empty(&mut inboxes, &device);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn drop_if_empty<K: Hash + Eq, V>(map: &mut HashMap<K, Vec<V>>, key: &K) {
    if map.get(key).is_some_and(Vec::is_empty) {
        map.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waxwing_wire::EnvelopeId;
    use waxwing_wire::log::EnvelopeKind;

    const LOG: LogId = LogId::from_bytes([1; 16]);

    fn wake(seq: u64) -> Wake {
        let entry =
            LogEntry { seq, entry_id: EnvelopeId::from_bytes([2; 16]), kind: EnvelopeKind::App, blob: vec![0; 100] };
        Wake::Log { log: LOG, read_hash: [3; 32], rekeyed: false, entry }
    }

    fn follow(hub: &Arc<Hub>) -> Subscription {
        let mut subscription = hub.connect();
        subscription.follow_log(LOG, [3; 32]);
        subscription
    }

    /// D4: who does not read is let go, and nobody else notices.
    #[tokio::test]
    async fn d4_a_slow_reader_is_let_go_alone() {
        let hub = Arc::new(Hub::default());
        let (mut slow, mut quick) = (follow(&hub), follow(&hub));
        for seq in 1..=QUEUE as u64 + 1 {
            hub.wake(&wake(seq));
            let frame = Push::decode(&quick.next().await.unwrap()).unwrap();
            assert!(matches!(frame, Push::Log { head, entry: Some(_), .. } if head == seq));
        }
        assert_eq!(slow.next().await, None);
        assert_eq!(lock(&hub.logs)[&LOG].len(), 1);
        drop((slow, quick));
        assert!(lock(&hub.logs).is_empty());
    }

    #[tokio::test]
    async fn what_piles_up_is_small() {
        let hub = Arc::new(Hub::default());
        let mut reader = follow(&hub);
        (1..=100).for_each(|seq| hub.wake(&wake(seq)));
        let mut with_entry = 0;
        for _ in 1..=100 {
            let frame = Push::decode(&reader.next().await.unwrap()).unwrap();
            with_entry += usize::from(matches!(frame, Push::Log { entry: Some(_), .. }));
        }
        assert_eq!(with_entry, QUEUE - ROOM_FOR_ENTRIES + 1);
    }

    #[tokio::test]
    async fn what_is_dropped_follows_no_more() {
        let hub = Arc::new(Hub::default());
        let mut reader = follow(&hub);
        reader.follow_inbox(DeviceId::from_bytes([4; 16]));
        reader.follow_log(LOG, [5; 32]);
        hub.wake(&wake(1));
        hub.wake(&Wake::Inbox { device: DeviceId::from_bytes([4; 16]), head: 7 });
        assert_eq!(Push::decode(&reader.next().await.unwrap()), Ok(Push::Inbox { head: 7 }));
        drop(reader);
        assert!(lock(&hub.logs).is_empty() && lock(&hub.inboxes).is_empty());
    }

    fn checkpoint(time_ms: u64) -> (Wake, Push) {
        let signer = crate::LogSigner::new("relay.example", ed25519_dalek::SigningKey::from_bytes(&[7; 32])).unwrap();
        let signed = signer.sign(0, waxwing_wire::transparency::empty_root(), time_ms).unwrap();
        let compact = signed.to_compact().try_into().unwrap();
        (Wake::Checkpoint(Box::new(signed)), Push::Checkpoint { compact })
    }

    /// However many there were: the newest waits, and the reader is not let go for being slow.
    #[tokio::test]
    async fn of_checkpoints_the_newest_waits() {
        let hub = Arc::new(Hub::default());
        let (mut reader, mut other) = (hub.connect(), follow(&hub));
        hub.wake(&checkpoint(1).0);
        // From now on: what was told before is no news.
        reader.follow_checkpoints();
        reader.follow_checkpoints();
        for time_ms in 2..=1000 {
            hub.wake(&checkpoint(time_ms).0);
        }
        // Overtaken on its way here.
        hub.wake(&checkpoint(500).0);
        assert_eq!(Push::decode(&reader.next().await.unwrap()), Ok(checkpoint(1000).1));
        hub.wake(&checkpoint(1001).0);
        assert_eq!(Push::decode(&reader.next().await.unwrap()), Ok(checkpoint(1001).1));
        // Who follows a log alone is told of that alone.
        hub.wake(&wake(1));
        assert!(matches!(Push::decode(&other.next().await.unwrap()), Ok(Push::Log { .. })));
        let nothing = tokio::time::timeout(std::time::Duration::from_millis(20), other.next()).await;
        assert!(nothing.is_err());
    }
}
