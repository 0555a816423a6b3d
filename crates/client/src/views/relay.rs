//! Relays and their logs of keys.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::Millis;
use crate::error::ErrorView;

/// How the engine stands with the relay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Connection {
    /// Not yet, or trying again.
    Connecting,
    /// Subscribed; everything is up to date or on its way.
    Online {
        /// What is worth knowing although all works (this computer's clock is wrong).
        notice: Option<ErrorView>,
    },
    /// Out of reach; tried again at `retry_at` by itself.
    Offline {
        /// Why.
        reason: ErrorView,
        /// When it is tried next.
        retry_at: Millis,
    },
}

/// What is known of a relay before an account is made on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RelayView {
    /// Its address as it will be kept.
    pub address: String,
    /// Its version.
    pub version: String,
    /// Whether it serves this computer alone (a loopback address).
    pub loopback: bool,
}

/// A relay's transparency log, as far as this device has read it. Numbers count leaves; times are by the relay's clock, in milliseconds
/// since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct LogView {
    /// The relay, `host[:port]`.
    pub origin: String,
    /// Leaves that the newest checkpoint proves.
    pub size: f64,
    /// Leaves that were read: more than `size` while it is being caught up with.
    pub read: f64,
    /// Time of the newest checkpoint that was proved, and no later than now; 0 before the first.
    pub proved_at: f64,
    /// Time of the first one, and no later than now: since then each has extended the one before. 0 before it.
    pub since: f64,
    /// Whether the newest is more than a day old, or there is none; or the relay withholds one.
    pub stale: bool,
    /// Whether the relay has signed more than it shows: others have seen it, and it was not shown here for a day, though newer was.
    pub withheld: bool,
    /// What speaks against it.
    pub contradictions: Vec<ContradictionView>,
    /// Entries about the own account that no own device has made (for the own relay): the first 64 of its chain in the log, the first 64 that were shown in conversations alone, and the first 64 of its name.
    pub alarms: Vec<KeyAlarmView>,
    /// Whether there are more of them.
    pub more_alarms: bool,
    /// Restorations of the relay from a backup that were seen here, the oldest first.
    pub restorations: Vec<RestorationView>,
    /// Why the own relay, which was restored, does not take again what it has lost of this account.
    pub restored_problem: Option<ErrorView>,
    /// What the own relay has taken of this account's keys and does not show in its log: nobody else goes by it.
    pub unlogged_problem: Option<ErrorView>,
}

/// A relay was restored from a backup, and has lost what came after it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RestorationView {
    /// Time of the backup's last checkpoint.
    pub backup: f64,
    /// Leaves of the log that are the same as before.
    pub size: f64,
    /// When this device found out.
    pub found: f64,
}

/// How two signed checkpoints do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum ContradictionKind {
    /// One size, two roots.
    TwoHistories,
    /// The relay cannot prove that one extends the other.
    Unproved,
    /// The later one is of a smaller tree.
    WentBack,
    /// Two sizes, and the leaves that were read here show that one does not extend the other.
    Diverged,
}

/// Two checkpoints that a relay has signed and that do not go together: evidence for anybody.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ContradictionView {
    /// How.
    pub kind: ContradictionKind,
    /// When it was found.
    pub at: f64,
    /// Whether the user has gone on with the log since: it stops nothing any more.
    pub settled: bool,
    /// One signed note.
    pub first: String,
    /// The other.
    pub second: String,
}

/// An entry about the own account that no own device has made.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct KeyAlarmView {
    /// Its place in the log; none where it was shown in a conversation alone.
    pub index: Option<f64>,
    /// Its place in the own chain; none where it gives the own name to somebody else.
    pub seq: Option<u32>,
    /// When it was found.
    pub at: f64,
}
