//! The engine as a process: killed at any moment, and under a clock that is years off.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too

mod terminal;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;
use terminal::Terminal;
use waxwing_tests::clock;
use waxwing_tests::relay::RelayProcess;

/// Times that a client is killed.
const KILLS: u64 = 24;
/// Times that a recovery is killed.
const RECOVERIES: u64 = 8;
/// So often it is tried at most to kill something that has begun: machines are not equally fast.
const MOST: u64 = 60;

/// How often each message id stands in the history, with its state; everything is fetched first.
fn history(terminal: &Terminal, who: &str) -> BTreeMap<String, (usize, String)> {
    counted(terminal.run(&["read", who, "--limit", "500"]))
}

/// The same of what is here already.
fn here(terminal: &Terminal, who: &str) -> BTreeMap<String, (usize, String)> {
    counted(terminal.run(&["read", who, "--limit", "500", "--offline"]))
}

fn counted(lines: Vec<Value>) -> BTreeMap<String, (usize, String)> {
    let mut seen = BTreeMap::new();
    for line in lines {
        if line["notice"].is_null() {
            let entry = seen.entry(line["id"].as_str().unwrap().to_owned()).or_insert((0, String::new()));
            entry.0 += 1;
            entry.1 = line["state"].as_str().unwrap().to_owned();
        }
    }
    seen
}

/// Kills a process after that many milliseconds; whether it still ran.
fn kill_after(child: &mut Child, ms: u64) -> bool {
    std::thread::sleep(Duration::from_millis(ms));
    let _ = child.kill();
    child.wait().unwrap().signal().is_some()
}

#[test]
fn d2_a_client_killed_at_any_moment_loses_nothing_and_doubles_nothing() {
    let relay = RelayProcess::start().unwrap();
    let (alice, bob) = (Terminal::register(&relay, "alice", &[]), Terminal::register(&relay, "bob", &[]));
    alice.run(&["add", &bob.address]);
    bob.run(&["accept", &alice.address]);
    // What a process said it has stored must be there in the end, whoever was killed when.
    let mut ledger = Vec::new();
    // Rotations that came to their end before they could be killed.
    let mut unharmed = 0;
    let rotation = || bob.command(&["rotate"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    for kill in 0..KILLS {
        let text = format!("message {kill}");
        let victim = match kill % 3 {
            // Killed while it sends, while it receives, while it rotates.
            0 => alice.command(&["send", &bob.address, &text]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn(),
            1 => {
                ledger.extend(alice.run(&["send", "--no-wait", &bob.address, &text]));
                bob.command(&["sync"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
            }
            _ => rotation(),
        };
        let mut victim = victim.unwrap();
        // Spread over the life of such a process: from opening the profile to its end.
        let killed = kill_after(&mut victim, 40 + (kill * 137) % 900);
        unharmed += u64::from(kill % 3 == 2 && !killed);
        let mut printed = String::new();
        victim.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
        if kill % 3 == 0 {
            ledger.extend(printed.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()));
        }
    }
    // A rotation that is begun is taken to its end by whatever runs next. So more versions than came to their end undisturbed say that some
    // were killed in the midst of it; where none was, as on a slow machine, it is tried later and later.
    let begun = || {
        bob.run(&["sync"]);
        bob.run(&["keys", "show"])[0]["version"].as_u64().unwrap() - 1
    };
    let mut tries = 0;
    while begun() <= unharmed {
        assert!(tries < MOST, "no rotation was killed after it had begun");
        let killed = kill_after(&mut rotation().unwrap(), 40 + tries * 40);
        unharmed += u64::from(!killed);
        tries += 1;
    }
    for terminal in [&alice, &bob, &alice, &bob] {
        terminal.run(&["sync"]);
    }
    bob.run(&["send", &alice.address, "and back"]);
    let (sent, shown) = (history(&alice, &bob.address), history(&bob, &alice.address));
    assert!(ledger.len() >= usize::try_from(KILLS / 3).unwrap());
    for message in &ledger {
        let id = message["id"].as_str().unwrap();
        assert_eq!(sent.get(id), Some(&(1, "sent".to_owned())), "{message}");
        assert_eq!(shown.get(id), Some(&(1, "received".to_owned())), "{message}");
    }
    assert!(sent.values().chain(shown.values()).all(|(count, _)| *count == 1), "shown twice");
    let theirs = |history: &BTreeMap<String, (usize, String)>| history.keys().cloned().collect::<Vec<_>>();
    assert_eq!(theirs(&sent), theirs(&shown), "each has what the other has");
}

#[test]
fn d8_a_clock_that_is_years_off_changes_nothing() {
    let relay = RelayProcess::start().unwrap();
    let alice = Terminal::register(&relay, "alice", &[]);
    for (name, shift) in [("ahead", "+1200d"), ("behind", "-3000d")] {
        let Some(clock) = clock::off_by(shift) else { return };
        let wrong = Terminal::register(&relay, name, &clock.each_ref().map(String::as_str));
        let conversation = alice.run(&["add", &wrong.address]);
        assert_eq!(conversation.len(), 1);
        alice.run(&["send", &wrong.address, "what time is it?"]);
        wrong.run(&["accept", &alice.address]);
        wrong.run(&["send", &alice.address, "no idea"]);
        wrong.run(&["rotate"]);
        let lines = alice.run(&["read", &wrong.address]);
        let answer = lines.iter().find(|line| line["text"] == "no idea").unwrap();
        let question = lines.iter().find(|line| line["text"] == "what time is it?").unwrap();
        // Times are the relay's, so the conversation reads right for everybody.
        let apart = answer["at"].as_f64().unwrap() - question["at"].as_f64().unwrap();
        assert!((-2000.0..120_000.0).contains(&apart), "{apart} ms apart");
        assert_eq!(answer["clockOff"], false);
    }
}

/// Killed before the relay has the new keys, after it, between keystore and database: the profile starts each time, and the same words go on.
#[test]
fn d2_a_recovery_in_place_killed_at_any_moment_ends_well() {
    let relay = RelayProcess::start().unwrap();
    let (alice, bob) = (Terminal::register(&relay, "alice", &[]), Terminal::register(&relay, "bob", &[]));
    alice.run(&["add", &bob.address]);
    bob.run(&["accept", &alice.address]);
    alice.run(&["send", &bob.address, "before"]);
    bob.run(&["sync"]);
    let words: Vec<String> = alice
        .run(&["phrase"])
        .into_iter()
        .flat_map(|line| serde_json::from_value::<Vec<String>>(line["words"].clone()).unwrap())
        .collect();
    let phrase = format!("{}\n", words.join(" "));
    let recover = || {
        let mut command = alice.command(&["keys", "recover"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // One that was killed before it read them is no fault.
        let _ = child.stdin.take().unwrap().write_all(phrase.as_bytes());
        child
    };
    let device = || alice.run(&["keys", "show"])[0]["deviceId"].clone();
    let (mut last, mut halved, mut kills) = (device(), 0, 0);
    // At least one is killed after the relay has taken it, and while its process still runs.
    while kills < RECOVERIES || halved == 0 {
        assert!(kills < MOST, "no recovery was killed after it had begun");
        // Opening the passphrase's keystore takes the first while; the steps come after it.
        let killed = kill_after(&mut recover(), 250 + kills * 141 % 3000);
        // The profile starts, whatever it was in the middle of, and shows what it has.
        let now = device();
        halved += u64::from(killed && now != last);
        last = now;
        kills += 1;
        assert_eq!(here(&alice, &bob.address).len(), 1);
    }
    let done = recover().wait_with_output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_ne!(device(), last, "the same device after a recovery");
    let sync = || {
        for terminal in [&bob, &alice] {
            // While she waits to be let back in, that is what it says.
            let _ = terminal.command(&["sync"]).output().unwrap();
        }
    };
    sync();
    // Neither need be let in by the other already: what is written waits for it.
    alice.run(&["send", "--no-wait", &bob.address, "and on"]);
    bob.run(&["send", "--no-wait", &alice.address, "with you"]);
    let both = || (here(&alice, &bob.address), here(&bob, &alice.address));
    let (mut mine, mut theirs) = both();
    for _ in 0..60 {
        if mine.len() == 3 && theirs.len() == 3 {
            break;
        }
        std::thread::sleep(Duration::from_millis(500));
        sync();
        (mine, theirs) = both();
    }
    assert_eq!(mine.len(), 3);
    assert_eq!(mine.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    assert!(mine.values().chain(theirs.values()).all(|(count, _)| *count == 1), "shown twice");
}
