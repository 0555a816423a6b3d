//! Accounts that are made and change their keys under load: the writes that grow the transparency log.

use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::{Method, StatusCode};
use waxwing_wire::api::{ChainPage, EntryBytes, SubmitEntry};

use crate::fault::{Broken, End, promised};
use crate::kit::{Account, Http, Keys};
use crate::program::AUDIENCE;
use crate::way::Way;
use crate::world::{Pass, World, good, unexpected};

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
    rotation: Option<Rotation>,
}

struct Rotation {
    entry: Vec<u8>,
    /// None once they are known to be in force, though no answer said so.
    keys: Option<Keys>,
}

impl Registrar {
    /// Makes accounts until the relay is gone or told to stop.
    pub async fn run(&mut self, way: &Way, world: &World, stop: &AtomicBool) -> Result<(), Broken> {
        loop {
            match way.while_it_lives(self.step(&way.http, world, stop)).await {
                Ok(()) => {}
                Err(End::Gone) => return Ok(()),
                Err(End::Away) => {
                    world.ledger.open().tally.unavailable += 1;
                    return Ok(());
                }
                Err(End::Broken(broken)) => return Err(broken),
            }
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
    }

    /// Whether nothing is without an answer.
    pub fn is_settled(&self) -> bool {
        self.current.as_ref().is_none_or(|current| current.registered && current.rotation.is_none())
    }

    /// What it asks for, in words.
    pub fn asks(&self) -> String {
        self.current.as_ref().map_or_else(
            || "a new account".to_owned(),
            |Current { name, account, registered, rotation }| {
                let (entries, rotating) = (account.chain.len(), rotation.is_some());
                format!("{name}: {entries} entries, registered {registered}, rotating {rotating}")
            },
        )
    }

    /// Goes on with the account that is being made, or begins another one.
    pub async fn step(&mut self, http: &Http, world: &World, stop: &AtomicBool) -> Result<(), End> {
        if self.current.is_none() && !stop.load(Ordering::Relaxed) {
            self.number += 1;
            let name = format!("name-{}", self.number);
            let account = Account::new(&name, AUDIENCE);
            self.current = Some(Current { name, account, registered: false, rotation: None });
        }
        if let Some(current) = &mut self.current {
            current.finish(http, world, stop).await?;
            if current.account.chain.len() == ENTRIES && current.rotation.is_none() {
                self.current = None;
            }
        }
        Ok(())
    }
}

impl Current {
    /// Registers the account, and rotates its keys until its chain is as long as it gets, or until told to stop.
    async fn finish(&mut self, http: &Http, world: &World, stop: &AtomicBool) -> Result<(), End> {
        if !self.registered {
            self.submit(http.request(Method::POST, "/v1/accounts"), world, self.account.chain[0].clone()).await?;
            self.registered = true;
        }
        while self.account.chain.len() < ENTRIES || self.rotation.is_some() {
            match &self.rotation {
                // Whether it is in force says which keys get a token.
                Some(_) => {
                    self.look(http).await?;
                }
                None if stop.load(Ordering::Relaxed) => return Ok(()),
                None => {
                    let (entry, keys) = self.account.rotation();
                    self.rotation = Some(Rotation { entry, keys: Some(keys) });
                }
            }
            match self.rotate(http, world).await {
                // It was still under way when the chain was asked for.
                Err(End::Broken(_)) if self.look(http).await? => {}
                rotated => rotated?,
            }
        }
        Ok(())
    }

    /// Takes the rotation's keys if the chain says that they are in force; false if they are not, or were taken before.
    async fn look(&mut self, http: &Http) -> Result<bool, End> {
        let Some(Rotation { entry, keys: keys @ Some(_) }) = &mut self.rotation else { return Ok(false) };
        let chain = chain(http, &self.name).await?;
        if chain.get(self.account.chain.len()) != Some(entry) {
            return Ok(false);
        }
        self.account.adopt((entry.clone(), keys.take().unwrap()));
        Ok(true)
    }

    async fn rotate(&mut self, http: &Http, world: &World) -> Result<(), End> {
        let pass = Pass::of(http, &self.account).await?;
        let path = format!("/v1/accounts/{}/chain", self.account.id);
        let request = pass.request(http, &self.account, Method::POST, &path);
        self.submit(request, world, self.rotation.as_ref().unwrap().entry.clone()).await?;
        if let Some(Rotation { entry, keys: Some(keys) }) = self.rotation.take() {
            self.account.adopt((entry, keys));
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
async fn chain(http: &Http, name: &str) -> Result<Vec<Vec<u8>>, End> {
    Ok(chain_page(http, name).await?.entries.into_iter().map(|entry| entry.0).collect())
}

/// The same, with where it stands in the log of keys.
pub async fn chain_page(http: &Http, name: &str) -> Result<ChainPage, End> {
    let answer = http.request(Method::GET, &format!("/v1/accounts/{name}/chain")).send().await?;
    let page: ChainPage = good("the chain of an account that was made", answer).await?.json().await?;
    promised!(page.indexes.len() == page.entries.len(), "a chain entry without its place in the log of keys");
    Ok(page)
}
