//! Alarms about the own keys, and logs of keys that contradict themselves: told on standard error whatever a command was asked for, since whoever
//! uses the terminal alone looks nowhere else. Each once in a process. Not here: the words (`log_lines`), all that is known of a log (`keys log`).

use std::collections::HashSet;

use waxwing_client::{Client, Error, LogView};

use crate::log_lines::{self, Warning};
use crate::output::Output;

/// What was told already.
#[derive(Debug, Default)]
pub(crate) struct Alarms(HashSet<String>);

impl Alarms {
    /// Tells what is known by now of all logs.
    pub(crate) async fn tell_all(&mut self, client: &Client, output: &Output) {
        match logs(client).await {
            Ok(logs) => logs.iter().for_each(|log| self.tell(log, output)),
            // The next command tells it; what this one was asked for does not fail by it.
            Err(error) => tracing::debug!(%error, "what is known of logs of keys"),
        }
    }

    /// Tells what is new of one log.
    pub(crate) fn tell(&mut self, log: &LogView, output: &Output) {
        if let Some(words) = self.news(log) {
            output.warn(log, &words);
        }
    }

    fn news(&mut self, log: &LogView) -> Option<String> {
        let mut lines = self.fresh(log_lines::alarms(log));
        lines.extend(self.fresh(log_lines::contradictions(log)));
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    fn fresh(&mut self, mut warnings: Vec<Warning>) -> Vec<String> {
        warnings.retain(|warning| self.0.insert(warning.sentence.clone()));
        log_lines::told(&warnings)
    }
}

/// The own relay's log, and those of others that something speaks against.
async fn logs(client: &Client) -> Result<Vec<LogView>, Error> {
    let home = client.transparency_log().await?;
    let others = client.contradicted_logs().await?;
    let mut logs: Vec<_> = others.into_iter().filter(|log| log.origin != home.origin).collect();
    logs.insert(0, home);
    Ok(logs)
}

#[cfg(test)]
mod tests {
    use waxwing_client::{ContradictionKind, ContradictionView, KeyAlarmView};

    use super::*;
    use crate::log_lines::tests::fresh;

    fn alarm(index: f64, seq: u32) -> KeyAlarmView {
        KeyAlarmView { index: Some(index), seq: Some(seq), at: 0.0 }
    }

    /// How many alarms, and whether what helps is said behind them.
    fn counted(told: &str) -> (usize, bool) {
        let alarms = told.lines().filter(|line| line.starts_with("ALARM: ")).count();
        (alarms, told.lines().nth(alarms).is_some_and(|line| line.starts_with("If that was not you: ")))
    }

    #[test]
    fn each_alarm_is_told_once() {
        let (mut alarms, mut log) = (Alarms::default(), fresh());
        assert_eq!(alarms.news(&log), None);
        log.alarms = vec![alarm(7.0, 1)];
        assert_eq!(alarms.news(&log).map(|told| counted(&told)), Some((1, true)));
        // The log goes on, and says it again with each page.
        log.size = 9.0;
        assert_eq!(alarms.news(&log), None);
        log.alarms.extend([alarm(8.0, 2), alarm(9.0, 3)]);
        let told = alarms.news(&log).unwrap();
        assert_eq!(counted(&told), (2, true));
        assert!(!told.contains("entry 7 "), "{told}");
        log.more_alarms = true;
        let more = "ALARM: there are more such entries. The first ones are kept, and shown here.";
        assert_eq!(alarms.news(&log).unwrap(), more);
        // Another process begins with all of them.
        assert_eq!(Alarms::default().news(&log).map(|told| counted(&told)), Some((4, true)));
    }

    #[test]
    fn evidence_is_told_once_for_each_log() {
        let evidence = |at| ContradictionView {
            kind: ContradictionKind::WentBack,
            at,
            settled: false,
            first: "first".to_owned(),
            second: "second".to_owned(),
        };
        let (mut alarms, mut log) = (Alarms::default(), fresh());
        log.contradictions = vec![evidence(0.0)];
        let mut other = log.clone();
        other.origin = "relay.example".to_owned();
        for log in [&log, &other] {
            let told = alarms.news(log).unwrap();
            let begins = format!("EVIDENCE (1970-01-01 00:00Z): the relay {} has signed", log.origin);
            assert!(told.starts_with(&begins), "{told}");
            assert_eq!(told.lines().count(), 2, "and what to do: {told}");
            assert_eq!(alarms.news(log), None);
        }
        log.contradictions.push(evidence(60_000.0));
        let told = alarms.news(&log).unwrap();
        assert!(told.starts_with("EVIDENCE (1970-01-01 00:01Z): "), "{told}");
    }
}
