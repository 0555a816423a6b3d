//! A file whose first line is a secret: a profile's passphrase, an operator's invitation. A secret never stands on a command line, where
//! every user of the computer could read it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Longest first line, in bytes.
const LONGEST: usize = 1024;

/// Why such a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretFileError {
    /// It cannot be opened or read.
    #[error("{}: {why}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// Its group or everybody may read or change it.
    #[error("{}: mode {mode:03o}", .file.display())]
    OpenToOthers {
        /// The file.
        file: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Its first line is empty.
    #[error("{}: the first line is empty", .0.display())]
    Empty(PathBuf),
    /// Its first line is too long, or no text.
    #[error("{}: the first line is no text of at most {LONGEST} bytes", .0.display())]
    NotText(PathBuf),
}

/// The first line, without its line break.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<String>, SecretFileError> {
    let unreadable = |why| SecretFileError::Unreadable { file: path.to_owned(), why };
    let mut file = File::open(path).map_err(unreadable)?;
    check_private(&file, path)?;

    // As large as it will ever be: a buffer that grows leaves copies behind.
    let mut buffer = Zeroizing::new([0; LONGEST + 2]);
    let mut filled = 0;
    while filled < buffer.len() && !buffer[..filled].contains(&b'\n') {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
    let line = buffer[..filled].split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return Err(SecretFileError::Empty(path.to_owned()));
    }
    match std::str::from_utf8(line) {
        Ok(text) if line.len() <= LONGEST => Ok(Zeroizing::new(text.to_owned())),
        _ => Err(SecretFileError::NotText(path.to_owned())),
    }
}

/// Asks the open file, and not its path, which may mean another file by then.
#[cfg(unix)]
fn check_private(file: &File, path: &Path) -> Result<(), SecretFileError> {
    use std::os::unix::fs::PermissionsExt as _;

    let facts = file.metadata().map_err(|why| SecretFileError::Unreadable { file: path.to_owned(), why })?;
    let mode = facts.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(SecretFileError::OpenToOthers { file: path.to_owned(), mode }) }
}

#[cfg(not(unix))]
fn check_private(_file: &File, _path: &Path) -> Result<(), SecretFileError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn holding(bytes: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("passphrase");
        fs::write(&path, bytes).unwrap();
        #[cfg(unix)]
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        (dir, path)
    }

    #[test]
    fn the_first_line_counts() {
        let longest = "x".repeat(LONGEST);
        for (bytes, passphrase) in [
            ("four random words", "four random words"),
            ("four random words\n", "four random words"),
            ("four random words\r\nnotes\n", "four random words"),
            (" spaces stay \n", " spaces stay "),
            ("Straße 鳥\n", "Straße 鳥"),
            (longest.as_str(), longest.as_str()),
            (&format!("{longest}\r\n"), longest.as_str()),
        ] {
            let (_dir, path) = holding(bytes.as_bytes(), 0o600);
            assert_eq!(read(&path).unwrap().as_str(), passphrase);
        }
    }

    #[test]
    fn nothing_to_use() {
        for bytes in [&b""[..], b"\n", b"\r\n", b"\nsecond line"] {
            let (_dir, path) = holding(bytes, 0o600);
            assert!(matches!(read(&path), Err(SecretFileError::Empty(_))), "{bytes:?}");
        }
        for bytes in [&b"\xff\xfe\n"[..], &[b'x'; LONGEST + 1], &[b'x'; LONGEST * 3]] {
            let (_dir, path) = holding(bytes, 0o600);
            assert!(matches!(read(&path), Err(SecretFileError::NotText(_))));
        }
        let (dir, path) = holding(b"x", 0o600);
        assert!(matches!(read(&path.with_extension("gone")), Err(SecretFileError::Unreadable { .. })));
        #[cfg(unix)]
        {
            fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
            assert!(matches!(read(dir.path()), Err(SecretFileError::Unreadable { .. })), "a folder");
        }
    }

    #[cfg(unix)]
    #[test]
    fn others_must_not_read_it() {
        for mode in [0o644, 0o640, 0o604, 0o620, 0o610, 0o601, 0o660, 0o777] {
            let (_dir, path) = holding(b"four random words", mode);
            match read(&path) {
                Err(SecretFileError::OpenToOthers { mode: found, .. }) => assert_eq!(found, mode),
                _ => panic!("{mode:o} was accepted"),
            }
        }
        for mode in [0o600, 0o400, 0o700] {
            let (_dir, path) = holding(b"four random words", mode);
            assert!(read(&path).is_ok(), "{mode:o}");
        }
    }
}
