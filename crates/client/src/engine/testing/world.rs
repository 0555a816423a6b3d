//! Everybody together, and the way to the end where everything is delivered.

use waxwing_wire::{AccountId, DeviceId};

use super::device::Device;
use super::dice::Dice;
use super::ledger::Outside;
use super::{Halt, Step};
use crate::error::ErrorCode;
use crate::store::logs::Trouble;
use crate::store::{logs, outbox};

pub(super) struct World {
    pub(super) outside: Outside,
    pub(super) devices: Vec<Device>,
    pub(super) dice: Dice,
}

const NAMES: [&str; 5] = ["ada", "bea", "cem", "dot", "eli"];
const HOUR_MS: u64 = 60 * 60 * 1000;

impl World {
    /// `people` registered accounts that all know each other.
    pub(super) fn new(seed: u64, people: usize) -> Self {
        let mut world = Self { outside: Outside::default(), devices: Vec::new(), dice: Dice::new(seed) };
        world.outside.now = 1_800_000_000_000;
        let more = (NAMES.len()..people).map(|number| format!("bird{number}"));
        for name in NAMES.map(str::to_owned).into_iter().chain(more).take(people) {
            let (account, device) =
                (AccountId::from_bytes(world.dice.bytes()), DeviceId::from_bytes(world.dice.bytes()));
            world.devices.push(Device::register(&mut world.outside.relay, &name, account, device));
        }
        let known: Vec<_> = world.devices.iter().map(|one| (one.name.clone(), one.account)).collect();
        let World { outside, devices, .. } = &mut world;
        for device in devices {
            device.refill_key_packages(outside).unwrap();
            let me = device.account;
            for (name, account) in known.iter().filter(|(_, account)| *account != me) {
                device.know(outside, name, *account).unwrap();
            }
        }
        world
    }

    pub(super) fn on<T>(&mut self, who: usize, act: impl FnOnce(&mut Device, &mut Outside) -> Step<T>) -> Option<T> {
        let Self { outside, devices, .. } = self;
        let device = &mut devices[who];
        let result = act(device, outside);
        if let Some(fell) = device.faults.fell.take() {
            outside.ledger.count(fell);
            outside.ledger.crashes += u64::from(fell.starts_with("crash"));
            outside.ledger.story.push(format!("{} {fell}", device.name));
        }
        device.faults = super::device::Faults::default();
        match result {
            Ok(value) => Some(value),
            Err(Halt::Crash) => {
                device.restart(outside);
                None
            }
            Err(Halt::Away) => None,
            Err(Halt::Trouble(error)) => {
                // Whoever has lost their place says nothing until they are let back in, and says so.
                let blind = |log: &logs::Log| matches!(log.trouble, Trouble::Behind | Trouble::RolledBack);
                let waits = device.look(|tx| Ok(logs::followed(tx)?.iter().any(blind)));
                let harmless = matches!(error.code(), ErrorCode::NoKeyPackage | ErrorCode::RelayMisbehaved)
                    || (error.code() == ErrorCode::RelayBusy && waits)
                    || (error.code() == ErrorCode::RelayWentBack && outside.relay.went_back)
                    || (error.code() == ErrorCode::LogFull && outside.relay.full.values().any(|all| *all))
                    || (error.code() == ErrorCode::RelayBusy && outside.ledger.restored.contains(&device.account));
                outside.ledger.story.push(format!("{} says '{error}'", device.name));
                assert!(harmless, "{}: {error}", device.name);
                None
            }
        }
    }

    /// Everything is delivered, everything that waits for its time is done.
    pub(super) fn settle(&mut self) {
        self.outside.relay.holds = false;
        self.outside.relay.page = 512;
        self.outside.relay.release();
        self.outside.relay.withheld.clear();
        for round in 0..60 {
            let before = self.fingerprint();
            for who in 0..self.devices.len() {
                if round == 0 {
                    let Self { outside, devices, .. } = self;
                    devices[who].restart(outside);
                }
                self.on(who, |device, outside| device.sync(outside));
            }
            // The updates of a scheduled rotation wait for up to a day.
            let later = self.outside.spreads && self.something_is_for_later();
            // Whoever waits to be let back in asks again after a day, and after another one begins anew.
            let waits = !self.outside.ledger.restored.is_empty();
            self.outside.now += if waits && round > 3 { 7 * HOUR_MS } else { HOUR_MS };
            // By then whatever waited for its time is due, too.
            if !later && round > (if waits { 16 } else { 3 }) && before == self.fingerprint() {
                return;
            }
        }
        panic!("it does not come to rest");
    }

    fn something_is_for_later(&mut self) -> bool {
        let now = self.outside.now;
        self.devices.iter_mut().any(|device| device.look(|tx| outbox::next_time(tx, now)).is_some())
    }

    fn fingerprint(&self) -> Vec<u64> {
        let mut heads: Vec<_> =
            self.outside.relay.logs.iter().map(|(id, log)| (*id, log.entries.len() as u64)).collect();
        heads.sort();
        heads.into_iter().map(|(_, head)| head).collect()
    }
}
