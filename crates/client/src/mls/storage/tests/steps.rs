//! Steps that fail or are cut short.

use openmls::prelude::*;

use rusqlite::Connection;

use super::{Device, Received, pair, pair_of, receive, unwired};

#[test]
fn a_message_rolled_back_leaves_no_trace() {
    let (mut alice, mut bob) = pair();
    let first = alice.send(b"first");
    let before = alice.rows();
    alice.rolled_back(|provider, signer, group| {
        for _ in 0..5 {
            group.create_message(provider, signer, b"never sent").unwrap();
        }
    });
    assert_eq!(alice.rows(), before);
    let second = alice.send(b"second");

    assert_eq!(bob.receive(&first), Received::Text(b"first".to_vec()));
    let before = bob.rows();
    for _ in 0..2 {
        // A ratchet that had moved on would refuse it the second time.
        assert_eq!(
            bob.rolled_back(|provider, _, group| receive(provider, group, &second)),
            Received::Text(b"second".to_vec())
        );
        assert_eq!(bob.rows(), before);
    }
    assert_eq!(bob.receive(&second), Received::Text(b"second".to_vec()));
}

#[test]
fn a_commit_rolled_back_leaves_no_trace() {
    let (mut alice, mut bob) = pair();
    let before = alice.rows();
    alice.rolled_back(|provider, signer, group| {
        group.self_update(provider, signer, LeafNodeParameters::default()).unwrap();
    });
    assert_eq!(alice.rows(), before);
    assert!(alice.rolled_back(|_, _, group| group.pending_commit().is_none()));

    let commit = alice.update();
    let pending = alice.rows();
    let after = alice.rolled_back(|provider, _, group| {
        group.merge_pending_commit(provider).unwrap();
        group.epoch_authenticator().as_slice().to_vec()
    });
    assert_eq!(alice.rows(), pending);
    assert_ne!(alice.authenticator(), after);
    alice.merge();
    assert_eq!(alice.authenticator(), after);

    let before = bob.rows();
    bob.rolled_back(|provider, _, group| assert_eq!(receive(provider, group, &commit), Received::Commit));
    assert_eq!(bob.rows(), before);
    assert_eq!(bob.receive(&commit), Received::Commit);
    assert_eq!(bob.authenticator(), after);
}

#[test]
fn a_pending_commit_survives_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plain.db");
    let (mut alice, mut bob) = pair_of(Device::in_file("alice", &path, true), Device::new("bob"));
    let commit = alice.update();
    alice.db = Connection::open(&path).unwrap();
    // Still pending, and other commits are refused meanwhile.
    alice.rolled_back(|provider, signer, group| {
        assert!(group.pending_commit().is_some());
        assert!(group.self_update(provider, signer, LeafNodeParameters::default()).is_err());
    });
    assert_eq!(alice.receive(&bob.send(b"meanwhile")), Received::Text(b"meanwhile".to_vec()));
    alice.merge();
    assert_eq!(bob.receive(&commit), Received::Commit);
    assert_eq!(alice.authenticator(), bob.authenticator());
    assert!(alice.rolled_back(|_, _, group| group.pending_commit().is_none()));
}

#[test]
fn a_pending_commit_can_be_given_up() {
    let (mut alice, mut bob) = pair();
    let lost = alice.update();
    let before = alice.authenticator();
    alice.step(|provider, _, group| {
        group.clear_pending_commit(provider.storage()).unwrap();
    });
    assert!(alice.rolled_back(|_, _, group| group.pending_commit().is_none()));
    assert_eq!(alice.authenticator(), before);

    // Another's commit came first.
    let commit = bob.update();
    bob.merge();
    assert_eq!(alice.receive(&commit), Received::Commit);
    assert_eq!(alice.authenticator(), bob.authenticator());
    assert!(
        bob.rolled_back(|provider, _, group| { group.process_message(provider, unwired(&lost)).is_err() }),
        "a commit of an epoch that is over"
    );
}

#[test]
fn a_pending_commit_yields_to_anothers() {
    let (mut alice, mut bob) = pair();
    let _lost = alice.update();
    let commit = bob.update();
    bob.merge();
    assert_eq!(alice.receive(&commit), Received::Commit);
    assert!(alice.rolled_back(|_, _, group| group.pending_commit().is_none()));
    assert_eq!(alice.authenticator(), bob.authenticator());
    assert_eq!(bob.receive(&alice.send(b"on")), Received::Text(b"on".to_vec()));
}
