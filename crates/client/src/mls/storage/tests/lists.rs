//! Each method on simple values: what is written is read, in order, under its own key alone.

use openmls_traits::storage::{CURRENT_VERSION, Entity, Key, StorageProvider, traits};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::mls::storage::{SCHEMA, TxStorage, delete_group};

/// Stands for every key and every value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Thing(u32);

impl Key<CURRENT_VERSION> for Thing {}
impl Entity<CURRENT_VERSION> for Thing {}

macro_rules! is {
    ($($name:ident),+) => {
        $(impl traits::$name<CURRENT_VERSION> for Thing {})+
    };
}

is!(GroupId, EpochKey, HpkeKeyPair, LeafNode, ProposalRef, QueuedProposal, HashReference, KeyPackage, PskId, PskBundle);
is!(SignaturePublicKey, SignatureKeyPair, EncryptionKey, TreeSync, GroupState, GroupContext);

fn with_storage(work: impl FnOnce(&TxStorage<'_>, &rusqlite::Transaction<'_>)) {
    let mut db = Connection::open_in_memory().unwrap();
    db.execute_batch(SCHEMA).unwrap();
    let tx = db.transaction().unwrap();
    work(&TxStorage::new(&tx), &tx);
}

fn things(numbers: &[u32]) -> Vec<Thing> {
    numbers.iter().copied().map(Thing).collect()
}

fn queue(storage: &TxStorage<'_>, group: u32) -> Vec<(u32, u32)> {
    let proposals: Vec<(Thing, Thing)> = storage.queued_proposals(&Thing(group)).unwrap();
    let refs: Vec<Thing> = storage.queued_proposal_refs(&Thing(group)).unwrap();
    assert_eq!(proposals.iter().map(|(proposal_ref, _)| proposal_ref.clone()).collect::<Vec<_>>(), refs);
    proposals.into_iter().map(|(proposal_ref, proposal)| (proposal_ref.0, proposal.0)).collect()
}

#[test]
fn proposals_keep_their_order() {
    with_storage(|storage, _| {
        // References that sort otherwise than they came.
        for n in [7, 300, 2, 70_000, 5] {
            storage.queue_proposal(&Thing(1), &Thing(n), &Thing(n + 1)).unwrap();
            storage.queue_proposal(&Thing(2), &Thing(n), &Thing(0)).unwrap();
        }
        assert_eq!(queue(storage, 1), [(7, 8), (300, 301), (2, 3), (70_000, 70_001), (5, 6)]);

        storage.remove_proposal(&Thing(1), &Thing(2)).unwrap();
        storage.remove_proposal(&Thing(1), &Thing(2)).unwrap();
        storage.remove_proposal(&Thing(1), &Thing(5)).unwrap();
        storage.queue_proposal(&Thing(1), &Thing(2), &Thing(9)).unwrap();
        // One that is queued already is replaced where it is.
        storage.queue_proposal(&Thing(1), &Thing(300), &Thing(10)).unwrap();
        assert_eq!(queue(storage, 1), [(7, 8), (300, 10), (70_000, 70_001), (2, 9)]);

        storage.clear_proposal_queue::<Thing, Thing>(&Thing(1)).unwrap();
        assert_eq!(queue(storage, 1), []);
        assert_eq!(queue(storage, 2).len(), 5);
    });
}

#[test]
fn own_leaf_nodes_keep_their_order() {
    with_storage(|storage, _| {
        // The same one twice is two.
        for n in [3, 1, 2, 1] {
            storage.append_own_leaf_node(&Thing(1), &Thing(n)).unwrap();
            storage.append_own_leaf_node(&Thing(2), &Thing(n)).unwrap();
        }
        assert_eq!(storage.own_leaf_nodes::<Thing, Thing>(&Thing(1)).unwrap(), things(&[3, 1, 2, 1]));
        storage.delete_own_leaf_nodes(&Thing(1)).unwrap();
        assert_eq!(storage.own_leaf_nodes::<Thing, Thing>(&Thing(1)).unwrap(), []);
        storage.append_own_leaf_node(&Thing(1), &Thing(8)).unwrap();
        assert_eq!(storage.own_leaf_nodes::<Thing, Thing>(&Thing(1)).unwrap(), things(&[8]));
        assert_eq!(storage.own_leaf_nodes::<Thing, Thing>(&Thing(2)).unwrap(), things(&[3, 1, 2, 1]));
    });
}

#[test]
fn epoch_key_pairs_are_kept_by_group_epoch_and_leaf() {
    with_storage(|storage, _| {
        let read = |group, epoch, leaf| -> Vec<Thing> {
            storage.encryption_epoch_key_pairs(&Thing(group), &Thing(epoch), leaf).unwrap()
        };
        for (n, (group, epoch, leaf)) in (0..).zip([(1, 1, 1), (2, 1, 1), (1, 2, 1), (1, 1, 2)]) {
            storage
                .write_encryption_epoch_key_pairs(&Thing(group), &Thing(epoch), leaf, &things(&[n, n + 10, n]))
                .unwrap();
        }
        assert_eq!(read(1, 1, 1), things(&[0, 10, 0]));
        assert_eq!(read(2, 1, 1), things(&[1, 11, 1]));
        assert_eq!(read(1, 2, 1), things(&[2, 12, 2]));
        assert_eq!(read(1, 1, 2), things(&[3, 13, 3]));
        assert_eq!(read(2, 2, 2), []);

        storage.write_encryption_epoch_key_pairs(&Thing(1), &Thing(1), 1, &things(&[4])).unwrap();
        assert_eq!(read(1, 1, 1), things(&[4]));
        storage.delete_encryption_epoch_key_pairs(&Thing(1), &Thing(1), 1).unwrap();
        assert_eq!(read(1, 1, 1), []);
        assert_eq!(read(1, 1, 2).len() + read(1, 2, 1).len() + read(2, 1, 1).len(), 9);
    });
}

#[test]
fn values_under_equal_keys_do_not_meet() {
    with_storage(|storage, tx| {
        let key = Thing(1);
        storage.write_key_package(&key, &Thing(10)).unwrap();
        storage.write_psk(&key, &Thing(11)).unwrap();
        storage.write_signature_key_pair(&key, &Thing(12)).unwrap();
        storage.write_encryption_key_pair(&key, &Thing(13)).unwrap();
        storage.write_tree(&key, &Thing(14)).unwrap();
        storage.write_context(&key, &Thing(15)).unwrap();
        storage.write_group_state(&Thing(1), &Thing(16)).unwrap();
        storage.write_group_state(&Thing(2), &Thing(17)).unwrap();
        let mut statement = tx.prepare("SELECT kind FROM mls_state ORDER BY n").unwrap();
        let kinds = statement.query_map([], |row| row.get(0)).unwrap();
        assert_eq!(kinds.map(Result::unwrap).collect::<Vec<i64>>(), [16, 17, 14, 15, 4, 6, 8, 8]);

        assert_eq!(storage.key_package::<Thing, Thing>(&key).unwrap(), Some(Thing(10)));
        assert_eq!(storage.psk::<Thing, Thing>(&key).unwrap(), Some(Thing(11)));
        assert_eq!(storage.signature_key_pair::<Thing, Thing>(&key).unwrap(), Some(Thing(12)));
        assert_eq!(storage.encryption_key_pair::<Thing, Thing>(&key).unwrap(), Some(Thing(13)));
        assert_eq!(storage.tree::<Thing, Thing>(&key).unwrap(), Some(Thing(14)));
        assert_eq!(storage.group_context::<Thing, Thing>(&key).unwrap(), Some(Thing(15)));
        assert_eq!(storage.group_state::<Thing, Thing>(&Thing(2)).unwrap(), Some(Thing(17)));
        assert_eq!(storage.tree::<Thing, Thing>(&Thing(2)).unwrap(), None);

        storage.write_psk(&key, &Thing(18)).unwrap();
        assert_eq!(storage.psk::<Thing, Thing>(&key).unwrap(), Some(Thing(18)));
        storage.delete_psk(&key).unwrap();
        assert_eq!(storage.psk::<Thing, Thing>(&key).unwrap(), None);
        storage.delete_key_package(&key).unwrap();
        storage.delete_key_package(&key).unwrap();
        assert_eq!(storage.key_package::<Thing, Thing>(&key).unwrap(), None);
        storage.delete_group_state(&Thing(1)).unwrap();
        assert_eq!(storage.group_state::<Thing, Thing>(&Thing(1)).unwrap(), None);
        assert_eq!(storage.group_state::<Thing, Thing>(&Thing(2)).unwrap(), Some(Thing(17)));
        assert_eq!(storage.signature_key_pair::<Thing, Thing>(&key).unwrap(), Some(Thing(12)));
    });
}

#[test]
fn a_damaged_value_is_an_error_that_does_not_show_it() {
    with_storage(|storage, tx| {
        storage.write_psk(&Thing(1), &Thing(2)).unwrap();
        for damaged in [&b""[..], b"\xff", b"\x02\x02", b"\x62hi"] {
            tx.execute("UPDATE mls_state SET value = ?1", [damaged]).unwrap();
            let error = storage.psk::<Thing, Thing>(&Thing(1)).unwrap_err();
            assert_eq!(format!("{error} {error:?}"), "MLS state: a stored value could not be read Decode");
        }
        tx.execute_batch("DROP TABLE mls_state").unwrap();
        let error = storage.psk::<Thing, Thing>(&Thing(1)).unwrap_err();
        assert_eq!(error.to_string(), "MLS state: the database failed");
    });
}

#[test]
fn deleting_a_group_that_is_not_there_is_no_error() {
    with_storage(|storage, tx| {
        storage.write_tree(&Thing(1), &Thing(2)).unwrap();
        delete_group(tx, b"no such group").unwrap();
        assert_eq!(storage.tree::<Thing, Thing>(&Thing(1)).unwrap(), Some(Thing(2)));
    });
}
