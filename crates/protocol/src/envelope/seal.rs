//! Sealing an envelope.

use std::collections::HashSet;

use ed25519_dalek::Signer as _;
use waxwing_wire::limits::{MAX_ENVELOPE, MAX_WRAPS};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{AccountId, DeviceRecord, EnvelopeId, LogId, hash, signing_input};
use zeroize::Zeroizing;

use super::error::SealError;
use super::header::Header;
use super::message_key::{BoxKind, MessageKey};
use super::sender_box::{CompactCheckpoint, Epoch, SenderFields};
use super::suite::Suite;
use super::wrap::{Binding, Target};
use super::{AEAD_TAG, SENDER_BOX, SIGNATURE_CONTEXT, body};
use crate::leaf_keys::LeafKeys;
use crate::tag_key::TagKey;

/// Fewest wraps of a log envelope, dummies included.
const FEWEST_WRAPS: usize = 4;

/// A device to seal to, under its keys in force.
#[derive(Debug, Clone, Copy)]
pub struct Recipient<'a> {
    /// Whose device.
    pub account: AccountId,
    /// Its public keys.
    pub record: &'a DeviceRecord,
}

/// The sending device.
#[derive(Debug, Clone, Copy)]
pub struct Sender<'a> {
    /// Whose device.
    pub account: AccountId,
    /// Its keys, of the version that it speaks under; the signing key signs.
    pub keys: &'a LeafKeys,
}

/// What to seal.
#[derive(Clone, Copy)]
pub struct SealRequest<'a> {
    /// What the envelope is for.
    pub kind: EnvelopeKind,
    /// How to wrap; anything but app content needs [`Suite::XWing`].
    pub suite: Suite,
    /// Its id, random, never used before.
    pub envelope_id: EnvelopeId,
    /// The sending device.
    pub sender: Sender<'a>,
    /// The devices, in any order. In a log the sending device must be among them; in an inbox there is exactly one.
    pub recipients: &'a [Recipient<'a>],
    /// The log's tag key; none for an inbox (zero tags, exactly one wrap, no dummies).
    pub tag_key: Option<&'a TagKey>,
    /// The log; zeros for an inbox.
    pub log: LogId,
    /// Seq of the last handshake that this device has processed; 0 if none.
    pub after: u64,
    /// Counts this device's envelopes in this log.
    pub counter: u64,
    /// When, by the sender's clock, in milliseconds since the Unix epoch.
    pub sent_ms: u64,
    /// The MLS epoch that the content was made in; zeros for an inbox.
    pub epoch: Epoch,
    /// Running hash of the log at `after`; zeros for an inbox, and where `after` is 0.
    pub running_hash: [u8; 32],
    /// The newest checkpoint of the own relay's transparency log that was proved here, if any.
    pub checkpoint: Option<CompactCheckpoint>,
    /// The inner content with its own type byte ([`crate::Content::encode`]).
    pub content: &'a [u8],
}

/// Seals an envelope. Costs one KEM encapsulation for each wrap and one signature.
///
/// The wraps' order is shuffled, so that a position says nothing. docs/protocol.md "Envelope".
pub fn seal(request: &SealRequest<'_>, rng: &mut impl rand_core::CryptoRng) -> Result<Vec<u8>, SealError> {
    check(request)?;
    let n_wraps = wraps_for(request);
    let padded = body::pad(request.content).map_err(|_| SealError::TooLong)?;
    let body_len = padded.len().saturating_add(AEAD_TAG);
    let total = (Header::LEN + n_wraps * request.suite.wrap_len() + SENDER_BOX).saturating_add(body_len);
    if total > MAX_ENVELOPE {
        return Err(SealError::TooLong);
    }

    let mut m = Zeroizing::new([0; 32]);
    rng.fill_bytes(m.as_mut_slice());
    let message_key = MessageKey::new(&m);
    let header = Header {
        suite: request.suite,
        kind: request.kind,
        envelope_id: request.envelope_id,
        com: message_key.commitment(),
        n_wraps: u16::try_from(n_wraps).map_err(|_| SealError::TooManyRecipients)?,
        body_len: u32::try_from(body_len).map_err(|_| SealError::TooLong)?,
    };
    let mut envelope = header.encode().map_err(|_| SealError::TooLong)?;
    let header_hash = hash(&[&envelope]);

    let binding =
        Binding { suite: request.suite, envelope_id: request.envelope_id, com: &header.com, header_hash: &header_hash };
    for wrap in wraps(request, &binding, &m, n_wraps, rng)? {
        envelope.extend_from_slice(&wrap);
    }
    let public_hash = hash(&[&envelope]);

    let body_box =
        message_key.encrypt(BoxKind::Body, &header_hash, &public_hash, &padded).map_err(|_| SealError::TooLong)?;
    let mut sender = Zeroizing::new(fields(request).encode());
    let message = [public_hash.as_slice(), &hash(&[&body_box]), &sender].concat();
    let signature = request.sender.keys.signing().sign(&signing_input(SIGNATURE_CONTEXT, &message));
    sender.extend_from_slice(&signature.to_bytes());
    let sender_box =
        message_key.encrypt(BoxKind::Sender, &header_hash, &public_hash, &sender).map_err(|_| SealError::TooLong)?;

    envelope.extend_from_slice(&sender_box);
    envelope.extend_from_slice(&body_box);
    Ok(envelope)
}

fn check(request: &SealRequest<'_>) -> Result<(), SealError> {
    let recipients = request.recipients;
    if recipients.is_empty() {
        return Err(SealError::NoRecipient);
    }
    if recipients.len() > MAX_WRAPS {
        return Err(SealError::TooManyRecipients);
    }
    let mut devices = HashSet::new();
    if !recipients.iter().all(|recipient| devices.insert(recipient.record.device)) {
        return Err(SealError::DuplicateRecipient);
    }
    if !request.suite.allows(request.kind) {
        return Err(SealError::SuiteNotAllowed);
    }
    let sender = &request.sender;
    let own = |recipient: &Recipient<'_>| {
        recipient.account == sender.account && recipient.record.device == sender.keys.device()
    };
    match (request.kind.in_log(), request.tag_key) {
        (true, Some(_)) if !recipients.iter().any(own) => Err(SealError::OwnDeviceMissing),
        (true, Some(_)) => Ok(()),
        (false, None) if request.log != LogId::from_bytes([0; 16]) => Err(SealError::Place),
        (false, None) if request.epoch != Epoch::default() => Err(SealError::Place),
        (false, None) if recipients.len() != 1 => Err(SealError::NotOneRecipient),
        (false, None) => Ok(()),
        _ => Err(SealError::Place),
    }
}

/// In a log 4, 8, 16, 32 ... wraps, so that their number says little; one in an inbox.
fn wraps_for(request: &SealRequest<'_>) -> usize {
    match request.tag_key {
        Some(_) => request.recipients.len().next_power_of_two().max(FEWEST_WRAPS),
        None => request.recipients.len(),
    }
}

fn wraps(
    request: &SealRequest<'_>,
    binding: &Binding<'_>,
    m: &[u8; 32],
    n_wraps: usize,
    rng: &mut impl rand_core::CryptoRng,
) -> Result<Vec<Vec<u8>>, SealError> {
    let mut wraps = Vec::with_capacity(n_wraps);
    for Recipient { account, record } in request.recipients {
        let target = Target { account: *account, device: record.device, key_version: record.key_version };
        let tag = request.tag_key.map_or([0; 8], |key| key.tag(request.envelope_id, record.device, record.key_version));
        let public = match request.suite {
            Suite::X25519 => record.x25519.as_slice(),
            Suite::XWing => record.xwing.as_slice(),
        };
        let wrap = binding.seal(m, target, public, tag, rng);
        wraps.push(wrap.map_err(|_| SealError::RecipientKey { device: record.device })?);
    }
    while wraps.len() < n_wraps {
        let device = request.sender.keys.device();
        wraps.push(binding.dummy(m, rng).map_err(|_| SealError::RecipientKey { device })?);
    }
    shuffle(&mut wraps, rng);
    Ok(wraps)
}

/// Fisher-Yates with unbiased choices.
fn shuffle<T>(items: &mut [T], rng: &mut impl rand_core::CryptoRng) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(last + 1, rng));
    }
}

/// A uniform number below `bound` (1 to 256), by rejection.
fn below(bound: usize, rng: &mut impl rand_core::CryptoRng) -> usize {
    let bound = u32::try_from(bound).unwrap_or(u32::MAX).max(1);
    let fair = u32::MAX - u32::MAX % bound;
    loop {
        let number = rng.next_u32();
        if number < fair {
            return (number % bound) as usize;
        }
    }
}

fn fields(request: &SealRequest<'_>) -> SenderFields {
    SenderFields {
        account: request.sender.account,
        device: request.sender.keys.device(),
        key_version: request.sender.keys.key_version(),
        sent_ms: request.sent_ms,
        counter: request.counter,
        log: request.log,
        after: request.after,
        epoch: request.epoch,
        running_hash: request.running_hash,
        checkpoint: request.checkpoint,
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng as _;

    use super::*;

    #[test]
    fn shuffles_are_fair() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let mut first = [0_u32; 4];
        for _ in 0..4000 {
            let mut items = [0, 1, 2, 3];
            shuffle(&mut items, &mut rng);
            first[items[0]] += 1;
            items.sort_unstable();
            assert_eq!(items, [0, 1, 2, 3]);
        }
        assert!(first.iter().all(|count| (850..1150).contains(count)), "{first:?}");
    }
}
