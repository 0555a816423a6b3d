//! Owners of chains, with fixed keys, and entries signed by whomever a test likes.

use ed25519_dalek::{Signer as _, SigningKey};
use waxwing_protocol::statement::{self, NewKeys};
use waxwing_protocol::{AccountKey, DeviceKeys, DeviceSeeds, RecoveryKey, RecoveryPhrase};
use waxwing_wire::chain::{Statement, UnsignedEntry};
use waxwing_wire::{AccountId, ChainEntry, ChainError, DeviceId, DeviceRecord, Username, VerifiedChain, signing_input};

use super::rng;

/// Somebody with an account and a first device.
pub struct Owner {
    pub account: AccountId,
    pub account_key: AccountKey,
    pub recovery_key: RecoveryKey,
    pub device: DeviceId,
}

/// Owner number `n`; the same number is the same owner.
pub fn owner(n: u8) -> Owner {
    Owner {
        account: AccountId::from_bytes([n; 16]),
        account_key: AccountKey::generate(&mut rng(n)),
        recovery_key: recovery_key(n.wrapping_add(100)),
        device: DeviceId::from_bytes([n.wrapping_add(1); 16]),
    }
}

/// The key of phrase number `n`.
pub fn recovery_key(n: u8) -> RecoveryKey {
    RecoveryPhrase::generate(&mut rng(n)).recovery_key()
}

/// Any account's next account key, number `n`.
pub fn account_key(n: u8) -> AccountKey {
    AccountKey::from_seed(&[n; 32])
}

/// Keys of the device whose id is `[n; 16]`.
pub fn device_keys(n: u8, version: u32) -> DeviceKeys {
    let mut rng = rng(n.wrapping_add(50));
    let mut seeds = DeviceSeeds::generate(&mut rng);
    for _ in 1..version {
        seeds = DeviceSeeds::generate(&mut rng);
    }
    DeviceKeys::new(DeviceId::from_bytes([n; 16]), version, seeds).unwrap()
}

impl Owner {
    /// Keys of the first device.
    pub fn keys(&self, version: u32) -> DeviceKeys {
        device_keys(self.device.as_bytes()[0], version)
    }

    pub fn create(&self) -> ChainEntry {
        let name: Username = "alice".parse().unwrap();
        let (account_key, recovery_key) = (&self.account_key, &self.recovery_key);
        statement::create(self.account, "waxwing.example", Some(name), account_key, recovery_key, &self.keys(1), 1000)
    }

    /// A chain of `entries`, rotation after rotation of the device's keys.
    pub fn chain(&self, entries: u32) -> Vec<Vec<u8>> {
        let mut bytes = vec![self.create().as_bytes().to_vec()];
        for version in 2..=entries {
            let chain = VerifiedChain::verify(&bytes).unwrap();
            let (key, new) = (&self.account_key, &self.keys(version));
            let entry = statement::rotate_device_keys(&chain, key, new, 1000 * u64::from(version));
            bytes.push(entry.as_bytes().to_vec());
        }
        bytes
    }
}

/// A chain with its entries.
#[derive(Clone)]
pub struct History {
    pub chain: VerifiedChain,
    pub entries: Vec<Vec<u8>>,
}

impl History {
    /// With the first entry.
    pub fn of(owner: &Owner) -> Self {
        let entries = owner.chain(1);
        Self { chain: VerifiedChain::verify(&entries).unwrap(), entries }
    }

    /// The first `entries` of it.
    pub fn cut(&self, entries: usize) -> Self {
        let entries = self.entries[..entries].to_vec();
        Self { chain: VerifiedChain::verify(&entries).unwrap(), entries }
    }

    pub fn push(&mut self, entry: &ChainEntry) -> &mut Self {
        self.chain.extend(entry.as_bytes()).unwrap();
        self.entries.push(entry.as_bytes().to_vec());
        self
    }

    pub fn add_device(&mut self, by: &AccountKey, device: &DeviceKeys) -> &mut Self {
        let entry = statement::add_device(&self.chain, by, device, self.next_ms());
        self.push(&entry)
    }

    pub fn rotate_device_keys(&mut self, by: &AccountKey, new: &DeviceKeys) -> &mut Self {
        let entry = statement::rotate_device_keys(&self.chain, by, new, self.next_ms());
        self.push(&entry)
    }

    pub fn rotate_account_key(&mut self, by: &AccountKey, new: &AccountKey, revoked: &[DeviceId]) -> &mut Self {
        let entry = statement::rotate_account_key(&self.chain, by, new, revoked, self.next_ms());
        self.push(&entry)
    }

    pub fn recover(&mut self, by: &RecoveryKey, new: &NewKeys<'_>) -> &mut Self {
        let entry = statement::recover(&self.chain, by, new, self.next_ms());
        self.push(&entry)
    }

    pub fn close(&mut self, by: &AccountKey) -> &mut Self {
        let entry = statement::close(&self.chain, by, self.next_ms());
        self.push(&entry)
    }

    fn next_ms(&self) -> u64 {
        1000 * (self.entries.len() as u64 + 1)
    }

    /// What comes of an entry in this place; the history itself stays.
    pub fn judge(&self, entry: &[u8]) -> Result<VerifiedChain, ChainError> {
        let mut chain = self.chain.clone();
        chain.extend(entry).inspect_err(|_| assert_eq!(chain, self.chain, "an error leaves the chain as it was"))?;
        Ok(chain)
    }

    /// That an entry is refused, and why.
    pub fn refuse(&self, entry: &[u8], expected: ChainError) {
        assert_eq!(self.judge(entry).unwrap_err(), expected);
    }

    /// The next entry, not signed yet.
    pub fn next(&self, statement: Statement) -> UnsignedEntry {
        next(&self.chain, statement)
    }
}

/// The next entry of a chain, not signed yet.
pub fn next(chain: &VerifiedChain, statement: Statement) -> UnsignedEntry {
    UnsignedEntry { account: chain.account(), seq: chain.seq() + 1, prev_hash: chain.head(), statement, at_ms: 5 }
}

/// Why entries are no chain.
pub fn error(entries: &[Vec<u8>]) -> ChainError {
    VerifiedChain::verify(entries).unwrap_err()
}

/// Whoever can sign in a context.
pub trait Signs {
    fn sign_in(&self, context: &str, message: &[u8]) -> [u8; 64];

    fn public_key(&self) -> [u8; 32];
}

impl Signs for AccountKey {
    fn public_key(&self) -> [u8; 32] {
        self.public()
    }

    fn sign_in(&self, context: &str, message: &[u8]) -> [u8; 64] {
        self.sign(context, message)
    }
}

impl Signs for RecoveryKey {
    fn public_key(&self) -> [u8; 32] {
        self.public()
    }

    fn sign_in(&self, context: &str, message: &[u8]) -> [u8; 64] {
        self.sign(context, message)
    }
}

impl Signs for SigningKey {
    fn public_key(&self) -> [u8; 32] {
        self.verifying_key().to_bytes()
    }

    fn sign_in(&self, context: &str, message: &[u8]) -> [u8; 64] {
        self.sign(&signing_input(context, message)).to_bytes()
    }
}

/// Signs an entry with any keys in any contexts.
pub fn sign(unsigned: UnsignedEntry, signers: &[Signer<'_>]) -> Vec<u8> {
    let message = unsigned.encode();
    let signatures = signers.iter().map(|(context, key)| key.sign_in(context, &message)).collect();
    unsigned.assemble(signatures).as_bytes().to_vec()
}

/// Who signs, in which context.
pub type Signer<'a> = (&'static str, &'a dyn Signs);

/// How a device's Ed25519 keys prove themselves.
pub fn possessions(device: &DeviceKeys) -> [Signer<'_>; 3] {
    [
        ("chain possess relay-auth", device.relay_auth()),
        ("chain possess signing", device.signing()),
        ("chain possess mls", device.mls()),
    ]
}

/// Signs an entry with `first`, and with the Ed25519 keys of `device` as it must prove them.
pub fn sign_with_device(unsigned: UnsignedEntry, first: &[Signer<'_>], device: &DeviceKeys) -> Vec<u8> {
    sign(unsigned, &[first, &possessions(device)].concat())
}

/// A rotation to `record`, signed by `account_key` and by the Ed25519 keys of `keys`.
pub fn rotation(chain: &VerifiedChain, account_key: &AccountKey, record: &DeviceRecord, keys: &DeviceKeys) -> Vec<u8> {
    let statement = Statement::RotateDeviceKeys(Box::new(record.clone()));
    sign_with_device(next(chain, statement), &[("chain account", account_key)], keys)
}

/// Alice with a history in which every statement stands, most of them twice, and the keys in force at its end.
pub struct Story {
    pub alice: Owner,
    pub history: History,
    pub account_key: AccountKey,
    pub recovery_key: RecoveryKey,
}

/// The ids of the devices of [`story`], in the order in which they came.
pub const DEVICES: [DeviceId; 6] = [
    DeviceId::from_bytes([2; 16]),
    DeviceId::from_bytes([20; 16]),
    DeviceId::from_bytes([30; 16]),
    DeviceId::from_bytes([40; 16]),
    DeviceId::from_bytes([50; 16]),
    DeviceId::from_bytes([60; 16]),
];

/// A history of all statements.
pub fn story() -> Story {
    let alice = owner(1);
    let mut history = History::of(&alice);
    let (second, third) = (account_key(201), account_key(202));
    let new_phrase = recovery_key(120);
    history
        .add_device(&alice.account_key, &device_keys(20, 1))
        .rotate_device_keys(&alice.account_key, &device_keys(20, 2))
        .add_device(&alice.account_key, &device_keys(30, 1))
        .rotate_account_key(&alice.account_key, &second, &[DEVICES[1]])
        .rotate_account_key(&second, &third, &[])
        .close(&third);
    let (fourth, device) = (account_key(203), device_keys(40, 1));
    let new = NewKeys { recovery_key: &new_phrase, account_key: &fourth, device: &device };
    history.recover(&alice.recovery_key, &new).add_device(&fourth, &device_keys(50, 1));
    let (fifth, device) = (account_key(204), device_keys(60, 1));
    history.recover(&new_phrase, &NewKeys { recovery_key: &new_phrase, account_key: &fifth, device: &device });
    Story { alice, history, account_key: fifth, recovery_key: new_phrase }
}
