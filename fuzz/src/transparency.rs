//! The transparency log: what its key signs, its leaves, its tree, and proofs about it.

use std::convert::Infallible;
use std::sync::LazyLock;

use waxwing_wire::Reader;
use waxwing_wire::transparency::{
    COMPACT_LEN, Checkpoint, Frontier, Leaf, NoteKey, Restored, SignedCheckpoint, Verdict, consistency_path,
    decode_leaves, inclusion_path, judge, leaf_hash, node_hash, open_note, root_at, verify_consistency,
    verify_inclusion,
};

use crate::same;

/// The log of the seeds.
pub(crate) const ORIGIN: &str = "waxwing.example";
/// Leaves of the tree that proofs are about.
pub(crate) const LEAVES: u64 = 200;
/// What its key has signed, as size and time.
pub(crate) const SIGNED: [(u64, u64); 3] = [(0, 1), (7, 1_800_000_000_000), (LEAVES, 1_800_000_000_001)];

/// Signs the seeds' checkpoints.
pub(crate) fn log_key() -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[0x71; 32])
}

static NOTE_KEY: LazyLock<NoteKey> =
    LazyLock::new(|| NoteKey::new(ORIGIN, log_key().verifying_key().as_bytes()).expect("a name and a key"));

/// One of [`SIGNED`].
pub(crate) fn checkpoint((size, time_ms): (u64, u64)) -> Checkpoint {
    Checkpoint { origin: ORIGIN.to_owned(), size, root: root(size), time_ms }
}

/// The one restoration that its key has signed.
pub(crate) fn restoration() -> Restored {
    let Checkpoint { origin, size, root, time_ms } = checkpoint(SIGNED[1]);
    Restored { origin: format!("{origin}/1f2e3d4c"), previous: origin, size, root, time_ms }
}

/// A checkpoint as signed note, as compact form, and as the text that is signed; and the note of a restoration, which the same key signs.
/// Only what the log's key has signed may pass for signed, each of them has one text, and none is the other.
pub fn checkpoint_note(bytes: &[u8]) {
    restored(bytes);
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(checkpoint) = Checkpoint::parse(text)
    {
        assert_eq!(checkpoint.text(), text);
    }
    if let Ok(opened) = open_note(bytes, &NOTE_KEY) {
        assert!(bytes.starts_with(opened.text.as_bytes()));
        assert!(SIGNED.iter().any(|signed| checkpoint(*signed).text() == opened.text), "nobody has signed this");
    }
    let compact = <&[u8; COMPACT_LEN]>::try_from(bytes).map(|bytes| SignedCheckpoint::from_compact(bytes, &NOTE_KEY));
    if let Ok(Ok(signed)) = &compact {
        assert_eq!(signed.to_compact(), bytes);
        is_one_of_ours(signed);
    }
    if let Ok(signed) = SignedCheckpoint::verify(bytes, &NOTE_KEY) {
        assert_eq!(signed.note().as_bytes(), bytes);
        is_one_of_ours(&signed);
        let compact: [u8; COMPACT_LEN] = signed.to_compact().try_into().expect("it has one length");
        let again = SignedCheckpoint::from_compact(&compact, &NOTE_KEY).expect("it was signed");
        assert_eq!(again.checkpoint(), signed.checkpoint());
        // One log does not contradict itself; and what was not proved is not taken for proved.
        assert!(matches!(judge(&again, &signed, &[]), Ok(Verdict::Consistent)));
    }
}

fn restored(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(restored) = Restored::parse(text)
    {
        assert_eq!(restored.text(), text);
        assert!(Checkpoint::parse(text).is_err(), "one text is two things");
    }
    if let Ok(restored) = Restored::verify(bytes, log_key().verifying_key().as_bytes()) {
        assert!(bytes.starts_with(restored.text().as_bytes()));
        assert!(restored == restoration(), "nobody has signed this");
        assert!(SignedCheckpoint::verify(bytes, &NOTE_KEY).is_err(), "one note is two things");
    }
}

fn is_one_of_ours(signed: &SignedCheckpoint) {
    assert!(SIGNED.iter().any(|ours| checkpoint(*ours) == *signed.checkpoint()), "nobody has signed this");
}

/// A log's key as text. It has one spelling.
pub fn note_key(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(key) = text.parse::<NoteKey>() {
        assert_eq!(key.to_string(), text);
        assert_eq!(NoteKey::new(key.name(), key.public()).as_ref(), Ok(&key));
    }
}

/// Pages of leaves, and single ones.
pub fn leaves(bytes: &[u8]) {
    let page = decode_leaves(bytes);
    same(page.as_ref().ok().map(|leaves| leaves.iter().flat_map(Leaf::encode).collect()), bytes);
    let one = Leaf::decode(bytes);
    if let Ok(leaf) = one {
        assert_eq!(leaf.encode(), bytes);
        assert_eq!(leaf.hash(), leaf_hash(bytes));
        assert_eq!(page, Ok(vec![leaf]));
    }
}

/// The right edge of a tree, as a database keeps it; and one leaf more, where there is room.
pub fn frontier(bytes: &[u8]) {
    let Ok(mut frontier) = Frontier::decode(bytes) else { return };
    assert_eq!(frontier.encode(), bytes);
    let before = frontier.clone();
    match frontier.append_nodes([7; 32]) {
        Ok(nodes) => {
            assert_eq!(Some(frontier.size()), before.size().checked_add(1));
            assert_eq!(nodes.len() as u32, before.size().trailing_ones() + 1, "each right child completes its parent");
            assert_eq!(Frontier::decode(&frontier.encode()).as_ref(), Ok(&frontier));
            if before.size() == 0 {
                assert_eq!(frontier.root(), [7; 32]);
            } else if before.size().is_power_of_two() {
                assert_eq!(frontier.root(), node_hash(&before.root(), &[7; 32]));
            }
        }
        Err(_) => assert_eq!((before.size(), &before), (u64::MAX, &frontier), "on an error it is unchanged"),
    }
}

/// A proof about the tree of the seeds: `kind u8 | a u64 | b u64 | hashes`, where kind 0 is inclusion of leaf a in the first b, and
/// 1 consistency of the first a with the first b. What holds is the one path that the tree gives, and nothing else does.
pub fn proof(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    let Ok((kind, a, b)) =
        (|| Ok::<_, waxwing_wire::DecodeError>((reader.u8("")?, u64::from_be_bytes(reader.array("")?), u64::from_be_bytes(reader.array("")?))))()
    else {
        return;
    };
    let mut path = Vec::new();
    while let Ok(hash) = reader.array::<32>("") {
        path.push(hash);
    }
    // There is no tree of more leaves, so no root; any will do.
    let root_of = |size| if size <= LEAVES { root(size) } else { [1; 32] };
    let in_tree = |size: u64| (1..=LEAVES).contains(&size);
    let (holds, honest) = if kind == 0 {
        let holds = verify_inclusion(&node(0, a % LEAVES), a, b, &path, &root_of(b)).is_ok();
        (holds, in_tree(b).then(|| inclusion_path(a, b, source)).and_then(Result::ok))
    } else {
        let holds = verify_consistency(a, &root_of(a), b, &root_of(b), &path).is_ok();
        (holds, in_tree(b).then(|| consistency_path(a, b, source)).and_then(Result::ok))
    };
    match honest {
        Some(honest) => assert_eq!(holds, honest == path),
        None => assert!(!holds || (kind != 0 && a == b && path.is_empty()), "a proof about no tree"),
    }
}

/// The leaf at an index: its number.
fn leaf(index: u64) -> [u8; 32] {
    leaf_hash(&index.to_be_bytes())
}

/// All complete nodes, by level and index.
static NODES: LazyLock<Vec<Vec<[u8; 32]>>> = LazyLock::new(|| {
    let mut levels = vec![(0..LEAVES).map(leaf).collect::<Vec<_>>()];
    while let Some(below) = levels.last().filter(|below| below.len() > 1) {
        levels.push(below.chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect());
    }
    levels
});

fn node(level: u32, index: u64) -> [u8; 32] {
    NODES[level as usize][index as usize]
}

pub(crate) fn source(level: u32, index: u64) -> Result<[u8; 32], Infallible> {
    Ok(node(level, index))
}

/// Of the first `size` leaves.
fn root(size: u64) -> [u8; 32] {
    root_at(size, source).unwrap_or_else(|never| match never {})
}

#[cfg(test)]
mod tests {
    use waxwing_wire::transparency::empty_root;

    use super::*;

    #[test]
    fn the_tree_is_one() {
        let mut frontier = Frontier::new();
        assert_eq!(frontier.root(), empty_root());
        for index in 0..LEAVES {
            frontier.append(leaf(index)).unwrap();
            assert_eq!(frontier.root(), root(index + 1));
        }
    }
}
