//! Followers: connections that are told of what is stored, from the beginning of a campaign to its end. They read when they are told, or when they
//! have just connected, and never by themselves: what nobody tells them of they miss.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Method;
use reqwest_websocket::{Message, Upgrade as _, WebSocket};
use tokio::task::JoinHandle;
use waxwing_wire::LogId;
use waxwing_wire::api::{EntryBytes, Subscribe, SubscribeLog};
use waxwing_wire::frame::{LogEntry, Push};

use crate::check::{after, inbox_page, page};
use crate::fault::{Broken, End, promised};
use crate::kit::{Http, Log};
use crate::pair::Ways;
use crate::place::Place;
use crate::world::{INBOXES, LOGS, Pass, World};

/// To be told of everything, once nothing more comes. Without a bus a relay looks every half second, and the computer may be busy.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(10);

/// Somebody who follows.
pub struct Follower {
    follows: Range<usize>,
    read: Arc<Mutex<Vec<Place>>>,
    task: JoinHandle<Broken>,
}

impl Follower {
    /// Follows all logs at one process, without a name.
    pub fn of_logs(world: &Arc<World>, ways: &Arc<Ways>, process: usize) -> Self {
        Self::start(world, ways, process, 0..LOGS)
    }

    /// Follows an inbox at one process, as its owner.
    pub fn of_inbox(world: &Arc<World>, ways: &Arc<Ways>, process: usize, inbox: usize) -> Self {
        Self::start(world, ways, process, LOGS + inbox..LOGS + inbox + 1)
    }

    fn start(world: &Arc<World>, ways: &Arc<Ways>, process: usize, follows: Range<usize>) -> Self {
        let read: Arc<Mutex<Vec<Place>>> =
            Arc::new(Mutex::new((0..LOGS + INBOXES).map(|_| Place::default()).collect()));
        let logs = (0..LOGS).map(|n| world.log(n).log.clone()).collect();
        let mut reader = Reader { world: Arc::clone(world), follows: follows.clone(), read: Arc::clone(&read), logs };
        let ways = Arc::clone(ways);
        let task = tokio::spawn(async move {
            loop {
                if let Some(way) = ways.to(process)
                    && let Err(End::Broken(broken)) = way.while_it_lives(reader.follow(&way.http)).await
                {
                    return broken;
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self { follows, read, task }
    }

    /// Waits until it has read what [`crate::check`] has, which is all there is; and it is the same.
    pub async fn catches_up(&mut self, world: &World) -> Result<(), Broken> {
        let until = Instant::now() + PATIENCE;
        for place in self.follows.clone() {
            loop {
                if self.task.is_finished() {
                    return Err((&mut self.task).await.unwrap());
                }
                let (head, known) = (self.read.lock().unwrap()[place].head, world.ledger.open().places[place].head);
                if head == known {
                    break;
                }
                promised!(head < known, "a follower was told of {head}, and {known} is the last");
                promised!(Instant::now() < until, "a follower is told of nothing after {head}, and {known} is there");
                tokio::time::sleep(PAUSE).await;
            }
            let same = self.read.lock().unwrap()[place].same(&world.ledger.open().places[place]);
            promised!(same, "a follower has read something else");
        }
        Ok(())
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Reader {
    world: Arc<World>,
    follows: Range<usize>,
    read: Arc<Mutex<Vec<Place>>>,
    /// As this reader knows their tokens.
    logs: Vec<Log>,
}

impl Reader {
    /// One connection, for as long as it lasts.
    async fn follow(&mut self, http: &Http) -> Result<(), End> {
        let pass = match self.inbox() {
            Some(n) => Some(Pass::of(http, &self.world.inboxes[n].owner).await?),
            None => None,
        };
        let mut socket = self.connect(http, pass.as_ref()).await?;
        self.ask(&mut socket, self.follows.clone()).await?;
        loop {
            let Some(Ok(message)) = socket.next().await else { return Err(End::Gone) };
            let frame = match message {
                Message::Binary(frame) => frame,
                Message::Ping(_) | Message::Pong(_) => continue,
                Message::Close { .. } | Message::Text(_) => return Err(End::Gone),
            };
            match Push::decode(&frame).map_err(|_| Broken("a frame that cannot be read".to_owned()))? {
                // Subscribe, then drain.
                Push::Ready => {
                    for n in self.follows.clone().filter(|n| *n < LOGS) {
                        if self.drain(http, n).await? {
                            self.ask(&mut socket, n..n + 1).await?;
                        }
                    }
                    self.drain_inbox(http, pass.as_ref()).await?;
                }
                Push::Log { log, head, entry } => {
                    let n = self.number(log)?;
                    if self.told(http, n, head, entry).await? {
                        self.ask(&mut socket, n..n + 1).await?;
                    }
                }
                // Its tokens were replaced, by a handshake that is there to be read.
                Push::Refused { log } => {
                    let n = self.number(log)?;
                    self.drain(http, n).await?;
                    tokio::time::sleep(PAUSE).await;
                    self.ask(&mut socket, n..n + 1).await?;
                }
                Push::Inbox { .. } => self.drain_inbox(http, pass.as_ref()).await?,
                Push::Checkpoint { .. } => {}
            }
        }
    }

    async fn connect(&self, http: &Http, pass: Option<&Pass>) -> Result<WebSocket, End> {
        let path = "/v1/subscribe";
        let request = match (pass, self.inbox()) {
            (Some(pass), Some(n)) => pass.request(http, &self.world.inboxes[n].owner, Method::GET, path),
            _ => http.request(Method::GET, path),
        };
        // Refused where the database is away: the next attempt says.
        let upgraded = request.upgrade().send().await.map_err(|_| End::Gone)?;
        upgraded.into_websocket().await.map_err(|_| End::Gone)
    }

    async fn ask(&self, socket: &mut WebSocket, places: Range<usize>) -> Result<(), End> {
        let of = |log: &Log| SubscribeLog { log: log.id, read_token: EntryBytes(log.read.to_vec()) };
        let logs = places.clone().filter_map(|n| self.logs.get(n)).map(of).collect();
        let asked = Subscribe { logs, inbox: places.end > LOGS, transparency: false };
        let text = serde_json::to_string(&asked).unwrap();
        socket.send(Message::Text(text)).await.map_err(|_| End::Gone)
    }

    /// Takes an entry if it is the next, and else reads up to it. True if the log's tokens were replaced.
    async fn told(&mut self, http: &Http, n: usize, head: u64, entry: Option<LogEntry>) -> Result<bool, End> {
        let known = self.place(n, |place| place.head);
        match entry {
            Some(entry) if entry.seq == known + 1 => Ok(self.take(n, &entry)?),
            Some(entry) if entry.seq <= known => {
                let before = self.place(n, |place| place.seq(entry.entry_id));
                promised!(before == Some(entry.seq), "told of another entry at {} than before", entry.seq);
                Ok(false)
            }
            _ if head > known => self.drain(http, n).await,
            _ => Ok(false),
        }
    }

    /// Reads a log to its end. True if its tokens were replaced meanwhile.
    async fn drain(&mut self, http: &Http, n: usize) -> Result<bool, End> {
        let mut replaced = false;
        loop {
            let (head, running) = self.place(n, |place| (place.head, place.running));
            let page = page(http, &self.logs[n], head).await?;
            promised!(page.head >= head, "a follower's log went back from {head} to {}", page.head);
            promised!(page.running == running, "another running hash at {head} than a follower was told");
            if page.entries.is_empty() {
                return Ok(replaced);
            }
            for entry in &page.entries {
                replaced |= self.take(n, entry)?;
            }
        }
    }

    fn take(&mut self, n: usize, entry: &LogEntry) -> Result<bool, Broken> {
        self.place(n, |place| {
            place.running = after(&place.running, place.head, entry)?;
            place.take(entry.seq, entry.entry_id)
        })?;
        self.world.ledger.open().matches(n, entry.seq, entry.entry_id, &entry.blob)?;
        match self.world.rekeyed(entry.entry_id) {
            Some(next) => {
                self.logs[n] = next;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    async fn drain_inbox(&mut self, http: &Http, pass: Option<&Pass>) -> Result<(), End> {
        let (Some(n), Some(pass)) = (self.inbox(), pass) else { return Ok(()) };
        let place = LOGS + n;
        loop {
            let head = self.place(place, |place| place.head);
            let page = inbox_page(http, &self.world.inboxes[n].owner, pass, head).await?;
            if page.entries.is_empty() {
                return Ok(());
            }
            for entry in &page.entries {
                self.place(place, |place| place.take(entry.seq, entry.entry_id))?;
                self.world.ledger.open().matches(place, entry.seq, entry.entry_id, &entry.blob)?;
            }
        }
    }

    fn inbox(&self) -> Option<usize> {
        self.follows.start.checked_sub(LOGS)
    }

    fn number(&self, log: LogId) -> Result<usize, Broken> {
        let found = self.logs.iter().position(|known| known.id == log);
        found.ok_or_else(|| Broken("told of a log that nobody follows".to_owned()))
    }

    fn place<T>(&self, n: usize, of: impl FnOnce(&mut Place) -> T) -> T {
        let mut read: MutexGuard<'_, Vec<Place>> = self.read.lock().unwrap();
        of(&mut read[n])
    }
}
