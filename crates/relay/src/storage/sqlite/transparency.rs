//! The transparency log: its leaves, the complete nodes above them, and the one row that says how long the tree is and holds its newest
//! checkpoint. Whoever grows the tree does so in the transaction that stores the chain entry, and signs before the commit.
//!
//! Leaves are nodes of level 0; only the levels above have rows of their own. Not here: hashing and paths
//! ([`waxwing_wire::transparency`]), whether an entry is valid, databases from before the log ([`super::backfill`]).

use rusqlite::types::Type;
use rusqlite::{Connection, Error, OptionalExtension as _, Result, params};
use waxwing_wire::AccountId;
use waxwing_wire::api::{ConsistencyProof, InclusionProof, ProofPath};
use waxwing_wire::transparency::{
    BuildError, Frontier, LEAF_LEN, Leaf, SignedCheckpoint, account_hash, consistency_path, inclusion_path,
};

use super::{int, nat};
use crate::clock::Moment;
use crate::log_signer::LogSigner;

/// The tree under its lock row, within one transaction. Nothing counts until [`Growing::seal`].
pub(super) struct Growing<'a> {
    db: &'a Connection,
    frontier: Frontier,
    /// Time of the newest checkpoint.
    time_ms: u64,
}

impl<'a> Growing<'a> {
    /// Takes the tree as it is. The transaction must hold the database's write lock already.
    pub(super) fn lock(db: &'a Connection) -> Result<Self> {
        Self::load(db)?.ok_or(Error::QueryReturnedNoRows)
    }

    /// The same; none where there is no log yet.
    pub(super) fn load(db: &'a Connection) -> Result<Option<Self>> {
        let row: Option<(Vec<u8>, i64)> = db
            .prepare_cached("SELECT frontier, time_ms FROM transparency_log WHERE n = 1")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((frontier, time_ms)) = row else { return Ok(None) };
        let frontier = Frontier::decode(&frontier).map_err(|error| unreadable(Type::Blob, error))?;
        Ok(Some(Self { db, frontier, time_ms: nat(time_ms) }))
    }

    /// The tree without leaves.
    pub(super) fn new(db: &'a Connection) -> Self {
        Self { db, frontier: Frontier::new(), time_ms: 0 }
    }

    /// Its right edge.
    pub(super) fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// Adds the leaf of a stored chain entry. `n` is the account's number; each entry has one leaf, and a second is an error.
    pub(super) fn chain_entry(&mut self, n: i64, account: &AccountId, seq: u32, entry_hash: [u8; 32]) -> Result<()> {
        let index = self.append(&Leaf::Chain { account_hash: account_hash(account), seq, entry_hash })?;
        self.db
            .prepare_cached("INSERT INTO chain_leaves (account, seq, leaf) VALUES (?1, ?2, ?3)")?
            .execute(params![n, seq, int(index)])?;
        Ok(())
    }

    /// Adds the leaf of a name, taken by the `create` with this hash. A name that has one already is an error: ask [`name_is_used`] first.
    pub(super) fn name(&mut self, n: i64, name_hash: [u8; 32], entry_hash: [u8; 32]) -> Result<()> {
        let index = self.append(&Leaf::Name { name_hash, entry_hash })?;
        self.db
            .prepare_cached("INSERT INTO name_leaves (name_hash, account, leaf) VALUES (?1, ?2, ?3)")?
            .execute(params![name_hash, n, int(index)])?;
        Ok(())
    }

    /// Adds a leaf; gives its index.
    pub(super) fn append(&mut self, leaf: &Leaf) -> Result<u64> {
        let index = self.frontier.size();
        // Leaves and nodes are rows of one tree: what does not fit an SQLite integer does not fit a disk either.
        let nodes = self.frontier.append_nodes(leaf.hash()).map_err(failed)?;
        self.db
            .prepare_cached("INSERT INTO transparency_leaves (n, leaf) VALUES (?1, ?2)")?
            .execute(params![int(index), leaf.encode()])?;
        for node in nodes.iter().filter(|node| node.level > 0) {
            self.db
                .prepare_cached("INSERT INTO transparency_nodes (level, n, hash) VALUES (?1, ?2, ?3)")?
                .execute(params![node.level, int(node.index), node.hash])?;
        }
        Ok(index)
    }

    /// Signs the tree and keeps it. The time is now, but always later than that of the checkpoint before (RFC 9162, section 4.10), also
    /// when the clock was set back.
    pub(super) fn seal(self, signer: &LogSigner, now: Moment) -> Result<SignedCheckpoint> {
        let time_ms = now.millis().max(self.time_ms.saturating_add(1));
        let checkpoint = signer.sign(self.frontier.size(), self.frontier.root(), time_ms).map_err(failed)?;
        self.db
            .prepare_cached(
                "INSERT INTO transparency_log (n, size, frontier, time_ms, checkpoint) VALUES (1, ?1, ?2, ?3, ?4)
                 ON CONFLICT (n) DO UPDATE SET size = ?1, frontier = ?2, time_ms = ?3, checkpoint = ?4",
            )?
            .execute(params![int(self.frontier.size()), self.frontier.encode(), int(time_ms), checkpoint.note(),])?;
        Ok(checkpoint)
    }
}

/// Whether a leaf of this name exists. It stays, whatever becomes of the account: names are never given twice.
pub(super) fn name_is_used(db: &Connection, name_hash: &[u8; 32]) -> Result<bool> {
    db.prepare_cached("SELECT 1 FROM name_leaves WHERE name_hash = ?1")?.exists(params![name_hash])
}

/// Where the leaf of an account's name stands.
pub(super) fn name_index(db: &Connection, n: i64) -> Result<Option<u64>> {
    db.prepare_cached("SELECT leaf FROM name_leaves WHERE account = ?1")?
        .query_row(params![n], |row| row.get(0).map(nat))
        .optional()
}

/// The newest checkpoint: a signed note.
pub(super) fn checkpoint(db: &Connection) -> Result<String> {
    db.prepare_cached("SELECT checkpoint FROM transparency_log WHERE n = 1")?.query_row([], |row| row.get(0))
}

/// How many leaves the newest checkpoint covers.
pub(super) fn size(db: &Connection) -> Result<u64> {
    db.prepare_cached("SELECT size FROM transparency_log WHERE n = 1")?.query_row([], |row| row.get(0).map(nat))
}

/// At most `limit` leaves from index `from` on, one after the other; none if the log is not that long.
pub(super) fn leaves(db: &Connection, from: u64, limit: usize) -> Result<Option<Vec<u8>>> {
    let size = size(db)?;
    if from > size {
        return Ok(None);
    }
    let end = size.min(from.saturating_add(limit as u64));
    let mut bytes = Vec::with_capacity(usize::try_from(end - from).unwrap_or(0) * LEAF_LEN);
    let mut statement =
        db.prepare_cached("SELECT leaf FROM transparency_leaves WHERE n >= ?1 AND n < ?2 ORDER BY n")?;
    let mut rows = statement.query(params![int(from), int(end)])?;
    while let Some(row) = rows.next()? {
        bytes.extend_from_slice(row.get_ref(0)?.as_blob()?);
    }
    Ok(Some(bytes))
}

/// The proof that the first `second` leaves begin with the first `first`; none if the log is not that long, or there is no such proof.
pub(super) fn consistency(db: &Connection, first: u64, second: u64) -> Result<Option<ConsistencyProof>> {
    if second > size(db)? {
        return Ok(None);
    }
    let path = proven(consistency_path(first, second, |level, index| node(db, level, index)))?;
    Ok(path.map(|path| ConsistencyProof { path }))
}

/// The leaf at `index`, and the proof that it is among the first `size`; none if there is no such leaf, or the log is not that long.
pub(super) fn inclusion(db: &Connection, index: u64, size_asked: u64) -> Result<Option<InclusionProof>> {
    if size_asked > size(db)? {
        return Ok(None);
    }
    let Some(path) = proven(inclusion_path(index, size_asked, |level, index| node(db, level, index)))? else {
        return Ok(None);
    };
    Ok(Some(InclusionProof { leaf: leaf(db, index)?, path }))
}

fn proven(path: std::result::Result<Vec<[u8; 32]>, BuildError<Error>>) -> Result<Option<ProofPath>> {
    match path {
        Ok(path) => Ok(Some(ProofPath(path))),
        Err(BuildError::Range) => Ok(None),
        Err(BuildError::Source(error)) => Err(error),
    }
}

/// A complete node. One that is missing is damage.
pub(super) fn node(db: &Connection, level: u32, index: u64) -> Result<[u8; 32]> {
    if level == 0 {
        return leaf(db, index).map(|leaf| leaf.hash());
    }
    db.prepare_cached("SELECT hash FROM transparency_nodes WHERE level = ?1 AND n = ?2")?
        .query_row(params![level, int(index)], |row| row.get(0))
}

fn leaf(db: &Connection, index: u64) -> Result<Leaf> {
    let bytes: Vec<u8> = db
        .prepare_cached("SELECT leaf FROM transparency_leaves WHERE n = ?1")?
        .query_row(params![int(index)], |row| row.get(0))?;
    Leaf::decode(&bytes).map_err(|error| unreadable(Type::Blob, error))
}

fn unreadable(of: Type, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::FromSqlConversionFailure(0, of, Box::new(error))
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::ToSqlConversionFailure(Box::new(error))
}
