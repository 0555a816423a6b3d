//! Where the relay keeps its data: a folder, and with PostgreSQL a server of this run's own, on the same disk.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;
use waxwing_relay::storage::{PostgresConfig, PostgresStorage, PostgresUrl, Setup, SqliteStorage, Storage};
use waxwing_relay::{LogSigner, Quotas};

#[allow(dead_code, clippy::expect_used, reason = "the relay's tests start it the same way")]
#[path = "../../../../crates/relay/tests/storage/cluster.rs"]
mod cluster;

use cluster::Cluster;

/// As a small server of its own would have it, and no checkpoint in the midst of a loop of a few seconds.
const SETTINGS: &str = "shared_buffers = '256MB'\nmax_wal_size = '4GB'\ncheckpoint_timeout = '30min'";
const DATABASE: &str = "bench";

/// Which storage is measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Backend {
    /// The embedded one.
    #[default]
    Sqlite,
    /// A PostgreSQL from the distribution, on a socket of this machine.
    Postgres,
}

/// A relay's data, from before its first start.
pub struct Place {
    folder: TempDir,
    cluster: Option<Cluster>,
}

impl Place {
    /// A new, empty one.
    pub fn new(backend: Backend) -> Self {
        let folder = TempDir::with_prefix("waxwing-bench.").unwrap();
        on_a_disk(folder.path());
        let cluster = (backend == Backend::Postgres).then(|| {
            // Where the cluster is kept, whatever TMPDIR says.
            on_a_disk(Path::new("/tmp"));
            let cluster = Cluster::start(SETTINGS);
            cluster.sql("postgres", &format!("CREATE DATABASE {DATABASE}"));
            std::fs::write(folder.path().join("database-url"), cluster.url(DATABASE)).unwrap();
            cluster
        });
        Self { folder, cluster }
    }

    /// The relay's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What the relay is told beside its folder.
    pub fn tell(&self, relay: &mut Command) {
        if self.cluster.is_some() {
            relay.arg("--database-url-file").arg(self.folder().join("database-url"));
        }
    }

    /// The storage itself, while no relay is at it.
    pub async fn open(&self, signer: LogSigner) -> Arc<dyn Storage> {
        match &self.cluster {
            None => Arc::new(SqliteStorage::open(self.folder(), Quotas::default(), signer, Arc::new(|_| ())).unwrap()),
            Some(cluster) => {
                let config = PostgresConfig::new(PostgresUrl::new(cluster.url(DATABASE)));
                Arc::new(PostgresStorage::open(&config, Setup::new(signer, Arc::new(|_| ()))).await.unwrap())
            }
        }
    }
}

/// In memory fsync does nothing, and no figure would mean anything.
fn on_a_disk(folder: &Path) {
    let kind = Command::new("stat").args(["-f", "-c", "%T"]).arg(folder).output().unwrap();
    let kind = String::from_utf8_lossy(&kind.stdout).trim().to_owned();
    assert!(
        !matches!(kind.as_str(), "tmpfs" | "ramfs"),
        "{} is in memory: set TMPDIR to a folder on a disk",
        folder.display()
    );
}
