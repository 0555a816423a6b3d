//! The account is taken back on the very device that lost it: new keys, everybody else shut out, and the history stays. On real engines and
//! a real relay.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too

mod world;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use waxwing_client::{ErrorCode, Event, Notice, Standing};
use waxwing_tests::place;
use world::losing::{self, Fate, Losing};
use world::{PATIENCE, Person, World, acquainted, introduce, until_notice};

async fn recover_here(person: Person, words: &[String]) -> Person {
    let Person { client, profile } = person;
    let next = client.recover_here(words.join(" ").into()).await.unwrap();
    assert!(client.is_stopped());
    Person { client: next, profile }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Whoever has stolen the profile, passphrase and all, puts keys of their own in the place of the owner's.
#[tokio::test(flavor = "multi_thread")]
async fn p11_whoever_was_shut_out_by_a_thief_takes_the_account_back_and_loses_nothing() {
    let world = World::new().await;
    let (alice, bob, direct) = acquainted(&world).await;
    let cem = world.register("cem").await;
    introduce(&bob, &cem).await;
    let group = bob.client.create_group("Birds", &[alice.account().await, cem.account().await]).await.unwrap().id;
    bob.send(&group, "welcome").await;
    for person in [&alice, &cem] {
        person.until_texts(&group, &["welcome"]).await;
    }
    alice.send(&direct, "before").await;
    bob.until_texts(&direct, &["before"]).await;
    let own = alice.client.note_to_self().await.unwrap().id;
    alice.send(&own, "a note").await;
    alice.until_texts(&own, &["a note"]).await;
    let words = alice.client.phrase_words().await.unwrap();
    let dir = alice.profile.dir().to_owned();
    alice.client.stop().await;
    drop(alice);
    copy(&dir, &world.dir.path().join("thief"));

    let alice = world::start(&dir).await;
    let thief = world::start(&world.dir.path().join("thief")).await;
    let stolen = thief.client.shut_others_out().await.unwrap();
    assert!(!stolen.rotating && stolen.rotation_problem.is_none());
    let alarms = alice
        .until("the alarm", async |client| {
            let log = client.transparency_log().await.ok()?;
            (!log.alarms.is_empty()).then_some(log.alarms.len())
        })
        .await;
    assert!(alarms >= 1);
    // What she writes meanwhile waits.
    alice.send(&direct, "written while shut out").await;

    let account = alice.account().await;
    let alice = recover_here(alice, &words).await;
    assert_eq!(alice.account().await, account, "the same account");
    let keys = alice.client.keys().await.unwrap();
    assert_eq!((keys.version, keys.rotating), (1, false));
    assert!(alice.client.transparency_log().await.unwrap().alarms.is_empty(), "the alarm is over");
    for id in [&direct, &group] {
        until_notice(&bob, id, |notice| matches!(notice, Notice::Recovered { mine: false, .. })).await;
        until_notice(&alice, id, |notice| matches!(notice, Notice::Repaired)).await;
        // Nothing is asked of her: she has not left.
        assert_eq!(alice.client.conversation(id).await.unwrap().standing, Standing::Member);
    }
    // The history is there, and what had waited arrives.
    alice.until_texts(&direct, &["before", "written while shut out"]).await;
    bob.until_texts(&direct, &["before", "written while shut out"]).await;
    alice.until_texts(&own, &["a note"]).await;
    alice.send(&own, "another").await;
    alice.until_texts(&own, &["a note", "another"]).await;
    alice.send(&group, "me again").await;
    cem.until_texts(&group, &["welcome", "me again"]).await;
    bob.send(&direct, "for alice alone").await;
    alice.until_texts(&direct, &["before", "written while shut out", "for alice alone"]).await;
    assert!(!thief.texts(&direct).await.contains(&"for alice alone".to_owned()));
    let view = cem.client.group(&group).await.unwrap();
    assert!(view.members.iter().all(|member| member.devices == 1), "the thief's leaf is still there");

    // And it is what a restart finds.
    let alice = alice.restart().await;
    bob.send(&direct, "still there").await;
    alice.until_texts(&direct, &["before", "written while shut out", "for alice alone", "still there"]).await;
    alice.client.rotate_keys().await.unwrap();
    assert!(alice.client.transparency_log().await.unwrap().alarms.is_empty());
    // The same words work again.
    let alice = recover_here(alice, &words).await;
    alice
        .until("to be back once more", async |client| {
            let page = client.messages(&direct, None, 500).await.ok()?;
            (page.messages.iter().filter(|line| line.notice == Some(Notice::Repaired)).count() == 2).then_some(())
        })
        .await;
    bob.send(&direct, "once more").await;
    alice
        .until("the words", async |client| {
            let page = client.messages(&direct, None, 500).await.ok()?;
            page.messages.iter().any(|line| line.text == "once more").then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_words_change_nothing_and_the_engine_goes_on() {
    let mut world = World::new().await;
    let (alice, bob, direct) = acquainted(&world).await;
    let (words, others) = (alice.client.phrase_words().await.unwrap(), bob.client.phrase_words().await.unwrap());
    let before = alice.client.keys().await.unwrap();
    let refused = async |words: &[String]| {
        let result = alice.client.recover_here(words.join(" ").into()).await;
        assert!(!alice.client.is_stopped());
        result.map(drop).unwrap_err().code()
    };
    let mut unknown = words.clone();
    unknown[6] = "waxwing".to_owned();
    assert_eq!(refused(&unknown).await, ErrorCode::UnknownWord);
    assert_eq!(refused(&words[1..]).await, ErrorCode::NotAPhrase);
    assert_eq!(refused(&others).await, ErrorCode::PhraseOfAnother);
    world.stop_relay().await;
    assert_eq!(refused(&words).await, ErrorCode::RelayDown);
    world.start_relay().await;
    alice.client.try_now();
    alice.until_online().await;
    let after = alice.client.keys().await.unwrap();
    assert_eq!((after.device_id, after.history.len()), (before.device_id, 1));
    alice.send(&direct, "all is as it was").await;
    bob.until_texts(&direct, &["all is as it was"]).await;
}

/// The other side is away: what is written waits, says so, and arrives.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_to_be_let_back_in_says_so() {
    let world = World::new().await;
    let (alice, bob, direct) = acquainted(&world).await;
    alice.send(&direct, "before").await;
    bob.until_texts(&direct, &["before"]).await;
    let words = alice.client.phrase_words().await.unwrap();
    bob.client.stop().await;
    let alice = recover_here(alice, &words).await;
    alice.send(&direct, "while bob is away").await;
    let view = alice.client.conversation(&direct).await.unwrap();
    assert_eq!(view.problem.map(|problem| problem.code), Some(ErrorCode::LostPlace));
    let dir = bob.profile.dir().to_owned();
    drop(bob);
    let bob = world::start(&dir).await;
    bob.until_texts(&direct, &["before", "while bob is away"]).await;
    alice.until_texts(&direct, &["before", "while bob is away"]).await;
    assert_eq!(alice.client.conversation(&direct).await.unwrap().problem, None);
}

/// The relay takes a recovery, and nobody is told; then it is out of reach. Gives the profile's folder, where nothing runs.
async fn unheard(alice: Person, losing: &Losing) -> std::path::PathBuf {
    let words = alice.client.phrase_words().await.unwrap();
    losing.loses_and_is_away(Fate::Unanswered);
    let lost = alice.client.recover_here(words.join(" ").into()).await.map(drop).unwrap_err();
    assert_eq!((lost.code(), losing.met()), (ErrorCode::RelayDown, 1));
    assert!(!alice.client.is_stopped(), "nobody knows yet what became of it");
    alice.client.stop().await;
    alice.profile.dir().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_a_recovery_that_a_start_without_the_relay_leaves_open_ends_that_engine_and_the_next_start_has_it() {
    let (world, losing) = losing::world().await;
    let (alice, bob, direct) = acquainted(&world).await;
    alice.send(&direct, "before").await;
    bob.until_texts(&direct, &["before"]).await;
    let before = alice.client.keys().await.unwrap();
    let dir = unheard(alice, &losing).await;

    let alice = world::start(&dir).await;
    assert_eq!(alice.client.keys().await.unwrap().device_id, before.device_id, "the control: the old keys run");
    let (mut events, ended) = (alice.client.events(), alice.client.ended());
    // What is written meanwhile is kept.
    alice.send(&direct, "under the old keys").await;
    losing.is_mended();
    alice.client.try_now();
    tokio::time::timeout(PATIENCE, ended).await.expect("the engine knows that its keys are no more");
    assert!(alice.client.is_stopped());
    while let Ok(event) = events.try_recv() {
        let alarm = matches!(&event, Event::Log { log } if !log.alarms.is_empty());
        assert!(!alarm, "an alarm about an own recovery");
    }
    alice.client.stop().await;
    drop(alice);
    // The start has no need of the relay for it.
    losing.goes_away();
    let alice = world::start(&dir).await;
    let after = alice.client.keys().await.unwrap();
    assert_ne!(after.device_id, before.device_id);
    assert_eq!(after.version, 1);
    losing.is_mended();
    alice.client.try_now();
    until_notice(&bob, &direct, |notice| matches!(notice, Notice::Recovered { mine: false, .. })).await;
    alice.until_texts(&direct, &["before", "under the old keys"]).await;
    bob.until_texts(&direct, &["before", "under the old keys"]).await;
    assert!(alice.client.transparency_log().await.unwrap().alarms.is_empty());
}

/// A process that ends with the test, however that ends.
struct Listening(Child);

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The same at a terminal: `listen` goes on with the keys that the recovery has brought.
#[tokio::test(flavor = "multi_thread")]
async fn d2_whoever_listens_at_a_terminal_hears_on_after_such_a_recovery() {
    let (world, losing) = losing::world().await;
    let (alice, bob, direct) = acquainted(&world).await;
    let dir = unheard(alice, &losing).await;
    let passphrase = world.dir.path().join("passphrase");
    fs::write(&passphrase, world::PASSPHRASE).unwrap();
    fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = Command::new(place::binary("waxwing-cli").unwrap());
    command.args(["--json", "--profile", dir.to_str().unwrap(), "--passphrase-file", passphrase.to_str().unwrap()]);
    command.args(["listen", "--for", "60"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut listening = Listening(command.spawn().unwrap());
    let lines = BufReader::new(listening.0.stdout.take().unwrap()).lines();
    let (hears, mut heard) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| hears.send(line)));
    // It has started by then, with the old keys.
    tokio::time::sleep(Duration::from_secs(2)).await;
    losing.is_mended();
    until_notice(&bob, &direct, |notice| matches!(notice, Notice::Recovered { mine: false, .. })).await;
    bob.send(&direct, "do you hear me").await;
    let listens = async {
        while let Some(line) = heard.recv().await {
            if line.contains("do you hear me") {
                return true;
            }
        }
        false
    };
    let came = tokio::time::timeout(PATIENCE, listens).await;
    assert_eq!(came, Ok(true), "what was said after the recovery");
}
