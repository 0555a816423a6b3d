//! Who may make an account: anybody, whoever is invited, nobody.

use reqwest::{Method, Response, StatusCode};
use waxwing_relay::{Config, Registration};
use waxwing_wire::api::{EntryBytes, REGISTRATION_HEADER, SubmitEntry, base64url};
use waxwing_wire::log::token_hash;
use waxwing_wire::problem::ProblemCode;

use crate::kit::{Account, Kit, code};

const AUDIENCE: &str = "relay.example";

fn by_invitation(config: &mut Config) {
    config.audience = Some(AUDIENCE.to_owned());
}

async fn register(kit: &Kit, account: &Account, invitation: Option<&str>) -> Response {
    let body = SubmitEntry { entry: EntryBytes(account.chain[0].clone()) };
    let request = kit.http.request(Method::POST, "/v1/accounts").json(&body);
    match invitation {
        Some(invitation) => request.header(REGISTRATION_HEADER, invitation).send().await.unwrap(),
        None => request.send().await.unwrap(),
    }
}

/// What `admin invite` prints first.
async fn invitation(kit: &Kit, more: &[&str]) -> String {
    let told = kit.admin(&[&["invite"], more].concat()).await.unwrap();
    told.lines().find_map(|line| line.strip_prefix("invitation: ")).unwrap().to_owned()
}

/// A relay that others reach asks for an invitation unless the operator says otherwise.
#[tokio::test]
async fn a_public_relay_asks_for_an_invitation() {
    let kit = Kit::with(by_invitation).await;
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| Account::new(name, AUDIENCE));
    let required = ProblemCode::RegistrationInviteRequired;
    for wrong in [None, Some(""), Some("x"), Some("AAAAAAAAAAAAAAAAAAAAAA")] {
        let answer = register(&kit, &alice, wrong).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        assert_eq!(code(answer).await, required, "{wrong:?}");
    }
    let once = invitation(&kit, &[]).await;
    assert_eq!(register(&kit, &alice, Some(&once)).await.status(), StatusCode::CREATED);
    // The answer may have been lost; nobody else gets in by it.
    assert_eq!(register(&kit, &alice, Some(&once)).await.status(), StatusCode::CREATED);
    assert_eq!(register(&kit, &alice, None).await.status(), StatusCode::CREATED);
    assert_eq!(code(register(&kit, &bob, Some(&once)).await).await, required);
    let twice = invitation(&kit, &["--uses", "2", "--days", "1"]).await;
    // One that came to nothing is not used up.
    let taken = Account::new("alice", AUDIENCE);
    assert_eq!(code(register(&kit, &taken, Some(&twice)).await).await, ProblemCode::NameTaken);
    for account in [&bob, &carol] {
        assert_eq!(register(&kit, account, Some(&twice)).await.status(), StatusCode::CREATED);
    }
    assert_eq!(code(register(&kit, &Account::new("dave", AUDIENCE), Some(&twice)).await).await, required);
}

#[tokio::test]
async fn an_invitation_runs_out_and_is_kept_as_a_hash_alone() {
    let kit = Kit::with(by_invitation).await;
    let token = invitation(&kit, &["--days", "1"]).await;
    let hash = token_hash(&base64url::decode(&token).unwrap());
    let database = kit.database();
    let kept: Vec<u8> = database.query_row("SELECT hash FROM invitations", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, hash);
    database.execute("UPDATE invitations SET until_hour = until_hour - 25", []).unwrap();
    let alice = Account::new("alice", AUDIENCE);
    assert_eq!(code(register(&kit, &alice, Some(&token)).await).await, ProblemCode::RegistrationInviteRequired);
    // The next one sweeps it away.
    invitation(&kit, &[]).await;
    assert_eq!(database.query_row("SELECT count(*) FROM invitations", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
}

/// Two at once with an invitation for one: one of them gets in.
#[tokio::test]
async fn an_invitation_is_not_used_twice_at_once() {
    let kit = Kit::with(by_invitation).await;
    for round in 0..5 {
        let token = invitation(&kit, &[]).await;
        let accounts = ["a", "b", "c", "d"].map(|name| Account::new(&format!("{name}-{round}-x"), AUDIENCE));
        let answers =
            futures_util::future::join_all(accounts.iter().map(|account| register(&kit, account, Some(&token)))).await;
        let made = answers.iter().filter(|answer| answer.status() == StatusCode::CREATED).count();
        assert_eq!(made, 1);
    }
}

#[tokio::test]
async fn a_closed_relay_makes_no_account() {
    let mut kit = Kit::new().await;
    let audience = kit.http.authority();
    let alice = kit.account("alice").await;
    kit.take().stop().await;
    kit.start_with(|config| config.registration = Some(Registration::Closed)).await;
    let bob = Account::new("bob", &audience);
    let token = invitation(&kit, &[]).await;
    for invitation in [None, Some(token.as_str())] {
        let answer = register(&kit, &bob, invitation).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        assert_eq!(code(answer).await, ProblemCode::RegistrationClosed);
    }
    assert_eq!(register(&kit, &alice, None).await.status(), StatusCode::CREATED, "made before, answered again");
}
