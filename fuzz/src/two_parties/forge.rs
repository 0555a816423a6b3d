//! What a malicious member would seal: a good envelope around what should not be in it.

use waxwing_protocol::{AppMessage, Content};
use waxwing_wire::MessageId;
use waxwing_wire::log::EnvelopeKind;

use super::log::{Said, Slot, Truth};
use super::seal::Lie;
use super::step::Step;
use super::twist::damage;
use super::world::World;

/// Kinds of forged entries.
const KINDS: u8 = 16;

impl World {
    /// A member seals what no honest one would, and the log takes it. What comes of it is seen when it is read.
    pub(super) fn forge(&mut self, step: Step) {
        let who = step.who;
        let party = &mut self.parties[who];
        if party.group.is_none() || party.last_handshake != self.log.last_handshake {
            return;
        }
        let text = AppMessage::Text { message_id: MessageId::from_bytes([0xff; 16]), text: "forged".to_owned() };
        let (mut kind, mut lie) = (EnvelopeKind::App, Lie::None);
        let mut mls = Vec::new();
        match step.how % KINDS {
            how @ 0..4 => mls = damage(&party.encrypt(&text.encode()), how, step),
            // One stands in for the other.
            4 => (kind, mls) = (EnvelopeKind::Handshake, party.encrypt(&text.encode())),
            // Not an app message.
            5 => mls = party.encrypt(b"\x07"),
            6 => {}
            how @ 7..12 => {
                mls = party.encrypt(&text.encode());
                lie = [Lie::After, Lie::Running, Lie::Epoch, Lie::Authenticator, Lie::Account][usize::from(how) - 7];
            }
            // A commit that was changed; one in the place of a message.
            12 => (kind, mls) = (EnvelopeKind::Handshake, damage(&party.commit_for_nothing(), step.pick, step)),
            13 => mls = party.commit_for_nothing(),
            // An old message in a new envelope: the other one's own, or one that they have read; as it was, or changed.
            how => {
                let taken = &self.taken[1 - who];
                let old = |slot: &&Slot| {
                    slot.truth.said != Said::Forged && (slot.truth.by != who || taken.contains(&slot.seq))
                };
                let old: Vec<_> = self.log.slots.iter().filter(old).collect();
                let Some(old) = step.pick(&old) else { return };
                (kind, mls) = (old.entry.kind, old.truth.mls.clone());
                if how == 15 {
                    mls = damage(&mls, step.pick, step);
                }
            }
        }
        let content =
            if step.how % KINDS == 6 { vec![step.pick; step.place(64)] } else { Content::Mls(mls).encode().to_vec() };
        let other = self.parties[1 - who].stated;
        let party = &mut self.parties[who];
        let (entry, sender) = party.envelope(kind, &content, other, lie);
        let token = party.secret.write_token();
        let truth = Truth { by: who, sender, counter: party.counter, mls: Vec::new(), said: Said::Forged };
        self.log.append(&token, party.last_handshake, entry, None, truth).expect("at the head");
    }
}
