//! The own keys: what is shown of them, and their rotation.
//!
//! A rotation is journalled: seeds and chain entry are stored, the relay takes the entry (or has it already), the keystore
//! takes the seeds, the database follows. Each step can be repeated; a crash anywhere is resumed at the next start.

use std::sync::{Arc, PoisonError};

use waxwing_protocol::{DeviceKeys, DeviceSeeds, fingerprint_text, statement};
use waxwing_wire::{VerifiedChain, hash, label};

use super::context::Context;
use super::{Client, Engine};
use crate::error::{Error, ErrorCode, ErrorView};
use crate::event::Event;
use crate::mls::{Group, GroupChange};
use crate::random;
use crate::store::keys::Rotation;
use crate::store::{account, conversations, keys, logs, outbox};
use crate::views::{KeyEvent, KeyHistoryItem, KeysView, Standing};

/// Rotation (30 days) + retention at the relay (30 days) + 7 days: no message for an older key can still come.
pub(super) const OLD_KEYS_LIVE_MS: u64 = 67 * 24 * 60 * 60 * 1000;

impl Client {
    /// The own keys and their history.
    pub async fn keys(&self) -> Result<KeysView, Error> {
        self.0.keys_view().await
    }

    /// Replaces this device's keys now. If the relay is out of reach the rotation stays under way and goes on by itself;
    /// the view says so.
    pub async fn rotate_keys(&self) -> Result<KeysView, Error> {
        let engine = &self.0;
        let rotating = engine.rotating.lock().await;
        engine.begin_rotation().await?;
        engine.tell_keys().await?;
        let outcome = engine.advance_rotation().await;
        engine.set_rotation_problem(outcome.err());
        drop(rotating);
        engine.tell_keys().await
    }
}

impl Engine {
    /// Takes up a rotation that did not get through, if there is one.
    pub(super) async fn resume_rotation(&self) {
        let _rotating = self.rotating.lock().await;
        let outcome = self.advance_rotation().await;
        let failed = outcome.is_err();
        self.set_rotation_problem(outcome.err());
        if failed {
            let _ = self.tell_keys().await;
        }
    }

    fn set_rotation_problem(&self, error: Option<Error>) {
        let problem: Option<ErrorView> = error.map(|error| error.view());
        *self.rotation_problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    /// Stores new seeds and the chain entry that states them, unless a rotation is under way already.
    async fn begin_rotation(&self) -> Result<(), Error> {
        let current = self.keys();
        let chain = self.chain(self.account).await?;
        let seeds = DeviceSeeds::generate(&mut random::rng());
        let bytes = seeds.to_bytes();
        let version = current.key_version().saturating_add(1);
        let new = DeviceKeys::new(self.device, version, seeds)?;
        let now = self.now_ms();
        let entry = statement::rotate_device_keys(&chain, &self.account_key, &new, now);
        let rotation =
            Rotation { key_version: version, seeds: DeviceSeeds::from_bytes(&bytes), entry: entry.as_bytes().to_vec() };
        self.store
            .run(move |tx| match keys::rotation(tx)? {
                Some(_) => Ok(()),
                None => {
                    // Now, while they are at hand: after a crash the keystore may hold the new ones alone.
                    keys::keep_device_keys(tx, current.key_version(), current.seeds())?;
                    keys::begin_rotation(tx, &rotation, current.sealing(), now)
                }
            })
            .await
    }

    /// Takes a rotation under way to its end.
    async fn advance_rotation(&self) -> Result<(), Error> {
        let Some(rotation) = self.store.run(keys::rotation).await? else { return Ok(()) };
        if self.secrets.lock().await.key_version < rotation.key_version {
            if !self.relay_has(&rotation).await? {
                self.home.append_chain(self.account, &rotation.entry).await?;
            }
            self.store_new_seeds(&rotation).await?;
        }
        self.finish_rotation(rotation).await
    }

    /// Whether the relay took the entry already and its answer was lost. Asked unnamed: from the moment that it has the entry,
    /// the relay accepts the new relay-auth key alone, which is not in force here yet.
    async fn relay_has(&self, rotation: &Rotation) -> Result<bool, Error> {
        let known = self.chain(self.account).await?;
        let home = self.home.address().clone();
        let (_, fresh) = self.fetch_chain(&home, &self.account.to_string(), Some(&known)).await?;
        match fresh.as_slice() {
            [] => Ok(false),
            [entry] if *entry == rotation.entry => Ok(true),
            _ => Err(Error::new(ErrorCode::ChainBroken, "the relay has another entry in the own chain")),
        }
    }

    /// At the start: a rotation whose seeds the keystore holds already is complete but for the database.
    pub(super) async fn finish_stored_rotation(&self) -> Result<(), Error> {
        let rotation = self.store.run(keys::rotation).await?;
        match rotation {
            Some(rotation) if self.secrets.lock().await.key_version >= rotation.key_version => {
                self.finish_rotation(rotation).await
            }
            _ => Ok(()),
        }
    }

    /// With relay time known: sealing keys that no message can be for any more are erased, from the WAL too.
    pub(super) async fn erase_expired_keys(&self) -> Result<(), Error> {
        let before = self.now_ms().saturating_sub(OLD_KEYS_LIVE_MS);
        if self.store.run(move |tx| keys::erase_old_sealing_keys(tx, before)).await? > 0 {
            self.erase_unused_device_keys().await?;
            self.store.checkpoint().await?;
        }
        Ok(())
    }

    async fn store_new_seeds(&self, rotation: &Rotation) -> Result<(), Error> {
        let mut secrets = self.secrets.lock().await;
        let mut replaced = secrets.clone();
        replaced.key_version = rotation.key_version;
        replaced.device_seeds = *rotation.seeds.to_bytes();
        self.keystore.write(&replaced).await?;
        *secrets = replaced;
        Ok(())
    }

    /// The relay has the entry and the keystore the seeds: the database and everybody one talks with follow.
    async fn finish_rotation(&self, rotation: Rotation) -> Result<(), Error> {
        let mut chain = VerifiedChain::clone(&*self.chain(self.account).await?);
        let stated = |chain: &VerifiedChain| {
            chain.device(self.device).is_some_and(|device| device.version(rotation.key_version).is_some())
        };
        if !stated(&chain) {
            chain.extend(&rotation.entry)?;
        }
        let new = Arc::new(DeviceKeys::new(self.device, rotation.key_version, rotation.seeds)?);
        let guard = self.keys_guard.write().await;
        let (me, now, seq, version) = (self.account, self.now_ms(), chain.seq(), rotation.key_version);
        let entry = rotation.entry;
        self.store
            .run(move |tx| {
                account::require(tx)?;
                keys::add_chain_entries(tx, me, seq, std::slice::from_ref(&entry))?;
                keys::end_rotation(tx)?;
                // Only now are the old keys out of use: a rotation may have waited for weeks.
                keys::retire(tx, version.saturating_sub(1), now)?;
                // In each group the leaf gets the new keys, by a commit of its own; until that is in, the old ones speak there.
                // Where one has left, the leaf stays the one that signed the wish to leave; where one has not accepted, nothing is said.
                for log in logs::active(tx)? {
                    if conversations::load(tx, &log.conversation)?.standing != Standing::Member {
                        continue;
                    }
                    let change = GroupChange::RotateUpdate.encode()?;
                    outbox::push_change(tx, &log.conversation, log.log, &change, 0)?;
                }
                Ok(())
            })
            .await?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&new);
        self.chains.keep(Arc::new(chain));
        drop(guard);
        self.credentials.rotated(&new).await;
        self.store.checkpoint().await?;
        self.outbox_wake.notify_one();
        Ok(())
    }

    /// Erases own Ed25519 keys that no leaf has any more, from the WAL too.
    pub(super) async fn erase_unused_device_keys(&self) -> Result<(), Error> {
        let context = self.context();
        let erased = self
            .store
            .run(move |tx| {
                // Those of versions that a Welcome on its way may still be sealed to stay as well: one joins with them.
                let oldest = oldest_leaf(tx, &context)?;
                keys::erase_old_device_keys(tx, oldest.min(keys::oldest_sealing(tx)?.unwrap_or(oldest)))
            })
            .await?;
        if erased { self.store.checkpoint().await } else { Ok(()) }
    }

    /// The own keys as they are now, told.
    pub(super) async fn tell_keys(&self) -> Result<KeysView, Error> {
        let keys = self.keys_view().await?;
        self.emit(Event::Keys { keys: keys.clone() });
        Ok(keys)
    }

    async fn keys_view(&self) -> Result<KeysView, Error> {
        let chain = self.chain(self.account).await?;
        let (me, rotating, old) = self
            .store
            .run(|tx| Ok((account::require(tx)?, keys::rotation(tx)?.is_some(), keys::old_sealing_keys(tx)?.len())))
            .await?;
        let mut history: Vec<KeyHistoryItem> = chain
            .past_devices()
            .iter()
            .flat_map(|device| device.versions())
            .map(|version| KeyHistoryItem {
                seq: version.seq,
                what: if version.seq == 0 { KeyEvent::Created } else { KeyEvent::Rotated },
                device_id: version.record.device.to_string(),
                version: version.record.key_version,
                at: version.at_ms as f64,
                fingerprint: fingerprint_text(&version.record.fingerprint()),
            })
            .collect();
        history.sort_by_key(|item| std::cmp::Reverse(item.seq));
        let current = self.keys();
        let since = chain.device(self.device).map_or(0, |device| device.current().at_ms);
        // While the last steps of a rotation run, the journal's key is one among the old ones already.
        let kept = old.saturating_sub(usize::from(rotating));
        Ok(KeysView {
            version: current.key_version(),
            fingerprint: fingerprint_text(&current.record().fingerprint()),
            since: since as f64,
            account_fingerprint: fingerprint_text(&hash(&[&label("account key"), chain.account_key()])),
            device_id: self.device.to_string(),
            rotating,
            rotation_problem: self.rotation_problem.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            old_versions_kept: u32::try_from(kept).unwrap_or(u32::MAX),
            history,
            phrase_confirmed: me.phrase_confirmed,
        })
    }
}

/// The oldest key version that an own leaf has.
fn oldest_leaf(tx: &rusqlite::Transaction<'_>, context: &Context) -> Result<u32, Error> {
    let mut oldest = context.keys.key_version();
    if !keys::has_old_device_keys(tx)? {
        return Ok(oldest);
    }
    for log in logs::active(tx)? {
        if let Some(group) = Group::load(&context.crypto, tx, log.log)? {
            oldest = oldest.min(group.own_leaf()?.identity.key_version);
        }
    }
    Ok(oldest)
}
