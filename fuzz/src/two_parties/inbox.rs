//! Welcomes, in sealed envelopes to an inbox.

use openmls::prelude::OpenMlsProvider as _;
use rand_chacha::rand_core::Rng as _;
use waxwing_protocol::envelope::{open, seal};
use waxwing_protocol::{AccessKey, Content, Epoch, Introduction, OpenContext, SealRequest, Suite, Welcome};
use waxwing_wire::EnvelopeId;
use waxwing_wire::log::EnvelopeKind;

use super::base::{join, person};
use super::log::Entry;
use super::mls::copy;
use super::party::{Memory, Party};
use crate::people::{LOG, NO_LOG};

impl Party {
    /// What brings the other one in again, once the commit that adds them stands in the log.
    pub(super) fn welcome(&mut self, slot: u64, running: [u8; 32], mls: Vec<u8>, other: u32) -> Entry {
        let me = self.newest();
        let content = Content::Welcome(Welcome {
            conversation: [7; 32],
            relay: "waxwing.example".parse().expect("an address"),
            log: LOG,
            channel_secret: self.secret.clone(),
            slot,
            running,
            nonce: [0; 16],
            sender: Introduction {
                account: me.account,
                home: "waxwing.example".parse().expect("an address"),
                name: "alice".parse().expect("a name"),
                display_name: String::new(),
                access_key: AccessKey::from_bytes(&[6; 16]),
                account_key: [1; 32],
                chain_seq: 0,
                chain_head: [0; 32],
            },
            mls,
        })
        .encode();
        let mut id = [0; 16];
        self.rng.fill_bytes(&mut id);
        let request = SealRequest {
            kind: EnvelopeKind::Welcome,
            suite: Suite::XWing,
            envelope_id: EnvelopeId::from_bytes(id),
            sender: me.sender(),
            recipients: &[person(1 - self.who, other).recipient()],
            tag_key: None,
            log: NO_LOG,
            after: 0,
            counter: 0,
            sent_ms: 1,
            epoch: Epoch::default(),
            running_hash: [0; 32],
            checkpoint: None,
            content: &content,
        };
        let blob = seal(&request, &mut self.rng).expect("an envelope");
        Entry { id: request.envelope_id, kind: request.kind, blob }
    }

    /// Joins again. Whatever is wrong with the Welcome, nothing is left behind of it. `other`: the sender's stated version.
    pub(super) fn join(&mut self, entry: &Entry, other: u32, memory: Memory) -> Result<(), &'static str> {
        let Entry { id, kind, blob } = entry;
        let place = OpenContext { envelope_id: *id, kind: *kind, log: NO_LOG, tag_key: None, erased: &[] };
        let opened = open(blob, &self.sealing(), self.newest().account, &place).map_err(|_| "it does not open")?;
        let claimed = *opened.claimed();
        if claimed.account != person(1 - self.who, 1).account || !(1..=other).contains(&claimed.key_version) {
            return Err("not from whom it should be");
        }
        let sender = person(1 - self.who, claimed.key_version);
        let message = opened.verify(sender.keys.record()).map_err(|_| "its signature does not hold")?;
        if memory != Memory::NotSeen && self.has_seen(message.sender.device, *id) {
            return Err("a replay");
        }
        let Ok(Content::Welcome(welcome)) = Content::decode(*kind, &message.content) else {
            return Err("its content cannot be read");
        };
        let here = (LOG, self.last_handshake, self.handshake_running);
        if (welcome.log, welcome.slot, welcome.running) != here && memory != Memory::NotSeen {
            return Err("it leads elsewhere");
        }
        if self.group.is_some() && memory != Memory::NotSeen {
            return Err("the group is here");
        }
        let stored = copy(self.provider.storage());
        match join(&self.provider, &welcome.mls) {
            Ok(group) => {
                self.group = Some(group);
                self.secret = welcome.channel_secret;
                self.first_sight(message.sender.device, *id);
                Ok(())
            }
            Err(why) => {
                self.provider.restore(stored);
                self.load();
                Err(why)
            }
        }
    }
}
