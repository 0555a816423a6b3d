//! This device while it is being linked to an account: from its code until another device has confirmed, or until it is given up. Not here: the
//! change of state that it leads to (`shell`).

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use waxwing_client::{Client, Error, LinkHere};

/// At most one at a time.
pub(crate) struct PendingLink {
    /// What has begun and is not waited for yet.
    begun: Mutex<Option<LinkHere>>,
    /// How often one was given up; another time ends the wait.
    given_up: watch::Sender<u64>,
}

impl PendingLink {
    /// Nothing has begun.
    pub(crate) fn new() -> Self {
        Self { begun: Mutex::new(None), given_up: watch::Sender::new(0) }
    }

    /// This one has begun, in the place of any before it.
    pub(crate) fn put(&self, here: LinkHere) {
        *self.begun() = Some(here);
    }

    /// Gives up what has begun, waited for or not.
    pub(crate) fn give_up(&self) {
        *self.begun() = None;
        self.given_up.send_modify(|times| *times += 1);
    }

    /// What came of it; none where it was given up, or nothing has begun.
    pub(crate) async fn wait(&self) -> Option<Result<Client, Error>> {
        // Listens before it takes: no giving up falls between.
        let mut given_up = self.given_up.subscribe();
        let here = self.begun().take()?;
        let agreed = tokio::select! {
            // What is done is not given up any more.
            biased;
            agreed = here.agreed() => agreed,
            _ = given_up.changed() => return None,
        };
        // From here on the profile may have its account: nothing ends that half-way.
        match agreed {
            Ok(linked) => Some(linked.begin().await),
            Err(error) => Some(Err(error)),
        }
    }

    fn begun(&self) -> MutexGuard<'_, Option<LinkHere>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
