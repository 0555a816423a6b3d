//! App message: what people and devices say, inside an MLS application message (docs/protocol.md "App messages").
//!
//! Canonical: one encoding of each value, strict: nothing left over. Its first byte is its type.

use std::fmt;

use waxwing_wire::limits::{MAX_DISPLAY_NAME, MAX_TEXT};
use waxwing_wire::{DecodeError, MessageId, Reader, Writer};
use zeroize::Zeroizing;

use crate::access_key::AccessKey;
use crate::content::ContentError;
use crate::group::LeaveProof;
use crate::stale_key::StaleKey;

const TEXT: u8 = 1;
const PROFILE: u8 = 2;
const LEAVE: u8 = 3;
const STALE_KEY: u8 = 4;

/// What is said in a conversation.
#[derive(Clone, PartialEq, Eq)]
pub enum AppMessage {
    /// A text message.
    Text {
        /// Shown once per sender, however many envelopes it took.
        message_id: MessageId,
        /// 1 to [`MAX_TEXT`] bytes of UTF-8.
        text: String,
    },
    /// What the sender wants to be called, and a key that admits the others to the sender's inboxes.
    Profile {
        /// 0 to [`MAX_DISPLAY_NAME`] bytes of UTF-8; empty: none set.
        display_name: String,
        /// Admits those in the conversation.
        access_key: AccessKey,
    },
    /// The sender leaves: any member answers with the removal.
    Leave(LeaveProof),
    /// The sender could not open some of what was sealed for it: the key is erased.
    StaleKey(StaleKey),
}

impl AppMessage {
    /// `type 1 | fields`: `1 | message_id 16 | text var`, `2 | display_name var | access_key 16`, `3 | leave proof`,
    /// `4 | stale key`.
    ///
    /// Limits are the caller's to keep: what breaks one is refused by [`AppMessage::decode`].
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = Writer::with_capacity(256 + self.capacity());
        match self {
            Self::Text { message_id, text } => {
                writer.u8(TEXT).bytes(message_id.as_bytes()).var(text.as_bytes());
            }
            Self::Profile { display_name, access_key } => {
                writer.u8(PROFILE).var(display_name.as_bytes()).bytes(access_key.as_bytes());
            }
            Self::Leave(proof) => proof.write(writer.u8(LEAVE)),
            Self::StaleKey(told) => told.write(writer.u8(STALE_KEY)),
        }
        Zeroizing::new(writer.finish())
    }

    /// So that encoding leaves no half-written copies behind.
    fn capacity(&self) -> usize {
        match self {
            Self::Text { text, .. } => text.len(),
            Self::Profile { display_name, .. } => display_name.len(),
            Self::Leave(_) => 0,
            Self::StaleKey(told) => told.capacity(),
        }
    }

    /// Accepts exactly what [`AppMessage::encode`] makes.
    pub fn decode(bytes: &[u8]) -> Result<Self, ContentError> {
        let mut reader = Reader::new(bytes);
        let message = match reader.u8("type")? {
            TEXT => {
                let message_id = MessageId::from_bytes(reader.array("message id")?);
                let text = reader.text(MAX_TEXT, "text")?.to_owned();
                if text.is_empty() {
                    return Err(DecodeError::Invalid("text").into());
                }
                Self::Text { message_id, text }
            }
            PROFILE => {
                let display_name = reader.text(MAX_DISPLAY_NAME, "display name")?.to_owned();
                let access_key = AccessKey::from_bytes(&Zeroizing::new(reader.array("access key")?));
                Self::Profile { display_name, access_key }
            }
            LEAVE => Self::Leave(LeaveProof::read(&mut reader)?),
            STALE_KEY => Self::StaleKey(StaleKey::read(&mut reader)?),
            unknown => return Err(ContentError::UnknownType(unknown)),
        };
        reader.finish("app message")?;
        Ok(message)
    }
}

impl fmt::Debug for AppMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text { .. } => "Text(***)",
            Self::Profile { .. } => "Profile(***)",
            Self::Leave(_) => "Leave",
            Self::StaleKey(_) => "StaleKey",
        })
    }
}
