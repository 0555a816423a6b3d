//! One engine without a relay: what speaks against relays' logs is listed, the own relay's or not (P17).

use ed25519_dalek::SigningKey;
use waxwing_wire::transparency::NoteKey;

use super::lone::Lone;
use crate::error::{Error, ErrorCode};
use crate::store::transparency::{self, Against, Evidence};

fn evidence(at_ms: u64) -> Evidence {
    let note = |which| format!("relay\n{at_ms} {which}\n\n\u{2014} signed\n");
    Evidence { n: 0, against: Against::TwoHistories, first: note(1), second: note(2), at_ms }
}

#[tokio::test]
async fn p17_evidence_against_any_relay_is_listed_and_stays_over_a_restart() {
    let lone = Lone::new().await;
    assert!(lone.client.contradicted_logs().await.unwrap().is_empty());
    let home = lone.client.transparency_log().await.unwrap().origin;
    let origins = ["relay.example", &home, "other.example:8443"].map(str::to_owned);
    let kept = origins.clone();
    let keep = lone.engine().store.run(move |tx| {
        for (origin, at) in kept.iter().zip(1000..) {
            transparency::keep_evidence(tx, origin, &evidence(at))?;
        }
        // A second piece against one is no second log.
        transparency::keep_evidence(tx, &kept[0], &Evidence { against: Against::WentBack, ..evidence(2000) })
    });
    assert!(keep.await.unwrap());
    let lone = lone.restart().await;
    let logs = lone.client.contradicted_logs().await.unwrap();
    assert_eq!(logs.iter().map(|log| &log.origin).collect::<Vec<_>>(), origins.iter().collect::<Vec<_>>());
    assert_eq!(logs.iter().map(|log| log.contradictions.len()).collect::<Vec<_>>(), [2, 1, 1]);
    assert_eq!(lone.client.log_of("nobody").await.unwrap_err().code(), ErrorCode::NotFound);
    assert_eq!(lone.client.transparency_log().await.unwrap(), logs[1], "the own relay's among them");
    lone.client.end_tasks().await;
}

/// What the user has gone on after is over, and what comes later is not: neither the same pair of notes again, nor more than are kept.
#[tokio::test]
async fn p17_evidence_after_the_user_has_gone_on_counts_again() {
    let lone = Lone::new().await;
    let key = NoteKey::new("relay.example", SigningKey::from_bytes(&[7; 32]).verifying_key().as_bytes()).unwrap();
    let found = lone.engine().store.run(move |tx| {
        transparency::pin(tx, &key)?;
        let count = |tx: &_| Ok::<_, Error>(transparency::unsettled(tx, "relay.example")?.len());
        for at in 0..100 {
            transparency::keep_evidence(tx, "relay.example", &evidence(at))?;
        }
        let before = count(tx)?;
        let shown = transparency::unsettled(tx, "relay.example")?;
        let log = transparency::load(tx, "relay.example")?.unwrap();
        transparency::settle(tx, &log, &shown, 5000)?;
        let settled = count(tx)?;
        // By any clock: the relay tells the time.
        let mut after = Vec::new();
        for at in [1, 0, 5000] {
            assert!(transparency::keep_evidence(tx, "relay.example", &evidence(at))?, "{at}");
            after.push(count(tx)?);
        }
        let all = transparency::evidence(tx, "relay.example")?.len();
        Ok((before, settled, after, all))
    });
    assert_eq!(found.await.unwrap(), (64, 0, vec![1, 2, 3], 64));
    lone.client.end_tasks().await;
}
