//! What makes a blob whole: the lengths of its parts, in order; and what tells, once an owner has given their secret, that it is theirs.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use waxwing_wire::BlobId;
use waxwing_wire::api::EntryBytes;
use waxwing_wire::blob::BlobSecret;

use super::BlobError;

/// Owners that are told apart. A blob that more have put up goes when it expires.
const MOST_OWNERS: usize = 16;

/// Written once all parts are there and have the id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    version: u8,
    parts: Vec<u64>,
    /// When it came, in seconds since 1970, by the day that the database counts; zero in one of before that was kept, whose file tells.
    #[serde(default)]
    came: u64,
    /// The tags of those who have put it up ([`BlobSecret::owner_tag`]); absent in one of before there were any.
    #[serde(default)]
    owners: Vec<EntryBytes>,
    /// Whether somebody has put it up without a tag: then it stays until it expires.
    #[serde(default)]
    for_good: bool,
}

impl Manifest {
    /// Of parts of these lengths, put up by `owner`.
    pub(super) fn new(parts: Vec<u64>, owner: Option<[u8; 32]>) -> Self {
        let mut manifest = Self { version: 2, parts, came: 0, owners: Vec::new(), for_good: false };
        manifest.join(owner);
        manifest
    }

    /// Somebody has put it up as well; whether that was not known.
    pub(super) fn join(&mut self, owner: Option<[u8; 32]>) -> bool {
        let known = |owner: &[u8; 32]| self.owners.iter().any(|known| known.0 == owner);
        if self.for_good || owner.as_ref().is_some_and(known) {
            return false;
        }
        match owner.filter(|_| self.owners.len() < MOST_OWNERS) {
            Some(owner) => self.owners.push(EntryBytes(owner.to_vec())),
            // Nobody's word removes it any more, so nobody is to be told apart.
            None => (self.owners, self.for_good) = (Vec::new(), true),
        }
        true
    }

    /// Those whose secrets these are have no use for it any more; whether any of them had put up this one.
    pub(super) fn leave(&mut self, id: BlobId, secrets: &[BlobSecret]) -> bool {
        let before = self.owners.len();
        if before == 0 {
            return false;
        }
        let gone: Vec<_> = secrets.iter().map(|secret| secret.owner_tag(id)).collect();
        self.owners.retain(|owner| !gone.iter().any(|tag| tag.as_slice() == owner.0));
        self.owners.len() < before
    }

    /// Whether nobody is left who has put it up.
    pub(super) fn is_left(&self) -> bool {
        self.owners.is_empty() && !self.for_good
    }

    /// How many bytes the parts have together.
    pub(super) fn size(&self) -> u64 {
        self.parts.iter().sum()
    }

    /// When it came (since 1970), with what its file says of that.
    pub(super) fn came(&self, file: u64) -> u64 {
        if self.came == 0 { file } else { self.came }
    }

    /// It comes now.
    pub(super) fn comes(&mut self, seconds: u64) {
        self.came = seconds;
    }

    /// Reads it back.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, BlobError> {
        match serde_json::from_slice::<Self>(bytes) {
            Ok(manifest) if manifest.version == 2 => Ok(manifest),
            // Of before there were owners.
            Ok(manifest) if manifest.version == 1 => Ok(Self { version: 2, for_good: true, ..manifest }),
            _ => Err(BlobError::Damaged),
        }
    }

    /// As it is kept.
    pub(super) fn encode(&self) -> Result<Vec<u8>, BlobError> {
        serde_json::to_vec(self).map_err(|_| BlobError::Damaged)
    }

    /// Where the bytes of `range` are: the offset of each part that has some, and which of its own bytes they are.
    pub(super) fn within(&self, range: &Range<u64>) -> Vec<(u64, Range<u64>)> {
        let mut found = Vec::new();
        let mut offset = 0;
        for length in &self.parts {
            let (begin, end) = (range.start.max(offset), range.end.min(offset + length));
            if begin < end {
                found.push((offset, begin - offset..end - offset));
            }
            offset += length;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_found_in_their_parts() {
        let manifest = Manifest::new(vec![10, 5, 1], Some([7; 32]));
        assert_eq!(manifest.size(), 16);
        assert_eq!(manifest.within(&(0..16)), [(0, 0..10), (10, 0..5), (15, 0..1)]);
        assert_eq!(manifest.within(&(9..11)), [(0, 9..10), (10, 0..1)]);
        assert_eq!(manifest.within(&(15..16)), [(15, 0..1)]);
        assert_eq!(manifest.within(&(3..3)), []);
        assert_eq!(Manifest::decode(&manifest.encode().unwrap()), Ok(manifest));
        assert_eq!(Manifest::decode(br#"{"version":1,"parts":[5]}"#), Ok(Manifest::new(vec![5], None)));
        assert_eq!(Manifest::decode(br#"{"version":3,"parts":[]}"#), Err(BlobError::Damaged));
    }

    #[test]
    fn a_blob_is_left_when_all_who_put_it_up_are_gone() {
        let (id, [one, two, other]) = (BlobId::of(b"x"), [1, 2, 3].map(|byte| BlobSecret::from_bytes([byte; 32])));
        let mut manifest = Manifest::new(vec![1], Some(one.owner_tag(id)));
        assert!(!manifest.join(Some(one.owner_tag(id))) && manifest.join(Some(two.owner_tag(id))));
        // Neither somebody else's secret, nor the owner's tag of another blob.
        assert!(
            !manifest.leave(id, std::slice::from_ref(&other))
                && !manifest.leave(BlobId::of(b"y"), std::slice::from_ref(&one))
        );
        assert!(manifest.leave(id, &[other, one]) && !manifest.is_left());
        assert!(manifest.leave(id, std::slice::from_ref(&two)) && manifest.is_left());
        // Somebody who cannot be told apart, and more than are told apart.
        let mut manifest = Manifest::new(vec![1], Some(two.owner_tag(id)));
        assert!(manifest.join(None) && !manifest.join(Some(two.owner_tag(id))));
        assert!(!manifest.leave(id, std::slice::from_ref(&two)) && !manifest.is_left());
        let mut manifest = Manifest::new(vec![1], Some(two.owner_tag(id)));
        for byte in 10..25 {
            assert!(manifest.join(Some([byte; 32])));
        }
        // Sixteen, each of whom may ask again.
        assert!(!manifest.join(Some([24; 32])) && !manifest.join(Some(two.owner_tag(id))));
        assert!(manifest.clone().leave(id, std::slice::from_ref(&two)));
        assert!(manifest.join(Some([25; 32])));
        assert!(!manifest.leave(id, &[two]) && !manifest.is_left());
    }
}
