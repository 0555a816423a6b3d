//! What an operator decides. Defaults suit one machine and its users.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;

use crate::bus::NatsConfig;
use crate::storage::{PostgresConfig, RETENTION_DAYS};

/// How a relay runs.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Folder with database and keys; made if absent.
    pub data: PathBuf,
    /// Where everything but keys is kept.
    pub database: Database,
    /// What tells processes of one relay of each other's work; without it they ask the database. Only with PostgreSQL.
    pub nats: Option<NatsConfig>,
    /// Folder with the relay's keys, where all processes of one relay find the same; the data folder if none.
    pub keys: Option<PathBuf>,
    /// Folder for blobs, where all processes of one relay find the same: a file system that they share. Within the data folder if none.
    pub blobs: Option<PathBuf>,
    /// Days for which entries of logs and envelopes in inboxes are kept.
    pub retention_days: u32,
    /// How connections are protected.
    pub tls: Tls,
    /// `host[:port]` under which people reach this relay; the listening address if none.
    pub audience: Option<String>,
    /// Who may make an account; by default [`Registration::Open`] on loopback, and [`Registration::Invite`] for a name that others reach.
    pub registration: Option<Registration>,
    /// Where metrics and readiness are told, in plain HTTP; nowhere if none.
    pub operator: Option<SocketAddr>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// PEM file of the authorities of client certificates; with it only clients that have one are served.
    pub client_ca: Option<PathBuf>,
    /// How often the certificate's files are looked at for a change.
    pub certificate_check: Duration,
    /// How often the transparency log's checkpoint is signed anew, changed or not.
    pub checkpoint_every: Duration,
    /// How much of what.
    pub limits: Limits,
}

impl Config {
    /// The defaults, on `listen` with plain HTTP.
    #[must_use]
    pub fn new(listen: SocketAddr, data: PathBuf) -> Self {
        Self {
            listen,
            data,
            database: Database::Sqlite,
            nats: None,
            keys: None,
            blobs: None,
            retention_days: RETENTION_DAYS,
            tls: Tls::Off,
            audience: None,
            registration: None,
            operator: None,
            trusted_proxies: Vec::new(),
            client_ca: None,
            certificate_check: Duration::from_secs(10),
            checkpoint_every: Duration::from_secs(3600),
            limits: Limits::default(),
        }
    }
}

/// Where the relay keeps what it keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// One SQLite file in the data folder, for one process.
    Sqlite,
    /// PostgreSQL, for any number of processes.
    Postgres(PostgresConfig),
}

/// How connections are protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Plain HTTP: on loopback addresses alone.
    Off,
    /// A certificate of the relay's own, made at first start; clients pin its SHA-256.
    SelfSigned,
    /// Certificate chain and key, in PEM files.
    Files {
        /// The chain, own certificate first.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
}

/// Who may make an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Registration {
    /// Anybody who can reach the relay.
    Open,
    /// Whoever has an invitation of the operator's.
    Invite,
    /// Nobody.
    Closed,
}

/// Bounds on what one client can cost.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Requests of any kind, per address.
    pub address: Rate,
    /// New accounts, per address.
    pub registration: Rate,
    /// The same of all addresses together.
    pub registration_total: Rate,
    /// Token requests, per address.
    pub token: Rate,
    /// The same of all addresses together.
    pub token_total: Rate,
    /// Look-ups of chains and requests to the transparency log, per address.
    pub lookup: Rate,
    /// The same of all addresses together.
    pub lookup_total: Rate,
    /// Inbox sends and claims of key packages without an access key, per address.
    pub stranger: Rate,
    /// The same of all addresses together.
    pub stranger_total: Rate,
    /// Claims of key packages, per address.
    pub claim: Rate,
    /// The same of all addresses together.
    pub claim_total: Rate,
    /// Uploads of key packages, per account.
    pub key_packages: Rate,
    /// Authenticated requests, per account.
    pub account: Rate,
    /// New chain entries, per account.
    pub chain: Rate,
    /// New logs in a day, per account.
    pub logs_per_day: u32,
    /// Free bytes on the data folder's disk below which words and blobs are refused, so that the rest still finds room; only where the database is there (SQLite).
    pub disk_reserve: u64,
    /// Most connections at a time.
    pub connections: usize,
    /// Most connections at a time of one address, IPv6 by its /56; those of trusted proxies are not counted.
    pub connections_per_address: usize,
    /// Bytes of all bodies, pages and unfinished messages together that are held in memory at a time; what has at most 16 KiB does not count.
    pub in_flight: u64,
    /// Most logs that all subscriptions together follow; one that several follow counts for each of them.
    pub followed_logs: usize,
    /// Of these, of one address.
    pub followed_logs_per_address: usize,
    /// Stored bytes.
    pub quotas: Quotas,
    /// Blobs.
    pub blobs: BlobLimits,
    /// Times.
    pub timeouts: Timeouts,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            address: Rate { per_minute: 60_000, burst: 60_000 },
            registration: Rate { per_minute: 60, burst: 100 },
            registration_total: Rate { per_minute: 1200, burst: 2000 },
            token: Rate { per_minute: 600, burst: 600 },
            token_total: Rate { per_minute: 60_000, burst: 60_000 },
            lookup: Rate { per_minute: 1200, burst: 1200 },
            lookup_total: Rate { per_minute: 120_000, burst: 120_000 },
            stranger: Rate { per_minute: 120, burst: 240 },
            stranger_total: Rate { per_minute: 6000, burst: 12_000 },
            claim: Rate { per_minute: 600, burst: 600 },
            claim_total: Rate { per_minute: 60_000, burst: 60_000 },
            key_packages: Rate { per_minute: 10, burst: 60 },
            account: Rate { per_minute: 6000, burst: 2000 },
            chain: Rate { per_minute: 10, burst: 60 },
            logs_per_day: 500,
            disk_reserve: 512 * 1024 * 1024,
            connections: 20_000,
            connections_per_address: 512,
            in_flight: 1024 * 1024 * 1024,
            followed_logs: 2_500_000,
            // What 152 connections can follow.
            followed_logs_per_address: 625_000,
            quotas: Quotas::default(),
            blobs: BlobLimits::default(),
            timeouts: Timeouts::default(),
        }
    }
}

/// A rate: so many at once, and so many a minute from then on. Written `PER_MINUTE[/BURST]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Refilled each minute; at least 1.
    pub per_minute: u32,
    /// Most at once; at least 1.
    pub burst: u32,
}

/// The text is no rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a rate is written PER_MINUTE or PER_MINUTE/BURST, with numbers from 1 to 1000000")]
pub struct InvalidRate;

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.per_minute, self.burst)
    }
}

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let number =
            |text: &str| text.parse().ok().filter(|number| (1..=1_000_000).contains(number)).ok_or(InvalidRate);
        match text.split_once('/') {
            Some((per_minute, burst)) => Ok(Self { per_minute: number(per_minute)?, burst: number(burst)? }),
            None => number(text).map(|rate| Self { per_minute: rate, burst: rate }),
        }
    }
}

/// Stored bytes. Each entry also counts a fixed overhead, so that many tiny ones fill a quota too.
#[derive(Debug, Clone, Copy)]
pub struct Quotas {
    /// Of a log.
    pub log: u64,
    /// On top, for handshakes alone, so that a full log can still be rekeyed.
    pub log_handshakes: u64,
    /// Of what waits in an inbox under one access key.
    pub inbox_key: u64,
    /// Of what waits in an inbox from strangers.
    pub inbox_strangers: u64,
    /// Of all that waits in an inbox under access keys.
    pub inbox: u64,
}

impl Default for Quotas {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            log: 1024 * MIB,
            log_handshakes: 64 * MIB,
            inbox_key: 16 * MIB,
            inbox_strangers: 16 * MIB,
            inbox: 128 * MIB,
        }
    }
}

/// Blobs: how large, how many, how long.
#[derive(Debug, Clone, Copy)]
pub struct BlobLimits {
    /// Most bytes of one.
    pub max_bytes: u64,
    /// Most bytes that an account puts up in a day (UTC) at one process. Counted in memory: a restart begins anew.
    pub daily_bytes: u64,
    /// Most bytes of all, those of unfinished uploads included.
    pub total_bytes: u64,
    /// How long one is kept.
    pub keep: Duration,
    /// How long an upload waits for its next part.
    pub keep_unfinished: Duration,
    /// How often is looked for what has expired.
    pub sweep: Duration,
}

impl Default for BlobLimits {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        const DAY: Duration = Duration::from_secs(86_400);
        Self {
            max_bytes: 100 * MIB,
            daily_bytes: 1024 * MIB,
            total_bytes: 16 * 1024 * MIB,
            keep: 30 * DAY,
            keep_unfinished: DAY,
            sweep: Duration::from_secs(3600),
        }
    }
}

/// Times after which the relay gives up on a client.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// TLS handshake.
    pub handshake: Duration,
    /// From the start of waiting for a request to the end of its header.
    pub header: Duration,
    /// From the end of the header to the start of the answer.
    pub request: Duration,
    /// For 16 KiB of an answer, or all that is left of it, to go.
    pub write: Duration,
    /// Between pings on a subscription.
    pub ping: Duration,
    /// A subscription that says nothing, not even pong.
    pub idle: Duration,
    /// At a graceful stop, for requests under way.
    pub drain: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(10),
            request: Duration::from_secs(60),
            write: Duration::from_secs(30),
            ping: Duration::from_secs(30),
            idle: Duration::from_secs(90),
            drain: Duration::from_secs(10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        assert_eq!("60".parse(), Ok(Rate { per_minute: 60, burst: 60 }));
        let rate = Rate { per_minute: 60, burst: 100 };
        assert_eq!(rate.to_string().parse(), Ok(rate));
        for bad in ["", "0", "1/0", "x", "1/2/3", "1000001", "-1"] {
            assert_eq!(bad.parse::<Rate>(), Err(InvalidRate), "{bad}");
        }
    }
}
