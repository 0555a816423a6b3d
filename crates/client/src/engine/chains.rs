//! Chains of oneself and of contacts: cached, refreshed from their relay, never taken back.

use std::sync::{Arc, PoisonError};

use waxwing_protocol::conversation_id;
use waxwing_wire::{AccountId, RelayAddress, VerifiedChain};

use super::emit::Changes;
use super::{Engine, not_found};
use crate::error::Error;
use crate::store::{contacts, conversations, keys, messages};
use crate::views::{MessageState, Notice};

impl Engine {
    /// The stored chain of an account.
    pub(super) async fn chain(&self, account: AccountId) -> Result<Arc<VerifiedChain>, Error> {
        if let Some(chain) = self.chains.lock().unwrap_or_else(PoisonError::into_inner).get(&account) {
            return Ok(Arc::clone(chain));
        }
        let chain = self.store.run(move |tx| keys::chain(tx, account)).await?;
        let chain = Arc::new(chain.ok_or_else(|| not_found("no chain for this account"))?);
        self.cache_chain(Arc::clone(&chain));
        Ok(chain)
    }

    pub(super) fn cache_chain(&self, chain: Arc<VerifiedChain>) {
        let mut chains = self.chains.lock().unwrap_or_else(PoisonError::into_inner);
        // A slower reader must not put an older state back.
        let newer = chains.get(&chain.account()).is_none_or(|known| known.seq() <= chain.seq());
        if newer {
            chains.insert(chain.account(), chain);
        }
    }

    /// Asks the contact's relay for newer entries, verifies and stores them; each rotation becomes one quiet line.
    pub(super) async fn refresh_chain(&self, account: AccountId) -> Result<Arc<VerifiedChain>, Error> {
        let known = self.chain(account).await?;
        if account == self.account {
            return Ok(known);
        }
        let contact = self.store.run(move |tx| contacts::load(tx, account)).await?;
        let contact = contact.ok_or_else(|| not_found("no such contact"))?;
        let before = known.seq();
        let (chain, fresh) = self.fetch_chain(&contact.relay, &account.to_string(), Some(&known)).await?;
        if fresh.is_empty() {
            return Ok(known);
        }
        self.store_fresh(&contact, before, chain, fresh).await
    }

    /// Takes entries that somebody sent of their own chain. They prove themselves: the account key has signed them. What
    /// does not follow from what is known is left alone.
    pub(super) async fn learn_entries(
        &self,
        account: AccountId,
        from_seq: u32,
        entries: &[Vec<u8>],
    ) -> Result<Arc<VerifiedChain>, Error> {
        let known = self.chain(account).await?;
        let mut chain = VerifiedChain::clone(&known);
        let skip = usize::try_from((known.seq() + 1).saturating_sub(from_seq)).unwrap_or(usize::MAX);
        let fresh: Vec<Vec<u8>> =
            entries.iter().skip(skip).take_while(|entry| chain.extend(entry).is_ok()).cloned().collect();
        let contact = self.store.run(move |tx| contacts::load(tx, account)).await?;
        match contact {
            Some(contact) if !fresh.is_empty() => self.store_fresh(&contact, known.seq(), chain, fresh).await,
            _ => Ok(known),
        }
    }

    /// Stores new entries of a contact's chain; each device with new keys makes one quiet line.
    async fn store_fresh(
        &self,
        contact: &contacts::Contact,
        before: u32,
        chain: VerifiedChain,
        fresh: Vec<Vec<u8>>,
    ) -> Result<Arc<VerifiedChain>, Error> {
        let chain = Arc::new(chain);
        let (me, now, account, name) = (self.account, self.now_ms(), contact.account, contact.display_name.clone());
        let news = Arc::clone(&chain);
        let changes = self
            .store
            .run(move |tx| {
                let mut changes = Changes::default();
                keys::add_chain_entries(tx, account, before + 1, &fresh)?;
                let conversation = conversation_id(me, account);
                for version in
                    news.devices().iter().map(|device| device.current()).filter(|version| version.seq > before)
                {
                    let notice =
                        Notice::KeysRotated { name: name.clone(), version: version.record.key_version, mine: false };
                    let id = messages::local_id();
                    let line = messages::NewMessage {
                        id,
                        conversation: &conversation,
                        sender: account,
                        mine: false,
                        at_ms: now,
                        clock_off: false,
                        text: "",
                        notice: Some(&notice),
                        state: MessageState::Received,
                        placed: true,
                    };
                    if messages::insert(tx, &line)? {
                        changes.message(account, id, false);
                    }
                }
                conversations::touch(tx, &conversation, now)?;
                changes.conversation(conversation);
                Ok(changes)
            })
            .await?;
        self.cache_chain(Arc::clone(&chain));
        self.tell(changes).await;
        Ok(chain)
    }

    /// Fetches and verifies a chain from a relay, extending what is known of it.
    pub(super) async fn fetch_chain(
        &self,
        relay: &RelayAddress,
        who: &str,
        known: Option<&VerifiedChain>,
    ) -> Result<(VerifiedChain, Vec<Vec<u8>>), Error> {
        self.relay(relay)?.chain(who, known.cloned()).await
    }
}
