//! What Waxwing puts into MLS groups, as docs/protocol.md "Group" lists it: one encoding each, limits kept, proofs that are
//! for one thing alone.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod common;

use common::{one_encoding, person, var};
use ed25519_dalek::Signer as _;
use waxwing_protocol::group::{
    CHANNEL_SECRET_EXPORT, ChainPart, CommitData, GroupKind, LeaveProof, ROSTER_EXTENSION, ResyncProof, Roster,
    RosterLine, RosterRole,
};
use waxwing_protocol::{AppMessage, LeafIdentity};
use waxwing_wire::limits::{MAX_CHAIN_ENTRY, MAX_GROUP_NAME, MAX_GROUP_PEOPLE};
use waxwing_wire::{AccountId, DecodeError, LogId, hash};

const GROUP: LogId = LogId::from_bytes([2; 16]);

fn line(byte: u8) -> RosterLine {
    RosterLine {
        account: AccountId::from_bytes([byte; 16]),
        role: if byte == 1 { RosterRole::Admin } else { RosterRole::Member },
        account_key: [byte + 0x40; 32],
        recovery_key: [byte + 0x80; 32],
        chain_seq: u32::from(byte),
        chain_head: [byte + 50; 32],
        home: format!("p{byte:02}@waxwing.example:8443#{}", "ab".repeat(32)).parse().unwrap(),
    }
}

fn roster() -> Roster {
    let lines = vec![line(1), line(4)];
    Roster { kind: GroupKind::Group, conversation: [7; 32], generation: 3, name: "Birds ✨".to_owned(), lines }
}

fn leave() -> LeaveProof {
    let person = person(1);
    LeaveProof::sign(person.keys.mls(), GROUP, person.account, person.keys.device(), &[0; 32], [5; 16])
}

fn resync() -> ResyncProof {
    let person = person(1);
    ResyncProof::sign(person.keys.mls(), GROUP, person.account, person.keys.device(), [5; 16], [6; 32])
}

fn part(entries: usize, len: usize) -> ChainPart {
    ChainPart { account: AccountId::from_bytes([3; 16]), from_seq: 2, entries: vec![vec![1; len]; entries] }
}

fn commit_data() -> CommitData {
    CommitData {
        rekey: true,
        chains: vec![part(2, 40), ChainPart { from_seq: 0, ..part(1, 1) }],
        leaves: vec![leave()],
        resyncs: vec![resync()],
    }
}

/// The bytes after the ids and fields that were signed: the proof's own signature, made again from the specification.
fn signature(label: &str, key_package: [u8; 32]) -> [u8; 64] {
    let message = [label.as_bytes(), &[0], GROUP.as_bytes(), &proof_ids(), &key_package].concat();
    person(1).keys.mls().sign(&message).to_bytes()
}

fn proof_ids() -> Vec<u8> {
    let person = person(1);
    [person.account.as_bytes().as_slice(), person.keys.device().as_bytes(), &[5; 16]].concat()
}

#[test]
fn p18_one_encoding_of_each() {
    one_encoding(&roster().encode(), |bytes| Some(Roster::decode(bytes).ok()?.encode()));
    one_encoding(&commit_data().encode(), |bytes| Some(CommitData::decode(bytes).ok()?.encode()));
    one_encoding(&CommitData::default().encode(), |bytes| Some(CommitData::decode(bytes).ok()?.encode()));
    one_encoding(&person(1).leaf().encode(), |bytes| Some(LeafIdentity::decode(bytes).ok()?.encode()));
}

/// Field by field as docs/protocol.md lists them.
#[test]
fn as_specified() {
    assert_eq!((ROSTER_EXTENSION, CHANNEL_SECRET_EXPORT), (0xf0a1, "waxwing cs"));
    let person = person(1);
    let record = person.keys.record();
    let ids = [person.account.as_bytes().as_slice(), record.device.as_bytes()].concat();
    assert_eq!(person.leaf().encode(), [ids.as_slice(), &[0, 0, 0, 1], &record.signing].concat());

    let home = |name: &str| var(format!("{name}@waxwing.example:8443#{}", "ab".repeat(32)).as_bytes());
    let fields = [
        &[1, 2],
        [7; 32].as_slice(),
        &[0, 0, 0, 3],
        &var("Birds ✨".as_bytes()),
        &[0, 2],
        &[1; 16],
        &[1],
        &[0x41; 32],
        &[0x81; 32],
        &[0, 0, 0, 1],
        &[51; 32],
        &home("p01"),
        &[4; 16],
        &[2],
        &[0x44; 32],
        &[0x84; 32],
        &[0, 0, 0, 4],
        &[54; 32],
        &home("p04"),
    ];
    assert_eq!(roster().encode(), fields.concat());

    let leave = [proof_ids().as_slice(), &signature("waxwing/1 leave", [0; 32])].concat();
    let resync = [proof_ids().as_slice(), &[6; 32], &signature("waxwing/1 resync", [6; 32])].concat();
    let fields = [
        &[1, 1, 0, 2, 0, 1, 0, 1],
        [3; 16].as_slice(),
        &[0, 0, 0, 2, 0, 2],
        &var(&[1; 40]),
        &var(&[1; 40]),
        &[3; 16],
        &[0, 0, 0, 0, 0, 1],
        &var(&[1]),
        &leave,
        &resync,
    ];
    assert_eq!(commit_data().encode(), fields.concat());
    assert_eq!(CommitData::default().encode(), [1, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn p18_a_roster_has_one_spelling() {
    let decode = |roster: &Roster| Roster::decode(&roster.encode());
    let invalid = |field| Err(DecodeError::Invalid(field));
    assert_eq!(decode(&roster()), Ok(roster()));
    let people = |lines: std::ops::Range<u8>| Roster { lines: lines.map(line).collect(), ..roster() };
    let most = people(1..65);
    assert_eq!((most.lines.len(), decode(&most)), (MAX_GROUP_PEOPLE, Ok(most.clone())));
    assert_eq!(decode(&people(1..66)), invalid("number of lines"));
    assert_eq!(decode(&people(1..1)), invalid("number of lines"));
    assert_eq!(decode(&Roster { lines: vec![line(4), line(1)], ..roster() }), invalid("order of lines"));
    assert_eq!(decode(&Roster { lines: vec![line(4), line(4)], ..roster() }), invalid("order of lines"));
    assert_eq!(decode(&Roster { generation: 0, ..roster() }), invalid("roster"));

    // A name in a group, nowhere else.
    let named = |kind, name: &str| Roster { kind, name: name.to_owned(), ..roster() };
    for kind in [GroupKind::Direct, GroupKind::NoteToSelf] {
        assert_eq!(decode(&named(kind, "")), Ok(named(kind, "")));
        assert_eq!(decode(&named(kind, "Birds")), invalid("roster"));
    }
    assert_eq!(decode(&named(GroupKind::Group, "")), invalid("roster"));
    let longest = named(GroupKind::Group, &"a".repeat(MAX_GROUP_NAME));
    assert_eq!(decode(&longest), Ok(longest.clone()));
    let too_long = named(GroupKind::Group, &"a".repeat(MAX_GROUP_NAME + 1));
    assert_eq!(decode(&too_long), Err(DecodeError::TooLong("name")));

    // Bytes that no encoder writes.
    let changed = |at: usize, byte: u8| {
        let mut bytes = roster().encode();
        bytes[at] = byte;
        Roster::decode(&bytes)
    };
    let name = "Birds ✨".len();
    let role = 38 + 4 + name + 2 + 16;
    for byte in [0, 2, 255] {
        assert_eq!(changed(0, byte), invalid("version"));
    }
    for byte in [0, 4, 255] {
        assert_eq!(changed(1, byte), invalid("kind"));
    }
    for byte in [0, 3, 255] {
        assert_eq!(changed(role, byte), invalid("role"));
    }
    assert_eq!(changed(42, 0xff), invalid("name"));
    // Another spelling of the same home, and what is no home.
    let home = role + 1 + 64 + 36 + 4;
    assert_eq!(changed(home + 4, b'W'), invalid("home"));
    assert_eq!(changed(home, b'P'), invalid("home"));
    assert_eq!(changed(home + 3, b'x'), invalid("home"));
    // The longest home.
    let label = "a".repeat(63);
    let host = format!("{label}.{label}.{label}.{}", "a".repeat(61));
    let mut longest = roster();
    longest.lines[0].home = format!("{}@{host}:65535#{}", "a".repeat(32), "ab".repeat(32)).parse().unwrap();
    assert_eq!(decode(&longest), Ok(longest.clone()));
}

#[test]
fn p18_limits_of_commit_data() {
    let decode = |data: &CommitData| CommitData::decode(&data.encode());
    let chains = |parts, entries, len| CommitData { chains: vec![part(entries, len); parts], ..CommitData::default() };
    for good in [chains(64, 1, 1), chains(1, 64, 1), chains(1, 1, MAX_CHAIN_ENTRY), chains(1, 1, 0)] {
        assert!(decode(&good) == Ok(good));
    }
    assert_eq!(decode(&chains(65, 1, 1)), Err(DecodeError::TooLong("chains")));
    assert_eq!(decode(&chains(1, 65, 1)), Err(DecodeError::Invalid("number of entries")));
    assert_eq!(decode(&chains(1, 0, 1)), Err(DecodeError::Invalid("number of entries")));
    assert_eq!(decode(&chains(1, 1, MAX_CHAIN_ENTRY + 1)), Err(DecodeError::TooLong("chain entry")));
    let leaves = |n| CommitData { leaves: vec![leave(); n], ..CommitData::default() };
    let resyncs = |n| CommitData { resyncs: vec![resync(); n], ..CommitData::default() };
    assert!(decode(&leaves(128)) == Ok(leaves(128)));
    assert!(decode(&resyncs(128)) == Ok(resyncs(128)));
    assert_eq!(decode(&leaves(129)), Err(DecodeError::TooLong("leaves")));
    assert_eq!(decode(&resyncs(129)), Err(DecodeError::TooLong("resyncs")));
    for (at, byte, error) in [
        (0, 0, DecodeError::Invalid("version")),
        (0, 2, DecodeError::Invalid("version")),
        (1, 2, DecodeError::Invalid("rekey")),
        (1, 255, DecodeError::Invalid("rekey")),
        (2, 255, DecodeError::TooLong("chains")),
    ] {
        let mut bytes = commit_data().encode();
        bytes[at] = byte;
        assert_eq!(CommitData::decode(&bytes), Err(error));
    }
}

#[test]
fn p18_a_leaf_has_a_version() {
    let mut bytes = person(1).leaf().encode();
    bytes[35] = 0;
    assert_eq!(LeafIdentity::decode(&bytes), Err(DecodeError::Invalid("key version")));
    assert!(person(1).leaf().is(person(1).keys.record()));
    assert!(!person(1).leaf().is(person(2).keys.record()));
    for change in [
        |leaf: &mut LeafIdentity| leaf.device = person(2).keys.device(),
        |leaf: &mut LeafIdentity| leaf.key_version = 2,
        |leaf: &mut LeafIdentity| leaf.signing = person(2).leaf().signing,
    ] {
        let mut leaf = person(1).leaf();
        change(&mut leaf);
        assert!(!leaf.is(person(1).keys.record()));
    }
}

/// Each field of a proof is signed, by the MLS key alone, for one group and one purpose.
#[test]
fn p4_proofs_are_for_one_thing_alone() {
    let (alice, bob) = (person(1), person(2));
    let key = alice.keys.record().mls;
    assert!(leave().holds(&key, &[0; 32], GROUP) && resync().holds(&key, GROUP));
    let other = LogId::from_bytes([3; 16]);
    assert!(!leave().holds(&key, &[0; 32], other) && !resync().holds(&key, other));
    for key in [bob.keys.record().mls, alice.keys.record().signing, alice.keys.record().relay_auth, [0; 32]] {
        assert!(!leave().holds(&key, &[0; 32], GROUP) && !resync().holds(&key, GROUP));
    }
    let leaves: [fn(&mut LeaveProof); 3] = [
        |proof| proof.account = person(2).account,
        |proof| proof.device = person(2).keys.device(),
        |proof| proof.nonce = [9; 16],
    ];
    for change in leaves {
        let mut proof = leave();
        change(&mut proof);
        assert!(!proof.holds(&key, &[0; 32], GROUP));
    }
    let resyncs: [fn(&mut ResyncProof); 5] = [
        |proof| proof.account = person(2).account,
        |proof| proof.device = person(2).keys.device(),
        |proof| proof.nonce = [9; 16],
        |proof| proof.key_package = [9; 32],
        // A request to leave covers the leaf's key in this place, under another label.
        |proof| proof.key_package = [0; 32],
    ];
    for change in resyncs {
        let mut proof = resync();
        change(&mut proof);
        assert!(!proof.holds(&key, GROUP));
    }
    // A signature moved from one to the other: the one thing that the same fields leave apart is the label.
    let person = person(1);
    let crossed = ResyncProof::sign(person.keys.mls(), GROUP, person.account, person.keys.device(), [5; 16], [0; 32]);
    let resync = CommitData { resyncs: vec![crossed], ..CommitData::default() }.encode();
    let moved = [&[3], proof_ids().as_slice(), &resync[8 + 48 + 32..]].concat();
    let Ok(AppMessage::Leave(moved)) = AppMessage::decode(&moved) else { panic!("it can be read") };
    assert!(!moved.holds(&key, &[0; 32], GROUP));
}

/// What is in groups must stay readable.
#[test]
fn stable() {
    let all = [roster().encode(), commit_data().encode(), person(1).leaf().encode()].concat();
    assert_eq!(hex::encode(hash(&[&all])), "0e93391873c380f81fa8cf5ab93a3c959657fd10fcad6109b1e1e93f937671e9");
}
