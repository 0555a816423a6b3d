//! A chain whose every signature and rule was checked. Nobody else can make one.

use std::collections::HashSet;

use super::entry::{ChainEntry, Create, Statement};
use crate::codec::DecodeError;
use crate::device::DeviceRecord;
use crate::ids::{AccountId, DeviceId};
use crate::limits::MAX_CHAIN;
use crate::signature;
use crate::username::Username;

/// Why a chain is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// An entry cannot be read.
    #[error("a chain entry cannot be read: {0}")]
    Decode(#[from] DecodeError),
    /// There is no entry.
    #[error("the chain is empty")]
    Empty,
    /// An entry belongs to another account.
    #[error("a chain entry belongs to another account")]
    Account,
    /// An entry does not follow the one before.
    #[error("a chain entry does not follow the one before it")]
    Order,
    /// A signature does not hold.
    #[error("a signature in the chain does not hold")]
    Signature,
    /// An entry states what it may not.
    #[error("a chain entry breaks a rule: {0}")]
    Rule(&'static str),
}

/// Device keys that were in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyVersion {
    /// The keys.
    pub record: DeviceRecord,
    /// The entry that stated them.
    pub seq: u32,
    /// That entry's time, in milliseconds since the Unix epoch, by the signer's clock.
    pub at_ms: u64,
}

/// A device and all its key versions, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceState {
    first: KeyVersion,
    later: Vec<KeyVersion>,
}

impl DeviceState {
    /// The version in force.
    #[must_use]
    pub fn current(&self) -> &KeyVersion {
        self.later.last().unwrap_or(&self.first)
    }

    /// All versions, oldest first.
    pub fn versions(&self) -> impl DoubleEndedIterator<Item = &KeyVersion> {
        std::iter::once(&self.first).chain(&self.later)
    }

    /// The keys of version `key_version`, current or not.
    #[must_use]
    pub fn version(&self, key_version: u32) -> Option<&KeyVersion> {
        self.versions().find(|version| version.record.key_version == key_version)
    }
}

/// An account's chain, verified from its first entry on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedChain {
    account: AccountId,
    create: Create,
    devices: Vec<DeviceState>,
    hashes: Vec<[u8; 32]>,
}

impl VerifiedChain {
    /// Verifies a chain from its first entry. O(entries), 4 or 5 signature checks each.
    pub fn verify<B: AsRef<[u8]>>(entries: &[B]) -> Result<Self, ChainError> {
        let (first, rest) = entries.split_first().ok_or(ChainError::Empty)?;
        let mut chain = Self::start(&ChainEntry::decode(first.as_ref())?)?;
        for bytes in rest {
            chain.extend(bytes.as_ref())?;
        }
        Ok(chain)
    }

    fn start(entry: &ChainEntry) -> Result<Self, ChainError> {
        let unsigned = &entry.unsigned;
        let Statement::Create(create) = &unsigned.statement else {
            return Err(ChainError::Rule("a chain starts with `create`"));
        };
        if unsigned.seq != 0 || unsigned.prev_hash != [0; 32] {
            return Err(ChainError::Order);
        }
        if create.device.key_version != 1 {
            return Err(ChainError::Rule("a new device starts with key version 1"));
        }
        check_distinct(create, &create.device)?;
        check_signatures(entry, &create.account_key)?;
        let first = KeyVersion { record: create.device.clone(), seq: 0, at_ms: unsigned.at_ms };
        Ok(Self {
            account: unsigned.account,
            create: Create::clone(create),
            devices: vec![DeviceState { first, later: Vec::new() }],
            hashes: vec![entry.hash()],
        })
    }

    /// Verifies and adds the next entry. On an error the chain is unchanged.
    pub fn extend(&mut self, bytes: &[u8]) -> Result<(), ChainError> {
        let entry = ChainEntry::decode(bytes)?;
        let unsigned = &entry.unsigned;
        if unsigned.account != self.account {
            return Err(ChainError::Account);
        }
        if unsigned.seq as usize != self.hashes.len() || unsigned.prev_hash != self.head() {
            return Err(ChainError::Order);
        }
        if self.hashes.len() >= MAX_CHAIN {
            return Err(ChainError::Rule("the chain is too long"));
        }
        match &unsigned.statement {
            Statement::Create(_) => return Err(ChainError::Rule("`create` stands only at the start")),
            Statement::RotateDeviceKeys(record) => {
                check_distinct(&self.create, record)?;
                check_signatures(&entry, &self.create.account_key)?;
                let device = self
                    .devices
                    .iter_mut()
                    .find(|device| device.first.record.device == record.device)
                    .ok_or(ChainError::Rule("the device is not in the chain"))?;
                if record.key_version.checked_sub(1) != Some(device.current().record.key_version) {
                    return Err(ChainError::Rule("the key version must grow by 1"));
                }
                if device.versions().any(|old| shares_a_key(&old.record, record)) {
                    return Err(ChainError::Rule("a rotation must replace every key"));
                }
                device.later.push(KeyVersion {
                    record: DeviceRecord::clone(record),
                    seq: unsigned.seq,
                    at_ms: unsigned.at_ms,
                });
            }
        }
        self.hashes.push(entry.hash());
        Ok(())
    }

    /// Whose chain.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// The user name, unless the account is private.
    #[must_use]
    pub fn name(&self) -> Option<&Username> {
        self.create.name.as_ref()
    }

    /// The relay that it was made for.
    #[must_use]
    pub fn log_origin(&self) -> &str {
        &self.create.log_origin
    }

    /// The account key in force.
    #[must_use]
    pub fn account_key(&self) -> &[u8; 32] {
        &self.create.account_key
    }

    /// The recovery key in force.
    #[must_use]
    pub fn recovery_key(&self) -> &[u8; 32] {
        &self.create.recovery_key
    }

    /// The devices in force.
    #[must_use]
    pub fn devices(&self) -> &[DeviceState] {
        &self.devices
    }

    /// One device.
    #[must_use]
    pub fn device(&self, device: DeviceId) -> Option<&DeviceState> {
        self.devices.iter().find(|state| state.first.record.device == device)
    }

    /// Hash of the newest entry.
    #[must_use]
    pub fn head(&self) -> [u8; 32] {
        self.hashes.last().copied().unwrap_or_default()
    }

    /// Number of the newest entry.
    #[must_use]
    pub fn seq(&self) -> u32 {
        u32::try_from(self.hashes.len() - 1).unwrap_or(u32::MAX)
    }

    /// Hash of entry `seq`, if there is one: what an invite pins.
    #[must_use]
    pub fn hash_at(&self, seq: u32) -> Option<[u8; 32]> {
        self.hashes.get(seq as usize).copied()
    }
}

/// Every required signature, in its own context, over exactly the parsed bytes.
fn check_signatures(entry: &ChainEntry, account_key: &[u8; 32]) -> Result<(), ChainError> {
    let signers = entry.unsigned.signers(account_key);
    if signers.len() != entry.signatures().len() {
        return Err(ChainError::Signature);
    }
    for ((context, key), signature) in signers.into_iter().zip(entry.signatures()) {
        signature::verify(key, context, entry.signed_bytes(), signature).map_err(|_| ChainError::Signature)?;
    }
    Ok(())
}

/// No key serves in two roles (P4).
fn check_distinct(create: &Create, record: &DeviceRecord) -> Result<(), ChainError> {
    let mut seen = HashSet::new();
    let keys =
        [&create.recovery_key, &create.account_key, &record.relay_auth, &record.signing, &record.mls, &record.x25519];
    if keys.into_iter().all(|key| seen.insert(key)) { Ok(()) } else { Err(ChainError::Rule("one key in two roles")) }
}

fn shares_a_key(old: &DeviceRecord, new: &DeviceRecord) -> bool {
    let ed25519 = |record: &DeviceRecord| [record.relay_auth, record.signing, record.mls];
    ed25519(new).iter().any(|key| ed25519(old).contains(key)) || old.x25519 == new.x25519 || old.xwing == new.xwing
}
