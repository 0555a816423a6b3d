//! The load: tasks that write until the relay is gone, and after the next start repeat, byte for byte, what no answer came to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use waxwing_wire::EnvelopeId;
use waxwing_wire::api::base64url;
use waxwing_wire::frame::{Append, InboxSend, LogPage};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::problem::{Problem, ProblemCode};

use crate::fault::{Broken, End};
use crate::kit::{Http, Log, app, handshake, random};
use crate::way::Way;
use crate::world::{INBOXES, LOGS, World, good, place_of, unexpected};

/// Every so many turns of a log's own writer is a handshake there, every other of these with new tokens. A multiple of the number of places.
const HANDSHAKE_EVERY: usize = 2 * (LOGS + INBOXES);

/// One task, from round to round.
pub struct Writer {
    number: usize,
    turn: usize,
    pending: Option<Pending>,
}

/// A request that has no answer yet.
struct Pending {
    place: usize,
    id: EnvelopeId,
    what: What,
}

enum What {
    /// With the tokens that it was made under.
    Append(Box<(Append, Log)>),
    Send(InboxSend),
}

impl Writer {
    /// The first [`LOGS`] writers each send the handshakes of one log.
    pub fn new(number: usize) -> Self {
        Self { number, turn: number, pending: None }
    }

    /// Writes until the relay is gone, or until told to stop and nothing is without an answer.
    pub async fn run(&mut self, way: &Way, world: &World, stop: &AtomicBool) -> Result<(), Broken> {
        if let Some(pending) = &self.pending {
            world.ledger.open().resending(pending.id);
        }
        while !self.is_settled() || !stop.load(Ordering::Relaxed) {
            match way.while_it_lives(self.step(&way.http, world)).await {
                Ok(()) => {}
                Err(End::Gone) => return Ok(()),
                Err(End::Away) => {
                    world.ledger.open().tally.unavailable += 1;
                    return Ok(());
                }
                Err(End::Broken(broken)) => return Err(broken),
            }
        }
        Ok(())
    }

    /// Whether nothing is without an answer.
    pub fn is_settled(&self) -> bool {
        self.pending.is_none()
    }

    /// What it asks for, in words.
    pub fn asks(&self) -> String {
        let asked = |pending: &Pending| match &pending.what {
            What::Append(of) => format!("writer {}: {:?} to log {}", self.number, of.0.kind, pending.place),
            What::Send(_) => format!("writer {}: to inbox {}", self.number, pending.place - LOGS),
        };
        self.pending.as_ref().map_or_else(|| format!("writer {}: something new", self.number), asked)
    }

    /// Sends what is without an answer, or else the next.
    pub async fn step(&mut self, http: &Http, world: &World) -> Result<(), End> {
        let pending = match self.pending.take() {
            Some(pending) => self.pending.insert(pending),
            None => {
                let next = self.next(world);
                self.pending.insert(next)
            }
        };
        match &pending.what {
            What::Append(append) => appended(http, world, pending, append).await?,
            What::Send(send) => sent(http, world, pending, send).await?,
        }
        self.pending = None;
        Ok(())
    }

    fn next(&mut self, world: &World) -> Pending {
        self.turn += 1;
        let place = self.turn % (LOGS + INBOXES);
        let blob = random::<1024>();
        let (id, what) = if place < LOGS {
            let mut shared = world.log(place);
            let nth = self.turn / HANDSHAKE_EVERY;
            let append = if place == self.number && self.turn % HANDSHAKE_EVERY == self.number {
                let next = nth.is_multiple_of(2).then(|| shared.log.rekeyed());
                shared.next.clone_from(&next);
                let tokens = next.as_ref().map(Log::tokens);
                let append = Append { blob: blob.to_vec(), ..handshake(shared.after, tokens) };
                if let Some(next) = next {
                    world.rekeying(append.entry_id, next);
                }
                append
            } else {
                app(shared.after, &blob)
            };
            (append.entry_id, What::Append(Box::new((append, shared.log.clone()))))
        } else {
            let entry_id = EnvelopeId::from_bytes(random());
            (entry_id, What::Send(InboxSend { entry_id, kind: EnvelopeKind::Welcome, blob: blob.to_vec() }))
        };
        world.ledger.open().sending(place, id, &blob);
        Pending { place, id, what }
    }
}

async fn appended(http: &Http, world: &World, pending: &Pending, of: &(Append, Log)) -> Result<(), End> {
    let (append, log) = of;
    let request = http.request(Method::POST, &format!("/v1/logs/{}/entries", log.id));
    let answer = request.bearer_auth(base64url::encode(&log.write)).body(append.encode()).send().await?;
    match answer.status() {
        StatusCode::CREATED => {
            let seq = told(world, pending.id, answer).await?;
            if append.kind == EnvelopeKind::Handshake {
                let mut shared = world.log(pending.place);
                shared.after = shared.after.max(seq);
                if append.rekey.is_some()
                    && let Some(next) = shared.next.take()
                {
                    shared.log = next;
                }
            }
            Ok(())
        }
        StatusCode::CONFLICT => {
            world.ledger.open().refused(pending.id)?;
            let problem: Problem = answer.json().await?;
            match (problem.code, problem.head) {
                (ProblemCode::Conflict, Some(head)) => {
                    let after = last_handshake(http, log, head).await?;
                    let mut shared = world.log(pending.place);
                    shared.after = shared.after.max(after);
                    Ok(())
                }
                // Whoever sent the handshake says the new tokens once it has its answer.
                (ProblemCode::Rekeyed, Some(_)) => {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    Ok(())
                }
                other => Err(Broken(format!("409 with {other:?}")).into()),
            }
        }
        _ => Err(unexpected("an append", answer).await),
    }
}

/// What a client does after `conflict`: it reads to the head.
async fn last_handshake(http: &Http, log: &Log, head: u64) -> Result<u64, End> {
    let request = http.request(Method::GET, &format!("/v1/logs/{}/entries?after={head}", log.id));
    let answer = request.bearer_auth(base64url::encode(&log.read)).send().await?;
    let answer = good("reading a log that is there", answer).await?;
    let page = LogPage::decode(&answer.bytes().await?).map_err(|_| Broken("a page that cannot be read".to_owned()))?;
    Ok(page.last_handshake)
}

async fn sent(http: &Http, world: &World, pending: &Pending, send: &InboxSend) -> Result<(), End> {
    let inbox = &world.inboxes[pending.place - LOGS];
    let request = http.request(Method::POST, &format!("/v1/inboxes/{}", inbox.owner.device));
    let request = request.header("waxwing-access-key", base64url::encode(&inbox.key));
    let answer = request.body(send.encode()).send().await?;
    match answer.status() {
        StatusCode::CREATED => told(world, pending.id, answer).await.map(drop),
        _ => Err(unexpected("an inbox send", answer).await),
    }
}

/// A 201 counts from its first line on, also where the rest is lost.
async fn told(world: &World, id: EnvelopeId, answer: Response) -> Result<u64, End> {
    world.ledger.open().answered(id);
    let seq = place_of(answer).await?;
    world.ledger.open().told(id, seq)?;
    Ok(seq)
}

/// Runs `writers` and the registrations until `stop`, and gives them back.
pub async fn all(
    way: &Way,
    world: &Arc<World>,
    writers: Vec<Writer>,
    mut registrar: crate::accounts::Registrar,
    stop: &Arc<AtomicBool>,
) -> Result<(Vec<Writer>, crate::accounts::Registrar), Broken> {
    let tasks: Vec<_> = writers
        .into_iter()
        .map(|mut writer| {
            let (way, world, stop) = (way.clone(), Arc::clone(world), Arc::clone(stop));
            tokio::spawn(async move { writer.run(&way, &world, &stop).await.map(|()| writer) })
        })
        .collect();
    let registered = registrar.run(way, world, stop).await;
    let mut back = Vec::new();
    for task in tasks {
        back.push(task.await.unwrap()?);
    }
    registered.map(|()| (back, registrar))
}
