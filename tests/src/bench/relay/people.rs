//! Accounts in a relay's storage: some with a name, some private, and one of a stranger who has an account here and writes to them.

use std::time::{SystemTime, UNIX_EPOCH};

use ed25519_dalek::SigningKey;
use waxwing_relay::storage::{NewAccount, PublicName, Registered, Storage};
use waxwing_wire::api::{DPOP_NONCE_HEADER, JWT_BEARER, TokenResponse, base64url};
use waxwing_wire::chain::{Create, Statement, UnsignedEntry};
use waxwing_wire::token::{AccessToken, Assertion, DpopProof};
use waxwing_wire::{AccountId, DeviceId, DeviceRecord, hash};

use super::http::Connection;
use super::server::AUDIENCE;

/// Accounts with a name, and as many without.
pub const PEOPLE: u64 = 64;
const STRANGER: u64 = 1_000_000;

/// The name that the account with this number has or, where it is private, that only its owner knows: the relay is not told it.
pub fn name(number: u64) -> String {
    format!("person-{number:07}")
}

/// The account's only device.
pub fn device(number: u64) -> DeviceId {
    DeviceId::from_bytes(*hash(&[b"device", &number.to_be_bytes()]).first_chunk().unwrap())
}

/// Accounts with an even number have a name, those with an odd one are private.
pub fn account(number: u64) -> AccountId {
    AccountId::from_bytes(*hash(&[b"account", &number.to_be_bytes()]).first_chunk().unwrap())
}

fn relay_auth(number: u64) -> SigningKey {
    SigningKey::from_bytes(&hash(&[b"relay-auth", &number.to_be_bytes()]))
}

/// Stores all of them.
pub async fn settle(storage: &dyn Storage) {
    for number in (0..2 * PEOPLE).chain([STRANGER]) {
        assert_eq!(storage.register(new(number)).await, Ok(Registered::Stored));
    }
}

/// The storage looks at no signature.
fn new(number: u64) -> NewAccount {
    let key = *relay_auth(number).verifying_key().as_bytes();
    let device = DeviceRecord {
        device: device(number),
        key_version: 1,
        relay_auth: key,
        signing: key,
        mls: key,
        x25519: key,
        xwing: Box::new([9; 1216]),
    };
    let named = number.is_multiple_of(2).then(|| name(number).parse().unwrap());
    let create = Create {
        log_origin: AUDIENCE.to_owned(),
        name: named.clone(),
        recovery_key: key,
        account_key: key,
        device: device.clone(),
    };
    let statement = Statement::Create(Box::new(create));
    let unsigned = UnsignedEntry { account: account(number), seq: 0, prev_hash: [0; 32], statement, at_ms: 1 };
    let name = named.map(|name| PublicName { name, hash: hash(&[b"name", &number.to_be_bytes()]) });
    NewAccount { entry: unsigned.assemble(vec![[9; 64]; 5]), name, device }
}

/// The stranger's access token.
pub struct Stranger {
    token: String,
    dpop: SigningKey,
    /// Good for 5 minutes at least: for longer than what is asked with it.
    nonce: Option<String>,
    shown: u64,
}

impl Stranger {
    /// Gets the token.
    pub async fn of(connection: &mut Connection) -> Self {
        let dpop = SigningKey::from_bytes(&[7; 32]);
        let mut stranger = Self { token: String::new(), dpop, nonce: None, shown: 0 };
        let iat = now();
        let assertion = Assertion {
            iss: device(STRANGER),
            sub: account(STRANGER),
            aud: AUDIENCE.to_owned(),
            iat,
            exp: iat + 60,
            jti: stranger.jti(),
        };
        let assertion = assertion.sign(&relay_auth(STRANGER)).unwrap();
        let grant = JWT_BEARER.replace(':', "%3A");
        let body = format!("grant_type={grant}&assertion={assertion}");
        // The first is told the nonce.
        for expected in [400, 200] {
            let proof = stranger.proof("/oauth/token", None);
            let headers = format!("dpop: {proof}\r\ncontent-type: application/x-www-form-urlencoded\r\n");
            let status = connection.ask("POST", "/oauth/token", &headers, body.as_bytes()).await;
            assert_eq!(status, expected, "{}", String::from_utf8_lossy(connection.body()));
            stranger.nonce = connection.header(DPOP_NONCE_HEADER).or(stranger.nonce);
        }
        let token: TokenResponse = serde_json::from_slice(connection.body()).unwrap();
        stranger.token = token.access_token;
        stranger
    }

    /// Headers of a POST to this path.
    pub fn headers(&mut self, path: &str) -> String {
        let proof = self.proof(path, Some(AccessToken::ath(&self.token)));
        format!("authorization: DPoP {}\r\ndpop: {proof}\r\n", self.token)
    }

    fn proof(&mut self, path: &str, ath: Option<String>) -> String {
        // As if a proxy did TLS: the relay goes by a name.
        let htu = format!("https://{AUDIENCE}{path}");
        let (jti, nonce) = (self.jti(), self.nonce.clone());
        DpopProof { jti, htm: "POST".to_owned(), htu, iat: now(), ath, nonce }.sign(&self.dpop).unwrap()
    }

    fn jti(&mut self) -> String {
        self.shown += 1;
        base64url::encode(&hash(&[b"shown", &self.shown.to_be_bytes()])[..16])
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
