//! Which accounts the operator has disabled, at hand for every request, and told to every open subscription at once.
//!
//! Not here: where that is kept ([`crate::storage`]), who decides it ([`mod@crate::admin`]).

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::watch;
use waxwing_wire::AccountId;
use waxwing_wire::problem::ProblemCode;

use crate::error::Refusal;

/// The accounts.
pub(crate) struct Disabled {
    accounts: watch::Sender<Arc<HashSet<AccountId>>>,
}

impl Disabled {
    /// As they were kept.
    pub(crate) fn new(accounts: Vec<AccountId>) -> Self {
        Self { accounts: watch::Sender::new(Arc::new(accounts.into_iter().collect())) }
    }

    /// Takes in what is kept now.
    pub(crate) fn replace(&self, accounts: Vec<AccountId>) {
        let accounts: HashSet<_> = accounts.into_iter().collect();
        self.accounts.send_if_modified(|known| {
            let changed = **known != accounts;
            if changed {
                *known = Arc::new(accounts);
            }
            changed
        });
    }

    /// Refuses an account that is among them.
    pub(crate) fn check(&self, account: &AccountId) -> Result<(), Refusal> {
        if self.accounts.borrow().contains(account) { Err(ProblemCode::AccountDisabled.into()) } else { Ok(()) }
    }

    /// Resolves once `account` is among them.
    pub(crate) async fn wait_for(&self, account: AccountId) {
        let mut accounts = self.accounts.subscribe();
        if accounts.wait_for(|accounts| accounts.contains(&account)).await.is_err() {
            std::future::pending().await
        }
    }
}
