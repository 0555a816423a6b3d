//! What a rotation, and another account key, have come to in each conversation, as lines for people. Not here: the keys (`key_lines`).

use waxwing_client::{AccountKeyOutcomeView, ConversationKind, RotationOutcomeView, RotationWait, RotationWaitView};

use crate::clock::utc;
use crate::terminal::quoted;
use crate::wording;

/// The last rotation.
pub(crate) fn rotation(last: &RotationOutcomeView) -> String {
    let by = if last.scheduled { "by schedule" } else { "by hand" };
    let mut text = format!(
        "  Last rotation:   {}, {by}; {} of {} conversations have the new keys",
        utc(last.at),
        last.updated,
        last.conversations
    );
    text.push_str(&waits(&last.waiting, last.conversations.saturating_sub(last.updated)));
    text
}

/// The last replacement of the account key.
pub(crate) fn account_key(last: &AccountKeyOutcomeView) -> String {
    let what = if last.shut_out { "replaced, and others shut out," } else { "replaced" };
    let mut text = format!(
        "  Account key:     {what} {}; {} of {} conversations go by the new one",
        utc(last.at),
        last.updated,
        last.conversations
    );
    text.push_str(&waits(&last.waiting, last.conversations.saturating_sub(last.updated)));
    text
}

/// A line for each conversation that waits and is named, and how many others there are.
fn waits(named: &[RotationWaitView], all: u32) -> String {
    let mut text: String = named.iter().map(|one| format!("\n    {}", wait(one))).collect();
    let untold = (all as usize).saturating_sub(named.len());
    if untold > 0 {
        text.push_str(&format!("\n    and {untold} more"));
    }
    text
}

fn wait(one: &RotationWaitView) -> String {
    let who = match one.kind {
        ConversationKind::NoteToSelf => "me".to_owned(),
        ConversationKind::Direct | ConversationKind::Group => quoted(&one.title),
    };
    let why = match (one.why, &one.problem, one.due) {
        (RotationWait::Later, _, Some(due)) => format!("its turn comes {}", utc(due)),
        (RotationWait::Later, _, None) => "its turn comes within a day".to_owned(),
        (RotationWait::Sending, ..) => "on its way to the relay".to_owned(),
        (RotationWait::Mending, ..) => "this device waits to be let back in there".to_owned(),
        (RotationWait::Stopped, Some(problem), _) => wording::words(problem.code).sentence.to_owned(),
        (RotationWait::Stopped, None, _) => "nothing can be sent there now".to_owned(),
    };
    format!("{who}: {why}")
}

#[cfg(test)]
mod tests {
    use waxwing_client::KeysView;

    use super::*;
    use crate::key_lines::keys;
    use crate::key_lines::tests::view;

    #[test]
    fn what_waits_and_why() {
        let waits = |why, due, title: &str| RotationWaitView {
            conversation: "0a".repeat(32),
            kind: ConversationKind::Direct,
            title: title.to_owned(),
            why,
            due,
            problem: None,
        };
        let last = RotationOutcomeView {
            version: 3,
            at: 0.0,
            scheduled: true,
            conversations: 5,
            updated: 2,
            waiting: vec![
                waits(RotationWait::Later, Some(60_000.0), "Bob\u{1b}"),
                waits(RotationWait::Mending, None, "Cy"),
            ],
        };
        let account = AccountKeyOutcomeView {
            at: 0.0,
            shut_out: true,
            conversations: 5,
            updated: 3,
            waiting: vec![waits(RotationWait::Sending, None, "Dan\u{1b}")],
        };
        let text = keys(&KeysView { account_outcome: Some(account.clone()), ..view() });
        let lines: Vec<_> = text.lines().rev().take(3).map(str::trim).collect();
        assert_eq!(
            lines,
            [
                "and 1 more",
                "\"Dan␛\": on its way to the relay",
                "Account key:     replaced, and others shut out, 1970-01-01 00:00Z; 3 of 5 conversations go by the new one",
            ]
        );
        let alone = AccountKeyOutcomeView { shut_out: false, updated: 5, waiting: Vec::new(), ..account };
        let text = keys(&KeysView { account_outcome: Some(alone), ..view() });
        assert!(text.ends_with("replaced 1970-01-01 00:00Z; 5 of 5 conversations go by the new one"), "{text}");
        let text = keys(&KeysView { outcome: Some(last), ..view() });
        let lines: Vec<_> = text.lines().rev().take(4).map(str::trim).collect();
        assert_eq!(
            lines,
            [
                "and 1 more",
                "\"Cy\": this device waits to be let back in there",
                "\"Bob␛\": its turn comes 1970-01-01 00:01Z",
                "Last rotation:   1970-01-01 00:00Z, by schedule; 2 of 5 conversations have the new keys",
            ]
        );
    }
}
