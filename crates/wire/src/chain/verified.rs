//! A chain whose every signature and rule was checked. Nobody else can make one.

use std::collections::HashSet;

use super::device::{DeviceState, KeyVersion, Place};
use super::entry::{ChainEntry, Create, InForce, Recover, RotateAccountKey, Statement};
use crate::codec::DecodeError;
use crate::device::DeviceRecord;
use crate::ids::{AccountId, DeviceId};
use crate::label::hash;
use crate::limits::{MAX_CHAIN, MAX_CHAIN_BY_ACCOUNT_KEY, MAX_DEVICES};
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

/// What an entry has done, for whoever shows a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainEvent {
    /// Where and when.
    pub place: Place,
    /// What.
    pub what: What,
}

/// What an entry has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The account exists, with this device.
    Created(DeviceId),
    /// A further device.
    DeviceAdded(DeviceId),
    /// A device has keys of this version.
    DeviceKeysRotated(DeviceId, u32),
    /// Another account key; these devices are revoked.
    AccountKeyRotated(Vec<DeviceId>),
    /// The phrase was used: this device is the only one.
    Recovered {
        /// The new device.
        device: DeviceId,
        /// Whether the phrase was replaced, too.
        new_phrase: bool,
    },
    /// The account was given up.
    Closed,
}

/// An account's chain, verified from its first entry on: nothing but [`VerifiedChain::verify`] makes one, and nothing but
/// [`VerifiedChain::extend`] changes one.
///
/// ```
/// use waxwing_wire::VerifiedChain;
///
/// fn newest(entries: &[Vec<u8>]) -> Option<[u8; 32]> {
///     let chain = VerifiedChain::verify(entries).ok()?;
///     Some(*chain.account_key())
/// }
/// ```
///
/// Nobody puts one together, not even out of another:
///
/// ```compile_fail,E0451
/// use waxwing_wire::VerifiedChain;
///
/// fn forged(chain: VerifiedChain) -> VerifiedChain {
///     VerifiedChain { account_key: [7; 32], ..chain }
/// }
/// ```
///
/// or puts another key into it:
///
/// ```compile_fail,E0616
/// use waxwing_wire::VerifiedChain;
///
/// fn forge(chain: &mut VerifiedChain) {
///     chain.account_key = [7; 32];
/// }
/// ```
///
/// and there is none without entries:
///
/// ```compile_fail,E0277
/// use waxwing_wire::VerifiedChain;
///
/// fn made<T: Default>() {}
/// made::<VerifiedChain>();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedChain {
    account: AccountId,
    create: Create,
    account_key: [u8; 32],
    recovery_key: [u8; 32],
    closed: bool,
    /// How many entries there may be before only `recover` is taken.
    room: usize,
    devices: Vec<DeviceState>,
    /// Every public key that was ever stated (ML-KEM's by its hash): none comes back, in whatever role.
    used: HashSet<[u8; 32]>,
    events: Vec<ChainEvent>,
    hashes: Vec<[u8; 32]>,
    /// From which entry on which account key and recovery key were in force, oldest first.
    keys: Vec<(u32, [u8; 32], [u8; 32])>,
}

impl VerifiedChain {
    /// Verifies a chain from its first entry. O(entries), at most 6 signature checks each.
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
        check_first_version(&create.device)?;
        let (account_key, recovery_key) = (create.account_key, create.recovery_key);
        check_distinct([&account_key, &recovery_key], &create.device)?;
        check_signatures(entry, InForce { account_key: &account_key, recovery_key: &recovery_key })?;
        let place = Place { seq: 0, at_ms: unsigned.at_ms };
        let mut used = HashSet::from([account_key, recovery_key]);
        used.extend(keys_of(&create.device));
        Ok(Self {
            account: unsigned.account,
            create: Create::clone(create),
            account_key,
            recovery_key,
            closed: false,
            room: room_after(0),
            devices: vec![DeviceState::new(create.device.clone(), place)],
            used,
            events: vec![ChainEvent { place, what: What::Created(create.device.device) }],
            hashes: vec![entry.hash()],
            keys: vec![(0, account_key, recovery_key)],
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
        let recovers = matches!(unsigned.statement, Statement::Recover(_));
        if self.hashes.len() >= if recovers { MAX_CHAIN } else { self.room } {
            return Err(ChainError::Rule("the chain is too long"));
        }
        if self.closed && !recovers {
            return Err(ChainError::Rule("the account is closed"));
        }
        let place = Place { seq: unsigned.seq, at_ms: unsigned.at_ms };
        let what = match &unsigned.statement {
            Statement::Create(_) => return Err(ChainError::Rule("`create` stands only at the start")),
            Statement::AddDevice(record) => self.add_device(&entry, record, place)?,
            Statement::RotateDeviceKeys(record) => self.rotate_device_keys(&entry, record, place)?,
            Statement::RotateAccountKey(rotate) => self.rotate_account_key(&entry, rotate, place)?,
            Statement::Recover(recover) => self.recover(&entry, recover, place)?,
            Statement::Close => {
                check_signatures(&entry, self.in_force())?;
                self.closed = true;
                What::Closed
            }
        };
        self.events.push(ChainEvent { place, what });
        self.hashes.push(entry.hash());
        Ok(())
    }

    fn add_device(&mut self, entry: &ChainEntry, record: &DeviceRecord, place: Place) -> Result<What, ChainError> {
        check_first_version(record)?;
        check_distinct([&self.account_key, &self.recovery_key], record)?;
        check_signatures(entry, self.in_force())?;
        if self.past_device(record.device).is_some() {
            return Err(ChainError::Rule("the device was in the chain before"));
        }
        if self.devices().count() >= MAX_DEVICES {
            return Err(ChainError::Rule("too many devices"));
        }
        self.check_fresh(keys_of(record), "a key was in use before")?;
        self.used.extend(keys_of(record));
        self.devices.push(DeviceState::new(record.clone(), place));
        Ok(What::DeviceAdded(record.device))
    }

    fn rotate_device_keys(
        &mut self,
        entry: &ChainEntry,
        record: &DeviceRecord,
        place: Place,
    ) -> Result<What, ChainError> {
        check_distinct([&self.account_key, &self.recovery_key], record)?;
        check_signatures(entry, self.in_force())?;
        let device = self.device(record.device).ok_or(ChainError::Rule("the device is not in the chain"))?;
        if record.key_version.checked_sub(1) != Some(device.current().record.key_version) {
            return Err(ChainError::Rule("the key version must grow by 1"));
        }
        self.check_fresh(keys_of(record), "a rotation must replace every key")?;
        self.used.extend(keys_of(record));
        if let Some(device) = self.devices.iter_mut().find(|device| device.id() == record.device) {
            device.rotate(KeyVersion { record: record.clone(), seq: place.seq, at_ms: place.at_ms });
        }
        Ok(What::DeviceKeysRotated(record.device, record.key_version))
    }

    fn rotate_account_key(
        &mut self,
        entry: &ChainEntry,
        rotate: &RotateAccountKey,
        place: Place,
    ) -> Result<What, ChainError> {
        check_signatures(entry, self.in_force())?;
        self.check_fresh([rotate.account_key], "a key was in use before")?;
        if rotate.revoked.iter().any(|device| self.device(*device).is_none()) {
            return Err(ChainError::Rule("the device is not in the chain"));
        }
        if self.devices().count() <= rotate.revoked.len() {
            return Err(ChainError::Rule("no device would be left"));
        }
        self.used.insert(rotate.account_key);
        self.account_key = rotate.account_key;
        self.keys.push((place.seq, self.account_key, self.recovery_key));
        for device in self.devices.iter_mut().filter(|device| rotate.revoked.contains(&device.id())) {
            device.revoke(place);
        }
        Ok(What::AccountKeyRotated(rotate.revoked.clone()))
    }

    fn recover(&mut self, entry: &ChainEntry, recover: &Recover, place: Place) -> Result<What, ChainError> {
        let record = &recover.device;
        check_first_version(record)?;
        check_distinct([&recover.account_key, &recover.recovery_key], record)?;
        check_signatures(entry, self.in_force())?;
        if self.past_device(record.device).is_some() {
            return Err(ChainError::Rule("the device was in the chain before"));
        }
        let new_phrase = recover.recovery_key != self.recovery_key;
        self.check_fresh(keys_of(record), "a key was in use before")?;
        self.check_fresh([recover.account_key], "a key was in use before")?;
        if new_phrase {
            self.check_fresh([recover.recovery_key], "a key was in use before")?;
        }
        self.used.extend(keys_of(record));
        self.used.extend([recover.account_key, recover.recovery_key]);
        self.account_key = recover.account_key;
        self.recovery_key = recover.recovery_key;
        self.keys.push((place.seq, self.account_key, self.recovery_key));
        self.closed = false;
        self.room = room_after(self.hashes.len() + 1);
        self.devices.iter_mut().for_each(|device| device.revoke(place));
        self.devices.push(DeviceState::new(record.clone(), place));
        Ok(What::Recovered { device: record.device, new_phrase })
    }

    fn in_force(&self) -> InForce<'_> {
        InForce { account_key: &self.account_key, recovery_key: &self.recovery_key }
    }

    fn check_fresh(&self, keys: impl IntoIterator<Item = [u8; 32]>, rule: &'static str) -> Result<(), ChainError> {
        if keys.into_iter().any(|key| self.used.contains(&key)) { Err(ChainError::Rule(rule)) } else { Ok(()) }
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
        &self.account_key
    }

    /// The recovery key in force.
    #[must_use]
    pub fn recovery_key(&self) -> &[u8; 32] {
        &self.recovery_key
    }

    /// The keys that were in force after entry `seq`, if there is one.
    #[must_use]
    pub fn keys_at(&self, seq: u32) -> Option<InForce<'_>> {
        let (_, account_key, recovery_key) = self.keys.iter().rev().find(|(from, ..)| *from <= seq)?;
        (seq <= self.seq()).then_some(InForce { account_key, recovery_key })
    }

    /// Whether the account was given up. Its devices stay as they were, for what they said before.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// The devices in force.
    pub fn devices(&self) -> impl DoubleEndedIterator<Item = &DeviceState> {
        self.devices.iter().filter(|device| device.revoked().is_none())
    }

    /// A device in force.
    #[must_use]
    pub fn device(&self, device: DeviceId) -> Option<&DeviceState> {
        self.past_device(device).filter(|state| state.revoked().is_none())
    }

    /// All devices that ever were, in the order of their entries.
    #[must_use]
    pub fn past_devices(&self) -> &[DeviceState] {
        &self.devices
    }

    /// A device that is or once was in force.
    #[must_use]
    pub fn past_device(&self, device: DeviceId) -> Option<&DeviceState> {
        self.devices.iter().find(|state| state.id() == device)
    }

    /// What each entry has done, from the first on.
    #[must_use]
    pub fn events(&self) -> &[ChainEvent] {
        &self.events
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

/// How far the account key may lengthen a chain of which so many entries stand: a quarter of what is left stays.
///
/// Whoever holds a stolen account key must not be able to fill the chain up. The owner's phrase needs room for its `recover`, and
/// the account key that it puts in force needs room, too: an account whose keys can never change again is lost all the same.
fn room_after(entries: usize) -> usize {
    let left = MAX_CHAIN.saturating_sub(entries);
    (MAX_CHAIN - left / 4).min(MAX_CHAIN_BY_ACCOUNT_KEY)
}

fn check_signatures(entry: &ChainEntry, in_force: InForce<'_>) -> Result<(), ChainError> {
    if entry.is_signed(in_force) { Ok(()) } else { Err(ChainError::Signature) }
}

fn check_first_version(record: &DeviceRecord) -> Result<(), ChainError> {
    if record.key_version == 1 { Ok(()) } else { Err(ChainError::Rule("a new device starts with key version 1")) }
}

/// No key serves in two roles (P4).
fn check_distinct(account: [&[u8; 32]; 2], record: &DeviceRecord) -> Result<(), ChainError> {
    let mut seen = HashSet::new();
    let xwing_x25519 = record.xwing_x25519();
    let device = [&record.relay_auth, &record.signing, &record.mls, &record.x25519, &xwing_x25519];
    if account.into_iter().chain(device).all(|key| seen.insert(key)) {
        Ok(())
    } else {
        Err(ChainError::Rule("one key in two roles"))
    }
}

/// What a record's keys are remembered by. Each half of an X-Wing key counts for itself: a new one beside an old one is no new key.
fn keys_of(record: &DeviceRecord) -> [[u8; 32]; 6] {
    let ml_kem = hash(&[record.xwing_ml_kem()]);
    [record.relay_auth, record.signing, record.mls, record.x25519, record.xwing_x25519(), ml_kem]
}
