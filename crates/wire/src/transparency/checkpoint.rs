//! Checkpoints (C2SP `tlog-checkpoint`): what the log's key signs about the tree.
//!
//! One extension line, `time MS`, and no other: a checkpoint has exactly one text. Not here: how old a checkpoint may be, and
//! which key is the log's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;

use crate::codec::{MAX_U64, Reader, Writer};
use crate::limits::MAX_CHECKPOINT;

use super::note::{NoteError, NoteKey, is_name, open_note, sign_note};
use super::tree::empty_root;

/// Length of [`SignedCheckpoint::to_compact`], in bytes.
pub const COMPACT_LEN: usize = 8 + 32 + 8 + 64;

/// Why a checkpoint is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Longer than [`MAX_CHECKPOINT`].
    #[error("the checkpoint is too long")]
    TooLong,
    /// The note around it.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Its text is not that of a checkpoint.
    #[error("{0} of the checkpoint cannot be read")]
    Text(&'static str),
    /// It is another log's: its origin is not the key's name.
    #[error("the checkpoint is another log's")]
    Origin,
    /// No tree without leaves has that root.
    #[error("the checkpoint's root is not that of an empty tree")]
    EmptyRoot,
}

/// What a log says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log: its relay's `host[:port]` ([`crate::RelayAddress::authority`]). Also the name of its key.
    pub origin: String,
    /// How many leaves.
    pub size: u64,
    /// Root of the tree of that many leaves.
    pub root: [u8; 32],
    /// When it was signed, by the relay's clock, in milliseconds since the Unix epoch.
    pub time_ms: u64,
}

impl Checkpoint {
    /// The text that is signed: four lines.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { origin, size, root, time_ms } = self;
        format!("{origin}\n{size}\n{}\ntime {time_ms}\n", STANDARD.encode(root))
    }

    /// Reads the text. Accepts exactly what [`Checkpoint::text`] makes, byte for byte.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Text`], [`CheckpointError::EmptyRoot`].
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError::Text("the end"))?.split('\n');
        let mut line = |name| lines.next().ok_or(CheckpointError::Text(name));
        let origin = line("the origin")?;
        let size = decimal(line("the size")?).ok_or(CheckpointError::Text("the size"))?;
        let root = STANDARD.decode(line("the root")?).ok().and_then(|root| root.try_into().ok());
        let time = line("the time")?.strip_prefix("time ").and_then(decimal);
        if lines.next().is_some() {
            return Err(CheckpointError::Text("a further line"));
        }
        if !is_name(origin) {
            return Err(CheckpointError::Text("the origin"));
        }
        let root = root.ok_or(CheckpointError::Text("the root"))?;
        if size == 0 && root != empty_root() {
            return Err(CheckpointError::EmptyRoot);
        }
        let time_ms = time.ok_or(CheckpointError::Text("the time"))?;
        Ok(Self { origin: origin.to_owned(), size, root, time_ms })
    }
}

/// Decimal digits without a sign or leading zeros, of no more than [`MAX_U64`].
pub(super) fn decimal(text: &str) -> Option<u64> {
    let canonical = text == "0" || text.starts_with(|c: char| matches!(c, '1'..='9'));
    if canonical && text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok().filter(|value| *value <= MAX_U64)
    } else {
        None
    }
}

/// A checkpoint whose signature was checked. Nobody else can make one. It keeps the note as it came: evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    key: NoteKey,
    signature: [u8; 64],
    note: String,
}

impl SignedCheckpoint {
    /// Signs a checkpoint, in the name of its origin.
    ///
    /// # Errors
    ///
    /// If its origin is no name, or its root no root of an empty tree.
    pub fn sign(checkpoint: &Checkpoint, log_key: &SigningKey) -> Result<Self, CheckpointError> {
        let key = NoteKey::new(&checkpoint.origin, log_key.verifying_key().as_bytes())?;
        let note = sign_note(&checkpoint.text(), key.name(), log_key)?;
        Self::verify(note.as_bytes(), &key)
    }

    /// Reads a note, checks that `log_key` signed it, and that it is a checkpoint of the log that the key is named for.
    ///
    /// # Errors
    ///
    /// See [`CheckpointError`].
    pub fn verify(note: &[u8], log_key: &NoteKey) -> Result<Self, CheckpointError> {
        if note.len() > MAX_CHECKPOINT {
            return Err(CheckpointError::TooLong);
        }
        let opened = open_note(note, log_key)?;
        let checkpoint = Checkpoint::parse(opened.text)?;
        if checkpoint.origin != log_key.name() {
            return Err(CheckpointError::Origin);
        }
        let note = std::str::from_utf8(note).map_err(|_| NoteError::Characters)?.to_owned();
        Ok(Self { checkpoint, key: log_key.clone(), signature: opened.signature, note })
    }

    /// `size u64 | root 32 | time u64 | signature 64`: for places where the log's origin and key are known and room is scarce.
    ///
    /// It stands for the note with the log's signature alone, since a checkpoint has one text.
    #[must_use]
    pub fn to_compact(&self) -> Vec<u8> {
        let Checkpoint { size, root, time_ms, .. } = &self.checkpoint;
        Writer::with_capacity(COMPACT_LEN).u64(*size).bytes(root).u64(*time_ms).bytes(&self.signature).finish()
    }

    /// Reads what [`SignedCheckpoint::to_compact`] made and checks it as [`SignedCheckpoint::verify`] does.
    ///
    /// # Errors
    ///
    /// See [`CheckpointError`].
    pub fn from_compact(bytes: &[u8; COMPACT_LEN], log_key: &NoteKey) -> Result<Self, CheckpointError> {
        const WHAT: &str = "the compact form";
        let mut reader = Reader::new(bytes);
        let mut read = || {
            let checkpoint = Checkpoint {
                origin: log_key.name().to_owned(),
                size: reader.u64(WHAT)?,
                root: reader.array(WHAT)?,
                time_ms: reader.u64(WHAT)?,
            };
            Ok((checkpoint, reader.array(WHAT)?))
        };
        let (checkpoint, signature) = read().map_err(|_: crate::codec::DecodeError| CheckpointError::Text(WHAT))?;
        Self::verify(log_key.assemble(&checkpoint.text(), &signature).as_bytes(), log_key)
    }

    /// What it says.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The key that signed it.
    #[must_use]
    pub fn key(&self) -> &NoteKey {
        &self.key
    }

    /// The whole note, exactly as it was signed or received.
    #[must_use]
    pub fn note(&self) -> &str {
        &self.note
    }
}
