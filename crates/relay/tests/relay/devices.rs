//! Devices come and go with their account's chain: who may append what, and what is left of a device that is in force no longer.

use reqwest::{Method, Response, StatusCode};
use waxwing_wire::api::{EntryBytes, SubmitEntry};
use waxwing_wire::frame::{ClaimKeyPackages, InboxSend, UploadKeyPackages};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::problem::ProblemCode;

use crate::accounts::submit;
use crate::inboxes::{as_stranger, keys, with_key};
use crate::kit::{Account, Kit, code, random};

/// Appends without a token, as from a machine that no device of the account is on.
pub async fn submit_unnamed(kit: &Kit, account: &Account, entry: &[u8]) -> Response {
    let body = SubmitEntry { entry: EntryBytes(entry.to_vec()) };
    let path = format!("/v1/accounts/{}/chain", account.id);
    kit.http.request(Method::POST, &path).json(&body).send().await.unwrap()
}

async fn inbox(kit: &Kit, account: &Account) -> StatusCode {
    let path = format!("/v1/inboxes/{}?after=0", account.device);
    kit.http.authed(account, Method::GET, &path).send().await.unwrap().status()
}

#[tokio::test]
async fn whoever_has_the_phrase_needs_no_token_and_nobody_else_does_without() {
    let kit = Kit::new().await;
    let mut alice = kit.account("alice").await;
    // Everything else is refused without one, rightly signed as it is.
    let rotation = alice.rotation().0;
    let close = alice.close();
    for entry in [&rotation, &close] {
        assert_eq!(code(submit_unnamed(&kit, &alice, entry).await).await, ProblemCode::Unauthorized);
    }
    let (entry, mut again) = alice.recover();
    // Somebody else's phrase is none.
    let bob = kit.account("bob").await;
    let (forged, _) = bob.recover();
    assert_ne!(submit_unnamed(&kit, &alice, &forged).await.status(), StatusCode::CREATED);
    assert_eq!(submit_unnamed(&kit, &alice, &entry).await.status(), StatusCode::CREATED);
    // The answer may have been lost.
    assert_eq!(submit_unnamed(&kit, &alice, &entry).await.status(), StatusCode::CREATED);

    // The old device is out: its token opens nothing, and it gets no other.
    assert_ne!(inbox(&kit, &alice).await, StatusCode::OK);
    alice.chain = again.chain.clone();
    let stolen = alice.rotation().0;
    assert_ne!(submit(&kit, &alice, &stolen).await.status(), StatusCode::CREATED);
    let assertion = alice.assertion();
    let proof = kit.http.proof(&alice, "POST", "/oauth/token", None);
    assert_ne!(kit.http.token_with(&alice, &assertion, &proof).await.status(), StatusCode::OK);
    // The new one is in, and goes on.
    again.token = kit.http.token(&again).await;
    assert_eq!(inbox(&kit, &again).await, StatusCode::OK);
    let next = again.rotation();
    assert_eq!(submit(&kit, &again, &next.0).await.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn p1_a_revoked_device_is_cut_off_with_its_token() {
    let kit = Kit::new().await;
    let mut alice = kit.account("alice").await;
    let (entry, mut thief) = alice.add_device();
    assert_eq!(submit(&kit, &alice, &entry).await.status(), StatusCode::CREATED);
    thief.token = kit.http.token(&thief).await;
    assert_eq!(inbox(&kit, &thief).await, StatusCode::OK);

    let entry = alice.replace_account_key(vec![thief.device]);
    assert_eq!(submit(&kit, &alice, &entry).await.status(), StatusCode::CREATED);
    // Its token has minutes to live, its account key was the account's.
    assert_ne!(inbox(&kit, &thief).await, StatusCode::OK);
    // Nor does it make anything that would outlive the token, or speak as the account.
    let planted = keys(&kit, &thief, Method::PUT, &[&random::<16>()]).await;
    assert_eq!(planted.status(), StatusCode::UNAUTHORIZED);
    let bob = kit.account("bob").await;
    let letter = InboxSend {
        entry_id: waxwing_wire::EnvelopeId::from_bytes(random()),
        kind: EnvelopeKind::Welcome,
        blob: b"a letter".to_vec(),
    };
    assert_eq!(as_stranger(&kit, bob.device, &thief, &letter).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(as_stranger(&kit, bob.device, &alice, &letter).await.status(), StatusCode::CREATED, "the control");
    let claim = ClaimKeyPackages { account: bob.id, claim: random() };
    let claim = kit.http.authed(&thief, Method::POST, "/v1/key-packages/claim").body(claim.encode());
    assert_eq!(claim.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    thief.chain = alice.chain.clone();
    for entry in [thief.rotation().0, thief.close()] {
        let refused = submit(&kit, &thief, &entry).await;
        assert!(refused.status().is_client_error(), "{}", refused.status());
    }
    assert_eq!(inbox(&kit, &alice).await, StatusCode::OK);
    // The same id comes back for nobody.
    let (again, _) = alice.add_device();
    assert_eq!(submit(&kit, &alice, &again).await.status(), StatusCode::CREATED);
}

/// Tables with what belongs to a device, and to an account, apart from chain and name. Not among them: how often it was claimed from on this
/// day, which names nobody and ends with it.
const OF_DEVICE: [&str; 6] =
    ["inbox_entries", "inbox_ids", "inbox_usage", "key_packages", "last_resort_packages", "spent_key_packages"];
const OF_ACCOUNT: [&str; 2] = ["access_keys", "key_package_claims"];

/// One of everything that a relay keeps for somebody; `other` claims a key package and writes as a stranger.
async fn fill(kit: &Kit, of: &Account, other: &Account) {
    let key: [u8; 16] = random();
    assert_eq!(keys(kit, of, Method::PUT, &[&key]).await.status(), StatusCode::NO_CONTENT);
    let packages = UploadKeyPackages {
        replace: false,
        last_resort: Some(b"the last one".to_vec()),
        packages: vec![b"one".to_vec(), b"two".to_vec()],
    };
    let upload = kit.http.authed(of, Method::POST, "/v1/key-packages").body(packages.encode());
    assert_eq!(upload.send().await.unwrap().status(), StatusCode::CREATED);
    let claim = ClaimKeyPackages { account: of.id, claim: random() };
    let claim = kit.http.authed(other, Method::POST, "/v1/key-packages/claim").body(claim.encode());
    assert_eq!(claim.send().await.unwrap().status(), StatusCode::OK);
    let letter = || InboxSend {
        entry_id: waxwing_wire::EnvelopeId::from_bytes(random()),
        kind: EnvelopeKind::Welcome,
        blob: b"a letter".to_vec(),
    };
    assert_eq!(with_key(kit, of.device, &key, &letter()).await.status(), StatusCode::CREATED);
    assert_eq!(as_stranger(kit, of.device, other, &letter()).await.status(), StatusCode::CREATED);
}

/// Tables that have no row for an account and its device, by the numbers that these have, or had, in the database.
fn empty(kit: &Kit, (account, device): (i64, i64)) -> Vec<&'static str> {
    let db = kit.database();
    let has = |table: &str, column: &str, n: i64| {
        let find = format!("SELECT count(*) FROM {table} WHERE {column} = ?1");
        db.query_row(&find, [n], |row| row.get::<_, u32>(0)).unwrap() > 0
    };
    let of_device = OF_DEVICE.into_iter().filter(|table| !has(table, "device", device));
    of_device.chain(OF_ACCOUNT.into_iter().filter(|table| !has(table, "account", account))).collect()
}

fn numbers(kit: &Kit, of: &Account) -> (i64, i64) {
    let find = "SELECT account, n FROM devices WHERE id = ?1";
    kit.database().query_row(find, [of.device.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

#[tokio::test]
async fn a_closed_account_has_nothing_at_the_relay_but_its_chain_and_name() {
    let kit = Kit::new().await;
    let mut alice = kit.account("alice").await;
    let bob = kit.account("bob").await;
    fill(&kit, &alice, &bob).await;
    fill(&kit, &bob, &alice).await;
    let (hers, his) = (numbers(&kit, &alice), numbers(&kit, &bob));
    assert_eq!((empty(&kit, hers), empty(&kit, his)), (vec![], vec![]), "the control: there was something everywhere");
    let entry = alice.close();
    assert_eq!(submit(&kit, &alice, &entry).await.status(), StatusCode::CREATED);
    assert_eq!(empty(&kit, hers), [OF_DEVICE.as_slice(), &OF_ACCOUNT].concat());
    let devices = "SELECT count(*) FROM devices WHERE account = ?1";
    assert_eq!(kit.database().query_row(devices, [hers.0], |row| row.get::<_, u32>(0)).unwrap(), 0);
    assert_eq!(empty(&kit, his), Vec::<&str>::new(), "nobody else's is touched");
    alice.chain.push(entry);
    assert_ne!(inbox(&kit, &alice).await, StatusCode::OK);
    let later = alice.rotation().0;
    assert_ne!(submit(&kit, &alice, &later).await.status(), StatusCode::CREATED);
    assert_eq!(kit.http.get("/v1/accounts/alice/chain").await.status(), StatusCode::OK);
    let other = Account::new("alice", &kit.http.authority());
    assert_eq!(code(kit.http.register(&other).await).await, ProblemCode::NameTaken);
    // The phrase opens it again.
    let (entry, mut again) = alice.recover();
    assert_eq!(submit_unnamed(&kit, &alice, &entry).await.status(), StatusCode::CREATED);
    again.token = kit.http.token(&again).await;
    assert_eq!(inbox(&kit, &again).await, StatusCode::OK);
}

#[tokio::test]
async fn strangers_use_up_nobodys_allowance() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let bob = kit.account("bob").await;
    let (forged, _) = bob.recover();
    for _ in 0..90 {
        let refused = submit_unnamed(&kit, &alice, &forged).await.status();
        assert!(refused.is_client_error(), "{refused}");
    }
    let rotation = alice.rotation();
    assert_eq!(submit(&kit, &alice, &rotation.0).await.status(), StatusCode::CREATED);
}
