//! One connection's end of the hub: what it follows, what waits for it, and whether its device is still in force.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio_util::sync::CancellationToken;
use waxwing_wire::{DeviceId, LogId};

use super::{Hub, Inbox, LogFollower, Newest, QUEUE, Reader, Socket, lock};

/// One connection's end of the hub. Dropping it ends what it follows.
pub struct Subscription {
    hub: Arc<Hub>,
    reader: Reader,
    frames: mpsc::Receiver<Bytes>,
    /// Each with its place among what all subscriptions follow.
    logs: HashMap<LogId, OwnedSemaphorePermit>,
    device: Option<Own>,
    checkpoints: Option<watch::Receiver<Newest>>,
}

/// The device that the connection is of.
struct Own {
    id: DeviceId,
    revoked: CancellationToken,
}

impl Hub {
    /// A connection of nobody that follows nothing yet.
    #[must_use]
    pub fn connect(self: &Arc<Self>) -> Subscription {
        let (queue, frames) = mpsc::channel(QUEUE);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let reader = Reader { id, queue, slow: CancellationToken::new() };
        Subscription { hub: Arc::clone(self), reader, frames, logs: HashMap::new(), device: None, checkpoints: None }
    }

    /// A connection of `device` that follows nothing yet, and is cut off once the device is in force no longer, or no longer with the key
    /// `relay_auth`. Call it BEFORE looking whether it is, so that no revocation falls in between.
    #[must_use]
    pub fn connect_as(self: &Arc<Self>, device: DeviceId, relay_auth: [u8; 32]) -> Subscription {
        let mut subscription = self.connect();
        let tag = self.disguise.get().map(|disguise| disguise.device(device));
        let revoked = CancellationToken::new();
        let (reader, inbox) = (subscription.reader.clone(), Inbox::Unfollowed);
        lock(&self.devices).add(device, tag, Socket { reader, relay_auth, revoked: revoked.clone(), inbox });
        subscription.device = Some(Own { id: device, revoked });
        subscription
    }
}

impl Subscription {
    /// Follows `log` for the holder of the read token with this hash. Call it BEFORE checking that the token is good, so that nothing stored
    /// in between is missed; a token that is not the log's is told nothing meanwhile. False, and nothing is followed, if all subscriptions
    /// together follow as many logs as they may.
    #[must_use]
    pub fn follow_log(&mut self, log: LogId, read_hash: [u8; 32]) -> bool {
        // With another token it keeps the place that it has.
        let place = match self.leave(log) {
            Some(place) => place,
            None => match self.hub.place() {
                Some(place) => place,
                None => return false,
            },
        };
        let tag = self.hub.disguise.get().map(|disguise| disguise.log(log));
        let follower = LogFollower { reader: self.reader.clone(), read_hash, head: None };
        lock(&self.hub.logs).add(log, tag, follower);
        self.logs.insert(log, place);
        true
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
        drop(self.leave(log));
    }

    /// The same, and gives the place that it had.
    fn leave(&mut self, log: LogId) -> Option<OwnedSemaphorePermit> {
        let place = self.logs.remove(&log)?;
        lock(&self.hub.logs).retain(&log, |follower| follower.reader.id != self.reader.id);
        Some(place)
    }

    /// Follows the inbox of its device, if it is of one. As with logs: call it before looking at the inbox.
    pub fn follow_inbox(&mut self) {
        self.inbox(|inbox| match inbox {
            Inbox::Unfollowed => Inbox::Asking,
            known => known,
        });
    }

    /// The inbox was found at `head` after it was followed.
    pub fn found_inbox(&self, head: u64) {
        self.inbox(|_| Inbox::Told(head));
    }

    fn inbox(&self, change: impl Fn(Inbox) -> Inbox) {
        let Some(own) = &self.device else { return };
        lock(&self.hub.devices).retain(&own.id, |socket| {
            if socket.reader.id == self.reader.id {
                socket.inbox = change(socket.inbox);
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

    /// Cancelled once its device is in force no longer, or with another key; none for a connection of nobody.
    #[must_use]
    pub fn revoked(&self) -> Option<CancellationToken> {
        self.device.as_ref().map(|own| own.revoked.clone())
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
        if let Some(own) = &self.device {
            lock(&self.hub.devices).retain(&own.id, |socket| socket.reader.id != self.reader.id);
        }
    }
}
