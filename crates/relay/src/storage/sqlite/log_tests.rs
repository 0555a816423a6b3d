//! The transparency log as the backend keeps it: with the entries, in one transaction, whole at every start.

use ed25519_dalek::SigningKey;
use futures_util::future::join_all;
use waxwing_wire::chain::{ChainEntry, Create, Statement, UnsignedEntry};
use waxwing_wire::transparency::{
    Frontier, Leaf, NoteKey, SignedCheckpoint, Verdict, account_hash, decode_leaves, judge, name_hash,
};
use waxwing_wire::{AccountId, DeviceRecord};

use super::super::{DeviceChange, PublicName};
use super::*;

const ORIGIN: &str = "relay.example";

fn signing(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte; 32])
}

fn signer() -> LogSigner {
    LogSigner::new(ORIGIN, signing(7)).unwrap()
}

fn log_key() -> NoteKey {
    signer().key().clone()
}

fn try_open(folder: &Path, signer: LogSigner) -> Result<SqliteStorage, OpenError> {
    SqliteStorage::open(folder, Quotas::default(), signer, Arc::new(|_| ()))
}

fn open(folder: &Path) -> SqliteStorage {
    try_open(folder, signer()).unwrap()
}

fn device(n: u16, version: u32) -> DeviceRecord {
    let key = [version as u8; 32];
    let mut device = [0; 16];
    device[..2].copy_from_slice(&n.to_be_bytes());
    DeviceRecord {
        device: DeviceId::from_bytes(device),
        key_version: version,
        relay_auth: key,
        signing: key,
        mls: key,
        x25519: key,
        xwing: Box::new([0; 1216]),
    }
}

fn account(n: u16) -> AccountId {
    let mut id = [0xaa; 16];
    id[..2].copy_from_slice(&n.to_be_bytes());
    AccountId::from_bytes(id)
}

fn entry(n: u16, seq: u32, prev_hash: [u8; 32], statement: Statement) -> ChainEntry {
    let signatures = vec![[9; 64]; if seq == 0 { 5 } else { 4 }];
    UnsignedEntry { account: account(n), seq, prev_hash, statement, at_ms: 1 }.assemble(signatures)
}

/// Account `n`'s first entry. The storage does not look at signatures. Its hash stands for the name's, which takes its time.
fn create(n: u16, name: Option<&str>) -> NewAccount {
    let name =
        name.map(|name| PublicName { name: name.parse().unwrap(), hash: waxwing_wire::hash(&[name.as_bytes()]) });
    let create = Create {
        log_origin: ORIGIN.to_owned(),
        name: name.as_ref().map(|public| public.name.clone()),
        recovery_key: [1; 32],
        account_key: [2; 32],
        device: device(n, 1),
    };
    NewAccount { entry: entry(n, 0, [0; 32], Statement::Create(Box::new(create))), name, device: device(n, 1) }
}

fn rotation(n: u16, before: &ChainEntry) -> NextEntry {
    let seq = before.unsigned.seq + 1;
    let device = device(n, seq + 1);
    NextEntry {
        entry: entry(n, seq, before.hash(), Statement::RotateDeviceKeys(Box::new(device.clone()))),
        devices: DeviceChange::Rotated(device),
    }
}

async fn leaves(storage: &SqliteStorage) -> Vec<Leaf> {
    decode_leaves(&storage.leaves(0, 1000).await.unwrap().unwrap()).unwrap()
}

/// The newest checkpoint, which must be that of the leaves.
async fn checkpoint(storage: &SqliteStorage) -> SignedCheckpoint {
    let signed = SignedCheckpoint::verify(storage.checkpoint().await.unwrap().as_bytes(), &log_key()).unwrap();
    let mut tree = Frontier::new();
    leaves(storage).await.iter().for_each(|leaf| tree.append(leaf.hash()).unwrap());
    assert_eq!((signed.checkpoint().size, signed.checkpoint().root), (tree.size(), tree.root()));
    signed
}

fn chain_leaf(n: u16, entry: &ChainEntry) -> Leaf {
    Leaf::Chain { account_hash: account_hash(&account(n)), seq: entry.unsigned.seq, entry_hash: entry.hash() }
}

fn name_leaf(new: &NewAccount) -> Leaf {
    Leaf::Name { name_hash: new.name.as_ref().unwrap().hash, entry_hash: new.entry.hash() }
}

/// A name that an account gave up is not given again: its leaf stays.
#[tokio::test]
async fn p17_a_name_is_given_once_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    assert_eq!(storage.register(create(1, Some("alice"))).await.unwrap(), Registered::Stored);
    storage.writer.write(|db| db.execute("UPDATE accounts SET name = NULL", [])).await.unwrap();
    let before = checkpoint(&storage).await;
    assert_eq!(storage.register(create(2, Some("alice"))).await.unwrap(), Registered::NameTaken);
    assert_eq!(checkpoint(&storage).await, before);
}

/// In one commit or in many: each checkpoint has its own size and time, and they follow each other.
#[tokio::test]
async fn p17_one_line_of_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let (told, mut wakes) = tokio::sync::mpsc::unbounded_channel();
    let listener: WakeListener = Arc::new(move |wake| {
        if let Wake::Checkpoint(checkpoint) = wake {
            told.send(checkpoint.clone()).unwrap();
        }
    });
    let storage = SqliteStorage::open(folder.path(), Quotas::default(), signer(), listener).unwrap();
    let commits = storage.stats().commits;
    let answers = join_all((0..50).map(|n| storage.register(create(n, None)))).await;
    assert!(answers.iter().all(|answer| *answer == Ok(Registered::Stored)));
    assert!(storage.stats().commits - commits < 50, "they were not committed together");
    storage.renew_checkpoint().await.unwrap();
    let mut before = wakes.recv().await.unwrap();
    for _ in 1..=50 {
        let next = wakes.recv().await.unwrap();
        let (old, new) = (before.checkpoint(), next.checkpoint());
        assert!(old.time_ms < new.time_ms && old.size <= new.size);
        let proof = storage.consistency(old.size, new.size).await.unwrap().unwrap();
        assert_eq!(judge(&before, &next, proof.path.as_ref()), Ok(Verdict::Consistent));
        before = next;
    }
    assert_eq!(*before, checkpoint(&storage).await);
    assert_eq!(before.checkpoint().size, 50);
}

/// D7: an entry that finds no room leaves no leaf, no name and no checkpoint behind, nor one of them without the others.
#[tokio::test]
async fn d7_a_full_disk_stores_all_of_an_entry_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let limit = |pages: u32| {
        storage
            .writer
            .write(move |db| db.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get::<_, i64>(0)))
    };
    let now: i64 = storage.writer.write(|db| db.query_row("PRAGMA page_count", [], |row| row.get(0))).await.unwrap();
    limit(u32::try_from(now).unwrap() + 20).await.unwrap();
    let mut stored = 0;
    let refused = loop {
        match storage.register(create(stored, Some(&format!("name-{stored}")))).await {
            Ok(Registered::Stored) => stored += 1,
            other => break other,
        }
    };
    assert_eq!(refused, Err(StorageError::Full));
    assert!(stored > 0);
    assert_eq!(checkpoint(&storage).await.checkpoint().size, u64::from(stored) * 2);
    limit(100_000).await.unwrap();
    let refused = create(stored, Some(&format!("name-{stored}")));
    assert_eq!(storage.register(refused).await, Ok(Registered::Stored));
    assert_eq!(checkpoint(&storage).await.checkpoint().size, u64::from(stored) * 2 + 2);
}

/// A log goes on under its key and name only, and only if it is whole.
#[tokio::test]
async fn p17_another_key_or_a_changed_log_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    // Nothing is in it yet: nobody can have been shown a history.
    drop(try_open(folder.path(), LogSigner::new(ORIGIN, signing(8)).unwrap()).unwrap());
    let storage = open(folder.path());
    for n in 0..5 {
        storage.register(create(n, Some(&format!("name-{n}")))).await.unwrap();
    }
    let before = checkpoint(&storage).await;
    storage.close().await.unwrap();
    drop(storage);
    for other in [LogSigner::new(ORIGIN, signing(8)), LogSigner::new("other.example", signing(7))] {
        assert!(matches!(try_open(folder.path(), other.unwrap()), Err(OpenError::OtherLog)));
    }
    let storage = open(folder.path());
    let after = checkpoint(&storage).await;
    assert!(after.checkpoint().time_ms > before.checkpoint().time_ms);
    assert_eq!(judge(&before, &after, &[]), Ok(Verdict::Consistent));
    storage.close().await.unwrap();
    drop(storage);
    for change in [
        "UPDATE transparency_log SET size = 9",
        "UPDATE transparency_nodes SET hash = zeroblob(32) WHERE level = 3",
        "DELETE FROM transparency_nodes WHERE level = 1 AND n = 4",
        "UPDATE transparency_log SET frontier = x'00'",
        "INSERT INTO transparency_leaves (n, leaf) VALUES (10, zeroblob(69))",
    ] {
        let copy = tempfile::tempdir().unwrap();
        std::fs::copy(folder.path().join(FILE), copy.path().join(FILE)).unwrap();
        Connection::open(copy.path().join(FILE)).unwrap().execute_batch(change).unwrap();
        assert!(matches!(try_open(copy.path(), signer()), Err(OpenError::DamagedLog)), "{change}");
    }
}

/// A database of the second version, with more entries than one batch takes.
#[tokio::test]
async fn an_older_database_gets_its_leaves_before_anything_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let named = ["alice", "bob"];
    let mut expected = Vec::new();
    {
        let mut db = Connection::open(folder.path().join(FILE)).unwrap();
        schema::migrate_to(&mut db, 2);
        for n in 1..=300_u16 {
            let name = named.get(usize::from(n) - 1);
            let new = create(n, name.copied());
            let next = rotation(n, &new.entry);
            db.execute(
                "INSERT INTO accounts (n, id, name, head) VALUES (?1, ?2, ?3, 1)",
                rusqlite::params![n, account(n).as_bytes(), name],
            )
            .unwrap();
            for (seq, entry) in [(0, &new.entry), (1, &next.entry)] {
                db.execute(
                    "INSERT INTO chain_entries (account, seq, hash, bytes) VALUES (?1, ?2, ?3, ?4)",
                    rusqlite::params![n, seq, entry.hash(), entry.as_bytes()],
                )
                .unwrap();
            }
            expected.push(chain_leaf(n, &new.entry));
            if let Some(name) = name {
                let name_hash = name_hash(&name.parse().unwrap(), ORIGIN).unwrap();
                expected.push(Leaf::Name { name_hash, entry_hash: new.entry.hash() });
            }
            expected.push(chain_leaf(n, &next.entry));
        }
    }
    let storage = open(folder.path());
    assert_eq!(leaves(&storage).await, expected);
    let first = checkpoint(&storage).await;
    let bob = storage.chain(AccountRef::Name("bob".parse().unwrap()), 0, 10).await.unwrap().unwrap();
    assert_eq!((bob.indexes, bob.name_index), (vec![3, 5], Some(4)));
    let fresh = create(1000, Some("carol"));
    storage.register(fresh.clone()).await.unwrap();
    storage.close().await.unwrap();
    // The next start finds nothing to do.
    let storage = open(folder.path());
    expected.extend([chain_leaf(1000, &fresh.entry), name_leaf(&fresh)]);
    assert_eq!(leaves(&storage).await, expected);
    let proof = storage.consistency(602, 604).await.unwrap().unwrap();
    assert_eq!(judge(&first, &checkpoint(&storage).await, proof.path.as_ref()), Ok(Verdict::Consistent));
}

/// Broken off between two batches, it goes on where it was.
#[tokio::test]
async fn leaves_of_older_entries_are_given_once() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    for n in 1..=10 {
        storage.register(create(n, None)).await.unwrap();
    }
    let before = leaves(&storage).await;
    // As if the start had been killed after six entries.
    let later = create(11, None);
    let entry = later.entry.clone();
    storage
        .writer
        .write(move |db| {
            db.execute("INSERT INTO accounts (n, id, name, head) VALUES (99, ?1, NULL, 0)", [account(11).as_bytes()])?;
            db.execute(
                "INSERT INTO chain_entries (account, seq, hash, bytes) VALUES (99, 0, ?1, ?2)",
                rusqlite::params![entry.hash(), entry.as_bytes()],
            )
        })
        .await
        .unwrap();
    storage.close().await.unwrap();
    let storage = open(folder.path());
    assert_eq!(leaves(&storage).await, [before, vec![chain_leaf(11, &later.entry)]].concat());
    checkpoint(&storage).await;
}
