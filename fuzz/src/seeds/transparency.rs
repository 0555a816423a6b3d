//! The transparency log.

use waxwing_wire::transparency::{
    Frontier, Leaf, NoteKey, Restored, SignedCheckpoint, consistency_path, inclusion_path, leaf_hash, sign_note,
};

use super::Seed;
use crate::transparency::{LEAVES, ORIGIN, SIGNED, checkpoint, log_key, restoration, source};

pub(super) fn all() -> Vec<Seed> {
    [checkpoints(), leaves(), frontiers(), proofs()].concat()
}

fn checkpoints() -> Vec<Seed> {
    let [empty, small, whole] = SIGNED.map(|signed| SignedCheckpoint::sign(&checkpoint(signed), &log_key()).unwrap());
    let text = checkpoint(SIGNED[1]).text();
    // A witness has signed it, too; and it alone; and somebody under the log's name.
    let other = ed25519_dalek::SigningKey::from_bytes(&[0x72; 32]);
    let line = |name| {
        let note = sign_note(&text, name, &other).unwrap();
        note.rsplit_once("\n\n").unwrap().1.to_owned()
    };
    let (witness, forger) = (line("witness.example/w"), line(ORIGIN));
    let key = NoteKey::new(ORIGIN, log_key().verifying_key().as_bytes()).unwrap();
    let named = NoteKey::new("[::1]:4000", other.verifying_key().as_bytes()).unwrap();
    let restored = restoration();
    let beyond = Restored { size: u64::MAX, time_ms: u64::MAX, ..restored.clone() };
    let texts = [
        ("checkpoint_note", "restored", restored.sign(&log_key()).unwrap()),
        ("checkpoint_note", "restored_text", beyond.text()),
        ("checkpoint_note", "restored_forged", restored.sign(&other).unwrap()),
        ("checkpoint_note", "empty", empty.note().to_owned()),
        ("checkpoint_note", "small", small.note().to_owned()),
        ("checkpoint_note", "whole", whole.note().to_owned()),
        ("checkpoint_note", "text", text.clone()),
        ("checkpoint_note", "witnessed", format!("{}{witness}", small.note())),
        ("checkpoint_note", "unsigned", format!("{text}\n{witness}")),
        ("checkpoint_note", "forged", format!("{text}\n{forger}")),
        ("checkpoint_note", "changed", whole.note().replace("\n200\n", "\n201\n")),
        ("checkpoint_note", "twice", format!("{}{}", small.note(), small.note().rsplit_once("\n\n").unwrap().1)),
        ("note_key", "log", key.to_string()),
        ("note_key", "port", named.to_string()),
        ("note_key", "other_id", key.to_string().replace('+', "+0")),
    ];
    let compact = [("compact", &small), ("compact_whole", &whole)]
        .map(|(name, signed)| ("checkpoint_note", name, signed.to_compact()));
    texts.map(|(target, name, text)| (target, name, text.into_bytes())).into_iter().chain(compact).collect()
}

fn leaves() -> Vec<Seed> {
    let chain = Leaf::Chain { account_hash: [1; 32], seq: 2, entry_hash: [3; 32] }.encode();
    let name = Leaf::Name { name_hash: [4; 32], entry_hash: [3; 32] }.encode();
    vec![
        ("leaves", "page", [chain.clone(), name.clone()].concat()),
        ("leaves", "chain", chain),
        ("leaves", "name_numbered", [&name[..36], &[1], &name[37..]].concat()),
        ("leaves", "name", name),
        ("leaves", "none", Vec::new()),
    ]
}

fn frontiers() -> Vec<Seed> {
    let of = |size: u64| {
        let mut frontier = Frontier::new();
        (0..size).for_each(|index| frontier.append(leaf_hash(&index.to_be_bytes())).unwrap());
        frontier.encode()
    };
    let full = [u64::MAX.to_be_bytes().as_slice(), &[5; 64 * 32]].concat();
    vec![
        ("frontier", "empty", of(0)),
        ("frontier", "even", of(64)),
        ("frontier", "uneven", of(LEAVES - 1)),
        ("frontier", "full", full),
    ]
}

fn proofs() -> Vec<Seed> {
    let encode = |kind: u8, a: u64, b: u64, path: Vec<[u8; 32]>| {
        [&[kind], a.to_be_bytes().as_slice(), &b.to_be_bytes(), &path.concat()].concat()
    };
    let inclusion = |index, size| encode(0, index, size, inclusion_path(index, size, source).unwrap());
    let consistency = |older, newer| encode(1, older, newer, consistency_path(older, newer, source).unwrap());
    vec![
        ("proof", "leaf", inclusion(5, 7)),
        ("proof", "leaf_alone", inclusion(0, 1)),
        ("proof", "leaf_last", inclusion(LEAVES - 1, LEAVES)),
        ("proof", "grown", consistency(6, LEAVES)),
        ("proof", "grown_from_whole", consistency(64, LEAVES)),
        ("proof", "same", consistency(7, 7)),
        ("proof", "from_nothing", encode(1, 0, 7, Vec::new())),
        ("proof", "beyond", encode(0, u64::MAX - 1, u64::MAX, vec![[1; 32]; 64])),
        ("proof", "too_long", encode(1, 1, u64::MAX, vec![[1; 32]; 66])),
    ]
}
