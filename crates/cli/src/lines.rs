//! Views as lines for people. Everything that somebody else has written goes through `terminal`.
//!
//! People are named by their address, which is unique and checked, and not by the name they give themselves.

use waxwing_client::{
    BlockedView, Connection, ConversationKind, ConversationView, ErrorCode, ErrorView, GroupView, KeystoreKind,
    MemberView, MessageState, MessageView, ProfileView, Role, Safety, SafetyNumberView, Standing, Trust,
};

use crate::clock::utc;
use crate::room::Room;
use crate::terminal::{block, line, quoted};
use crate::{notice, wording};

/// Digits of an id that are shown for it.
const SHORT_ID: usize = 8;

/// What to write for WHO to mean this conversation.
pub(crate) fn who(conversation: &ConversationView) -> String {
    match (&conversation.kind, &conversation.address) {
        (ConversationKind::NoteToSelf, _) => "me".to_owned(),
        (ConversationKind::Direct, Some(address)) => line(address),
        (ConversationKind::Direct, None) => line(&conversation.id),
        (ConversationKind::Group, _) => line(short_id(&conversation.id)),
    }
}

/// The same; for a group with its name, which alone says nothing for sure.
pub(crate) fn named(conversation: &ConversationView) -> String {
    match conversation.kind {
        ConversationKind::Group => format!("{} {}", who(conversation), quoted(&conversation.title)),
        ConversationKind::Direct | ConversationKind::NoteToSelf => who(conversation),
    }
}

/// The first digits of an id.
pub(crate) fn short_id(id: &str) -> &str {
    id.get(..SHORT_ID).unwrap_or(id)
}

/// One line of a timeline; more where the text has more.
pub(crate) fn message(room: &Room, message: &MessageView) -> String {
    let (at, mut who) = (utc(message.at), named(&room.conversation));
    let clock = if message.clock_off { " (by a clock that is off)" } else { "" };
    if let Some(notice) = &message.notice {
        let request = if room.conversation.standing == Standing::Request { "  (a request)" } else { "" };
        return format!("{at}{clock}  -- {who}  {}{request}", notice::words(notice));
    }
    let arrow = if message.mine { "->" } else { "<-" };
    if room.conversation.kind == ConversationKind::Group && !message.mine {
        // Whoever is not in it any more is known by name only.
        let speaker = room.speaker(&message.sender).map_or_else(|| quoted(&message.sender_name), line);
        who.push_str(&format!("  {speaker}"));
    }
    let state = match (message.state, &message.error) {
        (MessageState::Sent | MessageState::Received, _) => String::new(),
        (MessageState::Sending, None) => "\n    (waits here until the relay has it)".to_owned(),
        (MessageState::Sending, Some(error)) => format!("\n    (waits here: {})", reason(error)),
        (MessageState::Failed, None) => "\n    (not sent)".to_owned(),
        (MessageState::Failed, Some(error)) => format!("\n    (not sent: {})", reason(error)),
    };
    format!("{at}{clock}  {arrow} {who}  {}{state}", block(&message.text))
}

/// One line of the conversation list.
pub(crate) fn conversation(conversation: &ConversationView) -> String {
    let mut text = format!("{}  {}", who(conversation), line(&conversation.title));
    match (conversation.kind, conversation.trust) {
        // Who is in it is not known yet.
        (ConversationKind::Group, _) if conversation.standing == Standing::Asked => text.push_str("  (group)"),
        (ConversationKind::Group, trust) => {
            let verified = match (conversation.safety, trust) {
                (Safety::Verified, _) => ", all verified",
                (Safety::Ask, _) => ", somebody is to be verified again",
                (Safety::Broken, _) => ", somebody's keys are in doubt",
                (Safety::NotVerified, Trust::FirstUse) => ", not all verified",
                (Safety::NotVerified, _) => "",
            };
            text.push_str(&format!("  (group, {}{verified})", count(conversation.people, "person", "people")));
        }
        (_, Trust::Own) => {}
        (_, trust) => match compared(conversation.safety) {
            Some(compared) => text.push_str(&format!("  ({compared})")),
            None if trust == Trust::FirstUse => text.push_str("  (found by name, not verified)"),
            None => text.push_str("  (by invite link)"),
        },
    }
    match conversation.standing {
        Standing::Member => {}
        Standing::Request => text.push_str("  (a request; not accepted)"),
        Standing::Left => text.push_str("  (you left)"),
        Standing::Removed => text.push_str("  (you were removed)"),
        Standing::Asked => text.push_str("  (you asked to join; not let in yet)"),
    }
    if conversation.blocked {
        text.push_str("  (blocked)");
    }
    if conversation.unread > 0 {
        text.push_str(&format!("  {} unread", conversation.unread));
    }
    if let Some(last) = &conversation.last {
        let mine = if last.mine && last.notice.is_none() { "You: " } else { "" };
        let said = last.notice.as_ref().map_or_else(|| line(&last.text), notice::words);
        text.push_str(&format!("\n    {}  {mine}{said}", utc(last.at)));
    }
    if let Some(problem) = &conversation.problem {
        text.push_str(&format!("\n    {}: {}", troubled(problem), reason(problem)));
    }
    text
}

/// One line of the list of those who are blocked.
pub(crate) fn blocked(person: &BlockedView) -> String {
    let since = person.since.map_or_else(String::new, |at| format!("  (since {})", utc(at)));
    format!("{}  {}{since}", line(&person.address), line(&person.name))
}

/// What a problem keeps from happening.
fn troubled(problem: &ErrorView) -> &'static str {
    match problem.code {
        ErrorCode::LinkOff => "You were not let in",
        ErrorCode::NotAdmin | ErrorCode::GroupFull | ErrorCode::NoKeyPackage => "A change was not made",
        _ => "Nothing can be sent here",
    }
}

/// Who is in a group, a line for each.
pub(crate) fn group(group: &GroupView) -> String {
    let people = count(u32::try_from(group.members.len()).unwrap_or(u32::MAX), "person", "people");
    let mut text = format!("{}  {}  ({people})", line(short_id(&group.conversation)), line(&group.name));
    for one in &group.members {
        text.push_str(&format!("\n    {}", member(one)));
    }
    if group.has_link {
        text.push_str("\n    A link of yours lets people in.");
    }
    if group.pending > 0 {
        let changes = count(group.pending, "change waits", "changes wait");
        text.push_str(&format!("\n    {changes} here for the relay."));
    }
    text
}

/// What to write for PERSON to mean somebody in a group.
pub(crate) fn member_who(member: &MemberView) -> String {
    line(if member.address.is_empty() { &member.account_id } else { &member.address })
}

fn member(member: &MemberView) -> String {
    let role = match member.role {
        Role::Admin => "admin",
        Role::Member => "member",
    };
    let mut text = format!("{}  {}  {role}", member_who(member), line(&member.name));
    match (compared(member.safety), member.trust) {
        _ if member.me => text.push_str("  (you)"),
        (Some(compared), _) => text.push_str(&format!("  ({compared})")),
        (None, Trust::FirstUse) => text.push_str("  (not verified)"),
        (None, Trust::Invite) => text.push_str("  (by invite link)"),
        (None, Trust::Own) => {}
    }
    if member.devices == 0 {
        text.push_str("  (with no device in it)");
    }
    text
}

fn count(number: u32, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// What has become of comparing somebody's safety number, where that was done or their keys are in doubt.
fn compared(safety: Safety) -> Option<&'static str> {
    match safety {
        Safety::NotVerified => None,
        Safety::Verified => Some("verified"),
        Safety::Ask => Some("to be verified again"),
        Safety::Broken => Some("keys in doubt"),
    }
}

/// A safety number: three lines of four groups, and the text of its QR code.
pub(crate) fn safety_number(number: &SafetyNumberView) -> String {
    let state = match (number.safety, number.verified_at) {
        (Safety::Verified, Some(at)) => format!("verified on {}", utc(at)),
        (safety, _) => compared(safety).unwrap_or("not verified").to_owned(),
    };
    let mut text = format!("{}  {}  ({state})", line(&number.address), line(&number.name));
    for groups in number.groups.chunks(4) {
        text.push_str(&format!("\n    {}", groups.iter().map(|group| line(group)).collect::<Vec<_>>().join(" ")));
    }
    text.push_str(&format!("\n  QR: {}", line(&number.payload)));
    text
}

/// The own account.
pub(crate) fn profile(profile: &ProfileView) -> String {
    let keystore = match profile.keystore {
        KeystoreKind::Keychain => "in the keychain",
        KeystoreKind::Passphrase => "under a passphrase",
    };
    let phrase = if profile.phrase_confirmed { "confirmed" } else { "not confirmed yet; see `waxwing-cli phrase`" };
    format!(
        "{}\n  Name:    {}\n  Account: {}\n  Device:  {}\n  Secrets: {keystore}\n  Phrase:  {phrase}",
        line(&profile.address),
        line(&profile.display_name),
        line(&profile.account_id),
        line(&profile.device_id),
    )
}

/// How the engine stands with the relay, where that is worth a line.
pub(crate) fn connection(connection: &Connection) -> Option<String> {
    match connection {
        Connection::Connecting => None,
        Connection::Online { notice: None } => Some("Connected.".to_owned()),
        Connection::Online { notice: Some(problem) } => Some(format!("Connected. {}", notice(problem))),
        Connection::Offline { reason: why, .. } => {
            Some(format!("Not connected; trying again by itself. {}", reason(why)))
        }
    }
}

/// What is wrong although it goes on, and what to do about it.
pub(crate) fn notice(problem: &ErrorView) -> String {
    let words = wording::words(problem.code);
    format!("{} {}", words.sentence, words.action)
}

fn reason(error: &ErrorView) -> &'static str {
    wording::words(error.code).sentence
}

#[cfg(test)]
pub(crate) mod tests {
    use waxwing_client::Notice;

    use super::*;
    use crate::room::tests::room;

    /// The conversation with whoever has this address; its id is made of `digits`.
    pub(crate) fn direct(address: &str, digits: &str) -> ConversationView {
        ConversationView {
            id: digits.repeat(32),
            kind: ConversationKind::Direct,
            title: "Bob Bobson".to_owned(),
            address: Some(address.to_owned()),
            account_id: digits.repeat(16),
            trust: Trust::FirstUse,
            safety: Safety::NotVerified,
            standing: Standing::Member,
            inviter: None,
            people: 2,
            blocked: false,
            last: None,
            unread: 0,
            read_order: 0.0,
            draft: String::new(),
            problem: None,
            active_at: 0.0,
        }
    }

    /// A group of three.
    pub(crate) fn book_club() -> ConversationView {
        ConversationView {
            kind: ConversationKind::Group,
            title: "Book club".to_owned(),
            address: None,
            trust: Trust::Invite,
            people: 3,
            ..direct("", "4f")
        }
    }

    fn bob() -> ConversationView {
        ConversationView { title: "Bob\u{1b}[31m".to_owned(), unread: 2, ..direct("bob@relay:1", "0a") }
    }

    fn hello() -> MessageView {
        MessageView {
            id: "0c".repeat(16),
            conversation: "0a".repeat(32),
            order: 1.0,
            sender: "0b".repeat(16),
            sender_name: "Bob".to_owned(),
            mine: false,
            at: 0.0,
            clock_off: false,
            text: "hello\n\u{9b}2J".to_owned(),
            notice: None,
            state: MessageState::Received,
            error: None,
        }
    }

    fn shown(conversation: ConversationView, message: &MessageView) -> String {
        super::message(&room(conversation, &[]), message)
    }

    #[test]
    fn timelines() {
        assert_eq!(shown(bob(), &hello()), "1970-01-01 00:00Z  <- bob@relay:1  hello\n    | <U+009B>2J");
        let error = Some(ErrorView { code: ErrorCode::TooLong, detail: String::new() });
        let failed = MessageView { mine: true, text: "hi".to_owned(), state: MessageState::Failed, error, ..hello() };
        let text = shown(bob(), &failed);
        assert!(text.starts_with("1970-01-01 00:00Z  -> bob@relay:1  hi\n    (not sent: "), "{text}");
        let notice = Some(Notice::KeysRotated { name: "B\u{202e}ob".to_owned(), version: 2, mine: false });
        let rotated = MessageView { text: String::new(), notice, clock_off: true, ..hello() };
        assert_eq!(
            shown(bob(), &rotated),
            "1970-01-01 00:00Z (by a clock that is off)  -- bob@relay:1  B<U+202E>ob rotated their keys (version 2)."
        );
    }

    #[test]
    fn timelines_of_groups_say_who_speaks() {
        let hello = MessageView { text: "hello".to_owned(), ..hello() };
        let people = [(hello.sender.as_str(), "bob@relay:1")];
        let there = "1970-01-01 00:00Z  <- 4f4f4f4f \"Book club\"";
        assert_eq!(message(&room(book_club(), &people), &hello), format!("{there}  bob@relay:1  hello"));
        // Whoever has gone, and calls themselves like a line of somebody else's.
        let gone = MessageView { sender_name: "Bob\"  ada@relay:1  no".to_owned(), ..hello.clone() };
        assert_eq!(shown(book_club(), &gone), format!("{there}  \"Bob'  ada@relay:1  no\"  hello"));
        let mine = MessageView { mine: true, state: MessageState::Sent, ..hello };
        assert_eq!(shown(book_club(), &mine), "1970-01-01 00:00Z  -> 4f4f4f4f \"Book club\"  hello");
    }

    #[test]
    fn requests_are_marked() {
        let started = Some(Notice::Started { name: "Bob".to_owned(), mine: false });
        let started = MessageView { text: String::new(), notice: started, ..hello() };
        let request = ConversationView { standing: Standing::Request, ..bob() };
        let text = shown(request, &started);
        assert_eq!(text, "1970-01-01 00:00Z  -- bob@relay:1  Bob started this conversation.  (a request)");
    }

    #[test]
    fn lists() {
        assert_eq!(conversation(&bob()), "bob@relay:1  Bob␛[31m  (found by name, not verified)  2 unread");
        let own = ConversationView {
            kind: ConversationKind::NoteToSelf,
            address: None,
            title: "Note to self".to_owned(),
            trust: Trust::Own,
            ..direct("", "0a")
        };
        assert_eq!(conversation(&own), "me  Note to self");
        assert_eq!(conversation(&book_club()), "4f4f4f4f  Book club  (group, 3 people)");
        let bob = BlockedView {
            account_id: "0b".repeat(16),
            name: "B\u{202e}ob".to_owned(),
            address: "bob@relay:1".to_owned(),
            since: Some(60_000.0),
        };
        assert_eq!(blocked(&bob), "bob@relay:1  B<U+202E>ob  (since 1970-01-01 00:01Z)");
        assert_eq!(blocked(&BlockedView { since: None, ..bob }), "bob@relay:1  B<U+202E>ob");
    }

    #[test]
    fn standings() {
        let alone = ConversationView { people: 1, standing: Standing::Left, ..book_club() };
        assert_eq!(conversation(&alone), "4f4f4f4f  Book club  (group, 1 person)  (you left)");
        let asked = ConversationView { standing: Standing::Asked, ..book_club() };
        assert!(conversation(&asked).contains("  (group)  (you asked to join; not let in yet)"));
        let removed = ConversationView { standing: Standing::Removed, trust: Trust::FirstUse, ..book_club() };
        let text = "4f4f4f4f  Book club  (group, 3 people, not all verified)  (you were removed)";
        assert_eq!(conversation(&removed), text);
        let request = ConversationView { standing: Standing::Request, blocked: true, ..direct("bob@relay:1", "0a") };
        let text = "bob@relay:1  Bob Bobson  (found by name, not verified)  (a request; not accepted)  (blocked)";
        assert_eq!(conversation(&request), text);
    }

    #[test]
    fn verifications() {
        let shown = |safety| conversation(&ConversationView { safety, ..direct("bob@relay:1", "0a") });
        assert_eq!(shown(Safety::Verified), "bob@relay:1  Bob Bobson  (verified)");
        assert_eq!(shown(Safety::Ask), "bob@relay:1  Bob Bobson  (to be verified again)");
        assert_eq!(shown(Safety::Broken), "bob@relay:1  Bob Bobson  (keys in doubt)");
        let club = ConversationView { safety: Safety::Verified, ..book_club() };
        assert_eq!(conversation(&club), "4f4f4f4f  Book club  (group, 3 people, all verified)");
    }

    #[test]
    fn safety_numbers() {
        let number = SafetyNumberView {
            account_id: "0b".repeat(16),
            name: "Bob\u{1b}".to_owned(),
            address: "bob@relay:1".to_owned(),
            groups: (1..=12).map(|group| format!("{group:05}")).collect(),
            payload: "waxwing-safety:x".to_owned(),
            safety: Safety::Verified,
            verified_at: Some(0.0),
            broken_at: None,
        };
        assert_eq!(
            safety_number(&number),
            "bob@relay:1  Bob␛  (verified on 1970-01-01 00:00Z)\n    \
             00001 00002 00003 00004\n    \
             00005 00006 00007 00008\n    \
             00009 00010 00011 00012\n  \
             QR: waxwing-safety:x"
        );
        let text = safety_number(&SafetyNumberView { safety: Safety::NotVerified, verified_at: None, ..number });
        assert!(text.starts_with("bob@relay:1  Bob␛  (not verified)\n"), "{text}");
    }

    #[test]
    fn problems() {
        for (code, begins) in [
            (ErrorCode::RelayWentBack, "Nothing can be sent here: "),
            (ErrorCode::GroupFull, "A change was not made: "),
        ] {
            let problem = Some(ErrorView { code, detail: String::new() });
            let text = conversation(&ConversationView { problem, ..book_club() });
            assert!(text.lines().nth(1).unwrap().trim().starts_with(begins), "{text}");
        }
    }

    #[test]
    fn groups() {
        let member = |address: &str, role, me, trust, devices| MemberView {
            account_id: "0d".repeat(16),
            name: "Ada\u{7}".to_owned(),
            address: address.to_owned(),
            role,
            me,
            trust,
            devices,
            safety: Safety::NotVerified,
        };
        let members = vec![
            member("ada@relay:1", Role::Admin, true, Trust::Own, 1),
            member("bob@relay:1", Role::Member, false, Trust::FirstUse, 1),
            member("", Role::Member, false, Trust::Invite, 0),
        ];
        let name = "Book club".to_owned();
        let text =
            group(&GroupView { conversation: "4f".repeat(32), name, admin: true, members, pending: 1, has_link: true });
        assert_eq!(
            text,
            "4f4f4f4f  Book club  (3 people)\n    \
             ada@relay:1  Ada␇  admin  (you)\n    \
             bob@relay:1  Ada␇  member  (not verified)\n    \
             0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d  Ada␇  member  (by invite link)  (with no device in it)\n    \
             A link of yours lets people in.\n    \
             1 change waits here for the relay."
        );
    }
}
