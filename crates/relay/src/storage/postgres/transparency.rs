//! The transparency log: its leaves, the complete nodes above them, and the one row that says how long the tree is and holds its newest
//! checkpoint. Whoever grows the tree locks that row, stores the chain entry in the same transaction, and signs before the commit.
//!
//! Not here: hashing and paths ([`waxwing_wire::transparency`]), whether the log found at the start is this relay's ([`super::start`]).

use std::cell::RefCell;
use std::collections::HashMap;

use deadpool_postgres::Transaction;
use waxwing_wire::AccountId;
use waxwing_wire::api::{ConsistencyProof, InclusionProof, ProofPath};
use waxwing_wire::transparency::{
    BuildError, Frontier, LEAF_LEN, Leaf, SignedCheckpoint, account_hash, consistency_path, inclusion_path,
};

use super::fault::{Fault, Result};
use super::query::{all, count, execute, exists, fixed, get, int, one};
use crate::clock::Moment;
use crate::log_signer::LogSigner;

/// The tree under its lock, within one transaction. Nothing is written until [`Growing::seal`].
pub(super) struct Growing {
    frontier: Frontier,
    /// Time of the newest checkpoint.
    time_ms: u64,
    leaves: Vec<(i64, Vec<u8>)>,
    nodes: Vec<(i64, i64, [u8; 32])>,
    /// Account, seq, leaf.
    entries: Vec<(i64, i64, i64)>,
    /// Name, account, leaf.
    names: Vec<([u8; 32], i64, i64)>,
}

impl Growing {
    /// Takes the tree as it is, and its lock until the transaction ends.
    pub(super) async fn lock(tx: &Transaction<'_>) -> Result<Self> {
        Self::load(tx).await?.ok_or(Fault::Damaged)
    }

    /// The same; none where there is no log yet.
    pub(super) async fn load(tx: &Transaction<'_>) -> Result<Option<Self>> {
        let sql = "SELECT frontier, time_ms FROM transparency_log WHERE n = 1 FOR UPDATE";
        let Some(row) = one(tx, sql, &[]).await? else { return Ok(None) };
        let frontier = Frontier::decode(get(&row, 0)?).map_err(|_| Fault::Damaged)?;
        Ok(Some(Self { frontier, time_ms: count(&row, 1)?, ..Self::new() }))
    }

    /// The tree without leaves.
    pub(super) fn new() -> Self {
        let (leaves, nodes, entries, names) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { frontier: Frontier::new(), time_ms: 0, leaves, nodes, entries, names }
    }

    /// Its right edge.
    pub(super) fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// Adds the leaf of a stored chain entry. `n` is the account's number; each entry has one leaf, and a second is an error.
    pub(super) fn chain_entry(&mut self, n: i64, account: &AccountId, seq: u32, entry_hash: [u8; 32]) -> Result<()> {
        let leaf = self.append(&Leaf::Chain { account_hash: account_hash(account), seq, entry_hash })?;
        self.entries.push((n, i64::from(seq), leaf));
        Ok(())
    }

    /// Adds the leaf of a name, taken by the `create` with this hash. A name that has one already is an error: ask [`name_is_used`] first.
    pub(super) fn name(&mut self, n: i64, name_hash: [u8; 32], entry_hash: [u8; 32]) -> Result<()> {
        let leaf = self.append(&Leaf::Name { name_hash, entry_hash })?;
        self.names.push((name_hash, n, leaf));
        Ok(())
    }

    fn append(&mut self, leaf: &Leaf) -> Result<i64> {
        let index = int(self.frontier.size());
        let nodes = self.frontier.append_nodes(leaf.hash()).map_err(|_| Fault::Damaged)?;
        self.leaves.push((index, leaf.encode()));
        // Leaves are nodes of level 0; only the levels above have rows of their own.
        self.nodes.extend(
            nodes.iter().filter(|node| node.level > 0).map(|node| (i64::from(node.level), int(node.index), node.hash)),
        );
        Ok(index)
    }

    /// Writes what was added, signs the tree and keeps it. The time is now, but always later than that of the checkpoint before (RFC 9162,
    /// section 4.10), also when the clock was set back, or is behind another process's.
    pub(super) async fn seal(self, tx: &Transaction<'_>, signer: &LogSigner, now: Moment) -> Result<SignedCheckpoint> {
        for (n, leaf) in &self.leaves {
            execute(tx, "INSERT INTO transparency_leaves (n, leaf) VALUES ($1, $2)", &[n, &leaf.as_slice()]).await?;
        }
        for (level, n, hash) in &self.nodes {
            let sql = "INSERT INTO transparency_nodes (level, n, hash) VALUES ($1, $2, $3)";
            execute(tx, sql, &[level, n, &hash.as_slice()]).await?;
        }
        for (account, seq, leaf) in &self.entries {
            let sql = "INSERT INTO chain_leaves (account, seq, leaf) VALUES ($1, $2, $3)";
            execute(tx, sql, &[account, seq, leaf]).await?;
        }
        for (hash, account, leaf) in &self.names {
            let sql = "INSERT INTO name_leaves (name_hash, account, leaf) VALUES ($1, $2, $3)";
            execute(tx, sql, &[&hash.as_slice(), account, leaf]).await?;
        }
        let time_ms = now.millis().max(self.time_ms.saturating_add(1));
        let signed = signer.sign(self.frontier.size(), self.frontier.root(), time_ms).map_err(|_| Fault::Damaged)?;
        let sql = "INSERT INTO transparency_log (n, size, frontier, time_ms, checkpoint) VALUES (1, $1, $2, $3, $4)
                   ON CONFLICT (n) DO UPDATE SET size = $1, frontier = $2, time_ms = $3, checkpoint = $4";
        let (size, frontier) = (int(self.frontier.size()), self.frontier.encode());
        execute(tx, sql, &[&size, &frontier, &int(time_ms), &signed.note()]).await?;
        Ok(signed)
    }
}

/// Whether a leaf of this name exists. It stays, whatever becomes of the account: names are never given twice.
pub(super) async fn name_is_used(tx: &Transaction<'_>, name_hash: &[u8; 32]) -> Result<bool> {
    exists(tx, "SELECT 1 FROM name_leaves WHERE name_hash = $1", &[&name_hash.as_slice()]).await
}

/// Where the leaf of an account's name stands.
pub(super) async fn name_index(tx: &Transaction<'_>, n: i64) -> Result<Option<u64>> {
    let row = one(tx, "SELECT leaf FROM name_leaves WHERE account = $1", &[&n]).await?;
    row.map(|row| count(&row, 0)).transpose()
}

/// The newest checkpoint: a signed note.
pub(super) async fn checkpoint(tx: &Transaction<'_>) -> Result<String> {
    let row = one(tx, "SELECT checkpoint FROM transparency_log WHERE n = 1", &[]).await?;
    get(&row.ok_or(Fault::Damaged)?, 0)
}

/// How many leaves the newest checkpoint covers.
pub(super) async fn size(tx: &Transaction<'_>) -> Result<u64> {
    let row = one(tx, "SELECT size FROM transparency_log WHERE n = 1", &[]).await?;
    count(&row.ok_or(Fault::Damaged)?, 0)
}

/// At most `limit` leaves from index `from` on, one after the other; none if the log is not that long.
pub(super) async fn leaves(tx: &Transaction<'_>, from: u64, limit: usize) -> Result<Option<Vec<u8>>> {
    let size = size(tx).await?;
    if from > size {
        return Ok(None);
    }
    let end = size.min(from.saturating_add(limit as u64));
    let sql = "SELECT leaf FROM transparency_leaves WHERE n >= $1 AND n < $2 ORDER BY n";
    let rows = all(tx, sql, &[&int(from), &int(end)]).await?;
    let mut bytes = Vec::with_capacity(rows.len() * LEAF_LEN);
    for row in &rows {
        bytes.extend_from_slice(get(row, 0)?);
    }
    Ok(Some(bytes))
}

/// The proof that the first `second` leaves begin with the first `first`; none if the log is not that long, or there is no such proof.
pub(super) async fn consistency(tx: &Transaction<'_>, first: u64, second: u64) -> Result<Option<ConsistencyProof>> {
    if second > size(tx).await? {
        return Ok(None);
    }
    let path = proof(tx, |node| consistency_path(first, second, node)).await?;
    Ok(path.map(|path| ConsistencyProof { path }))
}

/// The leaf at `index`, and the proof that it is among the first `size`; none if there is no such leaf, or the log is not that long.
pub(super) async fn inclusion(tx: &Transaction<'_>, index: u64, size_asked: u64) -> Result<Option<InclusionProof>> {
    if size_asked > size(tx).await? {
        return Ok(None);
    }
    let Some(path) = proof(tx, |node| inclusion_path(index, size_asked, node)).await? else { return Ok(None) };
    let row = one(tx, "SELECT leaf FROM transparency_leaves WHERE n = $1", &[&int(index)]).await?;
    let leaf = Leaf::decode(get(&row.ok_or(Fault::Damaged)?, 0)?).map_err(|_| Fault::Damaged)?;
    Ok(Some(InclusionProof { leaf, path }))
}

/// Gives a node, by level and index.
type Source<'a> = &'a dyn Fn(u32, u64) -> Result<[u8; 32]>;

/// Builds a proof twice: first to learn which nodes it takes (which does not depend on what they are), then with those.
async fn proof(
    tx: &Transaction<'_>,
    build: impl Fn(Source<'_>) -> std::result::Result<Vec<[u8; 32]>, BuildError<Fault>> + Send + Sync,
) -> Result<Option<ProofPath>> {
    let Some(wanted) = looked_up(&build) else { return Ok(None) };
    let found = nodes(tx, &wanted).await?;
    let path = build(&|level, index| found.get(&(level, index)).copied().ok_or(Fault::Damaged));
    match path {
        Ok(path) => Ok(Some(ProofPath(path))),
        Err(BuildError::Range) => Ok(None),
        Err(BuildError::Source(fault)) => Err(fault),
    }
}

/// What a proof takes; none if there is no such proof.
fn looked_up(
    build: impl Fn(Source<'_>) -> std::result::Result<Vec<[u8; 32]>, BuildError<Fault>>,
) -> Option<Vec<(u32, u64)>> {
    let wanted = RefCell::new(Vec::new());
    let noting = |level, index| {
        wanted.borrow_mut().push((level, index));
        Ok([0; 32])
    };
    let built = build(&noting);
    if let Err(BuildError::Range) = built { None } else { Some(wanted.take()) }
}

/// Complete nodes, of those asked for the ones that there are.
pub(super) async fn nodes(tx: &Transaction<'_>, wanted: &[(u32, u64)]) -> Result<HashMap<(u32, u64), [u8; 32]>> {
    let (leaves, above): (Vec<_>, Vec<_>) = wanted.iter().copied().partition(|(level, _)| *level == 0);
    let mut found = HashMap::new();
    let indexes: Vec<i64> = leaves.iter().map(|(_, index)| int(*index)).collect();
    for row in all(tx, "SELECT n, leaf FROM transparency_leaves WHERE n = ANY($1)", &[&indexes]).await? {
        let leaf = Leaf::decode(get(&row, 1)?).map_err(|_| Fault::Damaged)?;
        found.insert((0, count(&row, 0)?), leaf.hash());
    }
    let levels: Vec<i64> = above.iter().map(|(level, _)| i64::from(*level)).collect();
    let indexes: Vec<i64> = above.iter().map(|(_, index)| int(*index)).collect();
    let sql = "SELECT level, n, hash FROM transparency_nodes
               JOIN unnest($1::bigint[], $2::bigint[]) AS wanted (level, n) USING (level, n)";
    for row in all(tx, sql, &[&levels, &indexes]).await? {
        let level = u32::try_from(get::<i64>(&row, 0)?).map_err(|_| Fault::Damaged)?;
        found.insert((level, count(&row, 1)?), fixed(&row, 2)?);
    }
    Ok(found)
}
