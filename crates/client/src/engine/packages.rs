//! The own key packages at the relay: made at registration, refilled when few are left, fresh every week and after a rotation.

use waxwing_wire::frame::UploadKeyPackages;

use super::Engine;
use super::rotation;
use crate::error::Error;
use crate::mls::{self, storage};
use crate::store::account;

/// How many are uploaded at once.
const UPLOAD: usize = 50;
/// Fewer than this are too few.
const FEW: u32 = 20;
/// After this long all are replaced.
const WEEK_MS: u64 = 7 * 24 * 60 * 60 * 1000;

impl Engine {
    /// Sees to it that others can bring this device into groups.
    pub(super) async fn refill_key_packages(&self) -> Result<(), Error> {
        let _one = self.packages_lock.lock().await;
        // A rotation's last step waits meanwhile.
        let _guard = self.keys_guard.read().await;
        let (keys, now) = (self.keys(), self.now_ms());
        let (version, made_ms) = self.store.run(account::packages).await?;
        let stale = version != keys.key_version() || now.saturating_sub(made_ms) > WEEK_MS;
        if !stale && self.home.key_package_count().await?.count >= FEW {
            return Ok(());
        }
        let (context, version) = (self.context(), keys.key_version());
        let made = self.store.run(move |tx| {
            // Those at the relay are replaced: a Welcome for one of them can be on its way as long as its envelope can be opened.
            let erased = stale && {
                storage::retire_key_packages(tx, now)?;
                storage::erase_key_packages(tx, now.saturating_sub(rotation::old_keys_live_ms(tx)?))?
            };
            Ok((mls::make_packages(&context.crypto, tx, context.account, &keys, UPLOAD)?, erased))
        });
        let ((last_resort, packages), erased) = made.await?;
        if erased {
            self.store.checkpoint().await?;
        }
        let upload = UploadKeyPackages { replace: stale, last_resort: Some(last_resort), packages };
        self.home.upload_key_packages(&upload).await?;
        if stale {
            self.store.run(move |tx| account::set_packages(tx, version, now)).await?;
        }
        Ok(())
    }
}
