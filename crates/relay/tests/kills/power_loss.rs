//! A power cut: kill -9 keeps the page cache, and so says nothing about fsync.
//!
//! The relay under test is the shipped program. For the other half its one `PRAGMA synchronous = FULL` is overwritten in a copy of the file: the
//! program itself has no way to be told to sync less.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::backend::{Backend as _, Sqlite};
use crate::campaign;
use crate::kill::rounds;
use crate::power::Power;
use crate::program::built;

const FULL: &[u8] = b"PRAGMA synchronous = FULL;";
/// Never; and (1 is NORMAL) not with each commit. As long as the one above.
const LESS: [&[u8]; 2] = [b"PRAGMA synchronous = OFF ;", b"PRAGMA synchronous = 1   ;"];

/// A copy of the program that syncs less.
fn with(less: &[u8], folder: &TempDir) -> PathBuf {
    let mut program = std::fs::read(built()).unwrap();
    let found: Vec<usize> =
        program.windows(FULL.len()).enumerate().filter(|(_, at)| *at == FULL).map(|(n, _)| n).collect();
    assert!(!found.is_empty(), "the program does not say that it syncs");
    for at in found {
        program[at..at + FULL.len()].copy_from_slice(less);
    }
    let path = folder.path().join("waxwing-relay");
    std::fs::write(&path, program).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    path
}

/// D3: whatever was not synced is gone after a power cut, all of it or sector by sector, and no 201 with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d3_power_loss_sqlite_with_full_sync_keeps_every_201() {
    let backend = Sqlite::new();
    let power = Power::over(backend.folder());
    // A cut takes as long as three kills.
    let cuts = rounds(27) / 3;
    let tally = campaign::run(&built(), &backend, &power, cuts).await.unwrap_or_else(|broken| panic!("{broken}"));
    println!("{cuts} power cuts: {tally:?}");
    assert!(tally.told > 100 && tally.chain_entries > 0, "hardly any load: {tally:?}");
}

/// D3, the other half: the same test finds what is lost when the relay syncs less.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d3_power_loss_sqlite_with_less_sync_loses_what_was_answered() {
    for less in LESS {
        let backend = Sqlite::new();
        let power = Power::over(backend.folder());
        let own = tempfile::tempdir().unwrap();
        let broken = campaign::run(&with(less, &own), &backend, &power, 9).await;
        let less = String::from_utf8_lossy(less);
        let broken = broken.expect_err(&format!("nothing was lost with {less}"));
        println!("{less} {broken}");
    }
}
