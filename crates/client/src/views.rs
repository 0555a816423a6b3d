//! What the engine shows: complete, rendered values that a user interface or a terminal prints as they are.
//!
//! A view never holds a key, a ciphertext or a token. Every change is told as a whole new view (see [`crate::Event`]),
//! so a front end replaces by id and never patches. Times are milliseconds since the Unix epoch; they are `f64` because a
//! web view has no other number (exact up to 2^53).
//!
//! Not here: how anything is stored (`store`) or worded (the front end words errors and notices).

use serde::{Deserialize, Serialize};
use specta::Type;

use crate::error::ErrorView;

/// Milliseconds since the Unix epoch.
pub type Millis = f64;

/// The own account on this device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ProfileView {
    /// Account id, 32 hexadecimal digits.
    pub account_id: String,
    /// Device id, 32 hexadecimal digits.
    pub device_id: String,
    /// `name@host[:port]`.
    pub address: String,
    /// The name others see; may carry any Unicode.
    pub display_name: String,
    /// The relay's address, `host[:port]`.
    pub relay: String,
    /// Whether the recovery phrase was confirmed (and its words erased here).
    pub phrase_confirmed: bool,
    /// Where this profile's secrets are kept.
    pub keystore: KeystoreKind,
}

/// Where a profile keeps its secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum KeystoreKind {
    /// The operating system's keychain.
    Keychain,
    /// A file sealed under a passphrase (Argon2id), chosen by the user.
    Passphrase,
}

/// One line of the conversation list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ConversationView {
    /// Conversation id, 64 hexadecimal digits.
    pub id: String,
    /// Whom it is with.
    pub kind: ConversationKind,
    /// What to call it.
    pub title: String,
    /// The other person's `name@host[:port]`; none for a note to self and a group.
    pub address: Option<String>,
    /// Decides the avatar's colour: the other person's account id, the own id for a note to self, the conversation's id for a group.
    pub account_id: String,
    /// How the other person's keys were found; for a group, how the first contact's were that is least known.
    pub trust: Trust,
    /// Whether the other person's safety number was compared; for a group, the worst of the others, and verified if all are.
    pub safety: Safety,
    /// How one stands in it.
    pub standing: Standing,
    /// Whose device one waits for, as shown, while one has asked to be let in.
    pub inviter: Option<String>,
    /// How many people are in it, oneself among them.
    pub people: u32,
    /// Whether the other person (of a conversation with one other) is blocked: nothing of theirs is taken in.
    pub blocked: bool,
    /// The newest message, if there is one.
    pub last: Option<LastLine>,
    /// Messages received and not yet seen.
    pub unread: u32,
    /// Order of the newest message that has been seen; 0 if none. The first unread message has a greater order.
    pub read_order: f64,
    /// What was typed and not yet sent.
    pub draft: String,
    /// Why nothing can be sent here now, if so.
    pub problem: Option<ErrorView>,
    /// Sorting key of the list, newest first.
    pub active_at: Millis,
}

/// Whom a conversation is with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum ConversationKind {
    /// One other person.
    Direct,
    /// Any number of people, under a name.
    Group,
    /// The user alone.
    NoteToSelf,
}

/// How one stands in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum Standing {
    /// One takes part: reads and writes.
    Member,
    /// Somebody unknown has written, or put one into a group: nothing is sent back before one accepts.
    Request,
    /// One has left. What was said stays readable.
    Left,
    /// Somebody else has removed one. What was said stays readable.
    Removed,
    /// One has asked with a link to be let into this group, and waits for the device that made the link.
    Asked,
}

/// What somebody may do in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Adds and removes people, changes name and roles.
    Admin,
    /// Reads and writes.
    Member,
}

/// Who is in a conversation, for its details.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct GroupView {
    /// The conversation's id.
    pub conversation: String,
    /// Its name.
    pub name: String,
    /// Whether one may add and remove people and change name and roles.
    pub admin: bool,
    /// Everybody in it: oneself first, then by name.
    pub members: Vec<MemberView>,
    /// Changes made here that have not reached the relay yet.
    pub pending: u32,
    /// Whether a link of this device's lets people in.
    pub has_link: bool,
}

/// Somebody in a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct MemberView {
    /// Account id.
    pub account_id: String,
    /// The name others see.
    pub name: String,
    /// `name@host[:port]`.
    pub address: String,
    /// What they may do.
    pub role: Role,
    /// Whether it is oneself.
    pub me: bool,
    /// How their keys were found.
    pub trust: Trust,
    /// Their devices in the group.
    pub devices: u32,
    /// Whether their safety number was compared.
    pub safety: Safety,
}

/// Somebody one talks with, for picking people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ContactView {
    /// Account id.
    pub account_id: String,
    /// The name others see.
    pub name: String,
    /// `name@host[:port]`.
    pub address: String,
    /// How their keys were found.
    pub trust: Trust,
}

/// Somebody who is blocked: nothing of theirs is taken in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct BlockedView {
    /// Account id.
    pub account_id: String,
    /// The name others see.
    pub name: String,
    /// `name@host[:port]`.
    pub address: String,
    /// Since when, where it is known, by relay time.
    pub since: Option<Millis>,
}

/// How the other person's keys were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum Trust {
    /// By the name at the relay, on first use; nothing was compared.
    FirstUse,
    /// Pinned by an invite link that this person handed over.
    Invite,
    /// The own account.
    Own,
}

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
    /// Their relay shows keys that do not follow from those known, whether they were compared or not. Nothing is sent.
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

/// The newest message of a conversation, for the list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct LastLine {
    /// First part of the text (at most 200 characters), or empty for a notice.
    pub text: String,
    /// The notice, where the newest line is one.
    pub notice: Option<Notice>,
    /// When.
    pub at: Millis,
    /// Whether it is one's own.
    pub mine: bool,
    /// How far it got.
    pub state: MessageState,
}

/// One line of a timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct MessageView {
    /// Message id, 32 hexadecimal digits, made by the sender's device.
    pub id: String,
    /// The conversation it belongs to.
    pub conversation: String,
    /// Place in the timeline; strictly growing, unique within the profile. Own messages take their final place once sent.
    pub order: f64,
    /// Account id of the sender.
    pub sender: String,
    /// Name of the sender.
    pub sender_name: String,
    /// Whether it is one's own.
    pub mine: bool,
    /// When it was sent, by the sender's clock.
    pub at: Millis,
    /// Whether the sender's clock differed from the relay's by more than 10 minutes.
    pub clock_off: bool,
    /// The text; empty for a notice.
    pub text: String,
    /// Set where this line is a notice and no message.
    pub notice: Option<Notice>,
    /// How far it got.
    pub state: MessageState,
    /// Why it failed, where it did.
    pub error: Option<ErrorView>,
}

/// How far a message got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum MessageState {
    /// Stored here, on its way to the relay.
    Sending,
    /// Accepted by the relay (stored and fsynced there).
    Sent,
    /// It will not be sent without the user: Retry, Copy, Delete.
    Failed,
    /// Somebody else's.
    Received,
}

/// A quiet line in a timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Notice {
    /// Somebody's device keys were rotated; proved by their chain.
    KeysRotated {
        /// Whose, as shown.
        name: String,
        /// The new version.
        version: u32,
        /// Whether they are one's own.
        mine: bool,
    },
    /// Somebody has recovered their account with their phrase, on a new device; proved by their chain.
    Recovered {
        /// Who, as shown.
        name: String,
        /// Whether oneself.
        mine: bool,
    },
    /// Somebody has replaced their account key; proved by their chain.
    AccountKeyReplaced {
        /// Who, as shown.
        name: String,
        /// Whether oneself.
        mine: bool,
    },
    /// Somebody has given up their account.
    AccountClosed {
        /// Who, as shown.
        name: String,
    },
    /// The conversation was started.
    Started {
        /// By whom, as shown.
        name: String,
        /// Whether by oneself.
        mine: bool,
    },
    /// Somebody's message could not be read on this device.
    Unreadable {
        /// Whose, as shown.
        name: String,
    },
    /// Somebody signed that the relay had shown them something else at this point of the conversation than it shows here.
    Forked {
        /// Who, as shown.
        name: String,
    },
    /// Somebody's device has written that is not among their keys, as their relay shows them: its words are kept back until it is.
    KeptBack {
        /// Whose it says to be, as shown.
        name: String,
        /// Whether it says to be one's own.
        mine: bool,
    },
    /// This device had lost its place in the conversation and was brought in again; what was said meanwhile is missing here.
    Repaired,
    /// The conversation was started anew by this person, because the one before could not go on.
    Restarted {
        /// By whom, as shown.
        name: String,
        /// Whether by oneself.
        mine: bool,
        /// Whose change locked the one before, where somebody signed it.
        spoiler: Option<String>,
    },
    /// Nobody follows this device in the conversation: it takes no part any more until an admin adds it again.
    ShutOut {
        /// Whether one had begun it anew without knowing that one was removed, or is no admin any more; else nobody has let one back in for
        /// a week after a recovery.
        anew: bool,
    },
    /// Somebody whose safety number was compared has begun anew, so that it must be compared again.
    VerifyAgain {
        /// Who, as shown.
        name: String,
    },
    /// The relay shows keys of somebody whose safety number was compared that do not follow from those known.
    KeysInDoubt {
        /// Whose, as shown.
        name: String,
    },
    /// The relay's log gives the name of a contact to another account, too.
    NameGivenAgain {
        /// Whose, as shown.
        name: String,
    },
    /// People were added to a group.
    Added {
        /// By whom, as shown.
        by: String,
        /// Whether by oneself.
        mine: bool,
        /// Who, as shown.
        names: Vec<String>,
        /// Whether oneself is among them.
        me: bool,
    },
    /// People are not in the conversation any more: taken out, or gone, while this device could not read it.
    Gone {
        /// Who, as shown.
        names: Vec<String>,
    },
    /// Somebody came into a group by a link.
    JoinedByLink {
        /// Whose link, as shown.
        by: String,
        /// Whether one's own.
        mine: bool,
        /// Who, as shown.
        name: String,
        /// Whether that is oneself.
        me: bool,
    },
    /// Somebody was removed from a group.
    Removed {
        /// By whom, as shown.
        by: String,
        /// Whether by oneself.
        mine: bool,
        /// Who, as shown.
        name: String,
        /// Whether that is oneself.
        me: bool,
    },
    /// Somebody left a group.
    Left {
        /// Who, as shown.
        name: String,
        /// Whether oneself.
        mine: bool,
    },
    /// A group got another name.
    Renamed {
        /// By whom, as shown.
        by: String,
        /// Whether by oneself.
        mine: bool,
        /// The new name.
        title: String,
    },
    /// Somebody's role in a group was changed.
    RoleChanged {
        /// By whom, as shown.
        by: String,
        /// Whether by oneself.
        mine: bool,
        /// Whose, as shown.
        name: String,
        /// Whether that is oneself.
        me: bool,
        /// The new role.
        role: Role,
    },
}

/// A stretch of a timeline, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct MessagePage {
    /// The messages, oldest first.
    pub messages: Vec<MessageView>,
    /// Whether there are older ones.
    pub more: bool,
}

/// The own invite.
#[derive(Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct InviteView {
    /// The link to hand over. It admits its holder to one's inbox; it is no secret from the relay.
    pub link: String,
    /// `name@host[:port]`, which can be told instead.
    pub address: String,
}

impl std::fmt::Debug for InviteView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InviteView").field("address", &self.address).finish_non_exhaustive()
    }
}

/// An own link into a group.
#[derive(Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct GroupLinkView {
    /// The conversation's id.
    pub conversation: String,
    /// The link to hand over: whoever has it is let in.
    pub link: String,
}

impl std::fmt::Debug for GroupLinkView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupLinkView").field("conversation", &self.conversation).finish_non_exhaustive()
    }
}

/// What somebody's link into a group says, before one asks to be let in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct GroupOfferView {
    /// The conversation's id.
    pub conversation: String,
    /// What the group was called when the link was made.
    pub title: String,
    /// Who lets people in, as shown: their name where they are known, else their address.
    pub inviter: String,
    /// Their `name@host[:port]`.
    pub address: String,
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
    /// When, by the signer's clock.
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
    /// Whether that place is proved, once it is looked for.
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
    /// Time of the newest checkpoint that was proved; 0 before the first.
    pub proved_at: f64,
    /// Time of the first one: since then each has extended the one before. 0 before it.
    pub since: f64,
    /// Whether the newest is more than a day old, or there is none; or the relay withholds one.
    pub stale: bool,
    /// Whether the relay has signed more than it shows: others have seen it, and it was not shown here for a day, though newer was.
    pub withheld: bool,
    /// What speaks against it.
    pub contradictions: Vec<ContradictionView>,
    /// Entries about the own account that no own device has made (for the own relay).
    pub alarms: Vec<KeyAlarmView>,
    /// Restorations of the relay from a backup that were seen here, the oldest first.
    pub restorations: Vec<RestorationView>,
    /// Why the own relay, which was restored, does not take again what it has lost of this account.
    pub restored_problem: Option<ErrorView>,
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
    /// Its place in the log.
    pub index: f64,
    /// Its place in the own chain; none where it gives the own name to somebody else.
    pub seq: Option<u32>,
    /// When it was found.
    pub at: f64,
}
