//! What the relay keeps, behind one trait with two backends: the embedded SQLite, and PostgreSQL for any number of processes.
//!
//! Every method is one transaction. A method that stores something resolves only after the commit is on disk. Whatever a client may have got
//! wrong is a value, not an error: a [`StorageError`] is the relay's own trouble and leaves nothing stored.
//! Not here: who may call what ([`crate::auth`], [`mod@crate::command`]), tokens in clear (only hashes come in).

mod calendar;
mod migrate;
mod operator;
pub(crate) mod postgres;
mod quotas;
pub(crate) mod restore;
mod rules;
mod setup;
pub(crate) mod sqlite;
mod watched;

use std::path::PathBuf;

use futures_util::future::BoxFuture;
use waxwing_wire::api::{ConsistencyProof, InclusionProof, KeyPackageCount};
use waxwing_wire::blob::BlobSecret;
use waxwing_wire::chain::ChainEntry;
use waxwing_wire::frame::{Append, ClaimedKeyPackages, CreateLog, InboxPage, InboxSend, LogPage, UploadKeyPackages};
use waxwing_wire::{AccountId, DeviceId, DeviceRecord, LogId, Username};

use crate::clock::Moment;
use crate::replay::{Seen, Showing};

pub use migrate::{MigrateError, Moved, migrate};
pub use operator::{AccountUse, BackupError, Decided, Invitation, Invited, StorageStats, Totals};
pub use postgres::{CONNECTIONS, PostgresConfig, PostgresStorage, PostgresUrl};
pub use quotas::{Quota, SetQuotas};
pub use restore::{RestoreError, RestoredOn};
pub use setup::{OpenError, PostgresTrouble, RETENTION_DAYS, Setup, WakeListener};
pub use sqlite::{SqliteStorage, sqlite_version};
pub use watched::{Heads, InForce, Watched};

/// What an entry counts beside its bytes.
const OVERHEAD: u64 = 256;

/// The relay's own trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// No space is left. Nothing was stored; it works again by itself once there is space.
    #[error("the relay is out of space")]
    Full,
    /// The database cannot be reached, is too busy, or cannot write.
    #[error("the database cannot be used now")]
    Unavailable,
    /// The database holds what it must not.
    #[error("the database is damaged")]
    Damaged,
}

/// What a storage method gives.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, StorageError>>;

/// A chain's first entry.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// The entry; verified.
    pub entry: ChainEntry,
    /// The name that it claims; none for a private account, of which the transparency log says no name.
    pub name: Option<PublicName>,
    /// Its first device.
    pub device: DeviceRecord,
}

/// A name and what the transparency log says in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicName {
    /// The name.
    pub name: Username,
    /// [`waxwing_wire::transparency::name_hash`] of it in this relay's log. Slow, so it comes in from outside.
    pub hash: [u8; 32],
}

/// What became of a [`NewAccount`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// Stored, now or before, with these very bytes.
    Stored,
    /// Somebody has the name, or had it.
    NameTaken,
    /// Somebody has the account id or the device id.
    IdTaken,
}

/// A chain's next entry.
#[derive(Debug, Clone)]
pub struct NextEntry {
    /// The entry; verified against the chain up to the one before it.
    pub entry: ChainEntry,
    /// What it does to the account's devices.
    pub devices: DeviceChange,
}

/// What a chain entry does to an account's devices. One that is in force no longer loses its inbox, its key packages and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceChange {
    /// A further one.
    Added(DeviceRecord),
    /// One has other keys; key packages made under the replaced ones are of no use.
    Rotated(DeviceRecord),
    /// These are in force no longer.
    Revoked(Vec<DeviceId>),
    /// None but this one, which is new.
    Only(DeviceRecord),
    /// None at all, and nobody is admitted any more. Blobs that were put up with this secret are to go.
    Closed(Option<BlobSecret>),
}

/// What became of a [`NextEntry`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chained {
    /// Stored, now or before, with these very bytes.
    Stored,
    /// It does not follow the head, or there is no such chain.
    Conflict,
    /// Its new device's id is another device's.
    IdTaken,
}

/// How a chain is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountRef {
    /// By id.
    Id(AccountId),
    /// By name.
    Name(Username),
    /// 32 hexadecimal digits: an id, and if there is none such, a name.
    IdOrName(AccountId, Username),
}

/// Part of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredChain {
    /// Whose.
    pub account: AccountId,
    /// Its name.
    pub name: Option<Username>,
    /// Number of the newest entry.
    pub head: u32,
    /// Entries from the one asked for.
    pub entries: Vec<Vec<u8>>,
    /// Where the leaf of each of them stands in the transparency log.
    pub indexes: Vec<u64>,
    /// Where the leaf of the name stands; only with the first entry, and with a public name.
    pub name_index: Option<u64>,
    /// The log's newest checkpoint, a signed note. It covers all these leaves.
    pub checkpoint: String,
}

/// An append with the hash of the write token that it came with.
#[derive(Debug, Clone)]
pub struct Appending {
    /// To which log.
    pub log: LogId,
    /// Hash of the write token.
    pub write_hash: [u8; 32],
    /// SHA-256 of the whole request: what "same bytes" means, even when the entry itself is gone one day.
    pub digest: [u8; 32],
    /// The request.
    pub append: Append,
}

/// What became of an [`Appending`], in the order in which it is judged under the log's lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// No such log, or a token that never was its.
    Refused,
    /// Stored, now or before, with these very bytes.
    Stored {
        /// Its place.
        seq: u64,
    },
    /// The id was used with other bytes.
    IdReused,
    /// The write token was replaced by the handshake at `head`.
    Rekeyed {
        /// As far as this token's holder can read.
        head: u64,
    },
    /// `after` is not the last handshake.
    Conflict {
        /// The log's head.
        head: u64,
    },
    /// The log is full.
    QuotaExceeded,
}

/// What reading a log gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogRead {
    /// No such log, or a token that never was its.
    Refused,
    /// Entries right after `after` are gone.
    Gone {
        /// First kept seq.
        oldest: u64,
    },
    /// The page.
    Page(LogPage),
}

/// Why somebody may send to an inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// With an access key, known by its hash.
    AccessKey([u8; 32]),
    /// With an account on this relay. Which one is not kept.
    Stranger,
}

/// An envelope for an inbox.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Whose inbox.
    pub device: DeviceId,
    /// Why.
    pub admission: Admission,
    /// SHA-256 of the whole request.
    pub digest: [u8; 32],
    /// The request.
    pub send: InboxSend,
}

/// What became of a [`Delivery`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivered {
    /// No such inbox, or not admitted.
    Refused,
    /// Stored, now or before, with these very bytes.
    Stored {
        /// Its place.
        seq: u64,
    },
    /// The id was used with other bytes.
    IdReused,
    /// The inbox is full for this kind of sender.
    QuotaExceeded,
}

/// What became of an upload of key packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uploaded {
    /// Stored, now or before; what is there now.
    Stored(KeyPackageCount),
    /// That were too many. Nothing was stored or removed.
    QuotaExceeded,
    /// No such device.
    UnknownDevice,
}

/// Who claims key packages: who may, and out of which allowances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimer {
    /// With an access key, known by its hash.
    AccessKey([u8; 32]),
    /// With an account on this relay, known by its pseudonym of the day.
    Stranger([u8; 32]),
}

/// A claim of one key package of each device of an account.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    /// Whose packages.
    pub account: AccountId,
    /// Hash of the claim's random id and its claimer: what "the same claim" means.
    pub id: [u8; 32],
    /// Who claims.
    pub claimer: Claimer,
}

/// What became of a [`Claim`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// No such account, or not admitted.
    Refused,
    /// Handed out, now or before.
    Packages(ClaimedKeyPackages),
}

/// Where the relay keeps what it keeps.
///
/// A backend is handed a [`crate::LogSigner`]. Whoever stores a chain entry takes the transparency log's one row for itself (PostgreSQL:
/// `SELECT ... FOR UPDATE`), appends the entry's leaf, signs the new tree and keeps the checkpoint, all in the transaction of the entry: nothing is
/// ever served that no checkpoint covers, and no checkpoint of what is not stored.
///
/// After a commit the backend tells its [`crate::hub::Wake`] listener, whether or not the caller still waits.
pub trait Storage: Send + Sync + 'static {
    /// Stores a chain's first entry and its leaves. The same bytes again append nothing.
    fn register(&self, account: NewAccount) -> Answer<'_, Registered>;
    /// Stores a chain's next entry and its leaf if it follows the head; the same bytes again append nothing. The key packages of the device whose keys it replaces go with those.
    fn extend_chain(&self, next: NextEntry) -> Answer<'_, Chained>;
    /// Reads at most `limit` entries of a chain.
    fn chain(&self, account: AccountRef, from: u32, limit: usize) -> Answer<'_, Option<StoredChain>>;
    /// The relay-auth key in force of a device of an account.
    fn relay_auth(&self, account: AccountId, device: DeviceId) -> Answer<'_, Option<[u8; 32]>>;
    /// The transparency log's newest checkpoint: a signed note.
    fn checkpoint(&self) -> Answer<'_, String>;
    /// Signs the log's tree as it is once more, with a new time.
    fn renew_checkpoint(&self) -> Answer<'_, ()>;
    /// At most `limit` leaves of the log from index `from` on, 69 bytes each; none if it is not that long.
    fn leaves(&self, from: u64, limit: usize) -> Answer<'_, Option<Vec<u8>>>;
    /// The proof that the log's first `second` leaves begin with its first `first`; none unless `0 < first <= second`, and the log is that long.
    fn consistency(&self, first: u64, second: u64) -> Answer<'_, Option<ConsistencyProof>>;
    /// The leaf at `index` and the proof that it is among the first `size`; none unless `index < size`, and the log is that long.
    fn inclusion(&self, index: u64, size: u64) -> Answer<'_, Option<InclusionProof>>;
    /// Admits holders of access keys; false if that were too many.
    fn admit(&self, account: AccountId, hashes: Vec<[u8; 32]>) -> Answer<'_, bool>;
    /// Admits them no more.
    fn dismiss(&self, account: AccountId, hashes: Vec<[u8; 32]>) -> Answer<'_, ()>;
    /// Stores key packages of a device.
    fn upload_key_packages(&self, device: DeviceId, upload: UploadKeyPackages) -> Answer<'_, Uploaded>;
    /// How many key packages of a device are left; none if there is no such device.
    fn count_key_packages(&self, device: DeviceId) -> Answer<'_, Option<KeyPackageCount>>;
    /// Hands out key packages of an account's devices.
    fn claim_key_packages(&self, claim: Claim) -> Answer<'_, Claimed>;
    /// Makes a log; false if its id is taken with other tokens.
    fn create_log(&self, log: CreateLog) -> Answer<'_, bool>;
    /// Appends to a log, under the log's lock.
    fn append(&self, appending: Appending) -> Answer<'_, Appended>;
    /// Reads a page of a log.
    fn read_log(&self, log: LogId, read_hash: [u8; 32], after: u64) -> Answer<'_, LogRead>;
    /// How far logs and inboxes are.
    fn heads(&self, watched: Watched) -> Answer<'_, Heads>;
    /// Puts an envelope into an inbox.
    fn deliver(&self, delivery: Delivery) -> Answer<'_, Delivered>;
    /// Reads a page of an inbox; none if there is no such device.
    fn read_inbox(&self, device: DeviceId, after: u64) -> Answer<'_, Option<InboxPage>>;
    /// Removes what is done with from an inbox.
    fn acknowledge(&self, device: DeviceId, up_to: u64) -> Answer<'_, ()>;
    /// Remembers that an assertion or a proof was shown; whether that was the first time, at any process of this relay.
    fn shown(&self, showing: Showing) -> Answer<'_, Seen>;
    /// Drops a batch of what is too old; whether there may be more. Of a log what it is judged by stays: the last handshake, replaced tokens,
    /// each entry's id and digest.
    fn expire(&self) -> Answer<'_, bool>;
    /// The time by which something is too old, as far as the database has noted it: a wrong clock erases nothing.
    fn expiry_time(&self) -> Moment;
    /// The time at which something comes, by the same count: what is given it is not too old before its time, whatever the clock has said.
    fn arrival_time(&self) -> Moment;
    /// The secrets of closed accounts whose blobs are to go.
    fn blobs_to_remove(&self) -> Answer<'_, Vec<BlobSecret>>;
    /// The blobs of these are gone, or `all` but some that could not be removed. Each is given again for an hour or two, since what was being put up when its
    /// account was closed is there by then; or else for three days.
    fn blobs_removed(&self, of: Vec<BlobSecret>, all: bool) -> Answer<'_, ()>;
    /// Bytes of its own file that are free to be used again, which the disk does not know of.
    fn spare(&self) -> Answer<'_, u64>;
    /// Records the fingerprint of the relay's public keys where there is none or that of `replacing`; whether it is the recorded one then.
    fn record_keys(&self, fingerprint: [u8; 32], replacing: Option<[u8; 32]>) -> Answer<'_, bool>;
    /// Counters.
    fn stats(&self) -> StorageStats;
    /// Finishes what is queued and leaves everything on disk.
    fn close(&self) -> Answer<'_, ()>;

    // What an operator does.

    /// Keeps an invitation to register.
    fn invite(&self, invitation: Invitation) -> Answer<'_, ()>;
    /// Whether the invitation with this hash is good for one more account now. It may be used up before it is used.
    fn invited(&self, invitation: [u8; 32]) -> Answer<'_, bool>;
    /// As [`Storage::register`], and uses up the invitation with this hash once in the same transaction.
    fn register_invited(&self, account: NewAccount, invitation: [u8; 32]) -> Answer<'_, Invited>;
    /// Disables an account, or enables it again; none if there is no such account.
    fn set_disabled(&self, account: AccountRef, disabled: bool) -> Answer<'_, Option<AccountId>>;
    /// Sets quotas, or takes back what was set (none): of an account's inboxes, or of everybody. False (and nothing is changed) if there is no such
    /// account. Other processes go by it once they have asked what was [decided](Storage::decided).
    fn set_quotas(&self, of: Option<AccountRef>, changes: Vec<(Quota, Option<u64>)>) -> Answer<'_, bool>;
    /// What the operator has decided; none if that is nothing newer than of the turn `known`. The storage goes by it from then on. Whoever is told of
    /// a [`crate::hub::Wake::Decided`] asks for it.
    fn decided(&self, known: Option<u64>) -> Answer<'_, Option<Decided>>;
    /// What an account takes up; none if there is no such account.
    fn account_use(&self, account: AccountRef) -> Answer<'_, Option<AccountUse>>;
    /// Counts everything there is.
    fn totals(&self) -> Answer<'_, Totals>;
    /// Size of the database on disk, in bytes; quick.
    fn database_bytes(&self) -> Answer<'_, u64>;
    /// Resolves once something was written and is on disk.
    fn probe(&self) -> Answer<'_, ()>;
    /// Writes a whole and checked copy to the new file `to`, while everything goes on; gives its size in bytes.
    fn backup(&self, to: PathBuf) -> BoxFuture<'_, Result<u64, BackupError>>;
}
