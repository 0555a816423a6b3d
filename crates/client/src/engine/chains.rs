//! Chains of oneself and of everybody one shares a conversation with: cached, refreshed from their relay, never taken back.

use std::sync::Arc;

use rusqlite::Transaction;
use waxwing_protocol::{ChainFetch, ChainFetched, ChainPageError, InLog, NotLogged, Refuted};
use waxwing_wire::chain::DeviceState;
use waxwing_wire::{AccountId, DeviceId, DeviceRecord, RelayAddress, VerifiedChain};

use super::{Engine, follow, not_found};
use crate::error::{Error, ErrorCode};
use crate::relay::ChainRefused;
use crate::store::{contacts, keys, unproved, verifications};

impl Engine {
    /// The stored chain of an account.
    pub(super) async fn chain(&self, account: AccountId) -> Result<Arc<VerifiedChain>, Error> {
        if let Some(chain) = self.chains.cached(account) {
            return Ok(chain);
        }
        let chain = self.store.run(move |tx| keys::chain(tx, account)).await?;
        let chain = Arc::new(chain.ok_or_else(|| not_found("no chain for this account"))?);
        self.chains.keep(Arc::clone(&chain));
        Ok(chain)
    }

    /// Asks the account's relay for what is newer than what is known, verifies and stores it.
    pub(super) async fn refresh_chain(&self, account: AccountId) -> Result<Arc<VerifiedChain>, Error> {
        if account == self.account {
            return Ok(self.follow_own_devices().await?.0);
        }
        let (known, contact) =
            self.store.run(move |tx| Ok((keys::chain(tx, account)?, contacts::load(tx, account)?))).await?;
        let contact = contact.ok_or_else(|| not_found("no such contact"))?;
        let from = known.as_ref().map_or(0, |chain| chain.seq() + 1);
        let fetched = self.fetch_chain(&contact.relay, &account.to_string(), known.as_ref()).await;
        if fetched.is_err() && self.gave_way(account).await {
            let chain = self.chain(account).await?;
            if self.stands(&contact.relay, &chain).await? {
                self.no_doubt(account).await?;
            }
            return Ok(chain);
        }
        let (chain, fresh) = self.noting_doubt(account, fetched).await?;
        let theirs = chain.name() == Some(&contact.name) && chain.log_origin() == contact.relay.authority();
        if known.is_none() && (!theirs || chain.account() != account) {
            return Err(Error::new(ErrorCode::ChainBroken, "the relay's chain carries another name"));
        }
        let chain = Arc::new(chain);
        let context = self.context();
        let stored = self
            .store
            .run(move |tx| {
                keys::add_chain_entries(tx, account, from, &fresh)?;
                unproved::news_are_had(tx, account)?;
                Ok(follow::concerns_groups(&fresh) && follow::chain_grew(tx, &context, account)?)
            })
            .await;
        let wake = self.noting_doubt(account, stored).await?;
        self.chains.keep(Arc::clone(&chain));
        if wake {
            self.outbox_wake.notify_one();
        }
        // What the relay shows goes on from what was known. That alone ends no doubt: it may have shown what its log does not hold.
        if self.stands(&contact.relay, &chain).await? {
            self.no_doubt(account).await?;
        }
        Ok(chain)
    }

    /// Whether nothing speaks against an account's chain any more: where it was in doubt, all of it must stand in its relay's log, and that log
    /// must not have contradicted itself.
    pub(super) async fn stands(&self, relay: &RelayAddress, chain: &VerifiedChain) -> Result<bool, Error> {
        let account = chain.account();
        if self.store.run(move |tx| verifications::trouble_since(tx, account)).await?.is_none() {
            return Ok(true);
        }
        Ok(match self.in_log(relay, chain, 0).await {
            Ok(InLog::Whole) => {
                let seq = chain.seq();
                self.store.run(move |tx| unproved::is_logged(tx, account, seq)).await?;
                true
            }
            Ok(_) => false,
            Err(error) => {
                tracing::debug!(%error, "a doubt cannot be ended now");
                false
            }
        })
    }

    /// Whether the own chain states the keys of this device that are in force, and the account key.
    pub(super) fn leads_here(&self, chain: &VerifiedChain) -> bool {
        let current = chain.device(self.device).map(|device| &device.current().record);
        current == Some(self.keys().record()) && *chain.account_key() == self.account_key().public()
    }

    /// An older copy of the database may lack own entries whose keys the keystore holds: they are taken up again, if they lead to exactly
    /// these keys, and no further. Anything else is not one's own doing.
    pub(super) async fn catch_up_with_own_keys(&self) -> Result<(), Error> {
        let (known, keys, account_key) = (self.chain(self.account).await?, self.keys(), self.account_key().public());
        if self.leads_here(&known) {
            return Ok(());
        }
        let home = self.home.address().clone();
        let newest = VerifiedChain::clone(&known);
        let (_, fresh) = self.relay(&home)?.chain(&self.account.to_string(), Some(newest)).await?;
        let wanted = (self.device, keys.record(), &account_key);
        let Some(longer) = own_entries(&known, &fresh, wanted) else { return Ok(()) };
        self.take_own(&known, longer).await?;
        tracing::info!("own entries that an older database lacked were taken up again");
        Ok(())
    }

    /// Whether this device's keys are in force no more by the chain that its relay shows: whatever was done without it, it is not the one to
    /// mend anything.
    pub(super) async fn is_shut_out(&self) -> Result<bool, Error> {
        let known = VerifiedChain::clone(&*self.chain(self.account).await?);
        let home = self.home.address().clone();
        let (chain, _) = self.relay(&home)?.chain(&self.account.to_string(), Some(known)).await?;
        let current = chain.device(self.device).map(|device| &device.current().record);
        // A rotation under way may be stated already.
        let pending = self.store.run(keys::rotation).await?.map(|rotation| rotation.key_version);
        let own = self.keys();
        let in_force = |record: &DeviceRecord| record == own.record() || pending == Some(record.key_version);
        Ok(chain.is_closed() || !current.is_some_and(in_force))
    }

    /// Whether this device was taken out of the account, by the chain that its relay shows.
    pub(super) async fn is_revoked(&self) -> Result<bool, Error> {
        let known = VerifiedChain::clone(&*self.chain(self.account).await?);
        let home = self.home.address().clone();
        let (chain, _) = self.relay(&home)?.chain(&self.account.to_string(), Some(known)).await?;
        Ok(!chain.is_closed() && chain.device(self.device).is_none())
    }

    /// What to say of an error of the own relay: it refuses a device that was taken out, and that is why.
    pub(super) async fn or_revoked(&self, error: Error) -> Error {
        match error.code() == ErrorCode::Refused && self.is_revoked().await.unwrap_or(false) {
            true => Error::new(ErrorCode::DeviceRevoked, "the account's chain has revoked this device"),
            false => error,
        }
    }

    /// Fetches and verifies a chain from a relay, extending what is known of it. Each new entry must stand in the relay's transparency
    /// log, as everybody else sees it.
    pub(super) async fn fetch_chain(
        &self,
        relay: &RelayAddress,
        who: &str,
        known: Option<&VerifiedChain>,
    ) -> Result<(VerifiedChain, Vec<Vec<u8>>), Error> {
        let api = self.relay(relay)?;
        let mut fetch = ChainFetch::new(known.cloned());
        loop {
            let answer = api.chain(who, fetch.known().cloned()).await;
            let (chain, more) = self.noting_refuted(answer).await?;
            let answer = fetch.answered(chain, more).map_err(not_logged)?;
            let found = self.in_log(relay, answer.chain(), answer.from()).await?;
            fetch = match answer.judged(found).map_err(not_logged)? {
                ChainFetched::Whole(chain, fresh) => return Ok((chain, fresh)),
                ChainFetched::More(fetch) => fetch,
            };
        }
    }

    /// Remembers an entry that a relay has shown and that can never be its account's.
    pub(super) async fn noting_refuted<T>(&self, answer: Result<T, ChainRefused>) -> Result<T, Error> {
        if let Err(ChainRefused::Page(ChainPageError::Chain { refuted: Some(refuted), .. })) = &answer {
            let Refuted { account, hash } = *refuted;
            // Of accounts that are known here alone: a relay can make up as many others as it likes.
            let note = move |tx: &Transaction<'_>| match keys::knows_chain(tx, account)? {
                true => keys::note_refuted(tx, account, &hash),
                false => Ok(()),
            };
            self.store.run(note).await?;
        }
        Ok(answer?)
    }
}

fn not_logged(why: NotLogged) -> Error {
    let code = match why {
        NotLogged::Lacks => ErrorCode::NotInLog,
        // What is shown is in the log; what is not shown is the trouble.
        NotLogged::Newer => ErrorCode::NewerKeysHeldBack,
        // That speaks against the keys, and not merely against what the relay shows now.
        NotLogged::Forked => ErrorCode::ChainBroken,
    };
    Error::new(code, why.to_string())
}

/// Of entries that the own relay has and that are not known here, those that lead to these keys of this device and this account key, if any do. No
/// more: whatever lies behind them may be somebody else's, who has the account key, and is an alarm. Nor anything that leaves a device in force that
/// is not known here: this device has added none.
pub(super) fn own_entries(
    known: &VerifiedChain,
    fresh: &[Vec<u8>],
    (device, record, account_key): (DeviceId, &DeviceRecord, &[u8; 32]),
) -> Option<(VerifiedChain, Vec<Vec<u8>>)> {
    let mut chain = known.clone();
    for (taken, entry) in (1..).zip(fresh) {
        chain.extend(entry).ok()?;
        let current = chain.device(device).map(|device| &device.current().record);
        if current == Some(record) && chain.account_key() == account_key {
            let strange = |other: &DeviceState| other.id() != device && known.device(other.id()).is_none();
            return (!chain.devices().any(strange)).then(|| (chain.clone(), fresh[..taken].to_vec()));
        }
    }
    None
}
