//! Views as lines for people. Everything that somebody else has written goes through `terminal`.
//!
//! People are named by their address, which is unique and checked, and not by the name they give themselves.

use waxwing_client::{
    Connection, ConversationKind, ConversationView, ErrorView, KeysView, KeystoreKind, MessageState, MessageView,
    Notice, ProfileView, Trust,
};

use crate::clock::utc;
use crate::terminal::{block, line};
use crate::wording;

/// What to write for WHO to mean this conversation.
pub(crate) fn who(conversation: &ConversationView) -> String {
    match (&conversation.kind, &conversation.address) {
        (ConversationKind::NoteToSelf, _) => "me".to_owned(),
        (ConversationKind::Direct, Some(address)) => line(address),
        (ConversationKind::Direct, None) => line(&conversation.id),
    }
}

/// One line of a timeline; more where the text has more.
pub(crate) fn message(conversation: &ConversationView, message: &MessageView) -> String {
    let (at, who) = (utc(message.at), who(conversation));
    let clock = if message.clock_off { " (by a clock that is off)" } else { "" };
    if let Some(notice) = &message.notice {
        return format!("{at}{clock}  -- {who}  {}", self::notice(notice));
    }
    let arrow = if message.mine { "->" } else { "<-" };
    let state = match (message.state, &message.error) {
        (MessageState::Sent | MessageState::Received, _) => String::new(),
        (MessageState::Sending, None) => "\n    (waits here until the relay has it)".to_owned(),
        (MessageState::Sending, Some(error)) => format!("\n    (waits here: {})", reason(error)),
        (MessageState::Failed, None) => "\n    (not sent)".to_owned(),
        (MessageState::Failed, Some(error)) => format!("\n    (not sent: {})", reason(error)),
    };
    format!("{at}{clock}  {arrow} {who}  {}{state}", block(&message.text))
}

fn notice(notice: &Notice) -> String {
    match notice {
        Notice::KeysRotated { version, mine: true, .. } => format!("You rotated your keys (version {version})."),
        Notice::KeysRotated { name, version, mine: false } => {
            format!("{} rotated their keys (version {version}).", line(name))
        }
        Notice::Started { mine: true, .. } => "You started this conversation.".to_owned(),
        Notice::Started { name, mine: false } => format!("{} started this conversation.", line(name)),
    }
}

/// One line of the conversation list.
pub(crate) fn conversation(conversation: &ConversationView) -> String {
    let mut text = format!("{}  {}", who(conversation), line(&conversation.title));
    match conversation.trust {
        Trust::FirstUse => text.push_str("  (found by name, not verified)"),
        Trust::Invite => text.push_str("  (by invite link)"),
        Trust::Own => {}
    }
    if conversation.unread > 0 {
        text.push_str(&format!("  {} unread", conversation.unread));
    }
    if let Some(last) = &conversation.last {
        let mine = if last.mine && last.notice.is_none() { "You: " } else { "" };
        let said = last.notice.as_ref().map_or_else(|| line(&last.text), notice);
        text.push_str(&format!("\n    {}  {mine}{said}", utc(last.at)));
    }
    if let Some(problem) = &conversation.problem {
        text.push_str(&format!("\n    Nothing can be sent here: {}", reason(problem)));
    }
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

/// The own keys.
pub(crate) fn keys(keys: &KeysView) -> String {
    let state = if keys.rotating { "\n  A rotation has begun and has not reached the relay yet." } else { "" };
    format!(
        "Device keys version {}, since {}\n  Fingerprint:     {}\n  Account's:       {}\n  Old keys kept:   {}{state}",
        keys.version,
        utc(keys.since),
        line(&keys.fingerprint),
        line(&keys.account_fingerprint),
        keys.old_versions_kept,
    )
}

/// How the engine stands with the relay, where that is worth a line.
pub(crate) fn connection(connection: &Connection) -> Option<String> {
    match connection {
        Connection::Connecting => None,
        Connection::Online { notice: None } => Some("Connected.".to_owned()),
        Connection::Online { notice: Some(notice) } => Some(format!("Connected. {}", reason(notice))),
        Connection::Offline { reason: why, .. } => {
            Some(format!("Not connected; trying again by itself. {}", reason(why)))
        }
    }
}

fn reason(error: &ErrorView) -> &'static str {
    wording::words(error.code).sentence
}

#[cfg(test)]
mod tests {
    use waxwing_client::ErrorCode;

    use super::*;

    fn bob() -> ConversationView {
        ConversationView {
            id: "0a".repeat(32),
            kind: ConversationKind::Direct,
            title: "Bob\u{1b}[31m".to_owned(),
            address: Some("bob@relay:1".to_owned()),
            account_id: "0b".repeat(16),
            trust: Trust::FirstUse,
            last: None,
            unread: 2,
            read_order: 0.0,
            draft: String::new(),
            problem: None,
            active_at: 0.0,
        }
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

    #[test]
    fn timelines() {
        assert_eq!(message(&bob(), &hello()), "1970-01-01 00:00Z  <- bob@relay:1  hello\n    | <U+009B>2J");
        let error = Some(ErrorView { code: ErrorCode::TooLong, detail: String::new() });
        let failed = MessageView { mine: true, text: "hi".to_owned(), state: MessageState::Failed, error, ..hello() };
        let text = message(&bob(), &failed);
        assert!(text.starts_with("1970-01-01 00:00Z  -> bob@relay:1  hi\n    (not sent: "), "{text}");
        let notice = Some(Notice::KeysRotated { name: "B\u{202e}ob".to_owned(), version: 2, mine: false });
        let rotated = MessageView { text: String::new(), notice, clock_off: true, ..hello() };
        assert_eq!(
            message(&bob(), &rotated),
            "1970-01-01 00:00Z (by a clock that is off)  -- bob@relay:1  B<U+202E>ob rotated their keys (version 2)."
        );
    }

    #[test]
    fn lists() {
        assert_eq!(conversation(&bob()), "bob@relay:1  Bob␛[31m  (found by name, not verified)  2 unread");
        let own = ConversationView {
            kind: ConversationKind::NoteToSelf,
            address: None,
            title: "Note to self".to_owned(),
            trust: Trust::Own,
            unread: 0,
            ..bob()
        };
        assert_eq!(conversation(&own), "me  Note to self");
    }
}
