//! The count behind `script/demo`: which of the sent messages do the histories show, and how often?
//!
//! It knows message ids and texts, as `waxwing-cli --json` prints them, and nothing of how they travelled. It reads no clock and
//! starts no process.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// A history that cannot be counted.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A line is no message as `waxwing-cli --json read` prints it.
    #[error("line {line} of {reader}'s history is no message: {source}")]
    NotAMessage {
        /// Whose history.
        reader: String,
        /// Which line, from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
}

/// One message: an id, and the text that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// Message id, made by the sender's device.
    pub id: String,
    /// What was written.
    pub text: String,
}

/// What one reader is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The messages, in the order shown.
    pub lines: Vec<Line>,
    /// Other people's key rotations that the history tells of, as name and new version.
    pub rotations: BTreeSet<(String, u64)>,
}

impl History {
    /// The history in `jsonl`: one JSON object on each line, as `waxwing-cli --json read` prints it.
    ///
    /// # Errors
    ///
    /// [`LedgerError::NotAMessage`] where a line is something else.
    pub fn parse(reader: &str, jsonl: &str) -> Result<Self, LedgerError> {
        let mut history = Self { lines: Vec::new(), rotations: BTreeSet::new() };
        for (index, text) in jsonl.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
            let shown: Shown = serde_json::from_str(text).map_err(|source| LedgerError::NotAMessage {
                reader: reader.to_owned(),
                line: index + 1,
                source,
            })?;
            match shown.notice {
                None => history.lines.push(Line { id: shown.id, text: shown.text }),
                Some(Notice::KeysRotated { name, version, mine: false }) => {
                    history.rotations.insert((name, version));
                }
                Some(_) => {}
            }
        }
        Ok(history)
    }

    /// Whether the message is shown, once or more often.
    #[must_use]
    pub fn shows(&self, message: &Line) -> bool {
        self.lines.contains(message)
    }
}

/// The count.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tally {
    /// Messages sent.
    pub sent: usize,
    /// Messages that every history shows, with their own text.
    pub shown: usize,
    /// Messages that at least one history does not show.
    pub lost: usize,
    /// Lines in excess, over all histories: a message shown again, or one that nobody sent under that id and with that text.
    pub duplicated: usize,
    /// Key rotations that the other side's history tells of.
    pub rotations: usize,
    /// How long the demo took.
    pub seconds: f64,
}

impl Tally {
    /// Compares what was sent with what each of `histories` shows; in a conversation that is everybody's, the sender's own too.
    #[must_use]
    pub fn of(sent: &[Line], histories: &[History], seconds: f64) -> Self {
        let sent: BTreeSet<&Line> = sent.iter().collect();
        let mut readers: BTreeMap<&Line, usize> = BTreeMap::new();
        let mut duplicated = 0;
        for history in histories {
            let mut seen = BTreeSet::new();
            for line in &history.lines {
                if sent.contains(line) && seen.insert(line) {
                    *readers.entry(line).or_default() += 1;
                } else {
                    duplicated += 1;
                }
            }
        }
        let shown = readers.values().filter(|readers| **readers == histories.len()).count();
        let rotations: BTreeSet<_> = histories.iter().flat_map(|history| &history.rotations).collect();
        Self {
            sent: sent.len(),
            shown,
            lost: sent.len() - shown,
            duplicated,
            rotations: rotations.len(),
            seconds: (seconds * 10.0).round() / 10.0,
        }
    }

    /// Whether every message is there exactly once, and every one of `rotations` was seen by the other side.
    #[must_use]
    pub fn is_complete(&self, rotations: usize) -> bool {
        self.sent > 0 && self.lost == 0 && self.duplicated == 0 && self.rotations == rotations
    }

    /// The exit code that says so: 0, or 1 if anything is missing or too much.
    #[must_use]
    pub fn exit_code(&self, rotations: usize) -> u8 {
        u8::from(!self.is_complete(rotations))
    }
}

/// As much of a line as is counted. Fields that are not named here are free to change.
#[derive(Deserialize)]
struct Shown {
    id: String,
    text: String,
    notice: Option<Notice>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
enum Notice {
    KeysRotated {
        name: String,
        version: u64,
        mine: bool,
    },
    #[serde(other)]
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u32) -> Line {
        Line { id: format!("{number:032x}"), text: format!("message {number}") }
    }

    fn history(numbers: &[u32]) -> History {
        History { lines: numbers.iter().copied().map(message).collect(), rotations: BTreeSet::new() }
    }

    fn jsonl(numbers: &[u32]) -> String {
        numbers
            .iter()
            .map(|number| {
                let Line { id, text } = message(*number);
                format!("{{\"id\":\"{id}\",\"text\":\"{text}\",\"notice\":null,\"mine\":true,\"order\":{number}.0}}\n")
            })
            .collect()
    }

    #[test]
    fn everything_once_is_complete() {
        let sent = [message(1), message(2), message(3)];
        let tally = Tally::of(&sent, &[history(&[1, 2, 3]), history(&[1, 3, 2])], 1.26);
        assert_eq!(tally, Tally { sent: 3, shown: 3, lost: 0, duplicated: 0, rotations: 0, seconds: 1.3 });
        assert_eq!(tally.exit_code(0), 0);
    }

    #[test]
    fn one_missing_and_one_doubled_line() -> Result<(), LedgerError> {
        let sent = [message(1), message(2), message(3)];
        let whole = History::parse("alice", &jsonl(&[1, 2, 3]))?;
        let broken = History::parse("bob", &jsonl(&[1, 3, 3]))?;
        let tally = Tally::of(&sent, &[whole, broken], 0.0);
        assert_eq!((tally.sent, tally.shown, tally.lost, tally.duplicated), (3, 2, 1, 1));
        assert_ne!(tally.exit_code(0), 0);
        Ok(())
    }

    #[test]
    fn either_fault_alone_is_enough() {
        let sent = [message(1), message(2)];
        assert_eq!(Tally::of(&sent, &[history(&[1]), history(&[1, 2])], 0.0).exit_code(0), 1);
        assert_eq!(Tally::of(&sent, &[history(&[1, 2, 2]), history(&[1, 2])], 0.0).exit_code(0), 1);
        assert_eq!(Tally::of(&sent, &[], 0.0).exit_code(0), 1);
        assert_eq!(Tally::of(&[], &[history(&[]), history(&[])], 0.0).exit_code(0), 1);
    }

    #[test]
    fn a_line_nobody_sent_is_one_too_many() {
        let sent = [message(1)];
        // The same text under a new id is what a message sent twice looks like.
        let twice = Line { id: "f".repeat(32), text: message(1).text };
        let tally = Tally::of(&sent, &[History { lines: vec![message(1), twice], rotations: BTreeSet::new() }], 0.0);
        assert_eq!((tally.lost, tally.duplicated), (0, 1));
        // Another text under a known id: the message that was sent is not shown.
        let altered = Line { id: message(1).id, text: "something else".to_owned() };
        let tally = Tally::of(&sent, &[History { lines: vec![altered], rotations: BTreeSet::new() }], 0.0);
        assert_eq!((tally.lost, tally.duplicated), (1, 1));
    }

    #[test]
    fn rotations_are_those_that_the_other_side_was_told_of() -> Result<(), LedgerError> {
        let rotated = |name: &str, version: u64, mine: bool| {
            format!(
                "{{\"id\":\"x\",\"text\":\"\",\"notice\":{{\"type\":\"keysRotated\",\"name\":\"{name}\",\"version\":{version},\"mine\":{mine}}}}}\n"
            )
        };
        let started =
            "{\"id\":\"y\",\"text\":\"\",\"notice\":{\"type\":\"started\",\"name\":\"Alice\",\"mine\":true}}\n";
        let alice = History::parse("alice", &format!("{started}{}{}", jsonl(&[1]), rotated("Alice", 2, true)))?;
        let bob = History::parse("bob", &format!("{}{}", jsonl(&[1]), rotated("Alice", 2, false)))?;
        let tally = Tally::of(&[message(1)], &[alice, bob], 0.0);
        assert_eq!((tally.shown, tally.duplicated, tally.rotations), (1, 0, 1));
        assert_eq!(tally.exit_code(1), 0);
        assert_eq!(tally.exit_code(2), 1);
        Ok(())
    }

    #[test]
    fn a_line_that_is_no_message_is_an_error() {
        let broken = format!("{}oops\n", jsonl(&[1]));
        assert!(matches!(History::parse("bob", &broken), Err(LedgerError::NotAMessage { line: 2, .. })));
    }
}
