//! Keys that everybody can check: what the transparency log costs the relay and a client, and a rotation everywhere.

mod client;
mod log;

use super::report::{Report, Target};

/// Measures everything.
pub fn run() -> Report {
    let mut report = Report::default();
    log::measure(&mut report);
    client::measure(&mut report);
    report.targets(&[
        ("rotate_50_conversations_s", Target::AtMost(5.0)),
        // What a person does not notice.
        ("rotate_longest_wait_ms", Target::AtMost(100.0)),
        // A thousand times the leaves are twice the levels of the tree.
        ("append_growth", Target::AtMost(2.0)),
        ("proof_us", Target::AtMost(1000.0)),
        ("leaves_stream_s", Target::AtMost(10.0)),
    ]);
    report
}
