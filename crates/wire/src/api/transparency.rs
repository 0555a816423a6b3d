//! JSON of the transparency log's proofs, read strictly: whoever gets one of these checks hashes, not their spelling.
//!
//! Not here: whether a proof holds ([`crate::transparency::verify_inclusion`], [`crate::transparency::verify_consistency`]);
//! leaves by the thousand, which are binary ([`crate::transparency::decode_leaves`]); checkpoints, which are text.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{EntryBytes, base64url};
use crate::limits::MAX_PROOF;
use crate::transparency::Leaf;

/// The hashes of a proof, in order: at most [`MAX_PROOF`]. In JSON a list of base64url strings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProofPath(pub Vec<[u8; 32]>);

impl AsRef<[[u8; 32]]> for ProofPath {
    fn as_ref(&self) -> &[[u8; 32]] {
        &self.0
    }
}

impl Serialize for ProofPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|hash| base64url::encode(hash)))
    }
}

impl<'de> Deserialize<'de> for ProofPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = Vec::<EntryBytes>::deserialize(deserializer)?;
        if path.len() > MAX_PROOF {
            return Err(de::Error::custom("a proof of too many hashes"));
        }
        let hash = |bytes: EntryBytes| bytes.0.try_into().map_err(|_| de::Error::custom("a hash has 32 bytes"));
        path.into_iter().map(hash).collect::<Result<_, _>>().map(Self)
    }
}

/// `GET /v1/transparency/restored`: where the log went on under another origin after the relay was restored from a backup.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Restorations {
    /// Signed notes ([`crate::transparency::Restored`]), oldest first; the origin of the last is the log's now.
    pub notes: Vec<String>,
}

/// `GET /v1/transparency/proof?first=m&second=n`: the tree of the first `n` leaves begins with that of the first `m`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConsistencyProof {
    /// For [`crate::transparency::verify_consistency`].
    pub path: ProofPath,
}

/// `GET /v1/transparency/proof?index=i&size=n`: the leaf at `i` is in the tree of the first `n` leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InclusionProof {
    /// The leaf, in JSON its 69 bytes in base64url.
    #[serde(with = "leaf")]
    #[cfg_attr(feature = "openapi", schema(value_type = EntryBytes))]
    pub leaf: Leaf,
    /// For [`crate::transparency::verify_inclusion`], with [`Leaf::hash`].
    pub path: ProofPath,
}

mod leaf {
    use super::{Deserialize as _, Deserializer, EntryBytes, Leaf, Serializer, base64url, de};

    pub(super) fn serialize<S: Serializer>(leaf: &Leaf, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64url::encode(&leaf.encode()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Leaf, D::Error> {
        Leaf::decode(&EntryBytes::deserialize(deserializer)?.0).map_err(de::Error::custom)
    }
}
