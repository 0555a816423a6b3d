//! Keys and their history as lines for people. Not here: what a key is called elsewhere (`lines`).

use waxwing_client::{
    ContradictionKind, ContradictionView, ErrorCode, KeyEvent, KeyHistoryItem, KeyLogView, KeysView, LogView,
    PhraseCheck, RotationSchedule,
};

use crate::clock::utc;
use crate::outcome_lines;
use crate::terminal::line;

/// The own keys.
pub(crate) fn keys(keys: &KeysView) -> String {
    let mut text = format!(
        "Device keys version {}, since {}\n  Fingerprint:     {}\n  Account's:       {}\n  {}\n  Old keys kept:   {}, each for {} days",
        keys.version,
        utc(keys.since),
        line(&keys.fingerprint),
        line(&keys.account_fingerprint),
        schedule_line(keys),
        keys.old_versions_kept,
        keys.old_keys_live_days,
    );
    if keys.rotating {
        text.push_str("\n  A rotation has begun and has not reached the relay yet.");
    }
    if let Some(last) = &keys.outcome {
        text.push('\n');
        text.push_str(&outcome_lines::rotation(last));
    }
    if let Some(last) = &keys.account_outcome {
        text.push('\n');
        text.push_str(&outcome_lines::account_key(last));
    }
    text
}

/// How often they are replaced, and when next.
pub(crate) fn schedule(keys: &KeysView) -> String {
    schedule_line(keys)
}

fn schedule_line(keys: &KeysView) -> String {
    let often = match keys.schedule {
        RotationSchedule::Days7 => "every 7 days",
        RotationSchedule::Days30 => "every 30 days",
        RotationSchedule::Days90 => "every 90 days",
        RotationSchedule::Manual => "by hand alone",
    };
    match keys.next_rotation_at {
        Some(next) => format!("Rotated:         {often}, next {}", utc(next)),
        None => format!("Rotated:         {often}"),
    }
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
    for alarm in &log.alarms {
        lines.push(match (alarm.seq, alarm.index) {
            (Some(seq), Some(index)) => format!(
                "ALARM: entry {index} of the relay's log states number {seq} of your chain, and no device of yours has made it ({}).",
                utc(alarm.at)
            ),
            (Some(seq), None) => format!(
                "ALARM: an entry of your account (number {seq} of your chain) that none of your devices made was shown in a conversation ({}). It was not found in the relay's log so far.",
                utc(alarm.at)
            ),
            (None, index) => format!(
                "ALARM: entry {} of the relay's log gives your name to another account.",
                index.unwrap_or_default()
            ),
        });
    }
    if log.more_alarms {
        lines.push("ALARM: there are more such entries. The first ones are kept, and shown here.".to_owned());
    }
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

/// A history, one line or two for each statement.
pub(crate) fn history(history: &[KeyHistoryItem]) -> String {
    history.iter().map(item).collect::<Vec<_>>().join("\n")
}

fn item(item: &KeyHistoryItem) -> String {
    let what = match item.what {
        KeyEvent::Created => "account made, with its first device",
        KeyEvent::DeviceAdded => "device added",
        KeyEvent::Rotated => "device keys rotated",
        KeyEvent::AccountKeyRotated => "account key replaced",
        KeyEvent::Recovered => "account recovered with the phrase; one new device took the place of all others",
        KeyEvent::Closed => "account closed",
    };
    let mut text = format!("{:>4}  {}  {what}", item.seq, utc(item.at));
    let mut more = |words: String| text.push_str(&format!("\n        {words}"));
    if let (Some(device), Some(version)) = (&item.device_id, item.version) {
        more(format!("device {}, keys version {version}", line(device)));
    }
    if let Some(fingerprint) = &item.fingerprint {
        more(format!("device keys  {}", line(fingerprint)));
    }
    if let Some(fingerprint) = &item.account_fingerprint {
        more(format!("account key  {}", line(fingerprint)));
    }
    for device in &item.revoked {
        more(format!("revoked      {}", line(device)));
    }
    if item.new_phrase {
        more("the recovery phrase was replaced, too".to_owned());
    }
    match (item.log_index, item.proved) {
        (Some(index), Some(true)) => more(format!("place {index} in the relay's log, proved")),
        (_, Some(false)) => more("NOT in the relay's log".to_owned()),
        (None, None) => more("not looked up in the relay's log yet".to_owned()),
        _ => {}
    }
    text
}

/// A list that was checked, and holds.
pub(crate) fn checked(log: &KeyLogView) -> String {
    let since = match log.newer {
        0 => "nothing has been added since".to_owned(),
        1 => "1 more has been added since".to_owned(),
        newer => format!("{newer} more have been added since"),
    };
    format!(
        "It holds: the keys of {}, {} entries, signed by device {} (version {}), {}; {since}.",
        line(&log.address),
        log.entries,
        line(&log.device_id),
        log.version,
        line(&log.exported),
    )
}

/// What came of looking at 24 words.
pub(crate) fn phrase(check: PhraseCheck) -> String {
    match check {
        PhraseCheck::Right => "These are the 24 words of this account.".to_owned(),
        PhraseCheck::WordCount { words } => format!("A recovery phrase has 24 words, and these are {words}."),
        PhraseCheck::UnknownWord { place } => {
            format!("Word {place} is not among the words that recovery phrases are made of.")
        }
        PhraseCheck::Checksum => {
            "Each word could be right, and together they are not: one is wrong, or their order is.".to_owned()
        }
        PhraseCheck::OtherAccount => "This is a recovery phrase, and not the one of this account.".to_owned(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use waxwing_client::{ErrorView, KeyAlarmView, RestorationView};

    use super::*;

    pub(crate) fn view() -> KeysView {
        KeysView {
            version: 3,
            fingerprint: "1a2b".to_owned(),
            since: 0.0,
            account_fingerprint: "3c4d".to_owned(),
            device_id: "0d".repeat(16),
            schedule: RotationSchedule::Days30,
            next_rotation_at: Some(86_400_000.0),
            rotating: false,
            rotation_problem: None,
            outcome: None,
            account_outcome: None,
            old_versions_kept: 2,
            old_keys_live_days: 67,
            history: Vec::new(),
            phrase_confirmed: true,
        }
    }

    #[test]
    fn keys_and_schedule() {
        let text = keys(&view());
        assert!(text.contains("Rotated:         every 30 days, next 1970-01-02 00:00Z"), "{text}");
        assert!(text.contains("2, each for 67 days"), "{text}");
        let manual = KeysView { schedule: RotationSchedule::Manual, next_rotation_at: None, ..view() };
        assert_eq!(schedule(&manual), "Rotated:         by hand alone");
    }

    fn fresh() -> LogView {
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
        assert_eq!(log(&alarmed).unwrap(), expected.join("\n"));
        alarmed.more_alarms = true;
        let more = "ALARM: there are more such entries. The first ones are kept, and shown here.";
        assert!(log(&alarmed).unwrap().ends_with(&format!("\n{more}")));
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

    #[test]
    fn histories() {
        let item = KeyHistoryItem {
            seq: 3,
            what: KeyEvent::AccountKeyRotated,
            device_id: None,
            version: None,
            at: 0.0,
            fingerprint: None,
            account_fingerprint: Some("3c4d".to_owned()),
            revoked: vec!["0d".repeat(16)],
            new_phrase: false,
            hash: "00".repeat(32),
            log_index: None,
            proved: None,
        };
        let expected = format!(
            "   3  1970-01-01 00:00Z  account key replaced\n        account key  3c4d\n        revoked      {}\n        not looked up in the relay's log yet",
            "0d".repeat(16)
        );
        assert_eq!(history(std::slice::from_ref(&item)), expected);
        let looked_up = |log_index, proved| history(&[KeyHistoryItem { log_index, proved, ..item.clone() }]);
        assert!(looked_up(Some(9), Some(true)).ends_with("\n        place 9 in the relay's log, proved"));
        assert!(looked_up(None, Some(false)).ends_with("\n        NOT in the relay's log"));
    }

    #[test]
    fn phrases() {
        let all = [
            PhraseCheck::Right,
            PhraseCheck::WordCount { words: 23 },
            PhraseCheck::UnknownWord { place: 7 },
            PhraseCheck::Checksum,
            PhraseCheck::OtherAccount,
        ];
        let texts: std::collections::HashSet<_> = all.into_iter().map(phrase).collect();
        assert_eq!(texts.len(), all.len());
        assert!(phrase(PhraseCheck::UnknownWord { place: 7 }).contains("Word 7"));
    }
}
