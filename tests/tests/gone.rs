//! Entries that a relay let go before somebody had read them (docs/protocol.md "Resync", c), on real engines and a real relay.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too

mod world;

use std::time::Duration;

use waxwing_client::{ErrorCode, Notice};
use waxwing_wire::log::EnvelopeKind;
use world::{World, acquainted};

fn database(world: &World) -> rusqlite::Connection {
    rusqlite::Connection::open(world.dir.path().join("relay/relay.db")).unwrap()
}

/// All entries but the newest of the log that has the most, become older than anything that is kept. Gives the log, and the newest's place.
fn age(db: &rusqlite::Connection) -> (i64, u64) {
    let longest = "SELECT n, head FROM logs ORDER BY head DESC, n DESC LIMIT 1";
    let (log, head) = db.query_row(longest, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    db.execute("UPDATE log_entries SET day = 0 WHERE log = ?1 AND seq < ?2", (log, head)).unwrap();
    db.execute("UPDATE logs SET oldest_day = 0 WHERE n = ?1", [log]).unwrap();
    (log, head)
}

/// Whoever was away for longer than the relay keeps entries asks for a place once, gets it, and goes on from there.
#[tokio::test(flavor = "multi_thread")]
async fn entries_that_are_gone_before_they_were_read_are_a_reason_to_ask() {
    let mut world = World::new().await;
    let (ada, bea, conversation) = acquainted(&world).await;
    ada.send(&conversation, "one").await;
    bea.until_texts(&conversation, &["one"]).await;
    let (adas, beas) = (ada.profile.dir().to_owned(), bea.profile.dir().to_owned());
    bea.client.stop().await;
    drop(bea);
    for text in ["two", "three"] {
        ada.send(&conversation, text).await;
    }
    ada.until_texts(&conversation, &["one", "two", "three"]).await;
    ada.client.stop().await;
    drop(ada);
    world.stop_relay().await;
    let db = database(&world);
    let (log, newest) = age(&db);
    world.start_relay().await;
    // The relay lets them go by itself.
    let oldest = || db.query_row("SELECT oldest FROM logs WHERE n = ?1", [log], |row| row.get::<_, u64>(0)).unwrap();
    while oldest() != newest {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    let bea = world::start(&beas).await;
    let waits = async |client: &waxwing_client::Client| {
        let problem = client.conversation(&conversation).await.ok()?.problem?;
        (problem.code == ErrorCode::LostPlace).then_some(())
    };
    bea.until("to know that she waits", waits).await;
    let asked = || {
        let requests = "SELECT count(*) FROM inbox_entries WHERE kind = ?1";
        db.query_row(requests, [EnvelopeKind::Resync as u8], |row| row.get::<_, u64>(0)).unwrap()
    };
    bea.until("to have asked", async |_| (asked() == 1).then_some(())).await;
    for _ in 0..3 {
        let _ = bea.client.sync().await;
    }
    let bea = bea.restart().await;
    bea.until_online().await;
    let _ = bea.client.sync().await;
    assert_eq!(asked(), 1, "she asks once a day");
    assert_eq!(bea.texts(&conversation).await, ["one"]);

    let ada = world::start(&adas).await;
    let repaired = async |client: &waxwing_client::Client| {
        let page = client.messages(&conversation, None, 500).await.ok()?;
        let lines = page.messages.iter().filter(|line| line.notice == Some(Notice::Repaired));
        (lines.count() == 1).then_some(())
    };
    bea.until("to be let back in", repaired).await;
    assert_eq!(bea.client.conversation(&conversation).await.unwrap().problem, None);
    ada.send(&conversation, "four").await;
    bea.until_texts(&conversation, &["one", "four"]).await;
    bea.send(&conversation, "five").await;
    ada.until_texts(&conversation, &["one", "two", "three", "four", "five"]).await;
    let _ = bea.client.sync().await;
    assert_eq!(asked(), 0, "she asks again");
}
