//! Accounts that are made and change their keys under load: the writes that grow the transparency log.

use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::{Method, StatusCode};
use waxwing_wire::api::{ChainPage, EntryBytes, SubmitEntry};

use crate::fault::{Broken, End, promised};
use crate::kit::{Account, Http, Keys};
use crate::program::AUDIENCE;
use crate::world::{Pass, World, unexpected};

/// First entry and rotations of one account.
const ENTRIES: usize = 4;

/// One task, from round to round.
#[derive(Default)]
pub struct Registrar {
    number: usize,
    current: Option<Current>,
}

struct Current {
    name: String,
    account: Account,
    registered: bool,
    /// A rotation that has no answer yet.
    rotation: Option<(Vec<u8>, Keys)>,
}

impl Registrar {
    /// Makes accounts until the relay is gone or told to stop.
    pub async fn run(&mut self, http: &Http, world: &World, stop: &AtomicBool) -> Result<(), Broken> {
        match self.work(http, world, stop).await {
            Ok(()) | Err(End::Gone) => Ok(()),
            Err(End::Broken(broken)) => Err(broken),
        }
    }

    async fn work(&mut self, http: &Http, world: &World, stop: &AtomicBool) -> Result<(), End> {
        loop {
            if let Some(current) = &mut self.current {
                current.finish(http, world, stop).await?;
                if current.account.chain.len() == ENTRIES {
                    self.current = None;
                }
            }
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            if self.current.is_none() {
                self.number += 1;
                let name = format!("name-{}", self.number);
                let account = Account::new(&name, AUDIENCE);
                self.current = Some(Current { name, account, registered: false, rotation: None });
            }
        }
    }
}

impl Current {
    /// Registers the account, and rotates its keys until its chain is as long as it gets, or until told to stop.
    async fn finish(&mut self, http: &Http, world: &World, stop: &AtomicBool) -> Result<(), End> {
        if !self.registered {
            self.submit(http.request(Method::POST, "/v1/accounts"), world, self.account.chain[0].clone()).await?;
            self.registered = true;
        }
        while self.account.chain.len() < ENTRIES {
            let entry = match &self.rotation {
                // Without an answer: whether it is in force says which keys get a token.
                Some((entry, _)) => {
                    let entry = entry.clone();
                    let chain = chain(http, &self.name).await?;
                    if chain.get(self.account.chain.len()) == Some(&entry) {
                        self.account.adopt(self.rotation.take().unwrap());
                    }
                    entry
                }
                None if stop.load(Ordering::Relaxed) => return Ok(()),
                None => {
                    let rotation = self.account.rotation();
                    let entry = rotation.0.clone();
                    self.rotation = Some(rotation);
                    entry
                }
            };
            let pass = Pass::of(http, &self.account).await?;
            let path = format!("/v1/accounts/{}/chain", self.account.id);
            let request = pass.request(http, &self.account, Method::POST, &path);
            self.submit(request, world, entry).await?;
            if let Some(rotation) = self.rotation.take() {
                self.account.adopt(rotation);
            }
        }
        Ok(())
    }

    async fn submit(&self, request: reqwest::RequestBuilder, world: &World, entry: Vec<u8>) -> Result<(), End> {
        let answer = request.json(&SubmitEntry { entry: EntryBytes(entry.clone()) }).send().await?;
        if answer.status() != StatusCode::CREATED {
            return Err(unexpected("a chain entry", answer).await);
        }
        let mut book = world.ledger.open();
        book.tally.chain_entries += 1;
        book.fresh_chains.push(self.name.clone());
        book.chains.entry(self.name.clone()).or_default().push(entry);
        Ok(())
    }
}

/// The chain that the relay shows of a name.
pub async fn chain(http: &Http, name: &str) -> Result<Vec<Vec<u8>>, End> {
    let answer = http.request(Method::GET, &format!("/v1/accounts/{name}/chain")).send().await?;
    promised!(answer.status() == StatusCode::OK, "an account that was made is not there: {}", answer.status());
    let page: ChainPage = answer.json().await?;
    promised!(page.indexes.len() == page.entries.len(), "a chain entry without its place in the log of keys");
    Ok(page.entries.into_iter().map(|entry| entry.0).collect())
}
