//! Processes of one relay over one PostgreSQL, here two in one test: a client may ask any of them.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use reqwest::{Method, StatusCode};
use reqwest_websocket::CloseCode;
use tempfile::TempDir;
use waxwing_relay::storage::PostgresConfig;
use waxwing_relay::{Config, Database, NatsConfig, StartError, start};
use waxwing_wire::api::{EntryBytes, SubmitEntry, Subscribe};
use waxwing_wire::frame::{InboxSend, Push};
use waxwing_wire::limits::MIN_BLOB_PART;
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::transparency::SignedCheckpoint;
use waxwing_wire::{BlobId, EnvelopeId};

use crate::auditor::Auditor;
use crate::cluster::Cluster;
use crate::kit::{Account, Kit, app, code, handshake, random, seq};
use crate::nats::NatsServer;
use crate::subscribe::{
    ROUNDS, ask_for, closed_with, connect, connect_as, every_kind, is_not_let_in, mostly_within_a_second, push,
    shut_out_after, to,
};

/// Two processes, with what they share.
struct Pair {
    one: Kit,
    two: Kit,
    database: PostgresConfig,
    keys: TempDir,
}

impl Pair {
    async fn new(nats: Option<NatsConfig>) -> Self {
        Self::over(Cluster::shared().database(), nats).await
    }

    async fn over(database: PostgresConfig, nats: Option<NatsConfig>) -> Self {
        let keys = tempfile::tempdir().unwrap();
        let adjust = |config: &mut Config| {
            config.database = Database::Postgres(database.clone());
            config.keys = Some(keys.path().to_owned());
            config.nats.clone_from(&nats);
        };
        let one = Kit::with(adjust).await;
        let two = one.beside(adjust).await;
        Self { one, two, database, keys }
    }
}

fn letter() -> InboxSend {
    InboxSend { entry_id: EnvelopeId::from_bytes(random()), kind: EnvelopeKind::Notice, blob: vec![7; 100] }
}

async fn send(kit: &Kit, by: &Account, to: &Account) -> u64 {
    let request = kit.http.authed(by, Method::POST, &format!("/v1/inboxes/{}", to.device));
    seq(request.body(letter().encode()).send().await.unwrap()).await
}

async fn submit(kit: &Kit, by: &Account, entry: &[u8]) {
    let body = SubmitEntry { entry: EntryBytes(entry.to_vec()) };
    let request = kit.http.authed(by, Method::POST, &format!("/v1/accounts/{}/chain", by.id));
    assert_eq!(request.json(&body).send().await.unwrap().status(), StatusCode::CREATED);
}

/// What one stores the other tells of: entries, an inbox, a checkpoint, a replaced token, a revoked device.
async fn what_one_stores_the_other_tells(pair: &Pair) {
    let Pair { one, two, .. } = pair;
    let (mut alice, bob) = (one.account("alice").await, one.account("bob").await);
    let log = one.log(&alice).await;
    one.http.stored(&log, &app(0, b"before")).await;
    let mut logs = connect(two).await;
    ask_for(&mut logs, &Subscribe { logs: vec![to(&log)], inbox: false, transparency: false }).await;
    assert_eq!(push(&mut logs).await, Push::Ready);
    let mut own = connect_as(two, &alice).await;
    ask_for(&mut own, &Subscribe { logs: vec![], inbox: true, transparency: true }).await;
    assert_eq!(push(&mut own).await, Push::Ready);

    // Entries, in order, each once, also where both store.
    for n in 0..6_u8 {
        let kit = if n % 2 == 0 { one } else { two };
        kit.http.stored(&log, &app(0, &[n])).await;
        let expected = two.http.page(&log, u64::from(n) + 1).await.entries.remove(0);
        assert_eq!(push(&mut logs).await, Push::Log { log: log.id, head: expected.seq, entry: Some(expected) });
    }
    let rekeyed = log.rekeyed();
    one.http.stored(&log, &handshake(0, Some(rekeyed.tokens()))).await;
    assert!(matches!(push(&mut logs).await, Push::Log { head: 8, entry: Some(_), .. }));
    assert_eq!(push(&mut logs).await, Push::Refused { log: log.id });

    // The inbox and the log of keys.
    let auditor = Auditor::new(&one.http).await;
    let size = |frame: &Push| match frame {
        Push::Checkpoint { compact } => {
            Some(SignedCheckpoint::from_compact(compact, &auditor.key).unwrap().checkpoint().size)
        }
        _ => None,
    };
    // One of before may come late.
    let mut told = async |of: &dyn Fn(&Push) -> bool| loop {
        let frame = push(&mut own).await;
        if of(&frame) {
            break;
        }
        assert!(size(&frame).is_some_and(|size| size <= 4), "{frame:?}");
    };
    assert_eq!(send(one, &bob, &alice).await, 1);
    told(&|frame| *frame == Push::Inbox { head: 1 }).await;
    let (entry, mut other) = alice.add_device();
    submit(one, &alice, &entry).await;
    told(&|frame| size(frame) == Some(5)).await;

    // A device that one revokes is cut off at the other.
    other.token = one.http.token(&other).await;
    let mut second = connect_as(two, &other).await;
    ask_for(&mut second, &Subscribe { logs: vec![], inbox: true, transparency: false }).await;
    assert_eq!(push(&mut second).await, Push::Ready);
    let revocation = alice.replace_account_key(vec![other.device]);
    submit(one, &alice, &revocation).await;
    let began = Instant::now();
    closed_with(&mut second).await;
    // A second is the promise; the machine may be loaded.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    // Its token has not run out, and follows nothing any more.
    is_not_let_in(two, &other).await;

    // What was opened under keys that one replaces is cut off at the other; what is opened under the new ones stays.
    let rotation = alice.rotation();
    submit(one, &alice, &rotation.0).await;
    let began = Instant::now();
    closed_with(&mut own).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    is_not_let_in(two, &alice).await;
    alice.adopt(rotation);
    alice.token = one.http.token(&alice).await;
    let mut own = connect_as(two, &alice).await;
    ask_for(&mut own, &Subscribe { logs: vec![], inbox: true, transparency: false }).await;
    assert_eq!(push(&mut own).await, Push::Ready);
    // Longer than a round in which it is asked who is out.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(send(one, &bob, &alice).await, 2);
    assert_eq!(push(&mut own).await, Push::Inbox { head: 2 });
}

/// A4: at whichever process it is connected, by an entry of its chain or by the operator.
async fn who_is_shut_out_is_cut_off(pair: &Pair) {
    let Pair { one, two, .. } = pair;
    let mut alice = one.account("alice").await;
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let (entry, mut other) = alice.add_device();
        submit(one, &alice, &entry).await;
        other.token = one.http.token(&other).await;
        let mut own = connect_as(two, &alice).await;
        let mut sockets = every_kind(two, &other).await;
        let revocation = alice.replace_account_key(vec![other.device]);
        submit(one, &alice, &revocation).await;
        times[0].push(shut_out_after(&mut sockets).await);
        is_not_let_in(two, &other).await;
        // The other device is as it was.
        ask_for(&mut own, &Subscribe { logs: vec![], inbox: true, transparency: true }).await;
        assert_eq!(push(&mut own).await, Push::Ready);

        let mut sockets = every_kind(two, &alice).await;
        one.admin(&["disable", "alice"]).await.unwrap();
        times[1].push(shut_out_after(&mut sockets).await);
        assert_eq!(closed_with(&mut own).await, CloseCode::Policy);
        let refused = two.http.authed(&alice, Method::GET, "/v1/key-packages").send().await.unwrap();
        assert_eq!(code(refused).await, ProblemCode::AccountDisabled);
        two.admin(&["enable", "alice"]).await.unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        while one.http.authed(&alice, Method::GET, "/v1/key-packages").send().await.unwrap().status() != StatusCode::OK
        {
            assert!(Instant::now() < until, "it is still disabled at the other");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    times.into_iter().for_each(mostly_within_a_second);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a4_who_is_shut_out_is_cut_off_without_a_bus() {
    who_is_shut_out_is_cut_off(&Pair::new(None).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a4_who_is_shut_out_is_cut_off_with_nats() {
    let server = NatsServer::start();
    who_is_shut_out_is_cut_off(&Pair::new(Some(server.config())).await).await;
}

/// What the operator sets at one counts at the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_is_set_for_all_processes() {
    let Pair { one, two, .. } = &Pair::new(None).await;
    let alice = one.account("alice").await;
    let log = one.log(&alice).await;
    one.admin(&["quota", "--log", "0", "--log-handshakes", "0"]).await.unwrap();
    assert_eq!(code(one.http.append(log.id, &log.write, &app(0, b"x")).await).await, ProblemCode::QuotaExceeded);
    let until = Instant::now() + Duration::from_secs(10);
    while two.http.append(log.id, &log.write, &app(0, b"x")).await.status() == StatusCode::CREATED {
        assert!(Instant::now() < until, "it does not count at the other");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(code(two.http.append(log.id, &log.write, &app(0, b"x")).await).await, ProblemCode::QuotaExceeded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d4_two_processes_without_a_bus() {
    what_one_stores_the_other_tells(&Pair::new(None).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d4_two_processes_with_nats() {
    let server = NatsServer::start();
    what_one_stores_the_other_tells(&Pair::new(Some(server.config())).await).await;
}

/// With the bus nobody waits for a round. What is on it says nothing of what it is about.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d4_the_bus_is_quick_and_learns_nothing() {
    const ENTRIES: u64 = 10;
    let server = NatsServer::start();
    let spy = server.client().await;
    let mut heard = spy.subscribe(">").await.unwrap();
    spy.flush().await.unwrap();
    let Pair { one, two, .. } = &Pair::new(Some(server.config())).await;
    let (alice, bob) = (one.account("alice").await, one.account("bob").await);
    let log = one.log(&alice).await;
    let mut socket = connect(two).await;
    ask_for(&mut socket, &Subscribe { logs: vec![to(&log)], inbox: false, transparency: false }).await;
    assert_eq!(push(&mut socket).await, Push::Ready);
    // Each waits for the one before, so by rounds alone these would take half a second each. The machine may be loaded: one of three is enough.
    let mut quickest = Duration::MAX;
    for turn in 0..3 {
        let began = Instant::now();
        for n in 1..=ENTRIES {
            let stored = one.http.stored(&log, &app(0, b"hello")).await;
            assert_eq!(stored, turn * ENTRIES + n);
            assert!(matches!(push(&mut socket).await, Push::Log { head, entry: Some(_), .. } if head == stored));
        }
        quickest = quickest.min(began.elapsed());
    }
    assert!(quickest < Duration::from_millis(2500), "{quickest:?}");
    send(one, &bob, &alice).await;
    let mut bytes = Vec::new();
    while let Ok(Some(message)) = tokio::time::timeout(Duration::from_secs(1), heard.next()).await {
        assert_eq!((message.subject.as_str(), message.payload.len() % 16), ("waxwing.wake", 0));
        bytes.extend_from_slice(&message.payload);
    }
    let contains = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    // The planted control: the search finds what is there.
    assert!(bytes.len() >= 32 && contains(&bytes.clone()[16..32]));
    for secret in [log.id.as_bytes(), alice.id.as_bytes(), alice.device.as_bytes(), bob.id.as_bytes()] {
        assert!(!contains(secret) && !contains(&secret[..8]));
    }
}

/// NATS is away at the start, comes, and goes: slower, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d4_nats_may_be_away() {
    let mut server = NatsServer::start();
    server.kill();
    let pair = Pair::new(Some(server.config())).await;
    let alice = pair.one.account("alice").await;
    let log = pair.one.log(&alice).await;
    let mut socket = connect(&pair.two).await;
    ask_for(&mut socket, &Subscribe { logs: vec![to(&log)], inbox: false, transparency: false }).await;
    assert_eq!(push(&mut socket).await, Push::Ready);
    let mut head = 0;
    let mut tell = async |socket: &mut reqwest_websocket::WebSocket| {
        head += 1;
        assert_eq!(pair.one.http.stored(&log, &app(0, b"hello")).await, head);
        assert!(matches!(push(socket).await, Push::Log { head: told, entry: Some(_), .. } if told == head));
    };
    tell(&mut socket).await;
    for _ in 0..3 {
        server.restart();
        tell(&mut socket).await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        tell(&mut socket).await;
        server.kill();
        tell(&mut socket).await;
    }
}

/// A blob that is begun at one process is finished at the other, and fetched at either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blobs_of_a_shared_folder_are_everybodys() {
    let (keys, blobs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let database = Cluster::shared().database();
    let adjust = |config: &mut Config| {
        config.database = Database::Postgres(database.clone());
        config.keys = Some(keys.path().to_owned());
        config.blobs = Some(blobs.path().to_owned());
    };
    let one = Kit::with(adjust).await;
    let two = one.beside(adjust).await;
    let alice = one.account("alice").await;
    let part = usize::try_from(MIN_BLOB_PART).unwrap();
    let bytes: Vec<u8> = (0..part + 1000).map(|n| n as u8).collect();
    let id = BlobId::of(&bytes);
    let put = |kit: &Kit, range: std::ops::Range<usize>| {
        let header = format!("bytes {}-{}/{}", range.start, range.end - 1, bytes.len());
        let request = kit.http.authed(&alice, Method::PUT, &format!("/v1/blobs/{id}"));
        request
            .header("content-type", "application/octet-stream")
            .header("content-range", header)
            .body(bytes[range].to_vec())
            .send()
    };
    assert_eq!(put(&one, 0..part).await.unwrap().status(), StatusCode::ACCEPTED);
    assert_eq!(put(&two, part..bytes.len()).await.unwrap().status(), StatusCode::CREATED);
    for kit in [&one, &two] {
        assert_eq!(kit.http.get(&format!("/v1/blobs/{id}")).await.bytes().await.unwrap(), bytes);
        assert!(!kit.folder.path().join("blobs").exists());
    }
}

/// An assertion or a proof that one process has seen is no good at the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p19_what_was_shown_to_one_is_not_taken_by_the_other() {
    let Pair { one, two, .. } = &Pair::new(None).await;
    let mut alice = one.account("alice").await;
    // Shown under the same name, as behind one address.
    let path = "/v1/key-packages";
    let proof = one.http.proof(&alice, "GET", path, Some(&alice.token));
    let show = async |kit: &Kit| {
        let request = kit.http.request(Method::GET, path).header("host", one.http.authority());
        request.header("authorization", format!("DPoP {}", alice.token)).header("dpop", &proof).send().await.unwrap()
    };
    assert_eq!(show(one).await.status(), StatusCode::OK);
    assert_eq!(code(show(two).await).await, ProblemCode::Unauthorized);
    assert_eq!(code(show(one).await).await, ProblemCode::Unauthorized);
    let assertion = alice.assertion();
    let owner = &alice;
    let ask = async |kit: &Kit| {
        let proof = kit.http.proof(owner, "POST", "/oauth/token", None);
        kit.http.token_with(owner, &assertion, &proof).await
    };
    assert_eq!(ask(two).await.status(), StatusCode::OK);
    assert_eq!(code(ask(one).await).await, ProblemCode::Unauthorized);
    // A new one at either; and a token of one is good at the other.
    alice.token = two.http.token(&alice).await;
    assert_eq!(one.http.authed(&alice, Method::GET, path).send().await.unwrap().status(), StatusCode::OK);
}

/// A process with other keys would sign what the others refuse.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_keys_do_not_start() {
    let pair = Pair::new(None).await;
    let folder = tempfile::tempdir().unwrap();
    let config = |keys: &std::path::Path| {
        let mut config = Config::new("127.0.0.1:0".parse().unwrap(), folder.path().to_owned());
        config.database = Database::Postgres(pair.database.clone());
        config.keys = Some(keys.to_owned());
        config.audience = Some(pair.one.http.authority());
        config
    };
    // The log's key is the same, the tokens' is not.
    let other = tempfile::tempdir().unwrap();
    std::fs::copy(pair.keys.path().join("log-key.json"), other.path().join("log-key.json")).unwrap();
    let refused = start(config(other.path())).await.err();
    assert!(matches!(refused, Some(StartError::OtherKeys)), "{refused:?}");
    let third = start(config(pair.keys.path())).await.unwrap();
    third.stop().await;
}

/// A rotation of the token key reaches all processes through the folder, and the database: who starts later with the old keys alone is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotated_keys_are_everybodys() {
    let pair = Pair::new(None).await;
    let mut alice = pair.one.account("alice").await;
    let before = tempfile::tempdir().unwrap();
    for key in ["token-key.json", "log-key.json"] {
        std::fs::copy(pair.keys.path().join(key), before.path().join(key)).unwrap();
    }
    pair.one.admin(&["keys", "rotate"]).await.unwrap();
    for (by, at) in [(&pair.one, &pair.two), (&pair.two, &pair.one)] {
        let request = at.http.authed(&alice, Method::GET, "/v1/key-packages");
        assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
        alice.token = by.http.token(&alice).await;
        let request = at.http.authed(&alice, Method::GET, "/v1/key-packages");
        assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
    }
    let folder = tempfile::tempdir().unwrap();
    let config = |keys: &std::path::Path| {
        let mut config = Config::new("127.0.0.1:0".parse().unwrap(), folder.path().to_owned());
        config.database = Database::Postgres(pair.database.clone());
        config.keys = Some(keys.to_owned());
        config.audience = Some(pair.one.http.authority());
        config
    };
    let refused = start(config(before.path())).await.err();
    assert!(matches!(refused, Some(StartError::OtherKeys)), "{refused:?}");
    start(config(pair.keys.path())).await.unwrap().stop().await;
}

/// While the database is away the keys can be replaced once at most: it knows from which it was, and of two rotations it might not. What it has missed it
/// is told as soon as it is back, and then every process starts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_replaced_only_where_the_database_knows_them() {
    let cluster = Cluster::start("");
    let pair = Pair::over(cluster.database(), None).await;
    let name = cluster.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'relay_%'");
    let name = name.trim();
    let recorded = || cluster.sql(name, "SELECT fingerprint FROM relay_keys");
    let first = recorded();
    let key = || std::fs::read(pair.keys.path().join("token-key.json")).unwrap();
    let before = key();
    cluster.stop();
    let refused = pair.one.admin(&["keys", "rotate"]).await.unwrap_err();
    assert!(refused.contains("the database is away"), "{refused}");
    assert_eq!(key(), before);
    cluster.restart();
    // It takes everything but this.
    cluster.sql(
        name,
        "CREATE FUNCTION not_now() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$;
         CREATE TRIGGER not_now BEFORE UPDATE ON relay_keys FOR EACH STATEMENT EXECUTE FUNCTION not_now()",
    );
    let until = Instant::now() + Duration::from_secs(30);
    while let Err(refused) = pair.one.admin(&["keys", "rotate"]).await {
        assert!(refused.contains("the database is away") && Instant::now() < until, "{refused}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (second, replaced) = (recorded(), key());
    assert!(second == first && replaced != before);
    for kit in [&pair.one, &pair.two] {
        let refused = kit.admin(&["keys", "rotate"]).await.unwrap_err();
        assert!(refused.contains("the database is away"), "{refused}");
    }
    assert_eq!(key(), replaced);
    // By then the folder has forgotten the key that the database knows, as it does after some minutes and another rotation.
    std::fs::write(pair.keys.path().join("token-keys-retired.json"), "[]").unwrap();
    for kit in [&pair.one, &pair.two] {
        let refused = kit.admin(&["keys", "rotate"]).await.unwrap_err();
        assert!(refused.contains("other keys"), "{refused}");
    }
    cluster.sql(name, "DROP TRIGGER not_now ON relay_keys");
    let until = Instant::now() + Duration::from_secs(30);
    while recorded() == first {
        assert!(Instant::now() < until, "the database is not told");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    pair.one.admin(&["keys", "rotate"]).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::new("127.0.0.1:0".parse().unwrap(), folder.path().to_owned());
    config.database = Database::Postgres(pair.database.clone());
    config.keys = Some(pair.keys.path().to_owned());
    config.audience = Some(pair.one.http.authority());
    start(config).await.unwrap().stop().await;
}

/// PostgreSQL has no room left (53100, here by a trigger): 503 and never a 201, and what was refused is taken once there is room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d7_with_postgresql_full_the_answer_is_503() {
    let cluster = Cluster::start("");
    let pair = Pair::over(cluster.database(), None).await;
    let alice = pair.one.account("alice").await;
    let log = pair.one.log(&alice).await;
    pair.one.http.stored(&log, &app(0, b"before")).await;
    let name = cluster.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'relay_%'");
    cluster.sql(
        name.trim(),
        "CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = '53100'; END $$;
         CREATE TRIGGER no_space BEFORE INSERT ON log_entries FOR EACH STATEMENT EXECUTE FUNCTION no_space()",
    );
    let append = app(0, b"meanwhile");
    for kit in [&pair.one, &pair.two] {
        let answer = kit.http.append(log.id, &log.write, &append).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(code(answer).await, ProblemCode::Unavailable);
        assert_eq!(kit.http.page(&log, 0).await.entries.len(), 1, "what is there can be read");
    }
    cluster.sql(name.trim(), "DROP TRIGGER no_space ON log_entries");
    let answer = pair.two.http.append(log.id, &log.write, &append).await;
    assert_eq!((answer.status(), seq(answer).await), (StatusCode::CREATED, 2));
    assert_eq!(pair.one.http.page(&log, 0).await.entries.len(), 2);
}

/// PostgreSQL is away: 503 and never a 201; then everything goes on by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d4_without_postgresql_the_answer_is_503() {
    let cluster = Cluster::start("");
    let pair = Pair::over(cluster.database(), None).await;
    let alice = pair.one.account("alice").await;
    let log = pair.one.log(&alice).await;
    pair.one.http.stored(&log, &app(0, b"before")).await;
    cluster.stop();
    let append = app(0, b"meanwhile");
    for kit in [&pair.one, &pair.two] {
        let answer = kit.http.append(log.id, &log.write, &append).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(code(answer).await, ProblemCode::Unavailable);
    }
    cluster.restart();
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = pair.two.http.append(log.id, &log.write, &append).await;
        if answer.status() == StatusCode::CREATED {
            assert_eq!(seq(answer).await, 2);
            break;
        }
        assert!(Instant::now() < until, "it does not come back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(pair.one.http.page(&log, 0).await.entries.len(), 2);
}
