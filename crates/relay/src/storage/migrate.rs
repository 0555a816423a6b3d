//! Moving a stopped relay from SQLite to PostgreSQL: everything in one transaction, which counts and hashes each table on both sides before it is
//! committed. What is broken off has moved nothing.
//!
//! Keys are files and stay where they are. Not here: databases of older versions, which the relay itself brings up to date when it starts.

mod tables;

use std::fmt;
use std::path::Path;

use bytes::BytesMut;
use deadpool_postgres::{Object, Transaction};
use futures_util::{StreamExt as _, pin_mut};
use rusqlite::Connection;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio_postgres::Row;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use super::postgres::{self, PostgresConfig};
use super::sqlite;
use super::{OpenError, PostgresTrouble};
use tables::{Column, TABLES, Table};

/// Rows on their way from one to the other.
const QUEUE: usize = 256;

/// What was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Each table, and how many rows of it.
    pub tables: Vec<(&'static str, u64)>,
}

/// Nothing was moved.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// There is nothing to move.
    #[error("there is no relay.db in that folder")]
    NoDatabase,
    /// The folder cannot be used.
    #[error("the data folder cannot be used: {0}")]
    Folder(#[source] std::io::Error),
    /// A relay runs on it.
    #[error("a waxwing-relay is running on this data folder; stop it first")]
    InUse,
    /// Another version wrote the database.
    #[error("the database is of another version; start this waxwing-relay on it once, stop it, and try again")]
    OtherVersion,
    /// The source cannot be read.
    #[error("the database cannot be read: {0}")]
    Read(#[from] rusqlite::Error),
    /// The target cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The target cannot be written.
    #[error("PostgreSQL did not take it: {0}")]
    Write(PostgresTrouble),
    /// The target is in use already.
    #[error("the PostgreSQL database is not empty (there is something in {0}); make a new one for this")]
    NotEmpty(&'static str),
    /// What arrived is not what was sent.
    #[error("the table {0} is not the same in both databases; nothing was kept")]
    Differs(&'static str),
}

impl From<tokio_postgres::Error> for MigrateError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Write(postgres::trouble(error))
    }
}

/// Moves the database in the folder `from` into the empty database `to`. Whoever calls it holds the folder's lock.
pub async fn migrate(from: &Path, to: &PostgresConfig) -> Result<Moved, MigrateError> {
    let mut client = postgres::client(to).await?;
    let tx = client.transaction().await?;
    postgres::migrate_schema(&tx).await?;
    for table in &TABLES {
        if tx.query_opt(&format!("SELECT 1 FROM {} LIMIT 1", table.name), &[]).await?.is_some() {
            return Err(MigrateError::NotEmpty(table.name));
        }
    }
    let (rows, sent) = mpsc::channel(QUEUE);
    let path = from.to_owned();
    let reading = tokio::task::spawn_blocking(move || read(&path, &rows));
    let moved = write(&tx, sent).await;
    // Whichever of the two ends first ends the other; the reader's trouble is the cause where both have some.
    match reading.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(error),
        Err(_) => return Err(MigrateError::Write(PostgresTrouble::Late)),
    }
    let moved = moved?;
    for (table, sum) in TABLES.iter().zip(&moved) {
        if stored(&tx, table).await? != *sum {
            return Err(MigrateError::Differs(table.name));
        }
        if table.numbered {
            let sql = format!(
                "SELECT setval(pg_get_serial_sequence('{0}', 'n'), max(n)) FROM {0} HAVING max(n) IS NOT NULL",
                table.name
            );
            tx.query(&sql, &[]).await?;
        }
    }
    tx.commit().await?;
    drop(Object::take(client));
    Ok(Moved { tables: TABLES.iter().zip(moved).map(|(table, sum)| (table.name, sum.rows)).collect() })
}

/// What is said of a table: as many rows, and all of them alike.
#[derive(Clone, PartialEq, Eq)]
struct Sum {
    rows: u64,
    hash: [u8; 32],
}

#[derive(Default)]
struct Summing {
    rows: u64,
    hash: Sha256,
}

impl Summing {
    fn add(&mut self, row: &[Value]) {
        self.rows += 1;
        for value in row {
            let (tag, bytes) = match value {
                Value::Null => (0, Vec::new()),
                Value::Int(value) => (1, value.to_be_bytes().to_vec()),
                Value::Text(text) => (2, text.as_bytes().to_vec()),
                Value::Bytes(bytes) => (3, bytes.clone()),
            };
            self.hash.update([tag]);
            self.hash.update((bytes.len() as u64).to_be_bytes());
            self.hash.update(&bytes);
        }
    }

    fn sum(self) -> Sum {
        Sum { rows: self.rows, hash: self.hash.finalize().into() }
    }
}

/// A value on its way.
#[derive(Clone, PartialEq, Eq)]
enum Value {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Value")
    }
}

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(value) if *ty == Type::INT2 => i16::try_from(*value)?.to_sql(ty, out),
            Self::Int(value) => value.to_sql(ty, out),
            Self::Text(text) => text.to_sql(ty, out),
            Self::Bytes(bytes) => bytes.to_sql(ty, out),
        }
    }

    fn accepts(ty: &Type) -> bool {
        [Type::INT8, Type::INT2, Type::TEXT, Type::BYTEA].contains(ty)
    }

    to_sql_checked!();
}

/// A row, or the end of its table with what it sums up to.
enum Sent {
    Row(Vec<Value>),
    End(Sum),
}

/// Reads all tables, in one state of the database.
fn read(folder: &Path, rows: &mpsc::Sender<Sent>) -> Result<(), MigrateError> {
    let db = sqlite::to_be_moved(folder)?;
    let transaction = db.unchecked_transaction()?;
    for table in &TABLES {
        if !read_table(&transaction, table, rows)? {
            // The writer has given up, and says why.
            return Ok(());
        }
    }
    Ok(())
}

fn read_table(db: &Connection, table: &Table, rows: &mpsc::Sender<Sent>) -> rusqlite::Result<bool> {
    let mut sum = Summing::default();
    let mut statement = db.prepare(&table.select())?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let value = |(place, (_, column)): (usize, &(&str, Column))| {
            Ok(match column {
                Column::Int | Column::Small => row.get::<_, Option<i64>>(place)?.map_or(Value::Null, Value::Int),
                Column::Text => row.get::<_, Option<String>>(place)?.map_or(Value::Null, Value::Text),
                Column::Bytes => row.get::<_, Option<Vec<u8>>>(place)?.map_or(Value::Null, Value::Bytes),
            })
        };
        let values = table.columns.iter().enumerate().map(value).collect::<rusqlite::Result<Vec<_>>>()?;
        sum.add(&values);
        if rows.blocking_send(Sent::Row(values)).is_err() {
            return Ok(false);
        }
    }
    Ok(rows.blocking_send(Sent::End(sum.sum())).is_ok())
}

/// Writes all tables; gives what each was to sum up to.
async fn write(tx: &Transaction<'_>, mut sent: mpsc::Receiver<Sent>) -> Result<Vec<Sum>, MigrateError> {
    let mut sums = Vec::with_capacity(TABLES.len());
    for table in &TABLES {
        let types: Vec<Type> = table.columns.iter().map(|(_, column)| column.postgres()).collect();
        let sql = format!("COPY {} ({}) FROM STDIN (FORMAT binary)", table.name, table.list());
        let writer = BinaryCopyInWriter::new(tx.copy_in(&sql).await?, &types);
        pin_mut!(writer);
        loop {
            match sent.recv().await {
                Some(Sent::Row(values)) => {
                    let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
                    writer.as_mut().write(&values).await?;
                }
                Some(Sent::End(sum)) => {
                    sums.push(sum);
                    break;
                }
                None => return Err(MigrateError::Differs(table.name)),
            }
        }
        writer.finish().await?;
    }
    Ok(sums)
}

/// What a table sums up to where it has arrived.
async fn stored(tx: &Transaction<'_>, table: &Table) -> Result<Sum, MigrateError> {
    let rows = tx.query_raw::<_, i64, _>(&table.select(), []).await?;
    pin_mut!(rows);
    let mut sum = Summing::default();
    while let Some(row) = rows.next().await {
        let row = row?;
        let values = table.columns.iter().enumerate().map(|(place, (_, column))| value(&row, place, *column));
        sum.add(&values.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(sum.sum())
}

fn value(row: &Row, place: usize, column: Column) -> Result<Value, tokio_postgres::Error> {
    Ok(match column {
        Column::Int => row.try_get::<_, Option<i64>>(place)?.map_or(Value::Null, Value::Int),
        Column::Small => {
            row.try_get::<_, Option<i16>>(place)?.map_or(Value::Null, |value| Value::Int(i64::from(value)))
        }
        Column::Text => row.try_get::<_, Option<String>>(place)?.map_or(Value::Null, Value::Text),
        Column::Bytes => row.try_get::<_, Option<Vec<u8>>>(place)?.map_or(Value::Null, Value::Bytes),
    })
}
