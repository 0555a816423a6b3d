//! Places for judging chains: an entry is judged by all that came before it, several signatures for each, so never more of it goes on at a time than there
//! are processors. The threads that it is done on are those that read the database, too.
//!
//! Not here: the judgement ([`crate::command::append_chain`]).

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use waxwing_wire::problem::ProblemCode;

use crate::error::Refusal;

/// The places.
pub(crate) struct Judges {
    places: Arc<Semaphore>,
}

impl Judges {
    /// As many as there are processors.
    pub(crate) fn new() -> Self {
        let places = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        Self { places: Arc::new(Semaphore::new(places)) }
    }

    /// A place, once it is one's turn: to be held by the work itself, which goes on when its request is given up.
    pub(crate) async fn place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.places).acquire_owned().await.map_err(|_| ProblemCode::Unavailable.into())
    }

    /// All places, as if so many chains were being judged: whoever wants one waits.
    #[cfg(test)]
    pub(crate) async fn occupy(&self) -> OwnedSemaphorePermit {
        let all = u32::try_from(self.places.available_permits()).unwrap();
        Arc::clone(&self.places).acquire_many_owned(all).await.unwrap()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A3: however many ask.
    #[tokio::test]
    async fn a3_as_many_chains_are_judged_at_once_as_there_are_processors() {
        let judges = Judges::new();
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let mut taken = Vec::new();
        for _ in 0..processors {
            taken.push(judges.place().await.unwrap());
        }
        let moment = Duration::from_millis(50);
        assert!(tokio::time::timeout(moment, judges.place()).await.is_err());
        taken.pop();
        assert!(tokio::time::timeout(moment, judges.place()).await.is_ok());
    }
}
