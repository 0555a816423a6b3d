//! A member who posts a garbage handshake with new token hashes freezes a log for everybody. On real engines and a real relay, whose
//! database shows what such an append leaves behind.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too

mod world;

use rusqlite::{Connection, params};
use waxwing_client::{Client, Notice};
use waxwing_wire::EnvelopeId;
use waxwing_wire::log::{EnvelopeKind, running_hash};
use world::{Person, World, introduce};

/// What an append of junk as a handshake does, with tokens that nobody has: to the log that was made last.
fn garbage(world: &World) {
    let db = Connection::open(world.dir.path().join("relay/relay.db")).unwrap();
    let (n, head, running): (i64, u64, [u8; 32]) = db
        .query_row("SELECT n, head, running FROM logs ORDER BY n DESC LIMIT 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap();
    let (seq, id, blob) = (head + 1, [0x5a; 16], vec![0x5a; 900]);
    let running = running_hash(&running, seq, EnvelopeId::from_bytes(id), EnvelopeKind::Handshake, &blob);
    let kind = EnvelopeKind::Handshake as u8;
    db.execute(
        "INSERT INTO log_entries (log, seq, entry_id, digest, running, kind, day, blob) VALUES (?1, ?2, ?3, ?4, ?4, ?5, 0, ?6)",
        params![n, seq, id, running, kind, blob],
    )
    .unwrap();
    db.execute(
        "INSERT INTO retired_tokens (log, up_to, write_hash, read_hash) SELECT n, ?2, write_hash, read_hash FROM logs WHERE n = ?1",
        params![n, seq],
    )
    .unwrap();
    db.execute(
        "UPDATE logs SET head = ?2, last_handshake = ?2, running = ?3, write_hash = ?4, read_hash = ?4 WHERE n = ?1",
        params![n, seq, running, [7u8; 32]],
    )
    .unwrap();
}

async fn restarts(client: &Client, id: &str) -> usize {
    let page = client.messages(id, None, 500).await.unwrap();
    page.messages.iter().filter(|line| matches!(line.notice, Some(Notice::Restarted { .. }))).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_a_garbage_handshake_with_new_tokens_freezes_a_log_and_the_group_begins_anew() {
    let mut world = World::new().await;
    let (ada, bea, cem) = tokio::join!(world.register("ada"), world.register("bea"), world.register("cem"));
    introduce(&ada, &bea).await;
    introduce(&ada, &cem).await;
    let id = ada.client.create_group("Birds", &[bea.account().await, cem.account().await]).await.unwrap().id;
    ada.send(&id, "one").await;
    let all = [&ada, &bea, &cem];
    for person in &all[1..] {
        person.until("the group", async |client| client.conversation(&id).await.ok().map(drop)).await;
    }
    until_all(&all, &id, &["one"]).await;
    // Everybody has replaced the leaf that they were added with: nothing else is under way.
    bea.send(&id, "two").await;
    until_all(&all, &id, &["one", "two"]).await;
    cem.send(&id, "three").await;
    until_all(&all, &id, &["one", "two", "three"]).await;

    world.stop_relay().await;
    garbage(&world);
    // Whoever reads notices it, too; an admin begins anew, and what others write meanwhile is not lost.
    bea.send(&id, "written into the frozen log").await;
    world.start_relay().await;
    for person in &all {
        person.client.try_now();
    }
    until_all(&all, &id, &["one", "two", "three", "written into the frozen log"]).await;
    cem.send(&id, "and on").await;
    until_all(&all, &id, &["one", "two", "three", "written into the frozen log", "and on"]).await;
    for person in &all {
        assert_eq!(restarts(&person.client, &id).await, 1);
        assert_eq!(person.client.group(&id).await.unwrap().members.len(), 3);
    }
}

async fn until_all(people: &[&Person], id: &str, texts: &[&str]) {
    for person in people {
        person.until_texts(id, texts).await;
    }
}
