//! Logs: entries in order without gaps, under tokens of which only hashes are kept (design sections 6 and 7).
//!
//! Appends are done many at a time, all under the locks of their logs: what they are judged by is read at once, judged here in the order in which
//! they came, and written at once. No append's refusal is an error of the transaction, so none takes another with it.

use std::collections::HashMap;

use deadpool_postgres::Transaction;
use futures_util::future::try_join3;
use tokio_postgres::Row;
use waxwing_wire::frame::{CreateLog, LogEntry, LogPage};
use waxwing_wire::limits::{MAX_PAGE_BYTES, MAX_PAGE_ENTRIES};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{EnvelopeId, LogId};

use super::super::rules::{Known, LogState, Token, is_gone, judge};
use super::super::{Appended, Appending, Heads, InForce, LogRead, Watched};
use super::Context;
use super::fault::{Fault, Result};
use super::query::{all, count, execute, exists, fixed, get, int, one};
use crate::config::Quotas;
use crate::hub::Wake;

struct LogRow {
    n: i64,
    write_hash: [u8; 32],
    read_hash: [u8; 32],
    oldest: u64,
    state: LogState,
    /// Whether an append of this transaction was taken.
    changed: bool,
}

impl LogRow {
    fn read(row: &Row) -> Result<(LogId, Self)> {
        let state = LogState {
            head: count(row, 5)?,
            last_handshake: count(row, 6)?,
            running: fixed(row, 7)?,
            bytes: count(row, 8)?,
        };
        let log = Self {
            n: get(row, 0)?,
            write_hash: fixed(row, 2)?,
            read_hash: fixed(row, 3)?,
            oldest: count(row, 4)?,
            state,
            changed: false,
        };
        Ok((LogId::from_bytes(fixed(row, 1)?), log))
    }
}

/// Makes a log; false if its id is taken with other tokens.
pub(super) async fn create(tx: &Transaction<'_>, new: &CreateLog) -> Result<bool> {
    let (id, tokens) = (new.log.as_bytes().as_slice(), &new.tokens);
    let (write, read) = (tokens.write.as_slice(), tokens.read.as_slice());
    let sql =
        "INSERT INTO logs (id, write_hash, read_hash, running) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING";
    if execute(tx, sql, &[&id, &write, &read, &[0_u8; 32].as_slice()]).await? == 1 {
        return Ok(true);
    }
    // A request repeated, maybe after a rekey: the log was made with these tokens all the same.
    let sql = "SELECT 1 FROM logs WHERE id = $1 AND write_hash = $2 AND read_hash = $3
               UNION ALL SELECT 1 FROM logs JOIN retired_tokens r ON r.log = n
               WHERE id = $1 AND r.write_hash = $2 AND r.read_hash = $3 LIMIT 1";
    exists(tx, sql, &[&id, &write, &read]).await
}

/// What appends are judged by, under the locks of their logs.
struct Found {
    logs: HashMap<LogId, LogRow>,
    known: HashMap<(LogId, EnvelopeId), Known>,
    retired: HashMap<(LogId, [u8; 32]), u64>,
}

/// Locks the logs, always in the order of their ids, so that no two transactions wait for each other; then reads the rest, for each statement sees
/// what was committed before it began. All three are on their way at once, and done one after the other.
async fn find(tx: &Transaction<'_>, batch: &[Appending]) -> Result<Found> {
    let ids: Vec<&[u8]> = batch.iter().map(|appending| appending.log.as_bytes().as_slice()).collect();
    let entries: Vec<&[u8]> = batch.iter().map(|appending| appending.append.entry_id.as_bytes().as_slice()).collect();
    let tokens: Vec<&[u8]> = batch.iter().map(|appending| appending.write_hash.as_slice()).collect();
    let lock = tx
        .prepare_cached(
            "SELECT n, id, write_hash, read_hash, oldest, head, last_handshake, running, bytes FROM logs
             WHERE id = ANY($1) ORDER BY id FOR UPDATE",
        )
        .await?;
    let known = tx
        .prepare_cached(
            "SELECT asked.log, asked.entry_id, e.seq, e.digest
             FROM unnest($1::bytea[], $2::bytea[]) AS asked (log, entry_id)
             JOIN logs l ON l.id = asked.log JOIN log_entries e ON e.log = l.n AND e.entry_id = asked.entry_id",
        )
        .await?;
    let retired = tx
        .prepare_cached(
            "SELECT asked.log, asked.hash, max(r.up_to)
             FROM unnest($1::bytea[], $2::bytea[]) AS asked (log, hash)
             JOIN logs l ON l.id = asked.log JOIN retired_tokens r ON r.log = l.n AND r.write_hash = asked.hash
             GROUP BY asked.log, asked.hash",
        )
        .await?;
    let (logs, known, retired) =
        try_join3(tx.query(&lock, &[&ids]), tx.query(&known, &[&ids, &entries]), tx.query(&retired, &[&ids, &tokens]))
            .await?;
    let id = |row: &Row| fixed(row, 0).map(LogId::from_bytes);
    let known = known.iter().map(|row| {
        let known = Known { seq: count(row, 2)?, digest: fixed(row, 3)? };
        Ok(((id(row)?, EnvelopeId::from_bytes(fixed(row, 1)?)), known))
    });
    let retired = retired.iter().map(|row| Ok(((id(row)?, fixed(row, 1)?), count(row, 2)?)));
    Ok(Found {
        logs: logs.iter().map(LogRow::read).collect::<Result<_>>()?,
        known: known.collect::<Result<_>>()?,
        retired: retired.collect::<Result<_>>()?,
    })
}

/// Tokens that an append of this transaction has replaced.
struct Retired {
    log: i64,
    up_to: u64,
    write_hash: [u8; 32],
    read_hash: [u8; 32],
}

/// Appends to logs, in this order; gives what became of each, and what is to be told after the commit.
pub(super) async fn append(
    tx: &Transaction<'_>,
    batch: &[Appending],
    context: &Context,
) -> Result<Vec<(Appended, Option<Wake>)>> {
    let mut found = find(tx, batch).await?;
    let (mut answers, mut entries, mut retired) = (Vec::with_capacity(batch.len()), Entries::default(), Vec::new());
    let quotas = context.quotas.now();
    for appending in batch {
        answers.push(match take(&mut found, appending, &quotas, &mut entries, &mut retired) {
            Ok((seq, wake)) => (Appended::Stored { seq }, Some(wake)),
            Err(appended) => (appended, None),
        });
    }
    if !entries.log.is_empty() {
        write(tx, &found, &entries, &retired, context.calendar.today()).await?;
    }
    Ok(answers)
}

/// Judges one append, after those before it.
fn take<'a>(
    found: &mut Found,
    appending: &'a Appending,
    quotas: &Quotas,
    entries: &mut Entries<'a>,
    retired: &mut Vec<Retired>,
) -> std::result::Result<(u64, Wake), Appended> {
    let Appending { log: id, write_hash, digest, append } = appending;
    let Some(log) = found.logs.get_mut(id) else { return Err(Appended::Refused) };
    let token = if log.write_hash == *write_hash {
        Token::Current
    } else {
        found.retired.get(&(*id, *write_hash)).map_or(Token::Never, |up_to| Token::Retired(*up_to))
    };
    let known = found.known.get(&(*id, append.entry_id)).copied();
    log.state = judge(&log.state, token, known, appending, quotas)?;
    log.changed = true;
    let seq = log.state.head;
    found.known.insert((*id, append.entry_id), Known { seq, digest: *digest });
    entries.push(log, appending);
    let read_hash = log.read_hash;
    if let Some(tokens) = &append.rekey {
        retired.push(Retired { log: log.n, up_to: seq, write_hash: log.write_hash, read_hash });
        found.retired.insert((*id, log.write_hash), seq);
        (log.write_hash, log.read_hash) = (tokens.write, tokens.read);
    }
    let entry = LogEntry { seq, entry_id: append.entry_id, kind: append.kind, blob: append.blob.clone() };
    Ok((seq, Wake::Log { log: *id, read_hash, rekeyed: append.rekey.is_some(), entry }))
}

/// Rows to come, column by column.
#[derive(Default)]
struct Entries<'a> {
    log: Vec<i64>,
    seq: Vec<i64>,
    entry_id: Vec<&'a [u8]>,
    digest: Vec<&'a [u8]>,
    running: Vec<Vec<u8>>,
    kind: Vec<i16>,
    blob: Vec<&'a [u8]>,
}

impl<'a> Entries<'a> {
    fn push(&mut self, log: &LogRow, appending: &'a Appending) {
        self.log.push(log.n);
        self.seq.push(int(log.state.head));
        self.entry_id.push(appending.append.entry_id.as_bytes().as_slice());
        self.digest.push(appending.digest.as_slice());
        self.running.push(log.state.running.to_vec());
        self.kind.push(i16::from(appending.append.kind as u8));
        self.blob.push(appending.append.blob.as_slice());
    }
}

async fn write(
    tx: &Transaction<'_>,
    found: &Found,
    entries: &Entries<'_>,
    retired: &[Retired],
    today: i64,
) -> Result<()> {
    let insert = tx
        .prepare_cached(
            "INSERT INTO log_entries (log, seq, entry_id, digest, running, kind, day, blob)
             SELECT log, seq, entry_id, digest, running, kind, $7, blob
             FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bytea[], $5::bytea[], $6::smallint[], $8::bytea[])
                  AS fresh (log, seq, entry_id, digest, running, kind, blob)",
        )
        .await?;
    // The day has an index, and is mostly what it was.
    let update = tx
        .prepare_cached(
            "UPDATE logs l SET head = u.head, last_handshake = u.last_handshake, running = u.running, bytes = u.bytes,
                 write_hash = u.write_hash, read_hash = u.read_hash, oldest_day = coalesce(oldest_day, $8)
             FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bigint[], $6::bytea[], $7::bytea[])
                  AS u (n, head, last_handshake, running, bytes, write_hash, read_hash)
             WHERE l.n = u.n",
        )
        .await?;
    let retire = tx
        .prepare_cached(
            "INSERT INTO retired_tokens (log, up_to, write_hash, read_hash)
             SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bytea[])",
        )
        .await?;
    let logs: Vec<&LogRow> = found.logs.values().filter(|log| log.changed).collect();
    let n: Vec<i64> = logs.iter().map(|log| log.n).collect();
    let head: Vec<i64> = logs.iter().map(|log| int(log.state.head)).collect();
    let last_handshake: Vec<i64> = logs.iter().map(|log| int(log.state.last_handshake)).collect();
    let running: Vec<&[u8]> = logs.iter().map(|log| log.state.running.as_slice()).collect();
    let bytes: Vec<i64> = logs.iter().map(|log| int(log.state.bytes)).collect();
    let write_hash: Vec<&[u8]> = logs.iter().map(|log| log.write_hash.as_slice()).collect();
    let read_hash: Vec<&[u8]> = logs.iter().map(|log| log.read_hash.as_slice()).collect();
    let of: Vec<i64> = retired.iter().map(|retired| retired.log).collect();
    let up_to: Vec<i64> = retired.iter().map(|retired| int(retired.up_to)).collect();
    let old_write: Vec<&[u8]> = retired.iter().map(|retired| retired.write_hash.as_slice()).collect();
    let old_read: Vec<&[u8]> = retired.iter().map(|retired| retired.read_hash.as_slice()).collect();
    let Entries { log, seq, entry_id, digest, running: at_entry, kind, blob } = entries;
    try_join3(
        tx.execute(&insert, &[log, seq, entry_id, digest, at_entry, kind, &today, blob]),
        tx.execute(&update, &[&n, &head, &last_handshake, &running, &bytes, &write_hash, &read_hash, &today]),
        tx.execute(&retire, &[&of, &up_to, &old_write, &old_read]),
    )
    .await?;
    Ok(())
}

/// Reads a page. For a replaced token the log ends with the handshake that replaced it.
pub(super) async fn read(tx: &Transaction<'_>, id: LogId, read_hash: &[u8; 32], after: u64) -> Result<LogRead> {
    let sql =
        "SELECT n, id, write_hash, read_hash, oldest, head, last_handshake, running, bytes FROM logs WHERE id = $1";
    let Some(row) = one(tx, sql, &[&id.as_bytes().as_slice()]).await? else { return Ok(LogRead::Refused) };
    let (_, log) = LogRow::read(&row)?;
    let (head, last_handshake, retired) = if log.read_hash == *read_hash {
        (log.state.head, log.state.last_handshake, false)
    } else {
        let sql = "SELECT max(up_to) FROM retired_tokens WHERE log = $1 AND read_hash = $2";
        let row = one(tx, sql, &[&log.n, &read_hash.as_slice()]).await?.ok_or(Fault::Damaged)?;
        let Some(up_to) = get::<Option<i64>>(&row, 0)? else { return Ok(LogRead::Refused) };
        let up_to = u64::try_from(up_to).map_err(|_| Fault::Damaged)?;
        (up_to, up_to, true)
    };
    if is_gone(after, head, log.oldest) {
        return Ok(LogRead::Gone { oldest: log.oldest });
    }
    // `after` beyond the head: the client sees from `head` (and the zeros) that this relay went back.
    let sql = "SELECT running FROM log_entries WHERE log = $1 AND seq = $2 AND seq <= $3";
    let running = one(tx, sql, &[&log.n, &int(after), &int(head)]).await?;
    let running = running.map(|row| fixed(&row, 0)).transpose()?.unwrap_or_default();
    let mut page = LogPage { oldest: log.oldest, head, running, last_handshake, retired, entries: Vec::new() };
    let sql = "SELECT seq, entry_id, kind, blob FROM (
                   SELECT *, sum(length(blob)) OVER (ORDER BY seq) AS so_far FROM log_entries
                   WHERE log = $1 AND seq > $2 AND seq >= $3 AND seq <= $4 ORDER BY seq LIMIT $5
               ) page WHERE so_far <= $6 OR so_far = length(blob) ORDER BY seq";
    let (most, bytes) = (int(MAX_PAGE_ENTRIES as u64), int(MAX_PAGE_BYTES as u64));
    for row in all(tx, sql, &[&log.n, &int(after), &int(log.oldest), &int(head), &most, &bytes]).await? {
        page.entries.push(LogEntry {
            seq: count(&row, 0)?,
            entry_id: EnvelopeId::from_bytes(fixed(&row, 1)?),
            kind: kind_of(&row, 2)?,
            blob: get(&row, 3)?,
        });
    }
    Ok(LogRead::Page(page))
}

/// How far logs and inboxes are, for those who may know.
pub(super) async fn heads(tx: &Transaction<'_>, watched: &Watched) -> Result<Heads> {
    let ids: Vec<&[u8]> = watched.logs.iter().map(|(log, _)| log.as_bytes().as_slice()).collect();
    let hashes: Vec<&[u8]> = watched.logs.iter().map(|(_, hash)| hash.as_slice()).collect();
    let sql = "SELECT l.head FROM unnest($1::bytea[], $2::bytea[]) WITH ORDINALITY AS asked (id, hash, place)
               LEFT JOIN logs l ON l.id = asked.id AND l.read_hash = asked.hash ORDER BY place";
    let logs = if ids.is_empty() { Vec::new() } else { all(tx, sql, &[&ids, &hashes]).await? };
    let devices: Vec<&[u8]> = watched.inboxes.iter().map(|device| device.as_bytes().as_slice()).collect();
    let sql = "SELECT d.inbox_head, d.relay_auth FROM unnest($1::bytea[]) WITH ORDINALITY AS asked (id, place)
               LEFT JOIN devices d ON d.id = asked.id ORDER BY place";
    let inboxes = if devices.is_empty() { Vec::new() } else { all(tx, sql, &[&devices]).await? };
    let head = |row: &Row| {
        let head: Option<i64> = get(row, 0)?;
        head.map(|head| u64::try_from(head).map_err(|_| Fault::Damaged)).transpose()
    };
    let in_force = |row: &Row| match head(row)? {
        Some(head) => Ok(Some(InForce { head, relay_auth: fixed(row, 1)? })),
        None => Ok(None),
    };
    Ok(Heads {
        logs: logs.iter().map(head).collect::<Result<_>>()?,
        inboxes: inboxes.iter().map(in_force).collect::<Result<_>>()?,
    })
}

/// A stored kind; anything else is damage.
pub(super) fn kind_of(row: &Row, column: usize) -> Result<EnvelopeKind> {
    let byte = u8::try_from(get::<i16>(row, column)?).map_err(|_| Fault::Damaged)?;
    EnvelopeKind::from_byte(byte).map_err(|_| Fault::Damaged)
}
