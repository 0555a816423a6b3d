//! Sockets: slow and oversized requests, versions, TLS, starting and stopping.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use reqwest::{Method, StatusCode};
use reqwest_websocket::{CloseCode, Message, Upgrade as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use waxwing_relay::{Config, StartError, Tls, start};
use waxwing_wire::api::RelayInfo;
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::{hash, ids};

use crate::kit::{Http, Kit, app, code};

#[tokio::test]
async fn what_every_answer_has() {
    let kit = Kit::new().await;
    for path in [
        "/healthz",
        "/v1/relay",
        "/.well-known/jwks.json",
        "/i",
        "/nothing",
        "/v1/accounts/nobody/chain",
        "/v1/transparency/checkpoint",
    ] {
        let answer = kit.http.get(path).await;
        assert_eq!(answer.headers()["waxwing-api"], "1", "{path}");
        assert_eq!(answer.headers()["cache-control"], "no-store", "{path}");
        assert!(answer.headers().contains_key("date"), "{path}");
    }
    assert_eq!(kit.http.get("/healthz").await.text().await.unwrap(), "ok");
    let info: RelayInfo = kit.http.get("/v1/relay").await.json().await.unwrap();
    assert_eq!((info.service.as_str(), info.api, info.audience), ("waxwing-relay", 1, kit.http.authority()));
    let page = kit.http.get("/i").await;
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none';"));
    let page = page.text().await.unwrap();
    assert!(page.contains("Open Waxwing and paste this link") && !page.contains("<script") && !page.contains("style"));
    assert_eq!(kit.http.get("/nothing").await.status(), StatusCode::NOT_FOUND);
    let wrong = kit.http.request(Method::DELETE, "/healthz").send().await.unwrap();
    assert_eq!(wrong.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn another_version_of_the_api_is_told_to_update() {
    let kit = Kit::new().await;
    let with = |version: &'static str| kit.http.request(Method::GET, "/healthz").header("waxwing-api", version).send();
    assert_eq!(with("1").await.unwrap().status(), StatusCode::OK);
    for other in ["0", "2", "4294967295"] {
        let answer = with(other).await.unwrap();
        assert_eq!(answer.status(), StatusCode::UPGRADE_REQUIRED);
        assert_eq!(code(answer).await, ProblemCode::UpdateNeeded);
    }
    assert_eq!(code(with("one").await.unwrap()).await, ProblemCode::BadRequest);
}

/// How long the relay keeps a connection on which `start` was sent, then a byte now and then.
async fn kept(kit: &Kit, start: &[u8]) -> Duration {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(kit.address()).await.unwrap();
    stream.write_all(start).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let drip = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if write.write_all(b"a").await.is_err() {
                return;
            }
        }
    });
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(10), read.read_to_end(&mut rest)).await.expect("kept for ever");
    drip.abort();
    begun.elapsed()
}

/// A3: headers and bodies that never end are cut off, and cost nobody else anything.
#[tokio::test]
async fn a3_slowloris() {
    let kit = Kit::with(|config| {
        config.limits.timeouts.header = Duration::from_millis(500);
        config.limits.timeouts.request = Duration::from_millis(800);
    })
    .await;
    let body = b"POST /v1/accounts HTTP/1.1\r\nhost: x\r\ncontent-length: 10000\r\n\r\n";
    let (header, body, ()) = tokio::join!(kept(&kit, b"GET /healthz HTTP/1.1\r\nx: "), kept(&kit, body), async {
        assert_eq!(kit.http.get("/healthz").await.status(), StatusCode::OK);
    });
    assert!(header < Duration::from_secs(3), "{header:?}");
    assert!(body < Duration::from_secs(3), "{body:?}");
}

/// A3: oversized everything.
#[tokio::test]
async fn a3_huge_headers_and_targets() {
    let kit = Kit::new().await;
    let large = "x".repeat(20_000);
    let answer = kit.http.request(Method::GET, "/healthz").header("x-large", &large).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let answer = kit.http.get(&format!("/{large}")).await;
    assert!(answer.status().is_client_error());
    let mut many = kit.http.request(Method::GET, "/healthz");
    for i in 0..100 {
        many = many.header(format!("x-{i}"), "x");
    }
    assert_eq!(many.send().await.unwrap().status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(kit.http.get("/healthz").await.status(), StatusCode::OK);
}

/// A3: no more connections than there are places; a place that is free again is taken.
#[tokio::test]
async fn a3_connections_are_bounded() {
    let kit = Kit::with(|config| {
        config.limits.connections = 4;
        config.limits.timeouts.header = Duration::from_millis(700);
    })
    .await;
    let (mut silent, begun) = (Vec::new(), Instant::now());
    for _ in 0..4 {
        silent.push(TcpStream::connect(kit.address()).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(kit.http.get("/healthz").await.status(), StatusCode::OK);
    // Not before one of those who were first is let go.
    assert!(begun.elapsed() > Duration::from_millis(600), "{:?}", begun.elapsed());
}

/// A client that does not read its answers is let go, and what it was to get with it.
#[tokio::test]
async fn a3_who_does_not_read_is_let_go() {
    let kit = Kit::with(|config| config.limits.timeouts.write = Duration::from_millis(300)).await;
    let alice = kit.account("alice").await;
    let log = kit.log(&alice).await;
    for _ in 0..8 {
        kit.http.stored(&log, &app(0, &vec![0; 500_000])).await;
    }
    let token = waxwing_wire::api::base64url::encode(&log.read);
    let request =
        format!("GET /v1/logs/{}/entries HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n", log.id);
    let mut stream = TcpStream::connect(kit.address()).await.unwrap();
    stream.write_all(request.repeat(10).as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut rest = Vec::new();
    let read =
        tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await.expect("still sending");
    assert!(read.is_err() || rest.len() < 30_000_000, "everything came: {}", rest.len());
}

#[tokio::test]
async fn a_graceful_stop_finishes_what_is_under_way() {
    let mut kit = Kit::with(|config| config.limits.timeouts.drain = Duration::from_secs(5)).await;
    let alice = kit.account("alice").await;
    let log = kit.log(&alice).await;
    let socket = kit.http.request(Method::GET, "/v1/subscribe").upgrade().send().await.unwrap();
    let mut socket = socket.into_websocket().await.unwrap();
    // A request whose body is still coming, and a connection that says nothing.
    let append = app(0, b"under way").encode();
    let token = waxwing_wire::api::base64url::encode(&log.write);
    let head = format!(
        "POST /v1/logs/{}/entries HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n",
        log.id,
        append.len()
    );
    let mut half = TcpStream::connect(kit.address()).await.unwrap();
    half.write_all(head.as_bytes()).await.unwrap();
    half.write_all(&append[..10]).await.unwrap();
    let _silent = TcpStream::connect(kit.address()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let begun = Instant::now();
    let address = kit.address();
    let stopping = tokio::spawn(kit.take().stop());
    let closed = tokio::time::timeout(Duration::from_secs(3), async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close { code, .. })) => return code,
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    });
    assert_eq!(closed.await.expect("not closed"), CloseCode::Away);
    assert!(TcpStream::connect(address).await.is_err(), "still accepting");
    half.write_all(&append[10..]).await.unwrap();
    let mut answer = String::new();
    half.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    stopping.await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    // Everything is in the database file itself.
    assert!(!kit.folder.path().join("relay.db-wal").exists());
}

#[tokio::test]
async fn restarted_it_is_the_same_relay() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::new("127.0.0.1:0".parse().unwrap(), folder.path().to_owned());
    let first = start(config.clone()).await.unwrap();
    assert!(matches!(start(config.clone()).await, Err(StartError::InUse)));
    let keys = Http::new(&first.base_url()).get("/.well-known/jwks.json").await.text().await.unwrap();
    first.stop().await;
    let second = start(config).await.unwrap();
    assert_eq!(Http::new(&second.base_url()).get("/.well-known/jwks.json").await.text().await.unwrap(), keys);
    second.stop().await;
}

#[tokio::test]
async fn plain_http_is_for_loopback_alone() {
    let folder = tempfile::tempdir().unwrap();
    let refused = async |listen: &str, tls: Tls, audience: Option<&str>| {
        let mut config = Config::new(listen.parse().unwrap(), folder.path().to_owned());
        config.tls = tls;
        config.audience = audience.map(str::to_owned);
        start(config).await.map(|_| ()).unwrap_err()
    };
    assert!(matches!(refused("0.0.0.0:0", Tls::Off, Some("relay.example")).await, StartError::PlainHttp(_)));
    assert!(matches!(refused("[::]:0", Tls::Off, None).await, StartError::PlainHttp(_)));
    assert!(matches!(refused("0.0.0.0:0", Tls::SelfSigned, None).await, StartError::NoAudience(_)));
    assert!(matches!(refused("127.0.0.1:0", Tls::Off, Some("http://x")).await, StartError::BadAudience));
    let files = Tls::Files { certificate: "/nonexistent".into(), key: "/nonexistent".into() };
    assert!(matches!(refused("127.0.0.1:0", files, None).await, StartError::Tls(_)));
}

#[tokio::test]
async fn a_self_signed_certificate_is_kept_and_its_pin_is_its_hash() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::new("127.0.0.1:0".parse().unwrap(), folder.path().to_owned());
    config.tls = Tls::SelfSigned;
    let mut pins = Vec::new();
    for _ in 0..2 {
        let relay = start(config.clone()).await.unwrap();
        pins.push(relay.pin().unwrap());
        let client =
            reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(true).tls_info(true).build().unwrap();
        let mut http = Http::by(client, &relay.base_url());
        let answer = http.get("/healthz").await;
        let info = answer.extensions().get::<reqwest::tls::TlsInfo>().unwrap();
        assert_eq!(hash(&[info.peer_certificate().unwrap()]), relay.pin().unwrap());
        // A client that checks certificates the usual way does not connect.
        http.client = reqwest::Client::builder().no_proxy().build().unwrap();
        assert!(http.request(Method::GET, "/healthz").send().await.is_err());
        assert!(relay.base_url().starts_with("https://"));
        relay.stop().await;
    }
    assert_eq!(pins[0], pins[1]);
    assert_eq!(ids::to_hex(&pins[0]).len(), 64);
}

#[tokio::test]
async fn a_tls_handshake_that_does_not_come_is_cut_off() {
    let kit = Kit::with(|config| {
        config.tls = Tls::SelfSigned;
        config.limits.timeouts.handshake = Duration::from_millis(300);
    })
    .await;
    let mut stream = TcpStream::connect(kit.address()).await.unwrap();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
    assert!(matches!(ended.expect("kept for ever"), Ok(0) | Err(_)));
}
