//! Key packages that were claimed for a change which was put off then: the next try takes these, and drains nobody of others. And how often
//! none could be had, since a relay did not answer.
//!
//! Not here: claiming them, and what they are needed for (`claims`).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use waxwing_wire::{AccountId, VerifiedChain};

use crate::error::{Error, ErrorCode};
use crate::mls::ClaimedPackage;

/// Their owner keeps the private parts of key packages for longer than that.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// Somebody whose relay did not answer is tried again after this time, then after twice that, up to the longest.
const FIRST_AGAIN_MS: u64 = 2 * 1000;
/// The longest; also for whoever has no key package that can be used, and loses one with each try.
pub(super) const AGAIN_MS: u64 = 60 * 1000;

/// By account, in memory alone: after a restart they are claimed anew.
#[derive(Default)]
pub(super) struct InHand(Mutex<HashMap<AccountId, (Instant, Vec<ClaimedPackage>)>>, Mutex<HashMap<AccountId, u32>>);

impl InHand {
    /// Those of an account, if they are of its chain as it is now. They are nobody else's then.
    pub(super) fn take(&self, chain: &VerifiedChain) -> Option<Vec<ClaimedPackage>> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&chain.account());
        let (since, packages) = taken?;
        let good = since.elapsed() < KEPT && packages.iter().all(|one| one.chain == chain.head());
        good.then_some(packages)
    }

    /// After how many milliseconds somebody is tried again whose key packages could not be had for this reason.
    pub(super) fn again_in(&self, account: AccountId, error: &Error) -> u64 {
        if !matches!(error.code(), ErrorCode::RelayDown | ErrorCode::RelayBusy) {
            return AGAIN_MS;
        }
        let mut failed = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        let times = failed.entry(account).or_default();
        let again = FIRST_AGAIN_MS << (*times).min(5);
        *times += 1;
        again.min(AGAIN_MS)
    }

    /// Their relay has answered.
    pub(super) fn are_had(&self, account: AccountId) {
        self.1.lock().unwrap_or_else(PoisonError::into_inner).remove(&account);
    }

    /// Nothing was made with these.
    pub(super) fn put(&self, packages: Vec<ClaimedPackage>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, (since, _)| since.elapsed() < KEPT);
        // All of one claim, or none: those of another are there by now.
        let mut by_account: HashMap<AccountId, Vec<ClaimedPackage>> = HashMap::new();
        for package in packages {
            by_account.entry(package.account).or_default().push(package);
        }
        for (account, packages) in by_account {
            kept.entry(account).or_insert_with(|| (Instant::now(), packages));
        }
    }
}
