//! What other devices of the own account have stated of their keys.
//!
//! An entry is taken into the own chain, once the relay's log has it, where an own device has said, sealed and with the keys in force before it, that
//! it states that entry, and has handed over the account key that it puts in force; and nothing else is, nor what takes this very device out. Whoever
//! holds the account key could state keys for another device, too: nobody has said so.
//!
//! Not here: own entries that an older database lacks (`chains`), what becomes of any other entry (`transparency::look`), how a device comes into
//! the account (`linking`), and what own devices say (`own_news`).

use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use waxwing_protocol::{AccountKey, DeviceKeys, DeviceSeeds, statement};
use waxwing_wire::chain::{ChainEvent, Statement, What};
use waxwing_wire::{ChainEntry, DeviceId, DeviceRecord, VerifiedChain};

use super::chains::own_entries;
use super::linking::decoded;
use super::{Engine, follow};
use crate::error::{Error, ErrorCode};
use crate::store::keys::{self, AccountChange, Rotation};
use crate::store::own_entries::{self as told, Told};
use crate::store::transparency;

/// So often one change of this device is stated anew behind those of others before it waits for its next turn.
pub(super) const MOST_TURNS: u32 = 8;

/// A chain, and which of its entries are new.
type Longer = (VerifiedChain, Vec<Vec<u8>>);

/// Whose doing an entry can be: which device this is, and what the others have said that they state.
#[derive(Clone, Copy)]
pub(super) struct Others<'a> {
    pub(super) device: DeviceId,
    pub(super) told: &'a Told,
}

impl Others<'_> {
    /// Of entries that follow a chain, those at its beginning that are other own devices' doing.
    pub(super) fn entries(self, known: &VerifiedChain, fresh: &[Vec<u8>]) -> Result<Option<Longer>, Error> {
        // Of several account keys that came in force one after the other the last one is enough.
        let (mut chain, mut best) = (known.clone(), None);
        for (taken, entry) in (1..).zip(fresh) {
            chain.extend(entry)?;
            if !self.have_made(&chain, chain.seq()) || chain.device(self.device).is_none() {
                break;
            }
            let key = chain.account_key();
            if key == known.account_key() || self.told.account_key(key).is_some() {
                best = Some((chain.clone(), fresh[..taken].to_vec()));
            }
        }
        Ok(best)
    }

    /// Whether the entry at this place is another own device's doing.
    fn have_made(self, chain: &VerifiedChain, seq: u32) -> bool {
        let event = usize::try_from(seq).ok().and_then(|seq| chain.events().get(seq));
        event.is_some_and(|event| match event.what {
            What::DeviceKeysRotated(other, _) if other == self.device => false,
            // Said so long ago that the inbox has it no more: without these keys nobody could say anything else.
            What::DeviceKeysRotated(..) if self.told.missed() => true,
            // Said with the keys that it replaces: whoever has the account key alone cannot speak for a device by giving it keys.
            What::DeviceKeysRotated(..) | What::DeviceAdded(_) | What::AccountKeyRotated(_) => {
                chain.hash_at(seq).is_some_and(|hash| self.told.has(seq, hash))
            }
            What::Created(_) | What::Recovered { .. } | What::Closed => false,
        })
    }

    /// Whether all that stands in the own chain from the place of this entry on is other own devices' doing: they were first, and that is all.
    fn are_first(self, chain: &VerifiedChain, entry: &ChainEntry) -> bool {
        let from = entry.unsigned.seq;
        from <= chain.seq() && (from..=chain.seq()).all(|seq| self.have_made(chain, seq))
    }
}

/// The same new keys, stated behind what other devices have stated since; none where it is not they alone that stand in the way.
pub(super) fn rotation_anew(
    chain: &VerifiedChain,
    (rotation, others): (&Rotation, Others<'_>),
    account_key: &AccountKey,
    now_ms: u64,
) -> Result<Option<Vec<u8>>, Error> {
    if !others.are_first(chain, &decoded(&rotation.entry)?) {
        return Ok(None);
    }
    let seeds = DeviceSeeds::from_bytes(&rotation.seeds.to_bytes());
    let new = DeviceKeys::new(others.device, rotation.key_version, seeds)?;
    let entry = statement::rotate_device_keys(chain, account_key, &new, now_ms);
    VerifiedChain::clone(chain).extend(entry.as_bytes())?;
    Ok(Some(entry.as_bytes().to_vec()))
}

/// The same for another account key, and whom it revokes.
fn account_change_anew(
    chain: &VerifiedChain,
    (change, others): (&AccountChange, Others<'_>),
    account_key: &AccountKey,
    now_ms: u64,
) -> Result<Option<Vec<u8>>, Error> {
    let entry = decoded(&change.entry)?;
    let Statement::RotateAccountKey(stated) = &entry.unsigned.statement else { return Ok(None) };
    if !others.are_first(chain, &entry) {
        return Ok(None);
    }
    let entry = statement::rotate_account_key(chain, account_key, &change.key, &stated.revoked, now_ms);
    VerifiedChain::clone(chain).extend(entry.as_bytes())?;
    Ok(Some(entry.as_bytes().to_vec()))
}

impl Engine {
    /// The own chain with what other own devices have stated, and whether that is all that the relay shows. Busy while a change of this device is under way: whoever asks may hold a log's lock, and
    /// waits for nobody.
    pub(super) async fn follow_own_devices(&self) -> Result<(Arc<VerifiedChain>, bool), Error> {
        let mut all = true;
        if self.has_other_devices().await? {
            let busy = |_| Error::new(ErrorCode::RelayBusy, "a change of the own keys is under way");
            let _rotating = self.rotating.try_lock().map_err(busy)?;
            // It may be the inbox that asks.
            all = self.take_from_own_devices(false).await?;
        }
        Ok((self.chain(self.account).await?, all))
    }

    /// The same for whoever holds no lock: waits for its turn, and for the relay, for so long.
    pub(super) async fn follow_own_devices_for(&self, patience: Duration) -> Result<(), Error> {
        if !self.has_other_devices().await? {
            return Ok(());
        }
        let follow = async {
            let _rotating = self.rotating.lock().await;
            self.take_from_own_devices(true).await.map(|_| ())
        };
        let in_time = tokio::time::timeout(patience, follow).await;
        in_time.unwrap_or_else(|_| Err(Error::new(ErrorCode::RelayDown, "no answer in time")))
    }

    pub(super) async fn has_other_devices(&self) -> Result<bool, Error> {
        Ok(self.chain(self.account).await?.devices().any(|device| device.id() != self.device))
    }

    /// Takes what other own devices have stated, as far as the relay's log has it. To be called with `rotating` held; `reads_inbox`: and by nobody who
    /// reads the inbox, in which they say what they state.
    async fn take_from_own_devices(&self, reads_inbox: bool) -> Result<bool, Error> {
        let home = self.home.address().clone();
        let (mut any, mut read) = (false, !reads_inbox);
        let all = loop {
            let known = self.chain(self.account).await?;
            // Judged with all that the relay shows: what of it is not taken must stand in the log as well, or it is no chain to go by.
            let (_, fresh) = self.fetch_chain(&home, &self.account.to_string(), Some(&known)).await?;
            let told = self.told().await?;
            let longer = self.others(&told).entries(&known, &fresh)?;
            let taken = longer.as_ref().map_or(0, |(_, taken)| taken.len());
            if let Some(longer) = longer {
                self.take_with_account_key(&known, longer, &told).await?;
                any = true;
            }
            if taken == fresh.len() {
                break true;
            }
            // They say it before they state it: it waits in the inbox, or here since before their newer keys were known.
            let first = !std::mem::replace(&mut read, true);
            if !reads_inbox || !(first || taken > 0) {
                break false;
            }
            if let Err(error) = self.hear_own_devices(first).await {
                tracing::info!(%error, "what own devices say cannot be had");
            }
        };
        if any {
            tracing::info!("another own device has changed the own chain");
            self.tell_keys().await?;
            self.tell_devices().await?;
            self.tell_log(&home.authority()).await;
            // What it has said meanwhile with keys that were not known waits for this.
            self.introductions_wake.notify_one();
        }
        if !all && reads_inbox {
            self.ask_own_devices().await?;
        }
        Ok(all)
    }

    async fn told(&self) -> Result<Told, Error> {
        let now = self.now_ms();
        self.store.run(move |tx| told::all(tx, now)).await
    }

    fn others<'a>(&self, told: &'a Told) -> Others<'a> {
        Others { device: self.device, told }
    }

    /// What own devices have said, in the inbox (`whole`) and in what waits here. Of no known size, were it not for the box: whoever reads it may come here.
    fn hear_own_devices(&self, whole: bool) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send + '_>> {
        Box::pin(async move {
            if whole {
                self.drain_inbox().await?;
            }
            self.retry_own_news().await
        })
    }

    /// Takes these entries, and the account key that they put in force. The keystore first: the entries that lead to its keys are found again
    /// ([`Self::catch_up_with_own_keys`]), a key that is lost is not.
    async fn take_with_account_key(&self, known: &VerifiedChain, longer: Longer, told: &Told) -> Result<(), Error> {
        let public = *longer.0.account_key();
        let until = longer.0.seq();
        if public == self.account_key().public() {
            self.take_own(known, longer).await?;
            self.store.run(move |tx| told::forget_seeds(tx, until)).await?;
            return self.store.forget().await;
        }
        let key = told.account_key(&public).ok_or_else(|| {
            Error::new(ErrorCode::OwnKeysChanged, "the own chain names an account key that was not handed over")
        })?;
        let (me, context) = (self.account, self.context());
        let mut secrets = self.secrets.lock().await;
        let mut replaced = secrets.clone();
        replaced.account_seed = *key.seed();
        self.keystore.write(&replaced).await?;
        *secrets = replaced;
        drop(secrets);
        let guard = self.keys_guard.write().await;
        self.take_own(known, longer).await?;
        *self.account_key.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
        self.store
            .run(move |tx| {
                told::forget_seeds(tx, until)?;
                follow::chain_grew(tx, &context, me)
            })
            .await?;
        drop(guard);
        self.store.forget().await?;
        self.outbox_wake.notify_one();
        Ok(())
    }

    /// Takes these entries into the own chain. One that was an alarm for as long as it was not here is none any more.
    pub(super) async fn take_own(&self, known: &VerifiedChain, (chain, fresh): Longer) -> Result<(), Error> {
        let (me, from, longer) = (self.account, known.seq().saturating_add(1), chain.clone());
        self.store
            .run(move |tx| {
                transparency::forget_alarms(tx, |seq, hash| seq >= from && longer.hash_at(seq) == Some(hash))?;
                keys::add_chain_entries(tx, me, from, &fresh)
            })
            .await?;
        self.chains.keep(Arc::new(chain));
        Ok(())
    }

    /// Takes what the relay has of the own chain up to the entry by which these are the keys of this device, and this is the account key, if it has one:
    /// this device has stated it, in another place or with other bytes than a copy of its files knows. False if there is none.
    pub(super) async fn take_stated(&self, record: &DeviceRecord, account_key: &[u8; 32]) -> Result<bool, Error> {
        if !self.has_other_devices().await? {
            // Nothing of this device's was ever stated anew.
            return Ok(false);
        }
        let (known, home) = (self.chain(self.account).await?, self.home.address().clone());
        // It may have been taken before, and what was to come after it not been done.
        let current = known.device(self.device).map(|device| &device.current().record);
        if current == Some(record) && known.account_key() == account_key {
            return Ok(true);
        }
        let newest = VerifiedChain::clone(&known);
        let (_, fresh) = self.relay(&home)?.chain(&self.account.to_string(), Some(newest)).await?;
        match own_entries(&known, &fresh, (self.device, record, account_key)) {
            Some(longer) => self.take_own(&known, longer).await.map(|()| true),
            None => Ok(false),
        }
    }

    /// Whether it is other own devices' rotations, and nothing else, that the relay shows in the place of an entry. Their log is not asked: where it is
    /// something else, a change is given up whatever the log says.
    async fn is_behind_others(&self, entry: &[u8]) -> Result<bool, Error> {
        if !self.has_other_devices().await? {
            return Ok(false);
        }
        // As far as that can be had, with what they say.
        if let Err(error) = self.take_from_own_devices(true).await {
            tracing::info!(%error, "what other own devices have stated cannot be had");
            if let Err(error) = self.hear_own_devices(true).await {
                tracing::info!(%error, "what own devices say cannot be had");
            }
        }
        let (entry, known) = (decoded(entry)?, self.chain(self.account).await?);
        let home = self.home.address().clone();
        let newest = VerifiedChain::clone(&known);
        let (_, fresh) = self.relay(&home)?.chain(&self.account.to_string(), Some(newest)).await?;
        let told = self.told().await?;
        let others = self.others(&told);
        let shown = others.entries(&known, &fresh)?;
        Ok(others.are_first(shown.as_ref().map_or(&known, |(chain, _)| chain), &entry))
    }

    /// Gives up what was begun and something else has overtaken, whatever the log says to that: others are to be shut out, and nothing waits for it. What
    /// this device has stated all the same stays.
    pub(super) async fn give_up_if_overtaken(&self) -> Result<(), Error> {
        if !self.has_other_devices().await? {
            return Ok(());
        }
        let overtaken = async |entry: &[u8]| match self.relay_has(entry).await {
            Err(error) if error.code() == ErrorCode::OwnKeysChanged => Ok(true),
            asked => asked.map(|_| false),
        };
        let secrets = self.secrets.lock().await.clone();
        let change = self.store.run(keys::account_change).await?.filter(|one| secrets.account_seed != *one.key.seed());
        if let Some(change) = change
            && overtaken(&change.entry).await?
            && !self.take_stated(self.keys().record(), &change.key.public()).await?
        {
            self.store.run(|tx| keys::end_account_change(tx, false)).await?;
        }
        let rotation = self.store.run(keys::rotation).await?.filter(|one| secrets.key_version < one.key_version);
        if let Some(rotation) = rotation
            && overtaken(&rotation.entry).await?
            && !self.take_stated(&self.record_of(&rotation)?, &self.account_key().public()).await?
        {
            self.store.run(move |tx| keys::drop_rotation(tx, &rotation)).await?;
        }
        self.store.forget().await
    }

    /// Where other own devices were first with the place that a rotation was to have: the same keys behind what they have stated. False if it is
    /// not they that stand in its way.
    pub(super) async fn restate_rotation(&self, rotation: &mut Rotation) -> Result<bool, Error> {
        if !self.is_behind_others(&rotation.entry).await? {
            return Ok(false);
        }
        self.take_from_own_devices(true).await?;
        let (chain, told) = (self.chain(self.account).await?, self.told().await?);
        let whose = (&*rotation, self.others(&told));
        let Some(entry) = rotation_anew(&chain, whose, &self.account_key(), self.now_ms())? else { return Ok(false) };
        rotation.entry.clone_from(&entry);
        self.store.run(move |tx| keys::set_rotation_entry(tx, &entry)).await?;
        Ok(true)
    }

    /// The same for a replacement of the account key: another one, where others than those who were told of this one are in the account by now. Not where
    /// it shuts the others out: what they have stated is no reason to wait for a log. Nor, behind anything but rotations, where it takes a device out:
    /// whoever that is may have brought in another one, and the user decides again.
    pub(super) async fn restate_account_change(&self, change: &mut AccountChange) -> Result<bool, Error> {
        if change.then_rotate || !self.is_behind_others(&change.entry).await? {
            return Ok(false);
        }
        self.take_from_own_devices(true).await?;
        let (chain, told) = (self.chain(self.account).await?, self.told().await?);
        let entry = decoded(&change.entry)?;
        let Statement::RotateAccountKey(stated) = &entry.unsigned.statement else { return Ok(false) };
        let from = usize::try_from(entry.unsigned.seq).unwrap_or(usize::MAX);
        let rotation = |event: &ChainEvent| matches!(event.what, What::DeviceKeysRotated(..));
        if !chain.events().get(from..).unwrap_or_default().iter().all(rotation) {
            if !stated.revoked.is_empty() {
                return Ok(false);
            }
            let fresh = self.another_account_key(&chain, &[], false)?;
            change.entry.clone_from(&fresh.entry);
            change.key = AccountKey::from_seed(fresh.key.seed());
            self.store
                .run(move |tx| {
                    keys::end_account_change(tx, false)?;
                    keys::begin_account_change(tx, &fresh)
                })
                .await?;
            return Ok(true);
        }
        let whose = (&*change, self.others(&told));
        let Some(entry) = account_change_anew(&chain, whose, &self.account_key(), self.now_ms())? else {
            return Ok(false);
        };
        change.entry.clone_from(&entry);
        self.store.run(move |tx| keys::set_account_change_entry(tx, &entry)).await?;
        Ok(true)
    }
}
