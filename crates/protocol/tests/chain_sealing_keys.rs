//! Chains take sealing keys that can be sealed to, each in its one encoding, and no others.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod common;

use common::owner::{owner, rotation};
use common::{in_log, person, rng, tag_key};
use waxwing_protocol::{Recipient, SealRequest, Suite, envelope};
use waxwing_wire::{DecodeError, DeviceRecord, Reader, VerifiedChain};

/// A sealing key to which nothing can be sealed would keep everybody from writing to a group; and one with a second encoding would
/// be the old key under a new look (P4, P18).
#[test]
fn p9_p18_only_keys_that_can_be_sealed_to_in_their_one_encoding() {
    let alice = owner(1);
    let chain = VerifiedChain::verify(&alice.chain(1)).unwrap();
    let keys = alice.keys(2);
    let judge = |change: &dyn Fn(&mut DeviceRecord)| {
        let mut record = keys.record().clone();
        change(&mut record);
        chain.clone().extend(&rotation(&chain, &alice.account_key, &record, &keys))
    };
    let (x25519, xwing) =
        (Err(DecodeError::Invalid("X25519 key").into()), Err(DecodeError::Invalid("X-Wing key").into()));
    judge(&|_| ()).unwrap();
    let number = |lowest: u8, middle: u8, highest: u8| {
        let mut bytes = [middle; 32];
        (bytes[0], bytes[31]) = (lowest, highest);
        bytes
    };
    let order_8 = [
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    ];
    let low_order = [number(0, 0, 0), number(1, 0, 0), number(0xec, 0xff, 0x7f)]
        .into_iter()
        .chain(order_8.map(|hex| hex::decode(hex).unwrap().try_into().unwrap()));
    for key in low_order {
        let secret = x25519_dalek::StaticSecret::from([7; 32]);
        assert!(!secret.diffie_hellman(&key.into()).was_contributory());
        assert_eq!(judge(&|record| record.x25519 = key), x25519);
        assert_eq!(judge(&|record| record.xwing[1184..].copy_from_slice(&key)), xwing);
    }
    // p and above, and the bit that RFC 7748 has receivers ignore.
    let mut same = keys.record().x25519;
    same[31] |= 0x80;
    let beyond =
        [number(0xed, 0xff, 0x7f), number(0xf0, 0xff, 0x7f), number(0xff, 0xff, 0x7f), number(9, 0, 0x80), same];
    for key in beyond {
        assert_eq!(judge(&|record| record.x25519 = key), x25519);
        assert_eq!(judge(&|record| record.xwing[1184..].copy_from_slice(&key)), xwing);
    }
    for key in [number(9, 0, 0), number(0xeb, 0xff, 0x7f), number(0xff, 0xfe, 0x7f), number(0xff, 0xff, 0x7e)] {
        judge(&|record| record.x25519 = key).unwrap();
        judge(&|record| record.xwing[1184..].copy_from_slice(&key)).unwrap();
    }
    // The first, the second and the last coefficient of ML-KEM: q = 3329 = 0xd01 is too much, q - 1 is not.
    let first = |value: u16| [value as u8, (value >> 8) as u8, 0];
    let second = |value: u16| [0, (value << 4) as u8, (value >> 4) as u8];
    for (at, bytes) in [(0, &first as &dyn Fn(u16) -> [u8; 3]), (0, &second), (1149, &first), (1149, &second)] {
        for value in [3329, 4095] {
            assert_eq!(judge(&|record| record.xwing[at..at + 3].copy_from_slice(&bytes(value))), xwing);
        }
        judge(&|record| record.xwing[at..at + 3].copy_from_slice(&bytes(3328))).unwrap();
    }
}

/// The relation to sealing: what a chain takes can be sealed to, what it refuses (low order aside, inside X-Wing) cannot.
#[test]
fn p9_a_chain_takes_what_can_be_sealed_to() {
    let bob = person(2);
    let seal = |suite, record: &DeviceRecord| {
        let to = [Recipient { account: bob.account, record }];
        let tags = tag_key();
        envelope::seal(&SealRequest { suite, ..in_log(&bob, &to, &tags, b"content") }, &mut rng(1)).is_ok()
    };
    let accepted = |record: &DeviceRecord| DeviceRecord::decode(&mut Reader::new(&record.encode())).is_ok();
    let record = bob.keys.record();
    assert!(accepted(record) && seal(Suite::X25519, record) && seal(Suite::XWing, record));
    let zero = DeviceRecord { x25519: [0; 32], ..record.clone() };
    assert!(!accepted(&zero) && !seal(Suite::X25519, &zero));
    for at in [0, 1, 2, 1149, 1150, 1151] {
        let mut changed = record.clone();
        changed.xwing[at] = 0xff;
        assert_eq!(accepted(&changed), seal(Suite::XWing, &changed), "byte {at}");
    }
    let mut changed = record.clone();
    changed.xwing[..1152].fill(0xff);
    assert!(!accepted(&changed) && !seal(Suite::XWing, &changed));
}
