//! What keeps processes of one relay together: each assertion and proof is good once, and all have the same keys.

use waxwing_relay::replay::{Seen, Showing, Shows};
use waxwing_relay::storage::Setup;

use crate::kit::*;

pub async fn everything_is_shown_once(place: Place) {
    let hands = Hands::now();
    let storage = place.open_with(Setup { clock: hands.clock(), ..setup() }).await.unwrap();
    let show = |shows, owner: &[u8], jti: &str| storage.shown(Showing::new(shows, owner, jti));
    assert_eq!(show(Shows::Proof, b"a", "1").await, Ok(Seen::Fresh));
    for _ in 0..3 {
        assert_eq!(show(Shows::Proof, b"a", "1").await, Ok(Seen::Replayed));
        hands.pass(40);
    }
    // Another owner's, another id, another kind.
    assert_eq!(show(Shows::Proof, b"b", "1").await, Ok(Seen::Fresh));
    assert_eq!(show(Shows::Proof, b"a", "2").await, Ok(Seen::Fresh));
    assert_eq!(show(Shows::Assertion, b"a", "1").await, Ok(Seen::Fresh));
    let many = futures_util::future::join_all((0..20).map(|_| show(Shows::Proof, b"c", "1"))).await;
    assert_eq!(many.iter().filter(|seen| **seen == Ok(Seen::Fresh)).count(), 1);
    // When nobody could show it any more it is forgotten.
    hands.pass(1000);
    while storage.expire().await.unwrap() {}
    assert_eq!(show(Shows::Proof, b"a", "1").await, Ok(Seen::Fresh));
}

/// What is good for a minute is longer good than a restart takes.
pub async fn a_restart_forgets_nothing_that_was_shown(place: Place) {
    let hands = Hands::now();
    let open = || place.open_with(Setup { clock: hands.clock(), ..setup() });
    let shown = [Shows::Proof, Shows::Assertion].map(|shows| Showing::new(shows, b"a", "1"));
    let mut expected = Seen::Fresh;
    for _ in 0..3 {
        let storage = open().await.unwrap();
        while storage.expire().await.unwrap() {}
        for showing in shown {
            assert_eq!(storage.shown(showing).await, Ok(expected), "{showing:?}");
        }
        assert_eq!(storage.shown(Showing::new(Shows::Proof, b"a", "2")).await, Ok(expected));
        storage.close().await.unwrap();
        (expected, _) = (Seen::Replayed, hands.pass(60));
    }
}

pub async fn keys_are_recorded_once(place: Place) {
    let storage = place.open().await;
    assert_eq!(storage.record_keys([1; 32], None).await, Ok(true));
    assert_eq!(storage.record_keys([1; 32], None).await, Ok(true));
    assert_eq!(storage.record_keys([2; 32], None).await, Ok(false));
    assert_eq!(storage.record_keys([2; 32], Some([3; 32])).await, Ok(false));
    assert_eq!(storage.record_keys([2; 32], Some([1; 32])).await, Ok(true));
    assert_eq!(storage.record_keys([1; 32], None).await, Ok(false));
    assert_eq!(storage.record_keys([2; 32], None).await, Ok(true));
}
