//! Where a relay that is restored has its database, and how its operator puts that back.

use std::path::Path;
use std::process::Command;

use waxwing_relay::Database;
use waxwing_relay::storage::{PostgresConfig, PostgresUrl};

use crate::cluster::Cluster;
use crate::kit::Kit;
use crate::process::{PROGRAM, run};

/// What `waxwing-relay restore` says, or why it fails.
pub fn restore(from: &Path, data: &Path) -> Result<String, String> {
    said(Command::new(PROGRAM).args(["restore", "--from"]).arg(from).arg("--data").arg(data))
}

/// The same of `waxwing-relay restore --postgres`.
pub fn restore_postgres(data: &Path, url: &str) -> Result<String, String> {
    let mut command = Command::new(PROGRAM);
    command.args(["restore", "--postgres", "--data"]).arg(data).env("WAXWING_RELAY_DATABASE_URL", url);
    said(&mut command)
}

fn said(command: &mut Command) -> Result<String, String> {
    let output = run(command);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// Takes the database out of the folder, as after a lost disk; the keys are there again.
pub fn lose(kit: &Kit) {
    std::fs::remove_file(kit.folder.path().join("relay.db")).unwrap();
}

pub fn at(url: &str) -> Database {
    Database::Postgres(PostgresConfig::new(PostgresUrl::new(url.to_owned())))
}

/// The database of a relay.
pub enum Kept {
    /// In the relay's folder.
    Sqlite,
    /// Of this name, in a server of its own: databases of other tests come and go beside another one.
    Postgres(Cluster, &'static str),
}

impl Kept {
    /// A new one in PostgreSQL.
    pub fn postgres(name: &'static str) -> Self {
        let cluster = Cluster::start("");
        cluster.sql("postgres", &format!("CREATE DATABASE {name}"));
        Self::Postgres(cluster, name)
    }

    fn database(&self) -> Database {
        match self {
            Self::Sqlite => Database::Sqlite,
            Self::Postgres(cluster, name) => at(&cluster.url(name)),
        }
    }

    /// A new relay on it.
    pub async fn relay(&self) -> Kit {
        Kit::with(|config| config.database = self.database()).await
    }

    /// Starts a relay again that was stopped.
    pub async fn start(&self, kit: &mut Kit) {
        kit.start_with(|config| config.database = self.database()).await;
    }

    /// Backs the running relay's database up to `file`.
    pub async fn back_up(&self, kit: &Kit, file: &Path) {
        match self {
            Self::Sqlite => drop(kit.admin(&["backup", file.to_str().unwrap()]).await.unwrap()),
            Self::Postgres(cluster, name) => cluster.dump(name, file),
        }
    }

    /// Stops the relay, puts the backup in the place of its database, and starts it again.
    pub async fn go_back(&self, kit: &mut Kit, file: &Path) {
        kit.take().stop().await;
        match self {
            Self::Sqlite => {
                lose(kit);
                restore(file, kit.folder.path()).unwrap();
            }
            Self::Postgres(cluster, name) => {
                // Connections take a moment to be gone.
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                cluster.put_back(name, file);
                restore_postgres(kit.folder.path(), &cluster.url(name)).unwrap();
            }
        }
        self.start(kit).await;
    }

    /// Has the stopped relay believe that it was restored so many days ago.
    pub fn set_restored(&self, kit: &Kit, days_ago: i64) {
        let set = |today: &str| format!("UPDATE log_restorations SET day = {today} - {days_ago}");
        match self {
            Self::Sqlite => {
                assert_eq!(kit.database().execute(&set("unixepoch() / 86400"), []).unwrap(), 1);
            }
            Self::Postgres(cluster, name) => {
                let set = set("floor(extract(epoch FROM now()) / 86400)::bigint");
                assert_eq!(cluster.sql(name, &format!("{set} RETURNING 'set'")).trim(), "set");
            }
        }
    }
}
