//! The program `waxwing-relay`: its commands, its signals, and the lines on standard output.
//!
//! Not here: what the keys of the configuration are (`settings`), how file, environment and flags go together (`layers`).

mod admin;
mod database;
mod descriptors;
mod init;
mod layers;
mod migrate;
mod restore;
mod serve;
mod settings;
mod which;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::LazyLock;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::sqlite_version;
use layers::{BadConfig, Loaded};
use settings::Settings;

static VERSION: LazyLock<String> =
    LazyLock::new(|| format!("{} (SQLite {})", env!("CARGO_PKG_VERSION"), sqlite_version()));

/// The Waxwing relay: stores ciphertext, chains and inboxes for people who chat.
#[derive(Parser)]
#[command(name = "waxwing-relay", version = VERSION.as_str())]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run until SIGTERM or SIGINT. Prints one line when ready, with a self-signed certificate a second one with its SHA-256, and with an
    /// operator's listener a last one with its address.
    #[command(after_help = LAYERS)]
    Serve(Box<Serve>),
    /// Write a configuration file that works, and make the relay's keys.
    Init(init::Init),
    /// Make a data folder out of a backup, or have a PostgreSQL database that was put back go on, while no relay runs on it.
    Restore(restore::Restore),
    /// Move a stopped relay's database from SQLite into an empty PostgreSQL database: all of it, or nothing. The keys stay where they are.
    Migrate(migrate::Migrate),
    /// Ask a running relay, on the same computer and as its user. `admin restore` is `restore`.
    Admin(admin::Admin),
    /// Print a configuration file with every key, its meaning and its default.
    Example,
}

const LAYERS: &str = "Every option can also be a key of the configuration file (`rate-token = \"600/600\"`) or an environment variable \
(`WAXWING_RELAY_RATE_TOKEN`). A flag wins over the environment, the environment over the file. An unknown key or a bad value keeps the \
relay from starting. No file is read unless --config or WAXWING_RELAY_CONFIG names it.";

#[derive(Args)]
struct Serve {
    /// Configuration file, TOML.
    #[arg(long, value_name = "FILE", env = "WAXWING_RELAY_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

/// What the binary does, with this process's arguments and environment.
#[must_use]
pub fn main() -> ExitCode {
    // First of all: with two providers compiled in, rustls would not know which to take.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return fail("the TLS provider could not be installed");
    }
    let cli = match parse(std::env::args_os().collect()) {
        Ok(cli) => cli,
        Err(NotRun::Usage(error)) => error.exit(),
        Err(NotRun::Config(error)) => return fail(&error.to_string()),
    };
    match cli.command {
        Command::Serve(serve) => serve::run(serve.settings),
        Command::Init(init) => done(init::run(&init)),
        Command::Admin(admin) => done(admin::run(admin)),
        Command::Restore(given) => done(restore::run(given)),
        Command::Migrate(given) => done(migrate::run(given)),
        Command::Example => done(print(&settings::example(&[]))),
    }
}

enum NotRun {
    Usage(clap::Error),
    Config(BadConfig),
}

impl From<clap::Error> for NotRun {
    fn from(error: clap::Error) -> Self {
        Self::Usage(error)
    }
}

/// The command line; for `serve` with what the configuration file adds.
fn parse(arguments: Vec<OsString>) -> Result<Cli, NotRun> {
    let mut command = Cli::command().mut_subcommand("serve", |serve| serve.mut_args(layers::with_variable));
    let matches = layers::lenient(command.clone()).try_get_matches_from(&arguments)?;
    let mut arguments = arguments;
    if let Some(("serve", serve)) = matches.subcommand() {
        layers::check_variables(std::env::vars_os()).map_err(NotRun::Config)?;
        if let Some(file) = serve.get_one::<PathBuf>("config") {
            let loaded = Loaded::read(file).map_err(NotRun::Config)?;
            arguments.extend(loaded.arguments(serve));
        }
    }
    let matches = command.try_get_matches_from_mut(arguments)?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command).into())
}

fn done<E: std::fmt::Display>(outcome: Result<(), E>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush())
}

fn fail(why: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "waxwing-relay: {why}");
    ExitCode::FAILURE
}
