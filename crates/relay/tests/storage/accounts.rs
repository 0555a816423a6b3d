//! Registration, chains, devices, access keys.

use waxwing_relay::storage::{
    AccountRef, Admission, Chained, Claimed, Claimer, Delivered, DeviceChange, InForce, NextEntry, Registered, Setup,
    Storage, Watched,
};
use waxwing_wire::blob::BlobSecret;
use waxwing_wire::limits::MAX_ACCESS_KEYS;

use crate::key_packages::{claim, upload};
use crate::kit::*;

pub async fn registration(place: Place) {
    let storage = place.open().await;
    let alice = registered(&*storage, 1, Some("alice")).await;
    assert_eq!(storage.register(alice.clone()).await.unwrap(), Registered::Stored);
    assert_eq!(storage.register(create(2, Some("alice"))).await.unwrap(), Registered::NameTaken);
    assert_eq!(storage.register(create(1, Some("bob"))).await.unwrap(), Registered::IdTaken);
    // Another account with a device id that is taken.
    let mut thief = create(3, Some("carol"));
    thief.device = device(1, 9);
    assert_eq!(storage.register(thief).await.unwrap(), Registered::IdTaken);
    assert_eq!(storage.chain(AccountRef::Id(account(3)), 0, 10).await.unwrap(), None);
    registered(&*storage, 4, None).await;
    for by in [
        AccountRef::Id(account(1)),
        AccountRef::Name("alice".parse().unwrap()),
        AccountRef::IdOrName(account(9), "alice".parse().unwrap()),
        AccountRef::IdOrName(account(1), "nobody".parse().unwrap()),
    ] {
        let chain = storage.chain(by, 0, 10).await.unwrap().unwrap();
        assert_eq!((chain.account, chain.head), (account(1), 0));
        assert_eq!(chain.name, Some("alice".parse().unwrap()));
        assert_eq!(chain.entries, [alice.entry.as_bytes()]);
    }
    assert_eq!(storage.chain(AccountRef::Name("nobody".parse().unwrap()), 0, 10).await.unwrap(), None);
    assert_eq!(storage.relay_auth(account(1), device_id(1)).await.unwrap(), Some([1; 32]));
    assert_eq!(storage.relay_auth(account(4), device_id(1)).await.unwrap(), None);
}

pub async fn chains_are_compare_and_swap(place: Place) {
    let (setup, mut rotated) = listening(|wake| match wake {
        waxwing_relay::hub::Wake::Rotated { device, relay_auth } => Some((*device, *relay_auth)),
        _ => None,
    });
    let storage = place.open_with(setup).await.unwrap();
    let alice = registered(&*storage, 1, Some("alice")).await;
    let (first, mut other) = (rotation(1, &alice.entry), rotation(1, &alice.entry));
    other.entry.clone_from(&next(1, &alice.entry, other.devices.clone()).entry);
    assert_eq!(storage.extend_chain(first.clone()).await.unwrap(), Chained::Stored);
    assert_eq!(storage.extend_chain(first.clone()).await.unwrap(), Chained::Stored);
    assert_eq!(storage.extend_chain(other).await.unwrap(), Chained::Conflict);
    let second = rotation(1, &first.entry);
    let third = rotation(1, &second.entry);
    assert_eq!(storage.extend_chain(third.clone()).await.unwrap(), Chained::Conflict);
    assert_eq!(storage.extend_chain(second.clone()).await.unwrap(), Chained::Stored);
    assert_eq!(storage.extend_chain(third).await.unwrap(), Chained::Stored);
    let chain = storage.chain(AccountRef::Id(account(1)), 1, 2).await.unwrap().unwrap();
    assert_eq!(
        (chain.head, chain.entries),
        (3, vec![first.entry.as_bytes().to_vec(), second.entry.as_bytes().to_vec()])
    );
    let in_force = [4; 32];
    assert_eq!(storage.relay_auth(account(1), device_id(1)).await.unwrap(), Some(in_force));
    // Each of them was told, and none twice.
    for version in 2..=4 {
        assert_eq!(rotated.recv().await, Some((device_id(1), [version; 32])));
    }
    let watched = Watched { logs: vec![], inboxes: vec![device_id(1)] };
    assert_eq!(storage.heads(watched).await.unwrap().inboxes, [Some(InForce { head: 0, relay_auth: in_force })]);
    let nobody = rotation(9, &create(9, None).entry);
    assert_eq!(storage.extend_chain(nobody).await.unwrap(), Chained::Conflict);
}

pub async fn devices_come_and_go(place: Place) {
    let (setup, mut revoked) = listening(|wake| match wake {
        waxwing_relay::hub::Wake::Revoked { device } => Some(*device),
        _ => None,
    });
    let storage = place.open_with(setup).await.unwrap();
    let alice = registered(&*storage, 1, Some("alice")).await;
    registered(&*storage, 2, Some("bob")).await;
    let add = next(1, &alice.entry, DeviceChange::Added(device(3, 5)));
    let taken = NextEntry { devices: DeviceChange::Added(device(2, 5)), ..add.clone() };
    assert_eq!(storage.extend_chain(taken).await.unwrap(), Chained::IdTaken);
    assert_eq!(storage.extend_chain(add.clone()).await.unwrap(), Chained::Stored);
    assert_eq!(storage.relay_auth(account(1), device_id(3)).await.unwrap(), Some([5; 32]));
    assert_eq!(storage.deliver(delivery(3, 1, Admission::Stranger, 10)).await.unwrap(), delivered(1));
    let revoke = next(1, &add.entry, DeviceChange::Revoked(vec![device_id(3)]));
    assert_eq!(storage.extend_chain(revoke.clone()).await.unwrap(), Chained::Stored);
    assert_eq!(revoked.recv().await, Some(device_id(3)));
    assert_eq!(storage.relay_auth(account(1), device_id(3)).await.unwrap(), None);
    assert_eq!(storage.read_inbox(device_id(3), 0).await.unwrap(), None);
    assert_eq!(storage.deliver(delivery(3, 2, Admission::Stranger, 10)).await.unwrap(), Delivered::Refused);
    let recover = next(1, &revoke.entry, DeviceChange::Only(device(4, 6)));
    assert_eq!(storage.extend_chain(recover.clone()).await.unwrap(), Chained::Stored);
    assert_eq!(revoked.recv().await, Some(device_id(1)));
    assert_eq!(storage.relay_auth(account(1), device_id(4)).await.unwrap(), Some([6; 32]));
    // Of a closed account nothing is left but its chain: no inbox, no key packages, no access keys.
    let key = Admission::AccessKey([1; 32]);
    assert!(storage.admit(account(1), vec![[1; 32]]).await.unwrap());
    assert_eq!(storage.deliver(delivery(4, 3, key, 10)).await.unwrap(), delivered(1));
    storage.upload_key_packages(device_id(4), upload(0..3, true, false)).await.unwrap();
    assert_eq!(storage.count_key_packages(device_id(4)).await.unwrap().unwrap().count, 3);
    let close = next(1, &recover.entry, DeviceChange::Closed(None));
    assert_eq!(storage.extend_chain(close.clone()).await.unwrap(), Chained::Stored);
    assert_eq!(revoked.recv().await, Some(device_id(4)));
    assert_eq!(storage.relay_auth(account(1), device_id(4)).await.unwrap(), None);
    assert_eq!(storage.read_inbox(device_id(4), 0).await.unwrap(), None);
    assert_eq!(storage.count_key_packages(device_id(4)).await.unwrap(), None);
    for (id, admission) in [(3, key), (4, key), (5, Admission::Stranger)] {
        assert_eq!(storage.deliver(delivery(4, id, admission, 10)).await.unwrap(), Delivered::Refused);
    }
    let claimed = storage.claim_key_packages(claim(1, 1, Claimer::AccessKey([1; 32]))).await.unwrap();
    assert_eq!(claimed, Claimed::Refused);
    // Whoever opens it again finds none of that, not even under the same device's id.
    let again = next(1, &close.entry, DeviceChange::Only(device(4, 7)));
    assert_eq!(storage.extend_chain(again).await.unwrap(), Chained::Stored);
    assert_eq!(storage.read_inbox(device_id(4), 0).await.unwrap().unwrap().entries, []);
    assert_eq!(storage.count_key_packages(device_id(4)).await.unwrap().unwrap().count, 0);
    assert_eq!(storage.deliver(delivery(4, 6, key, 10)).await.unwrap(), Delivered::Refused);
    assert_eq!(storage.deliver(delivery(4, 7, Admission::Stranger, 10)).await.unwrap(), delivered(1));
    // Bob is as before.
    assert_eq!(storage.relay_auth(account(2), device_id(2)).await.unwrap(), Some([1; 32]));
}

pub async fn access_keys(place: Place) {
    let storage = place.open().await;
    registered(&*storage, 1, Some("alice")).await;
    let hash = |n: u32| waxwing_wire::hash(&[&n.to_be_bytes()]);
    let send = |id, key| storage.deliver(delivery(1, id, Admission::AccessKey(key), 10));
    assert_eq!(send(1, hash(0)).await.unwrap(), Delivered::Refused);
    assert!(storage.admit(account(1), vec![hash(0), hash(0)]).await.unwrap());
    assert_eq!(send(1, hash(0)).await.unwrap(), delivered(1));
    let most = MAX_ACCESS_KEYS as u32;
    assert!(storage.admit(account(1), (0..most).map(hash).collect()).await.unwrap());
    assert!(!storage.admit(account(1), vec![hash(1), hash(most)]).await.unwrap());
    // Those that are there are no further ones.
    assert!(storage.admit(account(1), vec![hash(1), hash(2)]).await.unwrap());
    storage.dismiss(account(1), vec![hash(0), hash(5)]).await.unwrap();
    assert_eq!(send(2, hash(0)).await.unwrap(), Delivered::Refused);
    assert!(storage.admit(account(1), vec![hash(most), hash(most + 1)]).await.unwrap());
    assert!(!storage.admit(account(1), vec![hash(0)]).await.unwrap());
    // Nobody's account takes no keys, and says nothing of it.
    assert!(storage.admit(account(9), vec![hash(0)]).await.unwrap());
    storage.dismiss(account(9), vec![hash(0)]).await.unwrap();
}

/// Blobs are no rows: whose are to go is remembered for an hour or two after it was done, and no longer.
pub async fn blobs_of_closed_accounts_are_to_go(place: Place) {
    let hands = Hands::now();
    let storage = place.open_with(Setup { clock: hands.clock(), ..setup() }).await.unwrap();
    let secret = |byte| BlobSecret::from_bytes([byte; 32]);
    let close = async |storage: &dyn Storage, number: u16, name: &str, secret| {
        let first = registered(storage, number, Some(name)).await;
        let close = next(number, &first.entry, DeviceChange::Closed(secret));
        for _ in 0..2 {
            assert_eq!(storage.extend_chain(close.clone()).await.unwrap(), Chained::Stored);
        }
    };
    assert_eq!(storage.blobs_to_remove().await.unwrap(), []);
    close(&*storage, 1, "alice", Some(secret(7))).await;
    close(&*storage, 2, "bob", None).await;
    assert_eq!(storage.blobs_to_remove().await.unwrap(), [secret(7)]);
    hands.pass(3600);
    storage.blobs_removed(vec![secret(7), secret(9)], true).await.unwrap();
    assert_eq!(storage.blobs_to_remove().await.unwrap(), [secret(7)]);
    hands.pass(3600);
    close(&*storage, 3, "carol", Some(secret(8))).await;
    storage.close().await.unwrap();
    let storage = place.open_with(Setup { clock: hands.clock(), ..setup() }).await.unwrap();
    // Of which some could not be removed: for longer.
    storage.blobs_removed(vec![secret(7), secret(8)], false).await.unwrap();
    assert_eq!(storage.blobs_to_remove().await.unwrap(), [secret(7), secret(8)]);
    // Only of those that were looked for.
    storage.blobs_removed(vec![secret(8)], true).await.unwrap();
    assert_eq!(storage.blobs_to_remove().await.unwrap(), [secret(7), secret(8)]);
    storage.blobs_removed(vec![secret(7), secret(8)], true).await.unwrap();
    assert_eq!(storage.blobs_to_remove().await.unwrap(), [secret(8)]);
    hands.pass(72 * 3600);
    storage.blobs_removed(vec![secret(8)], false).await.unwrap();
    assert_eq!(storage.blobs_to_remove().await.unwrap(), [secret(8)]);
    hands.pass(3600);
    storage.blobs_removed(vec![secret(8)], false).await.unwrap();
    assert_eq!(storage.blobs_to_remove().await.unwrap(), []);
    close(&*storage, 4, "dan", Some(secret(8))).await;
    // Under a clock that was far ahead for that moment.
    hands.set(-365);
    storage.blobs_removed(vec![secret(8)], true).await.unwrap();
    assert_eq!(storage.blobs_to_remove().await.unwrap(), []);
}
