//! A stolen account key cannot fill a chain: there is room for the owner's phrase, and for what follows it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod common;

use common::owner::{Owner, device_keys, owner};
use waxwing_protocol::statement::{self, NewKeys};
use waxwing_protocol::{AccountKey, DeviceKeys, DeviceSeeds, RecoveryKey};
use waxwing_wire::limits::{MAX_CHAIN, MAX_CHAIN_BY_ACCOUNT_KEY};
use waxwing_wire::{ChainError, DeviceId, VerifiedChain};

const TOO_LONG: Result<(), ChainError> = Err(ChainError::Rule("the chain is too long"));

/// The account key that entry `seq` puts in force.
fn key_of(seq: u32) -> AccountKey {
    let mut seed = [0xa0; 32];
    seed[..4].copy_from_slice(&seq.to_be_bytes());
    AccountKey::from_seed(&seed)
}

/// A device that entry `seq` puts in force.
fn device_of(seq: u32) -> DeviceKeys {
    let (mut id, mut seeds) = ([0xd0; 16], [0; 160]);
    id[..4].copy_from_slice(&seq.to_be_bytes());
    for (place, seed) in (0..).zip(seeds.chunks_mut(32)) {
        seed[..4].copy_from_slice(&seq.to_be_bytes());
        seed[4..8].copy_from_slice(&u32::to_be_bytes(place));
    }
    DeviceKeys::new(DeviceId::from_bytes(id), 1, DeviceSeeds::from_bytes(&seeds)).unwrap()
}

/// States new account keys until no more are taken, which is the shortest statement that can be repeated. How many there are then.
fn fill(chain: &mut VerifiedChain, mut key: AccountKey) -> (usize, AccountKey) {
    loop {
        let new = key_of(chain.seq() + 1);
        let entry = statement::rotate_account_key(chain, &key, &new, &[], 1);
        match chain.extend(entry.as_bytes()) {
            Ok(()) => key = new,
            error => {
                assert_eq!(error, TOO_LONG);
                return (chain.seq() as usize + 1, key);
            }
        }
    }
}

/// The owner starts again with the same phrase.
fn recover(chain: &mut VerifiedChain, phrase: &RecoveryKey) -> Result<AccountKey, ChainError> {
    let (key, device) = (key_of(chain.seq() + 1), device_of(chain.seq() + 1));
    let new = NewKeys { recovery_key: phrase, account_key: &key, device: &device };
    let entry = statement::recover(chain, phrase, &new, 1);
    chain.extend(entry.as_bytes()).map(|()| key)
}

#[test]
fn p1_a_thief_of_the_account_key_leaves_room_to_recover_and_to_go_on() {
    let Owner { account_key, recovery_key, .. } = &owner(1);
    let mut chain = VerifiedChain::verify(&owner(1).chain(1)).unwrap();
    let (len, thief) = fill(&mut chain, AccountKey::from_seed(account_key.seed()));
    assert_eq!(len, 3072);
    // Nothing else either, whoever signs.
    let (device, rotated) = (device_keys(70, 1), owner(1).keys(2));
    for entry in [
        statement::add_device(&chain, &thief, &device, 1),
        statement::rotate_device_keys(&chain, &thief, &rotated, 1),
        statement::close(&chain, &thief, 1),
    ] {
        assert_eq!(chain.extend(entry.as_bytes()), TOO_LONG);
    }
    // The phrase gives back an account that can change its keys; time and again, until 64 entries are left.
    let mut lengths = Vec::new();
    while lengths.last() != Some(&MAX_CHAIN_BY_ACCOUNT_KEY) {
        let key = recover(&mut chain, recovery_key).unwrap();
        lengths.push(fill(&mut chain, key).0);
    }
    assert_eq!(lengths, [3841, 4032]);
    // From there on the phrase alone counts, to the very end.
    for _ in MAX_CHAIN_BY_ACCOUNT_KEY..MAX_CHAIN {
        let key = recover(&mut chain, recovery_key).unwrap();
        let entry = statement::rotate_account_key(&chain, &key, &key_of(9999), &[], 1);
        assert_eq!(chain.extend(entry.as_bytes()), TOO_LONG);
    }
    assert_eq!(chain.seq() as usize, MAX_CHAIN - 1);
    assert_eq!(recover(&mut chain, recovery_key).map(|_| ()), TOO_LONG);
}

#[test]
fn a_recovery_takes_no_room_from_the_account_key() {
    let Owner { recovery_key, .. } = &owner(1);
    let mut chain = VerifiedChain::verify(&owner(1).chain(1)).unwrap();
    for _ in 0..3 {
        recover(&mut chain, recovery_key).unwrap();
    }
    let key = recover(&mut chain, recovery_key).unwrap();
    assert_eq!(fill(&mut chain, key).0, 3074, "3072 without a recovery");
}
