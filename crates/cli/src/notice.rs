//! The words for the quiet lines of a timeline. A new notice does not compile until it has its sentence.

use waxwing_client::{Notice, Role};

use crate::terminal::{line, quoted};

/// One sentence.
pub(crate) fn words(notice: &Notice) -> String {
    match notice {
        Notice::KeysRotated { version, mine: true, .. } => format!("You rotated your keys (version {version})."),
        Notice::KeysRotated { name, version, mine: false } => {
            format!("{} rotated their keys (version {version}).", line(name))
        }
        Notice::Recovered { mine: true, .. } => {
            "You recovered your account and are back in this conversation.".to_owned()
        }
        Notice::Recovered { name, mine: false } => {
            format!("{} recovered their account with their phrase and is here on a new device.", line(name))
        }
        Notice::AccountKeyReplaced { mine: true, .. } => "You replaced your account key.".to_owned(),
        Notice::AccountKeyReplaced { name, mine: false } => format!("{} replaced their account key.", line(name)),
        Notice::AccountClosed { name } => format!("{} has closed their account.", line(name)),
        Notice::Started { name, mine } => format!("{} started this conversation.", doer(name, *mine)),
        Notice::Unreadable { name } => format!("A message from {} could not be read here.", line(name)),
        Notice::Forked { name } => format!(
            "The relay showed {} another version of this conversation. Some messages may be missing; ask them another way.",
            line(name)
        ),
        Notice::KeptBack { mine: true, .. } => {
            "A device wrote here that is not among your keys; its words are kept back. If you know of none, look at your keys."
                .to_owned()
        }
        Notice::KeptBack { name, mine: false } => format!(
            "A device wrote here that is not among the keys of {}; its words are kept back until it is. Ask them another way.",
            line(name)
        ),
        Notice::Repaired => "You were brought in again; what was said meanwhile is missing here.".to_owned(),
        Notice::Restarted { name, mine, spoiler: Some(spoiler) } => format!(
            "{} started this conversation anew; a change that {} made had locked the one before.",
            doer(name, *mine),
            line(spoiler)
        ),
        Notice::Restarted { name, mine, spoiler: None } => {
            format!("{} started this conversation anew; the one before could not go on.", doer(name, *mine))
        }
        Notice::ShutOut { anew: true } => "Nobody follows you: you were removed or are no admin any more, and started this conversation anew without knowing it. What you wrote since reached nobody. Ask an admin to add you again, and to remove you first where they still see you."
            .to_owned(),
        Notice::ShutOut { anew: false } => "Nobody has let you back in since you recovered your account a week ago. Ask an admin to remove you and add you again."
            .to_owned(),
        Notice::VerifyAgain { name } => {
            format!("{} began anew with other devices; compare the safety number again before you write.", line(name))
        }
        Notice::KeysInDoubt { name } => {
            format!(
                "The relay shows keys of {} that do not follow from those known, or keeps back newer ones. Sending is stopped.",
                line(name)
            )
        }
        Notice::KeysGivenUp { name } => format!(
            "Keys of {} that came in a conversation are not in the relay's log. Those that are there count from now on; somebody may have stolen keys of theirs.",
            line(name)
        ),
        Notice::NameGivenAgain { name } => format!(
            "The relay gives the name of {} to another account, too. This conversation is not affected; whoever adds them by name may reach somebody else.",
            line(name)
        ),
        Notice::Added { by, mine, names, me } => format!("{} added {}.", doer(by, *mine), added(names, *me)),
        Notice::Gone { names } => format!("Not here any more: {}.", added(names, false)),
        Notice::JoinedByLink { mine: true, name, .. } => format!("{} joined by your link.", line(name)),
        Notice::JoinedByLink { by, name, me, .. } => {
            format!("{} joined by a link of {}.", doer(name, *me), line(by))
        }
        Notice::Removed { by, mine, name, me } => format!("{} removed {}.", doer(by, *mine), whom(name, *me)),
        Notice::Left { name, mine } => format!("{} left.", doer(name, *mine)),
        Notice::Renamed { by, mine, title } => format!("{} named the group {}.", doer(by, *mine), quoted(title)),
        Notice::RoleChanged { mine: true, me: true, role: Role::Member, .. } => {
            "You gave up being an admin.".to_owned()
        }
        Notice::RoleChanged { by, mine, name, me, role } => {
            let role = match role {
                Role::Admin => "an admin",
                Role::Member => "an ordinary member",
            };
            format!("{} made {} {role}.", doer(by, *mine), whom(name, *me))
        }
    }
}

fn doer(name: &str, mine: bool) -> String {
    if mine { "You".to_owned() } else { line(name) }
}

fn whom(name: &str, me: bool) -> String {
    if me { "you".to_owned() } else { line(name) }
}

/// The own name is one of the names, and nothing says which; so beside 'you' the others are only counted.
fn added(names: &[String], me: bool) -> String {
    match (me, names) {
        (true, [] | [_]) => "you".to_owned(),
        (true, [_, _]) => "you and one other".to_owned(),
        (true, names) => format!("you and {} others", names.len().saturating_sub(1)),
        (false, []) => "nobody".to_owned(),
        (false, [only]) => line(only),
        (false, [first @ .., last]) => {
            let first: Vec<_> = first.iter().map(|name| line(name)).collect();
            format!("{} and {}", first.join(", "), line(last))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(name: &str) -> String {
        name.to_owned()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().copied().map(str::to_owned).collect()
    }

    #[test]
    fn people_come() {
        for (mine, who, me, text) in [
            (true, &["Bob"][..], false, "You added Bob."),
            (false, &["Bob", "Cy"], false, "Ada added Bob and Cy."),
            (false, &["Bob", "Cy", "D\u{1b}an"], false, "Ada added Bob, Cy and D␛an."),
            (false, &["Me"], true, "Ada added you."),
            (false, &["Me", "Bob"], true, "Ada added you and one other."),
            (false, &["Bob", "Me", "Cy"], true, "Ada added you and 2 others."),
        ] {
            assert_eq!(words(&Notice::Added { by: by("Ada"), mine, names: names(who), me }), text);
        }
    }

    #[test]
    fn people_come_by_link() {
        let joined = |mine, me| words(&Notice::JoinedByLink { by: by("Ada"), mine, name: "Bob".to_owned(), me });
        assert_eq!(joined(true, false), "Bob joined by your link.");
        assert_eq!(joined(false, true), "You joined by a link of Ada.");
        assert_eq!(joined(false, false), "Bob joined by a link of Ada.");
    }

    #[test]
    fn people_go() {
        let removed = |mine, me| words(&Notice::Removed { by: by("Ada"), mine, name: "Bob".to_owned(), me });
        assert_eq!(removed(true, false), "You removed Bob.");
        assert_eq!(removed(false, false), "Ada removed Bob.");
        assert_eq!(removed(false, true), "Ada removed you.");
        assert_eq!(words(&Notice::Left { name: by("Ada"), mine: false }), "Ada left.");
        assert_eq!(words(&Notice::Left { name: by("Me"), mine: true }), "You left.");
    }

    #[test]
    fn what_went_wrong() {
        let unreadable = words(&Notice::Unreadable { name: by("Bob\n") });
        assert_eq!(unreadable, "A message from Bob␊ could not be read here.");
        let forked = words(&Notice::Forked { name: by("Bob\n") });
        assert!(forked.starts_with("The relay showed Bob␊ another version of this conversation."));
        let kept_back = |mine| words(&Notice::KeptBack { name: by("Bob\n"), mine });
        assert!(kept_back(false).contains("not among the keys of Bob␊; its words are kept back"));
        assert!(kept_back(true).contains("not among your keys; its words are kept back"));
        assert!(words(&Notice::Repaired).contains("missing here"));
        assert!(words(&Notice::Restarted { name: by("Bob"), mine: false, spoiler: None }).starts_with("Bob started"));
        assert!(words(&Notice::Restarted { name: by("Me"), mine: true, spoiler: None }).starts_with("You started"));
    }

    #[test]
    fn keys_that_changed() {
        let again = words(&Notice::VerifyAgain { name: by("Bob\n") });
        assert!(again.starts_with("Bob␊ began anew"), "{again}");
        let doubt = words(&Notice::KeysInDoubt { name: by("Bob\n") });
        assert!(doubt.contains("keys of Bob␊ that do not follow"), "{doubt}");
        let given_up = words(&Notice::KeysGivenUp { name: by("Bob\n") });
        assert!(given_up.starts_with("Keys of Bob␊ that came in a conversation are not in"), "{given_up}");
    }

    #[test]
    fn names_and_roles() {
        let renamed = Notice::Renamed { by: by("A\u{202e}da"), mine: false, title: "The \"club\"".to_owned() };
        assert_eq!(words(&renamed), "A<U+202E>da named the group \"The 'club'\".");
        let role = |mine, me, role| words(&Notice::RoleChanged { by: by("Ada"), mine, name: by("Bob"), me, role });
        assert_eq!(role(true, false, Role::Admin), "You made Bob an admin.");
        assert_eq!(role(false, true, Role::Admin), "Ada made you an admin.");
        assert_eq!(role(false, false, Role::Member), "Ada made Bob an ordinary member.");
        assert_eq!(role(true, true, Role::Member), "You gave up being an admin.");
    }
}
