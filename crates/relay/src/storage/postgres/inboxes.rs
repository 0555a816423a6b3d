//! Inboxes: envelopes for a device until it acknowledges them, with an allowance for each kind of sender. Under the device's row.

use deadpool_postgres::Transaction;
use futures_util::future::try_join;
use waxwing_wire::frame::{InboxEntry, InboxPage};
use waxwing_wire::limits::{MAX_PAGE_BYTES, MAX_PAGE_ENTRIES};
use waxwing_wire::{DeviceId, EnvelopeId};

use super::super::rules::{InboxUse, NOBODY, REMEMBER_IDS_DAYS, STRANGER, inbox_takes};
use super::super::{Admission, Delivered, Delivery, OVERHEAD};
use super::fault::{Fault, Result};
use super::logs::kind_of;
use super::query::{all, count, execute, exists, fixed, get, int, one};
use super::{Context, devices, operator};
use crate::hub::Wake;

/// Puts an envelope into an inbox. An unknown device and a sender who is not admitted look alike.
pub(super) async fn deliver(
    tx: &Transaction<'_>,
    delivery: &Delivery,
    context: &Context,
) -> Result<(Delivered, Option<Wake>)> {
    let refused = |delivered| Ok((delivered, None));
    let sql = "SELECT n, account FROM devices WHERE id = $1";
    // One way for both (P15): whether nobody's inbox or somebody else's is meant shows neither in the answer nor in what is done for it.
    let (device, account): (i64, i64) = match one(tx, sql, &[&delivery.device.as_bytes().as_slice()]).await? {
        Some(row) => (get(&row, 0)?, get(&row, 1)?),
        None => (NOBODY, NOBODY),
    };
    let Some(source) = source(tx, account, delivery.admission).await? else { return refused(Delivered::Refused) };
    // Only now: a lock is written, and the commit then waits for the disk, as that of nobody's inbox never does.
    let sql = "SELECT inbox_head FROM devices WHERE n = $1 FOR NO KEY UPDATE";
    let Some(row) = one(tx, sql, &[&device]).await? else { return refused(Delivered::Refused) };
    let inbox_head: i64 = get(&row, 0)?;
    let send = &delivery.send;
    let sql = "SELECT seq, digest FROM inbox_ids WHERE device = $1 AND entry_id = $2";
    if let Some(row) = one(tx, sql, &[&device, &send.entry_id.as_bytes().as_slice()]).await? {
        let same = fixed::<32>(&row, 1)? == delivery.digest;
        return refused(if same { Delivered::Stored { seq: count(&row, 0)? } } else { Delivered::IdReused });
    }
    let size = send.blob.len() as u64 + OVERHEAD;
    // As the operator has set them for this account, if at all.
    let (used, set) = try_join(used(tx, device, source), operator::quotas(tx, account)).await?;
    if !inbox_takes(used, source == STRANGER, size, &set.over(context.quotas.now())) {
        return refused(Delivered::QuotaExceeded);
    }
    let (seq, today) = (inbox_head + 1, context.calendar.today());
    execute(tx, "UPDATE devices SET inbox_head = $2 WHERE n = $1", &[&device, &seq]).await?;
    let (id, kind) = (send.entry_id.as_bytes().as_slice(), i16::from(send.kind as u8));
    let sql = "INSERT INTO inbox_entries (device, seq, entry_id, kind, source, size, day, blob)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    execute(tx, sql, &[&device, &seq, &id, &kind, &source, &int(size), &today, &send.blob]).await?;
    let sql = "INSERT INTO inbox_ids (device, entry_id, digest, seq, day) VALUES ($1, $2, $3, $4, $5)";
    execute(tx, sql, &[&device, &id, &delivery.digest.as_slice(), &seq, &today]).await?;
    let sql = "INSERT INTO inbox_usage AS u (device, source, bytes) VALUES ($1, $2, $3)
               ON CONFLICT (device, source) DO UPDATE SET bytes = u.bytes + excluded.bytes";
    execute(tx, sql, &[&device, &source, &int(size)]).await?;
    let head = u64::try_from(seq).map_err(|_| Fault::Damaged)?;
    Ok((Delivered::Stored { seq: head }, Some(Wake::Inbox { device: delivery.device, head })))
}

/// Who is counted: a number for the access key, or all strangers together; none if not admitted, as a stranger is not to an account that only its
/// access keys find.
pub(super) async fn source(tx: &Transaction<'_>, account: i64, admission: Admission) -> Result<Option<i64>> {
    match admission {
        Admission::Stranger => {
            let sql = "SELECT 1 FROM accounts WHERE n = $1 AND name IS NOT NULL";
            Ok(exists(tx, sql, &[&account]).await?.then_some(STRANGER))
        }
        Admission::AccessKey(hash) => {
            let sql = "SELECT n FROM access_keys WHERE account = $1 AND hash = $2";
            one(tx, sql, &[&account, &hash.as_slice()]).await?.map(|row| get(&row, 0)).transpose()
        }
    }
}

async fn used(tx: &Transaction<'_>, device: i64, source: i64) -> Result<InboxUse> {
    let sql = "SELECT coalesce(sum(bytes) FILTER (WHERE source = $2), 0)::bigint,
                      coalesce(sum(bytes) FILTER (WHERE source <> 0), 0)::bigint
               FROM inbox_usage WHERE device = $1";
    let row = one(tx, sql, &[&device, &source]).await?.ok_or(Fault::Damaged)?;
    Ok(InboxUse { own: count(&row, 0)?, keys: count(&row, 1)? })
}

/// Reads a page of an inbox; none if there is no such device.
pub(super) async fn read(tx: &Transaction<'_>, device: DeviceId, after: u64) -> Result<Option<InboxPage>> {
    let sql = "SELECT n, inbox_head FROM devices WHERE id = $1";
    let Some(row) = one(tx, sql, &[&device.as_bytes().as_slice()]).await? else { return Ok(None) };
    let mut page = InboxPage { head: count(&row, 1)?, entries: Vec::new() };
    // What is left out for its size is not sent by PostgreSQL either.
    let sql = "SELECT seq, entry_id, kind, blob FROM (
                   SELECT *, sum(length(blob)) OVER (ORDER BY seq) AS so_far FROM inbox_entries
                   WHERE device = $1 AND seq > $2 ORDER BY seq LIMIT $3
               ) page WHERE so_far <= $4 OR so_far = length(blob) ORDER BY seq";
    let n: i64 = get(&row, 0)?;
    let (most, bytes) = (int(MAX_PAGE_ENTRIES as u64), int(MAX_PAGE_BYTES as u64));
    for row in all(tx, sql, &[&n, &int(after), &most, &bytes]).await? {
        page.entries.push(InboxEntry {
            seq: count(&row, 0)?,
            entry_id: EnvelopeId::from_bytes(fixed(&row, 1)?),
            kind: kind_of(&row, 2)?,
            blob: get(&row, 3)?,
        });
    }
    Ok(Some(page))
}

/// Removes what is done with, and forgets ids that are old on `day`. Acknowledging twice, or an old seq, changes nothing.
pub(super) async fn acknowledge(tx: &Transaction<'_>, device: DeviceId, up_to: u64, day: i64) -> Result<()> {
    let Some(device) = devices::lock(tx, device).await? else { return Ok(()) };
    let up_to = int(up_to);
    let sql = "WITH gone AS (DELETE FROM inbox_entries WHERE device = $1 AND seq <= $2 RETURNING source, size),
                    sums AS (SELECT source, sum(size)::bigint AS size FROM gone GROUP BY source)
               UPDATE inbox_usage u SET bytes = u.bytes - sums.size FROM sums WHERE u.device = $1 AND u.source = sums.source";
    execute(tx, sql, &[&device, &up_to]).await?;
    execute(tx, "DELETE FROM inbox_usage WHERE device = $1 AND bytes <= 0", &[&device]).await?;
    let sql = "DELETE FROM inbox_ids WHERE device = $1 AND seq <= $2 AND day < $3";
    execute(tx, sql, &[&device, &up_to, &day.saturating_sub(REMEMBER_IDS_DAYS)]).await.map(drop)
}
