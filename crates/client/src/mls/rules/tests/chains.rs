//! Commits that follow somebody's chain: recovery, another account key, the end of an account.

use waxwing_protocol::group::ChainPart;
use waxwing_protocol::statement::{self, NewKeys};
use waxwing_protocol::{AccountKey, DeviceKeys, DeviceSeeds, LeafIdentity, RecoveryKey, RecoveryPhrase};
use waxwing_wire::{ChainEntry, VerifiedChain};

use super::*;
use crate::random;

/// Person 3 with a real chain, in the group with the device that it states.
struct Cem {
    chain: VerifiedChain,
    entries: Vec<Vec<u8>>,
    account_key: AccountKey,
    recovery_key: RecoveryKey,
}

fn device_keys(number: u8) -> DeviceKeys {
    DeviceKeys::new(device(3, number), 1, DeviceSeeds::generate(&mut random::rng())).unwrap()
}

impl Cem {
    fn new() -> (Self, GroupFacts) {
        let (account_key, keys) = (AccountKey::generate(&mut random::rng()), device_keys(1));
        let recovery_key = RecoveryPhrase::generate(&mut random::rng()).recovery_key();
        let name = Some("cem".parse().unwrap());
        let entry = statement::create(account(3), "example.org", name, &account_key, &recovery_key, &keys, 1);
        let entries = vec![entry.as_bytes().to_vec()];
        let chain = VerifiedChain::verify(&entries).unwrap();
        let cem = Self { chain, entries, account_key, recovery_key };
        let mut before = group();
        before.roster.set(RosterLine { role: RosterRole::Member, ..cem.line() });
        for leaf in before.leaves.iter_mut().filter(|leaf| leaf.identity == identity(3, 1, 1)) {
            leaf.identity = LeafIdentity::of(account(3), keys.record());
            leaf.mls_key = keys.record().mls;
        }
        before.leaves.retain(|leaf| leaf.identity.device != device(3, 2));
        (cem, before)
    }

    fn line(&self) -> RosterLine {
        RosterLine {
            account_key: *self.chain.account_key(),
            recovery_key: *self.chain.recovery_key(),
            chain_seq: self.chain.seq(),
            chain_head: self.chain.head(),
            ..line(3, RosterRole::Member)
        }
    }

    fn push(&mut self, entry: &ChainEntry) {
        self.chain.extend(entry.as_bytes()).unwrap();
        self.entries.push(entry.as_bytes().to_vec());
    }

    /// Back with one new device; gives its leaf.
    fn recover(&mut self, number: u8) -> AddedLeaf {
        let (account_key, keys) = (AccountKey::generate(&mut random::rng()), device_keys(number));
        let new = NewKeys { recovery_key: &self.recovery_key, account_key: &account_key, device: &keys };
        self.push(&statement::recover(&self.chain, &self.recovery_key, &new, 2));
        self.account_key = account_key;
        AddedLeaf {
            identity: LeafIdentity::of(account(3), keys.record()),
            mls_key: keys.record().mls,
            ..new_leaf(number)
        }
    }

    fn part(&self, from: usize) -> ChainPart {
        let from_seq = u32::try_from(from).unwrap();
        ChainPart { account: account(3), from_seq, entries: self.entries[from..].to_vec() }
    }

    /// The commit of `committer` that follows it.
    fn followed(&self, before: &GroupFacts, committer: u32, removed: &[u32], added: &[AddedLeaf]) -> CommitFacts {
        let mut commit = removing(before, committer, removed);
        commit.added = added.to_vec();
        commit.data.chains = vec![self.part(1)];
        commit.data.rekey = !removed.is_empty();
        commit.roster.set(self.line());
        commit
    }
}

fn new_leaf(number: u8) -> AddedLeaf {
    new(3, number)
}

/// Leaves: 0 and 1 of person 1 (admin), 2 and 3 of person 2, 4 of person 3.
const MEMBER: u32 = 2;
const CEM: u32 = 4;

#[test]
fn any_member_brings_back_whoever_has_recovered() {
    let (mut cem, before) = Cem::new();
    let back = cem.recover(7);
    let commit = cem.followed(&before, MEMBER, &[CEM], &[back]);
    assert_eq!(judge(&before, &commit), Ok(()));
    // The whole chain will do as well as what is new of it.
    let whole = CommitFacts { data: CommitData { chains: vec![cem.part(0)], ..commit.data.clone() }, ..commit.clone() };
    assert_eq!(judge(&before, &whole), Ok(()));
    // Their own account may be an admin's: the role stays.
    let mut promoted = commit.clone();
    promoted.roster.set(RosterLine { role: RosterRole::Admin, ..cem.line() });
    assert!(judge(&before, &promoted).is_err());
    let mut dropped = commit;
    dropped.roster.remove(account(3));
    assert!(judge(&before, &dropped).is_err());
}

#[test]
fn p13_a_chain_is_not_followed_by_halves() {
    let (mut cem, before) = Cem::new();
    let back = cem.recover(7);
    // The old device stays; or nobody is brought back, and nobody could be later.
    let halves = Err(Invalid("it follows a chain by halves"));
    assert_eq!(judge(&before, &cem.followed(&before, MEMBER, &[], &[back])), halves);
    assert_eq!(judge(&before, &cem.followed(&before, MEMBER, &[CEM], &[])), halves);
    // An admin may do so, and add the device by right later.
    assert_eq!(judge(&before, &cem.followed(&before, 0, &[CEM], &[])), Ok(()));
    // Removed and added, and the line stays where it was: the proof would be good for ever.
    let mut still = cem.followed(&before, MEMBER, &[CEM], &[back]);
    still.roster = before.roster.clone();
    assert!(judge(&before, &still).is_err());
}

#[test]
fn p1_nothing_but_what_the_chain_states_is_added() {
    let (mut cem, before) = Cem::new();
    let back = cem.recover(7);
    for wrong in [
        new_leaf(7),
        AddedLeaf { mls_key: [9; 32], ..back },
        AddedLeaf { identity: LeafIdentity { key_version: 2, ..back.identity }, ..back },
        AddedLeaf { identity: LeafIdentity { device: device(3, 8), ..back.identity }, ..back },
        AddedLeaf { identity: LeafIdentity { account: account(2), ..back.identity }, ..back },
    ] {
        assert!(judge(&before, &cem.followed(&before, MEMBER, &[CEM], &[wrong])).is_err());
    }
    // Nor is anybody else removed with it.
    assert!(judge(&before, &cem.followed(&before, MEMBER, &[CEM, 0], &[back])).is_err());
}

#[test]
fn p5_an_entry_cannot_be_shown_twice_nor_out_of_its_place() {
    let (mut cem, mut before) = Cem::new();
    let back = cem.recover(7);
    let first = cem.followed(&before, MEMBER, &[CEM], &[back]);
    assert_eq!(judge(&before, &first), Ok(()));
    // The group after it: the same entries lead nowhere.
    before.roster = first.roster.clone();
    before.leaves.retain(|leaf| leaf.index != CEM);
    before.leaves.push(Leaf { index: CEM, identity: back.identity, mls_key: back.mls_key, encryption_key: [1; 32] });
    assert!(judge(&before, &cem.followed(&before, MEMBER, &[CEM], &[back])).is_err());
    // A second recovery without the first, from the line of before.
    let (mut cem, before) = Cem::new();
    cem.recover(7);
    let back = cem.recover(8);
    let mut gap = cem.followed(&before, MEMBER, &[CEM], &[back]);
    gap.data.chains = vec![cem.part(2)];
    assert!(judge(&before, &gap).is_err());
    assert_eq!(judge(&before, &cem.followed(&before, MEMBER, &[CEM], &[back])), Ok(()));
    // One changed byte.
    let mut changed = cem.followed(&before, MEMBER, &[CEM], &[back]);
    changed.data.chains[0].entries[0][60] ^= 1;
    assert!(judge(&before, &changed).is_err());
}

#[test]
fn p1_a_replaced_account_key_proves_nothing_any_more() {
    let (mut cem, before) = Cem::new();
    let stolen = AccountKey::from_seed(cem.account_key.seed());
    let forked = cem.chain.clone();
    let new_key = AccountKey::generate(&mut random::rng());
    cem.push(&statement::rotate_account_key(&cem.chain, &cem.account_key, &new_key, &[], 2));
    let commit = cem.followed(&before, MEMBER, &[], &[]);
    assert_eq!(judge(&before, &commit), Ok(()), "any member moves the line on");
    let after = GroupFacts { roster: commit.roster, ..before };
    // The thief's entry follows an older one than the line names.
    let thief = AccountKey::generate(&mut random::rng());
    let entry = statement::rotate_account_key(&forked, &stolen, &thief, &[], 3);
    let mut commit = removing(&after, MEMBER, &[]);
    commit.data.rekey = false;
    let entries = vec![entry.as_bytes().to_vec()];
    commit.data.chains = vec![ChainPart { account: account(3), from_seq: 1, entries }];
    commit.roster.set(RosterLine { account_key: thief.public(), chain_seq: 1, chain_head: entry.hash(), ..cem.line() });
    assert!(judge(&after, &commit).is_err());
}

#[test]
fn a_closed_account_goes_with_all_its_leaves() {
    let (mut cem, before) = Cem::new();
    cem.push(&statement::close(&cem.chain, &cem.account_key, 2));
    let mut commit = cem.followed(&before, MEMBER, &[CEM], &[]);
    commit.roster.remove(account(3));
    assert_eq!(judge(&before, &commit), Ok(()));
    let mut stays = cem.followed(&before, MEMBER, &[], &[]);
    stays.roster.remove(account(3));
    assert!(judge(&before, &stays).is_err());
    // In a conversation of two the line stays.
    let mut two = GroupFacts {
        roster: Roster { kind: GroupKind::Direct, name: String::new(), ..before.roster.clone() },
        ..before
    };
    two.roster.remove(account(1));
    two.leaves.retain(|leaf| leaf.identity.account != account(1));
    let mut gone = cem.followed(&two, MEMBER, &[CEM], &[]);
    assert_eq!(judge(&two, &gone), Ok(()));
    gone.roster.remove(account(3));
    assert!(judge(&two, &gone).is_err());
}
