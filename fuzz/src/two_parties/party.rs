//! One of the two: what it keeps, and how it reads an entry. In the order of the engine's `entries.rs`; like there, an entry that is
//! refused leaves nothing behind.

use std::collections::{HashMap, HashSet};

use openmls::prelude::tls_codec::DeserializeBytes as _;
use openmls::prelude::{
    BasicCredential, GroupId, LeafNodeIndex, MlsGroup, MlsMessageBodyIn, MlsMessageIn, OpenMlsProvider as _,
    ProcessedMessageContent, ProtocolMessage, Sender, StagedCommit,
};
use rand_chacha::ChaCha20Rng;
use waxwing_protocol::envelope::open;
use waxwing_protocol::group::{CHANNEL_SECRET_EXPORT, CommitData};
use waxwing_protocol::{AppMessage, ChannelSecret, Content, LeafIdentity, MessageSender, OpenContext, SealingKeys};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{DeviceId, EnvelopeId, LogId, hash};

use super::base::{BASE, person};
use super::mls::{Crypto, Provider, copy, epoch, leaf};
use super::seal::{Change, Item, Shown};
use crate::people::{LOG, Person, rng};

pub(super) struct Party {
    pub(super) who: usize,
    /// Version of the device keys that the chain states.
    pub(super) stated: u32,
    pub(super) provider: Provider,
    /// None between a removal and the Welcome.
    pub(super) group: Option<MlsGroup>,
    pub(super) secret: ChannelSecret,
    pub(super) last_handshake: u64,
    pub(super) handshake_running: [u8; 32],
    pub(super) counter: u64,
    pub(super) outbox: Vec<Item>,
    pub(super) shown: HashMap<EnvelopeId, Shown>,
    pub(super) rng: ChaCha20Rng,
    seen: HashSet<(DeviceId, EnvelopeId)>,
}

/// What comes from a log.
pub(super) struct Arrival<'a> {
    pub(super) id: EnvelopeId,
    pub(super) kind: EnvelopeKind,
    pub(super) log: LogId,
    pub(super) blob: &'a [u8],
}

/// What a party remembers when an entry comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory {
    Everything,
    /// Not which envelopes it has seen: then MLS alone stands against a replay.
    NotSeen,
    /// Not what it sent itself.
    NotSent,
}

/// What became of an entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// An own entry has its place. With it, the MLS Welcome that may go out now.
    Own(Option<Vec<u8>>),
    /// Somebody says this.
    Said(MessageSender, u64, Vec<u8>),
    /// Somebody's commit, merged.
    Changed(MessageSender, u64),
    Refused(&'static str),
}

/// What MLS says.
enum Read {
    Text(Vec<u8>),
    Merged,
}

impl Party {
    pub(super) fn new(who: usize) -> Self {
        let mut party = Self {
            who,
            stated: 1,
            provider: Provider::new(0x40 + u8::try_from(who).expect("0 or 1"), &BASE.stored[who]),
            group: None,
            secret: BASE.secret.clone(),
            last_handshake: 0,
            handshake_running: [0; 32],
            counter: 0,
            outbox: Vec::new(),
            shown: HashMap::new(),
            rng: rng(0x50 + u8::try_from(who).expect("0 or 1")),
            seen: HashSet::new(),
        };
        party.load();
        assert!(party.group.is_some(), "everybody begins in the group");
        party
    }

    /// Reads the group from what is stored.
    pub(super) fn load(&mut self) {
        let id = GroupId::from_slice(LOG.as_bytes());
        self.group = MlsGroup::load(self.provider.storage(), &id).expect("what was stored is read");
    }

    /// With the device keys that the chain states.
    pub(super) fn newest(&self) -> &'static Person {
        person(self.who, self.stated)
    }

    /// With the device keys of the own leaf.
    pub(super) fn as_leaf(&self) -> Option<&'static Person> {
        let (_, leaf) = leaf(self.group.as_ref()?, self.newest().keys.device())?;
        Some(person(self.who, leaf.key_version))
    }

    /// Sealing keys, newest first.
    pub(super) fn sealing(&self) -> Vec<&'static SealingKeys> {
        (1..=self.stated).rev().map(|version| person(self.who, version).keys.sealing()).collect()
    }

    /// Starts again from what is stored: the group as it is, and nothing that was in memory only.
    pub(super) fn restart(&mut self) {
        let before = self.group.as_ref().map(epoch);
        let stored = copy(self.provider.storage());
        self.provider.restore(stored);
        self.load();
        assert_eq!(self.group.as_ref().map(epoch), before, "a restart changes nothing");
    }

    /// True the first time.
    pub(super) fn first_sight(&mut self, device: DeviceId, id: EnvelopeId) -> bool {
        self.seen.insert((device, id))
    }

    pub(super) fn has_seen(&self, device: DeviceId, id: EnvelopeId) -> bool {
        self.seen.contains(&(device, id))
    }

    /// A handshake's place is passed, whether it was valid or not.
    pub(super) fn pass(&mut self, seq: u64, running: [u8; 32]) {
        (self.last_handshake, self.handshake_running) = (seq, running);
    }

    pub(super) fn take(&mut self, arrival: &Arrival<'_>, memory: Memory) -> Verdict {
        if memory != Memory::NotSent
            && let Some(shown) = self.shown.get(&arrival.id)
            && (shown.digest, shown.kind, LOG) == (hash(&[arrival.blob]), arrival.kind, arrival.log)
        {
            let shown = shown.clone();
            return self.own(shown);
        }
        self.judge(arrival, memory).unwrap_or_else(Verdict::Refused)
    }

    fn own(&mut self, shown: Shown) -> Verdict {
        if shown.after != self.last_handshake {
            return Verdict::Refused("an own entry in another place");
        }
        let Some(Change { secret, welcome }) = shown.change else { return Verdict::Own(None) };
        let Some(group) = self.group.as_mut().filter(|group| group.pending_commit().is_some()) else {
            return Verdict::Refused("an own commit that was given up");
        };
        group.merge_pending_commit(&self.provider).expect("an own commit");
        self.secret = secret.unwrap_or_else(|| self.secret.clone());
        Verdict::Own(welcome)
    }

    fn judge(&mut self, arrival: &Arrival<'_>, memory: Memory) -> Result<Verdict, &'static str> {
        let tag_key = self.secret.tag_key();
        let Arrival { id, kind, log, blob } = *arrival;
        let place = OpenContext { envelope_id: id, kind, log, tag_key: Some(&tag_key), erased: &[] };
        let me = self.newest();
        let opened = open(blob, &self.sealing(), me.account, &place).map_err(|_| "it does not open")?;
        let group = self.group.as_ref().ok_or("its group is gone")?;
        let (index, sender) = leaf(group, opened.claimed().device).ok_or("its sender is not in the group")?;
        let message = opened.verify_leaf(&sender).map_err(|_| "its signature does not hold")?;
        if (message.after, message.running_hash) != (self.last_handshake, self.handshake_running) {
            return Err("it was sealed for another place");
        }
        if message.epoch != epoch(group) {
            return Err("its sender is in another state of the group");
        }
        if sender.device == me.keys.device() {
            return Err("an own entry that this device did not make");
        }
        if memory != Memory::NotSeen && self.has_seen(sender.device, id) {
            return Err("a replay");
        }
        let Ok(Content::Mls(bytes)) = Content::decode(kind, &message.content) else {
            return Err("its content cannot be read");
        };
        let stored = copy(self.provider.storage());
        match self.read(index, &sender, kind == EnvelopeKind::Handshake, &bytes) {
            Ok(read) => {
                self.first_sight(sender.device, id);
                Ok(match read {
                    Read::Text(text) => Verdict::Said(message.sender, message.counter, text),
                    Read::Merged => Verdict::Changed(message.sender, message.counter),
                })
            }
            Err(why) => {
                self.provider.restore(stored);
                self.load();
                Err(why)
            }
        }
    }

    fn read(
        &mut self,
        index: LeafNodeIndex,
        envelope: &LeafIdentity,
        handshake: bool,
        bytes: &[u8],
    ) -> Result<Read, &'static str> {
        let group = self.group.as_mut().ok_or("its group is gone")?;
        let message = MlsMessageIn::tls_deserialize_exact_bytes(bytes).map_err(|_| "no MLS message")?;
        let MlsMessageBodyIn::PrivateMessage(message) = message.extract() else { return Err("no private message") };
        let message = ProtocolMessage::from(message);
        if message.group_id().as_slice() != LOG.as_bytes() {
            return Err("it is for another group");
        }
        if message.is_handshake_message() != handshake {
            return Err("a handshake and a message stand in for each other");
        }
        if message.epoch() != group.epoch() {
            return Err("it is of another epoch");
        }
        let processed = group.process_message(&self.provider, message).map_err(|_| "its MLS part does not open")?;
        if *processed.sender() != Sender::Member(index) {
            return Err("its two signatures are of two senders");
        }
        let data = processed.aad().to_vec();
        match processed.into_content() {
            ProcessedMessageContent::ApplicationMessage(message) if !handshake && data.is_empty() => {
                let text = message.into_bytes();
                AppMessage::decode(&text).map_err(|_| "its text cannot be read")?;
                Ok(Read::Text(text))
            }
            ProcessedMessageContent::StagedCommitMessage(staged) if handshake => {
                let rekey = due(&staged, envelope)?;
                if CommitData::decode(&data) != Ok(CommitData { rekey, ..CommitData::default() }) {
                    return Err("its data is not what it should be");
                }
                self.merge(*staged, rekey);
                Ok(Read::Merged)
            }
            _ => Err("it is of a kind that is not used"),
        }
    }

    fn merge(&mut self, staged: StagedCommit, rekey: bool) {
        let group = self.group.as_mut().expect("it was read in one");
        let removed = staged.self_removed();
        if rekey && !removed {
            self.secret = exported(&staged, self.provider.crypto());
        }
        group.merge_staged_commit(&self.provider, staged).expect("merging a valid commit");
        if removed {
            group.delete(self.provider.storage()).expect("deleting a group");
            self.group = None;
        }
    }
}

/// Whether a new channel secret is due; the committer must stay who it is.
fn due(staged: &StagedCommit, committer: &LeafIdentity) -> Result<bool, &'static str> {
    let path = staged.update_path_leaf_node().ok_or("a commit without a path")?;
    let credential = BasicCredential::try_from(path.credential().clone()).map_err(|_| "no basic credential")?;
    let new = LeafIdentity::decode(credential.identity()).map_err(|_| "no leaf identity")?;
    if (new.account, new.device) != (committer.account, committer.device) || new.key_version < committer.key_version {
        return Err("its committer becomes somebody else");
    }
    let (removes, adds) = (staged.remove_proposals().next().is_some(), staged.add_proposals().next().is_some());
    Ok(new.key_version > committer.key_version || replaces_secret(removes, adds))
}

/// As `mls::rules::replaces_secret` in the client: a removal, or a self-update. Here nobody changes the roster.
pub(super) fn replaces_secret(removes: bool, adds: bool) -> bool {
    removes || !adds
}

/// The channel secret of the epoch that a commit begins.
pub(super) fn exported(staged: &StagedCommit, crypto: &Crypto) -> ChannelSecret {
    let secret = staged.export_secret(crypto, CHANNEL_SECRET_EXPORT, &[], 32).expect("the exporter");
    ChannelSecret::from_bytes(secret.as_slice().try_into().expect("32 bytes"))
}
