//! A relay that is restored from a backup of its operator's (D14): everybody goes on, with what they had; and notes of restorations that are not
//! true (P17). On real engines and a real relay.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too

mod world;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use waxwing_client::{ContradictionKind, ErrorCode, Safety};
use waxwing_tests::{place, wait};
use waxwing_wire::transparency::{Restored, SignedCheckpoint};
use world::between::Lie;
use world::{Person, World, acquainted, introduce, start, until_log};

fn program(words: &[&str]) -> String {
    let output = Command::new(place::binary("waxwing-relay").unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn folder(world: &World) -> PathBuf {
    world.dir.path().join("relay")
}

fn admin(world: &World, words: &[&str]) -> String {
    program(&[&["admin", "--data", folder(world).to_str().unwrap()], words].concat())
}

/// What the operator keeps of a relay that runs.
fn backup(world: &World, name: &str) -> PathBuf {
    let file = world.dir.path().join(name);
    admin(world, &["backup", file.to_str().unwrap()]);
    file
}

/// The relay's disk is lost, and what the operator has kept is put there.
async fn restore(world: &mut World, from: &Path) {
    world.stop_relay().await;
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(folder(world).join(format!("relay.db{ending}")));
    }
    program(&["restore", "--from", from.to_str().unwrap(), "--data", folder(world).to_str().unwrap()]);
    world.start_relay().await;
}

/// Everybody has followed so many restorations, and nothing speaks against the relay.
async fn until_followed(people: &[&Person], restorations: usize) {
    for person in people {
        person.client.try_now();
        let log =
            until_log(person, "the restoration", |log| log.restorations.len() == restorations && !log.stale).await;
        assert!(log.contradictions.is_empty() && log.alarms.is_empty(), "{log:?}");
        assert_eq!(log.restored_problem, None);
        assert!(log.size >= log.restorations[0].size && log.restorations[0].backup <= log.restorations[0].found);
    }
}

async fn until_all(people: &[&Person], id: &str, texts: &[&str]) {
    for person in people {
        person.until_texts(id, texts).await;
    }
}

/// All texts that somebody has in a conversation, in whatever order.
async fn until_all_of(people: &[&Person], id: &str, texts: &[&str]) {
    let mut wanted: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
    wanted.sort_unstable();
    for person in people {
        // Whoever's key packages could not be had is tried again after a minute.
        let what = format!("{} to have all of {wanted:?}", person.account().await);
        let all = async || {
            let _ = person.client.sync().await;
            let mut texts = person.texts(id).await;
            texts.sort_unstable();
            Ok((texts == wanted).then_some(()))
        };
        wait::within(Duration::from_secs(100), &what, all).await.unwrap();
    }
}

async fn stopped(person: Person) -> PathBuf {
    let dir = person.profile.dir().to_owned();
    person.client.stop().await;
    dir
}

#[tokio::test(flavor = "multi_thread")]
async fn d14_conversations_go_on_after_a_restore_that_lost_their_last_commits_and_messages() {
    let mut world = World::new().await;
    let (alice, bob, direct) = acquainted(&world).await;
    let cem = world.register("cem").await;
    introduce(&alice, &cem).await;
    let group = alice.client.create_group("Birds", &[bob.account().await, cem.account().await]).await.unwrap().id;
    for person in [&bob, &cem] {
        person.until("the group", async |client| client.conversation(&group).await.ok().map(drop)).await;
    }
    alice.send(&direct, "before").await;
    alice.send(&group, "all before").await;
    until_all(&[&alice, &bob], &direct, &["before"]).await;
    until_all(&[&alice, &bob, &cem], &group, &["all before"]).await;
    let kept = backup(&world, "backup");

    // What is lost: new keys and the commits that bring them, a group's new name, texts, an account, an invite link that is off.
    bob.client.rotate_keys().await.unwrap();
    bob.client.rotate_keys().await.unwrap();
    alice.client.rename_group(&group, "Waxwings").await.unwrap();
    bob.send(&direct, "lost").await;
    cem.send(&group, "all lost").await;
    until_all(&[&alice, &bob], &direct, &["before", "lost"]).await;
    until_all(&[&alice, &bob, &cem], &group, &["all before", "all lost"]).await;
    let old_link = alice.client.invite().await.unwrap().link;
    alice.client.renew_invite().await.unwrap();
    let dan = world.register("dan").await;
    let with_dan = introduce(&alice, &dan).await;
    alice.send(&with_dan, "new here").await;
    until_all(&[&alice, &dan], &with_dan, &["new here"]).await;
    let cems = stopped(cem).await;
    alice.send(&direct, "not read by all").await;
    alice.send(&group, "nobody of Cem's has read this").await;
    bob.until_texts(&direct, &["before", "lost", "not read by all"]).await;
    bob.until_texts(&group, &["all before", "all lost", "nobody of Cem's has read this"]).await;
    let versions = bob.client.keys().await.unwrap().version;

    restore(&mut world, &kept).await;
    let all = [&alice, &bob, &dan];
    until_followed(&all, 1).await;
    // Nobody's keys have gone back, and all that the relay had lost of them is there again.
    assert_eq!(bob.client.keys().await.unwrap().version, versions);
    for person in all {
        let keys = person
            .until("the own entries in the log", async |client| {
                let _ = client.sync().await;
                client.keys().await.ok().filter(|keys| keys.history.iter().all(|item| item.proved == Some(true)))
            })
            .await;
        assert!(keys.rotation_problem.is_none());
    }
    alice.send(&direct, "and on").await;
    until_all_of(&[&alice, &bob], &direct, &["before", "lost", "not read by all", "and on"]).await;
    bob.send(&direct, "and on, too").await;
    until_all_of(&[&alice, &bob], &direct, &["before", "lost", "not read by all", "and on", "and on, too"]).await;
    dan.send(&with_dan, "still here").await;
    until_all_of(&[&alice, &dan], &with_dan, &["new here", "still here"]).await;
    // Whoever had not read it has it now.
    let cem = start(&cems).await;
    until_followed(&[&cem], 1).await;
    bob.send(&group, "all on").await;
    let texts = ["all before", "all lost", "nobody of Cem's has read this", "all on"];
    until_all_of(&[&alice, &bob, &cem], &group, &texts).await;
    cem.send(&group, "all on, too").await;
    let texts = [texts.as_slice(), &["all on, too"]].concat();
    until_all_of(&[&alice, &bob, &cem], &group, &texts).await;
    assert_eq!(cem.client.conversation(&group).await.unwrap().title, "Waxwings");
    for (person, id) in [(&alice, &direct), (&bob, &direct), (&alice, &group), (&bob, &group), (&cem, &group)] {
        assert_eq!(person.client.conversation(id).await.unwrap().problem, None);
    }
    // The link that was off stays off, the one in force admits.
    let admits = |link: &str| {
        let key = waxwing_protocol::Invite::parse(link).unwrap().access_key.hash();
        let db = rusqlite::Connection::open(folder(&world).join("relay.db")).unwrap();
        db.prepare("SELECT 1 FROM access_keys WHERE hash = ?1").unwrap().exists([key]).unwrap()
    };
    assert!(!admits(&old_link) && admits(&alice.client.invite().await.unwrap().link));
    let eve = world.register("eve").await;
    let id = eve.client.add_contact(&alice.client.invite().await.unwrap().link).await.unwrap().id;
    alice.until("a Welcome by the new link", async |client| client.conversation(&id).await.ok()).await;
    for person in [&alice, &bob, &cem, &dan, &eve] {
        let log = until_log(person, "a log that is of now", |log| !log.stale).await;
        assert!(log.contradictions.is_empty() && log.alarms.is_empty(), "{log:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d14_restorations_one_after_another_are_followed_by_whoever_was_away() {
    let mut world = World::new().await;
    let (alice, bob, direct) = acquainted(&world).await;
    until_log(&alice, "all of the log", |log| log.size >= 4.0).await;
    let first = backup(&world, "first");
    bob.client.rotate_keys().await.unwrap();
    until_log(&alice, "all of the log", |log| log.size >= 5.0).await;
    let alices = stopped(alice).await;
    // The same one twice: whoever followed the first time follows from an origin that no backup holds.
    restore(&mut world, &first).await;
    until_followed(&[&bob], 1).await;
    restore(&mut world, &first).await;
    until_followed(&[&bob], 2).await;
    // And one of after that.
    let second = backup(&world, "second");
    world.register("cem").await;
    until_log(&bob, "Cem in the log", |log| log.size >= 7.0).await;
    restore(&mut world, &second).await;
    until_followed(&[&bob], 3).await;
    // Whoever was away for all of it meets two of them.
    let alice = start(&alices).await;
    until_followed(&[&alice], 2).await;
    let alice = alice.restart().await;
    assert_eq!(alice.client.transparency_log().await.unwrap().restorations.len(), 2);
    alice.send(&direct, "here again").await;
    until_all_of(&[&alice, &bob], &direct, &["here again"]).await;
    // A newcomer has nothing to follow, and is none the worse.
    let dan = world.register("dan").await;
    dan.client.add_contact(&bob.client.invite().await.unwrap().link).await.unwrap();
    let log = until_log(&dan, "the log", |log| log.size > 0.0).await;
    assert!(log.restorations.is_empty() && !log.stale);
}

/// No note leads on from what somebody has read who came to know the relay while it ran on the wrong backup. The user ends that.
#[tokio::test(flavor = "multi_thread")]
async fn d14_whoever_came_between_the_wrong_backup_and_the_right_one_is_not_stuck() {
    let mut world = World::new().await;
    let alice = world.register("alice").await;
    let wrong = backup(&world, "wrong");
    for name in ["bob", "dan"] {
        let person = world.register(name).await;
        person.until_online().await;
        stopped(person).await;
    }
    let right = backup(&world, "right");
    restore(&mut world, &wrong).await;
    let cem = world.register("cem").await;
    let before = until_log(&cem, "himself in the log", |log| log.size >= 4.0).await;
    until_followed(&[&alice], 1).await;
    restore(&mut world, &right).await;
    // Whoever has followed from the log's first origin follows this, too.
    until_followed(&[&alice], 2).await;
    // He has read a log that is gone. That is told, with both notes, and nobody new is taken from the relay.
    let log = until_log(&cem, "that it is gone", |log| !log.contradictions.is_empty()).await;
    assert_eq!((log.contradictions[0].kind, log.size), (ContradictionKind::Diverged, before.size));
    assert!(log.contradictions[0].second.contains("restored ") && log.restorations.is_empty());
    let link = alice.client.invite().await.unwrap().link;
    let refused = cem.client.add_contact(&link).await.unwrap_err();
    assert!(matches!(refused.code(), ErrorCode::LogContradicts | ErrorCode::LogUnavailable), "{:?}", refused.code());
    // Asked again and again it stays one contradiction, and it outlives a start.
    let cem = cem.restart().await;
    for _ in 0..2 {
        let _ = cem.client.sync().await;
        let log = cem.client.transparency_log().await.unwrap();
        assert_eq!((log.contradictions.len(), log.restorations.len()), (1, 0));
    }
    // He goes on with it: then he follows the restoration, is registered again, and meets people.
    cem.client.settle_log(&log.origin).await.unwrap();
    let log = until_log(&cem, "the restoration", |log| log.restorations.len() == 1 && !log.stale).await;
    assert!(log.contradictions.iter().all(|one| one.settled) && log.alarms.is_empty(), "{log:?}");
    cem.until("the own entries in the log", async |client| {
        let _ = client.sync().await;
        client.keys().await.ok().filter(|keys| keys.history.iter().all(|item| item.proved == Some(true)))
    })
    .await;
    let with_cem = introduce(&cem, &alice).await;
    cem.send(&with_cem, "here again").await;
    until_all(&[&alice, &cem], &with_cem, &["here again"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d14_keys_that_a_restored_relay_has_lost_stay_in_force_while_their_owner_is_away() {
    let mut world = World::new().await;
    let (alice, bob, direct) = acquainted(&world).await;
    alice.send(&direct, "before").await;
    until_all(&[&alice, &bob], &direct, &["before"]).await;
    let kept = backup(&world, "backup");
    bob.client.rotate_keys().await.unwrap();
    bob.send(&direct, "with new keys").await;
    until_all(&[&alice, &bob], &direct, &["before", "with new keys"]).await;
    until_log(&alice, "his entry", |log| log.size >= 5.0).await;
    let b = bob.account().await;
    let known = alice.client.key_history(&b).await.unwrap();
    assert_eq!(known.len(), 2);
    let bobs = stopped(bob).await;
    restore(&mut world, &kept).await;
    until_followed(&[&alice], 1).await;
    let alice = alice.restart().await;
    for _ in 0..3 {
        let _ = alice.client.sync().await;
        assert_eq!(alice.client.safety_number(&b).await.unwrap().safety, Safety::NotVerified);
    }
    let now = alice.client.key_history(&b).await.unwrap();
    assert_eq!((now.len(), now[0].hash.clone()), (2, known[0].hash.clone()));
    assert_eq!(now[0].proved, Some(false), "the log does not hold it now");
    alice.send(&direct, "to whoever comes back").await;
    let bob = start(&bobs).await;
    until_followed(&[&bob], 1).await;
    until_all_of(&[&alice, &bob], &direct, &["before", "with new keys", "to whoever comes back"]).await;
    alice
        .until("his entry in the log", async |client| {
            let _ = client.sync().await;
            client.key_history(&b).await.ok().filter(|history| history[0].proved == Some(true))
        })
        .await;
    assert_eq!(alice.client.safety_number(&b).await.unwrap().safety, Safety::NotVerified);
}

#[tokio::test(flavor = "multi_thread")]
async fn d14_an_account_that_was_lost_is_registered_again_as_it_was() {
    let mut world = World::with_registration(waxwing_relay::Registration::Invite).await;
    let invitation = |world: &World| {
        let told = admin(world, &["invite"]);
        told.lines().find_map(|line| line.split_once("invitation: ")).unwrap().1.trim().to_owned()
    };
    let with = |world: &World, name: &str| {
        let mut registration = world.registration(name);
        registration.invitation = Some(invitation(world).into());
        registration
    };
    let register = async |world: &World, name: &str| {
        let profile = waxwing_client::Profile::open(&world.dir.path().join(name)).unwrap();
        let client = waxwing_client::Client::register(&profile, with(world, name)).await.unwrap();
        Person { client, profile }
    };
    let alice = register(&world, "alice").await;
    let kept = backup(&world, "backup");
    let (bob, cem) = (register(&world, "bob").await, register(&world, "cem").await);
    let id = bob.account().await;
    bob.client.rotate_keys().await.unwrap();
    restore(&mut world, &kept).await;
    // It wants its operator's word again, and says so.
    for person in [&bob, &cem] {
        let log = until_log(person, "the problem", |log| log.restored_problem.is_some()).await;
        assert_eq!(log.restored_problem.unwrap().code, ErrorCode::InvitationNeeded);
    }
    let refused = bob.client.register_again("AAECAwQFBgcICQoLDA0ODw".to_owned().into()).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvitationRefused);
    let log = bob.client.register_again(invitation(&world).into()).await.unwrap();
    assert_eq!((log.restored_problem, log.restorations.len()), (None, 1));
    until_followed(&[&alice, &bob], 1).await;
    bob.until_online().await;
    assert_eq!(bob.account().await, id);
    let keys = bob
        .until("his entries in the log", async |client| {
            let _ = client.sync().await;
            client.keys().await.ok().filter(|keys| keys.history.iter().all(|item| item.proved == Some(true)))
        })
        .await;
    assert_eq!((keys.version, keys.history.len()), (2, 2));
    // Whoever meets him by his name meets him.
    let found = alice.client.add_contact(&format!("bob@{}", world.address())).await.unwrap();
    assert_eq!(alice.client.key_history(&id).await.unwrap().len(), 2, "{found:?}");
    // A name that somebody else has taken meanwhile is gone, and that is said.
    let other = World::registration(&world, "cem");
    let dir = tempfile::tempdir().unwrap();
    let profile = waxwing_client::Profile::open(dir.path()).unwrap();
    let mut registration = other;
    registration.invitation = Some(invitation(&world).into());
    waxwing_client::Client::register(&profile, registration).await.unwrap();
    let refused = cem.client.register_again(invitation(&world).into()).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::NameTaken);
    let log = cem.client.transparency_log().await.unwrap();
    assert_eq!(log.restored_problem.unwrap().code, ErrorCode::NameTaken);
}

#[tokio::test(flavor = "multi_thread")]
async fn p17_notes_of_a_restoration_that_are_not_true_change_nothing() {
    let mut world = World::behind().await;
    let between = world.between.clone().unwrap();
    let (alice, bob, direct) = acquainted(&world).await;
    alice.send(&direct, "before").await;
    until_all(&[&alice, &bob], &direct, &["before"]).await;
    let kept = backup(&world, "backup");
    stopped(world.register("cem").await).await;
    let before = until_log(&alice, "Cem in the log", |log| log.size >= 6.0).await;
    let key: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder(&world).join("log-key.json")).unwrap()).unwrap();
    let seed = key["seed"]
        .as_str()
        .unwrap_or_else(|| panic!("log-key.json: {:?}", key.as_object().map(|key| key.keys().collect::<Vec<_>>())));
    let seed: waxwing_wire::api::EntryBytes = serde_json::from_value(seed.into()).unwrap();
    let log_key = SigningKey::from_bytes(seed.as_ref().try_into().unwrap());
    between.tells(Lie::Silent);
    restore(&mut world, &kept).await;

    let shown = String::from_utf8(between.newest().await).unwrap();
    let origin = shown.lines().next().unwrap().to_owned();
    let named = waxwing_wire::transparency::NoteKey::new(&origin, log_key.verifying_key().as_bytes()).unwrap();
    let newest = SignedCheckpoint::verify(shown.as_bytes(), &named).unwrap().checkpoint().clone();
    let truth = Restored {
        origin: origin.clone(),
        previous: before.origin.clone(),
        size: newest.size,
        root: newest.root,
        time_ms: newest.time_ms,
    };
    let signed = |note: &Restored| note.sign(&log_key).unwrap();
    let beyond = Restored { size: newest.size + 1, ..truth.clone() };
    let elsewhere = Restored { origin: format!("{}.example/00", before.origin), ..truth.clone() };
    let lies = [
        Vec::new(),
        vec![truth.sign(&SigningKey::from_bytes(&[7; 32])).unwrap()],
        vec![signed(&elsewhere)],
        vec![signed(&beyond)],
        vec![
            signed(&truth),
            signed(&Restored { previous: origin.clone(), origin: before.origin.clone(), ..truth.clone() }),
        ],
        vec![signed(&truth), signed(&truth)],
    ];
    for lie in lies {
        between.tells(Lie::Notes(lie.clone()));
        alice
            .until("the lie", async |client| {
                let _ = client.sync().await;
                (between.told() >= 2).then_some(())
            })
            .await;
        let log = alice.client.transparency_log().await.unwrap();
        assert_eq!((log.size, log.restorations.len(), log.contradictions.len()), (before.size, 0, 0), "{lie:?}");
    }
    let bobs = stopped(bob).await;
    // Another root than that of her own leaves, under the log's signature: that is evidence.
    between.tells(Lie::Notes(vec![signed(&Restored { root: [9; 32], ..truth.clone() })]));
    let log = until_log(&alice, "the evidence", |log| !log.contradictions.is_empty()).await;
    assert_eq!((log.size, log.restorations.len()), (before.size, 0));
    assert_eq!(log.contradictions[0].kind, ContradictionKind::Diverged);
    assert!(log.contradictions[0].second.contains("restored "));
    // Who was told nothing of that follows, and they go on speaking with each other meanwhile.
    between.tells(Lie::None);
    let bob = start(&bobs).await;
    until_log(&bob, "the restoration", |log| log.restorations.len() == 1).await;
    until_log(&alice, "the restoration", |log| log.restorations.len() == 1).await;
    bob.send(&direct, "after").await;
    until_all_of(&[&alice, &bob], &direct, &["before", "after"]).await;
    // She keeps what she has seen; he has seen nothing.
    assert_eq!(alice.client.transparency_log().await.unwrap().contradictions.len(), 1);
    assert!(bob.client.transparency_log().await.unwrap().contradictions.is_empty());
}
