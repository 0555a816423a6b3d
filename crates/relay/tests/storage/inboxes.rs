//! Inboxes: order, repetition, acknowledgement, allowances.

use waxwing_relay::Quotas;
use waxwing_relay::storage::{Admission, Delivered, Setup};

use crate::kit::*;

pub async fn inbox_order_repetition_and_acknowledgement(place: Place) {
    let (setup, mut wakes) = listening(|wake| match wake {
        waxwing_relay::hub::Wake::Inbox { device, head } => Some((*device, *head)),
        _ => None,
    });
    let storage = place.open_with(setup).await.unwrap();
    registered(&*storage, 1, Some("alice")).await;
    let send = |id, size| storage.deliver(delivery(1, id, Admission::Stranger, size));
    assert_eq!(storage.deliver(delivery(9, 1, Admission::Stranger, 1)).await.unwrap(), Delivered::Refused);
    // Nor does a stranger reach an account that only its access keys find.
    registered(&*storage, 2, None).await;
    assert!(storage.admit(account(2), vec![[1; 32]]).await.unwrap());
    assert_eq!(storage.deliver(delivery(2, 1, Admission::Stranger, 1)).await.unwrap(), Delivered::Refused);
    assert_eq!(storage.deliver(delivery(2, 1, Admission::AccessKey([1; 32]), 1)).await.unwrap(), delivered(1));
    assert_eq!(wakes.recv().await, Some((device_id(2), 1)));
    for id in 1..=3 {
        assert_eq!(send(id, 10).await.unwrap(), delivered(id));
        assert_eq!(wakes.recv().await, Some((device_id(1), id)));
    }
    assert_eq!(send(2, 10).await.unwrap(), delivered(2));
    assert_eq!(send(2, 11).await.unwrap(), Delivered::IdReused);
    let page = storage.read_inbox(device_id(1), 1).await.unwrap().unwrap();
    assert_eq!((page.head, page.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>()), (3, vec![2, 3]));
    assert_eq!(page.entries[0].blob, vec![2; 10]);
    storage.acknowledge(device_id(1), 2).await.unwrap();
    storage.acknowledge(device_id(1), 1).await.unwrap();
    storage.acknowledge(device_id(9), 1).await.unwrap();
    let page = storage.read_inbox(device_id(1), 0).await.unwrap().unwrap();
    assert_eq!((page.head, page.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>()), (3, vec![3]));
    // A late retry of what was acknowledged does not come twice.
    assert_eq!(send(1, 10).await.unwrap(), delivered(1));
    assert_eq!(send(4, 10).await.unwrap(), delivered(4));
    assert_eq!(storage.read_inbox(device_id(1), 0).await.unwrap().unwrap().entries.len(), 2);
    assert_eq!(storage.read_inbox(device_id(9), 0).await.unwrap(), None);
}

pub async fn inbox_allowances(place: Place) {
    let quotas = Quotas { inbox_key: 1500, inbox_strangers: 1500, inbox: 2500, ..Quotas::default() };
    let storage = place.open_with(Setup { quotas, ..setup() }).await.unwrap();
    registered(&*storage, 1, Some("alice")).await;
    let keys = [[1; 32], [2; 32], [3; 32]];
    assert!(storage.admit(account(1), keys.to_vec()).await.unwrap());
    let send = |id, admission| storage.deliver(delivery(1, id, admission, 1000));
    // Each key has its own, strangers have theirs; the keys also share one.
    assert_eq!(send(1, Admission::AccessKey(keys[0])).await.unwrap(), delivered(1));
    assert_eq!(send(2, Admission::AccessKey(keys[0])).await.unwrap(), Delivered::QuotaExceeded);
    assert_eq!(send(1, Admission::AccessKey(keys[0])).await.unwrap(), delivered(1));
    assert_eq!(send(3, Admission::Stranger).await.unwrap(), delivered(2));
    assert_eq!(send(4, Admission::Stranger).await.unwrap(), Delivered::QuotaExceeded);
    assert_eq!(send(5, Admission::AccessKey(keys[1])).await.unwrap(), Delivered::QuotaExceeded);
    assert_eq!(storage.deliver(delivery(1, 6, Admission::AccessKey(keys[1]), 900)).await.unwrap(), delivered(3));
    assert_eq!(send(7, Admission::AccessKey(keys[2])).await.unwrap(), Delivered::QuotaExceeded);
    // What is acknowledged counts no more.
    storage.acknowledge(device_id(1), 2).await.unwrap();
    assert_eq!(send(8, Admission::Stranger).await.unwrap(), delivered(4));
    assert_eq!(send(9, Admission::AccessKey(keys[0])).await.unwrap(), delivered(5));
}
