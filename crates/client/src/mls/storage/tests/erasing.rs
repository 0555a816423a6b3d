//! What is deleted or overwritten is gone from the file.

use std::collections::HashSet;
use std::path::Path;

use super::{Device, GROUP, pair_of};
use crate::mls::storage::delete_group;

/// Long enough to belong to one value alone, short enough to stand on one page.
const NEEDLE: usize = 48;

/// Every piece of the database and its WAL.
fn pieces(path: &Path) -> HashSet<Vec<u8>> {
    let mut pieces = HashSet::new();
    for suffix in ["", "-wal"] {
        let bytes = std::fs::read(format!("{}{suffix}", path.display())).unwrap();
        pieces.extend(bytes.windows(NEEDLE).map(<[u8]>::to_vec));
    }
    pieces
}

fn checkpoint(device: &Device) {
    device.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
}

/// Pieces of the values stored now.
fn needles(device: &Device) -> HashSet<Vec<u8>> {
    device.rows().iter().flat_map(|row| row.4.windows(NEEDLE).map(<[u8]>::to_vec)).collect()
}

/// How many of `of` are in the file, of how many.
fn found(path: &Path, of: &HashSet<Vec<u8>>) -> (usize, usize) {
    let pieces = pieces(path);
    (of.iter().filter(|needle| pieces.contains(*needle)).count(), of.len())
}

/// (left of what a commit overwrote, left of what `delete_group` deleted).
fn left_behind(secure_delete: bool) -> (usize, usize) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plain.db");
    let (mut alice, mut bob) = pair_of(Device::in_file("alice", &path, secure_delete), Device::new("bob"));
    for n in 0..3 {
        alice.receive(&bob.send(&[n]));
    }
    checkpoint(&alice);
    let old = needles(&alice);
    let (present, all) = found(&path, &old);
    assert!(present * 10 > all * 9, "the control: values stored are in the file ({present} of {all})");

    let commit = bob.update();
    bob.merge();
    alice.receive(&commit);
    checkpoint(&alice);
    let current = needles(&alice);
    let replaced: HashSet<_> = old.difference(&current).cloned().collect();
    assert!(replaced.len() > 500, "a commit replaces secrets ({})", replaced.len());
    let overwritten = found(&path, &replaced).0;

    let tx = alice.db.transaction().unwrap();
    delete_group(&tx, GROUP).unwrap();
    tx.commit().unwrap();
    checkpoint(&alice);
    assert_eq!(alice.rows().len(), 0);
    (overwritten, found(&path, &current).0)
}

#[test]
fn what_is_erased_is_gone_from_the_file() {
    assert_eq!(left_behind(true), (0, 0));
}

/// Shows that the other test would see remains.
#[test]
fn without_secure_delete_it_would_stay() {
    let (_, deleted) = left_behind(false);
    assert!(deleted > 500, "{deleted}");
}

#[test]
fn deleting_a_group_leaves_others_and_key_packages() {
    let (mut alice, mut bob) = pair_of(Device::new("alice"), Device::new("bob"));
    alice.key_package();
    alice.receive(&bob.send(b"hello"));
    let own = alice.rows().iter().filter(|row| row.1.is_empty()).count();
    assert_eq!(own, 1);
    let tx = alice.db.transaction().unwrap();
    delete_group(&tx, b"another group").unwrap();
    tx.commit().unwrap();
    assert!(alice.rows().len() > 10);
    let tx = alice.db.transaction().unwrap();
    delete_group(&tx, GROUP).unwrap();
    tx.commit().unwrap();
    assert_eq!(alice.rows().len(), 1);
}

#[test]
fn a_commit_leaves_no_keys_of_earlier_epochs() {
    let (mut alice, mut bob) = pair_of(Device::new("alice"), Device::new("bob"));
    let kinds = |device: &Device| device.rows().iter().map(|row| row.2).collect::<Vec<_>>();
    let before = kinds(&alice);
    for _ in 0..5 {
        let commit = alice.update();
        alice.merge();
        bob.receive(&commit);
        let commit = bob.update();
        bob.merge();
        alice.receive(&commit);
    }
    let (mut before, mut after) = (before, kinds(&alice));
    before.sort_unstable();
    after.sort_unstable();
    assert_eq!(after, before);
}
