//! kill -9.

use crate::backend::{Backend, Postgres, Sqlite};
use crate::campaign::{self, Kill};
use crate::cluster::Cluster;
use crate::program::built;

/// `script/test kills` asks for more.
pub fn rounds(few: u64) -> u64 {
    std::env::var("WAXWING_KILLS").map_or(few, |kills| kills.parse().unwrap())
}

/// The one case that every storage has to pass.
async fn nothing_is_lost(backend: impl Backend, kills: u64) {
    let tally = campaign::run(&built(), &backend, &Kill, kills).await.unwrap_or_else(|broken| panic!("{broken}"));
    println!("{kills} kills: {tally:?}");
    assert!(tally.is_load(kills), "hardly any load: {tally:?}");
    // Each kill cuts somebody off in the midst of a request.
    assert!(tally.lost_stored + tally.lost_unstored >= usize::try_from(kills).unwrap(), "{tally:?}");
    assert_eq!(tally.unavailable, 0, "{tally:?}");
}

/// D1: killed anywhere, under load, every 201 is read back exactly once, at its place and in order; what was refused is nowhere; and what no
/// answer came to is stored once when it is repeated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_kill_9_sqlite_keeps_every_201_exactly_once() {
    nothing_is_lost(Sqlite::new(), rounds(10)).await;
}

/// D1: the same over PostgreSQL, which outlives the relay and may still be committing what that had asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_kill_9_postgresql_keeps_every_201_exactly_once() {
    nothing_is_lost(Postgres::new(Cluster::shared(), None), rounds(4)).await;
}
