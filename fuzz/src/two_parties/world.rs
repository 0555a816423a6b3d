//! The two, the log and the inboxes; and what must hold.

use std::collections::{BTreeMap, BTreeSet};

use waxwing_protocol::{AppMessage, Epoch};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{LogId, MessageId};

use super::base::{VERSIONS, key_package};
use super::log::{Entry, Log, Said, Slot, Truth};
use super::mls::epoch;
use super::party::{Arrival, Memory, Party, Verdict};
use super::seal::{Item, What};
use super::step::{Act, Step};
use super::twist::{Twisted, damage, twist};
use crate::people::LOG;

/// Most that waits in an outbox.
const MOST_WAITING: usize = 8;
/// Longest text.
const LONGEST: u16 = 2048;

pub(super) struct World {
    pub(super) log: Log,
    pub(super) parties: [Party; 2],
    /// Seqs of what each has read, the own entries too.
    pub(super) taken: [BTreeSet<u64>; 2],
    /// Seqs of what never comes, to each.
    lost: [BTreeSet<u64>; 2],
    /// Message ids of what each has read.
    heard: [BTreeSet<[u8; 16]>; 2],
    /// What each has in the inbox, and the seq of the handshake that it is about.
    inboxes: [Vec<(u64, Entry)>; 2],
    /// The epoch that each valid handshake began, as the first one saw it who read it.
    epochs: BTreeMap<u64, Epoch>,
    said: u64,
}

impl World {
    pub(super) fn new() -> Self {
        let parties = [0, 1].map(Party::new);
        Self {
            log: Log::new(parties[0].secret.log_tokens()),
            parties,
            taken: Default::default(),
            lost: Default::default(),
            heard: Default::default(),
            inboxes: Default::default(),
            epochs: BTreeMap::new(),
            said: 0,
        }
    }

    pub(super) fn play(&mut self, step: Step) {
        let who = step.who;
        match step.act {
            Act::Say => self.say(who, step.at % LONGEST),
            Act::Update => self.wish(who, What::Update),
            Act::Rotate => {
                self.parties[who].stated = VERSIONS.min(self.parties[who].stated + 1);
                self.wish(who, What::Update);
            }
            Act::Readd => self.wish(who, What::Readd),
            Act::Append => self.append(who, usize::from(step.pick)),
            Act::Read => {
                if let Some(seq) = step.pick(&self.due(who)) {
                    self.read(who, seq);
                }
            }
            Act::Drop => {
                let apps = |seq: &u64| self.log.slot(*seq).entry.kind == EnvelopeKind::App;
                let due: Vec<_> = self.due(who).into_iter().filter(apps).collect();
                self.lost[who].extend(step.pick(&due));
            }
            Act::Present => self.present(step),
            Act::Inbox => self.inbox(step),
            Act::Forge => self.forge(step),
            Act::Restart => self.parties[who].restart(),
            Act::Sync => self.sync(),
        }
    }

    /// Everything that was begun is ended, and both have the same. Gives the running hash of the log.
    pub(super) fn finish(mut self) -> [u8; 32] {
        self.sync();
        for who in [0, 1] {
            while !self.parties[who].outbox.is_empty() {
                self.append(who, 0);
                self.sync();
            }
        }
        for who in [0, 1] {
            self.say(who, 1);
            self.append(who, 0);
        }
        self.sync();
        let texts = self.log.slots.iter().filter(|slot| matches!(slot.truth.said, Said::Text(_)));
        for slot in texts {
            let reader = 1 - slot.truth.by;
            let (read, lost) = (self.taken[reader].contains(&slot.seq), self.lost[reader].contains(&slot.seq));
            assert!(read || lost, "{} was never read", slot.seq);
        }
        self.log.running
    }

    fn say(&mut self, who: usize, length: u16) {
        self.said += 1;
        let id = [[who as u8; 8], self.said.to_be_bytes()].concat().try_into().expect("16 bytes");
        let text = "x".repeat(1 + usize::from(length));
        let message = AppMessage::Text { message_id: MessageId::from_bytes(id), text };
        self.wish(who, What::Text(message.encode().to_vec()));
    }

    /// Puts something into the outbox, sealed if it can be.
    fn wish(&mut self, who: usize, what: What) {
        if self.parties[who].outbox.len() == MOST_WAITING {
            return;
        }
        self.parties[who].outbox.push(Item { what, sealed: None });
        self.seal(who, self.parties[who].outbox.len() - 1);
    }

    /// True if it was. Commits only at the head of the log (design section 6).
    fn seal(&mut self, who: usize, n: usize) -> bool {
        let at_head = self.parties[who].last_handshake == self.log.last_handshake;
        let (what, stated) = (&self.parties[who].outbox[n].what, self.parties[1 - who].stated);
        if self.parties[who].group.is_none() || !(at_head || matches!(what, What::Text(_))) {
            return false;
        }
        let other = &self.parties[1 - who];
        let package = matches!(what, What::Readd).then(|| key_package(&other.provider, other.newest()));
        self.parties[who].seal(n, stated, package);
        true
    }

    fn append(&mut self, who: usize, n: usize) {
        let waiting = self.parties[who].outbox.len();
        if waiting == 0 {
            return;
        }
        let n = n % waiting;
        let fresh = self.parties[who].outbox[n].sealed.is_none();
        if fresh {
            self.catch_up(who);
            if !self.seal(who, n) {
                return;
            }
        }
        let party = &mut self.parties[who];
        let sealed = party.outbox[n].sealed.clone().expect("it was sealed");
        let token = party.secret.write_token();
        match self.log.append(&token, sealed.after, sealed.entry, sealed.rekey, sealed.truth) {
            Ok(_) => {
                party.outbox.remove(n);
            }
            Err(behind) => {
                assert!(!fresh, "sealed at the head, and {behind:?}");
                party.outbox[n].sealed = None;
            }
        }
    }

    /// Seqs that `who` may read now: app entries since the last handshake, in any order, and the next handshake.
    fn due(&self, who: usize) -> Vec<u64> {
        let party = &self.parties[who];
        if party.group.is_none() {
            return Vec::new();
        }
        let since = self.log.slots.iter().skip(usize::try_from(party.last_handshake).expect("small"));
        let here = since.filter(|slot| slot.after == party.last_handshake).map(|slot| slot.seq);
        here.filter(|seq| !self.taken[who].contains(seq) && !self.lost[who].contains(seq)).collect()
    }

    /// Reads an entry that is due, as it is.
    fn read(&mut self, who: usize, seq: u64) {
        let slot = self.log.slot(seq).clone();
        let missed = self.due(who).into_iter().filter(|other| *other != seq);
        let missed: Vec<_> = missed.filter(|_| slot.entry.kind == EnvelopeKind::Handshake).collect();
        let verdict = self.parties[who].take(&arrival(&slot.entry, LOG), Memory::Everything);
        self.taken[who].insert(seq);
        self.lost[who].remove(&seq);
        let Truth { by, sender, counter, said, .. } = slot.truth;
        match said {
            Said::Forged => {
                assert!(matches!(verdict, Verdict::Refused(_) | Verdict::Own(None)), "a forged entry: {verdict:?}");
                assert!(who != by || !matches!(verdict, Verdict::Own(Some(_))));
            }
            _ if by == who => {
                let Verdict::Own(welcome) = verdict else { panic!("an own entry: {verdict:?}") };
                if let Some(mls) = welcome {
                    let other = self.parties[1 - who].stated;
                    let entry = self.parties[who].welcome(seq, slot.running, mls, other);
                    self.inboxes[1 - who].push((seq, entry));
                }
            }
            Said::Text(text) => {
                let id = text[1..17].try_into().expect("16 bytes");
                assert_eq!(verdict, Verdict::Said(sender, counter, text), "what was sent is what is read");
                assert!(self.heard[who].insert(id), "nothing is heard twice");
            }
            Said::Commit => assert_eq!(verdict, Verdict::Changed(sender, counter), "a commit"),
        }
        if slot.entry.kind == EnvelopeKind::Handshake {
            // What was not read of the epoch before never will be.
            self.lost[who].extend(missed);
            self.parties[who].pass(seq, slot.running);
            self.check_epoch(who, seq);
        }
    }

    /// Whoever comes to a handshake is in the epoch in which the other one was there.
    fn check_epoch(&mut self, who: usize, seq: u64) {
        if let Some(group) = &self.parties[who].group {
            let here = epoch(group);
            assert_eq!(*self.epochs.entry(seq).or_insert(here), here, "one handshake, one epoch");
        }
    }

    /// Reads everything in its order, as the app does.
    fn catch_up(&mut self, who: usize) {
        loop {
            self.read_inbox(who);
            let due = self.due(who);
            // The handshake is the last of them.
            let Some(seq) = due.first() else { return };
            self.read(who, *seq);
        }
    }

    /// Takes the Welcome that a removed party waits for.
    fn read_inbox(&mut self, who: usize) {
        let at = self.parties[who].last_handshake;
        if self.parties[who].group.is_some() {
            return;
        }
        let Some((_, entry)) = self.inboxes[who].iter().find(|(seq, _)| *seq == at) else { return };
        let other = self.parties[1 - who].stated;
        assert_eq!(self.parties[who].join(entry, other, Memory::Everything), Ok(()), "a Welcome");
        self.check_epoch(who, at);
    }

    fn sync(&mut self) {
        // A removed party waits until the other one has read its own commit.
        for who in [0, 1, 0, 1] {
            self.catch_up(who);
        }
        for _ in 0..self.log.slots.len() {
            if self.parties.iter().all(|party| party.group.is_some() && party.last_handshake == self.log.last_handshake)
            {
                break;
            }
            self.catch_up(0);
            self.catch_up(1);
        }
        let [one, two] = self.parties.each_ref().map(|party| {
            assert_eq!(party.last_handshake, self.log.last_handshake, "{} is at the head", party.who);
            assert_eq!(party.secret.log_tokens(), self.log.tokens, "{} can read and write", party.who);
            epoch(party.group.as_ref().expect("in the group"))
        });
        assert_eq!(one, two, "both have read everything");
    }

    /// An entry comes from the network, changed or out of its place.
    fn present(&mut self, step: Step) {
        let who = step.who;
        let Some(other) = self.log.slots.get(step.place(self.log.slots.len())) else { return };
        let slot = &self.log.slots[usize::from(step.pick) % self.log.slots.len()];
        let Twisted { entry, log, memory } = twist(slot, other, step);
        let genuine = |slot: &&Slot| (slot.entry.id, slot.entry.kind) == (entry.id, entry.kind);
        let genuine = self.log.slots.iter().filter(genuine).find(|slot| slot.entry.blob == entry.blob);
        let genuine = genuine.filter(|_| log == LOG).map(|slot| (slot.seq, slot.truth.by == who));
        match genuine {
            // It is in its place after all: late, but not lost.
            Some((seq, own)) if self.is_due(who, seq) && !(own && memory == Memory::NotSent) => self.read(who, seq),
            // An own app entry again, in the same epoch: known as such, and nothing else.
            Some((seq, true)) if memory != Memory::NotSent && self.log.slot(seq).entry.kind == EnvelopeKind::App => {
                let verdict = self.parties[who].take(&arrival(&entry, log), memory);
                assert!(matches!(verdict, Verdict::Own(None) | Verdict::Refused(_)), "{verdict:?}");
            }
            _ => self.refused(who, &entry, log, memory),
        }
    }

    /// Whether it may be read now, even if it was thought lost.
    fn is_due(&self, who: usize, seq: u64) -> bool {
        let party = &self.parties[who];
        let here = self.log.slot(seq).after == party.last_handshake && seq > party.last_handshake;
        here && party.group.is_some() && !self.taken[who].contains(&seq)
    }

    /// It is not accepted, and nothing is changed by it.
    fn refused(&mut self, who: usize, entry: &Entry, log: LogId, memory: Memory) {
        let party = &mut self.parties[who];
        let before = (party.group.as_ref().map(epoch), party.secret.clone());
        let verdict = party.take(&arrival(entry, log), memory);
        assert!(matches!(verdict, Verdict::Refused(_)), "accepted: {verdict:?}");
        assert_eq!((party.group.as_ref().map(epoch), party.secret.clone()), before, "refused, and changed");
    }

    /// A Welcome comes: the one that is waited for, or one that was changed, or again.
    fn inbox(&mut self, step: Step) {
        let who = step.who;
        let Some((seq, entry)) = self.inboxes[who].get(step.place(self.inboxes[who].len())).cloned() else { return };
        let mut entry = entry;
        let mut memory = Memory::Everything;
        match step.how % 8 {
            0 => return self.read_inbox(who),
            // Again, to one that has forgotten it and the group: the key package was used up.
            1 if self.parties[who].group.is_some() && self.parties[who].last_handshake >= seq => {
                memory = Memory::NotSeen
            }
            1 => return,
            2 => entry.kind = EnvelopeKind::Notice,
            3 if self.parties[who].group.is_some() => {}
            3 => return,
            how => entry.blob = damage(&entry.blob, how - 4, step),
        }
        let before = self.parties[who].group.as_ref().map(epoch);
        let other = self.parties[1 - who].stated;
        let joined = self.parties[who].join(&entry, other, memory);
        assert!(joined.is_err(), "a Welcome that was changed, or came again");
        assert_eq!(self.parties[who].group.as_ref().map(epoch), before, "refused, and changed");
    }
}

fn arrival(entry: &Entry, log: LogId) -> Arrival<'_> {
    Arrival { id: entry.id, kind: entry.kind, log, blob: &entry.blob }
}
