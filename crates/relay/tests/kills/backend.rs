//! Where the relay under test keeps what it keeps. One implementation for each storage.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use crate::cluster::Cluster;

/// A storage, from the first start of a relay on it to the end of the test.
pub trait Backend {
    /// Folder of the relay: keys, and whatever else it keeps there.
    fn folder(&self) -> &Path;
    /// What `waxwing-relay serve` needs beside `--data` to use this storage.
    fn arguments(&self) -> Vec<String>;
}

/// The embedded storage, in a folder of its own.
pub struct Sqlite(TempDir);

impl Sqlite {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl Backend for Sqlite {
    fn folder(&self) -> &Path {
        self.0.path()
    }

    fn arguments(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A database of its own in a PostgreSQL, as one of any number of processes uses it.
pub struct Postgres {
    folder: TempDir,
    /// Keys and addresses, the same for all processes.
    shared: Arc<TempDir>,
}

impl Postgres {
    /// For the first process. With `nats`, the address of the server that carries wake-ups between them.
    pub fn new(cluster: &Cluster, nats: Option<&str>) -> Self {
        cluster.sql("postgres", "CREATE DATABASE kills");
        Self::at(&cluster.url("kills"), nats)
    }

    /// The same over a database that is there.
    pub fn over(url: &str) -> Self {
        Self::at(url, None)
    }

    fn at(url: &str, nats: Option<&str>) -> Self {
        let shared = Arc::new(tempfile::tempdir().unwrap());
        let write = |name: &str, text: &str| {
            let mut options = std::fs::OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o600).open(shared.path().join(name)).unwrap();
            std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        };
        write("database", url);
        if let Some(nats) = nats {
            write("nats", nats);
        }
        Self { folder: tempfile::tempdir().unwrap(), shared }
    }

    /// For another process.
    pub fn beside(&self) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), shared: Arc::clone(&self.shared) }
    }

    fn shared(&self, name: &str) -> PathBuf {
        self.shared.path().join(name)
    }
}

impl Backend for Postgres {
    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![("--keys", "keys"), ("--database-url-file", "database")];
        if self.shared("nats").exists() {
            arguments.push(("--nats-url-file", "nats"));
        }
        arguments
            .into_iter()
            .flat_map(|(flag, name)| [flag.to_owned(), self.shared(name).display().to_string()])
            .collect()
    }
}
