//! Who is told what, and in which order.

use super::*;
use waxwing_wire::EnvelopeId;
use waxwing_wire::log::EnvelopeKind;

const LOG: LogId = LogId::from_bytes([1; 16]);
const KEY: [u8; 32] = [7; 32];

fn wake(seq: u64) -> Wake {
    let entry =
        LogEntry { seq, entry_id: EnvelopeId::from_bytes([2; 16]), kind: EnvelopeKind::App, blob: vec![0; 100] };
    Wake::Log { log: LOG, read_hash: [3; 32], rekeyed: false, entry }
}

fn follow(hub: &Arc<Hub>) -> Subscription {
    let mut subscription = hub.connect();
    assert!(subscription.follow_log(LOG, [3; 32]));
    subscription
}

/// D4: who does not read is let go, and nobody else notices.
#[tokio::test]
async fn d4_a_slow_reader_is_let_go_alone() {
    let hub = Arc::new(Hub::default());
    let (mut slow, mut quick) = (follow(&hub), follow(&hub));
    for seq in 1..=QUEUE as u64 + 1 {
        hub.wake(&wake(seq));
        let frame = Push::decode(&quick.next().await.unwrap()).unwrap();
        assert!(matches!(frame, Push::Log { head, entry: Some(_), .. } if head == seq));
    }
    assert_eq!(slow.next().await, None);
    assert_eq!(lock(&hub.logs).of(&LOG).len(), 1);
    drop((slow, quick));
    assert!(lock(&hub.logs).is_empty());
}

#[tokio::test]
async fn what_piles_up_is_small() {
    let hub = Arc::new(Hub::default());
    let mut reader = follow(&hub);
    (1..=100).for_each(|seq| hub.wake(&wake(seq)));
    let mut with_entry = 0;
    for _ in 1..=100 {
        let frame = Push::decode(&reader.next().await.unwrap()).unwrap();
        with_entry += usize::from(matches!(frame, Push::Log { entry: Some(_), .. }));
    }
    assert_eq!(with_entry, QUEUE - ROOM_FOR_ENTRIES + 1);
}

#[tokio::test]
async fn what_is_dropped_follows_no_more() {
    let hub = Arc::new(Hub::default());
    let mut reader = hub.connect_as(DeviceId::from_bytes([4; 16]), KEY);
    reader.follow_inbox();
    assert!(reader.follow_log(LOG, [5; 32]));
    hub.wake(&wake(1));
    hub.wake(&Wake::Inbox { device: DeviceId::from_bytes([4; 16]), head: 7 });
    assert_eq!(Push::decode(&reader.next().await.unwrap()), Ok(Push::Inbox { head: 7 }));
    drop(reader);
    assert!(lock(&hub.logs).is_empty() && lock(&hub.devices).is_empty());
}

/// A3: what all of them follow takes memory, so there is a bound to it, and what one follows no more is room for others.
#[tokio::test]
async fn a3_all_together_follow_so_many_logs() {
    let hub = Arc::new(Hub::default());
    hub.bound(3);
    let log = |n| LogId::from_bytes([n; 16]);
    let (mut first, mut second) = (hub.connect(), hub.connect());
    assert!(first.follow_log(log(1), [3; 32]) && first.follow_log(log(2), [3; 32]));
    // The same log takes a place for each that follows it.
    assert!(second.follow_log(log(1), [3; 32]));
    assert!(!second.follow_log(log(3), [3; 32]) && !second.follows(log(3)));
    assert!(lock(&hub.logs).of(&log(3)).is_empty());
    // Another token takes none.
    assert!(first.follow_log(log(1), [4; 32]) && first.follows(log(1)));
    first.unfollow_log(log(2));
    assert!(second.follow_log(log(3), [3; 32]) && !second.follow_log(log(4), [3; 32]));
    drop(first);
    assert!(second.follow_log(log(4), [3; 32]) && !second.follow_log(log(5), [3; 32]));
    drop(second);
    assert!(lock(&hub.logs).is_empty());
    assert_eq!(hub.places.get().unwrap().available_permits(), 3);
}

/// A4: whatever its connections follow, and nobody else's end.
#[tokio::test]
async fn a4_a_revoked_device_is_cut_off() {
    let hub = Arc::new(Hub::default());
    let [revoked, other] = [[4; 16], [5; 16]].map(DeviceId::from_bytes);
    let mut its = [(); 4].map(|()| hub.connect_as(revoked, KEY));
    its[0].follow_inbox();
    its[1].follow_checkpoints();
    assert!(its[2].follow_log(LOG, [3; 32]));
    let (theirs, nobodys) = (hub.connect_as(other, KEY), follow(&hub));
    hub.wake(&Wake::Revoked { device: revoked });
    assert!(its.iter().all(|socket| socket.revoked().unwrap().is_cancelled()));
    assert!(!theirs.revoked().unwrap().is_cancelled() && nobodys.revoked().is_none());
    // Also where one had gone before.
    drop(its);
    assert_eq!(hub.connected(), [Connected { device: other, head: None, relay_auth: Some(KEY) }]);
}

/// P1: what was opened under a key that was replaced ends; what came under the new one in the meantime does not.
#[tokio::test]
async fn p1_a_rotation_cuts_off_what_was_opened_before() {
    let hub = Arc::new(Hub::default());
    let [device, other] = [[4; 16], [5; 16]].map(DeviceId::from_bytes);
    let new = [8; 32];
    let (mut old, theirs) = (hub.connect_as(device, KEY), hub.connect_as(other, KEY));
    old.follow_inbox();
    let fresh = hub.connect_as(device, new);
    let of_device = |hub: &Hub| hub.connected().into_iter().find(|connected| connected.device == device).unwrap();
    assert_eq!(of_device(&hub).relay_auth, None, "there are two");
    hub.wake(&Wake::Rotated { device, relay_auth: new });
    assert!(old.revoked().unwrap().is_cancelled());
    assert!([&fresh, &theirs].iter().all(|socket| !socket.revoked().unwrap().is_cancelled()));
    assert_eq!(of_device(&hub).relay_auth, Some(new));
}

/// What is not followed is not told, and not asked for; that the device is there is asked for all the same.
#[tokio::test]
async fn a_connection_that_does_not_follow_its_inbox_hears_nothing_of_it() {
    let hub = Arc::new(Hub::default());
    let device = DeviceId::from_bytes([4; 16]);
    let (mut follows, mut does_not) = (hub.connect_as(device, KEY), hub.connect_as(device, KEY));
    follows.follow_inbox();
    assert_eq!(hub.connected(), [Connected { device, head: None, relay_auth: Some(KEY) }]);
    follows.found_inbox(6);
    assert_eq!(hub.connected(), [Connected { device, head: Some(6), relay_auth: Some(KEY) }]);
    for head in [6, 7, 7] {
        hub.wake(&Wake::Inbox { device, head });
    }
    assert_eq!(Push::decode(&follows.next().await.unwrap()), Ok(Push::Inbox { head: 7 }));
    let nothing = std::time::Duration::from_millis(20);
    assert!(tokio::time::timeout(nothing, follows.next()).await.is_err());
    assert!(tokio::time::timeout(nothing, does_not.next()).await.is_err());
}

fn checkpoint(time_ms: u64) -> (Wake, Push) {
    let signer = crate::LogSigner::new("relay.example", ed25519_dalek::SigningKey::from_bytes(&[7; 32])).unwrap();
    let signed = signer.sign(0, waxwing_wire::transparency::empty_root(), time_ms).unwrap();
    let compact = signed.to_compact().try_into().unwrap();
    (Wake::Checkpoint(Box::new(signed)), Push::Checkpoint { compact })
}

/// However many there were: the newest waits, and the reader is not let go for being slow.
#[tokio::test]
async fn of_checkpoints_the_newest_waits() {
    let hub = Arc::new(Hub::default());
    let (mut reader, mut other) = (hub.connect(), follow(&hub));
    hub.wake(&checkpoint(1).0);
    // From now on: what was told before is no news.
    reader.follow_checkpoints();
    reader.follow_checkpoints();
    for time_ms in 2..=1000 {
        hub.wake(&checkpoint(time_ms).0);
    }
    // Overtaken on its way here.
    hub.wake(&checkpoint(500).0);
    assert_eq!(Push::decode(&reader.next().await.unwrap()), Ok(checkpoint(1000).1));
    hub.wake(&checkpoint(1001).0);
    assert_eq!(Push::decode(&reader.next().await.unwrap()), Ok(checkpoint(1001).1));
    // Who follows a log alone is told of that alone.
    hub.wake(&wake(1));
    assert!(matches!(Push::decode(&other.next().await.unwrap()), Ok(Push::Log { .. })));
    let nothing = tokio::time::timeout(std::time::Duration::from_millis(20), other.next()).await;
    assert!(nothing.is_err());
}
