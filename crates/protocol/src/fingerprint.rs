//! Fingerprints as people read them.

use waxwing_wire::ids::to_hex;
use waxwing_wire::{hash, label};

/// The first 16 bytes of a hash as eight groups of four hexadecimal digits: `1a2b 3c4d ...`.
///
/// For showing that keys changed. Not for comparing people: that is the safety number.
#[must_use]
pub fn fingerprint_text(hash: &[u8; 32]) -> String {
    let (half, _) = hash.split_at(16);
    half.chunks(2).map(to_hex).collect::<Vec<_>>().join(" ")
}

/// SHA-256 over an account key under its own label: what is shown as the account key's fingerprint.
#[must_use]
pub fn account_fingerprint(account_key: &[u8; 32]) -> [u8; 32] {
    hash(&[&label("account key"), account_key])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_groups() {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&[0x1a, 0x2b, 0x3c, 0x4d]);
        assert_eq!(fingerprint_text(&hash), format!("1a2b 3c4d{}", " 0000".repeat(6)));
    }
}
