//! Inboxes: one queue for each device, emptied by its acknowledgements.

use rusqlite::{Connection, OptionalExtension as _, Result, params};
use waxwing_wire::frame::{InboxEntry, InboxPage};
use waxwing_wire::limits::{MAX_PAGE_BYTES, MAX_PAGE_ENTRIES};
use waxwing_wire::{DeviceId, EnvelopeId};

use super::super::rules::{InboxUse, NOBODY, REMEMBER_IDS_DAYS, STRANGER, inbox_takes};
use super::super::{Admission, Delivered, Delivery, OVERHEAD};
use super::logs::kind_of;
use super::{int, nat, operator};
use crate::config::Quotas;
use crate::hub::Wake;

/// Puts an envelope into an inbox. An unknown device and a sender who is not admitted look alike.
pub(super) fn deliver(
    db: &Connection,
    delivery: &Delivery,
    quotas: &Quotas,
    today: i64,
) -> Result<(Delivered, Option<Wake>)> {
    let refused = |delivered| Ok((delivered, None));
    let device: Option<(i64, i64, i64)> = db
        .prepare_cached("SELECT n, account, inbox_head FROM devices WHERE id = ?1")?
        .query_row(params![delivery.device.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    // One way for both (P15): whether nobody's inbox or somebody else's is meant shows neither in the answer nor in what is done for it.
    let (device, account, inbox_head) = device.unwrap_or((NOBODY, NOBODY, 0));
    let Some(source) = source(db, account, delivery.admission)? else { return refused(Delivered::Refused) };
    let send = &delivery.send;
    let known: Option<(i64, [u8; 32])> = db
        .prepare_cached("SELECT seq, digest FROM inbox_ids WHERE device = ?1 AND entry_id = ?2")?
        .query_row(params![device, send.entry_id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if let Some((seq, digest)) = known {
        let same = digest == delivery.digest;
        return refused(if same { Delivered::Stored { seq: nat(seq) } } else { Delivered::IdReused });
    }
    let size = send.blob.len() as u64 + OVERHEAD;
    // As the operator has set them for this account, if at all.
    let quotas = operator::quotas(db, account)?.over(*quotas);
    if !fits(db, device, source, size, &quotas)? {
        return refused(Delivered::QuotaExceeded);
    }
    let seq = inbox_head + 1;
    db.prepare_cached("UPDATE devices SET inbox_head = ?2 WHERE n = ?1")?.execute(params![device, seq])?;
    db.prepare_cached(
        "INSERT INTO inbox_entries (device, seq, entry_id, kind, source, size, day, blob) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![device, seq, send.entry_id.as_bytes(), send.kind as u8, source, int(size), today, send.blob])?;
    db.prepare_cached("INSERT INTO inbox_ids (device, entry_id, digest, seq, day) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![device, send.entry_id.as_bytes(), delivery.digest, seq, today])?;
    db.prepare_cached(
        "INSERT INTO inbox_usage (device, source, bytes) VALUES (?1, ?2, ?3)
         ON CONFLICT (device, source) DO UPDATE SET bytes = bytes + excluded.bytes",
    )?
    .execute(params![device, source, int(size)])?;
    let head = nat(seq);
    Ok((Delivered::Stored { seq: head }, Some(Wake::Inbox { device: delivery.device, head })))
}

/// Who is counted: a number for the access key, or all strangers together; none if not admitted, as a stranger is not to an account that only its
/// access keys find.
pub(super) fn source(db: &Connection, account: i64, admission: Admission) -> Result<Option<i64>> {
    match admission {
        Admission::Stranger => {
            let named = db
                .prepare_cached("SELECT 1 FROM accounts WHERE n = ?1 AND name IS NOT NULL")?
                .exists(params![account])?;
            Ok(named.then_some(STRANGER))
        }
        Admission::AccessKey(hash) => db
            .prepare_cached("SELECT n FROM access_keys WHERE account = ?1 AND hash = ?2")?
            .query_row(params![account, hash], |row| row.get(0))
            .optional(),
    }
}

fn fits(db: &Connection, device: i64, source: i64, size: u64, quotas: &Quotas) -> Result<bool> {
    let (own, keys): (i64, i64) = db
        .prepare_cached(
            "SELECT coalesce(sum(bytes) FILTER (WHERE source = ?2), 0), coalesce(sum(bytes) FILTER (WHERE source <> 0), 0)
             FROM inbox_usage WHERE device = ?1",
        )?
        .query_row(params![device, source], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(inbox_takes(InboxUse { own: nat(own), keys: nat(keys) }, source == STRANGER, size, quotas))
}

/// Reads a page of an inbox; none if there is no such device.
pub(super) fn read(db: &Connection, device: DeviceId, after: u64) -> Result<Option<InboxPage>> {
    let found: Option<(i64, i64)> = db
        .prepare_cached("SELECT n, inbox_head FROM devices WHERE id = ?1")?
        .query_row(params![device.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((device, head)) = found else { return Ok(None) };
    let mut page = InboxPage { head: nat(head), entries: Vec::new() };
    let mut statement = db.prepare_cached(
        "SELECT seq, entry_id, kind, blob FROM inbox_entries WHERE device = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
    )?;
    let mut rows = statement.query(params![device, int(after), int(MAX_PAGE_ENTRIES as u64)])?;
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let blob: Vec<u8> = row.get(3)?;
        bytes += blob.len();
        if bytes > MAX_PAGE_BYTES && !page.entries.is_empty() {
            break;
        }
        page.entries.push(InboxEntry {
            seq: nat(row.get(0)?),
            entry_id: EnvelopeId::from_bytes(row.get(1)?),
            kind: kind_of(row.get(2)?)?,
            blob,
        });
    }
    Ok(Some(page))
}

/// Removes what is done with, and forgets ids that are old on `day`. Acknowledging twice, or an old seq, changes nothing.
pub(super) fn acknowledge(db: &Connection, device: DeviceId, up_to: u64, day: i64) -> Result<()> {
    let found: Option<i64> = db
        .prepare_cached("SELECT n FROM devices WHERE id = ?1")?
        .query_row(params![device.as_bytes()], |row| row.get(0))
        .optional()?;
    let Some(device) = found else { return Ok(()) };
    db.prepare_cached(
        "UPDATE inbox_usage SET bytes = bytes - (
             SELECT coalesce(sum(size), 0) FROM inbox_entries
             WHERE inbox_entries.device = inbox_usage.device AND inbox_entries.source = inbox_usage.source AND seq <= ?2
         ) WHERE device = ?1",
    )?
    .execute(params![device, int(up_to)])?;
    db.prepare_cached("DELETE FROM inbox_usage WHERE device = ?1 AND bytes <= 0")?.execute(params![device])?;
    db.prepare_cached("DELETE FROM inbox_entries WHERE device = ?1 AND seq <= ?2")?
        .execute(params![device, int(up_to)])?;
    db.prepare_cached("DELETE FROM inbox_ids WHERE device = ?1 AND seq <= ?2 AND day < ?3")?.execute(params![
        device,
        int(up_to),
        day.saturating_sub(REMEMBER_IDS_DAYS)
    ])?;
    Ok(())
}
