//! Inner content of an envelope, typed (docs/protocol.md "Content").
//!
//! Canonical: one encoding of each value, in the codec of `waxwing-wire`; strict: nothing left over. Its first byte is its
//! type, and each type travels in certain kinds of envelopes alone. Not here: what is said inside MLS ([`crate::AppMessage`]).

mod introduction;
mod join;
mod link_request;
mod own;
mod resync;
mod welcome;

use std::fmt;

use waxwing_wire::limits::MAX_ENVELOPE;
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{DecodeError, LogId, Reader, Writer};
use zeroize::Zeroizing;

pub use introduction::Introduction;
pub(crate) use introduction::MAX_RELAY;
pub use join::JoinRequest;
pub use link_request::LinkRequest;
pub use own::{AccountSeed, HandOver, MAX_OWN_CONTACTS, OwnContact, OwnEntry, OwnProfile};
pub use resync::ResyncRequest;
pub use welcome::Welcome;

const MLS: u8 = 1;
const WELCOME: u8 = 2;
const REMOVED: u8 = 3;
const RESYNC: u8 = 4;
const JOIN: u8 = 5;
const LINK: u8 = 6;
const OWN_ENTRY: u8 = 7;
const HAND_OVER: u8 = 8;
const OWN_CONTACTS: u8 = 9;
const OWN_PROFILE: u8 = 10;
const OWN_ASK: u8 = 11;

/// What an envelope carries.
#[allow(clippy::large_enum_variant, reason = "one at a time, and soon taken apart")]
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// An `MLSMessage` (RFC 9420, section 6). In the kinds `App` (an application message) and `Handshake` (a commit).
    Mls(Vec<u8>),
    /// Brings a device into a group. In kind `Welcome`.
    Welcome(Welcome),
    /// The device has been removed from a group. In kind `Notice`.
    Removed {
        /// The group's log.
        log: LogId,
        /// Place of the commit that removed it.
        seq: u64,
    },
    /// A device that lost its place in a group asks to be added again. In kind `Resync`.
    Resync(ResyncRequest),
    /// Somebody with a link into a group asks to be let in. In kind `Notice`.
    Join(JoinRequest),
    /// A new device asks to be added to the receiver's account. In kind `Notice`.
    Link(LinkRequest),
    /// From another device of the account. In kind `Notice`.
    OwnEntry(OwnEntry),
    /// From the device that has added the receiver to their account. In kind `Notice`.
    HandOver(HandOver),
    /// From another device of the account: 1 to [`MAX_OWN_CONTACTS`]. In kind `Notice`.
    OwnContacts(Vec<OwnContact>),
    /// From another device of the account. In kind `Notice`.
    OwnProfile(OwnProfile),
    /// From another device of the account, which asks for the entries of their chain from this place on that own devices have made. In kind `Notice`.
    OwnAsk(u32),
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
    /// `type 1 | fields`: `1 | MLSMessage var`, `2 | welcome`, `3 | log 16 | seq u64`, `4 | resync request`,
    /// `5 | join request`, `6 | link request`, `7 | own entry`, `8 | hand-over`, `9 | own contacts`,
    /// `10 | own profile`, `11 | seq u32`; `var` = `len u32 | bytes`.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = Writer::with_capacity(self.capacity());
        match self {
            Self::Mls(message) => {
                writer.u8(MLS).var(message);
            }
            Self::Welcome(welcome) => welcome.write(writer.u8(WELCOME)),
            Self::Removed { log, seq } => {
                writer.u8(REMOVED).bytes(log.as_bytes()).u64(*seq);
            }
            Self::Resync(request) => request.write(writer.u8(RESYNC)),
            Self::Join(request) => request.write(writer.u8(JOIN)),
            Self::Link(request) => request.write(writer.u8(LINK)),
            Self::OwnEntry(entry) => entry.write(writer.u8(OWN_ENTRY)),
            Self::HandOver(hand_over) => hand_over.write(writer.u8(HAND_OVER)),
            Self::OwnContacts(contacts) => own::write_contacts(contacts, writer.u8(OWN_CONTACTS)),
            Self::OwnProfile(profile) => profile.write(writer.u8(OWN_PROFILE)),
            Self::OwnAsk(seq) => {
                writer.u8(OWN_ASK).u32(*seq);
            }
        }
        Zeroizing::new(writer.finish())
    }

    /// At least the encoded length, so that encoding leaves no half-written copies behind.
    fn capacity(&self) -> usize {
        32 + match self {
            Self::Mls(message) => message.len(),
            Self::Welcome(welcome) => welcome.capacity(),
            Self::Removed { .. } | Self::OwnAsk(_) => 0,
            Self::Resync(request) => request.capacity(),
            Self::Join(request) => request.capacity(),
            Self::Link(request) => request.capacity(),
            Self::OwnEntry(_) => 64,
            Self::HandOver(HandOver { profile, .. }) | Self::OwnProfile(profile) => 64 + profile.display_name.len(),
            Self::OwnContacts(contacts) => own::contacts_capacity(contacts),
        }
    }

    /// Reads what came in an envelope of this kind. Accepts exactly what [`Content::encode`] makes.
    pub fn decode(kind: EnvelopeKind, bytes: &[u8]) -> Result<Self, ContentError> {
        let mut reader = Reader::new(bytes);
        let content = match (reader.u8("type")?, kind) {
            (MLS, EnvelopeKind::App | EnvelopeKind::Handshake) => {
                Self::Mls(reader.var(MAX_ENVELOPE, "MLS message")?.to_vec())
            }
            (WELCOME, EnvelopeKind::Welcome) => Self::Welcome(Welcome::read(&mut reader)?),
            (REMOVED, EnvelopeKind::Notice) => {
                Self::Removed { log: LogId::from_bytes(reader.array("log id")?), seq: reader.u64("seq")? }
            }
            (RESYNC, EnvelopeKind::Resync) => Self::Resync(ResyncRequest::read(&mut reader)?),
            (JOIN, EnvelopeKind::Notice) => Self::Join(JoinRequest::read(&mut reader)?),
            (LINK, EnvelopeKind::Notice) => Self::Link(LinkRequest::read(&mut reader)?),
            (OWN_ENTRY, EnvelopeKind::Notice) => Self::OwnEntry(OwnEntry::read(&mut reader)?),
            (HAND_OVER, EnvelopeKind::Notice) => Self::HandOver(HandOver::read(&mut reader)?),
            (OWN_CONTACTS, EnvelopeKind::Notice) => Self::OwnContacts(own::read_contacts(&mut reader)?),
            (OWN_PROFILE, EnvelopeKind::Notice) => Self::OwnProfile(OwnProfile::read(&mut reader)?),
            (OWN_ASK, EnvelopeKind::Notice) => Self::OwnAsk(reader.u32("seq")?),
            (MLS..=OWN_ASK, _) => return Err(ContentError::WrongKind),
            (unknown, _) => return Err(ContentError::UnknownType(unknown)),
        };
        reader.finish("content")?;
        Ok(content)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mls(_) => "Mls(***)",
            Self::Welcome(_) => "Welcome(***)",
            Self::Removed { .. } => "Removed(***)",
            Self::Resync(_) => "Resync(***)",
            Self::Join(_) => "Join(***)",
            Self::Link(_) => "Link(***)",
            Self::OwnEntry(_) => "OwnEntry(***)",
            Self::HandOver(_) => "HandOver(***)",
            Self::OwnContacts(_) => "OwnContacts(***)",
            Self::OwnProfile(_) => "OwnProfile(***)",
            Self::OwnAsk(_) => "OwnAsk(***)",
        })
    }
}
