//! State written by the first version, in `v1.cbor`: it is read, and goes on. So does what this version writes.
//!
//! With `WAXWING_WRITE_VECTORS=1` the file is made where there is none. It is random, it is committed, and it is never made again
//! for this version: what it stands for are databases that exist.
//!
//! Bob proposed a new leaf; alice committed to that and to adding carol, and has not merged yet. So every kind of value
//! is there: a pending commit, a queued proposal, own leaf nodes, key pairs outside of groups, a key package.

use ciborium::Value;
use openmls::prelude::*;
use rusqlite::{Connection, params};

use super::{Device, Received, StoredRow, pair_of, wire};

/// Rows of alice, bob and carol; the commit; the Welcome.
type State = ([Vec<Value>; 3], Value, Value);

fn path() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/mls/storage/tests/v1.cbor")
}

fn device(n: u8) -> Device {
    Device::of_seed(&format!("device {n}"), Connection::open_in_memory().unwrap(), &[n; 32])
}

#[test]
fn state_of_the_first_version_goes_on() {
    if std::env::var_os("WAXWING_WRITE_VECTORS").is_some() && !path().exists() {
        ciborium::into_writer(&written(), std::fs::File::create_new(path()).unwrap()).unwrap();
    }
    goes_on(ciborium::from_reader(std::fs::read(path()).unwrap().as_slice()).unwrap());
}

#[test]
fn state_of_this_version_goes_on() {
    goes_on(written());
}

/// The same kinds of rows under the same name of the group, in the same order.
#[test]
fn rows_stand_where_they_stood() {
    let (first, ..): State = ciborium::from_reader(std::fs::read(path()).unwrap().as_slice()).unwrap();
    let (now, ..) = written();
    let places = |rows: &[Vec<Value>; 3]| {
        rows.each_ref().map(|rows| {
            let place = |row| {
                let (_, group, kind, ..) = unpacked(row);
                (group, kind)
            };
            rows.iter().map(place).collect::<Vec<_>>()
        })
    };
    assert_eq!(places(&first), places(&now));
}

fn goes_on((rows, commit, welcome): State) {
    let mut kinds = Vec::new();
    let [mut alice, mut bob, mut carol] = [1, 2, 3].map(|n| {
        let device = device(n);
        for row in &rows[usize::from(n) - 1] {
            let (n, group, kind, key, value) = unpacked(row);
            let row = params![n, group, kind, key, value];
            device.db.execute("INSERT INTO mls_state VALUES (?1, ?2, ?3, ?4, ?5)", row).unwrap();
            kinds.push(kind);
        }
        device
    });
    kinds.sort_unstable();
    kinds.dedup();
    // All but signature keys and PSKs, which nothing here stores.
    assert_eq!(kinds, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16]);

    alice.merge();
    assert_eq!(bob.receive(commit.as_bytes().unwrap()), Received::Commit);
    carol.join(welcome.as_bytes().unwrap());
    assert_eq!(alice.authenticator(), bob.authenticator());
    assert_eq!(alice.authenticator(), carol.authenticator());
    let text = carol.send(b"still here");
    assert_eq!(alice.receive(&text), Received::Text(b"still here".to_vec()));
    assert_eq!(bob.receive(&text), Received::Text(b"still here".to_vec()));
    let commit = bob.update();
    bob.merge();
    assert_eq!(alice.receive(&commit), Received::Commit);
    assert_eq!(carol.receive(&commit), Received::Commit);
    assert_eq!(alice.authenticator(), carol.authenticator());
}

/// The state, made anew: with other secrets each time.
fn written() -> State {
    let (mut alice, mut bob) = pair_of(device(1), device(2));
    let mut carol = device(3);
    assert_eq!(alice.receive(&bob.send(b"hello")), Received::Text(b"hello".to_vec()));
    let proposal = bob.step(|provider, signer, group| {
        wire(&group.propose_self_update(provider, signer, LeafNodeParameters::default()).unwrap().0)
    });
    assert_eq!(alice.receive(&proposal), Received::Proposal);
    let package = carol.key_package();
    let (commit, welcome) = alice.step(|provider, signer, group| {
        let bundle = group
            .commit_builder()
            .propose_adds([package])
            .load_psks(provider.storage())
            .unwrap()
            .build(provider.rand(), provider.crypto(), signer, |_| true)
            .unwrap()
            .stage_commit(provider)
            .unwrap();
        (wire(bundle.commit()), wire(&bundle.to_welcome_msg().unwrap()))
    });
    let rows = [&alice, &bob, &carol].map(|device| device.rows().into_iter().map(packed).collect::<Vec<_>>());
    (rows, Value::Bytes(commit), Value::Bytes(welcome))
}

fn packed((n, group, kind, key, value): StoredRow) -> Value {
    let [group, key, value] = [group, key, value].map(Value::Bytes);
    Value::Array(vec![n.into(), group, kind.into(), key, value])
}

fn unpacked(row: &Value) -> StoredRow {
    let row = row.as_array().unwrap();
    let number = |n: usize| i64::try_from(row[n].as_integer().unwrap()).unwrap();
    let bytes = |n: usize| row[n].as_bytes().unwrap().clone();
    (number(0), bytes(1), number(2), bytes(3), bytes(4))
}
