//! Proofs that must be refused (P17): every byte of every path, and every wrong index, size, root and length.

use proptest::prelude::*;
use waxwing_wire::limits::MAX_PROOF;
use waxwing_wire::transparency::{ProofError, empty_root, leaf_hash, verify_consistency, verify_inclusion};

use super::common::Tree;

const SIZES: u64 = 18;

/// The path with one byte of it changed, for each byte.
fn flipped(path: &[[u8; 32]]) -> impl Iterator<Item = Vec<[u8; 32]>> + '_ {
    (0..path.len() * 32).map(|at| {
        let mut path = path.to_vec();
        path[at / 32][at % 32] ^= 1 << (at % 8);
        path
    })
}

/// The path cut, lengthened, and with two elements in the other order.
fn reshaped(path: &[[u8; 32]]) -> Vec<Vec<[u8; 32]>> {
    let mut all: Vec<_> = (0..path.len()).map(|end| path[..end].to_vec()).collect();
    all.extend((1..=path.len()).map(|start| path[start..].to_vec()));
    for at in 0..=path.len() {
        for extra in [[0; 32], path.get(at).copied().unwrap_or([1; 32])] {
            let mut longer = path.to_vec();
            longer.insert(at, extra);
            all.push(longer);
        }
    }
    for at in 1..path.len() {
        let mut swapped = path.to_vec();
        swapped.swap(at - 1, at);
        all.push(swapped);
    }
    all
}

#[test]
fn p17_inclusion() {
    let tree = Tree::of_size(SIZES);
    for size in 1..=SIZES {
        let root = tree.root(size);
        for index in 0..size {
            let (leaf, path) = (tree.leaf(index), tree.inclusion(index, size));
            assert_eq!(verify_inclusion(&leaf, index, size, &path, &root), Ok(()));
            for path in flipped(&path) {
                assert_eq!(verify_inclusion(&leaf, index, size, &path, &root), Err(ProofError::Root));
            }
            for path in reshaped(&path) {
                assert!(verify_inclusion(&leaf, index, size, &path, &root).is_err());
            }
            for other in (0..SIZES + 2).filter(|other| *other != index) {
                assert!(verify_inclusion(&leaf, other, size, &path, &root).is_err());
                assert!(verify_inclusion(&leaf_hash(&other.to_be_bytes()), index, size, &path, &root).is_err());
            }
            // Under another root. (Under the same root a size with the same way up cannot be told apart: the root is signed
            // together with its size.)
            for other in (1..=SIZES).filter(|other| *other != size) {
                assert!(verify_inclusion(&leaf, index, other, &path, &tree.root(other)).is_err());
                assert!(verify_inclusion(&leaf, index, size, &path, &tree.root(other)).is_err());
            }
            assert_eq!(verify_inclusion(&leaf, index, index, &path, &root), Err(ProofError::Index));
        }
    }
    assert_eq!(verify_inclusion(&[0; 32], 0, 0, &[], &empty_root()), Err(ProofError::Index));
    assert_eq!(verify_inclusion(&[0; 32], u64::MAX, u64::MAX, &[], &[0; 32]), Err(ProofError::Index));
}

#[test]
fn p17_consistency() {
    let tree = Tree::of_size(SIZES);
    for newer in 1..=SIZES {
        for older in 1..newer {
            let (older_root, newer_root) = (tree.root(older), tree.root(newer));
            let path = tree.consistency(older, newer);
            let verify = |path: &[[u8; 32]]| verify_consistency(older, &older_root, newer, &newer_root, path);
            assert_eq!(verify(&path), Ok(()));
            for path in flipped(&path) {
                assert!(matches!(verify(&path), Err(ProofError::Root | ProofError::OlderRoot)));
            }
            for path in reshaped(&path) {
                assert!(verify(&path).is_err());
            }
            // Swapped roots, swapped sizes, other roots, other sizes.
            assert!(verify_consistency(older, &newer_root, newer, &older_root, &path).is_err());
            let swapped = verify_consistency(newer, &newer_root, older, &older_root, &path);
            assert_eq!(swapped, Err(ProofError::Sizes));
            for other in 1..=SIZES {
                let root = tree.root(other);
                assert_eq!(verify_consistency(older, &root, newer, &newer_root, &path).is_ok(), other == older);
                assert_eq!(verify_consistency(older, &older_root, newer, &root, &path).is_ok(), other == newer);
                if other != newer {
                    assert!(verify_consistency(older, &older_root, other, &root, &path).is_err());
                }
                if other != older {
                    assert!(verify_consistency(other, &root, newer, &newer_root, &path).is_err());
                }
            }
        }
    }
}

#[test]
fn p17_a_rewritten_history_has_no_proof() {
    let honest = Tree::of_size(SIZES);
    for changed in 0..8_u64 {
        let mut leaves: Vec<_> = (0..SIZES).map(u64::to_be_bytes).collect();
        leaves[usize::try_from(changed).unwrap()] = [0xff; 8];
        let forged = Tree::new(&leaves);
        for older in changed + 1..SIZES {
            let (shown, grown) = (honest.root(older), forged.root(SIZES));
            for path in [honest.consistency(older, SIZES), forged.consistency(older, SIZES)] {
                assert!(verify_consistency(older, &shown, SIZES, &grown, &path).is_err());
            }
        }
    }
}

#[test]
fn equal_and_empty_trees() {
    let (root, other) = ([1; 32], [2; 32]);
    for size in [1, 2, 7, u64::MAX] {
        assert_eq!(verify_consistency(size, &root, size, &root, &[]), Ok(()));
        assert_eq!(verify_consistency(size, &root, size, &other, &[]), Err(ProofError::OlderRoot));
        assert_eq!(verify_consistency(size, &root, size, &root, &[root]), Err(ProofError::Length));
        assert_eq!(verify_consistency(0, &empty_root(), size, &root, &[]), Err(ProofError::Sizes));
        assert_eq!(verify_consistency(size, &root, 0, &empty_root(), &[]), Err(ProofError::Sizes));
    }
    assert_eq!(verify_consistency(0, &empty_root(), 0, &empty_root(), &[]), Err(ProofError::Sizes));
}

#[test]
fn long_paths_are_refused() {
    for len in [MAX_PROOF, MAX_PROOF + 1, 100_000] {
        let path = vec![[0; 32]; len];
        assert_eq!(verify_inclusion(&[0; 32], 0, u64::MAX, &path, &[0; 32]), Err(ProofError::Length));
        let consistency = verify_consistency(3, &[0; 32], u64::MAX, &[0; 32], &path);
        let expected = if len == MAX_PROOF { ProofError::OlderRoot } else { ProofError::Length };
        assert_eq!(consistency, Err(expected));
    }
}

proptest! {
    #[test]
    fn never_panics(
        a in any::<u64>(),
        b in any::<u64>(),
        shift in 0_u32..64,
        path in prop::collection::vec(any::<[u8; 32]>(), 0..70),
        root in any::<[u8; 32]>(),
    ) {
        for (a, b) in [(a, b), (a >> shift, b >> shift), (a, a.saturating_add(b >> shift))] {
            prop_assert!(verify_inclusion(&root, a, b, &path, &[0; 32]).is_err());
            prop_assert!(verify_consistency(a, &root, b, &[0; 32], &path).is_err());
        }
    }
}
