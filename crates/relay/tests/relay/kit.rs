//! A started relay, accounts with keys, and requests. Signs chain entries by hand: the relay must not depend on the protocol crate.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use ed25519_dalek::{Signer as _, SigningKey};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use tempfile::TempDir;
use waxwing_relay::{Config, Relay, StartError, StorageStats, start};
use waxwing_wire::api::{DPOP_NONCE_HEADER, EntryBytes, JWT_BEARER, Stored, SubmitEntry, TokenResponse, base64url};
use waxwing_wire::chain::{ChainEntry, Create, InForce, Recover, RotateAccountKey, Statement, UnsignedEntry};
use waxwing_wire::frame::{Append, CreateLog, LogPage, LogTokens};
use waxwing_wire::log::{EnvelopeKind, token_hash};
use waxwing_wire::problem::{PROBLEM_JSON, Problem, ProblemCode};
use waxwing_wire::token::{AccessToken, Assertion, DpopProof};
use waxwing_wire::{AccountId, DeviceId, DeviceRecord, EnvelopeId, LogId, signing_input};

pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

pub fn jti() -> String {
    base64url::encode(&random::<16>())
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A relay of its own for a test.
pub struct Kit {
    relay: Option<Relay>,
    pub folder: TempDir,
    pub http: Http,
    /// What accounts here were made for.
    audience: String,
}

impl Kit {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(adjust: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::new("127.0.0.1:0".parse().unwrap(), folder.path().to_owned());
        adjust(&mut config);
        let relay = start(config).await.unwrap();
        let http = Http::new(&relay.base_url());
        let audience = http.authority();
        Self { relay: Some(relay), folder, http, audience }
    }

    /// Another process of the same relay, in a folder of its own.
    pub async fn beside(&self, adjust: impl FnOnce(&mut Config)) -> Self {
        let audience = self.audience.clone();
        let mut other = Self::with(|config| {
            config.audience = Some(audience.clone());
            adjust(config);
        })
        .await;
        other.http.nonce = Arc::clone(&self.http.nonce);
        other.audience = audience;
        other
    }

    /// Stops the relay and starts it again, on the same folder and under the same name, with the usual limits.
    pub async fn restart(&mut self) {
        self.take().stop().await;
        self.start().await;
    }

    /// Starts the relay that [`Kit::take`] took, as [`Kit::restart`] does.
    pub async fn start(&mut self) {
        self.start_with(|_| {}).await;
    }

    pub async fn start_with(&mut self, adjust: impl FnOnce(&mut Config)) {
        let mut config = Config::new("127.0.0.1:0".parse().unwrap(), self.folder.path().to_owned());
        config.audience = Some(self.audience.clone());
        adjust(&mut config);
        let relay = again(config).await;
        self.http = self.http.moved(&relay.base_url());
        self.relay = Some(relay);
    }

    /// The relay's database, beside the relay.
    pub fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.folder.path().join("relay.db")).unwrap()
    }

    pub fn address(&self) -> std::net::SocketAddr {
        self.relay.as_ref().unwrap().local_addr()
    }

    pub fn stats(&self) -> StorageStats {
        self.relay.as_ref().unwrap().stats()
    }

    pub fn take(&mut self) -> Relay {
        self.relay.take().unwrap()
    }

    pub fn operator(&self) -> Http {
        Http::new(&format!("http://{}", self.relay.as_ref().unwrap().operator_addr().unwrap()))
    }

    /// What `waxwing-relay admin` says, or why it fails.
    pub async fn admin(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_waxwing-relay"));
        command.args(["admin", "--data"]).arg(self.folder.path()).args(arguments);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    pub async fn account(&self, name: &str) -> Account {
        let mut account = Account::new(name, &self.audience);
        assert_eq!(self.http.register(&account).await.status(), StatusCode::CREATED);
        account.token = self.http.token(&account).await;
        account
    }

    pub async fn log(&self, by: &Account) -> Log {
        let log = Log::new();
        let answer = self.http.authed(by, Method::POST, "/v1/logs").body(log.create().encode()).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED);
        log
    }
}

/// Starts a relay on a folder that one has just left. Another test of this process may be starting a program at the time: until that runs, it holds
/// all open files of this process, and with them the folder's lock.
async fn again(config: Config) -> Relay {
    for _ in 0..100 {
        match start(config.clone()).await {
            Err(StartError::InUse) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            started => return started.unwrap(),
        }
    }
    start(config).await.unwrap()
}

/// Requests to one base URL.
#[derive(Clone)]
pub struct Http {
    pub client: Client,
    pub base: String,
    /// The relay's newest nonce that was heard of.
    nonce: Arc<Mutex<Option<String>>>,
}

impl Http {
    pub fn new(base: &str) -> Self {
        Self::by(Client::builder().no_proxy().build().unwrap(), base)
    }

    pub fn by(client: Client, base: &str) -> Self {
        Self { client, base: base.to_owned(), nonce: Arc::default() }
    }

    /// The same relay at another address.
    pub fn moved(&self, base: &str) -> Self {
        Self { nonce: Arc::clone(&self.nonce), ..Self::new(base) }
    }

    pub fn nonce(&self) -> Option<String> {
        self.nonce.lock().unwrap().clone()
    }

    /// Takes the nonce that an answer to a proof comes with.
    pub fn heard(&self, answer: &Response) {
        if let Some(nonce) = answer.headers().get(DPOP_NONCE_HEADER) {
            *self.nonce.lock().unwrap() = Some(nonce.to_str().unwrap().to_owned());
        }
    }

    pub fn authority(&self) -> String {
        self.base.split_once("://").unwrap().1.to_owned()
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    pub async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    pub async fn register(&self, account: &Account) -> Response {
        let body = SubmitEntry { entry: EntryBytes(account.chain[0].clone()) };
        self.request(Method::POST, "/v1/accounts").json(&body).send().await.unwrap()
    }

    pub async fn token(&self, account: &Account) -> String {
        let ask = async || {
            let proof = self.proof(account, "POST", "/oauth/token", None);
            self.token_with(account, &account.assertion(), &proof).await
        };
        let mut answer = ask().await;
        // The first at this relay learns the nonce.
        if answer.status() == StatusCode::BAD_REQUEST {
            assert_eq!(code(answer).await, ProblemCode::UseDpopNonce);
            answer = ask().await;
        }
        assert_eq!(answer.status(), StatusCode::OK);
        let token: TokenResponse = answer.json().await.unwrap();
        assert_eq!((token.token_type.as_str(), token.expires_in), ("DPoP", 600));
        token.access_token
    }

    pub async fn token_with(&self, account: &Account, assertion: &Assertion, proof: &str) -> Response {
        let assertion = assertion.sign(&account.keys.relay_auth).unwrap();
        let form = [("grant_type", JWT_BEARER), ("assertion", assertion.as_str())];
        let request = self.request(Method::POST, "/oauth/token").header("dpop", proof).form(&form);
        let answer = request.send().await.unwrap();
        self.heard(&answer);
        answer
    }

    pub fn proof(&self, account: &Account, method: &str, path: &str, token: Option<&str>) -> String {
        let path = path.split('?').next().unwrap();
        let proof = DpopProof {
            jti: jti(),
            htm: method.to_owned(),
            htu: format!("{}{path}", self.base),
            iat: now(),
            ath: token.map(AccessToken::ath),
            nonce: self.nonce(),
        };
        proof.sign(&account.dpop).unwrap()
    }

    pub fn authed(&self, account: &Account, method: Method, path: &str) -> RequestBuilder {
        let proof = self.proof(account, method.as_str(), path, Some(&account.token));
        self.request(method, path).header("authorization", format!("DPoP {}", account.token)).header("dpop", proof)
    }

    pub async fn append(&self, log: LogId, write: &[u8], append: &Append) -> Response {
        self.request(Method::POST, &format!("/v1/logs/{log}/entries"))
            .bearer_auth(base64url::encode(write))
            .body(append.encode())
            .send()
            .await
            .unwrap()
    }

    pub async fn stored(&self, log: &Log, append: &Append) -> u64 {
        seq(self.append(log.id, &log.write, append).await).await
    }

    pub async fn read(&self, log: LogId, read: &[u8], after: u64) -> Response {
        self.request(Method::GET, &format!("/v1/logs/{log}/entries?after={after}"))
            .bearer_auth(base64url::encode(read))
            .send()
            .await
            .unwrap()
    }

    pub async fn page(&self, log: &Log, after: u64) -> LogPage {
        let answer = self.read(log.id, &log.read, after).await;
        assert_eq!(answer.status(), StatusCode::OK);
        LogPage::decode(&answer.bytes().await.unwrap()).unwrap()
    }
}

pub async fn seq(answer: Response) -> u64 {
    assert_eq!(answer.status(), StatusCode::CREATED);
    answer.json::<Stored>().await.unwrap().seq
}

/// The refusal in `answer`.
pub async fn problem(answer: Response) -> Problem {
    let status = answer.status();
    assert_eq!(answer.headers()["content-type"], PROBLEM_JSON);
    assert_eq!(answer.headers()["waxwing-api"], "1");
    let problem: Problem = answer.json().await.unwrap();
    assert_eq!(problem.status, status.as_u16());
    problem
}

pub async fn code(answer: Response) -> ProblemCode {
    problem(answer).await.code
}

pub struct Keys {
    pub relay_auth: SigningKey,
    signing: SigningKey,
    mls: SigningKey,
}

impl Keys {
    fn new() -> Self {
        let [relay_auth, signing, mls] = [(); 3].map(|()| SigningKey::from_bytes(&random()));
        Self { relay_auth, signing, mls }
    }

    fn record(&self, device: DeviceId, key_version: u32) -> DeviceRecord {
        let public = |key: &SigningKey| key.verifying_key().to_bytes();
        DeviceRecord {
            device,
            key_version,
            relay_auth: public(&self.relay_auth),
            signing: public(&self.signing),
            mls: public(&self.mls),
            // No such byte leaves the field of X25519 or ML-KEM: a chain takes only keys that can be sealed to.
            x25519: random::<32>().map(|byte| byte & 0x77),
            xwing: Box::new(random::<1216>().map(|byte| byte & 0x77)),
        }
    }
}

/// An account with one device, and its private keys.
pub struct Account {
    pub id: AccountId,
    pub device: DeviceId,
    pub keys: Keys,
    pub dpop: SigningKey,
    pub token: String,
    pub chain: Vec<Vec<u8>>,
    audience: String,
    account_key: SigningKey,
    recovery_key: SigningKey,
    version: u32,
}

impl Account {
    pub fn new(name: &str, audience: &str) -> Self {
        Self::made(Some(name), audience, AccountId::from_bytes(random()), DeviceId::from_bytes(random()))
    }

    pub fn made(name: Option<&str>, audience: &str, id: AccountId, device: DeviceId) -> Self {
        let keys = Keys::new();
        let [account_key, recovery_key, dpop] = [(); 3].map(|()| SigningKey::from_bytes(&random()));
        let create = Create {
            log_origin: audience.to_owned(),
            name: name.map(|name| name.parse().unwrap()),
            recovery_key: recovery_key.verifying_key().to_bytes(),
            account_key: account_key.verifying_key().to_bytes(),
            device: keys.record(device, 1),
        };
        let mut account = Self {
            id,
            device,
            keys,
            dpop,
            token: String::new(),
            chain: Vec::new(),
            audience: audience.to_owned(),
            account_key,
            recovery_key,
            version: 1,
        };
        let entry = account.sign(Statement::Create(Box::new(create)), &account.keys);
        account.chain.push(entry);
        account
    }

    /// The next entry, with the keys that it puts in force. Nothing changes until [`Account::adopt`].
    pub fn rotation(&self) -> (Vec<u8>, Keys) {
        let keys = Keys::new();
        let record = keys.record(self.device, self.version + 1);
        (self.sign(Statement::RotateDeviceKeys(Box::new(record)), &keys), keys)
    }

    pub fn adopt(&mut self, (entry, keys): (Vec<u8>, Keys)) {
        self.chain.push(entry);
        self.keys = keys;
        self.version += 1;
    }

    /// What closes the account.
    pub fn close(&self) -> Vec<u8> {
        self.sign(Statement::Close, &self.keys)
    }

    /// What replaces the account key, and revokes devices.
    pub fn replace_account_key(&mut self, revoked: Vec<DeviceId>) -> Vec<u8> {
        let new = SigningKey::from_bytes(&random());
        let account_key = new.verifying_key().to_bytes();
        let statement = Statement::RotateAccountKey(RotateAccountKey { account_key, revoked });
        let entry = self.sign_too(statement, &self.keys, &[&new]);
        self.chain.push(entry.clone());
        self.account_key = new;
        entry
    }

    /// What adds a device, and the account as seen from there.
    pub fn add_device(&mut self) -> (Vec<u8>, Self) {
        let mut other = Self { device: DeviceId::from_bytes(random()), keys: Keys::new(), version: 1, ..self.copy() };
        let record = other.keys.record(other.device, 1);
        let entry = self.sign(Statement::AddDevice(Box::new(record)), &other.keys);
        self.chain.push(entry.clone());
        other.chain.push(entry.clone());
        (entry, other)
    }

    /// What the phrase does on a new machine, and the account as seen from there.
    pub fn recover(&self) -> (Vec<u8>, Self) {
        let mut other = Self { device: DeviceId::from_bytes(random()), keys: Keys::new(), version: 1, ..self.copy() };
        other.account_key = SigningKey::from_bytes(&random());
        let statement = Statement::Recover(Box::new(Recover {
            recovery_key: self.recovery_key.verifying_key().to_bytes(),
            account_key: other.account_key.verifying_key().to_bytes(),
            device: other.keys.record(other.device, 1),
        }));
        let entry = self.sign_too(statement, &other.keys, &[&other.account_key]);
        other.chain.push(entry.clone());
        (entry, other)
    }

    fn copy(&self) -> Self {
        Self {
            id: self.id,
            device: self.device,
            keys: Keys::new(),
            dpop: SigningKey::from_bytes(&random()),
            token: String::new(),
            chain: self.chain.clone(),
            audience: self.audience.clone(),
            account_key: self.account_key.clone(),
            recovery_key: self.recovery_key.clone(),
            version: self.version,
        }
    }

    fn sign(&self, statement: Statement, keys: &Keys) -> Vec<u8> {
        self.sign_too(statement, keys, &[])
    }

    fn sign_too(&self, statement: Statement, keys: &Keys, new: &[&SigningKey]) -> Vec<u8> {
        let prev_hash = self.chain.last().map_or([0; 32], |bytes| ChainEntry::decode(bytes).unwrap().hash());
        let seq = u32::try_from(self.chain.len()).unwrap();
        let unsigned = UnsignedEntry { account: self.id, seq, prev_hash, statement, at_ms: now() * 1000 };
        let own = [&self.account_key, &self.recovery_key, &keys.relay_auth, &keys.signing, &keys.mls];
        let all = [&own, new].concat();
        let message = unsigned.encode();
        let [account_key, recovery_key] =
            [&self.account_key, &self.recovery_key].map(|key| key.verifying_key().to_bytes());
        let signatures = unsigned
            .signers(InForce { account_key: &account_key, recovery_key: &recovery_key })
            .into_iter()
            .map(|(context, public)| {
                let key = all.iter().find(|key| key.verifying_key().as_bytes() == public).unwrap();
                key.sign(&signing_input(context, &message)).to_bytes()
            })
            .collect();
        unsigned.assemble(signatures).as_bytes().to_vec()
    }

    pub fn assertion(&self) -> Assertion {
        let iat = now();
        Assertion { iss: self.device, sub: self.id, aud: self.audience.clone(), iat, exp: iat + 60, jti: jti() }
    }
}

/// A log and its tokens.
#[derive(Clone)]
pub struct Log {
    pub id: LogId,
    pub write: [u8; 32],
    pub read: [u8; 32],
}

impl Log {
    pub fn new() -> Self {
        Self { id: LogId::from_bytes(random()), write: random(), read: random() }
    }

    pub fn tokens(&self) -> LogTokens {
        LogTokens { write: token_hash(&self.write), read: token_hash(&self.read) }
    }

    pub fn create(&self) -> CreateLog {
        CreateLog { log: self.id, tokens: self.tokens() }
    }

    /// The same log under new tokens.
    pub fn rekeyed(&self) -> Self {
        Self { id: self.id, ..Self::new() }
    }
}

pub fn app(after: u64, blob: &[u8]) -> Append {
    Append {
        entry_id: EnvelopeId::from_bytes(random()),
        kind: EnvelopeKind::App,
        after,
        rekey: None,
        blob: blob.to_vec(),
    }
}

pub fn handshake(after: u64, rekey: Option<LogTokens>) -> Append {
    Append { kind: EnvelopeKind::Handshake, rekey, ..app(after, b"handshake") }
}
