//! `waxwing-demo`: two people talk through a relay, on real processes, and every message is counted.
//!
//! It starts `waxwing-relay` and `waxwing-cli` as anybody would, from the folder it lies in itself, and knows them by their command
//! lines only. Each command is a process of its own, so whatever it shows was read from disk. Everything lives in a temporary
//! folder, with the keys under a passphrase file: the demo must leave nothing in anybody's keychain.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use ledger::{History, LedgerError, Line, Tally};

#[path = "../ledger.rs"]
mod ledger;

const USAGE: &str = "Usage: waxwing-demo [--json FILE]

Two people talk through a relay, on real processes, and every message is counted.

      --json FILE  Also write the count to FILE
      --version    Print the version
  -h, --help       Print this";

/// How long one command may take, and how long a message may be on its way.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a process that was asked to end may take.
const GRACE: Duration = Duration::from_secs(10);

/// Key rotations in the script below.
const ROTATIONS: usize = 2;

/// Why the demo did not come to its end.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    #[error("{0} is not built; script/demo builds it first")]
    NotBuilt(String),
    #[error("the relay did not say where it listens; it said: {0}")]
    RelaySilent(String),
    #[error("{who}: {command} ended with {status}: {stderr}")]
    Failed { who: String, command: String, status: ExitStatus, stderr: String },
    #[error("{who}: {command} did not end within {} seconds", PATIENCE.as_secs())]
    TooSlow { who: String, command: String },
    #[error("{who}: {command} printed something else than expected ({source}): {printed}")]
    Unexpected { who: String, command: String, printed: String, source: serde_json::Error },
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    #[error("{who} is not shown \"{text}\"")]
    NotShown { who: String, text: String },
    #[error("{0}")]
    Wrong(String),
}

type Result<T, E = DemoError> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let json = match parse(std::env::args_os().skip(1)) {
        Ok(Asked::Demo { json }) => json,
        Ok(Asked::Say(text)) => {
            println!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprintln!("waxwing-demo: {problem}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match demo(json.as_deref()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("waxwing-demo: {error}");
            ExitCode::FAILURE
        }
    }
}

enum Asked {
    Demo { json: Option<PathBuf> },
    Say(String),
}

fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Asked, String> {
    let mut arguments = arguments;
    let mut json = None;
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("-h" | "--help") => return Ok(Asked::Say(USAGE.to_owned())),
            Some("-V" | "--version") => return Ok(Asked::Say(format!("waxwing-demo {}", env!("CARGO_PKG_VERSION")))),
            Some("--json") => json = Some(PathBuf::from(arguments.next().ok_or("--json needs a file")?)),
            _ => return Err(format!("unknown argument {}", argument.display())),
        }
    }
    Ok(Asked::Demo { json })
}

/// The whole script. The number is the exit code.
fn demo(json: Option<&Path>) -> Result<u8> {
    // The count of an earlier run must not pass for this one's.
    if let Some(file) = json {
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed_at(file)(error)),
            _ => {}
        }
    }
    let stage = Stage::new()?;
    let mut sent = Vec::new();

    let mut relay = Relay::start(&stage, 0)?;
    stage.tell("relay", &format!("{} listens on {}", relay.version, relay.address));
    let alice = Person::register(&stage, "alice", "Alice", &relay.address)?;
    let bob = Person::register(&stage, "bob", "Bob", &relay.address)?;

    let invite: Invite = bob.ask(&["invite"])?;
    let conversation: Conversation = alice.ask(&["add", &invite.link])?;
    alice.tell(&format!("opens Bob's invite link: a conversation with {}", conversation.title));

    let accepted: Conversation = bob.ask(&["accept", &alice.address])?;
    bob.tell(&format!("accepts the request of {}", accepted.title));

    stage.chapter("Both are here");
    let listener = bob.listen()?;
    sent.push(alice.send(&bob, "Hello Bob! Is this thing on?")?);
    listener.wait_for(&sent)?;
    bob.tell("was listening, and has it");
    listener.end()?;
    sent.push(bob.send(&alice, "Loud and clear, Alice.")?);
    sent.push(bob.send(&alice, "Umlauts and birds too: äöü ß 鳥 🐦")?);
    alice.expect(&bob, &sent)?;
    alice.tell("reads both");

    stage.chapter("Bob is away for a while");
    for text in ["Lunch at noon?", "By the harbour, as last time.", "I shall bring the letters."] {
        sent.push(alice.send(&bob, text)?);
    }
    bob.expect(&alice, &sent)?;
    bob.tell("is back, and reads all three");
    sent.push(bob.send(&alice, "Noon it is.")?);
    alice.expect(&bob, &sent)?;

    stage.chapter("Keys are rotated");
    alice.rotate(2)?;
    sent.push(alice.send(&bob, "New keys, same me.")?);
    bob.expect(&alice, &sent)?;
    sent.push(bob.send(&alice, "Sealed to your new ones.")?);
    alice.expect(&bob, &sent)?;
    bob.rotate(2)?;
    sent.push(bob.send(&alice, "And now mine.")?);
    alice.expect(&bob, &sent)?;
    sent.push(alice.send(&bob, "Got it, under your new ones.")?);
    bob.expect(&alice, &sent)?;

    stage.chapter("The relay goes down and comes back");
    let port = relay.port;
    relay.stop()?;
    stage.tell("relay", "is down");
    sent.push(alice.queue(&bob, "Written while the relay was away.")?);
    if !alice.history(&bob, &["--offline"])?.lines.len().eq(&sent.len()) {
        return Err(DemoError::Wrong("Alice's history is not whole without a relay".to_owned()));
    }
    alice.tell("has the whole history without it");
    relay = Relay::start(&stage, port)?;
    stage.tell("relay", &format!("is back, a fresh process on the same port and data ({})", relay.address));
    alice.run(&["sync"])?;
    bob.expect(&alice, &sent)?;
    bob.tell("reads what was waiting");
    sent.push(bob.send(&alice, "Nothing lost, then.")?);
    alice.expect(&bob, &sent)?;

    stage.chapter("What fresh processes read");
    let histories = [alice.history(&bob, &[])?, bob.history(&alice, &[])?];
    for (person, history) in [&alice, &bob].into_iter().zip(&histories) {
        person.tell(&format!("{} messages in the history", history.lines.len()));
    }
    relay.stop()?;

    let tally = Tally::of(&sent, &histories, stage.started.elapsed().as_secs_f64());
    if let Some(file) = json {
        let mut text = serde_json::to_string(&tally).map_err(|error| DemoError::Wrong(error.to_string()))?;
        text.push('\n');
        fs::write(file, text).map_err(failed_at(file))?;
    }
    println!(
        "\n{} sent, {} shown to both, {} lost, {} duplicated, {} key rotations, {:.1} s",
        tally.sent, tally.shown, tally.lost, tally.duplicated, tally.rotations, tally.seconds
    );
    if tally.rotations != ROTATIONS {
        println!("{ROTATIONS} key rotations were made, but the other side's history tells of {}.", tally.rotations);
    }
    Ok(tally.exit_code(ROTATIONS))
}

/// Where it all happens: a temporary folder, the programs, and the clock that the transcript shows.
struct Stage {
    folder: tempfile::TempDir,
    programs: PathBuf,
    started: Instant,
}

impl Stage {
    fn new() -> Result<Self> {
        let own = std::env::current_exe().map_err(|source| DemoError::Io { what: "own path".to_owned(), source })?;
        let programs = own.parent().map(Path::to_owned).unwrap_or_default();
        for name in ["waxwing-relay", "waxwing-cli"] {
            if !programs.join(name).is_file() {
                return Err(DemoError::NotBuilt(name.to_owned()));
            }
        }
        let folder = tempfile::Builder::new()
            .prefix("waxwing-demo.")
            .tempdir()
            .map_err(|source| DemoError::Io { what: "a temporary folder".to_owned(), source })?;
        Ok(Self { folder, programs, started: Instant::now() })
    }

    /// A folder of its own in the temporary one, for this user alone.
    fn make_folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(name);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(failed_at(&path))?;
        Ok(path)
    }

    /// A program of ours with nothing of this user's environment: no settings, no proxy, no keychain.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.env_clear().current_dir(self.folder.path()).stdin(Stdio::null());
        for name in ["PATH", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "RUST_BACKTRACE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env("HOME", self.folder.path());
        command
    }

    fn tell(&self, who: &str, what: &str) {
        println!("{:6.1} s  {who:<6} {what}", self.started.elapsed().as_secs_f64());
    }

    fn chapter(&self, title: &str) {
        println!("\n           -- {title}");
    }
}

/// A process that is ended, by its id, at the latest when it is forgotten.
struct Process {
    child: Child,
}

impl Process {
    fn spawn(command: &mut Command) -> Result<Self> {
        let what = command.get_program().display().to_string();
        Ok(Self { child: command.spawn().map_err(|source| DemoError::Io { what, source })? })
    }

    /// Its exit status, if it ends in time.
    fn wait(&mut self, patience: Duration) -> Result<Option<ExitStatus>> {
        let start = Instant::now();
        loop {
            let ended = self.child.try_wait();
            let ended = ended.map_err(|source| DemoError::Io { what: "waiting for a process".to_owned(), source })?;
            if ended.is_some() || start.elapsed() > patience {
                return Ok(ended);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Asks it to end, as a service manager would, and waits.
    fn end(&mut self) -> Result<Option<ExitStatus>> {
        let asked = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        asked.map_err(|source| DemoError::Io { what: "kill".to_owned(), source })?;
        self.wait(GRACE)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The relay.
struct Relay {
    process: Process,
    version: String,
    address: String,
    port: u16,
}

impl Relay {
    /// Starts it on `port`, or on a free one for 0, and waits until it says that it is ready.
    fn start(stage: &Stage, port: u16) -> Result<Self> {
        let data = stage.make_folder("relay")?;
        let log = stage.folder.path().join("relay.log");
        let stderr = OpenOptions::new().create(true).append(true).open(&log).map_err(failed_at(&log))?;
        let mut command = stage.command("waxwing-relay");
        command.arg("serve").arg("--listen").arg(format!("127.0.0.1:{port}")).arg("--data").arg(data);
        let mut process = Process::spawn(command.stdout(Stdio::piped()).stderr(stderr))?;

        let (tell, told) = mpsc::channel();
        if let Some(stdout) = process.child.stdout.take() {
            // Reads on to the end, so that the relay never waits for a reader.
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(io::Result::ok) {
                    let _ = tell.send(line);
                }
            });
        }
        let said = told.recv_timeout(PATIENCE).unwrap_or_default();
        let ready = said.split_once(" listening on http://").and_then(|(version, address)| {
            let port = address.trim_end_matches('/').rsplit_once(':')?.1.parse().ok()?;
            Some((version.to_owned(), format!("127.0.0.1:{port}"), port))
        });
        let Some((version, address, port)) = ready else {
            let logged = fs::read_to_string(&log).unwrap_or_default();
            return Err(DemoError::RelaySilent(format!("{said}\n{}", logged.trim())));
        };
        Ok(Self { process, version, address, port })
    }

    fn stop(mut self) -> Result<()> {
        match self.process.end()? {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(DemoError::Wrong(format!("the relay was asked to end, and ended with {status}"))),
            None => Err(DemoError::Wrong("the relay was asked to end, and did not".to_owned())),
        }
    }
}

/// Somebody with a profile; each thing they do is a process of its own.
struct Person<'s> {
    stage: &'s Stage,
    shown: &'static str,
    address: String,
    profile: PathBuf,
    passphrase: PathBuf,
}

impl<'s> Person<'s> {
    fn register(stage: &'s Stage, name: &str, shown: &'static str, relay: &str) -> Result<Self> {
        let profile = stage.make_folder(name)?;
        let passphrase = stage.folder.path().join(format!("{name}.passphrase"));
        let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&passphrase);
        // Random enough for keys that live as long as the folder whose random name it is.
        writeln!(file.map_err(failed_at(&passphrase))?, "{name} at {}", stage.folder.path().display())
            .map_err(failed_at(&passphrase))?;
        let mut person = Self { stage, shown, address: String::new(), profile, passphrase };
        person.run(&["register", name, "--relay", relay, "--display-name", shown])?;
        let whoami: Profile = person.ask(&["whoami"])?;
        person.address = whoami.address;
        person.tell(&format!("is {}", person.address));
        Ok(person)
    }

    /// Sends, and waits until the relay has it.
    fn send(&self, to: &Self, text: &str) -> Result<Line> {
        let message: Message = self.ask(&["send", &to.address, text])?;
        if message.state != "sent" {
            return Err(DemoError::Wrong(format!("the message to {} is {}, not sent", to.shown, message.state)));
        }
        self.tell(&format!("-> {}: {text}", to.shown));
        Ok(Line { id: message.id, text: text.to_owned() })
    }

    /// Sends without waiting; with no relay to be had the message stays in the outbox.
    fn queue(&self, to: &Self, text: &str) -> Result<Line> {
        let message: Message = self.ask(&["send", "--no-wait", &to.address, text])?;
        if message.state != "sending" {
            return Err(DemoError::Wrong(format!("the message to {} is {}, not waiting", to.shown, message.state)));
        }
        self.tell(&format!("-> {}: {text} (waits in the outbox)", to.shown));
        Ok(Line { id: message.id, text: text.to_owned() })
    }

    fn rotate(&self, version: u64) -> Result<()> {
        let keys: Keys = self.ask(&["rotate"])?;
        if keys.version != version {
            return Err(DemoError::Wrong(format!("{}'s keys are version {} after rotating", self.shown, keys.version)));
        }
        self.tell(&format!("rotates their keys: version {}, {}", keys.version, keys.fingerprint));
        Ok(())
    }

    fn history(&self, with: &Self, options: &[&str]) -> Result<History> {
        let mut arguments = vec!["read", &with.address, "--limit", "1000"];
        arguments.extend(options);
        Ok(History::parse(self.shown, &self.run(&arguments)?)?)
    }

    /// Reads until all of `messages` are shown.
    fn expect(&self, with: &Self, messages: &[Line]) -> Result<()> {
        let start = Instant::now();
        loop {
            let history = self.history(with, &[])?;
            let Some(missing) = messages.iter().find(|message| !history.shows(message)) else { return Ok(()) };
            if start.elapsed() > PATIENCE {
                return Err(DemoError::NotShown { who: self.shown.to_owned(), text: missing.text.clone() });
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Stays connected in the background.
    fn listen(&self) -> Result<Listener> {
        let output = self.stage.folder.path().join(format!("{}.listen", self.shown));
        let file = File::create(&output).map_err(failed_at(&output))?;
        let mut command = self.command(&["listen", "--for", "60"]);
        let process = Process::spawn(command.stdout(file).stderr(Stdio::null()))?;
        Ok(Listener { who: self.shown, process, output })
    }

    fn ask<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T> {
        let printed = self.run(arguments)?;
        serde_json::from_str(&printed).map_err(|source| DemoError::Unexpected {
            who: self.shown.to_owned(),
            command: arguments.join(" "),
            printed,
            source,
        })
    }

    /// What the command prints. Written to files and not to pipes, which nobody would empty while waiting.
    fn run(&self, arguments: &[&str]) -> Result<String> {
        let stdout = self.stage.folder.path().join(format!("{}.stdout", self.shown));
        let stderr = self.stage.folder.path().join(format!("{}.stderr", self.shown));
        let mut command = self.command(arguments);
        command.stdout(File::create(&stdout).map_err(failed_at(&stdout))?);
        command.stderr(File::create(&stderr).map_err(failed_at(&stderr))?);
        let status = Process::spawn(&mut command)?.wait(PATIENCE)?;
        let (who, command) = (self.shown.to_owned(), arguments.join(" "));
        match status {
            None => Err(DemoError::TooSlow { who, command }),
            Some(status) if !status.success() => {
                let stderr = fs::read_to_string(&stderr).unwrap_or_default().trim().to_owned();
                Err(DemoError::Failed { who, command, status, stderr })
            }
            Some(_) => fs::read_to_string(&stdout).map_err(failed_at(&stdout)),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.stage.command("waxwing-cli");
        command.arg("--profile").arg(&self.profile).arg("--json").arg("--passphrase-file").arg(&self.passphrase);
        command.args(arguments.iter().map(OsStr::new));
        command
    }

    fn tell(&self, what: &str) {
        self.stage.tell(self.shown, what);
    }
}

/// A person who stays connected.
struct Listener {
    who: &'static str,
    process: Process,
    output: PathBuf,
}

impl Listener {
    /// Until the newest of `messages` has arrived.
    fn wait_for(&self, messages: &[Line]) -> Result<()> {
        let Some(newest) = messages.last() else { return Ok(()) };
        let start = Instant::now();
        while !fs::read_to_string(&self.output).unwrap_or_default().contains(&newest.id) {
            if start.elapsed() > PATIENCE {
                return Err(DemoError::NotShown { who: self.who.to_owned(), text: newest.text.clone() });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn end(mut self) -> Result<()> {
        match self.process.end()? {
            Some(_) => Ok(()),
            None => Err(DemoError::Wrong(format!("{} was asked to stop listening, and did not", self.who))),
        }
    }
}

fn failed_at(path: &Path) -> impl Fn(io::Error) -> DemoError {
    let what = path.display().to_string();
    move |source| DemoError::Io { what: what.clone(), source }
}

#[derive(Deserialize)]
struct Profile {
    address: String,
}

#[derive(Deserialize)]
struct Invite {
    link: String,
}

#[derive(Deserialize)]
struct Conversation {
    title: String,
}

#[derive(Deserialize)]
struct Message {
    id: String,
    state: String,
}

#[derive(Deserialize)]
struct Keys {
    version: u64,
    fingerprint: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(arguments: &[&str]) -> Result<Asked, String> {
        parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn command_line() {
        assert!(matches!(asked(&[]), Ok(Asked::Demo { json: None })));
        assert!(
            matches!(asked(&["--json", "count"]), Ok(Asked::Demo { json: Some(file) }) if file == Path::new("count"))
        );
        assert!(matches!(asked(&["--version"]), Ok(Asked::Say(text)) if text.starts_with("waxwing-demo ")));
        assert!(asked(&["--json"]).is_err());
        assert!(asked(&["--jsn"]).is_err());
    }
}
