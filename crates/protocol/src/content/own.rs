//! What devices of one account tell each other, and nobody else: what they are about to state, what a new one needs, whom they know.

use std::fmt;

use waxwing_wire::limits::MAX_DISPLAY_NAME;
use waxwing_wire::{AccountId, DecodeError, Reader, RelayAddress, Username, Writer};
use zeroize::Zeroizing;

use super::introduction::{MAX_NAME, MAX_RELAY, relay};
use crate::access_key::AccessKey;
use crate::account_key::AccountKey;
use crate::secret::secret;

/// Most contacts that are told at once.
pub const MAX_OWN_CONTACTS: usize = 64;
const KNOWN: u8 = 1;
const BLOCKED: u8 = 2;
const BY_LINK: u8 = 4;

secret!(
    /// Seed of an account key, as it goes from one device to another of its account.
    AccountSeed,
    32
);

impl AccountSeed {
    /// Its account key.
    #[must_use]
    pub fn account_key(&self) -> AccountKey {
        AccountKey::from_seed(self.as_bytes())
    }
}

/// An entry of the own chain that the sender is about to state: whoever was told takes it for an own device's doing.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnEntry {
    /// Its place.
    pub seq: u32,
    /// Its hash.
    pub hash: [u8; 32],
    /// Where it replaces the account key: the new one.
    pub account_key: Option<AccountSeed>,
}

/// What a device that was added needs beside its keys.
#[derive(Clone, PartialEq, Eq)]
pub struct HandOver {
    /// The account key in force.
    pub account_key: AccountSeed,
    /// How the account is met.
    pub profile: OwnProfile,
}

/// How an account is met, the same on all its devices.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnProfile {
    /// What the account's user wants to be called; 1 to 128 bytes of UTF-8.
    pub display_name: String,
    /// When they decided that, in milliseconds since the Unix epoch, by relay time; 0: at the beginning.
    pub name_ms: u64,
    /// The access key of the account's invite link.
    pub invite_key: AccessKey,
    /// When that was made, likewise.
    pub invite_ms: u64,
}

/// Somebody whom the account's user knows, or has blocked.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnContact {
    /// Their account.
    pub account: AccountId,
    /// Their user name.
    pub name: Username,
    /// Their relay, with the TLS pin.
    pub relay: RelayAddress,
    /// What they want to be called; 0 to 128 bytes of UTF-8.
    pub display_name: String,
    /// Whether the user has added or accepted them.
    pub known: bool,
    /// Whether nothing of theirs is taken in.
    pub blocked: bool,
    /// Whether their keys were pinned by an invite link.
    pub by_link: bool,
    /// When the user decided whether they are blocked, in milliseconds since the Unix epoch, by relay time, and later than what they decided before: that
    /// takes back what was decided before it. 0: nothing is decided by this, it merely adds to what is known.
    pub decided_ms: u64,
    /// Admits the account's devices to their inboxes.
    pub access_key: Option<AccessKey>,
}

impl OwnEntry {
    /// `seq u32 | hash 32 | has_account_key 1 [seed 32]`.
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.u32(self.seq).bytes(&self.hash);
        match &self.account_key {
            None => writer.u8(0),
            Some(seed) => writer.u8(1).bytes(seed.as_bytes()),
        };
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (seq, hash) = (reader.u32("seq")?, reader.array("entry hash")?);
        let account_key = match reader.u8("has account key")? {
            0 => None,
            1 => Some(AccountSeed::from_bytes(&Zeroizing::new(reader.array("account seed")?))),
            _ => return Err(DecodeError::Invalid("has account key")),
        };
        Ok(Self { seq, hash, account_key })
    }
}

impl HandOver {
    /// `seed 32 | own profile`.
    pub(super) fn write(&self, writer: &mut Writer) {
        self.profile.write(writer.bytes(self.account_key.as_bytes()));
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let account_key = AccountSeed::from_bytes(&Zeroizing::new(reader.array("account seed")?));
        Ok(Self { account_key, profile: OwnProfile::read(reader)? })
    }
}

impl OwnProfile {
    /// `display_name var | name_ms u64 | invite_key 16 | invite_ms u64`.
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.var(self.display_name.as_bytes()).u64(self.name_ms);
        writer.bytes(self.invite_key.as_bytes()).u64(self.invite_ms);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            display_name: match reader.text(MAX_DISPLAY_NAME, "display name")? {
                "" => return Err(DecodeError::Invalid("display name")),
                name => name.to_owned(),
            },
            name_ms: reader.u64("time of the name")?,
            invite_key: AccessKey::from_bytes(&Zeroizing::new(reader.array("invite key")?)),
            invite_ms: reader.u64("time of the invite key")?,
        })
    }
}

impl OwnContact {
    /// `account 16 | name var | relay var | display_name var | flags 1 | decided_ms u64 | has_access_key 1 [access_key 16]`; flags: 1 known, 2 blocked, 4 by link.
    fn write(&self, writer: &mut Writer) {
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        writer
            .bytes(self.account.as_bytes())
            .var(self.name.as_str().as_bytes())
            .var(self.relay.to_string().as_bytes())
            .var(self.display_name.as_bytes())
            .u8(flag(self.known, KNOWN) | flag(self.blocked, BLOCKED) | flag(self.by_link, BY_LINK))
            .u64(self.decided_ms);
        match &self.access_key {
            None => writer.u8(0),
            Some(key) => writer.u8(1).bytes(key.as_bytes()),
        };
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let account = AccountId::from_bytes(reader.array("account id")?);
        let name = reader.text(MAX_NAME, "name")?.parse().map_err(|_| DecodeError::Invalid("name"))?;
        let relay = relay(reader, "relay")?;
        let display_name = reader.text(MAX_DISPLAY_NAME, "display name")?.to_owned();
        let flags = reader.u8("flags")?;
        if flags & !(KNOWN | BLOCKED | BY_LINK) != 0 {
            return Err(DecodeError::Invalid("flags"));
        }
        let decided_ms = reader.u64("time of the decision")?;
        let access_key = match reader.u8("has access key")? {
            0 => None,
            1 => Some(AccessKey::from_bytes(&Zeroizing::new(reader.array("access key")?))),
            _ => return Err(DecodeError::Invalid("has access key")),
        };
        let set = |flag| flags & flag != 0;
        let (known, blocked, by_link) = (set(KNOWN), set(BLOCKED), set(BY_LINK));
        Ok(Self { account, name, relay, display_name, known, blocked, by_link, decided_ms, access_key })
    }
}

/// `count 1 | contacts`.
pub(super) fn write_contacts(contacts: &[OwnContact], writer: &mut Writer) {
    // More than there may be cannot be read again.
    writer.u8(u8::try_from(contacts.len()).unwrap_or(u8::MAX));
    contacts.iter().for_each(|contact| contact.write(writer));
}

pub(super) fn read_contacts(reader: &mut Reader<'_>) -> Result<Vec<OwnContact>, DecodeError> {
    match usize::from(reader.u8("count of contacts")?) {
        count @ 1..=MAX_OWN_CONTACTS => (0..count).map(|_| OwnContact::read(reader)).collect(),
        0 => Err(DecodeError::Invalid("count of contacts")),
        _ => Err(DecodeError::TooLong("contacts")),
    }
}

/// At least the encoded length.
pub(super) fn contacts_capacity(contacts: &[OwnContact]) -> usize {
    1 + contacts.iter().map(|contact| 64 + MAX_NAME + MAX_RELAY + contact.display_name.len()).sum::<usize>()
}

impl fmt::Debug for OwnEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnEntry(***)")
    }
}

impl fmt::Debug for HandOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandOver(***)")
    }
}

impl fmt::Debug for OwnProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnProfile(***)")
    }
}

impl fmt::Debug for OwnContact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnContact(***)")
    }
}
