//! `waxwing-relay migrate`: a stopped relay's database from SQLite to PostgreSQL.

use std::io;
use std::path::PathBuf;

use clap::Args;

use super::database::{BadAddress, DatabaseArgs};
use super::print;
use crate::relay::stopped::migrate;
use crate::storage::MigrateError;

/// From where to where.
#[derive(Args)]
pub(super) struct Migrate {
    /// Data folder of the stopped relay.
    #[arg(long, value_name = "sqlite:DIR", value_parser = folder)]
    from: PathBuf,
    /// `postgres`: at the address in WAXWING_RELAY_DATABASE_URL, or in the file that --database-url-file names.
    #[arg(long, value_enum)]
    to: Target,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Target {
    Postgres,
}

/// Nothing was moved, or nobody can read that it was.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotMigrated {
    /// The address.
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// There is none.
    #[error("PostgreSQL's address is needed, in WAXWING_RELAY_DATABASE_URL or in the file of --database-url-file")]
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
    let to = given.database.postgres()?.ok_or(NotMigrated::NoAddress)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(NotMigrated::Runtime)?;
    let moved = runtime.block_on(migrate(&given.from, &to))?;
    let rows: String = moved.tables.iter().map(|(table, rows)| format!("{rows:>12} {table}\n")).collect();
    print(&rows).map_err(NotMigrated::Output)
}

fn folder(text: &str) -> Result<PathBuf, &'static str> {
    text.strip_prefix("sqlite:")
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from)
        .ok_or("it is written sqlite:DIR")
}
