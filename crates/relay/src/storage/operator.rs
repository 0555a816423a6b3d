//! What an operator asks of a storage, and what it answers.
//!
//! Not here: who may ask ([`mod@crate::admin`]), what a registration needs ([`mod@crate::command`]).

use std::io;

use waxwing_wire::AccountId;

use super::{Registered, SetQuotas};

/// An operator's invitation to register. The token itself is known to nobody but its holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invitation {
    /// [`waxwing_wire::log::token_hash`] of the token.
    pub hash: [u8; 32],
    /// For how many accounts.
    pub uses: u32,
    /// The last hour (since 1970) in which it is good.
    pub until_hour: u64,
}

/// What became of a registration with an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invited {
    /// The invitation is good, or these very bytes were stored before. One that was stored now has used the invitation once.
    Judged(Registered),
    /// There is no such invitation, or it is used up or too old. Nothing was stored.
    Refused,
}

/// What an operator has decided, as of one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decided {
    /// Grows by one with each decision.
    pub turn: u64,
    /// Accounts whose tokens are refused.
    pub disabled: Vec<AccountId>,
    /// Quotas that were set for everybody.
    pub quotas: SetQuotas,
}

/// What one account takes up. Logs are not among it: nobody knows whose they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountUse {
    /// Whose.
    pub account: AccountId,
    /// Whether its tokens are refused.
    pub disabled: bool,
    /// Devices in force.
    pub devices: u64,
    /// Bytes that wait in its inboxes under access keys.
    pub inbox_bytes: u64,
    /// Bytes that wait there from strangers.
    pub stranger_bytes: u64,
    /// One-time key packages that are left.
    pub key_packages: u64,
    /// Quotas that were set for it.
    pub quotas: SetQuotas,
}

/// What there is of everything. Counting takes a while on a large database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Accounts, closed ones too.
    pub accounts: u64,
    /// Of these, disabled ones.
    pub disabled: u64,
    /// Devices in force.
    pub devices: u64,
    /// Logs.
    pub logs: u64,
    /// Bytes in logs, with overhead, as their quota counts them.
    pub log_bytes: u64,
    /// Bytes that wait in inboxes, likewise.
    pub inbox_bytes: u64,
    /// Leaves of the transparency log.
    pub leaves: u64,
    /// Invitations that are still good for something.
    pub invitations: u64,
}

/// Counters, for tests and operators.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StorageStats {
    /// Commits.
    pub commits: u64,
    /// Writes that they held.
    pub writes: u64,
}

/// A backup was not made. Nothing is left of it.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is such a file.
    #[error("there is such a file already; it was left as it is")]
    Exists,
    /// The file cannot be written.
    #[error("the backup cannot be written: {0}")]
    Io(#[from] io::Error),
    /// The copy could not be made.
    #[error("the database could not be copied: {0}")]
    Copy(String),
    /// There is one at a time.
    #[error("another backup is being made; make this one once that has ended")]
    Busy,
    /// The relay stops.
    #[error("the relay stops, and the copy was not finished; make it again once it runs")]
    Stopping,
    /// The copy is not whole: the database itself may be damaged.
    #[error("the copy does not pass the check of its integrity; the database itself may be damaged: {0}")]
    Damaged(String),
    /// This kind of storage has tools of its own.
    #[error(
        "PostgreSQL is backed up with its own tools: `pg_dump --format=custom --file=FILE --dbname=...`, or pg_basebackup with archived WAL; docs/self-hosting.md says how it comes back"
    )]
    Elsewhere,
}
