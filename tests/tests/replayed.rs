//! What a relay has from before a recovery, shown once more to the recovered device (P5): it is shown to nobody twice, and nobody joins anything by
//! it. On real engines and a real relay, whose database is changed while it does not run.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too

mod world;

use std::time::Duration;

use rusqlite::{Connection, params};
use waxwing_client::{Client, Notice, Profile, Recovery, Standing};
use waxwing_wire::log::{EnvelopeKind, running_hash};
use waxwing_wire::{EnvelopeId, hash};
use world::{PASSPHRASE, Person, World, acquainted};

fn database(world: &World) -> Connection {
    Connection::open(world.dir.path().join("relay/relay.db")).unwrap()
}

/// Envelopes: id, kind, bytes.
type Envelopes = Vec<([u8; 16], u8, Vec<u8>)>;

fn envelopes(db: &Connection, select: &str, of: i64) -> Envelopes {
    let mut statement = db.prepare(select).unwrap();
    let rows = statement.query_map([of], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.collect::<rusqlite::Result<_>>().unwrap()
}

/// Alice's newest device.
fn her_device(db: &Connection) -> i64 {
    let newest =
        "SELECT max(devices.n) FROM devices JOIN accounts ON accounts.n = devices.account WHERE name = 'alice'";
    db.query_row(newest, [], |row| row.get(0)).unwrap()
}

fn waiting(db: &Connection, device: i64) -> Envelopes {
    envelopes(db, "SELECT entry_id, kind, blob FROM inbox_entries WHERE device = ?1 ORDER BY seq", device)
}

/// Every log, with what stands in it.
fn logs(db: &Connection) -> Vec<(i64, Envelopes)> {
    let mut statement = db.prepare("SELECT n FROM logs WHERE head > 0").unwrap();
    let all: Vec<i64> = statement.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap();
    let entries = "SELECT entry_id, kind, blob FROM log_entries WHERE log = ?1 ORDER BY seq";
    all.into_iter().map(|log| (log, envelopes(db, entries, log))).collect()
}

/// Puts envelopes into an inbox once more.
fn deliver(db: &Connection, device: i64, again: &Envelopes) {
    let head: i64 = db.query_row("SELECT inbox_head FROM devices WHERE n = ?1", [device], |row| row.get(0)).unwrap();
    let add = "INSERT INTO inbox_entries (device, seq, entry_id, kind, source, size, day, blob)
               VALUES (?1, ?2, ?3, ?4, 0, length(?5), (SELECT max(day) FROM log_entries), ?5)";
    for (seq, (id, kind, blob)) in (head + 1..).zip(again) {
        db.execute(add, params![device, seq, id, kind, blob]).unwrap();
    }
    let head = head + i64::try_from(again.len()).unwrap();
    db.execute("UPDATE devices SET inbox_head = ?2 WHERE n = ?1", [device, head]).unwrap();
}

/// Puts entries behind the last one of a log once more, under the ids that they have there already: an honest relay's database would not let it.
fn append(db: &Connection, log: i64, again: &Envelopes) {
    let now = "SELECT head, running, last_handshake FROM logs WHERE n = ?1";
    let (mut seq, mut running, mut last): (u64, [u8; 32], u64) =
        db.query_row(now, [log], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    let add = "INSERT INTO log_entries (log, seq, entry_id, digest, running, kind, day, blob)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, (SELECT max(day) FROM log_entries), ?7)";
    for (id, kind, blob) in again {
        seq += 1;
        let as_kind = EnvelopeKind::from_byte(*kind).unwrap();
        running = running_hash(&running, seq, EnvelopeId::from_bytes(*id), as_kind, blob);
        db.execute(add, params![log, seq, id, hash(&[blob]), running, kind, blob]).unwrap();
        if as_kind == EnvelopeKind::Handshake {
            last = seq;
        }
    }
    let set = "UPDATE logs SET head = ?2, running = ?3, last_handshake = ?4 WHERE n = ?1";
    db.execute(set, params![log, seq, running, last]).unwrap();
}

/// One id may stand in a log more than once.
fn allow_copies(db: &Connection) {
    let sql: String =
        db.query_row("SELECT sql FROM sqlite_master WHERE name = 'log_entries'", [], |row| row.get(0)).unwrap();
    let (before, after) = sql.split_once(",\n        UNIQUE (log, entry_id)").unwrap();
    let (head, columns) = before.split_once("log_entries").unwrap();
    db.execute_batch(&format!(
        "PRAGMA foreign_keys = OFF;
         {head}copies{columns}{after};
         INSERT INTO copies SELECT * FROM log_entries;
         DROP TABLE log_entries;
         ALTER TABLE copies RENAME TO log_entries;"
    ))
    .unwrap();
}

/// Of each conversation: how somebody stands in it, how many are there, and every line.
type Seen = Vec<(String, Standing, u32, Vec<(String, Option<Notice>)>)>;

async fn sees(person: &Person) -> Seen {
    let mut all = Vec::new();
    for one in person.client.conversations().await.unwrap() {
        let lines = person.history(&one.id).await.into_iter().map(|line| (line.text, line.notice)).collect();
        all.push((one.id, one.standing, one.people, lines));
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

async fn until_heard(person: &Person, conversation: &str, text: &str) {
    person
        .until(text, async |client| {
            let page = client.messages(conversation, None, 500).await.ok()?;
            page.messages.iter().any(|line| line.text == text).then_some(())
        })
        .await;
}

/// Alice is back in both conversations: on a machine that knew of none before, once they are there.
async fn until_back(alice: &Person, ids: &[String], new: bool) {
    for id in ids {
        let back = async |client: &Client| {
            let standing = client.conversation(id).await.ok()?.standing;
            let lines = client.messages(id, None, 500).await.ok()?.messages;
            (new || lines.iter().any(|line| line.notice == Some(Notice::Repaired))).then_some(standing)
        };
        // Whoever was accepted a moment ago is known by now, and asks no more.
        if alice.until("to be back", back).await == Standing::Request {
            alice.client.accept_request(id).await.unwrap();
        }
    }
}

/// Alice's account is taken back by `recover`; then the relay shows her new device, and everybody else, all that it had before.
async fn replays(recover: impl AsyncFnOnce(&World, Person, &[String]) -> Person) {
    let mut world = World::new().await;
    let (alice, bob, direct) = acquainted(&world).await;
    let words = alice.client.phrase_words().await.unwrap();
    let (account, dir) = (alice.account().await, alice.profile.dir().to_owned());
    alice.client.stop().await;
    drop(alice);
    // What comes into her inbox is taken down before she reads it.
    let group = bob.client.create_group("Birds", &[account]).await.unwrap().id;
    let db = database(&world);
    let welcome = async |_: &Client| {
        let waiting = waiting(&db, her_device(&db));
        waiting.iter().any(|(_, kind, _)| *kind == EnvelopeKind::Welcome as u8).then_some(waiting)
    };
    let inbox = bob.until("a Welcome on its way", welcome).await;
    let ids = [direct, group];
    let alice = world::start(&dir).await;
    for id in &ids {
        bob.send(id, "before").await;
        until_heard(&alice, id, "before").await;
        alice.send(id, "her answer").await;
        until_heard(&bob, id, "her answer").await;
    }
    let stood = logs(&db);
    assert!(stood.iter().filter(|(_, entries)| entries.len() >= 4).count() >= 2, "two conversations");

    let old = her_device(&db);
    let alice = recover(&world, alice, &words).await;
    until_back(&alice, &ids, alice.profile.dir() != dir).await;
    for id in &ids {
        bob.send(id, "back again").await;
        until_heard(&alice, id, "back again").await;
        alice.send(id, "so I am").await;
        until_heard(&bob, id, "so I am").await;
    }
    let new = her_device(&db);
    assert_ne!(old, new);
    let before = [sees(&alice).await, sees(&bob).await];

    world.stop_relay().await;
    allow_copies(&db);
    deliver(&db, new, &inbox);
    for (log, entries) in &stood {
        append(&db, *log, entries);
    }
    world.start_relay().await;
    for id in &ids {
        bob.send(id, "after").await;
        until_heard(&alice, id, "after").await;
    }
    while !waiting(&db, new).is_empty() {
        alice.client.sync().await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let with_after = |mut seen: Seen| {
        for (.., lines) in seen.iter_mut().filter(|(id, ..)| ids.contains(id)) {
            lines.push(("after".to_owned(), None));
        }
        seen
    };
    let [hers, his] = before.map(with_after);
    assert_eq!(sees(&alice).await, hers);
    assert_eq!(sees(&bob).await, his);
    // Nor does anything come of it later: they go on, and a start finds the same.
    for id in &ids {
        alice.send(id, "all is as it was").await;
        until_heard(&bob, id, "all is as it was").await;
    }
    let last = sees(&alice).await;
    let alice = alice.restart().await;
    alice.until_online().await;
    alice.client.sync().await.unwrap();
    assert_eq!(sees(&alice).await, last);
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_what_is_replayed_after_a_recovery_in_place_is_shown_to_nobody_and_joined_by_nobody() {
    replays(async |_, alice, words| {
        let Person { client, profile } = alice;
        let client = client.recover_here(words.join(" ").into()).await.unwrap();
        Person { client, profile }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_what_is_replayed_to_a_new_machine_is_shown_to_nobody_and_joined_by_nobody() {
    replays(async |world, alice, words| {
        alice.client.stop().await;
        let profile = Profile::open(&world.dir.path().join("alice again")).unwrap();
        let recovery = Recovery {
            address: format!("alice@{}", world.address()),
            phrase: words.join(" ").into(),
            display_name: "alice the Bird".to_owned(),
            passphrase: Some(PASSPHRASE.to_owned().into()),
        };
        let client = Client::recover(&profile, recovery).await.unwrap();
        Person { client, profile }
    })
    .await;
}
