//! Chains that travel with a commit, so that whoever reads it needs no other relay to know whom it brings in: in parts, and no more of them
//! than one envelope holds beside all else (docs/protocol.md "Commit data").

use rusqlite::Transaction;
use waxwing_protocol::group::ChainPart;
use waxwing_wire::{AccountId, DeviceId};

use crate::error::Error;
use crate::store::keys;

/// Most bytes of the chains of those whom one commit adds. An envelope has 512 KiB, of which 128 wraps take 147, a roster of 64 lines 30, the
/// path some 12, sixteen key packages at most 64, and news of oneself up to 80.
const MOST_BYTES: usize = 160 * 1024;
/// Most bytes of the news that travels with a rotation of one's own keys, or with whoever is let in again.
const MOST_NEWS: usize = 80 * 1024;
/// Most parts in one commit, and most entries in one of them.
const MOST_PARTS: usize = 64;
const MOST_ENTRIES: usize = 64;
/// What a part takes beside its entries, and an entry beside its bytes.
const OF_PART: usize = 22;
const OF_ENTRY: usize = 4;

/// What a chain takes in a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Size {
    bytes: usize,
    parts: usize,
}

impl Size {
    /// Of so many entries with so many bytes. Nothing if it does not travel: whoever needs it asks its relay.
    fn of(entries: usize, bytes: usize) -> Self {
        let parts = entries.div_ceil(MOST_ENTRIES);
        let bytes = bytes + entries * OF_ENTRY + parts * OF_PART;
        if bytes > MOST_BYTES { Self::default() } else { Self { bytes, parts } }
    }
}

/// What chains have taken of a commit.
#[derive(Debug, Default)]
pub(super) struct Room(Size);

impl Room {
    /// Whether an account's chain, as it is known here, fits in beside what is there.
    pub(super) fn has_place(&self, tx: &Transaction<'_>, account: AccountId) -> Result<bool, Error> {
        let size = known(tx, account)?;
        // One place is for the news of oneself.
        Ok(self.0.bytes + size.bytes <= MOST_BYTES && self.0.parts + size.parts < MOST_PARTS)
    }

    /// It is in there.
    pub(super) fn take(&mut self, tx: &Transaction<'_>, account: AccountId) -> Result<(), Error> {
        let size = known(tx, account)?;
        self.0 = Size { bytes: self.0.bytes + size.bytes, parts: self.0.parts + size.parts };
        Ok(())
    }
}

fn known(tx: &Transaction<'_>, account: AccountId) -> Result<Size, Error> {
    let (entries, bytes) = keys::chain_size(tx, account)?;
    Ok(Size::of(entries, bytes))
}

/// Adds an account's whole chain to what travels, if it can.
pub(super) fn bring(tx: &Transaction<'_>, parts: &mut Vec<ChainPart>, account: AccountId) -> Result<(), Error> {
    let size = known(tx, account)?;
    if size == Size::default() || parts.len() + size.parts > MOST_PARTS {
        return Ok(());
    }
    let entries = keys::chain_entries(tx, account)?;
    for (part, entries) in (0..).zip(entries.chunks(MOST_ENTRIES)) {
        parts.push(ChainPart { account, from_seq: part * MOST_ENTRIES as u32, entries: entries.to_vec() });
    }
    Ok(())
}

/// Adds to what travels what others may lack of the chain of somebody who is let in again; what is there of it already, if that begins later, gives
/// way. They may be of one account.
pub(super) fn bring_news(
    tx: &Transaction<'_>,
    parts: &mut Vec<ChainPart>,
    account: AccountId,
    known: (DeviceId, u32),
) -> Result<(), Error> {
    let Some(news) = news(tx, account, known)? else { return Ok(()) };
    if parts.iter().all(|part| part.account != account || part.from_seq > news.from_seq) {
        parts.retain(|part| part.account != account);
        parts.push(news);
    }
    Ok(())
}

/// What others may lack of a chain who know it with this version of a device's keys, if that is not too much.
pub(super) fn news(
    tx: &Transaction<'_>,
    account: AccountId,
    (device, version): (DeviceId, u32),
) -> Result<Option<ChainPart>, Error> {
    let chain = keys::chain(tx, account)?;
    let stated = chain.as_ref().and_then(|chain| chain.past_device(device)?.version(version));
    let from_seq = stated.map_or(0, |stated| stated.seq.saturating_add(1));
    let entries: Vec<_> = keys::chain_entries(tx, account)?.into_iter().skip(from_seq as usize).collect();
    let bytes: usize = entries.iter().map(|entry| entry.len() + OF_ENTRY).sum();
    let fits = (1..=MOST_ENTRIES).contains(&entries.len()) && bytes <= MOST_NEWS;
    Ok(fits.then_some(ChainPart { account, from_seq, entries }))
}

/// The chains that a commit brings along: parts of one account that follow each other are one.
pub(super) fn joined(parts: &[ChainPart]) -> Vec<ChainPart> {
    let mut whole: Vec<ChainPart> = Vec::with_capacity(parts.len());
    for part in parts {
        let end = |known: &ChainPart| u32::try_from(known.entries.len()).ok()?.checked_add(known.from_seq);
        match whole.last_mut() {
            Some(last) if last.account == part.account && end(last) == Some(part.from_seq) => {
                last.entries.extend_from_slice(&part.entries);
            }
            _ => whole.push(part.clone()),
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(account: u8, from_seq: u32, entries: u8) -> ChainPart {
        let entries = (0..entries).map(|entry| vec![entry]).collect();
        ChainPart { account: AccountId::from_bytes([account; 16]), from_seq, entries }
    }

    #[test]
    fn parts_that_follow_each_other_are_one() {
        let whole = joined(&[part(1, 0, 64), part(1, 64, 64), part(1, 128, 3), part(2, 5, 2)]);
        let seen: Vec<_> = whole.iter().map(|part| (part.from_seq, part.entries.len())).collect();
        assert_eq!(seen, [(0, 131), (5, 2)]);
        // With a gap, or of another account, they are not.
        for other in [part(1, 65, 1), part(1, 63, 1), part(2, 64, 1)] {
            assert_eq!(joined(&[part(1, 0, 64), other]).len(), 2);
        }
        assert_eq!(joined(&[part(1, u32::MAX, 1), part(1, 0, 1)]).len(), 2);
    }

    #[test]
    fn a_chain_that_is_too_long_takes_no_place() {
        assert_eq!(Size::of(1, 1800), Size { bytes: 1826, parts: 1 });
        assert_eq!(Size::of(65, 65 * 1700), Size { bytes: 65 * 1704 + 44, parts: 2 });
        assert_eq!(Size::of(97, 97 * 1700), Size::default());
    }
}
