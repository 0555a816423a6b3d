//! A long backlog of what nobody can use, on real engines and a real relay: it is read to its end in bounded memory (D9, P8).

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too

mod world;

use rusqlite::params;
use waxwing_wire::log::{EnvelopeKind, running_hash};
use waxwing_wire::{EnvelopeId, hash};
use world::World;

/// Entries of junk, and how long each is: more together than anybody should hold at a time.
const ENTRIES: usize = 10_000;
const LENGTH: usize = 32 * 1024;
/// Pages of 4 MiB, of which relay and client each hold a few copies in one form or another, and the databases' caches: 72 MiB were measured,
/// with a quarter of these bytes and with twice as many.
const MOST: u64 = 112 * 1024 * 1024;

/// The largest that this process has been since `from_now`, in bytes. It has no other test in it: nextest starts one for each.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// The peak begins anew at what the process has now, which is given.
fn from_now() -> u64 {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    peak()
}

fn junk(n: usize) -> (EnvelopeId, Vec<u8>) {
    let mut id = [0xee; 16];
    id[..8].copy_from_slice(&(n as u64).to_be_bytes());
    (EnvelopeId::from_bytes(id), vec![n as u8; LENGTH])
}

/// Puts junk before the last entry of the log that has the most entries, as a relay could, or a member in many months. Gives the log.
fn bury(db: &mut rusqlite::Connection) -> i64 {
    let tx = db.transaction().unwrap();
    let log: i64 = tx.query_row("SELECT n FROM logs ORDER BY head DESC, n DESC LIMIT 1", [], |row| row.get(0)).unwrap();
    let last = "DELETE FROM log_entries WHERE log = ?1 AND seq = (SELECT max(seq) FROM log_entries WHERE log = ?1)
                RETURNING seq, entry_id, kind, day, blob";
    let (first, id, kind, day, blob): (u64, [u8; 16], u8, i64, Vec<u8>) =
        tx.query_row(last, [log], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))).unwrap();
    assert_eq!(kind, EnvelopeKind::App as u8);
    let before = "SELECT running FROM log_entries WHERE log = ?1 AND seq = ?2";
    let mut running: [u8; 32] = tx.query_row(before, params![log, first - 1], |row| row.get(0)).unwrap();
    let add = "INSERT INTO log_entries (log, seq, entry_id, digest, running, kind, day, blob)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let rest = (0..ENTRIES).map(junk).chain([(EnvelopeId::from_bytes(id), blob)]);
    for (seq, (id, blob)) in (first..).zip(rest) {
        running = running_hash(&running, seq, id, EnvelopeKind::App, &blob);
        let digest = hash(&[&blob]);
        tx.prepare_cached(add)
            .unwrap()
            .execute(params![log, seq, id.as_bytes(), digest, running, kind, day, blob])
            .unwrap();
    }
    let head = first + ENTRIES as u64;
    tx.execute("UPDATE logs SET head = ?2, running = ?3 WHERE n = ?1", params![log, head, running]).unwrap();
    tx.commit().unwrap();
    log
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn d9_a_backlog_of_junk_is_read_in_bounded_memory() {
    let mut world = World::new().await;
    let (ada, bea, conversation) = world::acquainted(&world).await;
    for text in ["one", "two"] {
        ada.send(&conversation, text).await;
    }
    bea.until_texts(&conversation, &["one", "two"]).await;
    let dir = bea.profile.dir().to_owned();
    bea.client.stop().await;
    drop(bea);
    ada.send(&conversation, "three").await;
    ada.until_texts(&conversation, &["one", "two", "three"]).await;
    ada.client.stop().await;
    world.stop_relay().await;
    let mut db = rusqlite::Connection::open(world.dir.path().join("relay/relay.db")).unwrap();
    let log = bury(&mut db);
    world.start_relay().await;

    // From here: the passphrase's function has had its own 64 MiB by now.
    let bea = world::start(&dir).await;
    let start = from_now();
    assert_eq!(bea.texts(&conversation).await, ["one", "two"], "it was read before it could be measured");
    bea.until_texts(&conversation, &["one", "two", "three"]).await;
    let grown = peak() - start;
    println!("{ENTRIES} entries of {LENGTH} bytes: grown by {} KiB at most", grown / 1024);
    assert!(grown < MOST, "{grown} bytes more for a backlog of {}", ENTRIES * LENGTH);
    // What is said afterwards flows. Not to Ada: to her this log, in which her last words have another place, is one that went back.
    bea.send(&conversation, "four").await;
    bea.until_texts(&conversation, &["one", "two", "three", "four"]).await;

    // That it would be seen: whoever holds the backlog at once is larger than that by far.
    let start = from_now();
    let mut statement = db.prepare("SELECT blob FROM log_entries WHERE log = ?1").unwrap();
    let all: Vec<Vec<u8>> =
        statement.query_map([log], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap();
    assert!(all.len() > ENTRIES);
    let grown = peak() - start;
    assert!(grown > 2 * MOST, "{grown} bytes, and the whole backlog is held");
    drop(all);
}
