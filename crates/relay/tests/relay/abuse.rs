//! Clients that want too much of the relay (A3).

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Method, StatusCode};
use reqwest_websocket::Message;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpSocket, TcpStream};
use waxwing_relay::{Config, Rate};
use waxwing_wire::api::base64url;
use waxwing_wire::problem::ProblemCode;

use crate::kit::{Kit, code};
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
