//! Agreement with `ct-merkle` on random trees: roots, and proofs both ways.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use proptest::prelude::*;
use sha2::Sha256;
use waxwing_wire::transparency::{verify_consistency, verify_inclusion};

use super::common::Tree;

type Theirs = MemoryBackedTree<Sha256, Vec<u8>>;

fn theirs(leaves: &[Vec<u8>]) -> Theirs {
    let mut tree = Theirs::new();
    for leaf in leaves {
        tree.push(leaf.clone());
    }
    tree
}

fn their_root(root: [u8; 32], size: u64) -> RootHash<Sha256> {
    RootHash::new(root.into(), size)
}

fn hashes(bytes: &[u8]) -> Vec<[u8; 32]> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    assert!(rest.is_empty());
    hashes.to_vec()
}

fn leaves() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..260)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn roots_and_inclusion(leaves in leaves(), pick in any::<prop::sample::Index>()) {
        let (ours, other) = (Tree::new(&leaves), theirs(&leaves));
        let (size, index) = (leaves.len() as u64, pick.index(leaves.len()));
        let root = ours.frontier.root();
        prop_assert!(other.root() == their_root(root, size));
        prop_assert_eq!(ours.root(size), root);

        let path = ours.inclusion(index as u64, size);
        let their_path = other.prove_inclusion(index);
        prop_assert_eq!(&path, &hashes(their_path.as_bytes()));
        let their_proof = InclusionProof::try_from_bytes(path.concat()).unwrap();
        prop_assert!(their_root(root, size).verify_inclusion(&leaves[index], index as u64, &their_proof).is_ok());
        prop_assert_eq!(verify_inclusion(&ours.leaf(index as u64), index as u64, size, &path, &root), Ok(()));
    }

    #[test]
    fn consistency(leaves in leaves(), pick in any::<prop::sample::Index>()) {
        let (ours, other) = (Tree::new(&leaves), theirs(&leaves));
        let (newer, older) = (leaves.len() as u64, pick.index(leaves.len()) as u64 + 1);
        let (older_root, newer_root) = (ours.root(older), ours.frontier.root());
        let older_leaves = &leaves[..usize::try_from(older).unwrap()];
        prop_assert!(theirs(older_leaves).root() == their_root(older_root, older));

        let path = ours.consistency(older, newer);
        let their_path = other.prove_consistency(usize::try_from(newer - older).unwrap());
        // For equal sizes RFC 9162 has no proof, and theirs is not ours to judge.
        if older < newer {
            prop_assert_eq!(&path, &hashes(their_path.as_bytes()));
            let their_proof = ConsistencyProof::try_from_bytes(path.concat()).unwrap();
            let their_older = their_root(older_root, older);
            prop_assert!(their_root(newer_root, newer).verify_consistency(&their_older, &their_proof).is_ok());
        }
        prop_assert_eq!(verify_consistency(older, &older_root, newer, &newer_root, &path), Ok(()));
    }
}
