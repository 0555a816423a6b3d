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
