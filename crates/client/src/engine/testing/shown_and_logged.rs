//! One engine, and a relay whose log says something else than the relay shows: each is told as what it is (P6, P17).

use waxwing_wire::transparency::{Leaf, name_hash};
use waxwing_wire::{RelayAddress, VerifiedChain};

use super::doubts::{Log, RELAY, chain, leaf, lone};
use super::slow_logs::speaks_to;
use super::small_relay::chain_of;
use crate::error::ErrorCode;

/// What the relay shows stands in its log, and is not the newest there.
#[tokio::test]
async fn p17_newer_keys_that_a_relay_holds_back_are_not_told_as_keys_that_are_not_in_its_log() {
    let lone = lone().await;
    let (engine, (bea, entries)) = (lone.engine(), chain(7));
    let (address, account): (RelayAddress, _) = (RELAY.parse().unwrap(), bea.account());
    let mut log = Log::new();
    log.leaves = vec![leaf(&bea, 0), leaf(&bea, 1)];
    log.is_read(engine).await;
    for (shown, expected) in [(1, Err(ErrorCode::NewerKeysHeldBack)), (2, Ok(()))] {
        let relay = chain_of(account, &entries[..shown]).await;
        speaks_to(engine, RELAY, &relay);
        let fetched = engine.fetch_chain(&address, &account.to_string(), None).await;
        assert_eq!(fetched.map(drop).map_err(|error| error.code()), expected, "{shown}");
    }
}

/// The keys that it shows may well stand in its log: what does not fit is the name.
#[tokio::test]
async fn p6_a_name_that_the_log_gives_to_another_account_or_to_none_is_told_as_that() {
    let lone = lone().await;
    let (engine, (bea, _), (cem, _)) = (lone.engine(), chain(7), chain(8));
    let address: RelayAddress = RELAY.parse().unwrap();
    let (beas, cems) = (bea.hash_at(0).unwrap(), cem.hash_at(0).unwrap());
    let named = |chain: &VerifiedChain, entry_hash: [u8; 32]| {
        let name_hash = name_hash(chain.name().unwrap(), RELAY).unwrap();
        Leaf::Name { name_hash, entry_hash }
    };
    let told = async |log: &Log, chain: &VerifiedChain| {
        log.is_read_at(engine, engine.now_ms()).await;
        let found = engine.require_name(&address, chain.name().unwrap(), chain).await;
        found.map_err(|error| error.code())
    };
    let mut log = Log::new();
    log.leaves = vec![leaf(&bea, 0), leaf(&bea, 1), named(&cem, cems)];
    assert_eq!(told(&log, &cem).await, Ok(()));
    assert_eq!(told(&log, &bea).await, Err(ErrorCode::NameOfAnother), "it is nobody's");
    log.leaves.push(named(&bea, [9; 32]));
    assert_eq!(told(&log, &bea).await, Err(ErrorCode::NameOfAnother), "it is somebody else's");
    log.leaves.push(named(&bea, beas));
    assert_eq!(told(&log, &bea).await, Err(ErrorCode::LogContradicts), "it is given to two");
}
