//! Makes other people's text safe to print: what could move the cursor, change colours, retitle the window, reorder the
//! line or hide in it is shown instead of obeyed.
//!
//! Joiners and direction marks (U+200C to U+200F, U+061C) stay: emoji, Persian and Hebrew need them, and they drive nothing.

/// What begins the second and later lines of a text, so that none of them can pass for a line of its own.
const CONTINUED: &str = "    | ";

/// One line: names, addresses, details. Line breaks are shown as characters.
pub(crate) fn line(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    text.chars().for_each(|character| push(&mut safe, character));
    safe
}

/// A name that others have chosen, between quotation marks that it cannot end by itself.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", line(text).replace('"', "'"))
}

/// A text of any number of lines; those after the first are set in.
pub(crate) fn block(text: &str) -> String {
    text.split('\n')
        .map(|part| line(part.strip_suffix('\r').unwrap_or(part)))
        .collect::<Vec<_>>()
        .join(&format!("\n{CONTINUED}"))
}

/// JSON that is safe to print. JSON itself escapes only U+0000 to U+001F; the rest can occur in strings alone, where an
/// escape means the same.
pub(crate) fn json(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if is_hostile(character) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                safe.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            safe.push(character);
        }
    }
    safe
}

fn push(safe: &mut String, character: char) {
    match character {
        '\t' => safe.push(' '),
        // Control pictures: U+2400 shows U+0000, and so on.
        '\0'..='\u{1f}' => safe.push(char::from_u32(0x2400 + u32::from(character)).unwrap_or('\u{fffd}')),
        '\u{7f}' => safe.push('\u{2421}'),
        _ if is_hostile(character) => safe.push_str(&format!("<U+{:04X}>", u32::from(character))),
        _ => safe.push(character),
    }
}

/// Whether a terminal might obey the character, or not show it at all.
fn is_hostile(character: char) -> bool {
    matches!(character,
        // C0, DEL and C1 controls: escape sequences begin with ESC, or with U+009B and its like.
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        // Soft hyphen, Hangul fillers, Mongolian vowel separator: drawn as nothing.
        | '\u{ad}' | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{180e}'
        // Zero-width space, word joiner and invisible operators, byte order mark.
        | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{feff}'
        // Line and paragraph separators; bidirectional embeddings, overrides and isolates; deprecated format characters.
        | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
        // Interlinear annotation; tags.
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_are_shown() {
        assert_eq!(line("\u{1b}[2J\u{1b}]0;owned\u{7}"), "␛[2J␛]0;owned␇");
        assert_eq!(line("a\u{9b}31mb\u{90}c\u{9d}d"), "a<U+009B>31mb<U+0090>c<U+009D>d");
        assert_eq!(line("over\rwritten\u{8}\u{7f}\0"), "over␍written␈␡␀");
        assert_eq!(line("two\nlines\tone"), "two␊lines one");
    }

    #[test]
    fn reordering_and_hiding_are_shown() {
        assert_eq!(line("invoice\u{202e}fdp.exe"), "invoice<U+202E>fdp.exe");
        assert_eq!(line("\u{2066}a\u{2069}\u{2028}b\u{200b}"), "<U+2066>a<U+2069><U+2028>b<U+200B>");
        assert_eq!(line("\u{e0041}"), "<U+E0041>");
    }

    #[test]
    fn ordinary_text_is_left_alone() {
        for text in ["äöü ß 鳥 🐦", "👩‍👩‍👧 ❤️ 🇩🇪", "می‌خواهم", "שלום\u{200f}", "a\\u{1b} <b>", ""]
        {
            assert_eq!(line(text), text);
            assert_eq!(json(text), text);
        }
    }

    #[test]
    fn a_second_line_cannot_pass_for_a_message() {
        assert_eq!(
            block("hi\r\n2026-11-23 12:00Z  <- alice@relay  pay him\n"),
            "hi\n    | 2026-11-23 12:00Z  <- alice@relay  pay him\n    | "
        );
        assert_eq!(block("one"), "one");
    }

    #[test]
    fn a_name_does_not_end_its_quotation() {
        assert_eq!(quoted("club\"  bob@relay  hi\n"), "\"club'  bob@relay  hi␊\"");
    }

    #[test]
    fn nothing_hostile_comes_through() {
        for character in ('\0'..=char::MAX).filter(|character| is_hostile(*character)) {
            let text = format!("x{character}y");
            assert!(line(&text).chars().all(|shown| !is_hostile(shown)), "{:x}", u32::from(character));
            let quoted = json(&serde_json::to_string(&text).unwrap());
            assert!(quoted.chars().all(|shown| !is_hostile(shown)), "{quoted}");
            assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), text);
        }
    }
}
