//! Logs of conversations, what was read of them, and the replay check.

use rusqlite::{OptionalExtension as _, Row, Transaction, params};
use waxwing_protocol::ChannelSecret;
use waxwing_protocol::envelope::MessageSender;
use waxwing_wire::{EnvelopeId, LogId, RelayAddress};

use super::account::text;
use super::bytes;
use super::conversations::ConversationId;
use crate::error::Error;

/// A log as stored.
pub(crate) struct Log {
    pub(crate) log: LogId,
    pub(crate) conversation: ConversationId,
    pub(crate) relay: RelayAddress,
    pub(crate) secret: ChannelSecret,
    pub(crate) mine: bool,
    pub(crate) created: bool,
    pub(crate) peer_seen: bool,
    /// Seq of the newest entry that was processed.
    pub(crate) cursor: u64,
    /// Running hash at the cursor.
    pub(crate) running: [u8; 32],
    pub(crate) last_handshake: u64,
}

/// Adds a log; one that is known already stays as it is.
pub(crate) fn insert(tx: &Transaction<'_>, log: &Log) -> Result<(), Error> {
    tx.execute(
        "INSERT OR IGNORE INTO logs
             (log, conversation, relay, secret, mine, created, peer_seen, cursor, running, last_handshake, counter)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8, 0, 0)",
        params![
            log.log.as_bytes(),
            log.conversation,
            log.relay.to_string(),
            log.secret.as_bytes(),
            log.mine,
            log.created,
            log.peer_seen,
            [0u8; 32],
        ],
    )?;
    Ok(())
}

pub(crate) fn load(tx: &Transaction<'_>, log: LogId) -> Result<Option<Log>, Error> {
    let mut statement = tx.prepare_cached("SELECT * FROM logs WHERE log = ?1")?;
    Ok(statement.query_row([log.as_bytes()], read).optional()?)
}

pub(crate) fn all(tx: &Transaction<'_>) -> Result<Vec<Log>, Error> {
    let mut statement = tx.prepare_cached("SELECT * FROM logs ORDER BY log")?;
    let rows = statement.query_map([], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// How many logs of this conversation others have made.
pub(crate) fn foreign(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<usize, Error> {
    Ok(tx.query_row("SELECT count(*) FROM logs WHERE conversation = ?1 AND mine = 0", [conversation], |row| {
        row.get(0)
    })?)
}

/// Own logs that the other side has not shown to know.
pub(crate) fn unanswered(tx: &Transaction<'_>) -> Result<Vec<Log>, Error> {
    let mut statement = tx.prepare_cached("SELECT * FROM logs WHERE mine = 1 AND peer_seen = 0 ORDER BY log")?;
    let rows = statement.query_map([], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Where to send: the lowest log id among those that the other side has shown to know; before that the own one.
pub(crate) fn to_send(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<Option<Log>, Error> {
    let mut statement =
        tx.prepare_cached("SELECT * FROM logs WHERE conversation = ?1 ORDER BY peer_seen DESC, log LIMIT 1")?;
    Ok(statement.query_row([conversation], read).optional()?)
}

/// Whether the relay has the own log.
pub(crate) fn set_created(tx: &Transaction<'_>, log: LogId) -> Result<(), Error> {
    tx.execute("UPDATE logs SET created = 1 WHERE log = ?1", [log.as_bytes()])?;
    Ok(())
}

pub(crate) fn set_peer_seen(tx: &Transaction<'_>, log: LogId) -> Result<(), Error> {
    tx.execute("UPDATE logs SET peer_seen = 1 WHERE log = ?1", [log.as_bytes()])?;
    Ok(())
}

/// Everything up to `cursor` has been processed.
pub(crate) fn advance(
    tx: &Transaction<'_>,
    log: LogId,
    cursor: u64,
    running: &[u8; 32],
    last_handshake: u64,
) -> Result<(), Error> {
    tx.prepare_cached("UPDATE logs SET cursor = ?2, running = ?3, last_handshake = ?4 WHERE log = ?1")?
        .execute(params![log.as_bytes(), cursor, running, last_handshake])?;
    Ok(())
}

/// The number of the next envelope of this device in this log, from 1.
pub(crate) fn next_counter(tx: &Transaction<'_>, log: LogId) -> Result<u64, Error> {
    Ok(tx
        .prepare_cached("UPDATE logs SET counter = counter + 1 WHERE log = ?1 RETURNING counter")?
        .query_row([log.as_bytes()], |row| row.get(0))?)
}

/// The newest key version that `device` has signed with in this log; 0 if none.
pub(crate) fn sender_version(tx: &Transaction<'_>, log: LogId, sender: &MessageSender) -> Result<u32, Error> {
    let version = tx
        .prepare_cached("SELECT key_version FROM log_senders WHERE log = ?1 AND account = ?2 AND device = ?3")?
        .query_row(params![log.as_bytes(), sender.account.as_bytes(), sender.device.as_bytes()], |row| row.get(0))
        .optional()?;
    Ok(version.unwrap_or(0))
}

pub(crate) fn set_sender_version(tx: &Transaction<'_>, log: LogId, sender: &MessageSender) -> Result<(), Error> {
    tx.prepare_cached(
        "INSERT OR REPLACE INTO log_senders (log, account, device, key_version) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![log.as_bytes(), sender.account.as_bytes(), sender.device.as_bytes(), sender.key_version])?;
    Ok(())
}

/// Notes an envelope whose signature was verified; false if it was seen before (a replay).
pub(crate) fn first_sight(
    tx: &Transaction<'_>,
    sender: &MessageSender,
    envelope: EnvelopeId,
    opened_with: u32,
) -> Result<bool, Error> {
    let added = tx
        .prepare_cached("INSERT OR IGNORE INTO seen (account, device, envelope, opened_with) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![sender.account.as_bytes(), sender.device.as_bytes(), envelope.as_bytes(), opened_with])?;
    Ok(added == 1)
}

/// Most bytes kept of what could not be used; beyond that only the fact is.
const MAX_ASIDE: u64 = 64 * 1024 * 1024;

/// Keeps what could not be used.
pub(crate) fn set_aside(
    tx: &Transaction<'_>,
    log: LogId,
    seq: u64,
    entry_id: EnvelopeId,
    reason: &str,
    blob: &[u8],
    now_ms: u64,
) -> Result<(), Error> {
    let kept: u64 = tx.query_row("SELECT coalesce(sum(length(blob)), 0) FROM set_aside", [], |row| row.get(0))?;
    let blob = if kept + blob.len() as u64 > MAX_ASIDE { &[] } else { blob };
    tx.execute(
        "INSERT INTO set_aside (log, seq, entry_id, reason, blob, at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![log.as_bytes(), seq, entry_id.as_bytes(), reason, blob, now_ms],
    )?;
    Ok(())
}

/// What was set aside for this reason, oldest first, with its row number.
pub(crate) fn set_aside_for(
    tx: &Transaction<'_>,
    log: LogId,
    reason: &str,
) -> Result<Vec<(i64, waxwing_wire::frame::InboxEntry)>, Error> {
    let mut statement = tx.prepare_cached("SELECT * FROM set_aside WHERE log = ?1 AND reason = ?2 ORDER BY n")?;
    let rows = statement.query_map(params![log.as_bytes(), reason], |row| {
        let entry = waxwing_wire::frame::InboxEntry {
            seq: row.get("seq")?,
            entry_id: EnvelopeId::from_bytes(bytes(row, "entry_id")?),
            kind: waxwing_wire::log::EnvelopeKind::Welcome,
            blob: row.get("blob")?,
        };
        Ok((row.get("n")?, entry))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// It is of use after all.
pub(crate) fn remove_set_aside(tx: &Transaction<'_>, n: i64) -> Result<(), Error> {
    tx.execute("DELETE FROM set_aside WHERE n = ?1", [n])?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Log> {
    Ok(Log {
        log: LogId::from_bytes(bytes(row, "log")?),
        conversation: bytes(row, "conversation")?,
        relay: text(row, "relay")?,
        secret: ChannelSecret::from_bytes(&bytes(row, "secret")?),
        mine: row.get("mine")?,
        created: row.get("created")?,
        peer_seen: row.get("peer_seen")?,
        cursor: row.get("cursor")?,
        running: bytes(row, "running")?,
        last_handshake: row.get("last_handshake")?,
    })
}
