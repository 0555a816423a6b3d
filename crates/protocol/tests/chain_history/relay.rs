//! A relay that answers whatever it likes, made of everything that was ever signed, and a client that asks it.

use std::collections::{HashSet, VecDeque};

use proptest::sample::Index;
use waxwing_protocol::group::ChainPart;
use waxwing_protocol::{ChainFetch, ChainFetched, ChainPageError, ChainPages, ChainProgress, EntryId, WantedInLog};
use waxwing_wire::api::{ChainPage, EntryBytes};
use waxwing_wire::{AccountId, ChainEntry, VerifiedChain};

use crate::world::{ALICE, World};

/// A part of an answer.
#[derive(Debug, Clone)]
pub enum Piece {
    /// What an honest relay answers: all that the client does not have of the owner's chain.
    Honest,
    /// Entries of one history as they follow each other: so many, from the client's next on or from the one given.
    Run { to: Index, from: Option<Index>, len: usize },
    /// One with the number that comes next, of whichever branch.
    Next(Index),
    /// An entry, whosever and allowed or not.
    Any(Index),
    /// One with another bit.
    Flipped(Index, Index, u8),
    /// One that ends early.
    Cut(Index, Index),
    /// What one states, with the signatures of another.
    Grafted(Index, Index),
    /// What another account's owner signed.
    Foreign(Index),
    /// The last entry, or all of them, once more.
    Again { all: bool },
}

/// What a relay says when it is asked for entries of a chain, or what travels in a commit.
#[derive(Debug, Clone)]
pub struct Answer {
    pub pieces: Vec<Piece>,
    pub swapped: Option<(Index, Index)>,
    pub withheld: Option<Index>,
    /// In a commit: with the number that the first entry is said to have.
    pub commit: Option<Index>,
    /// What is told with each page, one after the other and from the first again.
    pub told: Vec<Told>,
}

/// What a relay tells with a page about the chain that it is of.
#[derive(Debug, Clone)]
pub struct Told {
    /// The head's number, if not the one that the answer leads to.
    pub head: Option<Index>,
    /// Whose it is: if not that of the first entry, the other account's, or anybody's.
    pub account: Option<[u8; 16]>,
}

fn signatures_of(entry: &[u8]) -> usize {
    let Ok(ChainEntry { unsigned, .. }) = ChainEntry::decode(entry) else { return 0 };
    entry.len() - unsigned.encode().len()
}

impl Answer {
    pub fn entries(&self, world: &World, foreign: &[Vec<u8>], next: usize) -> Vec<Vec<u8>> {
        let mut entries: Vec<Vec<u8>> = Vec::new();
        let any = |index: &Index| world.pool[index.index(world.pool.len())].clone();
        for piece in &self.pieces {
            match piece {
                Piece::Honest => {
                    let path = world.path(world.head);
                    let rest = path.iter().skip(next + entries.len());
                    entries.extend(rest.map(|node| world.nodes[*node].bytes.clone()));
                }
                Piece::Run { to, from, len } => {
                    let path = world.path(to.index(world.nodes.len()));
                    let from = from.map_or(next, |from| from.index(path.len()));
                    entries.extend(path.iter().skip(from).take(*len).map(|node| world.nodes[*node].bytes.clone()));
                }
                Piece::Next(index) => {
                    let seq = next + entries.len();
                    let fits = |entry: &&Vec<u8>| ChainEntry::decode(entry).unwrap().unsigned.seq as usize == seq;
                    let fitting: Vec<_> = world.pool.iter().filter(fits).collect();
                    if !fitting.is_empty() {
                        entries.push(fitting[index.index(fitting.len())].clone());
                    }
                }
                Piece::Any(index) => entries.push(any(index)),
                Piece::Flipped(index, at, bit) => {
                    let mut entry = any(index);
                    let at = at.index(entry.len());
                    entry[at] ^= 1 << bit;
                    entries.push(entry);
                }
                Piece::Cut(index, len) => {
                    let mut entry = any(index);
                    entry.truncate(len.index(entry.len()));
                    entries.push(entry);
                }
                Piece::Grafted(one, other) => {
                    let (mut entry, other) = (any(one), any(other));
                    entry.truncate(entry.len() - signatures_of(&entry));
                    entry.extend(&other[other.len() - signatures_of(&other)..]);
                    entries.push(entry);
                }
                Piece::Foreign(index) => entries.push(foreign[index.index(foreign.len())].clone()),
                Piece::Again { all: true } => entries.extend(entries.clone()),
                Piece::Again { all: false } => entries.extend(entries.last().cloned()),
            }
        }
        if let (Some((one, other)), false) = (self.swapped, entries.is_empty()) {
            let len = entries.len();
            entries.swap(one.index(len), other.index(len));
        }
        if let (Some(withheld), false) = (self.withheld, entries.is_empty()) {
            entries.remove(withheld.index(entries.len()));
        }
        entries
    }
}

/// A client that knows whose chain it wants (from an invite or a roster), and keeps what it has verified.
pub struct Client {
    pub chain: Option<VerifiedChain>,
    /// Hashes of entries that it takes for nobody's.
    pub refuted: HashSet<[u8; 32]>,
    stored: Vec<Vec<u8>>,
    /// How many new entries a page has.
    page: usize,
}

impl Client {
    pub fn new(page: usize) -> Self {
        Self { chain: None, refuted: HashSet::new(), stored: Vec::new(), page }
    }

    /// How many entries it has.
    pub fn len(&self) -> usize {
        self.stored.len()
    }

    /// What comes of an answer, as a page or inside a commit.
    pub fn take(&mut self, answer: &Answer, world: &World, foreign: &[Vec<u8>]) {
        let entries = answer.entries(world, foreign, self.len());
        match answer.commit {
            None => self.take_page(&entries, &answer.told),
            // Mostly with the right number.
            Some(from) if from.index(4) == 0 => self.take_part(from.index(20), &entries),
            Some(_) => self.take_part(self.len(), &entries),
        }
    }

    /// A relay's answer is taken as a whole or not at all, in pages of whatever length.
    pub fn take_page(&mut self, entries: &[Vec<u8>], told: &[Told]) {
        if let Some((chain, fresh)) =
            self.asks(self.chain.clone(), self.stored.last().cloned().as_ref(), self.len(), entries, told)
        {
            self.keep(chain, &fresh);
        }
    }

    /// One question for what follows from `known`, whose last entry and length are these, and its answer.
    fn asks(
        &mut self,
        known: Option<VerifiedChain>,
        last: Option<&Vec<u8>>,
        len: usize,
        entries: &[Vec<u8>],
        told: &[Told],
    ) -> Option<(VerifiedChain, Vec<Vec<u8>>)> {
        // What is most likely to be believed.
        let account = entries.first().and_then(|entry| ChainEntry::decode(entry).ok());
        let account = account.map_or(ALICE, |entry| entry.unsigned.account);
        let head = (len + entries.len()).saturating_sub(1) as u32;
        let mut left: VecDeque<_> = entries.iter().cloned().map(EntryBytes).collect();
        let mut last = last.cloned().map(EntryBytes);
        let mut pages = ChainPages::new(known);
        let mut told = told.iter().cycle();
        loop {
            let said = told.next();
            let account = said.and_then(|said| said.account).map_or(account, AccountId::from_bytes);
            let head = said.and_then(|said| said.head).map_or(head, |head| head.index(24) as u32);
            let mut page: Vec<_> = last.iter().cloned().collect();
            page.extend(left.drain(..left.len().min(self.page)));
            last = page.last().cloned();
            let page = ChainPage {
                account,
                name: None,
                head,
                entries: page,
                indexes: vec![],
                name_index: None,
                checkpoint: None,
            };
            match pages.page(page) {
                Ok(ChainProgress::More(further)) => pages = further,
                Ok(ChainProgress::Whole(chain, fresh)) => {
                    assert_eq!((chain.account(), chain.seq()), (account, head), "it is not what it was said to be");
                    return (account == ALICE).then_some((chain, fresh));
                }
                Err(error) => {
                    if let ChainPageError::Chain { refuted: Some(refuted), .. } = error {
                        self.refuted.insert(refuted.hash);
                    }
                    return None;
                }
            }
        }
    }

    /// What comes of answers by somebody who reads the relay's log, by the client's own loop ([`ChainFetch`]): nothing is kept that the log does not
    /// hold, or while it holds something newer; then it is asked for again, a few times.
    pub fn take_logged<'a>(
        &mut self,
        answers: impl Iterator<Item = &'a Answer>,
        world: &World,
        foreign: &[Vec<u8>],
        log: &HashSet<EntryId>,
    ) {
        let mut fetch = ChainFetch::new(self.chain.clone());
        let (mut last, mut len, mut asked) = (self.stored.last().cloned(), self.len(), 0);
        for answer in answers {
            asked += 1;
            assert!(asked < 10, "it asks without end");
            let entries = answer.entries(world, foreign, len);
            let known = fetch.known().cloned();
            let Some((chain, more)) = self.asks(known, last.as_ref(), len, &entries, &answer.told) else { return };
            len += more.len();
            last = more.last().cloned().or(last);
            let Ok(answer) = fetch.answered(chain, more) else { return };
            let wanted = WantedInLog::new(answer.chain(), answer.from());
            match answer.judged(wanted.judge(log, &HashSet::new(), &self.refuted)) {
                Ok(ChainFetched::Whole(chain, fresh)) => return self.keep(chain, &fresh),
                Ok(ChainFetched::More(further)) => fetch = further,
                Err(_) => return,
            }
        }
    }

    /// Of what came in a commit, as much is taken as follows from what is known.
    fn take_part(&mut self, from: usize, entries: &[Vec<u8>]) {
        let from_seq = u32::try_from(from).unwrap();
        let part = ChainPart { account: ALICE, from_seq, entries: entries.to_vec() };
        let Some((chain, at, fresh)) = part.extends(self.chain.as_ref()) else { return };
        assert_eq!(at as usize, self.len(), "a gap, or something known once more");
        self.keep(chain, &fresh);
    }

    fn keep(&mut self, chain: VerifiedChain, fresh: &[Vec<u8>]) {
        self.stored.extend_from_slice(fresh);
        // What comes of it after the next start is the same.
        assert_eq!(VerifiedChain::verify(&self.stored).unwrap(), chain);
        self.chain = Some(chain);
    }
}
