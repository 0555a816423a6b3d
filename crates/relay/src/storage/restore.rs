//! What it means for a database that it comes from a backup, on either backend: its transparency log goes on under a new origin, which a signed note
//! joins to the one before; what must not be given out twice is given out no more.
//!
//! Not here: how the database comes back (`sqlite::restore`; for PostgreSQL the operator does that), who is served the notes
//! ([`mod@crate::command`]).

use std::io;

use ed25519_dalek::SigningKey;
use waxwing_wire::ids::to_hex;
use waxwing_wire::transparency::{NoteError, Restored, RestoredError, SignedCheckpoint};

use super::{BackupError, OpenError};
use crate::log_signer::LogSigner;

/// Far more than come into an inbox between two backups. Devices have read on, so no place of one is given again.
pub(super) const INBOX_GAP: i64 = 1 << 32;

/// Nothing was restored, and nothing that was there has changed.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The folder has a database.
    #[error(
        "the data folder has a database already; move relay.db, relay.db-wal and relay.db-shm away first: what is restored replaces nothing"
    )]
    Exists,
    /// Clients know the relay's log by its key.
    #[error(
        "log-key.json is not in the folder of the keys; put the relay's own there first: clients know its log by that key"
    )]
    NoLogKey,
    /// The backup or the folder cannot be used.
    #[error("the backup cannot be copied: {0}")]
    Io(#[from] io::Error),
    /// The backup is no whole database.
    #[error("the backup cannot be used: {0}")]
    Backup(#[from] BackupError),
    /// It is no relay's, or of a newer one, or its log is not whole or not this key's.
    #[error("the backup cannot be used: {0}")]
    Open(#[from] OpenError),
    /// It is from before the transparency log.
    #[error(
        "the backup has entries without a place in the transparency log; start the version that made it once on a copy of it, and back that up"
    )]
    NoLog,
    /// The note could not be signed.
    #[error("the note of the restoration could not be signed: {0}")]
    Note(#[from] NoteError),
    /// There is no relay's database.
    #[error("there is no relay in that database; put it back first (pg_restore, or a base backup)")]
    NothingThere,
    /// A relay is connected to it.
    #[error("a waxwing-relay is connected to that database; stop all processes of the relay first")]
    InUse,
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    Random,
}

/// For so many days after a restoration a relay takes what it has lost of chains without a token. Then whoever has not been back recovers with the phrase,
/// as anybody else does whose keys the relay does not know.
const RESTATED_DAYS: i64 = 30;

/// A restoration, as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredOn {
    /// Its signed note.
    pub note: String,
    /// When it was made: the day on which something came then, as the database counts days.
    pub day: i64,
}

impl RestoredOn {
    /// Whether what was lost then may still be stated again without a token, on `today` (as the database counts days).
    #[must_use]
    pub fn is_recent(&self, today: i64) -> bool {
        today < self.day.saturating_add(RESTATED_DAYS)
    }
}

/// How the log goes on.
pub(super) struct Restoration {
    /// What the note says.
    pub(super) restored: Restored,
    /// The note, signed.
    pub(super) note: String,
    /// Signs the log from now on.
    pub(super) signer: LogSigner,
}

impl Restoration {
    /// After the backup's newest checkpoint `last`, a note that `signer` has signed, of a log that was found to be whole.
    pub(super) fn after(last: &str, signer: &LogSigner, log_key: &SigningKey) -> Result<Self, RestoreError> {
        let signed = SignedCheckpoint::verify(last.as_bytes(), signer.key()).map_err(|_| OpenError::OtherLog)?;
        let last = signed.checkpoint().clone();
        let restored = Restored {
            origin: new_origin(&last.origin)?,
            previous: last.origin,
            size: last.size,
            root: last.root,
            time_ms: last.time_ms,
        };
        let note = restored.sign(log_key)?;
        let signer = LogSigner::new(&restored.origin, log_key.clone())?;
        Ok(Self { restored, note, signer })
    }
}

/// Who has signed this checkpoint, under whatever origin it has, if it was this key.
pub(super) fn under_its_origin(checkpoint: &str, log_key: &SigningKey) -> Result<LogSigner, OpenError> {
    let origin = checkpoint.split('\n').next().unwrap_or_default();
    LogSigner::new(origin, log_key.clone()).map_err(|_| OpenError::OtherLog)
}

/// The relay's `host[:port]` with something behind it that no other restoration has, not even one of the same backup: two logs that begin
/// alike and go on differently must not share an origin.
fn new_origin(previous: &str) -> Result<String, RestoreError> {
    let relay = previous.split('/').next().unwrap_or_default();
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|_| RestoreError::Random)?;
    Ok(format!("{relay}/{}", to_hex(&random)))
}

/// The origin under which the log of the relay at `audience` goes on: its own, or that of the last restoration.
pub(crate) fn origin(found: &[RestoredOn], audience: &str, public: &[u8; 32]) -> Result<String, RestoredError> {
    let Some(last) = found.last() else { return Ok(audience.to_owned()) };
    let restored = Restored::verify(last.note.as_bytes(), public)?;
    // A relay that goes by another name has another log.
    let own = restored.origin.split('/').next() == Some(audience);
    if own { Ok(restored.origin) } else { Err(RestoredError::Origin) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lost_is_taken_for_a_while() {
        let restored = RestoredOn { note: String::new(), day: 20_000 };
        assert!([20_000, 20_001, 20_029].into_iter().all(|today| restored.is_recent(today)));
        assert!(![20_030, 20_031, 30_000].into_iter().any(|today| restored.is_recent(today)));
        // A clock that was set back since.
        assert!(restored.is_recent(19_990));
    }
}
