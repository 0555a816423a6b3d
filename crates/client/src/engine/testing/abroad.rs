//! One engine without a relay, and a conversation whose log is at somebody else's: what is said there of why it cannot be read.

use super::super::Engine;
use super::super::conversations::ensure_group;
use super::doubts::{RELAY, chain, know, lone};
use crate::error::{Error, ErrorCode};
use crate::store::{conversations, logs};

const ID: [u8; 32] = [7; 32];

/// What the conversation shows.
async fn shown(engine: &Engine) -> Option<ErrorCode> {
    let problem = engine.store.run(|tx| Ok(conversations::load(tx, &ID)?.problem())).await.unwrap();
    problem.map(|problem| problem.code)
}

#[tokio::test]
async fn a_relay_of_others_that_asks_for_a_certificate_is_shown_where_it_stops_a_conversation() {
    let lone = lone().await;
    let engine = lone.engine();
    know(engine, &chain(7)).await;
    engine.chain(engine.account).await.unwrap();
    let (context, relay) = (engine.context(), RELAY.parse().unwrap());
    let made = engine.store.run(move |tx| ensure_group(tx, &context, &conversations::load(tx, &ID)?, relay));
    let log = made.await.unwrap().unwrap();
    let home = logs::Log { relay: engine.home.address().clone(), ..log.clone() };
    for code in [ErrorCode::CertificateNeeded, ErrorCode::CertificateRefused, ErrorCode::CertificateUnusable] {
        // Of the own relay that is said once, of the connection.
        engine.log_refused(&home, Error::new(code, "no")).await.unwrap_err();
        assert_eq!(shown(engine).await, None);
        engine.log_refused(&log, Error::new(code, "no")).await.unwrap_err();
        assert_eq!(shown(engine).await, Some(code));
        engine.log_is_readable(&log).await.unwrap();
        assert_eq!(shown(engine).await, None, "{code:?}");
    }
    // That passes by itself.
    engine.log_refused(&log, Error::new(ErrorCode::RelayDown, "no")).await.unwrap_err();
    assert_eq!(shown(engine).await, None);
}
