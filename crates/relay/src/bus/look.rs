//! Looking in the database for what others have stored, and telling of it here.

use waxwing_wire::transparency::SignedCheckpoint;

use super::{Tag, Watcher};
use crate::hub::{FollowedInbox, FollowedLog, Wake};
use crate::storage::{LogRead, Watched};

/// Logs and inboxes asked for at a time.
const CHUNK: usize = 1000;

impl Watcher {
    /// Looks at what is followed here of what others have told of.
    pub(super) async fn look_at(&self, tags: &[Tag]) {
        let (logs, inboxes) = self.hub.tagged(tags);
        self.look(&logs, &inboxes).await;
        if tags.contains(&self.bus.disguise.checkpoint()) {
            self.look_at_checkpoint().await;
        }
    }

    /// Looks at everything that is followed here; unless `full`, at what cannot wait: whether devices are still in force.
    pub(super) async fn look_around(&self, full: bool) {
        let logs = if full { self.hub.followed_logs() } else { Vec::new() };
        self.look(&logs, &self.hub.followed_inboxes()).await;
        if full {
            self.look_at_checkpoint().await;
        }
    }

    async fn look(&self, logs: &[FollowedLog], inboxes: &[FollowedInbox]) {
        for logs in logs.chunks(CHUNK) {
            let watched = logs.iter().map(|followed| (followed.log, followed.read_hash)).collect();
            // A database that does not answer is asked again in the next round.
            let Ok(heads) = self.storage.heads(Watched { logs: watched, inboxes: Vec::new() }).await else { return };
            for (followed, head) in logs.iter().zip(heads.logs) {
                // None: the token was replaced, maybe by an entry that is still to be told of.
                if head.is_none_or(|head| head > followed.head) {
                    self.drain(followed).await;
                }
            }
        }
        for inboxes in inboxes.chunks(CHUNK) {
            let watched = inboxes.iter().map(|followed| followed.device).collect();
            let Ok(heads) = self.storage.heads(Watched { logs: Vec::new(), inboxes: watched }).await else { return };
            for (FollowedInbox { device, head: known }, head) in inboxes.iter().zip(heads.inboxes) {
                match head {
                    None => self.hub.wake(&Wake::Revoked { device: *device }),
                    Some(head) if head > *known => self.hub.wake(&Wake::Inbox { device: *device, head }),
                    Some(_) => {}
                }
            }
        }
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
