//! A file system of a few MiB in a mount namespace of the test's own.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use tempfile::TempDir;

/// Mounts, says so, and ends with its input: that is when the test does. The file system goes with it.
const KEEPER: &str = r#"mount -t tmpfs -o "size=$1,mode=0711" waxwing "$2" && echo mounted && exec cat"#;

/// A small disk that nobody else sees.
pub struct Disk {
    keeper: Child,
    // Held: its end is the keeper's.
    _input: ChildStdin,
    mounted: TempDir,
    namespaces: &'static Namespaces,
}

/// How they are made and entered.
struct Namespaces {
    made: &'static [&'static str],
    entered: &'static [&'static str],
}

/// As root; and as anybody, where the system lets them.
const NAMESPACES: &[Namespaces] = &[
    Namespaces { made: &["--mount"], entered: &["--mount"] },
    Namespaces {
        made: &["--mount", "--user", "--map-root-user"],
        entered: &["--mount", "--user", "--preserve-credentials"],
    },
];

impl Disk {
    /// None, and a line that says why, where this user may not mount anything.
    pub fn of(bytes: u64) -> Option<Self> {
        // Not where TMPDIR says: PostgreSQL's user must get there.
        let mounted = tempfile::tempdir_in("/tmp").unwrap();
        let Some((mut keeper, namespaces)) = NAMESPACES.iter().find_map(|namespaces| {
            let mut command = Command::new("unshare");
            command.args(namespaces.made).args(["--propagation", "private", "sh", "-c", KEEPER, "sh"]);
            command.arg(bytes.to_string()).arg(mounted.path());
            let mut keeper = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
            let mut said = String::new();
            BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut said).unwrap();
            if said != "mounted\n" {
                let _ = keeper.wait();
                return None;
            }
            Some((keeper, namespaces))
        }) else {
            println!(
                "SKIPPED: no mount namespace can be made here: it takes root or user namespaces, and unshare (util-linux)"
            );
            return None;
        };
        let input = keeper.stdin.take().unwrap();
        let disk = Self { keeper, _input: input, mounted, namespaces };
        // Not for the relay to take up: it is what there is again after `free`.
        std::fs::write(disk.seen("filler"), vec![0; usize::try_from(bytes / 3).unwrap()]).unwrap();
        Some(disk)
    }

    /// What a program is started behind, so that it sees the disk.
    pub fn behind(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec!["nsenter".into()];
        words.extend(self.namespaces.entered.iter().map(OsString::from));
        words.extend(["--target".into(), self.keeper.id().to_string().into(), "--".into()]);
        words
    }

    /// A path on it, for those who see it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.mounted.path().join(name)
    }

    /// Whether who enters is still who they were: as anybody but root, one seems to be root in there.
    pub fn is_entered_as_oneself(&self) -> bool {
        !self.namespaces.entered.contains(&"--user")
    }

    /// The disk, as seen from outside of its namespace.
    pub fn seen(&self, name: &str) -> PathBuf {
        let inside = self.path(name);
        Path::new(&format!("/proc/{}/root", self.keeper.id())).join(inside.strip_prefix("/").unwrap())
    }

    /// Takes up all but `left` bytes.
    pub fn fill(&self, name: &str, left: u64) {
        let mut filler = std::fs::File::options().append(true).create(true).open(self.seen(name)).unwrap();
        let error = std::iter::repeat_with(|| filler.write_all(&[0; 4096])).find_map(Result::err).unwrap();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        filler.set_len(filler.metadata().unwrap().len().saturating_sub(left)).unwrap();
    }

    pub fn free(&self, name: &str) {
        std::fs::remove_file(self.seen(name)).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}
