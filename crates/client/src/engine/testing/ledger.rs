//! What really happened, written down beside the devices.

use std::collections::{BTreeMap, HashMap, HashSet};

use waxwing_protocol::Epoch;
use waxwing_wire::{AccountId, EnvelopeId, LogId, MessageId};

use super::relay::FakeRelay;
use crate::store::conversations::ConversationId;

/// A group after a handshake's place, as every member must see it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct State {
    pub(super) epoch: Epoch,
    pub(super) members: Vec<AccountId>,
    /// The channel secret.
    pub(super) secret: [u8; 32],
}

/// From where, if from anywhere, up to where.
type Stretch = (Option<u64>, u64);

#[derive(Default)]
pub(super) struct Ledger {
    /// By log and the last handshake before.
    pub(super) states: HashMap<(LogId, u64), State>,
    /// Which message an envelope carries.
    pub(super) sealed: HashMap<EnvelopeId, MessageId>,
    /// For whom an envelope was sealed that says a text again: only whoever had it before.
    pub(super) again_for: HashMap<EnvelopeId, HashSet<AccountId>>,
    pub(super) sent: HashMap<MessageId, (AccountId, ConversationId)>,
    /// Stretches of a log that somebody does not take in although they are in its group: they have left.
    pub(super) away: HashMap<(AccountId, LogId), Vec<(u64, u64)>>,
    /// From where (what was read by then) up to where in a log somebody may lack what was said after they were brought in again: a
    /// Welcome that was overtaken by a later one is of no use any more.
    pub(super) overtaken: HashMap<(AccountId, LogId), Vec<Stretch>>,
    /// Where the overtaken one came to use all the same: what it brings stands behind what was read before.
    pub(super) skewed: HashSet<(AccountId, LogId)>,
    /// Stretches of a log whose texts somebody may lack or have: an older copy of their database was put back.
    pub(super) blind: HashMap<(AccountId, LogId), Vec<(u64, u64)>>,
    /// Where in a log somebody joined.
    pub(super) slots: HashMap<(AccountId, LogId), Vec<u64>>,
    /// How long each log was then: a Welcome from before is no way back.
    pub(super) heads: HashMap<(AccountId, LogId), u64>,
    /// What somebody had not sent yet when they left. An older database may send it all the same.
    pub(super) dropped: HashMap<MessageId, (AccountId, ConversationId)>,
    /// Who cannot know that they are out of step: a member has sealed nothing for them.
    pub(super) misled: HashSet<AccountId>,
    /// Whose database was replaced by an older copy.
    pub(super) restored: HashSet<AccountId>,
    /// What somebody has seen.
    pub(super) read: HashSet<(AccountId, MessageId)>,
    /// How often each kind of event took place.
    pub(super) counts: BTreeMap<&'static str, u64>,
    pub(super) commits: u64,
    pub(super) crashes: u64,
    /// The last events, for whoever reads about a failure.
    pub(super) story: Vec<String>,
}

/// Everything outside of the devices.
#[derive(Default)]
pub(super) struct Outside {
    pub(super) relay: FakeRelay,
    pub(super) ledger: Ledger,
    /// Whether rotations are scheduled ones, whose updates are spread over a day.
    pub(super) spreads: bool,
    /// Relay time in milliseconds.
    pub(super) now: u64,
}

impl Ledger {
    pub(super) fn count(&mut self, event: &'static str) {
        *self.counts.entry(event).or_default() += 1;
    }

    /// Two members never see two states in one place.
    pub(super) fn observe(&mut self, log: LogId, after: u64, state: State) {
        let known = self.states.entry((log, after)).or_insert_with(|| state.clone());
        assert_eq!(*known, state, "two members disagree about {log:?} after {after}");
    }

    pub(super) fn goes_away(&mut self, account: AccountId, log: LogId, cursor: u64) {
        self.away.entry((account, log)).or_default().push((cursor, u64::MAX));
    }

    /// Joined at `slot`, to stay or only to say that one leaves; `cursor` is what was read of the log before, if anything.
    pub(super) fn joins(&mut self, account: AccountId, log: LogId, cursor: Option<u64>, (slot, stays): (u64, bool)) {
        self.slots.entry((account, log)).or_default().push(slot);
        if cursor.is_some_and(|cursor| cursor > slot) {
            self.skewed.insert((account, log));
        } else {
            self.overtaken.entry((account, log)).or_default().push((cursor, slot));
        }
        if !stays {
            return;
        }
        let back = self.heads.get(&(account, log)).is_none_or(|head| slot > *head);
        let windows = [Some(&mut self.away), back.then_some(&mut self.blind)];
        for windows in windows.into_iter().flatten() {
            for window in windows.entry((account, log)).or_default() {
                window.1 = window.1.min(slot);
            }
        }
    }

    /// An older copy of the database, in which `logs` are known and read as far as stated.
    pub(super) fn goes_back(
        &mut self,
        account: AccountId,
        logs: &[(LogId, u64)],
        heads: &[(LogId, u64)],
        read: HashSet<MessageId>,
    ) {
        self.restored.insert(account);
        let dropped = self.dropped.iter().filter(|(_, (sender, _))| *sender == account);
        self.sent.extend(dropped.map(|(message, of)| (*message, *of)));
        self.read.retain(|(who, message)| *who != account || read.contains(message));
        let all: HashSet<LogId> = self.states.keys().map(|(log, _)| *log).collect();
        self.heads.extend(heads.iter().map(|(log, head)| ((account, *log), *head)));
        for log in all {
            let cursor = logs.iter().find(|(known, _)| *known == log).map_or(0, |(_, cursor)| *cursor);
            let windows = self.blind.entry((account, log)).or_default();
            windows.push((cursor, u64::MAX));
            windows.extend(self.away.remove(&(account, log)).into_iter().flatten());
        }
    }

    pub(super) fn is_blind(&self, account: AccountId, log: LogId, seq: u64) -> bool {
        let windows = self.blind.get(&(account, log)).into_iter().flatten();
        windows.into_iter().any(|(from, to)| seq > *from && seq <= *to)
    }

    /// Never brought back into a group that it had not heard of by the time of the copy.
    pub(super) fn has_forgotten(&self, account: AccountId, log: LogId) -> bool {
        self.is_blind(account, log, u64::MAX)
    }

    pub(super) fn is_away(&self, account: AccountId, log: LogId, seq: u64) -> bool {
        let windows = self.away.get(&(account, log));
        windows.is_some_and(|windows| windows.iter().any(|(from, to)| seq > *from && seq <= *to))
    }

    /// An entry in a stretch that was jumped over, of a time after the account was taken out in that stretch.
    pub(super) fn is_overtaken(&self, account: AccountId, log: LogId, seq: u64, after: u64) -> bool {
        let out = |from: u64| {
            let mut states = self.states.iter().filter(|((of, at), _)| *of == log && *at >= from && *at <= after);
            states.any(|(_, state)| !state.members.contains(&account))
        };
        let jumps = self.overtaken.get(&(account, log)).into_iter().flatten();
        jumps.into_iter().any(|(from, slot)| seq <= *slot && from.is_none_or(out))
    }

    /// Brought in again by `after`, and never joined: the Welcome was lost with the database of whoever was to send it.
    pub(super) fn is_unwelcomed(&self, account: AccountId, log: LogId, after: u64) -> bool {
        let states = self.states.iter().filter(|((of, at), _)| *of == log && *at <= after);
        let out = states.filter(|(_, state)| !state.members.contains(&account)).map(|((_, at), _)| *at).max();
        let slots = self.slots.get(&(account, log));
        let joined = |out: u64| slots.into_iter().flatten().any(|slot| *slot > out);
        !self.restored.is_empty() && out.is_some_and(|out| !joined(out))
    }

    pub(super) fn member(&self, account: AccountId, log: LogId, after: u64) -> bool {
        self.states.get(&(log, after)).is_some_and(|state| state.members.contains(&account))
    }
}
