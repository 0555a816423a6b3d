//! The transparency log: with the entries, in one transaction, whole at every start.

use futures_util::future::join_all;
use waxwing_relay::LogSigner;
use waxwing_relay::hub::Wake;
use waxwing_relay::storage::{AccountRef, Chained, NewAccount, NextEntry, OpenError, Registered, Setup};
use waxwing_wire::chain::ChainEntry;
use waxwing_wire::transparency::{Leaf, Verdict, account_hash, decode_leaves, judge, verify_inclusion};

use crate::kit::*;

fn chain_leaf(n: u16, entry: &ChainEntry) -> Leaf {
    Leaf::Chain { account_hash: account_hash(&account(n)), seq: entry.unsigned.seq, entry_hash: entry.hash() }
}

fn name_leaf(new: &NewAccount) -> Leaf {
    Leaf::Name { name_hash: new.name.as_ref().unwrap().hash, entry_hash: new.entry.hash() }
}

pub async fn p17_each_entry_has_a_leaf_and_each_name(place: Place) {
    let storage = place.open().await;
    let empty = checkpoint(&*storage).await;
    assert_eq!(empty.checkpoint().size, 0);
    let (alice, private) = (create(1, Some("alice")), create(2, None));
    let next = rotation(1, &alice.entry);
    assert_eq!(storage.register(alice.clone()).await.unwrap(), Registered::Stored);
    assert_eq!(storage.register(private.clone()).await.unwrap(), Registered::Stored);
    assert_eq!(storage.extend_chain(next.clone()).await.unwrap(), Chained::Stored);
    let expected =
        vec![chain_leaf(1, &alice.entry), name_leaf(&alice), chain_leaf(2, &private.entry), chain_leaf(1, &next.entry)];
    assert_eq!(leaves(&*storage).await, expected);
    let covered = checkpoint(&*storage).await;
    assert_eq!(judge(&empty, &covered, &[]), Ok(Verdict::Consistent));
    // The same again, and what is refused, change nothing: not even the checkpoint.
    assert_eq!(storage.register(alice.clone()).await.unwrap(), Registered::Stored);
    assert_eq!(storage.extend_chain(next.clone()).await.unwrap(), Chained::Stored);
    assert_eq!(storage.register(create(3, Some("alice"))).await.unwrap(), Registered::NameTaken);
    assert_eq!(storage.register(create(1, Some("bob"))).await.unwrap(), Registered::IdTaken);
    let conflicting = entry(1, 1, [3; 32], next.entry.unsigned.statement.clone());
    let conflicting = NextEntry { entry: conflicting, devices: next.devices.clone() };
    assert_eq!(storage.extend_chain(conflicting).await.unwrap(), Chained::Conflict);
    assert_eq!(checkpoint(&*storage).await, covered);
    // A chain says where it stands.
    let chain = storage.chain(AccountRef::Id(account(1)), 0, 10).await.unwrap().unwrap();
    assert_eq!((chain.indexes, chain.name_index, chain.checkpoint), (vec![0, 3], Some(1), covered.note().to_owned()));
    let rest = storage.chain(AccountRef::Id(account(1)), 1, 10).await.unwrap().unwrap();
    assert_eq!((rest.indexes, rest.name_index), (vec![3], None));
    let nameless = storage.chain(AccountRef::Id(account(2)), 0, 10).await.unwrap().unwrap();
    assert_eq!((nameless.indexes, nameless.name_index), (vec![2], None));
}

pub async fn every_proof_of_every_size_holds(place: Place) {
    let storage = place.open().await;
    let mut served = vec![checkpoint(&*storage).await];
    for n in 0..12 {
        let name = (n % 3 != 0).then(|| format!("name-{n}"));
        storage.register(create(n, name.as_deref())).await.unwrap();
        served.push(checkpoint(&*storage).await);
    }
    let all = leaves(&*storage).await;
    for newer in &served[1..] {
        let (size, root) = (newer.checkpoint().size, newer.checkpoint().root);
        for index in 0..size {
            let proof = storage.inclusion(index, size).await.unwrap().unwrap();
            assert_eq!(proof.leaf, all[index as usize]);
            assert_eq!(verify_inclusion(&proof.leaf.hash(), index, size, proof.path.as_ref(), &root), Ok(()));
        }
        for older in served[1..].iter().filter(|older| older.checkpoint().size <= size) {
            let proof = storage.consistency(older.checkpoint().size, size).await.unwrap().unwrap();
            assert_eq!(judge(older, newer, proof.path.as_ref()), Ok(Verdict::Consistent));
        }
    }
    let size = all.len() as u64;
    for (index, of) in [(size, size), (0, 0), (0, size + 1), (u64::MAX, u64::MAX)] {
        assert_eq!(storage.inclusion(index, of).await.unwrap(), None, "{index} of {of}");
    }
    for (first, second) in [(0, size), (2, 1), (1, size + 1), (u64::MAX, u64::MAX)] {
        assert_eq!(storage.consistency(first, second).await.unwrap(), None, "{first} to {second}");
    }
    // Pages of leaves.
    assert_eq!(storage.leaves(size, 5).await.unwrap(), Some(vec![]));
    assert_eq!(storage.leaves(size + 1, 5).await.unwrap(), None);
    assert_eq!(storage.leaves(u64::MAX, 5).await.unwrap(), None);
    let page = storage.leaves(3, 5).await.unwrap().unwrap();
    assert_eq!(decode_leaves(&page).unwrap(), all[3..8]);
}

/// In one commit or in many: each checkpoint has its own size and time, and they follow each other.
pub async fn p17_one_line_of_checkpoints(place: Place) {
    let (setup, mut wakes) = listening(|wake| match wake {
        Wake::Checkpoint(checkpoint) => Some(checkpoint.clone()),
        _ => None,
    });
    let storage = place.open_with(setup).await.unwrap();
    let answers = join_all((0..30).map(|n| storage.register(create(n, None)))).await;
    assert!(answers.iter().all(|answer| *answer == Ok(Registered::Stored)));
    storage.renew_checkpoint().await.unwrap();
    // Told after the commits, which may overtake each other on the way.
    let mut told = Vec::new();
    for _ in 0..=30 {
        told.push(wakes.recv().await.unwrap());
    }
    told.sort_by_key(|signed| signed.checkpoint().time_ms);
    for pair in told.windows(2) {
        let (old, new) = (pair[0].checkpoint(), pair[1].checkpoint());
        assert!(old.time_ms < new.time_ms && old.size <= new.size);
        let proof = storage.consistency(old.size, new.size).await.unwrap().unwrap();
        assert_eq!(judge(&pair[0], &pair[1], proof.path.as_ref()), Ok(Verdict::Consistent));
    }
    let last = told.last().unwrap();
    assert_eq!(**last, checkpoint(&*storage).await);
    assert_eq!(last.checkpoint().size, 30);
}

/// A log goes on under its key and name only.
pub async fn p17_another_key_does_not_start(place: Place) {
    // Nothing is in it yet: nobody can have been shown a history.
    let other = LogSigner::new(ORIGIN, signing(8)).unwrap();
    place.open_with(Setup { signer: other, ..setup() }).await.unwrap().close().await.unwrap();
    let storage = place.open().await;
    for n in 0..5 {
        storage.register(create(n, Some(&format!("name-{n}")))).await.unwrap();
    }
    let before = checkpoint(&*storage).await;
    storage.close().await.unwrap();
    drop(storage);
    for other in [LogSigner::new(ORIGIN, signing(8)), LogSigner::new("other.example", signing(7))] {
        let refused = place.open_with(Setup { signer: other.unwrap(), ..setup() }).await.err();
        assert!(matches!(refused, Some(OpenError::OtherLog)), "{refused:?}");
    }
    let storage = place.open().await;
    let after = checkpoint(&*storage).await;
    assert!(after.checkpoint().time_ms > before.checkpoint().time_ms);
    assert_eq!(judge(&before, &after, &[]), Ok(Verdict::Consistent));
}
