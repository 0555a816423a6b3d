//! What is judged, and what is answered without: what tests outside cannot see.

use std::time::Duration;

use ed25519_dalek::{Signer as _, SigningKey};
use waxwing_wire::chain::{Create, Recover, UnsignedEntry};
use waxwing_wire::{DeviceId, DeviceRecord, signing_input};

use super::*;
use crate::config::Config;
use crate::relay::{Relay, start};
use crate::storage::{NewAccount, Registered};

const ACCOUNT: AccountId = AccountId::from_bytes([1; 16]);
const ACCOUNT_KEY: u8 = 1;
const RECOVERY_KEY: u8 = 2;
const SOON: Duration = Duration::from_secs(20);

fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

fn public(n: u8) -> [u8; 32] {
    key(n).verifying_key().to_bytes()
}

/// A device with the keys of the round `n`.
fn record(device: u8, key_version: u32, n: u8) -> DeviceRecord {
    DeviceRecord {
        device: DeviceId::from_bytes([device; 16]),
        key_version,
        relay_auth: public(10 * n),
        signing: public(10 * n + 1),
        mls: public(10 * n + 2),
        x25519: [n; 32],
        xwing: Box::new([0x10 + n; 1216]),
    }
}

/// An entry of the account, signed as it should be.
fn entry(seq: u32, prev_hash: [u8; 32], statement: Statement) -> ChainEntry {
    let unsigned = UnsignedEntry { account: ACCOUNT, seq, prev_hash, statement, at_ms: 1 };
    let message = unsigned.encode();
    let sign = |(context, wanted): (_, &[u8; 32])| {
        let key = (0..100).map(key).find(|key| key.verifying_key().as_bytes() == wanted).unwrap();
        key.sign(&signing_input(context, &message)).to_bytes()
    };
    let (account_key, recovery_key) = (public(ACCOUNT_KEY), public(RECOVERY_KEY));
    let in_force = InForce { account_key: &account_key, recovery_key: &recovery_key };
    let signatures = unsigned.signers(in_force).into_iter().map(sign).collect();
    unsigned.assemble(signatures)
}

fn rotation(seq: u32, prev_hash: [u8; 32]) -> ChainEntry {
    entry(seq, prev_hash, Statement::RotateDeviceKeys(Box::new(record(1, 2, 2))))
}

fn recovery(seq: u32, prev_hash: [u8; 32]) -> ChainEntry {
    let (recovery_key, account_key) = (public(RECOVERY_KEY), public(3));
    entry(seq, prev_hash, Statement::Recover(Box::new(Recover { recovery_key, account_key, device: record(2, 1, 3) })))
}

/// A relay with the account, and the account's first entry.
async fn relay(folder: &std::path::Path) -> (Relay, ChainEntry) {
    let relay = start(Config::new("127.0.0.1:0".parse().unwrap(), folder.to_owned())).await.unwrap();
    let (account_key, recovery_key) = (public(ACCOUNT_KEY), public(RECOVERY_KEY));
    let log_origin = "relay.example".to_owned();
    let create = Create { log_origin, name: None, recovery_key, account_key, device: record(1, 1, 1) };
    let first = entry(0, [0; 32], Statement::Create(Box::new(create)));
    let account = NewAccount { entry: first.clone(), name: None, device: record(1, 1, 1) };
    assert_eq!(relay.app().storage.register(account).await, Ok(Registered::Stored));
    (relay, first)
}

/// A3: with all places for judging taken, what does not follow the chain has its answer, and what does waits for a place.
#[tokio::test]
async fn a3_what_does_not_follow_is_not_judged() {
    let folder = tempfile::tempdir().unwrap();
    let (relay, first) = relay(folder.path()).await;
    let app = relay.app();
    let device = Device { account: ACCOUNT, device: DeviceId::from_bytes([1; 16]), relay_auth: public(10) };
    let next = rotation(1, first.hash());
    let places = app.judges.occupy().await;
    let at_once = async |device: Option<Device>, entry: ChainEntry| {
        let answer = tokio::time::timeout(SOON, verify(app, ACCOUNT, device, entry)).await;
        answer.expect("it waits for a judgement").err().map(|refused| refused.code())
    };
    for (seq, before) in [(1, [7; 32]), (2, next.hash()), (2, first.hash()), (4096, first.hash()), (0, [0; 32])] {
        for device in [Some(device), None] {
            for entry in [rotation(seq, before), recovery(seq, before)] {
                assert_eq!(at_once(device, entry).await, Some(ProblemCode::ChainConflict), "{seq}");
            }
        }
    }
    // A token that has outlived its device or key says so, as where it is judged.
    let old = Device { relay_auth: public(99), ..device };
    assert_eq!(at_once(Some(old), rotation(1, [7; 32])).await, Some(ProblemCode::Unauthorized));
    // The control, with a token and without.
    for (device, entry) in [(Some(device), &next), (None, &recovery(1, first.hash()))] {
        let waits = verify(app, ACCOUNT, device, entry.clone());
        assert!(tokio::time::timeout(Duration::from_millis(500), waits).await.is_err());
    }
    drop(places);
    assert!(matches!(verify(app, ACCOUNT, None, recovery(1, first.hash())).await, Ok(Verified::Next(_))));
    let Ok(Verified::Next(stored)) = verify(app, ACCOUNT, Some(device), next.clone()).await else {
        panic!("it is good")
    };
    assert_eq!(app.storage.extend_chain(*stored).await, Ok(Chained::Stored));
    // What is stored is so without a judgement, too.
    let _places = app.judges.occupy().await;
    assert_eq!(at_once(Some(device), next).await, None);
}

/// Whoever comes without a token shows a signature of a key in force first: the newest that the chain states, wherever that is.
#[test]
fn the_newest_keys_begin_an_entry() {
    let (account_key, recovery_key) = (public(ACCOUNT_KEY), public(RECOVERY_KEY));
    let create = |account_key, recovery_key| {
        let log_origin = "relay.example".to_owned();
        let create = Create { log_origin, name: None, recovery_key, account_key, device: record(1, 1, 1) };
        entry(0, [0; 32], Statement::Create(Box::new(create))).as_bytes().to_vec()
    };
    let bytes = |entry: ChainEntry| entry.as_bytes().to_vec();
    let rotated = bytes(rotation(1, [0; 32]));
    let by_phrase = recovery(2, [0; 32]);
    assert!(is_begun(&[create(account_key, recovery_key), rotated.clone()], &by_phrase));
    // Another phrase, and an account key that the recovery replaced.
    assert!(!is_begun(&[create(account_key, public(9)), rotated], &by_phrase));
    let recovered = [create(account_key, recovery_key), bytes(recovery(1, [0; 32]))];
    assert!(!is_begun(&recovered, &rotation(2, [0; 32])));
    assert!(is_begun(&recovered, &by_phrase), "the phrase stays");
    assert!(!is_begun(&[], &by_phrase));
}
