//! What is moved: every table, with its columns, each after those that it refers to.

use tokio_postgres::types::Type;

/// A table that both backends have, with the same columns.
pub(super) struct Table {
    /// Its name.
    pub(super) name: &'static str,
    /// Columns, those of the key first.
    pub(super) columns: &'static [(&'static str, Column)],
    /// How many columns make the key, by which rows are in order.
    key: usize,
    /// Whether it numbers its rows in the column `n`.
    pub(super) numbered: bool,
}

/// What a column holds.
#[derive(Clone, Copy)]
pub(super) enum Column {
    Int,
    Small,
    Text,
    Bytes,
}

impl Column {
    /// PostgreSQL's type.
    pub(super) fn postgres(self) -> Type {
        match self {
            Self::Int => Type::INT8,
            Self::Small => Type::INT2,
            Self::Text => Type::TEXT,
            Self::Bytes => Type::BYTEA,
        }
    }
}

impl Table {
    /// All its rows, in the order of its key, which is the same in both: numbers and bytes.
    pub(super) fn select(&self) -> String {
        let key: Vec<_> = self.columns[..self.key].iter().map(|(name, _)| *name).collect();
        format!("SELECT {} FROM {} ORDER BY {}", self.list(), self.name, key.join(", "))
    }

    /// Its columns.
    pub(super) fn list(&self) -> String {
        self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }
}

const fn table(name: &'static str, key: usize, columns: &'static [(&'static str, Column)]) -> Table {
    Table { name, columns, key, numbered: false }
}

const fn numbered(name: &'static str, columns: &'static [(&'static str, Column)]) -> Table {
    Table { name, columns, key: 1, numbered: true }
}

use Column::{Bytes, Int, Small, Text};

/// All of them but what a process finds out anew: the fingerprint of keys, the bus's key, whether writing works.
pub(super) const TABLES: [Table; 28] = [
    numbered("accounts", &[("n", Int), ("id", Bytes), ("name", Text), ("head", Int)]),
    table("chain_entries", 2, &[("account", Int), ("seq", Int), ("hash", Bytes), ("bytes", Bytes)]),
    numbered("devices", &[("n", Int), ("id", Bytes), ("account", Int), ("relay_auth", Bytes), ("inbox_head", Int)]),
    numbered("access_keys", &[("n", Int), ("account", Int), ("hash", Bytes)]),
    table(
        "inbox_entries",
        2,
        &[
            ("device", Int),
            ("seq", Int),
            ("entry_id", Bytes),
            ("kind", Small),
            ("source", Int),
            ("size", Int),
            ("day", Int),
            ("blob", Bytes),
        ],
    ),
    table("inbox_ids", 2, &[("device", Int), ("entry_id", Bytes), ("digest", Bytes), ("seq", Int), ("day", Int)]),
    table("inbox_usage", 2, &[("device", Int), ("source", Int), ("bytes", Int)]),
    numbered(
        "logs",
        &[
            ("n", Int),
            ("id", Bytes),
            ("write_hash", Bytes),
            ("read_hash", Bytes),
            ("oldest", Int),
            ("head", Int),
            ("last_handshake", Int),
            ("running", Bytes),
            ("bytes", Int),
            ("oldest_day", Int),
        ],
    ),
    table(
        "log_entries",
        2,
        &[
            ("log", Int),
            ("seq", Int),
            ("entry_id", Bytes),
            ("digest", Bytes),
            ("running", Bytes),
            ("kind", Small),
            ("day", Int),
            ("blob", Bytes),
        ],
    ),
    table("retired_tokens", 2, &[("log", Int), ("up_to", Int), ("write_hash", Bytes), ("read_hash", Bytes)]),
    numbered("key_packages", &[("n", Int), ("device", Int), ("digest", Bytes), ("package", Bytes)]),
    table("last_resort_packages", 1, &[("device", Int), ("package", Bytes)]),
    table("spent_key_packages", 2, &[("device", Int), ("digest", Bytes), ("day", Int)]),
    numbered("key_package_claims", &[("n", Int), ("account", Int), ("id", Bytes), ("hour", Int), ("answer", Bytes)]),
    table("key_package_budgets", 2, &[("account", Int), ("source", Bytes), ("day", Int), ("used", Int)]),
    table(
        "transparency_log",
        1,
        &[("n", Int), ("size", Int), ("frontier", Bytes), ("time_ms", Int), ("checkpoint", Text)],
    ),
    table("transparency_leaves", 1, &[("n", Int), ("leaf", Bytes)]),
    table("transparency_nodes", 2, &[("level", Int), ("n", Int), ("hash", Bytes)]),
    table("chain_leaves", 2, &[("account", Int), ("seq", Int), ("leaf", Int)]),
    table("invitations", 1, &[("hash", Bytes), ("uses", Int), ("until_hour", Int)]),
    table("disabled_accounts", 1, &[("account", Int)]),
    table("quotas", 2, &[("account", Int), ("name", Text), ("bytes", Int)]),
    table("decisions", 1, &[("n", Int), ("turn", Int)]),
    numbered("log_restorations", &[("n", Int), ("note", Text), ("day", Int)]),
    table("name_leaves", 1, &[("name_hash", Bytes), ("account", Int), ("leaf", Int)]),
    table("shown", 1, &[("id", Bytes), ("until", Int)]),
    table("blobs_to_remove", 1, &[("secret", Bytes), ("hour", Int)]),
    table("calendar", 1, &[("n", Int), ("day", Int), ("skipped", Int), ("watched", Int)]),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::super::sqlite;
    use super::*;

    /// Tables that are not moved.
    const LEFT: [&str; 2] = ["relay_keys", "probes"];

    /// Whoever adds a table or a column adds it here.
    #[test]
    fn everything_is_moved() {
        let db = sqlite::empty();
        let mut there: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut statement = db
            .prepare(
                "SELECT m.name, c.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c
                 WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'",
            )
            .unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        for (table, column) in rows.map(Result::unwrap) {
            there.entry(table).or_default().push(column);
        }
        for left in LEFT {
            there.remove(left).unwrap();
        }
        let moved = TABLES.iter().map(|table| {
            let columns = table.columns.iter().map(|(name, _)| (*name).to_owned());
            (table.name.to_owned(), columns.collect::<Vec<_>>())
        });
        let sorted = |(name, mut columns): (String, Vec<String>)| {
            columns.sort();
            (name, columns)
        };
        let moved: BTreeMap<_, _> = moved.map(sorted).collect();
        assert_eq!(moved, there.into_iter().map(sorted).collect());
    }
}
