//! Every decoder of `waxwing-wire` and `waxwing-protocol` against bytes that nobody wrote, and two parties on a hostile network (A6).
//!
//! A target is a function here, so that the committed seeds run as a plain test too; `fuzz_targets/` hands each to libFuzzer.
//! A target must not panic, whatever comes. What it accepts must be what would be written (P18): it says so by a panic.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod api;
mod envelope;
mod people;
mod protocol;
mod text;
mod transparency;
mod two_parties;
mod wire;

#[cfg(test)]
mod seeds;

pub use api::api;
pub use envelope::{envelope_open, envelope_seal};
pub use protocol::{app_message, commit_data, content, leaf_identity, roster, sealing_keys, welcome};
pub use text::{invite, key_log, names, recovery_phrase, safety_number, token};
pub use transparency::{checkpoint_note, frontier, leaves, note_key, proof};
pub use two_parties::two_parties;
pub use wire::{chain, chain_entry, device_record, frames};

/// Takes any bytes.
pub type Target = fn(&[u8]);

/// All targets, by name.
pub const TARGETS: [(&str, Target); 26] = [
    ("api", api),
    ("app_message", app_message),
    ("chain", chain),
    ("chain_entry", chain_entry),
    ("checkpoint_note", checkpoint_note),
    ("commit_data", commit_data),
    ("content", content),
    ("device_record", device_record),
    ("envelope_open", envelope_open),
    ("envelope_seal", envelope_seal),
    ("frames", frames),
    ("frontier", frontier),
    ("invite", invite),
    ("key_log", key_log),
    ("leaf_identity", leaf_identity),
    ("leaves", leaves),
    ("names", names),
    ("note_key", note_key),
    ("proof", proof),
    ("recovery_phrase", recovery_phrase),
    ("roster", roster),
    ("safety_number", safety_number),
    ("sealing_keys", sealing_keys),
    ("token", token),
    ("two_parties", two_parties),
    ("welcome", welcome),
];

/// What is accepted must be what would be written: no second encoding of anything.
fn same(read: Option<Vec<u8>>, bytes: &[u8]) {
    if let Some(written) = read {
        assert_eq!(written, bytes, "accepted, and written otherwise");
    }
}
