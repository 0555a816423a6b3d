//! For whom own envelopes in logs were sealed: should a key have been a stale one, what they carried is said again.

use std::collections::HashSet;

use rusqlite::{OptionalExtension as _, Transaction, params};
use waxwing_wire::{AccountId, DeviceId, EnvelopeId, LogId, MessageId, Reader, Writer};

use super::conversations::ConversationId;
use crate::error::{Error, ErrorCode};

/// As long as the relay keeps entries for whoever has not read them.
const KEPT_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// In the place of a version: there is no wrap for that device.
pub(crate) const NO_WRAP: u32 = 0;

/// One envelope.
pub(crate) struct SealedFor {
    /// The text's id; none where it was something else.
    pub(crate) message: Option<MessageId>,
    /// Each device with the version of its keys; [`NO_WRAP`] where it was meant for a device whose keys could not be had.
    pub(crate) recipients: Vec<(DeviceId, u32)>,
}

/// Notes an envelope; those that are too old are forgotten.
pub(crate) fn note(tx: &Transaction<'_>, envelope: EnvelopeId, sealed: &SealedFor, now_ms: u64) -> Result<(), Error> {
    tx.prepare_cached("DELETE FROM sealed_for WHERE at_ms < ?1")?.execute([now_ms.saturating_sub(KEPT_MS)])?;
    let mut recipients = Writer::new();
    for (device, key_version) in &sealed.recipients {
        recipients.bytes(device.as_bytes()).u32(*key_version);
    }
    tx.prepare_cached(
        "INSERT OR REPLACE INTO sealed_for (envelope, message, recipients, at_ms) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![
        envelope.as_bytes(),
        sealed.message.as_ref().map(MessageId::as_bytes),
        recipients.finish(),
        now_ms
    ])?;
    Ok(())
}

/// What is known of an envelope that was not said again.
pub(crate) fn to_say_again(tx: &Transaction<'_>, envelope: EnvelopeId) -> Result<Option<SealedFor>, Error> {
    let again: Option<bool> = tx
        .prepare_cached("SELECT said_again FROM sealed_for WHERE envelope = ?1")?
        .query_row([envelope.as_bytes()], |row| row.get(0))
        .optional()?;
    if again == Some(false) { load(tx, envelope) } else { Ok(None) }
}

/// What is known of an envelope.
fn load(tx: &Transaction<'_>, envelope: EnvelopeId) -> Result<Option<SealedFor>, Error> {
    let row: Option<(Option<[u8; 16]>, Vec<u8>)> = tx
        .prepare_cached("SELECT message, recipients FROM sealed_for WHERE envelope = ?1")?
        .query_row([envelope.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((message, bytes)) = row else { return Ok(None) };
    let damaged = |_| Error::new(ErrorCode::DatabaseDamaged, "an envelope's recipients cannot be read");
    let mut reader = Reader::new(&bytes);
    let mut recipients = Vec::with_capacity(bytes.len() / 20);
    for _ in 0..bytes.len() / 20 {
        let device = DeviceId::from_bytes(reader.array("device id").map_err(damaged)?);
        recipients.push((device, reader.u32("key version").map_err(damaged)?));
    }
    Ok(Some(SealedFor { message: message.map(MessageId::from_bytes), recipients }))
}

/// Own texts in a conversation that were sealed since a time, with the devices that they were for; the oldest first, at most `most`.
pub(crate) fn texts_since(
    tx: &Transaction<'_>,
    conversation: &ConversationId,
    since_ms: u64,
    most: u32,
) -> Result<Vec<(MessageId, HashSet<DeviceId>)>, Error> {
    let mut statement = tx.prepare_cached(
        "SELECT envelope FROM sealed_for WHERE at_ms >= ?2 AND message IN
             (SELECT id FROM messages WHERE conversation = ?1 AND mine = 1 AND notice IS NULL)
         ORDER BY at_ms DESC LIMIT ?3",
    )?;
    let found: Vec<[u8; 16]> = statement
        .query_map(params![conversation, since_ms, most], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut texts = Vec::with_capacity(found.len());
    for envelope in found.into_iter().rev() {
        let Some(sealed) = load(tx, EnvelopeId::from_bytes(envelope))? else { continue };
        let devices = sealed.recipients.iter().map(|(device, _)| *device).collect();
        texts.extend(sealed.message.map(|message| (message, devices)));
    }
    Ok(texts)
}

/// Every device that a text was sealed for by now; none if that is not known any more.
pub(crate) fn devices_of(tx: &Transaction<'_>, message: MessageId) -> Result<Option<HashSet<DeviceId>>, Error> {
    let envelopes: Vec<[u8; 16]> = tx
        .prepare_cached("SELECT envelope FROM sealed_for WHERE message = ?1")?
        .query_map([message.as_bytes()], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut devices = HashSet::new();
    for envelope in envelopes {
        let sealed = load(tx, EnvelopeId::from_bytes(envelope))?;
        devices.extend(sealed.into_iter().flat_map(|sealed| sealed.recipients).map(|(device, _)| device));
    }
    Ok((!devices.is_empty()).then_some(devices))
}

/// A device gets no wrap of a change of a log's group: until it is let back in, it can read nothing that is said there.
pub(crate) fn is_out_of_step(tx: &Transaction<'_>, log: LogId, device: DeviceId) -> Result<(), Error> {
    tx.execute(
        "INSERT OR IGNORE INTO out_of_step (log, device) VALUES (?1, ?2)",
        params![log.as_bytes(), device.as_bytes()],
    )?;
    Ok(())
}

/// Whether it is out of step there.
pub(crate) fn is_out_of_step_in(tx: &Transaction<'_>, log: LogId, device: DeviceId) -> Result<bool, Error> {
    Ok(tx
        .prepare_cached("SELECT 1 FROM out_of_step WHERE log = ?1 AND device = ?2")?
        .exists(params![log.as_bytes(), device.as_bytes()])?)
}

/// It is in step again.
pub(crate) fn is_in_step(tx: &Transaction<'_>, log: LogId, device: DeviceId) -> Result<(), Error> {
    tx.execute("DELETE FROM out_of_step WHERE log = ?1 AND device = ?2", params![log.as_bytes(), device.as_bytes()])?;
    Ok(())
}

/// Devices that are out of step in a log.
pub(crate) fn out_of_step(tx: &Transaction<'_>, log: LogId) -> Result<HashSet<DeviceId>, Error> {
    let mut statement = tx.prepare_cached("SELECT device FROM out_of_step WHERE log = ?1")?;
    let rows = statement.query_map([log.as_bytes()], |row| row.get(0).map(DeviceId::from_bytes))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// A device gets no wrap for now.
pub(crate) fn miss(tx: &Transaction<'_>, account: AccountId, device: DeviceId) -> Result<(), Error> {
    tx.prepare_cached("INSERT OR IGNORE INTO without_wrap (device, account) VALUES (?1, ?2)")?
        .execute(params![device.as_bytes(), account.as_bytes()])?;
    Ok(())
}

/// Every device that got none.
pub(crate) fn missed(tx: &Transaction<'_>) -> Result<Vec<(AccountId, DeviceId)>, Error> {
    let mut statement = tx.prepare_cached("SELECT account, device FROM without_wrap ORDER BY account, device")?;
    let rows =
        statement.query_map([], |row| Ok((AccountId::from_bytes(row.get(0)?), DeviceId::from_bytes(row.get(1)?))))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// A device is not waited for any more.
pub(crate) fn miss_no_more(tx: &Transaction<'_>, device: DeviceId) -> Result<(), Error> {
    tx.execute("DELETE FROM without_wrap WHERE device = ?1", [device.as_bytes()])?;
    Ok(())
}

/// Envelopes with own texts that have no wrap for a device, the oldest first, each with the conversation.
pub(crate) fn without(tx: &Transaction<'_>, device: DeviceId) -> Result<Vec<(EnvelopeId, ConversationId)>, Error> {
    let mut recipient = Writer::new();
    recipient.bytes(device.as_bytes()).u32(NO_WRAP);
    let mut statement = tx.prepare_cached(
        "SELECT sealed_for.envelope, messages.conversation FROM sealed_for
             JOIN messages ON messages.id = sealed_for.message AND messages.mine = 1 AND messages.notice IS NULL
         WHERE instr(sealed_for.recipients, ?1) > 0 ORDER BY sealed_for.at_ms",
    )?;
    let rows =
        statement.query_map([recipient.finish()], |row| Ok((EnvelopeId::from_bytes(row.get(0)?), row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// For which devices an envelope was sealed.
#[cfg(test)]
pub(crate) fn devices_of_envelope(tx: &Transaction<'_>, envelope: EnvelopeId) -> Result<Vec<DeviceId>, Error> {
    let sealed = load(tx, envelope)?;
    Ok(sealed.into_iter().flat_map(|sealed| sealed.recipients).map(|(device, _)| device).collect())
}

/// It is said again, once; for whom it was stays known, since it goes to nobody else.
pub(crate) fn is_said_again(tx: &Transaction<'_>, envelope: EnvelopeId) -> Result<(), Error> {
    tx.execute("UPDATE sealed_for SET said_again = 1 WHERE envelope = ?1", [envelope.as_bytes()])?;
    Ok(())
}
