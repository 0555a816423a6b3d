//! What other devices of the own account have stated of their keys.
//!
//! Each device speaks for its own keys. A rotation of another one that was in force here before is therefore taken into the own chain, once the
//! relay's log has it; nothing else is: no further device, no other account key, no word about this device. Whoever holds the account key could
//! state keys for another device, too. That one finds an entry of itself that it has not made, and raises the alarm.
//!
//! Not here: own entries that an older database lacks (`chains`), what becomes of any other entry (`transparency::look`), how a device comes into
//! the account.

use std::sync::Arc;

use waxwing_protocol::{AccountKey, DeviceKeys, DeviceSeeds, statement};
use waxwing_wire::chain::{Statement, What};
use waxwing_wire::{ChainEntry, DeviceId, VerifiedChain};

use super::Engine;
use crate::error::{Error, ErrorCode};
use crate::store::keys::{self, AccountChange, Rotation};
use crate::store::transparency;

/// So often one change of this device is stated anew behind those of others before it waits for its next turn.
pub(super) const MOST_TURNS: u32 = 8;

/// A chain, and which of its entries are new.
type Longer = (VerifiedChain, Vec<Vec<u8>>);

/// Of entries that follow a chain, those at its beginning with which other devices that were in force there have replaced their keys.
pub(super) fn rotations_of_others(
    known: &VerifiedChain,
    fresh: &[Vec<u8>],
    device: DeviceId,
) -> Result<Option<Longer>, Error> {
    let (mut chain, mut taken) = (known.clone(), 0);
    for entry in fresh {
        let mut longer = chain.clone();
        longer.extend(entry)?;
        if !is_of_another(&longer, longer.seq(), device) {
            break;
        }
        (chain, taken) = (longer, taken + 1);
    }
    Ok((taken > 0).then(|| (chain, fresh[..taken].to_vec())))
}

/// Whether the entry at this place is another device's rotation.
fn is_of_another(chain: &VerifiedChain, seq: u32, device: DeviceId) -> bool {
    let event = usize::try_from(seq).ok().and_then(|seq| chain.events().get(seq));
    event.is_some_and(|event| matches!(event.what, What::DeviceKeysRotated(other, _) if other != device))
}

/// Whether all that stands in the own chain from the place of this entry on is other devices' rotations: they were first, and that is all.
fn is_overtaken(chain: &VerifiedChain, entry: &ChainEntry, device: DeviceId) -> bool {
    let from = entry.unsigned.seq;
    from <= chain.seq() && (from..=chain.seq()).all(|seq| is_of_another(chain, seq, device))
}

fn decoded(entry: &[u8]) -> Result<ChainEntry, Error> {
    ChainEntry::decode(entry).map_err(|error| Error::new(ErrorCode::Internal, error.to_string()))
}

/// The same new keys, stated behind what other devices have stated since; none where it is not they alone that stand in the way.
pub(super) fn rotation_anew(
    chain: &VerifiedChain,
    (rotation, device): (&Rotation, DeviceId),
    account_key: &AccountKey,
    now_ms: u64,
) -> Result<Option<Vec<u8>>, Error> {
    if !is_overtaken(chain, &decoded(&rotation.entry)?, device) {
        return Ok(None);
    }
    let seeds = DeviceSeeds::from_bytes(&rotation.seeds.to_bytes());
    let new = DeviceKeys::new(device, rotation.key_version, seeds)?;
    let entry = statement::rotate_device_keys(chain, account_key, &new, now_ms);
    VerifiedChain::clone(chain).extend(entry.as_bytes())?;
    Ok(Some(entry.as_bytes().to_vec()))
}

/// The same for another account key, and whom it revokes.
fn account_change_anew(
    chain: &VerifiedChain,
    (change, device): (&AccountChange, DeviceId),
    account_key: &AccountKey,
    now_ms: u64,
) -> Result<Option<Vec<u8>>, Error> {
    let entry = decoded(&change.entry)?;
    let Statement::RotateAccountKey(stated) = &entry.unsigned.statement else { return Ok(None) };
    if !is_overtaken(chain, &entry, device) {
        return Ok(None);
    }
    let entry = statement::rotate_account_key(chain, account_key, &change.key, &stated.revoked, now_ms);
    VerifiedChain::clone(chain).extend(entry.as_bytes())?;
    Ok(Some(entry.as_bytes().to_vec()))
}

impl Engine {
    /// The own chain with what other own devices have stated. While a change of this device is under way that is left to whoever states it.
    pub(super) async fn follow_own_devices(&self) -> Result<Arc<VerifiedChain>, Error> {
        if self.has_other_devices().await? {
            // Nobody but whoever holds this adds to the own chain.
            if let Ok(_rotating) = self.rotating.try_lock() {
                self.take_from_own_devices().await?;
            }
        }
        self.chain(self.account).await
    }

    async fn has_other_devices(&self) -> Result<bool, Error> {
        Ok(self.chain(self.account).await?.devices().any(|device| device.id() != self.device))
    }

    /// Takes what other own devices have stated, as far as the relay's log has it. To be called with `rotating` held.
    async fn take_from_own_devices(&self) -> Result<(), Error> {
        let known = self.chain(self.account).await?;
        let home = self.home.address().clone();
        // Judged with all that the relay shows: what of it is not taken must stand in the log as well, or it is no chain to go by.
        let (_, fresh) = self.fetch_chain(&home, &self.account.to_string(), Some(&known)).await?;
        let Some((chain, fresh)) = rotations_of_others(&known, &fresh, self.device)? else { return Ok(()) };
        let (me, from, longer) = (self.account, known.seq().saturating_add(1), chain.clone());
        self.store
            .run(move |tx| {
                // The log may have shown it before the relay did.
                transparency::forget_alarms(tx, |seq, hash| seq >= from && longer.hash_at(seq) == Some(hash))?;
                keys::add_chain_entries(tx, me, from, &fresh)
            })
            .await?;
        self.chains.keep(Arc::new(chain));
        tracing::info!("another own device has replaced its keys");
        self.tell_keys().await?;
        self.tell_log(&home.authority()).await;
        Ok(())
    }

    /// Where other own devices were first with the place that a rotation was to have: the same keys behind what they have stated. False if it is
    /// not they that stand in its way.
    pub(super) async fn restate_rotation(&self, rotation: &mut Rotation) -> Result<bool, Error> {
        if !self.has_other_devices().await? {
            return Ok(false);
        }
        self.take_from_own_devices().await?;
        let chain = self.chain(self.account).await?;
        let whose = (&*rotation, self.device);
        let Some(entry) = rotation_anew(&chain, whose, &self.account_key(), self.now_ms())? else { return Ok(false) };
        rotation.entry.clone_from(&entry);
        self.store.run(move |tx| keys::set_rotation_entry(tx, &entry)).await?;
        Ok(true)
    }

    /// The same for a replacement of the account key.
    pub(super) async fn restate_account_change(&self, change: &mut AccountChange) -> Result<bool, Error> {
        if !self.has_other_devices().await? {
            return Ok(false);
        }
        self.take_from_own_devices().await?;
        let chain = self.chain(self.account).await?;
        let whose = (&*change, self.device);
        let Some(entry) = account_change_anew(&chain, whose, &self.account_key(), self.now_ms())? else {
            return Ok(false);
        };
        change.entry.clone_from(&entry);
        self.store.run(move |tx| keys::set_account_change_entry(tx, &entry)).await?;
        Ok(true)
    }
}
