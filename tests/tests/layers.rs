//! The arrows of the design, section 3: wire <- protocol <- client <- {cli, shell}; wire <- relay; tests may import all.

use std::collections::BTreeSet;

use waxwing_tests::layers::{arrows, tree};

#[test]
fn imports_follow_the_arrows() {
    let allowed: [(&str, &[&str]); 7] = [
        ("waxwing-wire", &[]),
        ("waxwing-protocol", &["waxwing-wire"]),
        ("waxwing-client", &["waxwing-wire", "waxwing-protocol"]),
        ("waxwing-relay", &["waxwing-wire"]),
        ("waxwing-cli", &["waxwing-client"]),
        ("waxwing", &["waxwing-client"]),
        ("waxwing-tests", &["waxwing-wire", "waxwing-protocol", "waxwing-client", "waxwing-relay"]),
    ];
    let arrows = arrows().unwrap();
    let known: BTreeSet<&str> = allowed.iter().map(|(name, _)| *name).collect();
    let there: BTreeSet<&str> = arrows.keys().map(String::as_str).collect();
    assert_eq!(there, known, "a new crate needs its arrows here and in the design");
    for (name, may) in allowed {
        for import in &arrows[name] {
            assert!(may.contains(&import.as_str()), "{name} must not import {import}");
        }
    }
}

#[test]
fn the_relay_cannot_decrypt() {
    let tree = tree("waxwing-relay").unwrap();
    assert!(tree.iter().any(|line| line.starts_with("waxwing-wire ")), "this is not the relay's tree");
    for line in &tree {
        let name = line.split(' ').next().unwrap();
        let forbidden = ["hpke", "openmls", "chacha20poly1305", "x-wing", "x25519-dalek", "waxwing-protocol"];
        assert!(!forbidden.contains(&name), "the relay is built with {line}");
    }
    let dalek = tree.iter().filter(|line| line.starts_with("ed25519-dalek ")).count();
    assert_eq!(dalek, 1, "one Ed25519, so that both sides accept the same signatures");
}
