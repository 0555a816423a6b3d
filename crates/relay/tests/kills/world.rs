//! Who and what there is: two accounts with inboxes, and logs whose tokens and last handshake all writers share.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use waxwing_wire::EnvelopeId;
use waxwing_wire::api::{AccessKeys, EntryBytes, JWT_BEARER, Stored, TokenResponse};
use waxwing_wire::log::token_hash;
use waxwing_wire::problem::{Problem, ProblemCode};

use crate::fault::{Broken, End};
use crate::kit::{Account, Http, Log, random};
use crate::ledger::Ledger;
use crate::program::AUDIENCE;
use crate::watch::Watch;

pub const LOGS: usize = 4;
pub const INBOXES: usize = 2;

/// What every task of the load sees. Outlives the relay.
pub struct World {
    pub ledger: Ledger,
    pub watch: Watch,
    pub inboxes: [Inbox; INBOXES],
    logs: [Mutex<Shared>; LOGS],
    rekeys: Mutex<HashMap<EnvelopeId, Log>>,
}

/// An account with one device, and a key to its inbox.
pub struct Inbox {
    pub owner: Account,
    pub key: [u8; 16],
}

/// A log, as its writers know it.
#[derive(Clone)]
pub struct Shared {
    pub log: Log,
    /// The same under the tokens of a rekey that is under way.
    pub next: Option<Log>,
    /// The last handshake.
    pub after: u64,
}

impl World {
    pub fn new() -> Self {
        let owner = |n: usize| Account::new(["alice", "bob"][n], AUDIENCE);
        Self {
            ledger: Ledger::new(LOGS + INBOXES),
            watch: Watch::default(),
            inboxes: std::array::from_fn(|n| Inbox { owner: owner(n), key: random() }),
            logs: std::array::from_fn(|_| Mutex::new(Shared { log: Log::new(), next: None, after: 0 })),
            rekeys: Mutex::default(),
        }
    }

    pub fn log(&self, n: usize) -> MutexGuard<'_, Shared> {
        self.logs[n].lock().unwrap()
    }

    /// A handshake is about to be sent that puts the log under new tokens.
    pub fn rekeying(&self, id: EnvelopeId, next: Log) {
        self.rekeys.lock().unwrap().insert(id, next);
    }

    /// What a reader of that handshake learns from it.
    pub fn rekeyed(&self, id: EnvelopeId) -> Option<Log> {
        self.rekeys.lock().unwrap().get(&id).cloned()
    }

    /// Makes all of it at a relay that is new, and that nobody kills meanwhile.
    pub async fn found(&self, http: &Http) {
        for Inbox { owner, key } in &self.inboxes {
            assert_eq!(http.register(owner).await.status(), StatusCode::CREATED);
            let keys = AccessKeys { hashes: vec![EntryBytes(token_hash(key).to_vec())] };
            let pass = Pass::of(http, owner).await.unwrap();
            let answer = pass.request(http, owner, Method::PUT, "/v1/access-keys").json(&keys).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        }
        let owner = &self.inboxes[0].owner;
        let pass = Pass::of(http, owner).await.unwrap();
        for n in 0..LOGS {
            let create = self.log(n).log.create().encode();
            let answer = pass.request(http, owner, Method::POST, "/v1/logs").body(create).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::CREATED);
        }
    }
}

/// An access token.
pub struct Pass(String);

impl Pass {
    /// Of the keys that `account` has in force.
    pub async fn of(http: &Http, account: &Account) -> Result<Self, End> {
        let assertion = account.assertion().sign(&account.keys.relay_auth).unwrap();
        let form = [("grant_type", JWT_BEARER), ("assertion", assertion.as_str())];
        let ask = async || {
            let proof = http.proof(account, "POST", "/oauth/token", None);
            let answer = http.request(Method::POST, "/oauth/token").header("dpop", proof).form(&form).send().await?;
            http.heard(&answer);
            Ok::<_, End>(answer)
        };
        let mut answer = ask().await?;
        // For want of a nonce, as at a relay that was not asked for long: the answer has one, and the assertion is not used up.
        if answer.status() == StatusCode::BAD_REQUEST {
            answer = ask().await?;
        }
        let answer = good("a token for an account that is there", answer).await?;
        Ok(Self(answer.json::<TokenResponse>().await?.access_token))
    }

    /// A request as `account`.
    pub fn request(&self, http: &Http, account: &Account, method: Method, path: &str) -> RequestBuilder {
        let proof = http.proof(account, method.as_str(), path, Some(&self.0));
        http.request(method, path).header("authorization", format!("DPoP {}", self.0)).header("dpop", proof)
    }
}

/// The place in a 201.
pub async fn place_of(answer: Response) -> Result<u64, End> {
    Ok(answer.json::<Stored>().await?.seq)
}

/// The answer, if it is 200.
pub async fn good(what: &str, answer: Response) -> Result<Response, End> {
    if answer.status() == StatusCode::OK { Ok(answer) } else { Err(unexpected(what, answer).await) }
}

/// An answer that nothing here is a reason for, unless it says that the database is away.
pub async fn unexpected(what: &str, answer: Response) -> End {
    let status = answer.status();
    let Ok(text) = answer.text().await else {
        return End::Broken(Broken(format!("{what} was answered {status}")));
    };
    let code = serde_json::from_str(&text).map(|problem: Problem| problem.code);
    if status == StatusCode::SERVICE_UNAVAILABLE && matches!(code, Ok(ProblemCode::Unavailable)) {
        return End::Away;
    }
    End::Broken(Broken(format!("{what} was answered {status}: {text}")))
}
