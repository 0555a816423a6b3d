//! What the operator has decided, at hand for every request: which accounts are disabled, which is told to every open subscription at once.
//!
//! Not here: where that is kept ([`crate::storage`]), who decides it ([`mod@crate::admin`]), how a process hears of what was decided at another
//! ([`crate::bus`]).

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::watch;
use waxwing_wire::AccountId;
use waxwing_wire::problem::ProblemCode;

use crate::error::Refusal;
use crate::storage::{Decided, Storage, StorageError};

/// The decisions in force.
pub(crate) struct Decisions {
    newest: watch::Sender<Arc<Known>>,
}

struct Known {
    turn: u64,
    disabled: HashSet<AccountId>,
}

impl From<Decided> for Known {
    fn from(decided: Decided) -> Self {
        Self { turn: decided.turn, disabled: decided.disabled.into_iter().collect() }
    }
}

impl Decisions {
    /// As they are kept.
    pub(crate) async fn open(storage: &dyn Storage) -> Result<Self, StorageError> {
        let decided = storage.decided(None).await?.unwrap_or_default();
        Ok(Self { newest: watch::Sender::new(Arc::new(decided.into())) })
    }

    /// Takes in what was decided since, here or at another process.
    pub(crate) async fn follow(&self, storage: &dyn Storage) -> Result<(), StorageError> {
        let known = self.newest.borrow().turn;
        if let Some(decided) = storage.decided(Some(known)).await? {
            self.newest.send_if_modified(|newest| {
                // Two may ask at a time, and the later decision's answer come first.
                let newer = decided.turn > newest.turn;
                if newer {
                    *newest = Arc::new(decided.into());
                }
                newer
            });
        }
        Ok(())
    }

    /// Refuses an account that is disabled.
    pub(crate) fn check(&self, account: &AccountId) -> Result<(), Refusal> {
        match self.newest.borrow().disabled.contains(account) {
            true => Err(ProblemCode::AccountDisabled.into()),
            false => Ok(()),
        }
    }

    /// Resolves once `account` is disabled.
    pub(crate) async fn disabled(&self, account: AccountId) {
        let mut newest = self.newest.subscribe();
        if newest.wait_for(|known| known.disabled.contains(&account)).await.is_err() {
            std::future::pending().await
        }
    }
}
