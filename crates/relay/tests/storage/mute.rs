//! A PostgreSQL that lets connections in and then says nothing, as behind a pooler or over a disk that hangs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use waxwing_relay::storage::{PostgresConfig, PostgresStorage, PostgresUrl, Storage as _, StorageError};

use crate::cluster::Cluster;
use crate::kit::*;

const SOCKET: &str = ".s.PGSQL.5432";
/// `ReadyForQuery` of a session in no transaction (PostgreSQL's manual, "Message Formats"): with the first one a connection is made.
const READY: &[u8] = b"Z\0\0\0\x05I";
/// Longer than all limits of one write together, and far less than for ever.
const PATIENCE: Duration = Duration::from_secs(50);

/// Somebody between the relay and PostgreSQL.
struct Between {
    folder: TempDir,
    mute: Arc<AtomicBool>,
}

impl Between {
    fn new(server: PathBuf) -> Self {
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let mute = Arc::new(AtomicBool::new(false));
        let is_mute = Arc::clone(&mute);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = UnixStream::connect(&server).await.unwrap().into_split();
                let mute = is_mute.load(Ordering::Relaxed);
                tokio::spawn(carry(from_client, to_server, false));
                tokio::spawn(carry(from_server, to_client, mute));
            }
        });
        Self { folder, mute }
    }
}

/// Carries all of it; where it is to fall silent, no more than makes a connection.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, falls_silent: bool) {
    let (mut buffer, mut said, mut silent) = ([0; 8192], Vec::new(), false);
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if silent {
            continue;
        }
        let mut some = &buffer[..read];
        if falls_silent {
            let before = said.len();
            said.extend_from_slice(some);
            if let Some(at) = said.windows(READY.len()).position(|here| here == READY) {
                some = &some[..at + READY.len() - before];
                silent = true;
            }
        }
        if to.write_all(some).await.is_err() {
            return;
        }
    }
}

/// D4: nobody waits without end for such a connection, and once the server speaks again all goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d4_a_server_that_says_nothing_more_holds_nobody_up_for_good() {
    let cluster = Cluster::shared();
    cluster.sql("postgres", "CREATE DATABASE mute");
    let url = cluster.url("mute");
    let (host, rest) = url.strip_prefix("host=").unwrap().split_once(' ').unwrap();
    let between = Between::new(Path::new(host).join(SOCKET));
    let url = format!("host={} {rest}", between.folder.path().display());
    let config = PostgresConfig { connections: 8, ..PostgresConfig::new(PostgresUrl::new(url)) };
    let storage = PostgresStorage::open(&config, setup()).await.unwrap();
    assert!(storage.create_log(new_log(1)).await.unwrap());
    let make = |first: u8| {
        let making = (first..first + 8).map(|n| storage.create_log(new_log(n)));
        tokio::time::timeout(PATIENCE, join_all(making))
    };
    between.mute.store(true, Ordering::Relaxed);
    let answers = make(10).await.expect("somebody still waits");
    assert!(answers.contains(&Err(StorageError::Unavailable)), "the control: {answers:?}");
    between.mute.store(false, Ordering::Relaxed);
    // No place in the pool is kept by a connection that never came to be.
    let answers = make(30).await.expect("somebody still waits");
    assert_eq!(answers, [Ok(true); 8]);
    storage.close().await.unwrap();
}
