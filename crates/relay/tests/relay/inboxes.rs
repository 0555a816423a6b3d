//! Inboxes and access keys; what a thief of the database gets.

use reqwest::{Method, Response, StatusCode};
use waxwing_relay::Rate;
use waxwing_wire::api::{AccessKeys, Ack, EntryBytes, base64url};
use waxwing_wire::frame::{InboxPage, InboxSend};
use waxwing_wire::limits::MAX_ACCESS_KEYS;
use waxwing_wire::log::{EnvelopeKind, token_hash};
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::{DeviceId, EnvelopeId};

use crate::blobs::files;
use crate::kit::{Account, Kit, app, code, handshake, random, seq};

pub fn letter(blob: &[u8]) -> InboxSend {
    InboxSend { entry_id: EnvelopeId::from_bytes(random()), kind: EnvelopeKind::Welcome, blob: blob.to_vec() }
}

pub async fn with_key(kit: &Kit, device: DeviceId, key: &[u8], send: &InboxSend) -> Response {
    let request = kit.http.request(Method::POST, &format!("/v1/inboxes/{device}"));
    request.header("waxwing-access-key", base64url::encode(key)).body(send.encode()).send().await.unwrap()
}

pub async fn as_stranger(kit: &Kit, device: DeviceId, by: &Account, send: &InboxSend) -> Response {
    let path = format!("/v1/inboxes/{device}");
    kit.http.authed(by, Method::POST, &path).body(send.encode()).send().await.unwrap()
}

pub async fn inbox(kit: &Kit, of: &Account, after: u64) -> InboxPage {
    let path = format!("/v1/inboxes/{}?after={after}", of.device);
    let answer = kit.http.authed(of, Method::GET, &path).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    InboxPage::decode(&answer.bytes().await.unwrap()).unwrap()
}

async fn ack(kit: &Kit, of: &Account, up_to: u64) {
    let path = format!("/v1/inboxes/{}/ack", of.device);
    let answer = kit.http.authed(of, Method::POST, &path).json(&Ack { up_to }).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
}

/// Admits, or dismisses, whoever has one of `keys`.
pub async fn keys(kit: &Kit, of: &Account, method: Method, keys: &[&[u8]]) -> Response {
    let hashes = keys.iter().map(|key| EntryBytes(token_hash(key).to_vec())).collect();
    kit.http.authed(of, method, "/v1/access-keys").json(&AccessKeys { hashes }).send().await.unwrap()
}

#[tokio::test]
async fn send_read_acknowledge() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let bob = kit.account("bob").await;
    let key: [u8; 16] = random();
    assert_eq!(keys(&kit, &alice, Method::PUT, &[&key]).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(keys(&kit, &alice, Method::PUT, &[&key]).await.status(), StatusCode::NO_CONTENT);
    let (first, second) = (letter(b"by key"), letter(b"by a stranger"));
    assert_eq!(seq(with_key(&kit, alice.device, &key, &first).await).await, 1);
    assert_eq!(seq(as_stranger(&kit, alice.device, &bob, &second).await).await, 2);
    let page = inbox(&kit, &alice, 0).await;
    assert_eq!((page.head, page.entries.len()), (2, 2));
    assert_eq!((page.entries[0].entry_id, &page.entries[0].blob), (first.entry_id, &first.blob));
    assert_eq!(inbox(&kit, &alice, 1).await.entries, page.entries[1..]);
    ack(&kit, &alice, 1).await;
    assert_eq!(inbox(&kit, &alice, 0).await.entries, page.entries[1..]);
    ack(&kit, &alice, u64::MAX).await;
    assert_eq!(inbox(&kit, &alice, 0).await, InboxPage { head: 2, entries: Vec::new() });
    assert_eq!(seq(with_key(&kit, alice.device, &key, &letter(b"next")).await).await, 3);
}

/// D5: retry of an accepted entry, also after its acknowledgement; double acknowledgement; acknowledgement of an old seq.
#[tokio::test]
async fn d5_retries_and_acknowledgements_change_nothing_twice() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let bob = kit.account("bob").await;
    let first = letter(b"first");
    for _ in 0..3 {
        assert_eq!(seq(as_stranger(&kit, alice.device, &bob, &first).await).await, 1);
    }
    assert_eq!(seq(as_stranger(&kit, alice.device, &bob, &letter(b"second")).await).await, 2);
    let reused = InboxSend { blob: b"other".to_vec(), ..first.clone() };
    assert_eq!(code(as_stranger(&kit, alice.device, &bob, &reused).await).await, ProblemCode::IdReused);
    ack(&kit, &alice, 1).await;
    ack(&kit, &alice, 1).await;
    ack(&kit, &alice, 0).await;
    assert_eq!(inbox(&kit, &alice, 0).await.entries.len(), 1);
    // The sender missed the answer for long: it is not delivered again.
    assert_eq!(seq(as_stranger(&kit, alice.device, &bob, &first).await).await, 1);
    assert_eq!(inbox(&kit, &alice, 0).await.entries.len(), 1);
}

/// P15: nobody's inbox, a wrong key, a dismissed key, a stranger at an account that only its access keys find.
#[tokio::test]
async fn p15_inboxes_refuse_alike() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let bob = kit.account("bob").await;
    let key: [u8; 16] = random();
    keys(&kit, &alice, Method::PUT, &[&key]).await;
    assert_eq!(with_key(&kit, alice.device, &key, &letter(b"x")).await.status(), StatusCode::CREATED);
    // Another account's inbox: the key is not for it.
    let mut answers = vec![with_key(&kit, bob.device, &key, &letter(b"x")).await];
    keys(&kit, &alice, Method::DELETE, &[&key]).await;
    answers.push(with_key(&kit, alice.device, &key, &letter(b"x")).await);
    answers.push(with_key(&kit, alice.device, b"", &letter(b"x")).await);
    answers.push(with_key(&kit, DeviceId::from_bytes(random()), &key, &letter(b"x")).await);
    answers.push(as_stranger(&kit, DeviceId::from_bytes(random()), &bob, &letter(b"x")).await);
    let carol = kit.account("carol").await;
    keys(&kit, &carol, Method::PUT, &[&key]).await;
    seq(as_stranger(&kit, carol.device, &bob, &letter(b"x")).await).await;
    // Nobody can register without a name yet.
    kit.database().execute("UPDATE accounts SET name = NULL WHERE name = 'carol'", []).unwrap();
    seq(with_key(&kit, carol.device, &key, &letter(b"x")).await).await;
    answers.push(as_stranger(&kit, carol.device, &bob, &letter(b"x")).await);
    let path = format!("/v1/inboxes/{}", alice.device);
    answers.push(kit.http.authed(&bob, Method::GET, &path).send().await.unwrap());
    let path = format!("/v1/inboxes/{}", DeviceId::from_bytes(random()));
    answers.push(kit.http.authed(&bob, Method::GET, &path).send().await.unwrap());
    let mut texts = Vec::new();
    for answer in answers {
        let mut headers = answer.headers().clone();
        headers.remove("date");
        texts.push((answer.status(), headers, answer.text().await.unwrap()));
    }
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
    assert_eq!(texts[0].0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn what_is_no_send() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let path = format!("/v1/inboxes/{}", alice.device);
    let plain = kit.http.request(Method::POST, &path).body(letter(b"x").encode()).send().await.unwrap();
    assert_eq!(code(plain).await, ProblemCode::Unauthorized);
    // A key's holder stays unnamed.
    let both = kit.http.authed(&alice, Method::POST, &path).header("waxwing-access-key", base64url::encode(&[1; 16]));
    assert_eq!(code(both.body(letter(b"x").encode()).send().await.unwrap()).await, ProblemCode::BadRequest);
    for bad in [vec![], letter(b"x").encode()[..20].to_vec(), app(0, b"x").encode(), handshake(0, None).encode()] {
        let answer = kit.http.authed(&alice, Method::POST, &path).body(bad).send().await.unwrap();
        assert_eq!(code(answer).await, ProblemCode::BadRequest);
    }
    for bad in ["", "{}", r#"{"up_to":-1}"#, r#"{"up_to":1,"x":1}"#] {
        let answer = kit.http.authed(&alice, Method::POST, &format!("{path}/ack")).body(bad).send().await.unwrap();
        assert_eq!(code(answer).await, ProblemCode::BadRequest);
    }
    for bad in ["", r#"{"hashes":["AA"]}"#, r#"{"hashes":[""]}"#] {
        let answer = kit.http.authed(&alice, Method::PUT, "/v1/access-keys").body(bad).send().await.unwrap();
        assert_eq!(code(answer).await, ProblemCode::BadRequest);
    }
}

#[tokio::test]
async fn access_keys_are_bounded() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let many: Vec<[u8; 16]> = (0..MAX_ACCESS_KEYS).map(|_| random()).collect();
    let many: Vec<&[u8]> = many.iter().map(<[u8; 16]>::as_slice).collect();
    assert_eq!(keys(&kit, &alice, Method::PUT, &many).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(code(keys(&kit, &alice, Method::PUT, &[b"one more"]).await).await, ProblemCode::QuotaExceeded);
    // Known ones again are no more.
    assert_eq!(keys(&kit, &alice, Method::PUT, &many[..10]).await.status(), StatusCode::NO_CONTENT);
    keys(&kit, &alice, Method::DELETE, &many[..1]).await;
    assert_eq!(keys(&kit, &alice, Method::PUT, &[b"one more"]).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(with_key(&kit, alice.device, b"one more", &letter(b"x")).await.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn strangers_and_each_key_have_their_own_quota() {
    let kit = Kit::with(|config| {
        config.limits.quotas.inbox_strangers = 1000;
        config.limits.quotas.inbox_key = 1000;
        config.limits.quotas.inbox = 2500;
    })
    .await;
    let alice = kit.account("alice").await;
    let bob = kit.account("bob").await;
    let names: [&[u8]; 3] = [b"key one", b"key two", b"key three"];
    keys(&kit, &alice, Method::PUT, &names).await;
    let blob = [0; 600];
    assert_eq!(as_stranger(&kit, alice.device, &bob, &letter(&blob)).await.status(), StatusCode::CREATED);
    assert_eq!(code(as_stranger(&kit, alice.device, &bob, &letter(&blob)).await).await, ProblemCode::QuotaExceeded);
    for key in &names[..2] {
        assert_eq!(with_key(&kit, alice.device, key, &letter(&blob)).await.status(), StatusCode::CREATED);
        assert_eq!(code(with_key(&kit, alice.device, key, &letter(&blob)).await).await, ProblemCode::QuotaExceeded);
    }
    assert_eq!(code(with_key(&kit, alice.device, names[2], &letter(&blob)).await).await, ProblemCode::QuotaExceeded);
    // What is acknowledged makes room, for each its own.
    ack(&kit, &alice, 2).await;
    assert_eq!(as_stranger(&kit, alice.device, &bob, &letter(&blob)).await.status(), StatusCode::CREATED);
    assert_eq!(with_key(&kit, alice.device, names[0], &letter(&blob)).await.status(), StatusCode::CREATED);
    assert_eq!(code(with_key(&kit, alice.device, names[1], &letter(&blob)).await).await, ProblemCode::QuotaExceeded);
}

#[tokio::test]
async fn strangers_are_limited_and_key_holders_are_not() {
    let kit = Kit::with(|config| config.limits.stranger = Rate { per_minute: 1, burst: 2 }).await;
    let alice = kit.account("alice").await;
    let bob = kit.account("bob").await;
    keys(&kit, &alice, Method::PUT, &[b"key"]).await;
    for _ in 0..2 {
        assert_eq!(as_stranger(&kit, alice.device, &bob, &letter(b"x")).await.status(), StatusCode::CREATED);
    }
    assert_eq!(code(as_stranger(&kit, alice.device, &bob, &letter(b"x")).await).await, ProblemCode::RateLimited);
    assert_eq!(with_key(&kit, alice.device, b"key", &letter(b"x")).await.status(), StatusCode::CREATED);
}

/// P19: no secret that a client sent is in the relay's folder, in any of the spellings that it had; what must be there is.
#[tokio::test]
async fn p19_stolen_database_opens_nothing() {
    let mut kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let log = kit.log(&alice).await;
    let new = log.rekeyed();
    let key: [u8; 16] = random();
    kit.http.stored(&log, &app(0, b"planted control")).await;
    kit.http.stored(&log, &handshake(0, Some(new.tokens()))).await;
    kit.http.page(&new, 0).await;
    keys(&kit, &alice, Method::PUT, &[&key]).await;
    with_key(&kit, alice.device, &key, &letter(b"x")).await;
    inbox(&kit, &alice, 0).await;
    let search = |folder: &std::path::Path| {
        let mut found = Vec::new();
        let files: Vec<Vec<u8>> = files(folder).iter().map(|file| std::fs::read(file).unwrap()).collect();
        let secrets: [(&str, &[u8]); 9] = [
            ("control", b"planted control"),
            ("control hash", &token_hash(&new.read)),
            ("write", &log.write),
            ("read", &log.read),
            ("new write", &new.write),
            ("new read", &new.read),
            ("access key", &key),
            ("relay-auth key", alice.keys.relay_auth.as_bytes()),
            ("access token", alice.token.as_bytes()),
        ];
        for (name, secret) in secrets {
            let spellings =
                [secret.to_vec(), base64url::encode(secret).into(), waxwing_wire::ids::to_hex(secret).into()];
            if spellings.iter().any(|text| files.iter().any(|file| file.windows(text.len()).any(|part| part == text))) {
                found.push(name);
            }
        }
        found
    };
    assert_eq!(search(kit.folder.path()), ["control", "control hash"]);
    kit.take().stop().await;
    assert_eq!(search(kit.folder.path()), ["control", "control hash"]);
}
