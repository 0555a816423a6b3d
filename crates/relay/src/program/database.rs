//! Keys of the database and the bus. What may hold a password comes from the environment or from a file, never from the command
//! line, which everybody on the machine can read.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use zeroize::Zeroizing;

use super::layers::Loaded;
use crate::bus::{NatsConfig, NatsUrl};
use crate::config::{Config, Database};
use crate::storage::{CONNECTIONS, PostgresConfig, PostgresUrl, RETENTION_DAYS};

const DATABASE_URL: &str = "WAXWING_RELAY_DATABASE_URL";
const NATS_URL: &str = "WAXWING_RELAY_NATS_URL";
/// Variables that no flag stands for.
pub(super) const SECRET: [&str; 2] = [DATABASE_URL, NATS_URL];

/// An address that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadAddress {
    /// Its file cannot be read.
    #[error("{} cannot be read: {why}", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// A bus for one process.
    #[error("NATS is for several processes over one PostgreSQL; with SQLite there is one")]
    NatsWithoutPostgres,
}

/// How PostgreSQL is reached.
#[derive(Args)]
pub(super) struct DatabaseArgs {
    /// File with PostgreSQL's address: postgresql://USER:PASSWORD@HOST/DATABASE?sslmode=require. The address itself may stand in
    /// WAXWING_RELAY_DATABASE_URL instead. With neither, the database is one SQLite file in the data folder.
    #[arg(long, value_name = "FILE", env = "WAXWING_RELAY_DATABASE_URL_FILE")]
    database_url_file: Option<PathBuf>,
    /// Connections to PostgreSQL at a time, of this process.
    #[arg(long, value_name = "N", default_value_t = CONNECTIONS, env = "WAXWING_RELAY_DATABASE_CONNECTIONS")]
    database_connections: usize,
    /// Certificates that PostgreSQL's is checked with, PEM; by default those that the system trusts.
    #[arg(long, value_name = "FILE", env = "WAXWING_RELAY_DATABASE_CERTIFICATES")]
    database_certificates: Option<PathBuf>,
}

impl DatabaseArgs {
    /// The same, with what the configuration says where nothing is given here.
    pub(super) fn or(mut self, configuration: Option<&Loaded>) -> Self {
        let configured = |key: &str| configuration.and_then(|loaded| loaded.value(key)).map(PathBuf::from);
        self.database_url_file = self.database_url_file.or_else(|| configured("database-url-file"));
        self.database_certificates = self.database_certificates.or_else(|| configured("database-certificates"));
        self
    }

    /// PostgreSQL, if it is asked for. An error says what about it cannot be used.
    pub(super) fn postgres(self) -> Result<Option<PostgresConfig>, BadAddress> {
        let Some(url) = secret(DATABASE_URL, self.database_url_file.as_deref())? else { return Ok(None) };
        let mut config = PostgresConfig::new(PostgresUrl::new(url));
        config.connections = self.database_connections;
        config.root_certificates = self.database_certificates;
        Ok(Some(config))
    }
}

/// What processes of one relay share.
#[derive(Args)]
pub(super) struct SharedArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// File with the address of a NATS server, nats://HOST:PORT or tls://HOST:PORT, that carries wake-ups between processes of one relay. It may stand
    /// in WAXWING_RELAY_NATS_URL instead. Without it they ask the database.
    #[arg(long, value_name = "FILE")]
    nats_url_file: Option<PathBuf>,
    /// What the subject on NATS begins with: another one for each relay that uses the same server.
    #[arg(long, value_name = "PREFIX", default_value = "waxwing")]
    nats_prefix: String,
    /// Folder for the relay's keys, the same for all processes of one relay; by default the data folder.
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// Folder for blobs, the same for all processes of one relay: on a file system that they share, with locks (a local disk, NFS 4). By default it is
    /// within the data folder, which is for one process.
    #[arg(long, value_name = "DIR")]
    blobs: Option<PathBuf>,
    /// Days for which entries of logs and envelopes in inboxes are kept.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_500), default_value_t = RETENTION_DAYS)]
    retention_days: u32,
}

impl SharedArgs {
    /// Puts it into the configuration. An error says what about it cannot be used.
    pub(super) fn apply(self, config: &mut Config) -> Result<(), BadAddress> {
        if let Some(postgres) = self.database.postgres()? {
            config.database = Database::Postgres(postgres);
        }
        if let Some(url) = secret(NATS_URL, self.nats_url_file.as_deref())? {
            if config.database == Database::Sqlite {
                return Err(BadAddress::NatsWithoutPostgres);
            }
            let mut nats = NatsConfig::new(NatsUrl::new(url));
            nats.prefix = self.nats_prefix;
            config.nats = Some(nats);
        }
        config.keys = self.keys;
        config.blobs = self.blobs;
        config.retention_days = self.retention_days;
        Ok(())
    }
}

/// What stands in the file, or else in the environment.
fn secret(variable: &str, file: Option<&Path>) -> Result<Option<String>, BadAddress> {
    let Some(file) = file else { return Ok(std::env::var(variable).ok().filter(|url| !url.is_empty())) };
    let text = fs::read_to_string(file).map(Zeroizing::new);
    let text = text.map_err(|why| BadAddress::Unreadable { file: file.to_owned(), why: why.to_string() })?;
    Ok(Some(text.trim().to_owned()))
}
