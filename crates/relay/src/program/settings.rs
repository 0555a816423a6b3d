//! The one table of keys: each is a flag, an environment variable and a key of the configuration file, with one help text and one default.
//!
//! A bad combination is told here; that each value can be read is clap's work.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, Args, ValueEnum};
use ipnet::IpNet;

use super::database::{BadAddress, SharedArgs};
use super::layers::table_of_keys;
use crate::config::{Config, Limits, Rate, Registration, Tls};

/// What an operator can say.
#[derive(Args)]
pub(super) struct Settings {
    /// Address and port to listen on; port 0 takes a free one. Plain HTTP is for loopback addresses alone.
    #[arg(long, value_name = "ADDR:PORT", required = true)]
    listen: SocketAddr,
    /// Folder for database, keys, audit log and admin socket; made if absent.
    #[arg(long, value_name = "DIR", required = true)]
    data: PathBuf,
    /// The address under which people reach this relay; by default the one it listens on. Never change it: accounts are made for it.
    #[arg(long, value_name = "HOST[:PORT]")]
    audience: Option<String>,
    #[command(flatten)]
    shared: SharedArgs,
    /// How connections are protected: with a certificate of the relay's own, whose SHA-256 people add to the address (HOST:PORT#HEX), or not
    /// at all (behind a proxy on this computer). Not needed with tls-cert.
    #[arg(long, value_enum, value_name = "MODE")]
    tls: Option<TlsMode>,
    /// Certificate chain, PEM. Read again when it changes.
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, PEM. Read again when it changes.
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Authorities of client certificates, PEM. With it only clients that have such a certificate are served: for closed deployments.
    #[arg(long, value_name = "FILE")]
    client_ca: Option<PathBuf>,
    /// Who may make an account; by default open where only this computer reaches the relay, and invite elsewhere.
    #[arg(long, value_enum, value_name = "WHO")]
    registration: Option<Registration>,
    /// Where to tell metrics (/metrics, Prometheus) and readiness (/readyz), in plain HTTP: a port on 127.0.0.1, or an address and port. Off if absent.
    #[arg(long, value_name = "[ADDR:]PORT", value_parser = operator_address)]
    operator_listen: Option<SocketAddr>,
    /// Proxies whose X-Forwarded-For is believed: addresses or networks, with commas between them. From nobody else is any such header read.
    #[arg(long, value_name = "NET", value_delimiter = ',', value_parser = network, action = ArgAction::Append)]
    trusted_proxies: Vec<IpNet>,
    /// Most connections at a time; no more than the process may have files open, less 256 for everything else.
    #[arg(long, value_name = "N", default_value_t = Limits::default().connections)]
    max_connections: usize,
    /// Most connections at a time of one address (IPv6: of one /56). Trusted proxies are not counted.
    #[arg(long, value_name = "N", default_value_t = Limits::default().connections_per_address)]
    max_connections_per_address: usize,
    /// Most bytes that requests and answers hold in memory, all together; what has at most 16 KiB does not count. Who finds no room is told to come again.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..), default_value_t = Limits::default().in_flight)]
    max_in_flight: u64,
    /// Most logs that all subscriptions follow together; one that several follow counts for each of them. Who would follow more is told to come again.
    #[arg(long, value_name = "N", default_value_t = Limits::default().followed_logs)]
    max_followed_logs: usize,
    /// Of these, of one address (IPv6: of one /56).
    #[arg(long, value_name = "N", default_value_t = Limits::default().followed_logs_per_address)]
    max_followed_logs_per_address: usize,
    /// Requests of any kind per minute and address. Those with limits of their own count here, too.
    #[arg(long, value_name = "PER_MINUTE[/BURST]", default_value_t = Limits::default().address)]
    rate_address: Rate,
    /// New accounts per minute and address.
    #[arg(long, value_name = "PER_MINUTE[/BURST]", default_value_t = Limits::default().registration)]
    rate_registration: Rate,
    /// New accounts per minute, of all addresses together.
    #[arg(long, value_name = "PER_MINUTE[/BURST]", default_value_t = Limits::default().registration_total)]
    rate_registration_total: Rate,
    /// Token requests per minute and address.
    #[arg(long, value_name = "PER_MINUTE[/BURST]", default_value_t = Limits::default().token)]
    rate_token: Rate,
    /// Token requests per minute, of all addresses together.
    #[arg(long, value_name = "PER_MINUTE[/BURST]", default_value_t = Limits::default().token_total)]
    rate_token_total: Rate,
    /// Look-ups of accounts and requests to the transparency log per minute and address.
    #[arg(long, value_name = "PER_MINUTE[/BURST]", default_value_t = Limits::default().lookup)]
    rate_lookup: Rate,
    /// Look-ups of accounts and requests to the transparency log per minute, of all addresses together.
    #[arg(long, value_name = "PER_MINUTE[/BURST]", default_value_t = Limits::default().lookup_total)]
    rate_lookup_total: Rate,
    /// Inbox sends and claims of key packages without an access key per minute and address.
    #[arg(long, value_name = "PER_MINUTE[/BURST]", default_value_t = Limits::default().stranger)]
    rate_stranger: Rate,
    /// Inbox sends and claims of key packages without an access key per minute, of all addresses together.
    #[arg(long, value_name = "PER_MINUTE[/BURST]", default_value_t = Limits::default().stranger_total)]
    rate_stranger_total: Rate,
    /// Claims of key packages per minute and address.
    #[arg(long, value_name = "PER_MINUTE[/BURST]", default_value_t = Limits::default().claim)]
    rate_claim: Rate,
    /// Claims of key packages per minute, of all addresses together.
    #[arg(long, value_name = "PER_MINUTE[/BURST]", default_value_t = Limits::default().claim_total)]
    rate_claim_total: Rate,
    /// Uploads of key packages per minute and account.
    #[arg(long, value_name = "PER_MINUTE[/BURST]", default_value_t = Limits::default().key_packages)]
    rate_key_packages: Rate,
    /// Authenticated requests per minute and account.
    #[arg(long, value_name = "PER_MINUTE[/BURST]", default_value_t = Limits::default().account)]
    rate_account: Rate,
    /// New chain entries per minute and account.
    #[arg(long, value_name = "PER_MINUTE[/BURST]", default_value_t = Limits::default().chain)]
    rate_chain: Rate,
    /// New logs per account and day. Each conversation is one, and each time that one begins anew.
    #[arg(long, value_name = "PER_DAY", value_parser = clap::value_parser!(u32).range(1..=1_000_000), default_value_t = Limits::default().logs_per_day)]
    rate_logs: u32,
    /// Free bytes on the disk of the data folder below which what people write is refused (507), so that everything else still finds room. Not with PostgreSQL. 0 for none.
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().disk_reserve)]
    disk_reserve: u64,
    /// Most bytes of one log.
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().quotas.log)]
    quota_log: u64,
    /// Most bytes on top of that for handshakes alone.
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().quotas.log_handshakes)]
    quota_log_handshakes: u64,
    /// Most bytes that wait in an inbox under all access keys together.
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().quotas.inbox)]
    quota_inbox: u64,
    /// Most bytes that wait in an inbox under one access key.
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().quotas.inbox_key)]
    quota_inbox_key: u64,
    /// Most bytes that wait in an inbox from strangers.
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().quotas.inbox_strangers)]
    quota_inbox_strangers: u64,
    /// Most bytes of one blob.
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().blobs.max_bytes)]
    blob_max: u64,
    /// Most bytes of blobs that an account puts up in a day. Each process counts for itself.
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().blobs.daily_bytes)]
    blob_daily: u64,
    /// Most bytes of all blobs.
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().blobs.total_bytes)]
    blob_total: u64,
    /// How many days a blob is kept.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3650), default_value = "30")]
    blob_keep_days: u32,
    /// Longest TLS handshake.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "10")]
    timeout_handshake: Duration,
    /// Longest wait for a request's header.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "10")]
    timeout_header: Duration,
    /// Longest time from a request's header to the answer.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "60")]
    timeout_request: Duration,
    /// Longest time in which less goes of an answer than 16 KiB for each second of it, unless that is all that is left.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "30")]
    timeout_write: Duration,
    /// Between pings on a subscription.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "30")]
    timeout_ping: Duration,
    /// Longest silence of a subscription.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "90")]
    timeout_idle: Duration,
    /// At a stop: longest wait for requests under way.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "10")]
    timeout_drain: Duration,
    /// How often the transparency log's checkpoint is signed anew.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "3600")]
    checkpoint_every: Duration,
    /// What to log to standard error, as tracing-subscriber's filter. Logs name no account, log, device, token or address.
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub(super) log: String,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TlsMode {
    /// Plain HTTP, on loopback addresses alone.
    Off,
    /// A certificate of the relay's own, made at first start.
    SelfSigned,
}

/// Settings that do not go together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Conflict {
    /// The address of the database or the bus.
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// Half a certificate.
    #[error("tls-cert and tls-key go together: one of them is missing")]
    HalfCertificate,
    /// Two ways at once.
    #[error("tls and tls-cert exclude each other")]
    TwoWays,
    /// Client certificates without TLS.
    #[error("client-ca needs TLS: add tls-cert and tls-key, or tls = \"self-signed\"")]
    NoTls,
    /// Every subscription would end.
    #[error("timeout-idle must be longer than timeout-ping")]
    IdleBeforePing,
}

impl Settings {
    /// What the library takes.
    pub(super) fn config(self) -> Result<Config, Conflict> {
        let tls = match (self.tls, self.tls_cert, self.tls_key) {
            (None, Some(certificate), Some(key)) => Tls::Files { certificate, key },
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) => return Err(Conflict::TwoWays),
            (_, Some(_), None) | (_, None, Some(_)) => return Err(Conflict::HalfCertificate),
            (Some(TlsMode::SelfSigned), ..) => Tls::SelfSigned,
            (None | Some(TlsMode::Off), ..) => Tls::Off,
        };
        if self.client_ca.is_some() && tls == Tls::Off {
            return Err(Conflict::NoTls);
        }
        if self.timeout_idle <= self.timeout_ping {
            return Err(Conflict::IdleBeforePing);
        }
        let mut config = Config::new(self.listen, self.data);
        self.shared.apply(&mut config)?;
        config.tls = tls;
        config.audience = self.audience;
        config.client_ca = self.client_ca;
        config.registration = self.registration;
        config.operator = self.operator_listen;
        config.trusted_proxies = self.trusted_proxies;
        config.checkpoint_every = self.checkpoint_every;
        let limits = &mut config.limits;
        limits.connections = self.max_connections;
        limits.connections_per_address = self.max_connections_per_address;
        limits.in_flight = self.max_in_flight;
        limits.followed_logs = self.max_followed_logs;
        limits.followed_logs_per_address = self.max_followed_logs_per_address;
        limits.address = self.rate_address;
        limits.registration = self.rate_registration;
        limits.registration_total = self.rate_registration_total;
        limits.token = self.rate_token;
        limits.token_total = self.rate_token_total;
        limits.lookup = self.rate_lookup;
        limits.lookup_total = self.rate_lookup_total;
        limits.stranger = self.rate_stranger;
        limits.stranger_total = self.rate_stranger_total;
        limits.claim = self.rate_claim;
        limits.claim_total = self.rate_claim_total;
        limits.key_packages = self.rate_key_packages;
        limits.account = self.rate_account;
        limits.chain = self.rate_chain;
        limits.logs_per_day = self.rate_logs;
        limits.disk_reserve = self.disk_reserve;
        limits.quotas.log = self.quota_log;
        limits.quotas.log_handshakes = self.quota_log_handshakes;
        limits.quotas.inbox = self.quota_inbox;
        limits.quotas.inbox_key = self.quota_inbox_key;
        limits.quotas.inbox_strangers = self.quota_inbox_strangers;
        limits.blobs.max_bytes = self.blob_max;
        limits.blobs.daily_bytes = self.blob_daily;
        limits.blobs.total_bytes = self.blob_total;
        limits.blobs.keep = Duration::from_secs(u64::from(self.blob_keep_days) * 86_400);
        limits.timeouts.handshake = self.timeout_handshake;
        limits.timeouts.header = self.timeout_header;
        limits.timeouts.request = self.timeout_request;
        limits.timeouts.write = self.timeout_write;
        limits.timeouts.ping = self.timeout_ping;
        limits.timeouts.idle = self.timeout_idle;
        limits.timeouts.drain = self.timeout_drain;
        Ok(config)
    }
}

fn seconds(text: &str) -> Result<Duration, &'static str> {
    match text.parse() {
        Ok(seconds @ 1..=86_400) => Ok(Duration::from_secs(seconds)),
        _ => Err("whole seconds, from 1 to 86400"),
    }
}

fn operator_address(text: &str) -> Result<SocketAddr, &'static str> {
    match text.parse::<u16>() {
        Ok(port) => Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
        Err(_) => text.parse().map_err(|_| "a port, or an address and a port"),
    }
}

fn network(text: &str) -> Result<IpNet, &'static str> {
    let one = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| one()).map_err(|_| "an address or a network (10.0.0.0/8)")
}

/// A configuration file with every key in it: those in `set` with that value, the others commented out with their defaults.
pub(super) fn example(set: &[(&str, String)]) -> String {
    let mut text = String::from(
        "# Configuration of waxwing-relay. Each key is also a flag (--rate-token) and an environment variable\n\
         # (WAXWING_RELAY_RATE_TOKEN); a flag wins over the environment, the environment over this file.\n",
    );
    for arg in table_of_keys().get_arguments() {
        let Some(key) = arg.get_long() else { continue };
        text.push('\n');
        for line in wrap(&help(arg)) {
            text.push_str(&format!("# {line}\n"));
        }
        match set.iter().find(|(set, _)| *set == key) {
            Some((_, value)) => text.push_str(&format!("{key} = {}\n", spell(arg, value))),
            None => text.push_str(&format!("#{key} = {}\n", spell(arg, &usual(arg)))),
        }
    }
    text
}

/// The default; where there is none, what stands for the value in the help text.
fn usual(arg: &Arg) -> String {
    match arg.get_default_values().first() {
        Some(value) => value.to_string_lossy().into_owned(),
        None => arg.get_value_names().and_then(<[_]>::first).map(ToString::to_string).unwrap_or_default(),
    }
}

fn help(arg: &Arg) -> String {
    // clap takes the last full stop away.
    let mut help = format!("{}.", arg.get_help().map(ToString::to_string).unwrap_or_default());
    let choices: Vec<_> = arg.get_possible_values().iter().map(|choice| choice.get_name().to_owned()).collect();
    if !choices.is_empty() {
        help.push_str(&format!(" One of: {}.", choices.join(", ")));
    }
    help
}

/// As TOML: a number bare, several values as a list, anything else in quotes.
fn spell(arg: &Arg, value: &str) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    if matches!(arg.get_action(), ArgAction::Append) {
        return format!("[{}]", value.split(',').map(quoted).collect::<Vec<_>>().join(", "));
    }
    if value.parse::<u64>().is_ok() { value.to_owned() } else { quoted(value) }
}

fn wrap(text: &str) -> Vec<String> {
    const WIDTH: usize = 100;
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + 1 + word.len() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests;
