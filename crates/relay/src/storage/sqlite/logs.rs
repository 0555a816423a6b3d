//! Logs: entries in order without gaps, under tokens of which only hashes are kept (design sections 6 and 7).

use rusqlite::{Connection, OptionalExtension as _, Result, Row, params};
use waxwing_wire::frame::{CreateLog, LogEntry, LogPage};
use waxwing_wire::limits::{MAX_PAGE_BYTES, MAX_PAGE_ENTRIES};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{EnvelopeId, LogId};

use super::super::rules::{Known, LogState, Token, is_gone, judge};
use super::super::{Appended, Appending, Heads, InForce, LogRead, Watched};
use super::{int, nat};
use crate::config::Quotas;
use crate::hub::Wake;

struct LogRow {
    n: i64,
    write_hash: [u8; 32],
    read_hash: [u8; 32],
    oldest: u64,
    state: LogState,
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
            state: LogState {
                head: nat(row.get(4)?),
                last_handshake: nat(row.get(5)?),
                running: row.get(6)?,
                bytes: nat(row.get(7)?),
            },
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

/// Appends to a log.
pub(super) fn append(
    db: &Connection,
    appending: Appending,
    quotas: &Quotas,
    today: i64,
) -> Result<(Appended, Option<Wake>)> {
    let refused = |appended| Ok((appended, None));
    let Some(log) = find(db, appending.log)? else { return refused(Appended::Refused) };
    let token = if log.write_hash == appending.write_hash {
        Token::Current
    } else {
        match retired_write(db, log.n, &appending.write_hash)? {
            None => return refused(Appended::Refused),
            Some(up_to) => Token::Retired(up_to),
        }
    };
    let known = db
        .prepare_cached("SELECT seq, digest FROM log_entries WHERE log = ?1 AND entry_id = ?2")?
        .query_row(params![log.n, appending.append.entry_id.as_bytes()], |row| {
            Ok(Known { seq: nat(row.get(0)?), digest: row.get(1)? })
        })
        .optional()?;
    let next = match judge(&log.state, token, known, &appending, quotas) {
        Ok(next) => next,
        Err(appended) => return refused(appended),
    };
    let Appending { log: id, digest, append, .. } = appending;
    let seq = next.head;
    db.prepare_cached(
        "INSERT INTO log_entries (log, seq, entry_id, digest, running, kind, day, blob) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        log.n,
        int(seq),
        append.entry_id.as_bytes(),
        digest,
        next.running,
        append.kind as u8,
        today,
        append.blob
    ])?;
    db.prepare_cached("UPDATE logs SET head = ?2, last_handshake = ?3, running = ?4, bytes = ?5 WHERE n = ?1")?
        .execute(params![log.n, int(seq), int(next.last_handshake), next.running, int(next.bytes)])?;
    if log.oldest == seq {
        // The only entry that is kept. Beside this the day is not touched: it has an index.
        db.prepare_cached("UPDATE logs SET oldest_day = ?2 WHERE n = ?1")?.execute(params![log.n, today])?;
    }
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
        (log.state.head, log.state.last_handshake, false)
    } else {
        match retired_read(db, log.n, read_hash)? {
            Some(up_to) => (up_to, up_to, true),
            None => return Ok(LogRead::Refused),
        }
    };
    if is_gone(after, head, log.oldest) {
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

/// How far logs and inboxes are, for those who may know.
pub(super) fn heads(db: &Connection, watched: &Watched) -> Result<Heads> {
    let mut log = db.prepare_cached("SELECT head FROM logs WHERE id = ?1 AND read_hash = ?2")?;
    let mut inbox = db.prepare_cached("SELECT inbox_head, relay_auth FROM devices WHERE id = ?1")?;
    let logs = watched
        .logs
        .iter()
        .map(|(id, hash)| log.query_row(params![id.as_bytes(), hash], |row| row.get(0).map(nat)).optional());
    let in_force = |row: &Row<'_>| Ok(InForce { head: nat(row.get(0)?), relay_auth: row.get(1)? });
    let inboxes = watched.inboxes.iter().map(|device| inbox.query_row(params![device.as_bytes()], in_force).optional());
    Ok(Heads { logs: logs.collect::<Result<_>>()?, inboxes: inboxes.collect::<Result<_>>()? })
}

/// A stored kind; anything else is damage.
pub(super) fn kind_of(byte: u8) -> Result<EnvelopeKind> {
    EnvelopeKind::from_byte(byte).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(2, i64::from(byte)))
}
