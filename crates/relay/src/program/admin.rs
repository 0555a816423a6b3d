//! `waxwing-relay admin`: asks the running relay over its socket, and prints what it says.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::layers::{BadConfig, Loaded};
use super::print;
use crate::admin::{Act, FILE, Outcome};
use crate::storage::Quota;

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

#[derive(Subcommand)]
enum What {
    /// Count accounts, logs, bytes, connections.
    Stats,
    /// Refuse an account's tokens, and close its subscriptions at once. What others keep in common with it is not touched.
    Disable {
        /// Name or id.
        account: String,
    },
    /// Take a disabled account's tokens again.
    Enable {
        /// Name or id.
        account: String,
    },
    /// Tell the quotas in force, and what an account takes up. With options, set them first: they count at once, at every process of the relay, and
    /// in place of the configuration's until they are set to `default`. What is stored already stays, however little the quota is.
    Quota(QuotaArgs),
    /// The keys that sign access tokens.
    Keys {
        #[command(subcommand)]
        what: Keys,
    },
    /// Print the security audit log.
    Audit {
        /// The newest so many lines.
        #[arg(long, value_name = "N", default_value_t = 1000)]
        lines: usize,
    },
    /// Copy the database to a new file, while the relay runs. The keys are not in it.
    Backup {
        /// The new file.
        file: PathBuf,
    },
    /// Make an invitation to register.
    Invite {
        /// For how many accounts.
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        uses: u32,
        /// For how many days.
        #[arg(long, value_name = "D", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: u32,
    },
}

#[derive(Args)]
struct QuotaArgs {
    /// Name or id: set the quotas of its inboxes alone, and tell what they hold.
    account: Option<String>,
    /// Most bytes of one log. Of everybody's logs: nobody knows whose a log is.
    #[arg(long, value_name = "BYTES|default", conflicts_with = "account")]
    log: Option<SetTo>,
    /// Most bytes on top of that for handshakes alone. Likewise.
    #[arg(long, value_name = "BYTES|default", conflicts_with = "account")]
    log_handshakes: Option<SetTo>,
    /// Most bytes that wait in an inbox (each device has one) under all access keys together.
    #[arg(long, value_name = "BYTES|default")]
    inbox: Option<SetTo>,
    /// Most bytes that wait in an inbox under one access key.
    #[arg(long, value_name = "BYTES|default")]
    inbox_key: Option<SetTo>,
    /// Most bytes that wait in an inbox from strangers; with 0 none of them can write.
    #[arg(long, value_name = "BYTES|default")]
    inbox_strangers: Option<SetTo>,
}

impl QuotaArgs {
    fn act(self) -> Act {
        let set = [
            (Quota::Log, self.log),
            (Quota::LogHandshakes, self.log_handshakes),
            (Quota::Inbox, self.inbox),
            (Quota::InboxKey, self.inbox_key),
            (Quota::InboxStrangers, self.inbox_strangers),
        ];
        let set = set.into_iter().filter_map(|(quota, to)| Some((quota, to?.0))).collect();
        Act::Quota { account: self.account, set }
    }
}

/// Bytes, or what it was before.
#[derive(Clone, Copy)]
struct SetTo(Option<u64>);

impl FromStr for SetTo {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // SQL's integers are signed.
        let bytes = |text: &str| text.parse().ok().filter(|bytes| i64::try_from(*bytes).is_ok());
        match text {
            "default" => Ok(Self(None)),
            number => bytes(number).map(|bytes| Self(Some(bytes))).ok_or("a number of bytes, or `default`"),
        }
    }
}

#[derive(Subcommand)]
enum Keys {
    /// Put a new one in force. Tokens of the old one stay good until they run out, so nobody notices.
    Rotate,
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
}

/// Asks and prints.
pub(super) fn run(admin: Admin) -> Result<(), AdminError> {
    let data = match (admin.data, &admin.config) {
        (Some(data), _) => data,
        (None, Some(config)) => Loaded::read(config)?.value("data").ok_or(AdminError::Which)?.into(),
        (None, None) => return Err(AdminError::Which),
    };
    let value = ask(&data, &act(admin.what)?)?;
    print(&text(&value)).map_err(AdminError::Io)
}

fn act(what: What) -> io::Result<Act> {
    Ok(match what {
        What::Stats => Act::Stats,
        What::Disable { account } => Act::Disable { account },
        What::Enable { account } => Act::Enable { account },
        What::Quota(quota) => quota.act(),
        What::Keys { what: Keys::Rotate } => Act::RotateKeys,
        What::Audit { lines } => Act::Audit { lines },
        // The relay has another current folder.
        What::Backup { file } => Act::Backup { to: std::path::absolute(file)? },
        What::Invite { uses, days } => Act::Invite { uses, days },
    })
}

fn ask(data: &Path, act: &Act) -> Result<Value, AdminError> {
    let path = data.join(FILE);
    let mut stream = UnixStream::connect(&path).map_err(|error| AdminError::Connect(path, error))?;
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
