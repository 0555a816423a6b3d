//! The log's running hash: every part of every entry counts, and the order.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use waxwing_wire::log::{EnvelopeKind, running_hash, token_hash};
use waxwing_wire::{EnvelopeId, hash, label};

#[test]
fn is_what_the_specification_says() {
    let (before, id, blob) = ([7; 32], EnvelopeId::from_bytes([9; 16]), b"blob");
    let expected =
        hash(&[b"waxwing/1 log running", &[7; 32], &[0, 0, 0, 0, 0, 0, 1, 2], &[9; 16], &[2], &hash(&[b"blob"])]);
    assert_eq!(running_hash(&before, 258, id, EnvelopeKind::Handshake, blob), expected);
    assert_eq!(token_hash(b"token"), hash(&[&label("token"), b"token"]));
}

#[test]
fn p5_every_part_counts() {
    let id = |n| EnvelopeId::from_bytes([n; 16]);
    let base = running_hash(&[0; 32], 1, id(1), EnvelopeKind::App, b"blob");
    for other in [
        running_hash(&[1; 32], 1, id(1), EnvelopeKind::App, b"blob"),
        running_hash(&[0; 32], 2, id(1), EnvelopeKind::App, b"blob"),
        running_hash(&[0; 32], 1, id(2), EnvelopeKind::App, b"blob"),
        running_hash(&[0; 32], 1, id(1), EnvelopeKind::Handshake, b"blob"),
        running_hash(&[0; 32], 1, id(1), EnvelopeKind::App, b"blo"),
        running_hash(&[0; 32], 1, id(1), EnvelopeKind::App, b""),
    ] {
        assert_ne!(base, other);
    }
}
