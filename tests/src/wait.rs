//! Waiting for something to become true. Nothing here waits for time to pass: it looks again until a deadline.

use std::time::{Duration, Instant};

use crate::{Fault, Outcome};

/// Long enough for a loaded machine with two cores; a test that passes never waits this long.
pub const PATIENCE: Duration = Duration::from_secs(60);

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Looks until there is an answer. `what` ends the sentence 'waited for ...'.
pub async fn until<T>(what: &str, look: impl AsyncFnMut() -> Outcome<Option<T>>) -> Outcome<T> {
    within(PATIENCE, what, look).await
}

/// The same, with a deadline of its own.
pub async fn within<T>(
    patience: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Outcome<Option<T>>,
) -> Outcome<T> {
    let start = Instant::now();
    loop {
        if let Some(answer) = look().await? {
            return Ok(answer);
        }
        if start.elapsed() > patience {
            return Err(Fault::Late(what.to_owned(), patience.as_secs()));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
