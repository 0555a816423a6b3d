//! Own links into groups, and whom they do not let in.

use rusqlite::{OptionalExtension as _, Transaction, params};
use waxwing_protocol::AccessKey;
use waxwing_wire::AccountId;

use super::conversations::ConversationId;
use super::{account, bytes};
use crate::error::Error;

/// A link into a group, in force.
pub(crate) struct GroupLink {
    pub(crate) key: AccessKey,
    /// How many were let in since [`GroupLink::day_ms`].
    pub(crate) joins: u32,
    pub(crate) day_ms: u64,
}

/// Makes a link into a conversation; the one before is in force no more.
pub(crate) fn make(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<(), Error> {
    end(tx, conversation)?;
    let key = AccessKey::generate(&mut crate::random::rng());
    account::add_access_key(tx, &key)?;
    tx.execute(
        "INSERT INTO group_links (conversation, key, joins, day_ms) VALUES (?1, ?2, 0, 0)",
        params![conversation, key.as_bytes()],
    )?;
    Ok(())
}

pub(crate) fn load(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<Option<GroupLink>, Error> {
    let mut statement = tx.prepare_cached("SELECT * FROM group_links WHERE conversation = ?1")?;
    let link = statement
        .query_row([conversation], |row| {
            let key = AccessKey::from_bytes(&bytes(row, "key")?);
            Ok(GroupLink { key, joins: row.get("joins")?, day_ms: row.get("day_ms")? })
        })
        .optional()?;
    Ok(link)
}

/// The link lets nobody in any more. False if there is none.
pub(crate) fn end(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<bool, Error> {
    let Some(link) = load(tx, conversation)? else { return Ok(false) };
    account::dismiss_access_key(tx, &link.key)?;
    tx.execute("DELETE FROM group_links WHERE conversation = ?1", [conversation])?;
    Ok(true)
}

/// Notes that this many were let in since `day_ms`.
pub(crate) fn set_joins(
    tx: &Transaction<'_>,
    conversation: &ConversationId,
    joins: u32,
    day_ms: u64,
) -> Result<(), Error> {
    tx.execute(
        "UPDATE group_links SET joins = ?2, day_ms = ?3 WHERE conversation = ?1",
        params![conversation, joins, day_ms],
    )?;
    Ok(())
}

/// Somebody was removed by an admin, or is in the group again.
pub(crate) fn set_removed(
    tx: &Transaction<'_>,
    conversation: &ConversationId,
    account: AccountId,
    removed: bool,
) -> Result<(), Error> {
    let sql = if removed {
        "INSERT OR IGNORE INTO removed_people (conversation, account) VALUES (?1, ?2)"
    } else {
        "DELETE FROM removed_people WHERE conversation = ?1 AND account = ?2"
    };
    tx.prepare_cached(sql)?.execute(params![conversation, account.as_bytes()])?;
    Ok(())
}

pub(crate) fn is_removed(
    tx: &Transaction<'_>,
    conversation: &ConversationId,
    account: AccountId,
) -> Result<bool, Error> {
    Ok(tx
        .prepare_cached("SELECT 1 FROM removed_people WHERE conversation = ?1 AND account = ?2")?
        .exists(params![conversation, account.as_bytes()])?)
}

/// The conversation goes, and all of this with it.
pub(crate) fn forget(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<(), Error> {
    end(tx, conversation)?;
    tx.execute("DELETE FROM removed_people WHERE conversation = ?1", [conversation])?;
    Ok(())
}
