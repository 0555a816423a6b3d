//! People one talks with.

use rusqlite::{OptionalExtension as _, Row, Transaction, params};
use waxwing_protocol::AccessKey;
use waxwing_wire::{AccountId, RelayAddress, Username};

use super::account::text;
use super::bytes;
use crate::error::Error;
use crate::views::Trust;

/// A contact as stored; the chain is in `keys`.
#[derive(Clone)]
pub(crate) struct Contact {
    pub(crate) account: AccountId,
    pub(crate) name: Username,
    pub(crate) relay: RelayAddress,
    pub(crate) display_name: String,
    pub(crate) trust: Trust,
    /// Admits this device to their inboxes.
    pub(crate) access_key: Option<AccessKey>,
    /// Whether the user has added or accepted them; others are merely in the same group, or ask.
    pub(crate) known: bool,
    /// Nothing of theirs is taken in.
    pub(crate) blocked: bool,
}

impl Contact {
    /// `name@host[:port]`
    pub(crate) fn address(&self) -> String {
        format!("{}@{}", self.name, self.relay.authority())
    }
}

/// Adds a contact, or what is newly known of one: trust only grows, an access key is not forgotten, the relay never changes.
pub(crate) fn upsert(tx: &Transaction<'_>, contact: &Contact) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO contacts (account, name, relay, display_name, trust, access_key, known, blocked)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0)
         ON CONFLICT (account) DO UPDATE SET
             display_name = CASE WHEN excluded.display_name = excluded.name THEN display_name ELSE excluded.display_name END,
             trust = max(trust, excluded.trust), access_key = coalesce(excluded.access_key, access_key),
             known = max(known, excluded.known)",
        params![
            contact.account.as_bytes(),
            contact.name.as_str(),
            contact.relay.to_string(),
            contact.display_name,
            i64::from(contact.trust == Trust::Invite),
            contact.access_key.as_ref().map(|key| *key.as_bytes()),
            contact.known,
        ],
    )?;
    Ok(())
}

/// Everybody whom the user has added or accepted.
pub(crate) fn known(tx: &Transaction<'_>) -> Result<Vec<Contact>, Error> {
    let mut statement = tx.prepare_cached(
        "SELECT * FROM contacts WHERE known = 1 AND blocked = 0 ORDER BY display_name COLLATE NOCASE, name",
    )?;
    let rows = statement.query_map([], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Everybody of whom anything is known, strangers in groups among them.
pub(crate) fn all(tx: &Transaction<'_>) -> Result<Vec<Contact>, Error> {
    let mut statement = tx.prepare_cached("SELECT * FROM contacts ORDER BY account")?;
    let rows = statement.query_map([], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The user has accepted them.
pub(crate) fn set_known(tx: &Transaction<'_>, account: AccountId) -> Result<(), Error> {
    tx.execute("UPDATE contacts SET known = 1 WHERE account = ?1", [account.as_bytes()])?;
    Ok(())
}

/// From now on nothing of theirs is taken in.
pub(crate) fn block(tx: &Transaction<'_>, account: AccountId, now_ms: u64) -> Result<(), Error> {
    let block =
        "UPDATE contacts SET blocked = 1, blocked_ms = ?2, decided_ms = max(?2, decided_ms + 1) WHERE account = ?1";
    tx.execute(block, params![account.as_bytes(), now_ms])?;
    Ok(())
}

/// Takes them in again.
pub(crate) fn unblock(tx: &Transaction<'_>, account: AccountId, now_ms: u64) -> Result<(), Error> {
    let unblock =
        "UPDATE contacts SET blocked = 0, blocked_ms = NULL, decided_ms = max(?2, decided_ms + 1) WHERE account = ?1";
    tx.execute(unblock, params![account.as_bytes(), now_ms])?;
    Ok(())
}

/// The user has decided whether they are blocked, then.
pub(crate) fn set_decided(tx: &Transaction<'_>, account: AccountId, at_ms: u64) -> Result<(), Error> {
    tx.execute("UPDATE contacts SET decided_ms = ?2 WHERE account = ?1", params![account.as_bytes(), at_ms])?;
    Ok(())
}

/// When the user decided last whether they are blocked; 0 if never.
pub(crate) fn decided_ms(tx: &Transaction<'_>, account: AccountId) -> Result<u64, Error> {
    let mut statement = tx.prepare_cached("SELECT decided_ms FROM contacts WHERE account = ?1")?;
    Ok(statement.query_row([account.as_bytes()], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// Everybody who is blocked, and since when: earlier versions did not note it.
pub(crate) fn blocked(tx: &Transaction<'_>) -> Result<Vec<(Contact, Option<i64>)>, Error> {
    let mut statement = tx.prepare_cached(
        "SELECT * FROM contacts WHERE blocked = 1 ORDER BY display_name COLLATE NOCASE, name, account",
    )?;
    let rows = statement.query_map([], |row| Ok((read(row)?, row.get("blocked_ms")?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(crate) fn set_access_key(tx: &Transaction<'_>, account: AccountId, key: &AccessKey) -> Result<(), Error> {
    tx.execute("UPDATE contacts SET access_key = ?2 WHERE account = ?1", params![account.as_bytes(), key.as_bytes()])?;
    Ok(())
}

pub(crate) fn load(tx: &Transaction<'_>, account: AccountId) -> Result<Option<Contact>, Error> {
    let mut statement = tx.prepare_cached("SELECT * FROM contacts WHERE account = ?1")?;
    Ok(statement.query_row([account.as_bytes()], read).optional()?)
}

pub(crate) fn set_display_name(tx: &Transaction<'_>, account: AccountId, name: &str) -> Result<bool, Error> {
    let changed = tx.execute(
        "UPDATE contacts SET display_name = ?2 WHERE account = ?1 AND display_name <> ?2",
        params![account.as_bytes(), name],
    )?;
    Ok(changed == 1)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Contact> {
    let access_key: Option<[u8; 16]> = row.get("access_key")?;
    Ok(Contact {
        account: AccountId::from_bytes(bytes(row, "account")?),
        name: text(row, "name")?,
        relay: text(row, "relay")?,
        display_name: row.get("display_name")?,
        trust: if row.get("trust")? { Trust::Invite } else { Trust::FirstUse },
        access_key: access_key.as_ref().map(AccessKey::from_bytes),
        known: row.get("known")?,
        blocked: row.get("blocked")?,
    })
}
