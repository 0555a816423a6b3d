//! Something was sealed to a key that this device has erased: it says so in the log, with its newer keys, and whoever sealed it does so again
//! (design section 5). Not here: how long old keys are kept (`rotation`).

use rusqlite::Transaction;
use waxwing_protocol::group::ChainPart;
use waxwing_protocol::stale_key::{MAX_STALE_ENTRIES, MAX_STALE_ENVELOPES};
use waxwing_protocol::{AppMessage, StaleKey};
use waxwing_wire::chain::What;
use waxwing_wire::{DeviceId, EnvelopeId, VerifiedChain};

use super::context::Context;
use super::entries::Reading;
use super::{handshake, safety};
use crate::error::Error;
use crate::mls::rules::Leaf;
use crate::store::logs::Noted;
use crate::store::{conversations, keys, logs, messages, outbox, sealed_for, sealed_to_erased};
use crate::views::Standing;

/// What comes in within this time goes into one notice.
const TOGETHER_MS: u64 = 1000;
/// Between two notices of this device in one log: tags are no signatures, and junk must not make it send again and again.
const EACH_MS: u64 = 60 * 1000;

/// An envelope was for an erased version of this device's keys: what the others are told of it waits to be sent, in a request until
/// the user has accepted.
pub(super) fn note(reading: &mut Reading<'_>, envelope: EnvelopeId, key_version: u32) -> Result<(), Error> {
    match reading.conversation.standing {
        Standing::Member => {
            reading.taken.wake |= tell(reading.tx, reading.context, &reading.log, envelope, key_version)?;
            Ok(())
        }
        Standing::Request => sealed_to_erased::keep(reading.tx, reading.log.log, envelope, key_version),
        Standing::Left | Standing::Removed | Standing::Asked => Ok(()),
    }
}

/// The user takes part in a conversation now: the others are told what could not be opened until then.
pub(super) fn note_accepted(tx: &Transaction<'_>, context: &Context, log: &logs::Log) -> Result<(), Error> {
    for (envelope, key_version) in sealed_to_erased::take(tx, log.log)? {
        tell(tx, context, log, envelope, key_version)?;
    }
    Ok(())
}

/// True if something waits to be sent now that did not before.
fn tell(
    tx: &Transaction<'_>,
    context: &Context,
    log: &logs::Log,
    envelope: EnvelopeId,
    key_version: u32,
) -> Result<bool, Error> {
    let mut latest = 0;
    for item in outbox::messages(tx, &log.conversation)?.into_iter().filter(|item| item.sealed.is_none()) {
        let Ok(AppMessage::StaleKey(mut told)) = AppMessage::decode(&item.content) else { continue };
        if told.envelopes.contains(&envelope) {
            return Ok(false);
        }
        if told.envelopes.len() < MAX_STALE_ENVELOPES {
            told.envelopes.push(envelope);
            outbox::replace_change(tx, item.n, &AppMessage::StaleKey(told).encode())?;
            return Ok(false);
        }
        latest = latest.max(item.not_before_ms);
    }
    let Some(chain) = context.chains.load(tx, context.account)? else { return Ok(false) };
    let Some(from_seq) = after_version(&chain, context.device, key_version) else { return Ok(false) };
    let entries = keys::chain_entries(tx, context.account)?;
    let entries: Vec<_> = entries.into_iter().skip(from_seq as usize).take(MAX_STALE_ENTRIES).collect();
    if entries.is_empty() {
        return Ok(false);
    }
    let told = StaleKey { from_seq, entries, envelopes: vec![envelope] };
    outbox::push(tx, &log.conversation, None, &AppMessage::StaleKey(told).encode())?;
    let last = logs::noted_at(tx, log.log, context.device, Noted::Stale)?.max(latest);
    let when = context.now.saturating_add(TOGETHER_MS).max(last.saturating_add(EACH_MS));
    logs::note_device(tx, log.log, context.device, Noted::Stale, when, 0)?;
    if let Some(item) = outbox::messages(tx, &log.conversation)?.last() {
        outbox::postpone(tx, item.n, when)?;
    }
    Ok(true)
}

/// Place of the chain entry after the one that states this version: whoever sealed to it knows at least that one.
fn after_version(chain: &VerifiedChain, device: DeviceId, key_version: u32) -> Option<u32> {
    let states = |what: &What| match what {
        What::Created(of) | What::DeviceAdded(of) | What::Recovered { device: of, .. } => {
            (*of, 1) == (device, key_version)
        }
        What::DeviceKeysRotated(of, version) => (*of, *version) == (device, key_version),
        What::AccountKeyRotated(_) | What::Closed => false,
    };
    chain.events().iter().find(|event| states(&event.what))?.place.seq.checked_add(1)
}

/// A member's device could not open some of what was said: its newer keys are taken in. What one has sealed for it under an older version
/// than its chain states by now is said again, for those whom it was for (`sealing`): nobody gets at what was said before by asking for it.
pub(super) fn told(reading: &mut Reading<'_>, leaf: &Leaf, told: &StaleKey) -> Result<(), Error> {
    let (tx, now, conversation) = (reading.tx, reading.context.now, reading.log.conversation);
    let part = ChainPart { account: leaf.identity.account, from_seq: told.from_seq, entries: told.entries.clone() };
    handshake::learn_more(reading, &part)?;
    safety::announce(tx, now, &mut reading.taken.changes)?;
    let device = leaf.identity.device;
    let Some(chain) = reading.chain_of(leaf.identity.account)? else { return Ok(()) };
    let Some(current) = chain.device(device).map(|state| state.current().record.key_version) else { return Ok(()) };
    for envelope in &told.envelopes {
        let Some(sealed) = sealed_for::to_say_again(tx, *envelope)? else { continue };
        let stale = sealed.recipients.iter().any(|(of, version)| *of == device && *version < current);
        if !stale {
            continue;
        }
        sealed_for::is_said_again(tx, *envelope)?;
        let Some(message_id) = sealed.message else {
            // The own name, and the key that goes with it, are told with the next words.
            conversations::set_profile_sent(tx, &conversation, false)?;
            continue;
        };
        let Some(text) = messages::own_text(tx, &conversation, message_id)? else { continue };
        outbox::push(tx, &conversation, Some(message_id), &AppMessage::Text { message_id, text }.encode())?;
        reading.taken.wake = true;
    }
    Ok(())
}
