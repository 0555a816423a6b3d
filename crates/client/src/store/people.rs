//! Who is in a conversation, as its newest group says.

use rusqlite::{Transaction, params};
use waxwing_wire::AccountId;

use super::account::Account;
use super::conversations::ConversationId;
use super::{bytes, contacts, verifications};
use crate::error::Error;
use crate::views::{ContactView, MemberView, Role, Trust};

/// Somebody in a conversation.
pub(crate) struct Person {
    pub(crate) account: AccountId,
    pub(crate) admin: bool,
    /// Their devices in its group.
    pub(crate) devices: u32,
}

/// Replaces who is in a conversation.
pub(crate) fn replace(tx: &Transaction<'_>, conversation: &ConversationId, people: &[Person]) -> Result<(), Error> {
    tx.execute("DELETE FROM people WHERE conversation = ?1", [conversation])?;
    for person in people {
        tx.prepare_cached("INSERT INTO people (conversation, account, admin, devices) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![conversation, person.account.as_bytes(), person.admin, person.devices])?;
    }
    Ok(())
}

pub(crate) fn of(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<Vec<Person>, Error> {
    let mut statement = tx.prepare_cached("SELECT * FROM people WHERE conversation = ?1 ORDER BY account")?;
    let rows = statement.query_map([conversation], |row| {
        Ok(Person {
            account: AccountId::from_bytes(bytes(row, "account")?),
            admin: row.get("admin")?,
            devices: row.get("devices")?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(crate) fn count(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<u32, Error> {
    Ok(tx
        .prepare_cached("SELECT count(*) FROM people WHERE conversation = ?1")?
        .query_row([conversation], |row| row.get(0))?)
}

/// Whether `account` may change the group: an admin may, and where no admin has a device in it, everybody may.
pub(crate) fn is_admin(people: &[Person], account: AccountId) -> bool {
    let admins = || people.iter().filter(|person| person.admin && person.devices > 0);
    let mut in_it = people.iter().filter(|person| person.account == account);
    admins().any(|person| person.account == account) || (admins().next().is_none() && in_it.next().is_some())
}

/// How the first contact's keys were found that is least known.
pub(crate) fn trust(tx: &Transaction<'_>, me: &Account, conversation: &ConversationId) -> Result<Trust, Error> {
    let mut trust = Trust::Own;
    for person in of(tx, conversation)?.iter().filter(|person| person.account != me.account) {
        match contacts::load(tx, person.account)?.map(|contact| contact.trust) {
            Some(Trust::Invite) => trust = Trust::Invite,
            _ => return Ok(Trust::FirstUse),
        }
    }
    Ok(trust)
}

/// Everybody in a conversation, oneself first, then by name.
pub(crate) fn views(
    tx: &Transaction<'_>,
    me: &Account,
    conversation: &ConversationId,
) -> Result<Vec<MemberView>, Error> {
    let people = of(tx, conversation)?;
    let mut views = Vec::with_capacity(people.len());
    for person in &people {
        let mine = person.account == me.account;
        let contact = if mine { None } else { contacts::load(tx, person.account)? };
        let (name, address, trust) = match contact {
            Some(contact) => (contact.display_name.clone(), contact.address(), contact.trust),
            None if mine => (me.display_name.clone(), format!("{}@{}", me.username, me.relay.authority()), Trust::Own),
            None => (person.account.to_string(), String::new(), Trust::FirstUse),
        };
        views.push(MemberView {
            account_id: person.account.to_string(),
            name,
            address,
            role: if is_admin(&people, person.account) { Role::Admin } else { Role::Member },
            me: mine,
            trust,
            devices: person.devices,
            safety: verifications::of(tx, person.account)?,
        });
    }
    views.sort_by_cached_key(|view| (!view.me, view.name.to_lowercase(), view.account_id.clone()));
    Ok(views)
}

/// The name of somebody, as shown.
pub(crate) fn name(tx: &Transaction<'_>, me: &Account, account: AccountId) -> Result<String, Error> {
    if account == me.account {
        return Ok(me.display_name.clone());
    }
    Ok(contacts::load(tx, account)?.map_or_else(|| account.to_string(), |contact| contact.display_name))
}

/// A contact, as it is picked.
pub(crate) fn contact_view(contact: &contacts::Contact) -> ContactView {
    ContactView {
        account_id: contact.account.to_string(),
        name: contact.display_name.clone(),
        address: contact.address(),
        trust: contact.trust,
    }
}
