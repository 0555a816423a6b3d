//! Stale key: the notice that something was sealed to a key which its device has erased (design section 5; docs/protocol.md "App messages").
//!
//! Not here: what the chain entries prove (`waxwing_wire::VerifiedChain`), and what is sealed again (the client).

use waxwing_wire::limits::MAX_CHAIN_ENTRY;
use waxwing_wire::{DecodeError, EnvelopeId, Reader, Writer};

/// Most chain entries of one notice.
pub const MAX_STALE_ENTRIES: usize = 16;
/// Most envelopes of one notice.
pub const MAX_STALE_ENVELOPES: usize = 64;

/// A device tells the others in a log which newer keys it has, and which of their envelopes it could not open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaleKey {
    /// Place of the first entry in the sender's chain.
    pub from_seq: u32,
    /// Entries of that chain, 1 to [`MAX_STALE_ENTRIES`].
    pub entries: Vec<Vec<u8>>,
    /// Ids of the envelopes, 1 to [`MAX_STALE_ENVELOPES`].
    pub envelopes: Vec<EnvelopeId>,
}

impl StaleKey {
    pub(crate) fn capacity(&self) -> usize {
        self.entries.iter().map(|entry| entry.len() + 4).sum::<usize>() + self.envelopes.len() * 16
    }

    /// `from_seq u32 | count u8 | entries, each var | count u8 | envelope ids, each 16`.
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.u32(self.from_seq).u8(u8::try_from(self.entries.len()).unwrap_or(u8::MAX));
        for entry in &self.entries {
            writer.var(entry);
        }
        writer.u8(u8::try_from(self.envelopes.len()).unwrap_or(u8::MAX));
        for envelope in &self.envelopes {
            writer.bytes(envelope.as_bytes());
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let from_seq = reader.u32("from seq")?;
        let entries = count(reader, MAX_STALE_ENTRIES, "chain entries")?;
        let entries = (0..entries)
            .map(|_| reader.var(MAX_CHAIN_ENTRY, "chain entry").map(<[u8]>::to_vec))
            .collect::<Result<_, _>>()?;
        let envelopes = count(reader, MAX_STALE_ENVELOPES, "envelope ids")?;
        let envelopes = (0..envelopes)
            .map(|_| reader.array("envelope id").map(EnvelopeId::from_bytes))
            .collect::<Result<_, _>>()?;
        Ok(Self { from_seq, entries, envelopes })
    }
}

fn count(reader: &mut Reader<'_>, most: usize, field: &'static str) -> Result<usize, DecodeError> {
    match usize::from(reader.u8(field)?) {
        0 => Err(DecodeError::Invalid(field)),
        count if count > most => Err(DecodeError::TooLong(field)),
        count => Ok(count),
    }
}
