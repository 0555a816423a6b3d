//! Whether the disk of the data folder still has its reserve: below that words are refused, so that handshakes, what a device acknowledges, and all that
//! makes room again still find some.
//!
//! Looked at every few seconds, and not for each request. Not here: a disk that is really full ([`crate::storage::StorageError::Full`]), how many bytes of
//! blobs there may be ([`crate::blobs`]).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use waxwing_wire::problem::ProblemCode;

use crate::error::Refusal;

/// What was seen last.
pub(crate) struct Space {
    folder: PathBuf,
    reserve: u64,
    low: AtomicBool,
    /// Whether blobs are on that disk, too.
    blobs: bool,
}

impl Space {
    /// Of the disk that `folder` is on, with blobs in another one; looks at it. A reserve of 0 is none.
    pub(crate) fn new(folder: &Path, blobs: &Path, reserve: u64) -> Self {
        let blobs = share_a_disk(folder, blobs);
        let space = Self { folder: folder.to_owned(), reserve, low: AtomicBool::new(false), blobs };
        space.look(0);
        space
    }

    /// Whether there is a reserve to look after.
    pub(crate) fn is_kept(&self) -> bool {
        self.reserve > 0
    }

    /// Refuses what must not use the reserve up.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        match self.low.load(Ordering::Relaxed) {
            true => Err(ProblemCode::InsufficientStorage.into()),
            false => Ok(()),
        }
    }

    /// The same for blobs: those that are on another disk use up nothing of the reserve.
    pub(crate) fn check_blobs(&self) -> Result<(), Refusal> {
        if self.blobs { self.check() } else { Ok(()) }
    }

    /// Looks again, where the database has so many bytes to `spare` in its file, which never gets smaller. May wait for the disk. One that cannot be
    /// asked is not full.
    pub(crate) fn look(&self, spare: u64) {
        if !self.is_kept() {
            return;
        }
        let low = free(&self.folder).is_ok_and(|free| free.saturating_add(spare) < self.reserve);
        match (self.low.swap(low, Ordering::Relaxed), low) {
            (false, true) => {
                tracing::error!(
                    "the disk has less free than `disk-reserve`: entries, envelopes and blobs are refused until it has more"
                );
            }
            (true, false) => tracing::info!("the disk has its reserve again"),
            _ => {}
        }
    }
}

/// Free bytes, as far as this program may use them.
#[cfg(unix)]
fn free(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Whether two folders are on one disk: those that cannot be asked are taken for it.
#[cfg(unix)]
fn share_a_disk(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (one.metadata(), other.metadata()) {
        (Ok(one), Ok(other)) => one.dev() == other.dev(),
        _ => true,
    }
}

#[cfg(not(unix))]
fn share_a_disk(_: &Path, _: &Path) -> bool {
    true
}

#[cfg(not(unix))]
fn free(_: &Path) -> io::Result<u64> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_the_reserve_is_low() {
        let folder = tempfile::tempdir().unwrap();
        let of = |folder: &Path, reserve| Space::new(folder, folder, reserve);
        let all = of(folder.path(), u64::MAX);
        assert_eq!(all.check(), Err(ProblemCode::InsufficientStorage.into()));
        assert_eq!(all.check_blobs(), all.check());
        // What has expired is room again, though the file keeps its size.
        all.look(u64::MAX);
        assert_eq!((all.check(), all.check_blobs()), (Ok(()), Ok(())));
        for reserve in [0, 1] {
            assert_eq!(of(folder.path(), reserve).check(), Ok(()));
        }
        let gone = folder.path().join("gone");
        assert_eq!(of(&gone, u64::MAX).check(), Ok(()));
    }

    /// Blobs on another disk need none of this one's reserve.
    #[cfg(target_os = "linux")]
    #[test]
    fn blobs_elsewhere_are_not_refused() {
        let folder = tempfile::tempdir().unwrap();
        let space = Space::new(folder.path(), Path::new("/proc"), u64::MAX);
        assert!(space.check().is_err() && space.check_blobs().is_ok());
    }
}
