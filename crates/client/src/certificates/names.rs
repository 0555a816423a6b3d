//! What the file of a relay's certificate is called: `host.pem` or `host_port.pem`, in letters that every system's files may have.
//!
//! No two relays share a name: hosts hold no `_`, and what is put before one begins or ends with it.

use waxwing_wire::RelayAddress;

const ENDING: &str = ".pem";
/// Before an IPv6 address, whose colons are hyphens here.
const IPV6: &str = "ipv6_";
/// Before a host whose first label is the name of a device to Windows, whatever follows its first dot.
const DEVICE: &str = "_";

/// The name of the file for a relay. A pin is no part of it: the relay with another certificate is the same relay.
pub(super) fn of(relay: &RelayAddress) -> String {
    let host = relay.host();
    let before = if host.contains(':') {
        IPV6
    } else if is_device(&host) {
        DEVICE
    } else {
        ""
    };
    let port = relay.port().map(|port| format!("_{port}")).unwrap_or_default();
    format!("{before}{}{port}{ENDING}", host.replace(':', "-"))
}

/// The relay whose certificate's file is called so.
pub(super) fn relay(name: &str) -> Option<RelayAddress> {
    let stem = name.strip_suffix(ENDING)?;
    let stem = stem.strip_prefix(DEVICE).unwrap_or(stem);
    let (host, port) = match stem.rsplit_once('_') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, format!(":{port}")),
        _ => (stem, String::new()),
    };
    let host = match host.strip_prefix(IPV6) {
        Some(ip) => format!("[{}]", ip.replace('-', ":")),
        None => host.to_owned(),
    };
    let relay: RelayAddress = format!("{host}{port}").parse().ok()?;
    // One name for each relay, or the file would be listed and never be read.
    (of(&relay) == name).then_some(relay)
}

fn is_device(host: &str) -> bool {
    let label = host.split('.').next().unwrap_or_default();
    let numbered = |device: &str| {
        label
            .strip_prefix(device)
            .is_some_and(|number| number.len() == 1 && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    matches!(label, "con" | "prn" | "aux" | "nul") || numbered("com") || numbered("lpt")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn one_name_for_each_relay_in_letters_that_files_may_have_anywhere() {
        let mut names = HashSet::new();
        for (address, name) in [
            ("relay.example.org", "relay.example.org.pem"),
            ("Relay.Example.org:8443", "relay.example.org_8443.pem"),
            ("relay.example.org:443", "relay.example.org_443.pem"),
            ("127.0.0.1:4000", "127.0.0.1_4000.pem"),
            ("localhost", "localhost.pem"),
            ("[::1]", "ipv6_--1.pem"),
            ("[::1]:4000", "ipv6_--1_4000.pem"),
            ("[2001:db8::1]:443", "ipv6_2001-db8--1_443.pem"),
            ("[2001:db8::1:443]", "ipv6_2001-db8--1-443.pem"),
            ("[::ffff:1.2.3.4]:1", "ipv6_--ffff-1.2.3.4_1.pem"),
            // A host may be called so, too.
            ("2001-db8--1:443", "2001-db8--1_443.pem"),
            ("ipv6:443", "ipv6_443.pem"),
            // Devices of Windows.
            ("con", "_con.pem"),
            ("nul.example.org:8443", "_nul.example.org_8443.pem"),
            ("com1.example", "_com1.example.pem"),
            ("com1:443", "_com1_443.pem"),
            ("com10.example", "com10.example.pem"),
            ("console.example", "console.example.pem"),
        ] {
            let relay: RelayAddress = address.parse().unwrap();
            assert_eq!(of(&relay), name);
            assert_eq!(super::relay(name), Some(relay.clone()), "{name}");
            assert_eq!(of(&relay.with_pin([7; 32])), name);
            assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)), "{name}");
            assert!(names.insert(name));
        }
    }

    #[test]
    fn names_that_no_relay_has() {
        for name in [
            "relay.example.org",
            "relay.example.org.pem.new",
            "relay.example.org:8443.pem",
            "relay.example.org_08443.pem",
            "relay.example.org_.pem",
            "Relay.Example.org.pem",
            "_relay.example.org.pem",
            "con.pem",
            "ipv6_0--1.pem",
            "[::1]_4000.pem",
            ".pem",
            "",
        ] {
            assert_eq!(relay(name), None, "{name}");
        }
    }
}
