//! Logs of relays at which the user knows nobody: whoever writes first names their relay, and must not fill this computer's disk with its log.
//!
//! What is kept of such logs has bounds, of all of them together. A log beyond them is not read, and what somebody there says of themselves is taken
//! without its proof: once the user has accepted them the log is read to its end, and looked through for it.

use std::collections::{HashMap, HashSet};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use rusqlite::Transaction;
use waxwing_wire::RelayAddress;

use super::super::Engine;
use super::unavailable;
use crate::error::Error;
use crate::mls::GroupChange;
use crate::store::strange::{self as stored, Ties};
use crate::store::{aside, outbox, transparency};

/// Most leaves that are kept of all logs at whose relays nobody is in a conversation that the user takes part in: some 30 MiB.
pub(super) const MOST_OF_STRANGERS: u64 = 200_000;
/// Most of all logs at whose relays somebody is, and no contact.
const MOST_OF_MEMBERS: u64 = 5_000_000;
/// So long a relay whose log was too long is not asked for it again.
const TOO_LONG_FOR: Duration = Duration::from_secs(3600);

impl Engine {
    /// The user has named a relay: its log is read whatever its length.
    pub(in super::super) fn want_log(&self, relay: &RelayAddress) {
        self.wanted_logs.lock().unwrap_or_else(PoisonError::into_inner).insert(relay.authority());
    }

    /// How many more leaves of a relay's log may be kept.
    async fn room(&self, relay: &str) -> Result<u64, Error> {
        let wanted = self.wanted_logs.lock().unwrap_or_else(PoisonError::into_inner).contains(relay);
        let home = self.home.address().authority();
        if wanted || relay == home {
            return Ok(u64::MAX);
        }
        let relay = relay.to_owned();
        self.store
            .run(move |tx| {
                let ties = ties(tx)?;
                let with = |relay: &str| ties.get(relay).copied().unwrap_or(Ties::None);
                let (most, others): (_, fn(Ties) -> bool) = match with(&relay) {
                    Ties::Known => return Ok(u64::MAX),
                    Ties::Member => (MOST_OF_MEMBERS, |with| with == Ties::Member),
                    Ties::Asked | Ties::None => (MOST_OF_STRANGERS, |with| with < Ties::Member),
                };
                let kept = stored::kept(tx)?.into_iter().filter(|(other, _)| *other != home && others(with(other)));
                Ok(most.saturating_sub(kept.map(|(_, leaves)| leaves).sum()))
            })
            .await
    }

    /// Refuses to read so many more leaves of a log than are kept of such logs.
    pub(super) async fn require_room(&self, relay: &str, more: u64) -> Result<(), Error> {
        if more <= self.room(relay).await? {
            return Ok(());
        }
        let mut all = self.too_long.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (_, since)| since.elapsed() < TOO_LONG_FOR);
        all.insert(relay.to_owned(), (more, Instant::now()));
        Err(too_long())
    }

    /// The same, before a relay is asked at all: one whose log was too long a while ago does not hear from this computer again and again.
    pub(super) async fn require_room_still(&self, relay: &str) -> Result<(), Error> {
        let found = self.too_long.lock().unwrap_or_else(PoisonError::into_inner).get(relay).copied();
        let Some((more, _)) = found.filter(|(_, since)| since.elapsed() < TOO_LONG_FOR) else { return Ok(()) };
        if more > self.room(relay).await? {
            return Err(too_long());
        }
        self.too_long.lock().unwrap_or_else(PoisonError::into_inner).remove(relay);
        Ok(())
    }

    /// Whether the log of a relay was too long a while ago, and everybody there is a stranger: nothing that they say of their keys is in the place of
    /// anything that somebody goes by.
    pub(in super::super) async fn is_too_long_for_strangers(&self, relay: &RelayAddress) -> Result<bool, Error> {
        let relay = relay.authority();
        if !self.too_long.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&relay) {
            return Ok(false);
        }
        self.store.run(move |tx| Ok(ties(tx)?.get(&relay).is_none_or(|with| *with < Ties::Member))).await
    }

    /// Forgets logs of relays that the user has nothing to do with any more: requests were declined, people blocked. While anything waits in the inbox
    /// nothing is forgotten: it may be for such a relay.
    pub(in super::super) async fn forget_strange_logs(&self) -> Result<(), Error> {
        let home = self.home.address().authority();
        let wanted: HashSet<_> = self.wanted_logs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let of_nobody = self.store.run(move |tx| {
            if aside::any_waits(tx)? {
                return Ok(Vec::new());
            }
            let ties = ties(tx)?;
            let is_one = |relay: &String| *relay != home && !wanted.contains(relay) && !ties.contains_key(relay);
            Ok(transparency::relays(tx)?.into_iter().filter(is_one).collect::<Vec<_>>())
        });
        for relay in of_nobody.await? {
            let lock = self.transparency_lock(&relay);
            let _one = lock.lock().await;
            let forgotten = relay.clone();
            self.store.run(move |tx| stored::forget(tx, &forgotten)).await?;
            tracing::debug!("the log of a relay at which nobody is known any more is forgotten");
        }
        Ok(())
    }
}

fn too_long() -> Error {
    unavailable("the log of a relay at which nobody is known is longer than what is kept of such logs")
}

/// What the user has to do with each relay at which anybody is. Whoever holds a link into an own group and asks is no stranger any more: their keys
/// must be proved before they are let in.
fn ties(tx: &Transaction<'_>) -> Result<HashMap<String, Ties>, Error> {
    let mut coming = Vec::new();
    for change in outbox::all_changes(tx)? {
        if let GroupChange::Admit { account, .. } = GroupChange::decode(&change)? {
            coming.push(account);
        }
    }
    stored::ties(tx, &coming)
}
