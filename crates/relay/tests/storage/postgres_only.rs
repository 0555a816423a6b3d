//! What PostgreSQL alone can show: settings under which it would lose commits, its end under way, a failing statement among others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use waxwing_relay::storage::{
    Admission, Appended, Claim, Claimed, Claimer, Delivered, OpenError, PostgresConfig, PostgresStorage,
    PostgresTrouble, PostgresUrl, Storage as _, StorageError, Watched,
};

use crate::cluster::Cluster;
use crate::kit::*;

async fn refused(config: &PostgresConfig) -> OpenError {
    PostgresStorage::open(config, setup()).await.err().expect("it opened")
}

/// D3: settings with which an answered commit could be lost are refused at the start, wherever they were made, and by name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d3_settings_that_lose_commits_are_refused() {
    let cluster = Cluster::start("synchronous_commit = off");
    let config = cluster.database();
    let error = refused(&config).await;
    assert!(matches!(error, OpenError::NotDurable { setting: "synchronous_commit" }), "{error:?}");
    assert!(error.to_string().contains("ALTER SYSTEM SET synchronous_commit = on"));
    cluster.sql("postgres", "ALTER SYSTEM SET synchronous_commit = on");
    cluster.sql("postgres", "SELECT pg_reload_conf()");
    PostgresStorage::open(&config, setup()).await.unwrap().close().await.unwrap();
    // For this database alone, which `SHOW` in another one does not say.
    let name = cluster.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'relay_%'");
    cluster.sql("postgres", &format!("ALTER DATABASE {} SET synchronous_commit = off", name.trim()));
    assert!(matches!(refused(&config).await, OpenError::NotDurable { setting: "synchronous_commit" }));
    cluster.sql("postgres", &format!("ALTER DATABASE {} RESET synchronous_commit", name.trim()));
    for setting in ["fsync", "full_page_writes"] {
        cluster.sql("postgres", &format!("ALTER SYSTEM SET {setting} = off"));
        cluster.sql("postgres", "SELECT pg_reload_conf()");
        tokio::time::sleep(Duration::from_millis(500)).await;
        let error = refused(&config).await;
        assert!(matches!(error, OpenError::NotDurable { setting: named } if named == setting), "{error:?}");
        cluster.sql("postgres", &format!("ALTER SYSTEM RESET {setting}"));
        cluster.sql("postgres", "SELECT pg_reload_conf()");
    }
}

#[tokio::test]
async fn what_cannot_be_reached_says_so_and_no_secret() {
    let config = |url: &str| PostgresConfig::new(PostgresUrl::new(url.to_owned()));
    let nobody = config("host=/nonexistent user=relay password=hunter2");
    let error = refused(&nobody).await;
    assert!(matches!(error, OpenError::Postgres(PostgresTrouble::Unreachable)), "{error:?}");
    let open = config("postgresql://relay:hunter2@192.0.2.1/relay");
    assert!(matches!(refused(&open).await, OpenError::PostgresInTheOpen));
    let unreadable = config("postgresql://relay:hunter2@host:port/");
    assert!(matches!(refused(&unreadable).await, OpenError::PostgresUrl));
    let absent = Cluster::shared().config("absent");
    assert!(matches!(refused(&absent).await, OpenError::Postgres(PostgresTrouble::Refused(code)) if code == "3D000"));
    for config in [nobody, open, unreadable] {
        let error = refused(&config).await;
        assert!(!format!("{config:?} {error:?} {error}").contains("hunter2"));
    }
}

/// Over a network nothing goes without TLS, and only to a server whose certificate is trusted, under its name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_checked() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = format!("listen_addresses = '127.0.0.1'\nport = {port}\nssl = on");
    let files = [("server.crt", made.cert.pem()), ("server.key", made.signing_key.serialize_pem())];
    let cluster = Cluster::start_on(port, &settings, &files.each_ref().map(|(name, text)| (*name, text.as_str())));
    cluster.sql("postgres", "CREATE DATABASE secure");
    let folder = tempfile::tempdir().unwrap();
    let roots = |name: &str, pem: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path
    };
    let config = |host: &str, roots: &std::path::Path| {
        let url = format!("postgresql://relay@{host}:{port}/secure?sslmode=require");
        let root_certificates = Some(roots.to_owned());
        PostgresConfig { root_certificates, ..PostgresConfig::new(PostgresUrl::new(url)) }
    };
    let trusted = roots("trusted.pem", &made.cert.pem());
    let storage = PostgresStorage::open(&config("localhost", &trusted), setup()).await.unwrap();
    assert!(storage.create_log(new_log(1)).await.unwrap());
    let all = cluster.sql("secure", "SELECT bool_and(ssl) AND count(*) > 0 FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'waxwing-relay'");
    assert_eq!(all.trim(), "t");
    storage.close().await.unwrap();
    // Another name, another authority, and none at all.
    let unreachable = |error: OpenError| matches!(error, OpenError::Postgres(PostgresTrouble::Unreachable));
    assert!(unreachable(refused(&config("127.0.0.1", &trusted)).await));
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    assert!(unreachable(refused(&config("localhost", &roots("other.pem", &other.cert.pem()))).await));
    assert!(matches!(refused(&config("localhost", &roots("none.pem", ""))).await, OpenError::PostgresTls(_)));
}

/// D4: PostgreSQL crashes under load. Nothing answered is lost or there twice, what was not answered is repeated and then there once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d4_a_crash_loses_nothing_that_was_answered() {
    const TASKS: u64 = 8;
    let cluster = Cluster::start("");
    let storage = Arc::new(PostgresStorage::open(&cluster.database(), setup()).await.unwrap());
    let log = new_log(1);
    assert!(storage.create_log(log).await.unwrap());
    let done = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (storage, done) = (Arc::clone(&storage), Arc::clone(&done));
            tokio::spawn(async move {
                let (mut answered, mut repeated, mut n) = (Vec::new(), 0_u64, 0);
                while !done.load(Ordering::Relaxed) {
                    let id = task * 1_000_000 + n + 1;
                    match storage.append(append(&log, id, 100)).await {
                        Ok(Appended::Stored { seq }) => {
                            answered.push((seq, envelope_id(id)));
                            n += 1;
                        }
                        Err(StorageError::Unavailable) => {
                            repeated += 1;
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                        other => panic!("{other:?}"),
                    }
                }
                (answered, repeated)
            })
        })
        .collect();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        cluster.crash();
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    done.store(true, Ordering::Relaxed);
    let results: Vec<_> = join_all(tasks).await.into_iter().map(Result::unwrap).collect();
    assert!(results.iter().any(|(_, repeated)| *repeated > 0), "no request met a crash");
    let mut answered: Vec<_> = results.into_iter().flat_map(|(answered, _)| answered).collect();
    answered.sort_unstable_by_key(|(seq, _)| *seq);
    let there = drain(&*storage, &log).await;
    // At the end each task has at most one entry on its way that it was not told of.
    assert!(there.len() as u64 - answered.len() as u64 <= TASKS);
    assert!(!answered.is_empty());
    let there: Vec<_> = there.into_iter().map(|(seq, id, _)| (seq, id)).collect();
    assert!(answered.iter().all(|entry| there[entry.0 as usize - 1] == *entry));
    let mut ids: Vec<_> = there.iter().map(|(_, id)| *id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), there.len(), "an entry is there twice");
}

/// While PostgreSQL is away everything is refused as unavailable, and works again by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d4_away_means_unavailable_and_back_means_going_on() {
    let cluster = Cluster::start("");
    let storage = PostgresStorage::open(&cluster.database(), setup()).await.unwrap();
    let log = new_log(1);
    assert!(storage.create_log(log).await.unwrap());
    assert_eq!(storage.append(append(&log, 1, 10)).await, Ok(stored(1)));
    cluster.stop();
    assert_eq!(storage.append(append(&log, 2, 10)).await, Err(StorageError::Unavailable));
    assert_eq!(storage.create_log(new_log(2)).await, Err(StorageError::Unavailable));
    assert_eq!(storage.checkpoint().await, Err(StorageError::Unavailable));
    cluster.restart();
    let mut tries = 0;
    while storage.append(append(&log, 2, 10)).await != Ok(stored(2)) {
        tries += 1;
        assert!(tries < 100, "it does not come back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(drain(&storage, &log).await.len(), 2);
}

/// D7: PostgreSQL says that its disk is full (53100, here by a trigger): unavailable, nothing stored, and it goes on when there is room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d7_a_full_disk_is_unavailable_and_recovers() {
    let cluster = Cluster::start("");
    let storage = PostgresStorage::open(&cluster.database(), setup()).await.unwrap();
    let log = new_log(1);
    assert!(storage.create_log(log).await.unwrap());
    assert_eq!(storage.append(append(&log, 1, 10)).await, Ok(stored(1)));
    let name = cluster.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'relay_%'");
    cluster.sql(
        name.trim(),
        "CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = '53100'; END $$;
         CREATE TRIGGER no_space BEFORE UPDATE ON logs FOR EACH STATEMENT EXECUTE FUNCTION no_space();
         CREATE TRIGGER no_space BEFORE INSERT ON accounts FOR EACH STATEMENT EXECUTE FUNCTION no_space()",
    );
    let answers = join_all((2..=20).map(|id| storage.append(append(&log, id, 10)))).await;
    assert!(answers.iter().all(|answer| *answer == Err(StorageError::Unavailable)));
    assert_eq!(storage.register(create(1, Some("alice"))).await, Err(StorageError::Unavailable));
    assert_eq!(drain(&storage, &log).await.len(), 1);
    assert_eq!(checkpoint(&storage).await.checkpoint().size, 0);
    cluster.sql(name.trim(), "DROP TRIGGER no_space ON logs; DROP TRIGGER no_space ON accounts");
    assert_eq!(storage.append(append(&log, 2, 10)).await, Ok(stored(2)));
    registered(&storage, 1, Some("alice")).await;
    assert_eq!(checkpoint(&storage).await.checkpoint().size, 2);
}

/// An append that PostgreSQL refuses takes none of its batch with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_append_fails_alone() {
    let cluster = Cluster::start("");
    let config = cluster.database();
    let storage = PostgresStorage::open(&config, setup()).await.unwrap();
    let log = new_log(1);
    assert!(storage.create_log(log).await.unwrap());
    let name = cluster.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'relay_%'");
    cluster.sql(name.trim(), "ALTER TABLE log_entries ADD CONSTRAINT test CHECK (length(blob) <> 13)");
    let answers =
        join_all((1..=40).map(|id| storage.append(append(&log, id, if id % 10 == 0 { 13 } else { 12 })))).await;
    let (good, bad): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((good.len(), bad.len()), (36, 4));
    assert!(bad.iter().all(|answer| *answer == Err(StorageError::Damaged)));
    assert_eq!(drain(&storage, &log).await.len(), 36);
}

/// Appends that wait together are committed together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_appends_share_a_commit() {
    let storage = PostgresStorage::open(&Cluster::shared().database(), setup()).await.unwrap();
    let log = new_log(1);
    assert!(storage.create_log(log).await.unwrap());
    let before = storage.stats();
    let answers = join_all((1..=200).map(|id| storage.append(append(&log, id, 100)))).await;
    assert!(answers.iter().all(Result::is_ok));
    let after = storage.stats();
    assert_eq!(after.writes - before.writes, 200);
    assert!(after.commits - before.commits < 100, "{} commits", after.commits - before.commits);
}

/// Two programs of different versions: the older one does not touch what it does not know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_schema_is_refused_and_starts_may_meet() {
    let cluster = Cluster::start("");
    let config = cluster.database();
    // All at once, on an empty database: one makes the tables.
    let opened = join_all((0..4).map(|_| PostgresStorage::open(&config, setup()))).await;
    assert!(opened.iter().all(Result::is_ok));
    let name = cluster.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'relay_%'");
    cluster.sql(name.trim(), "UPDATE relay_schema SET version = 99");
    assert!(matches!(refused(&config).await, OpenError::TooNew(99)));
}

/// A log whose parts do not belong together is not gone on with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p17_a_changed_log_does_not_start() {
    let cluster = Cluster::start("");
    for change in [
        "UPDATE transparency_log SET size = 9",
        "UPDATE transparency_nodes SET hash = decode(repeat('00', 32), 'hex') WHERE level = 3",
        "DELETE FROM transparency_nodes WHERE level = 1 AND n = 4",
        "UPDATE transparency_log SET frontier = ''",
        "INSERT INTO transparency_leaves (n, leaf) VALUES (10, decode(repeat('00', 69), 'hex'))",
    ] {
        let config = cluster.database();
        let storage = PostgresStorage::open(&config, setup()).await.unwrap();
        for n in 0..5 {
            registered(&storage, n, Some(&format!("name-{n}"))).await;
        }
        storage.close().await.unwrap();
        let name = cluster.sql("postgres", "SELECT datname FROM pg_database ORDER BY oid DESC LIMIT 1");
        cluster.sql(name.trim(), change);
        assert!(matches!(refused(&config).await, OpenError::DamagedLog), "{change}");
    }
}

/// P15: a send or a claim that is refused leaves no trace at an account that is there. A lock of its row would be one, and a commit that waits for the
/// disk, as that of an unknown account never does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p15_whoever_is_refused_has_locked_nothing() {
    let cluster = Cluster::shared();
    cluster.sql("postgres", "CREATE DATABASE refusals");
    let storage = PostgresStorage::open(&cluster.config("refusals"), setup()).await.unwrap();
    registered(&storage, 1, None).await;
    assert!(storage.admit(account(1), vec![[1; 32]]).await.unwrap());
    let locked = || {
        cluster.sql(
            "refusals",
            "SELECT string_agg(xmax::text, ' ') FROM (SELECT xmax FROM devices UNION ALL SELECT xmax FROM accounts) x",
        )
    };
    let before = locked();
    for (id, admission) in [(1, Admission::Stranger), (2, Admission::AccessKey([2; 32]))] {
        assert_eq!(storage.deliver(delivery(1, id, admission, 1)).await.unwrap(), Delivered::Refused);
    }
    for claimer in [Claimer::Stranger([3; 32]), Claimer::AccessKey([2; 32])] {
        let claim = Claim { account: account(1), claimer, id: [1; 32] };
        assert!(matches!(storage.claim_key_packages(claim).await.unwrap(), Claimed::Refused));
    }
    assert_eq!(locked(), before);
    // The planted control: whoever is admitted locks both.
    let admitted = Admission::AccessKey([1; 32]);
    assert_eq!(storage.deliver(delivery(1, 3, admitted, 1)).await.unwrap(), delivered(1));
    let claim = Claim { account: account(1), claimer: Claimer::AccessKey([1; 32]), id: [1; 32] };
    assert!(matches!(storage.claim_key_packages(claim).await.unwrap(), Claimed::Packages(_)));
    let after = locked();
    assert!(
        after.split_whitespace().zip(before.split_whitespace()).all(|(after, before)| after != before),
        "{before} {after}"
    );
    storage.close().await.unwrap();
}

/// Statements are planned once for a connection, on tables that are still empty: as these grow nothing is read whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_planned_on_empty_tables_reads_none_whole() {
    let cluster = Cluster::start("");
    let config = cluster.database();
    let name = cluster.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'relay_%'");
    let storage = PostgresStorage::open(&config, setup()).await.unwrap();
    let logs: Vec<_> = (0..32).map(new_log).collect();
    for log in &logs {
        assert!(storage.create_log(*log).await.unwrap());
    }
    registered(&storage, 1, Some("alice")).await;
    let round = async |from: u64, count: u64| {
        for id in from..from + count {
            let log = &logs[id as usize % logs.len()];
            assert!(matches!(storage.append(append(log, id, 100)).await.unwrap(), Appended::Stored { .. }));
            page(&storage, log, 0).await;
            storage
                .heads(Watched { logs: vec![(log.log, log.tokens.read)], inboxes: vec![device_id(1)] })
                .await
                .unwrap();
            assert!(matches!(
                storage.deliver(delivery(1, id, Admission::Stranger, 100)).await.unwrap(),
                Delivered::Stored { .. }
            ));
            storage.read_inbox(device_id(1), 0).await.unwrap();
        }
    };
    // A statement's plan is fixed after it was planned five times, at each connection.
    round(1, 200).await;
    let scans = async || {
        // What a connection has done it tells of within a second.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        round(100_000, 1).await;
        let sql = "SELECT pg_stat_clear_snapshot(), coalesce(sum(seq_tup_read), 0) FROM pg_stat_user_tables
                   WHERE relname IN ('logs', 'log_entries', 'retired_tokens', 'devices', 'inbox_entries', 'inbox_ids')";
        let said = cluster.sql(name.trim(), sql);
        said.trim().rsplit('|').next().unwrap().parse::<u64>().unwrap()
    };
    let before = scans().await;
    round(1000, 500).await;
    assert_eq!(scans().await, before, "rows that were read beside those that were asked for");
    // The control: it is counted.
    cluster.sql(
        name.trim(),
        "SET enable_indexscan = off; SET enable_indexonlyscan = off; SELECT sum(length(blob)) FROM log_entries",
    );
    assert!(scans().await > before);
    storage.close().await.unwrap();
}

/// A3: whoever sends and hangs up, again and again, while the database is slow leaves a bounded number of writes behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_writes_that_nobody_waits_for_are_bounded() {
    let cluster = Cluster::start("");
    let storage = PostgresStorage::open(&cluster.database(), setup()).await.unwrap();
    registered(&storage, 1, Some("alice")).await;
    let name = cluster.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'relay_%'");
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let hold = "BEGIN; LOCK TABLE devices; SELECT pg_sleep(4); COMMIT;";
    tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let holding = scope.spawn(|| cluster.sql(name.trim(), hold));
            std::thread::sleep(Duration::from_millis(500));
            tokio::runtime::Handle::current().block_on(async {
                let before = tasks();
                for round in 0..5 {
                    let sends = (0..100).map(|id| {
                        let sent = delivery(1, round * 100 + id, Admission::Stranger, 1000);
                        tokio::time::timeout(Duration::from_millis(100), storage.deliver(sent))
                    });
                    assert!(join_all(sends).await.into_iter().all(|sent| sent.is_err()), "the database was not held");
                }
                // What is left of them, and the connections.
                let left = tasks() - before;
                assert!((32..=64 + 16).contains(&left), "{left}");
            });
            holding.join().unwrap();
        });
    });
    // And it goes on.
    let sent = delivery(1, 10_000, Admission::Stranger, 1000);
    assert!(matches!(storage.deliver(sent).await.unwrap(), Delivered::Stored { .. }));
    storage.close().await.unwrap();
}
