//! Tables and their versions. A migration, once released, is never changed.

use rusqlite::{Connection, TransactionBehavior};

use super::OpenError;

/// Migration `i` leads from schema version `i` to `i + 1`.
const MIGRATIONS: [&str; 11] = [
    VERSION_1, VERSION_2, VERSION_3, VERSION_4, VERSION_5, VERSION_6, VERSION_7, VERSION_8, VERSION_9, VERSION_10,
    VERSION_11,
];

const VERSION_1: &str = "
    CREATE TABLE accounts (
        n INTEGER PRIMARY KEY AUTOINCREMENT,
        id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
        name TEXT UNIQUE,
        head INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE chain_entries (
        account INTEGER NOT NULL REFERENCES accounts (n),
        seq INTEGER NOT NULL,
        hash BLOB NOT NULL CHECK (length(hash) = 32),
        bytes BLOB NOT NULL,
        PRIMARY KEY (account, seq)
    ) STRICT;

    CREATE TABLE devices (
        n INTEGER PRIMARY KEY AUTOINCREMENT,
        id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
        account INTEGER NOT NULL REFERENCES accounts (n),
        relay_auth BLOB NOT NULL CHECK (length(relay_auth) = 32),
        inbox_head INTEGER NOT NULL DEFAULT 0
    ) STRICT;

    CREATE TABLE access_keys (
        n INTEGER PRIMARY KEY AUTOINCREMENT,
        account INTEGER NOT NULL REFERENCES accounts (n),
        hash BLOB NOT NULL CHECK (length(hash) = 32),
        UNIQUE (account, hash)
    ) STRICT;

    CREATE TABLE inbox_entries (
        device INTEGER NOT NULL REFERENCES devices (n),
        seq INTEGER NOT NULL,
        entry_id BLOB NOT NULL CHECK (length(entry_id) = 16),
        kind INTEGER NOT NULL,
        source INTEGER NOT NULL,
        size INTEGER NOT NULL,
        blob BLOB NOT NULL,
        PRIMARY KEY (device, seq)
    ) STRICT;

    CREATE TABLE inbox_ids (
        device INTEGER NOT NULL REFERENCES devices (n),
        entry_id BLOB NOT NULL,
        digest BLOB NOT NULL CHECK (length(digest) = 32),
        seq INTEGER NOT NULL,
        day INTEGER NOT NULL,
        PRIMARY KEY (device, entry_id)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE inbox_usage (
        device INTEGER NOT NULL REFERENCES devices (n),
        source INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        PRIMARY KEY (device, source)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE logs (
        n INTEGER PRIMARY KEY AUTOINCREMENT,
        id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
        write_hash BLOB NOT NULL CHECK (length(write_hash) = 32),
        read_hash BLOB NOT NULL CHECK (length(read_hash) = 32),
        oldest INTEGER NOT NULL DEFAULT 1,
        head INTEGER NOT NULL DEFAULT 0,
        last_handshake INTEGER NOT NULL DEFAULT 0,
        running BLOB NOT NULL CHECK (length(running) = 32),
        bytes INTEGER NOT NULL DEFAULT 0
    ) STRICT;

    CREATE TABLE log_entries (
        log INTEGER NOT NULL REFERENCES logs (n),
        seq INTEGER NOT NULL,
        entry_id BLOB NOT NULL CHECK (length(entry_id) = 16),
        digest BLOB NOT NULL CHECK (length(digest) = 32),
        running BLOB NOT NULL CHECK (length(running) = 32),
        kind INTEGER NOT NULL,
        day INTEGER NOT NULL,
        blob BLOB NOT NULL,
        PRIMARY KEY (log, seq),
        UNIQUE (log, entry_id)
    ) STRICT;

    CREATE TABLE retired_tokens (
        log INTEGER NOT NULL REFERENCES logs (n),
        up_to INTEGER NOT NULL,
        write_hash BLOB NOT NULL CHECK (length(write_hash) = 32),
        read_hash BLOB NOT NULL CHECK (length(read_hash) = 32),
        PRIMARY KEY (log, up_to)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX retired_write ON retired_tokens (log, write_hash);
    CREATE INDEX retired_read ON retired_tokens (log, read_hash);
";

/// Key packages. Of claims it holds no claimer: see `key_packages`.
const VERSION_2: &str = "
    CREATE INDEX devices_of_account ON devices (account);

    CREATE TABLE key_packages (
        n INTEGER PRIMARY KEY AUTOINCREMENT,
        device INTEGER NOT NULL REFERENCES devices (n),
        digest BLOB NOT NULL CHECK (length(digest) = 32),
        package BLOB NOT NULL,
        UNIQUE (device, digest)
    ) STRICT;
    CREATE INDEX key_packages_in_order ON key_packages (device, n);

    CREATE TABLE last_resort_packages (
        device INTEGER PRIMARY KEY NOT NULL REFERENCES devices (n),
        package BLOB NOT NULL
    ) STRICT;

    CREATE TABLE spent_key_packages (
        device INTEGER NOT NULL REFERENCES devices (n),
        digest BLOB NOT NULL CHECK (length(digest) = 32),
        day INTEGER NOT NULL,
        PRIMARY KEY (device, digest)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE key_package_claims (
        n INTEGER PRIMARY KEY AUTOINCREMENT,
        account INTEGER NOT NULL REFERENCES accounts (n),
        id BLOB NOT NULL CHECK (length(id) = 32),
        hour INTEGER NOT NULL,
        answer BLOB NOT NULL,
        UNIQUE (account, id)
    ) STRICT;
    CREATE INDEX key_package_claims_by_hour ON key_package_claims (hour);

    CREATE TABLE key_package_budgets (
        account INTEGER NOT NULL REFERENCES accounts (n),
        source BLOB NOT NULL,
        day INTEGER NOT NULL,
        used INTEGER NOT NULL,
        PRIMARY KEY (account, source)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX key_package_budgets_by_day ON key_package_budgets (day);
";

/// The transparency log: see `transparency`. Its one row and the leaves of older entries come right after the migration (`backfill`), for
/// they need the log's key.
const VERSION_3: &str = "
    CREATE TABLE transparency_log (
        n INTEGER PRIMARY KEY CHECK (n = 1),
        size INTEGER NOT NULL,
        frontier BLOB NOT NULL,
        time_ms INTEGER NOT NULL,
        checkpoint TEXT NOT NULL
    ) STRICT;

    CREATE TABLE transparency_leaves (
        n INTEGER PRIMARY KEY,
        leaf BLOB NOT NULL CHECK (length(leaf) = 69)
    ) STRICT;

    CREATE TABLE transparency_nodes (
        level INTEGER NOT NULL,
        n INTEGER NOT NULL,
        hash BLOB NOT NULL CHECK (length(hash) = 32),
        PRIMARY KEY (level, n)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE chain_leaves (
        account INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        leaf INTEGER NOT NULL REFERENCES transparency_leaves (n),
        PRIMARY KEY (account, seq),
        FOREIGN KEY (account, seq) REFERENCES chain_entries (account, seq)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE name_leaves (
        name_hash BLOB NOT NULL PRIMARY KEY CHECK (length(name_hash) = 32),
        account INTEGER NOT NULL UNIQUE REFERENCES accounts (n),
        leaf INTEGER NOT NULL REFERENCES transparency_leaves (n)
    ) STRICT, WITHOUT ROWID;
";

/// What an operator does: see `operator`. Of an invitation only the hash of its token is kept.
const VERSION_4: &str = "
    CREATE TABLE invitations (
        hash BLOB NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
        uses INTEGER NOT NULL,
        until_hour INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE disabled_accounts (
        account INTEGER PRIMARY KEY NOT NULL REFERENCES accounts (n)
    ) STRICT;

    CREATE TABLE log_restorations (
        n INTEGER PRIMARY KEY AUTOINCREMENT,
        note TEXT NOT NULL
    ) STRICT;

    CREATE TABLE probes (
        n INTEGER PRIMARY KEY CHECK (n = 1),
        turn INTEGER NOT NULL
    ) STRICT;
";

/// What expires is found by its day: of each log that of the oldest entry kept, so that an append pays for no index; of inboxes that of each
/// envelope, most of which do not wait for long.
const VERSION_5: &str = "
    ALTER TABLE logs ADD COLUMN oldest_day INTEGER;
    UPDATE logs SET oldest_day = (SELECT day FROM log_entries WHERE log = n AND seq = oldest);
    CREATE INDEX logs_by_oldest_day ON logs (oldest_day) WHERE oldest_day IS NOT NULL;

    ALTER TABLE inbox_entries ADD COLUMN day INTEGER NOT NULL DEFAULT 0;
    UPDATE inbox_entries SET day = coalesce((
        SELECT day FROM inbox_ids
        WHERE inbox_ids.device = inbox_entries.device AND inbox_ids.entry_id = inbox_entries.entry_id
    ), 0);
    CREATE INDEX inbox_entries_by_day ON inbox_entries (day);
    CREATE INDEX inbox_ids_by_day ON inbox_ids (day);
    CREATE INDEX spent_key_packages_by_day ON spent_key_packages (day);

    CREATE TABLE relay_keys (
        n INTEGER PRIMARY KEY CHECK (n = 1),
        fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32)
    ) STRICT;
";

/// How often the operator has decided something, so that whoever goes by it sees whether there is news.
const VERSION_6: &str = "
    CREATE TABLE decisions (
        n INTEGER PRIMARY KEY CHECK (n = 1),
        turn INTEGER NOT NULL
    ) STRICT;
";

/// What the operator has set in place of the configuration's quotas: for an account's inboxes, or for everybody (account 0).
const VERSION_7: &str = "
    CREATE TABLE quotas (
        account INTEGER NOT NULL,
        name TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        PRIMARY KEY (account, name)
    ) STRICT;
";

/// The day on which a database was restored, for what a relay does only for a while after that. Of those that were restored before it is not known: for
/// them the while begins here.
const VERSION_8: &str = "
    ALTER TABLE log_restorations ADD COLUMN day INTEGER NOT NULL DEFAULT 0;
    UPDATE log_restorations SET day = unixepoch() / 86400;
";

/// Assertions and proofs that were shown, until nobody could show them again: a relay that forgot them with its process would take them a second time.
const VERSION_9: &str = "
    CREATE TABLE shown (
        id BLOB PRIMARY KEY CHECK (length(id) = 16),
        until INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX shown_until ON shown (until);
";

/// The day by which what is kept is too old. In a database of before it is that of the transparency log's newest checkpoint: when a relay ran last, or
/// today where that was signed under a clock that was ahead.
const VERSION_10: &str = "
    CREATE TABLE calendar (
        n INTEGER PRIMARY KEY CHECK (n = 1),
        day INTEGER NOT NULL
    ) STRICT;
    INSERT INTO calendar (n, day) SELECT 1, min(time_ms / 86400000, unixepoch() / 86400) FROM transparency_log WHERE n = 1;
";

/// Days that a clock was wrong by, or the relay off, and that are not counted. What came under a clock that was far ahead bore its day: none is after today.
/// And whose blobs are to go, since their accounts were closed.
const VERSION_11: &str = "
    CREATE TABLE blobs_to_remove (
        secret BLOB PRIMARY KEY CHECK (length(secret) = 32),
        hour INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    ALTER TABLE calendar ADD COLUMN skipped INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE calendar ADD COLUMN watched INTEGER NOT NULL DEFAULT 0;
    UPDATE log_entries SET day = (SELECT day FROM calendar) WHERE day > (SELECT day + 7 FROM calendar);
    UPDATE logs SET oldest_day = (SELECT day FROM calendar) WHERE oldest_day > (SELECT day + 7 FROM calendar);
    UPDATE inbox_entries SET day = (SELECT day FROM calendar) WHERE day > (SELECT day + 7 FROM calendar);
    UPDATE inbox_ids SET day = (SELECT day FROM calendar) WHERE day > (SELECT day + 7 FROM calendar);
    UPDATE spent_key_packages SET day = (SELECT day FROM calendar) WHERE day > (SELECT day + 7 FROM calendar);
";

/// Brings the database to the newest schema, in one transaction.
pub(super) fn migrate(db: &mut Connection) -> Result<(), OpenError> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let done = usize::try_from(version).map_err(|_| OpenError::TooNew(version))?;
    let todo = MIGRATIONS.get(done..).ok_or(OpenError::TooNew(version))?;
    for migration in todo {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX))?;
    transaction.commit()?;
    Ok(())
}

/// Whether a database of this version has all tables of this program.
pub(super) fn is_newest(version: i64) -> bool {
    usize::try_from(version) == Ok(MIGRATIONS.len())
}

/// A database as an older program would have left it.
#[cfg(test)]
pub(super) fn migrate_to(db: &mut Connection, version: usize) {
    for migration in &MIGRATIONS[..version] {
        db.execute_batch(migration).unwrap();
    }
    db.pragma_update(None, "user_version", version as i64).unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_run_once_and_a_newer_database_is_refused() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db).unwrap();
        migrate(&mut db).unwrap();
        db.pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(migrate(&mut db), Err(OpenError::TooNew(99))));
    }

    #[test]
    fn d8_what_came_under_a_clock_far_ahead_is_of_today() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate_to(&mut db, 10);
        let hash = [7_u8; 32];
        db.execute("INSERT INTO calendar (n, day) VALUES (1, 1000) ON CONFLICT DO UPDATE SET day = 1000", []).unwrap();
        db.execute("INSERT INTO accounts (id, name, head) VALUES (?1, 'alice', 0)", [[7_u8; 16]]).unwrap();
        let device = "INSERT INTO devices (id, account, relay_auth) VALUES (?1, 1, ?2)";
        db.execute(device, rusqlite::params![[1_u8; 16], hash]).unwrap();
        let log = "INSERT INTO logs (n, id, write_hash, read_hash, running, head, oldest_day) VALUES (?1, ?2, ?3, ?3, ?3, 2, ?4)";
        let entry = "INSERT INTO log_entries (log, seq, entry_id, digest, running, kind, day, blob) VALUES (?1, ?2, ?3, ?4, ?4, 1, ?5, x'')";
        let days = [[990, 1007], [4650, 1008]];
        for (n, days) in (1_u8..).zip(days) {
            db.execute(log, rusqlite::params![n, [n; 16], hash, days[0]]).unwrap();
            for (seq, day) in (1_u8..).zip(days) {
                db.execute(entry, rusqlite::params![n, seq, [n * 8 + seq; 16], hash, day]).unwrap();
            }
        }
        let id = "INSERT INTO inbox_ids (device, entry_id, digest, seq, day) VALUES (1, ?1, ?2, 1, 4650)";
        db.execute(id, rusqlite::params![[1_u8; 16], hash]).unwrap();
        let spent = "INSERT INTO spent_key_packages (device, digest, day) VALUES (1, ?1, 4650)";
        db.execute(spent, [hash]).unwrap();
        migrate(&mut db).unwrap();
        let all = |sql: &str| {
            let mut statement = db.prepare(sql).unwrap();
            let rows = statement.query_map([], |row| row.get::<_, i64>(0)).unwrap();
            rows.collect::<Result<Vec<_>, _>>().unwrap()
        };
        assert_eq!(all("SELECT day FROM log_entries ORDER BY log, seq"), [990, 1007, 1000, 1000]);
        assert_eq!(all("SELECT oldest_day FROM logs ORDER BY n"), [990, 1000]);
        assert_eq!(all("SELECT day FROM inbox_ids UNION ALL SELECT day FROM spent_key_packages"), [1000, 1000]);
        assert_eq!(all("SELECT skipped + watched FROM calendar"), [0]);
    }

    #[test]
    fn a_database_of_the_first_version_keeps_what_it_has() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate_to(&mut db, 1);
        db.execute("INSERT INTO accounts (id, name, head) VALUES (?1, 'alice', 0)", [[7u8; 16]]).unwrap();
        migrate(&mut db).unwrap();
        let count = |table: &str| {
            db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).unwrap()
        };
        assert_eq!((count("accounts"), count("key_packages"), count("transparency_leaves")), (1, 0, 0));
    }

    #[test]
    fn every_table_is_strict() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db).unwrap();
        let loose: i64 = db
            .query_row(
                "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite_%' AND strict = 0",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(loose, 0);
    }
}
