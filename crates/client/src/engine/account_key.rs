//! Replacing the account key (design section 4).
//!
//! Journalled like a rotation: seed and chain entry are stored, the relay takes the entry (or has it already), the keystore takes the
//! seed, the database follows. A crash anywhere is resumed at the next start. Not here: device keys (`keys`), how groups learn of it
//! (`follow`), closing the account (`closing`).

use std::sync::{Arc, PoisonError};

use rusqlite::Transaction;
use waxwing_protocol::{AccountKey, statement};
use waxwing_wire::chain::Statement;
use waxwing_wire::{ChainEntry, DeviceId, VerifiedChain};

use super::keys::Cause;
use super::own_devices::MOST_TURNS;
use super::{Client, Engine, follow};
use crate::error::{Error, ErrorCode};
use crate::random;
use crate::store::keys::{self, AccountChange};
use crate::store::rotation::{self as schedule, LastAccountKey};
use crate::store::{closing, device_link, own_shown, transparency};
use crate::views::KeysView;

impl Client {
    /// Replaces the account key. What it proves moves on in every conversation; verified contacts stay verified, since their devices see
    /// that this device was in force before and after.
    ///
    /// If the relay is out of reach it stays under way and goes on by itself; the view says so.
    pub async fn replace_account_key(&self) -> Result<KeysView, Error> {
        let engine = &self.0;
        let rotating = engine.rotating.lock().await;
        // One change of the chain after the other.
        engine.advance_linking().await?;
        engine.advance_rotation().await?;
        engine.advance_account_change().await?;
        engine.begin_account_change(&[], false).await?;
        engine.go_on_with_account_change(rotating).await
    }

    /// Somebody may have had this account's keys: the account key is replaced, every other device revoked, and this device's keys are
    /// replaced at once.
    pub async fn shut_others_out(&self) -> Result<KeysView, Error> {
        let engine = &self.0;
        let rotating = engine.rotating.lock().await;
        // Whoever was to come in is not waited for: it may be what this is to be done against.
        engine.store.run(device_link::end).await?;
        engine.give_up_if_overtaken().await?;
        match engine.resume_changes().await {
            // A change that somebody else's entry has overtaken is given up with that: it is what this is to be done against.
            Err(error) if error.code() == ErrorCode::OwnKeysChanged => engine.resume_changes().await?,
            outcome => outcome?,
        }
        let (chain, fresh) = engine.chain_as_it_is().await?;
        engine.begin_shutting_out(chain, fresh).await?;
        engine.go_on_with_account_change(rotating).await
    }
}

impl Engine {
    /// The account key in force.
    pub(super) fn account_key(&self) -> Arc<AccountKey> {
        Arc::clone(&self.account_key.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The own chain with whatever the relay has more of it, and what that is, as long as this device and its account key are in force by it. Whoever was
    /// shut out has only the phrase left. Nothing is kept.
    async fn chain_as_it_is(&self) -> Result<(VerifiedChain, Vec<Vec<u8>>), Error> {
        let known = VerifiedChain::clone(&*self.chain(self.account).await?);
        let home = self.home.address().clone();
        let (chain, fresh) = self.relay(&home)?.chain(&self.account.to_string(), Some(known)).await?;
        if fresh.is_empty() {
            return Ok((chain, fresh));
        }
        let in_force = chain.device(self.device).map(|device| &device.current().record) == Some(self.keys().record());
        if !in_force || *chain.account_key() != self.account_key().public() {
            return Err(Error::new(ErrorCode::OwnKeysChanged, "this device's keys are in force no more"));
        }
        Ok((chain, fresh))
    }

    /// Begins with another account key that shuts every other device out, those in the last entries of the chain (`fresh`) among them, which no own
    /// device has made.
    pub(super) async fn begin_shutting_out(&self, chain: VerifiedChain, fresh: Vec<Vec<u8>>) -> Result<(), Error> {
        if !fresh.is_empty() {
            tracing::warn!(
                "entries of the own chain that no own device has made are followed by one that revokes the others"
            );
        }
        let others: Vec<_> =
            chain.devices().map(|device| device.id()).filter(|device| *device != self.device).collect();
        let change = self.another_account_key(&chain, &others, true)?;
        let (me, from) = (self.account, fresh_from(&chain, &fresh));
        let begun = self
            .store
            .run(move |tx| {
                // It would state the same place of the chain.
                if closing::load(tx)?.is_some() {
                    return Ok(false);
                }
                // Whoever was to come in is not waited for: others are to be shut out.
                device_link::end(tx)?;
                // Both or neither: what somebody else has put into the chain is taken for one's own together with what revokes it, or nothing would ever
                // tell of it again.
                keys::add_chain_entries(tx, me, from, &fresh)?;
                keys::end_account_change(tx, false)?;
                keys::begin_account_change(tx, &change)?;
                Ok(true)
            })
            .await?;
        if begun {
            self.chains.keep(Arc::new(chain));
        }
        Ok(())
    }

    /// Whoever is to be shut out was first: they are shut out behind what they have stated, and with it. False if this device is in force no more, or
    /// another change is under way: then nothing comes of it.
    async fn shut_out_anew(&self, change: &mut AccountChange) -> Result<bool, Error> {
        if !self.leads_here(&*self.chain(self.account).await?) {
            return Ok(false);
        }
        let (chain, fresh) = match self.chain_as_it_is().await {
            Err(error) if error.code() == ErrorCode::OwnKeysChanged => return Ok(false),
            there => there?,
        };
        // A chain that takes no more: nothing comes of it, and nothing waits for it.
        if self.another_account_key(&chain, &[], true).is_err() {
            return Ok(false);
        }
        self.begin_shutting_out(chain, fresh).await?;
        let Some(begun) = self.store.run(keys::account_change).await? else { return Ok(false) };
        let other = begun.entry != change.entry;
        *change = begun;
        Ok(other)
    }

    pub(super) async fn begin_account_change(&self, revoked: &[DeviceId], then_rotate: bool) -> Result<(), Error> {
        let change = self.another_account_key(&*self.chain(self.account).await?, revoked, then_rotate)?;
        // Both would state the same place of the chain.
        let begin = move |tx: &Transaction<'_>| match (closing::load(tx)?, device_link::under_way(tx)?) {
            (None, None) => keys::begin_account_change(tx, &change),
            _ => Ok(()),
        };
        self.store.run(begin).await
    }

    /// A new account key, and the entry that follows this chain and states it.
    pub(super) fn another_account_key(
        &self,
        chain: &VerifiedChain,
        revoked: &[DeviceId],
        then_rotate: bool,
    ) -> Result<AccountChange, Error> {
        let new = AccountKey::generate(&mut random::rng());
        let entry = statement::rotate_account_key(chain, &self.account_key(), &new, revoked, self.now_ms());
        // A chain that takes no more, say: nothing is begun that could never end.
        VerifiedChain::clone(chain).extend(entry.as_bytes())?;
        Ok(AccountChange { key: new, entry: entry.as_bytes().to_vec(), then_rotate })
    }

    /// As far as it gets now, and what is to be shown of it.
    pub(super) async fn go_on_with_account_change(
        &self,
        rotating: tokio::sync::MutexGuard<'_, ()>,
    ) -> Result<KeysView, Error> {
        self.tell_keys().await?;
        let outcome = self.resume_changes().await;
        self.set_rotation_problem(outcome.err());
        drop(rotating);
        self.tell_keys().await
    }

    /// Takes a change under way to its end.
    pub(super) async fn advance_account_change(&self) -> Result<(), Error> {
        let Some(mut change) = self.store.run(keys::account_change).await? else { return Ok(()) };
        if self.secrets.lock().await.account_seed != *change.key.seed() {
            if self.is_past(&change).await? {
                tracing::warn!("an older database held a replacement of the account key by one that is out of use");
                self.store.run(|tx| keys::end_account_change(tx, false)).await?;
                return self.store.forget().await;
            }
            let mut turn = 1;
            while let Err(error) = self.state_account_key(&change).await {
                if error.code() != ErrorCode::OwnKeysChanged {
                    return Err(error);
                }
                if self.take_stated(self.keys().record(), &change.key.public()).await? {
                    break;
                }
                let anew = match change.then_rotate {
                    true => self.shut_out_anew(&mut change).await?,
                    false => self.restate_account_change(&mut change).await?,
                };
                if !anew {
                    self.store.run(|tx| keys::end_account_change(tx, false)).await?;
                    self.store.forget().await?;
                    return Err(error);
                }
                if turn == MOST_TURNS {
                    return Err(error);
                }
                turn += 1;
            }
            self.store_account_seed(&change).await?;
        } else if !self.is_account_key_stated(&change).await? && self.has_other_devices().await? {
            // Another entry than the journal's may state it, behind what others have stated.
            return Err(Error::new(
                ErrorCode::KeysHeldBack,
                "the relay does not show how the account key came in force",
            ));
        }
        self.finish_account_change(change).await
    }

    /// Has the relay take the entry, after those devices were told of it that it leaves in force.
    async fn state_account_key(&self, change: &AccountChange) -> Result<(), Error> {
        let entry =
            ChainEntry::decode(&change.entry).map_err(|error| Error::new(ErrorCode::Internal, error.to_string()))?;
        if let Statement::RotateAccountKey(stated) = &entry.unsigned.statement {
            return self.state_after_telling(&change.entry, Some(&change.key), &stated.revoked).await;
        }
        self.state_entry(&change.entry).await
    }

    /// Whether the own chain has the account key of a change.
    async fn is_account_key_stated(&self, change: &AccountChange) -> Result<bool, Error> {
        Ok(*self.chain(self.account).await?.account_key() == change.key.public())
    }

    /// Whether an older copy of the database holds a change that the keystore is past: its entry stands in the own chain, and another account key has come
    /// after it. That one must not be lost for the older.
    async fn is_past(&self, change: &AccountChange) -> Result<bool, Error> {
        let in_force = self.account_key().public();
        let chain = self.chain(self.account).await?;
        let entry =
            ChainEntry::decode(&change.entry).map_err(|error| Error::new(ErrorCode::Internal, error.to_string()))?;
        let there = |chain: &VerifiedChain| chain.hash_at(entry.unsigned.seq);
        if there(&chain).is_some_and(|hash| hash != entry.hash()) {
            // Another one stands in its place: it never will, which is found out by whoever states it.
            return Ok(false);
        }
        if *chain.account_key() != in_force {
            self.catch_up_with_own_keys().await?;
        }
        let chain = self.chain(self.account).await?;
        if *chain.account_key() != in_force {
            return Err(Error::new(
                ErrorCode::KeysHeldBack,
                "the relay does not show how the account key came in force",
            ));
        }
        Ok(there(&chain) == Some(entry.hash()))
    }

    pub(super) async fn store_account_seed(&self, change: &AccountChange) -> Result<(), Error> {
        let mut secrets = self.secrets.lock().await;
        let mut replaced = secrets.clone();
        replaced.account_seed = *change.key.seed();
        self.keystore.write(&replaced).await?;
        *secrets = replaced;
        Ok(())
    }

    /// At the start: a change whose key the keystore holds already is complete but for the database.
    pub(super) async fn finish_stored_account_change(&self) -> Result<(), Error> {
        let Some(change) = self.store.run(keys::account_change).await? else { return Ok(()) };
        if self.secrets.lock().await.account_seed != *change.key.seed() {
            return Ok(());
        }
        // With other devices in the account the journal's entry may not be the one that the relay has taken: it is asked first.
        if !self.is_account_key_stated(&change).await? && self.has_other_devices().await? {
            return Ok(());
        }
        self.finish_account_change(change).await
    }

    pub(super) async fn finish_account_change(&self, change: AccountChange) -> Result<(), Error> {
        let mut chain = VerifiedChain::clone(&*self.chain(self.account).await?);
        let stated = *chain.account_key() == change.key.public();
        if !stated {
            chain.extend(&change.entry)?;
        }
        if *chain.account_key() != change.key.public() {
            return Err(Error::new(ErrorCode::ChainBroken, "the own chain names another account key"));
        }
        let guard = self.keys_guard.write().await;
        let (me, seq, entry, context) = (self.account, chain.seq(), change.entry, self.context());
        let then_rotate = change.then_rotate;
        let last = LastAccountKey { seq, at_ms: self.now_ms(), shut_out: then_rotate };
        let whole = chain.clone();
        self.store
            .run(move |tx| {
                // What stands in the chain by now, and was revoked with it, is dealt with.
                transparency::forget_alarms(tx, |seq, hash| whole.hash_at(seq) == Some(hash))?;
                if then_rotate {
                    // The others are shut out, and the key that signed what was shown in conversations alone is out of force.
                    transparency::forget_shown_alarms(tx)?;
                    own_shown::forget(tx)?;
                }
                if !stated {
                    keys::add_chain_entries(tx, me, seq, std::slice::from_ref(&entry))?;
                }
                keys::end_account_change(tx, then_rotate)?;
                schedule::set_last_account_key(tx, &last)?;
                follow::chain_grew(tx, &context, me)?;
                Ok(())
            })
            .await?;
        *self.account_key.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(change.key);
        self.chains.keep(Arc::new(chain));
        drop(guard);
        self.store.forget().await?;
        self.outbox_wake.notify_one();
        Ok(())
    }

    /// Goes on with what a crash or a relay out of reach has left: in the order in which the chain needs it.
    pub(super) async fn resume_changes(&self) -> Result<(), Error> {
        // First what leaves nothing to go on with here.
        self.look_after_recovery().await?;
        self.advance_closing().await?;
        self.catch_up_with_own_keys().await?;
        self.advance_linking().await?;
        self.advance_account_change().await?;
        self.advance_rotation().await?;
        // The second half of shutting others out, however often it was interrupted.
        if self.store.run(keys::is_rotation_wanted).await? {
            self.begin_rotation(Cause::ByHand).await?;
            self.advance_rotation().await?;
        }
        Ok(())
    }
}

/// Number of the first of the entries that a chain ends with.
fn fresh_from(chain: &VerifiedChain, fresh: &[Vec<u8>]) -> u32 {
    let fresh = u32::try_from(fresh.len()).unwrap_or(u32::MAX);
    chain.seq().saturating_add(1).saturating_sub(fresh)
}
