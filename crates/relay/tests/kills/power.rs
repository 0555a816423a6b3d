//! The power cut: the library that notes what is not synced (`power_loss.c`), and putting the folder back to what a disk would hold.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::campaign::Outage;
use crate::chance::Chance;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kills/power_loss.c");
/// What a disk writes whole or not at all.
const SECTOR: usize = 512;
/// offset, bytes, size: see `power_loss.c`.
const RECORD: usize = 24;

/// A folder that can lose power.
pub struct Power {
    watched: PathBuf,
    deaf: Option<&'static str>,
    // Holds the library, and what is noted. Beside the folder, and not within it.
    own: TempDir,
}

impl Power {
    /// For a relay that keeps everything in `folder`.
    pub fn over(folder: &Path) -> Self {
        let own = tempfile::tempdir().unwrap();
        fs::create_dir(own.path().join("kept")).unwrap();
        let cc = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let mut compile = Command::new(cc);
        compile.args(["-std=gnu17", "-O1", "-shared", "-fPIC", "-pthread", "-o"]).arg(own.path().join("power_loss.so"));
        let compiled = compile.arg(SOURCE).output().expect("a C compiler, which Rust's linker is anyway");
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        Self { watched: folder.canonicalize().unwrap(), deaf: None, own }
    }

    /// The same, as if the relay did not sync `what` ("files" or "folders") in the folders within, which are those of blobs.
    pub fn deaf(folder: &Path, what: &'static str) -> Self {
        Self { deaf: Some(what), ..Self::over(folder) }
    }

    /// From the next start on it syncs everything again. What is not synced yet stays noted.
    pub fn hears(self) -> Self {
        Self { deaf: None, ..self }
    }

    fn kept(&self) -> PathBuf {
        self.own.path().join("kept")
    }

    /// Puts back what was not synced: all of it, or where `torn`, of each sector by chance.
    fn cut(&self, torn: bool, chance: &mut Chance) {
        let kept = |extension: &str| -> Vec<PathBuf> {
            let all = fs::read_dir(self.kept()).unwrap().map(|entry| entry.unwrap().path());
            all.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
        };
        for created in kept("created") {
            for name in fs::read_to_string(created).unwrap().lines() {
                let path = self.watched.join(name);
                // Also one that was renamed or removed since, or was in a folder that is gone.
                let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            }
        }
        let mut files = HashMap::new();
        by_inode(&self.watched, &mut files);
        for undo in kept("undo") {
            let inode = undo.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            if let Some(path) = inode.and_then(|inode: u64| files.get(&inode)) {
                let now = fs::read(path).unwrap();
                let synced = before(now.clone(), &fs::read(&undo).unwrap());
                let left = if torn { mixed(&synced, &now, chance) } else { synced };
                // In place: the inode stays.
                let file = fs::OpenOptions::new().write(true).open(path).unwrap();
                file.set_len(left.len() as u64).unwrap();
                file.write_all_at(&left, 0).unwrap();
            }
        }
        for kept in fs::read_dir(self.kept()).unwrap() {
            fs::remove_file(kept.unwrap().path()).unwrap();
        }
    }
}

impl Outage for Power {
    fn prepare(&self, command: &mut Command) {
        command.env("LD_PRELOAD", self.own.path().join("power_loss.so"));
        command.env("POWER_LOSS_FOLDER", &self.watched).env("POWER_LOSS_KEPT", self.kept());
        command.envs(self.deaf.map(|what| ("POWER_LOSS_DEAF", what)));
    }

    /// All is lost, then sectors by chance, then nothing but the process: what is not synced then still is not after the next start.
    fn after(&self, round: u64) {
        match round % 3 {
            0 => self.cut(false, &mut Chance::new(round)),
            1 => self.cut(true, &mut Chance::new(round)),
            _ => {}
        }
    }
}

/// All files in a folder and those within it. Not the admin socket, which may have the number of a file that is no more.
fn by_inode(folder: &Path, files: &mut HashMap<u64, PathBuf>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            by_inode(&path, files);
        } else if path.is_file() {
            files.insert(fs::metadata(&path).unwrap().ino(), path);
        }
    }
}

/// The file before everything that `undo` notes, newest last.
fn before(mut file: Vec<u8>, undo: &[u8]) -> Vec<u8> {
    let number = |at: usize| usize::try_from(i64::from_ne_bytes(undo[at..at + 8].try_into().unwrap())).unwrap();
    let mut records = Vec::new();
    let mut at = 0;
    // The last may have been cut off; then its write was never made.
    while at + RECORD <= undo.len() && at + RECORD + number(at + 8) <= undo.len() {
        let (offset, bytes, size) = (number(at), number(at + 8), number(at + 16));
        records.push((offset, &undo[at + RECORD..at + RECORD + bytes], size));
        at += RECORD + bytes;
    }
    for (offset, bytes, size) in records.into_iter().rev() {
        file.resize(size, 0);
        file[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
    file
}

/// Each sector as it was synced or as it is now; of a file that grew or shrank, either size.
fn mixed(synced: &[u8], now: &[u8], chance: &mut Chance) -> Vec<u8> {
    let size = if chance.flip() { synced.len() } else { now.len() };
    let mut left = vec![0; size];
    for start in (0..size).step_by(SECTOR) {
        let from = if chance.flip() { synced } else { now };
        let end = size.min(start + SECTOR).min(from.len());
        if start < end {
            left[start..end].copy_from_slice(&from[start..end]);
        }
    }
    left
}

#[test]
fn what_is_noted_is_put_back() {
    let record = |offset: i64, bytes: &[u8], size: i64| {
        let head = [offset, bytes.len() as i64, size].map(i64::to_ne_bytes).concat();
        [head, bytes.to_vec()].concat()
    };
    // abcdef; then xy at 2; then cut to 3; then z at 5, after a hole.
    let undo = [record(2, b"cd", 6), record(3, b"yef", 6), record(3, b"", 3)].concat();
    assert_eq!(before(b"abx\0\0z".to_vec(), &undo), b"abcdef");
    let cut_off = &undo[..undo.len() - 1];
    assert_eq!(before(b"abx".to_vec(), cut_off), b"abcdef");
}
