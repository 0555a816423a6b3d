//! A relay in memory, by the relay's rules (docs/protocol.md "Log", "Inbox"), and what a relay can do that keeps none of them.

use std::collections::{BTreeMap, BTreeSet};

use waxwing_wire::api::KeyPackageCount;
use waxwing_wire::chain::Statement;
use waxwing_wire::frame::{Append, InboxEntry, InboxSend, LogEntry, LogPage, LogTokens, UploadKeyPackages};
use waxwing_wire::log::{EnvelopeKind, running_hash, token_hash};
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::{AccountId, ChainEntry, DeviceId, EnvelopeId, LogId, VerifiedChain};

pub(super) type Answer<T> = Result<T, ProblemCode>;

/// One log.
pub(super) struct FakeLog {
    pub(super) tokens: LogTokens,
    /// Replaced tokens, each good for reading up to the handshake that replaced it.
    pub(super) retired: Vec<(u64, LogTokens)>,
    pub(super) entries: Vec<LogEntry>,
    running: Vec<[u8; 32]>,
    pub(super) last_handshake: u64,
    /// Places that no member has appended to.
    pub(super) injected: Vec<u64>,
}

/// The inbox of one device.
#[derive(Default)]
pub(super) struct Inbox {
    next: u64,
    entries: Vec<InboxEntry>,
    /// Accepted and not shown yet.
    held: Vec<InboxSend>,
    /// Everything that was ever here.
    past: Vec<InboxSend>,
}

/// Key packages of one device.
#[derive(Default)]
pub(super) struct Packages {
    pub(super) once: Vec<Vec<u8>>,
    pub(super) last_resort: Option<Vec<u8>>,
}

#[derive(Default)]
pub(super) struct FakeRelay {
    /// Whose chains are not given out: as if their relay did not answer.
    pub(super) dark: BTreeSet<AccountId>,
    pub(super) logs: BTreeMap<LogId, FakeLog>,
    inboxes: BTreeMap<DeviceId, Inbox>,
    chains: BTreeMap<AccountId, Vec<Vec<u8>>>,
    pub(super) packages: BTreeMap<DeviceId, Packages>,
    devices: BTreeMap<AccountId, Vec<DeviceId>>,
    /// Whether what comes into inboxes is held back.
    pub(super) holds: bool,
    /// Logs of which less is shown than there is, and how much; what is appended to them is taken all the same.
    pub(super) withheld: BTreeMap<LogId, u64>,
    /// Up to where the entries of a log are gone: they were too old.
    pub(super) dropped: BTreeMap<LogId, u64>,
    /// Most entries of a page.
    pub(super) page: usize,
    /// How many requests there were.
    pub(super) requests: u64,
    /// Whether something of a log was lost, which is no fault of whoever says so.
    pub(super) went_back: bool,
    /// Logs that have no room for words, and whether none for changes either.
    pub(super) full: BTreeMap<LogId, bool>,
    /// Whether it takes what it says to refuse.
    pub(super) belies: bool,
    /// So many entries are said to be taken, and something else is put in their places.
    pub(super) replaces: usize,
}

impl FakeRelay {
    pub(super) fn register(&mut self, account: AccountId, device: DeviceId, entry: Vec<u8>) {
        self.chains.insert(account, vec![entry]);
        self.devices.insert(account, vec![device]);
        self.page = 512;
    }

    pub(super) fn chain(&self, account: AccountId, from: u32) -> Answer<Vec<Vec<u8>>> {
        if self.dark.contains(&account) {
            return Err(ProblemCode::Unavailable);
        }
        let chain = self.chains.get(&account).ok_or(ProblemCode::UnknownAccount)?;
        Ok(chain.get(from as usize..).unwrap_or_default().to_vec())
    }

    /// Whose device it is.
    pub(super) fn account_of(&self, device: DeviceId) -> Option<AccountId> {
        self.devices.iter().find(|(_, devices)| devices.contains(&device)).map(|(account, _)| *account)
    }

    /// Puts into a chain what nobody has checked. A relay can.
    pub(super) fn forge_chain(&mut self, account: AccountId, entry: Vec<u8>) {
        self.chains.entry(account).or_default().push(entry);
    }

    /// Takes the newest entry of a chain away again.
    pub(super) fn withhold_chain(&mut self, account: AccountId) {
        self.chains.get_mut(&account).unwrap().pop();
    }

    /// A rotation removes the device's key packages with it; a further device has none yet.
    pub(super) fn append_chain(&mut self, account: AccountId, entry: &[u8]) -> Answer<()> {
        let chain = self.chains.get_mut(&account).ok_or(ProblemCode::UnknownAccount)?;
        if chain.last().is_some_and(|last| last == entry) {
            return Ok(());
        }
        let mut verified = VerifiedChain::verify(chain).map_err(|_| ProblemCode::Internal)?;
        verified.extend(entry).map_err(|_| ProblemCode::ChainConflict)?;
        chain.push(entry.to_vec());
        self.devices.insert(account, verified.devices().map(|device| device.id()).collect());
        let statement = ChainEntry::decode(entry).map_err(|_| ProblemCode::Internal)?.unsigned.statement;
        if let Statement::RotateDeviceKeys(record) | Statement::AddDevice(record) = statement {
            self.packages.remove(&record.device);
        }
        Ok(())
    }

    pub(super) fn upload(&mut self, device: DeviceId, upload: UploadKeyPackages) -> Answer<()> {
        let kept = self.packages.entry(device).or_default();
        if upload.replace {
            *kept = Packages::default();
        }
        kept.once.extend(upload.packages);
        kept.last_resort = upload.last_resort.or(kept.last_resort.take());
        Ok(())
    }

    pub(super) fn count(&self, device: DeviceId) -> KeyPackageCount {
        let kept = self.packages.get(&device);
        let count = kept.map_or(0, |kept| u32::try_from(kept.once.len()).unwrap());
        KeyPackageCount { count, last_resort: kept.is_some_and(|kept| kept.last_resort.is_some()) }
    }

    pub(super) fn claim(&mut self, account: AccountId) -> Answer<Vec<(DeviceId, Vec<u8>)>> {
        let devices = self.devices.get(&account).ok_or(ProblemCode::InboxRefused)?;
        let mut claimed = Vec::new();
        for device in devices {
            let Some(packages) = self.packages.get_mut(device) else { continue };
            let package = packages.once.pop().or_else(|| packages.last_resort.clone());
            claimed.extend(package.map(|package| (*device, package)));
        }
        Ok(claimed)
    }

    pub(super) fn create_log(&mut self, id: LogId, tokens: LogTokens) -> Answer<()> {
        let known = self.logs.entry(id).or_insert_with(|| FakeLog {
            tokens,
            retired: Vec::new(),
            entries: Vec::new(),
            running: Vec::new(),
            last_handshake: 0,
            injected: Vec::new(),
        });
        let same = known.tokens == tokens || known.retired.iter().any(|(_, old)| *old == tokens);
        if same { Ok(()) } else { Err(ProblemCode::LogRefused) }
    }

    pub(super) fn append(&mut self, id: LogId, write_token: &[u8], append: &Append) -> Answer<u64> {
        let write = token_hash(write_token);
        let log = self.logs.get_mut(&id).ok_or(ProblemCode::LogRefused)?;
        let in_force = log.tokens.write == write;
        if !in_force && log.retired.iter().all(|(_, old)| old.write != write) {
            return Err(ProblemCode::LogRefused);
        }
        let honest = |entry: &&LogEntry| !log.injected.contains(&entry.seq);
        if let Some(known) = log.entries.iter().filter(honest).find(|entry| entry.entry_id == append.entry_id) {
            return if known.blob == append.blob { Ok(known.seq) } else { Err(ProblemCode::IdReused) };
        }
        if !in_force {
            return Err(ProblemCode::Rekeyed);
        }
        if append.after != log.last_handshake {
            return Err(ProblemCode::Conflict);
        }
        if self.full.get(&id).is_some_and(|all| *all || append.kind == EnvelopeKind::App) {
            return Err(ProblemCode::QuotaExceeded);
        }
        if self.replaces > 0 {
            self.replaces -= 1;
            let seq = log.push(EnvelopeId::from_bytes([self.replaces as u8; 16]), append.kind, vec![7; 256]);
            log.injected.push(seq);
            return Ok(seq);
        }
        let seq = log.push(append.entry_id, append.kind, append.blob.clone());
        if let Some(tokens) = append.rekey {
            log.retired.push((seq, log.tokens));
            log.tokens = tokens;
        }
        if self.belies {
            return Err(ProblemCode::Conflict);
        }
        Ok(seq)
    }

    /// Puts in what no member has appended. A relay can.
    pub(super) fn inject(&mut self, id: LogId, entry_id: EnvelopeId, kind: EnvelopeKind, blob: Vec<u8>) -> u64 {
        let log = self.logs.get_mut(&id).unwrap();
        let seq = log.push(entry_id, kind, blob);
        log.injected.push(seq);
        seq
    }

    pub(super) fn read_log(&self, id: LogId, read_token: &[u8], after: u64) -> Answer<LogPage> {
        let read = token_hash(read_token);
        let log = self.logs.get(&id).ok_or(ProblemCode::LogRefused)?;
        let (head, last_handshake, retired) = if log.tokens.read == read {
            (log.entries.len() as u64, log.last_handshake, false)
        } else {
            let up_to = log.retired.iter().filter(|(_, old)| old.read == read).map(|(seq, _)| *seq).max();
            let up_to = up_to.ok_or(ProblemCode::LogRefused)?;
            (up_to, up_to, true)
        };
        if self.dropped.get(&id).is_some_and(|last| after < *last) {
            return Err(ProblemCode::Gone);
        }
        // Nobody is shown less than they have read: that would be a log that went back, and noticed.
        let shown = self.withheld.get(&id).map_or(head, |shown| (*shown).max(after));
        let (head, last_handshake, retired) = if shown < head {
            (shown, log.last_handshake_up_to(shown), false)
        } else {
            (head, last_handshake, retired)
        };
        let running = match after {
            0 => [0; 32],
            after if after > head => [0; 32],
            after => log.running[after as usize - 1],
        };
        let entries = log.entries.iter().filter(|entry| entry.seq > after && entry.seq <= head);
        let entries = entries.take(self.page).cloned().collect();
        Ok(LogPage { oldest: 1, head, running, last_handshake, retired, entries })
    }

    pub(super) fn send(&mut self, device: DeviceId, entry: &InboxSend) -> Answer<()> {
        let holds = self.holds;
        let inbox = self.inboxes.entry(device).or_default();
        // What was acknowledged is forgotten: it can come once more, and is then known by its id.
        let known = inbox.entries.iter().any(|one| one.entry_id == entry.entry_id)
            || inbox.held.iter().any(|one| one.entry_id == entry.entry_id);
        if known {
            return Ok(());
        }
        inbox.past.push(entry.clone());
        if holds {
            inbox.held.push(entry.clone())
        } else {
            inbox.push(entry.clone())
        }
        Ok(())
    }

    /// Shows what was held back, the newest first.
    /// Shows what was held back, the last first; true if anything has changed its place.
    pub(super) fn release(&mut self) -> bool {
        let mut reversed = false;
        for inbox in self.inboxes.values_mut() {
            reversed |= inbox.held.len() > 1;
            for entry in std::mem::take(&mut inbox.held).into_iter().rev() {
                inbox.push(entry);
            }
        }
        reversed
    }

    /// What is held back for a device never comes.
    pub(super) fn lose(&mut self, device: DeviceId) {
        self.inboxes.entry(device).or_default().held.clear();
    }

    /// Shows once more what the device has had already; false if there is nothing.
    pub(super) fn repeat(&mut self, device: DeviceId, which: usize) -> bool {
        let Some(inbox) = self.inboxes.get_mut(&device).filter(|inbox| !inbox.past.is_empty()) else { return false };
        let entry = inbox.past[which % inbox.past.len()].clone();
        inbox.push(entry);
        true
    }

    /// How many envelopes of a kind have come to inboxes.
    pub(super) fn sent(&self, kind: EnvelopeKind) -> usize {
        self.inboxes.values().flat_map(|inbox| &inbox.past).filter(|entry| entry.kind == kind).count()
    }

    pub(super) fn read_inbox(&self, device: DeviceId, after: u64) -> (u64, Vec<InboxEntry>) {
        let Some(inbox) = self.inboxes.get(&device) else { return (0, Vec::new()) };
        (inbox.next, inbox.entries.iter().filter(|entry| entry.seq > after).cloned().collect())
    }

    pub(super) fn ack(&mut self, device: DeviceId, up_to: u64) {
        if let Some(inbox) = self.inboxes.get_mut(&device) {
            inbox.entries.retain(|entry| entry.seq > up_to);
        }
    }
}

impl FakeLog {
    /// As a copy of before: what came later is lost.
    pub(super) fn go_back(&mut self, entries: usize) {
        let mut kept = std::mem::take(&mut self.entries);
        kept.truncate(entries);
        self.running.clear();
        self.last_handshake = 0;
        for entry in kept {
            self.push(entry.entry_id, entry.kind, entry.blob);
        }
    }

    /// Two entries change places; what is told of the log is right for its new order.
    pub(super) fn swap(&mut self, one: usize, other: usize) {
        let mut entries = std::mem::take(&mut self.entries);
        self.running.clear();
        entries.swap(one, other);
        for entry in entries {
            self.push(entry.entry_id, entry.kind, entry.blob);
        }
    }

    fn last_handshake_up_to(&self, seq: u64) -> u64 {
        let mut before = self.entries.iter().rev().filter(|entry| entry.seq <= seq);
        before.find(|entry| entry.kind == EnvelopeKind::Handshake).map_or(0, |entry| entry.seq)
    }

    fn push(&mut self, entry_id: EnvelopeId, kind: EnvelopeKind, blob: Vec<u8>) -> u64 {
        let seq = self.entries.len() as u64 + 1;
        let before = self.running.last().copied().unwrap_or_default();
        self.running.push(running_hash(&before, seq, entry_id, kind, &blob));
        self.entries.push(LogEntry { seq, entry_id, kind, blob });
        if kind == EnvelopeKind::Handshake {
            self.last_handshake = seq;
        }
        seq
    }
}

impl Inbox {
    fn push(&mut self, entry: InboxSend) {
        self.next += 1;
        let InboxSend { entry_id, kind, blob } = entry;
        self.entries.push(InboxEntry { seq: self.next, entry_id, kind, blob });
    }
}
