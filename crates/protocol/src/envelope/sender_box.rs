//! Sender box: who sent it, where it belongs, and the signature over everything. Fixed size; encrypted.

use waxwing_wire::transparency::COMPACT_LEN;
use waxwing_wire::{AccountId, DecodeError, DeviceId, LogId, Reader, Writer};

use super::AEAD_TAG;

/// Room for the sender's signed checkpoint of their relay's transparency log; what it leaves over is zeros.
const CHECKPOINT: usize = 256;

/// A signed checkpoint in its compact form ([`waxwing_wire::transparency::SignedCheckpoint::to_compact`]).
pub type CompactCheckpoint = [u8; COMPACT_LEN];
/// Bytes that the signature covers.
const UNSIGNED: usize = 16 + 16 + 4 + 8 + 8 + 16 + 8 + 8 + 32 + 32 + CHECKPOINT;
const SIGNATURE: usize = 64;

/// Length of the encrypted sender box, in bytes.
pub const SENDER_BOX: usize = UNSIGNED + SIGNATURE + AEAD_TAG;

/// The MLS epoch that an envelope was sealed in (RFC 9420, section 8.7: two members whose authenticators agree are in one group
/// state). Before a commit: the epoch that it leaves. All zeros in an inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Epoch {
    /// Number of the epoch.
    pub number: u64,
    /// Its epoch authenticator.
    pub authenticator: [u8; 32],
}

/// Its fields, without the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SenderFields {
    pub(super) account: AccountId,
    pub(super) device: DeviceId,
    pub(super) key_version: u32,
    pub(super) sent_ms: u64,
    pub(super) counter: u64,
    pub(super) log: LogId,
    pub(super) after: u64,
    pub(super) epoch: Epoch,
    pub(super) running_hash: [u8; 32],
    /// None: zeros.
    pub(super) checkpoint: Option<CompactCheckpoint>,
}

impl SenderFields {
    /// `account 16 | device 16 | key_version u32 | sent_ms u64 | counter u64 | log 16 | after u64 |
    /// mls_epoch u64 | mls_authenticator 32 | running_hash 32 | checkpoint 112 | 144 zeros`.
    pub(super) fn encode(&self) -> Vec<u8> {
        Writer::with_capacity(UNSIGNED + SIGNATURE)
            .bytes(self.account.as_bytes())
            .bytes(self.device.as_bytes())
            .u32(self.key_version)
            .u64(self.sent_ms)
            .u64(self.counter)
            .bytes(self.log.as_bytes())
            .u64(self.after)
            .u64(self.epoch.number)
            .bytes(&self.epoch.authenticator)
            .bytes(&self.running_hash)
            .bytes(&self.checkpoint.unwrap_or([0; COMPACT_LEN]))
            .bytes(&[0; CHECKPOINT - COMPACT_LEN])
            .finish()
    }

    /// Reads the decrypted box: the fields, the bytes that the signature covers, the signature.
    pub(super) fn decode(bytes: &[u8]) -> Result<(Self, &[u8], [u8; 64]), DecodeError> {
        let mut reader = Reader::new(bytes);
        let account = AccountId::from_bytes(reader.array("account id")?);
        let device = DeviceId::from_bytes(reader.array("device id")?);
        let key_version = reader.u32("key version")?;
        let sent_ms = reader.u64("time")?;
        let counter = reader.u64("counter")?;
        let log = LogId::from_bytes(reader.array("log id")?);
        let after = reader.u64("after")?;
        let epoch = Epoch { number: reader.u64("MLS epoch")?, authenticator: reader.array("MLS authenticator")? };
        let running_hash = reader.array("running hash")?;
        let checkpoint = reader.array("checkpoint")?;
        if reader.array("room behind the checkpoint")? != [0; CHECKPOINT - COMPACT_LEN] {
            return Err(DecodeError::Invalid("checkpoint"));
        }
        let checkpoint = (checkpoint != [0; COMPACT_LEN]).then_some(checkpoint);
        let signed = bytes.get(..reader.position()).ok_or(DecodeError::Truncated("sender box"))?;
        let signature = reader.array("signature")?;
        reader.finish("sender box")?;
        let fields =
            Self { account, device, key_version, sent_ms, counter, log, after, epoch, running_hash, checkpoint };
        Ok((fields, signed, signature))
    }
}
