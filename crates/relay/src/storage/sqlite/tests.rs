//! What only the backend itself can show: a full disk, a failing write among others, what a reader sees. What both backends do alike is in
//! `tests/storage`.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use waxwing_wire::EnvelopeId;
use waxwing_wire::frame::{Append, LogTokens};
use waxwing_wire::log::EnvelopeKind;

use super::*;

fn signer() -> LogSigner {
    LogSigner::new("relay.example", ed25519_dalek::SigningKey::from_bytes(&[7; 32])).unwrap()
}

fn open(folder: &Path) -> SqliteStorage {
    SqliteStorage::open(folder, Quotas::default(), signer(), Arc::new(|_| ())).unwrap()
}

fn log(byte: u8) -> CreateLog {
    CreateLog { log: LogId::from_bytes([byte; 16]), tokens: LogTokens { write: [byte; 32], read: [byte; 32] } }
}

fn append(log: &CreateLog, id: u64, size: usize) -> Appending {
    let mut entry_id = [0; 16];
    entry_id[..8].copy_from_slice(&id.to_be_bytes());
    let append = Append {
        entry_id: EnvelopeId::from_bytes(entry_id),
        kind: EnvelopeKind::App,
        after: 0,
        rekey: None,
        blob: vec![7; size],
    };
    Appending { log: log.log, write_hash: log.tokens.write, digest: [id as u8; 32], append }
}

async fn head(storage: &SqliteStorage, log: &CreateLog) -> u64 {
    match storage.read_log(log.log, log.tokens.read, 0).await.unwrap() {
        LogRead::Page(page) => page.head,
        other => panic!("{other:?}"),
    }
}

async fn max_pages(storage: &SqliteStorage, pages: i64) {
    storage
        .writer
        .write(move |db| db.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get::<_, i64>(0)))
        .await
        .unwrap();
}

/// D7: no 201 when the disk is full, nothing half stored, and it works again by itself.
#[tokio::test]
async fn d7_disk_full_stores_nothing_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let log = log(1);
    assert!(storage.create_log(log).await.unwrap());
    max_pages(&storage, 60).await;
    let mut stored = 0;
    let refused = loop {
        match storage.append(append(&log, stored + 1, 20_000)).await {
            Ok(Appended::Stored { seq }) => {
                stored += 1;
                assert_eq!(seq, stored);
            }
            other => break other,
        }
    };
    assert_eq!(refused, Err(StorageError::Full));
    assert_eq!(head(&storage, &log).await, stored);
    // One that does not fit takes none that do with it, or all of its batch fail; never is one answered and not there.
    let sizes = [100, 500_000, 100, 500_000, 100];
    let answers =
        join_all(sizes.iter().enumerate().map(|(i, size)| storage.append(append(&log, 100 + i as u64, *size)))).await;
    let answered = answers.iter().filter(|answer| matches!(answer, Ok(Appended::Stored { .. }))).count() as u64;
    assert_eq!(head(&storage, &log).await, stored + answered);
    max_pages(&storage, 100_000).await;
    let after = storage.append(append(&log, 101, 500_000)).await.unwrap();
    assert_eq!(after, Appended::Stored { seq: stored + answered + 1 });
    storage.close().await.unwrap();
}

/// A write that fails takes nothing else in its commit with it.
#[tokio::test]
async fn a_failing_write_fails_alone() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let log = log(1);
    assert!(storage.create_log(log).await.unwrap());
    // Keeps the writer busy, so that what follows is queued together.
    let busy = storage.writer.write(|_| {
        std::thread::sleep(Duration::from_millis(200));
        Ok(())
    });
    let broken = storage.writer.write(|db| {
        db.execute("UPDATE logs SET head = 1000", [])?;
        db.execute("INSERT INTO logs (id) VALUES (NULL)", [])
    });
    let commits = storage.stats().commits;
    let (_, first, broken, second) =
        futures_util::join!(busy, storage.append(append(&log, 1, 10)), broken, storage.append(append(&log, 2, 10)),);
    assert_eq!((first, second), (Ok(Appended::Stored { seq: 1 }), Ok(Appended::Stored { seq: 2 })));
    assert_eq!(broken, Err(StorageError::Unavailable));
    assert!(storage.stats().commits - commits <= 2, "they were not queued together");
    assert_eq!(head(&storage, &log).await, 2);
}

/// Nothing is taken after the stop, and everything before it is in the one file.
#[tokio::test]
async fn a_closed_database_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let log = log(1);
    assert!(storage.create_log(log).await.unwrap());
    join_all((1..=50).map(|id| storage.append(append(&log, id, 1000)))).await;
    storage.close().await.unwrap();
    assert_eq!(storage.append(append(&log, 51, 10)).await, Err(StorageError::Unavailable));
    drop(storage);
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(folder.path().join(FILE), copy.path().join(FILE)).unwrap();
    assert_eq!(head(&open(copy.path()), &log).await, 50);
}

/// The write-ahead log does not grow without end under load, and the writer does not wait for checkpoints.
#[tokio::test]
async fn checkpoints_run_beside_the_writer() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let log = log(1);
    assert!(storage.create_log(log).await.unwrap());
    for batch in 0..10 {
        join_all((0..20).map(|i| storage.append(append(&log, 1 + batch * 20 + i, 100_000)))).await;
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    let database = std::fs::metadata(folder.path().join(FILE)).unwrap().len();
    assert!(database > 5_000_000, "nothing was copied: {database}");
    assert_eq!(head(&storage, &log).await, 200);
}

/// A reader that takes long (a backup, `admin stats`) holds up no writer: the write-ahead log grows, and is cut back once it has gone, also while
/// others write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_reader_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let log = log(1);
    assert!(storage.create_log(log).await.unwrap());
    let wal = checkpoint::wal_of(&storage.path);
    let size = || std::fs::metadata(&wal).map_or(0, |file| i64::try_from(file.len()).unwrap());
    let ids = std::sync::atomic::AtomicU64::new(0);
    let write = async |number: usize, bytes: usize| {
        let appends = (0..number).map(|_| {
            let id = 1 + ids.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            storage.append(append(&log, id, bytes))
        });
        for answer in join_all(appends).await {
            assert!(matches!(answer, Ok(Appended::Stored { .. })), "{answer:?}");
        }
    };
    let reader = connect(&storage.path).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    reader.query_row("SELECT count(*) FROM logs", [], |_| Ok(())).unwrap();
    while size() <= checkpoint::LARGEST {
        write(20, 500_000).await;
    }
    let mut times = Vec::new();
    for _ in 0..20 {
        let began = Instant::now();
        write(1, 10).await;
        times.push(began.elapsed());
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    times.sort_unstable();
    // The machine may be loaded, so one or another may be slow for that.
    assert!(times[10] < Duration::from_secs(1) && times[19] < Duration::from_secs(5), "{times:?}");
    assert!(size() > checkpoint::LARGEST);
    reader.execute_batch("COMMIT").unwrap();
    let began = Instant::now();
    join_all((0..4).map(async |_| {
        while size() > checkpoint::LARGEST {
            assert!(began.elapsed() < Duration::from_secs(60), "it is not cut back");
            write(16, 100).await;
        }
    }))
    .await;
    println!("{times:?}, cut back after {:?}", began.elapsed());
    assert_eq!(head(&storage, &log).await, ids.into_inner());
}

/// A relay that stops waits for no copy, and leaves none half made.
#[tokio::test]
async fn a_copy_is_broken_off_by_a_close() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    assert!(storage.create_log(log(1)).await.unwrap());
    let to = tempfile::tempdir().unwrap();
    storage.close().await.unwrap();
    let refused = storage.backup(to.path().join("copy")).await;
    assert!(matches!(refused, Err(BackupError::Stopping)), "{refused:?}");
    assert_eq!(std::fs::read_dir(to.path()).unwrap().count(), 0);
}

/// What a relay has left that was killed while it made a copy is in nobody's way, and in no copy.
#[tokio::test]
async fn a_copy_takes_the_place_of_half_a_copy() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let log = log(1);
    assert!(storage.create_log(log).await.unwrap());
    join_all((1..=50).map(|id| storage.append(append(&log, id, 1000)))).await;
    let to = tempfile::tempdir().unwrap();
    for name in ["copy.part", "copy.part-journal"] {
        std::fs::write(to.path().join(name), vec![7; 1_000_000]).unwrap();
    }
    storage.backup(to.path().join("copy")).await.unwrap();
    let names: Vec<_> = std::fs::read_dir(to.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(names, ["copy"]);
    let restored = tempfile::tempdir().unwrap();
    std::fs::rename(to.path().join("copy"), restored.path().join(FILE)).unwrap();
    assert_eq!(head(&open(restored.path()), &log).await, 50);
}

/// Two at once would write to one file where they have one name, and each holds the write-ahead log.
#[tokio::test]
async fn there_is_one_backup_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let log = log(1);
    assert!(storage.create_log(log).await.unwrap());
    join_all((1..=50).map(|id| storage.append(append(&log, id, 1000)))).await;
    let to = tempfile::tempdir().unwrap();
    let path = |name: &str| to.path().join(name);
    // The file is opened for writing, which waits for somebody who reads.
    let part = path("slow.part");
    assert!(std::process::Command::new("mkfifo").arg(&part).status().unwrap().success());
    let mut slow = storage.backup(path("slow"));
    assert!(futures_util::poll!(&mut slow).is_pending());
    let meanwhile = storage.backup(path("other")).await;
    // Whoever waits for it no longer has not ended it.
    drop(slow);
    let still = storage.backup(path("other")).await;
    // Before anything is said of them: the end of a test would wait for that thread.
    let reading = std::fs::File::open(part).unwrap();
    for refused in [meanwhile, still] {
        assert!(matches!(refused, Err(BackupError::Busy)), "{refused:?}");
    }
    let began = Instant::now();
    while let Err(error) = storage.backup(path("other")).await {
        assert!(matches!(error, BackupError::Busy), "{error:?}");
        assert!(began.elapsed() < Duration::from_secs(30), "it does not end");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(reading);
    let (one, two) = tokio::join!(storage.backup(path("slow")), storage.backup(path("slow")));
    assert!(one.is_ok() && matches!(two, Err(BackupError::Busy)), "{one:?} {two:?}");
    for name in ["slow", "other"] {
        let restored = tempfile::tempdir().unwrap();
        std::fs::rename(path(name), restored.path().join(FILE)).unwrap();
        assert_eq!(head(&open(restored.path()), &log).await, 50);
    }
    assert_eq!(std::fs::read_dir(to.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn commits_are_synced_and_old_sqlite_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let settings = storage
        .writer
        .write(|db| {
            let get = |pragma: &str| db.query_row(pragma, [], |row| row.get::<_, i64>(0));
            Ok((get("PRAGMA synchronous")?, get("PRAGMA wal_autocheckpoint")?))
        })
        .await
        .unwrap();
    assert_eq!(settings, (2, 0));
    for old in [0, 3_050_004, 3_051_002] {
        let refused = check_version(old).unwrap_err();
        assert!(matches!(refused, OpenError::OldSqlite(_)) && refused.to_string().contains("3.51.3"), "{refused}");
    }
    for good in [3_051_003, 3_052_000, rusqlite::version_number()] {
        check_version(good).unwrap();
    }
}
