//! Welcomes that could not be opened, and whom another was asked of.

use rusqlite::{Transaction, params};
use waxwing_wire::{DeviceId, LogId};

use super::conversations::ConversationId;
use crate::error::Error;

/// Requests that nobody has answered are forgotten beyond this many.
const MOST: u64 = 256;

/// One request for another Welcome.
pub(crate) struct LostWelcome {
    pub(crate) log: LogId,
    pub(crate) conversation: ConversationId,
    /// The device that was asked.
    pub(crate) device: DeviceId,
    /// What its answer echoes.
    pub(crate) nonce: [u8; 16],
}

/// Notes a request; false if one was made for this log since `after_ms`.
pub(crate) fn note(tx: &Transaction<'_>, lost: &LostWelcome, now_ms: u64, after_ms: u64) -> Result<bool, Error> {
    let recent = tx
        .prepare_cached("SELECT 1 FROM lost_welcomes WHERE log = ?1 AND asked_ms >= ?2")?
        .exists(params![lost.log.as_bytes(), after_ms])?;
    if recent {
        return Ok(false);
    }
    tx.execute(
        "INSERT OR REPLACE INTO lost_welcomes (log, conversation, device, nonce, asked_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![lost.log.as_bytes(), lost.conversation, lost.device.as_bytes(), lost.nonce, now_ms],
    )?;
    tx.execute(
        "DELETE FROM lost_welcomes WHERE log NOT IN (SELECT log FROM lost_welcomes ORDER BY asked_ms DESC LIMIT ?1)",
        [MOST],
    )?;
    Ok(true)
}

/// Whether this is the answer that was asked for.
pub(crate) fn answers(tx: &Transaction<'_>, answer: &LostWelcome) -> Result<bool, Error> {
    Ok(tx
        .prepare_cached(
            "SELECT 1 FROM lost_welcomes WHERE log = ?1 AND conversation = ?2 AND device = ?3 AND nonce = ?4",
        )?
        .exists(params![answer.log.as_bytes(), answer.conversation, answer.device.as_bytes(), answer.nonce])?)
}

/// One is in the group.
pub(crate) fn remove(tx: &Transaction<'_>, log: LogId) -> Result<(), Error> {
    tx.execute("DELETE FROM lost_welcomes WHERE log = ?1", [log.as_bytes()])?;
    Ok(())
}
