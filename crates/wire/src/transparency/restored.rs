//! The note of a relay that was restored from a backup: its log goes on under another origin, from the last checkpoint that the backup held.
//!
//! What was appended after that checkpoint is gone, and whoever had seen it would find two histories under one origin. So the log gets a new
//! origin, and its key, which stays, says in public where the new one begins. Not here: what a client makes of it, where the note is kept.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;

use super::checkpoint::decimal;
use super::note::{NoteError, NoteKey, is_name, open_note, sign_note};

/// Where a restored log begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Its origin from now on: the relay's `host[:port]`, a slash, and something that no other restoration has. Also the name of its key.
    pub origin: String,
    /// The origin of the checkpoint that the backup held.
    pub previous: String,
    /// That checkpoint's size: the first so many leaves are the same in both.
    pub size: u64,
    /// Its root.
    pub root: [u8; 32],
    /// Its time, in milliseconds since the Unix epoch.
    pub time_ms: u64,
}

/// The note is none of this kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RestoredError {
    /// The note around it.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Its text.
    #[error("{0} of the note of a restoration cannot be read")]
    Text(&'static str),
    /// Its origin is not the key's name.
    #[error("the note is another log's")]
    Origin,
}

impl Restored {
    /// The text that is signed: five lines. No checkpoint has this text, for the second line of one is a number.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { origin, previous, size, root, time_ms } = self;
        format!("{origin}\nrestored {previous}\n{size}\n{}\ntime {time_ms}\n", STANDARD.encode(root))
    }

    /// Reads the text. Accepts exactly what [`Restored::text`] makes.
    ///
    /// # Errors
    ///
    /// [`RestoredError::Text`].
    pub fn parse(text: &str) -> Result<Self, RestoredError> {
        let mut lines = text.strip_suffix('\n').ok_or(RestoredError::Text("the end"))?.split('\n');
        let mut line = |name| lines.next().ok_or(RestoredError::Text(name));
        let origin = line("the origin")?;
        let previous = line("the origin before")?.strip_prefix("restored ");
        let previous = previous.filter(|previous| is_name(previous)).ok_or(RestoredError::Text("the origin before"))?;
        let size = decimal(line("the size")?).ok_or(RestoredError::Text("the size"))?;
        let root = STANDARD.decode(line("the root")?).ok().and_then(|root| root.try_into().ok());
        let time_ms = line("the time")?.strip_prefix("time ").and_then(decimal);
        if lines.next().is_some() {
            return Err(RestoredError::Text("a further line"));
        }
        if !is_name(origin) {
            return Err(RestoredError::Text("the origin"));
        }
        Ok(Self {
            origin: origin.to_owned(),
            previous: previous.to_owned(),
            size,
            root: root.ok_or(RestoredError::Text("the root"))?,
            time_ms: time_ms.ok_or(RestoredError::Text("the time"))?,
        })
    }

    /// Signs the note in the name of the new origin.
    ///
    /// # Errors
    ///
    /// [`NoteError`] if one of the origins is no name.
    pub fn sign(&self, log_key: &SigningKey) -> Result<String, NoteError> {
        sign_note(&self.text(), &self.origin, log_key)
    }

    /// Reads a note and checks that the log's key signed it, whatever new origin it names: that one is in the note.
    ///
    /// # Errors
    ///
    /// See [`RestoredError`].
    pub fn verify(note: &[u8], public: &[u8; 32]) -> Result<Self, RestoredError> {
        let origin = note.split(|byte| *byte == b'\n').next().and_then(|line| std::str::from_utf8(line).ok());
        let key = NoteKey::new(origin.ok_or(RestoredError::Text("the origin"))?, public)?;
        let restored = Self::parse(open_note(note, &key)?.text)?;
        if restored.origin == key.name() { Ok(restored) } else { Err(RestoredError::Origin) }
    }
}
