//! Addresses: `host[:port]` of a relay, `name@host[:port]` of an account on it.
//!
//! Plain HTTP is for loopback addresses alone; everything else is HTTPS (design section 7).

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::ids::{from_hex, to_hex};
use crate::username::{InvalidUsername, Username};

/// Where a relay is: a host, a port, and (for a self-signed certificate) the certificate's SHA-256.
///
/// Written `host[:port][#pin]`; the pin is 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RelayAddress {
    host: Host,
    port: Option<u16>,
    pin: Option<[u8; 32]>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Host {
    Name(String),
    Ip(IpAddr),
}

/// The text is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// No user name before the `@`.
    #[error(transparent)]
    Username(#[from] InvalidUsername),
    /// No `@`.
    #[error("an account's address is name@host[:port]")]
    NoName,
    /// The host or port cannot be read.
    #[error("a relay's address is host[:port]")]
    Relay,
}

impl RelayAddress {
    /// The same relay, expected to show the certificate with this SHA-256.
    #[must_use]
    pub fn with_pin(mut self, pin: [u8; 32]) -> Self {
        self.pin = Some(pin);
        self
    }

    /// SHA-256 of the certificate (DER) that the relay must show, where it is pinned.
    #[must_use]
    pub fn pin(&self) -> Option<&[u8; 32]> {
        self.pin.as_ref()
    }

    /// Whether it is this computer.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Name(name) => name == "localhost",
            Host::Ip(ip) => ip.is_loopback(),
        }
    }

    /// Scheme, host and port as a URL without a trailing slash. HTTPS unless it is this computer and no certificate is pinned.
    #[must_use]
    pub fn base_url(&self) -> String {
        let scheme = if self.is_loopback() && self.pin.is_none() { "http" } else { "https" };
        format!("{scheme}://{}", self.authority())
    }

    /// The name or IP address alone, an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> String {
        match &self.host {
            Host::Name(name) => name.clone(),
            Host::Ip(ip) => ip.to_string(),
        }
    }

    /// The port, where it is written.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// `host[:port]`, without the pin: what people see, and what a chain's `create` names as its log origin.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = match &self.host {
            Host::Ip(IpAddr::V6(ip)) => format!("[{ip}]"),
            Host::Name(_) | Host::Ip(IpAddr::V4(_)) => self.host(),
        };
        match self.port {
            Some(port) => format!("{host}:{port}"),
            None => host,
        }
    }
}

impl FromStr for RelayAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let (authority, pin) = match text.split_once('#') {
            Some((authority, pin)) => (authority, Some(from_hex(pin).ok_or(InvalidAddress::Relay)?)),
            None => (text, None),
        };
        let (host, port) = split_port(authority).ok_or(InvalidAddress::Relay)?;
        Ok(Self { host: parse_host(host).ok_or(InvalidAddress::Relay)?, port, pin })
    }
}

/// Splits `host[:port]`; an IPv6 host stands in brackets.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(_) => {
            let end = authority.find(']')?;
            let (host, rest) = authority.split_at(end + 1);
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    match port {
        None => Some((host, None)),
        // One spelling for each port: no sign, no leading zero, not 0.
        Some(port) if port.starts_with(|first: char| first.is_ascii_digit() && first != '0') => {
            Some((host, Some(port.parse().ok()?)))
        }
        Some(_) => None,
    }
}

/// A DNS name (lower-case letters, digits, hyphens, dots), an IPv4 address, or an IPv6 address in brackets.
fn parse_host(host: &str) -> Option<Host> {
    if let Some(inner) = host.strip_prefix('[') {
        let ip: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        return Some(Host::Ip(IpAddr::V6(ip)));
    }
    if let Ok(ip) = host.parse() {
        return Some(Host::Ip(IpAddr::V4(ip)));
    }
    let name = host.to_ascii_lowercase();
    let good_label = |part: &str| {
        (1..=63).contains(&part.len())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    // A name whose last part is a number would be read as a broken IPv4 address elsewhere.
    let numeric = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    (name.len() <= 253 && name.split('.').all(good_label) && !numeric).then_some(Host::Name(name))
}

impl fmt::Display for RelayAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority())?;
        match &self.pin {
            Some(pin) => write!(f, "#{}", to_hex(pin)),
            None => Ok(()),
        }
    }
}

impl Serialize for RelayAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string())
    }
}

impl<'de> Deserialize<'de> for RelayAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// `name@host[:port][#pin]`: a user name on a relay.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccountAddress {
    /// The name, unique on its relay.
    pub name: Username,
    /// The relay.
    pub relay: RelayAddress,
}

impl FromStr for AccountAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let (name, relay) = text.split_once('@').ok_or(InvalidAddress::NoName)?;
        Ok(Self { name: name.parse()?, relay: relay.parse()? })
    }
}

impl fmt::Display for AccountAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.relay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relay_addresses() {
        for (text, url) in [
            ("127.0.0.1:4000", "http://127.0.0.1:4000"),
            ("[::1]:4000", "http://[::1]:4000"),
            ("localhost", "http://localhost"),
            ("waxwing.example", "https://waxwing.example"),
            ("waxwing.example:8443", "https://waxwing.example:8443"),
            ("10.0.0.1:1", "https://10.0.0.1:1"),
        ] {
            let address: RelayAddress = text.parse().unwrap();
            assert_eq!(address.base_url(), url);
            assert_eq!(address.to_string(), text);
        }
        for bad in [
            "",
            ":1",
            "a:",
            "a:0",
            "a:01",
            "a:+1",
            "a:65536",
            "a b",
            "a/b",
            "a..b",
            "-a",
            "1.2.3",
            "1.2.3.4.5",
            "[::1",
            "[::1]x",
            "::1",
            "a@b",
            "a#12",
            "http://a",
        ] {
            assert!(bad.parse::<RelayAddress>().is_err(), "{bad}");
        }
    }

    #[test]
    fn hosts_and_ports() {
        for (text, host, port) in [
            ("Waxwing.Example#", "waxwing.example", None),
            ("waxwing.example:443#", "waxwing.example", Some(443)),
            ("10.0.0.1:1#", "10.0.0.1", Some(1)),
            ("[2001:DB8::1]#", "2001:db8::1", None),
            ("[::1]:4000#", "::1", Some(4000)),
        ] {
            let address: RelayAddress = format!("{text}{}", "0a".repeat(32)).parse().unwrap();
            assert_eq!((address.host().as_str(), address.port()), (host, port));
        }
    }

    #[test]
    fn a_pinned_relay_is_always_https() {
        let text = format!("127.0.0.1:4000#{}", "0a".repeat(32));
        let address: RelayAddress = text.parse().unwrap();
        assert_eq!(address.base_url(), "https://127.0.0.1:4000");
        assert_eq!(address.to_string(), text);
        assert_eq!(address.pin(), Some(&[10; 32]));
    }

    #[test]
    fn account_addresses() {
        let address: AccountAddress = "bob@Waxwing.Example".parse().unwrap();
        assert_eq!(address.to_string(), "bob@waxwing.example");
        assert_eq!("bob".parse::<AccountAddress>(), Err(InvalidAddress::NoName));
        assert!("Bob@host".parse::<AccountAddress>().is_err());
        assert!("bob@".parse::<AccountAddress>().is_err());
    }
}
