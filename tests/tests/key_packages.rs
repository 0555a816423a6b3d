//! Key packages, on real engines and a real relay: fifty at first, refilled, the last resort, and others after a week.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too

mod terminal;
mod world;

use std::collections::HashSet;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use terminal::Terminal;
use waxwing_protocol::Invite;
use waxwing_tests::clock;
use waxwing_tests::relay::RelayProcess;
use waxwing_wire::api::{ACCESS_KEY_HEADER, API_HEADER, base64url};
use waxwing_wire::frame::{ClaimKeyPackages, ClaimedKeyPackage, ClaimedKeyPackages};
use world::{World, start};

/// What a relay has of the device that was registered as the `n`th: one-time packages, and the last resort.
fn at_relay(data: &Path, n: i64) -> (HashSet<Vec<u8>>, Option<Vec<u8>>) {
    let db = open(data);
    let mut statement = db.prepare("SELECT package FROM key_packages WHERE device = ?1").unwrap();
    let once = statement.query_map([n], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    let mut statement = db.prepare("SELECT package FROM last_resort_packages WHERE device = ?1").unwrap();
    let last = statement.query_map([n], |row| row.get(0)).unwrap().next().transpose().unwrap();
    (once, last)
}

fn open(data: &Path) -> Connection {
    let files = std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    let file = files.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "db")).unwrap();
    let db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
    db.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    db
}

/// Claims as whoever has this link can. Every claim is of another day: allowances are the relay's own tests' matter.
async fn claim(world: &World, invite: &Invite, times: usize) -> Vec<ClaimedKeyPackage> {
    let (http, db) = (reqwest::Client::new(), open(&world.dir.path().join("relay")));
    let mut claimed = Vec::new();
    for time in 0..times {
        db.execute("DELETE FROM key_package_budgets", []).unwrap();
        let mut id = [0; 16];
        getrandom::fill(&mut id).unwrap();
        let answer = http
            .post(format!("http://{}/v1/key-packages/claim", world.listen))
            .header(API_HEADER, "1")
            .header(ACCESS_KEY_HEADER, base64url::encode(invite.access_key.as_bytes()))
            .body(ClaimKeyPackages { account: invite.account, claim: id }.encode())
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), 200, "claim {time}");
        let answer = ClaimedKeyPackages::decode(&answer.bytes().await.unwrap()).unwrap();
        assert_eq!(answer.devices.len(), 1);
        claimed.extend(answer.devices);
    }
    claimed
}

#[tokio::test(flavor = "multi_thread")]
async fn p10_fifty_are_there_refilled_when_few_are_left_and_the_last_resort_when_none_are() {
    let world = World::new().await;
    let data = world.dir.path().join("relay");
    let bob = world.register("bob").await;
    let (first, spare) = at_relay(&data, 1);
    assert_eq!((first.len(), spare.is_some()), (50, true), "right after registering");
    let invite = Invite::parse(&bob.client.invite().await.unwrap().link).unwrap();

    // Twenty are enough; nineteen are not.
    let mut claimed = claim(&world, &invite, 30).await;
    bob.client.sync().await.unwrap();
    assert_eq!(at_relay(&data, 1).0.len(), 20);
    claimed.extend(claim(&world, &invite, 1).await);
    bob.client.sync().await.unwrap();
    let (refilled, other) = at_relay(&data, 1);
    assert_eq!(refilled.len(), 50);
    assert!(other.is_some() && other != spare);
    let handed: HashSet<_> = claimed.iter().map(|claimed| claimed.package.clone()).collect();
    assert_eq!((handed.len(), handed.is_disjoint(&refilled)), (31, true), "none goes to two");
    assert!(claimed.iter().all(|claimed| !claimed.last_resort) && handed.is_subset(&first));

    // Bob is away, and all are claimed. He can be reached all the same: by two people, and by one of them twice.
    let (alice, cem) = tokio::join!(world.register("alice"), world.register("cem"));
    bob.client.stop().await;
    claim(&world, &invite, 50).await;
    let last = claim(&world, &invite, 1).await.remove(0);
    assert_eq!((last.last_resort, Some(&last.package)), (true, other.as_ref()));
    let mut groups = Vec::new();
    for person in [&alice, &cem] {
        person.client.add_contact(&invite.to_link()).await.unwrap();
        let bobs = person.client.contacts().await.unwrap().remove(0).account_id;
        for title in ["Birds", "Fish"] {
            let id = person.client.create_group(title, std::slice::from_ref(&bobs)).await.unwrap().id;
            person.send(&id, &format!("welcome to {title}")).await;
            groups.push((id, format!("welcome to {title}")));
        }
        person.client.sync().await.unwrap();
    }
    let folder = bob.profile.dir().to_owned();
    drop(bob);
    let bob = start(&folder).await;
    for (id, text) in &groups {
        bob.until_texts(id, &[text]).await;
    }
    // It has done its service.
    bob.client.sync().await.unwrap();
    let (again, new) = at_relay(&data, 1);
    assert_eq!((again.len(), again.is_disjoint(&refilled)), (50, true));
    assert!(new.is_some() && new != other);
}

/// The relay's clock is what counts: those of the two here are ten years ahead and behind.
#[test]
fn d8_after_a_week_of_relay_time_all_are_replaced_whatever_the_local_clock_says() {
    let (Some(ahead), Some(behind)) = (clock::off_by("+3650d"), clock::off_by("-3650d")) else { return };
    let under = |shift| clock::off_by(shift).unwrap();
    let mut relay = RelayProcess::start().unwrap();
    let alice = Terminal::register(&relay, "alice", &ahead.each_ref().map(String::as_str));
    let bob = Terminal::register(&relay, "bob", &behind.each_ref().map(String::as_str));
    let there = |relay: &RelayProcess| [1, 2].map(|n| at_relay(relay.data(), n));
    let first = there(&relay);
    assert!(first.iter().all(|(once, last)| once.len() == 50 && last.is_some()));
    // Bob, who is away, is brought into a conversation with a package of the first fifty.
    alice.run(&["add", &bob.address]);
    for (days, replaced) in [("+6d", false), ("+8d", true)] {
        relay.stop();
        relay.start_again_under(&under(days)).unwrap();
        alice.run(&["sync"]);
        bob.run(&["sync"]);
        let now = there(&relay);
        for (before, now) in first.iter().zip(&now) {
            assert_eq!(before.1 != now.1, replaced, "{days}");
            assert!(
                now.0.is_disjoint(&before.0) == replaced && now.0.len() >= if replaced { 50 } else { 49 },
                "{days}"
            );
        }
    }
    bob.run(&["accept", &alice.address]);
    bob.run(&["send", &alice.address, "there you are"]);
    let lines = alice.run(&["read", &bob.address]);
    assert!(lines.iter().any(|line| line["text"] == "there you are"));
}
