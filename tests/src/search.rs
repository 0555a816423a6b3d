//! Looks for secrets in files, in every way they could be written: as they are, UTF-16, hexadecimal, base64 at any alignment. Not here: memory
//! (`memory`).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::alphabet;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::NO_PAD;

use crate::{Fault, Outcome};

/// One way to write one secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Needle {
    /// Which secret, and how it is written. Never the secret itself: this is printed.
    pub name: String,
    bytes: Vec<u8>,
}

/// A needle in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Find {
    /// Where.
    pub file: PathBuf,
    /// What.
    pub needle: String,
}

/// All ways to write these bytes, of which there are to be two at least.
#[must_use]
pub fn needles(name: &str, secret: &[u8]) -> Vec<Needle> {
    let mut forms: Vec<(String, Vec<u8>)> = vec![("as it is".into(), secret.to_vec())];
    if let Ok(text) = std::str::from_utf8(secret) {
        forms.push(("UTF-16LE".into(), text.encode_utf16().flat_map(u16::to_le_bytes).collect()));
        forms.push(("UTF-16BE".into(), text.encode_utf16().flat_map(u16::to_be_bytes).collect()));
    }
    let mut written = vec![("hex".to_owned(), hex::encode(secret)), ("HEX".to_owned(), hex::encode_upper(secret))];
    for (alphabet, kind) in [(&alphabet::STANDARD, "base64"), (&alphabet::URL_SAFE, "base64url")] {
        let engine = GeneralPurpose::new(alphabet, NO_PAD);
        for offset in 0..3 {
            written.push((format!("{kind} at {offset}"), aligned_base64(&engine, secret, offset)));
        }
    }
    for (form, text) in written {
        // WebKit writes some of its text with two bytes a character.
        forms.push((format!("{form} in UTF-16LE"), text.encode_utf16().flat_map(u16::to_le_bytes).collect()));
        forms.push((form, text.into_bytes()));
    }
    forms.into_iter().map(|(form, bytes)| Needle { name: format!("{name}, {form}"), bytes }).collect()
}

/// The base64 characters that depend on the secret alone when `offset` other bytes come before it.
fn aligned_base64(engine: &GeneralPurpose, secret: &[u8], offset: usize) -> String {
    let padded = [vec![0; offset], secret.to_vec()].concat();
    let text = engine.encode(&padded);
    // Character i holds bits 6i to 6i+6.
    let (first, end) = ((8 * offset).div_ceil(6), 8 * padded.len() / 6);
    text[first..end].to_owned()
}

/// Every needle in every file below `dir`. Files that vanish meanwhile are no files.
pub fn search(dir: &Path, needles: &[Needle]) -> Outcome<BTreeSet<Find>> {
    let mut finds = BTreeSet::new();
    for file in files(dir)? {
        let Ok(content) = fs::read(&file) else { continue };
        let found = found_in(&content, needles);
        finds.extend(found.into_iter().map(|needle| Find { file: file.clone(), needle }));
    }
    Ok(finds)
}

/// The names of the needles that stand in these bytes. One pass for all of them, which is fast enough even in a build for tests.
#[must_use]
pub fn found_in(bytes: &[u8], needles: &[Needle]) -> BTreeSet<String> {
    let start = |bytes: &[u8]| Some(usize::from(*bytes.first()?) << 8 | usize::from(*bytes.get(1)?));
    let mut starts = vec![false; 1 << 16];
    for needle in needles {
        if let Some(start) = start(&needle.bytes) {
            starts[start] = true;
        }
    }
    let mut found = BTreeSet::new();
    let mut before = usize::MAX;
    for (end, byte) in bytes.iter().enumerate() {
        let here = before;
        before = usize::from(*byte);
        if here == usize::MAX || !starts[here << 8 | before] {
            continue;
        }
        let rest = &bytes[end - 1..];
        found.extend(needles.iter().filter(|one| rest.starts_with(&one.bytes)).map(|one| one.name.clone()));
    }
    found
}

/// All plain files below `dir`.
pub fn files(dir: &Path) -> Outcome<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(entry.path()),
                Ok(kind) if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    if found.is_empty() {
        return Err(Fault::Unexpected(format!("nothing to search below {}", dir.display())));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_found_whatever_stands_around_it() {
        let secret = b"a secret of some length";
        let dir = tempfile::tempdir().unwrap();
        let engine = base64::engine::general_purpose::STANDARD;
        for before in 0..6 {
            let around = [vec![0xA7; before], secret.to_vec(), b"after".to_vec()].concat();
            fs::write(dir.path().join(format!("base64-{before}")), engine.encode(&around)).unwrap();
            fs::write(dir.path().join(format!("hex-{before}")), hex::encode(&around)).unwrap();
            fs::write(dir.path().join(format!("raw-{before}")), &around).unwrap();
        }
        let finds = search(dir.path(), &needles("s", secret)).unwrap();
        let found: BTreeSet<_> = finds.iter().map(|find| find.file.clone()).collect();
        assert_eq!(found.len(), 18, "{finds:?}");
        for offset in 0..3 {
            assert!(finds.iter().any(|find| find.needle == format!("s, base64 at {offset}")));
        }
    }

    #[test]
    fn needles_that_begin_alike_are_told_apart_wherever_they_stand() {
        let all: Vec<_> = ["aab", "aaab", "b"].map(|text| Needle { name: text.into(), bytes: text.into() }).into();
        let found = |text: &str| found_in(text.as_bytes(), &all).into_iter().collect::<Vec<_>>();
        assert_eq!(found("aaab"), ["aaab", "aab"]);
        assert_eq!(found("xaab"), ["aab"]);
        assert_eq!(found("aaxaa"), [""; 0]);
        assert_eq!(found("a"), [""; 0]);
    }

    #[test]
    fn nothing_is_found_where_nothing_is() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("x"), "a secret of another length").unwrap();
        assert!(search(dir.path(), &needles("s", b"a secret of some length")).unwrap().is_empty());
    }
}
