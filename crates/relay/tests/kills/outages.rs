//! What two processes of one relay live through: PostgreSQL crashes, NATS is killed, one of the two is killed.

use std::time::Duration;

use crate::backend::Postgres;
use crate::chance::Chance;
use crate::cluster::{self, Cluster};
use crate::fault::{Broken, promised};
use crate::kill::rounds;
use crate::ledger::Tally;
use crate::nats::NatsServer;
use crate::pair::{PROCESSES, Pair};
use crate::steady::{self, Trouble};

/// For a message on the bus, once its server is there: the relays look for it every two seconds at least.
const PATIENCE: Duration = Duration::from_secs(30);
/// PostgreSQL syncs all of its files when it recovers; with this, in one call.
const SYNCFS: &str = "recovery_init_sync_method = 'syncfs'";

async fn passes(backend: Postgres, trouble: &mut impl Trouble, rounds: u64) -> Tally {
    let tally = steady::run(backend, trouble, rounds).await.unwrap_or_else(|broken| panic!("{broken}"));
    println!("{rounds} times: {tally:?}");
    assert!(tally.is_load(rounds), "hardly any load: {tally:?}");
    tally
}

/// PostgreSQL ends without a checkpoint, and is started again.
struct Crash(Cluster);

impl Trouble for Crash {
    async fn strike(&mut self, _: &mut Pair, _: u64) -> Result<(), Broken> {
        tokio::task::block_in_place(|| self.0.crash());
        Ok(())
    }

    fn cluster(&self) -> &Cluster {
        &self.0
    }
}

/// D4: PostgreSQL crashes under load: what was answered 201 is kept, what was answered 503 or not at all is stored once when it is repeated, and both
/// processes and all who follow go on by themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d4_postgresql_crashes_and_every_201_is_kept_exactly_once() {
    let cluster = Cluster::start(if cluster::version() >= 14 { SYNCFS } else { "" });
    let backend = Postgres::new(&cluster, None);
    let tally = passes(backend, &mut Crash(cluster), rounds(12) / 6).await;
    assert!(tally.unavailable > 0, "nobody noticed: {tally:?}");
    assert_eq!(tally.repeated, 0, "a process that did not answer at all");
}

/// NATS is there for the first half of each round.
struct NatsKilled(NatsServer);

impl Trouble for NatsKilled {
    async fn strike(&mut self, _: &mut Pair, _: u64) -> Result<(), Broken> {
        // What is killed is in use.
        let mut heard = self.0.client().await.subscribe("waxwing.wake").await.unwrap();
        let message = tokio::time::timeout(PATIENCE, futures_util::StreamExt::next(&mut heard)).await;
        promised!(matches!(message, Ok(Some(_))), "nothing is told over NATS");
        tokio::task::block_in_place(|| self.0.kill());
        Ok(())
    }

    async fn mend(&mut self) {
        tokio::task::block_in_place(|| self.0.restart());
    }

    fn cluster(&self) -> &Cluster {
        Cluster::shared()
    }
}

/// D4: NATS is killed under load, and away for a while: no request fails for it, and all who follow are told by the process that they are connected to,
/// also of what the other one stores.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d4_kill_9_nats_costs_no_answer_and_no_follower() {
    let nats = NatsServer::start();
    let backend = Postgres::new(Cluster::shared(), Some(&nats.url()));
    let tally = passes(backend, &mut NatsKilled(nats), rounds(12) / 6).await;
    assert_eq!((tally.unavailable, tally.repeated), (0, 0), "{tally:?}");
}

/// One process is killed, or the other, or both; some do not even get to be ready.
struct ProcessKilled(Chance);

impl Trouble for ProcessKilled {
    async fn strike(&mut self, pair: &mut Pair, _: u64) -> Result<(), Broken> {
        let Self(chance) = self;
        let first = chance.below(PROCESSES as u64) as usize;
        let killed = if chance.below(8) == 0 { vec![first, PROCESSES - 1 - first] } else { vec![first] };
        for process in &killed {
            pair.kill(*process);
        }
        tokio::time::sleep(Duration::from_millis(chance.below(100))).await;
        for process in killed {
            if chance.below(5) == 0 {
                pair.try_to_start(process, Duration::from_millis(chance.below(60))).await;
            }
            pair.restart(process);
        }
        Ok(())
    }

    fn cluster(&self) -> &Cluster {
        Cluster::shared()
    }
}

/// D1: two processes over one database, one or the other killed at any moment: clients go on with the other, and every 201 of either is read back at
/// both exactly once, at its place and in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_kill_9_one_of_two_processes_keeps_every_201_exactly_once() {
    let kills = rounds(4);
    let backend = Postgres::new(Cluster::shared(), None);
    let tally = passes(backend, &mut ProcessKilled(Chance::new(1)), kills).await;
    assert_eq!(tally.unavailable, 0, "{tally:?}");
    // Most kills cut somebody off in the midst of a request.
    assert!(tally.repeated >= usize::try_from(kills / 2).unwrap(), "{tally:?}");
}
