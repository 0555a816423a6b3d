//! Who is behind a trusted proxy: the last address in `X-Forwarded-For` that is no trusted proxy's. Of anybody else the header is not read.
//!
//! A proxy appends the address that it saw: what stands before that was written by whoever is there, and proves nothing.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies that the operator trusts.
pub(crate) struct Proxies(Vec<IpNet>);

impl Proxies {
    /// These, and no others.
    pub(crate) fn new(trusted: Vec<IpNet>) -> Self {
        Self(trusted)
    }

    /// Whether `address` is one of them.
    pub(crate) fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|net| net.contains(&address))
    }

    /// Who sent a request that came from `socket`. Where the header cannot be read, that is the proxy itself.
    pub(crate) fn client(&self, socket: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.contain(socket) {
            return socket;
        }
        let lines: Vec<_> = headers.get_all(FORWARDED_FOR).iter().collect();
        let mut found = socket;
        for line in lines.iter().rev() {
            let Ok(line) = line.to_str() else { return found };
            for hop in line.rsplit(',') {
                let Ok(hop) = hop.trim().parse::<IpAddr>() else { return found };
                found = hop;
                if !self.contain(hop) {
                    return hop;
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A3: no forged header moves an address.
    #[test]
    fn a3_forged_forwarded_headers() {
        let proxies = Proxies::new(vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
        let of = |socket: &str, lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(FORWARDED_FOR, http::HeaderValue::from_static(line));
            }
            proxies.client(socket.parse().unwrap(), &headers).to_string()
        };
        // Not a proxy: whatever it says.
        assert_eq!(of("192.0.2.1", &["198.51.100.9"]), "192.0.2.1");
        assert_eq!(of("192.0.2.1", &[]), "192.0.2.1");
        // The proxy appends; what the client wrote before it counts for nothing.
        assert_eq!(of("10.0.0.1", &["198.51.100.9"]), "198.51.100.9");
        assert_eq!(of("10.0.0.1", &["203.0.113.1, 198.51.100.9"]), "198.51.100.9");
        assert_eq!(of("10.0.0.1", &["203.0.113.1", "198.51.100.9"]), "198.51.100.9");
        assert_eq!(of("::ffff:10.0.0.1", &["198.51.100.9"]), "198.51.100.9");
        // Two proxies in a row.
        assert_eq!(of("::1", &["203.0.113.1, 198.51.100.9, 10.0.0.2"]), "198.51.100.9");
        // Nothing that can be read: the nearest that can.
        assert_eq!(of("10.0.0.1", &["198.51.100.9, unknown"]), "10.0.0.1");
        assert_eq!(of("10.0.0.1", &["198.51.100.9, x, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(of("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(of("10.0.0.1", &["10.0.0.3"]), "10.0.0.3");
    }
}
