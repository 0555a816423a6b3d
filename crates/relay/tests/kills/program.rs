//! `waxwing-relay serve` as a process of the test's own: started, waited for, killed by its id.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use crate::backend::Backend;

/// For one start or one end; the computer may be busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// What accounts are made for: the port is another one after each start.
pub const AUDIENCE: &str = "127.0.0.1:1";
/// The load is a few clients that do what thousands would.
const LIMITS: [&str; 16] = [
    "--rate-address=1000000",
    "--rate-registration=1000000",
    "--rate-registration-total=1000000",
    "--rate-token=1000000",
    "--rate-token-total=1000000",
    "--rate-lookup=1000000",
    "--rate-lookup-total=1000000",
    "--rate-stranger=1000000",
    "--rate-stranger-total=1000000",
    "--rate-account=1000000",
    "--rate-chain=1000000",
    "--rate-logs=1000000",
    "--disk-reserve=0",
    "--quota-log=10737418240",
    "--quota-inbox=10737418240",
    "--quota-inbox-key=10737418240",
];

/// The program as it was built.
pub fn built() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_waxwing-relay"))
}

/// What `program` is started with.
pub fn arguments(folder: &Path) -> Vec<OsString> {
    let mut arguments = vec!["serve".into(), "--listen=127.0.0.1:0".into(), "--log=warn".into()];
    arguments.extend(["--audience".into(), AUDIENCE.into(), "--data".into(), folder.into()]);
    arguments.extend(LIMITS.map(OsString::from));
    arguments
}

/// `program serve` on `backend`.
pub fn serve(program: &Path, backend: &impl Backend) -> Command {
    let mut command = Command::new(program);
    command.args(arguments(backend.folder())).args(backend.arguments());
    command
}

/// A started process. Ends by SIGKILL when it is dropped.
pub struct Program {
    child: Child,
    errors: NamedTempFile,
}

impl Program {
    /// Starts it and does not wait for anything.
    pub fn spawn(command: &mut Command) -> Self {
        let errors = NamedTempFile::new().unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors.reopen().unwrap());
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child, errors }
    }

    /// Starts it, and waits for `lines` lines of its standard output; if it ends before, gives what it wrote to standard error.
    pub fn start(command: &mut Command, lines: usize) -> Result<(Self, Vec<String>), String> {
        let mut program = Self::spawn(command);
        let out = BufReader::new(program.child.stdout.take().unwrap());
        let (said, saying) = mpsc::channel();
        // Ends with the program, if not before.
        std::thread::spawn(move || said.send(out.lines().take(lines).map_while(Result::ok).collect::<Vec<_>>()));
        match saying.recv_timeout(PATIENCE) {
            Ok(found) if found.len() == lines => Ok((program, found)),
            Ok(_) => {
                program.wait();
                Err(program.errors())
            }
            Err(_) => panic!("{command:?} is not ready after {PATIENCE:?}: {}", program.errors()),
        }
    }

    /// SIGKILL. When this returns the process is no more.
    pub fn kill(self) {}

    /// What it wrote to standard error.
    pub fn errors(&self) -> String {
        std::fs::read_to_string(self.errors.path()).unwrap()
    }

    fn wait(&mut self) {
        let until = Instant::now() + PATIENCE;
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "the program does not end: {}", self.errors());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The URL in the ready line.
pub fn url(line: &str) -> &str {
    line.rsplit(' ').next().unwrap()
}
