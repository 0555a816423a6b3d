//! Room in memory for what clients send and are sent: one for all of them together, whoever they are.
//!
//! What is small takes none of it, so that a relay whose room is used up still takes and gives words; how many such there are the number of
//! connections bounds. Not here: how slow a client may be ([`crate::serve`]), what is kept on disk.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Refusal;

/// So many bytes of one thing take no room.
pub(crate) const FREE: usize = 16 * 1024;
/// How long room is waited for: what others hold goes within a moment, unless they are slow.
const MOMENT: Duration = Duration::from_secs(2);
/// Told to whoever got none, in seconds.
const AGAIN: u64 = 5;

/// The room.
#[derive(Clone)]
pub(crate) struct Budget {
    room: Arc<Semaphore>,
    all: usize,
}

/// Room that is taken. Dropping it gives it back.
#[derive(Default)]
pub(crate) struct Held(Option<OwnedSemaphorePermit>);

impl Budget {
    /// Of so many bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        let all = usize::try_from(bytes).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { room: Arc::new(Semaphore::new(all)), all }
    }

    /// Room for so many bytes, if there is now.
    pub(crate) fn take(&self, bytes: usize) -> Option<Held> {
        let mut held = Held::default();
        self.grow_now(&mut held, bytes).then_some(held)
    }

    /// Room for so many bytes, waited for if need be; a refusal if there is none before long.
    pub(crate) async fn wait(&self, bytes: usize) -> Result<Held, Refusal> {
        let mut held = Held::default();
        self.grow(&mut held, bytes).await?;
        Ok(held)
    }

    /// More room, so that it is for `bytes` in all. As [`Budget::wait`].
    pub(crate) async fn grow(&self, held: &mut Held, bytes: usize) -> Result<(), Refusal> {
        if self.grow_now(held, bytes) {
            return Ok(());
        }
        let more = Arc::clone(&self.room).acquire_many_owned(self.missing(held, bytes));
        match tokio::time::timeout(MOMENT, more).await {
            Ok(Ok(more)) => held.add(more),
            _ => return Err(Refusal::busy(AGAIN)),
        }
        Ok(())
    }

    /// The same at once or not at all; whether it is there.
    pub(crate) fn grow_now(&self, held: &mut Held, bytes: usize) -> bool {
        let missing = self.missing(held, bytes);
        if missing == 0 {
            return true;
        }
        match Arc::clone(&self.room).try_acquire_many_owned(missing) {
            Ok(more) => held.add(more),
            Err(_) => return false,
        }
        true
    }

    /// Nothing is refused for good: what is larger than the whole room takes all of it.
    fn missing(&self, held: &Held, bytes: usize) -> u32 {
        let wanted = if bytes <= FREE { 0 } else { bytes.min(self.all) };
        u32::try_from(wanted.saturating_sub(held.bytes())).unwrap_or(u32::MAX)
    }
}

impl Held {
    fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }

    fn add(&mut self, more: OwnedSemaphorePermit) {
        match &mut self.0 {
            Some(held) => held.merge(more),
            none => *none = Some(more),
        }
    }

    /// Bytes that hold this room as long as anybody has them: until the last of them has gone out.
    pub(crate) fn around(self, bytes: Vec<u8>) -> Bytes {
        match self.0 {
            None => bytes.into(),
            Some(permit) => Bytes::from_owner(Kept { bytes, _permit: permit }),
        }
    }
}

struct Kept {
    bytes: Vec<u8>,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: usize = 4 * FREE;

    #[tokio::test]
    async fn a3_room_is_taken_until_the_last_byte_is_let_go() {
        let budget = Budget::new(2 * SOME as u64);
        let page = budget.take(SOME).unwrap().around(vec![1; SOME]);
        let part = page.slice(7..8);
        drop(page);
        let rest = budget.wait(SOME).await.unwrap();
        assert!(budget.take(FREE + 1).is_none());
        assert_eq!(budget.wait(FREE + 1).await.err(), Some(Refusal::busy(AGAIN)));
        // What is small needs none.
        let small = budget.wait(FREE).await.unwrap();
        assert_eq!(small.around(vec![2; FREE]), vec![2; FREE]);
        drop(part);
        let mut held = budget.take(FREE + 1).unwrap();
        budget.grow(&mut held, SOME).await.unwrap();
        assert!(!budget.grow_now(&mut held, SOME + 1));
        drop(rest);
        assert!(budget.grow_now(&mut held, SOME + 1));
        drop(held);
        // More than there is at all takes what there is.
        let all = budget.wait(100 * SOME).await.unwrap();
        assert!(budget.take(FREE + 1).is_none());
        drop(all);
        assert!(budget.take(2 * SOME).is_some());
    }

    #[tokio::test]
    async fn room_that_comes_within_a_moment_is_waited_for() {
        let budget = Budget::new(SOME as u64);
        let held = budget.take(SOME).unwrap();
        let later = async {
            tokio::time::sleep(MOMENT / 2).await;
            drop(held);
        };
        assert!(tokio::join!(budget.wait(SOME), later).0.is_ok());
    }
}
