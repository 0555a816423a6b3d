//! `waxwing-cli`: the engine on a terminal, for servers, bots, demos and tests.
//!
//! It reads a command line, asks `waxwing-client`, and prints what comes back. Not here: anything the app could do and the
//! terminal could not; all of that is a method of the engine.

mod alarms;
mod arguments;
mod asked;
mod change;
mod clock;
mod command;
mod device_lines;
mod failure;
mod files;
mod history;
mod input;
mod key_lines;
mod lines;
mod log_lines;
mod notice;
mod outcome_lines;
mod output;
mod room;
mod secret_file;
mod session;
mod terminal;
mod who;
mod wording;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use tracing_subscriber::EnvFilter;

use arguments::Arguments;
use failure::Failure;
use output::Output;

/// Longest wait for background work at the end; everything that matters is on disk by then.
const LAST_WAIT: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    // Fails only if there is one already, and nothing ran before.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let arguments = Arguments::parse();
    log();
    let json = arguments.options.json;
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure::report(&failure, json, &mut io::stderr()),
    }
}

/// Logs to standard error, and only if asked to: the terminal is for messages.
fn log() {
    if let Ok(filter) = EnvFilter::try_from_env("WAXWING_LOG") {
        // Fails only if there is a subscriber already.
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).try_init();
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(Failure::Runtime)?;
    let mut output = Output::new(arguments.options.json, Box::new(io::stdout()));
    let result = runtime.block_on(command::run(arguments, &mut output));
    runtime.shutdown_timeout(LAST_WAIT);
    result
}
