//! What a relay writes down names nobody (A5): its log, its metrics and its audit log.

use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::{Method, StatusCode};
use reqwest_websocket::Upgrade as _;
use waxwing_wire::BlobId;
use waxwing_wire::api::{ACCESS_KEY_HEADER, Subscribe, base64url};
use waxwing_wire::frame::{ClaimKeyPackages, ClaimedKeyPackages, InboxSend, Push, UploadKeyPackages};
use waxwing_wire::log::{EnvelopeKind, token_hash};

use crate::cluster::Cluster;
use crate::kit::{Account, Http, Log, app, random};
use crate::nats::NatsServer;
use crate::process::{PROGRAM, Running, url};
use crate::subscribe::{ask_for, push, to};

const SOON: Duration = Duration::from_secs(10);

/// The secrets of an exchange, in every spelling that could get into a log.
struct Secrets(Vec<(&'static str, String)>);

impl Secrets {
    fn found_in(&self, text: &str) -> Vec<&'static str> {
        self.0.iter().filter(|(_, secret)| text.contains(secret)).map(|(name, _)| *name).collect()
    }
}

#[tokio::test]
async fn a5_logs_metrics_and_audit_name_nobody() {
    logs_metrics_and_audit_name_nobody(None, None).await;
}

/// A5: the same over PostgreSQL and NATS, whose drivers would print what they store and tell at their levels `debug` and `trace` if anybody listened;
/// their addresses are secrets, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a5_logs_metrics_and_audit_name_nobody_over_postgresql() {
    let (cluster, nats) = (Cluster::shared(), NatsServer::start());
    cluster.sql("postgres", "CREATE DATABASE nobody");
    let spy = nats.client().await;
    let mut told = spy.subscribe(">").await.unwrap();
    spy.flush().await.unwrap();
    logs_metrics_and_audit_name_nobody(Some(&cluster.url("nobody")), Some(&nats.url())).await;
    let told = tokio::time::timeout(SOON, told.next()).await;
    assert!(told.is_ok_and(|message| message.is_some()), "nothing was told of over NATS");
    assert_eq!(cluster.sql("nobody", "SELECT count(*) FROM accounts").trim(), "2", "it was all stored there");
}

/// Where they come from.
const SOCKET: &str = "127.0.0.77";

/// A5: logs, metrics and audit log of a relay that people talk over hold no id, address or token. The search is proved by planting each.
async fn logs_metrics_and_audit_name_nobody(database: Option<&str>, nats: Option<&str>) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(PROGRAM);
    command.envs(database.map(|url| ("WAXWING_RELAY_DATABASE_URL", url)));
    command.args(["serve", "--listen", "127.0.0.1:0", "--operator-listen", "0", "--log", "trace", "--data"]);
    command.arg(folder.path()).args(["--rate-lookup", "1/5", "--trusted-proxies", SOCKET]);
    let nats_file = folder.path().join("nats");
    if let Some(nats) = nats {
        std::fs::write(&nats_file, nats).unwrap();
        command.arg("--nats-url-file").arg(&nats_file);
    }
    command.args(["--audience", "localhost:1"]);
    let (mut relay, lines) = Running::of(command, 2);
    // Trace of everything is more than a pipe holds.
    let mut stderr = relay.0.stderr.take().unwrap();
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut stderr, &mut text).unwrap();
        text
    });
    // From another address than the one that the relay and NATS listen on, which are no secrets.
    let client = reqwest::Client::builder().no_proxy().local_address(Some(SOCKET.parse().unwrap())).build().unwrap();
    let http = Http::by(client, &url(&lines[..1]));
    let mut alice = Account::new("alicewonder", "localhost:1");
    assert_eq!(http.register(&alice).await.status(), StatusCode::CREATED);
    alice.token = http.token(&alice).await;
    let (log, key, invitation): (_, [u8; 16], [u8; 16]) = (Log::new(), random(), random());
    let client = "198.51.100.77";
    let put = format!("{{\"hashes\":[\"{}\"]}}", base64url::encode(&token_hash(&key)));
    http.authed(&alice, Method::PUT, "/v1/access-keys").body(put).send().await.unwrap();
    http.authed(&alice, Method::POST, "/v1/logs").body(log.create().encode()).send().await.unwrap();
    http.stored(&log, &app(0, b"a text that is nobody's business")).await;
    http.page(&log, 0).await;
    http.append(log.id, b"wrong", &app(0, b"x")).await;
    let envelope_id = waxwing_wire::EnvelopeId::from_bytes(random());
    let send = InboxSend { entry_id: envelope_id, kind: EnvelopeKind::Welcome, blob: b"letter".to_vec() };
    let sent = http.request(Method::POST, &format!("/v1/inboxes/{}", alice.device));
    let sent = sent.header(ACCESS_KEY_HEADER, base64url::encode(&key)).body(send.encode()).send().await.unwrap();
    assert_eq!(sent.status(), StatusCode::CREATED);
    let blob = random::<64>().repeat(40);
    let blob_id = BlobId::of(&blob);
    let blob_path = format!("/v1/blobs/{blob_id}");
    let stored = http.authed(&alice, Method::PUT, &blob_path).body(blob.clone()).send().await.unwrap();
    assert_eq!(stored.status(), StatusCode::CREATED);
    assert_eq!(http.get(&blob_path).await.bytes().await.unwrap(), blob);
    let (package, claim): ([u8; 64], [u8; 16]) = (random(), random());
    let upload = UploadKeyPackages { replace: false, last_resort: None, packages: vec![package.to_vec()] };
    let uploaded = http.authed(&alice, Method::POST, "/v1/key-packages").body(upload.encode()).send().await.unwrap();
    assert_eq!(uploaded.status(), StatusCode::CREATED);
    let claiming = ClaimKeyPackages { account: alice.id, claim };
    let claimed = http.request(Method::POST, "/v1/key-packages/claim");
    let claimed = claimed.header(ACCESS_KEY_HEADER, base64url::encode(&key)).body(claiming.encode()).send().await;
    let claimed = ClaimedKeyPackages::decode(&claimed.unwrap().bytes().await.unwrap()).unwrap();
    assert_eq!(claimed.devices[0].package, package);
    // With other keys of the device in force another token is needed.
    let old = alice.token.clone();
    let old_key = alice.keys.relay_auth.verifying_key().to_bytes();
    let rotation = alice.rotation();
    let next = waxwing_wire::api::SubmitEntry { entry: waxwing_wire::api::EntryBytes(rotation.0.clone()) };
    let chain = format!("/v1/accounts/{}/chain", alice.id);
    let rotated = http.authed(&alice, Method::POST, &chain).json(&next).send().await.unwrap();
    assert_eq!(rotated.status(), StatusCode::CREATED);
    alice.adopt(rotation);
    let refused = http.authed(&alice, Method::GET, "/v1/key-packages").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    alice.token = http.token(&alice).await;
    let new_key = alice.keys.relay_auth.verifying_key().to_bytes();
    let entry = waxwing_wire::chain::ChainEntry::decode(&alice.chain[1]).unwrap().hash();
    for _ in 0..8 {
        let chain = http.request(Method::GET, "/v1/accounts/alicewonder/chain").header("x-forwarded-for", client);
        chain.send().await.unwrap();
    }
    let other = Account::new("bobwonder", "localhost:1");
    let body = waxwing_wire::api::SubmitEntry { entry: waxwing_wire::api::EntryBytes(other.chain[0].clone()) };
    let refused = http.request(Method::POST, "/v1/accounts").json(&body);
    refused.header("waxwing-registration", base64url::encode(&invitation)).send().await.unwrap();
    let subscribing = async |request: reqwest::RequestBuilder, follow: Subscribe| {
        let mut socket = request.upgrade().send().await.unwrap().into_websocket().await.unwrap();
        ask_for(&mut socket, &follow).await;
        assert_eq!(push(&mut socket).await, Push::Ready);
        socket
    };
    let own = http.authed(&alice, Method::GET, "/v1/subscribe");
    let own = subscribing(own, Subscribe { logs: Vec::new(), inbox: true, transparency: true }).await;
    // As logs are followed: by somebody without a name. Until the relay stops.
    let anybody = http.request(Method::GET, "/v1/subscribe");
    let logs = vec![to(&log)];
    let mut anybody = subscribing(anybody, Subscribe { logs, inbox: false, transparency: false }).await;
    let followed = app(0, b"what is told to those who follow");
    http.stored(&log, &followed).await;
    match push(&mut anybody).await {
        Push::Log { log: told, entry: Some(entry), .. } => {
            assert_eq!((told, entry.entry_id, &entry.blob), (log.id, followed.entry_id, &followed.blob));
        }
        other => panic!("{other:?}"),
    }
    drop(own);
    let proof = http.proof(&alice, "GET", "/v1/key-packages", Some(&alice.token));
    for _ in 0..2 {
        let replayed = http.request(Method::GET, "/v1/key-packages");
        let replayed = replayed.header("authorization", format!("DPoP {}", alice.token)).header("dpop", &proof);
        replayed.send().await.unwrap();
    }
    let admin = |arguments: &[&str]| {
        let mut command = std::process::Command::new(PROGRAM);
        crate::process::run(command.args(["admin", "--data"]).arg(folder.path()).args(arguments))
    };
    assert!(admin(&["disable", "alicewonder"]).status.success());
    http.authed(&alice, Method::GET, "/v1/key-packages").send().await.unwrap();
    let operator = Http::new(lines[1].strip_prefix("operator ").unwrap());
    let metrics = operator.get("/metrics").await.text().await.unwrap();
    relay.signal("-TERM");
    assert!(relay.0.wait().unwrap().success());
    let log_text = reading.join().unwrap();
    let audit = std::fs::read_to_string(folder.path().join("audit.log")).unwrap();

    let hex = waxwing_wire::ids::to_hex;
    let mut secrets = vec![
        ("name", "alicewonder".to_owned()),
        ("other name", "bobwonder".to_owned()),
        ("account", alice.id.to_string()),
        ("device", alice.device.to_string()),
        ("log", log.id.to_string()),
        ("envelope", envelope_id.to_string()),
        ("access token", alice.token.clone()),
        ("the one before", old),
        ("blob", blob_id.to_string()),
        ("proof", proof),
        ("address", client.to_owned()),
        ("socket address", SOCKET.to_owned()),
        ("text", "a text that is nobody's business".to_owned()),
        ("followed text", "what is told to those who follow".to_owned()),
        ("followed envelope", followed.entry_id.to_string()),
    ];
    if let Some(database) = database {
        secrets.push(("database address", database.to_owned()));
        secrets.push(("database password", "hunter2".to_owned()));
    }
    if let Some(nats) = nats {
        secrets.push(("NATS address", nats.to_owned()));
        secrets.push(("NATS password", "p@ssword".to_owned()));
        secrets.push(("NATS password as it is written", "p%40ssword".to_owned()));
    }
    for (name, secret) in [
        ("write token", log.write.as_slice()),
        ("read token", &log.read),
        ("access key", &key),
        ("invitation", &invitation),
        ("hash of the write token", &token_hash(&log.write)),
        ("hash of the read token", &token_hash(&log.read)),
        ("hash of the access key", &token_hash(&key)),
        ("account bytes", alice.id.as_bytes()),
        ("device bytes", alice.device.as_bytes()),
        ("log bytes", log.id.as_bytes()),
        ("envelope bytes", envelope_id.as_bytes()),
        ("bytes of the followed envelope", followed.entry_id.as_bytes()),
        ("bytes of the followed text", followed.blob.as_slice()),
        ("blob id", blob_id.as_bytes()),
        ("bytes of the blob", &blob[..32]),
        ("key package", &package),
        ("claim", &claim),
        ("key of the device", &old_key),
        ("next key of the device", &new_key),
        ("hash of the chain entry", &entry),
    ] {
        secrets.push((name, base64url::encode(secret)));
        secrets.push((name, hex(secret)));
        // As Debug has them.
        secrets.push((name, format!("{secret:?}").trim_matches(['[', ']']).to_owned()));
    }
    let secrets = Secrets(secrets);
    for (what, text, control) in [
        ("log", &log_text, "stopping"),
        ("metrics", &metrics, "endpoint=\"/v1/logs/{log}/entries\",status=\"2xx\""),
        ("audit", &audit, "admin-disabled account="),
        ("audit", &audit, "rate-limit address="),
        ("audit", &audit, "token-refused address="),
    ] {
        // It is the right text, and of this exchange.
        assert!(text.contains(control), "{control} in {what}: {text}");
        assert_eq!(secrets.found_in(text), Vec::<&str>::new(), "{what}: {text}");
        // And the search would have found each of them.
        for (name, secret) in &secrets.0 {
            let planted = format!("{text}\nplanted={secret};");
            assert!(secrets.found_in(&planted).contains(name), "{name}");
        }
    }
}
