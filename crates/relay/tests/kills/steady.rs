//! Two processes of one relay, load that goes on while something fails, and clients that go to either; what had no answer is asked again at once,
//! byte for byte. Unlike [`crate::campaign`], where everything stands still once the relay is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::accounts::Registrar;
use crate::backend::Postgres;
use crate::check;
use crate::fault::{Broken, End};
use crate::follow::Follower;
use crate::ledger::Tally;
use crate::load::Writer;
use crate::pair::{PROCESSES, Pair, Ways};
use crate::world::{INBOXES, World};

const WRITERS: usize = 8;
/// Before a request is repeated.
const PAUSE: Duration = Duration::from_millis(5);
/// For every request to be answered once nothing is away any more.
const PATIENCE: Duration = Duration::from_secs(60);

/// What fails.
pub trait Trouble {
    /// In the midst of a round's load. Whatever must be there for requests to be answered is there again when this returns.
    async fn strike(&mut self, pair: &mut Pair, round: u64) -> Result<(), Broken>;
    /// After the round: nothing is written, and everything was read.
    async fn mend(&mut self) {}
}

/// Loads two processes on `backend`, has `trouble` strike so many times, and looks at everything in between and at the end.
pub async fn run(backend: Postgres, trouble: &mut impl Trouble, rounds: u64) -> Result<Tally, Broken> {
    let mut pair = Pair::start(backend);
    let world = Arc::new(World::new());
    world.found(&pair.ways.to(0).unwrap()).await;
    let mut followers: Vec<_> = (0..PROCESSES).map(|process| Follower::of_logs(&world, &pair.ways, process)).collect();
    followers.extend((0..INBOXES).map(|n| Follower::of_inbox(&world, &pair.ways, n % PROCESSES, n)));
    let (mut writers, mut registrar) = ((0..WRITERS).map(Writer::new).collect(), Registrar::default());
    for round in 0..rounds {
        let load = Load::start(&pair.ways, &world, writers, registrar);
        tokio::time::sleep(Duration::from_millis(50 + round * 37 % 150)).await;
        trouble.strike(&mut pair, round).await?;
        tokio::time::sleep(Duration::from_millis(50 + round * 53 % 100)).await;
        (writers, registrar) = load.stop().await?;
        let http = pair.ways.to(round as usize % PROCESSES).unwrap();
        check::news(&http, &world, false).await?;
        for follower in &mut followers {
            follower.catches_up(&world).await?;
        }
        // Not before the followers of inboxes have read it: what is acknowledged is gone.
        if round % 3 == 0 {
            check::news(&http, &world, true).await?;
        }
        trouble.mend().await;
    }
    for process in 0..PROCESSES {
        check::everything(&pair.ways.to(process).unwrap(), &world).await?;
    }
    let tally = world.ledger.open().tally;
    Ok(tally)
}

/// The writers and the registrations, at work.
struct Load {
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<Result<Writer, Broken>>>,
    registrar: JoinHandle<Result<Registrar, Broken>>,
}

impl Load {
    fn start(ways: &Arc<Ways>, world: &Arc<World>, writers: Vec<Writer>, registrar: Registrar) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let writers = writers
            .into_iter()
            .map(|writer| tokio::spawn(write(writer, Arc::clone(ways), Arc::clone(world), Arc::clone(&stop))));
        let writers = writers.collect();
        let registrar = tokio::spawn(register(registrar, Arc::clone(ways), Arc::clone(world), Arc::clone(&stop)));
        Self { stop, writers, registrar }
    }

    /// Nothing new; what has no answer gets one.
    async fn stop(self) -> Result<(Vec<Writer>, Registrar), Broken> {
        self.stop.store(true, Ordering::Relaxed);
        let ended = tokio::time::timeout(PATIENCE, async {
            let mut writers = Vec::new();
            for writer in self.writers {
                writers.push(writer.await.unwrap()?);
            }
            Ok((writers, self.registrar.await.unwrap()?))
        });
        ended.await.unwrap_or_else(|_| Err(Broken("there are requests that nobody answers".to_owned())))
    }
}

async fn write(
    mut writer: Writer,
    ways: Arc<Ways>,
    world: Arc<World>,
    stop: Arc<AtomicBool>,
) -> Result<Writer, Broken> {
    while !writer.is_settled() || !stop.load(Ordering::Relaxed) {
        let Some(http) = ways.any() else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        if let Err(end) = writer.step(&http, &world).await {
            lost(end, &world).await?;
        }
    }
    Ok(writer)
}

async fn register(
    mut registrar: Registrar,
    ways: Arc<Ways>,
    world: Arc<World>,
    stop: Arc<AtomicBool>,
) -> Result<Registrar, Broken> {
    while !registrar.is_settled() || !stop.load(Ordering::Relaxed) {
        let Some(http) = ways.any() else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        if let Err(end) = registrar.step(&http, &world, &stop).await {
            lost(end, &world).await?;
        }
    }
    Ok(registrar)
}

/// No answer, or one from which nothing follows: it is asked again.
async fn lost(end: End, world: &World) -> Result<(), Broken> {
    match end {
        End::Broken(broken) => return Err(broken),
        End::Gone => world.ledger.open().tally.repeated += 1,
        End::Away => world.ledger.open().tally.unavailable += 1,
    }
    tokio::time::sleep(PAUSE).await;
    Ok(())
}
