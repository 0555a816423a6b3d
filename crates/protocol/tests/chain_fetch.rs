//! How often a chain is asked for, and what is taken of it (P17).

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod common;

use std::collections::HashSet;

use waxwing_protocol::{ChainFetch, ChainFetched, EntryId, InLog, NotLogged, WantedInLog};
use waxwing_wire::VerifiedChain;

/// What comes of a relay that shows one more entry each time, and a log that says this of each; and how often it was asked.
fn fetched(known: usize, says: impl Fn(u32) -> InLog) -> (Result<(u32, usize), NotLogged>, usize) {
    let entries = common::owner::story().history.entries;
    let mut fetch = ChainFetch::new((known > 0).then(|| VerifiedChain::verify(&entries[..known]).unwrap()));
    let mut asked = 0;
    loop {
        asked += 1;
        assert!(asked < 10, "it asks without end");
        let len = fetch.known().map_or(0, |chain| chain.seq() as usize + 1);
        assert_eq!(len + 1, known + asked, "it goes on from what it has");
        let chain = VerifiedChain::verify(&entries[..=len]).unwrap();
        let answer = match fetch.answered(chain, vec![entries[len].clone()]) {
            Ok(answer) => answer,
            Err(why) => return (Err(why), asked),
        };
        assert_eq!(answer.from() as usize, known, "what was known counts as logged");
        let found = says(answer.chain().seq());
        fetch = match answer.judged(found) {
            Ok(ChainFetched::More(fetch)) => fetch,
            Ok(ChainFetched::Whole(chain, fresh)) => {
                assert_eq!(fresh, entries[known..=chain.seq() as usize]);
                return (Ok((chain.seq(), fresh.len())), asked);
            }
            Err(why) => return (Err(why), asked),
        };
    }
}

#[test]
fn p17_a_chain_is_taken_once_the_log_has_nothing_newer() {
    assert_eq!(fetched(0, |_| InLog::Whole), (Ok((0, 1)), 1));
    assert_eq!(fetched(2, |_| InLog::Whole), (Ok((2, 1)), 1));
    let until = |last| move |seq| if seq < last { InLog::Newer } else { InLog::Whole };
    assert_eq!(fetched(0, until(2)), (Ok((2, 3)), 3));
    assert_eq!(fetched(1, until(3)), (Ok((3, 3)), 3));
}

#[test]
fn p17_nothing_is_taken_of_a_chain_that_the_log_does_not_hold_or_of_which_it_always_has_more() {
    assert_eq!(fetched(0, |_| InLog::Lacks), (Err(NotLogged::Lacks), 1));
    let at_last = |seq| if seq < 2 { InLog::Newer } else { InLog::Lacks };
    assert_eq!(fetched(0, at_last), (Err(NotLogged::Lacks), 3));
    assert_eq!(fetched(1, |_| InLog::Forked), (Err(NotLogged::Forked), 1));
    assert_eq!(fetched(0, |_| InLog::Newer), (Err(NotLogged::Newer), 4));
    assert_eq!(fetched(1, |_| InLog::Newer), (Err(NotLogged::Newer), 4));
}

/// Another leaf for the place of a wanted entry: nobody can tell which is the account's, unless it was shown and is nobody's.
#[test]
fn p2_a_log_with_two_entries_for_one_place_proves_neither() {
    let entries = common::owner::story().history.entries;
    let chain = VerifiedChain::verify(&entries[..3]).unwrap();
    let mut leaves: HashSet<EntryId> = (0..3).map(|seq| (seq, chain.hash_at(seq).unwrap())).collect();
    let (none, no_hash) = (HashSet::new(), HashSet::new());
    assert_eq!(WantedInLog::new(&chain, 0).judge(&leaves, &none, &no_hash), InLog::Whole);
    for place in [1, 2] {
        let other = (place, [0xee; 32]);
        leaves.insert(other);
        for from in 0..=3 {
            let wanted = WantedInLog::new(&chain, from);
            // What was proved before is not asked about.
            let found = if from <= place { InLog::Forked } else { InLog::Whole };
            assert_eq!(wanted.judge(&leaves, &none, &no_hash), found, "{place} from {from}");
            assert_eq!(wanted.judge(&leaves, &none, &HashSet::from([other.1])), InLog::Whole, "it is nobody's");
        }
        // Newer ones do not hide it.
        let mut more = leaves.clone();
        more.insert((3, [1; 32]));
        assert_eq!(WantedInLog::new(&chain, 0).judge(&more, &none, &no_hash), InLog::Forked);
        leaves.remove(&other);
    }
}
