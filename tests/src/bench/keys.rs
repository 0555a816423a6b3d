//! Keys that everybody can check: what the transparency log costs the relay and a client, and a rotation everywhere.

mod client;
mod log;

use super::report::Report;

/// Measures everything.
pub fn run() -> Report {
    let mut report = Report::default();
    log::measure(&mut report);
    client::measure(&mut report);
    report
}
