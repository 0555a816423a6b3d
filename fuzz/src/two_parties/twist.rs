//! What the network between may do to an entry.

use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{EnvelopeId, LogId};

use super::log::{Entry, Slot};
use super::party::Memory;
use super::step::Step;
use crate::people::LOG;

/// An entry as it comes.
pub(super) struct Twisted {
    pub(super) entry: Entry,
    pub(super) log: LogId,
    pub(super) memory: Memory,
}

/// Ways to change bytes.
const DAMAGES: u8 = 4;

/// The entry of `slot`, changed as the step says. `other`: any other entry.
pub(super) fn twist(slot: &Slot, other: &Slot, step: Step) -> Twisted {
    let mut twisted = Twisted { entry: slot.entry.clone(), log: LOG, memory: Memory::Everything };
    let (entry, place) = (&mut twisted.entry, step.place(16));
    match step.how % 12 {
        // As it is: late, early, or again.
        0 => {}
        // Again, to one that has forgotten it. What was never read is read by one that remembers.
        1 => twisted.memory = Memory::NotSeen,
        // Reflected, to one that has forgotten that it sent it.
        2 => twisted.memory = Memory::NotSent,
        how @ 3..7 => entry.blob = damage(&entry.blob, how - 3, step),
        // Under another id: any, or that of another entry.
        7 => entry.id = flipped(entry.id, place),
        8 => entry.id = other.entry.id,
        // As the other kind.
        9 if entry.kind == EnvelopeKind::App => entry.kind = EnvelopeKind::Handshake,
        9 => entry.kind = EnvelopeKind::App,
        // As an entry of another log.
        10 => twisted.log = LogId::from_bytes(*flipped(EnvelopeId::from_bytes(*LOG.as_bytes()), place).as_bytes()),
        // The beginning of one, the end of another.
        _ => {
            let at = step.place(entry.blob.len().min(other.entry.blob.len()));
            entry.blob = [&entry.blob[..at], &other.entry.blob[at..]].concat();
        }
    }
    twisted
}

/// Other bytes, always.
pub(super) fn damage(bytes: &[u8], how: u8, step: Step) -> Vec<u8> {
    let (mut bytes, at) = (bytes.to_vec(), step.place(bytes.len()));
    match how % DAMAGES {
        0 => bytes[at] ^= step.pick | 1,
        1 => bytes.truncate(at),
        2 => bytes.insert(at, step.pick),
        _ => bytes.extend(std::iter::repeat_n(step.pick, 1 + at % 64)),
    }
    bytes
}

fn flipped(id: EnvelopeId, place: usize) -> EnvelopeId {
    let mut bytes = *id.as_bytes();
    bytes[place] ^= 0x80;
    EnvelopeId::from_bytes(bytes)
}
