//! A database that outlives its process.

use std::path::Path;

use super::*;
use crate::random;

/// In which of a database's files these bytes stand.
fn files_with(dir: &Path, secret: &[u8]) -> Vec<String> {
    let has = |name: &String| {
        std::fs::read(dir.join(name)).is_ok_and(|bytes| bytes.windows(secret.len()).any(|window| window == secret))
    };
    Store::files().into_iter().filter(has).collect()
}

/// `secure_delete` erases it in the database; in the WAL it stands until that is used again.
#[tokio::test]
async fn p12_what_was_erased_before_a_crash_stands_nowhere_after_the_next_start() {
    let (dir, after) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::plain(dir.path()).unwrap();
    let secret = random::bytes::<32>();
    store.run(move |tx| Ok(tx.execute("CREATE TABLE secrets AS SELECT ?1 AS secret", [secret])?)).await.unwrap();
    store.run(|tx| Ok(tx.execute("DELETE FROM secrets", [])?)).await.unwrap();
    // As a crash leaves it. The third file is made anew by whoever comes first.
    for name in &Store::files()[..2] {
        std::fs::copy(dir.path().join(name), after.path().join(name)).unwrap();
    }
    let wal = Store::files()[1].clone();
    assert_eq!(files_with(after.path(), &secret), [wal.as_str()], "the control: the search finds it");
    let again = Store::plain(after.path()).unwrap();
    assert_eq!(files_with(after.path(), &secret), Vec::<String>::new());
    assert_eq!(std::fs::metadata(after.path().join(wal)).unwrap().len(), 0);
    // What was not erased is there.
    let rows = again.run(|tx| Ok(tx.query_row("SELECT count(*) FROM secrets", [], |row| row.get::<_, u64>(0))?)).await;
    assert_eq!(rows.unwrap(), 0);
}

#[tokio::test]
async fn p12_forgetting_goes_on_with_another_connection() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path(), &[7; 32]).unwrap();
    let clone = store.clone();
    store.run(|tx| Ok(tx.execute("CREATE TABLE kept AS SELECT 1 AS one", [])?)).await.unwrap();
    // Of this connection alone.
    let mark = |store: &Store| {
        store.connection.lock().unwrap().as_ref().unwrap().execute_batch("CREATE TEMP TABLE mark (one)")
    };
    mark(&store).unwrap();
    assert!(mark(&store).is_err(), "the control");
    store.forget().await.unwrap();
    mark(&store).unwrap();
    let security = |store: &Store| {
        store
            .connection
            .lock()
            .unwrap()
            .as_ref()
            .unwrap()
            .query_row("PRAGMA cipher_memory_security", [], |row| row.get::<_, String>(0))
    };
    assert_eq!(security(&store).unwrap(), "1", "what SQLite frees is wiped");
    let rows = clone.run(|tx| Ok(tx.query_row("SELECT count(*) FROM kept", [], |row| row.get::<_, u64>(0))?)).await;
    assert_eq!(rows.unwrap(), 1);
    // The other handle has the database now: what this one forgets is still its own matter.
    let heir = store.hand_over();
    store.forget().await.unwrap();
    heir.run(|tx| Ok(tx.execute("DELETE FROM kept", [])?)).await.unwrap();
    heir.close().await.unwrap();
    heir.forget().await.unwrap();
    assert!(heir.run(|_| Ok(())).await.is_err(), "what is closed stays closed");
}

/// What the secrets of the test are masked with where the test keeps them: it would else find its own.
#[cfg(target_os = "linux")]
const MASK: u8 = 0x5a;

/// How often a secret stands in the memory that this process can write to.
#[cfg(target_os = "linux")]
fn in_memory(masked: &[u8; 32]) -> usize {
    use std::os::unix::fs::FileExt as _;

    const PAGE: usize = 4096;
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let memory = std::fs::File::open("/proc/self/mem").unwrap();
    let number = |text| u64::from_str_radix(text, 16).unwrap();
    let mut found = 0;
    // A secret may lie across two pages.
    let mut pages = Box::new([0; 2 * PAGE]);
    for line in maps.lines() {
        let (range, rest) = line.split_once(' ').unwrap();
        let (from, to) = range.split_once('-').unwrap();
        for at in (number(from)..number(to)).step_by(PAGE).filter(|_| rest.starts_with("rw")) {
            let length = usize::try_from(number(to) - at).unwrap().min(2 * PAGE);
            if memory.read_exact_at(&mut pages[..length], at).is_ok() {
                let secrets = pages[..length].windows(32).take(PAGE);
                found +=
                    secrets.filter(|here| here.iter().zip(masked).all(|(byte, masked)| byte ^ MASK == *masked)).count();
            }
            pages.fill(0);
        }
    }
    found
}

/// What SQLite has held on the way (pages, journals of statements, values) is wiped when it frees it.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn p12_what_was_erased_stands_nowhere_in_memory() {
    const NOW: u64 = 1_700_000_000_000;
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path(), &[7; 32]).unwrap();
    let masked = random::bytes::<32>();
    let table = "CREATE TABLE secrets (n INTEGER PRIMARY KEY, secret BLOB NOT NULL, at INTEGER NOT NULL)";
    store.run(move |tx| Ok(tx.execute_batch(table)?)).await.unwrap();
    for n in 0..7_u8 {
        let write = move |tx: &Transaction<'_>| {
            let mut secret = Zeroizing::new(masked);
            secret.iter_mut().for_each(|byte| *byte ^= MASK);
            secret[31] ^= n;
            let insert = "INSERT OR REPLACE INTO secrets (n, secret, at) VALUES (?1, ?2, ?3)";
            tx.execute(insert, rusqlite::params![n, secret.as_slice(), NOW])?;
            Ok(tx.execute("UPDATE secrets SET at = at + 1", [])?)
        };
        store.run(write).await.unwrap();
    }
    assert!(in_memory(&masked) > 0, "the control: the search finds it");
    store.run(|tx| Ok(tx.execute("DELETE FROM secrets WHERE n < 2", [])?)).await.unwrap();
    store.forget().await.unwrap();
    assert_eq!(in_memory(&masked), 0);
}
