//! A user at a terminal: a profile of their own, and `waxwing-cli` as a process.
//!
//! Helpers of tests are tests too: what fails, panics.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    missing_docs,
    reason = "helpers of tests; each file uses its own part"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use waxwing_tests::place;
use waxwing_tests::relay::RelayProcess;

/// What every command that asks the relay says where the clock is wrong.
pub const CLOCK: &str =
    "This computer's clock differs from the relay's by more than 10 minutes. Set the date and time.\n";

pub struct Terminal {
    dir: TempDir,
    passphrase: PathBuf,
    pub address: String,
    /// Put before the program: runs it under another clock.
    wrapper: Vec<String>,
}

impl Terminal {
    pub fn register(relay: &RelayProcess, name: &str, wrapper: &[&str]) -> Self {
        let terminal = Self::new(relay, name, wrapper);
        terminal.run(&["register", name, "--relay", relay.address()]);
        terminal
    }

    /// One at which nobody has registered.
    pub fn new(relay: &RelayProcess, name: &str, wrapper: &[&str]) -> Self {
        Self::at(relay.address(), name, wrapper)
    }

    /// The same, at a relay that is no process of its own: `HOST:PORT`.
    pub fn at(relay: &str, name: &str, wrapper: &[&str]) -> Self {
        let dir = TempDir::with_prefix("waxwing-terminal.").unwrap();
        let passphrase = dir.path().join("passphrase");
        fs::write(&passphrase, "a passphrase for tests\n").unwrap();
        fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o600)).unwrap();
        let address = format!("{name}@{relay}");
        Self { dir, passphrase, address, wrapper: wrapper.iter().map(|&word| word.to_owned()).collect() }
    }

    /// Somebody who has stolen the profile as it is now, and the passphrase.
    pub fn stolen(&self) -> Self {
        let dir = TempDir::with_prefix("waxwing-terminal.").unwrap();
        let passphrase = dir.path().join("passphrase");
        fs::copy(&self.passphrase, &passphrase).unwrap();
        let profile = dir.path().join("profile");
        fs::create_dir(&profile).unwrap();
        for file in fs::read_dir(self.dir.path().join("profile")).unwrap().map(Result::unwrap) {
            if file.file_type().unwrap().is_file() {
                fs::copy(file.path(), profile.join(file.file_name())).unwrap();
            }
        }
        Self { dir, passphrase, address: self.address.clone(), wrapper: self.wrapper.clone() }
    }

    /// The folder of the profile.
    pub fn profile(&self) -> PathBuf {
        self.dir.path().join("profile")
    }

    /// A command that prints JSON.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.words(&["--json"]);
        command.args(arguments);
        command
    }

    /// A command that prints words.
    pub fn words(&self, arguments: &[&str]) -> Command {
        let cli = place::binary("waxwing-cli").unwrap();
        let mut command = match self.wrapper.split_first() {
            Some((wrapper, rest)) => {
                let mut command = Command::new(wrapper);
                command.args(rest).arg(cli);
                command
            }
            None => Command::new(cli),
        };
        command.arg("--profile").arg(self.dir.path().join("profile"));
        command.arg("--passphrase-file").arg(&self.passphrase).args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end; gives the JSON objects that it printed.
    pub fn run(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.command(arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Runs a command to its end; gives the words that it printed.
    pub fn says(&self, arguments: &[&str]) -> String {
        let output = self.words(arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command to its end; gives what it said beside what it was asked for.
    pub fn asides(&self, arguments: &[&str]) -> String {
        let output = self.words(arguments).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{arguments:?}: {errors}");
        errors
    }

    /// Runs a command, and expects it to fail with this code and sentence, and to print nothing else.
    pub fn fails(&self, arguments: &[&str], code: &str, sentence: &str) {
        let output = self.words(arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).replace(CLOCK, "");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {errors}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        let lines: Vec<_> = errors.lines().collect();
        assert_eq!(lines.first(), Some(&format!("error[{code}]: {sentence}").as_str()), "{arguments:?}");
        assert!(lines.len() >= 2, "{arguments:?}: no action: {errors}");
    }
}
