//! Blobs: their ids, and what says whose they are once that is to be said (docs/protocol.md "Blobs").
//!
//! Not here: what is in one (`waxwing-protocol`), how one is put up and fetched (the relay, the client).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

use crate::ids::{from_hex, to_hex};
use crate::label::{hash, label};

/// The text is not 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a blob, of 64 lower-case hexadecimal digits")]
pub struct InvalidBlobId;

/// Names a blob by its bytes: `H(label("blob") || bytes)`. Whoever knows it may fetch the blob, so nothing prints it but [`fmt::Display`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId([u8; 32]);

impl BlobId {
    /// The id of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = BlobHasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlobId(***)")
    }
}

impl FromStr for BlobId {
    type Err = InvalidBlobId;

    fn from_str(text: &str) -> Result<Self, InvalidBlobId> {
        from_hex(text).map(Self).ok_or(InvalidBlobId)
    }
}

impl Serialize for BlobId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string())
    }
}

impl<'de> Deserialize<'de> for BlobId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// What a device has its blobs removed by, with its account: 32 random bytes that it keeps to itself until then. Nothing prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct BlobSecret([u8; 32]);

impl BlobSecret {
    /// Of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What a blob is put up with: `H(label("blob owner") || secret || id)`. Without the secret nobody can tell whether two blobs have one owner.
    #[must_use]
    pub fn owner_tag(&self, id: BlobId) -> [u8; 32] {
        hash(&[&label("blob owner"), &self.0, id.as_bytes()])
    }
}

impl fmt::Debug for BlobSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlobSecret(***)")
    }
}

/// Makes a [`BlobId`] of bytes that come one after the other.
pub struct BlobHasher(Sha256);

impl BlobHasher {
    /// Of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Sha256::new_with_prefix(label("blob")))
    }

    /// Takes the next bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The id of all of them.
    #[must_use]
    pub fn finish(self) -> BlobId {
        BlobId(self.0.finalize().into())
    }
}

impl Default for BlobHasher {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_labelled_hash() {
        let id = BlobId::of(b"some bytes");
        assert_eq!(id.as_bytes(), &hash(&[&label("blob"), b"some bytes"]));
        let mut hasher = BlobHasher::new();
        hasher.update(b"some ");
        hasher.update(b"bytes");
        assert_eq!(hasher.finish(), id);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse::<BlobId>(), Err(InvalidBlobId));
        assert_eq!(format!("{id:?}"), "BlobId(***)");
    }

    #[test]
    fn an_owner_has_another_tag_for_each_blob() {
        let (secret, id) = (BlobSecret::from_bytes([7; 32]), BlobId::of(b"some bytes"));
        assert_eq!(secret.owner_tag(id), hash(&[&label("blob owner"), &[7; 32], id.as_bytes()]));
        assert_ne!(secret.owner_tag(id), secret.owner_tag(BlobId::of(b"others")));
        assert_ne!(secret.owner_tag(id), BlobSecret::from_bytes([8; 32]).owner_tag(id));
        assert_eq!(format!("{secret:?}"), "BlobSecret(***)");
    }
}
