//! Messages, and notices among them.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::{Millis, Role};
use crate::error::ErrorView;

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
    /// The relay shows keys of somebody whose safety number was compared that do not follow from those known, or keeps back newer ones.
    KeysInDoubt {
        /// Whose, as shown.
        name: String,
    },
    /// Keys of somebody that came in a conversation are not in the relay's log, which holds others in their place: these count from now on.
    KeysGivenUp {
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
