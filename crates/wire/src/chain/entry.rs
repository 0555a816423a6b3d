//! One statement of a chain, its canonical bytes, and who must sign it.

use crate::codec::{DecodeError, Reader, Writer};
use crate::device::DeviceRecord;
use crate::ids::{AccountId, DeviceId};
use crate::label::{hash, label};
use crate::limits::{MAX_CHAIN_ENTRY, MAX_DEVICES, MAX_ORIGIN};
use crate::signature;
use crate::username::Username;

const VERSION: u8 = 1;
const OP_CREATE: u8 = 1;
const OP_ADD_DEVICE: u8 = 2;
const OP_ROTATE_DEVICE_KEYS: u8 = 3;
const OP_ROTATE_ACCOUNT_KEY: u8 = 4;
const OP_RECOVER: u8 = 5;
const OP_CLOSE: u8 = 6;
/// The account key in force signs.
const SIGNER_ACCOUNT: u8 = 1;
/// The recovery key in force signs (`recover` alone).
const SIGNER_RECOVERY: u8 = 2;

/// Context of the account key in force.
const BY_ACCOUNT: &str = "chain account";
/// Context of the recovery key in force.
const BY_RECOVERY: &str = "chain recovery";
/// Context in which a new account key proves that its holder made the entry.
const NEW_ACCOUNT: &str = "chain new account";
/// The same of the recovery key that is in force from then on.
const NEW_RECOVERY: &str = "chain new recovery";

/// What an entry states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// The account exists, with its first device.
    Create(Box<Create>),
    /// A further device, with key version 1.
    AddDevice(Box<DeviceRecord>),
    /// A device has new keys, `key_version + 1`.
    RotateDeviceKeys(Box<DeviceRecord>),
    /// Another account key, and with it devices that are in force no longer. There is no other way to revoke one: whoever stole it
    /// holds the account key.
    RotateAccountKey(RotateAccountKey),
    /// The holder of the recovery phrase starts again with one new device; every other one is revoked.
    Recover(Box<Recover>),
    /// The account is given up. Only `recover` can follow, since a thief may have done it.
    Close,
}

/// The account key is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotateAccountKey {
    /// The new Ed25519 account key.
    pub account_key: [u8; 32],
    /// Devices that it revokes: ascending, each once.
    pub revoked: Vec<DeviceId>,
}

/// The account begins anew with what the recovery phrase signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recover {
    /// The recovery key from then on: the same as before, or a new one.
    pub recovery_key: [u8; 32],
    /// The new Ed25519 account key.
    pub account_key: [u8; 32],
    /// The one device in force from then on.
    pub device: DeviceRecord,
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
            Statement::AddDevice(record) => (OP_ADD_DEVICE, record.encode()),
            Statement::RotateDeviceKeys(record) => (OP_ROTATE_DEVICE_KEYS, record.encode()),
            Statement::RotateAccountKey(rotate) => (OP_ROTATE_ACCOUNT_KEY, rotate.encode()),
            Statement::Recover(recover) => (OP_RECOVER, recover.encode()),
            Statement::Close => (OP_CLOSE, Vec::new()),
        };
        Writer::new()
            .u8(VERSION)
            .bytes(self.account.as_bytes())
            .u32(self.seq)
            .bytes(&self.prev_hash)
            .u8(op)
            .var(&body)
            .u64(self.at_ms)
            .u8(self.statement.signer())
            .finish()
    }

    /// Who must sign, in order: context and public key. `in_force` are the keys at `seq - 1` (for a `create`, its own).
    #[must_use]
    pub fn signers<'a>(&'a self, in_force: InForce<'a>) -> Vec<(&'static str, &'a [u8; 32])> {
        let InForce { account_key, recovery_key } = in_force;
        let mut signers = vec![match self.statement {
            Statement::Recover(_) => (BY_RECOVERY, recovery_key),
            _ => (BY_ACCOUNT, account_key),
        }];
        match &self.statement {
            Statement::Create(create) => {
                signers.push((BY_RECOVERY, &create.recovery_key));
                signers.extend(create.device.possession_keys());
            }
            Statement::AddDevice(record) | Statement::RotateDeviceKeys(record) => {
                signers.extend(record.possession_keys());
            }
            Statement::RotateAccountKey(rotate) => signers.push((NEW_ACCOUNT, &rotate.account_key)),
            Statement::Recover(recover) => {
                signers.push((NEW_RECOVERY, &recover.recovery_key));
                signers.push((NEW_ACCOUNT, &recover.account_key));
                signers.extend(recover.device.possession_keys());
            }
            Statement::Close => {}
        }
        signers
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

/// The two keys of an account that sign its entries.
#[derive(Debug, Clone, Copy)]
pub struct InForce<'a> {
    /// Ed25519 account key.
    pub account_key: &'a [u8; 32],
    /// Ed25519 recovery key.
    pub recovery_key: &'a [u8; 32],
}

impl Statement {
    fn signer(&self) -> u8 {
        if matches!(self, Self::Recover(_)) { SIGNER_RECOVERY } else { SIGNER_ACCOUNT }
    }

    fn decode(op: u8, body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match op {
            OP_CREATE => Self::Create(Box::new(Create::decode(body)?)),
            OP_ADD_DEVICE => Self::AddDevice(Box::new(DeviceRecord::decode(body)?)),
            OP_ROTATE_DEVICE_KEYS => Self::RotateDeviceKeys(Box::new(DeviceRecord::decode(body)?)),
            OP_ROTATE_ACCOUNT_KEY => Self::RotateAccountKey(RotateAccountKey::decode(body)?),
            OP_RECOVER => Self::Recover(Box::new(Recover::decode(body)?)),
            OP_CLOSE => Self::Close,
            _ => return Err(DecodeError::Invalid("op")),
        })
    }

    /// How many signatures stand behind it: as many as [`UnsignedEntry::signers`] names.
    fn signatures(&self) -> usize {
        match self {
            Self::Create(_) => 5,
            Self::AddDevice(_) | Self::RotateDeviceKeys(_) => 4,
            Self::RotateAccountKey(_) => 2,
            Self::Recover(_) => 6,
            Self::Close => 1,
        }
    }
}

impl RotateAccountKey {
    /// `account_key 32 | count u8 | device 16 each`.
    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        // More than there may be cannot be read again, and so is never valid.
        writer.bytes(&self.account_key).u8(u8::try_from(self.revoked.len()).unwrap_or(u8::MAX));
        for device in &self.revoked {
            writer.bytes(device.as_bytes());
        }
        writer.finish()
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let account_key = reader.array("account key")?;
        let count = usize::from(reader.u8("count of revoked devices")?);
        if count > MAX_DEVICES {
            return Err(DecodeError::TooLong("revoked devices"));
        }
        let revoked: Vec<_> =
            (0..count).map(|_| reader.array("revoked device").map(DeviceId::from_bytes)).collect::<Result<_, _>>()?;
        if !revoked.is_sorted_by(|a, b| a.as_bytes() < b.as_bytes()) {
            return Err(DecodeError::Invalid("order of revoked devices"));
        }
        Ok(Self { account_key, revoked })
    }
}

impl Recover {
    /// `recovery_key 32 | account_key 32 | device record`.
    fn encode(&self) -> Vec<u8> {
        Writer::new().bytes(&self.recovery_key).bytes(&self.account_key).bytes(&self.device.encode()).finish()
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            recovery_key: reader.array("recovery key")?,
            account_key: reader.array("account key")?,
            device: DeviceRecord::decode(reader)?,
        })
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
        let statement = Statement::decode(op, &mut body)?;
        body.finish("body")?;
        let at_ms = reader.u64("time")?;
        if reader.u8("signer")? != statement.signer() {
            return Err(DecodeError::Invalid("signer"));
        }
        let signed_len = reader.position();
        let signatures = (0..statement.signatures()).map(|_| reader.array("signature")).collect::<Result<_, _>>()?;
        reader.finish("chain entry")?;
        let unsigned = UnsignedEntry { account, seq, prev_hash, statement, at_ms };
        Ok(Self { unsigned, signatures, bytes: bytes.to_vec(), signed_len })
    }

    /// The same entry with another signature in the first place, that of a key in force.
    #[must_use]
    pub fn signed_first(&self, signature: [u8; 64]) -> Self {
        let mut signatures = self.signatures.clone();
        if let Some(first) = signatures.first_mut() {
            *first = signature;
        }
        self.unsigned.clone().assemble(signatures)
    }

    /// All its bytes, signatures included.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes that its signatures cover: exactly those that were parsed.
    fn signed_bytes(&self) -> &[u8] {
        &self.bytes[..self.signed_len]
    }

    /// Whether every signature that it needs holds under these keys, over exactly the parsed bytes. Says nothing of the other rules.
    #[must_use]
    pub fn is_signed(&self, in_force: InForce<'_>) -> bool {
        let signers = self.unsigned.signers(in_force);
        let holds = |((context, key), signed): ((&'static str, &[u8; 32]), &[u8; 64])| {
            signature::verify(key, context, self.signed_bytes(), signed).is_ok()
        };
        signers.len() == self.signatures.len() && signers.into_iter().zip(&self.signatures).all(holds)
    }

    /// Whether the first of its signatures holds under the keys that may be in force: cheap, and no proof that the entry is valid.
    #[must_use]
    pub fn is_begun_by(&self, in_force: InForce<'_>) -> bool {
        match (self.unsigned.signers(in_force).first(), self.signatures.first()) {
            (Some((context, key)), Some(signed)) => {
                signature::verify(key, context, self.signed_bytes(), signed).is_ok()
            }
            _ => false,
        }
    }

    /// `H(label("chain entry") || bytes)`: what the next entry names as its predecessor.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        hash(&[&label("chain entry"), &self.bytes])
    }
}
