//! What goes: blobs that have been kept long enough or whose owners are gone, uploads that nobody finishes, and what a crash has left.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path as Folder;
use std::time::{Duration, SystemTime};

use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::{ObjectMeta, ObjectStore as _, ObjectStoreExt as _};
use waxwing_wire::BlobId;
use waxwing_wire::blob::BlobSecret;

use super::error::found;
use super::manifest::Manifest;
use super::{BlobError, Blobs, Folders, is_older, modified, parts_folder, prefix, whole_path};
use crate::state::now;

/// The store writes `name#n` beside `name` and renames it.
const STAGED: char = '#';
/// Seconds by which no clock is ahead that is about right.
const FAR_AHEAD: u64 = 8 * 86_400;

impl Blobs {
    /// Removes what has expired. Called now and then.
    pub(crate) async fn sweep(&self) -> Result<(), BlobError> {
        // The first time, at the start: with very many blobs this takes longer than a request may.
        self.usage.know(self.count()).await?;
        // One that cannot be read keeps no other, but where it cannot even be listed.
        let mut outcome = Ok(());
        for first in 0..=u8::MAX {
            outcome = outcome.and(self.sweep_some(first).await);
        }
        if self.of == Folders::Shared {
            let (folder, staged) = (self.folder.clone(), self.limits.keep_unfinished);
            let removing = tokio::task::spawn_blocking(move || remove_staged(&folder, staged));
            let removed = removing.await.map_err(|_| BlobError::Unavailable)?;
            outcome = outcome.and(removed.map_err(|_| BlobError::Unavailable));
            // What others have put up and removed since.
            self.usage.recount(self.count().await?);
        }
        outcome
    }

    /// The same of those whose id begins so.
    async fn sweep_some(&self, first: u8) -> Result<(), BlobError> {
        let (whole, listed) = self.listed("whole", first).await;
        let (parts, listed_too) = self.listed("parts", first).await;
        let mut whole_ids: HashMap<BlobId, bool> = HashMap::new();
        for object in &whole {
            if let Some(id) = id_of(object) {
                whole_ids.insert(id, self.may_have_expired(object));
            }
        }
        // An upload is under way as long as a part has come lately.
        let mut unfinished: HashMap<BlobId, bool> = HashMap::new();
        for object in &parts {
            let Some(id) = object.location.parts().nth(2).and_then(|name| name.as_ref().parse().ok()) else {
                continue;
            };
            if !whole_ids.contains_key(&id) {
                *unfinished.entry(id).or_insert(true) &= self.is_given_up(object);
            }
        }
        let mut outcome = listed.and(listed_too);
        for (id, _) in whole_ids.into_iter().chain(unfinished).filter(|(_, look)| *look) {
            outcome = outcome.and(self.end(id).await);
        }
        outcome
    }

    /// All that can be listed of what begins so, and whether that is all: the store ends its list at what it cannot look at.
    async fn listed(&self, kind: &str, first: u8) -> (Vec<ObjectMeta>, Result<(), BlobError>) {
        let (mut found, mut outcome) = (Vec::new(), Ok(()));
        let mut listed = self.store.list(Some(&prefix(kind, first)));
        while let Some(next) = listed.next().await {
            match next {
                Ok(object) => found.push(object),
                Err(error) => outcome = outcome.and(Err(error.into())),
            }
        }
        (found, outcome)
    }

    /// Removes what there is of a blob, if it is to go.
    async fn end(&self, id: BlobId) -> Result<(), BlobError> {
        // Whoever has the turn is putting it up again.
        let Some(_turn) = self.locks.try_lock(id)? else { return Ok(()) };
        if self.is_over(id).await? { self.remove(id).await } else { Ok(()) }
    }

    /// Whether a whole blob is to be looked at more closely: its file is old enough, or from a time that has yet to come by any count.
    fn may_have_expired(&self, object: &ObjectMeta) -> bool {
        let file = modified(object);
        is_older(file, (self.times.expiry)().seconds(), self.limits.keep)
            || file > self.latest().saturating_add(FAR_AHEAD)
    }

    /// Nothing that is there came later than that: by the day that the database counts, which may be one out of a backup, and by the clock.
    fn latest(&self) -> u64 {
        (self.times.arrival)().seconds().max(now().as_secs())
    }

    /// Whether a part is of an upload that nobody goes on with: by the clock that its file was dated by, so nothing that has just come is. One from far in the
    /// future came under another clock.
    fn is_given_up(&self, part: &ObjectMeta) -> bool {
        let (now, file) = (now().as_secs(), modified(part));
        is_older(file, now, self.limits.keep_unfinished) || file > now.saturating_add(FAR_AHEAD)
    }

    /// Whether what there is of a blob is to go: as it is now, since it may have been put up, or gone on with, after it was listed. With the turn at it. A file
    /// that says something else than when the blob came is mended: a copy may have lost its time, and an earlier version dated by the clock.
    pub(super) async fn is_over(&self, id: BlobId) -> Result<bool, BlobError> {
        let Some(object) = found(self.store.head(&whole_path(id)).await)? else {
            let parts: Vec<ObjectMeta> = self.store.list(Some(&parts_folder(id))).try_collect().await?;
            return Ok(parts.iter().all(|part| self.is_given_up(part)));
        };
        if !self.may_have_expired(&object) {
            return Ok(false);
        }
        let file = modified(&object);
        // Where it cannot be read its file tells.
        let known = self.manifest(id).await.ok().flatten().map(|(manifest, _)| manifest);
        let came = known.as_ref().map_or(file, |manifest| manifest.came(file));
        if is_older(came, (self.times.expiry)().seconds(), self.limits.keep) {
            return Ok(true);
        }
        if let Some(mut manifest) = known {
            // What it says itself stands: it was bounded when it came.
            let came = manifest.came(file.min(self.latest()));
            manifest.comes(came);
            // On a full disk it is looked at again the next time.
            let _ = self.publish(id, &manifest, came).await;
        }
        Ok(false)
    }

    /// Removes the blobs of those who have closed their accounts and said with which secrets they had put them up; what others have put up as well stays.
    pub(crate) async fn remove_owned(&self, secrets: &[BlobSecret]) -> Result<(), BlobError> {
        if secrets.is_empty() {
            return Ok(());
        }
        // One that cannot be read, or written on a full disk, keeps no other.
        let mut outcome = Ok(());
        for first in 0..=u8::MAX {
            let (whole, listed) = self.listed("whole", first).await;
            outcome = outcome.and(listed);
            for object in whole {
                let Some(id) = id_of(&object) else { continue };
                outcome = outcome.and(self.leave(id, secrets).await);
            }
        }
        outcome
    }

    /// Takes this blob from those whose secrets these are, and removes it where nobody else has put it up.
    async fn leave(&self, id: BlobId, secrets: &[BlobSecret]) -> Result<(), BlobError> {
        if self.manifest(id).await?.is_none_or(|(mut manifest, _)| !manifest.leave(id, secrets)) {
            return Ok(());
        }
        let _turn = self.locks.lock(id).await?;
        // As it is now: others may have put it up meanwhile.
        let Some((mut manifest, file)) = self.manifest(id).await? else { return Ok(()) };
        match manifest.leave(id, secrets) {
            true if manifest.is_left() => self.remove(id).await,
            true => self.publish(id, &manifest, manifest.came(file)).await,
            false => Ok(()),
        }
    }

    /// What makes a blob whole, and what its file says of when it came; none if it is not, or that cannot be read.
    async fn manifest(&self, id: BlobId) -> Result<Option<(Manifest, u64)>, BlobError> {
        let Some(object) = found(self.store.get(&whole_path(id)).await)? else { return Ok(None) };
        let file = modified(&object.meta);
        Ok(Manifest::decode(&object.bytes().await?).ok().map(|manifest| (manifest, file)))
    }

    /// Bytes of all parts.
    pub(super) async fn count(&self) -> Result<u64, BlobError> {
        let mut bytes = 0;
        let mut listed = self.store.list(Some(&"parts".into()));
        while let Some(object) = listed.try_next().await? {
            bytes += object.size;
        }
        Ok(bytes)
    }
}

/// Removes what the store was writing when the relay ended: whatever has not been written to for that long. Others may remove what is there, too.
pub(super) fn remove_staged(folder: &Folder, unwritten_for: Duration) -> io::Result<()> {
    let Some(entries) = unless_gone(fs::read_dir(folder))? else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        let Some(file) = unless_gone(entry.metadata())? else { continue };
        if file.is_dir() {
            remove_staged(&entry.path(), unwritten_for)?;
        } else if entry.file_name().to_string_lossy().contains(STAGED) && is_unwritten(file.modified()?, unwritten_for)
        {
            unless_gone(fs::remove_file(entry.path()))?;
        }
    }
    Ok(())
}

/// Whether a file that was written to last at that time is nobody's any more: long after it, or long before.
fn is_unwritten(written: SystemTime, unwritten_for: Duration) -> bool {
    match written.elapsed() {
        Ok(since) => since >= unwritten_for,
        Err(ahead) => unwritten_for.is_zero() || ahead.duration().as_secs() > FAR_AHEAD,
    }
}

/// Which blob a file of `whole` is of.
fn id_of(object: &ObjectMeta) -> Option<BlobId> {
    object.location.filename()?.parse().ok()
}

fn unless_gone<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
