//! Keys and their history as lines for people. Not here: logs of keys (`log_lines`), what a key is called elsewhere (`lines`).

use waxwing_client::{KeyEvent, KeyHistoryItem, KeyLogView, KeysView, PhraseCheck, RotationSchedule};

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
