//! `keys::{begin_rotation, advance_rotation, finish_rotation, finish_stored_rotation}` and `packages::refill_key_packages`, with the engine's own
//! steps; between them what the engine asks its relay and its keystore.

use std::sync::Arc;

use waxwing_protocol::{AccountKey, DeviceKeys};
use waxwing_wire::ChainEntry;

use super::super::keys::{self as steps, Cause};
use super::super::packages::{self, Stock};
use super::super::{not_found, own_devices};
use super::Step;
use super::device::{Device, refused};
use super::ledger::Outside;
use crate::error::{Error, ErrorCode};
use crate::store::keys::Rotation;
use crate::store::own_entries::Told;
use crate::store::rotation::Last;
use crate::store::{account, keys};

/// Fewer than the engine's, for speed.
const FEWER: Stock = Stock { full: 3, few: 2 };

impl Device {
    pub(super) fn begin_rotation(&mut self, outside: &Outside) -> Step<()> {
        let chain = self.look(|tx| keys::chain(tx, self_account(tx)?)).ok_or_else(|| not_found("no own chain"))?;
        let (current, now) = (Arc::clone(&self.keys), outside.now);
        let account_key = AccountKey::from_seed(&self.kept.account_seed);
        let cause = if outside.spreads { Cause::Schedule } else { Cause::ByHand };
        let rotation = steps::new_keys(&chain, &account_key, &current, cause, now)?;
        self.tx(|tx| steps::begin(tx, &rotation, &current, now))?;
        self.renew_opening();
        Ok(())
    }

    pub(super) fn resume_rotation(&mut self, outside: &mut Outside) -> Step<()> {
        let Some(rotation) = self.look(keys::rotation) else { return Ok(()) };
        if self.kept.key_version < rotation.key_version {
            let account = self.account;
            let known = self.look(|tx| keys::chain(tx, account));
            let place = ChainEntry::decode(&rotation.entry).unwrap().unsigned.seq;
            let taken = known.as_ref().is_some_and(|known| known.hash_at(place).is_some());
            let (_, _, fresh) = self.fetch_chain(outside, account, known)?;
            match fresh.as_slice() {
                [] if !taken => self
                    .ask(&mut outside.relay, |relay| relay.append_chain(account, &rotation.entry))?
                    .map_err(refused)?,
                [entry, ..] if *entry == rotation.entry => {}
                _ => {
                    self.restate_rotation(outside, &rotation)?;
                    return self.resume_rotation(outside);
                }
            }
            self.kept.key_version = rotation.key_version;
            self.kept.seeds = *rotation.seeds.to_bytes();
        }
        self.finish_rotation(outside, rotation)
    }

    /// Another device of the account was first.
    fn restate_rotation(&mut self, outside: &mut Outside, rotation: &Rotation) -> Step<()> {
        let chain = self.refresh_chain(outside, self.account)?;
        let told = Told::of(&outside.relay.chain(self.account, 0).map_err(refused)?);
        let whose = (rotation, own_devices::Others { device: self.device, told: &told });
        let account_key = AccountKey::from_seed(&self.kept.account_seed);
        let anew = own_devices::rotation_anew(&chain, whose, &account_key, outside.now)?;
        let anew = anew.ok_or_else(|| Error::new(ErrorCode::ChainBroken, "another entry in the own chain"))?;
        self.tx(|tx| keys::set_rotation_entry(tx, &anew))
    }

    pub(super) fn finish_stored_rotation(&mut self, outside: &mut Outside) -> Step<()> {
        match self.look(keys::rotation) {
            Some(rotation) if self.kept.key_version == rotation.key_version => self.finish_rotation(outside, rotation),
            _ => Ok(()),
        }
    }

    fn finish_rotation(&mut self, outside: &Outside, rotation: Rotation) -> Step<()> {
        let (me, now) = (self.account, outside.now);
        let chain = self.look(|tx| keys::chain(tx, me)).ok_or_else(|| not_found("no own chain"))?;
        let chain = steps::with_entry(chain, self.device, &rotation)?;
        let last = Last { version: rotation.key_version, at_ms: now, scheduled: rotation.scheduled };
        let new = Arc::new(DeviceKeys::new(self.device, last.version, rotation.seeds).map_err(Error::from)?);
        let (seq, entry) = (chain.seq(), rotation.entry);
        self.tx(|tx| steps::complete(tx, (me, seq, Some(entry.as_slice())), &last, Some(now)))?;
        self.keys = new;
        self.chains.keep(Arc::new(chain));
        self.renew_opening();
        Ok(())
    }

    pub(super) fn refill_key_packages(&mut self, outside: &mut Outside) -> Step<()> {
        self.stock_up(outside, FEWER)
    }

    /// With as many as the engine has there, or fewer.
    pub(super) fn stock_up(&mut self, outside: &mut Outside, stock: Stock) -> Step<()> {
        let (device, version, now) = (self.device, self.keys.key_version(), outside.now);
        let at_relay = outside.relay.count(device);
        let replace = self.look(|tx| packages::are_stale(tx, version, now));
        let Some(count) = (if replace { Some(stock.full) } else { stock.missing(at_relay) }) else { return Ok(()) };
        let context = self.context(now);
        let (upload, _) = self.tx(|tx| packages::make(tx, &context, replace, count))?;
        self.ask(&mut outside.relay, |relay| relay.upload(device, upload))?.map_err(refused)?;
        if replace {
            self.tx(|tx| account::set_packages(tx, version, now))?;
        }
        Ok(())
    }
}

fn self_account(tx: &rusqlite::Transaction<'_>) -> Result<waxwing_wire::AccountId, Error> {
    Ok(account::require(tx)?.account)
}
