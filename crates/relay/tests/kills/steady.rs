//! Two processes of one relay, load that goes on while something fails, and clients that go to either; what had no answer is asked again at once,
//! byte for byte. Unlike [`crate::campaign`], where everything stands still once the relay is gone.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::{try_join, try_join_all};
use tokio::task::JoinHandle;

use crate::accounts::Registrar;
use crate::backend::Postgres;
use crate::check;
use crate::cluster::Cluster;
use crate::fault::{Broken, End};
use crate::follow::Follower;
use crate::ledger::Tally;
use crate::load::Writer;
use crate::pair::{PROCESSES, Pair, Ways};
use crate::way::Way;
use crate::world::{INBOXES, World};

const WRITERS: usize = 8;
/// Before a request is repeated.
const PAUSE: Duration = Duration::from_millis(5);
/// For every request to be answered once nothing is away any more. A relay that takes longer than a minute says so (`timeout`).
const PATIENCE: Duration = Duration::from_secs(90);

/// What fails.
pub trait Trouble {
    /// In the midst of a round's load. Whatever must be there for requests to be answered is there again when this returns.
    async fn strike(&mut self, pair: &mut Pair, round: u64) -> Result<(), Broken>;
    /// After the round: nothing is written, and everything was read.
    async fn mend(&mut self) {}
    /// What both processes keep their data in.
    fn cluster(&self) -> &Cluster;
}

/// Loads two processes on `backend`, has `trouble` strike so many times, and looks at everything in between and at the end.
pub async fn run(backend: Postgres, trouble: &mut impl Trouble, rounds: u64) -> Result<Tally, Broken> {
    let mut pair = Pair::start(backend);
    let world = Arc::new(World::new());
    world.found(&pair.ways.to(0).unwrap().http).await;
    let mut followers: Vec<_> = (0..PROCESSES).map(|process| Follower::of_logs(&world, &pair.ways, process)).collect();
    followers.extend((0..INBOXES).map(|n| Follower::of_inbox(&world, &pair.ways, n % PROCESSES, n)));
    let (mut writers, mut registrar) = ((0..WRITERS).map(Writer::new).collect(), Registrar::default());
    for round in 0..rounds {
        let load = Load::start(&pair.ways, &world, writers, registrar);
        tokio::time::sleep(Duration::from_millis(50 + round * 37 % 150)).await;
        trouble.strike(&mut pair, round).await?;
        tokio::time::sleep(Duration::from_millis(50 + round * 53 % 100)).await;
        (writers, registrar) = match load.stop().await {
            Ok(back) => back,
            Err(Broken(why)) => return Err(Broken(format!("{why}\n{}", scene(&pair, trouble.cluster())))),
        };
        let http = pair.ways.to(round as usize % PROCESSES).unwrap().http;
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
        check::everything(&pair.ways.to(process).unwrap().http, &world).await?;
    }
    let tally = world.ledger.open().tally;
    Ok(tally)
}

/// What there is to be seen of a failure.
fn scene(pair: &Pair, cluster: &Cluster) -> String {
    let sql =
        "SELECT pid, state, wait_event_type, wait_event, now() - xact_start, pg_blocking_pids(pid), left(query, 80)
               FROM pg_stat_activity WHERE datname = 'kills' ORDER BY xact_start";
    format!("PostgreSQL:\n{}\n{}", cluster.sql("postgres", sql), pair.errors())
}

/// What a task of the load asks for, and what it was answered so far.
struct Asking {
    what: String,
    of: String,
    since: Instant,
    gone: usize,
    away: usize,
}

type Asked = Arc<Mutex<Option<Asking>>>;

/// The writers and the registrations, at work.
struct Load {
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<Result<Writer, Broken>>>,
    registrar: JoinHandle<Result<Registrar, Broken>>,
    /// Of each task.
    asked: Vec<Asked>,
}

impl Load {
    fn start(ways: &Arc<Ways>, world: &Arc<World>, writers: Vec<Writer>, registrar: Registrar) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let asked: Vec<Asked> = (0..=writers.len()).map(|_| Asked::default()).collect();
        let task = |n: usize| Task {
            ways: Arc::clone(ways),
            world: Arc::clone(world),
            stop: Arc::clone(&stop),
            asked: Arc::clone(&asked[n]),
        };
        let registrar = tokio::spawn(register(registrar, task(writers.len())));
        let writers = writers.into_iter().enumerate().map(|(n, writer)| tokio::spawn(write(writer, task(n)))).collect();
        Self { stop, writers, registrar, asked }
    }

    /// Nothing new; what has no answer gets one.
    async fn stop(self) -> Result<(Vec<Writer>, Registrar), Broken> {
        self.stop.store(true, Ordering::Relaxed);
        let writers = try_join_all(self.writers.into_iter().map(async |writer| writer.await.unwrap()));
        let registrar = async { self.registrar.await.unwrap() };
        let ended = tokio::time::timeout(PATIENCE, try_join(writers, registrar));
        ended.await.unwrap_or_else(|_| {
            let mut why = "there are requests that nobody answers:".to_owned();
            for asking in self.asked.iter().filter_map(|asked| asked.lock().unwrap().take()) {
                let Asking { what, of, since, gone, away } = asking;
                let since = since.elapsed();
                write!(why, "\n{what} at {of}, for {since:?}; before: {gone} times nothing, {away} times 503").unwrap();
            }
            Err(Broken(why))
        })
    }
}

/// What a task of the load needs.
struct Task {
    ways: Arc<Ways>,
    world: Arc<World>,
    stop: Arc<AtomicBool>,
    asked: Asked,
}

impl Task {
    fn goes_on(&self, settled: bool) -> bool {
        !settled || !self.stop.load(Ordering::Relaxed)
    }

    /// The way to either process, for what is asked for now.
    async fn way(&self, what: String) -> Way {
        loop {
            if let Some(way) = self.ways.any() {
                let mut asked = self.asked.lock().unwrap();
                let (gone, away) = asked.take().map_or((0, 0), |before| (before.gone, before.away));
                *asked = Some(Asking { what, of: way.http.base.clone(), since: Instant::now(), gone, away });
                return way;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// No answer, or one from which nothing follows: it is asked again.
    async fn ended(&self, step: Result<(), End>) -> Result<(), Broken> {
        let Err(end) = step else {
            self.asked.lock().unwrap().take();
            return Ok(());
        };
        {
            let mut asked = self.asked.lock().unwrap();
            let asking = asked.as_mut().unwrap();
            let mut book = self.world.ledger.open();
            match end {
                End::Broken(broken) => return Err(broken),
                End::Gone => (asking.gone, book.tally.repeated) = (asking.gone + 1, book.tally.repeated + 1),
                End::Away => (asking.away, book.tally.unavailable) = (asking.away + 1, book.tally.unavailable + 1),
            }
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }
}

async fn write(mut writer: Writer, task: Task) -> Result<Writer, Broken> {
    while task.goes_on(writer.is_settled()) {
        let way = task.way(writer.asks()).await;
        task.ended(way.while_it_lives(writer.step(&way.http, &task.world)).await).await?;
    }
    Ok(writer)
}

async fn register(mut registrar: Registrar, task: Task) -> Result<Registrar, Broken> {
    while task.goes_on(registrar.is_settled()) {
        let way = task.way(registrar.asks()).await;
        task.ended(way.while_it_lives(registrar.step(&way.http, &task.world, &task.stop)).await).await?;
    }
    Ok(registrar)
}
