//! No space left for the embedded storage.

use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use waxwing_wire::problem::ProblemCode;

use crate::disk::Disk;
use crate::full::{PATIENCE, Scene, entry, start};
use crate::program::{arguments, built};

/// Left for the relay, so that it is what fills the disk.
const LEFT: u64 = 256 * 1024;
const REFUSAL: (StatusCode, ProblemCode) = (StatusCode::INSUFFICIENT_STORAGE, ProblemCode::InsufficientStorage);

/// `waxwing-relay serve` on a disk.
fn relay(disk: &Disk) -> Command {
    let behind = disk.behind();
    let mut command = Command::new(&behind[0]);
    command.args(&behind[1..]).arg(built()).args(arguments(&disk.path("data")));
    // After all others, so that its address is the second line.
    command.arg("--operator-listen=0");
    command
}

/// What is killed on a full disk starts again there or says why not, and has everything once there is space.
async fn killed_while_full(mut scene: Scene, disk: &Disk) {
    disk.fill("filler", LEFT);
    scene.append_until_full().await;
    scene.relay.kill();
    match start(&mut relay(disk)) {
        Ok((relay, ..)) => relay.kill(),
        Err(errors) => assert!(errors.contains("full"), "{errors}"),
    }
    disk.free("filler");
    let (relay, http, operator) = start(&mut relay(disk)).unwrap();
    scene = Scene { relay, http, operator, ..scene };
    scene.ready_in_time(StatusCode::OK).await;
    scene.check().await;
    assert!(scene.append(&entry()).await);
    println!("{} entries were told, and are there", scene.told.len());
}

/// D7: with a full disk every write is answered 507 and stored nowhere, reading goes on, and all is well by itself once there is space.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d7_disk_full_sqlite_is_507_and_recovers() {
    // So small that there is never a checkpoint: what is written while it is full has to go to the end of the write-ahead log.
    let Some(disk) = Disk::of(3 * 1024 * 1024) else { return };
    let mut scene = Scene::set(start(&mut relay(&disk)).unwrap(), REFUSAL).await;
    for _ in 0..2 {
        assert_eq!(scene.ready().await, StatusCode::OK);
        disk.fill("filler", LEFT);
        let refused = scene.append_until_full().await;
        // Whatever comes now.
        disk.fill("rest", 0);
        for _ in 0..20 {
            assert!(!scene.append(&refused).await);
        }
        scene.other_writes_until_full().await;
        scene.ready_in_time(StatusCode::SERVICE_UNAVAILABLE).await;
        scene.check().await;
        // What was refused is taken when it is sent again.
        disk.free("rest");
        disk.free("filler");
        scene.ready_in_time(StatusCode::OK).await;
        assert!(scene.append(&refused).await);
        assert!(scene.append(&entry()).await);
        scene.check().await;
    }
    killed_while_full(scene, &disk).await;
}

/// D7: the same where the write-ahead log begins anew within its file, and where checkpoints find no space themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d7_disk_full_sqlite_is_507_and_recovers_with_checkpoints() {
    let Some(disk) = Disk::of(24 * 1024 * 1024) else { return };
    let mut scene = Scene::set(start(&mut relay(&disk)).unwrap(), REFUSAL).await;
    let size = |name: &str| std::fs::metadata(disk.seen(name)).unwrap().len();
    let until = Instant::now() + PATIENCE;
    // The database grows by checkpoints alone, from 4 MiB of log on: no more than that, or the log itself would leave it no space.
    while size("data/relay.db") < 256 * 1024 {
        assert!(Instant::now() < until, "there is no checkpoint; the log has {} bytes", size("data/relay.db-wal"));
        if size("data/relay.db-wal") < 5 * 1024 * 1024 {
            assert!(scene.append(&entry()).await);
        } else {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    for _ in 0..50 {
        assert!(scene.append(&entry()).await);
    }
    disk.fill("filler", LEFT);
    let mut refused = Vec::new();
    for _ in 0..40 {
        refused.push(scene.append_until_full().await);
    }
    scene.check().await;
    disk.free("filler");
    scene.ready_in_time(StatusCode::OK).await;
    for refused in &refused {
        assert!(scene.append(refused).await);
    }
    scene.check().await;
    killed_while_full(scene, &disk).await;
}
