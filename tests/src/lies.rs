//! A relay that lies about somebody's keys: a real one, whose database is changed while it does not run.

use std::fs;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};
use waxwing_protocol::{DeviceKeys, DeviceSeeds};
use waxwing_wire::chain::{Statement, UnsignedEntry};
use waxwing_wire::{ChainEntry, VerifiedChain};

use crate::{Fault, Outcome};

/// One account in the database of a relay.
#[derive(Debug)]
pub struct Lies {
    db: Connection,
    /// The account's row.
    account: i64,
}

impl Lies {
    /// About the account with this name, in the folder of a relay that does not run.
    pub fn about(data: &Path, name: &str) -> Outcome<Self> {
        let entries = fs::read_dir(data).map_err(Fault::io("the relay's folder"))?;
        let file =
            entries.flatten().map(|entry| entry.path()).find(|file| file.extension().is_some_and(|end| end == "db"));
        let file = file.ok_or_else(|| Fault::Unexpected("the relay has no database".into()))?;
        let db = Connection::open(file).map_err(broken)?;
        let find = "SELECT n FROM accounts WHERE name = ?1";
        let account = db.query_row(find, [name], |row| row.get(0)).optional().map_err(broken)?;
        let account = account.ok_or_else(|| Fault::Unexpected(format!("nobody at the relay is called {name}")))?;
        Ok(Self { db, account })
    }

    /// The chain that the relay shows.
    pub fn chain(&self) -> Outcome<Vec<Vec<u8>>> {
        let find = "SELECT bytes FROM chain_entries WHERE account = ?1 ORDER BY seq";
        let mut statement = self.db.prepare(find).map_err(broken)?;
        let rows = statement.query_map([self.account], |row| row.get(0)).map_err(broken)?;
        rows.collect::<Result<_, _>>().map_err(broken)
    }

    /// The chain that it shows from its next start on.
    pub fn put(&self, chain: &[Vec<u8>]) -> Outcome<()> {
        // Each entry has a place in the log; one that is new gets its at the next start.
        self.db.execute_batch("PRAGMA foreign_keys = OFF").map_err(broken)?;
        self.db.execute("DELETE FROM chain_entries WHERE account = ?1", [self.account]).map_err(broken)?;
        for (seq, bytes) in (0_u32..).zip(chain) {
            let hash = ChainEntry::decode(bytes).map_err(broken)?.hash();
            let row = params![self.account, seq, hash, bytes];
            let put = "INSERT INTO chain_entries (account, seq, hash, bytes) VALUES (?1, ?2, ?3, ?4)";
            self.db.execute(put, row).map_err(broken)?;
        }
        let head = chain.len().checked_sub(1).ok_or_else(|| Fault::Unexpected("a chain without entries".into()))?;
        let head = params![self.account, i64::try_from(head).map_err(broken)?];
        self.db.execute("DELETE FROM chain_leaves WHERE account = ?1 AND seq > ?2", head).map_err(broken)?;
        self.db.execute("UPDATE accounts SET head = ?2 WHERE n = ?1", head).map_err(broken)?;
        Ok(())
    }

    /// From its next start on one entry is not there; all others, and what it says of the chain's length, are as they were.
    pub fn lose(&self, seq: u32) -> Outcome<()> {
        self.db.execute_batch("PRAGMA foreign_keys = OFF").map_err(broken)?;
        for table in ["chain_leaves", "chain_entries"] {
            let lose = format!("DELETE FROM {table} WHERE account = ?1 AND seq = ?2");
            self.db.execute(&lose, params![self.account, seq]).map_err(broken)?;
        }
        Ok(())
    }
}

/// An entry behind this chain that its account has not signed.
pub fn forged(chain: &[Vec<u8>]) -> Outcome<Vec<u8>> {
    let known = VerifiedChain::verify(chain).map_err(broken)?;
    let device = known.devices().next().ok_or_else(|| Fault::Unexpected("a chain without a device".into()))?;
    let seeds = DeviceSeeds::generate(&mut rand_core::UnwrapErr(getrandom::SysRng));
    let keys = DeviceKeys::new(device.id(), device.current().record.key_version + 1, seeds).map_err(broken)?;
    let unsigned = UnsignedEntry {
        account: known.account(),
        seq: known.seq() + 1,
        prev_hash: known.head(),
        statement: Statement::RotateDeviceKeys(Box::new(keys.record().clone())),
        at_ms: 1,
    };
    Ok(unsigned.assemble(vec![[7; 64]; 4]).as_bytes().to_vec())
}

fn broken(error: impl std::fmt::Display) -> Fault {
    Fault::Unexpected(format!("the relay's database: {error}"))
}
