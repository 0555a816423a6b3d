//! Keys that everybody can check: what the transparency log costs the relay. The client's part stands beside it once there is one.

mod log;

use super::report::Report;

/// Measures everything.
pub fn run() -> Report {
    let mut report = Report::default();
    log::measure(&mut report);
    report
}
