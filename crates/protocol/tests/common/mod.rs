//! What the tests share: people and chains with fixed keys, and (in `second`) an implementation that shares no code with `src/`.

#![allow(dead_code, missing_docs, reason = "each test file uses its own part")]

pub mod forged;
pub mod owner;
pub mod second;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use waxwing_protocol::envelope;
use waxwing_protocol::{
    ChannelSecret, DeviceKeys, DeviceSeeds, Epoch, LeafIdentity, Message, OpenContext, OpenError, Recipient,
    SealRequest, Sender, Suite, TagKey,
};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{AccountId, DeviceId, EnvelopeId, LogId};

/// Reproducible randomness.
pub fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

/// An account with one device.
pub struct Person {
    pub account: AccountId,
    pub keys: DeviceKeys,
}

/// Person number `n`; the same number is the same person.
pub fn person(n: u8) -> Person {
    person_at(n, 1)
}

/// Person number `n` after rotations: same ids, other keys.
pub fn person_at(n: u8, key_version: u32) -> Person {
    let mut rng = rng(n);
    let (mut account, mut device) = ([0; 16], [0; 16]);
    rng.fill_bytes(&mut account);
    rng.fill_bytes(&mut device);
    let mut seeds = DeviceSeeds::generate(&mut rng);
    for _ in 1..key_version {
        seeds = DeviceSeeds::generate(&mut rng);
    }
    let keys = DeviceKeys::new(DeviceId::from_bytes(device), key_version, seeds).unwrap();
    Person { account: AccountId::from_bytes(account), keys }
}

impl Person {
    pub fn recipient(&self) -> Recipient<'_> {
        Recipient { account: self.account, record: self.keys.record() }
    }

    pub fn sender(&self) -> Sender<'_> {
        Sender { account: self.account, keys: self.keys.leaf() }
    }

    /// The credential of this device's leaf.
    pub fn leaf(&self) -> LeafIdentity {
        LeafIdentity::of(self.account, self.keys.record())
    }
}

pub const ID: EnvelopeId = EnvelopeId::from_bytes([0xe1; 16]);
pub const LOG: LogId = LogId::from_bytes([0x10; 16]);
pub const NO_LOG: LogId = LogId::from_bytes([0; 16]);
/// The MLS epoch that everything in [`LOG`] is sealed in.
pub const EPOCH: Epoch = Epoch { number: 5, authenticator: [0xa5; 32] };

pub fn tag_key() -> TagKey {
    ChannelSecret::from_bytes(&[0xc5; 32]).tag_key()
}

/// A request for app content in the log [`LOG`].
pub fn in_log<'a>(
    sender: &'a Person,
    recipients: &'a [Recipient<'a>],
    tag_key: &'a TagKey,
    content: &'a [u8],
) -> SealRequest<'a> {
    SealRequest {
        kind: EnvelopeKind::App,
        suite: Suite::X25519,
        envelope_id: ID,
        sender: sender.sender(),
        recipients,
        tag_key: Some(tag_key),
        log: LOG,
        after: 7,
        counter: 42,
        sent_ms: 1_700_000_000_123,
        epoch: EPOCH,
        running_hash: [0x77; 32],
        checkpoint: None,
        content,
    }
}

/// A request for a welcome in an inbox.
pub fn in_inbox<'a>(sender: &'a Person, recipient: &'a [Recipient<'a>; 1], content: &'a [u8]) -> SealRequest<'a> {
    SealRequest {
        kind: EnvelopeKind::Welcome,
        suite: Suite::XWing,
        envelope_id: ID,
        sender: sender.sender(),
        recipients: recipient,
        tag_key: None,
        log: NO_LOG,
        after: 0,
        counter: 1,
        sent_ms: 1_700_000_000_123,
        epoch: Epoch::default(),
        running_hash: [0; 32],
        checkpoint: None,
        content,
    }
}

pub fn log_context(tag_key: &TagKey) -> OpenContext<'_> {
    OpenContext { envelope_id: ID, kind: EnvelopeKind::App, log: LOG, tag_key: Some(tag_key), erased: &[] }
}

pub fn inbox_context() -> OpenContext<'static> {
    OpenContext { envelope_id: ID, kind: EnvelopeKind::Welcome, log: NO_LOG, tag_key: None, erased: &[] }
}

/// Opens as `me` and verifies as `sender`: in a log by the leaf, in an inbox by the chain.
pub fn open_as(me: &Person, sender: &Person, envelope: &[u8], context: &OpenContext<'_>) -> Result<Message, OpenError> {
    let opened = envelope::open(envelope, &[me.keys.sealing()], me.account, context)?;
    if context.kind.in_log() { opened.verify_leaf(&sender.leaf()) } else { opened.verify(sender.keys.record()) }
}

/// That a decoder reads what its encoder wrote, nothing shorter and nothing longer, and that nothing has a second encoding
/// (P18). `again` decodes and encodes.
pub fn one_encoding(bytes: &[u8], again: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    assert!(again(bytes).as_deref() == Some(bytes), "reads back what it wrote");
    for len in 0..bytes.len() {
        assert_eq!(again(&bytes[..len]), None, "cut to {len}");
    }
    for byte in 0..=255 {
        assert_eq!(again(&[bytes, &[byte]].concat()), None, "with {byte} behind");
    }
    let mut changed = bytes.to_vec();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            changed[at] ^= 1 << bit;
            assert!(again(&changed).is_none_or(|read| read == changed), "byte {at}, bit {bit}");
            changed[at] ^= 1 << bit;
        }
    }
}

/// `len u32 | bytes`.
pub fn var(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}
