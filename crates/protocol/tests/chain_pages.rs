//! Which entries a client remembers as nobody's, whatever it knew before (P2).

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod common;

use waxwing_protocol::{ChainPageError, ChainPages, Refuted};
use waxwing_wire::api::{ChainPage, EntryBytes};
use waxwing_wire::{AccountId, ChainEntry, ChainError, VerifiedChain};

fn page(account: AccountId, entries: &[Vec<u8>]) -> ChainPage {
    ChainPage {
        account,
        name: None,
        head: u32::try_from(entries.len()).unwrap() - 1,
        entries: entries.iter().cloned().map(EntryBytes).collect(),
        indexes: vec![],
        name_index: None,
        checkpoint: None,
    }
}

/// The error that comes of the last entry, to somebody who knows as many of those before it.
fn refused(known: usize, entries: &[Vec<u8>]) -> (ChainError, Option<Refuted>) {
    let account = VerifiedChain::verify(&entries[..1]).unwrap().account();
    let chain = (known > 0).then(|| VerifiedChain::verify(&entries[..known]).unwrap());
    let mut page = page(account, entries);
    page.entries.drain(..known.saturating_sub(1));
    match ChainPages::new(chain).page(page) {
        Err(ChainPageError::Chain { error, refuted }) => (error, refuted),
        other => panic!("{other:?}"),
    }
}

#[test]
fn p2_an_entry_that_nobody_signed_is_remembered_by_newcomers_as_well() {
    let mut entries = common::owner::story().history.entries;
    entries.truncate(3);
    // Another signature, rightly laid out.
    *entries[2].last_mut().unwrap() ^= 1;
    let hash = ChainEntry::decode(&entries[2]).unwrap().hash();
    for known in [0, 1, 2] {
        let (error, refuted) = refused(known, &entries);
        assert_eq!((error, refuted.map(|refuted| refuted.hash)), (ChainError::Signature, Some(hash)), "{known}");
    }
}

/// A later version may allow it: what this one refuses is refused, and not remembered.
#[test]
fn p2_an_entry_that_breaks_a_rule_is_not_remembered() {
    let story = common::owner::story();
    let mut entries = story.history.entries;
    entries.truncate(2);
    // The account stated once more, behind its beginning.
    let chain = VerifiedChain::verify(&entries).unwrap();
    let first = ChainEntry::decode(&entries[0]).unwrap();
    let signatures = entries[0][first.unsigned.encode().len()..].to_vec();
    let unsigned = waxwing_wire::chain::UnsignedEntry { seq: 2, prev_hash: chain.head(), ..first.unsigned };
    entries.push([unsigned.encode(), signatures].concat());
    for known in [0, 2] {
        let (error, refuted) = refused(known, &entries);
        assert!(matches!(error, ChainError::Rule(_)), "{error:?}");
        assert_eq!(refuted, None);
    }
}
