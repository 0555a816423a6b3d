//! The engine's one stream of events; the desktop and the terminal both use it.

use serde::{Deserialize, Serialize};
use specta::Type;

use crate::views::{Connection, ConversationView, DevicesView, GroupView, KeysView, LogView, MessageView, ProfileView};

/// Something changed. Each carries the complete new view; a front end replaces by id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// A message is new or changed (state, place, error).
    Message {
        /// The message as it is now.
        message: MessageView,
        /// Whether it arrived from somebody else just now (for the live region and notifications).
        arrived: bool,
    },
    /// A message is gone (deleted by the user).
    MessageDeleted {
        /// Its conversation.
        conversation: String,
        /// Its id.
        id: String,
    },
    /// A conversation is new or changed.
    Conversation {
        /// The conversation as it is now.
        conversation: ConversationView,
    },
    /// A conversation was deleted here.
    ConversationDeleted {
        /// Its id.
        conversation: String,
    },
    /// Who is in a group changed, or what is known of them.
    Group {
        /// The group as it is now.
        group: GroupView,
    },
    /// The own profile changed.
    Profile {
        /// The profile as it is now.
        profile: ProfileView,
    },
    /// The own keys changed, or a rotation made progress.
    Keys {
        /// The keys as they are now.
        keys: KeysView,
    },
    /// The account's devices changed, or somebody asks to be linked.
    Devices {
        /// The devices as they are now.
        devices: DevicesView,
    },
    /// More is known of a relay's transparency log.
    Log {
        /// The log as it is now.
        log: LogView,
    },
    /// The connection to the relay changed.
    Connection {
        /// As it is now.
        connection: Connection,
    },
    /// Events were missed (a slow reader); load everything again.
    Lagged,
}
