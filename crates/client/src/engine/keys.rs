//! The own keys: what is shown of them, and their rotation. Not here: when one is due, how long old keys live, what came of it
//! (`rotation`); the history (`key_log`).
//!
//! A rotation is journalled: seeds and chain entry are stored, the relay takes the entry (or has it already), the keystore
//! takes the seeds, the database follows. Each step can be repeated; a crash anywhere is resumed at the next start.

use std::cmp::Ordering;
use std::sync::{Arc, PoisonError};

use rusqlite::Transaction;
use waxwing_protocol::{AccountKey, DeviceKeys, DeviceSeeds, account_fingerprint, fingerprint_text, statement};
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::{AccountId, ChainEntry, DeviceId, DeviceRecord, VerifiedChain};

use super::key_log::{Logged, history};
use super::own_devices::MOST_TURNS;
use super::{Client, Engine, outcome, rotation};
use crate::error::{Error, ErrorCode, ErrorView};
use crate::event::Event;
use crate::random;
use crate::store::keys::Rotation;
use crate::store::rotation::Last;
use crate::store::{account, closing, device_link, keys, rotation as schedule};
use crate::views::{KeysView, RotationSchedule};

/// Who wants a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The user, now.
    ByHand,
    /// The schedule: nothing is in a hurry.
    Schedule,
}

/// New keys for a device, and the chain entry that states them. A chain that takes no more is an error: nothing is begun that could never end.
pub(super) fn new_keys(
    chain: &VerifiedChain,
    account_key: &AccountKey,
    current: &DeviceKeys,
    cause: Cause,
    now_ms: u64,
) -> Result<Rotation, Error> {
    let seeds = DeviceSeeds::generate(&mut random::rng());
    let bytes = seeds.to_bytes();
    let key_version = current.key_version().saturating_add(1);
    let new = DeviceKeys::new(current.record().device, key_version, seeds)?;
    let entry = statement::rotate_device_keys(chain, account_key, &new, now_ms);
    VerifiedChain::clone(chain).extend(entry.as_bytes())?;
    let seeds = DeviceSeeds::from_bytes(&bytes);
    Ok(Rotation { key_version, seeds, entry: entry.as_bytes().to_vec(), scheduled: cause == Cause::Schedule })
}

/// Begins with them, unless something is under way already.
pub(super) fn begin(tx: &Transaction<'_>, rotation: &Rotation, current: &DeviceKeys, now_ms: u64) -> Result<(), Error> {
    match keys::rotation(tx)? {
        // Both would state the same place of the chain.
        None if keys::account_change(tx)?.is_some()
            || closing::load(tx)?.is_some()
            || device_link::under_way(tx)?.is_some() =>
        {
            Ok(())
        }
        Some(_) if !rotation.scheduled => keys::hurry_rotation(tx),
        Some(_) => Ok(()),
        None => {
            // Now, while they are at hand: after a crash the keystore may hold the new ones alone.
            keys::keep_device_keys(tx, current.leaf(), now_ms)?;
            keys::begin_rotation(tx, rotation, current.sealing(), now_ms)
        }
    }
}

/// The own chain with a rotation's entry, if that is not there already.
pub(super) fn with_entry(
    mut chain: VerifiedChain,
    device: DeviceId,
    rotation: &Rotation,
) -> Result<VerifiedChain, Error> {
    if chain.device(device).is_none_or(|device| device.version(rotation.key_version).is_none()) {
        chain.extend(&rotation.entry)?;
    }
    Ok(chain)
}

/// The last step in the database, once the keystore has the new keys: the chain has the entry at this place, if it did not have these keys already,
/// and every group is to learn of it.
pub(super) fn complete(
    tx: &Transaction<'_>,
    (me, seq, entry): (AccountId, u32, Option<&[u8]>),
    last: &Last,
    relay_ms: Option<u64>,
) -> Result<(), Error> {
    account::require(tx)?;
    if let Some(entry) = entry {
        keys::add_chain_entries(tx, me, seq, &[entry.to_vec()])?;
    }
    keys::end_rotation(tx)?;
    // Only now are the old keys out of use: a rotation may have waited for weeks.
    keys::retire(tx, last.version.saturating_sub(1), last.at_ms)?;
    rotation::queue_updates(tx, if last.scheduled { Cause::Schedule } else { Cause::ByHand }, relay_ms)?;
    schedule::set_last(tx, last)?;
    match relay_ms {
        Some(since) => schedule::set_since(tx, last.version, since),
        None => Ok(()),
    }
}

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
        // One change of the chain after the other.
        engine.advance_linking().await?;
        engine.advance_account_change().await?;
        engine.begin_rotation(Cause::ByHand).await?;
        engine.tell_keys().await?;
        let outcome = engine.resume_changes().await;
        let done = outcome.is_ok();
        engine.set_rotation_problem(outcome.err());
        drop(rotating);
        // With its entry the relay has dropped the key packages of before: nobody could add this device until there are new ones.
        if done && let Err(error) = engine.refill_key_packages().await {
            tracing::info!(%error, "key packages come later");
        }
        engine.tell_keys().await
    }

    /// How often the keys are replaced by themselves. Counted by relay time, from when they were last replaced.
    pub async fn set_rotation_schedule(&self, wanted: RotationSchedule) -> Result<KeysView, Error> {
        let days = rotation::days_of(wanted);
        self.0.store.run(move |tx| schedule::set_days(tx, days)).await?;
        self.0.tell_keys().await
    }
}

impl Engine {
    /// Takes up a rotation that did not get through, if there is one.
    pub(super) async fn resume_rotation(&self) {
        let _rotating = self.rotating.lock().await;
        let outcome = self.resume_changes().await;
        if self.ended.is_cancelled() {
            return;
        }
        let failed = outcome.is_err();
        self.set_rotation_problem(outcome.err());
        if failed {
            let _ = self.tell_keys().await;
        }
    }

    pub(super) fn set_rotation_problem(&self, error: Option<Error>) {
        let problem: Option<ErrorView> = error.map(|error| error.view());
        *self.rotation_problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    /// Stores new seeds and the chain entry that states them, unless a rotation is under way already.
    pub(super) async fn begin_rotation(&self, cause: Cause) -> Result<(), Error> {
        let (chain, current, now) = (self.chain(self.account).await?, self.keys(), self.now_ms());
        let rotation = new_keys(&chain, &self.account_key(), &current, cause, now)?;
        self.store.run(move |tx| begin(tx, &rotation, &current, now)).await
    }

    /// Takes a rotation under way to its end.
    pub(super) async fn advance_rotation(&self) -> Result<(), Error> {
        let Some(mut rotation) = self.store.run(keys::rotation).await? else { return Ok(()) };
        let in_force = self.secrets.lock().await.key_version;
        if in_force > rotation.key_version {
            return self.pass_over_rotation(rotation).await;
        }
        if in_force < rotation.key_version {
            let record = self.record_of(&rotation)?;
            let mut turn = 1;
            while let Err(error) = self.state_rotation(&rotation).await {
                if error.code() != ErrorCode::OwnKeysChanged {
                    return Err(error);
                }
                if self.take_stated(&record, &self.account_key().public()).await? {
                    break;
                }
                if !self.restate_rotation(&mut rotation).await? {
                    self.store.run(move |tx| keys::drop_rotation(tx, &rotation)).await?;
                    self.store.forget().await?;
                    return Err(error);
                }
                if turn == MOST_TURNS {
                    return Err(error);
                }
                turn += 1;
            }
            self.store_new_seeds(&rotation).await?;
        } else if !self.is_stated(&rotation).await? && self.has_other_devices().await? {
            // Another entry than the journal's may state them, behind what others have stated.
            return Err(Error::new(ErrorCode::KeysHeldBack, "the relay does not show how the keys came in force"));
        }
        self.finish_rotation(rotation).await
    }

    /// Has the relay take the entry, after the other own devices were told of it with the keys that are in force before it.
    async fn state_rotation(&self, rotation: &Rotation) -> Result<(), Error> {
        self.state_after_telling(&rotation.entry, None, &[]).await
    }

    /// What states the keys of a rotation.
    pub(super) fn record_of(&self, rotation: &Rotation) -> Result<DeviceRecord, Error> {
        let seeds = DeviceSeeds::from_bytes(&rotation.seeds.to_bytes());
        Ok(DeviceKeys::new(self.device, rotation.key_version, seeds)?.record().clone())
    }

    /// Whether the own chain has the keys of a rotation.
    async fn is_stated(&self, rotation: &Rotation) -> Result<bool, Error> {
        let chain = self.chain(self.account).await?;
        Ok(chain.device(self.device).is_some_and(|device| device.version(rotation.key_version).is_some()))
    }

    /// Has the relay take an entry of the own chain, if it has not taken it already. Where another one stands in its place it never will: a
    /// journal of it is of no use any more.
    pub(super) async fn state_entry(&self, entry: &[u8]) -> Result<(), Error> {
        if self.relay_has(entry).await? {
            return Ok(());
        }
        match self.home.append_chain(self.account, entry).await {
            Ok(_) => Ok(()),
            Err(error) if error.problem() == Some(ProblemCode::ChainConflict) => {
                // The answer to the question before may be older than this one.
                if self.relay_has(entry).await? { Ok(()) } else { Err(error.into()) }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the relay took the entry already and its answer was lost. Asked unnamed: from the moment that it has the entry,
    /// the relay accepts the new relay-auth key alone, which is not in force here yet.
    pub(super) async fn relay_has(&self, wanted: &[u8]) -> Result<bool, Error> {
        let known = self.chain(self.account).await?;
        let other = || Error::new(ErrorCode::OwnKeysChanged, "the relay has another entry in the own chain");
        let wanted_entry =
            ChainEntry::decode(wanted).map_err(|error| Error::new(ErrorCode::Internal, error.to_string()))?;
        if let Some(there) = known.hash_at(wanted_entry.unsigned.seq) {
            return if there == wanted_entry.hash() { Ok(true) } else { Err(other()) };
        }
        // What was made here needs no log as a witness; and a log in disorder must not keep this device out.
        let home = self.home.address().clone();
        let (_, fresh) =
            self.relay(&home)?.chain(&self.account.to_string(), Some(VerifiedChain::clone(&known))).await?;
        // Whatever comes after it is another matter: the keys that it states are in force by it, and their seeds must not be lost.
        match fresh.first() {
            None => Ok(false),
            Some(entry) if entry == wanted => Ok(true),
            Some(_) => Err(other()),
        }
    }

    /// At the start: a rotation whose seeds the keystore holds already is complete but for the database.
    pub(super) async fn finish_stored_rotation(&self) -> Result<(), Error> {
        let Some(rotation) = self.store.run(keys::rotation).await? else { return Ok(()) };
        let in_force = self.secrets.lock().await.key_version;
        match in_force.cmp(&rotation.key_version) {
            // With other devices in the account the journal's entry may not be the one that the relay has taken: it is asked first.
            Ordering::Equal if !self.is_stated(&rotation).await? && self.has_other_devices().await? => Ok(()),
            Ordering::Equal => self.finish_rotation(rotation).await,
            Ordering::Greater => self.pass_over_rotation(rotation).await,
            Ordering::Less => Ok(()),
        }
    }

    /// An older copy of the database holds a rotation that the keystore is past: it was complete, and its keys are out of use. What was sealed to them
    /// still opens; the own entries that the copy lacks are taken up again ([`Self::catch_up_with_own_keys`]).
    async fn pass_over_rotation(&self, rotation: Rotation) -> Result<(), Error> {
        let (passed, now) = (DeviceKeys::new(self.device, rotation.key_version, rotation.seeds)?, self.now_ms());
        self.store
            .run(move |tx| {
                keys::keep_device_keys(tx, passed.leaf(), now)?;
                keys::keep_sealing_keys(tx, passed.sealing(), now)?;
                keys::end_rotation(tx)
            })
            .await?;
        self.store.forget().await?;
        tracing::warn!("an older database held a rotation of keys that are out of use");
        Ok(())
    }

    pub(super) async fn store_new_seeds(&self, rotation: &Rotation) -> Result<(), Error> {
        let mut secrets = self.secrets.lock().await;
        let mut replaced = secrets.clone();
        replaced.key_version = rotation.key_version;
        replaced.device_seeds = *rotation.seeds.to_bytes();
        self.keystore.write(&replaced).await?;
        *secrets = replaced;
        Ok(())
    }

    /// The relay has the entry and the keystore the seeds: the database and everybody one talks with follow.
    pub(super) async fn finish_rotation(&self, rotation: Rotation) -> Result<(), Error> {
        let stated = self.is_stated(&rotation).await?;
        let chain = with_entry(VerifiedChain::clone(&*self.chain(self.account).await?), self.device, &rotation)?;
        let new = Arc::new(DeviceKeys::new(self.device, rotation.key_version, rotation.seeds)?);
        let guard = self.keys_guard.write().await;
        let last = Last { version: rotation.key_version, at_ms: self.now_ms(), scheduled: rotation.scheduled };
        let (me, seq, entry, relay_ms) = (self.account, chain.seq(), rotation.entry, self.home.relay_ms());
        let entry = (!stated).then_some(entry);
        self.store.run(move |tx| complete(tx, (me, seq, entry.as_deref()), &last, relay_ms)).await?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&new);
        self.chains.keep(Arc::new(chain));
        drop(guard);
        self.credentials.rotated(&new).await;
        self.store.forget().await?;
        self.outbox_wake.notify_one();
        Ok(())
    }

    /// The own keys as they are now, told.
    pub(super) async fn tell_keys(&self) -> Result<KeysView, Error> {
        let (keys, logged) = self.keys_as_logged().await?;
        *self.logged_as_shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(logged);
        self.emit(Event::Keys { keys: keys.clone() });
        Ok(keys)
    }

    async fn keys_view(&self) -> Result<KeysView, Error> {
        let (keys, logged) = self.keys_as_logged().await?;
        // Whoever asks may drop the answer for a newer one that comes meanwhile: what was told counts.
        self.logged_as_shown.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(logged);
        Ok(keys)
    }

    /// The own keys, and what the log says of them.
    async fn keys_as_logged(&self) -> Result<(KeysView, Logged), Error> {
        // The last step of a change puts chain, keys and journal in force together: never the old history of keys that are in force no more.
        let _guard = self.keys_guard.read().await;
        let chain = self.chain(self.account).await?;
        let logged = self.logged(&chain).await?;
        let (context, version) = (self.context(), self.keys().key_version());
        let (me, (rotating, changing), old, plan, (outcome, account_outcome)) = self
            .store
            .run(move |tx| {
                let rotating = keys::rotation(tx)?.is_some();
                // Shutting others out has two halves, and is not done between them.
                let changing = keys::account_change(tx)?.is_some() || keys::is_rotation_wanted(tx)?;
                let outcomes = (outcome::of_rotation(tx, &context)?, outcome::of_account_key(tx, &context)?);
                let old = keys::old_versions(tx)?;
                Ok((account::require(tx)?, (rotating, changing), old, rotation::Plan::load(tx, version)?, outcomes))
            })
            .await?;
        let current = self.keys();
        let since = chain.device(self.device).map_or(0, |device| device.current().at_ms);
        // While the last steps of a rotation run, the journal's key is one among the old ones already.
        let kept = old.saturating_sub(u32::from(rotating));
        let problem = self.rotation_problem.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // While another change is under way, what came of the one before is not what is waited for.
        let unlogged = || self.unlogged_problem.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let problem = problem.or_else(|| if rotating || changing { None } else { unlogged() });
        let view = KeysView {
            version: current.key_version(),
            fingerprint: fingerprint_text(&current.record().fingerprint()),
            since: since as f64,
            account_fingerprint: fingerprint_text(&account_fingerprint(chain.account_key())),
            device_id: self.device.to_string(),
            schedule: plan.schedule,
            next_rotation_at: plan.next_ms(since).map(|next| next as f64),
            rotating: rotating || changing,
            rotation_problem: problem,
            outcome,
            account_outcome,
            old_versions_kept: kept,
            old_keys_live_days: plan.old_keys_live_days(),
            history: history(&chain, &logged),
            phrase_confirmed: me.phrase_confirmed,
        };
        Ok((view, logged))
    }
}
