//! `waxwing-cli keys` as people use it: the schedule, the history as a signed file, safety numbers. Real processes, and a real relay.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too

mod terminal;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::thread;

use serde_json::Value;
use terminal::Terminal;
use waxwing_tests::relay::RelayProcess;

fn register<const N: usize>(relay: &RelayProcess, names: [&str; N]) -> [Terminal; N] {
    thread::scope(|scope| {
        let people = names.map(|name| scope.spawn(move || Terminal::register(relay, name, &[])));
        people.map(|person| person.join().unwrap())
    })
}

/// The one object that a command prints.
fn one(person: &Terminal, arguments: &[&str]) -> Value {
    let mut lines = person.run(arguments);
    assert_eq!(lines.len(), 1, "{arguments:?}");
    lines.remove(0)
}

#[test]
fn the_schedule_is_kept_from_one_process_to_the_next() {
    let relay = RelayProcess::start().unwrap();
    let ada = Terminal::register(&relay, "ada", &[]);
    let keys = one(&ada, &["keys", "show"]);
    assert_eq!((&keys["version"], &keys["schedule"]), (&1.into(), &"days30".into()));
    assert_eq!(keys["history"].as_array().unwrap().len(), 1);
    assert!(ada.says(&["keys", "show"]).starts_with("Device keys version 1, since 2"));

    let day = 24.0 * 60.0 * 60.0 * 1000.0;
    for (word, schedule, days) in [("7", "days7", 7.0), ("90", "days90", 90.0)] {
        let decided = one(&ada, &["keys", "schedule", word]);
        let kept = one(&ada, &["keys", "show"]);
        for keys in [&decided, &kept] {
            assert_eq!((&keys["schedule"], &keys["version"]), (&schedule.into(), &1.into()), "{keys}");
            let (next, since) = (keys["nextRotationAt"].as_f64().unwrap(), keys["since"].as_f64().unwrap());
            assert!((next - since - days * day).abs() < 60_000.0, "{keys}");
        }
        // Asking decides nothing.
        let told = ada.says(&["keys", "schedule"]);
        assert!(told.starts_with(&format!("Rotated:         every {word} days, next 2")), "{told}");
        assert_eq!(one(&ada, &["keys", "schedule"])["schedule"], schedule);
    }
    ada.run(&["keys", "schedule", "manual"]);
    let keys = one(&ada, &["keys", "show"]);
    assert_eq!((&keys["schedule"], &keys["nextRotationAt"]), (&"manual".into(), &Value::Null));
    assert_eq!(ada.says(&["keys", "schedule"]), "Rotated:         by hand alone\n");
    // What is no schedule is none, and changes nothing.
    assert_eq!(ada.command(&["keys", "schedule", "8"]).output().unwrap().status.code(), Some(2));
    assert_eq!(one(&ada, &["keys", "show"])["schedule"], "manual");
}

#[test]
fn keys_rotate_puts_the_next_version_in_force_now_or_once_the_relay_is_there() {
    let mut relay = RelayProcess::start().unwrap();
    let [ada, bea] = register(&relay, ["ada", "bea"]);
    ada.run(&["add", &bea.address]);
    bea.run(&["accept", "ada"]);
    let before = one(&ada, &["keys", "show"]);
    let rotated = one(&ada, &["keys", "rotate"]);
    assert_eq!((&rotated["version"], &rotated["rotating"]), (&2.into(), &false.into()), "{rotated}");
    assert_ne!(rotated["fingerprint"], before["fingerprint"]);
    assert_eq!(rotated["accountFingerprint"], before["accountFingerprint"]);
    let kept = one(&ada, &["keys", "show"]);
    assert_eq!((&kept["version"], &kept["fingerprint"]), (&2.into(), &rotated["fingerprint"]));
    assert_eq!(kept["outcome"]["version"], 2, "{kept}");
    let told = ada.says(&["keys", "log"]);
    assert!(told.starts_with("   1  2") && told.contains("device keys rotated\n"), "{told}");
    // The other side has the new ones with the next words.
    ada.run(&["send", "bea", "by new keys"]);
    let read = bea.run(&["read", "ada"]);
    assert!(read.iter().any(|line| line["text"] == "by new keys"), "{read:?}");
    assert!(ada.says(&["keys", "rotate"]).starts_with("Device keys version 3, since 2"));

    // Without the relay it has begun, and says so; the next command that reaches the relay ends it.
    relay.stop();
    let output = ada.command(&["keys", "rotate"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("\"code\":\"relayDown\""), "{output:?}");
    let begun: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&begun["version"], &begun["rotating"]), (&3.into(), &true.into()), "{begun}");
    relay.start_again().unwrap();
    ada.run(&["sync"]);
    let keys = one(&ada, &["keys", "show"]);
    assert_eq!((&keys["version"], &keys["rotating"]), (&4.into(), &false.into()), "{keys}");
}

/// What whoever has the phrase can do about an entry that somebody else has made in their chain.
const HELPS: &str = "If that was not you: `waxwing-cli keys recover`. ";

/// How many alarms were told, and how often what helps.
fn alarms(told: &str) -> (usize, usize) {
    let lines = |begins: &str| told.lines().filter(|line| line.starts_with(begins)).count();
    (lines("ALARM: "), lines(HELPS))
}

/// Whoever has stolen the profile rotates in the owner's name: the log that everybody sees has an entry that no device of the owner's made.
#[test]
fn p11_keys_log_says_that_somebody_else_has_changed_the_keys() {
    let relay = RelayProcess::start().unwrap();
    let ada = Terminal::register(&relay, "ada", &[]);
    assert_eq!(ada.asides(&["keys", "log"]), "", "the control: her own entries are no alarm");
    let thief = ada.stolen();
    thief.run(&["keys", "rotate"]);
    let output = ada.words(&["keys", "log"]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    let alarm = told.lines().find(|line| line.starts_with("ALARM: ")).unwrap_or_else(|| panic!("no alarm: {told}"));
    assert!(alarm.contains(" of the relay's log states number 1 of your chain, and no device of yours has made it (2"));
    assert_eq!(alarms(&told), (1, 1), "{told}");
    assert_eq!(thief.asides(&["keys", "log"]), "", "it is the thief's own");
}

/// Whoever uses the terminal alone hears of it without having asked, and what to do about it.
#[test]
fn p11_every_command_that_reaches_the_relay_says_that_somebody_else_has_changed_the_keys() {
    let relay = RelayProcess::start().unwrap();
    let ada = Terminal::register(&relay, "ada", &[]);
    let words = one(&ada, &["phrase"])["words"].as_array().unwrap().clone();
    let phrase = words.iter().map(|word| word.as_str().unwrap()).collect::<Vec<_>>().join(" ");
    assert_eq!(ada.asides(&["sync"]), "", "the control: her own entries are no alarm");
    let thief = ada.stolen();

    // One that stays says it as it comes.
    let mut listens = ada.words(&["listen", "--for", "60"]);
    let mut listens = listens.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(listens.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.starts_with("Connected.")), "she is not connected");
    thief.run(&["keys", "rotate"]);
    let alarm = lines.find(|line| line.starts_with("ALARM: ")).unwrap_or_else(|| panic!("no alarm"));
    assert!(alarm.contains(" of the relay's log states number 1 of your chain, and no device of yours has made it (2"));
    let helps = lines.next().unwrap_or_default();
    assert!(helps.starts_with(HELPS), "{helps}");
    listens.kill().unwrap();
    listens.wait().unwrap();

    // Every other says it once, whatever becomes of what it was asked for; to whoever reads that, nothing is different.
    for asks in [&["sync"][..], &["read"], &["send", "nobody", "hello"], &["listen", "--for", "3"]] {
        let output = ada.words(asks).output().unwrap();
        let [printed, told] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!((alarms(&printed), alarms(&told)), ((0, 0), (1, 1)), "{asks:?}: {told}");
    }
    let output = ada.command(&["sync"]).output().unwrap();
    assert!(output.stdout.is_empty(), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    let told: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said: Vec<_> = told.iter().filter(|line| !line["alarms"].is_null()).collect();
    assert_eq!(said.len(), 1, "{told:?}");
    assert_eq!(said[0]["alarms"][0]["seq"], 1, "{told:?}");
    // What looks at this computer alone says nothing, and to the thief nothing is wrong.
    assert_eq!(ada.asides(&["keys", "show"]), "");
    assert_eq!(thief.asides(&["sync"]), "", "it is the thief's own");

    // What it says helps does help.
    let mut recovers = ada.words(&["keys", "recover"]);
    let recovers = recovers.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut recovers = recovers.unwrap();
    writeln!(recovers.stdin.take().unwrap(), "{phrase}").unwrap();
    let output = recovers.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(alarms(&String::from_utf8(output.stderr).unwrap()), (0, 0), "the alarm is over");
    assert_eq!(ada.asides(&["sync"]), "");
}

/// Writes the text with one byte changed: the first of `there`.
fn spoiled(file: &Path, text: &str, there: &str) -> String {
    let (before, after) = text.split_once(there).unwrap();
    let other = if there.starts_with('0') { '1' } else { '0' };
    let spoiled = format!("{before}{other}{}{after}", &there[1..]);
    assert_eq!(text.bytes().zip(spoiled.bytes()).filter(|(one, other)| one != other).count(), 1);
    fs::write(file, spoiled).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn the_history_goes_into_a_file_that_contacts_can_check() {
    let relay = RelayProcess::start().unwrap();
    let [ada, bea, cem] = register(&relay, ["ada", "bea", "cem"]);
    ada.run(&["add", &bea.address]);
    bea.run(&["accept", "ada"]);
    ada.run(&["rotate"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.txt");
    let file = path.to_str().unwrap();
    let said = ada.says(&["keys", "export", file]);
    assert_eq!(
        said,
        format!("Written to {file}. `waxwing-cli keys log --check {file}` checks it, here and at your contacts'.\n")
    );
    let text = fs::read_to_string(&path).unwrap();
    let keys = one(&ada, &["keys", "show"]);
    assert!(text.contains(keys["fingerprint"].as_str().unwrap()), "{text}");

    // Right, for whoever wrote it and for whoever knows them; Bea asks Ada's relay for what she has not heard of.
    for person in [&ada, &bea] {
        let told = person.says(&["keys", "log", "--check", file]);
        assert!(told.starts_with(&format!("It holds: the keys of {}, 2 entries, signed by device ", ada.address)));
        assert!(told.ends_with("; nothing has been added since.\n"), "{told}");
    }
    let checked = one(&bea, &["keys", "log", "--check", file]);
    assert_eq!((&checked["mine"], &checked["entries"], &checked["version"]), (&false.into(), &2.into(), &2.into()));
    let nobody = "This history is of somebody whose keys are not known here, so it cannot be checked.";
    cem.fails(&["keys", "log", "--check", file], "keyLogUnknown", nobody);

    // What is there is not overwritten, by nothing that fails; without a file the text is printed.
    ada.fails(
        &["keys", "export", file],
        "profileUnusable",
        &format!("The file {file} cannot be written, or is there already. It was not changed."),
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert_eq!(ada.says(&["keys", "export"]).lines().next(), text.lines().next());

    // One byte: in the hash of an entry, and in the signature; for oneself and for a contact.
    let wrong =
        "This history does not agree with the keys that are known here, or is not signed by them. Do not rely on it.";
    let other = folder.path().join("other.txt");
    let hash = keys["history"][1]["hash"].as_str().unwrap();
    let signature = text.lines().rev().nth(1).unwrap();
    for there in [hash, signature] {
        let file = spoiled(&other, &text, there);
        for person in [&ada, &bea] {
            person.fails(&["keys", "log", "--check", &file], "keyLogWrong", wrong);
        }
    }
    let file = spoiled(&other, &text, "Waxwing key log");
    let none = "This is no exported history of keys, or not a whole one, so there is nothing to check.";
    ada.fails(&["keys", "log", "--check", &file], "notAKeyLog", none);
    let missing = folder.path().join("missing.txt");
    let sentence = format!("The file {} cannot be read as text. Nothing was checked.", missing.display());
    ada.fails(&["keys", "log", "--check", missing.to_str().unwrap()], "notFound", &sentence);

    // Keys that came later take nothing away.
    ada.run(&["rotate"]);
    let told = ada.says(&["keys", "log", "--check", path.to_str().unwrap()]);
    assert!(told.ends_with("; 1 more has been added since.\n"), "{told}");
}

/// Whether somebody stands as verified: in `keys number` and in the list.
fn stands(person: &Terminal, other: &Terminal) -> String {
    let number = one(person, &["keys", "number", &other.address]);
    let listed = person.run(&["list"]);
    let listed = listed.iter().find(|one| one["address"] == *other.address).unwrap();
    assert_eq!(number["safety"], listed["safety"]);
    assert_eq!(number["verifiedAt"].is_null(), number["safety"] != "verified");
    number["safety"].as_str().unwrap().to_owned()
}

#[test]
fn two_people_compare_their_number_and_it_stays_verified() {
    let relay = RelayProcess::start().unwrap();
    let [ada, bea] = register(&relay, ["ada", "bea"]);
    ada.run(&["add", &bea.address]);
    bea.run(&["accept", "ada"]);
    let (hers, beas) = (one(&ada, &["keys", "number", "bea"]), one(&bea, &["keys", "number", &ada.address]));
    assert_eq!(hers["groups"], beas["groups"]);
    let groups: Vec<_> = hers["groups"].as_array().unwrap().iter().map(|group| group.as_str().unwrap()).collect();
    assert_eq!((groups.len(), &hers["address"]), (12, &bea.address.as_str().into()));
    let told = ada.says(&["keys", "number", "bea"]);
    assert!(told.contains("(not verified)\n") && told.contains(&groups[..4].join(" ")), "{told}");

    // Nothing that is not the same marks anybody.
    let digits = groups.join(" ");
    let (payload, own) = (beas["payload"].as_str().unwrap(), hers["payload"].as_str().unwrap());
    let first = if digits.starts_with('0') { '1' } else { '0' };
    let wrong = format!("{first}{}", &digits[1..]);
    let who = &bea.address;
    for (arguments, sentence) in [
        (
            ["--number", wrong.as_str()],
            format!(
                "The safety number with {who} is not the one given. Somebody may be reading along. Nothing was changed."
            ),
        ),
        (
            ["--qr", own],
            format!(
                "This is your own code, or that of somebody else whom you know, and not what {who} shows you. Nothing was changed."
            ),
        ),
        (
            ["--qr", "bea"],
            format!(
                "This is neither 60 digits nor the text of a QR code, so it says nothing about {who}. Nothing was changed."
            ),
        ),
    ] {
        ada.fails(&[&["keys", "verify", "bea"][..], &arguments].concat(), "safetyNumberDiffers", &sentence);
    }
    // Without an answer to the question, too.
    let output = ada.command(&["keys", "verify", "bea"]).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    assert!(String::from_utf8_lossy(&output.stderr).contains("\"code\":\"safetyNumberDiffers\""), "{output:?}");
    let nobody = "Nobody whom you know is cem. Nothing was done.";
    ada.fails(&["keys", "verify", "cem", "--number", &digits], "notFound", nobody);
    assert_eq!(stands(&ada, &bea), "notVerified");

    let verified = one(&ada, &["keys", "verify", "bea", "--qr", payload]);
    assert_eq!((&verified["safety"], &verified["groups"]), (&"verified".into(), &hers["groups"]));
    assert_eq!(stands(&ada, &bea), "verified");
    assert!(ada.says(&["keys", "number", "bea"]).contains("  (verified on 2"));
    // It is hers alone; Bea types yes.
    assert_eq!(stands(&bea, &ada), "notVerified");
    let asked = bea.command(&["keys", "verify", "ada"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut asked = asked.unwrap();
    asked.stdin.take().unwrap().write_all(b"yes\n").unwrap();
    let output = asked.wait_with_output().unwrap();
    assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("\"verified\""), "{output:?}");

    // It stands through what the chain proves.
    bea.run(&["rotate"]);
    assert_eq!(one(&ada, &["keys", "number", "bea"])["groups"], hers["groups"]);
    assert_eq!((stands(&ada, &bea), stands(&bea, &ada)), ("verified".to_owned(), "verified".to_owned()));
    ada.run(&["keys", "verify", "bea", "--undo"]);
    assert_eq!((stands(&ada, &bea), stands(&bea, &ada)), ("notVerified".to_owned(), "verified".to_owned()));
    ada.run(&["keys", "verify", &bea.address, "--number", &digits]);
    assert_eq!(stands(&ada, &bea), "verified");
}
