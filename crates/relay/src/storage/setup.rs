//! What a backend is opened with, and why it does not open.

use std::sync::Arc;

use waxwing_wire::transparency::Checkpoint;

use crate::clock::Clock;
use crate::config::Quotas;
use crate::hub::Wake;
use crate::log_signer::LogSigner;

/// Told of everything stored, in the order of the commits. Must not wait.
pub type WakeListener = Arc<dyn Fn(&Wake) + Send + Sync>;

/// Days for which entries and envelopes are kept, where nobody says otherwise.
pub const RETENTION_DAYS: u32 = 30;

/// What a backend is opened with.
pub struct Setup {
    /// Stored bytes.
    pub quotas: Quotas,
    /// Days for which entries and envelopes are kept.
    pub retention_days: u32,
    /// Signs the transparency log.
    pub signer: LogSigner,
    /// Told of what is stored.
    pub wake: WakeListener,
    /// The time.
    pub clock: Clock,
    /// The log's newest checkpoint that is known from elsewhere: a database whose log is older does not open.
    pub newest: Option<Checkpoint>,
}

impl Setup {
    /// With the usual quotas and retention, and the system's time.
    #[must_use]
    pub fn new(signer: LogSigner, wake: WakeListener) -> Self {
        let (quotas, retention_days, clock) = (Quotas::default(), RETENTION_DAYS, Clock::system());
        Self { quotas, retention_days, signer, wake, clock, newest: None }
    }
}

/// The database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The linked SQLite can lose commits.
    #[error("this program is linked with SQLite {0}, which can lose accepted messages; it needs 3.51.3 or newer")]
    OldSqlite(&'static str),
    /// The file cannot be opened.
    #[error("the database cannot be opened: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The file cannot be made, or a thread cannot be started.
    #[error("the database cannot be opened: {0}")]
    Io(#[from] std::io::Error),
    /// A newer program wrote it.
    #[error("the database was written by a newer waxwing-relay (schema {0}); start that version")]
    TooNew(i64),
    /// WAL mode is not to be had there (a network file system).
    #[error("the database's folder is on a file system without write-ahead logs; use a local disk")]
    NoWal,
    /// The transparency log is of another relay, or its key was lost.
    #[error(
        "the database's transparency log was signed under another key or address than this relay's; restore log-key.json, and start with the `--audience` that accounts were made for"
    )]
    OtherLog,
    /// Leaves, nodes or checkpoint of the transparency log do not belong together.
    #[error("the database's transparency log is damaged; restore the data folder from a backup")]
    DamagedLog,
    /// It was put back from a backup.
    #[error(
        "the database is older than what this relay has shown to clients: it was put back from a backup. Run `waxwing-relay restore` (docs/self-hosting.md, Backup and restore), or put the newest one back"
    )]
    WentBack,
    /// The hash of a name needs 19 MiB for a moment.
    #[error("a user name could not be hashed for the transparency log: out of memory")]
    NameHash,
    /// PostgreSQL's address cannot be read. What it holds may be a password, so nothing of it is repeated.
    #[error(
        "the PostgreSQL address cannot be read; it is written postgresql://USER:PASSWORD@HOST/DATABASE?sslmode=require"
    )]
    PostgresUrl,
    /// A password would cross a network in the open.
    #[error(
        "PostgreSQL would be reached over a network without TLS; add sslmode=require to its address, or use a socket or a loopback address"
    )]
    PostgresInTheOpen,
    /// The trusted certificates cannot be read.
    #[error("the certificates that PostgreSQL's is checked with cannot be used: {0}")]
    PostgresTls(String),
    /// PostgreSQL does not answer, or lets nobody in.
    #[error("PostgreSQL cannot be used: {0}")]
    Postgres(PostgresTrouble),
    /// The server is too old.
    #[error("PostgreSQL {0} is too old: waxwing-relay needs version 13 or newer")]
    OldPostgres(String),
    /// With this setting off, a power loss takes away what was answered 201.
    #[error(
        "PostgreSQL's `{setting}` is off, so accepted messages could be lost; as its superuser, run: ALTER SYSTEM SET {setting} = on; SELECT pg_reload_conf(); and look for a setting of the database or the user that says otherwise"
    )]
    NotDurable {
        /// `fsync`, `full_page_writes` or `synchronous_commit`.
        setting: &'static str,
    },
}

/// Why PostgreSQL cannot be used, without anything that could be secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PostgresTrouble {
    /// Nobody answers at its address, or TLS fails.
    #[error("it cannot be reached")]
    Unreachable,
    /// It has answered with this error (SQLSTATE, PostgreSQL's manual, appendix A).
    #[error("it answered error {0}")]
    Refused(String),
    /// It took too long.
    #[error("it did not answer in time")]
    Late,
}
