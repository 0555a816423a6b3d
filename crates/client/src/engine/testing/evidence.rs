//! One engine without a relay: what speaks against relays' logs is listed, the own relay's or not (P17).

use super::lone::Lone;
use crate::error::ErrorCode;
use crate::store::transparency::{self, Against, Evidence};

fn evidence(at_ms: u64) -> Evidence {
    let note = |which| format!("relay\n{at_ms} {which}\n\n\u{2014} signed\n");
    Evidence { against: Against::TwoHistories, first: note(1), second: note(2), at_ms }
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
    lone.client.stop().await;
}
