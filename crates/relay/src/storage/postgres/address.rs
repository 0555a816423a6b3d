//! PostgreSQL's address. It may hold a password: it is never printed, and forgotten with the value.

use std::fmt;
use std::path::PathBuf;

use zeroize::Zeroizing;

/// Connections at a time, where nobody says otherwise. PostgreSQL's own default lets 100 in, of all processes together.
pub const CONNECTIONS: usize = 16;

/// How PostgreSQL is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresConfig {
    /// Where, and as whom.
    pub url: PostgresUrl,
    /// Connections of this process at a time; at least 6.
    pub connections: usize,
    /// Certificates (PEM) that the server's is checked with, instead of the system's. Only for `sslmode=require`.
    pub root_certificates: Option<PathBuf>,
}

impl PostgresConfig {
    /// With the usual number of connections.
    #[must_use]
    pub fn new(url: PostgresUrl) -> Self {
        Self { url, connections: CONNECTIONS, root_certificates: None }
    }
}

/// `postgresql://USER:PASSWORD@HOST/DATABASE`, or `key=value` pairs (libpq's manual, section 34.1.1).
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(Zeroizing<String>);

impl PostgresUrl {
    /// Whether it can be read shows when it is used.
    #[must_use]
    pub fn new(url: String) -> Self {
        Self(Zeroizing::new(url))
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
