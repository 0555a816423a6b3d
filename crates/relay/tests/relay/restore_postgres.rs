//! A relay out of a backup of PostgreSQL, by the tools that PostgreSQL has for that.

use std::sync::Arc;

use waxwing_relay::StartError;
use waxwing_relay::storage::OpenError;

use crate::cluster::Cluster;
use crate::kept::{Kept, at, restore_postgres as restore};
use crate::kit::{Kit, app};
use crate::restore::{
    a_restored_relay_takes_lost_entries_without_a_token, checkpoint, goes_on, log_key,
    no_place_in_an_inbox_is_given_twice, refused, restorations, upload,
};

/// D14: PostgreSQL that the operator has put back goes on as SQLite does; without being told so the relay does not start on it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d14_a_postgresql_that_was_put_back_says_where_its_log_goes_on() {
    // A server of its own: databases of other tests come and go beside it.
    let cluster = Cluster::start("");
    cluster.sql("postgres", "CREATE DATABASE kept");
    let url = cluster.url("kept");
    let database = at(&url);
    let mut kit = Kit::with(|config| config.database = database.clone()).await;
    let audience = kit.http.authority();
    let alice = kit.account("alice").await;
    let log = kit.log(&alice).await;
    kit.http.stored(&log, &app(0, b"before the backup")).await;
    upload(&kit, &alice).await;
    kit.admin(&["invite"]).await.unwrap();
    let told = kit.admin(&["backup", "/nowhere"]).await.unwrap_err();
    assert!(told.contains("pg_dump"), "{told}");
    let old_key = log_key(&kit).await;
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("kept.dump");
    let at_backup = checkpoint(&kit, &old_key).await.checkpoint().clone();
    cluster.dump("kept", &file);
    kit.account("bob").await;
    kit.http.stored(&log, &app(0, b"after the backup")).await;

    let empty = tempfile::tempdir().unwrap();
    let own = kit.folder.path().to_owned();
    // A process that runs here, and one that runs elsewhere.
    assert!(restore(&own, &url).unwrap_err().contains("running on this data folder"));
    assert!(restore(empty.path(), &url).unwrap_err().contains("log-key.json"));
    std::fs::copy(own.join("log-key.json"), empty.path().join("log-key.json")).unwrap();
    assert!(restore(empty.path(), &url).unwrap_err().contains("is connected to that database"));
    kit.take().stop().await;
    // Connections take a moment to be gone.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let at_the_end = cluster.sql("kept", "SELECT checkpoint FROM transparency_log");
    cluster.put_back("kept", &file);
    assert_ne!(cluster.sql("kept", "SELECT checkpoint FROM transparency_log"), at_the_end);
    let error = refused(&kit, &audience, database.clone()).await;
    assert!(matches!(error, StartError::Storage(OpenError::WentBack)), "{error:?}");

    cluster.sql("postgres", "CREATE DATABASE nothing");
    assert!(restore(&own, &cluster.url("nothing")).unwrap_err().contains("no relay in that database"));
    let stranger = Kit::new().await;
    std::fs::copy(stranger.folder.path().join("log-key.json"), empty.path().join("log-key.json")).unwrap();
    assert!(restore(empty.path(), &url).unwrap_err().contains("another key"));
    assert_eq!(cluster.sql("kept", "SELECT count(*) FROM log_restorations").trim(), "0");

    let told = restore(&own, &url).unwrap();
    assert!(told.contains(&format!("with {} leaves", at_backup.size)), "{told}");
    kit.start_with(|config| config.database = database.clone()).await;
    goes_on(&kit, &old_key, &at_backup, &alice, &log, "bob").await;
    // What may have been given out or used is void.
    let counts = kit.admin(&["quota", "alice"]).await.unwrap();
    assert!(counts.contains("key-packages: 0"), "{counts}");
    assert!(kit.admin(&["stats"]).await.unwrap().contains("invitations: 0"));
    upload(&kit, &alice).await;
    let counts = kit.admin(&["quota", "alice"]).await.unwrap();
    assert!(counts.contains("key-packages: 0"), "{counts}");
    kit.take().stop().await;
    kit.start_with(|config| config.database = database.clone()).await;
    assert_eq!(restorations(&kit).await.len(), 1);
}

/// D14: of the keys the log's alone need be kept. The token key that is made anew is taken, and whoever had an account is served; and so it is where that key
/// was lost without a restoration, once the operator has had the database forget it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d14_a_postgresql_that_was_put_back_takes_a_new_token_key() {
    let cluster = Cluster::start("");
    cluster.sql("postgres", "CREATE DATABASE rekeyed");
    let url = cluster.url("rekeyed");
    let database = at(&url);
    let mut kit = Kit::with(|config| config.database = database.clone()).await;
    let audience = kit.http.authority();
    let alice = kit.account("alice").await;
    let log = kit.log(&alice).await;
    kit.http.stored(&log, &app(0, b"before the backup")).await;
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("rekeyed.dump");
    cluster.dump("rekeyed", &file);
    let recorded = || cluster.sql("rekeyed", "SELECT fingerprint FROM relay_keys");
    let before = recorded();
    kit.take().stop().await;
    // Connections take a moment to be gone.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    cluster.put_back("rekeyed", &file);
    assert_eq!(recorded(), before);
    let kept = tempfile::tempdir().unwrap();
    std::fs::copy(kit.folder.path().join("log-key.json"), kept.path().join("log-key.json")).unwrap();
    kit.folder = kept;
    restore(kit.folder.path(), &url).unwrap();
    kit.start_with(|config| config.database = database.clone()).await;
    let restored = recorded();
    assert_ne!(restored, before);
    kit.http.token(&alice).await;
    assert_eq!(kit.http.page(&log, 0).await.entries.len(), 1);
    kit.http.stored(&log, &app(0, b"after the restoration")).await;
    kit.account("bob").await;

    kit.take().stop().await;
    std::fs::remove_file(kit.folder.path().join("token-key.json")).unwrap();
    let error = refused(&kit, &audience, database.clone()).await;
    assert!(matches!(error, StartError::OtherKeys), "{error:?}");
    assert!(error.to_string().contains("DELETE FROM relay_keys"), "{error}");
    assert_eq!(recorded(), restored);
    cluster.sql("rekeyed", "DELETE FROM relay_keys");
    kit.start_with(|config| config.database = database.clone()).await;
    assert_ne!(recorded(), restored);
    kit.http.token(&alice).await;
    assert_eq!(kit.http.page(&log, 0).await.entries.len(), 2);
}

/// D14: the same with all of the server out of a base backup, which was taken while entries came in: the log has those that were told before it began,
/// of the others so many as it got, in order, and goes on from there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d14_a_base_backup_has_all_that_was_told_before_it() {
    const BEFORE: usize = 50;
    let cluster = Arc::new(Cluster::start(""));
    cluster.sql("postgres", "CREATE DATABASE based");
    let mut kit = Kit::with(|config| config.database = at(&cluster.url("based"))).await;
    let audience = kit.http.authority();
    let alice = kit.account("alice").await;
    let log = kit.log(&alice).await;
    let mut told = Vec::new();
    let store = async |told: &mut Vec<_>| {
        let append = app(0, &told.len().to_be_bytes());
        assert_eq!(kit.http.stored(&log, &append).await, told.len() as u64 + 1);
        told.push(append.entry_id);
    };
    while told.len() < BEFORE {
        store(&mut told).await;
    }
    let taken = Arc::clone(&cluster);
    let backing_up = tokio::task::spawn_blocking(move || taken.base_backup());
    while !backing_up.is_finished() {
        store(&mut told).await;
    }
    let backup = backing_up.await.unwrap();
    let meanwhile = told.len() - BEFORE;
    assert!(meanwhile > 0, "nothing came in while it was taken");
    for _ in 0..10 {
        store(&mut told).await;
    }
    kit.account("bob").await;
    let newest = checkpoint(&kit, &log_key(&kit).await).await.checkpoint().size;
    kit.take().stop().await;
    drop(cluster);

    let cluster = backup.start();
    let (url, own) = (cluster.url("based"), kit.folder.path().to_owned());
    let error = refused(&kit, &audience, at(&url)).await;
    assert!(matches!(error, StartError::Storage(OpenError::WentBack)), "{error:?}");
    let told_of = restore(&own, &url).unwrap();
    assert!(told_of.contains(&format!("with {} leaves", newest - 2)), "{told_of}");
    kit.start_with(|config| config.database = at(&url)).await;
    assert_eq!(restorations(&kit).await.len(), 1);
    let mut found = Vec::new();
    loop {
        let page = kit.http.page(&log, found.len() as u64).await;
        if page.entries.is_empty() {
            break;
        }
        for entry in page.entries {
            found.push(entry.entry_id);
            assert_eq!(entry.seq, found.len() as u64);
        }
    }
    println!("{BEFORE} before it, {meanwhile} meanwhile, 10 after it; {} are there", found.len());
    assert!((BEFORE..=BEFORE + meanwhile).contains(&found.len()), "{} are there", found.len());
    assert_eq!(found, told[..found.len()]);
    assert_eq!(kit.http.stored(&log, &app(0, b"after")).await, found.len() as u64 + 1);
    kit.account("bob").await;
}

/// D14: the same of PostgreSQL as of SQLite.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d14_no_place_in_an_inbox_is_given_twice_in_postgresql() {
    no_place_in_an_inbox_is_given_twice(&Kept::postgres("inboxes")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d14_a_restored_relay_takes_lost_entries_without_a_token_in_postgresql() {
    a_restored_relay_takes_lost_entries_without_a_token(&Kept::postgres("entries")).await;
}
