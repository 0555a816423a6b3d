//! A stopped relay moves from SQLite to PostgreSQL, and answers what it answered before.

use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use waxwing_relay::replay::{Seen, Showing, Shows};
use waxwing_relay::storage::{
    AccountRef, Admission, Appended, Claimer, DeviceChange, Invitation, LogRead, OpenError, PostgresStorage,
    PostgresTrouble, PostgresUrl, Quota, Registered, RestoredOn, Setup, SqliteStorage, Storage, Watched,
};
use waxwing_relay::{MigrateError, PostgresConfig, migrate};
use waxwing_wire::frame::{Append, CreateLog, LogTokens};
use waxwing_wire::transparency::{Verdict, judge};

use crate::cluster::Cluster;
use crate::key_packages::{claim, claimed, upload};
use crate::kit::*;

const NEW: LogTokens = LogTokens { write: [21; 32], read: [22; 32] };
const KEY: [u8; 32] = [5; 32];

/// Something in every table.
async fn filled(folder: &Path, hands: &Hands) {
    let setup = Setup { clock: hands.clock(), retention_days: 7, ..setup() };
    let storage = SqliteStorage::open_with(folder, setup).unwrap();
    let alice = registered(&storage, 1, Some("alice")).await;
    registered(&storage, 2, None).await;
    let add = next(1, &alice.entry, DeviceChange::Added(device(3, 5)));
    storage.extend_chain(add).await.unwrap();
    for n in 4..20 {
        registered(&storage, n, Some(&format!("name-{n}"))).await;
    }
    assert!(storage.admit(account(1), vec![KEY]).await.unwrap());
    let (log, other) = (new_log(1), new_log(2));
    assert!(storage.create_log(log).await.unwrap() && storage.create_log(other).await.unwrap());
    for id in 1..=3 {
        storage.append(append(&log, id, 100)).await.unwrap();
        storage.deliver(delivery(1, id, Admission::Stranger, 100)).await.unwrap();
    }
    hands.pass(8 * DAY);
    while storage.expire().await.unwrap() {}
    storage.append(rekey(&log, 4, 0, NEW)).await.unwrap();
    for id in 1..=50 {
        storage.append(append(&other, id, 3000)).await.unwrap();
    }
    for id in 4..=6 {
        storage.deliver(delivery(1, id, Admission::AccessKey(KEY), 100)).await.unwrap();
    }
    storage.acknowledge(device_id(1), 4).await.unwrap();
    storage.upload_key_packages(device_id(1), upload(0..10, true, false)).await.unwrap();
    assert_eq!(claimed(&storage, claim(1, 1, Claimer::AccessKey(KEY))).await.len(), 1);
    storage.set_quotas(None, vec![(Quota::Log, Some(1 << 30))]).await.unwrap();
    storage.set_disabled(AccountRef::Id(account(4)), true).await.unwrap();
    let until_hour = u64::try_from(hands.clock().now().hour()).unwrap() + 2;
    storage.invite(Invitation { hash: [8; 32], uses: 3, until_hour }).await.unwrap();
    assert_eq!(storage.shown(Showing::new(Shows::Proof, b"a", "1")).await, Ok(Seen::Fresh));
    storage.close().await.unwrap();
    let db = rusqlite::Connection::open(folder.join("relay.db")).unwrap();
    db.execute("INSERT INTO log_restorations (note, day) VALUES ('a note', 20000)", []).unwrap();
    db.execute("INSERT INTO blobs_to_remove (secret, hour) VALUES (?1, 500000)", [[5_u8; 32]]).unwrap();
}

/// What there is to ask, in words.
async fn answers(storage: &dyn Storage) -> Vec<String> {
    let (log, other) = (new_log(1), new_log(2));
    let mut said = Vec::new();
    macro_rules! ask {
        ($($question:expr),+ $(,)?) => { $(said.push(format!("{:?}", $question.await.unwrap()));)+ };
    }
    for n in 0..20 {
        let chain = storage.chain(AccountRef::Id(account(n)), 0, 100).await.unwrap();
        // Signed anew at each start.
        said.push(format!(
            "{:?}",
            chain.map(|chain| (chain.name, chain.head, chain.entries, chain.indexes, chain.name_index))
        ));
        ask!(storage.relay_auth(account(n), device_id(n)), storage.read_inbox(device_id(n), 0));
        ask!(storage.count_key_packages(device_id(n)));
    }
    let size = leaves(storage).await.len() as u64;
    ask!(storage.leaves(0, 1000), storage.inclusion(5, size), storage.consistency(7, size));
    for after in 0..6 {
        ask!(
            storage.read_log(log.log, log.tokens.read, after),
            storage.read_log(log.log, NEW.read, after),
            storage.read_log(other.log, other.tokens.read, after * 10),
        );
    }
    let watched = Watched { logs: vec![(log.log, NEW.read), (other.log, [2; 32])], inboxes: vec![device_id(1)] };
    ask!(storage.heads(watched), storage.decided(None), storage.totals());
    said.push(format!(
        "{:?}",
        storage.blobs_to_remove().await.unwrap().iter().map(|one| *one.as_bytes()).collect::<Vec<_>>()
    ));
    // What was sent before, once more.
    ask!(
        storage.register(create(1, Some("alice"))),
        storage.register(create(30, Some("alice"))),
        storage.create_log(log),
        storage.append(append(&log, 2, 100)),
        storage.append(append(&log, 2, 99)),
        storage.append(append(&log, 9, 99)),
        storage.append(append(&other, 50, 3000)),
        storage.deliver(delivery(1, 1, Admission::Stranger, 100)),
        storage.deliver(delivery(1, 5, Admission::AccessKey(KEY), 100)),
        storage.deliver(delivery(1, 5, Admission::AccessKey([6; 32]), 100)),
        storage.claim_key_packages(claim(1, 1, Claimer::AccessKey(KEY))),
        storage.upload_key_packages(device_id(1), upload(0..10, true, false)),
        storage.shown(Showing::new(Shows::Proof, b"a", "1")),
    );
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moved_relay_answers_as_before() {
    let (folder, hands) = (tempfile::tempdir().unwrap(), Hands::now());
    filled(folder.path(), &hands).await;
    let setup = || Setup { clock: hands.clock(), retention_days: 7, ..setup() };
    let database = Cluster::shared().database();
    let before = SqliteStorage::open_with(folder.path(), setup()).unwrap();
    let expected = answers(&before).await;
    let gone = LogRead::Gone { oldest: 4 };
    assert!(expected.contains(&format!("{gone:?}")), "nothing had expired");
    assert_eq!(expected.last(), Some(&format!("{:?}", Seen::Replayed)));
    let signed = checkpoint(&before).await;
    before.close().await.unwrap();
    drop(before);
    let moved = migrate(folder.path(), &database).await.unwrap();
    let rows = |name| moved.tables.iter().find(|(table, _)| *table == name).unwrap().1;
    assert_eq!((rows("accounts"), rows("log_entries"), rows("inbox_entries")), (18, 54, 2));
    assert!(moved.tables.iter().all(|(_, rows)| *rows > 0), "{moved:?}");
    let restored = RestoredOn { note: "a note".to_owned(), day: 20_000 };
    assert_eq!(PostgresStorage::restorations(&database).await.unwrap(), [restored]);
    let after: Arc<dyn Storage> = Arc::new(PostgresStorage::open(&database, setup()).await.unwrap());
    for (place, (now, then)) in answers(&*after).await.iter().zip(&expected).enumerate() {
        assert_eq!(now, then, "answer {place}");
    }
    // The log of keys is the same one, which goes on; and so do numbers, seqs and allowances.
    let renewed = checkpoint(&*after).await;
    assert_eq!(judge(&signed, &renewed, &[]), Ok(Verdict::Consistent));
    assert_eq!(after.register(create(40, Some("late"))).await.unwrap(), Registered::Stored);
    assert!(checkpoint(&*after).await.checkpoint().size > renewed.checkpoint().size);
    assert!(after.create_log(new_log(9)).await.unwrap());
    assert_eq!(after.append(append(&new_log(9), 1, 10)).await.unwrap(), stored(1));
    let renewed = CreateLog { tokens: NEW, ..new_log(1) };
    let further = Append { after: 4, ..append(&renewed, 60, 10).append };
    assert_eq!(after.append(appending(&renewed, further)).await.unwrap(), Appended::Stored { seq: 5 });
    assert!(after.admit(account(2), vec![[7; 32]]).await.unwrap());
    assert_eq!(after.deliver(delivery(1, 70, Admission::Stranger, 10)).await.unwrap(), delivered(7));
    after.close().await.unwrap();
    // A second time there is something in the way.
    let refused = migrate(folder.path(), &database).await;
    assert!(matches!(refused, Err(MigrateError::NotEmpty(_))), "{refused:?}");
}

/// What arrives as something else, or not at all, is noticed before anything is kept: here the target itself changes one byte, or leaves one row out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_arrives_as_something_else_is_not_kept() {
    let (folder, hands) = (tempfile::tempdir().unwrap(), Hands::now());
    filled(folder.path(), &hands).await;
    let cluster = Cluster::shared();
    let counted = |database: &str, table: &str| {
        cluster.sql(database, &format!("SELECT count(*) FROM {table}")).trim().parse::<u64>().unwrap()
    };
    let spoilt = [
        ("changes_a_byte", "NEW.blob := set_byte(NEW.blob, 10, get_byte(NEW.blob, 10) # 1); RETURN NEW;"),
        ("leaves_one_out", "RETURN NULL;"),
    ];
    for (name, spoil) in spoilt {
        cluster.sql("postgres", &format!("CREATE DATABASE {name}"));
        let database = cluster.config(name);
        // The tables, without what a relay puts into them at its first start.
        PostgresStorage::open(&database, setup()).await.unwrap().close().await.unwrap();
        cluster.sql(
            name,
            "DO $$ DECLARE name text; BEGIN
                 FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'relay_schema' LOOP
                     EXECUTE format('TRUNCATE %I CASCADE', name);
                 END LOOP;
             END $$",
        );
        // Of the one log that has so many.
        cluster.sql(
            name,
            &format!(
                "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN IF NEW.seq = 7 THEN {spoil} END IF; RETURN NEW; END $$;
                 CREATE TRIGGER spoil BEFORE INSERT ON log_entries FOR EACH ROW EXECUTE FUNCTION spoil()"
            ),
        );
        let refused = migrate(folder.path(), &database).await;
        assert!(matches!(refused, Err(MigrateError::Differs("log_entries"))), "{name}: {refused:?}");
        for table in ["accounts", "logs", "log_entries", "transparency_leaves"] {
            assert_eq!(counted(name, table), 0, "{name}: {table}");
        }
        // It was that alone.
        cluster.sql(name, "DROP TRIGGER spoil ON log_entries");
        migrate(folder.path(), &database).await.unwrap();
        assert_eq!(counted(name, "log_entries"), 54);
    }
}

/// What cannot be moved stays as it is, and nothing of it arrives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_moved_by_half() {
    let (folder, hands) = (tempfile::tempdir().unwrap(), Hands::now());
    filled(folder.path(), &hands).await;
    let database = Cluster::shared().database();
    let empty: TempDir = tempfile::tempdir().unwrap();
    assert!(matches!(migrate(empty.path(), &database).await, Err(MigrateError::NoDatabase)));
    assert!(matches!(migrate(&empty.path().join("x"), &database).await, Err(MigrateError::NoDatabase)));
    // A relay runs on the folder.
    let lock = std::fs::File::create(folder.path().join("lock")).unwrap();
    lock.lock().unwrap();
    assert!(matches!(migrate(folder.path(), &database).await, Err(MigrateError::InUse)));
    drop(lock);
    let change = |sql: &str| {
        let db = rusqlite::Connection::open(folder.path().join("relay.db")).unwrap();
        db.execute_batch(sql).unwrap();
    };
    let db = rusqlite::Connection::open(folder.path().join("relay.db")).unwrap();
    let newest: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    drop(db);
    change("PRAGMA user_version = 3");
    assert!(matches!(migrate(folder.path(), &database).await, Err(MigrateError::OtherVersion)));
    change(&format!("PRAGMA user_version = {newest}"));
    // PostgreSQL does not take something in the last but one table: the rest, which it took, is not there either.
    change("PRAGMA foreign_keys = OFF; INSERT INTO chain_leaves (account, seq, leaf) VALUES (1, 77, 0)");
    change("INSERT INTO chain_entries (account, seq, hash, bytes) VALUES (1, 77, zeroblob(32), x'00')");
    change("PRAGMA foreign_keys = OFF; DELETE FROM accounts WHERE n = 5");
    let refused = migrate(folder.path(), &database).await;
    assert!(
        matches!(&refused, Err(MigrateError::Write(PostgresTrouble::Refused(code))) if code == "23503"),
        "{refused:?}"
    );
    let storage = PostgresStorage::open(&database, setup()).await.unwrap();
    assert_eq!(leaves(&storage).await, []);
    let nowhere = PostgresConfig::new(PostgresUrl::new("host=/nonexistent user=relay".to_owned()));
    let refused = migrate(folder.path(), &nowhere).await;
    assert!(matches!(refused, Err(MigrateError::Open(OpenError::Postgres(PostgresTrouble::Unreachable)))));
}
