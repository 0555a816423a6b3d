//! The desktop shell: one window, typed commands and events around the engine (`waxwing_client`). No logic of its own.
//!
//! | module | owns |
//! |---|---|
//! | `options` | the command line |
//! | `graphics` | starting again with WebKit's software path where its other one shows blank windows |
//! | `app` | putting it together: plugins, window, background start, graceful end |
//! | `window`, `bounds` | the window, what it may not do, and where it was |
//! | `shell`, `phase` | which state the app is in, and every change between states |
//! | `pending_link` | this device while it is being linked to an account |
//! | `commands` | what the window may ask; each delegates |
//! | `dto`, `events` | what crosses the bridge beside the engine's own views |
//! | `bridge` | commands and events as one typed list, exported to `ui/src/lib/backend/bindings.ts` |
//!
//! Not here: keys, storage, network (the engine), and words (the user interface).

mod app;
mod bounds;
mod bridge;
mod commands;
mod dto;
mod events;
mod graphics;
mod links;
mod opening;
mod options;
mod pending_link;
mod phase;
mod shell;
mod window;

#[cfg(test)]
mod shipped;

use std::process::ExitCode;

use clap::Parser;

use crate::options::Options;

/// Runs the desktop program until its window is closed.
pub fn main() -> ExitCode {
    let options = Options::parse();
    graphics::start_again_if_needed();
    // Before anything can open a connection: rustls has no provider of its own choice here.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        eprintln!("waxwing: another TLS provider was installed first; this is a fault of this program.");
        return ExitCode::FAILURE;
    }
    start_log();
    match app::run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("waxwing: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Warnings to standard error; `WAXWING_LOG` asks for more. The engine logs no secret and no text of messages.
fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("WAXWING_LOG").unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
