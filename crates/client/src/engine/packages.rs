//! The own key packages at the relay: made at registration, refilled when few are left, fresh every week and after a rotation.
//!
//! Not here: what the relay hands out to whom (`waxwing-relay`), how somebody's are claimed (`claims`).

use rusqlite::Transaction;
use waxwing_wire::api::KeyPackageCount;
use waxwing_wire::frame::UploadKeyPackages;

use super::Engine;
use super::context::Context;
use super::rotation;
use crate::error::Error;
use crate::mls::{self, storage};
use crate::store::account;

/// After this long all are replaced.
const WEEK_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// How many one-time packages there are to be at the relay.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stock {
    /// After an upload.
    pub(super) full: usize,
    /// Fewer than this are too few.
    pub(super) few: usize,
}

/// What the engine keeps there.
pub(super) const STOCK: Stock = Stock { full: 50, few: 20 };

impl Stock {
    /// How many are to be made beside those that the relay has; none while there are enough. The last resort is made anew with them.
    pub(super) fn missing(self, at_relay: KeyPackageCount) -> Option<usize> {
        let count = usize::try_from(at_relay.count).unwrap_or(usize::MAX);
        (count < self.few || !at_relay.last_resort).then(|| self.full.saturating_sub(count))
    }
}

/// Whether all at the relay are to be replaced: they are of other keys than those in force, or a week old. `now_ms` is relay time. Those that
/// were made later than now were made when the relay's clock was ahead, and are of no known age.
pub(super) fn are_stale(tx: &Transaction<'_>, key_version: u32, now_ms: u64) -> Result<bool, Error> {
    let (version, made_ms) = account::packages(tx)?;
    Ok(version != key_version || now_ms.abs_diff(made_ms) > WEEK_MS)
}

/// Makes `count` one-time packages and one of last resort. True if private parts were erased.
///
/// With `replace`, those at the relay are replaced: a Welcome for one of them can be on its way as long as its envelope can be opened, and
/// for so long its private part is kept.
pub(super) fn make(
    tx: &Transaction<'_>,
    context: &Context,
    replace: bool,
    count: usize,
) -> Result<(UploadKeyPackages, bool), Error> {
    let mut erased = false;
    if replace {
        storage::correct_retired_packages(tx, context.now)?;
        storage::retire_key_packages(tx, context.now)?;
        erased = storage::erase_key_packages(tx, context.now.saturating_sub(rotation::old_keys_live_ms(tx)?))?;
    }
    let (last_resort, packages) = mls::make_packages(&context.crypto, tx, context.account, &context.keys, count)?;
    Ok((UploadKeyPackages { replace, last_resort: Some(last_resort), packages }, erased))
}

impl Engine {
    /// Sees to it that others can bring this device into groups.
    pub(super) async fn refill_key_packages(&self) -> Result<(), Error> {
        let _one = self.packages_lock.lock().await;
        // A rotation's last step waits meanwhile.
        let _guard = self.keys_guard.read().await;
        // It tells the time, too: before it nothing is known to be old.
        let at_relay = self.home.key_package_count().await?;
        let context = self.context();
        let (version, now) = (context.keys.key_version(), context.now);
        let replace = self.store.run(move |tx| are_stale(tx, version, now)).await?;
        let Some(count) = (if replace { Some(STOCK.full) } else { STOCK.missing(at_relay) }) else { return Ok(()) };
        let (upload, erased) = self.store.run(move |tx| make(tx, &context, replace, count)).await?;
        if erased {
            self.store.forget().await?;
        }
        self.home.upload_key_packages(&upload).await?;
        if replace {
            self.store.run(move |tx| account::set_packages(tx, version, now)).await?;
        }
        Ok(())
    }
}
