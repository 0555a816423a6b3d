//! `waxwing-relay admin`: asks the running relay over its socket, and prints what it says.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde_json::Value;

use super::layers::{BadConfig, Loaded};
use super::{print, restore};
use crate::admin::{Act, FILE, Outcome};

/// For a relay's socket to be there.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks for it.
const AGAIN: Duration = Duration::from_millis(50);

/// What is asked of which relay.
#[derive(Args)]
pub(super) struct Admin {
    /// The running relay's data folder.
    #[arg(long, value_name = "DIR", env = "WAXWING_RELAY_DATA", global = true)]
    data: Option<PathBuf>,
    /// Its configuration file, which names the folder.
    #[arg(long, value_name = "FILE", env = "WAXWING_RELAY_CONFIG", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    what: What,
}

/// What an operator does.
#[derive(Subcommand)]
enum What {
    #[command(flatten)]
    Act(Act),
    /// The same as `waxwing-relay restore`, and the one act that is done while the relay does not run: make a data folder out of a backup, or have a
    /// PostgreSQL database that was put back go on.
    Restore(restore::Restore),
}

/// The relay did not do it.
#[derive(Debug, thiserror::Error)]
pub(super) enum AdminError {
    /// It is not known which.
    #[error("say which relay: --data DIR, or --config FILE")]
    Which,
    /// The file that names it.
    #[error(transparent)]
    Config(#[from] BadConfig),
    /// It does not run, or one may not ask it.
    #[error("no relay answers at {}: {}", .0.display(), .1)]
    Connect(PathBuf, #[source] io::Error),
    /// The connection broke off.
    #[error("the relay did not answer: {0}")]
    Io(#[from] io::Error),
    /// The answer makes no sense.
    #[error("the relay's answer cannot be read; is it of the same version?")]
    Answer,
    /// It refused.
    #[error("{0}")]
    Refused(String),
    /// Nothing was restored.
    #[error(transparent)]
    Restore(#[from] restore::RestoreError),
}

/// Asks and prints.
pub(super) fn run(admin: Admin) -> Result<(), AdminError> {
    let mut act = match admin.what {
        What::Act(act) => act,
        What::Restore(given) => return Ok(restore::run(given)?),
    };
    let data = match (admin.data, &admin.config) {
        (Some(data), _) => data,
        (None, Some(config)) => Loaded::read(config)?.value("data").ok_or(AdminError::Which)?.into(),
        (None, None) => return Err(AdminError::Which),
    };
    if let Act::Backup { file } = &mut act {
        // The relay has another current folder.
        *file = std::path::absolute(&*file)?;
    }
    let value = ask(&data, &act)?;
    print(&text(&value)).map_err(AdminError::Io)
}

fn ask(data: &Path, act: &Act) -> Result<Value, AdminError> {
    let path = data.join(FILE);
    let mut stream = connect(&path).map_err(|error| AdminError::Connect(path, error))?;
    let mut line = serde_json::to_vec(act).map_err(|_| AdminError::Answer)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    match serde_json::from_str(&answer).map_err(|_| AdminError::Answer)? {
        Outcome::Done(value) => Ok(value),
        Outcome::Refused(why) => Err(AdminError::Refused(why)),
    }
}

/// A relay that was started a moment ago, by systemd or a script, has its socket in a moment.
fn connect(path: &Path) -> io::Result<UnixStream> {
    let until = Instant::now() + PATIENCE;
    loop {
        match UnixStream::connect(path) {
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
                    && Instant::now() < until =>
            {
                std::thread::sleep(AGAIN);
            }
            connected => return connected,
        }
    }
}

/// One `key: value` in a line; a list's items in a line each.
fn text(value: &Value) -> String {
    let one = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| match value {
                Value::Object(_) => text(value),
                value => format!("{key}: {}\n", one(value)),
            })
            .collect(),
        Value::Array(items) => items.iter().map(|item| one(item) + "\n").collect(),
        other => one(other) + "\n",
    }
}
