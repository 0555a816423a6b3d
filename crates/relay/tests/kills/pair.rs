//! Two processes of one relay over one PostgreSQL, and the ways to them: a client may go to either.

use std::sync::{Arc, Mutex};

use crate::backend::Postgres;
use crate::chance::Chance;
use crate::kit::{Http, random};
use crate::program::{Program, built, serve, url};
use crate::way::Way;

pub const PROCESSES: usize = 2;

/// The two processes.
pub struct Pair {
    places: [Postgres; PROCESSES],
    running: [Option<Program>; PROCESSES],
    pub ways: Arc<Ways>,
}

/// Where each process listens, while it runs: after each start that is another port.
#[derive(Default)]
pub struct Ways([Mutex<Option<Way>>; PROCESSES]);

impl Ways {
    /// The way to one of them.
    pub fn to(&self, process: usize) -> Option<Way> {
        self.0[process].lock().unwrap().clone()
    }

    /// The way to either.
    pub fn any(&self) -> Option<Way> {
        let first = Chance::new(u64::from_ne_bytes(random())).below(PROCESSES as u64) as usize;
        self.to(first).or_else(|| self.to(PROCESSES - 1 - first))
    }

    fn set(&self, process: usize, way: Option<Way>) {
        if let Some(before) = std::mem::replace(&mut *self.0[process].lock().unwrap(), way) {
            before.ends();
        }
    }
}

impl Pair {
    /// Starts both.
    pub fn start(backend: Postgres) -> Self {
        let places = [backend.beside(), backend];
        let mut pair = Self { places, running: [None, None], ways: Arc::default() };
        (0..PROCESSES).for_each(|process| pair.restart(process));
        pair
    }

    /// SIGKILL. Whoever was being answered finds out; nobody else goes there until it is back.
    pub fn kill(&mut self, process: usize) {
        let running = self.running[process].take();
        running.expect("it runs").kill();
        self.ways.set(process, None);
    }

    /// Starts one that was killed, and waits until it is ready. Others of this thread's tasks go on elsewhere.
    pub fn restart(&mut self, process: usize) {
        let mut command = serve(&built(), &self.places[process]);
        let started = tokio::task::block_in_place(|| Program::start(&mut command, 1));
        let (program, lines) = started.unwrap_or_else(|errors| panic!("it does not start any more: {errors}"));
        self.running[process] = Some(program);
        self.ways.set(process, Some(Way::new(Http::new(url(&lines[0])))));
    }

    /// What they wrote to standard error since they were started.
    pub fn errors(&self) -> String {
        let of = |(n, running): (usize, &Option<Program>)| {
            let said = running.as_ref().map_or_else(|| "it does not run".to_owned(), Program::errors);
            let at = self.ways.to(n).map_or_else(|| "nowhere".to_owned(), |way| way.http.base);
            format!("process {n}, at {at}:\n{said}\n")
        };
        self.running.iter().enumerate().map(of).collect()
    }

    /// Starts one that was killed, and kills it again after `wait`: now and then it does not get to be ready.
    pub async fn try_to_start(&mut self, process: usize, wait: std::time::Duration) {
        let program = Program::spawn(&mut serve(&built(), &self.places[process]));
        tokio::time::sleep(wait).await;
        program.kill();
    }
}
