//! Against a small server that asks for nonces, as a relay may and as it must not.

use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use waxwing_protocol::{DeviceKeys, DeviceSeeds};
use waxwing_wire::limits::MAX_DPOP_NONCE;
use waxwing_wire::token::DpopProof;
use waxwing_wire::{API_VERSION, AccountId, DeviceId};

use super::super::clock::{Here, RelayClock};
use super::*;
use crate::random;

const TOKEN: &str = "/oauth/token";
const PATH: &str = "/v1/access-keys";
/// The servers' time where a test does not set it.
const DATE: &str = "Fri, 15 Jan 2027 08:00:00 GMT";
const DATE_S: u64 = 1_800_000_000;

/// A request, as the server has seen it.
#[derive(Debug, Clone, Default)]
struct Asked {
    path: String,
    body: String,
    /// Of its proof, if it has one.
    proof: Option<DpopProof>,
}

impl Asked {
    fn nonce(&self) -> Option<&str> {
        self.proof.as_ref()?.nonce.as_deref()
    }

    async fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        let (head, length) = loop {
            assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "the client has gone");
            let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let length = field(&head, "content-length").map_or(0, |length| length.parse().unwrap());
            bytes.drain(..end + 4);
            break (head, length);
        };
        while bytes.len() < length {
            assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "the client has gone");
        }
        let path = head.split(' ').nth(1).unwrap().to_owned();
        // The claims alone: what else a proof needs is the wire crate's to test.
        let proof = field(&head, "dpop").map(|proof| {
            let claims = waxwing_wire::api::base64url::decode(proof.split('.').nth(1).unwrap()).unwrap();
            serde_json::from_slice(&claims).unwrap()
        });
        Self { path, body: String::from_utf8(bytes).unwrap(), proof }
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// What is answered: a status, headers besides those of every answer, a body.
type Answer = (u16, Vec<String>, String);

fn nonce(value: &str) -> String {
    format!("DPoP-Nonce: {value}")
}

fn problem(status: u16, code: &str, headers: Vec<String>) -> Answer {
    (status, headers, format!(r#"{{"code":"{code}","status":{status},"title":""}}"#))
}

fn wants(asked: &Asked, headers: Vec<String>) -> Answer {
    problem(if asked.path == TOKEN { 400 } else { 401 }, "use_dpop_nonce", headers)
}

/// Whatever a relay answers where all is well.
fn well(asked: &Asked, headers: Vec<String>) -> Answer {
    let body = match asked.path.as_str() {
        "/v1/relay" => r#"{"service":"waxwing-relay","version":"1","api":1,"audience":"x"}"#,
        TOKEN => r#"{"access_token":"a.b.c","token_type":"DPoP","expires_in":600}"#,
        _ => "",
    };
    (if body.is_empty() { 204 } else { 200 }, headers, body.to_owned())
}

struct Server {
    api: RelayApi,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// A server that answers as `answer` says, and whoever speaks to it as a device.
    async fn new(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string().parse().unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let seen = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let asked = Asked::read(&mut stream).await;
                let (status, headers, body) = answer(&asked);
                seen.lock().unwrap().push(asked);
                let dated = headers.iter().any(|header| header.starts_with("Date:"));
                let date = if dated { String::new() } else { format!("Date: {DATE}\r\n") };
                let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
                let length = body.len();
                let text = format!(
                    "HTTP/1.1 {status} x\r\nwaxwing-api: {API_VERSION}\r\n{date}{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
                let _ = stream.write_all(text.as_bytes()).await;
            }
        });
        let seeds = DeviceSeeds::generate(&mut random::rng());
        let keys = DeviceKeys::new(DeviceId::from_bytes(random::bytes()), 1, seeds).unwrap();
        let credentials = Credentials::new(AccountId::from_bytes(random::bytes()), &keys);
        Self { api: RelayApi::new(address, Path::new("nowhere"), Some(Arc::new(credentials))).unwrap(), asked }
    }

    async fn put(&self, body: &str) -> Result<(), ApiError> {
        self.api.authenticated(Method::PUT, PATH, "application/json", body.as_bytes().to_vec()).await.map(|_| ())
    }

    /// What was asked since the last time, but for the relay's information.
    fn asked(&self) -> Vec<Asked> {
        let mut all = std::mem::take(&mut *self.asked.lock().unwrap());
        all.retain(|asked| asked.path != "/v1/relay");
        all
    }
}

fn seen(asked: &[Asked]) -> Vec<(&str, Option<&str>)> {
    asked.iter().map(|asked| (asked.path.as_str(), asked.nonce())).collect()
}

#[tokio::test]
async fn a_nonce_that_is_asked_for_is_used_from_then_on_until_there_is_a_newer_one() {
    let turn = Arc::new(AtomicU64::new(1));
    let newest = Arc::clone(&turn);
    let server = Server::new(move |asked| {
        let newest = newest.load(Ordering::Relaxed);
        match (asked.path.as_str(), asked.nonce()) {
            ("/v1/relay", _) => well(asked, Vec::new()),
            (_, Some(given)) if *given == format!("n{newest}") => well(asked, Vec::new()),
            // The one before is good still, and the answer has the new one.
            (_, Some(given)) if *given == format!("n{}", newest - 1) => well(asked, vec![nonce(&format!("n{newest}"))]),
            _ => wants(asked, vec![nonce(&format!("n{newest}"))]),
        }
    })
    .await;
    assert_eq!(server.put("one").await, Ok(()));
    let asked = server.asked();
    assert_eq!(seen(&asked), [(TOKEN, None), (TOKEN, Some("n1")), (PATH, Some("n1"))]);
    // The same assertion, in another proof.
    assert_eq!(asked[0].body, asked[1].body);
    let ids: Vec<_> = asked.iter().map(|asked| asked.proof.as_ref().unwrap().jti.clone()).collect();
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
    assert_eq!(server.put("two").await, Ok(()));
    assert_eq!(seen(&server.asked()), [(PATH, Some("n1"))]);
    turn.store(2, Ordering::Relaxed);
    for expected in ["n1", "n2"] {
        assert_eq!(server.put("three").await, Ok(()));
        assert_eq!(seen(&server.asked()), [(PATH, Some(expected))]);
    }
    // Long after: none that is known is good.
    turn.store(9, Ordering::Relaxed);
    assert_eq!(server.put("four").await, Ok(()));
    let asked = server.asked();
    assert_eq!(seen(&asked), [(PATH, Some("n2")), (PATH, Some("n9"))]);
    assert!(asked.iter().all(|asked| asked.body == "four"));
}

/// P18: a relay that is never content is asked twice and no more, and what comes of it is an error like any other.
#[tokio::test]
async fn p18_a_relay_that_always_wants_another_nonce_ends_in_an_error() {
    let refused = |outcome: Result<(), ApiError>| {
        let error = outcome.unwrap_err();
        assert_eq!(error.problem(), Some(ProblemCode::UseDpopNonce));
        assert_eq!(crate::Error::from(error).code(), crate::error::ErrorCode::RelayMisbehaved);
    };
    let count = AtomicU64::new(0);
    let fresh = move || nonce(&format!("n{}", count.fetch_add(1, Ordering::Relaxed)));
    let server = Server::new(move |asked| match asked.path.as_str() {
        "/v1/relay" => well(asked, Vec::new()),
        _ => wants(asked, vec![fresh()]),
    })
    .await;
    refused(server.put("x").await);
    assert_eq!(seen(&server.asked()), [(TOKEN, None), (TOKEN, Some("n0"))]);

    let server = Server::new(|asked| match asked.path.as_str() {
        "/v1/relay" | TOKEN => well(asked, Vec::new()),
        _ => wants(asked, vec![nonce("same")]),
    })
    .await;
    refused(server.put("x").await);
    assert_eq!(seen(&server.asked()), [(TOKEN, None), (PATH, None), (PATH, Some("same"))]);
    refused(server.api.subscribe(true).await.map(|_| ()));
    let twice = [("/v1/subscribe", Some("same")), ("/v1/subscribe", Some("same"))];
    assert_eq!(seen(&server.asked()), twice);
}

/// P18: what is no nonce (RFC 9449, section 8.1), is too long, or comes twice, is not sent back.
#[tokio::test]
async fn p18_what_is_no_nonce_is_not_taken() {
    let long = "n".repeat(MAX_DPOP_NONCE + 1);
    for bad in
        [vec![], vec![""], vec!["a b"], vec!["a\"b"], vec!["a\\b"], vec!["\u{e4}"], vec![long.as_str()], vec!["a", "b"]]
    {
        let headers: Vec<String> = bad.iter().copied().map(nonce).collect();
        let server = Server::new(move |asked| match (asked.path.as_str(), asked.nonce()) {
            ("/v1/relay", _) => well(asked, Vec::new()),
            (TOKEN, None) => wants(asked, vec![nonce("good")]),
            (TOKEN, Some("good")) => well(asked, headers.clone()),
            _ => wants(asked, headers.clone()),
        })
        .await;
        assert_eq!(server.put("x").await, Err(ApiError::Malformed("DPoP nonce")), "{bad:?}");
        assert_eq!(seen(&server.asked()), [(TOKEN, None), (TOKEN, Some("good")), (PATH, Some("good"))], "{bad:?}");
        let outcome = server.api.subscribe(true).await.map(|_| ());
        assert_eq!(outcome, Err(ApiError::Malformed("DPoP nonce")), "{bad:?}");
    }
}

/// What came over a connection without a name would say whose that was.
#[tokio::test]
async fn a_nonce_from_an_answer_to_no_proof_is_not_taken() {
    let server = Server::new(|asked| {
        let mark = if asked.proof.is_some() { Vec::new() } else { vec![nonce("marked")] };
        well(asked, mark)
    })
    .await;
    server.api.info().await.unwrap();
    assert!(server.api.subscribe(false).await.is_err());
    assert_eq!(server.put("x").await, Ok(()));
    let asked = server.asked();
    assert_eq!(seen(&asked), [("/v1/subscribe", None), (TOKEN, None), (PATH, None)]);
    assert!(asked[0].proof.is_none());
}

/// D8: the wall clock is set while the app runs, to whatever: proofs go by the relay's time.
#[tokio::test]
async fn d8_proofs_are_of_relay_time_whatever_becomes_of_the_wall_clock() {
    let mut server = Server::new(|asked| well(asked, Vec::new())).await;
    let wall_ms = Arc::new(AtomicI64::new(1_700_000_000_000));
    let read = Arc::clone(&wall_ms);
    let begun = std::time::Instant::now();
    let here = move || Here { wall_ms: read.load(Ordering::Relaxed), steady: begun.elapsed() };
    server.api.go_by(RelayClock::by(here));
    for wall in [1_700_000_000_000, 0, 4_000_000_000_000, -1, 1_800_000_000_000] {
        wall_ms.store(wall, Ordering::Relaxed);
        assert_eq!(server.put("x").await, Ok(()));
        for asked in server.asked() {
            let iat = asked.proof.unwrap().iat;
            assert!((DATE_S..DATE_S + 60).contains(&iat), "{iat} at {wall}");
        }
        assert_eq!(server.api.clock_error_ms().is_some(), wall != 1_800_000_000_000, "{wall}");
    }
}

/// D8: after a sleep that no clock of this computer has counted, the first refusal sets the time right, and the request goes through.
#[tokio::test]
async fn d8_a_refusal_sets_right_a_clock_that_stood_still() {
    const HOURS_LATER: &str = "Fri, 15 Jan 2027 16:00:00 GMT";
    let later = Arc::new(AtomicU64::new(0));
    let hours = Arc::clone(&later);
    let mut server = Server::new(move |asked| {
        let slept = hours.load(Ordering::Relaxed) > 0;
        let (date, now) = if slept { (HOURS_LATER, DATE_S + 8 * 3600) } else { (DATE, DATE_S) };
        let headers = vec![format!("Date: {date}")];
        match &asked.proof {
            Some(proof) if proof.iat.abs_diff(now) > 60 => problem(401, "unauthorized", headers),
            _ => well(asked, headers),
        }
    })
    .await;
    server.api.go_by(RelayClock::by(|| Here { wall_ms: 0, steady: Duration::from_secs(1) }));
    assert_eq!(server.put("x").await, Ok(()));
    later.store(1, Ordering::Relaxed);
    server.asked();
    assert_eq!(server.put("x").await, Ok(()));
    assert_eq!(seen(&server.asked()), [(PATH, None), (TOKEN, None), (PATH, None)]);
    // Of a subscription too.
    later.store(0, Ordering::Relaxed);
    assert!(server.api.subscribe(true).await.is_err());
    let paths: Vec<String> = server.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(paths, ["/v1/subscribe", TOKEN, "/v1/subscribe"]);
}
