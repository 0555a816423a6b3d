//! What others show of the own chain in a conversation. Nothing of it is ever taken into the own chain; but an entry that keys of the own account have
//! signed, and that is not known here, is noted: whoever made it has these keys, and may never state it at the relay, where the owner would see it.
//!
//! Here: what is worth noting, inside the transaction that reads the entry it came with. Not here: whose it is, which is judged once this device has
//! caught up with its own changes and looked at the log (`transparency`).

use rusqlite::Transaction;
use waxwing_protocol::group::ChainPart;
use waxwing_wire::chain::{InForce, Statement, What};
use waxwing_wire::{ChainEntry, VerifiedChain};

use super::entries::Reading;
use crate::error::Error;
use crate::store::own_shown::Shown;
use crate::store::transparency::AlarmKind;
use crate::store::{keys, own_shown, rotation as schedule, transparency};

/// Most entries of one run, and most runs of one part, that are looked at: more than these are not kept either.
const MOST: usize = 64;

/// Notes what a part of the own chain has that is not known here, and that follows from what is.
pub(super) fn note(reading: &mut Reading<'_>, part: &ChainPart) -> Result<(), Error> {
    let tx = reading.tx;
    let Some(known) = reading.chain_of(reading.context.account)? else { return Ok(()) };
    // Whoever reads such a part begins where their knowledge ends and passes over what lies before: no junk and no known branch hides what comes behind.
    let mut runs = runs(&known, part);
    let mut news = Vec::new();
    for run in runs.drain(..) {
        if is_news(tx, &known, &run)? {
            news.push(run);
        }
    }
    news.truncate(MOST);
    if news.is_empty() {
        return Ok(());
    }
    // They come in the order of their places: the own chain is verified once for all of them.
    let mut before = Prefix::new(keys::chain_entries(tx, known.account())?);
    for run in news {
        // The user is told that there are more, and can do no more about those.
        if own_shown::is_full(tx)? || transparency::are_full(tx, AlarmKind::Shown)? {
            break;
        }
        note_run(reading, before.up_to(run.first().map_or(0, |entry| entry.unsigned.seq)), &run)?;
    }
    Ok(())
}

/// Whether a run has anything that is neither noted nor an alarm, and that is not over.
fn is_news(tx: &Transaction<'_>, known: &VerifiedChain, run: &[ChainEntry]) -> Result<bool, Error> {
    let Some(from) = run.first().map(|entry| entry.unsigned.seq) else { return Ok(false) };
    let mut news = false;
    for entry in run {
        news |= !is_known(tx, entry)?;
    }
    Ok(news && !is_shut_out(tx, known, from)?)
}

/// Of entries that are signed, and go on from the own chain up to their place: those that it could have taken.
fn note_run(reading: &mut Reading<'_>, before: Option<&VerifiedChain>, run: &[ChainEntry]) -> Result<(), Error> {
    let (tx, at_ms) = (reading.tx, reading.context.now);
    let Some(mut chain) = before.cloned() else { return Ok(()) };
    for entry in run {
        if chain.extend(entry.as_bytes()).is_err() {
            break;
        }
        let shown = Shown { seq: entry.unsigned.seq, hash: entry.hash(), at_ms };
        if !is_known(tx, entry)? && own_shown::note(tx, &shown)? {
            tracing::warn!(seq = shown.seq, "a conversation shows an entry of the own chain that is not known here");
            reading.taken.shown = true;
        }
    }
    Ok(())
}

/// The own chain up to one place after the other.
struct Prefix {
    entries: Vec<Vec<u8>>,
    chain: Option<VerifiedChain>,
}

impl Prefix {
    fn new(entries: Vec<Vec<u8>>) -> Self {
        let chain = entries.first().and_then(|first| VerifiedChain::verify(&[first]).ok());
        Self { entries, chain }
    }

    /// The chain of the entries before `seq`, which is greater than 0 and no smaller than before. None if it cannot be told.
    fn up_to(&mut self, seq: u32) -> Option<&VerifiedChain> {
        let chain = self.chain.as_mut()?;
        while chain.seq().saturating_add(1) < seq {
            let next = usize::try_from(chain.seq()).ok()?.checked_add(1)?;
            chain.extend(self.entries.get(next)?).ok()?;
        }
        (chain.seq().saturating_add(1) == seq).then_some(&*chain)
    }
}

/// The entries of a part that the known chain does not have, from each on that goes on from it, as far as each follows the one before and is signed with
/// the keys in force there. Cheap where there are none: anybody can make up bytes.
fn runs(known: &VerifiedChain, part: &ChainPart) -> Vec<Vec<ChainEntry>> {
    if part.from_seq > known.seq().saturating_add(1) {
        // Nothing says what lies between.
        return Vec::new();
    }
    let entries: Vec<_> = (part.from_seq..)
        .zip(&part.entries)
        .map(|(seq, bytes)| ChainEntry::decode(bytes).ok().filter(|entry| entry.unsigned.seq == seq))
        .collect();
    let starts = entries.iter().enumerate().filter(|(_, entry)| entry.as_ref().is_some_and(|one| starts(known, one)));
    starts.map(|(at, _)| run(known, &entries[at..])).filter(|run| !run.is_empty()).collect()
}

/// Whether an entry goes on from the known chain and is none of it. Another first entry is signed with keys of its own: anybody's.
fn starts(known: &VerifiedChain, entry: &ChainEntry) -> bool {
    let seq = entry.unsigned.seq;
    let before = seq.checked_sub(1).and_then(|before| known.hash_at(before));
    before == Some(entry.unsigned.prev_hash) && known.hash_at(seq) != Some(entry.hash())
}

/// Entries one after the other, from one that goes on from the known chain.
fn run(known: &VerifiedChain, entries: &[Option<ChainEntry>]) -> Vec<ChainEntry> {
    let before = entries.first().and_then(Option::as_ref).and_then(|entry| entry.unsigned.seq.checked_sub(1));
    let Some(in_force) = before.and_then(|before| known.keys_at(before)) else { return Vec::new() };
    let (mut account_key, mut recovery_key) = (*in_force.account_key, *in_force.recovery_key);
    let mut signed: Vec<ChainEntry> = Vec::new();
    for entry in entries.iter().map_while(Option::as_ref).take(MOST) {
        let stated = &entry.unsigned;
        let follows = signed.last().is_none_or(|last| stated.prev_hash == last.hash());
        let in_force = InForce { account_key: &account_key, recovery_key: &recovery_key };
        if stated.account != known.account() || !follows || !entry.is_signed(in_force) {
            break;
        }
        match &stated.statement {
            Statement::RotateAccountKey(rotate) => account_key = rotate.account_key,
            Statement::Recover(recover) => (account_key, recovery_key) = (recover.account_key, recover.recovery_key),
            _ => {}
        }
        signed.push(entry.clone());
    }
    signed
}

/// Whether it is noted, or an alarm already.
fn is_known(tx: &Transaction<'_>, entry: &ChainEntry) -> Result<bool, Error> {
    let (seq, hash) = (entry.unsigned.seq, entry.hash());
    Ok(own_shown::is_noted(tx, seq, &hash)? || transparency::is_alarm(tx, seq, &hash)?)
}

/// Whether everybody who could sign an entry in this place was shut out since, as the user was told to do: whoever still has it shows what is over.
fn is_shut_out(tx: &Transaction<'_>, known: &VerifiedChain, from: u32) -> Result<bool, Error> {
    let recovered =
        known.events().iter().any(|event| event.place.seq >= from && matches!(event.what, What::Recovered { .. }));
    Ok(recovered || schedule::shut_out_seq(tx)? >= from)
}
