//! Link request: a new device asks the one that made a link code to add it to the account.

use std::fmt;

use subtle::ConstantTimeEq as _;
use waxwing_wire::chain::Statement;
use waxwing_wire::limits::MAX_CHAIN_ENTRY;
use waxwing_wire::{ChainEntry, DecodeError, DeviceRecord, Reader, Writer, hash, label};

use crate::device_link::LinkSecret;

/// The entry that would add the device, and the proof that it holds a link code.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkRequest {
    /// See [`crate::statement::ask_to_be_added`]: all that it lacks is the account key's signature.
    entry: ChainEntry,
    proof: [u8; 32],
}

impl LinkRequest {
    /// Asks with this entry and the secret of a link code. `proof` is `H(label("device link") || secret || the entry's hash)`: all of fixed
    /// length, and the secret itself is not handed on.
    #[must_use]
    pub fn new(entry: ChainEntry, secret: &LinkSecret) -> Self {
        let proof = prove(&entry, secret);
        Self { entry, proof }
    }

    /// Whether whoever asks holds the code with this secret.
    #[must_use]
    pub fn holds(&self, secret: &LinkSecret) -> bool {
        self.proof.ct_eq(&prove(&self.entry, secret)).into()
    }

    /// The entry, without the account key's signature.
    #[must_use]
    pub fn entry(&self) -> &ChainEntry {
        &self.entry
    }

    /// The keys that the device would have.
    #[must_use]
    pub fn record(&self) -> Option<&DeviceRecord> {
        match &self.entry.unsigned.statement {
            Statement::AddDevice(record) => Some(record),
            _ => None,
        }
    }

    /// `entry var | proof 32`.
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.var(self.entry.as_bytes()).bytes(&self.proof);
    }

    /// At least the encoded length.
    pub(super) fn capacity(&self) -> usize {
        64 + self.entry.as_bytes().len()
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let entry = ChainEntry::decode(reader.var(MAX_CHAIN_ENTRY, "chain entry")?)?;
        let request = Self { entry, proof: reader.array("proof")? };
        if request.record().is_none() {
            return Err(DecodeError::Invalid("statement"));
        }
        Ok(request)
    }
}

fn prove(entry: &ChainEntry, secret: &LinkSecret) -> [u8; 32] {
    hash(&[&label("device link"), secret.as_bytes(), &entry.hash()])
}

impl fmt::Debug for LinkRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkRequest(***)")
    }
}
