//! Wishes to leave and for a resync: what lets a member remove somebody else's leaf.

use super::*;

const LEAVE: &str = "a proof of a wish to leave does not hold";
const HALVES: &str = "it answers a wish to leave by halves";
const RESYNC: &str = "a proof of a wish for a resync does not hold";
const PACKAGE: &str = "it answers a wish for a resync with another key package";

fn with_leave(proof: LeaveProof) -> CommitFacts {
    let mut commit = answer_to_leave(&group(), 2);
    commit.data.leaves = vec![proof];
    commit
}

fn with_resync(proof: ResyncProof) -> CommitFacts {
    let mut commit = answer_to_resync(&group(), 2);
    commit.data.resyncs = vec![proof];
    commit
}

#[test]
fn any_member_answers_a_wish_to_leave() {
    let before = group();
    for committer in 0..4 {
        valid(&before, &answer_to_leave(&before, committer));
    }
    // From either device, and from both.
    let mut commit = with_leave(leave_proof(3, 2));
    valid(&before, &commit);
    commit.data.leaves.push(leave_proof(3, 1));
    valid(&before, &commit);
}

#[test]
fn two_people_leave_at_once() {
    let mut before = group();
    before.roster.set(line(4, RosterRole::Member));
    before.leaves.push(leaf(6, 4, 1));
    let mut commit = removing(&before, 2, &[4, 5, 6]);
    commit.data.leaves = vec![leave_proof(4, 1), leave_proof(3, 1)];
    commit.roster.remove(account(3));
    commit.roster.remove(account(4));
    valid(&before, &commit);
    commit.data.leaves.pop();
    invalid(&before, &commit, "it removes somebody without the right to");
}

#[test]
fn a_wish_to_leave_is_signed_by_the_leaf_that_leaves() {
    let before = group();
    let signed_by =
        |key: &SigningKey| LeaveProof::sign(key, GROUP, account(3), device(3, 1), &encryption(3, 1), [5; 16]);
    // By the committer, another device of the account, an older or newer key of the device.
    for wrong in [key(2, 1, 1), key(1, 1, 1), key(3, 2, 1), key(3, 1, 2)] {
        invalid(&before, &with_leave(signed_by(&wrong)), LEAVE);
    }
    // The committer's own proof says nothing of somebody else.
    let mut renamed = leave_proof(2, 1);
    (renamed.account, renamed.device) = (account(3), device(3, 1));
    invalid(&before, &with_leave(renamed), LEAVE);
}

#[test]
fn a_wish_to_leave_is_for_one_group() {
    let before = group();
    let proof = LeaveProof::sign(&key(3, 1, 1), ELSEWHERE, account(3), device(3, 1), &encryption(3, 1), [5; 16]);
    invalid(&before, &with_leave(proof), LEAVE);
}

/// Whoever left once and was added again is not thrown out by the old wish.
#[test]
fn a_wish_to_leave_is_of_one_leaf() {
    let before = group();
    let earlier = encryption(9, 9);
    let proof = LeaveProof::sign(&key(3, 1, 1), GROUP, account(3), device(3, 1), &earlier, [5; 16]);
    invalid(&before, &with_leave(proof), LEAVE);
}

#[test]
fn a_proof_is_for_one_purpose() {
    let before = group();
    // The same key, group, device and nonce; a leave proof signs zeros where a resync names a package.
    let resync = ResyncProof::sign(&key(3, 1, 1), GROUP, account(3), device(3, 1), [5; 16], [0; 32]);
    let leave = altered(&leave_proof(3, 1), LeaveProof::SIGNATURE, |bytes| {
        let wire = resync.clone().data().encode();
        bytes.copy_from_slice(&wire[8 + ResyncProof::SIGNATURE..]);
    });
    invalid(&before, &with_leave(leave), LEAVE);
    let mut commit = with_resync(altered(&resync, ResyncProof::SIGNATURE, |bytes| {
        let wire = leave_proof(3, 1).data().encode();
        bytes.copy_from_slice(&wire[8 + LeaveProof::SIGNATURE..]);
    }));
    commit.added[0].key_package = [0; 32];
    invalid(&before, &commit, RESYNC);
    commit.data.resyncs = vec![resync];
    valid(&before, &commit);
}

#[test]
fn every_bit_of_a_proof_counts() {
    let before = group();
    let every_bit = |from: usize, bytes: usize| (0..bytes * 8).map(move |bit| (from + bit / 8, 1 << (bit % 8)));
    for (from, bytes) in [(LeaveProof::NONCE, 16), (LeaveProof::SIGNATURE, 64)] {
        for (at, bit) in every_bit(from, bytes) {
            let proof: LeaveProof = altered(&leave_proof(3, 1), at, |bytes| bytes[0] ^= bit);
            invalid(&before, &with_leave(proof), LEAVE);
        }
    }
    for (from, bytes) in [(ResyncProof::NONCE, 16), (ResyncProof::SIGNATURE, 64)] {
        for (at, bit) in every_bit(from, bytes) {
            let proof: ResyncProof = altered(&resync_proof(3, 1), at, |bytes| bytes[0] ^= bit);
            invalid(&before, &with_resync(proof), RESYNC);
        }
    }
}

#[test]
fn a_wish_to_leave_is_of_somebody_who_is_there() {
    let before = group();
    let why = "it answers a wish to leave of somebody who is not there";
    for (person, number) in [(4, 1), (3, 3)] {
        invalid(&before, &with_leave(leave_proof(person, number)), why);
    }
    // The right device, said to be of another account.
    let mut misnamed = leave_proof(3, 1);
    misnamed.account = account(2);
    invalid(&before, &with_leave(misnamed), why);
}

#[test]
fn a_wish_to_leave_is_answered_whole() {
    let before = group();
    // One leaf stays.
    for stays in [4, 5] {
        let mut commit = answer_to_leave(&before, 2);
        commit.removed.retain(|index| *index != stays);
        invalid(&before, &commit, HALVES);
    }
    // The line stays.
    let mut commit = answer_to_leave(&before, 2);
    commit.roster = before.roster.clone();
    invalid(&before, &commit, HALVES);
    // The line goes and no leaf does, or nothing at all is done: nor may an admin.
    for committer in [0, 2] {
        let mut commit = update(&before, committer);
        commit.data.leaves.push(leave_proof(3, 1));
        invalid(&before, &commit, HALVES);
        commit.roster.remove(account(3));
        invalid(&before, &commit, HALVES);
    }
    // Away, and in again at once.
    let mut commit = answer_to_leave(&before, 0);
    commit.added.push(new(3, 1));
    invalid(&before, &commit, "it adds a device of somebody who is not on the roster");
    commit.roster = before.roster.clone();
    invalid(&before, &commit, HALVES);
}

#[test]
fn nobody_answers_their_own_wish_to_leave() {
    // A committer cannot remove the own leaf (RFC 9420, section 12.4), so it would be by halves.
    let before = group();
    let mut commit = removing(&before, 4, &[5]);
    commit.roster.remove(account(3));
    commit.data.leaves.push(leave_proof(3, 1));
    invalid(&before, &commit, HALVES);
}

#[test]
fn a_wish_to_leave_covers_nobody_else() {
    let before = group();
    let mut commit = answer_to_leave(&before, 2);
    commit.removed.push(0);
    invalid(&before, &commit, "it removes somebody without the right to");
    let mut commit = answer_to_leave(&before, 2);
    commit.roster.remove(account(1));
    invalid(&before, &commit, "it takes somebody off the roster whose device stays");
}

#[test]
fn nobody_leaves_two_people_or_oneself() {
    let before = direct();
    let mut commit = removing(&before, 0, &[1]);
    commit.data.leaves.push(leave_proof(2, 1));
    commit.roster.remove(account(2));
    invalid(&before, &commit, LEAVE);
    let before = note_to_self();
    let mut commit = removing(&before, 0, &[1]);
    commit.data.leaves.push(leave_proof(1, 2));
    invalid(&before, &commit, LEAVE);
}

#[test]
fn any_member_answers_a_wish_for_a_resync() {
    let before = group();
    for committer in [0, 1, 2, 3, 5] {
        valid(&before, &answer_to_resync(&before, committer));
    }
    let before = direct();
    let mut commit = removing(&before, 0, &[1]);
    commit.added.push(new(2, 1));
    commit.data.resyncs.push(resync_proof(2, 1));
    valid(&before, &commit);
}

#[test]
fn two_devices_of_one_account_are_resynced_at_once() {
    let before = group();
    let mut commit = removing(&before, 2, &[4, 5]);
    commit.added = vec![new(3, 1), new(3, 2)];
    commit.data.resyncs = vec![resync_proof(3, 2), resync_proof(3, 1)];
    valid(&before, &commit);
    // One for the other's leaf, each named as it should be.
    let package = new(3, 1).key_package;
    let crossed = ResyncProof::sign(&key(3, 2, 1), GROUP, account(3), device(3, 1), [6; 16], package);
    commit.data.resyncs[1] = crossed;
    invalid(&before, &commit, RESYNC);
}

#[test]
fn a_resync_brings_newer_keys_too() {
    let before = group();
    let mut commit = answer_to_resync(&before, 2);
    commit.added[0].identity = identity(3, 1, 2);
    valid(&before, &commit);
}

#[test]
fn a_wish_for_a_resync_is_signed_by_the_leaf_that_goes() {
    let before = group();
    let package = new(3, 1).key_package;
    for wrong in [key(2, 1, 1), key(1, 1, 1), key(3, 2, 1), key(3, 1, 2)] {
        let proof = ResyncProof::sign(&wrong, GROUP, account(3), device(3, 1), [6; 16], package);
        invalid(&before, &with_resync(proof), RESYNC);
    }
    let proof = ResyncProof::sign(&key(3, 1, 1), ELSEWHERE, account(3), device(3, 1), [6; 16], package);
    invalid(&before, &with_resync(proof), RESYNC);
}

#[test]
fn a_resync_takes_exactly_the_key_package_that_was_named() {
    let before = group();
    let mut commit = answer_to_resync(&before, 2);
    commit.added[0].key_package = [0; 32];
    invalid(&before, &commit, PACKAGE);
    // Named anew by the committer: the signature is of the other one.
    commit.data.resyncs[0].key_package = [0; 32];
    invalid(&before, &commit, RESYNC);
    // Nor does it bind less for an admin.
    let mut commit = answer_to_resync(&before, 0);
    commit.added[0].key_package = [0; 32];
    invalid(&before, &commit, PACKAGE);
}

#[test]
fn a_resync_is_answered_whole() {
    let before = group();
    let mut commit = answer_to_resync(&before, 2);
    commit.added.clear();
    invalid(&before, &commit, PACKAGE);
    let mut commit = answer_to_resync(&before, 2);
    commit.removed.clear();
    invalid(&before, &commit, "it answers a wish for a resync without removing the leaf");
    // Another device of the account comes in its place.
    let mut commit = answer_to_resync(&before, 2);
    commit.added = vec![AddedLeaf { key_package: new(3, 1).key_package, ..new(3, 3) }];
    invalid(&before, &commit, PACKAGE);
    // Two leaves come for the one.
    let mut commit = answer_to_resync(&before, 2);
    commit.added.push(commit.added[0]);
    invalid(&before, &commit, PACKAGE);
    let mut commit = answer_to_resync(&before, 2);
    commit.data.resyncs.push(resync_proof(3, 1));
    invalid(&before, &commit, "it answers a wish for a resync twice");
}

#[test]
fn a_resync_covers_one_device_alone() {
    let before = group();
    let mut commit = answer_to_resync(&before, 2);
    commit.removed.push(5);
    invalid(&before, &commit, "it removes somebody without the right to");
    let mut commit = answer_to_resync(&before, 2);
    commit.added.push(new(3, 3));
    invalid(&before, &commit, "it adds somebody without the right to");
    // The account that takes the device's place must be the one that asked.
    let mut commit = answer_to_resync(&before, 2);
    commit.added[0].identity.account = account(2);
    invalid(&before, &commit, PACKAGE);
}

#[test]
fn a_resync_leaves_the_roster_alone() {
    let mut before = group();
    before.leaves.pop();
    let mut commit = answer_to_resync(&before, 2);
    commit.roster.remove(account(3));
    invalid(&before, &commit, "it adds a device of somebody who is not on the roster");
}
