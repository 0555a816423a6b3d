//! A relay whose disk is full, somebody who writes there, and what they were told.

use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::{Method, Response, StatusCode};
use waxwing_wire::api::base64url;
use waxwing_wire::frame::{Append, InboxSend};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::{EnvelopeId, api::Stored};

use crate::kit::{Account, Http, Log, app, code, problem, random};
use crate::program::{AUDIENCE, Program, url};
use crate::world::{Pass, World};

/// For the relay to notice that there is space again: it looks with each write.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// More entries of 1 KiB than ever fit.
const MANY: usize = 40_000;

/// A relay with its two listeners.
pub type Started = (Program, Http, Http);

/// Starts it; its operator's listener must be among what it is told.
pub fn start(relay: &mut Command) -> Result<Started, String> {
    let (relay, lines) = Program::start(relay, 2)?;
    Ok((relay, Http::new(url(&lines[0])), Http::new(url(&lines[1]))))
}

pub fn entry() -> Append {
    app(0, &random::<1024>())
}

/// A relay on a disk, somebody who writes there, and what they were told.
pub struct Scene {
    pub relay: Program,
    pub http: Http,
    pub operator: Http,
    pub alice: Account,
    pub key: [u8; 16],
    /// Alice's, from before there was no space: what was shown is kept, so with a full disk nobody gets one.
    pub pass: Pass,
    pub log: Log,
    pub told: Vec<(EnvelopeId, u64)>,
    /// What is answered where there is no space.
    pub refusal: (StatusCode, ProblemCode),
}

impl Scene {
    pub async fn set((relay, http, operator): Started, refusal: (StatusCode, ProblemCode)) -> Self {
        let World { inboxes: [inbox, _], .. } = {
            let world = World::new();
            world.found(&http).await;
            world
        };
        let log = Log::new();
        let pass = Pass::of(&http, &inbox.owner).await.unwrap();
        let create = pass.request(&http, &inbox.owner, Method::POST, "/v1/logs").body(log.create().encode());
        assert_eq!(create.send().await.unwrap().status(), StatusCode::CREATED);
        Self { relay, http, operator, alice: inbox.owner, key: inbox.key, pass, log, told: Vec::new(), refusal }
    }

    /// One entry of 1 KiB; false if there was no space for it. Nothing else is an answer.
    pub async fn append(&mut self, append: &Append) -> bool {
        let answer = self.http.append(self.log.id, &self.log.write, append).await;
        if answer.status() == StatusCode::CREATED {
            self.told.push((append.entry_id, answer.json::<Stored>().await.unwrap().seq));
            return true;
        }
        assert_eq!((answer.status(), code(answer).await), self.refusal);
        false
    }

    /// Appends until the disk is full; gives the first entry that was refused.
    pub async fn append_until_full(&mut self) -> Append {
        for _ in 0..MANY {
            let append = entry();
            if !self.append(&append).await {
                return append;
            }
        }
        panic!("{MANY} entries found space");
    }

    /// Everything that was told is there once, at its place; and nothing else.
    pub async fn check(&self) {
        let (mut after, mut found) = (0, Vec::new());
        loop {
            let page = self.http.page(&self.log, after).await;
            if page.entries.is_empty() {
                assert_eq!(page.head, after);
                break;
            }
            found.extend(page.entries.iter().map(|entry| (entry.entry_id, entry.seq)));
            after = found.last().unwrap().1;
        }
        assert!(found == self.told, "{} entries were told, and {} are there", self.told.len(), found.len());
    }

    /// Every other kind of write comes to its refusal, too: a small one may at first fit where the last large one did not.
    pub async fn other_writes_until_full(&self) {
        for kind in ["an inbox send", "a new log", "a registration"] {
            let mut refused = None;
            for n in 0..200 {
                let answer = match kind {
                    "an inbox send" => self.send().await,
                    "a new log" => {
                        let request = self.pass.request(&self.http, &self.alice, Method::POST, "/v1/logs");
                        request.body(Log::new().create().encode()).send().await.unwrap()
                    }
                    _ => self.http.register(&Account::new(&format!("carol-{}-{n}", self.told.len()), AUDIENCE)).await,
                };
                if answer.status() != StatusCode::CREATED {
                    refused = Some(problem(answer).await);
                    break;
                }
            }
            let refused = refused.unwrap_or_else(|| panic!("{kind} always found space"));
            assert_eq!((refused.status, refused.code), (self.refusal.0.as_u16(), self.refusal.1), "{kind}");
        }
    }

    async fn send(&self) -> Response {
        let entry_id = EnvelopeId::from_bytes(random());
        let send = InboxSend { entry_id, kind: EnvelopeKind::Welcome, blob: vec![7; 1024] };
        let request = self.http.request(Method::POST, &format!("/v1/inboxes/{}", self.alice.device));
        let request = request.header("waxwing-access-key", base64url::encode(&self.key));
        request.body(send.encode()).send().await.unwrap()
    }

    pub async fn ready(&self) -> StatusCode {
        self.operator.get("/readyz").await.status()
    }

    pub async fn ready_in_time(&self, expected: StatusCode) {
        let until = Instant::now() + PATIENCE;
        while self.ready().await != expected {
            assert!(Instant::now() < until, "/readyz does not get to {expected}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
