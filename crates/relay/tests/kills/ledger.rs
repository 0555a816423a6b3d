//! What clients sent and were told, kept outside of the relay, and what was read back of it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use waxwing_wire::{EnvelopeId, hash};

use crate::fault::{Broken, promised};
use crate::place::Place;

/// All that was sent.
pub struct Ledger(Mutex<Book>);

/// The same, while nobody else writes into it.
pub struct Book {
    /// Logs and inboxes, by number.
    pub places: Vec<Place>,
    sent: HashMap<EnvelopeId, Sent>,
    /// Of each place the highest seq that anybody was told.
    told: Vec<u64>,
    /// Told since the last look.
    fresh: Vec<EnvelopeId>,
    /// Names of accounts, and of each the chain entries that were answered 201, from the first on.
    pub chains: HashMap<String, Vec<Vec<u8>>>,
    /// Names of those with new entries since the last look.
    pub fresh_chains: Vec<String>,
    /// What happened how often.
    pub tally: Tally,
}

/// What happened how often.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    /// Entries that were answered 201.
    pub told: usize,
    /// Entries that were answered 409.
    pub refused: usize,
    /// Answers that were lost, where the entry turned out to be stored.
    pub lost_stored: usize,
    /// Answers that were lost, where it did not.
    pub lost_unstored: usize,
    /// Requests that were repeated while all the others went on: their answers were lost.
    pub repeated: usize,
    /// Answers that the database is away. Nothing follows from them.
    pub unavailable: usize,
    /// Chain entries that were answered 201.
    pub chain_entries: usize,
}

impl Tally {
    /// Whether so many rounds had enough to do for what they show to mean something, also on a busy computer. Few of them may go by without a refusal.
    pub fn is_load(&self, rounds: u64) -> bool {
        let rounds = usize::try_from(rounds).unwrap();
        self.told >= 5 * rounds && (rounds < 20 || (self.refused > 0 && self.chain_entries > 0))
    }
}

struct Sent {
    place: usize,
    /// The highest seq there that anybody had been told before it was sent for the first time.
    after: u64,
    digest: [u8; 32],
    fate: Fate,
}

/// What the sender knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// No answer yet, or it was lost.
    Unknown,
    /// 201 came, and perhaps not what follows it.
    Told(Option<u64>),
    /// Answered that it is not stored.
    Refused,
}

impl Ledger {
    pub fn new(places: usize) -> Self {
        Self(Mutex::new(Book {
            places: (0..places).map(|_| Place::default()).collect(),
            told: vec![0; places],
            sent: HashMap::new(),
            fresh: Vec::new(),
            chains: HashMap::new(),
            fresh_chains: Vec::new(),
            tally: Tally::default(),
        }))
    }

    pub fn open(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap()
    }
}

impl Book {
    /// Something is about to be sent.
    pub fn sending(&mut self, place: usize, id: EnvelopeId, blob: &[u8]) {
        let after = self.told[place];
        self.sent.insert(id, Sent { place, after, digest: hash(&[blob]), fate: Fate::Unknown });
    }

    /// The answer began with 201.
    pub fn answered(&mut self, id: EnvelopeId) {
        let sent = self.sent.get_mut(&id).unwrap();
        if sent.fate == Fate::Unknown {
            sent.fate = Fate::Told(None);
            self.tally.told += 1;
            self.fresh.push(id);
        }
    }

    /// The whole answer: its place. What was read back before this, after a lost answer, must be there.
    pub fn told(&mut self, id: EnvelopeId, seq: u64) -> Result<(), Broken> {
        self.answered(id);
        let sent = self.sent.get_mut(&id).unwrap();
        let read = self.places[sent.place].seq(id);
        promised!(read.is_none_or(|read| read == seq), "told {seq}, and read before at {read:?}");
        let head = self.places[sent.place].head;
        promised!(read.is_some() || seq > head, "told {seq} for something new, where {head} was read before");
        promised!(seq > sent.after, "told {seq} for what was sent after {} had been told", sent.after);
        promised!(sent.fate != Fate::Refused, "201 after a refusal");
        sent.fate = Fate::Told(Some(seq));
        let told = &mut self.told[sent.place];
        *told = seq.max(*told);
        Ok(())
    }

    /// The answer was that it is not stored, perhaps once more. It must never be read.
    pub fn refused(&mut self, id: EnvelopeId) -> Result<(), Broken> {
        let sent = self.sent.get_mut(&id).unwrap();
        promised!(!matches!(sent.fate, Fate::Told(_)), "refused after a 201");
        promised!(self.places[sent.place].seq(id).is_none(), "refused, and is there all the same");
        if sent.fate == Fate::Unknown {
            sent.fate = Fate::Refused;
            self.tally.refused += 1;
        }
        Ok(())
    }

    /// An answer was lost: whether the entry is there is known by now.
    pub fn resending(&mut self, id: EnvelopeId) {
        let sent = &self.sent[&id];
        match self.places[sent.place].seq(id) {
            Some(_) => self.tally.lost_stored += 1,
            None => self.tally.lost_unstored += 1,
        }
    }

    /// The next entry of a place was read.
    pub fn read(&mut self, place: usize, seq: u64, id: EnvelopeId, blob: &[u8]) -> Result<(), Broken> {
        self.places[place].take(seq, id)?;
        self.matches(place, seq, id, blob)
    }

    /// What is read at `seq` is what somebody sent there.
    pub fn matches(&self, place: usize, seq: u64, id: EnvelopeId, blob: &[u8]) -> Result<(), Broken> {
        let sent = self.sent.get(&id);
        let sent = sent.ok_or_else(|| Broken(format!("nobody sent what is at {seq}")))?;
        promised!(sent.place == place, "sent to {}, and found in {place}", sent.place);
        promised!(sent.digest == hash(&[blob]), "other bytes than were sent");
        promised!(seq > sent.after, "at {seq} is what was sent after {} had been told", sent.after);
        match sent.fate {
            Fate::Refused => Err(Broken(format!("what was refused is stored at {seq}"))),
            Fate::Told(Some(told)) if told != seq => Err(Broken(format!("told {told}, and found at {seq}"))),
            Fate::Told(_) | Fate::Unknown => Ok(()),
        }
    }

    /// All that was told since the last look has been read.
    pub fn look(&mut self) -> Result<(), Broken> {
        let fresh = std::mem::take(&mut self.fresh);
        fresh.iter().try_for_each(|id| self.is_there(*id))
    }

    /// All that was ever told has been read, each at its place.
    pub fn look_at_all(&self) -> Result<(), Broken> {
        let told = self.sent.iter().filter(|(_, sent)| matches!(sent.fate, Fate::Told(_)));
        told.map(|(id, _)| *id).try_for_each(|id| self.is_there(id))
    }

    fn is_there(&self, id: EnvelopeId) -> Result<(), Broken> {
        let sent = &self.sent[&id];
        let found = self.places[sent.place].seq(id);
        match (sent.fate, found) {
            (Fate::Told(Some(told)), Some(found)) if told == found => Ok(()),
            (Fate::Told(None), Some(_)) => Ok(()),
            (fate, found) => Err(Broken(format!("a 201 is not kept: {fate:?}, found at {found:?}"))),
        }
    }
}

/// A check that finds nothing must be one that could.
#[test]
fn the_ledger_finds_what_is_wrong() {
    let [id, other] = [1, 2].map(|n| EnvelopeId::from_bytes([n; 16]));
    let sent = || {
        let ledger = Ledger::new(2);
        ledger.open().sending(0, id, b"blob");
        ledger
    };
    let words = |outcome: Result<(), Broken>| outcome.unwrap_err().0;

    let ledger = sent();
    ledger.open().told(id, 1).unwrap();
    assert!(words(ledger.open().look()).starts_with("a 201 is not kept"));
    assert!(words(ledger.open().look_at_all()).starts_with("a 201 is not kept"));
    assert!(words(ledger.open().refused(id)).starts_with("refused after a 201"));
    assert!(words(ledger.open().read(0, 2, id, b"blob")).starts_with("told 1, and found at 2"));

    let ledger = sent();
    ledger.open().answered(id);
    assert!(words(ledger.open().look()).starts_with("a 201 is not kept"));

    let ledger = sent();
    ledger.open().refused(id).unwrap();
    assert!(words(ledger.open().told(id, 1)).starts_with("201 after a refusal"));
    assert!(words(ledger.open().read(0, 1, id, b"blob")).starts_with("what was refused"));

    let ledger = sent();
    assert!(words(ledger.open().matches(1, 1, id, b"blob")).starts_with("sent to 0"));
    assert!(words(ledger.open().matches(0, 1, id, b"blub")).starts_with("other bytes"));
    assert!(words(ledger.open().matches(0, 1, other, b"blob")).starts_with("nobody sent"));
    ledger.open().read(0, 1, id, b"blob").unwrap();
    // The same bytes once more, after a lost answer.
    assert!(words(ledger.open().told(id, 2)).starts_with("told 2, and read before"));
    ledger.open().told(id, 1).unwrap();
    ledger.open().look().unwrap();
    assert!(words(ledger.open().read(0, 2, id, b"blob")).starts_with("an entry is there twice"));

    // The order: behind what was read, and behind what was told, whether anybody has read it or not.
    let ledger = sent();
    ledger.open().sending(0, other, b"other");
    ledger.open().read(0, 2, other, b"other").unwrap();
    assert!(words(ledger.open().told(id, 1)).starts_with("told 1 for something new, where 2 was read before"));
    assert!(words(ledger.open().read(0, 1, id, b"blob")).starts_with("seq 1 comes after 2"));
    let ledger = sent();
    ledger.open().told(id, 2).unwrap();
    ledger.open().sending(0, other, b"other");
    assert!(words(ledger.open().told(other, 1)).starts_with("told 1 for what was sent after 2 had been told"));
    assert!(words(ledger.open().read(0, 1, other, b"other")).starts_with("at 1 is what was sent after 2"));
    // Elsewhere, and of two that were on their way at once, it says nothing.
    let ledger = sent();
    ledger.open().sending(0, other, b"other");
    ledger.open().told(id, 2).unwrap();
    ledger.open().told(other, 1).unwrap();
    let third = EnvelopeId::from_bytes([3; 16]);
    ledger.open().sending(1, third, b"third");
    ledger.open().told(third, 1).unwrap();
}
