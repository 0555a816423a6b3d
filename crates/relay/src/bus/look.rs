//! Looking in the database for what others have stored, and telling of it here.

use futures_util::TryStreamExt as _;
use futures_util::stream;
use waxwing_wire::transparency::SignedCheckpoint;

use super::{Tag, Watcher};
use crate::hub::{Connected, FollowedLog, Wake};
use crate::storage::{InForce, LogRead, StorageError, Watched};

/// Logs and devices asked for at a time.
const CHUNK: usize = 1000;
/// Of devices so many such questions are under way at a time: whoever is shut out is not to wait for all others.
const ABREAST: usize = 4;

impl Watcher {
    /// Looks at what is followed here of what others have told of.
    pub(super) async fn look_at(&self, tags: &[Tag]) {
        if tags.contains(&self.bus.disguise.decisions()) {
            self.look_at_decisions().await;
        }
        let (logs, devices) = self.hub.tagged(tags);
        self.look_at_devices(&devices).await;
        self.look_at_logs(&logs).await;
        if tags.contains(&self.bus.disguise.checkpoint()) {
            self.look_at_checkpoint().await;
        }
    }

    /// Looks at all logs that are followed here, and at the transparency log.
    pub(super) async fn look_around(&self) {
        self.look_at_logs(&self.hub.followed_logs()).await;
        self.look_at_checkpoint().await;
    }

    /// Looks at what cannot wait: who is shut out. And at the inboxes of all devices that are connected here, which comes with it.
    pub(super) async fn look_who_is_out(&self) {
        self.look_at_decisions().await;
        self.look_at_devices(&self.hub.connected()).await;
    }

    async fn look_at_decisions(&self) {
        // A database that does not answer is asked again in the next round: here as below.
        let _ = self.decisions.follow(&*self.storage).await;
    }

    async fn look_at_logs(&self, logs: &[FollowedLog]) {
        for logs in logs.chunks(CHUNK) {
            let watched = logs.iter().map(|followed| (followed.log, followed.read_hash)).collect();
            let Ok(heads) = self.storage.heads(Watched { logs: watched, inboxes: Vec::new() }).await else { return };
            for (followed, head) in logs.iter().zip(heads.logs) {
                // None: the token was replaced, maybe by an entry that is still to be told of.
                if head.is_none_or(|head| head > followed.head) {
                    self.drain(followed).await;
                }
            }
        }
    }

    async fn look_at_devices(&self, devices: &[Connected]) {
        let chunks = stream::iter(devices.chunks(CHUNK).map(Ok));
        // One that fails ends the round: a database that does not answer is not asked again and again.
        let _ = chunks.try_for_each_concurrent(ABREAST, |devices| self.look_at_some(devices)).await;
    }

    async fn look_at_some(&self, devices: &[Connected]) -> Result<(), StorageError> {
        let watched = devices.iter().map(|connected| connected.device).collect();
        let heads = self.storage.heads(Watched { logs: Vec::new(), inboxes: watched }).await?;
        for (Connected { device, head: known, relay_auth }, found) in devices.iter().zip(heads.inboxes) {
            let Some(InForce { head, relay_auth: in_force }) = found else {
                self.hub.wake(&Wake::Revoked { device: *device });
                continue;
            };
            if *relay_auth != Some(in_force) {
                self.hub.wake(&Wake::Rotated { device: *device, relay_auth: in_force });
            }
            if known.is_some_and(|known| head > known) {
                self.hub.wake(&Wake::Inbox { device: *device, head });
            }
        }
        Ok(())
    }

    /// Tells of a log's next page. What comes after it readers find by themselves.
    async fn drain(&self, followed: &FollowedLog) {
        let FollowedLog { log, read_hash, head } = *followed;
        match self.storage.read_log(log, read_hash, head).await {
            Ok(LogRead::Page(page)) => {
                for entry in page.entries {
                    self.hub.wake(&Wake::Log { log, read_hash, rekeyed: false, entry });
                }
                self.hub.wake_far(log, &read_hash, page.head);
                if page.retired {
                    self.hub.refuse(log, &read_hash);
                }
            }
            Ok(LogRead::Gone { oldest }) => self.hub.wake_far(log, &read_hash, oldest),
            Ok(LogRead::Refused) => self.hub.refuse(log, &read_hash),
            Err(_) => {}
        }
    }

    async fn look_at_checkpoint(&self) {
        if !self.hub.checkpoints_are_followed() {
            return;
        }
        let Ok(note) = self.storage.checkpoint().await else { return };
        // Another relay's would not be in this database; one that cannot be read is no news.
        if let Ok(signed) = SignedCheckpoint::verify(note.as_bytes(), &self.log_key) {
            self.hub.wake(&Wake::Checkpoint(Box::new(signed)));
        }
    }
}
