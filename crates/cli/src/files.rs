//! Files that a command line names: small texts.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use crate::failure::Failure;

/// Far more than any text that a command reads.
const LONGEST: u64 = 8 << 20;

/// All of a file, as text.
pub(crate) fn read(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = File::open(file).and_then(|opened| opened.take(LONGEST).read_to_string(&mut text));
    read.map_err(|error| Failure::Unreadable { file: file.to_owned(), error })?;
    Ok(text)
}

/// Writes a new file; one that is there already stays as it is.
pub(crate) fn write_new(file: &Path, text: &str) -> Result<(), Failure> {
    let written: io::Result<()> = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file)
        .and_then(|mut opened| opened.write_all(text.as_bytes()).and_then(|()| opened.sync_all()));
    written.map_err(|error| Failure::Unwritable { file: file.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("keys.txt");
        write_new(&file, "one\n").unwrap();
        assert!(matches!(write_new(&file, "two\n"), Err(Failure::Unwritable { .. })));
        assert_eq!(read(&file).unwrap(), "one\n");
        assert!(matches!(read(&dir.path().join("none")), Err(Failure::Unreadable { .. })));
        std::fs::write(&file, [0xff, 0xfe]).unwrap();
        assert!(matches!(read(&file), Err(Failure::Unreadable { .. })));
    }
}
