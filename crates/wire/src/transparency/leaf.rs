//! What one leaf of the log says, in 69 bytes.
//!
//! Not here: whether it is true. A leaf is a claim of the relay's until its entry is in a [`crate::VerifiedChain`].

use crate::codec::{DecodeError, Reader, Writer};
use crate::ids::AccountId;
use crate::label::{hash, label};
use crate::limits::MAX_LEAVES_PAGE;

use super::tree::leaf_hash;

/// Length of every leaf, in bytes.
pub const LEAF_LEN: usize = 69;

const TYPE_CHAIN: u8 = 0;
const TYPE_NAME: u8 = 1;

/// One leaf: `type 1 | who 32 | seq u32 | entry_hash 32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Leaf {
    /// An entry of a chain.
    Chain {
        /// [`account_hash`] of the chain's account.
        account_hash: [u8; 32],
        /// Place in the chain, from 0.
        seq: u32,
        /// [`crate::ChainEntry::hash`].
        entry_hash: [u8; 32],
    },
    /// The `create` that took a public name. At most one for each name may ever exist.
    Name {
        /// [`super::name_hash`] of the name.
        name_hash: [u8; 32],
        /// [`crate::ChainEntry::hash`] of the `create`.
        entry_hash: [u8; 32],
    },
}

/// `H(label("account") || account id)`: how leaves name an account, so that the log lists no ids.
#[must_use]
pub fn account_hash(account: &AccountId) -> [u8; 32] {
    hash(&[&label("account"), account.as_bytes()])
}

impl Leaf {
    /// Its canonical bytes. The `seq` of a name leaf is zero.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(LEAF_LEN);
        match self {
            Self::Chain { account_hash, seq, entry_hash } => {
                writer.u8(TYPE_CHAIN).bytes(account_hash).u32(*seq).bytes(entry_hash)
            }
            Self::Name { name_hash, entry_hash } => writer.u8(TYPE_NAME).bytes(name_hash).u32(0).bytes(entry_hash),
        }
        .finish()
    }

    /// Reads a leaf. Accepts exactly what [`Leaf::encode`] makes, byte for byte.
    ///
    /// # Errors
    ///
    /// Another length or type, or a name leaf whose `seq` is not zero.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let leaf_type = reader.u8("leaf type")?;
        let who = reader.array("leaf subject")?;
        let seq = reader.u32("leaf seq")?;
        let entry_hash = reader.array("leaf entry hash")?;
        reader.finish("leaf")?;
        match leaf_type {
            TYPE_CHAIN => Ok(Self::Chain { account_hash: who, seq, entry_hash }),
            TYPE_NAME if seq == 0 => Ok(Self::Name { name_hash: who, entry_hash }),
            TYPE_NAME => Err(DecodeError::Invalid("leaf seq")),
            _ => Err(DecodeError::Invalid("leaf type")),
        }
    }

    /// Its hash in the tree (RFC 9162, section 2.1.1).
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        leaf_hash(&self.encode())
    }
}

/// Reads an answer to `GET /v1/transparency/leaves?from=n`: leaves one after the other, each [`LEAF_LEN`] bytes.
///
/// # Errors
///
/// What [`Leaf::decode`] refuses, a part of a leaf at the end, and more than [`MAX_LEAVES_PAGE`].
pub fn decode_leaves(bytes: &[u8]) -> Result<Vec<Leaf>, DecodeError> {
    if bytes.len() > MAX_LEAVES_PAGE * LEAF_LEN {
        return Err(DecodeError::TooLong("leaves"));
    }
    bytes.chunks(LEAF_LEN).map(Leaf::decode).collect()
}
