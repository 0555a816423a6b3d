//! Whether a relay that is asked for the account's own chain holds back what its log states: a recovery behind half a chain would part the
//! account from everybody who knows the other half, for good.
//!
//! A log that cannot be read or that has signed a contradiction states nothing: it must not keep anybody from their account. What it could not prove is
//! not its own word, and what was proved before that goes on to count. Not here: the recoveries themselves (`recover`, `recover_here`), others' chains (`chains`).

use std::collections::HashSet;
use std::time::Duration;

use waxwing_protocol::{EntryId, InLog, WantedInLog};
use waxwing_wire::transparency::{Frontier, Leaf, NoteKey, SignedCheckpoint, account_hash};
use waxwing_wire::{AccountId, VerifiedChain};

use super::Engine;
use super::transparency::restored::read_on;
use super::transparency::{MOST_LEAVES, unavailable};
use crate::error::{Error, ErrorCode};
use crate::relay::RelayApi;
use crate::store::transparency::{self as stored, relay_of};

/// Longest that a machine without a profile reads a log: some ten million leaves.
const WHOLE_LOG: Duration = Duration::from_secs(120);
/// Longest that a device waits for what is new in a log that it follows.
const NEWS: Duration = Duration::from_secs(10);

pub(super) fn held_back() -> Error {
    Error::new(ErrorCode::KeysHeldBack, "the relay's log states newer entries of the own chain than the relay shows")
}

/// The entries of one account that a log states.
pub(super) struct Stated(HashSet<EntryId>);

impl Stated {
    /// Reads a relay's whole log, up to a checkpoint that its key has signed. Nothing of it is kept but what is about the account.
    pub(super) async fn read(api: &RelayApi, account: AccountId) -> Result<Self, Error> {
        let read = tokio::time::timeout(WHOLE_LOG, leaves_about(api, account)).await;
        match read.unwrap_or_else(|_| Err(unavailable("the log was not read in time"))) {
            Ok(entries) => Ok(Self(entries)),
            Err(error) if matches!(error.code(), ErrorCode::LogUnavailable | ErrorCode::RelayMisbehaved) => {
                tracing::warn!(%error, "a recovery without the relay's log");
                Ok(Self(HashSet::new()))
            }
            // Whoever does not answer this would not answer the recovery either.
            Err(error) => Err(error),
        }
    }

    /// Whether it states an entry behind the newest of this chain.
    pub(super) fn is_ahead_of(&self, chain: &VerifiedChain) -> bool {
        let wanted = WantedInLog::new(chain, chain.seq().saturating_add(1));
        wanted.judge(&self.0, &HashSet::new(), &HashSet::new()) == InLog::Newer
    }
}

async fn leaves_about(api: &RelayApi, account: AccountId) -> Result<HashSet<EntryId>, Error> {
    let named = api.info().await?.log_key.ok_or_else(|| unavailable("the relay has no log"))?;
    let key: NoteKey = named.parse().map_err(|_| unavailable("the relay's log key cannot be read"))?;
    if relay_of(key.name()) != api.address().authority() {
        return Err(unavailable("the relay's log key is another relay's"));
    }
    let note = api.checkpoint().await?;
    let newest = SignedCheckpoint::verify(note.as_bytes(), &key).map_err(|error| unavailable(error.to_string()))?;
    let (size, who) = (newest.checkpoint().size, account_hash(&account));
    if size > MOST_LEAVES {
        return Err(unavailable("the relay's log is larger than any that can be read"));
    }
    let (mut edge, mut entries) = (Frontier::new(), HashSet::new());
    let about = |leaf: &Leaf| {
        if let Leaf::Chain { account_hash, seq, entry_hash } = leaf
            && *account_hash == who
        {
            entries.insert((*seq, *entry_hash));
        }
    };
    read_on(api, &mut edge, size, about).await?;
    // Before that leaves are anybody's words.
    if edge.root() == newest.checkpoint().root {
        Ok(entries)
    } else {
        Err(unavailable("the log's leaves are not those it signed"))
    }
}

impl Engine {
    /// Reads what is new in the own relay's log, if it can be had soon.
    pub(super) async fn read_own_log(&self) {
        let home = self.home.address().clone();
        let read = tokio::time::timeout(NEWS, self.follow_log(&home)).await;
        tracing::debug!(?read, "the log before a recovery");
    }

    /// Whether the own relay's log, as it was read here, states an entry behind the newest of an own chain that the relay has shown.
    pub(super) async fn is_held_back(&self, chain: &VerifiedChain) -> Result<bool, Error> {
        let home = self.home.address().clone();
        let authority = home.authority();
        let evidence = self.store.run(move |tx| stored::unsettled(tx, &authority)).await?;
        if evidence.iter().any(stored::Evidence::is_signed) {
            return Ok(false);
        }
        let behind = chain.seq().saturating_add(1);
        Ok(matches!(self.in_log(&home, chain, behind).await, Ok(InLog::Newer)))
    }
}
