//! The own keys and other people's: versions, rotations, history, safety numbers.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::{ConversationKind, Millis};
use crate::error::ErrorView;

/// Whether somebody's safety number was compared, and whether that still stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum Safety {
    /// It was not.
    NotVerified,
    /// It was; every change of their keys since is proved by their chain.
    Verified,
    /// It was, and since then they have begun anew with their recovery phrase, or have none of their devices of then any more. The
    /// user must compare again, or take the verification back, before anything is sent.
    Ask,
    /// Their relay shows keys that do not follow from those known, or keeps back newer ones, whether they were compared or not. Nothing is sent.
    Broken,
}

/// Somebody's safety number with oneself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct SafetyNumberView {
    /// Their account id.
    pub account_id: String,
    /// Their name, as shown.
    pub name: String,
    /// Their `name@host[:port]`.
    pub address: String,
    /// 12 groups of five digits, the same for both.
    pub groups: Vec<String>,
    /// What the QR code for the other person's app carries.
    pub payload: String,
    /// How they stand.
    pub safety: Safety,
    /// When the number was compared, if it was.
    pub verified_at: Option<Millis>,
    /// Since when their relay shows other keys, if it does.
    pub broken_at: Option<Millis>,
}

/// What came of comparing a safety number with what the other person's app shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum SafetyComparison {
    /// They are the same.
    Match,
    /// They differ.
    Mismatch,
    /// It is one's own code, or that of somebody else whom one knows.
    NotForThisConversation,
    /// It is neither sixty digits nor a code that can be read.
    Damaged,
}

/// The own keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct KeysView {
    /// Version of the device keys in force.
    pub version: u32,
    /// Fingerprint of the device keys in force: groups of hexadecimal digits.
    pub fingerprint: String,
    /// When these device keys were made.
    pub since: Millis,
    /// Fingerprint of the account key.
    pub account_fingerprint: String,
    /// Name or id of this device.
    pub device_id: String,
    /// How often the keys are replaced by themselves.
    pub schedule: RotationSchedule,
    /// When that is due next, by relay time; none where it is done by hand alone.
    pub next_rotation_at: Option<Millis>,
    /// Whether a rotation has been started and has not reached the relay yet.
    pub rotating: bool,
    /// Why the last attempt to rotate did not get through, if so. It goes on by itself.
    pub rotation_problem: Option<ErrorView>,
    /// How far the last rotation has got, if there was one.
    pub outcome: Option<RotationOutcomeView>,
    /// How far the last replacement of the account key has got, if there was one.
    pub account_outcome: Option<AccountKeyOutcomeView>,
    /// Older sealing keys still kept, because the relay may hold messages for them.
    pub old_versions_kept: u32,
    /// How many days such a key is kept after it was replaced.
    pub old_keys_live_days: u32,
    /// The account's chain, newest first.
    pub history: Vec<KeyHistoryItem>,
    /// Whether the recovery phrase was confirmed.
    pub phrase_confirmed: bool,
}

/// How often a device's keys are replaced by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum RotationSchedule {
    /// Every week.
    Days7,
    /// Every 30 days.
    Days30,
    /// Every 90 days.
    Days90,
    /// By hand alone.
    Manual,
}

/// What a rotation has come to: which conversations have the new keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RotationOutcomeView {
    /// The version that it put in force.
    pub version: u32,
    /// When, by relay time.
    pub at: Millis,
    /// Whether the schedule began it: its updates are spread over a day.
    pub scheduled: bool,
    /// Conversations that one takes part in.
    pub conversations: u32,
    /// Those of them that have the new keys.
    pub updated: u32,
    /// Those that wait; at most 100 are named.
    pub waiting: Vec<RotationWaitView>,
}

/// What another account key has come to: which conversations have learnt of it, and let nobody in any more whom it has revoked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct AccountKeyOutcomeView {
    /// When it was replaced, by relay time.
    pub at: Millis,
    /// Whether every other device was revoked with it, and this device's keys were replaced too.
    pub shut_out: bool,
    /// Conversations that one takes part in.
    pub conversations: u32,
    /// Those of them that go by the new account key.
    pub updated: u32,
    /// Those that wait; at most 100 are named.
    pub waiting: Vec<RotationWaitView>,
}

/// A conversation that has not got the new keys yet. What is sent there meanwhile goes out under the old ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RotationWaitView {
    /// The conversation's id.
    pub conversation: String,
    /// Whom it is with.
    pub kind: ConversationKind,
    /// What to call it.
    pub title: String,
    /// What it waits for.
    pub why: RotationWait,
    /// When its turn comes, by relay time, where it waits for that.
    pub due: Option<Millis>,
    /// What stands in the way, where something does.
    pub problem: Option<ErrorView>,
}

/// What a conversation waits for that has not got the new keys yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum RotationWait {
    /// Its turn: a scheduled rotation reaches one conversation after another.
    Later,
    /// The relay: the update is on its way, or the relay is out of reach.
    Sending,
    /// This device has lost its place there and waits to be let back in.
    Mending,
    /// Nothing can be sent there now.
    Stopped,
}

/// What came of looking at 24 words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum PhraseCheck {
    /// They are the recovery phrase of this account.
    Right,
    /// There are more or fewer than 24.
    WordCount {
        /// How many.
        words: u32,
    },
    /// A word is not in the list.
    UnknownWord {
        /// Which, from 1.
        place: u32,
    },
    /// All words are in the list, and do not fit together: one is wrong, or their order is.
    Checksum,
    /// They are a phrase, and not the one of this account.
    OtherAccount,
}

/// An exported history that was checked, and holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct KeyLogView {
    /// Whose: the account's id.
    pub account_id: String,
    /// `name@host[:port]`.
    pub address: String,
    /// Whether it is one's own.
    pub mine: bool,
    /// How many entries it lists.
    pub entries: u32,
    /// How many the chain has got since.
    pub newer: u32,
    /// The device that signed it.
    pub device_id: String,
    /// Version of that device's keys.
    pub version: u32,
    /// When it was written, by that device's clock.
    pub exported: String,
}

/// One statement of a chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct KeyHistoryItem {
    /// Its number in the chain, from 0.
    pub seq: u32,
    /// What it did.
    pub what: KeyEvent,
    /// The device that it puts in force, or gives keys.
    pub device_id: Option<String>,
    /// Version of that device's keys.
    pub version: Option<u32>,
    /// When, by the signer's clock, and no later than the year 9999.
    pub at: Millis,
    /// Fingerprint of that version's device keys.
    pub fingerprint: Option<String>,
    /// Fingerprint of the account key, where it has set that.
    pub account_fingerprint: Option<String>,
    /// Devices that it takes out of force.
    pub revoked: Vec<String>,
    /// Whether it has replaced the recovery phrase.
    pub new_phrase: bool,
    /// Hash of the statement: 64 hexadecimal digits.
    pub hash: String,
    /// Its place in the transparency log, once it is looked for there.
    pub log_index: Option<u32>,
    /// Whether it is proved to stand there; none as long as the log was not read past it.
    pub proved: Option<bool>,
}

/// What a chain statement did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum KeyEvent {
    /// The account was made, with its first device.
    Created,
    /// A further device.
    DeviceAdded,
    /// Device keys were rotated.
    Rotated,
    /// The account key was replaced, and devices revoked with it.
    AccountKeyRotated,
    /// The recovery phrase was used: one new device took the place of all others.
    Recovered,
    /// The account was given up.
    Closed,
}
