//! What the operator does while the relay runs, over a unix socket in the data folder: one line of JSON each way.
//!
//! The socket is of mode 0600 in a folder of mode 0700, and who connects must be the relay's own user, or root: the kernel says who that is.
//! Not here: the command line ([`crate::program`]), what a storage does with it ([`crate::storage`]).

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::storage::Quota;

mod acts;
mod socket;

pub(crate) use socket::{AdminSocket, FILE};

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Act {
    /// Count everything.
    Stats,
    /// Refuse an account's tokens and close its subscriptions.
    Disable {
        /// Its name or id.
        account: String,
    },
    /// Take its tokens again.
    Enable {
        /// Its name or id.
        account: String,
    },
    /// Set quotas, of everybody or of an account; then tell those in force, and what the account takes up.
    Quota {
        /// Its name or id.
        account: Option<String>,
        /// What to set each to, in bytes; to what it was before where there are none.
        set: Vec<(Quota, Option<u64>)>,
    },
    /// Put another token key in force.
    RotateKeys,
    /// The newest lines of the audit log.
    Audit {
        /// How many at most.
        lines: usize,
    },
    /// Copy the database.
    Backup {
        /// To this new file.
        to: PathBuf,
    },
    /// Make an invitation to register.
    Invite {
        /// For how many accounts.
        uses: u32,
        /// For how long.
        days: u32,
    },
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
