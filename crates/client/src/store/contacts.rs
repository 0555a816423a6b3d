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
}

/// Adds a contact, or what is newly known of one: trust only grows, an access key is not forgotten, the relay never changes.
pub(crate) fn upsert(tx: &Transaction<'_>, contact: &Contact) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO contacts (account, name, relay, display_name, trust, access_key) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (account) DO UPDATE SET
             display_name = CASE WHEN excluded.display_name = excluded.name THEN display_name ELSE excluded.display_name END,
             trust = max(trust, excluded.trust), access_key = coalesce(excluded.access_key, access_key)",
        params![
            contact.account.as_bytes(),
            contact.name.as_str(),
            contact.relay.to_string(),
            contact.display_name,
            i64::from(contact.trust == Trust::Invite),
            contact.access_key.as_ref().map(|key| *key.as_bytes()),
        ],
    )?;
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
    })
}
