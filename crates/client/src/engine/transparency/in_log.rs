//! Whether what a relay serves stands in its log: chains, names.

use std::collections::HashSet;
use std::sync::Arc;

use rusqlite::Transaction;
use waxwing_protocol::{InLog, WantedInLog};
use waxwing_wire::transparency::{Leaf, account_hash};
use waxwing_wire::{AccountId, RelayAddress, Username, VerifiedChain};

use super::super::Engine;
use super::{hash_of, is_outdated, load, unavailable};
use crate::error::{Error, ErrorCode};
use crate::store::transparency::{self as stored};
use crate::store::{keys, restorations};

/// About whom a log is asked, and what it must hold.
struct Question {
    account: AccountId,
    who: [u8; 32],
    wanted: WantedInLog,
}

impl Engine {
    /// How a chain that a relay has served stands in its log as it is seen here. The log is read once more before anything is missed.
    pub(in super::super) async fn in_log(
        &self,
        relay: &RelayAddress,
        chain: &VerifiedChain,
        from: u32,
    ) -> Result<InLog, Error> {
        // A log that has signed two histories says nothing of today's keys.
        let origin = relay.authority();
        let evidence = self.store.run(move |tx| stored::unsettled(tx, &origin)).await?;
        if from <= chain.seq() && evidence.iter().any(stored::Evidence::is_signed) {
            return Err(Error::new(ErrorCode::LogContradicts, "the relay's log has contradicted itself"));
        }
        let (account, who) = (chain.account(), account_hash(&chain.account()));
        let question = Arc::new(Question { account, who, wanted: WantedInLog::new(chain, from) });
        for again in [true, false] {
            let (origin, question) = (relay.authority(), Arc::clone(&question));
            let found = self.store.run(move |tx| look_up(tx, &origin, &question)).await?;
            if found != InLog::Lacks || !again {
                return Ok(found);
            }
            self.follow_log(relay).await?;
        }
        Ok(InLog::Lacks)
    }

    /// Refuses a log whose newest checkpoint is more than a day old, or that does not show what others have seen of it for as long: it says nothing of
    /// today's keys, so nobody is met or verified by it.
    pub(in super::super) async fn require_fresh(&self, relay: &RelayAddress) -> Result<(), Error> {
        for again in [true, false] {
            let (origin, now) = (relay.authority(), self.now_ms());
            let read = move |tx: &Transaction<'_>| {
                let proved = stored::load(tx, &origin)?.and_then(|log| log.proved);
                let proved = proved.map(|proved| proved.checkpoint().time_ms);
                is_outdated(tx, &origin, proved, now)
            };
            if !self.store.run(read).await? {
                return Ok(());
            }
            // It may be one that nobody has looked into for a while.
            if again {
                self.follow_log(relay).await?;
                self.compare_waiting(&relay.authority()).await?;
            }
        }
        Err(unavailable("the relay's log is more than a day old, or others have seen more of it for as long"))
    }

    /// Refuses a name that the log gives to nobody, to somebody else, or to two; and a log that is too old to say so.
    pub(in super::super) async fn require_name(
        &self,
        relay: &RelayAddress,
        name: &Username,
        chain: &VerifiedChain,
    ) -> Result<(), Error> {
        self.require_fresh(relay).await?;
        let hash = hash_of(name.clone(), relay.authority()).await?;
        let origin = relay.authority();
        let leaves = self.store.run(move |tx| stored::naming(tx, &load(tx, &origin)?, &hash)).await?;
        let created = chain.hash_at(0);
        match leaves.as_slice() {
            [one] if matches!(one.leaf, Leaf::Name { entry_hash, .. } if Some(entry_hash) == created) => Ok(()),
            [] => Err(Error::new(ErrorCode::NameOfAnother, "the relay's log gives that name to nobody")),
            [_] => Err(Error::new(ErrorCode::NameOfAnother, "the relay's log gives that name to somebody else")),
            _ => Err(Error::new(ErrorCode::LogContradicts, "the relay's log gives that name to two accounts")),
        }
    }
}

/// The leaves about an account against what its chain must have there.
fn look_up(tx: &Transaction<'_>, origin: &str, question: &Question) -> Result<InLog, Error> {
    let Question { account, who, wanted } = question;
    let Some(log) = stored::load(tx, origin)?.filter(|log| log.size() > 0) else { return Ok(InLog::Lacks) };
    let leaves: HashSet<_> = stored::about(tx, &log, who, 0)?
        .into_iter()
        .filter_map(|placed| match placed.leaf {
            Leaf::Chain { seq, entry_hash, .. } => Some((seq, entry_hash)),
            Leaf::Name { .. } => None,
        })
        .collect();
    Ok(wanted.judge(&leaves, &restorations::dropped(tx, &log, who)?, &keys::refuted(tx, *account)?))
}
