//! Opening an envelope, in two steps: decrypt, then verify the sender's signature with keys that the caller looks up.

use std::fmt;

use subtle::ConstantTimeEq as _;
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{AccountId, DeviceId, DeviceRecord, EnvelopeId, LogId, hash, signature};
use zeroize::Zeroizing;

use super::error::OpenError;
use super::header::{Header, Parts};
use super::message::{Message, MessageSender};
use super::message_key::{BoxKind, MessageKey};
use super::sender_box::{Epoch, SenderFields};
use super::wrap::{Binding, Wrap};
use super::{SIGNATURE_CONTEXT, body};
use crate::leaf_identity::LeafIdentity;
use crate::sealing_keys::SealingKeys;
use crate::tag_key::TagKey;

/// Where an envelope came from: what it must agree with.
#[derive(Debug, Clone, Copy)]
pub struct OpenContext<'a> {
    /// The relay's id of the entry.
    pub envelope_id: EnvelopeId,
    /// The relay's kind of the entry.
    pub kind: EnvelopeKind,
    /// The log that it came from; zeros for an inbox.
    pub log: LogId,
    /// That log's tag key; none for an inbox.
    pub tag_key: Option<&'a TagKey>,
    /// Key versions of this device whose sealing keys were erased.
    pub erased: &'a [u32],
}

/// Who an envelope says it is from. Not yet checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Claimed {
    /// The account.
    pub account: AccountId,
    /// Its device.
    pub device: DeviceId,
    /// The version of the device's keys that signed.
    pub key_version: u32,
}

/// A decrypted envelope whose signature is NOT checked: it says who claims to have sent it, and nothing else.
pub struct Opened {
    claimed: Claimed,
    header: Header,
    fields: SenderFields,
    opened_with: u32,
    message: Vec<u8>,
    signature: [u8; 64],
    padded: Zeroizing<Vec<u8>>,
}

/// Decrypts an envelope.
///
/// `keys`: this device's sealing keys, newest first; `account`: its own account. The order of checks: structure, id, kind,
/// wrap, commitment, sender box, log, body. docs/protocol.md "Envelope".
pub fn open(
    envelope: &[u8],
    keys: &[&SealingKeys],
    account: AccountId,
    context: &OpenContext<'_>,
) -> Result<Opened, OpenError> {
    let parts = Parts::split(envelope)?;
    let header = parts.header;
    if header.envelope_id != context.envelope_id {
        return Err(OpenError::WrongId);
    }
    if header.kind != context.kind || header.kind.in_log() != context.tag_key.is_some() {
        return Err(OpenError::WrongKind);
    }
    let header_hash = hash(&[parts.header_bytes]);
    let public_hash = hash(&[parts.header_bytes, parts.wraps]);
    let binding =
        Binding { suite: header.suite, envelope_id: header.envelope_id, com: &header.com, header_hash: &header_hash };
    let (m, opened_with) = match context.tag_key {
        Some(tag_key) => unwrap_in_log(&parts, &binding, keys, account, tag_key, context.erased)?,
        None => unwrap_in_inbox(&parts, &binding, keys, account)?,
    };
    let message_key = MessageKey::new(&m);
    if !message_key.matches(&header.com) {
        return Err(OpenError::Cryptographic);
    }
    let decrypt = |kind, ciphertext| {
        message_key.decrypt(kind, &header_hash, &public_hash, ciphertext).map_err(|_| OpenError::Cryptographic)
    };
    let sender = decrypt(BoxKind::Sender, parts.sender_box)?;
    let (fields, signed, signature) = SenderFields::decode(&sender)?;
    if fields.log != context.log {
        return Err(OpenError::WrongLog);
    }
    if !header.kind.in_log() && fields.epoch != Epoch::default() {
        return Err(waxwing_wire::DecodeError::Invalid("MLS epoch").into());
    }
    let padded = decrypt(BoxKind::Body, parts.body_box)?;
    let message = [public_hash.as_slice(), &hash(&[parts.body_box]), signed].concat();
    let claimed = Claimed { account: fields.account, device: fields.device, key_version: fields.key_version };
    Ok(Opened { claimed, header, fields, opened_with, message, signature, padded })
}

/// Finds the wrap by its tag. The first that matches must open: a tag is 8 bytes of a PRF that only members know.
fn unwrap_in_log(
    parts: &Parts<'_>,
    binding: &Binding<'_>,
    keys: &[&SealingKeys],
    account: AccountId,
    tag_key: &TagKey,
    erased: &[u32],
) -> Result<(Zeroizing<[u8; 32]>, u32), OpenError> {
    let wraps = Wrap::each(parts.header.suite, parts.wraps);
    let find = |device, key_version| {
        let tag = tag_key.tag(parts.header.envelope_id, device, key_version);
        wraps.clone().find(|wrap| wrap.tag.ct_eq(&tag).into())
    };
    for keys in keys {
        if let Some(wrap) = find(keys.device(), keys.key_version()) {
            let m = binding.open(wrap, account, keys).map_err(|_| OpenError::Cryptographic)?;
            return Ok((m, keys.key_version()));
        }
    }
    let device = keys.first().ok_or(OpenError::NotForMe)?.device();
    match erased.iter().find(|key_version| find(device, **key_version).is_some()) {
        Some(key_version) => Err(OpenError::SealedToErasedKey { key_version: *key_version }),
        None => Err(OpenError::NotForMe),
    }
}

/// An inbox has one wrap and no tags (they are zero): each key version is tried, newest first.
fn unwrap_in_inbox(
    parts: &Parts<'_>,
    binding: &Binding<'_>,
    keys: &[&SealingKeys],
    account: AccountId,
) -> Result<(Zeroizing<[u8; 32]>, u32), OpenError> {
    let wrap = Wrap::each(parts.header.suite, parts.wraps).next().ok_or(OpenError::WrapCount)?;
    if wrap.tag != &[0; 8] {
        return Err(waxwing_wire::DecodeError::Invalid("tag").into());
    }
    for keys in keys {
        if let Ok(m) = binding.open(wrap, account, keys) {
            return Ok((m, keys.key_version()));
        }
    }
    Err(OpenError::Cryptographic)
}

impl Opened {
    /// The content (with its type byte) of an inbox envelope whose sender is NOT verified yet; empty for one of a log.
    ///
    /// For one use alone, without which nothing could be verified: it says which relay has its sender's chain.
    #[must_use]
    pub fn unverified_content(&self) -> Zeroizing<Vec<u8>> {
        if self.header.kind.in_log() {
            return Zeroizing::default();
        }
        body::unpad(&self.padded).unwrap_or_default()
    }

    /// Who it says it is from: look up that account's chain to verify with.
    #[must_use]
    pub fn claimed(&self) -> &Claimed {
        &self.claimed
    }

    /// Checks the signature of an envelope from an inbox. `sender` must come from the verified chain of the CLAIMED ACCOUNT,
    /// and be the record of the claimed device and version: the caller answers for the account, this for the rest.
    pub fn verify(self, sender: &DeviceRecord) -> Result<Message, OpenError> {
        if self.header.kind.in_log() {
            return Err(OpenError::WrongKind);
        }
        if sender.device != self.claimed.device || sender.key_version != self.claimed.key_version {
            return Err(OpenError::WrongSender);
        }
        self.check(&sender.signing)
    }

    /// Checks the signature of an envelope from a log. `leaf` must be the credential of a leaf of the group in the epoch
    /// before the envelope's place: this alone says who speaks there.
    pub fn verify_leaf(self, leaf: &LeafIdentity) -> Result<Message, OpenError> {
        if !self.header.kind.in_log() {
            return Err(OpenError::WrongKind);
        }
        let Claimed { account, device, key_version } = self.claimed;
        if (leaf.account, leaf.device, leaf.key_version) != (account, device, key_version) {
            return Err(OpenError::WrongSender);
        }
        self.check(&leaf.signing)
    }

    fn check(self, signing: &[u8; 32]) -> Result<Message, OpenError> {
        signature::verify(signing, SIGNATURE_CONTEXT, &self.message, &self.signature)
            .map_err(|_| OpenError::BadSignature)?;
        let content = body::unpad(&self.padded)?;
        let Claimed { account, device, key_version } = self.claimed;
        Ok(Message::new(
            self.header,
            &self.fields,
            MessageSender { account, device, key_version },
            self.opened_with,
            content,
        ))
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("claimed", &self.claimed).field("content", &"***").finish_non_exhaustive()
    }
}
