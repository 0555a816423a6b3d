//! Subscriptions.

use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Method, StatusCode};
use reqwest_websocket::{CloseCode, Message, Upgrade as _, WebSocket};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use waxwing_relay::Rate;
use waxwing_wire::LogId;
use waxwing_wire::api::{EntryBytes, Subscribe, SubscribeLog};
use waxwing_wire::frame::{InboxSend, Push};
use waxwing_wire::limits::{MAX_PUSHED_ENTRY, MAX_SUBSCRIBE_MESSAGE, MAX_SUBSCRIBED_LOGS, SUBSCRIBE_MESSAGE_LOGS};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::problem::ProblemCode;

use crate::accounts::submit;
use crate::kit::{Account, Kit, Log, app, code, handshake, random};

const SOON: Duration = Duration::from_secs(10);

pub async fn connect(kit: &Kit) -> WebSocket {
    kit.http.request(Method::GET, "/v1/subscribe").upgrade().send().await.unwrap().into_websocket().await.unwrap()
}

pub async fn connect_as(kit: &Kit, account: &Account) -> WebSocket {
    let request = kit.http.authed(account, Method::GET, "/v1/subscribe");
    request.upgrade().send().await.unwrap().into_websocket().await.unwrap()
}

/// That the account's device is not let in, with the token that it has.
pub async fn is_not_let_in(kit: &Kit, account: &Account) {
    let refused = kit.http.authed(account, Method::GET, "/v1/subscribe").send().await.unwrap();
    assert_eq!(code(refused).await, ProblemCode::Unauthorized);
}

pub fn to(log: &Log) -> SubscribeLog {
    SubscribeLog { log: log.id, read_token: EntryBytes(log.read.to_vec()) }
}

async fn ask(socket: &mut WebSocket, logs: Vec<SubscribeLog>, inbox: bool) {
    ask_for(socket, &Subscribe { logs, inbox, transparency: false }).await;
}

pub async fn ask_for(socket: &mut WebSocket, what: &Subscribe) {
    let text = serde_json::to_string(what).unwrap();
    socket.send(Message::Text(text)).await.unwrap();
}

async fn message(socket: &mut WebSocket) -> Option<Message> {
    loop {
        match tokio::time::timeout(SOON, socket.next()).await.expect("nothing came")? {
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            Ok(message) => return Some(message),
            Err(_) => return None,
        }
    }
}

pub async fn push(socket: &mut WebSocket) -> Push {
    match message(socket).await {
        Some(Message::Binary(bytes)) => Push::decode(&bytes).unwrap(),
        other => panic!("{other:?}"),
    }
}

pub async fn closed_with(socket: &mut WebSocket) -> CloseCode {
    loop {
        match message(socket).await {
            Some(Message::Close { code, .. }) => return code,
            Some(_) => {}
            None => panic!("closed without a reason"),
        }
    }
}

#[tokio::test]
async fn a_stored_entry_is_pushed() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let (log, other) = (kit.log(&alice).await, kit.log(&alice).await);
    let mut sockets = [connect(&kit).await, connect(&kit).await];
    for socket in &mut sockets {
        ask(socket, vec![to(&log)], false).await;
        assert_eq!(push(socket).await, Push::Ready);
    }
    kit.http.stored(&other, &app(0, b"not for them")).await;
    let append = app(0, b"hello");
    kit.http.stored(&log, &append).await;
    // The same again stores nothing and tells nothing.
    kit.http.stored(&log, &append).await;
    kit.http.stored(&log, &app(0, &vec![0; MAX_PUSHED_ENTRY + 1])).await;
    let first = kit.http.page(&log, 0).await.entries.remove(0);
    for socket in &mut sockets {
        assert_eq!(push(socket).await, Push::Log { log: log.id, head: 1, entry: Some(first.clone()) });
        assert_eq!(push(socket).await, Push::Log { log: log.id, head: 2, entry: None });
        // More logs on the same connection.
        ask(socket, vec![to(&other), to(&log)], false).await;
        assert_eq!(push(socket).await, Push::Ready);
    }
    kit.http.stored(&other, &app(0, b"now for them")).await;
    for socket in &mut sockets {
        assert!(matches!(push(socket).await, Push::Log { log, head: 2, entry: Some(_) } if log == other.id));
    }
}

#[tokio::test]
async fn wrong_tokens_are_refused_and_told_nothing() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let log = kit.log(&alice).await;
    let mut socket = connect(&kit).await;
    let unknown = LogId::from_bytes(random());
    let wrong = |id: LogId, token: Vec<u8>| SubscribeLog { log: id, read_token: EntryBytes(token) };
    ask(&mut socket, vec![wrong(log.id, log.write.to_vec()), wrong(unknown, log.read.to_vec())], false).await;
    assert_eq!(push(&mut socket).await, Push::Refused { log: log.id });
    assert_eq!(push(&mut socket).await, Push::Refused { log: unknown });
    assert_eq!(push(&mut socket).await, Push::Ready);
    kit.http.stored(&log, &app(0, b"secret")).await;
    ask(&mut socket, vec![], false).await;
    assert_eq!(push(&mut socket).await, Push::Ready);
}

#[tokio::test]
async fn a_rekey_is_the_last_thing_that_an_old_token_hears() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let old = kit.log(&alice).await;
    let new = old.rekeyed();
    let mut socket = connect(&kit).await;
    ask(&mut socket, vec![to(&old)], false).await;
    assert_eq!(push(&mut socket).await, Push::Ready);
    kit.http.stored(&old, &handshake(0, Some(new.tokens()))).await;
    kit.http.stored(&new, &app(1, b"not for the old")).await;
    assert!(matches!(push(&mut socket).await, Push::Log { head: 1, entry: Some(_), .. }));
    assert_eq!(push(&mut socket).await, Push::Refused { log: old.id });
    ask(&mut socket, vec![to(&old)], false).await;
    assert_eq!(push(&mut socket).await, Push::Refused { log: old.id });
    assert_eq!(push(&mut socket).await, Push::Ready);
    ask(&mut socket, vec![to(&new)], false).await;
    assert_eq!(push(&mut socket).await, Push::Ready);
    kit.http.stored(&new, &app(1, b"three")).await;
    assert!(matches!(push(&mut socket).await, Push::Log { head: 3, entry: Some(_), .. }));
}

async fn send(kit: &Kit, by: &Account, to: &Account) {
    let letter = InboxSend {
        entry_id: waxwing_wire::EnvelopeId::from_bytes(random()),
        kind: EnvelopeKind::Welcome,
        blob: b"hello".to_vec(),
    };
    let request = kit.http.authed(by, Method::POST, &format!("/v1/inboxes/{}", to.device));
    assert_eq!(request.body(letter.encode()).send().await.unwrap().status(), StatusCode::CREATED);
}

/// The relay never sees which account a log is of: a connection that has said a name follows none, whatever else it follows.
#[tokio::test]
async fn who_has_said_a_name_follows_no_log() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let log = kit.log(&alice).await;
    for (before, inbox) in [(false, false), (false, true), (true, false)] {
        let mut named = connect_as(&kit, &alice).await;
        if before {
            ask(&mut named, vec![], true).await;
            assert_eq!(push(&mut named).await, Push::Ready);
        }
        ask(&mut named, vec![to(&log)], inbox).await;
        assert_eq!(closed_with(&mut named).await, CloseCode::Policy);
    }
    let mut unnamed = connect(&kit).await;
    ask(&mut unnamed, vec![to(&log)], false).await;
    assert_eq!(push(&mut unnamed).await, Push::Ready);
    kit.http.stored(&log, &app(0, b"hello")).await;
    assert!(matches!(push(&mut unnamed).await, Push::Log { head: 1, .. }));
}

#[tokio::test]
async fn an_inbox_for_its_device_alone() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let bob = kit.account("bob").await;
    let mut socket = connect_as(&kit, &alice).await;
    let mut elsewhere = connect_as(&kit, &bob).await;
    for socket in [&mut socket, &mut elsewhere] {
        ask(socket, vec![], true).await;
        assert_eq!(push(socket).await, Push::Ready);
    }
    send(&kit, &bob, &alice).await;
    assert_eq!(push(&mut socket).await, Push::Inbox { head: 1 });
    send(&kit, &bob, &bob).await;
    assert_eq!(push(&mut elsewhere).await, Push::Inbox { head: 1 });
    let mut anonymous = connect(&kit).await;
    ask(&mut anonymous, vec![], true).await;
    assert_eq!(closed_with(&mut anonymous).await, CloseCode::Policy);
}

/// The connections that a device can have: with nothing, with its inbox, with checkpoints, and with both.
pub async fn every_kind(kit: &Kit, account: &Account) -> Vec<WebSocket> {
    let mut sockets = vec![connect_as(kit, account).await];
    for (inbox, transparency) in [(true, false), (false, true), (true, true)] {
        let mut socket = connect_as(kit, account).await;
        ask_for(&mut socket, &Subscribe { logs: vec![], inbox, transparency }).await;
        assert_eq!(push(&mut socket).await, Push::Ready);
        sockets.push(socket);
    }
    sockets
}

/// How long until all of them are closed as those of somebody who is shut out.
pub async fn shut_out_after(sockets: &mut [WebSocket]) -> Duration {
    let began = Instant::now();
    for socket in sockets {
        assert_eq!(closed_with(socket).await, CloseCode::Policy);
    }
    began.elapsed()
}

/// How often something that is to happen within a second is tried. Others may use the machine, so one time or another may be slower for that; half of
/// them may not.
pub const ROUNDS: usize = 5;

/// However loaded the machine is: beyond that it is no accident.
const NEVER_LATER: Duration = Duration::from_secs(3);

/// Of so many tries the one in the middle is within a second, and none takes much longer.
pub fn mostly_within_a_second(mut times: Vec<Duration>) {
    assert_eq!(times.len(), ROUNDS);
    times.sort_unstable();
    println!("{times:?}");
    assert!(times[ROUNDS / 2] < Duration::from_secs(1), "{times:?}");
    assert!(times[ROUNDS - 1] < NEVER_LATER, "{times:?}");
}

/// A4: whatever they follow.
#[tokio::test]
async fn a4_a_revoked_device_is_cut_off_within_a_second() {
    let kit = Kit::new().await;
    let mut alice = kit.account("alice").await;
    let log = kit.log(&alice).await;
    let (mut times, mut own) = (Vec::new(), every_kind(&kit, &alice).await);
    let mut anonymous = connect(&kit).await;
    ask(&mut anonymous, vec![to(&log)], false).await;
    assert_eq!(push(&mut anonymous).await, Push::Ready);
    for _ in 0..ROUNDS {
        let (entry, mut other) = alice.add_device();
        assert_eq!(submit(&kit, &alice, &entry).await.status(), StatusCode::CREATED);
        other.token = kit.http.token(&other).await;
        let mut sockets = every_kind(&kit, &other).await;
        let revocation = alice.replace_account_key(vec![other.device]);
        assert_eq!(submit(&kit, &alice, &revocation).await.status(), StatusCode::CREATED);
        times.push(shut_out_after(&mut sockets).await);
        // Its token has not run out, and opens nothing that stays open.
        is_not_let_in(&kit, &other).await;
    }
    mostly_within_a_second(times);
    // Nobody else's: neither those of the device that revoked it, nor whoever has said no name.
    kit.http.stored(&log, &app(0, b"hello")).await;
    assert!(matches!(push(&mut anonymous).await, Push::Log { head: 1, .. }));
    let mut inbox = own.remove(1);
    send(&kit, &alice, &alice).await;
    assert_eq!(push(&mut inbox).await, Push::Inbox { head: 1 });
}

/// A connection as the account's device, which is left alone: nothing reads it, and few bytes fit on the way.
async fn unread_as(kit: &Kit, account: &Account) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(kit.address()).await.unwrap();
    let proof = kit.http.proof(account, "GET", "/v1/subscribe", Some(&account.token));
    let (host, token) = (kit.http.authority(), &account.token);
    let head = format!(
        "GET /v1/subscribe HTTP/1.1\r\nhost: {host}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nauthorization: DPoP {token}\r\ndpop: {proof}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
    stream
}

/// A4: also one that reads nothing of what it is sent.
#[tokio::test]
async fn a4_a_revoked_device_that_does_not_read_is_cut_off_too() {
    let kit = Kit::with(|config| {
        config.limits.address = Rate { per_minute: 60_000_000, burst: 60_000_000 };
        config.operator = Some("127.0.0.1:0".parse().unwrap());
    })
    .await;
    let mut alice = kit.account("alice").await;
    let (entry, mut other) = alice.add_device();
    assert_eq!(submit(&kit, &alice, &entry).await.status(), StatusCode::CREATED);
    other.token = kit.http.token(&other).await;
    let mut unread = unread_as(&kit, &other).await;
    // Each of these is answered, until nobody takes the answers: then the relay is writing, gets no further, and reads no more.
    let frames = [0x81, 0x82, 0, 0, 0, 0, b'{', b'}'].repeat(4096);
    let mut sent = 0;
    while let Ok(more) = tokio::time::timeout(Duration::from_secs(2), unread.write(&frames[sent % 8..])).await {
        sent += more.unwrap();
        assert!(sent < 200_000_000, "it reads on");
    }
    let revocation = alice.replace_account_key(vec![other.device]);
    assert_eq!(submit(&kit, &alice, &revocation).await.status(), StatusCode::CREATED);
    let began = Instant::now();
    let operator = kit.operator();
    while !operator.get("/metrics").await.text().await.unwrap().contains("waxwing_relay_subscriptions 0") {
        assert!(began.elapsed() < NEVER_LATER, "it is still connected");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(unread);
}

#[tokio::test]
async fn what_is_no_subscription() {
    let kit = Kit::new().await;
    assert_eq!(code(kit.http.get("/v1/subscribe").await).await, ProblemCode::BadRequest);
    let stolen = kit.http.request(Method::GET, "/v1/subscribe").header("authorization", "DPoP x.y.z");
    let answer = stolen.upgrade().send().await.unwrap().into_inner();
    assert_eq!(code(answer).await, ProblemCode::Unauthorized);
    for garbage in
        [Message::Text("{".into()), Message::Text(r#"{"more":1}"#.into()), Message::Binary(vec![1, 2].into())]
    {
        let mut socket = connect(&kit).await;
        socket.send(garbage).await.unwrap();
        assert_eq!(closed_with(&mut socket).await, CloseCode::Unsupported);
    }
    // Much larger than the largest good request: ended.
    let mut socket = connect(&kit).await;
    let _ = socket.send(Message::Text("x".repeat(2_000_000))).await;
    assert!(matches!(message(&mut socket).await, None | Some(Message::Close { .. })));
}

/// A3: what reads a message keeps its room as long as the connection lasts, so one that is larger than any good one ends it, and says why.
#[tokio::test]
async fn a3_a_message_that_is_too_large_is_refused() {
    let kit = Kit::new().await;
    let spaces = |bytes: usize| Message::Text(format!("{}{{}}", " ".repeat(bytes - 2)));
    let mut socket = connect(&kit).await;
    socket.send(spaces(MAX_SUBSCRIBE_MESSAGE)).await.unwrap();
    assert_eq!(push(&mut socket).await, Push::Ready);
    socket.send(spaces(MAX_SUBSCRIBE_MESSAGE + 1)).await.unwrap();
    assert_eq!(closed_with(&mut socket).await, CloseCode::Size);
}

/// So many logs that are there, made beside the relay: that is quicker than to ask it for each.
fn made(kit: &Kit, number: usize) -> Vec<Log> {
    let mut database = kit.database();
    let tx = database.transaction().unwrap();
    let logs: Vec<_> = (0..number).map(|_| Log::new()).collect();
    for log in &logs {
        let tokens = log.tokens();
        tx.execute(
            "INSERT INTO logs (id, write_hash, read_hash, running) VALUES (?1, ?2, ?3, ?4)",
            (log.id.as_bytes(), tokens.write, tokens.read, [0u8; 32]),
        )
        .unwrap();
    }
    tx.commit().unwrap();
    logs
}

/// Follows logs in as many messages as a client takes for it.
async fn follow(socket: &mut WebSocket, logs: &[Log]) {
    for some in logs.chunks(SUBSCRIBE_MESSAGE_LOGS) {
        ask(socket, some.iter().map(to).collect(), false).await;
    }
}

/// A later message adds to what an earlier one asked for, and ends nothing of it, up to the most that is followed.
#[tokio::test]
async fn many_logs_are_followed_in_several_messages() {
    let kit = Kit::new().await;
    let mut logs = made(&kit, MAX_SUBSCRIBED_LOGS + 1);
    let (last, mut socket) = (logs.pop().unwrap(), connect(&kit).await);
    // A thousand, and then the others: as when a client comes to know more.
    let (first, then) = logs.split_at(1000);
    for some in [first, then] {
        follow(&mut socket, some).await;
        for _ in some.chunks(SUBSCRIBE_MESSAGE_LOGS) {
            assert_eq!(push(&mut socket).await, Push::Ready);
        }
    }
    for log in [&logs[0], &logs[999], &logs[1000], &logs[MAX_SUBSCRIBED_LOGS - 1]] {
        kit.http.stored(log, &app(0, b"hello")).await;
        assert!(matches!(push(&mut socket).await, Push::Log { log: told, head: 1, .. } if told == log.id));
    }
    // Again, under another token: no more than before.
    let new = logs[0].rekeyed();
    kit.http.stored(&logs[0], &handshake(0, Some(new.tokens()))).await;
    assert!(matches!(push(&mut socket).await, Push::Log { head: 2, .. }));
    assert_eq!(push(&mut socket).await, Push::Refused { log: new.id });
    ask(&mut socket, vec![to(&new)], false).await;
    assert_eq!(push(&mut socket).await, Push::Ready);
    kit.http.stored(&new, &app(2, b"hello")).await;
    assert!(matches!(push(&mut socket).await, Push::Log { head: 3, .. }));
    // One more than can be followed.
    ask(&mut socket, vec![to(&last)], false).await;
    assert_eq!(closed_with(&mut socket).await, CloseCode::Policy);
}

/// A3: all subscriptions together follow so many logs. Who would follow more is told to come again, and is served once others have gone.
#[tokio::test]
async fn a3_all_subscriptions_together_follow_so_many_logs() {
    let kit = Kit::with(|config| {
        config.limits.followed_logs = 3;
        config.operator = Some("127.0.0.1:0".parse().unwrap());
    })
    .await;
    let logs = made(&kit, 3);
    let (mut first, mut second) = (connect(&kit).await, connect(&kit).await);
    ask(&mut first, vec![to(&logs[0]), to(&logs[1])], false).await;
    assert_eq!(push(&mut first).await, Push::Ready);
    ask(&mut second, vec![to(&logs[0]), to(&logs[2])], false).await;
    assert_eq!(closed_with(&mut second).await, CloseCode::Again);
    // What it has followed before it was refused is room again, and who was there is told.
    let mut third = connect(&kit).await;
    ask(&mut third, vec![to(&logs[0])], false).await;
    assert_eq!(push(&mut third).await, Push::Ready);
    kit.http.stored(&logs[0], &app(0, b"hello")).await;
    for socket in [&mut first, &mut third] {
        assert!(matches!(push(socket).await, Push::Log { head: 1, .. }));
    }
    let metrics = kit.operator().get("/metrics").await.text().await.unwrap();
    let counted = "waxwing_relay_refusals_total{endpoint=\"/v1/subscribe\",code=\"unavailable\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    drop(first);
    let until = Instant::now() + SOON;
    loop {
        let mut fourth = connect(&kit).await;
        ask(&mut fourth, vec![to(&logs[1]), to(&logs[2])], false).await;
        match message(&mut fourth).await {
            Some(Message::Binary(_)) => return,
            refused => assert!(Instant::now() < until, "{refused:?}"),
        }
    }
}

/// A3: nor does one address follow all that there is room for.
#[tokio::test]
async fn a3_one_address_follows_so_many_logs_over_all_of_its_subscriptions() {
    let kit = Kit::with(|config| {
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        config.limits.followed_logs_per_address = 2;
    })
    .await;
    let connect_from = async |address: &str| {
        let request = kit.http.request(Method::GET, "/v1/subscribe").header("x-forwarded-for", address);
        request.upgrade().send().await.unwrap().into_websocket().await.unwrap()
    };
    let logs = made(&kit, 3);
    let mut first = connect_from("198.51.100.1").await;
    // What is refused takes no place, and what is followed already no other.
    ask(&mut first, vec![to(&Log::new()), to(&logs[0])], false).await;
    assert!(matches!(push(&mut first).await, Push::Refused { .. }));
    assert_eq!(push(&mut first).await, Push::Ready);
    ask(&mut first, vec![to(&logs[0]), to(&logs[1])], false).await;
    assert_eq!(push(&mut first).await, Push::Ready);
    // However often one is named, and refused, it is one.
    let wrong = || SubscribeLog { read_token: EntryBytes(vec![9; 32]), ..to(&logs[1]) };
    ask(&mut first, vec![wrong(), wrong(), wrong()], false).await;
    for _ in 0..3 {
        assert!(matches!(push(&mut first).await, Push::Refused { .. }));
    }
    assert_eq!(push(&mut first).await, Push::Ready);
    ask(&mut first, vec![to(&logs[1]), to(&logs[1])], false).await;
    assert_eq!(push(&mut first).await, Push::Ready);
    let mut second = connect_from("198.51.100.1").await;
    ask(&mut second, vec![to(&logs[2])], false).await;
    assert_eq!(closed_with(&mut second).await, CloseCode::Again);
    let mut other = connect_from("198.51.100.2").await;
    ask(&mut other, vec![to(&logs[1]), to(&logs[2])], false).await;
    assert_eq!(push(&mut other).await, Push::Ready);
}

/// A3: what is asked over a connection that is there counts as what needs a new one does; one request for many logs counts as several.
#[tokio::test]
async fn a3_one_address_subscribes_so_often_and_no_more() {
    let kit = Kit::with(|config| {
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        config.limits.address = Rate { per_minute: 1, burst: 70 };
        config.operator = Some("127.0.0.1:0".parse().unwrap());
    })
    .await;
    let connect_from = async |address: &str| {
        let request = kit.http.request(Method::GET, "/v1/subscribe").header("x-forwarded-for", address);
        request.upgrade().send().await.unwrap().into_websocket().await.unwrap()
    };
    let unknown = |number: usize| (0..number).map(|_| to(&Log::new())).collect::<Vec<_>>();
    // One for the upgrade and 64 for the most that can be followed: what comes after a restart of the relay is far from any usual limit.
    let mut socket = connect_from("198.51.100.1").await;
    for _ in 0..MAX_SUBSCRIBED_LOGS / SUBSCRIBE_MESSAGE_LOGS {
        ask(&mut socket, unknown(SUBSCRIBE_MESSAGE_LOGS), false).await;
        for _ in 0..SUBSCRIBE_MESSAGE_LOGS {
            assert!(matches!(push(&mut socket).await, Push::Refused { .. }));
        }
        assert_eq!(push(&mut socket).await, Push::Ready);
    }
    // None of them is followed, so each of these is allowed. Five more, whether they name logs or not.
    for logs in [0, 1, 64] {
        ask(&mut socket, unknown(logs), false).await;
        for _ in 0..logs {
            assert!(matches!(push(&mut socket).await, Push::Refused { .. }));
        }
        assert_eq!(push(&mut socket).await, Push::Ready);
    }
    ask(&mut socket, unknown(129), false).await;
    assert_eq!(closed_with(&mut socket).await, CloseCode::Again);
    // Two are left, and what was refused has taken none of them.
    let mut socket = connect_from("198.51.100.1").await;
    ask(&mut socket, unknown(0), false).await;
    assert_eq!(push(&mut socket).await, Push::Ready);
    ask(&mut socket, unknown(0), false).await;
    assert_eq!(closed_with(&mut socket).await, CloseCode::Again);
    // Others are served, and the operator sees it.
    let mut other = connect_from("198.51.100.2").await;
    ask(&mut other, unknown(1), false).await;
    assert!(matches!(push(&mut other).await, Push::Refused { .. }));
    let metrics = kit.operator().get("/metrics").await.text().await.unwrap();
    let counted = "waxwing_relay_refusals_total{endpoint=\"/v1/subscribe\",code=\"rate_limited\"} 2";
    assert!(metrics.contains(counted), "{metrics}");
    assert!(kit.admin(&["audit"]).await.unwrap().contains("rate-limit address="));
}

/// D6: everybody comes back at once, and goes, and comes: nothing of those who have gone stays, and those who are there are told.
#[tokio::test]
async fn d6_a_reconnect_storm_leaves_nothing_behind() {
    const CLIENTS: usize = 100;
    let kit = Kit::with(|config| config.operator = Some("127.0.0.1:0".parse().unwrap())).await;
    let alice = kit.account("alice").await;
    let log = kit.log(&alice).await;
    let come = async || {
        let (mut own, mut logs) = (connect_as(&kit, &alice).await, connect(&kit).await);
        ask_for(&mut own, &Subscribe { logs: vec![], inbox: true, transparency: true }).await;
        ask(&mut logs, vec![to(&log)], false).await;
        for socket in [&mut own, &mut logs] {
            assert_eq!(push(socket).await, Push::Ready);
        }
        [own, logs]
    };
    let all = || futures_util::future::join_all((0..CLIENTS).map(|_| come()));
    for _ in 0..3 {
        drop(all().await);
    }
    let mut back = all().await;
    kit.http.stored(&log, &app(0, b"hello")).await;
    send(&kit, &alice, &alice).await;
    for [own, logs] in &mut back {
        assert!(matches!(push(logs).await, Push::Log { head: 1, .. }));
        assert_eq!(push(own).await, Push::Inbox { head: 1 });
    }
    let operator = kit.operator();
    let until = Instant::now() + Duration::from_secs(30);
    let wanted = format!("waxwing_relay_subscriptions {}\n", 2 * CLIENTS);
    while !operator.get("/metrics").await.text().await.unwrap().contains(&wanted) {
        assert!(Instant::now() < until, "some have not gone");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// D6: a connection whose other end is gone without a word, as after a suspend, ends.
#[tokio::test]
async fn d6_pings_keep_a_subscription_and_silence_ends_it() {
    let kit = Kit::with(|config| {
        config.limits.timeouts.ping = Duration::from_millis(200);
        config.limits.timeouts.idle = Duration::from_millis(1500);
    })
    .await;
    let alice = kit.account("alice").await;
    let log = kit.log(&alice).await;
    // One that is read answers pings by itself; one that is not read does not.
    let mut unread = connect(&kit).await;
    let mut read = connect(&kit).await;
    ask(&mut read, vec![to(&log)], false).await;
    assert_eq!(push(&mut read).await, Push::Ready);
    let next = tokio::spawn(async move { push(&mut read).await });
    tokio::time::sleep(Duration::from_secs(3)).await;
    // By now the other has been silent for long; what it finds, after the pings that waited, is the end.
    let ended = async { while let Some(Ok(_)) = unread.next().await {} };
    tokio::time::timeout(Duration::from_millis(500), ended).await.expect("the silent subscription goes on");
    kit.http.stored(&log, &app(0, b"still there")).await;
    assert!(matches!(next.await.unwrap(), Push::Log { head: 1, .. }));
}
