//! Clocks that are years off (D8): a recovery, and first contacts, which the transparency log decides about. What counts is the relay's
//! time. Real processes, a real relay.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too

mod terminal;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use terminal::{CLOCK, Terminal};
use waxwing_tests::clock;
use waxwing_tests::relay::RelayProcess;

/// Ten years, ahead and behind.
const SHIFTS: [(&str, &str); 2] = [("ahead", "+3650d"), ("behind", "-3650d")];
const PATIENCE: Duration = Duration::from_secs(60);
const DAY_MS: f64 = 24.0 * 60.0 * 60.0 * 1000.0;

fn under(clock: &[String; 4]) -> [&str; 4] {
    clock.each_ref().map(String::as_str)
}

fn texts(person: &Terminal, who: &str) -> Vec<String> {
    let lines = person.run(&["read", who]);
    let texts = lines.iter().filter(|line| line["notice"].is_null());
    texts.map(|line| line["text"].as_str().unwrap().to_owned()).collect()
}

/// Milliseconds between a time and now, by the clock of this test, which is the relay's.
fn off_by(time: &Value) -> f64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    (time.as_f64().unwrap() - now.as_millis() as f64).abs()
}

/// Recovers on what the terminal stands for; whether it went well, and what was said.
fn recover(terminal: &Terminal, phrase: &str) -> (bool, String) {
    let mut command = terminal.command(&["recover", &terminal.address]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "{phrase}").unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

/// Whoever is to bring an account back does so within some seconds, at random.
fn until_there(other: &Terminal, new: &Terminal) {
    let start = Instant::now();
    while new.run(&["list"]).is_empty() {
        assert!(start.elapsed() < PATIENCE, "nobody has brought the account back");
        other.run(&["sync"]);
        new.run(&["sync"]);
    }
}

#[test]
fn d8_an_account_is_recovered_on_a_machine_whose_clock_is_years_off() {
    let mut relay = RelayProcess::start().unwrap();
    let bob = Terminal::register(&relay, "bob", &[]);
    for (name, shift) in SHIFTS {
        let Some(wrong) = clock::off_by(shift) else { return };
        let old = Terminal::register(&relay, name, &[]);
        bob.run(&["add", &old.address]);
        old.run(&["accept", &bob.address]);
        let words = old.run(&["phrase"])[0]["words"].as_array().unwrap().clone();
        let phrase = words.iter().map(|word| word.as_str().unwrap()).collect::<Vec<_>>().join(" ");
        bob.run(&["send", &old.address, "before"]);

        // The relay out of reach: said so, and nothing has become of it.
        relay.stop();
        let new = Terminal::new(&relay, name, &under(&wrong));
        let (well, told) = recover(&new, &phrase);
        assert!(!well && told.contains("\"code\":\"relayDown\""), "{told}");
        new.fails(&["whoami"], "notRegistered", "There is no account in this profile yet.");
        relay.start_again().unwrap();

        let (well, told) = recover(&new, &phrase);
        assert!(well, "{shift}: {told}");
        until_there(&bob, &new);
        new.run(&["accept", &bob.address]);
        new.run(&["send", &bob.address, "it is me"]);
        bob.run(&["send", &new.address, "there you are"]);
        assert_eq!(texts(&new, &bob.address), ["it is me", "there you are"]);
        assert_eq!(texts(&bob, &new.address), ["before", "it is me", "there you are"]);
        // The log, read from its first leaf on, is of now and raises no alarm; the chain's entry has the relay's time.
        assert_eq!(new.asides(&["keys", "log"]), CLOCK);
        let history = new.run(&["keys", "log"]).remove(0);
        assert_eq!(history[0]["what"], "recovered", "{history}");
        assert!(off_by(&history[0]["at"]) < DAY_MS, "{history}");
        let lines = bob.run(&["read", &new.address]);
        assert!(lines.iter().all(|line| off_by(&line["at"]) < DAY_MS && line["clockOff"] == false), "{lines:?}");
        assert!(lines.iter().any(|line| line["notice"]["type"] == "recovered"), "{lines:?}");
        // The old machine is shut out by that, whatever its clock says.
        let output = old.command(&["sync"]).output().unwrap();
        assert!(!output.status.success());
    }
}

#[test]
fn d8_somebody_new_is_found_by_name_and_by_link_with_a_clock_that_is_years_off() {
    let mut relay = RelayProcess::start().unwrap();
    let (bob, cem) = (Terminal::register(&relay, "bob", &[]), Terminal::register(&relay, "cem", &[]));
    let link = cem.run(&["invite"])[0]["link"].as_str().unwrap().to_owned();
    for (name, shift) in SHIFTS {
        let Some(wrong) = clock::off_by(shift) else { return };
        let person = Terminal::register(&relay, name, &under(&wrong));
        // The relay out of reach: said so, and nobody was added.
        relay.stop();
        for who in [&bob.address, &link] {
            let output = person.command(&["add", who]).output().unwrap();
            assert!(String::from_utf8_lossy(&output.stderr).contains("\"code\":\"relayDown\""), "{output:?}");
        }
        assert!(person.run(&["list"]).is_empty());
        relay.start_again().unwrap();
        let unknown = format!("nobody@{}", relay.address());
        person.fails(&["add", &unknown], "unknownUser", "Your relay knows nobody by this name.");

        for (who, contact) in [(&bob.address, &bob), (&link, &cem)] {
            let added = person.run(&["add", who]).remove(0);
            assert!(added["problem"].is_null(), "{shift}: {added}");
            contact.run(&["accept", &person.address]);
            contact.run(&["send", &person.address, "hello"]);
            person.run(&["send", &contact.address, "and hello"]);
            assert_eq!(texts(contact, &person.address), ["hello", "and hello"]);
        }
        assert_eq!(person.asides(&["keys", "log"]), CLOCK, "{shift}");
    }
}

/// What an engine says of itself once it is connected.
fn connected(terminal: &Terminal) -> String {
    let seconds = PATIENCE.as_secs().to_string();
    let mut command = terminal.words(&["listen", "--for", &seconds]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.find(|line| line.starts_with("Connected.")).unwrap_or_default();
    let _ = child.kill();
    child.wait().unwrap();
    line
}

#[test]
fn d8_an_engine_says_that_its_computers_clock_is_years_off() {
    let relay = RelayProcess::start().unwrap();
    for (name, shift) in SHIFTS {
        let Some(wrong) = clock::off_by(shift) else { return };
        let person = Terminal::register(&relay, name, &under(&wrong));
        // Every command says it that has waited for the relay, whether it got what it wanted or not; on standard error, and to no program.
        for asks in [&["sync"][..], &["send", "me", "hello"], &["rotate"], &["keys", "replace"], &["read", "me"]] {
            assert_eq!(person.asides(asks), CLOCK, "{shift}: {asks:?}");
            let output = person.command(asks).output().unwrap();
            assert!(output.status.success() && output.stderr.is_empty(), "{shift}: {asks:?}: {output:?}");
        }
        let unknown = format!("nobody@{}", relay.address());
        let output = person.words(&["add", &unknown]).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.starts_with(&format!("{CLOCK}error[unknownUser]: ")), "{shift}: {errors}");
        // Nothing that looks at this computer alone does.
        for local in [&["list"][..], &["whoami"], &["keys", "show"]] {
            assert_eq!(person.asides(local), "", "{shift}: {local:?}");
        }
        // One that stays says it when it learns it. The last, for what runs it under that clock outlives it.
        let told =
            "Connected. This computer's clock differs from the relay's by more than 10 minutes. Set the date and time.";
        assert_eq!(connected(&person), told, "{shift}");
    }
    // Off by as little as clocks are, nothing is said.
    let Some(wrong) = clock::off_by("+5m") else { return };
    let right = Terminal::register(&relay, "right", &under(&wrong));
    assert_eq!(right.asides(&["sync"]), "");
    assert_eq!(connected(&right), "Connected.");
}

/// A relay whose clock goes by a file.
fn relay_with_clock(file: &Path) -> Option<RelayProcess> {
    let mut relay = RelayProcess::start().unwrap();
    let library = clock::library()?;
    relay.stop();
    let words = [
        "env".to_owned(),
        format!("LD_PRELOAD={}", library),
        format!("FAKETIME_TIMESTAMP_FILE={}", file.display()),
        "FAKETIME_NO_CACHE=1".to_owned(),
        "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
    ];
    relay.start_again_under(&words).unwrap();
    Some(relay)
}

/// A log that has not been signed for more than a day proves nothing about now. The day is counted by the relay's clock alone.
#[test]
fn d8_a_log_is_a_day_old_by_the_relays_clock_and_then_nobody_new_is_taken_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clock");
    std::fs::write(&file, "+0\n").unwrap();
    let Some(relay) = relay_with_clock(&file) else { return };
    let bob = Terminal::register(&relay, "bob", &[]);
    let people =
        SHIFTS.map(|(name, shift)| clock::off_by(shift).map(|wrong| Terminal::register(&relay, name, &under(&wrong))));
    let people = people.map(Option::unwrap);
    let all = [&people[0], &people[1], &Terminal::register(&relay, "right", &[])];
    bob.run(&["add", &people[0].address]);

    // Its clock goes on; it signs the log once an hour of its own running, so not for now.
    std::fs::write(&file, "+23h\n").unwrap();
    people[0].run(&["accept", &bob.address]);
    assert_eq!(people[1].asides(&["keys", "log"]), CLOCK);
    let number = people[0].run(&["keys", "number", "bob"]).remove(0);
    let digits: String = number["groups"].as_array().unwrap().iter().map(|group| group.as_str().unwrap()).collect();
    std::fs::write(&file, "+25h\n").unwrap();
    let old = "The relay's transparency log cannot be read up to now, so its newest keys prove nothing. Nobody new is added meanwhile.";
    for person in all {
        let before = person.run(&["list"]).len();
        let address = format!("bob@{}", relay.address());
        if person.address != people[0].address {
            person.fails(&["add", &address], "logUnavailable", old);
        }
        assert_eq!(person.run(&["list"]).len(), before, "nobody was added");
        let told = person.asides(&["keys", "log"]);
        assert!(told.starts_with("The relay's log of keys was last signed on "), "{told}");
    }
    // Whoever is known already is not verified by it either; the very digits are, while the log is of today.
    let verify = ["keys", "verify", "bob", "--number", &digits];
    people[0].fails(&verify, "logUnavailable", old);
    assert_eq!(people[0].run(&["keys", "number", "bob"])[0]["safety"], "notVerified");
    // They are written to all the same.
    people[0].run(&["send", &bob.address, "still here"]);
    assert_eq!(texts(&bob, &people[0].address), ["still here"]);
    std::fs::write(&file, "+23h\n").unwrap();
    for person in &all[1..] {
        person.run(&["add", &bob.address]);
    }
    assert_eq!(people[0].run(&verify)[0]["safety"], "verified");
}
