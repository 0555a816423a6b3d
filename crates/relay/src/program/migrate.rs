//! `waxwing-relay migrate`: a stopped relay's database from SQLite to PostgreSQL.

use std::io;
use std::path::PathBuf;

use clap::Args;

use super::database::{BadAddress, DatabaseArgs};
use super::print;
use super::which::{Unknown, Which};
use crate::relay::stopped::migrate;
use crate::storage::MigrateError;

/// From where to where.
#[derive(Args)]
pub(super) struct Migrate {
    /// `sqlite`: the database in the stopped relay's data folder, which --data or the configuration names; `sqlite:DIR` names it here.
    #[arg(long, value_name = "sqlite[:DIR]", value_parser = source)]
    from: Source,
    /// `postgres`: at the address in the file that --database-url-file or the configuration names, or in WAXWING_RELAY_DATABASE_URL.
    #[arg(long, value_enum)]
    to: Target,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// Where the SQLite database is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    /// In the relay's data folder.
    Configured,
    /// In this folder.
    Folder(PathBuf),
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Target {
    Postgres,
}

/// Nothing was moved, or nobody can read that it was.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotMigrated {
    /// It is not known of which relay.
    #[error(transparent)]
    Which(#[from] Unknown),
    /// The address.
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// There is none.
    #[error(
        "PostgreSQL's address is needed: in the file of --database-url-file, here or in the configuration, or in WAXWING_RELAY_DATABASE_URL"
    )]
    NoAddress,
    /// The databases.
    #[error(transparent)]
    Databases(#[from] MigrateError),
    /// No threads.
    #[error("no threads could be started: {0}")]
    Runtime(#[source] io::Error),
    /// It was moved.
    #[error("everything was moved; standard output cannot be written: {0}")]
    Output(#[source] io::Error),
}

/// Moves, and says how much.
pub(super) fn run(given: Migrate) -> Result<(), NotMigrated> {
    let Target::Postgres = given.to;
    let configured = given.which.configuration()?;
    let from = match given.from {
        Source::Folder(folder) => folder,
        Source::Configured => given.which.data(configured.as_ref())?,
    };
    let to = given.database.or(configured.as_ref()).postgres()?.ok_or(NotMigrated::NoAddress)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(NotMigrated::Runtime)?;
    let moved = runtime.block_on(migrate(&from, &to))?;
    let rows: String = moved.tables.iter().map(|(table, rows)| format!("{rows:>12} {table}\n")).collect();
    print(&rows).map_err(NotMigrated::Output)
}

fn source(text: &str) -> Result<Source, &'static str> {
    match text.split_once(':') {
        None if text == "sqlite" => Ok(Source::Configured),
        Some(("sqlite", folder)) if !folder.is_empty() => Ok(Source::Folder(folder.into())),
        _ => Err("it is written sqlite, or sqlite:DIR"),
    }
}
