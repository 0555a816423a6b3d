//! No space left for PostgreSQL, truly: its tables, or its write-ahead log, lie on a small disk. The server runs in that disk's namespace, the relay does not.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use waxwing_wire::api::Stored;
use waxwing_wire::problem::ProblemCode;

use crate::backend::Postgres;
use crate::cluster::{self, Cluster, Place};
use crate::disk::Disk;
use crate::full::{PATIENCE, Scene, entry, start};
use crate::kit::code;
use crate::program::{built, serve};

const REFUSAL: (StatusCode, ProblemCode) = (StatusCode::SERVICE_UNAVAILABLE, ProblemCode::Unavailable);
/// Left for PostgreSQL, so that it is what fills the disk.
const LEFT: u64 = 256 * 1024;

/// A disk and a folder on it that is PostgreSQL's; none, and a line that says why, where there is none to be had.
fn disk(bytes: u64, folder: &str) -> Option<Disk> {
    let disk = Disk::of(bytes)?;
    if !disk.is_entered_as_oneself() {
        println!(
            "SKIPPED: without root PostgreSQL cannot enter a mount namespace: it would seem to be root there, and refuses to start"
        );
        return None;
    }
    std::fs::create_dir(disk.seen(folder)).unwrap();
    cluster::give_to_server(&disk.seen(folder));
    Some(disk)
}

async fn scene(backend: &Postgres) -> Scene {
    let started = start(serve(&built(), backend).arg("--operator-listen=0")).unwrap();
    Scene::set(started, REFUSAL).await
}

/// D7: with no space for PostgreSQL's tables (53100) every write is answered 503 and stored nowhere, reading goes on, and all is well by itself once
/// there is space.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d7_disk_full_postgresql_is_503_and_recovers() {
    let Some(disk) = disk(48 * 1024 * 1024, "tables") else { return };
    let place = Place { behind: disk.behind(), wal: None };
    // By itself it would look at the tables meanwhile, and find space in what was rolled back.
    let cluster = Cluster::start_in(place, 5432, "autovacuum = off", &[]);
    cluster.sql("postgres", &format!("CREATE TABLESPACE small LOCATION '{}'", disk.path("tables").display()));
    cluster.sql("postgres", "CREATE DATABASE small TABLESPACE small");
    let backend = Postgres::over(&cluster.url("small"));
    let mut scene = scene(&backend).await;
    for _ in 0..2 {
        disk.fill("filler", LEFT);
        let mut refused = vec![scene.append_until_full().await];
        assert_eq!(cluster.sql("postgres", "SELECT 1").trim(), "1", "the server itself is well");
        // Whatever comes now. One may find room in a page that another has got before it was refused.
        disk.fill("rest", 0);
        for _ in 0..20 {
            refused.push(scene.append_until_full().await);
        }
        scene.other_writes_until_full().await;
        scene.check().await;
        // What was refused is taken when it is sent again.
        disk.free("rest");
        disk.free("filler");
        scene.ready_in_time(StatusCode::OK).await;
        for refused in &refused {
            assert!(scene.append(refused).await);
        }
        assert!(scene.append(&entry()).await);
        scene.check().await;
    }
    println!("{} entries were told, and are there", scene.told.len());
}

/// D7: with no space for its write-ahead log PostgreSQL ends with a PANIC, and may not come up again before there is some. Nothing is answered 201 that
/// is not there afterwards; what was answered 503 may have been stored, and is there once when it is sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d7_disk_full_for_the_wal_of_postgresql_is_503_and_recovers() {
    let Some(disk) = disk(40 * 1024 * 1024, "wal") else { return };
    let place = Place { behind: disk.behind(), wal: Some(disk.path("wal")) };
    let settings = "min_wal_size = '2MB'\nmax_wal_size = '64MB'\ncheckpoint_timeout = '30min'";
    let cluster = Cluster::start_in(place, 5432, settings, &[]);
    cluster.sql("postgres", "CREATE DATABASE small");
    let backend = Postgres::over(&cluster.url("small"));
    let mut scene = scene(&backend).await;
    disk.fill("filler", LEFT);
    let mut refused = vec![scene.append_until_full().await];
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        let append = entry();
        if !scene.append(&append).await {
            refused.push(append);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let log = cluster.said();
    assert!(log.contains("PANIC") && log.contains("No space left on device"), "{log}");
    disk.free("filler");
    if !cluster.is_there() {
        println!("PostgreSQL did not come up by itself while its disk was full");
        cluster.restart();
    }
    // What may have been stored before the answer was lost gets its place now.
    let until = Instant::now() + 3 * PATIENCE;
    for append in &refused {
        loop {
            let answer = scene.http.append(scene.log.id, &scene.log.write, append).await;
            if answer.status() == StatusCode::CREATED {
                scene.told.push((append.entry_id, answer.json::<Stored>().await.unwrap().seq));
                break;
            }
            assert_eq!((answer.status(), code(answer).await), REFUSAL);
            assert!(Instant::now() < until, "it does not come back: {}", cluster.said());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    scene.told.sort_by_key(|(_, seq)| *seq);
    scene.check().await;
    scene.ready_in_time(StatusCode::OK).await;
    println!("{} entries were told, and are there; {} were refused first", scene.told.len(), refused.len());
}
