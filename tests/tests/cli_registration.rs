//! `waxwing-cli register` at a relay that asks for an invitation, as people use it: real processes.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too

mod terminal;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use tempfile::TempDir;
use terminal::Terminal;
use waxwing_tests::relay::RelayProcess;

fn invite(relay: &RelayProcess) -> String {
    let told = relay.admin(&["invite"]).unwrap();
    told.lines().find_map(|line| line.strip_prefix("invitation: ")).unwrap().to_owned()
}

#[test]
fn a_round_with_an_invitation_and_an_account_that_is_disabled() {
    let relay = RelayProcess::start_with(&["--registration", "invite"]).unwrap();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("invitation");
    let write = |text: &str| {
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    };
    let alice = Terminal::new(&relay, "alice", &[]);
    let without = ["register", "alice", "--relay", relay.address()];
    let with = [&without[..], &["--invitation-file", file.to_str().unwrap()]].concat();
    let needed = "This relay makes accounts by invitation of whoever runs it, and none was given. No account was made.";
    alice.fails(&without, "invitationNeeded", needed);
    write("AAECAwQFBgcICQoLDA0ODw\n");
    let refused = "The relay does not take this invitation: it is not one of this relay's, is used up, or too old. No account was made.";
    alice.fails(&with, "invitationRefused", refused);
    write(&format!("{}\n", invite(&relay)));
    assert_eq!(alice.run(&with)[0]["address"], alice.address.as_str());

    // Another one's by standard input; nothing of it is printed.
    let bob = Terminal::new(&relay, "bob", &[]);
    bob.fails(
        &["register", "bob", "--relay", relay.address(), "--invitation-file", file.to_str().unwrap()],
        "invitationRefused",
        refused,
    );
    let invitation = invite(&relay);
    let mut command = bob.command(&["register", "bob", "--relay", relay.address(), "--invitation-file", "-"]);
    command.env("WAXWING_LOG", "trace").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "{invitation}").unwrap();
    let done = child.wait_with_output().unwrap();
    let errors = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.success(), "{errors}");
    assert!(errors.len() > 200, "no log was written");
    for text in [errors, String::from_utf8(done.stdout).unwrap()] {
        assert!(!text.contains(&invitation));
    }

    relay.admin(&["disable", "alice"]).unwrap();
    let disabled = "Whoever runs the relay has disabled this account. What is written is kept here, and sent once they enable it again.";
    alice.fails(&["sync"], "accountDisabled", disabled);
    alice.run(&["send", "--no-wait", "me", "for later"]);
    relay.admin(&["enable", "alice"]).unwrap();
    alice.run(&["sync"]);
    let lines = alice.run(&["read", "me"]);
    let written: Vec<_> = lines.iter().filter(|line| line["notice"].is_null()).collect();
    assert_eq!((written.len(), &written[0]["text"], &written[0]["state"]), (1, &"for later".into(), &"sent".into()));
}

/// An account was closed whose keys are in a keychain that does not answer any more: whoever keeps the next one's under a passphrase is not kept
/// from it, and what is left stays noted.
#[test]
fn an_account_is_made_beside_what_a_closed_one_has_left_in_a_keychain_that_is_gone() {
    let relay = RelayProcess::start().unwrap();
    let alice = Terminal::new(&relay, "alice", &[]);
    let profile = alice.profile();
    fs::create_dir(&profile).unwrap();
    let id = "00112233445566778899aabbccddeeff";
    let facts =
        format!(r#"{{"id":"{id}","registered":false,"passphrase":false,"key_check":null,"closing":"keychain"}}"#);
    fs::write(profile.join("profile.json"), facts).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = alice.command(arguments);
        command.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere").output().unwrap()
    };
    let none = run(&["whoami"]);
    assert!(String::from_utf8_lossy(&none.stderr).contains("\"code\":\"keychainAbsent\""), "{none:?}");
    let made = run(&["register", "alice", "--relay", relay.address()]);
    assert!(made.status.success(), "{made:?}");
    let there = run(&["whoami"]);
    assert!(String::from_utf8_lossy(&there.stdout).contains(&alice.address), "{there:?}");
    let facts = fs::read_to_string(profile.join("profile.json")).unwrap();
    assert!(facts.contains(id) && facts.contains("\"closing\": \"keychain\""), "{facts}");
}
