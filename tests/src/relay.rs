//! A relay as a process of its own, on a loopback port.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::group::Group;
use crate::lies::Lies;
use crate::place;
use crate::{Fault, Outcome};

/// A relay that can be stopped and started again with the same data on the same port.
#[derive(Debug)]
pub struct RelayProcess {
    data: TempDir,
    /// `127.0.0.1:PORT`
    address: String,
    /// What it is told beside where to listen and where its data is.
    options: &'static [&'static str],
    running: Option<Group>,
}

impl RelayProcess {
    /// Starts a fresh one on a free port.
    pub fn start() -> Outcome<Self> {
        Self::start_with(&[])
    }

    /// The same, with more options of `waxwing-relay serve`.
    pub fn start_with(options: &'static [&'static str]) -> Outcome<Self> {
        let data = TempDir::with_prefix("waxwing-relay.").map_err(Fault::io("the relay's folder"))?;
        let mut relay = Self { data, address: "127.0.0.1:0".into(), options, running: None };
        relay.start_again()?;
        Ok(relay)
    }

    /// `127.0.0.1:PORT`
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What it says of the account with this name can be changed; it does not run meanwhile.
    pub fn lies(&self, name: &str) -> Outcome<Lies> {
        if self.running.is_some() {
            return Err(Fault::Unexpected("the relay still runs".into()));
        }
        Lies::about(self.data.path(), name)
    }

    /// The folder with its data.
    #[must_use]
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// What its operator asks of it; gives what is told, `key: value` in each line.
    pub fn admin(&self, words: &[&str]) -> Outcome<String> {
        let mut command = Command::new(place::binary("waxwing-relay")?);
        command.args(["admin", "--data"]).arg(self.data.path()).args(words);
        let output = command.output().map_err(Fault::io("waxwing-relay admin"))?;
        if !output.status.success() {
            return Err(Fault::Unexpected(format!("admin: {}", String::from_utf8_lossy(&output.stderr))));
        }
        String::from_utf8(output.stdout).map_err(|_| Fault::Unexpected("admin printed no text".into()))
    }

    /// Ends it; its data stays.
    pub fn stop(&mut self) {
        self.running = None;
    }

    /// Starts it again, where it was.
    pub fn start_again(&mut self) -> Outcome<()> {
        self.start_again_under(&[])
    }

    /// The same, with words put before the program: they run it under another clock.
    pub fn start_again_under(&mut self, wrapper: &[String]) -> Outcome<()> {
        let relay = place::binary("waxwing-relay")?;
        let mut command = match wrapper.split_first() {
            Some((program, rest)) => {
                let mut command = Command::new(program);
                command.args(rest).arg(relay);
                command
            }
            None => Command::new(relay),
        };
        command.args(["serve", "--listen", &self.address, "--data"]).arg(self.data.path()).args(self.options);
        let mut group = Group::start(&command, Stdio::piped(), Stdio::inherit())?;
        let mut line = String::new();
        BufReader::new(group.stdout()?).read_line(&mut line).map_err(Fault::io("the relay's first line"))?;
        let address = line.trim().split_once(" listening on http://").map(|(_, address)| address.trim_end_matches('/'));
        self.address = address.ok_or_else(|| Fault::Unexpected(format!("the relay said {line:?}")))?.to_owned();
        self.running = Some(group);
        Ok(())
    }
}
