//! What is on its way out: contents for logs, and introductions for inboxes. Survives a crash at any point.

use rusqlite::{OptionalExtension as _, Row, Transaction, params};
use waxwing_wire::{AccountId, DeviceId, EnvelopeId, LogId, MessageId, RelayAddress};
use zeroize::Zeroizing;

use super::account::text;
use super::bytes;
use super::conversations::ConversationId;
use crate::error::Error;

/// One content to send.
pub(crate) struct Item {
    pub(crate) n: i64,
    pub(crate) conversation: ConversationId,
    pub(crate) message: Option<MessageId>,
    pub(crate) content: Zeroizing<Vec<u8>>,
    /// The envelope, once sealed.
    pub(crate) sealed: Option<Sealed>,
}

/// A sealed envelope: retried byte for byte.
pub(crate) struct Sealed {
    pub(crate) log: LogId,
    pub(crate) entry_id: EnvelopeId,
    pub(crate) after: u64,
    pub(crate) blob: Vec<u8>,
}

/// One first contact to put into one device's inbox.
pub(crate) struct Introduction {
    pub(crate) entry_id: EnvelopeId,
    pub(crate) account: AccountId,
    pub(crate) device: DeviceId,
    pub(crate) relay: RelayAddress,
    pub(crate) log: LogId,
    pub(crate) blob: Vec<u8>,
}

pub(crate) fn push(
    tx: &Transaction<'_>,
    conversation: &ConversationId,
    message: Option<MessageId>,
    content: &[u8],
) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO outbox (conversation, message, content) VALUES (?1, ?2, ?3)",
        params![conversation, message.as_ref().map(|id| *id.as_bytes()), content],
    )?;
    Ok(())
}

/// The oldest item of each conversation that has one.
pub(crate) fn heads(tx: &Transaction<'_>) -> Result<Vec<Item>, Error> {
    let mut statement = tx.prepare_cached(
        "SELECT * FROM outbox WHERE n IN (SELECT min(n) FROM outbox GROUP BY conversation) ORDER BY n",
    )?;
    let rows = statement.query_map([], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Stores the sealed envelope before it is sent.
pub(crate) fn set_sealed(tx: &Transaction<'_>, n: i64, sealed: &Sealed) -> Result<(), Error> {
    tx.execute(
        "UPDATE outbox SET log = ?2, entry_id = ?3, after = ?4, blob = ?5 WHERE n = ?1",
        params![n, sealed.log.as_bytes(), sealed.entry_id.as_bytes(), sealed.after, sealed.blob],
    )?;
    Ok(())
}

/// Forgets sealed envelopes (all, or one item's): they are sealed again under a new id. A message that went out twice is
/// shown once, by its message id.
pub(crate) fn unseal(tx: &Transaction<'_>, n: Option<i64>) -> Result<(), Error> {
    tx.execute(
        "UPDATE outbox SET log = NULL, entry_id = NULL, after = NULL, blob = NULL WHERE ?1 IS NULL OR n = ?1",
        [n],
    )?;
    Ok(())
}

/// The item is done with. False if it was gone already.
pub(crate) fn remove(tx: &Transaction<'_>, n: i64) -> Result<bool, Error> {
    Ok(tx.execute("DELETE FROM outbox WHERE n = ?1", [n])? == 1)
}

/// Removes what is on its way for a message.
pub(crate) fn remove_message(tx: &Transaction<'_>, message: MessageId) -> Result<(), Error> {
    tx.execute("DELETE FROM outbox WHERE message = ?1", [message.as_bytes()])?;
    Ok(())
}

pub(crate) fn is_empty(tx: &Transaction<'_>) -> Result<bool, Error> {
    Ok(!tx.prepare_cached("SELECT 1 FROM outbox UNION ALL SELECT 1 FROM introductions")?.exists([])?)
}

pub(crate) fn push_introduction(tx: &Transaction<'_>, introduction: &Introduction) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO introductions (entry_id, account, device, relay, log, blob) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            introduction.entry_id.as_bytes(),
            introduction.account.as_bytes(),
            introduction.device.as_bytes(),
            introduction.relay.to_string(),
            introduction.log.as_bytes(),
            introduction.blob,
        ],
    )?;
    Ok(())
}

pub(crate) fn introductions(tx: &Transaction<'_>) -> Result<Vec<Introduction>, Error> {
    let mut statement = tx.prepare_cached("SELECT * FROM introductions ORDER BY entry_id")?;
    let rows = statement.query_map([], |row| {
        Ok(Introduction {
            entry_id: EnvelopeId::from_bytes(bytes(row, "entry_id")?),
            account: AccountId::from_bytes(bytes(row, "account")?),
            device: DeviceId::from_bytes(bytes(row, "device")?),
            relay: text(row, "relay")?,
            log: LogId::from_bytes(bytes(row, "log")?),
            blob: row.get("blob")?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Forgets introductions to a log that have not been sent: newer ones take their place.
pub(crate) fn remove_introductions(tx: &Transaction<'_>, log: LogId) -> Result<(), Error> {
    tx.execute("DELETE FROM introductions WHERE log = ?1", [log.as_bytes()])?;
    Ok(())
}

/// Whether an introduction to this conversation has not arrived yet.
pub(crate) fn introducing(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<bool, Error> {
    Ok(tx
        .prepare_cached("SELECT 1 FROM introductions WHERE log IN (SELECT log FROM logs WHERE conversation = ?1)")?
        .exists([conversation])?)
}

pub(crate) fn remove_introduction(tx: &Transaction<'_>, entry_id: EnvelopeId) -> Result<(), Error> {
    tx.execute("DELETE FROM introductions WHERE entry_id = ?1", [entry_id.as_bytes()])?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Item> {
    let message: Option<[u8; 16]> = row.get("message")?;
    let blob: Option<Vec<u8>> = row.get("blob")?;
    let sealed = match blob {
        None => None,
        Some(blob) => Some(Sealed {
            log: LogId::from_bytes(bytes(row, "log")?),
            entry_id: EnvelopeId::from_bytes(bytes(row, "entry_id")?),
            after: row.get("after")?,
            blob,
        }),
    };
    Ok(Item {
        n: row.get("n")?,
        conversation: bytes(row, "conversation")?,
        message: message.map(MessageId::from_bytes),
        content: Zeroizing::new(row.get("content")?),
        sealed,
    })
}

/// Whether an item is still to be sent (the user may have deleted it meanwhile).
pub(crate) fn exists(tx: &Transaction<'_>, n: i64) -> Result<bool, Error> {
    Ok(tx.query_row("SELECT 1 FROM outbox WHERE n = ?1", [n], |_| Ok(())).optional()?.is_some())
}
