//! The cryptography: what the project does, beside the primitives that it cannot do without, in one run.
//!
//! A ratio is a figure divided by the sum of its primitives, each measured here by itself; what is above 1 is what the project and
//! its libraries add: encoding, copying, allocation, locking, randomness.

mod backlog;
mod commits;
mod envelope;
mod mls;
mod peers;
mod primitives;

use waxwing_protocol::{DeviceKeys, DeviceSeeds, LeafIdentity};
use waxwing_wire::{AccountId, DeviceId};

use super::measure::measure_plain;
use super::report::{Report, Target, Unit};

/// The generator of all that is not measured by itself.
fn rng() -> rand_core::UnwrapErr<getrandom::SysRng> {
    rand_core::UnwrapErr(getrandom::SysRng)
}

/// A device of an account of its own.
struct Device {
    account: AccountId,
    keys: DeviceKeys,
}

impl Device {
    fn new(number: u8) -> Self {
        let keys = DeviceKeys::new(DeviceId::from_bytes([number; 16]), 1, DeviceSeeds::generate(&mut rng())).unwrap();
        Self { account: AccountId::from_bytes([number; 16]), keys }
    }

    fn leaf(&self) -> LeafIdentity {
        LeafIdentity::of(self.account, self.keys.record())
    }
}

/// Measures everything.
pub fn run() -> Report {
    let mut report = Report::default();
    let before = primitives::yardstick();
    let primitives = primitives::measure(&mut report);
    envelope::measure(&mut report, &primitives);
    mls::measure(&mut report, &primitives);
    report.heading("Keys");
    let keygen =
        measure_plain(|| DeviceKeys::new(DeviceId::from_bytes([1; 16]), 1, DeviceSeeds::generate(&mut rng())).unwrap());
    report.add("device_keygen", "all keys of a device", Unit::Us, keygen);
    peers::measure(&mut report);
    commits::measure(&mut report);
    backlog::measure(&mut report);
    report.targets(&[
        ("seal_over_primitives", Target::AtMost(1.25)),
        ("open_over_primitives", Target::AtMost(1.25)),
        ("receive_path_per_s", Target::AtLeast(3000.0)),
    ]);
    // The same thing at the start and at the end: how far the machine itself moved meanwhile.
    let drift = primitives::yardstick().us / before.us - 1.0;
    report.value("drift_pct", drift * 100.0);
    report.note(format!("the machine from start to end: {:+.1}%", drift * 100.0));
    report
}
