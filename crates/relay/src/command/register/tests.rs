//! That nobody has a name hashed who gets no account: what tests outside cannot see.

use std::time::Duration;

use ed25519_dalek::{Signer as _, SigningKey};
use http::StatusCode;
use waxwing_wire::api::EntryBytes;
use waxwing_wire::chain::{Create, InForce, UnsignedEntry};
use waxwing_wire::problem::Problem;
use waxwing_wire::{DeviceId, DeviceRecord, signing_input};

use super::*;
use crate::config::Config;
use crate::relay::start;
use crate::storage::Invitation;

const AUDIENCE: &str = "relay.example";
const SOON: Duration = Duration::from_secs(20);

/// The first entry of account `n`.
fn entry(n: u8, name: &str) -> SubmitEntry {
    let keys: Vec<_> = (0..5).map(|key| SigningKey::from_bytes(&[10 * n + key; 32])).collect();
    let public = |key: usize| keys[key].verifying_key().to_bytes();
    let device = DeviceRecord {
        device: DeviceId::from_bytes([n; 16]),
        key_version: 1,
        relay_auth: public(2),
        signing: public(3),
        mls: public(4),
        x25519: [n; 32],
        xwing: Box::new([0x10 + n; 1216]),
    };
    let (account_key, recovery_key) = (public(0), public(1));
    let name = Some(name.parse().unwrap());
    let create = Create { log_origin: AUDIENCE.to_owned(), name, recovery_key, account_key, device };
    let statement = Statement::Create(Box::new(create));
    let account = AccountId::from_bytes([n; 16]);
    let unsigned = UnsignedEntry { account, seq: 0, prev_hash: [0; 32], statement, at_ms: 1 };
    let message = unsigned.encode();
    let sign = |(context, public): (_, &[u8; 32])| {
        let key = keys.iter().find(|key| key.verifying_key().as_bytes() == public).unwrap();
        key.sign(&signing_input(context, &message)).to_bytes()
    };
    let in_force = InForce { account_key: &account_key, recovery_key: &recovery_key };
    let signatures = unsigned.signers(in_force).into_iter().map(sign).collect();
    SubmitEntry { entry: EntryBytes(unsigned.assemble(signatures).as_bytes().to_vec()) }
}

/// A3: with all places for hashing taken, whoever is shut out has the answer, and whoever is not waits for a place.
#[tokio::test]
async fn a3_an_invitation_that_is_none_costs_no_hash() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::new("127.0.0.1:0".parse().unwrap(), folder.path().to_owned());
    config.audience = Some(AUDIENCE.to_owned());
    let relay = start(config).await.unwrap();
    let (url, app) = (format!("{}/v1/accounts", relay.base_url()), relay.app());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = |token: &[u8], entry: &SubmitEntry| {
        let request = client.post(&url).header(REGISTRATION_HEADER, base64url::encode(token)).json(entry);
        tokio::time::timeout(SOON, request.send())
    };
    let code = async |answer: reqwest::Response| answer.json::<Problem>().await.unwrap().code;
    let (alice, bob) = (entry(1, "alice"), entry(2, "bob"));
    let required = ProblemCode::RegistrationInviteRequired;
    let until_hour = crate::state::now().as_secs() / 3600 + 2;
    app.storage.invite(Invitation { hash: token_hash(b"good"), uses: 1, until_hour }).await.unwrap();

    let places = app.names.occupy().await;
    let refused = ask(b"junk", &alice).await.expect("it waits for a hash").unwrap();
    assert_eq!(code(refused).await, required);
    // The control: a good one has the name hashed.
    let mut waits = Box::pin(ask(b"good", &alice));
    assert!(tokio::time::timeout(Duration::from_millis(500), &mut waits).await.is_err());
    drop(places);
    assert_eq!(waits.await.unwrap().unwrap().status(), StatusCode::CREATED);

    // Used up by now: nothing is hashed for it, and whoever has missed the answer gets it.
    let _places = app.names.occupy().await;
    let refused = ask(b"good", &bob).await.expect("it waits for a hash").unwrap();
    assert_eq!(code(refused).await, required);
    let again = ask(b"good", &alice).await.expect("it waits for a hash").unwrap();
    assert_eq!(again.status(), StatusCode::CREATED);
}
