//! What goes: blobs that have been kept long enough or whose owners are gone, uploads that nobody finishes, and what a crash has left.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path as Folder;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use object_store::{ObjectMeta, ObjectStore as _, ObjectStoreExt as _};
use waxwing_wire::BlobId;
use waxwing_wire::blob::BlobSecret;

use super::error::found;
use super::manifest::Manifest;
use super::{BlobError, Blobs, Folders, is_older, prefix, whole_path};
use crate::state::now;

/// The store writes `name#n` beside `name` and renames it.
const STAGED: char = '#';

impl Blobs {
    /// Removes what has expired. Called now and then.
    pub(crate) async fn sweep(&self) -> Result<(), BlobError> {
        // The first time, at the start: with very many blobs this takes longer than a request may.
        self.usage.know(self.count()).await?;
        for first in 0..=u8::MAX {
            let whole: Vec<ObjectMeta> = self.store.list(Some(&prefix("whole", first))).try_collect().await?;
            let parts: Vec<ObjectMeta> = self.store.list(Some(&prefix("parts", first))).try_collect().await?;
            let mut whole_ids: HashMap<BlobId, bool> = HashMap::new();
            for object in &whole {
                if let Some(id) = object.location.filename().and_then(|name| name.parse().ok()) {
                    whole_ids.insert(id, is_older(object, (self.times.expiry)().seconds(), self.limits.keep));
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
            let whole = whole_ids.into_iter().map(|(id, expired)| (id, true, expired));
            let unfinished = unfinished.into_iter().map(|(id, expired)| (id, false, expired));
            for (id, is_whole, _) in whole.chain(unfinished).filter(|(_, _, expired)| *expired) {
                // Whoever has the turn is putting it up again.
                let Some(_turn) = self.locks.try_lock(id)? else { continue };
                // Or has done so between the two lists.
                if !is_whole && found(self.store.head(&whole_path(id)).await)?.is_some() {
                    continue;
                }
                self.remove(id).await?;
            }
        }
        if self.of == Folders::Shared {
            let (folder, staged) = (self.folder.clone(), self.limits.keep_unfinished);
            let removing = tokio::task::spawn_blocking(move || remove_staged(&folder, staged));
            removing.await.map_err(|_| BlobError::Unavailable)?.map_err(|_| BlobError::Unavailable)?;
            // What others have put up and removed since.
            self.usage.recount(self.count().await?);
        }
        Ok(())
    }

    /// Whether a part is of an upload that nobody goes on with: by the clock that its file was dated by, so nothing that has just come is. One from the future
    /// came under another clock, unless another process has that clock.
    fn is_given_up(&self, part: &ObjectMeta) -> bool {
        let (now, unfinished) = (now().as_secs(), self.limits.keep_unfinished);
        let made = u64::try_from(part.last_modified.timestamp()).unwrap_or(0);
        is_older(part, now, unfinished) || (self.of == Folders::Own && made > now.saturating_add(unfinished.as_secs()))
    }

    /// Removes the blobs of those who have closed their accounts and said with which secrets they had put them up; what others have put up as well stays.
    pub(crate) async fn remove_owned(&self, secrets: &[BlobSecret]) -> Result<(), BlobError> {
        if secrets.is_empty() {
            return Ok(());
        }
        for first in 0..=u8::MAX {
            let whole: Vec<ObjectMeta> = self.store.list(Some(&prefix("whole", first))).try_collect().await?;
            for object in whole {
                let Some(id) = object.location.filename().and_then(|name| name.parse().ok()) else { continue };
                if self.manifest(id).await?.is_none_or(|(mut manifest, _)| !manifest.leave(id, secrets)) {
                    continue;
                }
                let _turn = self.locks.lock(id).await?;
                // As it is now: others may have put it up meanwhile.
                let Some((mut manifest, made)) = self.manifest(id).await? else { continue };
                if manifest.leave(id, secrets) && manifest.is_left() {
                    self.remove(id).await?;
                } else {
                    self.store.put(&whole_path(id), manifest.encode()?.into()).await?;
                    self.set_time(id, made).await?;
                }
            }
        }
        Ok(())
    }

    /// What makes a blob whole, and when it came; none if it is not, or that cannot be read.
    async fn manifest(&self, id: BlobId) -> Result<Option<(Manifest, Duration)>, BlobError> {
        let Some(object) = found(self.store.get(&whole_path(id)).await)? else { return Ok(None) };
        let made = Duration::from_millis(u64::try_from(object.meta.last_modified.timestamp_millis()).unwrap_or(0));
        Ok(Manifest::decode(&object.bytes().await?).ok().map(|manifest| (manifest, made)))
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
        } else if entry.file_name().to_string_lossy().contains(STAGED)
            && file.modified()?.elapsed().unwrap_or_default() >= unwritten_for
        {
            unless_gone(fs::remove_file(entry.path()))?;
        }
    }
    Ok(())
}

fn unless_gone<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
