//! Roster: who may be in a group and what they may do. A GroupContext extension, so every member judges by the same facts.

use std::fmt;

use waxwing_wire::limits::{MAX_GROUP_NAME, MAX_GROUP_PEOPLE};
use waxwing_wire::{AccountAddress, AccountId, DecodeError, Reader, Writer};

/// Longest home address, in bytes: a user name, `@`, and a relay address.
const MAX_HOME: usize = 32 + 1 + crate::content::MAX_RELAY;
const VERSION: u8 = 1;

/// What a conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum GroupKind {
    /// Two people; nobody else ever.
    Direct = 1,
    /// Any number of people.
    Group = 2,
    /// One person; nobody else ever.
    NoteToSelf = 3,
}

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RosterRole {
    /// Changes who is on the roster, roles and name.
    Admin = 1,
    /// Speaks.
    Member = 2,
}

/// Somebody on the roster.
#[derive(Clone, PartialEq, Eq)]
pub struct RosterLine {
    /// The account.
    pub account: AccountId,
    /// What they may do.
    pub role: RosterRole,
    /// Their account key in force: new devices are proved from it.
    pub account_key: [u8; 32],
    /// Their recovery key.
    pub recovery_key: [u8; 32],
    /// Place of the chain entry after which these keys were in force when the line was last set.
    pub chain_seq: u32,
    /// That entry's hash: what follows it proves other keys.
    pub chain_head: [u8; 32],
    /// Where their chain is.
    pub home: AccountAddress,
}

/// Everybody, and what the conversation is.
#[derive(Clone, PartialEq, Eq)]
pub struct Roster {
    /// What it is; never changes.
    pub kind: GroupKind,
    /// Id of the conversation; never changes.
    pub conversation: [u8; 32],
    /// 1 for its first group, one more for each reboot; never changes within a group.
    pub generation: u32,
    /// Name of the group; empty for any other kind.
    pub name: String,
    /// In order of account ids, each once; 1 to 64.
    pub lines: Vec<RosterLine>,
}

impl Roster {
    /// The line of an account.
    #[must_use]
    pub fn line(&self, account: AccountId) -> Option<&RosterLine> {
        self.lines.iter().find(|line| line.account == account)
    }

    /// Adds or replaces a line, in its place.
    pub fn set(&mut self, line: RosterLine) {
        match self.lines.binary_search_by_key(&line.account, |known| known.account) {
            Ok(at) => {
                if let Some(known) = self.lines.get_mut(at) {
                    *known = line;
                }
            }
            Err(at) => self.lines.insert(at, line),
        }
    }

    /// Removes an account's line.
    pub fn remove(&mut self, account: AccountId) {
        self.lines.retain(|line| line.account != account);
    }

    /// `version 1 = 1 | kind 1 | conversation 32 | generation u32 | name var | count u16 | lines`;
    /// line: `account 16 | role 1 | account_key 32 | recovery_key 32 | chain_seq u32 | chain_head 32 | home var`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u8(VERSION).u8(self.kind as u8).bytes(&self.conversation).u32(self.generation).var(self.name.as_bytes());
        writer.u16(u16::try_from(self.lines.len()).unwrap_or(u16::MAX));
        for line in &self.lines {
            writer
                .bytes(line.account.as_bytes())
                .u8(line.role as u8)
                .bytes(&line.account_key)
                .bytes(&line.recovery_key)
                .u32(line.chain_seq)
                .bytes(&line.chain_head)
                .var(line.home.to_string().as_bytes());
        }
        writer.finish()
    }

    /// Reads it back. The one spelling alone: lines in order, each account once, at least one and at most 64; a name in a
    /// group and nowhere else.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.u8("version")? != VERSION {
            return Err(DecodeError::Invalid("version"));
        }
        let kind = match reader.u8("kind")? {
            1 => GroupKind::Direct,
            2 => GroupKind::Group,
            3 => GroupKind::NoteToSelf,
            _ => return Err(DecodeError::Invalid("kind")),
        };
        let conversation = reader.array("conversation id")?;
        let generation = reader.u32("generation")?;
        let name = reader.text(MAX_GROUP_NAME, "name")?.to_owned();
        let count = usize::from(reader.u16("number of lines")?);
        if !(1..=MAX_GROUP_PEOPLE).contains(&count) {
            return Err(DecodeError::Invalid("number of lines"));
        }
        let mut lines: Vec<RosterLine> = Vec::with_capacity(count);
        for _ in 0..count {
            let line = read_line(&mut reader)?;
            if lines.last().is_some_and(|before| before.account >= line.account) {
                return Err(DecodeError::Invalid("order of lines"));
            }
            lines.push(line);
        }
        reader.finish("roster")?;
        if generation == 0 || name.is_empty() != (kind != GroupKind::Group) {
            return Err(DecodeError::Invalid("roster"));
        }
        Ok(Self { kind, conversation, generation, name, lines })
    }
}

impl fmt::Debug for RosterLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RosterLine(***)")
    }
}

impl fmt::Debug for Roster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roster({:?}, {} people, ***)", self.kind, self.lines.len())
    }
}

fn read_line(reader: &mut Reader<'_>) -> Result<RosterLine, DecodeError> {
    let account = AccountId::from_bytes(reader.array("account id")?);
    let role = match reader.u8("role")? {
        1 => RosterRole::Admin,
        2 => RosterRole::Member,
        _ => return Err(DecodeError::Invalid("role")),
    };
    let (account_key, recovery_key) = (reader.array("account key")?, reader.array("recovery key")?);
    let (chain_seq, chain_head) = (reader.u32("chain seq")?, reader.array("chain head")?);
    let text = reader.text(MAX_HOME, "home")?;
    let home: AccountAddress = text.parse().map_err(|_| DecodeError::Invalid("home"))?;
    if home.to_string() != text {
        return Err(DecodeError::Invalid("home"));
    }
    Ok(RosterLine { account, role, account_key, recovery_key, chain_seq, chain_head, home })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(byte: u8) -> RosterLine {
        RosterLine {
            account: AccountId::from_bytes([byte; 16]),
            role: if byte == 1 { RosterRole::Admin } else { RosterRole::Member },
            account_key: [byte; 32],
            recovery_key: [byte + 100; 32],
            chain_seq: u32::from(byte),
            chain_head: [byte + 50; 32],
            home: format!("person{byte}@example.org:8443").parse().unwrap(),
        }
    }

    fn roster() -> Roster {
        let lines = vec![line(1), line(4), line(9)];
        Roster { kind: GroupKind::Group, conversation: [7; 32], generation: 1, name: "Birds".into(), lines }
    }

    #[test]
    fn reads_back_what_it_wrote() {
        let roster = roster();
        assert_eq!(Roster::decode(&roster.encode()), Ok(roster.clone()));
        let bytes = roster.encode();
        for len in 0..bytes.len() {
            Roster::decode(&bytes[..len]).unwrap_err();
        }
        Roster::decode(&[bytes.as_slice(), &[0]].concat()).unwrap_err();
    }

    #[test]
    fn p18_one_spelling() {
        let mut unsorted = roster();
        unsorted.lines.swap(0, 1);
        Roster::decode(&unsorted.encode()).unwrap_err();
        let mut twice = roster();
        twice.lines.push(line(9));
        Roster::decode(&twice.encode()).unwrap_err();
        Roster::decode(&Roster { lines: Vec::new(), ..roster() }.encode()).unwrap_err();
        Roster::decode(&Roster { generation: 0, ..roster() }.encode()).unwrap_err();
        Roster::decode(&Roster { name: String::new(), ..roster() }.encode()).unwrap_err();
        Roster::decode(&Roster { kind: GroupKind::Direct, ..roster() }.encode()).unwrap_err();
        Roster::decode(&Roster { lines: (0..65).map(line).collect(), ..roster() }.encode()).unwrap_err();
        let mut version = roster().encode();
        version[0] = 2;
        Roster::decode(&version).unwrap_err();
    }

    #[test]
    fn lines_go_to_their_places() {
        let mut roster = roster();
        roster.set(line(5));
        roster.set(RosterLine { role: RosterRole::Admin, ..line(9) });
        assert_eq!(roster.lines.iter().map(|line| line.account_key[0]).collect::<Vec<_>>(), [1, 4, 5, 9]);
        assert_eq!(roster.line(AccountId::from_bytes([9; 16])).unwrap().role, RosterRole::Admin);
        roster.remove(AccountId::from_bytes([4; 16]));
        assert_eq!(Roster::decode(&roster.encode()), Ok(roster));
    }
}
