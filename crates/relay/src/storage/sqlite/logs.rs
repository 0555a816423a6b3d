//! Logs: entries in order without gaps, under tokens of which only hashes are kept (design sections 6 and 7).

use rusqlite::{Connection, OptionalExtension as _, Result, params};
use waxwing_wire::frame::{CreateLog, LogEntry, LogPage};
use waxwing_wire::limits::{MAX_PAGE_BYTES, MAX_PAGE_ENTRIES};
use waxwing_wire::log::{EnvelopeKind, running_hash};
use waxwing_wire::{EnvelopeId, LogId};

use super::super::{Appended, Appending, LogRead};
use super::{int, nat, today};
use crate::config::Quotas;
use crate::hub::Wake;

/// What an entry counts beside its bytes.
const OVERHEAD: u64 = 256;

struct LogRow {
    n: i64,
    write_hash: [u8; 32],
    read_hash: [u8; 32],
    oldest: u64,
    head: u64,
    last_handshake: u64,
    running: [u8; 32],
    bytes: u64,
}

fn find(db: &Connection, log: LogId) -> Result<Option<LogRow>> {
    db.prepare_cached(
        "SELECT n, write_hash, read_hash, oldest, head, last_handshake, running, bytes FROM logs WHERE id = ?1",
    )?
    .query_row(params![log.as_bytes()], |row| {
        Ok(LogRow {
            n: row.get(0)?,
            write_hash: row.get(1)?,
            read_hash: row.get(2)?,
            oldest: nat(row.get(3)?),
            head: nat(row.get(4)?),
            last_handshake: nat(row.get(5)?),
            running: row.get(6)?,
            bytes: nat(row.get(7)?),
        })
    })
    .optional()
}

/// Makes a log; false if its id is taken with other tokens.
pub(super) fn create(db: &Connection, new: &CreateLog) -> Result<bool> {
    let tokens = &new.tokens;
    let Some(log) = find(db, new.log)? else {
        db.prepare_cached("INSERT INTO logs (id, write_hash, read_hash, running) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![new.log.as_bytes(), tokens.write, tokens.read, [0u8; 32]])?;
        return Ok(true);
    };
    if log.write_hash == tokens.write && log.read_hash == tokens.read {
        return Ok(true);
    }
    // A request repeated after a rekey: the log was made with these tokens all the same.
    db.prepare_cached("SELECT 1 FROM retired_tokens WHERE log = ?1 AND write_hash = ?2 AND read_hash = ?3")?
        .exists(params![log.n, tokens.write, tokens.read])
}

/// Appends to a log. The order of the checks is the protocol's (design section 6): the token, then the id, then a replaced token, then
/// `after`, then the quota.
pub(super) fn append(db: &Connection, appending: Appending, quotas: &Quotas) -> Result<(Appended, Option<Wake>)> {
    let Appending { log: id, write_hash, digest, append } = appending;
    let refused = |appended| Ok((appended, None));
    let Some(log) = find(db, id)? else { return refused(Appended::Refused) };
    let retired_at = if log.write_hash == write_hash {
        None
    } else {
        match retired_write(db, log.n, &write_hash)? {
            None => return refused(Appended::Refused),
            up_to => up_to,
        }
    };
    let known: Option<(i64, [u8; 32])> = db
        .prepare_cached("SELECT seq, digest FROM log_entries WHERE log = ?1 AND entry_id = ?2")?
        .query_row(params![log.n, append.entry_id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if let Some((seq, stored)) = known {
        // Also with a token that this very entry has replaced: its sender may have missed the answer.
        return refused(if stored == digest { Appended::Stored { seq: nat(seq) } } else { Appended::IdReused });
    }
    if let Some(head) = retired_at {
        return refused(Appended::Rekeyed { head });
    }
    if append.after != log.last_handshake {
        return refused(Appended::Conflict { head: log.head });
    }
    let handshake = append.kind == EnvelopeKind::Handshake;
    let bytes = log.bytes + append.blob.len() as u64 + OVERHEAD;
    if bytes > quotas.log + if handshake { quotas.log_handshakes } else { 0 } {
        return refused(Appended::QuotaExceeded);
    }
    let seq = log.head + 1;
    let running = running_hash(&log.running, seq, append.entry_id, append.kind, &append.blob);
    db.prepare_cached(
        "INSERT INTO log_entries (log, seq, entry_id, digest, running, kind, day, blob) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        log.n,
        int(seq),
        append.entry_id.as_bytes(),
        digest,
        running,
        append.kind as u8,
        today(),
        append.blob
    ])?;
    let last_handshake = if handshake { seq } else { log.last_handshake };
    db.prepare_cached("UPDATE logs SET head = ?2, last_handshake = ?3, running = ?4, bytes = ?5 WHERE n = ?1")?
        .execute(params![log.n, int(seq), int(last_handshake), running, int(bytes)])?;
    if let Some(tokens) = &append.rekey {
        db.prepare_cached("INSERT INTO retired_tokens (log, up_to, write_hash, read_hash) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![log.n, int(seq), log.write_hash, log.read_hash])?;
        db.prepare_cached("UPDATE logs SET write_hash = ?2, read_hash = ?3 WHERE n = ?1")?.execute(params![
            log.n,
            tokens.write,
            tokens.read
        ])?;
    }
    let entry = LogEntry { seq, entry_id: append.entry_id, kind: append.kind, blob: append.blob };
    let wake = Wake::Log { log: id, read_hash: log.read_hash, rekeyed: append.rekey.is_some(), entry };
    Ok((Appended::Stored { seq }, Some(wake)))
}

/// The handshake that replaced this write token, if it ever was the log's.
fn retired_write(db: &Connection, log: i64, hash: &[u8; 32]) -> Result<Option<u64>> {
    db.prepare_cached("SELECT max(up_to) FROM retired_tokens WHERE log = ?1 AND write_hash = ?2")?
        .query_row(params![log, hash], |row| Ok(row.get::<_, Option<i64>>(0)?.map(nat)))
}

fn retired_read(db: &Connection, log: i64, hash: &[u8; 32]) -> Result<Option<u64>> {
    db.prepare_cached("SELECT max(up_to) FROM retired_tokens WHERE log = ?1 AND read_hash = ?2")?
        .query_row(params![log, hash], |row| Ok(row.get::<_, Option<i64>>(0)?.map(nat)))
}

/// Reads a page. For a replaced token the log ends with the handshake that replaced it.
pub(super) fn read(db: &Connection, id: LogId, read_hash: &[u8; 32], after: u64) -> Result<LogRead> {
    let Some(log) = find(db, id)? else { return Ok(LogRead::Refused) };
    let (head, last_handshake, retired) = if log.read_hash == *read_hash {
        (log.head, log.last_handshake, false)
    } else {
        match retired_read(db, log.n, read_hash)? {
            Some(up_to) => (up_to, up_to, true),
            None => return Ok(LogRead::Refused),
        }
    };
    if after.saturating_add(1) < log.oldest {
        return Ok(LogRead::Gone { oldest: log.oldest });
    }
    // `after` beyond the head: the client sees from `head` (and the zeros) that this relay went back.
    let running = db
        .prepare_cached("SELECT running FROM log_entries WHERE log = ?1 AND seq = ?2 AND seq <= ?3")?
        .query_row(params![log.n, int(after), int(head)], |row| row.get(0))
        .optional()?
        .unwrap_or_default();
    let mut page = LogPage { oldest: log.oldest, head, running, last_handshake, retired, entries: Vec::new() };
    let mut statement = db.prepare_cached(
        "SELECT seq, entry_id, kind, blob FROM log_entries WHERE log = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq LIMIT ?4",
    )?;
    let mut rows = statement.query(params![log.n, int(after), int(head), int(MAX_PAGE_ENTRIES as u64)])?;
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let blob: Vec<u8> = row.get(3)?;
        bytes += blob.len();
        if bytes > MAX_PAGE_BYTES && !page.entries.is_empty() {
            break;
        }
        page.entries.push(LogEntry {
            seq: nat(row.get(0)?),
            entry_id: EnvelopeId::from_bytes(row.get(1)?),
            kind: kind_of(row.get(2)?)?,
            blob,
        });
    }
    Ok(LogRead::Page(page))
}

/// Which of these read tokens are their log's token in force.
pub(super) fn current_read_tokens(db: &Connection, tokens: &[(LogId, [u8; 32])]) -> Result<Vec<bool>> {
    let mut statement = db.prepare_cached("SELECT 1 FROM logs WHERE id = ?1 AND read_hash = ?2")?;
    tokens.iter().map(|(log, hash)| statement.exists(params![log.as_bytes(), hash])).collect()
}

/// A stored kind; anything else is damage.
pub(super) fn kind_of(byte: u8) -> Result<EnvelopeKind> {
    EnvelopeKind::from_byte(byte).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(2, i64::from(byte)))
}
