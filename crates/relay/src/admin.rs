//! What the operator does while the relay runs, over a unix socket in the data folder: one line of JSON each way.
//!
//! The socket is of mode 0600 in a folder of mode 0700, and who connects must be the relay's own user, or root: the kernel says who that is.
//! Not here: the command line, which takes the same list of acts ([`crate::program`]), what a storage does with it ([`crate::storage`]).

use std::path::PathBuf;

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::Value;

mod acts;
mod quota;
mod socket;

use quota::QuotaAct;
pub(crate) use socket::{AdminSocket, FILE};

/// What is asked: a command of `waxwing-relay admin`, and a line on the socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Subcommand)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Act {
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
    Quota(QuotaAct),
    /// The keys that sign access tokens.
    Keys {
        /// What becomes of them.
        #[command(subcommand)]
        what: KeysAct,
    },
    /// Print the security audit log.
    Audit {
        /// The newest so many lines.
        #[arg(long, value_name = "N", default_value_t = 1000)]
        lines: usize,
    },
    /// Copy the database to a new file, while the relay runs. The keys are not in it. PostgreSQL has its own tools for that.
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

/// What is done with the keys that sign access tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Subcommand)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KeysAct {
    /// Put a new one in force. Tokens of the old one stay good until they run out, so nobody notices.
    Rotate,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// Done, and what came of it.
    Done(Value),
    /// Not done, and why.
    Refused(String),
}
