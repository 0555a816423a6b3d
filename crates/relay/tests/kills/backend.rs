//! Where the relay under test keeps what it keeps. One implementation for each storage.

use std::path::Path;

use tempfile::TempDir;

/// A storage, from the first start of a relay on it to the end of the test.
pub trait Backend {
    /// Folder of the relay: keys, and whatever else it keeps there.
    fn folder(&self) -> &Path;
    /// What `waxwing-relay serve` needs beside `--data` to use this storage.
    fn arguments(&self) -> Vec<String>;
}

/// The embedded storage, in a folder of its own.
pub struct Sqlite(TempDir);

impl Sqlite {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl Backend for Sqlite {
    fn folder(&self) -> &Path {
        self.0.path()
    }

    fn arguments(&self) -> Vec<String> {
        Vec::new()
    }
}
