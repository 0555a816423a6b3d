//! A rotation of a device's keys ends all that was got with the key before it: tokens, and what was opened with them.

use std::time::Duration;

use ed25519_dalek::SigningKey;
use reqwest::{Method, StatusCode};
use reqwest_websocket::WebSocket;
use waxwing_wire::api::{Ack, Subscribe};
use waxwing_wire::frame::{InboxPage, Push, UploadKeyPackages};
use waxwing_wire::problem::ProblemCode;

use crate::accounts::submit;
use crate::inboxes::{as_stranger, keys, letter};
use crate::kit::{Account, Kit, code, random};
use crate::subscribe::{
    ROUNDS, ask_for, connect_as, every_kind, is_not_let_in, mostly_within_a_second, push, shut_out_after,
};

/// Whoever had the device's relay-auth key for a moment: with a token for a key of their own, the device's own token aside.
struct Thief {
    dpop: SigningKey,
    token: String,
}

impl Thief {
    async fn of(kit: &Kit, account: &mut Account) -> Self {
        let own = std::mem::replace(&mut account.dpop, SigningKey::from_bytes(&random()));
        let token = kit.http.token(account).await;
        Self { dpop: std::mem::replace(&mut account.dpop, own), token }
    }

    /// Puts the thief in the owner's place, or the owner back.
    fn swap(&mut self, account: &mut Account) {
        std::mem::swap(&mut self.dpop, &mut account.dpop);
        std::mem::swap(&mut self.token, &mut account.token);
    }
}

/// What a device may ask for in its own name, one of each; the codes of those that are refused.
async fn refused(kit: &Kit, as_account: &Account, other: &Account) -> Vec<ProblemCode> {
    let inbox = format!("/v1/inboxes/{}", as_account.device);
    let packages = UploadKeyPackages { replace: false, last_resort: None, packages: vec![random::<32>().to_vec()] };
    let body = |method, path: &str, body: Vec<u8>| kit.http.authed(as_account, method, path).body(body).send();
    let ack = kit.http.authed(as_account, Method::POST, &format!("{inbox}/ack")).json(&Ack { up_to: 1 }).send();
    let answers = [
        body(Method::GET, &format!("{inbox}?after=0"), Vec::new()).await.unwrap(),
        ack.await.unwrap(),
        body(Method::GET, "/v1/key-packages", Vec::new()).await.unwrap(),
        body(Method::POST, "/v1/key-packages", packages.encode()).await.unwrap(),
        body(Method::POST, "/v1/logs", crate::kit::Log::new().create().encode()).await.unwrap(),
        keys(kit, as_account, Method::PUT, &[&random::<16>()]).await,
        as_stranger(kit, other.device, as_account, &letter(b"as somebody else")).await,
        submit(kit, as_account, &as_account.rotation().0).await,
    ];
    let mut codes = Vec::new();
    for answer in answers {
        if !answer.status().is_success() {
            codes.push(code(answer).await);
        }
    }
    codes
}

/// P1: the token of whoever had the key for a moment reads nothing from there on, and takes nothing away.
#[tokio::test]
async fn p1_a_rotation_ends_the_tokens_of_the_key_before() {
    let kit = Kit::new().await;
    let (mut alice, bob) = (kit.account("alice").await, kit.account("bob").await);
    let mut thief = Thief::of(&kit, &mut alice).await;
    // The control: until then it opens all of it. The last of these rotates, which nobody but the owner could sign.
    let sent = as_stranger(&kit, alice.device, &bob, &letter(b"before")).await;
    assert_eq!(sent.status(), StatusCode::CREATED);
    thief.swap(&mut alice);
    let rotation = alice.rotation();
    let inbox = format!("/v1/inboxes/{}?after=0", alice.device);
    let read = kit.http.authed(&alice, Method::GET, &inbox).send().await.unwrap();
    let page = InboxPage::decode(&read.bytes().await.unwrap()).unwrap();
    assert_eq!(page.entries.len(), 1);
    drop(connect_as(&kit, &alice).await);
    thief.swap(&mut alice);

    assert_eq!(submit(&kit, &alice, &rotation.0).await.status(), StatusCode::CREATED);
    // The answer may have been lost: it is given again.
    assert_eq!(submit(&kit, &alice, &rotation.0).await.status(), StatusCode::CREATED);
    alice.adopt(rotation);
    thief.swap(&mut alice);
    assert_eq!(refused(&kit, &alice, &bob).await, [ProblemCode::Unauthorized; 8]);
    is_not_let_in(&kit, &alice).await;
    thief.swap(&mut alice);
    // The owner's own token was one of the key before, too; with the new key there is another, which opens everything.
    is_not_let_in(&kit, &alice).await;
    alice.token = kit.http.token(&alice).await;
    let read = kit.http.authed(&alice, Method::GET, &inbox).send().await.unwrap();
    let page = InboxPage::decode(&read.bytes().await.unwrap()).unwrap();
    assert_eq!(page.entries.len(), 1, "nobody has acknowledged it");
    assert_eq!(refused(&kit, &alice, &bob).await, []);
}

async fn subscribed(kit: &Kit, account: &Account) -> WebSocket {
    let mut socket = connect_as(kit, account).await;
    ask_for(&mut socket, &Subscribe { logs: vec![], inbox: true, transparency: false }).await;
    assert_eq!(push(&mut socket).await, Push::Ready);
    socket
}

/// P1: whatever was opened under the key before is closed within a second; what is opened under the new one stays.
#[tokio::test]
async fn p1_a_rotation_closes_what_was_opened_before() {
    let kit = Kit::new().await;
    let (mut alice, bob) = (kit.account("alice").await, kit.account("bob").await);
    let mut his = subscribed(&kit, &bob).await;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let mut sockets = every_kind(&kit, &alice).await;
        let rotation = alice.rotation();
        assert_eq!(submit(&kit, &alice, &rotation.0).await.status(), StatusCode::CREATED);
        times.push(shut_out_after(&mut sockets).await);
        alice.adopt(rotation);
        alice.token = kit.http.token(&alice).await;
    }
    mostly_within_a_second(times);
    let mut own = subscribed(&kit, &alice).await;
    let late = tokio::time::timeout(Duration::from_millis(1200), push(&mut own)).await;
    assert!(late.is_err(), "{late:?}");
    for (to, socket) in [(&alice, &mut own), (&bob, &mut his)] {
        assert_eq!(as_stranger(&kit, to.device, &bob, &letter(b"hello")).await.status(), StatusCode::CREATED);
        assert_eq!(push(socket).await, Push::Inbox { head: 1 });
    }
}
