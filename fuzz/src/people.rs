//! People with fixed keys, and where their envelopes are.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use waxwing_protocol::{
    AccountKey, ChannelSecret, DeviceKeys, DeviceSeeds, LeafIdentity, Recipient, RecoveryPhrase, Sender, TagKey,
    statement,
};
use waxwing_wire::{AccountId, ChainEntry, DeviceId, LogId, VerifiedChain};

pub(crate) const LOG: LogId = LogId::from_bytes([0x10; 16]);
pub(crate) const NO_LOG: LogId = LogId::from_bytes([0; 16]);

/// Reproducible randomness.
pub(crate) fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

/// An account with one device.
pub(crate) struct Person {
    pub(crate) account: AccountId,
    pub(crate) keys: DeviceKeys,
}

impl Person {
    /// The same number is the same person.
    pub(crate) fn new(number: u8) -> Self {
        Self::at(number, 1)
    }

    /// After rotations.
    pub(crate) fn at(number: u8, key_version: u32) -> Self {
        let mut rng = rng(number);
        let mut seeds = DeviceSeeds::generate(&mut rng);
        for _ in 1..key_version {
            seeds = DeviceSeeds::generate(&mut rng);
        }
        let keys = DeviceKeys::new(DeviceId::from_bytes([number; 16]), key_version, seeds);
        Self { account: AccountId::from_bytes([number + 0x80; 16]), keys: keys.expect("five random seeds differ") }
    }

    pub(crate) fn recipient(&self) -> Recipient<'_> {
        Recipient { account: self.account, record: self.keys.record() }
    }

    pub(crate) fn sender(&self) -> Sender<'_> {
        Sender { account: self.account, keys: self.keys.leaf() }
    }

    pub(crate) fn leaf(&self) -> LeafIdentity {
        LeafIdentity::of(self.account, self.keys.record())
    }
}

pub(crate) fn tag_key() -> TagKey {
    ChannelSecret::from_bytes(&[0xc5; 32]).tag_key()
}

/// Two entries of person 1's chain.
pub(crate) fn chain_entries() -> [ChainEntry; 2] {
    let one = Person::new(1);
    let (account_key, recovery_key) =
        (AccountKey::from_seed(&[1; 32]), RecoveryPhrase::from_entropy(&[2; 32]).recovery_key());
    let name = "alice".parse().ok();
    let create = statement::create(one.account, "waxwing.example", name, &account_key, &recovery_key, &one.keys, 1);
    let chain = VerifiedChain::verify(&[create.as_bytes()]).expect("it is valid");
    let rotate = statement::rotate_device_keys(&chain, &account_key, &Person::at(1, 2).keys, 2);
    [create, rotate]
}
