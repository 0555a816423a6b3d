//! Invite: the link (or QR code) by which people find each other without trusting a relay (design section 4).
//!
//! Everything is in the fragment, which browsers do not send. Here too: the text form that all links share. Not here: what a link
//! for a group carries beside it ([`crate::GroupInvite`]); checking the chain against what the link pins.

use waxwing_wire::api::base64url;
use waxwing_wire::{AccountId, DecodeError, Reader, RelayAddress, Username, Writer, hash, label};
use zeroize::Zeroizing;

use crate::access_key::AccessKey;
use crate::content::MAX_RELAY;
use crate::device_link::DeviceLink;
use crate::group_invite::GroupInvite;

/// First byte of a link to a person.
pub(crate) const PERSON: u8 = 1;
/// First byte of a link into a group.
pub(crate) const GROUP: u8 = 2;
/// First byte of a link code.
pub(crate) const DEVICE: u8 = 3;
const CHECKSUM: usize = 4;
/// Before what is no page.
pub(crate) const SCHEME: &str = "waxwing:";
/// Longest text that is looked at, in bytes.
const MAX_LINK: usize = 4096;

/// What a link says about an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// Its relay, with the TLS pin.
    pub relay: RelayAddress,
    /// The relay's transparency log key; zeros until that log exists.
    pub log_key: [u8; 32],
    /// The account.
    pub account: AccountId,
    /// Its account key.
    pub account_key: [u8; 32],
    /// Place of its newest chain entry when the link was made.
    pub chain_seq: u32,
    /// That entry's hash: a chain without it is refused.
    pub chain_head: [u8; 32],
    /// Admits the holder to the account's inboxes.
    pub access_key: AccessKey,
    /// Its user name.
    pub name: Username,
}

/// Why a text is no invite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    /// It does not look like one.
    #[error("not an invite link")]
    NotALink,
    /// It is of a newer version.
    #[error("the invite link is of a newer version")]
    TooNew,
    /// Part of it is missing or mistyped.
    #[error("the invite link is damaged")]
    Damaged,
    /// It is a link into a group where one to a person is wanted, say, or a code for linking a device.
    #[error("the invite link is of another kind")]
    OtherKind,
}

impl From<DecodeError> for InviteError {
    fn from(_: DecodeError) -> Self {
        Self::Damaged
    }
}

impl Invite {
    /// `https://HOST[:PORT]/i#BASE64URL` (`http` for an unpinned relay on this computer).
    #[must_use]
    pub fn to_link(&self) -> String {
        let mut writer = Writer::with_capacity(512);
        self.write(writer.u8(PERSON));
        wrap(&self.relay, writer)
    }

    /// Reads a link, or `waxwing:BASE64URL`. White space around it, and inside where a mail program broke the line, is
    /// passed over. The host in front of the fragment must be the invite's own, so that nobody is shown another.
    pub fn parse(text: &str) -> Result<Self, InviteError> {
        match Link::parse(text)? {
            Link::Person(invite) => Ok(invite),
            Link::Group(_) | Link::Device(_) => Err(InviteError::OtherKind),
        }
    }

    /// `relay_len u16 | relay | pinned 1 [pin 32] | log_key 32 | account 16 | account_key 32 | chain_seq u32 | chain_head 32 |
    /// access_key 16 | name_len u16 | name`; `relay` is `host[:port]`.
    pub(crate) fn write(&self, writer: &mut Writer) {
        write_short(writer, &self.relay.authority());
        match self.relay.pin() {
            None => writer.u8(0),
            Some(pin) => writer.u8(1).bytes(pin),
        };
        writer
            .bytes(&self.log_key)
            .bytes(self.account.as_bytes())
            .bytes(&self.account_key)
            .u32(self.chain_seq)
            .bytes(&self.chain_head)
            .bytes(self.access_key.as_bytes());
        write_short(writer, self.name.as_str());
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, InviteError> {
        let authority = read_short(reader, "relay")?;
        let mut relay: RelayAddress = authority.parse().map_err(|_| InviteError::Damaged)?;
        if relay.pin().is_some() || relay.authority() != authority || authority.len() > MAX_RELAY {
            return Err(InviteError::Damaged);
        }
        match reader.u8("pinned")? {
            0 => {}
            1 => relay = relay.with_pin(reader.array("pin")?),
            _ => return Err(InviteError::Damaged),
        }
        Ok(Self {
            relay,
            log_key: reader.array("log key")?,
            account: AccountId::from_bytes(reader.array("account id")?),
            account_key: reader.array("account key")?,
            chain_seq: reader.u32("chain seq")?,
            chain_head: reader.array("chain head")?,
            access_key: AccessKey::from_bytes(&Zeroizing::new(reader.array("access key")?)),
            name: read_short(reader, "name")?.parse().map_err(|_| InviteError::Damaged)?,
        })
    }
}

/// A link of any kind, by its first byte: `1 | invite | checksum 4`, `2 | group invite | checksum 4` or `3 | link code | checksum 4`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "one at a time, and soon taken apart")]
pub enum Link {
    /// To a person.
    Person(Invite),
    /// Into a group.
    Group(GroupInvite),
    /// For a new device of an account.
    Device(DeviceLink),
}

impl Link {
    /// Reads what [`Invite::to_link`], [`GroupInvite::to_link`] or [`DeviceLink::to_code`] has made, as leniently as [`Invite::parse`] says.
    pub fn parse(text: &str) -> Result<Self, InviteError> {
        if text.len() > MAX_LINK {
            return Err(InviteError::NotALink);
        }
        let text = Zeroizing::new(text.split_whitespace().collect::<String>());
        let (authority, payload) = split(&text).ok_or(InviteError::NotALink)?;
        let bytes = Zeroizing::new(base64url::decode(payload).ok_or(InviteError::Damaged)?);
        let link = Self::decode(&bytes)?;
        let relay = match &link {
            Self::Person(invite) => &invite.relay,
            Self::Group(group) => &group.inviter.relay,
            Self::Device(device) => &device.account.relay,
        };
        match authority {
            // Whoever opens a page tells more than is to be told of it.
            Some(_) if matches!(link, Self::Device(_)) => Err(InviteError::Damaged),
            Some(authority) if authority.to_ascii_lowercase() != relay.authority() => Err(InviteError::Damaged),
            _ => Ok(link),
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, InviteError> {
        let (payload, check) = bytes.split_last_chunk::<CHECKSUM>().ok_or(InviteError::Damaged)?;
        // Checksum first: a damaged version byte is damage. It stands at the end in every version.
        if checksum(payload) != *check {
            return Err(InviteError::Damaged);
        }
        let mut reader = Reader::new(payload);
        let link = match reader.u8("version")? {
            PERSON => Self::Person(Invite::read(&mut reader)?),
            GROUP => Self::Group(GroupInvite::read(&mut reader)?),
            DEVICE => Self::Device(DeviceLink::read(&mut reader)?),
            newer if newer > DEVICE => return Err(InviteError::TooNew),
            _ => return Err(InviteError::Damaged),
        };
        reader.finish("invite")?;
        Ok(link)
    }
}

/// Fields as a link: with their checksum, behind the address of the relay's page.
pub(crate) fn wrap(relay: &RelayAddress, fields: Writer) -> String {
    let bytes = Zeroizing::new(check(fields));
    format!("{}/i#{}", relay.base_url(), base64url::encode(&bytes))
}

/// Fields with their checksum.
pub(crate) fn check(mut fields: Writer) -> Vec<u8> {
    let mut bytes = fields.finish();
    // So that no half of it is left behind where it had no room.
    let checksum = checksum(&bytes);
    bytes.extend_from_slice(&checksum);
    bytes
}

/// `http[s]://AUTHORITY/i#PAYLOAD` or `waxwing:PAYLOAD`; the scheme's case does not matter.
fn split(text: &str) -> Option<(Option<&str>, &str)> {
    let after = |scheme: &str| {
        let (head, rest) = text.split_at_checked(scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then_some(rest)
    };
    if let Some(payload) = after(SCHEME) {
        return Some((None, payload));
    }
    let (page, payload) = after("https://").or_else(|| after("http://"))?.split_once('#')?;
    let authority = page.strip_suffix("/i").or_else(|| page.strip_suffix("/i/"))?;
    Some((Some(authority), payload))
}

/// First 4 bytes of `H(label("invite") || bytes)`: finds accidents, not attackers.
fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    let [a, b, c, d, ..] = hash(&[&label("invite"), bytes]);
    [a, b, c, d]
}

/// `len u16 | text`. Host names, user names and names of groups are far shorter than 64 KiB.
pub(crate) fn write_short(writer: &mut Writer, text: &str) {
    let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
    writer.u16(len).bytes(text.as_bytes().get(..usize::from(len)).unwrap_or_default());
}

pub(crate) fn read_short<'a>(reader: &mut Reader<'a>, field: &'static str) -> Result<&'a str, DecodeError> {
    let len = usize::from(reader.u16(field)?);
    std::str::from_utf8(reader.take(len, field)?).map_err(|_| DecodeError::Invalid(field))
}
