//! Standard input, as text.

use std::io::{self, BufRead as _, Read as _};

use zeroize::Zeroizing;

use crate::failure::Failure;

/// Far more than a message or a link may hold; whoever judges lengths sees that it is too long.
const LONGEST: u64 = 1 << 20;

/// All of it, without the line break at its end.
pub(crate) fn all() -> Result<String, Failure> {
    let mut text = String::new();
    io::stdin().lock().take(LONGEST).read_to_string(&mut text).map_err(Failure::Input)?;
    Ok(without_line_break(text))
}

/// One line, erased from memory after use.
pub(crate) fn secret_line() -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::with_capacity(256));
    io::stdin().lock().take(LONGEST).read_line(&mut text).map_err(Failure::Input)?;
    Ok(text)
}

/// Whether one line says yes.
pub(crate) fn yes() -> Result<bool, Failure> {
    Ok(says_yes(&secret_line()?))
}

fn says_yes(line: &str) -> bool {
    ["y", "yes"].iter().any(|yes| line.trim().eq_ignore_ascii_case(yes))
}

/// All of it, where it is a secret of some lines; erased from memory after use.
pub(crate) fn secret_text() -> Result<Zeroizing<String>, Failure> {
    const LONGEST_SECRET: u64 = 8 << 10;
    // Room enough from the start: a text that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(2 * LONGEST_SECRET as usize));
    io::stdin().lock().take(LONGEST_SECRET).read_to_string(&mut text).map_err(Failure::Input)?;
    Ok(text)
}

fn without_line_break(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yes_is_said() {
        assert!(["y", "Y\n", " yes \r\n", "YES"].into_iter().all(says_yes));
        assert!(!["", "\n", "n", "no", "ye", "y es", "yes, but"].into_iter().any(says_yes));
    }

    #[test]
    fn one_line_break_goes() {
        for (text, left) in
            [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a", "a"), ("\n", ""), ("", ""), ("a\r", "a\r")]
        {
            assert_eq!(without_line_break(text.to_owned()), left);
        }
    }
}
