//! A thief of the database who has nothing else: tries whatever is in it where a secret is asked for.

use std::collections::BTreeSet;

use ed25519_dalek::SigningKey;
use reqwest::{Method, StatusCode};
use waxwing_relay::{Config, Database};
use waxwing_wire::api::{JWT_BEARER, base64url};
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::token::{AccessToken, Confirmation, thumbprint};

use crate::cluster::Cluster;
use crate::inboxes::{keys, letter, with_key};
use crate::kit::{Account, Kit, Log, app, code, handshake, now, random};

/// Everything in the tables that is short enough for a key or a token, as bytes.
type Loot = BTreeSet<Vec<u8>>;

const LONGEST: usize = 128;

/// Somebody's account, log, inbox and all else that a relay keeps of them.
struct Victim {
    account: Account,
    log: Log,
    access_key: [u8; 16],
}

impl Victim {
    async fn of(kit: &Kit) -> Self {
        let account = kit.account("alice").await;
        let before = kit.log(&account).await;
        kit.http.stored(&before, &app(0, b"hello")).await;
        let log = before.rekeyed();
        kit.http.stored(&before, &handshake(0, Some(log.tokens()))).await;
        let access_key: [u8; 16] = random();
        assert_eq!(keys(kit, &account, Method::PUT, &[&access_key]).await.status(), StatusCode::NO_CONTENT);
        let victim = Self { account, log, access_key };
        assert_eq!(victim.send(kit, &access_key).await.status(), StatusCode::CREATED);
        kit.admin(&["invite"]).await.unwrap();
        victim
    }

    async fn send(&self, kit: &Kit, key: &[u8]) -> reqwest::Response {
        with_key(kit, self.account.device, key, &letter(b"x")).await
    }

    async fn write(&self, kit: &Kit, token: &[u8]) -> reqwest::Response {
        kit.http.append(self.log.id, token, &app(2, b"forged")).await
    }

    async fn read(&self, kit: &Kit, token: &[u8]) -> reqwest::Response {
        kit.http.read(self.log.id, token, 0).await
    }

    /// Opens the inbox as somebody who has a token, or the key that gets one.
    async fn open(&self, kit: &Kit, token: &str) -> StatusCode {
        let path = format!("/v1/inboxes/{}?after=0", self.account.device);
        let proof = kit.http.proof(&self.account, "GET", &path, Some(token));
        let request = kit.http.request(Method::GET, &path);
        request.header("authorization", format!("DPoP {token}")).header("dpop", proof).send().await.unwrap().status()
    }

    /// Opens the inbox with a token that `key` signs in the relay's name, for the device as it is, under the name of the relay's key.
    async fn open_by(&self, kit: &Kit, key: &SigningKey) -> StatusCode {
        let token = AccessToken {
            iss: kit.http.authority(),
            sub: self.account.device,
            account: self.account.id,
            relay_auth: self.account.keys.relay_auth.verifying_key().to_bytes(),
            iat: now(),
            exp: now() + 600,
            cnf: Confirmation { jkt: thumbprint(self.account.dpop.verifying_key().as_bytes()) },
        };
        let kid = AccessToken::kid(&self.account.token).unwrap();
        self.open(kit, &token.sign(&kid, key).unwrap()).await
    }

    async fn token_by(&self, kit: &Kit, key: &SigningKey) -> StatusCode {
        let assertion = self.account.assertion().sign(key).unwrap();
        let proof = kit.http.proof(&self.account, "POST", "/oauth/token", None);
        let form = [("grant_type", JWT_BEARER), ("assertion", assertion.as_str())];
        let request = kit.http.request(Method::POST, "/oauth/token").header("dpop", proof).form(&form);
        request.send().await.unwrap().status()
    }
}

/// P19: with a stolen database alone nobody writes to a log, reads one, opens an inbox, or sends to one that takes only whom it knows.
async fn opens_nothing(kit: &Kit, victim: &Victim, loot: Loot) {
    // What is tried is what is in there: the hashes of what would have opened it among it.
    let hash = |secret: &[u8]| waxwing_wire::log::token_hash(secret).to_vec();
    for secret in [&victim.log.write[..], &victim.log.read[..], &victim.access_key[..]] {
        assert!(loot.contains(&hash(secret)) && !loot.contains(secret));
    }
    assert!(loot.len() > 20, "{}", loot.len());
    for found in &loot {
        assert_eq!(code(victim.write(kit, found).await).await, ProblemCode::LogRefused);
        assert_eq!(code(victim.read(kit, found).await).await, ProblemCode::LogRefused);
        assert_eq!(code(victim.send(kit, found).await).await, ProblemCode::InboxRefused);
        let as_text =
            String::from_utf8(found.clone()).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
        for token in [Some(base64url::encode(found)), as_text].into_iter().flatten() {
            assert_eq!(victim.open(kit, &token).await, StatusCode::UNAUTHORIZED);
        }
        if let Ok(seed) = <[u8; 32]>::try_from(found.as_slice()) {
            let key = SigningKey::from_bytes(&seed);
            assert_eq!(victim.token_by(kit, &key).await, StatusCode::UNAUTHORIZED);
            assert_eq!(victim.open_by(kit, &key).await, StatusCode::UNAUTHORIZED);
        }
    }
    // The control: whoever has the secrets is let in, by the same requests.
    assert_eq!(victim.write(kit, &victim.log.write).await.status(), StatusCode::CREATED);
    assert_eq!(victim.read(kit, &victim.log.read).await.status(), StatusCode::OK);
    assert_eq!(victim.send(kit, &victim.access_key).await.status(), StatusCode::CREATED);
    assert_eq!(victim.open(kit, &victim.account.token).await, StatusCode::OK);
    assert_eq!(victim.token_by(kit, &victim.account.keys.relay_auth).await, StatusCode::OK);
    assert_eq!(victim.open_by(kit, &token_key(kit)).await, StatusCode::OK);
}

/// The key that the relay signs access tokens with, which is not in its database.
fn token_key(kit: &Kit) -> SigningKey {
    let file = std::fs::read(kit.folder.path().join("token-key.json")).unwrap();
    let kept: serde_json::Value = serde_json::from_slice(&file).unwrap();
    let seed = base64url::decode(kept["seed"].as_str().unwrap()).unwrap();
    SigningKey::from_bytes(&seed.try_into().unwrap())
}

fn patient(config: &mut Config) {
    let much = "1000000".parse().unwrap();
    let limits = &mut config.limits;
    (limits.token, limits.account, limits.stranger) = (much, much, much);
}

#[tokio::test]
async fn p19_what_is_in_a_stolen_sqlite_opens_nothing() {
    let kit = Kit::with(patient).await;
    let victim = Victim::of(&kit).await;
    let database = kit.database();
    let columns: Vec<(String, String)> = database
        .prepare(
            "SELECT m.name, c.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c
             WHERE m.type = 'table' AND c.type IN ('BLOB', 'TEXT')",
        )
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let mut loot = Loot::new();
    for (table, column) in columns {
        let sql = format!("SELECT CAST({column} AS BLOB) FROM {table} WHERE length({column}) BETWEEN 1 AND {LONGEST}");
        let mut found = database.prepare(&sql).unwrap();
        loot.extend(found.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap().map(Result::unwrap));
    }
    drop(database);
    opens_nothing(&kit, &victim, loot).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p19_what_is_in_a_stolen_postgresql_opens_nothing() {
    let cluster = Cluster::shared();
    cluster.sql("postgres", "CREATE DATABASE stolen");
    let kit = Kit::with(|config| {
        patient(config);
        config.database = Database::Postgres(cluster.config("stolen"));
    })
    .await;
    let victim = Victim::of(&kit).await;
    let columns = "SELECT table_name || ' ' || column_name || ' ' || data_type FROM information_schema.columns
                   WHERE table_schema = 'public' AND data_type IN ('bytea', 'text')";
    let mut loot = Loot::new();
    for line in cluster.sql("stolen", columns).lines() {
        let [table, column, kind] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let bytes = if kind == "text" { format!("convert_to({column}, 'UTF8')") } else { column.to_owned() };
        let sql = format!("SELECT encode({bytes}, 'hex') FROM {table} WHERE length({column}) BETWEEN 1 AND {LONGEST}");
        for hex in cluster.sql("stolen", &sql).lines() {
            let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
            loot.insert(
                digits
                    .chunks(2)
                    .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
                    .collect(),
            );
        }
    }
    opens_nothing(&kit, &victim, loot).await;
}
