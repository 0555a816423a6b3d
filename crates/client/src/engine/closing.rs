//! Closing the account (design section 4).
//!
//! Journalled: the chain entry is stored, the relay takes it (or has it already, asked unnamed: from then on it refuses this device),
//! `profile.json` says that there is no account any more and where secrets are left, the engine ends, the database goes, the secrets go.
//! What broke off before `profile.json` is taken up by the running engine at each connection and by a start; what broke off behind it, whenever
//! the profile is opened, and before anything else is stored there.

use std::time::Duration;

use waxwing_protocol::statement;
use waxwing_wire::{ChainEntry, VerifiedChain};

use super::start::AT_THE_START;
use super::{Client, Engine, not_found};
use crate::error::{Error, ErrorCode};
use crate::keystore::Keystore;
use crate::profile::{Profile, ProfileState};
use crate::relay::RelayApi;
use crate::store::{Store, account, closing, keys};
use crate::views::KeystoreKind;

/// Longest that a start waits for a keychain that has nothing to do with the account there is.
const BESIDE: Duration = Duration::from_secs(5);

impl Client {
    /// Closes the account for good and empties the profile: nobody can write to it any more, and the relay removes its devices, inboxes
    /// and key packages. Only the recovery phrase can open it again.
    ///
    /// An error leaves everything as it was, except [`ErrorCode::ClosingUnderWay`]: the relay may have accepted it, the engine finds out by itself
    /// and ends then ([`Client::ended`]). Where the engine has stopped ([`Client::is_stopped`]) the account is closed and only what is on this
    /// computer is left; [`Client::finish_closing`] goes on with it.
    pub async fn close_account(self, profile: &Profile) -> Result<(), Error> {
        self.0.close().await?;
        self.stop().await;
        Self::finish_closing(profile).await
    }

    /// Erases what an account that was closed has left in a profile; nothing where there is nothing. To be called before a profile without an
    /// account is used, so that nothing of the old one lies beneath the new one.
    ///
    /// [`ErrorCode::KeysLeft`] where the secrets cannot be erased now, [`ErrorCode::KeychainAbsent`] where there is no keychain any more that they
    /// were in: they stay noted, and this can be called again.
    pub async fn finish_closing(profile: &Profile) -> Result<(), Error> {
        let facts = profile.facts();
        let Some(kind) = facts.closing else { return Ok(()) };
        let inhabited = facts.registered || facts.key_check.is_some();
        if !inhabited {
            Store::discard(profile.dir())?;
            Keystore::erase(profile, KeystoreKind::Passphrase).await.map_err(keys_left)?;
        }
        // The keys go last: without them the rest is closed for good anyway. Never those of an account that is here now, whatever is noted.
        if !inhabited || facts.keystore() != kind {
            Keystore::erase(profile, kind).await.map_err(keys_left)?;
        }
        profile.change(|facts| facts.closing = None)
    }
}

/// Before an account is made in a profile: what a closed one has left goes first. A keychain that cannot be used is in nobody's way who keeps
/// the new secrets elsewhere (`sealed`: under a passphrase); each start tries it again.
pub(super) async fn make_way(profile: &Profile, sealed: bool) -> Result<(), Error> {
    match Client::finish_closing(profile).await {
        Err(error)
            if matches!(error.code(), ErrorCode::KeysLeft | ErrorCode::KeychainAbsent)
                && sealed
                && profile.facts().closing == Some(KeystoreKind::Keychain) =>
        {
            tracing::warn!(%error, "an account is made beside what a closed one has left in the keychain");
            Ok(())
        }
        result => result,
    }
}

/// At the start of another account: what a closed one has left is no reason to wait long, nor to fail.
pub(super) async fn erase_left(profile: &Profile) {
    if profile.facts().closing.is_none() {
        return;
    }
    let erased = tokio::time::timeout(BESIDE, Client::finish_closing(profile)).await;
    if !matches!(erased, Ok(Ok(()))) {
        tracing::warn!(?erased, "what a closed account has left in the keychain");
    }
}

/// A keychain that is not there is another matter than one that is locked: nobody may ever be able to do anything about it.
fn keys_left(error: Error) -> Error {
    match error.code() {
        ErrorCode::KeychainAbsent => error,
        _ => Error::new(ErrorCode::KeysLeft, error.to_string()),
    }
}

fn still_under_way(error: &Error) -> Error {
    Error::new(ErrorCode::ClosingUnderWay, error.to_string())
}

/// What became of a closing's entry, by a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Became {
    /// The account is closed by it.
    Closed,
    /// It is not there; its place is free.
    NotYet,
    /// Something else stands in its place, or the account was opened again behind it.
    Elsewhere,
}

fn became(chain: &VerifiedChain, entry: &[u8]) -> Result<Became, Error> {
    let entry = ChainEntry::decode(entry).map_err(|error| Error::new(ErrorCode::Internal, error.to_string()))?;
    Ok(match chain.hash_at(entry.unsigned.seq) {
        Some(there) if there == entry.hash() && chain.is_closed() => Became::Closed,
        Some(_) => Became::Elsewhere,
        None => Became::NotYet,
    })
}

/// Why an entry did not close the account.
enum Failed {
    /// It never will: the chain went another way.
    Elsewhere,
    /// The relay has said no, and does not have it.
    Refused(Error),
    /// Nobody knows whether the relay has it.
    Unanswered(Error),
}

impl Engine {
    /// The user wants it: has the relay close the account. `profile.json` says so then.
    async fn close(&self) -> Result<(), Error> {
        let _rotating = self.rotating.lock().await;
        if self.profile.facts().closing.is_some() && self.profile.state() == ProfileState::Fresh {
            // The inbox's task has found out meanwhile that it is closed.
            return Ok(());
        }
        self.look_after_recovery().await?;
        let under_way = self.store.run(closing::load).await?;
        let chain = match self.own_chain_there().await {
            Err(error) if under_way.is_some() => return Err(still_under_way(&error)),
            chain => chain?,
        };
        // An answer may have been lost, or somebody else have done it: closed is what is wanted.
        if !chain.is_closed() {
            let same = match under_way {
                Some(entry) if became(&chain, &entry)? == Became::NotYet => Some(entry),
                _ => None,
            };
            let fresh = same.is_none();
            let entry = match same {
                Some(entry) => entry,
                None => self.begin_closing(&chain).await?,
            };
            match self.close_by(&entry).await {
                Ok(()) => {}
                Err(Failed::Elsewhere) => return Err(self.nothing_came_of_closing().await?),
                Err(Failed::Refused(error)) if fresh => {
                    self.store.run(closing::forget).await?;
                    return Err(error);
                }
                Err(Failed::Refused(error) | Failed::Unanswered(error)) => return Err(still_under_way(&error)),
            }
        }
        self.profile.note_closed()?;
        // While no other change of the chain can begin: nobody notes it once more when it is done.
        self.stop.cancel();
        Ok(())
    }

    /// Goes on with a closing whose answer was lost. Once the account is closed the engine ends.
    pub(super) async fn advance_closing(&self) -> Result<(), Error> {
        let Some(entry) = self.store.run(closing::load).await? else { return Ok(()) };
        if self.stop.is_cancelled() {
            return Err(Error::new(ErrorCode::Stopped, "the engine has ended"));
        }
        match became(&self.own_chain_there().await?, &entry)? {
            Became::Closed => {}
            Became::Elsewhere => return Err(self.nothing_came_of_closing().await?),
            Became::NotYet => match self.close_by(&entry).await {
                Ok(()) => {}
                Err(Failed::Elsewhere) => return Err(self.nothing_came_of_closing().await?),
                Err(Failed::Refused(error) | Failed::Unanswered(error)) => return Err(error),
            },
        }
        tracing::info!("the account is closed");
        self.profile.note_closed()?;
        Err(self.end_by_itself())
    }

    /// The journal comes before the relay: without it an own entry would be taken for somebody else's.
    pub(super) async fn begin_closing(&self, chain: &VerifiedChain) -> Result<Vec<u8>, Error> {
        let entry = statement::close(chain, &self.account_key(), self.now_ms());
        // Where somebody has put another account key in force, say: nothing is begun that could never end.
        VerifiedChain::clone(chain).extend(entry.as_bytes())?;
        let entry = entry.as_bytes().to_vec();
        let stored = entry.clone();
        self.store.run(move |tx| closing::begin(tx, &stored)).await?;
        Ok(entry)
    }

    async fn close_by(&self, entry: &[u8]) -> Result<(), Failed> {
        let Err(error) = self.home.append_chain(self.account, entry).await else { return Ok(()) };
        if error.problem().is_none() {
            return Err(Failed::Unanswered(error.into()));
        }
        // It may have come there before, and be the reason why this device is refused.
        let chain = self.own_chain_there().await.map_err(Failed::Unanswered)?;
        match became(&chain, entry).map_err(Failed::Unanswered)? {
            Became::Closed => Ok(()),
            Became::NotYet => Err(Failed::Refused(error.into())),
            Became::Elsewhere => Err(Failed::Elsewhere),
        }
    }

    /// The chain went another way: this device still has its account, or somebody else has it.
    async fn nothing_came_of_closing(&self) -> Result<Error, Error> {
        self.store.run(closing::forget).await?;
        Ok(Error::new(ErrorCode::OwnKeysChanged, "the relay has another entry in the own chain"))
    }

    /// The own chain as the relay has it, asked unnamed.
    async fn own_chain_there(&self) -> Result<VerifiedChain, Error> {
        let known = VerifiedChain::clone(&*self.chain(self.account).await?);
        let home = self.home.address().clone();
        Ok(self.relay(&home)?.chain(&self.account.to_string(), Some(known)).await?.0)
    }
}

/// At the start: whether a closing that broke off has closed the account, as its relay says. `profile.json` says so then.
pub(super) async fn finish_stored_closing(profile: &Profile, store: &Store) -> Result<bool, Error> {
    let Some(entry) = store.run(closing::load).await? else { return Ok(false) };
    let me = store.run(account::require).await?;
    let account = me.account;
    let known = store.run(move |tx| keys::chain(tx, account)).await?.ok_or_else(|| not_found("no own chain"))?;
    let api = RelayApi::new(me.relay, profile.dir(), None)?;
    let asked = tokio::time::timeout(AT_THE_START, api.chain(&account.to_string(), Some(known))).await;
    let Ok(Ok((chain, _))) = asked else {
        tracing::info!("the account was to be closed, and its relay does not say what became of that");
        return Ok(false);
    };
    let closed = became(&chain, &entry)? == Became::Closed;
    if closed {
        profile.note_closed()?;
    }
    Ok(closed)
}
