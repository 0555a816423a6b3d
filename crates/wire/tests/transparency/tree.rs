//! The tree against the recursive definitions of RFC 9162, and the frontier.

use proptest::prelude::*;
use waxwing_wire::DecodeError;
use waxwing_wire::hash;
use waxwing_wire::transparency::{
    BuildError, Frontier, Node, TreeFull, consistency_path, empty_root, inclusion_path, leaf_hash, node_hash, root_at,
};

use super::common::{NoNode, Tree};

/// `k`: the largest power of two below `n > 1`.
fn split(n: usize) -> usize {
    (n - 1).next_power_of_two().max(1) >> usize::from(!(n - 1).is_power_of_two())
}

/// Section 2.1.1.
fn mth(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [] => hash(&[]),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node_hash(&mth(left), &mth(right))
        }
    }
}

/// Section 2.1.3.1.
fn path(m: usize, leaves: &[[u8; 32]]) -> Vec<[u8; 32]> {
    if leaves.len() < 2 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut inner, other) =
        if m < left.len() { (path(m, left), mth(right)) } else { (path(m - left.len(), right), mth(left)) };
    inner.push(other);
    inner
}

/// Section 2.1.4.1.
fn subproof(m: usize, leaves: &[[u8; 32]], whole: bool) -> Vec<[u8; 32]> {
    if m == leaves.len() {
        return if whole { Vec::new() } else { vec![mth(leaves)] };
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut inner, other) = if m <= left.len() {
        (subproof(m, left, whole), mth(right))
    } else {
        (subproof(m - left.len(), right, false), mth(left))
    };
    inner.push(other);
    inner
}

#[test]
fn is_what_rfc_9162_defines() {
    let whole = Tree::of_size(70);
    let leaves: Vec<_> = (0..70).map(|index| whole.leaf(index)).collect();
    for size in 0..=70_u64 {
        let first = &leaves[..usize::try_from(size).unwrap()];
        assert_eq!(Tree::of_size(size).frontier.root(), mth(first));
        assert_eq!(whole.root(size), mth(first));
        assert_eq!(Frontier::load(size, whole.node()).unwrap(), Tree::of_size(size).frontier);
        for at in 0..size {
            assert_eq!(whole.inclusion(at, size), path(usize::try_from(at).unwrap(), first));
            let older = at + 1;
            assert_eq!(whole.consistency(older, size), subproof(usize::try_from(older).unwrap(), first, true));
        }
    }
}

#[test]
fn known_roots() {
    // The empty tree and the empty leaf, as in the vectors of Certificate Transparency.
    assert_eq!(hex::encode(empty_root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(hex::encode(leaf_hash(b"")), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    assert_eq!(Frontier::new().root(), empty_root());
    // A leaf is not a node, whatever it holds.
    let (left, right) = (leaf_hash(b"a"), leaf_hash(b"b"));
    assert_ne!(leaf_hash(&[left, right].concat()), node_hash(&left, &right));
}

#[test]
fn new_nodes_are_the_complete_ones() {
    let mut frontier = Frontier::new();
    let (a, b, c, d) = (leaf_hash(b"a"), leaf_hash(b"b"), leaf_hash(b"c"), leaf_hash(b"d"));
    let (ab, cd) = (node_hash(&a, &b), node_hash(&c, &d));
    let node = |level, index, hash| Node { level, index, hash };
    assert_eq!(frontier.append_nodes(a), Ok(vec![node(0, 0, a)]));
    assert_eq!(frontier.append_nodes(b), Ok(vec![node(0, 1, b), node(1, 0, ab)]));
    assert_eq!(frontier.append_nodes(c), Ok(vec![node(0, 2, c)]));
    assert_eq!(frontier.root(), node_hash(&ab, &c));
    assert_eq!(frontier.append_nodes(d), Ok(vec![node(0, 3, d), node(1, 1, cd), node(2, 0, node_hash(&ab, &cd))]));
    assert_eq!(frontier.size(), 4);
    // 2n - (1 bits of n) complete nodes for n leaves: amortised two for each.
    assert_eq!(Tree::of_size(100).nodes.len(), 200 - 3);
}

#[test]
fn impossible_proofs_are_not_made() {
    let tree = Tree::of_size(5);
    assert_eq!(inclusion_path(0, 0, tree.node()), Err(BuildError::Range));
    assert_eq!(inclusion_path(5, 5, tree.node()), Err(BuildError::Range));
    assert_eq!(consistency_path(0, 5, tree.node()), Err(BuildError::Range));
    assert_eq!(consistency_path(5, 4, tree.node()), Err(BuildError::Range));
    // What the store does not have is its error.
    assert_eq!(inclusion_path(0, 6, tree.node()), Err(BuildError::Source(NoNode(1, 2))));
    assert_eq!(consistency_path(5, 6, tree.node()), Err(BuildError::Source(NoNode(0, 5))));
    assert_eq!(root_at(8, tree.node()), Err(NoNode(3, 0)));
}

/// Trees larger than any store: every look-up is within bounds, and their number is logarithmic.
#[test]
fn sizes_up_to_the_last() {
    for size in [1, 2, 3, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 63) + 1, u64::MAX - 1, u64::MAX] {
        let mut asked = 0;
        let mut node = |level: u32, index: u64| {
            asked += 1;
            // The last leaf under the node is in the tree.
            let end = (u128::from(index) + 1) << level;
            assert!(level < 64 && end <= u128::from(size), "{level} {index} of {size}");
            Ok::<_, NoNode>([0; 32])
        };
        for at in [0, 1, size / 3, size / 2, size - 1].into_iter().filter(|at| *at < size) {
            assert!(inclusion_path(at, size, &mut node).unwrap().len() <= 64);
            assert!(consistency_path(at + 1, size, &mut node).unwrap().len() <= 65);
        }
        root_at(size, &mut node).unwrap();
        assert!(asked <= 11 * 130);
    }
}

#[test]
fn p18_frontier_bytes() {
    for size in 0..40 {
        let frontier = Tree::of_size(size).frontier;
        let bytes = frontier.encode();
        assert_eq!(bytes.len(), 8 + 32 * size.count_ones() as usize);
        assert_eq!(Frontier::decode(&bytes).as_ref(), Ok(&frontier));
        for end in 0..bytes.len() {
            assert!(matches!(Frontier::decode(&bytes[..end]), Err(DecodeError::Truncated(_))));
        }
        let longer = [bytes, vec![0]].concat();
        assert!(matches!(Frontier::decode(&longer), Err(DecodeError::Trailing(_))));
    }
    // Stability: size 3 of leaves "a", "b", "c".
    let bytes = Tree::new(&["a", "b", "c"]).frontier.encode();
    assert_eq!(
        hex::encode(bytes),
        "0000000000000003b137985ff484fb600db93107c77b0365c80d78f5b429ded0fd97361d077999eb\
         597fcb31282d34654c200d3418fca5705c648ebf326ec73d8ddef11841f876d8"
    );
}

#[test]
fn a_kept_frontier_goes_on() {
    let whole = Tree::of_size(50);
    for kept in 0..50 {
        let mut frontier = Frontier::decode(&Tree::of_size(kept).frontier.encode()).unwrap();
        for index in kept..50 {
            frontier.append(whole.leaf(index)).unwrap();
        }
        assert_eq!(frontier, whole.frontier);
    }
}

#[test]
fn a_full_log_stays_as_it_is() {
    let bytes = [u64::MAX.to_be_bytes().to_vec(), vec![1; 64 * 32]].concat();
    let mut frontier = Frontier::decode(&bytes).unwrap();
    assert_eq!(frontier.append([0; 32]), Err(TreeFull));
    assert_eq!(frontier.append_nodes([0; 32]), Err(TreeFull));
    assert_eq!(frontier.encode(), bytes);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..120), size in 0_u64..8) {
        for bytes in [bytes.clone(), [size.to_be_bytes().to_vec(), bytes].concat()] {
            if let Ok(frontier) = Frontier::decode(&bytes) {
                prop_assert_eq!(frontier.encode(), bytes);
                prop_assert_eq!(frontier.root() == empty_root(), frontier.size() == 0);
            }
        }
    }
}
