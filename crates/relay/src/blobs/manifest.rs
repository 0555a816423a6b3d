//! What makes a blob whole: the lengths of its parts, in order.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::BlobError;

/// Written once all parts are there and have the id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    version: u8,
    parts: Vec<u64>,
}

impl Manifest {
    /// Of parts of these lengths.
    pub(super) fn new(parts: Vec<u64>) -> Self {
        Self { version: 1, parts }
    }

    /// How many bytes the parts have together.
    pub(super) fn size(&self) -> u64 {
        self.parts.iter().sum()
    }

    /// Reads it back.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, BlobError> {
        match serde_json::from_slice::<Self>(bytes) {
            Ok(manifest) if manifest.version == 1 => Ok(manifest),
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
        let manifest = Manifest::new(vec![10, 5, 1]);
        assert_eq!(manifest.size(), 16);
        assert_eq!(manifest.within(&(0..16)), [(0, 0..10), (10, 0..5), (15, 0..1)]);
        assert_eq!(manifest.within(&(9..11)), [(0, 9..10), (10, 0..1)]);
        assert_eq!(manifest.within(&(15..16)), [(15, 0..1)]);
        assert_eq!(manifest.within(&(3..3)), []);
        assert_eq!(Manifest::decode(&manifest.encode().unwrap()), Ok(manifest));
        assert_eq!(Manifest::decode(br#"{"version":2,"parts":[]}"#), Err(BlobError::Damaged));
    }
}
