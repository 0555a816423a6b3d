//! The database at the start: its schema, whether the transparency log in it is ours and whole, and a fresh checkpoint. Nobody is served before
//! this is done; of several processes that start at a time each does it in its turn.

use deadpool_postgres::Transaction;
use waxwing_wire::transparency::{Checkpoint, Frontier, SignedCheckpoint};

use super::super::OpenError;
use super::fault::{Fault, Result};
use super::query::{count, one};
use super::transparency::{self, Growing};
use super::{Context, expiry, operator, schema};
use crate::high_water::is_newer;
use crate::log_signer::LogSigner;

/// Makes the database ready, in one transaction.
pub(super) async fn open(
    tx: &Transaction<'_>,
    context: &Context,
    newest: Option<&Checkpoint>,
) -> std::result::Result<(), OpenError> {
    schema::migrate(tx).await?;
    let log = Growing::load(tx).await.map_err(opening)?;
    let log = match log {
        Some(log) => {
            check(tx, &log, &context.signer, newest).await?;
            log
        }
        None => Growing::new(),
    };
    log.seal(tx, &context.signer, context.clock.now()).await.map_err(opening)?;
    expiry::note(tx, &context.calendar).await.map_err(opening)?;
    let decided = operator::decided(tx, None).await.map_err(opening)?;
    decided.iter().for_each(|decided| context.quotas.take_in(decided));
    Ok(())
}

/// The log in the database is the one that this relay may go on with: signed under this key and name, and as long and with the very hashes
/// that its newest checkpoint says. Going on with another would show clients two histories.
pub(super) async fn check(
    tx: &Transaction<'_>,
    log: &Growing,
    signer: &LogSigner,
    newest: Option<&Checkpoint>,
) -> std::result::Result<(), OpenError> {
    let note = transparency::checkpoint(tx).await.map_err(opening)?;
    let Ok(signed) = SignedCheckpoint::verify(note.as_bytes(), signer.key()) else {
        // Of a log without leaves nobody can have been shown a history.
        return if log.frontier().size() == 0 { Ok(()) } else { Err(OpenError::OtherLog) };
    };
    let checkpoint = signed.checkpoint();
    if newest.is_some_and(|newest| is_newer(newest, checkpoint)) {
        return Err(OpenError::WentBack);
    }
    let (leaves, size) = lengths(tx).await.map_err(opening)?;
    let whole = (checkpoint.size, checkpoint.root) == (log.frontier().size(), log.frontier().root())
        && leaves == checkpoint.size
        && size == checkpoint.size
        && edge(tx, checkpoint.size).await.map_err(opening)?.is_some_and(|edge| edge == *log.frontier());
    if whole { Ok(()) } else { Err(OpenError::DamagedLog) }
}

async fn lengths(tx: &Transaction<'_>) -> Result<(u64, u64)> {
    let row = one(tx, "SELECT coalesce(max(n) + 1, 0) FROM transparency_leaves", &[]).await?;
    Ok((count(&row.ok_or(Fault::Damaged)?, 0)?, transparency::size(tx).await?))
}

/// The right edge as leaves and nodes say it; none where one is missing.
async fn edge(tx: &Transaction<'_>, size: u64) -> Result<Option<Frontier>> {
    let mut wanted = Vec::new();
    let Ok(_) = Frontier::load(size, |level, index| {
        wanted.push((level, index));
        Ok::<_, std::convert::Infallible>([0; 32])
    });
    let found = transparency::nodes(tx, &wanted).await?;
    Ok(Frontier::load(size, |level, index| found.get(&(level, index)).copied().ok_or(())).ok())
}

/// A log that cannot be read is damaged; the rest is PostgreSQL's trouble.
pub(super) fn opening(fault: Fault) -> OpenError {
    match fault {
        Fault::Damaged => OpenError::DamagedLog,
        fault => OpenError::Postgres(fault.trouble()),
    }
}
