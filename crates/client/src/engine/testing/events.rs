//! One event of a schedule.

use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{AccountId, LogId, MessageId};

use super::device::Faults;
use super::dice::Dice;
use super::world::World;
use crate::mls::GroupChange;
use crate::store::conversations::ConversationId;
use crate::store::{keys, people};
use crate::views::{ConversationKind, Standing};

/// What can happen, and how often out of all.
pub(super) const KINDS: [(&str, usize); 23] = [
    ("send", 34),
    ("sync", 16),
    ("sync with a crash", 9),
    ("sync with a loss", 6),
    ("flush", 6),
    ("create", 2),
    ("add", 5),
    ("remove", 4),
    ("leave", 2),
    ("rename", 3),
    ("role", 3),
    ("self-update", 3),
    ("rotation", 3),
    ("direct", 2),
    ("read", 3),
    ("time", 3),
    ("inboxes held", 2),
    ("inboxes released in reverse", 2),
    ("inbox entry repeated", 2),
    ("short pages", 2),
    ("entry replayed", 3),
    ("log held back", 2),
    ("log shown again", 2),
];
/// As many of them there were when the schedules that are kept were found: with others among them they would be other schedules.
pub(super) const KINDS_OF_EARLIER_DAYS: usize = 21;

impl World {
    pub(super) fn event(&mut self, kinds: &[(&'static str, usize)]) {
        let all: usize = kinds.iter().map(|(_, weight)| weight).sum();
        let mut place = self.dice.below(all);
        for (kind, weight) in kinds {
            if place < *weight {
                return self.run(kind);
            }
            place -= weight;
        }
    }

    /// Somebody does something; what cannot be done now counts as nothing.
    pub(super) fn run(&mut self, kind: &'static str) {
        let who = self.dice.below(self.devices.len());
        let done = match kind {
            "send" => self.send(who),
            "create" => self.create(who),
            "direct" => self.direct(who),
            "add" | "remove" | "rename" | "role" | "self-update" => self.change(who, kind),
            "leave" => self.conversation(who, true).is_some_and(|id| {
                self.on(who, |device, outside| device.leave(outside, id));
                true
            }),
            "rotation" => {
                let version = self.devices[who].keys.key_version();
                self.on(who, |device, outside| device.begin_rotation(outside));
                self.faults(who, 3);
                self.on(who, |device, outside| device.resume_rotation(outside));
                // One that was cut short counts, too: what it has stored goes on later.
                let begun = self.devices[who].look(keys::rotation).is_some();
                begun || self.devices[who].keys.key_version() > version
            }
            "read" => self.any_conversation(who).is_some_and(|id| {
                self.on(who, |device, outside| device.mark_read(outside, id));
                true
            }),
            "time" => {
                self.outside.now += (1 + self.dice.next() % 180) * 60_000;
                true
            }
            "flush" => {
                self.faults(who, 6);
                self.on(who, |device, outside| device.flush(outside));
                true
            }
            "inboxes held" => {
                self.outside.relay.holds = true;
                true
            }
            "inboxes released in reverse" => {
                self.outside.relay.holds = false;
                self.outside.relay.release()
            }
            "inbox entry repeated" => {
                let which = self.dice.below(64);
                self.outside.relay.repeat(self.devices[who].device, which)
            }
            "short pages" => {
                self.outside.relay.page = 1 + self.dice.below(3);
                true
            }
            "entry replayed" => self.replay(),
            "log held back" => self.hold_log_back(),
            "log shown again" => {
                let held = !self.outside.relay.withheld.is_empty();
                self.outside.relay.withheld.clear();
                held
            }
            "sync with a crash" => {
                self.devices[who].faults.crash_in = Some(self.dice.below(14) as u32);
                self.sync(who)
            }
            "sync with a loss" => {
                let faults = Faults { lose_in: Some(self.dice.below(5) as u32), ..Faults::default() };
                self.devices[who].faults = Faults { arrives: self.dice.once_in(2), ..faults };
                self.sync(who)
            }
            _ => self.sync(who),
        };
        if done {
            self.outside.ledger.count(kind);
            let name = self.devices[who].name.clone();
            self.outside.ledger.story.push(format!("{name} {kind}"));
        }
    }

    /// This person keeps a copy of their database, or puts one back. By dice of its own, so that other schedules stay as they are.
    pub(super) fn copies(&mut self, who: usize, dice: &mut Dice) {
        let (kind, done) = match dice.below(24) {
            0 | 1 => ("copy made", self.devices[who].keep_copy(&self.outside)),
            2 => {
                let Self { outside, devices, .. } = self;
                ("copy put back", devices[who].put_back(outside))
            }
            _ => return,
        };
        if done {
            self.outside.ledger.count(kind);
            self.outside.ledger.story.push(format!("{} {kind}", self.devices[who].name));
        }
    }

    /// Once in `n` times something goes wrong.
    fn faults(&mut self, who: usize, n: usize) {
        if self.dice.once_in(n) {
            self.devices[who].faults.crash_in = Some(self.dice.below(6) as u32);
        }
    }

    fn sync(&mut self, who: usize) -> bool {
        self.on(who, |device, outside| device.sync(outside));
        true
    }

    fn send(&mut self, who: usize) -> bool {
        let Some(id) = self.conversation(who, false) else { return false };
        let message = MessageId::from_bytes(self.dice.bytes());
        self.on(who, |device, outside| device.send(outside, id, message));
        if self.dice.once_in(2) {
            self.on(who, |device, outside| device.flush(outside));
        }
        true
    }

    fn create(&mut self, who: usize) -> bool {
        let others: Vec<_> = self.others(who).into_iter().filter(|_| !self.dice.once_in(3)).collect();
        self.create_with(who, &others);
        true
    }

    /// A group of these.
    pub(super) fn create_with(&mut self, who: usize, others: &[AccountId]) -> ConversationId {
        let id = [self.dice.bytes::<16>(), self.dice.bytes::<16>()].concat().try_into().unwrap();
        let id = waxwing_protocol::group_conversation_id(id);
        self.on(who, |device, outside| device.create_group(outside, id, "Birds", others));
        id
    }

    pub(super) fn others(&self, who: usize) -> Vec<AccountId> {
        let me = self.devices[who].account;
        self.devices.iter().map(|one| one.account).filter(|account| *account != me).collect()
    }

    fn direct(&mut self, who: usize) -> bool {
        let Some(other) = self.dice.pick(&self.others(who)) else { return false };
        self.on(who, |device, outside| device.start_direct(outside, other));
        true
    }

    fn change(&mut self, who: usize, kind: &str) -> bool {
        let Some(id) = self.conversation(who, true) else { return false };
        let here: Vec<_> = self.devices[who].look(|tx| people::of(tx, &id));
        let me = self.devices[who].account;
        let in_it: Vec<_> = here.iter().map(|one| one.account).filter(|one| *one != me).collect();
        let out: Vec<_> = self.others(who).into_iter().filter(|one| !in_it.contains(one)).collect();
        let everybody: Vec<_> = here.iter().map(|one| one.account).collect();
        let change = match kind {
            "add" => self.dice.pick(&out).map(|one| GroupChange::Add(vec![one])),
            "remove" => self.dice.pick(&in_it).map(GroupChange::Remove),
            "rename" => Some(GroupChange::Rename(format!("Birds {}", self.dice.below(1000)))),
            "role" => {
                let admin = !self.dice.once_in(3);
                self.dice.pick(&everybody).map(|account| GroupChange::SetRole { account, admin })
            }
            _ => Some(GroupChange::Update),
        };
        let Some(change) = change else { return false };
        self.on(who, |device, _| device.change(id, &change)).unwrap_or(false)
    }

    /// The relay puts an old entry at the end of its log once more.
    fn replay(&mut self) -> bool {
        let Some(log) = self.some_log() else { return false };
        let entries = &self.outside.relay.logs[&log].entries;
        if entries.is_empty() {
            return false;
        }
        // The newest are the most likely to be taken for new.
        let back = 1 + self.dice.below(entries.len().min(6));
        let entry = entries[entries.len() - back].clone();
        // A handshake takes a slot: now and then alone.
        if entry.kind == EnvelopeKind::Handshake && self.dice.once_in(2) {
            return false;
        }
        self.outside.relay.inject(log, entry.entry_id, entry.kind, entry.blob);
        true
    }

    /// The relay shows a log as it was a little while ago, until it shows it again.
    fn hold_log_back(&mut self) -> bool {
        let Some(log) = self.some_log() else { return false };
        let head = self.outside.relay.logs[&log].entries.len();
        if head == 0 {
            return false;
        }
        let shown = head - self.dice.below(head.min(4));
        self.outside.relay.withheld.insert(log, shown as u64);
        true
    }

    fn some_log(&mut self) -> Option<LogId> {
        let mut logs: Vec<LogId> = self.outside.relay.logs.keys().copied().collect();
        logs.sort_by_key(|log| self.outside.relay.logs[log].entries.first().map(|entry| entry.blob.len()));
        self.dice.pick(&logs)
    }

    /// A conversation that this person takes part in.
    fn conversation(&mut self, who: usize, group: bool) -> Option<ConversationId> {
        let all = self.devices[who].conversations();
        let fits = all
            .iter()
            .filter(|one| one.standing == Standing::Member && (!group || one.kind == ConversationKind::Group));
        let ids: Vec<_> = fits.map(|one| one.id).collect();
        self.dice.pick(&ids)
    }

    fn any_conversation(&mut self, who: usize) -> Option<ConversationId> {
        let ids: Vec<_> = self.devices[who].conversations().iter().map(|one| one.id).collect();
        self.dice.pick(&ids)
    }
}
