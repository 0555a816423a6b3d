//! `waxwing-relay serve`: from settings to a running relay, until a signal.

use std::io::Write as _;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use super::settings::Settings;
use super::{descriptors, fail};
use crate::config::Config;
use crate::relay::{Relay, start};

/// For work on other threads to end, after the relay has stopped.
const LAST_WORK: std::time::Duration = std::time::Duration::from_secs(2);

/// Runs until SIGTERM or SIGINT.
pub(super) fn run(settings: Settings) -> ExitCode {
    let Ok(filter) = settings.log.parse::<tracing_subscriber::EnvFilter>() else {
        return fail("the filter `log` cannot be read");
    };
    let config = match settings.config() {
        Ok(config) => config,
        Err(conflict) => return fail(&conflict.to_string()),
    };
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("no threads could be started: {error}")),
    };
    let code = runtime.block_on(serve(config));
    // What waits for a disk on a thread of its own (a backup, a blob) holds up no stop: everything that was answered is on disk by now.
    runtime.shutdown_timeout(LAST_WORK);
    code
}

async fn serve(mut config: Config) -> ExitCode {
    // Before the ready line: whoever has read it may send signals.
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return fail("signals cannot be received");
    };
    // Where connections could take all descriptors, nothing else that needs one would go on: no new certificate, no blob, no backup.
    let (limit, wanted) = (descriptors::raise(), config.limits.connections);
    let connections = descriptors::connections(wanted, limit);
    config.limits.connections = connections;
    let relay = match start(config).await {
        Ok(relay) => relay,
        Err(error) => return fail(&error.to_string()),
    };
    if let Some(limit) = limit.filter(|_| connections < wanted) {
        tracing::warn!(
            "this process may have {limit} files open, so it takes {connections} connections at a time and not {wanted} (max-connections); \
             raise the hard limit (LimitNOFILE in the systemd unit, ulimit -Hn) to {wanted} and 256 more, and with many blobs to twice that, or set max-connections to less"
        );
    }
    announce(&relay);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    relay.stop().await;
    ExitCode::SUCCESS
}

/// The lines that scripts read. `serve` writes nothing else to standard output.
fn announce(relay: &Relay) {
    let mut lines = format!("waxwing-relay {} listening on {}\n", env!("CARGO_PKG_VERSION"), relay.base_url());
    if let Some(pin) = relay.pin() {
        lines.push_str(&format!("certificate sha256 {}\n", waxwing_wire::ids::to_hex(&pin)));
    }
    if let Some(operator) = relay.operator_addr() {
        lines.push_str(&format!("operator http://{operator}\n"));
    }
    let mut out = std::io::stdout().lock();
    // Nobody may be reading; that is no reason not to run.
    let _ = out.write_all(lines.as_bytes()).and_then(|()| out.flush());
}
