//! One engine, and a relay at which the user knows nobody: how much of its log is kept, and what becomes of whoever writes from there (P3).

use std::sync::Arc;

use rusqlite::params;
use waxwing_protocol::InLog;
use waxwing_wire::api::{ChainPage, EntryBytes};
use waxwing_wire::transparency::{Leaf, NoteKey, SignedCheckpoint};
use waxwing_wire::{AccountId, LogId, RelayAddress, VerifiedChain};

use super::super::Engine;
use super::super::conversations::accept;
use super::doubts::{Log, RELAY, chain, know, leaf, lone};
use super::lone::Lone;
use super::slow_logs::{from, name, read, speaks_to};
use super::small_relay::{Asked, SmallRelay, problem};
use crate::error::ErrorCode;
use crate::mls::GroupChange;
use crate::store::transparency as stored;
use crate::store::{contacts, conversations, outbox, unproved};
use crate::views::Standing;

/// So many leaves are kept of strangers' logs.
const MOST: u64 = 200_000;
/// Another relay.
const OTHER: &str = "127.0.0.1:3";

/// A relay with this log, and with somebody's chain.
async fn relay(log: &Log, (chain, entries): &(VerifiedChain, Vec<Vec<u8>>)) -> SmallRelay {
    let newest: Arc<SignedCheckpoint> = Arc::new(log.signs(log.leaves.len(), 1_900_000_000_000));
    let page = ChainPage {
        account: chain.account(),
        name: chain.name().cloned(),
        head: chain.seq(),
        entries: entries.iter().cloned().map(EntryBytes).collect(),
        indexes: Vec::new(),
        name_index: None,
        checkpoint: None,
    };
    let (page, leaves) = (Arc::new(serde_json::to_vec(&page).unwrap()), Arc::new(log.leaves.clone()));
    let path = format!("GET /v1/accounts/{}/chain?from=0", chain.account());
    SmallRelay::new(move |asked: Asked| {
        let answer = if asked.what == "GET /v1/transparency/checkpoint" {
            (200, newest.note().as_bytes().to_vec())
        } else if let Some(from) = from(&asked) {
            (200, leaves.iter().skip(from).flat_map(Leaf::encode).collect())
        } else if asked.what == path {
            (200, page.to_vec())
        } else {
            problem(503, "unavailable")
        };
        std::future::ready(answer)
    })
    .await
}

async fn pins(engine: &Engine, key: NoteKey) {
    engine.store.run(move |tx| stored::pin(tx, &key)).await.unwrap();
}

/// So many leaves of a log of this relay were kept.
async fn keeps(engine: &Engine, relay: &'static str, leaves: u64) {
    let key = Log::new().branch(relay).signs(0, 1).key().clone();
    let last = i64::try_from(leaves).unwrap() - 1;
    let kept = engine.store.run(move |tx| {
        stored::pin(tx, &key)?;
        let log = stored::load(tx, relay)?.unwrap().n;
        tx.execute(
            "INSERT INTO transparency_leaves (log, place, who, seq, hash) VALUES (?1, ?2, x'00', 0, x'00')",
            params![log, last],
        )?;
        Ok(())
    });
    kept.await.unwrap();
}

async fn relays(engine: &Engine) -> Vec<String> {
    engine.store.run(stored::relays).await.unwrap()
}

async fn set_standing(engine: &Engine, account: AccountId, standing: Standing) {
    let set = engine.store.run(move |tx| {
        tx.execute("UPDATE contacts SET known = 0 WHERE account = ?1", [account.as_bytes()])?;
        conversations::set_standing(tx, &[account.as_bytes()[0]; 32], standing)
    });
    set.await.unwrap();
}

/// A stranger's relay, whose log has a few leaves more than there is room for.
async fn stranger(lone: &Lone) -> ((VerifiedChain, Vec<Vec<u8>>), SmallRelay, RelayAddress) {
    let (engine, bea, mut log) = (lone.engine(), chain(7), Log::new());
    log.leaves = (0..9).map(name).chain([leaf(&bea.0, 0), leaf(&bea.0, 1)]).collect();
    pins(engine, log.signs(0, 1).key().clone()).await;
    let relay = relay(&log, &bea).await;
    speaks_to(engine, RELAY, &relay);
    keeps(engine, OTHER, MOST - 10).await;
    (bea, relay, RELAY.parse().unwrap())
}

#[tokio::test]
async fn p3_logs_of_strangers_relays_have_a_bound_together_and_a_request_from_there_comes_all_the_same() {
    let lone = lone().await;
    let engine = lone.engine();
    let (bea, relay, address) = stranger(&lone).await;
    let account = bea.0.account();
    let (found, entries) = engine.fetch_sender(&address, account, None).await.unwrap();
    assert_eq!((found.head(), entries.len()), (bea.0.head(), 2));
    assert_eq!(read(engine, RELAY).await, 0, "it is read");
    assert!(relay.asked().iter().all(|asked| from(asked).is_none()));
    // Nothing is proved by that, and it is not asked for its log again and again.
    let unread = engine.in_log(&address, &found, 0).await.unwrap_err();
    assert_eq!(unread.code(), ErrorCode::LogUnavailable);
    assert!(relay.asked().is_empty(), "it hears from this computer again");
    // A request waits for the user, who accepts.
    know(engine, &bea).await;
    set_standing(engine, account, Standing::Request).await;
    engine.in_log(&address, &found, 0).await.unwrap_err();
    let (context, home) = (engine.context(), engine.home.address().clone());
    engine.store.run(move |tx| accept(tx, &context, &[7; 32], home).map(drop)).await.unwrap();
    assert_eq!(engine.store.run(unproved::all).await.unwrap(), [account], "nobody would look it up");
    engine.check_learned().await.unwrap();
    assert_eq!(read(engine, RELAY).await, 11);
    assert_eq!(engine.in_log(&address, &found, 0).await.unwrap(), InLog::Whole);
    assert!(engine.store.run(unproved::all).await.unwrap().is_empty());
}

/// Whoever is in a conversation that the user takes part in has more room; whoever the user has named a relay of has no bound.
#[tokio::test]
async fn p3_what_the_user_wants_is_read_whatever_its_length() {
    let lone = lone().await;
    let engine = lone.engine();
    let (bea, _relay, address) = stranger(&lone).await;
    know(engine, &bea).await;
    set_standing(engine, bea.0.account(), Standing::Request).await;
    engine.follow_log(&address).await.unwrap_err();
    // Known keys of hers stay what they are: nothing newer is taken without its proof from whoever is more than a stranger.
    assert!(engine.is_too_long_for_strangers(&address).await.unwrap());
    set_standing(engine, bea.0.account(), Standing::Member).await;
    assert!(!engine.is_too_long_for_strangers(&address).await.unwrap());
    engine.follow_log(&address).await.unwrap();
    assert_eq!(read(engine, RELAY).await, 11);
    let lone = super::doubts::lone().await;
    let engine = lone.engine();
    let (_bea, _relay, address) = stranger(&lone).await;
    engine.follow_log(&address).await.unwrap_err();
    engine.want_log(&address);
    engine.follow_log(&address).await.unwrap();
    assert_eq!(read(engine, RELAY).await, 11);
}

/// Nobody is let into a group by keys that were not proved: whoever asks with its link is no stranger as long as that waits.
#[tokio::test]
async fn p3_the_log_of_whoever_asks_to_be_let_into_a_group_is_read_for_them() {
    let lone = lone().await;
    let engine = lone.engine();
    let (bea, _relay, address) = stranger(&lone).await;
    let account = bea.0.account();
    // As a request with a link leaves it: known by their chain, and in no conversation that the user wants.
    know(engine, &bea).await;
    set_standing(engine, account, Standing::Request).await;
    engine.store.run(|tx| conversations::hide(tx, &[7; 32])).await.unwrap();
    engine.follow_log(&address).await.unwrap_err();
    assert!(engine.is_too_long_for_strangers(&address).await.unwrap());
    let change = GroupChange::Admit { account, link: [0; 32], asked_ms: engine.now_ms() }.encode().unwrap();
    let (log, item) = (LogId::from_bytes([9; 16]), change);
    engine.store.run(move |tx| outbox::push_change(tx, &[7; 32], log, &item, 0)).await.unwrap();
    assert!(!engine.is_too_long_for_strangers(&address).await.unwrap());
    // Not if they are blocked meanwhile.
    engine.store.run(move |tx| Ok(tx.execute("UPDATE contacts SET blocked = 1", [])?)).await.unwrap();
    engine.follow_log(&address).await.unwrap_err();
    engine.store.run(move |tx| Ok(tx.execute("UPDATE contacts SET blocked = 0", [])?)).await.unwrap();
    let (found, _) = engine.fetch_chain(&address, &account.to_string(), None).await.unwrap();
    assert_eq!(found.head(), bea.0.head());
    assert_eq!(engine.in_log(&address, &bea.0, 0).await.unwrap(), InLog::Whole);
    assert_eq!(read(engine, RELAY).await, 11);
}

#[tokio::test]
async fn p3_a_log_is_forgotten_once_nobody_there_is_anybodys_concern() {
    let lone = lone().await;
    let engine = lone.engine();
    let bea = chain(7);
    let account = bea.0.account();
    let mut log = Log::new();
    log.leaves = vec![leaf(&bea.0, 0), leaf(&bea.0, 1)];
    let home = log.branch("127.0.0.1:1");
    know(engine, &bea).await;
    let all_read = async || {
        for log in [&log, &home] {
            log.is_read(engine).await;
        }
        keeps(engine, OTHER, 5).await;
    };
    for standing in [Standing::Member, Standing::Request] {
        set_standing(engine, account, standing).await;
        all_read().await;
        // While something waits it may be for any of them.
        let waits = "INSERT INTO waiting_welcomes (seq, entry_id, blob, signed) VALUES (1, zeroblob(16), x'', 0)";
        engine.store.run(move |tx| Ok(tx.execute(waits, [])?)).await.unwrap();
        engine.forget_strange_logs().await.unwrap();
        assert_eq!(relays(engine).await.len(), 3, "{standing:?}");
        engine.store.run(|tx| Ok(tx.execute("DELETE FROM waiting_welcomes", [])?)).await.unwrap();
        engine.forget_strange_logs().await.unwrap();
        assert_eq!((read(engine, RELAY).await, read(engine, "127.0.0.1:1").await), (2, 2), "{standing:?}");
        assert!(!relays(engine).await.contains(&OTHER.to_owned()), "nobody was ever met there");
    }
    // Declined, and then blocked: the key that was met stays pinned.
    let now = engine.now_ms();
    for blocked in [false, true] {
        set_standing(engine, account, Standing::Request).await;
        log.is_read(engine).await;
        let ended = engine.store.run(move |tx| match blocked {
            true => contacts::block(tx, account, now),
            false => conversations::hide(tx, &[7; 32]),
        });
        ended.await.unwrap();
        engine.forget_strange_logs().await.unwrap();
        assert_eq!((read(engine, RELAY).await, relays(engine).await.len()), (0, 2), "blocked: {blocked}");
        let left = "SELECT count(*) FROM transparency_leaves JOIN transparency_logs ON n = log WHERE origin = ?1";
        let left = engine.store.run(move |tx| Ok(tx.query_row(left, [RELAY], |row| row.get::<_, u64>(0))?));
        assert_eq!(left.await.unwrap(), 0);
        let key = engine.store.run(|tx| Ok(stored::load(tx, RELAY)?.unwrap().key)).await.unwrap();
        assert_eq!(key, *log.signs(0, 1).key());
        engine.store.run(|tx| Ok(tx.execute("UPDATE conversations SET hidden = 0", [])?)).await.unwrap();
    }
}
