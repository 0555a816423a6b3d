//! Whom an inbox entry is from, and other relays that may have to be asked about it: the inbox itself waits for none of them, whoever names one.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use waxwing_protocol::content::Introduction;
use waxwing_protocol::envelope::{Claimed, Message, Opened};
use waxwing_wire::{AccountId, LogId, RelayAddress, VerifiedChain};

use super::Engine;
use super::inbox::{ABROAD, CheckedSender, THIS_COMPUTER, verify_in_force};
use crate::error::{Error, ErrorCode};
use crate::store::{contacts, keys, logs};

/// A relay that has not answered in [`ABROAD`] is not asked again for so long.
const SILENT_FOR: Duration = Duration::from_secs(90);

/// Whether an envelope is of somebody whose chain is known.
pub(super) enum Known {
    Signed(Box<Message>),
    /// That is to be looked at once their relay has told of newer keys.
    Later,
    Nobody,
}

impl Engine {
    /// The relay that is asked about somebody who introduces themselves: whoever is known already, where they are known to be.
    pub(super) async fn asked_at(&self, stated: &Introduction) -> Result<RelayAddress, Error> {
        let sender = stated.account;
        let contact = self.store.run(move |tx| contacts::load(tx, sender)).await?;
        Ok(contact.map_or_else(|| stated.home.clone(), |contact| contact.relay))
    }

    pub(super) fn is_abroad(&self, relay: &RelayAddress) -> bool {
        relay.authority() != self.home.address().authority()
    }

    /// Whether a relay did not answer a moment ago.
    pub(super) fn is_silent(&self, relay: &RelayAddress) -> bool {
        let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        silent.retain(|_, since| since.elapsed() < SILENT_FOR);
        silent.contains_key(&relay.authority())
    }

    pub(super) fn did_not_answer(&self, relay: &RelayAddress) {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner).insert(relay.authority(), Instant::now());
    }

    /// Asks the sender's relay for their chain, which must be the one stated, and checks the signature against it.
    pub(super) async fn check_sender(
        &self,
        opened: Opened,
        stated: &Introduction,
    ) -> Result<Result<CheckedSender, &'static str>, Error> {
        let sender = stated.account;
        let (known, contact) =
            self.store.run(move |tx| Ok((keys::chain(tx, sender)?, contacts::load(tx, sender)?))).await?;
        // Somebody who is known already is asked for where they are known to be.
        let relay = contact.map_or_else(|| stated.home.clone(), |contact| contact.relay);
        // A stranger does not make this computer speak to itself.
        if !self.home.address().is_loopback() && relay.is_loopback() {
            return Ok(Err(THIS_COMPUTER));
        }
        let mut known = known;
        let mut fetched = self.fetch_sender(&relay, sender, known.as_ref()).await;
        if fetched.is_err() && self.gave_way(sender).await {
            // What is known of them came in a conversation alone, and was not theirs.
            known = self.store.run(move |tx| keys::chain(tx, sender)).await?;
            fetched = self.fetch_sender(&relay, sender, known.as_ref()).await;
        }
        let from = known.as_ref().map_or(0, |chain| chain.seq() + 1);
        let (chain, entries) = self.noting_doubt(sender, fetched).await?;
        let matches = *chain.account_key() == stated.account_key
            && chain.hash_at(stated.chain_seq) == Some(stated.chain_head)
            && chain.name() == Some(&stated.name)
            && chain.log_origin() == relay.authority();
        if !matches {
            return Ok(Err("the chain is not the one it names"));
        }
        let Some(message) = verify_in_force(opened, &chain, self.now_ms()) else {
            return Ok(Err("it is not signed with keys in force"));
        };
        Ok(Ok(CheckedSender { message, chain: Arc::new(chain), entries, from }))
    }

    /// The chain of somebody who introduces themselves, and what is new of it. Where the log of their relay is longer than what is kept for strangers,
    /// it comes without its proof: it is looked up once they are a stranger no more.
    pub(super) async fn fetch_sender(
        &self,
        relay: &RelayAddress,
        sender: AccountId,
        known: Option<&VerifiedChain>,
    ) -> Result<(VerifiedChain, Vec<Vec<u8>>), Error> {
        match self.fetch_chain(relay, &sender.to_string(), known).await {
            Err(error)
                if error.code() == ErrorCode::LogUnavailable && self.is_too_long_for_strangers(relay).await? => {}
            fetched => return fetched,
        }
        let answer = self.relay(relay)?.chain(&sender.to_string(), known.cloned()).await;
        self.noting_refuted(answer).await
    }

    /// Checks an envelope of somebody whose chain is known, by keys in force. Their own relay is asked what these are now, if it is this
    /// device's as well; another one only where the envelope names keys that are not known yet, and not while the inbox waits.
    pub(super) async fn known_sender(&self, opened: Opened, abroad: bool) -> Result<Known, Error> {
        let claimed = *opened.claimed();
        let sender = claimed.account;
        let (known, contact) =
            self.store.run(move |tx| Ok((keys::knows_chain(tx, sender)?, contacts::load(tx, sender)?))).await?;
        if !known {
            return Ok(Known::Nobody);
        }
        let mut chain = self.chain(sender).await?;
        if sender == self.account {
            let asked = tokio::time::timeout(ABROAD, self.follow_own_devices()).await;
            let (newer, all) = match asked {
                Ok(Ok(asked)) => asked,
                // Busy, or without a connection.
                _ => (chain, false),
            };
            if !states_claimed(&newer, &claimed) && !all {
                return Ok(Known::Later);
            }
            let message = verify_in_force(opened, &newer, self.now_ms());
            return Ok(message.map_or(Known::Nobody, |message| Known::Signed(Box::new(message))));
        }
        let elsewhere = contact.map(|contact| contact.relay).filter(|relay| self.is_abroad(relay));
        match elsewhere {
            Some(_) if states_claimed(&chain, &claimed) => {}
            Some(relay) if !abroad || self.is_silent(&relay) => return Ok(Known::Later),
            Some(relay) => match tokio::time::timeout(ABROAD, self.refresh_chain(sender)).await {
                Ok(Ok(newer)) => chain = newer,
                answer => {
                    if answer.is_err() {
                        self.did_not_answer(&relay);
                    }
                    return Ok(Known::Later);
                }
            },
            None => {
                if let Ok(Ok(newer)) = tokio::time::timeout(ABROAD, self.refresh_chain(sender)).await {
                    chain = newer;
                }
            }
        }
        let message = verify_in_force(opened, &chain, self.now_ms());
        Ok(message.map_or(Known::Nobody, |message| Known::Signed(Box::new(message))))
    }

    /// Reads a log that an inbox entry says has news: at once if it is at the own relay, else on its own, since another relay may never answer.
    pub(super) async fn look_at(&self, log: LogId) -> Result<(), Error> {
        let known = self.store.run(move |tx| logs::load(tx, log)).await?;
        if known.is_some_and(|known| self.is_abroad(&known.relay)) {
            self.to_look_at.lock().unwrap_or_else(PoisonError::into_inner).insert(log);
            self.introductions_wake.notify_one();
            return Ok(());
        }
        if let Err(error) = self.drain_log(log).await {
            tracing::info!(%error, "looking at a log");
        }
        Ok(())
    }

    /// Reads the logs at other relays that are said to have news. One that does not answer is read when it does, as any.
    pub(super) async fn read_logs_abroad(&self) {
        let logs = std::mem::take(&mut *self.to_look_at.lock().unwrap_or_else(PoisonError::into_inner));
        for log in logs {
            if let Err(error) = self.drain_log(log).await {
                tracing::info!(%error, "looking at a log");
            }
        }
    }
}

/// Whether a chain has the keys that an envelope says to be signed with, in force or not.
fn states_claimed(chain: &VerifiedChain, claimed: &Claimed) -> bool {
    chain.past_device(claimed.device).is_some_and(|device| device.version(claimed.key_version).is_some())
}
