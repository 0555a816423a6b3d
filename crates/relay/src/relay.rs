//! A relay from start to graceful stop.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use waxwing_wire::RelayAddress;

use crate::config::{Config, Limits, Tls};
use crate::hub::Hub;
use crate::keys::{self, KeyError, TokenKey};
use crate::limits::Limiters;
use crate::log_signer::LogSigner;
use crate::names::NameHasher;
use crate::private_file;
use crate::pseudonym::Pseudonyms;
use crate::replay::ReplayWindow;
use crate::serve;
use crate::state::App;
use crate::storage::{OpenError, SqliteStorage, StorageStats};
use crate::tls::{ServerTls, TlsError};

/// Ids that a replay window remembers per generation (about 125 seconds): 16 bytes each.
const REPLAY_CAPACITY: usize = 1_000_000;

/// The relay does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Plain HTTP for other computers.
    #[error(
        "{0} can be reached from other computers, and plain HTTP is for this computer alone; add `--tls self-signed`, or `--tls-cert` and `--tls-key`"
    )]
    PlainHttp(SocketAddr),
    /// No name by which others reach the relay.
    #[error(
        "{0} is no address that people can type; add `--audience HOST[:PORT]` with the one under which they reach this relay"
    )]
    NoAudience(SocketAddr),
    /// The audience is no address.
    #[error("the audience is written HOST[:PORT]")]
    BadAudience,
    /// The folder cannot be made or used.
    #[error("the data folder cannot be used: {0}")]
    Folder(#[source] io::Error),
    /// Another relay uses the folder.
    #[error("another waxwing-relay is running on this data folder")]
    InUse,
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, #[source] io::Error),
    /// The token key or the log key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The database.
    #[error(transparent)]
    Storage(#[from] OpenError),
}

/// A running relay.
pub struct Relay {
    app: Arc<App>,
    address: SocketAddr,
    tls: bool,
    pin: Option<[u8; 32]>,
    drain: std::time::Duration,
    // Held, so that no second relay opens the folder.
    _lock: File,
}

/// Starts a relay. When this returns, it takes requests.
pub async fn start(config: Config) -> Result<Relay, StartError> {
    let Config { listen, data, tls, audience, checkpoint_every, limits } = config;
    if tls == Tls::Off && !listen.ip().is_loopback() {
        return Err(StartError::PlainHttp(listen));
    }
    if audience.is_none() && listen.ip().is_unspecified() {
        return Err(StartError::NoAudience(listen));
    }
    let lock = lock_folder(&data)?;
    let key = TokenKey::open(&data)?;
    let log_key = keys::open_log_key(&data)?;
    let listener = TcpListener::bind(listen).await.map_err(|error| StartError::Listen(listen, error))?;
    let address = listener.local_addr().map_err(|error| StartError::Listen(listen, error))?;
    let audience = parse_audience(&audience.unwrap_or_else(|| address.to_string()))?;
    let server_tls = ServerTls::open(&tls, &data, certificate_names(&audience.authority()))?;
    let pin = server_tls.as_ref().and_then(|tls| tls.pin);
    let signer = LogSigner::new(&audience.authority(), log_key).map_err(|_| StartError::BadAudience)?;
    let app = open(&data, key, signer, &audience, server_tls.is_some(), &limits)?;
    let drain = limits.timeouts.drain;
    let tls = server_tls.is_some();
    app.tasks.spawn(serve::accept(Arc::clone(&app), listener, server_tls.map(|tls| tls.config), limits.connections));
    app.tasks.spawn(sweep(Arc::clone(&app)));
    app.tasks.spawn(renew_checkpoint(Arc::clone(&app), checkpoint_every));
    Ok(Relay { app, address, tls, pin, drain, _lock: lock })
}

fn open(
    data: &Path,
    key: TokenKey,
    signer: LogSigner,
    audience: &RelayAddress,
    tls: bool,
    limits: &Limits,
) -> Result<Arc<App>, StartError> {
    let hub = Arc::new(Hub::default());
    let listener = Arc::clone(&hub);
    let log_key = signer.key().clone();
    let storage = SqliteStorage::open(data, limits.quotas, signer, Arc::new(move |wake| listener.wake(wake)))?;
    Ok(Arc::new(App {
        storage: Arc::new(storage),
        hub,
        key,
        log_key,
        names: NameHasher::new(&audience.authority()),
        audience: audience.authority(),
        scheme: if tls || !audience.is_loopback() { "https" } else { "http" },
        local: audience.is_loopback(),
        limiters: Limiters::new(limits),
        assertions: ReplayWindow::new(REPLAY_CAPACITY),
        proofs: ReplayWindow::new(REPLAY_CAPACITY),
        pseudonyms: Pseudonyms::default(),
        timeouts: limits.timeouts,
        stopping: CancellationToken::new(),
        tasks: TaskTracker::new(),
    }))
}

/// Two relays on one folder would each think that they alone decide what is new.
fn lock_folder(data: &Path) -> Result<File, StartError> {
    private_file::make_folder(data).map_err(StartError::Folder)?;
    let lock = private_file::open(&data.join("lock")).map_err(StartError::Folder)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => Err(StartError::InUse),
        Err(std::fs::TryLockError::Error(error)) => Err(StartError::Folder(error)),
    }
}

/// Read like clients read the same address, so that both spell it alike.
fn parse_audience(text: &str) -> Result<RelayAddress, StartError> {
    match text.parse::<RelayAddress>() {
        Ok(address) if address.pin().is_none() => Ok(address),
        _ => Err(StartError::BadAudience),
    }
}

/// The host in the audience, and this computer.
fn certificate_names(audience: &str) -> Vec<String> {
    let host = match audience.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => audience,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let mut names = vec![host, "localhost".to_owned(), "127.0.0.1".to_owned()];
    names.dedup();
    names
}

/// Keeps the limiters' memory bounded.
async fn sweep(app: Arc<App>) {
    let mut minute = tokio::time::interval(std::time::Duration::from_secs(60));
    loop {
        tokio::select! {
            () = app.stopping.cancelled() => return,
            _ = minute.tick() => app.limiters.sweep(),
        }
    }
}

/// Signs the log anew, so that clients see that it is alive and shows everybody the same. The first is signed at the start.
async fn renew_checkpoint(app: Arc<App>, every: std::time::Duration) {
    let mut turn = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = app.stopping.cancelled() => return,
            _ = turn.tick() => {
                if app.storage.renew_checkpoint().await.is_err() {
                    tracing::warn!("the transparency log's checkpoint could not be signed anew");
                }
            }
        }
    }
}

impl Relay {
    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Scheme and address, as a URL without a trailing slash.
    #[must_use]
    pub fn base_url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// SHA-256 of the self-signed certificate, for addresses `host:port#pin`.
    #[must_use]
    pub fn pin(&self) -> Option<[u8; 32]> {
        self.pin
    }

    /// Counters of the storage.
    #[must_use]
    pub fn stats(&self) -> StorageStats {
        self.app.storage.stats()
    }

    /// Takes no more connections, finishes requests under way (for a while), closes subscriptions with 1001, and leaves everything on disk.
    pub async fn stop(self) {
        self.app.stopping.cancel();
        self.app.tasks.close();
        if tokio::time::timeout(self.drain, self.app.tasks.wait()).await.is_err() {
            tracing::warn!("some connections did not end in time");
        }
        if self.app.storage.close().await.is_err() {
            tracing::error!("the database could not be closed in order");
        }
    }
}
