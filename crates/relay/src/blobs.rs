//! Blobs on disk, behind `object_store`: bytes under the id that names them, put up whole or in parts, kept for a while.
//!
//! ```text
//! parts/<first byte of the id>/<id>/<offset>      bytes from that offset on
//! whole/<first byte of the id>/<id>               how many, and in which parts: written last, once they have the id
//! locks/<first digits of the id>                  where several processes share the folder: who is adding what has come, or removing, holds it
//! ```
//! Both are written beside, synced and renamed by the store, so a crash leaves an object or none; and a blob without its second object cannot be
//! read, so it leaves a whole blob or none. Nothing says who has put one up, until they give the secret of which its tag was made: then it is removed.
//!
//! Not here: who may put one up or fetch one ([`mod@crate::command`]), what HTTP says of ranges ([`range`]).

mod error;
mod locks;
mod manifest;
pub(crate) mod range;
mod sweep;
mod upload;
mod usage;

use std::ops::Range;
use std::path::{Path as Folder, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt as _};
use waxwing_wire::BlobId;
use waxwing_wire::blob::BlobHasher;

pub(crate) use error::BlobError;
pub(crate) use upload::{Part, Received, Uploader};

use self::error::found;
use self::locks::Locks;
use self::manifest::Manifest;
use self::usage::Usage;
use crate::clock::Moment;
use crate::config::BlobLimits;
use crate::private_file;

/// What is read of a blob.
pub(crate) type BlobBytes = BoxStream<'static, Result<Bytes, object_store::Error>>;

/// Gives a time.
type Time = Arc<dyn Fn() -> Moment + Send + Sync>;

/// By what a blob is kept for so long.
#[derive(Clone)]
pub(crate) struct Times {
    /// The time by which one is too old ([`crate::storage::Storage::expiry_time`]).
    pub(crate) expiry: Time,
    /// The time at which one comes ([`crate::storage::Storage::arrival_time`]).
    pub(crate) arrival: Time,
}

/// Whose the folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Folders {
    /// This process's.
    Own,
    /// That of all processes of the relay, on a file system that they share.
    Shared,
}

/// All blobs of a relay.
pub(crate) struct Blobs {
    store: Arc<dyn ObjectStore>,
    folder: PathBuf,
    of: Folders,
    limits: BlobLimits,
    times: Times,
    locks: Locks,
    usage: Arc<Usage>,
}

/// A whole blob.
pub(crate) struct Whole {
    id: BlobId,
    manifest: Manifest,
}

impl Whole {
    /// How many bytes it has.
    pub(crate) fn size(&self) -> u64 {
        self.manifest.size()
    }
}

impl Blobs {
    /// Blobs in `folder`, which is made if it is absent. What a crash has left half written is removed; in a shared folder once nobody can be
    /// writing it any more.
    pub(crate) fn open(folder: &Folder, of: Folders, limits: BlobLimits, times: Times) -> Result<Self, std::io::Error> {
        private_file::make_folder(folder)?;
        let (locks, staged) = match of {
            Folders::Own => (Locks::default(), Duration::ZERO),
            Folders::Shared => (Locks::shared(&folder.join("locks"))?, limits.keep_unfinished),
        };
        sweep::remove_staged(folder, staged)?;
        let store = LocalFileSystem::new_with_prefix(folder).map_err(std::io::Error::other)?;
        let store = store.with_fsync(true).with_automatic_cleanup(true);
        let (store, folder) = (Arc::new(store), folder.to_owned());
        Ok(Self { store, folder, of, limits, times, locks, usage: Arc::default() })
    }

    /// The bounds that this relay sets.
    pub(crate) fn limits(&self) -> &BlobLimits {
        &self.limits
    }

    /// A blob that is whole and has not expired.
    pub(crate) async fn find(&self, id: BlobId) -> Result<Option<Whole>, BlobError> {
        let Some(object) = found(self.store.get(&whole_path(id)).await)? else { return Ok(None) };
        let file = modified(&object.meta);
        let manifest = Manifest::decode(&object.bytes().await?)?;
        if is_older(manifest.came(file), (self.times.expiry)().seconds(), self.limits.keep) {
            return Ok(None);
        }
        // A copy of the folder may have brought what makes one whole, and not its parts.
        let there: u64 = self.parts(id).await?.iter().map(|(_, length)| length).sum();
        Ok((there >= manifest.size()).then_some(Whole { id, manifest }))
    }

    /// The bytes of a blob in `range`, which lies within it.
    pub(crate) fn read(&self, whole: &Whole, range: Range<u64>) -> BlobBytes {
        let (store, id) = (Arc::clone(&self.store), whole.id);
        let parts = whole.manifest.within(&range);
        futures_util::stream::iter(parts)
            .then(move |(offset, within)| {
                let store = Arc::clone(&store);
                async move {
                    let options = GetOptions { range: Some(within.into()), ..GetOptions::default() };
                    Ok::<_, object_store::Error>(store.get_opts(&part_path(id, offset), options).await?.into_stream())
                }
            })
            .try_flatten()
            .boxed()
    }

    /// Whether the bytes that are there have the id.
    async fn is_named_by(&self, id: BlobId, manifest: &Manifest) -> Result<bool, BlobError> {
        let whole = Whole { id, manifest: manifest.clone() };
        let mut bytes = self.read(&whole, 0..manifest.size());
        let mut hasher = BlobHasher::new();
        while let Some(chunk) = bytes.try_next().await? {
            hasher.update(&chunk);
        }
        Ok(hasher.finish() == id)
    }

    /// Offsets and lengths of the parts that are there, in order; none after a gap.
    async fn parts(&self, id: BlobId) -> Result<Vec<(u64, u64)>, BlobError> {
        let listed: Vec<ObjectMeta> = self.store.list(Some(&parts_folder(id))).try_collect().await?;
        let mut parts: Vec<_> =
            listed.iter().filter_map(|object| Some((offset(&object.location)?, object.size))).collect();
        parts.sort_unstable();
        let mut next = 0;
        parts.retain(|(offset, length)| {
            let follows = *offset == next;
            if follows {
                next += length;
            }
            follows
        });
        Ok(parts)
    }

    /// Removes a blob, or what there is of one: that it is whole first, so that no half of one can be read.
    async fn remove(&self, id: BlobId) -> Result<(), BlobError> {
        found(self.store.delete(&whole_path(id)).await)?;
        let listed: Vec<ObjectMeta> = self.store.list(Some(&parts_folder(id))).try_collect().await?;
        for object in listed {
            if found(self.store.delete(&object.location).await)?.is_some() {
                self.usage.give_back(object.size);
            }
        }
        Ok(())
    }
}

/// What a file says of when it came: seconds since 1970.
fn modified(object: &ObjectMeta) -> u64 {
    u64::try_from(object.last_modified.timestamp()).unwrap_or(0)
}

/// Whether what came then is older than that, at a time; both in seconds since 1970.
fn is_older(came: u64, now: u64, than: Duration) -> bool {
    now >= came.saturating_add(than.as_secs())
}

/// Objects of one first byte are listed together.
fn prefix(kind: &str, first: u8) -> Path {
    Path::from_iter([kind.to_owned(), format!("{first:02x}")])
}

fn whole_path(id: BlobId) -> Path {
    prefix("whole", id.as_bytes()[0]).join(id.to_string())
}

fn parts_folder(id: BlobId) -> Path {
    prefix("parts", id.as_bytes()[0]).join(id.to_string())
}

fn part_path(id: BlobId, offset: u64) -> Path {
    parts_folder(id).join(format!("{offset:016x}"))
}

/// Where the bytes of a part begin, by its path.
fn offset(part: &Path) -> Option<u64> {
    u64::from_str_radix(part.filename()?, 16).ok()
}

#[cfg(test)]
mod tests;
