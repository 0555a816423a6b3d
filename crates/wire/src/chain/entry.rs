//! One statement of a chain, its canonical bytes, and who must sign it.

use crate::codec::{DecodeError, Reader, Writer};
use crate::device::DeviceRecord;
use crate::ids::AccountId;
use crate::label::{hash, label};
use crate::limits::{MAX_CHAIN_ENTRY, MAX_ORIGIN};
use crate::username::Username;

const VERSION: u8 = 1;
const OP_CREATE: u8 = 1;
const OP_ROTATE_DEVICE_KEYS: u8 = 3;
/// The account key signs; the recovery key will be 2 (`recover`).
const SIGNER_ACCOUNT: u8 = 1;

/// What an entry states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// The account exists, with its first device.
    Create(Box<Create>),
    /// A device has new keys, `key_version + 1`.
    RotateDeviceKeys(Box<DeviceRecord>),
}

/// The first statement of every chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    /// The relay it was made for (`host[:port]`), so that a chain cannot be replayed at another.
    pub log_origin: String,
    /// The user name, unless the account is private.
    pub name: Option<Username>,
    /// Ed25519 recovery key.
    pub recovery_key: [u8; 32],
    /// Ed25519 account key.
    pub account_key: [u8; 32],
    /// The first device.
    pub device: DeviceRecord,
}

/// An entry before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsignedEntry {
    /// Whose chain.
    pub account: AccountId,
    /// Place in the chain, from 0.
    pub seq: u32,
    /// Hash of the entry before; zeros for the first.
    pub prev_hash: [u8; 32],
    /// What it states.
    pub statement: Statement,
    /// When, by the signer's clock, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// A signed entry as parsed. Its signatures are NOT checked; only [`super::VerifiedChain`] does that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainEntry {
    /// What was signed.
    pub unsigned: UnsignedEntry,
    signatures: Vec<[u8; 64]>,
    bytes: Vec<u8>,
    signed_len: usize,
}

impl UnsignedEntry {
    /// The bytes that every signature covers:
    /// `version 1 | account 16 | seq u32 | prev_hash 32 | op 1 | body_len u32 | body | at_ms u64 | signer 1`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (op, body) = match &self.statement {
            Statement::Create(create) => (OP_CREATE, create.encode()),
            Statement::RotateDeviceKeys(record) => (OP_ROTATE_DEVICE_KEYS, record.encode()),
        };
        Writer::new()
            .u8(VERSION)
            .bytes(self.account.as_bytes())
            .u32(self.seq)
            .bytes(&self.prev_hash)
            .u8(op)
            .var(&body)
            .u64(self.at_ms)
            .u8(SIGNER_ACCOUNT)
            .finish()
    }

    /// Who must sign, in order: context and public key. `account_key` is the key in force at `seq - 1`
    /// (for a `create`, its own).
    #[must_use]
    pub fn signers<'a>(&'a self, account_key: &'a [u8; 32]) -> Vec<(&'static str, &'a [u8; 32])> {
        match &self.statement {
            Statement::Create(create) => {
                let mut signers = vec![("chain account", account_key), ("chain recovery", &create.recovery_key)];
                signers.extend(create.device.possession_keys());
                signers
            }
            Statement::RotateDeviceKeys(record) => {
                let mut signers = vec![("chain account", account_key)];
                signers.extend(record.possession_keys());
                signers
            }
        }
    }

    /// The signed entry: the encoding, then the signatures in the order of [`UnsignedEntry::signers`].
    ///
    /// Nothing is checked here; a wrong signature fails in [`super::VerifiedChain`].
    #[must_use]
    pub fn assemble(self, signatures: Vec<[u8; 64]>) -> ChainEntry {
        let mut bytes = self.encode();
        let signed_len = bytes.len();
        for signature in &signatures {
            bytes.extend_from_slice(signature);
        }
        ChainEntry { unsigned: self, signatures, bytes, signed_len }
    }
}

impl Create {
    fn encode(&self) -> Vec<u8> {
        Writer::new()
            .var(self.log_origin.as_bytes())
            .var(self.name.as_ref().map_or(&[], |name| name.as_str().as_bytes()))
            .bytes(&self.recovery_key)
            .bytes(&self.account_key)
            .bytes(&self.device.encode())
            .finish()
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let log_origin = reader.text(MAX_ORIGIN, "log origin")?.to_owned();
        let name = match reader.text(32, "name")? {
            "" => None,
            name => Some(name.parse().map_err(|_| DecodeError::Invalid("name"))?),
        };
        Ok(Self {
            log_origin,
            name,
            recovery_key: reader.array("recovery key")?,
            account_key: reader.array("account key")?,
            device: DeviceRecord::decode(reader)?,
        })
    }
}

impl ChainEntry {
    /// Reads an entry. Accepts exactly what [`UnsignedEntry::assemble`] makes, byte for byte.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_CHAIN_ENTRY {
            return Err(DecodeError::TooLong("chain entry"));
        }
        let mut reader = Reader::new(bytes);
        if reader.u8("version")? != VERSION {
            return Err(DecodeError::Invalid("version"));
        }
        let account = AccountId::from_bytes(reader.array("account id")?);
        let seq = reader.u32("seq")?;
        let prev_hash = reader.array("previous hash")?;
        let op = reader.u8("op")?;
        let mut body = Reader::new(reader.var(MAX_CHAIN_ENTRY, "body")?);
        let (statement, count) = match op {
            OP_CREATE => (Statement::Create(Box::new(Create::decode(&mut body)?)), 5),
            OP_ROTATE_DEVICE_KEYS => (Statement::RotateDeviceKeys(Box::new(DeviceRecord::decode(&mut body)?)), 4),
            _ => return Err(DecodeError::Invalid("op")),
        };
        body.finish("body")?;
        let at_ms = reader.u64("time")?;
        if reader.u8("signer")? != SIGNER_ACCOUNT {
            return Err(DecodeError::Invalid("signer"));
        }
        let signed_len = reader.position();
        let signatures = (0..count).map(|_| reader.array("signature")).collect::<Result<_, _>>()?;
        reader.finish("chain entry")?;
        let unsigned = UnsignedEntry { account, seq, prev_hash, statement, at_ms };
        Ok(Self { unsigned, signatures, bytes: bytes.to_vec(), signed_len })
    }

    /// All its bytes, signatures included.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes that its signatures cover: exactly those that were parsed.
    pub(super) fn signed_bytes(&self) -> &[u8] {
        &self.bytes[..self.signed_len]
    }

    pub(super) fn signatures(&self) -> &[[u8; 64]] {
        &self.signatures
    }

    /// `H(label("chain entry") || bytes)`: what the next entry names as its predecessor.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        hash(&[&label("chain entry"), &self.bytes])
    }
}
