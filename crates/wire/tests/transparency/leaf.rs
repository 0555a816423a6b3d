//! Leaves: their bytes, and that nothing else is read.

use proptest::prelude::*;
use waxwing_wire::limits::MAX_LEAVES_PAGE;
use waxwing_wire::transparency::{LEAF_LEN, Leaf, account_hash, decode_leaves, leaf_hash, name_hash};
use waxwing_wire::{AccountId, DecodeError};

use super::common::{ORIGIN, hex32};

const NAME: Leaf = Leaf::Name { name_hash: [2; 32], entry_hash: [3; 32] };
const CHAIN: Leaf = Leaf::Chain { account_hash: [2; 32], seq: 0x0102_0304, entry_hash: [3; 32] };

#[test]
fn bytes() {
    let expected = [&[0], [2; 32].as_slice(), &[1, 2, 3, 4], &[3; 32]].concat();
    assert_eq!(CHAIN.encode(), expected);
    assert_eq!(CHAIN.hash(), leaf_hash(&expected));
    let expected = [&[1], [2; 32].as_slice(), &[0; 4], &[3; 32]].concat();
    assert_eq!(NAME.encode(), expected);
    assert_eq!(NAME.hash(), hex32("8820d76bae61ebbd2ab2f2958173446b06251e9a4169956dd9574ca2dbe0f272"));
    for leaf in [CHAIN, NAME] {
        assert_eq!(leaf.encode().len(), LEAF_LEN);
        assert_eq!(Leaf::decode(&leaf.encode()), Ok(leaf));
    }
}

#[test]
fn p18_one_encoding() {
    for leaf in [CHAIN, NAME] {
        let bytes = leaf.encode();
        for end in 0..bytes.len() {
            assert!(matches!(Leaf::decode(&bytes[..end]), Err(DecodeError::Truncated(_))));
        }
        assert_eq!(Leaf::decode(&[bytes.as_slice(), &[0]].concat()), Err(DecodeError::Trailing("leaf")));
        for other in 2..=255 {
            let mut bytes = bytes.clone();
            bytes[0] = other;
            assert_eq!(Leaf::decode(&bytes), Err(DecodeError::Invalid("leaf type")));
        }
    }
    for at in 33..37 {
        let mut bytes = NAME.encode();
        bytes[at] = 1;
        assert_eq!(Leaf::decode(&bytes), Err(DecodeError::Invalid("leaf seq")));
    }
}

#[test]
fn pages_of_leaves() {
    assert_eq!(decode_leaves(&[]), Ok(vec![]));
    let bytes = [CHAIN.encode(), NAME.encode(), CHAIN.encode()].concat();
    assert_eq!(decode_leaves(&bytes), Ok(vec![CHAIN, NAME, CHAIN]));
    // A part of a leaf, at the end or anywhere, is refused.
    for end in (0..bytes.len()).filter(|end| end % LEAF_LEN != 0) {
        assert!(decode_leaves(&bytes[..end]).is_err(), "{end}");
    }
    let most = CHAIN.encode().repeat(MAX_LEAVES_PAGE);
    assert_eq!(decode_leaves(&most).unwrap().len(), MAX_LEAVES_PAGE);
    let more = [most, CHAIN.encode()].concat();
    assert_eq!(decode_leaves(&more), Err(DecodeError::TooLong("leaves")));
}

/// Computed with Python's `hashlib` and `cryptography` (OpenSSL's Argon2id).
#[test]
fn hashes_of_accounts_and_names() {
    assert_eq!(
        account_hash(&AccountId::from_bytes([0x11; 16])),
        hex32("f52be197e10d809d679938122616110e635f21bc4781473003b2441037af7a07")
    );
    let alice = "alice".parse().unwrap();
    let hashed = name_hash(&alice, ORIGIN).unwrap();
    assert_eq!(hashed, hex32("688022520fc2174c69e9310022d8c9c6f7463c77ec15bcf44937eff39bdf87ef"));
    assert_ne!(name_hash(&alice, "relay.example").unwrap(), hashed);
    assert_ne!(name_hash(&"alicf".parse().unwrap(), ORIGIN).unwrap(), hashed);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), LEAF_LEN - 2..LEAF_LEN + 2), first in 0_u8..3) {
        for first in [first, bytes[0]] {
            let mut bytes = bytes.clone();
            bytes[0] = first;
            if let Ok(leaf) = Leaf::decode(&bytes) {
                prop_assert_eq!(leaf.encode(), bytes);
            }
        }
    }
}
