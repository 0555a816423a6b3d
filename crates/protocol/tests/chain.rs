//! Chains: what this crate signs, `waxwing-wire` verifies, and what nobody rightly signed it refuses.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod common;

use common::owner::{error, owner, rotation, sign_with_device};
use common::rng;
use ed25519_dalek::{Signer as _, SigningKey};
use serde::{Deserialize, Serialize};
use waxwing_protocol::statement::{create, rotate_device_keys};
use waxwing_protocol::{AccountKey, DeviceKeys, DeviceSeeds, RecoveryPhrase};
use waxwing_wire::chain::{Create, Statement, UnsignedEntry};
use waxwing_wire::{ChainEntry, ChainError, DecodeError, VerifiedChain, signing_input};

#[test]
fn create_and_rotations_verify() {
    let alice = owner(1);
    let entries = alice.chain(5);
    let chain = VerifiedChain::verify(&entries).unwrap();
    assert_eq!((chain.account(), chain.seq()), (alice.account, 4));
    assert_eq!((chain.name().unwrap().as_str(), chain.log_origin()), ("alice", "waxwing.example"));
    assert_eq!(chain.account_key(), &alice.account_key.public());
    assert_eq!(chain.recovery_key(), &alice.recovery_key.public());
    let state = chain.device(alice.device).unwrap();
    assert_eq!(&state.current().record, alice.keys(5).record());
    assert_eq!((state.current().seq, state.current().at_ms), (4, 5000));
    for version in 1..=5 {
        assert_eq!(&state.version(version).unwrap().record, alice.keys(version).record());
    }
    assert!(state.version(0).is_none() && state.version(6).is_none());
    let hashes: Vec<_> = entries.iter().map(|entry| ChainEntry::decode(entry).unwrap().hash()).collect();
    assert_eq!(chain.head(), hashes[4]);
    assert!((0..5).all(|seq| chain.hash_at(seq) == Some(hashes[seq as usize])));
    assert_eq!(chain.hash_at(5), None);
}

#[test]
fn a_private_account_has_no_name() {
    let alice = owner(1);
    let entry = create(alice.account, "[::1]:4000", None, &alice.account_key, &alice.recovery_key, &alice.keys(1), 0);
    assert_eq!(VerifiedChain::verify(&[entry.as_bytes()]).unwrap().name(), None);
}

#[test]
fn p1_p18_every_byte_counts() {
    let alice = owner(1);
    let entries = alice.chain(2);
    for which in 0..2 {
        let mut changed = entries.clone();
        // Every byte: fields, keys and each of the 5 or 4 signatures.
        for at in 0..entries[which].len() {
            changed[which][at] ^= 1 << (at % 8);
            assert!(VerifiedChain::verify(&changed).is_err(), "entry {which}, byte {at}");
            changed[which][at] ^= 1 << (at % 8);
        }
        for len in 0..entries[which].len() {
            changed[which].truncate(len);
            assert!(matches!(error(&changed), ChainError::Decode(_)), "entry {which} cut to {len}");
            changed[which].clone_from(&entries[which]);
        }
        changed[which].push(0);
        assert_eq!(error(&changed), ChainError::Decode(DecodeError::Trailing("chain entry")));
    }
}

#[test]
fn p1_each_signature_is_needed() {
    let alice = owner(1);
    let entries = alice.chain(2);
    for (which, signatures) in [(0, 5), (1, 4)] {
        for signature in 0..signatures {
            let mut changed = entries.clone();
            let at = entries[which].len() - 64 * (signatures - signature);
            changed[which][at..at + 64].fill(0);
            assert_eq!(error(&changed), ChainError::Signature, "entry {which}, signature {signature}");
        }
        // Right signatures in the wrong places: each has its own context.
        let mut swapped = entries.clone();
        let at = entries[which].len() - 64 * signatures;
        swapped[which][at..].rotate_left(64);
        assert_eq!(error(&swapped), ChainError::Signature);
    }
}

#[test]
fn p1_p5_order_and_account() {
    let alice = owner(1);
    let entries = alice.chain(3);
    assert_eq!(error(&[]), ChainError::Empty);
    assert_eq!(error(&[entries[0].clone(), entries[2].clone()]), ChainError::Order);
    assert_eq!(error(&[entries[0].clone(), entries[2].clone(), entries[1].clone()]), ChainError::Order);
    assert_eq!(error(&[entries[0].clone(), entries[1].clone(), entries[1].clone()]), ChainError::Order);
    assert!(matches!(error(&entries[1..]), ChainError::Rule(_)));
    let again = |entries: &[Vec<u8>]| [entries, &[entries[0].clone()]].concat();
    assert_eq!(error(&again(&entries[..1])), ChainError::Order);
    // A branch: rightly signed for this place, on another entry before it.
    let other =
        create(alice.account, "waxwing.example", None, &alice.account_key, &alice.recovery_key, &alice.keys(1), 1);
    let branch = VerifiedChain::verify(&[other.as_bytes()]).unwrap();
    let on_branch = rotate_device_keys(&branch, &alice.account_key, &alice.keys(2), 2000);
    branch.clone().extend(on_branch.as_bytes()).unwrap();
    assert_eq!(error(&[entries[0].clone(), on_branch.as_bytes().to_vec()]), ChainError::Order);
    // The right predecessor, and a number that is not the next.
    let chain = VerifiedChain::verify(&entries[..1]).unwrap();
    let good = rotation(&chain, &alice.account_key, alice.keys(2).record(), &alice.keys(2));
    let mut unsigned = ChainEntry::decode(&good).unwrap().unsigned;
    for seq in [0, 2, u32::MAX] {
        unsigned.seq = seq;
        let entry = sign_with_device(unsigned.clone(), &[("chain account", &alice.account_key)], &alice.keys(2));
        assert_eq!(error(&[entries[0].clone(), entry]), ChainError::Order, "{seq}");
    }
    // Another account's entry, even a good one.
    let bob = owner(2);
    assert_eq!(error(&[entries[0].clone(), bob.chain(2)[1].clone()]), ChainError::Account);
}

#[test]
fn an_error_leaves_the_chain_as_it_was() {
    let alice = owner(1);
    let entries = alice.chain(3);
    let mut chain = VerifiedChain::verify(&entries[..2]).unwrap();
    let before = chain.clone();
    assert!(chain.extend(&entries[0]).is_err());
    assert!(chain.extend(&entries[2][..100]).is_err());
    assert_eq!(chain, before);
    chain.extend(&entries[2]).unwrap();
    assert_eq!(chain, VerifiedChain::verify(&entries).unwrap());
}

#[test]
fn p2_a_rotation_is_the_owners_and_of_a_known_device() {
    let (alice, bob) = (owner(1), owner(2));
    let entries = alice.chain(1);
    let chain = VerifiedChain::verify(&entries).unwrap();
    let refuse = |entry: Vec<u8>, expected: ChainError| {
        let mut chain = chain.clone();
        assert_eq!(chain.extend(&entry), Err(expected));
    };
    let new = alice.keys(2);
    // Signed by somebody else's account key.
    refuse(rotation(&chain, &bob.account_key, new.record(), &new), ChainError::Signature);
    // The device's own keys alone do not suffice: its relay-auth key in the account key's place.
    let device_as_account = AccountKey::from_seed(alice.keys(1).relay_auth().as_bytes());
    refuse(rotation(&chain, &device_as_account, new.record(), &new), ChainError::Signature);
    // Nor does the recovery key rotate device keys.
    let recovery = RecoveryPhrase::generate(&mut rng(101));
    let prk = hkdf::Hkdf::<sha2::Sha256>::new(Some(&waxwing_wire::label("recovery")), recovery.entropy().as_slice());
    let mut seed = [0; 32];
    prk.expand(b"ed25519", &mut seed).unwrap();
    assert_eq!(AccountKey::from_seed(&seed).public(), alice.recovery_key.public());
    refuse(rotation(&chain, &AccountKey::from_seed(&seed), new.record(), &new), ChainError::Signature);
    // Keys without proof of possession: public keys of somebody else.
    refuse(rotation(&chain, &alice.account_key, bob.keys(2).record(), &new), ChainError::Signature);
    // A device that is not in the chain.
    let stranger = bob.keys(2);
    let not_here = ChainError::Rule("the device is not in the chain");
    refuse(rotation(&chain, &alice.account_key, stranger.record(), &stranger), not_here);
    // Good, for comparison.
    chain.clone().extend(&rotation(&chain, &alice.account_key, new.record(), &new)).unwrap();
}

#[test]
fn p1_versions_grow_by_one() {
    let alice = owner(1);
    let chain = VerifiedChain::verify(&alice.chain(2)).unwrap();
    for version in [1, 2, 4, 9, u32::MAX] {
        let keys = DeviceKeys::new(alice.device, version, DeviceSeeds::generate(&mut rng(77))).unwrap();
        let entry = rotate_device_keys(&chain, &alice.account_key, &keys, 1);
        let mut chain = chain.clone();
        assert_eq!(chain.extend(entry.as_bytes()), Err(ChainError::Rule("the key version must grow by 1")));
    }
    // Version 0 does not exist, and a chain starts with 1.
    let keys = DeviceKeys::new(alice.device, 2, DeviceSeeds::generate(&mut rng(77))).unwrap();
    let entry = create(alice.account, "host", None, &alice.account_key, &alice.recovery_key, &keys, 1);
    let rule = ChainError::Rule("a new device starts with key version 1");
    assert_eq!(VerifiedChain::verify(&[entry.as_bytes()]), Err(rule));
    let mut zero = alice.keys(3).record().clone();
    zero.key_version = 0;
    let entry = rotation(&chain, &alice.account_key, &zero, &alice.keys(3));
    assert_eq!(chain.clone().extend(&entry), Err(DecodeError::Invalid("key version").into()));
}

#[test]
fn p4_no_key_in_two_roles() {
    let alice = owner(1);
    let chain = VerifiedChain::verify(&alice.chain(1)).unwrap();
    let rule = ChainError::Rule("one key in two roles");
    // The account key as a device key, and one device key twice; rightly signed in each role.
    let fresh = DeviceSeeds::generate(&mut rng(78)).to_bytes();
    let with = |place: usize, seed: &[u8; 32]| {
        let mut seeds = *fresh;
        seeds[place * 32..place * 32 + 32].copy_from_slice(seed);
        DeviceKeys::new(alice.device, 2, DeviceSeeds::from_bytes(&seeds))
    };
    for place in 0..3 {
        let keys = with(place, alice.account_key.seed()).unwrap();
        let entry = rotation(&chain, &alice.account_key, keys.record(), &keys);
        assert_eq!(chain.clone().extend(&entry), Err(rule));
    }
    let second: [u8; 32] = fresh[32..64].try_into().unwrap();
    for place in [0, 2, 3, 4] {
        assert!(with(place, &second).is_err(), "the same seed twice is refused before there are keys");
    }
    // A `create` whose recovery key is the account key.
    let seed = {
        let mut seed = [0; 32];
        hkdf::Hkdf::<sha2::Sha256>::new(Some(&waxwing_wire::label("recovery")), &[5; 32])
            .expand(b"ed25519", &mut seed)
            .unwrap();
        seed
    };
    let both = RecoveryPhrase::from_entropy(&[5; 32]).recovery_key();
    let entry = create(alice.account, "host", None, &AccountKey::from_seed(&seed), &both, &alice.keys(1), 1);
    assert_eq!(VerifiedChain::verify(&[entry.as_bytes()]), Err(rule));
}

#[test]
fn p4_a_rotation_replaces_every_key() {
    let alice = owner(1);
    let chain = VerifiedChain::verify(&alice.chain(2)).unwrap();
    let fresh = DeviceSeeds::generate(&mut rng(79)).to_bytes();
    for old_version in [1, 2] {
        let old = alice.keys(old_version).seeds().to_bytes();
        for place in 0..5 {
            let mut seeds = *fresh;
            seeds[place * 32..place * 32 + 32].copy_from_slice(&old[place * 32..place * 32 + 32]);
            let keys = DeviceKeys::new(alice.device, 3, DeviceSeeds::from_bytes(&seeds)).unwrap();
            let entry = rotate_device_keys(&chain, &alice.account_key, &keys, 1);
            let rule = ChainError::Rule("a rotation must replace every key");
            assert_eq!(chain.clone().extend(entry.as_bytes()), Err(rule), "version {old_version}, key {place}");
        }
        // Nor may an old key come back in another Ed25519 role.
        let mut seeds = *fresh;
        seeds[..32].copy_from_slice(&old[32..64]);
        let keys = DeviceKeys::new(alice.device, 3, DeviceSeeds::from_bytes(&seeds)).unwrap();
        let entry = rotate_device_keys(&chain, &alice.account_key, &keys, 1);
        assert!(chain.clone().extend(entry.as_bytes()).is_err());
    }
}

/// Low-order public keys verify nothing, whatever the signature (P9).
#[test]
fn p9_weak_keys_sign_nothing() {
    let alice = owner(1);
    let keys = alice.keys(1);
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let weak = Create {
        log_origin: "host".to_owned(),
        name: None,
        recovery_key: neutral,
        account_key: alice.account_key.public(),
        device: keys.record().clone(),
    };
    let unsigned = UnsignedEntry {
        account: alice.account,
        seq: 0,
        prev_hash: [0; 32],
        statement: Statement::Create(Box::new(weak)),
        at_ms: 1,
    };
    let message = unsigned.encode();
    let sign = |context: &str, key: &SigningKey| key.sign(&signing_input(context, &message)).to_bytes();
    // R = neutral point, S = 0 holds under the neutral key where verification is not strict.
    let mut forged = [0; 64];
    forged[0] = 1;
    let signatures = vec![
        alice.account_key.sign("chain account", &message),
        forged,
        sign("chain possess relay-auth", keys.relay_auth()),
        sign("chain possess signing", keys.signing()),
        sign("chain possess mls", keys.mls()),
    ];
    let entry = unsigned.assemble(signatures);
    assert_eq!(VerifiedChain::verify(&[entry.as_bytes()]), Err(ChainError::Signature));
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Vectors {
    comment: String,
    account: String,
    account_key: String,
    recovery_key: String,
    /// Entries in hexadecimal, and the hash of each.
    entries: Vec<(String, String)>,
    /// Fingerprint of the device keys in force after the last entry.
    fingerprint: String,
}

/// `tests/vectors/chain.json`, made with `WAXWING_WRITE_VECTORS=1`: the format must not change unnoticed.
#[test]
fn the_format_is_stable() {
    let alice = owner(1);
    let entries = alice.chain(3);
    let chain = VerifiedChain::verify(&entries).unwrap();
    let vectors = Vectors {
        comment: "A Waxwing chain, version 1 (docs/protocol.md): create and two rotations.".to_owned(),
        account: alice.account.to_string(),
        account_key: hex::encode(alice.account_key.public()),
        recovery_key: hex::encode(alice.recovery_key.public()),
        entries: entries
            .iter()
            .map(|entry| (hex::encode(entry), hex::encode(ChainEntry::decode(entry).unwrap().hash())))
            .collect(),
        fingerprint: hex::encode(chain.device(alice.device).unwrap().current().record.fingerprint()),
    };
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/chain.json");
    let text = serde_json::to_string_pretty(&vectors).unwrap() + "\n";
    if std::env::var_os("WAXWING_WRITE_VECTORS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert!(std::fs::read_to_string(&path).unwrap() == text, "the chain's bytes changed");
    let committed: Vectors = serde_json::from_str(&text).unwrap();
    let bytes: Vec<_> = committed.entries.iter().map(|(entry, _)| hex::decode(entry).unwrap()).collect();
    assert_eq!(hex::encode(VerifiedChain::verify(&bytes).unwrap().head()), committed.entries[2].1);
}
