//! A relay from start to graceful stop.

pub(crate) mod stopped;
mod upkeep;

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use waxwing_wire::RelayAddress;
use waxwing_wire::transparency::NoteKey;

use crate::access::Decisions;
#[cfg(unix)]
use crate::admin::AdminSocket;
use crate::audit::{Audit, Event, Subject};
use crate::blobs::{Blobs, Folders, Times};
use crate::budget::Budget;
use crate::bus::{BusError, Watcher};
use crate::config::{Config, Database, Limits, Registration, Tls};
use crate::crowd::Crowd;
use crate::database::{self, Opened, Opening};
use crate::high_water::HighWater;
use crate::judges::Judges;
use crate::keys::{self, KeyError};
use crate::limits::Limiters;
use crate::listen;
use crate::log_signer::LogSigner;
use crate::metrics::Metrics;
use crate::names::NameHasher;
use crate::nonce::Nonces;
use crate::operator;
use crate::private_file;
use crate::proxies::Proxies;
use crate::pseudonym::Pseudonyms;
use crate::router;
use crate::serve::{self, Door};
use crate::space::Space;
use crate::state::App;
use crate::storage::{OpenError, PostgresStorage, RestoredOn, StorageError, StorageStats, restore, sqlite};
use crate::tls::{ServerTls, TlsError};
use crate::token_keys::TokenKeys;

/// For the log's newest checkpoint to be noted at a stop, also where the database is away.
const LAST_NOTE: std::time::Duration = std::time::Duration::from_secs(2);
/// Of the operator's listener.
const OPERATOR_CONNECTIONS: usize = 64;

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
    /// The keys' folder cannot be made or used.
    #[error("the folder of the relay's keys cannot be used: {0}")]
    Keys(#[source] io::Error),
    /// The blobs' folder cannot be made or used.
    #[error("the folder of blobs cannot be used: {0}")]
    Blobs(#[source] io::Error),
    /// The database was made by a relay with other keys.
    #[error(
        "the database belongs to a relay with other keys; all processes of one relay are started with the same folder of keys (token-key.json, log-key.json); if token-key.json was lost: stop every process, run `DELETE FROM relay_keys` in the database, start them again"
    )]
    OtherKeys,
    /// The bus.
    #[error(transparent)]
    Bus(#[from] BusError),
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
    /// The audit log.
    #[error("the audit log cannot be written: {0}")]
    Audit(#[source] io::Error),
    /// The database.
    #[error(transparent)]
    Storage(#[from] OpenError),
    /// The database answers no more.
    #[error(transparent)]
    Unreadable(#[from] StorageError),
}

/// A running relay.
pub struct Relay {
    app: Arc<App>,
    address: SocketAddr,
    stopped: CancellationToken,
    operator_address: Option<SocketAddr>,
    tls: bool,
    pin: Option<[u8; 32]>,
    drain: std::time::Duration,
    // Held, so that no second relay opens the folder.
    _lock: File,
}

/// Starts a relay. When this returns, it takes requests.
pub async fn start(config: Config) -> Result<Relay, StartError> {
    let Config { listen, data, database, nats, keys, retention_days, tls, audience, checkpoint_every, limits, .. } =
        config;
    let Config { registration, operator, trusted_proxies, client_ca, certificate_check, blobs, .. } = config;
    if tls == Tls::Off && !listen.ip().is_loopback() {
        return Err(StartError::PlainHttp(listen));
    }
    if audience.is_none() && listen.ip().is_unspecified() {
        return Err(StartError::NoAudience(listen));
    }
    let lock = lock_folder(&data)?;
    let listener = listen::listen(listen).await.map_err(|error| StartError::Listen(listen, error))?;
    let address = listener.local_addr().map_err(|error| StartError::Listen(listen, error))?;
    let audience = parse_audience(&audience.unwrap_or_else(|| address.to_string()))?;
    let operator = match operator {
        Some(operator) => Some(listen_for_operator(operator).await?),
        None => None,
    };
    let operator_address = operator.as_ref().map(|(_, address)| *address);
    let key_folder = keys.unwrap_or_else(|| data.clone());
    let OpenKeys { tokens: keys, log: log_key, tls: server_tls } =
        open_keys(&key_folder, &tls, client_ca.as_deref(), &audience)?;
    let fingerprints = keys.fingerprints(log_key.verifying_key().as_bytes());
    let server_tls = server_tls.map(Arc::new);
    let pin = server_tls.as_ref().and_then(|tls| tls.pin);
    let restorations = match &database {
        Database::Sqlite => sqlite::restore::restorations(&data)?,
        Database::Postgres(config) => PostgresStorage::restorations(config).await?,
    };
    let origin = restore::origin(&restorations, &audience.authority(), log_key.verifying_key().as_bytes());
    let origin = origin.map_err(|_| OpenError::OtherLog)?;
    let nonces = Nonces::new(&log_key)?;
    let signer = LogSigner::new(&origin, log_key).map_err(|_| StartError::BadAudience)?;
    let registration = registration.unwrap_or(match audience.is_loopback() {
        true => Registration::Open,
        false => Registration::Invite,
    });
    let log_key = signer.key().clone();
    let (database, nats, quotas) = (&database, nats.as_ref(), limits.quotas);
    let embedded = *database == Database::Sqlite;
    let high_water = HighWater::new(&data, log_key.clone());
    let newest = high_water.read().map_err(StartError::Folder)?;
    let opening = Opening { database, nats, retention_days, quotas, signer, newest, fingerprints };
    let database = database::open(&data, opening).await?;
    let proxies = Proxies::new(trusted_proxies);
    let parts =
        Parts { database, keys, nonces, log_key, high_water, blobs, restorations, registration, proxies, embedded };
    let app = open(&data, parts, &audience, server_tls.is_some(), &limits).await?;
    let drain = limits.timeouts.drain;
    let tls = server_tls.is_some();
    app.audit.record(Event::Started, Subject::Nobody);
    let door = Door {
        router: router::router(Arc::clone(&app)),
        tls: server_tls.clone(),
        connections: limits.connections,
        of_address: limits.connections_per_address,
        closing: app.stopping.clone(),
        tasks: app.tasks.clone(),
    };
    app.tasks.spawn(serve::accept(Arc::clone(&app), listener, door));
    let stopped = CancellationToken::new();
    if let Some((listener, _)) = operator {
        // Stays open until the end: whoever balances the load asks here whether the relay is stopping.
        let door = Door {
            router: operator::router(Arc::clone(&app)),
            tls: None,
            connections: OPERATOR_CONNECTIONS,
            of_address: OPERATOR_CONNECTIONS,
            closing: stopped.clone(),
            tasks: TaskTracker::new(),
        };
        tokio::spawn(serve::accept(Arc::clone(&app), listener, door));
    }
    if let Some(server_tls) = server_tls {
        app.tasks.spawn(upkeep::follow_certificate(Arc::clone(&app), server_tls, certificate_check));
    }
    #[cfg(unix)]
    match AdminSocket::bind(&data) {
        Ok(socket) => drop(app.tasks.spawn(socket.serve(Arc::clone(&app)))),
        // A folder with too long a name, or on a file system without sockets: no reason not to serve people.
        Err(error) => tracing::error!(kind = ?error.kind(), "the admin socket could not be made"),
    }
    app.tasks.spawn(upkeep::sweep(Arc::clone(&app)));
    app.tasks.spawn(upkeep::sweep_blobs(Arc::clone(&app)));
    if app.space.is_kept() {
        app.tasks.spawn(upkeep::watch_space(Arc::clone(&app)));
    }
    app.tasks.spawn(database::renew_checkpoint(Arc::clone(&app), checkpoint_every));
    app.tasks.spawn(database::expire(Arc::clone(&app)));
    app.tasks.spawn(database::note_checkpoint(Arc::clone(&app)));
    Ok(Relay { app, address, stopped, operator_address, tls, pin, drain, _lock: lock })
}

/// What an [`App`] is made of, beside its folder and its limits.
struct Parts {
    database: Opened,
    keys: TokenKeys,
    nonces: Nonces,
    log_key: NoteKey,
    high_water: HighWater,
    blobs: Option<PathBuf>,
    restorations: Vec<RestoredOn>,
    registration: Registration,
    proxies: Proxies,
    /// Whether the database is in the data folder.
    embedded: bool,
}

async fn open(
    data: &Path,
    parts: Parts,
    audience: &RelayAddress,
    tls: bool,
    limits: &Limits,
) -> Result<Arc<App>, StartError> {
    let Parts { database: Opened { storage, hub, bus }, keys, nonces, log_key, high_water, .. } = parts;
    let Parts { blobs, restorations, registration, proxies, embedded, .. } = parts;
    let audit = Audit::open(data).map_err(StartError::Audit)?;
    let times = Times {
        expiry: Arc::new({
            let storage = Arc::clone(&storage);
            move || storage.expiry_time()
        }),
        arrival: Arc::new({
            let storage = Arc::clone(&storage);
            move || storage.arrival_time()
        }),
    };
    let (folder, of) = match blobs {
        Some(folder) => (folder, Folders::Shared),
        None => {
            if bus.is_some() {
                tracing::warn!(
                    "no folder for blobs is set: they stay with this process alone, and no other process of this relay finds them; if there are several, \
                     set `blobs` to a folder that all of them share"
                );
            }
            (data.join("blobs"), Folders::Own)
        }
    };
    let blobs = Arc::new(Blobs::open(&folder, of, limits.blobs, times).map_err(StartError::Blobs)?);
    let decisions = Arc::new(Decisions::open(&*storage).await?);
    hub.bound(limits.followed_logs);
    let app = Arc::new(App {
        storage,
        blobs,
        blobs_wake: Notify::new(),
        shared: bus.is_some(),
        hub,
        keys: Arc::new(keys),
        nonces,
        decisions,
        registration,
        proxies,
        metrics: Metrics::new(),
        audit,
        quotas: limits.quotas,
        log_key,
        high_water,
        restorations,
        names: NameHasher::new(&audience.authority()),
        judges: Judges::new(),
        audience: audience.authority(),
        scheme: if tls || !audience.is_loopback() { "https" } else { "http" },
        local: audience.is_loopback(),
        limiters: Limiters::new(limits),
        budget: Budget::new(limits.in_flight),
        followed: Crowd::new(limits.followed_logs_per_address),
        space: Space::new(data, &folder, if embedded { limits.disk_reserve } else { 0 }),
        pseudonyms: Pseudonyms::default(),
        timeouts: limits.timeouts,
        stopping: CancellationToken::new(),
        tasks: TaskTracker::new(),
    });
    if let Some(bus) = bus {
        app.tasks.spawn(Watcher::new(&app, bus).run());
        app.tasks.spawn(database::follow_keys(Arc::clone(&app)));
    }
    Ok(app)
}

/// All that is kept in the folder of keys.
struct OpenKeys {
    tokens: TokenKeys,
    log: SigningKey,
    /// None for plain HTTP.
    tls: Option<ServerTls>,
}

/// Reads the keys, and makes those that there are not yet: one process after the other where several start at a time, so that all of them have the
/// same, the certificate among them. Nothing is awaited here: two in one thread would wait for each other.
fn open_keys(
    folder: &Path,
    tls: &Tls,
    client_ca: Option<&Path>,
    audience: &RelayAddress,
) -> Result<OpenKeys, StartError> {
    private_file::make_folder(folder).map_err(StartError::Keys)?;
    let _lock = keys::lock(folder).map_err(StartError::Keys)?;
    let (tokens, log) = (TokenKeys::open(folder)?, keys::open_log_key(folder)?);
    let tls = ServerTls::open(tls, client_ca, folder, certificate_names(&audience.authority()))?;
    Ok(OpenKeys { tokens, log, tls })
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

async fn listen_for_operator(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let error = |error| StartError::Listen(address, error);
    let listener = TcpListener::bind(address).await.map_err(error)?;
    let address = listener.local_addr().map_err(error)?;
    if !address.ip().is_loopback() {
        tracing::warn!("the operator's listener can be reached from other computers, in plain HTTP");
    }
    Ok((listener, address))
}

impl Relay {
    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Where the operator's listener is, if there is one.
    #[must_use]
    pub fn operator_addr(&self) -> Option<SocketAddr> {
        self.operator_address
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

    /// What its commands share.
    #[cfg(test)]
    pub(crate) fn app(&self) -> &Arc<App> {
        &self.app
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
        self.stopped.cancel();
        self.app.audit.record(Event::Stopped, Subject::Nobody);
        let noting = self.app.high_water.note(&*self.app.storage);
        let _ = tokio::time::timeout(LAST_NOTE, noting).await;
        if self.app.storage.close().await.is_err() {
            tracing::error!("the database could not be closed in order");
        }
    }
}
