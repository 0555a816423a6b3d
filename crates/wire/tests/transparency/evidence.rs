//! What two signed checkpoints say of each other (P17).

use ed25519_dalek::SigningKey;
use waxwing_wire::transparency::{Checkpoint, OtherLog, ProofError, SignedCheckpoint, Verdict, empty_root, judge};

use super::common::{ORIGIN, TIME, Tree, log_key, signed};

#[test]
fn p17_one_size_two_roots() {
    let (a, b) = (signed(3, [1; 32], TIME), signed(3, [2; 32], TIME + 1));
    for path in [&[][..], &[[1; 32]]] {
        assert_eq!(judge(&a, &b, path), Ok(Verdict::Contradiction));
        assert_eq!(judge(&b, &a, path), Ok(Verdict::Contradiction));
    }
    // The hourly signature over an unchanged tree.
    assert_eq!(judge(&a, &signed(3, [1; 32], TIME + 9), &[]), Ok(Verdict::Consistent));
}

#[test]
fn p17_extension_needs_a_proof() {
    let tree = Tree::of_size(20);
    for older in 1..20 {
        for newer in older + 1..=20 {
            let (a, b) = (tree.checkpoint(older), tree.checkpoint(newer));
            let path = tree.consistency(older, newer);
            assert_eq!(judge(&a, &b, &path), Ok(Verdict::Consistent));
            assert_eq!(judge(&b, &a, &path), Ok(Verdict::Consistent));
            assert_eq!(judge(&a, &b, &[]), Ok(Verdict::Unproven(ProofError::Length)));
            let other = signed(older, [9; 32], TIME);
            assert!(matches!(judge(&other, &b, &path), Ok(Verdict::Unproven(_))));
        }
    }
}

#[test]
fn everything_extends_the_empty_tree() {
    let tree = Tree::of_size(3);
    let empty = signed(0, empty_root(), TIME);
    assert_eq!(judge(&empty, &tree.checkpoint(3), &[]), Ok(Verdict::Consistent));
    assert_eq!(judge(&tree.checkpoint(3), &empty, &[]), Ok(Verdict::Consistent));
    assert_eq!(judge(&empty, &empty, &[]), Ok(Verdict::Consistent));
}

#[test]
fn other_logs_are_not_compared() {
    let ours = signed(3, [1; 32], TIME);
    let checkpoint = |origin: &str| Checkpoint { origin: origin.to_owned(), size: 3, root: [2; 32], time_ms: TIME };
    let other_key = SignedCheckpoint::sign(&checkpoint(ORIGIN), &SigningKey::from_bytes(&[8; 32])).unwrap();
    let other_origin = SignedCheckpoint::sign(&checkpoint("other.example"), &log_key()).unwrap();
    assert_eq!(judge(&ours, &other_key, &[]), Err(OtherLog));
    assert_eq!(judge(&ours, &other_origin, &[]), Err(OtherLog));
}
