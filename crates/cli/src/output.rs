//! Standard output: lines for people, or JSON views for programs. Not here: how a line is worded (`lines`).

use std::io::{self, Write};

use serde::Serialize;

use crate::failure::Failure;
use crate::terminal;

/// Where a command prints what it was asked for.
pub(crate) struct Output {
    json: bool,
    stdout: Box<dyn Write + Send>,
}

impl Output {
    pub(crate) fn new(json: bool, stdout: Box<dyn Write + Send>) -> Self {
        Self { json, stdout }
    }

    /// Prints a view: as JSON, or as `text` words it.
    pub(crate) fn view<V: Serialize>(&mut self, view: &V, text: impl FnOnce(&V) -> String) -> Result<(), Failure> {
        let line = if self.json { json_line(view).map_err(Failure::Output)? } else { text(view) };
        self.write(&line)
    }

    /// Prints a line that programs have no use for.
    pub(crate) fn for_people(&mut self, line: &str) -> Result<(), Failure> {
        if self.json { Ok(()) } else { self.write(line) }
    }

    /// Prints the recovery phrase straight to standard output, so that no copy of it stays behind in memory of ours.
    pub(crate) fn words(&mut self, words: &[String]) -> Result<(), Failure> {
        if self.json {
            self.json_words(words).map_err(Failure::Output)
        } else {
            self.plain_words(words).map_err(Failure::Output)
        }
    }

    /// Tells people what happens meanwhile, on standard error; whether they hear it does not matter.
    pub(crate) fn aside(&self, line: &str) {
        if !self.json {
            let _ = writeln!(io::stderr(), "{line}");
        }
    }

    /// Tells what nobody may miss, on standard error: people in words, programs by the view that it is in.
    pub(crate) fn warn<V: Serialize>(&self, view: &V, words: &str) {
        let line = if self.json { json_line(view) } else { Ok(words.to_owned()) };
        // With standard error gone there is nobody to tell.
        if let Ok(line) = line {
            let _ = writeln!(io::stderr(), "{line}");
        }
    }

    fn write(&mut self, line: &str) -> Result<(), Failure> {
        writeln!(self.stdout, "{line}").and_then(|()| self.stdout.flush()).map_err(Failure::Output)
    }

    fn json_words(&mut self, words: &[String]) -> io::Result<()> {
        #[derive(Serialize)]
        struct Phrase<'w> {
            words: &'w [String],
        }
        serde_json::to_writer(&mut self.stdout, &Phrase { words })?;
        writeln!(self.stdout)?;
        self.stdout.flush()
    }

    /// Four columns, to be read line by line.
    fn plain_words(&mut self, words: &[String]) -> io::Result<()> {
        for (row, words) in words.chunks(4).enumerate() {
            for (column, word) in words.iter().enumerate() {
                write!(self.stdout, "{:>4}. {word:<10}", row * 4 + column + 1)?;
            }
            writeln!(self.stdout)?;
        }
        self.stdout.flush()
    }
}

/// One line of JSON, safe to print.
pub(crate) fn json_line(view: &impl Serialize) -> io::Result<String> {
    Ok(terminal::json(&serde_json::to_string(view)?))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn printed(json: bool, print: impl FnOnce(&mut Output)) -> String {
        let paper = Paper::default();
        print(&mut Output::new(json, Box::new(paper.clone())));
        let bytes = paper.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_or_words() {
        let print = |output: &mut Output| {
            output.view(&"a\u{9b}", |_| "words".to_owned()).unwrap();
            output.for_people("more words").unwrap();
        };
        assert_eq!(printed(true, print), "\"a\\u009b\"\n");
        assert_eq!(printed(false, print), "words\nmore words\n");
    }

    #[test]
    fn the_phrase() {
        let words: Vec<String> = ["able", "baker", "charlie", "dog", "easy"].map(str::to_owned).to_vec();
        let plain = printed(false, |output| output.words(&words).unwrap());
        assert_eq!(plain, "   1. able         2. baker        3. charlie      4. dog       \n   5. easy      \n");
        let json = printed(true, |output| output.words(&words).unwrap());
        assert_eq!(json, "{\"words\":[\"able\",\"baker\",\"charlie\",\"dog\",\"easy\"]}\n");
    }
}
