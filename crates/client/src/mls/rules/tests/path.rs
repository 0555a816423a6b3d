//! The committer's new leaf, and when a channel secret is due.

use super::*;

const REKEY: &str = "it sets a channel secret where none is due, or none where one is";

/// The commit that brings version `version` of the committer's keys.
fn rotating(before: &GroupFacts, committer: u32, (person, number): (u8, u8), version: u8) -> CommitFacts {
    let mls_key = key(person, number, version).verifying_key().to_bytes();
    let mut commit = update(before, committer);
    commit.path = Some((identity(person, number, version), mls_key));
    commit.data.rekey = true;
    commit
}

#[test]
fn every_commit_has_a_path() {
    let before = group();
    for mut commit in [update(&before, 2), adding(&before, 2, &[new(2, 3)]), removing(&before, 0, &[4])] {
        valid(&before, &commit);
        commit.path = None;
        invalid(&before, &commit, "it has no path");
    }
}

#[test]
fn the_committer_stays_who_they_are() {
    let before = group();
    let why = "its committer becomes somebody else";
    for (person, number) in [(1, 1), (3, 1), (4, 1), (2, 2), (2, 3)] {
        for version in [1, 2] {
            let mut commit = rotating(&before, 2, (person, number), version);
            invalid(&before, &commit, why);
            commit.data.rekey = false;
            invalid(&before, &commit, why);
        }
    }
    // One half of the identity alone.
    let mut commit = update(&before, 2);
    commit.path = commit.path.map(|(own, key)| (LeafIdentity { account: account(1), ..own }, key));
    invalid(&before, &commit, why);
}

#[test]
fn an_admin_becomes_nobody_else_either() {
    let before = group();
    invalid(&before, &rotating(&before, 0, (3, 1), 2), "its committer becomes somebody else");
    invalid(&before, &rotating(&before, 0, (1, 2), 2), "its committer becomes somebody else");
}

#[test]
fn keys_go_forward() {
    let mut before = group();
    valid(&before, &rotating(&before, 2, (2, 1), 2));
    valid(&before, &rotating(&before, 2, (2, 1), 9));
    before.leaves[2].identity = identity(2, 1, 5);
    before.leaves[2].mls_key = key(2, 1, 5).verifying_key().to_bytes();
    valid(&before, &rotating(&before, 2, (2, 1), 6));
}

#[test]
fn keys_never_go_back() {
    let mut before = group();
    before.leaves[2].identity = identity(2, 1, 5);
    before.leaves[2].mls_key = key(2, 1, 5).verifying_key().to_bytes();
    for version in 1..5 {
        let mut commit = rotating(&before, 2, (2, 1), version);
        invalid(&before, &commit, "its committer goes back to older keys");
        commit.data.rekey = false;
        invalid(&before, &commit, "its committer goes back to older keys");
    }
}

#[test]
fn a_version_has_one_set_of_keys() {
    let before = group();
    let why = "its committer changes keys within a version";
    let mut commit = update(&before, 2);
    commit.path = commit.path.map(|(own, _)| (own, [3; 32]));
    invalid(&before, &commit, why);
    let mut commit = update(&before, 2);
    commit.path = commit.path.map(|(own, key)| (LeafIdentity { signing: [3; 32], ..own }, key));
    invalid(&before, &commit, why);
}

#[test]
fn a_channel_secret_is_due_with_a_removal() {
    let before = group();
    for (committer, removed) in [(0, 4), (2, 3)] {
        let mut commit = removing(&before, committer, &[removed]);
        valid(&before, &commit);
        commit.data.rekey = false;
        invalid(&before, &commit, REKEY);
    }
    for mut commit in [answer_to_leave(&before, 2), answer_to_resync(&before, 2)] {
        commit.data.rekey = false;
        invalid(&before, &commit, REKEY);
    }
}

#[test]
fn a_channel_secret_is_due_with_newer_keys() {
    let before = group();
    let mut commit = rotating(&before, 2, (2, 1), 2);
    commit.data.rekey = false;
    invalid(&before, &commit, REKEY);
}

#[test]
fn a_channel_secret_is_due_with_a_self_update() {
    let before = group();
    for committer in [0, 2] {
        let mut commit = update(&before, committer);
        valid(&before, &commit);
        commit.data.rekey = false;
        invalid(&before, &commit, REKEY);
    }
}

#[test]
fn no_channel_secret_is_due_otherwise() {
    let before = group();
    let mut renamed = update(&before, 0);
    renamed.roster.name = "Fish".into();
    renamed.data.rekey = false;
    for mut commit in [adding(&before, 2, &[new(2, 3)]), renamed] {
        valid(&before, &commit);
        commit.data.rekey = true;
        invalid(&before, &commit, REKEY);
    }
}
