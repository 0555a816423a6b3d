//! `N(name)` for a registration: slow on purpose, so off the async threads, and never more at a time than there are processors.

use std::sync::Arc;

use tokio::sync::Semaphore;
use waxwing_wire::Username;
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::transparency::name_hash;

use crate::error::Refusal;

/// Hashes names for one log.
pub(crate) struct NameHasher {
    origin: Arc<str>,
    // 19 MiB each: as many as tokio has blocking threads would be gigabytes.
    places: Arc<Semaphore>,
}

impl NameHasher {
    /// For the log of `origin`.
    pub(crate) fn new(origin: &str) -> Self {
        let places = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        Self { origin: origin.into(), places: Arc::new(Semaphore::new(places)) }
    }

    /// All places, as if so many names were being hashed: whoever wants one waits.
    #[cfg(test)]
    pub(crate) async fn occupy(&self) -> tokio::sync::OwnedSemaphorePermit {
        let all = u32::try_from(self.places.available_permits()).unwrap();
        Arc::clone(&self.places).acquire_many_owned(all).await.unwrap()
    }

    /// The name's hash in the log. Takes some tens of milliseconds, once it is its turn.
    pub(crate) async fn hash(&self, name: &Username) -> Result<[u8; 32], Refusal> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| ProblemCode::Unavailable)?;
        let (name, origin) = (name.clone(), Arc::clone(&self.origin));
        let hashing = tokio::task::spawn_blocking(move || {
            // Held by the work, not by the request: one that is given up goes on computing.
            let _place = place;
            name_hash(&name, &origin)
        });
        match hashing.await {
            Ok(Ok(hash)) => Ok(hash),
            Ok(Err(_)) | Err(_) => Err(ProblemCode::Unavailable.into()),
        }
    }
}
