//! Envelopes on their way to inboxes: Welcomes, notices, requests. Survive a crash; sent byte for byte until they have arrived.

use rusqlite::{OptionalExtension as _, Transaction, params};
use waxwing_protocol::AccessKey;
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{AccountId, DeviceId, EnvelopeId, RelayAddress};

use super::account::text;
use super::bytes;
use super::conversations::ConversationId;
use crate::error::Error;

/// One envelope for one device's inbox.
pub(crate) struct Delivery {
    pub(crate) entry_id: EnvelopeId,
    pub(crate) kind: EnvelopeKind,
    pub(crate) conversation: ConversationId,
    pub(crate) account: AccountId,
    pub(crate) device: DeviceId,
    pub(crate) relay: RelayAddress,
    pub(crate) blob: Vec<u8>,
    /// What admits it, where that is not the contact's key: the key of a link into a group.
    pub(crate) link: Option<AccessKey>,
}

pub(crate) fn push(tx: &Transaction<'_>, delivery: &Delivery) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO deliveries (entry_id, kind, conversation, account, device, relay, blob, access_key)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            delivery.entry_id.as_bytes(),
            delivery.kind as u8,
            delivery.conversation,
            delivery.account.as_bytes(),
            delivery.device.as_bytes(),
            delivery.relay.to_string(),
            delivery.blob,
            delivery.link.as_ref().map(|key| *key.as_bytes()),
        ],
    )?;
    Ok(())
}

/// What is on its way to which relay, oldest first.
pub(crate) fn waiting(tx: &Transaction<'_>) -> Result<Vec<(RelayAddress, EnvelopeId)>, Error> {
    let mut statement = tx.prepare_cached("SELECT relay, entry_id FROM deliveries ORDER BY rowid")?;
    let rows =
        statement.query_map([], |row| Ok((text(row, "relay")?, EnvelopeId::from_bytes(bytes(row, "entry_id")?))))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// One of them, if it still is.
pub(crate) fn load(tx: &Transaction<'_>, entry_id: EnvelopeId) -> Result<Option<Delivery>, Error> {
    let mut statement = tx.prepare_cached("SELECT * FROM deliveries WHERE entry_id = ?1")?;
    let row = statement.query_row([entry_id.as_bytes()], |row| {
        Ok(Delivery {
            entry_id,
            kind: EnvelopeKind::from_byte(row.get("kind")?)
                .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(1, 0))?,
            conversation: bytes(row, "conversation")?,
            account: AccountId::from_bytes(bytes(row, "account")?),
            device: DeviceId::from_bytes(bytes(row, "device")?),
            relay: text(row, "relay")?,
            blob: row.get("blob")?,
            link: row.get::<_, Option<[u8; 16]>>("access_key")?.as_ref().map(AccessKey::from_bytes),
        })
    });
    Ok(row.optional()?)
}

/// Notes since when each is on its way, and that there may be a way by now to whoever has told a key.
pub(crate) fn date(tx: &Transaction<'_>, now_ms: u64) -> Result<(), Error> {
    tx.execute("UPDATE deliveries SET at_ms = ?1 WHERE at_ms = 0", [now_ms])?;
    tx.execute(
        "UPDATE deliveries SET no_way = 0
         WHERE no_way = 1 AND account IN (SELECT account FROM contacts WHERE access_key IS NOT NULL)",
        [],
    )?;
    Ok(())
}

/// Notices and requests to be let back in that are on their way since before a time go no further.
pub(crate) fn expire(tx: &Transaction<'_>, before_ms: u64) -> Result<(), Error> {
    tx.execute(
        "DELETE FROM deliveries WHERE at_ms BETWEEN 1 AND ?1 AND kind <> ?2 AND access_key IS NULL",
        params![before_ms, EnvelopeKind::Welcome as u8],
    )?;
    Ok(())
}

/// Nobody knows how to reach whom it is for: it is kept, and is nothing that could be sent now.
pub(crate) fn set_no_way(tx: &Transaction<'_>, entry_id: EnvelopeId) -> Result<(), Error> {
    tx.execute("UPDATE deliveries SET no_way = 1 WHERE entry_id = ?1", [entry_id.as_bytes()])?;
    Ok(())
}

pub(crate) fn remove(tx: &Transaction<'_>, entry_id: EnvelopeId) -> Result<(), Error> {
    tx.execute("DELETE FROM deliveries WHERE entry_id = ?1", [entry_id.as_bytes()])?;
    Ok(())
}

/// What is on its way with a link into this conversation goes no further.
pub(crate) fn remove_asking(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<(), Error> {
    tx.execute("DELETE FROM deliveries WHERE conversation = ?1 AND access_key IS NOT NULL", [conversation])?;
    Ok(())
}

/// Welcomes to this conversation that have not arrived yet go no further.
pub(crate) fn remove_welcomes(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<(), Error> {
    tx.execute(
        "DELETE FROM deliveries WHERE conversation = ?1 AND kind = ?2",
        params![conversation, EnvelopeKind::Welcome as u8],
    )?;
    Ok(())
}

/// Whether a Welcome to this conversation has not arrived yet.
pub(crate) fn welcoming(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<bool, Error> {
    Ok(tx
        .prepare_cached("SELECT 1 FROM deliveries WHERE conversation = ?1 AND kind = ?2")?
        .exists(params![conversation, EnvelopeKind::Welcome as u8])?)
}
