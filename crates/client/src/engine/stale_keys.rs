//! Something was sealed to a key that this device has erased: it says so in the log, with its newer keys, and whoever sealed it does so again
//! (design section 5). Not here: how long old keys are kept (`rotation`).

use waxwing_protocol::group::ChainPart;
use waxwing_protocol::stale_key::{MAX_STALE_ENTRIES, MAX_STALE_ENVELOPES};
use waxwing_protocol::{AppMessage, StaleKey};
use waxwing_wire::chain::What;
use waxwing_wire::{EnvelopeId, VerifiedChain};

use super::entries::Reading;
use super::{handshake, safety};
use crate::error::Error;
use crate::mls::rules::Leaf;
use crate::random;
use crate::store::logs::Noted;
use crate::store::{logs, messages, outbox};
use crate::views::Standing;

/// What comes in within this time goes into one notice.
const TOGETHER_MS: u64 = 1000;
/// Each device's notices are heeded at most this often: they make others send again.
const HEEDED_EACH_MS: u64 = 10 * 60 * 1000;

/// An envelope was for an erased version of this device's keys: what the others are told of it waits to be sent.
pub(super) fn note(reading: &mut Reading<'_>, envelope: EnvelopeId, key_version: u32) -> Result<(), Error> {
    if reading.conversation.standing != Standing::Member {
        return Ok(());
    }
    let (tx, context, conversation) = (reading.tx, reading.context, reading.log.conversation);
    for item in outbox::messages(tx, &conversation)?.into_iter().filter(|item| item.sealed.is_none()) {
        let Ok(AppMessage::StaleKey(mut told)) = AppMessage::decode(&item.content) else { continue };
        if told.envelopes.len() < MAX_STALE_ENVELOPES && !told.envelopes.contains(&envelope) {
            told.envelopes.push(envelope);
            outbox::replace_change(tx, item.n, &AppMessage::StaleKey(told).encode())?;
        }
        return Ok(());
    }
    let Some(chain) = context.chains.load(tx, context.account)? else { return Ok(()) };
    let Some(from_seq) = after_version(&chain, context.device, key_version) else { return Ok(()) };
    let entries = crate::store::keys::chain_entries(tx, context.account)?;
    let entries: Vec<_> = entries.into_iter().skip(from_seq as usize).take(MAX_STALE_ENTRIES).collect();
    if entries.is_empty() {
        return Ok(());
    }
    let told = StaleKey { from_seq, entries, envelopes: vec![envelope] };
    outbox::push(tx, &conversation, None, &AppMessage::StaleKey(told).encode())?;
    let soon = u64::from_be_bytes(random::bytes()) % TOGETHER_MS;
    if let Some(item) = outbox::messages(tx, &conversation)?.last() {
        outbox::postpone(tx, item.n, context.now + TOGETHER_MS + soon)?;
    }
    reading.taken.wake = true;
    Ok(())
}

/// Place of the chain entry after the one that states this version: whoever sealed to it knows at least that one.
fn after_version(chain: &VerifiedChain, device: waxwing_wire::DeviceId, key_version: u32) -> Option<u32> {
    let states = |what: &What| match what {
        What::Created(of) | What::DeviceAdded(of) | What::Recovered { device: of, .. } => {
            (*of, 1) == (device, key_version)
        }
        What::DeviceKeysRotated(of, version) => (*of, *version) == (device, key_version),
        What::AccountKeyRotated(_) | What::Closed => false,
    };
    chain.events().iter().find(|event| states(&event.what))?.place.seq.checked_add(1)
}

/// A member's device could not open some of what was said: its newer keys are taken in, and what one has said of that is said again.
pub(super) fn told(reading: &mut Reading<'_>, leaf: &Leaf, told: &StaleKey) -> Result<(), Error> {
    let (tx, now, conversation) = (reading.tx, reading.context.now, reading.log.conversation);
    let since = now.saturating_sub(HEEDED_EACH_MS);
    if !logs::note_device(tx, reading.log.log, leaf.identity.device, Noted::Stale, now, since)? {
        return Ok(());
    }
    let part = ChainPart { account: leaf.identity.account, from_seq: told.from_seq, entries: told.entries.clone() };
    handshake::learn_more(reading, &part)?;
    safety::announce(tx, now, &mut reading.taken.changes)?;
    for envelope in &told.envelopes {
        if let Some((message_id, text)) = messages::of_envelope(tx, &conversation, *envelope)? {
            outbox::push(tx, &conversation, None, &AppMessage::Text { message_id, text }.encode())?;
            reading.taken.wake = true;
        }
    }
    Ok(())
}
