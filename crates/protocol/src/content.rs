//! Inner content: what people and devices say, typed (docs/protocol.md "Content").
//!
//! Canonical: one encoding of each value, in the codec of `waxwing-wire`; strict: nothing left over. Its first byte is its
//! type, and each type travels in one kind of envelope alone.

mod introduction;

use std::fmt;

use waxwing_wire::limits::{MAX_CHAIN_ENTRY, MAX_DISPLAY_NAME, MAX_TEXT};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{DecodeError, MessageId, Reader, Writer};
use zeroize::Zeroizing;

pub use introduction::Introduction;
pub(crate) use introduction::MAX_RELAY;

const TEXT: u8 = 1;
const INTRODUCTION: u8 = 2;
const KEYS_ROTATED: u8 = 3;
const PROFILE: u8 = 4;

/// Most chain entries in one [`Content::KeysRotated`].
pub const MAX_ENTRIES: usize = 32;

/// What an envelope carries.
#[allow(clippy::large_enum_variant, reason = "one at a time, and soon taken apart")]
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// A text message. In kind `App`.
    Text {
        /// Shown once per sender, however many envelopes it took.
        message_id: MessageId,
        /// 1 to [`MAX_TEXT`] bytes of UTF-8.
        text: String,
    },
    /// First contact. In kind `Welcome`.
    Introduction(Introduction),
    /// The sender's chain has grown. In kind `App`.
    KeysRotated {
        /// The sender's chain entries from `from_seq` on, 1 to [`MAX_ENTRIES`], as they stand in the chain. Not checked here.
        entries: Vec<Vec<u8>>,
        /// Place of the first one.
        from_seq: u32,
    },
    /// The sender's display name. In kind `App`.
    Profile {
        /// 0 to [`MAX_DISPLAY_NAME`] bytes of UTF-8; empty: none set.
        display_name: String,
    },
}

/// Why bytes are no content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// They cannot be read.
    #[error("the content cannot be read: {0}")]
    Decode(#[from] DecodeError),
    /// A type that this program does not know.
    #[error("content of the unknown type {0}")]
    UnknownType(u8),
    /// A type that does not travel in this kind of envelope.
    #[error("content of a type that does not travel in this kind of envelope")]
    WrongKind,
}

impl Content {
    /// The kind of envelope that it travels in.
    #[must_use]
    pub fn kind(&self) -> EnvelopeKind {
        match self {
            Self::Introduction(_) => EnvelopeKind::Welcome,
            Self::Text { .. } | Self::KeysRotated { .. } | Self::Profile { .. } => EnvelopeKind::App,
        }
    }

    /// `type 1 | fields`: `1 | message_id 16 | text var`, `2 | introduction`, `3 | from_seq u32 | count u32 | entries var`,
    /// `4 | display_name var`; `var` = `len u32 | bytes`.
    ///
    /// Limits are the caller's to keep: what breaks one is refused by [`Content::decode`].
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = Writer::with_capacity(self.capacity());
        match self {
            Self::Text { message_id, text } => {
                writer.u8(TEXT).bytes(message_id.as_bytes()).var(text.as_bytes());
            }
            Self::Introduction(introduction) => introduction.write(writer.u8(INTRODUCTION)),
            Self::KeysRotated { entries, from_seq } => {
                writer.u8(KEYS_ROTATED).u32(*from_seq).u32(u32::try_from(entries.len()).unwrap_or(u32::MAX));
                for entry in entries {
                    writer.var(entry);
                }
            }
            Self::Profile { display_name } => {
                writer.u8(PROFILE).var(display_name.as_bytes());
            }
        }
        Zeroizing::new(writer.finish())
    }

    /// At least the encoded length, so that encoding leaves no half-written copies behind.
    fn capacity(&self) -> usize {
        32 + match self {
            Self::Text { text, .. } => text.len(),
            Self::Introduction(introduction) => introduction.capacity(),
            Self::KeysRotated { entries, .. } => entries.iter().map(|entry| 4 + entry.len()).sum(),
            Self::Profile { display_name } => display_name.len(),
        }
    }

    /// Reads what came in an envelope of this kind. Accepts exactly what [`Content::encode`] makes.
    pub fn decode(kind: EnvelopeKind, bytes: &[u8]) -> Result<Self, ContentError> {
        let mut reader = Reader::new(bytes);
        let content = match (reader.u8("type")?, kind) {
            (TEXT, EnvelopeKind::App) => {
                let message_id = MessageId::from_bytes(reader.array("message id")?);
                let text = reader.text(MAX_TEXT, "text")?.to_owned();
                if text.is_empty() {
                    return Err(DecodeError::Invalid("text").into());
                }
                Self::Text { message_id, text }
            }
            (INTRODUCTION, EnvelopeKind::Welcome) => Self::Introduction(Introduction::read(&mut reader)?),
            (KEYS_ROTATED, EnvelopeKind::App) => {
                let from_seq = reader.u32("first seq")?;
                let count = reader.u32("number of entries")? as usize;
                if !(1..=MAX_ENTRIES).contains(&count) {
                    return Err(DecodeError::Invalid("number of entries").into());
                }
                let mut entries = Vec::with_capacity(count);
                for _ in 0..count {
                    entries.push(reader.var(MAX_CHAIN_ENTRY, "chain entry")?.to_vec());
                }
                Self::KeysRotated { entries, from_seq }
            }
            (PROFILE, EnvelopeKind::App) => {
                Self::Profile { display_name: reader.text(MAX_DISPLAY_NAME, "display name")?.to_owned() }
            }
            (TEXT | INTRODUCTION | KEYS_ROTATED | PROFILE, _) => return Err(ContentError::WrongKind),
            (unknown, _) => return Err(ContentError::UnknownType(unknown)),
        };
        reader.finish("content")?;
        Ok(content)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text { .. } => "Text(***)",
            Self::Introduction(_) => "Introduction(***)",
            Self::KeysRotated { .. } => "KeysRotated(***)",
            Self::Profile { .. } => "Profile(***)",
        })
    }
}
