//! Envelopes of a stretch of a log, opened on another processor while those before them are taken in: half of what an entry takes is to open it.
//!
//! To open one needs nothing that the entries before it do, but for two things that one of them may change: the log's tag key, and the keys of the leaf
//! that signs. Both are held against what is in force once it is its turn, and what was opened by another is opened again. Not here: what an opened
//! envelope counts for (`entries`).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use waxwing_protocol::envelope::{self, OpenContext, Opened};
use waxwing_protocol::{LeafIdentity, Message, OpenError, SealingKeys, TagKey};
use waxwing_wire::frame::LogEntry;
use waxwing_wire::{AccountId, DeviceId, LogId};

use super::sealing::OpeningKeys;

/// A stretch of fewer entries is read as quickly without.
const WORTH_A_THREAD: usize = 4;

/// What opens the envelopes of one log for this device.
pub(super) struct Opener<'a> {
    keys: Vec<&'a SealingKeys>,
    erased: Vec<u32>,
    account: AccountId,
    log: LogId,
}

impl<'a> Opener<'a> {
    pub(super) fn new(opening: &'a OpeningKeys, account: AccountId, log: LogId) -> Self {
        Self { keys: opening.list(), erased: opening.erased(), account, log }
    }

    fn open(&self, entry: &LogEntry, tag_key: &TagKey) -> Result<Opened, OpenError> {
        let place = OpenContext {
            envelope_id: entry.entry_id,
            kind: entry.kind,
            log: self.log,
            tag_key: Some(tag_key),
            erased: &self.erased,
        };
        envelope::open(&entry.blob, &self.keys, self.account, &place)
    }
}

/// An envelope that has opened, and its signature if its leaf was known then.
pub(super) enum Envelope {
    Open(Opened),
    /// By which leaf, and what it says if that has signed it.
    Checked(LeafIdentity, Option<Message>),
}

impl Envelope {
    /// Of which device it claims to be.
    pub(super) fn device(&self) -> DeviceId {
        match self {
            Self::Open(opened) => opened.claimed().device,
            Self::Checked(leaf, _) => leaf.device,
        }
    }
}

/// A stretch of entries, and what of it was opened.
pub(super) struct Ahead<'a> {
    opener: &'a Opener<'a>,
    tag_key: TagKey,
    leaves: Vec<LeafIdentity>,
    entries: &'a [LogEntry],
    opened: Vec<Mutex<Option<Result<Envelope, OpenError>>>>,
    ended: AtomicBool,
}

impl<'a> Ahead<'a> {
    /// By the tag key and the leaves that are in force before the first entry.
    pub(super) fn new(
        opener: &'a Opener<'a>,
        tag_key: TagKey,
        leaves: Vec<LeafIdentity>,
        entries: &'a [LogEntry],
    ) -> Self {
        let opened = entries.iter().map(|_| Mutex::default()).collect();
        Self { opener, tag_key, leaves, entries, opened, ended: AtomicBool::new(false) }
    }

    /// Does this while the envelopes are opened. A machine that gives no thread opens each in its turn.
    pub(super) fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        if self.entries.len() < WORTH_A_THREAD {
            return work();
        }
        thread::scope(|scope| {
            let opens = thread::Builder::new().name("opens-ahead".to_owned()).spawn_scoped(scope, || self.open_all());
            if let Err(error) = opens {
                tracing::info!(%error, "no thread to open envelopes ahead");
            }
            let done = work();
            self.ended.store(true, Ordering::Relaxed);
            done
        })
    }

    /// All but the first: that one is in hand already.
    pub(super) fn open_all(&self) {
        for (entry, place) in self.entries.iter().zip(&self.opened).skip(1) {
            if self.ended.load(Ordering::Relaxed) {
                return;
            }
            let opened = self.opener.open(entry, &self.tag_key).map(|opened| self.check(opened));
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(opened);
        }
    }

    fn check(&self, opened: Opened) -> Envelope {
        let device = opened.claimed().device;
        match self.leaves.iter().find(|leaf| leaf.device == device) {
            Some(leaf) => Envelope::Checked(*leaf, opened.verify_leaf(leaf).ok()),
            None => Envelope::Open(opened),
        }
    }

    /// The envelope of an entry, by the tag key that is in force.
    pub(super) fn open(&self, entry: &LogEntry, tag_key: &TagKey) -> Result<Envelope, OpenError> {
        let first = self.entries.first().map_or(entry.seq, |first| first.seq);
        let place = entry.seq.checked_sub(first).and_then(|at| self.opened.get(usize::try_from(at).ok()?));
        if let Some(place) = place
            && *tag_key == self.tag_key
            && let Some(opened) = place.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            return opened;
        }
        self.opener.open(entry, tag_key).map(Envelope::Open)
    }

    /// What an envelope says, if this leaf has signed it. Opened once more where another leaf was in force for its device.
    pub(super) fn verified(
        &self,
        envelope: Envelope,
        leaf: &LeafIdentity,
        (entry, tag_key): (&LogEntry, &TagKey),
    ) -> Option<Message> {
        match envelope {
            Envelope::Checked(by, message) if by == *leaf => message,
            Envelope::Checked(..) => self.opener.open(entry, tag_key).ok()?.verify_leaf(leaf).ok(),
            Envelope::Open(opened) => opened.verify_leaf(leaf).ok(),
        }
    }
}
