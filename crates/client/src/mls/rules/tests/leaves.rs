//! Who may add and remove leaves, and how many there may be.

use super::*;

const NO_RIGHT_TO_ADD: &str = "it adds somebody without the right to";
const NO_RIGHT_TO_REMOVE: &str = "it removes somebody without the right to";

/// With the line of a new member.
fn bringing(before: &GroupFacts, committer: u32, person: u8) -> CommitFacts {
    let mut commit = adding(before, committer, &[new(person, 1)]);
    commit.roster.set(line(person, RosterRole::Member));
    commit
}

#[test]
fn an_update_alone_is_valid_for_everybody() {
    for before in [group(), direct(), note_to_self()] {
        for leaf in &before.leaves {
            valid(&before, &update(&before, leaf.index));
        }
    }
}

#[test]
fn an_admin_adds() {
    let before = group();
    valid(&before, &bringing(&before, 0, 4));
    // With either device, and several devices at once.
    let mut commit = bringing(&before, 1, 4);
    commit.added.push(new(4, 2));
    commit.added.push(new(2, 3));
    valid(&before, &commit);
}

#[test]
fn an_admin_removes() {
    let before = group();
    valid(&before, &removing(&before, 0, &[3]));
    let mut commit = removing(&before, 0, &[2, 3]);
    commit.roster.remove(account(2));
    valid(&before, &commit);
}

#[test]
fn a_member_adds_nobody() {
    let before = group();
    invalid(&before, &bringing(&before, 2, 4), NO_RIGHT_TO_ADD);
    // A device of somebody who is there, of an admin, and next to an own one.
    for person in [1, 3] {
        invalid(&before, &adding(&before, 2, &[new(person, 3)]), NO_RIGHT_TO_ADD);
        invalid(&before, &adding(&before, 2, &[new(2, 3), new(person, 3)]), NO_RIGHT_TO_ADD);
    }
}

#[test]
fn a_member_removes_nobody() {
    let before = group();
    for index in [0, 1, 4, 5] {
        invalid(&before, &removing(&before, 2, &[index]), NO_RIGHT_TO_REMOVE);
        invalid(&before, &removing(&before, 2, &[3, index]), NO_RIGHT_TO_REMOVE);
    }
}

#[test]
fn a_member_changes_the_own_leaves() {
    let before = group();
    valid(&before, &adding(&before, 2, &[new(2, 3)]));
    valid(&before, &removing(&before, 2, &[3]));
    let mut commit = removing(&before, 3, &[2]);
    commit.added = vec![new(2, 1), new(2, 3)];
    valid(&before, &commit);
}

#[test]
fn without_an_admin_everybody_is_one() {
    // The admin's leaves are gone, the line is still there.
    let mut before = group();
    before.leaves.drain(..2);
    for committer in [2, 4] {
        valid(&before, &bringing(&before, committer, 4));
        valid(&before, &removing(&before, committer, &[if committer == 2 { 5 } else { 3 }]));
    }
    let all = admins(&before.roster, &before.leaves);
    assert_eq!(all, HashSet::from([account(2), account(3)]));
    // Nobody was ever one.
    let mut before = group();
    before.roster.set(line(1, RosterRole::Member));
    valid(&before, &bringing(&before, 4, 4));
    // One leaf of one admin is enough to end it.
    let mut before = group();
    before.leaves.remove(0);
    invalid(&before, &bringing(&before, 2, 4), NO_RIGHT_TO_ADD);
    assert_eq!(admins(&before.roster, &before.leaves), HashSet::from([account(1)]));
}

#[test]
fn who_is_an_admin_is_judged_before_the_commit() {
    // The last admin goes on their own wish: whoever answers it is no admin in the same commit.
    let before = group();
    let mut commit = removing(&before, 2, &[0, 1]);
    commit.data.leaves.push(leave_proof(1, 1));
    commit.roster.remove(account(1));
    valid(&before, &commit);
    commit.added.push(new(4, 1));
    commit.roster.set(line(4, RosterRole::Member));
    invalid(&before, &commit, NO_RIGHT_TO_ADD);
}

#[test]
fn whoever_is_added_is_on_the_roster() {
    let before = group();
    let why = "it adds a device of somebody who is not on the roster";
    invalid(&before, &adding(&before, 0, &[new(4, 1)]), why);
    // Off the roster and in again, in one commit.
    let mut commit = removing(&before, 0, &[2, 3]);
    commit.roster.remove(account(2));
    commit.added.push(new(2, 1));
    invalid(&before, &commit, why);
}

#[test]
fn no_device_has_two_leaves() {
    let before = group();
    let why = "it adds a device twice";
    invalid(&before, &adding(&before, 0, &[new(2, 1)]), why);
    invalid(&before, &adding(&before, 2, &[new(2, 1)]), why);
    invalid(&before, &adding(&before, 2, &[new(2, 3), new(2, 3)]), why);
    // Nor does anybody give a device of the own account the id of somebody else's.
    let stolen = LeafIdentity { device: device(3, 1), ..identity(2, 3, 1) };
    invalid(&before, &adding(&before, 2, &[AddedLeaf { identity: stolen, ..new(2, 3) }]), why);
    // Removed first, it is free.
    let mut commit = removing(&before, 0, &[2]);
    commit.added.push(new(2, 1));
    valid(&before, &commit);
    commit.added.push(new(2, 1));
    invalid(&before, &commit, why);
}

#[test]
fn at_most_128_devices() {
    let mut before = group();
    before.leaves.extend((6..128).map(|index| leaf(index, 1, u8::try_from(index).unwrap())));
    assert_eq!(before.leaves.len(), 128);
    valid(&before, &update(&before, 0));
    let why = "it makes the group too large";
    invalid(&before, &adding(&before, 0, &[new(2, 3)]), why);
    invalid(&before, &adding(&before, 2, &[new(2, 3)]), why);
    let mut commit = removing(&before, 2, &[3]);
    commit.added.push(new(2, 3));
    valid(&before, &commit);
    before.leaves.pop();
    valid(&before, &adding(&before, 2, &[new(2, 3)]));
}

/// A chain has no more devices in force: whoever brings in more fills the group with leaves that are nobody's.
#[test]
fn at_most_16_devices_of_one_account() {
    let why = "it gives somebody more leaves than an account has devices";
    let mut before = group();
    before.leaves.extend((6..20).map(|index| leaf(index, 2, u8::try_from(index).unwrap())));
    assert_eq!(before.leaves.iter().filter(|leaf| leaf.identity.account == account(2)).count(), 16);
    // Not by themselves, and not by an admin; the others may have more.
    invalid(&before, &adding(&before, 2, &[new(2, 30)]), why);
    invalid(&before, &adding(&before, 0, &[new(3, 3), new(2, 30)]), why);
    valid(&before, &adding(&before, 0, &[new(3, 3)]));
    // One for one, and not two for one.
    let mut commit = removing(&before, 2, &[3]);
    commit.added.push(new(2, 30));
    valid(&before, &commit);
    commit.added.push(new(2, 31));
    invalid(&before, &commit, why);
    // All at once, with those whom nobody had before.
    let whole: Vec<_> = (1..=17).map(|number| new(4, number)).collect();
    let mut commit = bringing(&before, 0, 4);
    commit.added = whole[..16].to_vec();
    valid(&before, &commit);
    commit.added = whole;
    invalid(&before, &commit, why);
}

/// Whom a group has too many of already keeps nobody from anything else.
#[test]
fn more_than_16_devices_that_are_there_stop_nothing() {
    let mut before = group();
    before.leaves.extend((6..30).map(|index| leaf(index, 2, u8::try_from(index).unwrap())));
    valid(&before, &update(&before, 4));
    valid(&before, &removing(&before, 2, &[3]));
    valid(&before, &adding(&before, 4, &[new(3, 3)]));
    valid(&before, &bringing(&before, 0, 4));
}

#[test]
fn keys_that_nobody_can_seal_to_are_set_by_nobody() {
    for before in [group(), direct(), note_to_self()] {
        for leaf in &before.leaves {
            let commit = CommitFacts { unusable_key: true, ..update(&before, leaf.index) };
            invalid(&before, &commit, "it sets a key that nobody can seal to");
        }
    }
}

#[test]
fn leaves_that_are_not_there_neither_commit_nor_go() {
    let before = group();
    let mut commit = update(&before, 0);
    commit.committer = 6;
    invalid(&before, &commit, "its committer has no leaf");
    invalid(&before, &removing(&before, 0, &[6]), "it removes a leaf that is not there");
}

#[test]
fn nothing_else_is_done_by_anybody() {
    for before in [group(), direct(), note_to_self()] {
        for leaf in &before.leaves {
            let commit = CommitFacts { anything_else: true, ..update(&before, leaf.index) };
            invalid(&before, &commit, "it does something that no commit does here");
        }
    }
}
