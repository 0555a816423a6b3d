//! Clients that want too much of the relay, or to know too much from it (A3, A5).

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Method, StatusCode};
use reqwest_websocket::Message;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpSocket, TcpStream};
use waxwing_relay::{Config, Rate};
use waxwing_wire::BlobId;
use waxwing_wire::api::{ACCESS_KEY_HEADER, Subscribe, base64url};
use waxwing_wire::frame::{ClaimKeyPackages, ClaimedKeyPackages, InboxSend, UploadKeyPackages};
use waxwing_wire::log::{EnvelopeKind, token_hash};
use waxwing_wire::problem::ProblemCode;

use crate::cluster::Cluster;
use crate::kit::{Account, Http, Kit, Log, app, code, random};
use crate::nats::NatsServer;
use crate::process::{PROGRAM, Running, url};
use crate::subscribe::connect;

const SOON: Duration = Duration::from_secs(10);

/// Whether the relay closes the connection without a word.
async fn shut_at_once(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    matches!(tokio::time::timeout(SOON, stream.read(&mut byte)).await, Ok(Ok(0) | Err(_)))
}

/// A3: one address takes no more than its places, whatever it does; others are served meanwhile.
#[tokio::test]
async fn a3_connection_flood_of_one_address() {
    let kit = Kit::with(|config| {
        config.limits.connections_per_address = 8;
        // None of them gives its place back by itself.
        config.limits.timeouts.header = Duration::from_secs(120);
        config.operator = Some("127.0.0.1:0".parse().unwrap());
    })
    .await;
    let mut silent = Vec::new();
    for _ in 0..8 {
        silent.push(TcpStream::connect(kit.address()).await.unwrap());
    }
    for _ in 0..20 {
        assert!(shut_at_once(&mut TcpStream::connect(kit.address()).await.unwrap()).await);
    }
    // From another address of this computer.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = socket.connect(kit.address()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut other, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    tokio::time::timeout(SOON, other.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    let metrics = kit.operator().get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("waxwing_relay_crowded_connections_total 20"), "{metrics}");
    assert!(kit.admin(&["audit"]).await.unwrap().contains("connection-limit address="));
    // A place that is given back is taken.
    silent.clear();
    let until = tokio::time::Instant::now() + SOON;
    while kit.http.request(Method::GET, "/healthz").send().await.is_err() {
        assert!(tokio::time::Instant::now() < until, "no place was given back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A3: a header that anybody can write moves nobody's allowance; one that a trusted proxy wrote does.
#[tokio::test]
async fn a3_forged_forwarded_for() {
    let narrow = |config: &mut Config| config.limits.lookup = Rate { per_minute: 1, burst: 2 };
    let look_up = async |kit: &Kit, forwarded: &str| {
        let request = kit.http.request(Method::GET, "/v1/accounts/nobody/chain");
        request.header("x-forwarded-for", forwarded).send().await.unwrap().status()
    };
    let kit = Kit::with(narrow).await;
    let statuses =
        [look_up(&kit, "198.51.100.1").await, look_up(&kit, "198.51.100.2").await, look_up(&kit, "198.51.100.3").await];
    assert_eq!(statuses, [StatusCode::NOT_FOUND, StatusCode::NOT_FOUND, StatusCode::TOO_MANY_REQUESTS]);
    let kit = Kit::with(|config| {
        narrow(config);
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        // Not counted: all of them come from the proxy.
        config.limits.connections_per_address = 0;
    })
    .await;
    for _ in 0..2 {
        assert_eq!(look_up(&kit, "198.51.100.1").await, StatusCode::NOT_FOUND);
    }
    for forged in ["198.51.100.1", "203.0.113.7, 198.51.100.1", "127.0.0.1, 198.51.100.1", "x, 198.51.100.1"] {
        assert_eq!(look_up(&kit, forged).await, StatusCode::TOO_MANY_REQUESTS, "{forged}");
    }
    assert_eq!(look_up(&kit, "198.51.100.1, 198.51.100.2").await, StatusCode::NOT_FOUND);
}

/// As through a trusted proxy, from an address of its own for each `n`.
async fn from_another_address(kit: &Kit, method: Method, path: &str, n: u8) -> reqwest::Response {
    let request = kit.http.request(method, path).header("x-forwarded-for", format!("198.51.100.{n}"));
    request.send().await.unwrap()
}

/// What a limit refuses is typed, and says when to come again.
async fn is_too_often(answer: reqwest::Response) {
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    let seconds: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    let problem = crate::kit::problem(answer).await;
    assert_eq!((problem.code, problem.retry_after), (ProblemCode::RateLimited, Some(seconds)));
    assert!((1..=60).contains(&seconds), "{seconds}");
}

/// P15: with however many addresses somebody asks, registers or writes, all together get so much and no more.
#[tokio::test]
async fn p15_many_addresses_have_one_allowance_in_total() {
    type Adjust = fn(&mut waxwing_relay::Limits, Rate);
    let inbox = format!("/v1/inboxes/{}", waxwing_wire::DeviceId::from_bytes([7; 16]));
    let cases: [(Adjust, Method, &str); 5] = [
        (|limits, rate| limits.registration_total = rate, Method::POST, "/v1/accounts"),
        (|limits, rate| limits.token_total = rate, Method::POST, "/oauth/token"),
        (|limits, rate| limits.lookup_total = rate, Method::GET, "/v1/accounts/nobody/chain"),
        (|limits, rate| limits.stranger_total = rate, Method::POST, &inbox),
        (|limits, rate| limits.claim_total = rate, Method::POST, "/v1/key-packages/claim"),
    ];
    for (adjust, method, path) in cases {
        let kit = Kit::with(|config| {
            config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
            adjust(&mut config.limits, Rate { per_minute: 1, burst: 3 });
        })
        .await;
        for n in 1..=3 {
            let status = from_another_address(&kit, method.clone(), path, n).await.status();
            assert!(status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS, "{path}: {status}");
        }
        for n in 1..=5 {
            is_too_often(from_another_address(&kit, method.clone(), path, n).await).await;
        }
        // Only that.
        assert_eq!(kit.http.get("/healthz").await.status(), StatusCode::OK);
    }
}

/// A3: whatever one address asks, with or without a token that is good, there is an end to it; others are served meanwhile.
#[tokio::test]
async fn a3_one_address_asks_so_often_and_no_more() {
    let kit = Kit::with(|config| {
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        config.limits.address = Rate { per_minute: 1, burst: 4 };
    })
    .await;
    let entries = format!("/v1/logs/{}/entries", waxwing_wire::LogId::from_bytes([7; 16]));
    for path in ["/healthz", &entries, "/v1/key-packages", "/nowhere"] {
        assert_ne!(from_another_address(&kit, Method::GET, path, 1).await.status(), StatusCode::TOO_MANY_REQUESTS);
    }
    for path in ["/healthz", &entries, "/v1/key-packages", "/nowhere"] {
        is_too_often(from_another_address(&kit, Method::GET, path, 1).await).await;
    }
    assert_eq!(from_another_address(&kit, Method::GET, "/healthz", 2).await.status(), StatusCode::OK);
}

/// A3: bodies and frames that are too large are refused, and the relay goes on.
#[tokio::test]
async fn a3_huge_bodies_and_frames() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let log = kit.log(&alice).await;
    let large = vec![b'x'; 3 * 1024 * 1024];
    for path in ["/v1/accounts", "/oauth/token"] {
        let answer = kit.http.request(Method::POST, path).body(large.clone()).send().await;
        // Either the answer is read, or the relay had heard enough.
        if let Ok(answer) = answer {
            assert_eq!(code(answer).await, ProblemCode::TooLarge, "{path}");
        }
    }
    let append = kit.http.request(Method::POST, &format!("/v1/logs/{}/entries", log.id));
    let append = append.bearer_auth(base64url::encode(&log.write)).body(large);
    if let Ok(answer) = append.send().await {
        assert_eq!(code(answer).await, ProblemCode::TooLarge);
    }
    assert_eq!(kit.http.page(&log, 0).await.head, 0);
    for text in ["x".repeat(4 * 1024 * 1024), "[".repeat(100_000)] {
        let mut socket = connect(&kit).await;
        let _ = socket.send(Message::Text(text)).await;
        let ended = tokio::time::timeout(SOON, async {
            // Closed with a reason, or cut off in the middle of what was still coming.
            while let Some(Ok(message)) = socket.next().await {
                assert!(!matches!(message, Message::Binary(_)), "{message:?}");
            }
        });
        ended.await.expect("still open");
    }
    assert_eq!(kit.http.get("/healthz").await.status(), StatusCode::OK);
}

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
    {
        use reqwest_websocket::Upgrade as _;
        let socket = http.authed(&alice, Method::GET, "/v1/subscribe").upgrade().send().await.unwrap();
        let mut socket = socket.into_websocket().await.unwrap();
        let follow = Subscribe { logs: Vec::new(), inbox: true, transparency: true };
        crate::subscribe::ask_for(&mut socket, &follow).await;
        crate::subscribe::push(&mut socket).await;
    }
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
