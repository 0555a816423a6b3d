//! Key packages: uploads, claims, and what a claim may cost.

use std::collections::HashSet;

use futures_util::future::join_all;
use reqwest::{Method, Response, StatusCode};
use waxwing_relay::Rate;
use waxwing_wire::AccountId;
use waxwing_wire::api::{KeyPackageCount, base64url};
use waxwing_wire::frame::{ClaimKeyPackages, ClaimedKeyPackage, ClaimedKeyPackages, UploadKeyPackages};
use waxwing_wire::limits::{KEY_PACKAGES, MAX_KEY_PACKAGE};
use waxwing_wire::problem::ProblemCode;

use crate::accounts::submit;
use crate::inboxes::keys;
use crate::kit::{Account, Kit, app, code, random};

const PATH: &str = "/v1/key-packages";
const CLAIM: &str = "/v1/key-packages/claim";
const LAST: &[u8] = b"last resort";

/// One-time packages `from..to`.
fn packages(from: usize, to: usize) -> UploadKeyPackages {
    let packages = (from..to).map(package).collect();
    UploadKeyPackages { replace: false, last_resort: None, packages }
}

fn package(number: usize) -> Vec<u8> {
    format!("package {number}").into_bytes()
}

fn with_last(upload: UploadKeyPackages) -> UploadKeyPackages {
    UploadKeyPackages { last_resort: Some(LAST.to_vec()), ..upload }
}

fn replacing(upload: UploadKeyPackages) -> UploadKeyPackages {
    UploadKeyPackages { replace: true, ..upload }
}

async fn post(kit: &Kit, of: &Account, body: Vec<u8>) -> Response {
    kit.http.authed(of, Method::POST, PATH).body(body).send().await.unwrap()
}

async fn upload(kit: &Kit, of: &Account, upload: &UploadKeyPackages) -> (u32, bool) {
    let answer = post(kit, of, upload.encode()).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let KeyPackageCount { count, last_resort } = answer.json().await.unwrap();
    (count, last_resort)
}

async fn count(kit: &Kit, of: &Account) -> (u32, bool) {
    let answer = kit.http.authed(of, Method::GET, PATH).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let KeyPackageCount { count, last_resort } = answer.json().await.unwrap();
    (count, last_resort)
}

fn claim(of: AccountId) -> ClaimKeyPackages {
    ClaimKeyPackages { account: of, claim: random() }
}

async fn with_key(kit: &Kit, key: &[u8], claim: &ClaimKeyPackages) -> Response {
    let request = kit.http.request(Method::POST, CLAIM).header("waxwing-access-key", base64url::encode(key));
    request.body(claim.encode()).send().await.unwrap()
}

async fn as_stranger(kit: &Kit, by: &Account, claim: &ClaimKeyPackages) -> Response {
    kit.http.authed(by, Method::POST, CLAIM).body(claim.encode()).send().await.unwrap()
}

/// What a claim on an account with one device got.
async fn got(answer: Response) -> Option<ClaimedKeyPackage> {
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "application/octet-stream");
    let mut devices = ClaimedKeyPackages::decode(&answer.bytes().await.unwrap()).unwrap().devices;
    assert!(devices.len() <= 1);
    devices.pop()
}

/// A one-time package.
async fn one_time(answer: Response) -> Vec<u8> {
    let claimed = got(answer).await.unwrap();
    assert!(!claimed.last_resort);
    claimed.package
}

async fn last_resort(answer: Response) {
    let claimed = got(answer).await.unwrap();
    assert_eq!((claimed.last_resort, claimed.package.as_slice()), (true, LAST));
}

/// As if everything so far had been the day before.
fn yesterday(kit: &Kit) {
    kit.database()
        .execute_batch("UPDATE key_package_budgets SET day = day - 1; UPDATE key_package_claims SET hour = hour - 24;")
        .unwrap();
}

#[tokio::test]
async fn upload_count_claim() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    keys(&kit, &alice, Method::PUT, &[b"key"]).await;
    assert_eq!(count(&kit, &alice).await, (0, false));
    assert_eq!(got(with_key(&kit, b"key", &claim(alice.id)).await).await, None);
    assert_eq!(upload(&kit, &alice, &with_last(packages(0, 2))).await, (2, true));
    assert_eq!(upload(&kit, &alice, &packages(2, 3)).await, (3, true));
    // Each once, the oldest first; then the last resort, again and again.
    for number in 0..3 {
        let claimed = got(with_key(&kit, b"key", &claim(alice.id)).await).await.unwrap();
        let expected = ClaimedKeyPackage { device: alice.device, last_resort: false, package: package(number) };
        assert_eq!(claimed, expected);
        assert_eq!(count(&kit, &alice).await, (2 - u32::try_from(number).unwrap(), true));
    }
    for _ in 0..2 {
        last_resort(with_key(&kit, b"key", &claim(alice.id)).await).await;
    }
    // Without a last resort there is nothing, and that is no refusal.
    assert_eq!(upload(&kit, &alice, &replacing(packages(0, 0))).await, (0, false));
    assert_eq!(got(with_key(&kit, b"key", &claim(alice.id)).await).await, None);
}

#[tokio::test]
async fn a_replacing_upload_leaves_nothing_of_before() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let bob = kit.account("bob").await;
    upload(&kit, &alice, &with_last(packages(0, 50))).await;
    assert_eq!(upload(&kit, &alice, &replacing(packages(100, 102))).await, (2, false));
    assert_eq!(one_time(as_stranger(&kit, &bob, &claim(alice.id)).await).await, package(100));
    // A last resort takes the place of the one before, the packages stay.
    assert_eq!(upload(&kit, &alice, &with_last(packages(0, 0))).await, (1, true));
    let other = UploadKeyPackages { last_resort: Some(b"other".to_vec()), ..packages(0, 0) };
    assert_eq!(upload(&kit, &alice, &other).await, (1, true));
    assert_eq!(one_time(as_stranger(&kit, &bob, &claim(alice.id)).await).await, package(101));
    assert_eq!(got(as_stranger(&kit, &bob, &claim(alice.id)).await).await.unwrap().package, b"other");
}

/// D5: an upload whose answer was lost is made again, with what was handed out meanwhile: nothing is handed out twice.
#[tokio::test]
async fn d5_repeated_uploads_store_nothing_twice() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    keys(&kit, &alice, Method::PUT, &[b"key"]).await;
    let twice = UploadKeyPackages { packages: vec![package(0), package(1), package(0)], ..with_last(packages(0, 0)) };
    for _ in 0..2 {
        assert_eq!(upload(&kit, &alice, &twice).await, (2, true));
    }
    assert_eq!(one_time(with_key(&kit, b"key", &claim(alice.id)).await).await, package(0));
    for again in [twice.clone(), replacing(twice.clone())] {
        assert_eq!(upload(&kit, &alice, &again).await, (1, true));
    }
    assert_eq!(one_time(with_key(&kit, b"key", &claim(alice.id)).await).await, package(1));
    last_resort(with_key(&kit, b"key", &claim(alice.id)).await).await;
    // The same bytes of another device are another package.
    let bob = kit.account("bob").await;
    assert_eq!(upload(&kit, &bob, &twice).await, (2, true));
}

/// D5: a claim whose answer was lost is made again, also with a relay that was restarted; nobody else gets that answer.
#[tokio::test]
async fn d5_repeated_claims_get_the_same_answer() {
    let mut kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let bob = kit.account("bob").await;
    let carol = kit.account("carol").await;
    keys(&kit, &alice, Method::PUT, &[b"key", b"other"]).await;
    upload(&kit, &alice, &with_last(packages(0, 10))).await;
    let asked = claim(alice.id);
    for _ in 0..3 {
        assert_eq!(one_time(with_key(&kit, b"key", &asked).await).await, package(0));
        assert_eq!(one_time(with_key(&kit, b"other", &asked).await).await, package(1));
        assert_eq!(one_time(as_stranger(&kit, &bob, &asked).await).await, package(2));
        assert_eq!(one_time(as_stranger(&kit, &carol, &asked).await).await, package(3));
    }
    assert_eq!(count(&kit, &alice).await, (6, true));
    kit.restart().await;
    assert_eq!(one_time(with_key(&kit, b"key", &asked).await).await, package(0));
    assert_eq!(one_time(as_stranger(&kit, &bob, &asked).await).await, package(2));
    assert_eq!(count(&kit, &alice).await, (6, true));
    // Whoever is not admitted any more gets no answer from before either.
    keys(&kit, &alice, Method::DELETE, &[b"key"]).await;
    assert_eq!(code(with_key(&kit, b"key", &asked).await).await, ProblemCode::InboxRefused);
    // It is not kept for ever.
    yesterday(&kit);
    assert_eq!(one_time(with_key(&kit, b"other", &asked).await).await, package(4));
    let kept: i64 = kit.database().query_row("SELECT count(*) FROM key_package_claims", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 1);
}

/// A claim that is repeated before its answer is there takes one package; different claims never get the same one.
#[tokio::test]
async fn of_claims_at_once_each_gets_its_own() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let names: Vec<[u8; 16]> = (0..8).map(|_| random()).collect();
    let names: Vec<&[u8]> = names.iter().map(<[u8; 16]>::as_slice).collect();
    keys(&kit, &alice, Method::PUT, &names).await;
    upload(&kit, &alice, &packages(0, 60)).await;
    let asked: Vec<_> = names.iter().flat_map(|key| (0..5).map(|_| (*key, claim(alice.id)))).collect();
    let twice = asked.iter().chain(&asked);
    let answers = join_all(twice.map(async |(key, claim)| one_time(with_key(&kit, key, claim).await).await)).await;
    let (first, again) = answers.split_at(asked.len());
    assert_eq!(first, again);
    assert_eq!(first.iter().collect::<HashSet<_>>().len(), asked.len());
    assert_eq!(count(&kit, &alice).await, (20, false));
}

/// P10: whoever claims, and however often, takes a bounded number of one-time packages a day, and shuts nobody else out.
#[tokio::test]
async fn p10_claiming_never_drains_a_victim() {
    let mut kit = Kit::new().await;
    let alice = kit.account("alice").await;
    keys(&kit, &alice, Method::PUT, &[b"key", b"other"]).await;
    assert_eq!(upload(&kit, &alice, &with_last(packages(0, KEY_PACKAGES))).await, (100, true));
    // A leaked link.
    for _ in 0..10 {
        one_time(with_key(&kit, b"key", &claim(alice.id)).await).await;
    }
    for _ in 0..3 {
        last_resort(with_key(&kit, b"key", &claim(alice.id)).await).await;
    }
    assert_eq!(count(&kit, &alice).await, (90, true));
    // One stranger, and many.
    let mallory = kit.account("mallory").await;
    for _ in 0..2 {
        one_time(as_stranger(&kit, &mallory, &claim(alice.id)).await).await;
    }
    last_resort(as_stranger(&kit, &mallory, &claim(alice.id)).await).await;
    for i in 0..8 {
        let sybil = kit.account(&format!("sybil{i}")).await;
        one_time(as_stranger(&kit, &sybil, &claim(alice.id)).await).await;
    }
    let sybil = kit.account("sybil").await;
    last_resort(as_stranger(&kit, &sybil, &claim(alice.id)).await).await;
    assert_eq!(count(&kit, &alice).await, (80, true));
    // A restart gives nobody more, and whoever has another key still gets theirs.
    kit.restart().await;
    last_resort(as_stranger(&kit, &sybil, &claim(alice.id)).await).await;
    last_resort(with_key(&kit, b"key", &claim(alice.id)).await).await;
    one_time(with_key(&kit, b"other", &claim(alice.id)).await).await;
    // Other victims have allowances of their own; a new day has new ones.
    let bob = kit.account("bob").await;
    upload(&kit, &bob, &with_last(packages(0, 1))).await;
    one_time(as_stranger(&kit, &mallory, &claim(bob.id)).await).await;
    yesterday(&kit);
    one_time(as_stranger(&kit, &sybil, &claim(alice.id)).await).await;
    one_time(with_key(&kit, b"key", &claim(alice.id)).await).await;
    assert_eq!(count(&kit, &alice).await, (77, true));
}

/// P10: what is answered with a last resort fills no disk.
#[tokio::test]
async fn p10_claims_that_take_nothing_leave_nothing() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    keys(&kit, &alice, Method::PUT, &[b"key"]).await;
    upload(&kit, &alice, &with_last(packages(0, 0))).await;
    for _ in 0..20 {
        last_resort(with_key(&kit, b"key", &claim(alice.id)).await).await;
    }
    let rows: i64 = kit
        .database()
        .query_row(
            "SELECT (SELECT count(*) FROM key_package_claims) + (SELECT count(*) FROM key_package_budgets)",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(rows, 0);
}

/// P15: an account that nobody has, one that is private, a wrong key, a dismissed key.
#[tokio::test]
async fn p15_claims_refuse_alike() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let bob = kit.account("bob").await;
    let carol = kit.account("carol").await;
    keys(&kit, &alice, Method::PUT, &[b"key"]).await;
    keys(&kit, &carol, Method::PUT, &[b"carol's key"]).await;
    for account in [&alice, &bob, &carol] {
        upload(&kit, account, &with_last(packages(0, 5))).await;
    }
    // Nobody can register without a name yet.
    kit.database().execute("UPDATE accounts SET name = NULL WHERE name = 'carol'", []).unwrap();
    one_time(with_key(&kit, b"key", &claim(alice.id)).await).await;
    one_time(with_key(&kit, b"carol's key", &claim(carol.id)).await).await;
    let nobody = AccountId::from_bytes(random());
    let mut answers = vec![with_key(&kit, b"key", &claim(bob.id)).await];
    keys(&kit, &alice, Method::DELETE, &[b"key"]).await;
    answers.push(with_key(&kit, b"key", &claim(alice.id)).await);
    answers.push(with_key(&kit, b"", &claim(alice.id)).await);
    answers.push(with_key(&kit, b"key", &claim(nobody)).await);
    answers.push(as_stranger(&kit, &bob, &claim(nobody)).await);
    answers.push(as_stranger(&kit, &bob, &claim(carol.id)).await);
    // The device's id is no account's.
    answers.push(as_stranger(&kit, &bob, &claim(AccountId::from_bytes(*alice.device.as_bytes()))).await);
    let mut texts = Vec::new();
    for answer in answers {
        let mut headers = answer.headers().clone();
        headers.remove("date");
        texts.push((answer.status(), headers, answer.text().await.unwrap()));
    }
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
    assert_eq!(texts[0].0, StatusCode::FORBIDDEN);
    assert!(texts[0].2.contains("inbox_refused"));
}

/// P19: a thief of the database does not learn which account claimed from which, nor can try them out.
#[tokio::test]
async fn p19_who_claimed_from_whom_is_not_kept() {
    let mut kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let bob = kit.account("bob").await;
    upload(&kit, &alice, &packages(0, 5)).await;
    let asked = claim(alice.id);
    one_time(as_stranger(&kit, &bob, &asked).await).await;
    kit.restart().await;
    one_time(as_stranger(&kit, &bob, &claim(alice.id)).await).await;
    let database = kit.database();
    let mut sources = database.prepare("SELECT source FROM key_package_budgets WHERE length(source) > 0").unwrap();
    let sources: Vec<Vec<u8>> = sources.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    // The same stranger on the same day is two names, for the key of the names died with the first run.
    assert_eq!(sources.len(), 2);
    let file = std::fs::read(kit.folder.path().join("relay.db")).unwrap();
    assert!(!file.windows(16).any(|part| part == asked.claim), "a claim's id would name its claimer");
}

#[tokio::test]
async fn a_rotation_removes_what_was_made_under_the_old_keys() {
    let kit = Kit::new().await;
    let mut alice = kit.account("alice").await;
    let bob = kit.account("bob").await;
    for account in [&alice, &bob] {
        upload(&kit, account, &with_last(packages(0, 5))).await;
    }
    let asked = claim(alice.id);
    one_time(as_stranger(&kit, &bob, &asked).await).await;
    // An entry that is refused changes nothing.
    assert_eq!(code(submit(&kit, &alice, b"garbage").await).await, ProblemCode::InvalidEntry);
    assert_eq!(count(&kit, &alice).await, (4, true));
    let rotation = alice.rotation();
    let entry = rotation.0.clone();
    assert_eq!(submit(&kit, &alice, &entry).await.status(), StatusCode::CREATED);
    alice.adopt(rotation);
    alice.token = kit.http.token(&alice).await;
    assert_eq!(count(&kit, &alice).await, (0, false));
    // Not even a repeated claim gets the old one.
    assert_eq!(got(as_stranger(&kit, &bob, &asked).await).await, None);
    assert_eq!(count(&kit, &bob).await, (5, true));
    // The rotation's answer was lost, and it is made again after the new packages were uploaded: they stay.
    assert_eq!(upload(&kit, &alice, &replacing(with_last(packages(10, 12)))).await, (2, true));
    assert_eq!(submit(&kit, &alice, &entry).await.status(), StatusCode::CREATED);
    assert_eq!(count(&kit, &alice).await, (2, true));
    assert_eq!(one_time(as_stranger(&kit, &bob, &asked).await).await, package(10));
}

#[tokio::test]
async fn a_restart_loses_nothing() {
    let mut kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let bob = kit.account("bob").await;
    upload(&kit, &alice, &with_last(packages(0, 3))).await;
    one_time(as_stranger(&kit, &bob, &claim(alice.id)).await).await;
    kit.restart().await;
    assert_eq!(count(&kit, &alice).await, (2, true));
    assert_eq!(upload(&kit, &alice, &packages(0, 3)).await, (2, true));
    assert_eq!(one_time(as_stranger(&kit, &bob, &claim(alice.id)).await).await, package(1));
}

#[tokio::test]
async fn too_many_are_refused_and_change_nothing() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let bob = kit.account("bob").await;
    assert_eq!(upload(&kit, &alice, &packages(0, 95)).await, (95, false));
    let over = post(&kit, &alice, with_last(packages(90, 101)).encode()).await;
    assert_eq!(code(over).await, ProblemCode::QuotaExceeded);
    assert_eq!(count(&kit, &alice).await, (95, false));
    assert_eq!(upload(&kit, &alice, &with_last(packages(90, 100))).await, (100, true));
    assert_eq!(code(post(&kit, &alice, packages(100, 101).encode()).await).await, ProblemCode::QuotaExceeded);
    // Known ones again are no more, and there is always room for a last resort.
    assert_eq!(upload(&kit, &alice, &with_last(packages(0, 50))).await, (100, true));
    one_time(as_stranger(&kit, &bob, &claim(alice.id)).await).await;
    assert_eq!(upload(&kit, &alice, &packages(100, 101)).await, (100, true));
    assert_eq!(upload(&kit, &alice, &replacing(packages(200, 300))).await, (100, false));
}

#[tokio::test]
async fn what_is_no_upload_and_no_claim() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let good = with_last(packages(0, 2)).encode();
    let large = |len| UploadKeyPackages { packages: vec![vec![0; len]], ..packages(0, 0) }.encode();
    let mut flag = good.clone();
    flag[0] = 2;
    for bad in [
        vec![],
        good[..good.len() - 1].to_vec(),
        [good.as_slice(), &[0]].concat(),
        flag,
        packages(0, KEY_PACKAGES + 1).encode(),
        large(MAX_KEY_PACKAGE + 1),
    ] {
        assert_eq!(code(post(&kit, &alice, bad).await).await, ProblemCode::BadRequest);
    }
    assert_eq!(code(post(&kit, &alice, vec![0; 500_000]).await).await, ProblemCode::TooLarge);
    assert_eq!(count(&kit, &alice).await, (0, false));
    // As much as there may be fits.
    let packages = (0..KEY_PACKAGES).map(|_| random::<MAX_KEY_PACKAGE>().to_vec()).collect();
    let most = UploadKeyPackages { replace: true, last_resort: Some(vec![7; MAX_KEY_PACKAGE]), packages };
    assert_eq!(upload(&kit, &alice, &most).await, (100, true));
    // Claims.
    let good = claim(alice.id).encode();
    for bad in [vec![], good[..31].to_vec(), [good.as_slice(), &[0]].concat(), app(0, b"x").encode()] {
        let answer = kit.http.authed(&alice, Method::POST, CLAIM).body(bad).send().await.unwrap();
        assert_eq!(code(answer).await, ProblemCode::BadRequest);
    }
    let answer = kit.http.authed(&alice, Method::POST, CLAIM).body(vec![0; 1000]).send().await.unwrap();
    assert_eq!(code(answer).await, ProblemCode::TooLarge);
}

#[tokio::test]
async fn who_may_not() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    for (method, path) in [(Method::POST, PATH), (Method::GET, PATH), (Method::POST, CLAIM)] {
        let plain = kit.http.request(method, path).body(claim(alice.id).encode()).send().await.unwrap();
        assert_eq!(code(plain).await, ProblemCode::Unauthorized);
    }
    // A key's holder stays unnamed.
    let both = kit.http.authed(&alice, Method::POST, CLAIM).header("waxwing-access-key", base64url::encode(&[1; 16]));
    let both = both.body(claim(alice.id).encode()).send().await.unwrap();
    assert_eq!(code(both).await, ProblemCode::BadRequest);
    // A key admits to claims, not to anybody's stock.
    keys(&kit, &alice, Method::PUT, &[b"key"]).await;
    let request = kit.http.request(Method::POST, PATH).header("waxwing-access-key", base64url::encode(b"key"));
    let answer = request.body(packages(0, 1).encode()).send().await.unwrap();
    assert_eq!(code(answer).await, ProblemCode::Unauthorized);
}

#[tokio::test]
async fn uploads_and_claims_are_limited() {
    let kit = Kit::with(|config| {
        config.limits.key_packages = Rate { per_minute: 1, burst: 2 };
        config.limits.claim = Rate { per_minute: 1, burst: 4 };
        config.limits.stranger = Rate { per_minute: 1, burst: 1 };
    })
    .await;
    let alice = kit.account("alice").await;
    let bob = kit.account("bob").await;
    keys(&kit, &alice, Method::PUT, &[b"key"]).await;
    for _ in 0..2 {
        upload(&kit, &alice, &packages(0, 5)).await;
    }
    assert_eq!(code(post(&kit, &alice, packages(0, 5).encode()).await).await, ProblemCode::RateLimited);
    upload(&kit, &bob, &packages(0, 5)).await;
    one_time(as_stranger(&kit, &bob, &claim(alice.id)).await).await;
    assert_eq!(code(as_stranger(&kit, &bob, &claim(alice.id)).await).await, ProblemCode::RateLimited);
    for _ in 0..2 {
        one_time(with_key(&kit, b"key", &claim(alice.id)).await).await;
    }
    assert_eq!(code(with_key(&kit, b"key", &claim(alice.id)).await).await, ProblemCode::RateLimited);
}
