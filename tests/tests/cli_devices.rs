//! `waxwing-cli devices` and `link` as people use them: a second device comes into the account, and goes. Real processes, and a real relay.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too

mod terminal;

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

use serde_json::Value;
use terminal::Terminal;
use waxwing_tests::relay::RelayProcess;

/// A command that one talks to while it runs.
struct Talk {
    child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Talk {
    fn with(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, stdin, stdout: BufReader::new(stdout).lines() }
    }

    /// The next line; what the command said where there is none.
    fn line(&mut self) -> String {
        if let Some(line) = self.stdout.next() {
            return line.unwrap();
        }
        let mut told = String::new();
        std::io::Read::read_to_string(self.child.stderr.as_mut().unwrap(), &mut told).unwrap();
        panic!("no line: {told}");
    }

    fn object(&mut self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    fn say(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    /// Its end, with what is left of what it printed.
    fn end(self) -> (String, Output) {
        drop(self.stdin);
        let printed = self.stdout.map(|line| line.unwrap() + "\n").collect();
        (printed, self.child.wait_with_output().unwrap())
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// `devices link` and what it printed: the code, alone on its line.
fn offer(person: &Terminal, more: &[&str]) -> (Talk, String) {
    let mut offers = Talk::with(person.words(&[&["devices", "link"], more].concat()));
    let code = offers.line();
    assert!(!code.is_empty() && !code.contains(char::is_whitespace), "{code}");
    (offers, code)
}

/// `link` with this code, and the fingerprint that it printed at once.
fn ask(new: &Terminal, code: &str) -> (Talk, String) {
    let mut asks = Talk::with(new.words(&["link"]));
    asks.say(code);
    assert_eq!(asks.line(), new.address);
    let fingerprint = fingerprint(&asks.line());
    (asks, fingerprint)
}

/// What stands behind `Fingerprint:` in a line.
fn fingerprint(line: &str) -> String {
    let (_, digits) = line.split_once("Fingerprint: ").unwrap_or_else(|| panic!("no fingerprint: {line}"));
    assert_eq!(digits.split(' ').count(), 8, "{line}");
    digits.to_owned()
}

fn ids(devices: &[Value]) -> Vec<&str> {
    devices.iter().map(|device| device["deviceId"].as_str().unwrap()).collect()
}

/// The ids of the account's devices, by this one: itself first.
fn devices(person: &Terminal) -> Vec<String> {
    let listed = person.run(&["devices", "list"]);
    for (place, device) in listed.iter().enumerate() {
        assert_eq!(device["this"], place == 0, "{listed:?}");
    }
    ids(&listed).into_iter().map(str::to_owned).collect()
}

/// How it ended where it did not do what it was asked for: with this code, and a sentence that begins so.
fn failed(output: &Output, code: &str, begins: &str) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    let mut lines = told.lines().skip_while(|line| !line.starts_with("error["));
    assert!(lines.next().unwrap_or_default().starts_with(&format!("error[{code}]: {begins}")), "{told}");
    assert!(lines.next().is_some_and(|action| action.starts_with("  ")), "no action: {told}");
}

#[test]
fn a_second_device_is_linked_and_removed_again() {
    let relay = RelayProcess::start().unwrap();
    let (old, new) = (Terminal::register(&relay, "ada", &[]), Terminal::new(&relay, "ada", &[]));
    let alone = devices(&old);
    assert_eq!(alone.len(), 1);

    let (mut offers, code) = offer(&old, &[]);
    let (mut asks, shown) = ask(&new, &code);
    let told = offers.line();
    assert!(told.starts_with("Device ") && told.ends_with(" asks to be linked."), "{told}");
    assert_eq!(fingerprint(&offers.line()), shown, "both show the same");
    // However it is grouped.
    offers.say(&shown.replace(' ', "").to_uppercase());
    let linked = offers.line();
    let id = linked.strip_prefix("Device ").and_then(|rest| rest.strip_suffix(" is linked.")).unwrap().to_owned();
    assert!(told.contains(&id), "{told}");
    assert_eq!(asks.line(), new.address, "the account");
    for talk in [offers, asks] {
        let (printed, output) = talk.end();
        assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
        // A code is shown once, where it was asked for.
        assert!(!printed.contains(&code) && !String::from_utf8_lossy(&output.stderr).contains(&code));
    }

    assert_eq!(devices(&old), [alone[0].clone(), id.clone()]);
    assert_eq!(devices(&new), [id.clone(), alone[0].clone()]);
    let told = old.says(&["devices", "list"]);
    let lines: Vec<_> = told.lines().collect();
    assert_eq!((lines.len(), lines[0], lines[4]), (8, format!("{}  (this device)", alone[0]).as_str(), id.as_str()));
    assert_eq!(fingerprint(lines[7]), shown);
    assert!(lines[6].trim_start().starts_with("Keys:        version 1, since 2"), "{told}");
    assert_eq!(new.run(&["whoami"])[0]["accountId"], old.run(&["whoami"])[0]["accountId"]);
    // There is an account now.
    let mut again = Talk::with(new.words(&["link"]));
    again.say(&code);
    failed(&again.end().1, "alreadyRegistered", "This profile already has an account.");

    // Nothing is removed that was not meant.
    let keys = |person: &Terminal| person.run(&["keys", "show"]).remove(0)["accountFingerprint"].clone();
    let before = keys(&old);
    for answer in ["", "n", "no"] {
        let mut revokes = Talk::with(old.words(&["devices", "revoke", &id[..8]]));
        revokes.say(answer);
        failed(&revokes.end().1, "empty", &format!("Device {id} was not removed, since you have not said yes."));
    }
    let itself = "This is the device that you are on, and a device does not remove itself. Nothing was done.";
    old.fails(&["devices", "revoke", "--yes", &alone[0]], "ownLink", itself);
    let nobody = "Your account has no device 00000000. Nothing was done.";
    old.fails(&["devices", "revoke", "--yes", "00000000"], "notFound", nobody);
    assert_eq!((devices(&old).len(), keys(&old)), (2, before.clone()));

    let told = old.says(&["devices", "revoke", "--yes", &id[..8]]);
    assert_eq!(told, format!("Device {id} is removed from the account, and the account key was replaced.\n"));
    assert_eq!(devices(&old), alone);
    assert_ne!(keys(&old), before);
    failed(&new.words(&["sync"]).output().unwrap(), "deviceRevoked", "This device was removed from the account.");
}

#[test]
fn programs_link_and_remove_a_device() {
    let relay = RelayProcess::start().unwrap();
    let (old, new) = (Terminal::register(&relay, "ada", &[]), Terminal::new(&relay, "ada", &[]));
    let mut offers = Talk::with(old.command(&["devices", "link"]));
    let offer = offers.object();
    assert!(offer["expiresAt"].is_number() && offer["request"].is_null(), "{offer}");
    let mut asks = Talk::with(new.command(&["link"]));
    asks.say(offer["code"].as_str().unwrap());
    let (waits, request) = (asks.object(), offers.object());
    assert_eq!((&waits["address"], &waits["fingerprint"]), (&new.address.as_str().into(), &request["fingerprint"]));
    offers.say(waits["fingerprint"].as_str().unwrap());
    let linked = offers.object();
    assert_eq!((&linked["deviceId"], &linked["this"]), (&request["deviceId"], &false.into()), "{linked}");
    assert_eq!(linked["fingerprint"], request["fingerprint"]);
    let profile = asks.object();
    assert_eq!((&profile["deviceId"], &profile["address"]), (&linked["deviceId"], &waits["address"]), "{profile}");
    for talk in [offers, asks] {
        let (printed, output) = talk.end();
        assert!(output.status.success() && printed.is_empty(), "{printed}{output:?}");
    }
    assert_eq!((devices(&old).len(), devices(&new).len()), (2, 2));

    // A linked device is as good as the first one.
    let first = devices(&old).remove(0);
    let left = new.run(&["devices", "revoke", "--yes", &first]).remove(0);
    assert_eq!(ids(left["devices"].as_array().unwrap()), [linked["deviceId"].as_str().unwrap()], "{left}");
    assert_eq!(devices(&new).len(), 1);
}

fn one_digit_wrong(shown: &str) -> String {
    let first = if shown.starts_with('0') { '1' } else { '0' };
    format!("{first}{}", &shown[1..])
}

fn not_all(shown: &str) -> String {
    shown[..34].to_owned()
}

#[test]
fn a_device_with_another_fingerprint_is_not_let_in() {
    let relay = RelayProcess::start().unwrap();
    let old = Terminal::register(&relay, "ada", &[]);
    let differs = "The fingerprint given is not that of the device that asked.";
    let not_compared = "The device that asked was not linked, since you have not said";
    // Given before; typed, one digit wrong; typed, and not all of it; not given at all.
    let before = ["--fingerprint", "1a2b 3c4d 0000 0000 0000 0000 0000 0000"];
    let typed = [
        (&before[..], None::<fn(&str) -> String>, differs),
        (&[], Some(one_digit_wrong as fn(&str) -> String), differs),
        (&[], Some(not_all as fn(&str) -> String), differs),
        (&[], None, not_compared),
    ];
    for (more, typed, begins) in typed {
        let new = Terminal::new(&relay, "ada", &[]);
        let (mut offers, code) = offer(&old, more);
        let (asks, shown) = ask(&new, &code);
        if let Some(typed) = typed {
            offers.say(&typed(&shown));
        }
        let (printed, output) = offers.end();
        failed(&output, "safetyNumberDiffers", begins);
        assert!(printed.contains(" asks to be linked.") && !printed.contains("is linked"), "{printed}");
        // Whoever asked was not let in; how soon it hears of that is its own affair.
        asks.kill();
        assert_eq!(devices(&old).len(), 1);
    }
}

#[test]
fn what_is_no_code_is_refused_and_a_code_is_no_invite_link() {
    let relay = RelayProcess::start().unwrap();
    let (ada, bob) = (Terminal::register(&relay, "ada", &[]), Terminal::register(&relay, "bob", &[]));
    let (offers, code) = offer(&ada, &[]);
    let new = Terminal::new(&relay, "ada", &[]);
    let link = bob.run(&["invite"]).remove(0)["link"].as_str().unwrap().to_owned();
    for text in ["", "garbage", &code[..code.len() - 1], &link] {
        let mut asks = Talk::with(new.words(&["link"]));
        asks.say(text);
        let (printed, output) = asks.end();
        assert_eq!(printed, "", "{text}");
        let sentence = "This is no code for linking a device, or not a whole one. Nothing was done.";
        failed(&output, "notADeviceCode", sentence);
    }
    new.fails(&["whoami"], "notRegistered", "There is no account in this profile yet.");
    let sentence = "This is a code that lets a new device into an account, and not an invite link. Nothing was done.";
    bob.fails(&["add", &code], "deviceCode", sentence);
    offers.kill();
    assert_eq!(devices(&ada).len(), 1);
}
