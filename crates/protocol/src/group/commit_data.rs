//! Commit data: what travels in a commit's `authenticated_data` (RFC 9420, section 6): whether it sets a new channel secret,
//! chain entries of those whom it concerns, and proofs by leaves that it removes.

use waxwing_wire::limits::MAX_CHAIN_ENTRY;
use waxwing_wire::{AccountId, DecodeError, Reader, VerifiedChain, Writer};

use super::proof::{LeaveProof, ResyncProof};

const VERSION: u8 = 1;
/// Most chain parts in one commit.
const MAX_PARTS: usize = 64;
/// Most entries in one chain part.
const MAX_ENTRIES: usize = 64;
/// Most proofs of each kind in one commit.
const MAX_PROOFS: usize = 128;

/// Entries of one account's chain. They prove themselves; nothing is taken from whoever sent them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainPart {
    /// Whose chain.
    pub account: AccountId,
    /// Place of the first entry.
    pub from_seq: u32,
    /// The entries, as they stand in the chain; 1 to 64.
    pub entries: Vec<Vec<u8>>,
}

impl ChainPart {
    /// What is new of it: the chain with it, and the place and bytes of the new entries. As much is taken as follows from what is known; where
    /// nothing is, all of it from the first entry on or nothing.
    #[must_use]
    pub fn extends(&self, known: Option<&VerifiedChain>) -> Option<(VerifiedChain, u32, Vec<Vec<u8>>)> {
        let Some(known) = known else {
            let chain = VerifiedChain::verify(&self.entries).ok()?;
            return (self.from_seq == 0 && chain.account() == self.account).then(|| (chain, 0, self.entries.clone()));
        };
        let from = known.seq().checked_add(1)?;
        let skip = usize::try_from(from.checked_sub(self.from_seq)?).ok()?;
        let mut chain = known.clone();
        let fresh: Vec<_> =
            self.entries.iter().skip(skip).take_while(|entry| chain.extend(entry).is_ok()).cloned().collect();
        (!fresh.is_empty()).then_some((chain, from, fresh))
    }
}

/// What a commit brings along.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommitData {
    /// Whether the channel secret of the epoch after it comes into force.
    pub rekey: bool,
    /// Chain entries.
    pub chains: Vec<ChainPart>,
    /// Requests to leave that it answers.
    pub leaves: Vec<LeaveProof>,
    /// Requests for a resync that it answers.
    pub resyncs: Vec<ResyncProof>,
}

impl CommitData {
    /// `version 1 = 1 | rekey 1 | chains u16 | leaves u16 | resyncs u16 | ...`;
    /// chain: `account 16 | from_seq u32 | count u16 | entries var`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let count = |len: usize| u16::try_from(len).unwrap_or(u16::MAX);
        let mut writer = Writer::new();
        writer.u8(VERSION).u8(u8::from(self.rekey));
        writer.u16(count(self.chains.len())).u16(count(self.leaves.len())).u16(count(self.resyncs.len()));
        for part in &self.chains {
            writer.bytes(part.account.as_bytes()).u32(part.from_seq).u16(count(part.entries.len()));
            for entry in &part.entries {
                writer.var(entry);
            }
        }
        for proof in &self.leaves {
            proof.write(&mut writer);
        }
        for proof in &self.resyncs {
            proof.write(&mut writer);
        }
        writer.finish()
    }

    /// Reads it back.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.u8("version")? != VERSION {
            return Err(DecodeError::Invalid("version"));
        }
        let rekey = match reader.u8("rekey")? {
            0 => false,
            1 => true,
            _ => return Err(DecodeError::Invalid("rekey")),
        };
        let mut count = |most: usize, field| match reader.u16(field)? {
            n if usize::from(n) <= most => Ok(n),
            _ => Err(DecodeError::TooLong(field)),
        };
        let (chains, leaves) = (count(MAX_PARTS, "chains")?, count(MAX_PROOFS, "leaves")?);
        let resyncs = count(MAX_PROOFS, "resyncs")?;
        let chains = (0..chains).map(|_| read_part(&mut reader)).collect::<Result<_, _>>()?;
        let leaves = (0..leaves).map(|_| LeaveProof::read(&mut reader)).collect::<Result<_, _>>()?;
        let resyncs = (0..resyncs).map(|_| ResyncProof::read(&mut reader)).collect::<Result<_, _>>()?;
        reader.finish("commit data")?;
        Ok(Self { rekey, chains, leaves, resyncs })
    }
}

fn read_part(reader: &mut Reader<'_>) -> Result<ChainPart, DecodeError> {
    let account = AccountId::from_bytes(reader.array("account id")?);
    let from_seq = reader.u32("first seq")?;
    let count = usize::from(reader.u16("number of entries")?);
    if !(1..=MAX_ENTRIES).contains(&count) {
        return Err(DecodeError::Invalid("number of entries"));
    }
    let read = |_| reader.var(MAX_CHAIN_ENTRY, "chain entry").map(<[u8]>::to_vec);
    let entries = (0..count).map(read).collect::<Result<_, _>>()?;
    Ok(ChainPart { account, from_seq, entries })
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use waxwing_wire::{DeviceId, LogId};

    use super::*;

    #[test]
    fn reads_back_what_it_wrote_and_nothing_else() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let (account, device) = (AccountId::from_bytes([3; 16]), DeviceId::from_bytes([4; 16]));
        let group = LogId::from_bytes([1; 16]);
        let data = CommitData {
            rekey: true,
            chains: vec![ChainPart { account, from_seq: 2, entries: vec![vec![1; 10], vec![2; 20]] }],
            leaves: vec![LeaveProof::sign(&key, group, account, device, &[7; 32], [5; 16])],
            resyncs: vec![ResyncProof::sign(&key, group, account, device, [5; 16], [6; 32])],
        };
        let bytes = data.encode();
        assert_eq!(CommitData::decode(&bytes), Ok(data));
        for len in 0..bytes.len() {
            CommitData::decode(&bytes[..len]).unwrap_err();
        }
        CommitData::decode(&[bytes.as_slice(), &[0]].concat()).unwrap_err();
        let empty = CommitData::default();
        assert_eq!(CommitData::decode(&empty.encode()), Ok(empty));
    }
}
