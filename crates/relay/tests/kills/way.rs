//! The way to a relay's process, for as long as that lives.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::fault::End;
use crate::kit::Http;

/// Whoever is still being asked so long after it was killed will not answer. hyper 1.12 gives a request for lost that it hands to a connection in the
/// very moment in which that ends, and says so to nobody (hyperium/hyper#4122): nothing else would end it.
const DEAD_FOR: Duration = Duration::from_secs(5);

/// The way to a process, from its start until it is killed.
#[derive(Clone)]
pub struct Way {
    pub http: Http,
    killed: CancellationToken,
}

impl Way {
    /// To a process that was just started.
    pub fn new(http: Http) -> Self {
        Self { http, killed: CancellationToken::new() }
    }

    /// It was killed.
    pub fn ends(&self) {
        self.killed.cancel();
    }

    /// What came of something that the process is asked, which answers nothing more once it was killed.
    pub async fn while_it_lives<T>(&self, asked: impl Future<Output = Result<T, End>>) -> Result<T, End> {
        let dead = async {
            self.killed.cancelled().await;
            tokio::time::sleep(DEAD_FOR).await;
        };
        tokio::select! {
            outcome = asked => outcome,
            () = dead => {
                println!("a request to a process that was killed neither ended nor failed");
                Err(End::Gone)
            }
        }
    }
}
