//! The transparency log at the start: whether the one in the database is ours and whole, leaves for chain entries from before there was one,
//! and a fresh checkpoint. Nobody is served before this is done.

use rusqlite::{Connection, TransactionBehavior, params};
use waxwing_wire::transparency::{Checkpoint, Frontier, SignedCheckpoint, name_hash};
use waxwing_wire::{AccountId, Username};

use super::transparency::{self, Growing};
use super::{OpenError, nat};
use crate::clock::Moment;
use crate::high_water::is_newer;
use crate::log_signer::LogSigner;

/// Entries that get their leaves in one transaction. Their names are hashed in it, some tens of milliseconds each; a start that is broken
/// off goes on where it was.
const BATCH: usize = 256;

/// Makes the log ready, and its newest checkpoint one of this start.
pub(super) fn open(
    db: &mut Connection,
    signer: &LogSigner,
    now: Moment,
    newest: Option<&Checkpoint>,
) -> Result<(), OpenError> {
    check(db, signer, newest)?;
    let mut missing = count_missing(db)?;
    let mut after = (-1, -1);
    loop {
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut log = Growing::load(&transaction)?.unwrap_or_else(|| Growing::new(&transaction));
        let entries = if missing == 0 { Vec::new() } else { without_leaf(&transaction, after)? };
        for entry in &entries {
            log.chain_entry(entry.n, &entry.account, entry.seq, entry.hash)?;
            if let (0, Some(name)) = (entry.seq, &entry.name) {
                let name: Username = name.parse().map_err(|_| OpenError::DamagedLog)?;
                let hash = name_hash(&name, signer.origin()).map_err(|_| OpenError::NameHash)?;
                log.name(entry.n, hash, entry.hash)?;
            }
        }
        log.seal(signer, now)?;
        transaction.commit()?;
        let Some(last) = entries.last() else { break };
        after = (last.n, i64::from(last.seq));
        missing = missing.saturating_sub(entries.len() as u64);
        tracing::info!(missing, "chain entries get their places in the transparency log");
    }
    // Each entry has at most one leaf, so equal counts mean that each has one.
    if count_missing(db)? == 0 { Ok(()) } else { Err(OpenError::DamagedLog) }
}

/// The log in the database is the one that this relay may go on with: signed under this key and name, and as long and with the very hashes
/// that its newest checkpoint says. Going on with another would show clients two histories.
pub(super) fn check(db: &Connection, signer: &LogSigner, newest: Option<&Checkpoint>) -> Result<(), OpenError> {
    let Some(log) = Growing::load(db).map_err(|_| OpenError::DamagedLog)? else { return Ok(()) };
    let note = transparency::checkpoint(db)?;
    let Ok(signed) = SignedCheckpoint::verify(note.as_bytes(), signer.key()) else {
        // Of a log without leaves nobody can have been shown a history.
        return if log.frontier().size() == 0 { Ok(()) } else { Err(OpenError::OtherLog) };
    };
    let checkpoint = signed.checkpoint();
    if newest.is_some_and(|newest| is_newer(newest, checkpoint)) {
        return Err(OpenError::WentBack);
    }
    let leaves: i64 = db.query_row("SELECT coalesce(max(n) + 1, 0) FROM transparency_leaves", [], |row| row.get(0))?;
    let loaded = Frontier::load(checkpoint.size, |level, index| transparency::node(db, level, index));
    let whole = (checkpoint.size, checkpoint.root) == (log.frontier().size(), log.frontier().root())
        && nat(leaves) == checkpoint.size
        && transparency::size(db)? == checkpoint.size
        && loaded.is_ok_and(|frontier| frontier == *log.frontier());
    if whole { Ok(()) } else { Err(OpenError::DamagedLog) }
}

/// How many chain entries have no leaf.
pub(super) fn count_missing(db: &Connection) -> rusqlite::Result<u64> {
    let sql = "SELECT (SELECT count(*) FROM chain_entries) - (SELECT count(*) FROM chain_leaves)";
    db.query_row(sql, [], |row| row.get(0).map(nat))
}

struct Entry {
    n: i64,
    account: AccountId,
    seq: u32,
    hash: [u8; 32],
    name: Option<String>,
}

/// The next entries without a leaf: accounts in the order in which they came, entries in the order of their chains.
fn without_leaf(db: &Connection, after: (i64, i64)) -> rusqlite::Result<Vec<Entry>> {
    db.prepare_cached(
        "SELECT a.n, a.id, e.seq, e.hash, a.name FROM chain_entries e JOIN accounts a ON a.n = e.account
         WHERE (e.account, e.seq) > (?1, ?2)
           AND NOT EXISTS (SELECT 1 FROM chain_leaves l WHERE l.account = e.account AND l.seq = e.seq)
         ORDER BY e.account, e.seq LIMIT ?3",
    )?
    .query_map(params![after.0, after.1, BATCH], |row| {
        Ok(Entry {
            n: row.get(0)?,
            account: AccountId::from_bytes(row.get(1)?),
            seq: row.get(2)?,
            hash: row.get(3)?,
            name: row.get(4)?,
        })
    })?
    .collect()
}
