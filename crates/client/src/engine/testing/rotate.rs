//! `keys::{begin_rotation, advance_rotation, finish_rotation, finish_stored_rotation}` and `packages::refill_key_packages`.

use std::sync::Arc;

use waxwing_protocol::{AccountKey, DeviceKeys, DeviceSeeds, statement};
use waxwing_wire::VerifiedChain;

use super::super::keys::Cause;
use super::super::packages::{self, Stock};
use super::super::{not_found, rotation as turns};
use super::Step;
use super::device::{Device, refused};
use super::ledger::Outside;
use crate::error::{Error, ErrorCode};
use crate::random;
use crate::store::keys::Rotation;
use crate::store::rotation::Last;
use crate::store::{account, keys, rotation as schedule};

/// Fewer than the engine's, for speed.
const FEWER: Stock = Stock { full: 3, few: 2 };

impl Device {
    pub(super) fn begin_rotation(&mut self, outside: &Outside) -> Step<()> {
        let chain = self.look(|tx| keys::chain(tx, self_account(tx)?)).ok_or_else(|| not_found("no own chain"))?;
        let (current, now) = (Arc::clone(&self.keys), outside.now);
        let seeds = DeviceSeeds::generate(&mut random::rng());
        let bytes = seeds.to_bytes();
        let version = current.key_version() + 1;
        let new = DeviceKeys::new(self.device, version, seeds).map_err(Error::from)?;
        let account_key = AccountKey::from_seed(&self.kept.account_seed);
        let entry = statement::rotate_device_keys(&chain, &account_key, &new, now);
        let rotation = Rotation {
            key_version: version,
            seeds: DeviceSeeds::from_bytes(&bytes),
            entry: entry.as_bytes().to_vec(),
            scheduled: outside.spreads,
        };
        self.tx(|tx| match keys::rotation(tx)? {
            Some(_) => Ok(()),
            None => {
                keys::keep_device_keys(tx, current.leaf(), now)?;
                keys::begin_rotation(tx, &rotation, current.sealing(), now)
            }
        })?;
        self.renew_opening();
        Ok(())
    }

    pub(super) fn resume_rotation(&mut self, outside: &mut Outside) -> Step<()> {
        let Some(rotation) = self.look(keys::rotation) else { return Ok(()) };
        if self.kept.key_version < rotation.key_version {
            let account = self.account;
            let known = self.look(|tx| keys::chain(tx, account));
            let (_, _, fresh) = self.fetch_chain(outside, account, known)?;
            match fresh.as_slice() {
                [] => self
                    .ask(&mut outside.relay, |relay| relay.append_chain(account, &rotation.entry))?
                    .map_err(refused)?,
                [entry] if *entry == rotation.entry => {}
                _ => return Err(Error::new(ErrorCode::ChainBroken, "another entry in the own chain").into()),
            }
            self.kept.key_version = rotation.key_version;
            self.kept.seeds = *rotation.seeds.to_bytes();
        }
        self.finish_rotation(outside, rotation)
    }

    pub(super) fn finish_stored_rotation(&mut self, outside: &mut Outside) -> Step<()> {
        match self.look(keys::rotation) {
            Some(rotation) if self.kept.key_version >= rotation.key_version => self.finish_rotation(outside, rotation),
            _ => Ok(()),
        }
    }

    fn finish_rotation(&mut self, outside: &Outside, rotation: Rotation) -> Step<()> {
        let (me, now, version) = (self.account, outside.now, rotation.key_version);
        let mut chain: VerifiedChain = self.look(|tx| keys::chain(tx, me)).ok_or_else(|| not_found("no own chain"))?;
        if chain.device(self.device).is_none_or(|device| device.version(version).is_none()) {
            chain.extend(&rotation.entry).map_err(Error::from)?;
        }
        let new = Arc::new(DeviceKeys::new(self.device, version, rotation.seeds).map_err(Error::from)?);
        let (seq, entry, scheduled) = (chain.seq(), rotation.entry, rotation.scheduled);
        self.tx(|tx| {
            account::require(tx)?;
            keys::add_chain_entries(tx, me, seq, std::slice::from_ref(&entry))?;
            keys::end_rotation(tx)?;
            keys::retire(tx, version - 1, now)?;
            let cause = if scheduled { Cause::Schedule } else { Cause::ByHand };
            turns::queue_updates(tx, cause, Some(now))?;
            schedule::set_last(tx, &Last { version, at_ms: now, scheduled })?;
            schedule::set_since(tx, version, now)
        })?;
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
