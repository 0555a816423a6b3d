//! Resync request: a device that cannot read a group any more asks another device in it to remove and add it again.

use waxwing_wire::limits::MAX_KEY_PACKAGE;
use waxwing_wire::{DecodeError, LogId, Reader, Writer};

use crate::group::ResyncProof;

/// What is asked, with the proof that lets the asked device do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResyncRequest {
    /// The group's log.
    pub log: LogId,
    /// By the asking device's leaf, over the key package below.
    pub proof: ResyncProof,
    /// A fresh key package (`MLSMessage`), to be added with.
    pub key_package: Vec<u8>,
}

impl ResyncRequest {
    /// `log 16 | proof 144 | key_package var`.
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.bytes(self.log.as_bytes());
        self.proof.write(writer);
        writer.var(&self.key_package);
    }

    pub(super) fn capacity(&self) -> usize {
        192 + self.key_package.len()
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let log = LogId::from_bytes(reader.array("log id")?);
        let proof = ResyncProof::read(reader)?;
        let key_package = reader.var(MAX_KEY_PACKAGE, "key package")?.to_vec();
        Ok(Self { log, proof, key_package })
    }
}
