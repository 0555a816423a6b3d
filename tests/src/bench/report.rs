//! The table on the terminal, and the same figures as one flat JSON object.

use std::collections::BTreeMap;
use std::fmt;

use super::measure::Figure;

/// A unit of time, as the key says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Microseconds.
    Us,
    /// Milliseconds.
    Ms,
}

/// What a figure is to be.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
}

/// What is printed: headings and lines, in order.
#[derive(Debug, Default)]
pub struct Report {
    lines: Vec<Line>,
    json: BTreeMap<String, f64>,
    noise: Vec<f64>,
    failures: Vec<String>,
}

#[derive(Debug)]
enum Line {
    Heading(String),
    Figure { name: String, figure: Figure, unit: Unit, sum: Option<f64> },
    Note(String),
}

impl Report {
    /// A heading over what follows.
    pub fn heading(&mut self, text: impl Into<String>) {
        self.lines.push(Line::Heading(text.into()));
    }

    /// A line of text.
    pub fn note(&mut self, text: impl Into<String>) {
        self.lines.push(Line::Note(text.into()));
    }

    /// Something that must not be as it is.
    pub fn fail(&mut self, text: impl Into<String>) {
        self.failures.push(text.into());
    }

    /// What must not be as it is.
    pub fn failures(&self) -> &[String] {
        &self.failures
    }

    /// A figure under `key`, which gets the unit behind it.
    pub fn add(&mut self, key: &str, name: impl Into<String>, unit: Unit, figure: Figure) {
        self.put(key, name, unit, figure, None);
    }

    /// A figure beside the sum of what it is made of, in microseconds: `ratio_KEY` says how many times that sum it takes.
    pub fn compared(&mut self, key: &str, name: impl Into<String>, unit: Unit, figure: Figure, sum: f64) {
        self.value(format!("ratio_{key}"), figure.us / sum);
        self.put(key, name, unit, figure, Some(sum));
    }

    /// A number that is no time.
    pub fn value(&mut self, key: impl Into<String>, value: f64) {
        self.json.insert(key.into(), (value * 1000.0).round() / 1000.0);
    }

    /// Says of figures, by their keys, whether each is what it is to be, and counts in `targets_missed` those that are not.
    ///
    /// A figure that was not measured counts as missed.
    pub fn targets(&mut self, targets: &[(&str, Target)]) {
        self.heading("Targets");
        let mut missed = 0;
        for (key, target) in targets {
            let value = self.json.get(*key).copied();
            let (met, words) = match *target {
                Target::AtMost(most) => (value.is_some_and(|value| value <= most), format!("at most {most}")),
                Target::AtLeast(least) => (value.is_some_and(|value| value >= least), format!("at least {least}")),
            };
            missed += u32::from(!met);
            let value = value.map_or_else(|| "not measured".to_owned(), |value| value.to_string());
            self.note(format!("{:<8}{key}: {value} ({words})", if met { "met" } else { "MISSED" }));
        }
        self.value("targets_missed", f64::from(missed));
    }

    fn put(&mut self, key: &str, name: impl Into<String>, unit: Unit, figure: Figure, sum: Option<f64>) {
        let (suffix, value) = match unit {
            Unit::Us => ("us", figure.us),
            Unit::Ms => ("ms", figure.us / 1000.0),
        };
        self.value(format!("{key}_{suffix}"), value);
        self.noise.push(figure.noise);
        self.lines.push(Line::Figure { name: name.into(), figure, unit, sum });
    }

    /// The figures, and how noisy they are in the middle and at worst.
    pub fn json(&self) -> String {
        let mut all = self.json.clone();
        let (middle, worst) = self.noise();
        all.insert("noise_pct".into(), (middle * 1000.0).round() / 10.0);
        all.insert("noise_worst_pct".into(), (worst * 1000.0).round() / 10.0);
        serde_json::to_string_pretty(&all).unwrap_or_default() + "\n"
    }

    fn noise(&self) -> (f64, f64) {
        let mut noise = self.noise.clone();
        noise.sort_by(f64::total_cmp);
        (noise.get(noise.len() / 2).copied().unwrap_or(0.0), noise.last().copied().unwrap_or(0.0))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<46} {:>12} {:>7} {:>10} {:>12} {:>6}", "", "median", "noise", "per s", "primitives", "ratio")?;
        for line in &self.lines {
            match line {
                Line::Heading(text) => writeln!(f, "\n{text}")?,
                Line::Note(text) => writeln!(f, "  {text}")?,
                Line::Figure { name, figure, unit, sum } => {
                    let time = |us: f64| match unit {
                        Unit::Us => format!("{us:.2} us"),
                        Unit::Ms => format!("{:.3} ms", us / 1000.0),
                    };
                    let noise = format!("±{:.0}%", figure.noise * 100.0);
                    write!(f, "  {name:<44} {:>12} {noise:>7} {:>10.0}", time(figure.us), 1e6 / figure.us)?;
                    match sum {
                        Some(sum) => writeln!(f, " {:>12} {:>6.2}", time(*sum), figure.us / sum)?,
                        None => writeln!(f)?,
                    }
                }
            }
        }
        let (middle, worst) = self.noise();
        write!(
            f,
            "\nnoise: ±{:.1}% in the middle, ±{:.0}% at worst (10th to 90th percentile)",
            middle * 100.0,
            worst * 100.0
        )
    }
}
