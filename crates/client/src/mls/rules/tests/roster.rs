//! Who changes the roster, and what of it never changes.

use super::*;

const NO_RIGHT: &str = "it changes the roster without the right to";
const FIXED: &str = "the roster of this conversation is fixed";

fn with(before: &GroupFacts, committer: u32, change: impl FnOnce(&mut Roster)) -> CommitFacts {
    let mut commit = update(before, committer);
    change(&mut commit.roster);
    commit.data.rekey = commit.roster == before.roster;
    commit
}

/// Each thing that an admin may do to the roster of [`group`] without touching a leaf.
fn changes(before: &GroupFacts, committer: u32) -> Vec<CommitFacts> {
    vec![
        with(before, committer, |roster| roster.name = "Fish".into()),
        with(before, committer, |roster| roster.set(line(4, RosterRole::Member))),
        with(before, committer, |roster| roster.set(line(4, RosterRole::Admin))),
        with(before, committer, |roster| roster.set(line(2, RosterRole::Admin))),
        with(before, committer, |roster| roster.set(line(1, RosterRole::Member))),
    ]
}

#[test]
fn an_admin_changes_it() {
    let before = group();
    for commit in changes(&before, 0) {
        valid(&before, &commit);
    }
}

#[test]
fn a_member_does_not() {
    let before = group();
    for commit in changes(&before, 2) {
        invalid(&before, &commit, NO_RIGHT);
    }
    // Not along with what a member may do either.
    let mut commit = answer_to_leave(&before, 2);
    commit.roster.set(line(2, RosterRole::Admin));
    invalid(&before, &commit, NO_RIGHT);
    let mut commit = adding(&before, 2, &[new(2, 3)]);
    commit.roster.name = "Fish".into();
    invalid(&before, &commit, NO_RIGHT);
    // Nor does a member go off it and stay, or take off somebody who has no leaf.
    let mut before = group();
    before.leaves.truncate(4);
    invalid(&before, &with(&before, 2, |roster| roster.remove(account(3))), NO_RIGHT);
    valid(&before, &with(&before, 0, |roster| roster.remove(account(3))));
}

#[test]
fn whoever_goes_off_it_has_no_leaf() {
    let before = group();
    let why = "it takes somebody off the roster whose device stays";
    for person in [1, 2, 3] {
        invalid(&before, &with(&before, 0, |roster| roster.remove(account(person))), why);
    }
    let mut commit = removing(&before, 0, &[2]);
    commit.roster.remove(account(2));
    invalid(&before, &commit, why);
}

#[test]
fn keys_and_homes_on_it_do_not_change() {
    let before = group();
    let why = "it changes somebody's keys without proof";
    for committer in [0, 2] {
        let person = 3;
        let known = line(person, RosterRole::Member);
        for forged in [
            RosterLine { account_key: [0; 32], ..known.clone() },
            RosterLine { recovery_key: [0; 32], ..known.clone() },
            RosterLine { home: "person3@elsewhere.org".parse().unwrap(), ..known },
        ] {
            invalid(&before, &with(&before, committer, |roster| roster.set(forged)), why);
        }
    }
}

#[test]
fn kind_conversation_and_generation_never_change() {
    for before in [group(), direct(), note_to_self()] {
        let why = "it makes another conversation of the group";
        invalid(&before, &with(&before, 0, |roster| roster.generation = 2), why);
        invalid(&before, &with(&before, 0, |roster| roster.conversation = [0; 32]), why);
        for kind in [GroupKind::Direct, GroupKind::Group, GroupKind::NoteToSelf] {
            if kind != before.roster.kind {
                invalid(&before, &with(&before, 0, |roster| roster.kind = kind), why);
            }
        }
    }
}

#[test]
fn that_of_two_people_is_fixed() {
    let before = direct();
    for committer in [0, 1] {
        invalid(&before, &with(&before, committer, |roster| roster.set(line(3, RosterRole::Member))), FIXED);
        invalid(&before, &with(&before, committer, |roster| roster.set(line(1, RosterRole::Member))), FIXED);
        invalid(&before, &with(&before, committer, |roster| roster.name = "Two".into()), FIXED);
        let mut commit = removing(&before, committer, &[1 - committer]);
        commit.roster.remove(account(if committer == 0 { 2 } else { 1 }));
        invalid(&before, &commit, FIXED);
        // Devices come and go.
        valid(&before, &adding(&before, committer, &[new(1, 2), new(2, 2)]));
    }
}

#[test]
fn that_of_a_note_to_self_is_fixed() {
    let before = note_to_self();
    invalid(&before, &with(&before, 0, |roster| roster.set(line(2, RosterRole::Member))), FIXED);
    let mut commit = adding(&before, 0, &[new(2, 1)]);
    commit.roster.set(line(2, RosterRole::Member));
    invalid(&before, &commit, FIXED);
    invalid(&before, &adding(&before, 0, &[new(2, 1)]), "it adds a device of somebody who is not on the roster");
    valid(&before, &adding(&before, 0, &[new(1, 3)]));
    valid(&before, &removing(&before, 0, &[1]));
}

#[test]
fn one_to_64_people() {
    let why = "it leaves too few or too many people";
    let before = group();
    for people in [64, 65] {
        let commit = with(&before, 0, |roster| {
            for person in 4..=people {
                roster.set(line(person, RosterRole::Member));
            }
        });
        if people == 64 { valid(&before, &commit) } else { invalid(&before, &commit, why) }
    }
    invalid(&before, &with(&before, 0, |roster| roster.lines.clear()), why);
    // 64 are full for whoever comes in with a leaf, too.
    let mut full = before;
    for person in 4..=64 {
        full.roster.set(line(person, RosterRole::Member));
    }
    let mut commit = adding(&full, 0, &[new(65, 1)]);
    commit.roster.set(line(65, RosterRole::Member));
    invalid(&full, &commit, why);
}
