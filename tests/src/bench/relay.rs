//! The relay as it is shipped, a process of its own, with every limit on (raised in its configuration): what it accepts durably, how fast that
//! reaches a reader, what idle connections cost, how soon it is back.
//!
//! | module | owns |
//! |---|---|
//! | `place` | where the relay's data is: a folder, a PostgreSQL |
//! | `people` | accounts in it: with a name, private, a stranger |
//! | `server` | the relay's process: logs made, entries filled in, started again |
//! | `http` | a connection that posts entries and asks |
//! | `websocket` | a connection that is told of them |
//! | `accepts` | closed loops: accepts, the full path |
//! | `deliver` | a steady rate, and one entry to many readers |
//! | `alike` | whether private and unknown accounts are told apart by the time of the answer |
//! | `idle` | connections that wait |
//! | `yardsticks` | the disk, and bare HTTP, in the same run |
//!
//! The load comes from this process and shares the cores with the relay; bare axum, measured the same way, says how much of that is HTTP.

mod accepts;
mod alike;
mod deliver;
mod http;
mod idle;
mod people;
mod place;
mod server;
mod websocket;
mod yardsticks;

use super::report::{Report, Target};

pub use idle::hold;
pub use place::Backend;
pub use yardsticks::serve_bare;

/// Measures everything on one storage.
pub fn run(backend: Backend) -> Report {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut report = Report::default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    report.heading(format!("Relay on {backend:?}, 1 KiB entries to 256 logs, HTTP on loopback"));
    let before = yardsticks::fsync();
    runtime.block_on(async {
        let bare = yardsticks::bare().await;
        report.value("bare_http_per_s", bare);
        report.note(format!("bare axum, the same requests, nothing stored, 64 connections: {bare:.0}/s"));
        let server = server::Server::start(backend, server::Protection::Plain).await;
        // Before the disk has anything else to do.
        alike::measure(&mut report, &server).await;
        accepts::measure(&mut report, &server, bare).await;
        deliver::measure(&mut report, &server, before.median_ms).await;
        server.stop();
    });
    idle::measure(&mut report, backend);
    runtime.block_on(server::restart(&mut report, backend));
    let after = yardsticks::fsync();
    report.value("fsync_median_ms", before.median_ms);
    report.value("fsync_per_s_before", before.per_s);
    report.value("fsync_per_s_after", after.per_s);
    report.note(format!(
        "the disk alone, 4 KiB appended and synced: {:.0}/s before, {:.0}/s after; median {:.3} ms",
        before.per_s, after.per_s, before.median_ms
    ));
    if backend == Backend::Sqlite {
        report.targets(&[
            ("accepts_per_s_64", Target::AtLeast(15_000.0)),
            ("accept_p99_ms_64", Target::AtMost(50.0)),
            ("full_path_per_s", Target::AtLeast(8000.0)),
            ("deliver_p50_over_target", Target::AtMost(1.0)),
            ("idle_bytes_per_connection", Target::AtMost(10.0 * 1024.0)),
            ("idle_tls_bytes_per_connection", Target::AtMost(40.0 * 1024.0)),
            ("ready_ms_1m", Target::AtMost(1000.0)),
        ]);
    }
    report
}

/// The `part` (0 to 1) of these, which are sorted here.
fn percentile(times: &mut [f64], part: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    let last = times.len().saturating_sub(1);
    times.get((last as f64 * part).round() as usize).copied().unwrap_or(f64::NAN)
}
