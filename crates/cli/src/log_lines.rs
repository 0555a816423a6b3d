//! Relays' public logs of keys as lines for people: all that is known of one, and what nobody may miss. Not here: when that is told (`alarms`).

use waxwing_client::{ContradictionKind, ContradictionView, ErrorCode, KeyAlarmView, LogView};

use crate::clock::utc;
use crate::terminal::line;

/// What helps where somebody has made an entry in the own chain.
const KEY_ACTION: &str = "If that was not you: `waxwing-cli keys recover`. It takes the account back on this device with your 24 words, and shuts out whoever did this.";
/// What helps where the relay has given the own name to somebody else: nothing that any key could undo.
const NAME_ACTION: &str = "Your keys and your conversations are as they were, and your 24 words change nothing about this: the relay has done it. Whoever adds you by your name alone is refused or reaches that account instead. Ask them to add you with an invite link (`waxwing-cli invite`), or to compare the safety number with you before they write. If you did not expect this, do not trust this relay with new contacts. The log keeps the entry for good, so this warning stays.";

/// What nobody may miss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Warning {
    /// What has happened.
    pub(crate) sentence: String,
    /// What to do about it, if anything.
    pub(crate) action: Option<String>,
}

/// What is known of the relay's public log of keys, where something is wrong with it or with what it says of one.
pub(crate) fn log(log: &LogView) -> Option<String> {
    let mut lines = Vec::new();
    for restoration in &log.restorations {
        lines.push(format!(
            "The relay was restored from a backup of {}, noticed {}. What came to it after that is lost there; the keys that are known here stay in force.",
            utc(restoration.backup),
            utc(restoration.found)
        ));
    }
    if let Some(problem) = &log.restored_problem {
        lines.push(format!(
            "The relay does not take again what it has lost of your account: {}",
            match problem.code {
                ErrorCode::InvitationNeeded | ErrorCode::InvitationRefused =>
                    "it takes people by invitation. Ask whoever runs it for one, then `waxwing-cli keys register-again --invitation-file FILE`.",
                ErrorCode::NameTaken => "somebody else has taken your name there since. Ask whoever runs it.",
                ErrorCode::RegistrationClosed => "it takes nobody at present. Ask whoever runs it, then `waxwing-cli keys register-again`.",
                ErrorCode::OwnKeysChanged =>
                    "it has another entry in the place of one of yours. If that was not you: `waxwing-cli keys recover`.",
                _ => "it is asked again and again; `waxwing-cli keys register-again` asks now.",
            }
        ));
    }
    if let Some(problem) = &log.unlogged_problem {
        lines.push(format!(
            "PROBLEM: the relay has taken keys of yours and does not show them in its public log ({}). Other people's apps refuse them or never learn of them. Tell the people you write to in another way, and ask whoever runs the relay.",
            line(&problem.detail)
        ));
    }
    lines.extend(told(&alarms(log)));
    lines.extend(log.contradictions.iter().map(|contradiction| evidence("the relay", contradiction)));
    lines.extend(settle_hint(log));
    if log.stale {
        lines.push(match log.proved_at {
            _ if log.withheld => "Others have seen more of the relay's log of keys than it has shown here for a day: it says nothing about now, and nobody new is added by name.".to_owned(),
            0.0 => "The relay shows no log of keys. Nobody new is added by name.".to_owned(),
            at => format!(
                "The relay's log of keys was last signed on {}, more than a day ago: it says nothing about now, and nobody new is added by name.",
                utc(at)
            ),
        });
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// Entries about the own account that no own device has made.
pub(crate) fn alarms(log: &LogView) -> Vec<Warning> {
    let mut alarms: Vec<_> = log.alarms.iter().map(alarm).collect();
    if log.more_alarms {
        let sentence = "ALARM: there are more such entries. The first ones are kept, and shown here.".to_owned();
        alarms.push(Warning { sentence, action: None });
    }
    alarms
}

fn alarm(alarm: &KeyAlarmView) -> Warning {
    let (sentence, action) = match (alarm.seq, alarm.index) {
        (Some(seq), Some(index)) => (
            format!(
                "ALARM: entry {index} of the relay's log states number {seq} of your chain, and no device of yours has made it ({}).",
                utc(alarm.at)
            ),
            KEY_ACTION,
        ),
        (Some(seq), None) => (
            format!(
                "ALARM: an entry of your account (number {seq} of your chain) that none of your devices made was shown in a conversation ({}). It was not found in the relay's log so far.",
                utc(alarm.at)
            ),
            KEY_ACTION,
        ),
        (None, index) => (
            format!(
                "ALARM: entry {} of the relay's log gives your name to another account.",
                index.unwrap_or_default()
            ),
            NAME_ACTION,
        ),
    };
    Warning { sentence, action: Some(action.to_owned()) }
}

/// What speaks against a log and was not settled, a line for each. The evidence itself is long: `log` and `elsewhere` have it.
pub(crate) fn contradictions(log: &LogView) -> Vec<Warning> {
    let open = log.contradictions.iter().filter(|one| !one.settled);
    let warning = |one: &ContradictionView| {
        let what = match one.kind {
            ContradictionKind::TwoHistories => {
                "has signed two different logs of the same length: it shows different people different keys"
            }
            ContradictionKind::Unproved => {
                "has signed two logs and cannot prove that the later one continues the earlier one"
            }
            ContradictionKind::WentBack => {
                "has signed a log that is shorter than one it had signed before: entries were taken back"
            }
            ContradictionKind::Diverged => {
                "has signed two logs, and the longer one does not continue the shorter one: it shows different people different keys"
            }
        };
        let sentence = format!(
            "EVIDENCE ({}): the relay {} {what}. `waxwing-cli keys log` shows both.",
            utc(one.at),
            line(&log.origin)
        );
        Warning { sentence, action: settle_hint(log) }
    };
    open.map(warning).collect()
}

/// The sentences, one after the other, and then what to do, each of that once.
pub(crate) fn told(warnings: &[Warning]) -> Vec<String> {
    let mut lines: Vec<_> = warnings.iter().map(|warning| warning.sentence.clone()).collect();
    for action in warnings.iter().filter_map(|warning| warning.action.as_ref()) {
        if !lines.contains(action) {
            lines.push(action.clone());
        }
    }
    lines
}

/// What speaks against the log of somebody else's relay, if anything does.
pub(crate) fn elsewhere(log: &LogView) -> Option<String> {
    let relay = format!("the relay {}", line(&log.origin));
    let mut lines: Vec<_> = log.contradictions.iter().map(|contradiction| evidence(&relay, contradiction)).collect();
    lines.extend(settle_hint(log));
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn evidence(relay: &str, contradiction: &ContradictionView) -> String {
    format!(
        "EVIDENCE ({}{}): two checkpoints that {relay} has signed and that do not go together:\n\n{}\n{}",
        utc(contradiction.at),
        if contradiction.settled { ", and you went on with the log" } else { "" },
        text(&contradiction.first),
        text(&contradiction.second)
    )
}

/// What to do about evidence.
fn settle_hint(log: &LogView) -> Option<String> {
    let open: Vec<_> = log.contradictions.iter().filter(|one| !one.settled).collect();
    // Nobody has signed that a proof was not given: the log of before counts again once it is shown again.
    let merely_unproved = open.iter().all(|one| one.kind == ContradictionKind::Unproved);
    let origin = line(&log.origin);
    let stopped = if merely_unproved {
        format!("New keys from {origin} are not used before it shows a log again that continues what was read here.")
    } else {
        format!("New keys from {origin} are not used.")
    };
    (!open.is_empty()).then(|| {
        format!(
            "{stopped} Should its operator tell you why its log is another one: `waxwing-cli keys log --settle {origin}`."
        )
    })
}

/// A signed note, which a terminal shows as it is: each of its lines by itself.
fn text(note: &str) -> String {
    note.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
pub(crate) mod tests {
    use waxwing_client::{ErrorView, RestorationView};

    use super::*;

    pub(crate) fn fresh() -> LogView {
        LogView {
            origin: "relay".to_owned(),
            size: 2.0,
            read: 2.0,
            proved_at: 60_000.0,
            since: 0.0,
            stale: false,
            withheld: false,
            contradictions: Vec::new(),
            alarms: Vec::new(),
            more_alarms: false,
            restorations: Vec::new(),
            restored_problem: None,
            unlogged_problem: None,
        }
    }

    #[test]
    fn a_log_that_is_of_now_has_nothing_to_say() {
        let fresh = fresh();
        assert_eq!(log(&fresh), None);
        let text = log(&LogView { stale: true, ..fresh.clone() }).unwrap();
        assert!(text.contains("last signed on 1970-01-01 00:01Z, more than a day ago"), "{text}");
        let text = log(&LogView { stale: true, withheld: true, ..fresh.clone() }).unwrap();
        assert!(text.starts_with("Others have seen more of the relay's log of keys"), "{text}");
        let restorations = vec![RestorationView { backup: 60_000.0, size: 1.0, found: 120_000.0 }];
        let lost = ErrorView { code: ErrorCode::InvitationNeeded, detail: String::new() };
        let text = log(&LogView { restorations, restored_problem: Some(lost), ..fresh.clone() }).unwrap();
        assert!(
            text.starts_with("The relay was restored from a backup of 1970-01-01 00:01Z, noticed 1970-01-01 00:02Z."),
            "{text}"
        );
        assert!(text.contains("--invitation-file"), "{text}");
        let hidden = ErrorView { code: ErrorCode::KeysNotLogged, detail: "numbers of the chain: [2]".to_owned() };
        let text = log(&LogView { unlogged_problem: Some(hidden), ..fresh.clone() }).unwrap();
        assert!(text.contains("does not show them in its public log (numbers of the chain: [2])"), "{text}");
        let text = log(&LogView { stale: true, proved_at: 0.0, ..fresh }).unwrap();
        assert!(text.starts_with("The relay shows no log"), "{text}");
    }

    #[test]
    fn alarms_name_the_entry() {
        let alarm = |index, seq, at| KeyAlarmView { index, seq, at };
        let mut alarmed = fresh();
        alarmed.alarms =
            vec![alarm(Some(12.0), Some(3), 60_000.0), alarm(None, Some(4), 120_000.0), alarm(Some(12.0), None, 0.0)];
        let expected = [
            "ALARM: entry 12 of the relay's log states number 3 of your chain, and no device of yours has made it (1970-01-01 00:01Z).",
            "ALARM: an entry of your account (number 4 of your chain) that none of your devices made was shown in a conversation (1970-01-01 00:02Z). It was not found in the relay's log so far.",
            "ALARM: entry 12 of the relay's log gives your name to another account.",
        ];
        let actions = [KEY_ACTION, NAME_ACTION];
        assert_eq!(log(&alarmed).unwrap(), [&expected[..], &actions].concat().join("\n"));
        alarmed.more_alarms = true;
        let more = ["ALARM: there are more such entries. The first ones are kept, and shown here."];
        assert_eq!(log(&alarmed).unwrap(), [&expected[..], &more, &actions].concat().join("\n"));
    }

    #[test]
    fn alarms_say_what_helps() {
        let alarm = |index, seq| KeyAlarmView { index, seq, at: 0.0 };
        let actions = |alarms: Vec<KeyAlarmView>| {
            let told = log(&LogView { alarms, ..fresh() }).unwrap();
            told.lines().filter(|line| !line.starts_with("ALARM: ")).map(str::to_owned).collect::<Vec<_>>()
        };
        // Whoever has put an entry into the chain is shut out with the phrase; nothing undoes that the name was given away.
        let keys = "If that was not you: `waxwing-cli keys recover`. ";
        for by_keys in [vec![alarm(Some(12.0), Some(3)), alarm(Some(13.0), Some(4))], vec![alarm(None, Some(3))]] {
            let told = actions(by_keys);
            assert!(told.len() == 1 && told[0].starts_with(keys), "{told:?}");
        }
        let told = actions(vec![alarm(Some(12.0), None)]);
        assert!(told.len() == 1 && told[0].contains("your 24 words change nothing about this"), "{told:?}");
    }

    #[test]
    fn what_speaks_against_a_log_is_a_line_each() {
        let evidence = |kind, settled| ContradictionView {
            kind,
            at: 0.0,
            settled,
            first: "first".to_owned(),
            second: "second".to_owned(),
        };
        let mut against = LogView { origin: "relay.example\u{1b}".to_owned(), ..fresh() };
        assert!(contradictions(&against).is_empty());
        against.contradictions =
            vec![evidence(ContradictionKind::WentBack, false), evidence(ContradictionKind::TwoHistories, false)];
        let lines = told(&contradictions(&against));
        let begins = [
            "EVIDENCE (1970-01-01 00:00Z): the relay relay.example\u{241b} has signed a log that is shorter than one",
            "EVIDENCE (1970-01-01 00:00Z): the relay relay.example\u{241b} has signed two different logs of the same",
            "New keys from relay.example\u{241b} are not used. ",
        ];
        assert_eq!(lines.len(), begins.len(), "{lines:?}");
        assert!(lines.iter().zip(begins).all(|(line, begins)| line.starts_with(begins)), "{lines:?}");
        // What one has gone on with stops nothing any more.
        against.contradictions = vec![evidence(ContradictionKind::WentBack, true)];
        assert!(contradictions(&against).is_empty());
    }

    #[test]
    fn a_proof_that_was_not_given_stops_less_than_what_is_signed() {
        let evidence = |kind| ContradictionView {
            kind,
            at: 0.0,
            settled: false,
            first: "first".to_owned(),
            second: "second".to_owned(),
        };
        let mut unproved = fresh();
        unproved.contradictions = vec![evidence(ContradictionKind::Unproved)];
        let again =
            "New keys from relay are not used before it shows a log again that continues what was read here. Should";
        let text = log(&unproved).unwrap();
        assert!(text.contains(again), "{text}");
        assert!(text.ends_with("`waxwing-cli keys log --settle relay`."), "{text}");
        unproved.contradictions.push(evidence(ContradictionKind::WentBack));
        let text = log(&unproved).unwrap();
        assert!(text.contains("New keys from relay are not used. Should"), "{text}");
        unproved.contradictions.iter_mut().for_each(|one| one.settled = true);
        assert!(!log(&unproved).unwrap().contains("are not used"));
    }

    #[test]
    fn evidence_names_the_relay() {
        let evidence = |at| ContradictionView {
            kind: ContradictionKind::TwoHistories,
            at,
            settled: false,
            first: "first\nof two\u{1b}".to_owned(),
            second: "second".to_owned(),
        };
        let mut other = LogView { origin: "relay.example\u{1b}".to_owned(), stale: true, proved_at: 0.0, ..fresh() };
        assert_eq!(elsewhere(&other), None, "that it is not read here is no evidence");
        other.contradictions = vec![evidence(0.0), evidence(60_000.0)];
        let told = elsewhere(&other).unwrap();
        let whose = "two checkpoints that the relay relay.example\u{241b} has signed and that do not go together:";
        assert!(
            told.starts_with(&format!("EVIDENCE (1970-01-01 00:00Z): {whose}\n\nfirst\nof two\u{241b}\nsecond\n")),
            "{told}"
        );
        assert!(told.contains("\nEVIDENCE (1970-01-01 00:01Z): "), "{told}");
        assert!(log(&other).unwrap().contains("two checkpoints that the relay has signed"));
    }
}
