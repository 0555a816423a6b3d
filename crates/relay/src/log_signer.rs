//! Who signs the transparency log's checkpoints: its key, under the log's origin.
//!
//! Not here: the key's file ([`crate::keys`]); when a checkpoint is signed: the storage does that, in the transaction that grows the tree,
//! so that nothing is signed that is not kept.

use ed25519_dalek::SigningKey;
use waxwing_wire::transparency::{Checkpoint, CheckpointError, NoteError, NoteKey, SignedCheckpoint};

/// The log's origin and private key. Handed to the storage.
pub struct LogSigner {
    signing: SigningKey,
    key: NoteKey,
}

impl LogSigner {
    /// For the log of `origin`: the relay's `host[:port]`.
    ///
    /// # Errors
    ///
    /// [`NoteError::Name`] if `origin` is no name for a log.
    pub fn new(origin: &str, signing: SigningKey) -> Result<Self, NoteError> {
        let key = NoteKey::new(origin, signing.verifying_key().as_bytes())?;
        Ok(Self { signing, key })
    }

    /// The public key, by which clients know the log.
    #[must_use]
    pub fn key(&self) -> &NoteKey {
        &self.key
    }

    /// The log's origin.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.key.name()
    }

    /// Signs the tree of `size` leaves with this root, at `time_ms` (milliseconds since the Unix epoch).
    ///
    /// # Errors
    ///
    /// [`CheckpointError::EmptyRoot`] if no tree of that size has that root.
    pub fn sign(&self, size: u64, root: [u8; 32], time_ms: u64) -> Result<SignedCheckpoint, CheckpointError> {
        SignedCheckpoint::sign(&Checkpoint { origin: self.origin().to_owned(), size, root, time_ms }, &self.signing)
    }
}

impl std::fmt::Debug for LogSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogSigner").field("signing", &"***").field("key", &self.key.to_string()).finish()
    }
}
