//! The security audit log: what an operator looks at after something went wrong, and what says as little as possible about people.
//!
//! One line for each event: the hour, what happened, and a pseudonym of whose account or address, good for that day: the key is in memory
//! alone and another one each day, so nobody can try accounts or addresses until one fits, and after a restart the names are new ones.
//! The same event of the same somebody is written for the 1st, 10th, 100th time in an hour. In a file of its own, of mode 0600.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use waxwing_wire::AccountId;
use waxwing_wire::ids::to_hex;

use crate::limits::Neighbourhood;
use crate::pseudonym::Pseudonyms;
use crate::state::now;

const FILE: &str = "audit.log";
/// A file that has grown to this is put aside.
const MAX_BYTES: u64 = 4 * 1024 * 1024;
/// Files that were put aside and are kept.
const KEPT: u32 = 4;
/// Who is told apart within an hour; beyond that, lines are written for everybody together.
const MAX_COUNTED: usize = 50_000;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    /// An account was made.
    Registered,
    /// One was not, for want of an invitation or since registration is closed.
    RegistrationRefused,
    /// A token, proof or assertion was refused.
    TokenRefused,
    /// A token of a disabled account was.
    DisabledRefused,
    /// A device got other keys.
    KeysRotated,
    /// A device was added.
    DeviceAdded,
    /// Devices were revoked, and the account key replaced.
    DevicesRevoked,
    /// The phrase was used.
    Recovered,
    /// An account was closed.
    Closed,
    /// A rate was exceeded.
    RateLimit,
    /// A quota was.
    Quota,
    /// There were too many connections of one address.
    Connections,
    /// The operator disabled an account.
    AdminDisabled,
    /// The operator enabled one.
    AdminEnabled,
    /// The operator put a new token key in force.
    AdminKeysRotated,
    /// The operator made an invitation.
    AdminInvited,
    /// The operator made a backup.
    AdminBackup,
    /// The operator asked what an account takes up.
    AdminLookedUp,
    /// The operator set quotas.
    AdminQuotaSet,
    /// The operator read this log.
    AdminRead,
    /// Somebody else on this computer asked as if they were the operator.
    AdminRefused,
    /// The database was made out of a backup.
    Restored,
    /// The relay started.
    Started,
    /// The relay stopped.
    Stopped,
}

impl Event {
    fn name(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::RegistrationRefused => "registration-refused",
            Self::TokenRefused => "token-refused",
            Self::DisabledRefused => "disabled-refused",
            Self::KeysRotated => "keys-rotated",
            Self::DeviceAdded => "device-added",
            Self::DevicesRevoked => "devices-revoked",
            Self::Recovered => "recovered",
            Self::Closed => "closed",
            Self::RateLimit => "rate-limit",
            Self::Quota => "quota",
            Self::Connections => "connection-limit",
            Self::AdminDisabled => "admin-disabled",
            Self::AdminEnabled => "admin-enabled",
            Self::AdminKeysRotated => "admin-keys-rotated",
            Self::AdminInvited => "admin-invited",
            Self::AdminBackup => "admin-backup",
            Self::AdminLookedUp => "admin-looked-up",
            Self::AdminQuotaSet => "admin-quota-set",
            Self::AdminRead => "admin-read-audit",
            Self::AdminRefused => "admin-refused",
            Self::Restored => "restored",
            Self::Started => "started",
            Self::Stopped => "stopped",
        }
    }
}

/// Whom it concerns.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Subject {
    /// Nobody in particular.
    Nobody,
    /// An account.
    Account(AccountId),
    /// An address.
    Address(Neighbourhood),
}

/// The log.
pub(crate) struct Audit {
    path: PathBuf,
    names: Pseudonyms,
    book: Mutex<Book>,
}

struct Book {
    file: File,
    bytes: u64,
    hour: u64,
    counted: HashMap<(Event, String), u64>,
}

impl Audit {
    /// Opens the log in `folder`, or makes it.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join(FILE);
        let file = append(&path)?;
        let bytes = file.metadata()?.len();
        let book = Mutex::new(Book { file, bytes, hour: 0, counted: HashMap::new() });
        Ok(Self { path, names: Pseudonyms::default(), book })
    }

    /// Writes down what happened. Whatever keeps it from being written keeps no request from being answered.
    pub(crate) fn record(&self, event: Event, subject: Subject) {
        let who = self.name(subject);
        let hour = now().as_secs() / 3600;
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = book.record(&self.path, hour, event, who) {
            tracing::error!(kind = ?error.kind(), "the audit log could not be written");
        }
    }

    fn name(&self, subject: Subject) -> String {
        let (kind, name) = match subject {
            Subject::Nobody => return String::new(),
            Subject::Account(account) => ("account", self.names.in_audit(account.as_bytes())),
            Subject::Address(address) => ("address", self.names.in_audit(&address.to_bytes())),
        };
        match name {
            Some(name) => format!(" {kind}={}", to_hex(&name)),
            None => format!(" {kind}=?"),
        }
    }

    /// The newest `limit` lines, oldest first.
    pub(crate) fn read(&self, limit: usize) -> io::Result<Vec<String>> {
        // Nobody rotates the files meanwhile.
        let _book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines = Vec::new();
        for file in std::iter::once(self.path.clone()).chain((1..=KEPT).map(|n| aside(&self.path, n))) {
            let file = match File::open(file) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(error),
            };
            let mut older = BufReader::new(file).lines().collect::<io::Result<Vec<_>>>()?;
            older.append(&mut lines);
            lines = older;
            if lines.len() >= limit {
                break;
            }
        }
        Ok(lines.split_off(lines.len().saturating_sub(limit)))
    }
}

impl Book {
    fn record(&mut self, path: &Path, hour: u64, event: Event, who: String) -> io::Result<()> {
        if self.hour != hour {
            (self.hour, self.counted) = (hour, HashMap::new());
        }
        let key = (event, who);
        let key = if self.counted.len() < MAX_COUNTED || self.counted.contains_key(&key) {
            key
        } else {
            (event, " many".to_owned())
        };
        let times = self.counted.entry(key.clone()).or_default();
        *times += 1;
        let times = *times;
        if !is_power_of_ten(times) {
            return Ok(());
        }
        let mut line = format!("{} {}{}", written(hour), event.name(), key.1);
        if times > 1 {
            let _ = write!(line, " times={times}");
        }
        line.push('\n');
        let room = self.bytes + line.len() as u64 <= MAX_BYTES;
        let aside = if room { Ok(()) } else { self.put_aside(path) };
        // Where that failed, too: the file that is open takes it.
        self.file.write_all(line.as_bytes())?;
        self.bytes += line.len() as u64;
        aside
    }

    fn put_aside(&mut self, path: &Path) -> io::Result<()> {
        // It is gone where it was put aside before, and the next one could not be opened.
        if path.try_exists()? {
            Self::shift(path)?;
        }
        self.file = append(path)?;
        self.bytes = 0;
        Ok(())
    }

    fn shift(path: &Path) -> io::Result<()> {
        for n in (1..KEPT).rev() {
            match fs::rename(aside(path, n), aside(path, n + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(path, aside(path, 1))
    }
}

fn aside(path: &Path, n: u32) -> PathBuf {
    path.with_extension(format!("log.{n}"))
}

fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn is_power_of_ten(number: u64) -> bool {
    let mut power = 1;
    while power < number {
        power *= 10;
    }
    power == number
}

/// An hour since 1970, as ISO 8601 has it, in UTC.
fn written(hour: u64) -> String {
    let date =
        httpdate::HttpDate::from(std::time::UNIX_EPOCH + std::time::Duration::from_secs(hour * 3600)).to_string();
    // `Sun, 06 Nov 1994 08:49:37 GMT`: its parts have fixed places.
    let part = |range: std::ops::Range<usize>| date.get(range).unwrap_or_default().to_owned();
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = MONTHS.find(&part(8..11)).map_or(0, |at| at / 3 + 1);
    format!("{}-{month:02}-{}T{}Z", part(12..16), part(5..7), part(17..19))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_written() {
        assert_eq!(written(0), "1970-01-01T00Z");
        assert_eq!(written(784_111_777 / 3600), "1994-11-06T08Z");
        assert_eq!(written(1_795_705_199 / 3600), "2026-11-26T14Z");
    }

    #[test]
    fn names_are_pseudonyms_and_floods_are_a_few_lines() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::open(folder.path()).unwrap();
        let [alice, bob] = [1, 2].map(|byte| AccountId::from_bytes([byte; 16]));
        audit.record(Event::Started, Subject::Nobody);
        for _ in 0..1234 {
            audit.record(Event::TokenRefused, Subject::Account(alice));
        }
        audit.record(Event::TokenRefused, Subject::Account(bob));
        audit.record(Event::RateLimit, Subject::Address("192.0.2.7".parse::<std::net::IpAddr>().unwrap().into()));
        let lines = audit.read(100).unwrap();
        let text = lines.join("\n");
        // An hour may have ended meanwhile: then there are some more lines.
        assert!((7..=12).contains(&lines.len()), "{text}");
        assert!(text.contains("token-refused account=") && text.contains("times=1000"), "{text}");
        assert!(text.contains("rate-limit address="), "{text}");
        for secret in [alice.to_string(), bob.to_string(), "192.0.2.7".to_owned()] {
            assert!(!text.contains(&secret));
        }
        assert_eq!(audit.read(2).unwrap(), lines[lines.len() - 2..]);
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(folder.path().join(FILE)).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn files_are_put_aside_by_size_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let audit = Audit::open(folder.path()).unwrap();
        for n in 0..7 {
            let mut book = audit.book.lock().unwrap();
            book.bytes = MAX_BYTES;
            book.record(&path, n, Event::Started, String::new()).unwrap();
        }
        let names = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names, 1 + KEPT as usize);
        let hours: Vec<_> = audit.read(100).unwrap().iter().map(|line| line[..14].to_owned()).collect();
        assert_eq!(hours, (2..7).map(written).collect::<Vec<_>>());
    }

    /// The file was put aside and the next one could not be opened, or it could not be put aside at all: nothing is lost, and it goes on by itself.
    #[test]
    fn a_rotation_that_failed_is_made_up_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let audit = Audit::open(folder.path()).unwrap();
        let record = |hour: u64| {
            let mut book = audit.book.lock().unwrap();
            book.bytes = MAX_BYTES;
            book.record(&path, hour, Event::Started, String::new())
        };
        let hours = || -> Vec<_> { audit.read(100).unwrap().iter().map(|line| line[..14].to_owned()).collect() };
        for hour in 0..3 {
            record(hour).unwrap();
        }
        // What a rename leaves behind which no open follows.
        Book::shift(&path).unwrap();
        assert!(!path.exists());
        for hour in 3..5 {
            record(hour).unwrap();
        }
        assert_eq!(hours(), (0..5).map(written).collect::<Vec<_>>());
        // A folder is in the way.
        let way = aside(&path, KEPT);
        fs::remove_file(&way).unwrap();
        fs::create_dir(&way).unwrap();
        fs::write(way.join("file"), b"").unwrap();
        assert!(record(5).is_err());
        fs::remove_dir_all(&way).unwrap();
        record(6).unwrap();
        assert_eq!(hours(), (1..7).map(written).collect::<Vec<_>>());
    }
}
