//! The rules, sentence by sentence (design section 6; docs/protocol.md "Judging commits"), then at random.
//!
//! The group of most tests: people 1 (admin), 2 and 3 (members) with devices 1 and 2 each. Leaf indices: 0 and 1 are person 1's,
//! 2 and 3 person 2's, 4 and 5 person 3's. Person 4 is outside.

mod chains;
mod leaves;
mod oracle;
mod path;
mod proofs;
mod random;
mod roster;

use ed25519_dalek::SigningKey;
use waxwing_protocol::group::{LeaveProof, ResyncProof};
use waxwing_wire::{DeviceId, hash};

use super::*;

const GROUP: LogId = LogId::from_bytes([7; 16]);
const ELSEWHERE: LogId = LogId::from_bytes([8; 16]);

fn account(person: u8) -> AccountId {
    AccountId::from_bytes([person; 16])
}

fn device(person: u8, number: u8) -> DeviceId {
    let mut bytes = [person; 16];
    bytes[15] = 100 + number;
    DeviceId::from_bytes(bytes)
}

/// The MLS key of a device.
fn key(person: u8, number: u8, version: u8) -> SigningKey {
    SigningKey::from_bytes(&hash(&[b"mls", &[person, number, version]]))
}

fn identity(person: u8, number: u8, version: u8) -> LeafIdentity {
    LeafIdentity {
        account: account(person),
        device: device(person, number),
        key_version: version.into(),
        signing: hash(&[b"signing", &[person, number, version]]),
    }
}

/// The encryption key of a device's leaf.
fn encryption(person: u8, number: u8) -> [u8; 32] {
    hash(&[b"encryption", &[person, number]])
}

fn leaf(index: u32, person: u8, number: u8) -> Leaf {
    let mls_key = key(person, number, 1).verifying_key().to_bytes();
    Leaf { index, identity: identity(person, number, 1), mls_key, encryption_key: encryption(person, number) }
}

fn line(person: u8, role: RosterRole) -> RosterLine {
    RosterLine {
        account: account(person),
        role,
        account_key: [person; 32],
        recovery_key: [person + 100; 32],
        chain_seq: 0,
        chain_head: [person + 50; 32],
        home: format!("person{person}@example.org").parse().unwrap(),
    }
}

fn roster(kind: GroupKind, lines: impl IntoIterator<Item = RosterLine>) -> Roster {
    let name = if kind == GroupKind::Group { "Birds" } else { "" };
    Roster { kind, conversation: [9; 32], generation: 1, name: name.into(), lines: lines.into_iter().collect() }
}

fn group() -> GroupFacts {
    let lines = [line(1, RosterRole::Admin), line(2, RosterRole::Member), line(3, RosterRole::Member)];
    let devices = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2)];
    let leaves = (0..).zip(devices).map(|(index, (person, number))| leaf(index, person, number)).collect();
    GroupFacts { id: GROUP, roster: roster(GroupKind::Group, lines), leaves }
}

/// Two people with a device each, both admins, as the engine makes it.
fn direct() -> GroupFacts {
    let lines = [line(1, RosterRole::Admin), line(2, RosterRole::Admin)];
    GroupFacts { id: GROUP, roster: roster(GroupKind::Direct, lines), leaves: vec![leaf(0, 1, 1), leaf(1, 2, 1)] }
}

/// One person with two devices.
fn note_to_self() -> GroupFacts {
    let leaves = vec![leaf(0, 1, 1), leaf(1, 1, 2)];
    GroupFacts { id: GROUP, roster: roster(GroupKind::NoteToSelf, [line(1, RosterRole::Admin)]), leaves }
}

/// The commit that replaces the committer's leaf and does nothing else; says `rekey`, as it must.
fn update(before: &GroupFacts, committer: u32) -> CommitFacts {
    let path = before.leaves.iter().find(|leaf| leaf.index == committer).map(|leaf| (leaf.identity, leaf.mls_key));
    CommitFacts {
        committer,
        added: Vec::new(),
        removed: Vec::new(),
        path,
        roster: before.roster.clone(),
        anything_else: false,
        unusable_key: false,
        data: CommitData { rekey: true, ..CommitData::default() },
    }
}

/// With these leaves removed; says `rekey`, as it must.
fn removing(before: &GroupFacts, committer: u32, removed: &[u32]) -> CommitFacts {
    CommitFacts { removed: removed.to_vec(), ..update(before, committer) }
}

fn adding(before: &GroupFacts, committer: u32, added: &[AddedLeaf]) -> CommitFacts {
    CommitFacts { added: added.to_vec(), data: CommitData::default(), ..update(before, committer) }
}

/// A device's new leaf.
fn new(person: u8, number: u8) -> AddedLeaf {
    AddedLeaf {
        identity: identity(person, number, 1),
        mls_key: key(person, number, 1).verifying_key().to_bytes(),
        key_package: hash(&[b"package", &[person, number]]),
    }
}

fn leave_proof(person: u8, number: u8) -> LeaveProof {
    let (key, leaf) = (key(person, number, 1), encryption(person, number));
    LeaveProof::sign(&key, GROUP, account(person), device(person, number), &leaf, [5; 16])
}

/// For the key package of [`new`].
fn resync_proof(person: u8, number: u8) -> ResyncProof {
    let package = new(person, number).key_package;
    ResyncProof::sign(&key(person, number, 1), GROUP, account(person), device(person, number), [6; 16], package)
}

/// The proof with other bytes: `from` counts from its start, as it travels.
fn altered<P: Proof>(proof: &P, from: usize, change: impl FnOnce(&mut [u8])) -> P {
    // `version 1 | rekey 1 | chains u16 | leaves u16 | resyncs u16`, then this proof alone.
    let mut bytes = P::data(proof.clone()).encode();
    change(&mut bytes[8 + from..]);
    P::of(CommitData::decode(&bytes).unwrap())
}

/// Where a proof's nonce and its signature stand.
trait Proof: Clone {
    const NONCE: usize = 32;
    const SIGNATURE: usize;
    fn data(self) -> CommitData;
    fn of(data: CommitData) -> Self;
}

impl Proof for LeaveProof {
    const SIGNATURE: usize = 48;

    fn data(self) -> CommitData {
        CommitData { leaves: vec![self], ..CommitData::default() }
    }

    fn of(data: CommitData) -> Self {
        data.leaves[0].clone()
    }
}

impl Proof for ResyncProof {
    const SIGNATURE: usize = 80;

    fn data(self) -> CommitData {
        CommitData { resyncs: vec![self], ..CommitData::default() }
    }

    fn of(data: CommitData) -> Self {
        data.resyncs[0].clone()
    }
}

/// A member's answer to person 3's wish to leave: both leaves and the line go.
fn answer_to_leave(before: &GroupFacts, committer: u32) -> CommitFacts {
    let mut commit = removing(before, committer, &[4, 5]);
    commit.roster.remove(account(3));
    commit.data.leaves.push(leave_proof(3, 1));
    commit
}

/// A member's answer to the wish of person 3's first device for a resync.
fn answer_to_resync(before: &GroupFacts, committer: u32) -> CommitFacts {
    let mut commit = removing(before, committer, &[4]);
    commit.added.push(new(3, 1));
    commit.data.resyncs.push(resync_proof(3, 1));
    commit
}

#[track_caller]
fn valid(before: &GroupFacts, commit: &CommitFacts) {
    assert_eq!(judge(before, commit), Ok(()));
    assert!(oracle::allows(before, commit), "the other implementation refuses it");
}

#[track_caller]
fn invalid(before: &GroupFacts, commit: &CommitFacts, why: &'static str) {
    assert_eq!(judge(before, commit), Err(Invalid(why)));
    assert!(!oracle::allows(before, commit), "the other implementation allows it");
}
