//! Group invite: the link by which people ask a member's device to let them into a group (docs/protocol.md "Group invite").
//!
//! Not here: its text form, which all links share ([`crate::Link`]); what is asked with it ([`crate::JoinRequest`]).

use std::fmt;

use waxwing_wire::limits::MAX_GROUP_NAME;
use waxwing_wire::{Reader, Writer};

use crate::invite::{GROUP, Invite, InviteError, read_short, wrap, write_short};

/// What a link says about a group, and about whoever lets people in.
#[derive(Clone, PartialEq, Eq)]
pub struct GroupInvite {
    /// Who lets people in: all that a link to that person carries, but with an access key of this link alone.
    pub inviter: Invite,
    /// The conversation.
    pub conversation: [u8; 32],
    /// What the group was called when the link was made: 1 to [`MAX_GROUP_NAME`] bytes, for showing alone.
    pub title: String,
}

impl GroupInvite {
    /// Like [`Invite::to_link`].
    #[must_use]
    pub fn to_link(&self) -> String {
        let mut writer = Writer::with_capacity(1024);
        self.write(writer.u8(GROUP));
        wrap(&self.inviter.relay, writer)
    }

    /// Like [`Invite::parse`].
    pub fn parse(text: &str) -> Result<Self, InviteError> {
        match crate::Link::parse(text)? {
            crate::Link::Group(invite) => Ok(invite),
            crate::Link::Person(_) | crate::Link::Device(_) => Err(InviteError::OtherKind),
        }
    }

    /// `invite | conversation 32 | title_len u16 | title`.
    fn write(&self, writer: &mut Writer) {
        self.inviter.write(writer);
        writer.bytes(&self.conversation);
        write_short(writer, &self.title);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, InviteError> {
        let inviter = Invite::read(reader)?;
        let conversation = reader.array("conversation id")?;
        let title = read_short(reader, "name of the group")?.to_owned();
        if title.is_empty() || title.len() > MAX_GROUP_NAME {
            return Err(InviteError::Damaged);
        }
        Ok(Self { inviter, conversation, title })
    }
}

impl fmt::Debug for GroupInvite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupInvite(***)")
    }
}
