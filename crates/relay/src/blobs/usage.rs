//! How much is stored, and how much an account has put up today. Kept in memory: the first is counted anew at each start (and in a shared folder at
//! each sweep), the second begins anew, and is each process's own: kept in the database it would say who has put up how much, which the sizes of
//! the blobs then join to the blobs.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;
use waxwing_wire::problem::ProblemCode;

use super::BlobError;
use crate::config::BlobLimits;
use crate::state::now;

const SECONDS_OF_A_DAY: u64 = 86_400;

/// What is counted.
#[derive(Default)]
pub(super) struct Usage {
    /// Bytes of parts; counted before the first is added.
    stored: OnceCell<()>,
    bytes: AtomicU64,
    today: Mutex<(u64, HashMap<[u8; 32], u64>)>,
}

impl Usage {
    /// Counts what is stored, the first time.
    pub(super) async fn know(&self, count: impl Future<Output = Result<u64, BlobError>>) -> Result<(), BlobError> {
        let counted = async {
            self.bytes.fetch_add(count.await?, Ordering::Relaxed);
            Ok(())
        };
        self.stored.get_or_try_init(|| counted).await.map(|_| ())
    }

    /// Counts what an upload brings: given back unless it is [kept](Taken::keep).
    pub(super) fn taken(self: &Arc<Self>) -> Taken {
        Taken { usage: Arc::clone(self), bytes: 0, kept: false }
    }

    /// Whether there is room for `more` bytes of whoever is called `who` today. Nothing is counted.
    pub(super) fn has_room(&self, who: [u8; 32], more: u64, limits: &BlobLimits) -> Result<(), BlobError> {
        self.today(|used| daily(*used.entry(who).or_default(), more, limits).map(drop))?;
        total(self.bytes.load(Ordering::Relaxed), more, limits).map(drop).ok_or(BlobError::Full)
    }

    fn take(&self, who: [u8; 32], more: u64, limits: &BlobLimits) -> Result<(), BlobError> {
        self.today(|used| {
            let used = used.entry(who).or_default();
            *used = daily(*used, more, limits)?;
            Ok::<(), BlobError>(())
        })?;
        let more = |bytes: u64| total(bytes, more, limits);
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).map(drop).map_err(|_| BlobError::Full)
    }

    /// So many bytes were counted now. What is being put up meanwhile may be missing until the next time.
    pub(super) fn recount(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    fn today<T>(&self, look: impl FnOnce(&mut HashMap<[u8; 32], u64>) -> T) -> T {
        let day = now().as_secs() / SECONDS_OF_A_DAY;
        let mut today = self.today.lock().unwrap_or_else(PoisonError::into_inner);
        if today.0 != day {
            *today = (day, HashMap::new());
        }
        look(&mut today.1)
    }

    /// So many bytes are not stored after all, or any more. The day's count stays.
    pub(super) fn give_back(&self, bytes: u64) {
        // What is removed before it was counted is not in the count.
        if self.stored.initialized() {
            let less = |stored: u64| Some(stored.saturating_sub(bytes));
            let _ = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        }
    }
}

fn daily(used: u64, more: u64, limits: &BlobLimits) -> Result<u64, BlobError> {
    let used = used.saturating_add(more);
    if used <= limits.daily_bytes { Ok(used) } else { Err(BlobError::Refused(ProblemCode::QuotaExceeded)) }
}

fn total(bytes: u64, more: u64, limits: &BlobLimits) -> Option<u64> {
    bytes.checked_add(more).filter(|bytes| *bytes <= limits.total_bytes)
}

/// What one upload has counted.
pub(super) struct Taken {
    usage: Arc<Usage>,
    bytes: u64,
    kept: bool,
}

impl Taken {
    /// `more` bytes of whoever is called `who` today, if there is room for them.
    pub(super) fn more(&mut self, who: [u8; 32], more: u64, limits: &BlobLimits) -> Result<(), BlobError> {
        self.usage.take(who, more, limits)?;
        self.bytes += more;
        Ok(())
    }

    /// So many.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// They are stored.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if !self.kept {
            self.usage.give_back(self.bytes);
        }
    }
}
