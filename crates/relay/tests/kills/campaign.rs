//! A relay that ends badly, again and again, under load, and what is left of what it promised.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::accounts::Registrar;
use crate::backend::Backend;
use crate::check;
use crate::fault::Broken;
use crate::kit::Http;
use crate::ledger::Tally;
use crate::load::{self, Writer};
use crate::program::{Program, serve, url};
use crate::way::Way;
use crate::world::World;

const WRITERS: usize = 8;

/// What goes with each end of the relay.
pub trait Outage {
    /// Before each start.
    fn prepare(&self, command: &mut Command);
    /// After the process is gone.
    fn after(&self, round: u64);
}

/// SIGKILL alone.
pub struct Kill;

impl Outage for Kill {
    fn prepare(&self, _: &mut Command) {}
    fn after(&self, _: u64) {}
}

/// Starts `program` on `backend`, loads it, and kills it, so many times; looks at everything in between and at the end.
pub async fn run(program: &Path, backend: &impl Backend, outage: &impl Outage, rounds: u64) -> Result<Tally, Broken> {
    let world = Arc::new(World::new());
    let mut writers: Vec<Writer> = (0..WRITERS).map(Writer::new).collect();
    let mut registrar = Registrar::default();
    for round in 0..=rounds {
        let command = || {
            let mut command = serve(program, backend);
            outage.prepare(&mut command);
            command
        };
        // Now and then it does not even get to be ready.
        if round % 5 == 4 {
            let program = Program::spawn(&mut command());
            tokio::time::sleep(Duration::from_millis(round * 13 % 60)).await;
            program.kill();
            outage.after(round);
        }
        let (running, lines) = Program::start(&mut command(), 1)
            .map_err(|errors| Broken(format!("it does not start any more: {errors}")))?;
        let http = Http::new(url(&lines[0]));
        if round == 0 {
            world.found(&http).await;
        } else {
            check::news(&http, &world, round % 3 == 0).await?;
        }
        let stop = Arc::new(AtomicBool::new(round == rounds));
        let way = Way::new(http.clone());
        let (way_of_load, world_of_load, stop_of_load) = (way.clone(), Arc::clone(&world), Arc::clone(&stop));
        let load =
            tokio::spawn(
                async move { load::all(&way_of_load, &world_of_load, writers, registrar, &stop_of_load).await },
            );
        if round == rounds {
            // What had no answer gets one now.
            load.await.unwrap()?;
            check::everything(&http, &world).await?;
            break;
        }
        tokio::time::sleep(when(round)).await;
        running.kill();
        way.ends();
        stop.store(true, Ordering::Relaxed);
        (writers, registrar) = load.await.unwrap()?;
        outage.after(round);
    }
    let tally = world.ledger.open().tally;
    Ok(tally)
}

/// How long into a round: at any place of a commit, and every fourth time around when the checkpointer has its turn, which is twice a second.
fn when(round: u64) -> Duration {
    Duration::from_millis(if round % 4 == 3 { 490 + round * 7 % 60 } else { 90 + round * 37 % 150 })
}
