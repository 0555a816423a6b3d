//! Conversations, who is in them, and the people one knows.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::{MessageState, Millis, Notice, Safety};
use crate::error::ErrorView;

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
