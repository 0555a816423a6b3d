//! What clients can have the relay hold in memory (A3): pages that nobody reads, bodies, and messages of subscriptions that never end.

use std::time::{Duration, Instant};

use futures_util::SinkExt as _;
use reqwest::{Method, StatusCode};
use reqwest_websocket::{CloseCode, Message};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use waxwing_wire::api::{Subscribe, base64url};
use waxwing_wire::frame::Push;
use waxwing_wire::problem::ProblemCode;

use crate::kit::{Kit, Log, app, problem};
use crate::subscribe::{ask_for, closed_with, connect, push, to};

const LARGE: usize = 500_000;
const KIB: u64 = 1024;

/// A connection on which few bytes fit on their way, so that what is not read stays at the relay.
async fn narrow(kit: &Kit) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(kit.address()).await.unwrap()
}

/// A log with so many large entries.
async fn filled(kit: &Kit, entries: usize) -> Log {
    let alice = kit.account("alice").await;
    let log = kit.log(&alice).await;
    for _ in 0..entries {
        kit.http.stored(&log, &app(0, &vec![7; LARGE])).await;
    }
    log
}

/// Pages that are not read use the room up; then what is large is told to come again, and what is small goes on. Room comes back as soon as who does not
/// read is let go.
#[tokio::test]
async fn a3_pages_and_bodies_share_their_room() {
    let kit = Kit::with(|config| {
        config.limits.in_flight = 4200 * KIB;
        config.limits.timeouts.write = Duration::from_secs(8);
    })
    .await;
    let log = filled(&kit, 9).await;
    let token = base64url::encode(&log.read);
    let request =
        format!("GET /v1/logs/{}/entries HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n", log.id);
    let mut unread = narrow(&kit).await;
    unread.write_all(request.as_bytes()).await.unwrap();
    // It has begun to go out.
    unread.read_exact(&mut [0; 64]).await.unwrap();

    for answer in
        [kit.http.read(log.id, &log.read, 0).await, kit.http.append(log.id, &log.write, &app(0, &vec![8; LARGE])).await]
    {
        assert_eq!(answer.headers()["retry-after"], "5");
        let refused = problem(answer).await;
        assert_eq!((refused.status, refused.code), (503, ProblemCode::Unavailable));
    }
    let seq = kit.http.stored(&log, &app(0, b"a word")).await;
    assert_eq!(kit.http.page(&log, seq - 1).await.entries[0].blob, b"a word");
    let until = Instant::now() + Duration::from_secs(30);
    while kit.http.read(log.id, &log.read, 0).await.status() != StatusCode::OK {
        assert!(Instant::now() < until, "the room does not come back");
    }
    kit.http.stored(&log, &app(0, &vec![8; LARGE])).await;
    drop(unread);
}

/// The head of a masked frame whose mask is nothing (RFC 6455, section 5.2), and so many bytes.
fn frame(first: u8, bytes: usize) -> Vec<u8> {
    let mut frame = vec![first];
    match u8::try_from(bytes) {
        Ok(few) if few < 126 => frame.push(0x80 | few),
        _ => {
            frame.push(0xff);
            frame.extend_from_slice(&(bytes as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.resize(frame.len() + bytes, b' ');
    frame
}

const TEXT_BEGINS: u8 = 0x01;
const PONG: u8 = 0x8a;

/// A subscription of nobody, byte by byte.
async fn upgraded(kit: &Kit) -> TcpStream {
    let mut stream = TcpStream::connect(kit.address()).await.unwrap();
    let head = "GET /v1/subscribe HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
    stream
}

/// Sends a pong every third of a second; how long until the relay ends the connection, if it does within six.
async fn lives(mut stream: TcpStream) -> Option<Duration> {
    let (mut reading, mut writing) = stream.split();
    let begun = Instant::now();
    let pongs = async {
        loop {
            tokio::time::sleep(Duration::from_millis(333)).await;
            if writing.write_all(&frame(PONG, 20)).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let ended = async {
        let mut some = [0; 256];
        while matches!(reading.read(&mut some).await, Ok(1..)) {}
        begun.elapsed()
    };
    tokio::select! {
        () = pongs => None,
        ended = tokio::time::timeout(Duration::from_secs(6), ended) => ended.ok(),
    }
}

/// Pongs keep a connection, and no message that never ends, however little of it there is.
#[tokio::test]
async fn a3_a_message_that_never_ends_is_not_waited_for() {
    let kit = Kit::with(|config| {
        let timeouts = &mut config.limits.timeouts;
        (timeouts.ping, timeouts.request) = (Duration::from_millis(300), Duration::from_secs(2));
    })
    .await;
    let (idle, mut little, mut much) = (upgraded(&kit).await, upgraded(&kit).await, upgraded(&kit).await);
    little.write_all(&frame(TEXT_BEGINS, 1)).await.unwrap();
    much.write_all(&frame(TEXT_BEGINS, 30_000)).await.unwrap();
    let (idle, little, much) = tokio::join!(lives(idle), lives(little), lives(much));
    assert_eq!(idle, None);
    for ended in [little, much] {
        assert!(ended.is_some_and(|after| after > Duration::from_secs(1)), "{ended:?}");
    }
}

/// What is half there of a message takes room like a body.
#[tokio::test]
async fn a3_half_a_message_takes_room() {
    let kit = Kit::with(|config| config.limits.in_flight = 32 * KIB).await;
    let (mut first, mut second) = (upgraded(&kit).await, upgraded(&kit).await);
    first.write_all(&frame(TEXT_BEGINS, 30_000)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let _ = second.write_all(&frame(TEXT_BEGINS, 30_000)).await;
    let (first, second) = tokio::join!(lives(first), lives(second));
    assert_eq!(first, None);
    assert!(second.is_some(), "there was room for both");
    // With it goes the room, once the relay has noticed.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut third = upgraded(&kit).await;
    third.write_all(&frame(TEXT_BEGINS, 30_000)).await.unwrap();
    assert_eq!(lives(third).await, None);
}

/// A3: each ping is answered, so they count: more than ten in a second end the connection, and ten do not.
#[tokio::test]
async fn a3_control_frames_count() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let log = kit.log(&alice).await;
    let (mut calm, mut busy) = (connect(&kit).await, connect(&kit).await);
    for _ in 0..10 {
        calm.send(Message::Ping(vec![1; 125].into())).await.unwrap();
    }
    ask_for(&mut calm, &Subscribe { logs: vec![to(&log)], inbox: false, transparency: false }).await;
    assert_eq!(push(&mut calm).await, Push::Ready);
    for n in 0..11 {
        let more = if n % 2 == 0 { Message::Ping(vec![].into()) } else { Message::Pong(vec![].into()) };
        busy.send(more).await.unwrap();
    }
    assert_eq!(closed_with(&mut busy).await, CloseCode::Again);
    // Nobody else's, and they come back.
    kit.http.stored(&log, &app(0, b"hello")).await;
    assert!(matches!(push(&mut calm).await, Push::Log { head: 1, .. }));
    let again = kit.http.request(Method::GET, "/v1/subscribe").send().await.unwrap();
    assert_eq!(problem(again).await.code, ProblemCode::BadRequest);
}
