//! The table of keys and what the library takes are the same.

use super::*;
use crate::config::{BlobLimits, Quotas, Timeouts};
use clap::FromArgMatches as _;

fn config(flags: &[&str]) -> Result<Config, Conflict> {
    let matches =
        table_of_keys().try_get_matches_from([&["--listen", "127.0.0.1:0", "--data", "/d"], flags].concat()).unwrap();
    Settings::from_arg_matches(&matches).unwrap().config()
}

/// What `--help` and the example call the default is the library's.
#[test]
fn said_nothing_it_is_as_the_library_has_it() {
    let library = Config::new("127.0.0.1:0".parse().unwrap(), "/d".into());
    assert_eq!(format!("{:?}", config(&[]).unwrap()), format!("{library:?}"));
}

/// Names and fields are two lists: none is given another's value.
#[test]
fn each_key_is_its_own_limit() {
    let keys = [
        "rate-address",
        "rate-registration",
        "rate-registration-total",
        "rate-token",
        "rate-token-total",
        "rate-lookup",
        "rate-lookup-total",
        "rate-stranger",
        "rate-stranger-total",
        "rate-claim",
        "rate-claim-total",
        "rate-key-packages",
        "rate-account",
        "rate-chain",
        "max-connections",
        "max-connections-per-address",
        "quota-log",
        "quota-log-handshakes",
        "quota-inbox-key",
        "quota-inbox-strangers",
        "quota-inbox",
        "blob-max",
        "blob-daily",
        "blob-total",
        "blob-keep-days",
        "timeout-handshake",
        "timeout-header",
        "timeout-request",
        "timeout-write",
        "timeout-ping",
        "timeout-idle",
        "timeout-drain",
        "max-in-flight",
        "rate-logs",
        "disk-reserve",
        "max-followed-logs",
        "max-followed-logs-per-address",
    ];
    let flags: Vec<String> = keys.iter().zip(1..).map(|(key, n)| format!("--{key}={n}")).collect();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let rate = |n| Rate { per_minute: n, burst: n };
    let seconds = Duration::from_secs;
    let expected = Limits {
        address: rate(1),
        registration: rate(2),
        registration_total: rate(3),
        token: rate(4),
        token_total: rate(5),
        lookup: rate(6),
        lookup_total: rate(7),
        stranger: rate(8),
        stranger_total: rate(9),
        claim: rate(10),
        claim_total: rate(11),
        key_packages: rate(12),
        account: rate(13),
        chain: rate(14),
        connections: 15,
        connections_per_address: 16,
        in_flight: 33,
        followed_logs: 36,
        followed_logs_per_address: 37,
        logs_per_day: 34,
        disk_reserve: 35,
        quotas: Quotas { log: 17, log_handshakes: 18, inbox_key: 19, inbox_strangers: 20, inbox: 21 },
        blobs: BlobLimits {
            max_bytes: 22,
            daily_bytes: 23,
            total_bytes: 24,
            keep: seconds(25 * 86_400),
            ..BlobLimits::default()
        },
        timeouts: Timeouts {
            handshake: seconds(26),
            header: seconds(27),
            request: seconds(28),
            write: seconds(29),
            ping: seconds(30),
            idle: seconds(31),
            drain: seconds(32),
        },
    };
    assert_eq!(format!("{:?}", config(&flags).unwrap().limits), format!("{expected:?}"));
}

#[test]
fn what_does_not_go_together_is_told() {
    let of = |flags: &[&str]| config(flags).map(|_| ()).unwrap_err();
    assert_eq!(of(&["--tls-cert", "a"]), Conflict::HalfCertificate);
    assert_eq!(of(&["--tls-key", "a"]), Conflict::HalfCertificate);
    assert_eq!(of(&["--tls", "self-signed", "--tls-cert", "a", "--tls-key", "b"]), Conflict::TwoWays);
    assert_eq!(of(&["--client-ca", "a"]), Conflict::NoTls);
    assert_eq!(of(&["--timeout-idle", "30"]), Conflict::IdleBeforePing);
}

#[test]
fn addresses_and_networks() {
    let config = config(&["--operator-listen", "9090", "--trusted-proxies", "10.0.0.0/8,::1"]).unwrap();
    assert_eq!(config.operator, Some("127.0.0.1:9090".parse().unwrap()));
    assert!(config.trusted_proxies.iter().any(|net| net.contains(&"10.1.2.3".parse::<IpAddr>().unwrap())));
    assert_eq!(config.trusted_proxies.len(), 2);
}

/// `docs/examples/waxwing-relay.toml` is what the program prints, and each default in it is a value that can be read.
#[test]
fn the_example_is_the_tables() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/examples/waxwing-relay.toml");
    assert_eq!(std::fs::read_to_string(path).unwrap(), example(&[]), "`waxwing-relay example` prints it");
    let defaults: String = example(&[])
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| {
            let key = line.split(" = ").next().unwrap();
            table_of_keys()
                .get_arguments()
                .any(|arg| arg.get_long() == Some(key) && !arg.get_default_values().is_empty())
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &defaults).unwrap();
    crate::program::layers::Loaded::read(file.path()).map(|_| ()).unwrap();
    assert!(defaults.lines().count() > 20, "{defaults}");
}
