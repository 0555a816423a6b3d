//! Going on with a log that has contradicted itself: the user decides that, since nothing else can end it.
//!
//! Not here: what a contradiction is, and what it stops (`transparency`, `in_log`).

use waxwing_wire::RelayAddress;

use super::load;
use crate::engine::{Client, Engine, not_found};
use crate::error::Error;
use crate::store::transparency as stored;
use crate::store::{contacts, restorations};
use crate::views::LogView;

impl Client {
    /// Goes on with the log of a relay (`host[:port]`), which has contradicted itself: it is read anew from its first entry under the key that
    /// is pinned, and its entries count again. What is known of anybody's keys stays in force and is held against it; the evidence stays.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorCode::NotFound`] where nothing speaks against that log. A relay out of reach is none: its log is read once it answers.
    pub async fn settle_log(&self, origin: &str) -> Result<LogView, Error> {
        self.0.settle_log(origin).await?;
        self.0.log_view(origin.to_owned()).await
    }
}

impl Engine {
    async fn settle_log(&self, origin: &str) -> Result<(), Error> {
        let relay = self.relay_of_log(origin).await?;
        {
            let lock = self.transparency_lock(origin);
            let _one = lock.lock().await;
            let (origin, now) = (origin.to_owned(), self.now_ms());
            self.store
                .run(move |tx| {
                    let evidence = stored::unsettled(tx, &origin)?;
                    if evidence.is_empty() {
                        return Err(not_found("nothing speaks against that log"));
                    }
                    // To go on is to say that the relay was put back: conversations that went back with it need not wait to see whether
                    // that passes.
                    restorations::unread(tx, &origin)?;
                    stored::settle(tx, &load(tx, &origin)?, &evidence, now)
                })
                .await?;
        }
        tracing::warn!("the user goes on with a transparency log that has contradicted itself");
        self.tell_log(origin).await;
        let read = self.follow_log(&relay).await;
        if let Err(error) = &read {
            tracing::info!(%error, "a log that is to be read anew");
        }
        if read.is_ok()
            && relay.authority() == self.home.address().authority()
            && let Err(error) = self.tell_all_again(None).await
        {
            tracing::info!(%error, "what the own relay has lost is not told again");
        }
        if let Err(error) = self.drain_logs_of(&relay).await {
            tracing::info!(%error, "conversations at a relay that goes on are read later");
        }
        // Doubts about people there may end.
        self.transparency_wake.notify_one();
        Ok(())
    }

    async fn relay_of_log(&self, origin: &str) -> Result<RelayAddress, Error> {
        let home = self.home.address().clone();
        if home.authority() == origin {
            return Ok(home);
        }
        let all = self.store.run(contacts::all).await?;
        let found = all.into_iter().map(|contact| contact.relay).find(|relay| relay.authority() == origin);
        found.ok_or_else(|| not_found("no such relay"))
    }
}
