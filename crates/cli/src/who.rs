//! Finds the conversation, the group or the person that a command line means.
//!
//! A word with an `@` is an address and nothing else: no group can pass for a person by its name. Nobody is found by the name
//! that they gave themselves. Where a word may mean two, neither is taken.

use waxwing_client::views::DeviceView;
use waxwing_client::{
    BlockedView, Client, ContactView, ConversationKind, ConversationView, ErrorCode, GroupView, MemberView, Standing,
};

use crate::failure::Failure;
use crate::lines;

/// Fewest digits of an id that stand for it.
const FEWEST_DIGITS: usize = 8;

/// What somebody or something can be called on a command line.
struct Names<'a> {
    address: Option<&'a str>,
    /// A group's name.
    title: Option<&'a str>,
    id: &'a str,
}

/// Why a word finds nothing.
#[derive(Debug, PartialEq, Eq)]
enum Missed {
    Nobody,
    /// These are called so.
    Several(Vec<String>),
}

/// WHO: `me`, an address, a person's name before the `@`, a group's name, or an id (the first digits of it will do).
pub(crate) async fn find(client: &Client, who: &str) -> Result<ConversationView, Failure> {
    if who == "me" {
        return Ok(client.note_to_self().await?);
    }
    if let Some(found) = by_id(client, who).await? {
        return Ok(found);
    }
    let conversations = client.conversations().await?;
    one(conversations, who, conversation_names).map_err(|missed| missed.failure(who, Failure::NoConversation))
}

/// GROUP: a group's name, or an id.
pub(crate) async fn group(client: &Client, group: &str) -> Result<ConversationView, Failure> {
    let mut groups = match by_id(client, group).await? {
        Some(found) => vec![found],
        None => client.conversations().await?,
    };
    groups.retain(|found| found.kind == ConversationKind::Group);
    one(groups, group, conversation_names).map_err(|missed| missed.failure(group, Failure::NoGroup))
}

/// PERSON: a contact, by address, by the name before the `@`, or by account id.
pub(crate) async fn contact(client: &Client, person: &str) -> Result<ContactView, Failure> {
    let missed = match one(client.contacts().await?, person, contact_names) {
        Ok(contact) => return Ok(contact),
        Err(missed) => missed.failure(person, Failure::NoContact),
    };
    // Whoever is blocked or has not been accepted is no contact; that they are known says more than that they are not.
    let direct = client.conversations().await?.into_iter().filter(|found| found.kind == ConversationKind::Direct);
    match one(direct.collect(), person, conversation_names) {
        Ok(found) if found.blocked => Err(Failure::Blocked(lines::who(&found))),
        Ok(found) if found.standing == Standing::Request => Err(Failure::NotAccepted(lines::who(&found))),
        _ => Err(missed),
    }
}

/// PERSON: the account id of anybody whom one knows: a contact, whoever asks to be one, or somebody in a group.
pub(crate) async fn person(client: &Client, person: &str) -> Result<String, Failure> {
    let mut known = client.contacts().await?;
    for found in client.conversations().await? {
        match (found.kind, found.address) {
            (ConversationKind::Direct, Some(address)) => {
                known.push(ContactView { account_id: found.account_id, name: found.title, address, trust: found.trust })
            }
            (ConversationKind::Group, _) => {
                let members = client.group(&found.id).await?.members.into_iter().filter(|member| !member.me);
                known.extend(members.map(|member| ContactView {
                    account_id: member.account_id,
                    name: member.name,
                    address: member.address,
                    trust: member.trust,
                }));
            }
            _ => {}
        }
    }
    // The same person once, wherever they were met.
    known.sort_by(|a, b| a.account_id.cmp(&b.account_id));
    known.dedup_by(|a, b| a.account_id == b.account_id);
    let found = one(known, person, contact_names).map_err(|missed| missed.failure(person, Failure::NoPerson))?;
    Ok(found.account_id)
}

/// WHO: the account id of somebody who is blocked, by address, by the name before the `@`, or by account id. There need be no conversation
/// with them any more.
pub(crate) async fn blocked(client: &Client, who: &str) -> Result<String, Failure> {
    let found = one(client.blocked().await?, who, blocked_names);
    Ok(found.map_err(|missed| missed.failure(who, Failure::NoConversation))?.account_id)
}

/// PERSON: somebody in a group, by address, by the name before the `@`, by account id; `me` for oneself.
pub(crate) fn member(group: &GroupView, person: &str) -> Result<MemberView, Failure> {
    if person == "me"
        && let Some(me) = group.members.iter().find(|member| member.me)
    {
        return Ok(me.clone());
    }
    one(group.members.clone(), person, member_names).map_err(|missed| missed.failure(person, Failure::NoMember))
}

/// A device of the account, by id.
pub(crate) fn device(devices: Vec<DeviceView>, id: &str) -> Result<DeviceView, Failure> {
    one(devices, id, device_names).map_err(|missed| missed.failure(id, Failure::NoDevice))
}

/// Nothing is sent to where one has not accepted, and nothing changed there.
pub(crate) fn accepted(conversation: &ConversationView) -> Result<(), Failure> {
    match conversation.standing {
        Standing::Request => Err(Failure::NotAccepted(lines::who(conversation))),
        Standing::Asked => Err(Failure::NotLetIn(lines::named(conversation))),
        // The engine says what follows from having left.
        Standing::Member | Standing::Left | Standing::Removed => Ok(()),
    }
}

/// The conversation of a whole id, also one that was deleted and is not listed.
async fn by_id(client: &Client, word: &str) -> Result<Option<ConversationView>, Failure> {
    if !is_conversation_id(word) {
        return Ok(None);
    }
    match client.conversation(&word.to_ascii_lowercase()).await {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The only one of `all` that is called so.
fn one<T>(all: Vec<T>, word: &str, names: fn(&T) -> Names<'_>) -> Result<T, Missed> {
    let mut found: Vec<T> = all.into_iter().filter(|one| names(one).are(word)).collect();
    match found.len() {
        0 | 1 => found.pop().ok_or(Missed::Nobody),
        _ => Err(Missed::Several(found.iter().map(|one| names(one).shown()).collect())),
    }
}

fn conversation_names(conversation: &ConversationView) -> Names<'_> {
    let title = (conversation.kind == ConversationKind::Group).then_some(conversation.title.as_str());
    Names { address: conversation.address.as_deref(), title, id: &conversation.id }
}

fn contact_names(contact: &ContactView) -> Names<'_> {
    Names { address: Some(&contact.address), title: None, id: &contact.account_id }
}

fn blocked_names(person: &BlockedView) -> Names<'_> {
    Names { address: Some(&person.address), title: None, id: &person.account_id }
}

fn device_names(device: &DeviceView) -> Names<'_> {
    Names { address: None, title: None, id: &device.device_id }
}

fn member_names(member: &MemberView) -> Names<'_> {
    Names {
        address: Some(&member.address).filter(|address| !address.is_empty()).map(String::as_str),
        title: None,
        id: &member.account_id,
    }
}

impl Names<'_> {
    /// Whether `word` means whoever is called so.
    fn are(&self, word: &str) -> bool {
        if word.contains('@') {
            return self.address.is_some_and(|address| is_same(address, word));
        }
        let before_at = self.address.and_then(|address| address.split('@').next());
        before_at.is_some_and(|name| name.eq_ignore_ascii_case(word))
            || self.title.is_some_and(|title| !is_conversation_id(word) && is_title(title, word))
            || begins(self.id, word)
    }

    fn shown(&self) -> String {
        let id = lines::short_id(self.id);
        match (self.address, self.title) {
            (Some(address), _) => format!("{address} ({id})"),
            (None, Some(title)) => format!("{id} {}", crate::terminal::quoted(title)),
            (None, None) => id.to_owned(),
        }
    }
}

impl Missed {
    fn failure(self, word: &str, nobody: fn(String) -> Failure) -> Failure {
        match self {
            Self::Nobody => nobody(word.to_owned()),
            Self::Several(those) => Failure::Ambiguous { word: word.to_owned(), those },
        }
    }
}

fn is_conversation_id(who: &str) -> bool {
    who.len() == 64 && is_hex(who)
}

/// Whether these are the first digits of an id, and enough of them.
fn begins(id: &str, digits: &str) -> bool {
    digits.len() >= FEWEST_DIGITS && is_hex(digits) && id.starts_with(&digits.to_ascii_lowercase())
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_title(title: &str, word: &str) -> bool {
    title.to_lowercase() == word.trim().to_lowercase()
}

/// Host names know no case, and a certificate's pin says nothing of who it is.
fn is_same(address: &str, who: &str) -> bool {
    let without_pin = |text: &str| text.split('#').next().unwrap_or_default().to_ascii_lowercase();
    without_pin(address) == without_pin(who)
}

#[cfg(test)]
mod tests {
    use waxwing_client::{Role, Trust};

    use super::*;
    use crate::device_lines::tests::view;
    use crate::lines::tests::{book_club, direct};

    fn found(all: &[ConversationView], word: &str) -> Result<usize, Missed> {
        let found = one(all.to_vec(), word, conversation_names)?;
        Ok(all.iter().position(|one| one.id == found.id).unwrap())
    }

    #[test]
    fn conversation_ids() {
        assert!(is_conversation_id(&"0aF".repeat(22)[..64]));
        assert!(!is_conversation_id(&"0a".repeat(31)));
        assert!(!is_conversation_id(&"0g".repeat(32)));
        assert!(!is_conversation_id("bob@relay"));
    }

    #[test]
    fn addresses() {
        assert!(is_same("bob@127.0.0.1:4000", "bob@127.0.0.1:4000"));
        assert!(is_same("bob@relay.example", "bob@Relay.Example"));
        assert!(is_same("bob@relay.example:1", "bob@relay.example:1#00ff"));
        assert!(!is_same("bob@relay.example:1", "bob@relay.example"));
        assert!(!is_same("bob@relay.example", "bobo@relay.example"));
        assert!(!is_same("bob@relay.example", "bob"));
        assert!(!is_same("bob@relay.example", ""));
    }

    #[test]
    fn by_address_name_and_id() {
        let all = [direct("bob@relay:1", "0b"), direct("ada@relay:1", "0a"), book_club()];
        for (word, index) in [
            ("bob@relay:1", 0),
            ("bob", 0),
            ("Ada", 1),
            ("0a0a0a0a", 1),
            ("0A0A0A0A0a", 1),
            ("Book club", 2),
            (" book CLUB ", 2),
            ("4f4f4f4f", 2),
        ] {
            assert_eq!(found(&all, word), Ok(index), "{word}");
        }
        // Too few digits, part of a name, the name that somebody gave themselves, nothing at all.
        for word in ["0a0a0a0", "0c0c0c0c", "bo", "Book", "Bob Bobson", "bob@relay", "@relay:1", ""] {
            assert_eq!(found(&all, word), Err(Missed::Nobody), "{word:?}");
        }
    }

    #[test]
    fn neither_of_two_is_taken() {
        let all = [direct("bob@relay:1", "0b"), direct("bob@other", "0c"), book_club()];
        let Err(Missed::Several(those)) = found(&all, "bob") else { panic!("one of two was taken") };
        assert_eq!(those, ["bob@relay:1 (0b0b0b0b)", "bob@other (0c0c0c0c)"]);
        assert_eq!(found(&all, "bob@other"), Ok(1));
        let group = ConversationView { id: "5f".repeat(32), title: "Bob".to_owned(), ..book_club() };
        assert!(matches!(found(&[direct("bob@relay:1", "0b"), group], "bob"), Err(Missed::Several(_))));
    }

    #[test]
    fn a_group_does_not_pass_for_a_person() {
        let group = ConversationView { title: "bob@relay:1".to_owned(), ..book_club() };
        assert_eq!(found(std::slice::from_ref(&group), "bob@relay:1"), Err(Missed::Nobody));
        assert_eq!(found(&[group, direct("bob@relay:1", "0b")], "bob@relay:1"), Ok(1));
        let id = "0b".repeat(32);
        let group = ConversationView { title: id.clone(), ..book_club() };
        assert_eq!(found(&[group], &id), Err(Missed::Nobody));
    }

    #[test]
    fn members() {
        let member = |name: &str, me| MemberView {
            account_id: name.chars().next().map(String::from).unwrap().repeat(32),
            name: "Somebody".to_owned(),
            address: if name.is_empty() { String::new() } else { format!("{name}@relay:1") },
            role: Role::Member,
            me,
            trust: Trust::Invite,
            devices: 1,
            safety: waxwing_client::Safety::NotVerified,
        };
        let members = vec![member("ada", true), member("bob", false)];
        let group = GroupView {
            conversation: "4f".repeat(32),
            name: "Book club".to_owned(),
            admin: true,
            members,
            pending: 0,
            has_link: false,
        };
        for (word, id) in [("me", "a"), ("ada", "a"), ("bob@relay:1", "b"), ("bbbbbbbb", "b")] {
            assert_eq!(super::member(&group, word).unwrap().account_id, id.repeat(32), "{word}");
        }
        for word in ["cy", "Somebody", "bob@relay", ""] {
            assert!(matches!(super::member(&group, word), Err(Failure::NoMember(who)) if who == word));
        }
    }

    #[test]
    fn devices() {
        let all = || vec![view("0a"), view("0d")];
        for word in ["0d0d0d0d", "0D0D0D0D0d", &"0d".repeat(16)] {
            assert_eq!(super::device(all(), word).unwrap().device_id, "0d".repeat(16), "{word}");
        }
        for word in ["0d0d0d0", "0e0e0e0e", "me", ""] {
            assert!(matches!(super::device(all(), word), Err(Failure::NoDevice(id)) if id == word));
        }
        let twins = vec![view("0d"), DeviceView { device_id: format!("{}ff", "0d".repeat(15)), ..view("0d") }];
        assert!(matches!(super::device(twins, "0d0d0d0d"), Err(Failure::Ambiguous { .. })));
    }

    #[test]
    fn requests_come_first_to_be_accepted() {
        assert!(accepted(&book_club()).is_ok());
        let request = ConversationView { standing: Standing::Request, ..direct("bob@relay:1", "0b") };
        assert!(matches!(accepted(&request), Err(Failure::NotAccepted(who)) if who == "bob@relay:1"));
    }
}
