//! Processes that end together. Each group is started here and ended by its own id; nothing is ever ended by name.
//!
//! A group also ends when the test that started it is gone, however that came: it holds the other end of the leader's input.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Fault, Outcome};

const GRACE: Duration = Duration::from_secs(8);

/// Runs a command, and ends the whole group once the input is closed.
const LEADER: &str = r#"exec 3<&0
(cat <&3 >/dev/null; kill -s TERM -- "-$$") >/dev/null 2>&1 &
exec 3<&-
"$@" </dev/null"#;

/// A process and all that it starts, ended when dropped.
#[derive(Debug)]
pub struct Group {
    leader: Child,
}

impl Group {
    /// Starts the command in a group of its own; its output goes to `stdout` and `stderr`.
    pub fn start(command: &Command, stdout: Stdio, stderr: Stdio) -> Outcome<Self> {
        let mut leader = Command::new("sh");
        leader.args(["-c", LEADER, "sh"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => leader.env(name, value),
                None => leader.env_remove(name),
            };
        }
        leader.stdin(Stdio::piped()).stdout(stdout).stderr(stderr).process_group(0);
        let what = format!("starting {}", command.get_program().display());
        Ok(Self { leader: leader.spawn().map_err(Fault::io(what))? })
    }

    /// The leader's id, which is the group's.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.leader.id()
    }

    /// The leader's standard output, where it was piped.
    pub fn stdout(&mut self) -> Outcome<std::process::ChildStdout> {
        self.leader.stdout.take().ok_or_else(|| Fault::Unexpected("the output was not piped".into()))
    }

    /// How the leader ended, if it has.
    pub fn ended(&mut self) -> Outcome<Option<ExitStatus>> {
        self.leader.try_wait().map_err(Fault::io("waiting for a process"))
    }

    /// Asks all of the group to end, and insists where that takes too long.
    pub fn end(&mut self) {
        signal("TERM", &format!("-{}", self.id()));
        let start = Instant::now();
        while start.elapsed() < GRACE {
            // The leader is waited for here; the others are their parents' to wait for, so they are looked up.
            let _ = self.leader.try_wait();
            if members(self.id()).is_empty() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        signal("KILL", &format!("-{}", self.id()));
        let _ = self.leader.wait();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end();
    }
}

/// Ends one process at once, as a crash or a power cut would.
pub fn kill(pid: u32) {
    signal("KILL", &pid.to_string());
}

/// `kill` of the shell: sending a signal from Rust takes an unsafe call.
fn signal(name: &str, target: &str) {
    let command = format!("kill -s {name} -- {target}");
    let _ = Command::new("sh").args(["-c", &command]).stderr(Stdio::null()).status();
}

/// All processes whose environment holds this line and whose program is this file.
pub fn processes_of(program: &Path, environment: &str) -> Outcome<Vec<u32>> {
    let program = program.canonicalize().map_err(Fault::io("the program"))?;
    let is_it = |pid: &u32| {
        let same_program = fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program);
        let environ = || fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        same_program && environ().split(|byte| *byte == 0).any(|line| line == environment.as_bytes())
    };
    Ok(pids().map_err(Fault::io("the list of processes"))?.filter(is_it).collect())
}

fn pids() -> io::Result<impl Iterator<Item = u32>> {
    Ok(fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()))
}

/// Members of a group that still run; a zombie does not.
fn members(group: u32) -> Vec<u32> {
    let in_group = |pid: &u32| {
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
        // pid (name) state parent group ...; the name may hold anything, also brackets.
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let (state, _parent, of) = (fields.next(), fields.next(), fields.next());
        of == Some(group.to_string().as_str()) && state != Some("Z")
    };
    pids().map(|pids| pids.filter(in_group).collect()).unwrap_or_default()
}
