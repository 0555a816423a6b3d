//! Whose safety number was compared, and whose relay shows a chain that does not go on from the one that is known.
//!
//! A verification is judged wherever a chain grows (`keys::add_chain_entries`), so no way in can forget it. It is only ever turned
//! from verified to asking; what turns it back is the user. Not here: what is said of it (`engine::safety`).

use rusqlite::{OptionalExtension as _, Transaction, params};
use waxwing_wire::chain::What;
use waxwing_wire::{AccountId, VerifiedChain};

use super::conversations::ConversationId;
use super::{bytes, keys};
use crate::error::Error;
use crate::views::Safety;

/// The user has compared their number, which is that of this chain, at this time.
pub(crate) fn set(tx: &Transaction<'_>, chain: &VerifiedChain, now_ms: u64) -> Result<(), Error> {
    tx.execute(
        "INSERT OR REPLACE INTO verifications (account, account_key, seq, at_ms, asks, told) VALUES (?1, ?2, ?3, ?4, 0, 0)",
        params![chain.account().as_bytes(), chain.account_key(), chain.seq(), now_ms],
    )?;
    Ok(())
}

/// The user takes it back. False if there was none.
pub(crate) fn remove(tx: &Transaction<'_>, account: AccountId) -> Result<bool, Error> {
    Ok(tx.execute("DELETE FROM verifications WHERE account = ?1", [account.as_bytes()])? == 1)
}

/// When their number was compared, if it was.
pub(crate) fn since(tx: &Transaction<'_>, account: AccountId) -> Result<Option<i64>, Error> {
    let mut statement = tx.prepare_cached("SELECT at_ms FROM verifications WHERE account = ?1")?;
    Ok(statement.query_row([account.as_bytes()], |row| row.get(0)).optional()?)
}

/// The chain has grown: whether what was compared still stands.
pub(super) fn judge(tx: &Transaction<'_>, account: AccountId) -> Result<(), Error> {
    let seq: Option<u32> = tx
        .prepare_cached("SELECT seq FROM verifications WHERE account = ?1 AND asks = 0")?
        .query_row([account.as_bytes()], |row| row.get(0))
        .optional()?;
    let Some(seq) = seq else { return Ok(()) };
    if keys::chain(tx, account)?.is_none_or(|chain| !stands(&chain, seq)) {
        tx.execute("UPDATE verifications SET asks = 1, told = 0 WHERE account = ?1", [account.as_bytes()])?;
    }
    Ok(())
}

/// What was compared is to be compared again, whatever the chain says.
pub(crate) fn ask(tx: &Transaction<'_>, account: AccountId) -> Result<(), Error> {
    tx.execute("UPDATE verifications SET asks = 1, told = 0 WHERE account = ?1 AND asks = 0", [account.as_bytes()])?;
    Ok(())
}

/// Whether a number that was compared at entry `seq` needs no comparing again: the phrase was not used since, and a device that was in
/// force then still is. So whoever was compared has had a part in every change.
fn stands(chain: &VerifiedChain, seq: u32) -> bool {
    let recovered =
        |event: &waxwing_wire::chain::ChainEvent| event.place.seq > seq && matches!(event.what, What::Recovered { .. });
    let stayed = chain.past_devices().iter().any(|device| device.in_force_at(seq) && device.revoked().is_none());
    stayed && !chain.events().iter().any(recovered)
}

/// The relay has shown another chain than the known one. True if that is news.
pub(crate) fn note_trouble(tx: &Transaction<'_>, account: AccountId, what: &str, now_ms: u64) -> Result<bool, Error> {
    let noted = tx.execute(
        "INSERT OR IGNORE INTO chain_troubles (account, what, at_ms, told) VALUES (?1, ?2, ?3, 0)",
        params![account.as_bytes(), what, now_ms],
    )?;
    Ok(noted == 1)
}

/// The relay shows a chain again that goes on from the known one. False if there was no trouble.
pub(crate) fn end_trouble(tx: &Transaction<'_>, account: AccountId) -> Result<bool, Error> {
    Ok(tx.prepare_cached("DELETE FROM chain_troubles WHERE account = ?1")?.execute([account.as_bytes()])? == 1)
}

/// Since when there is trouble with a chain, if there is.
pub(crate) fn trouble_since(tx: &Transaction<'_>, account: AccountId) -> Result<Option<i64>, Error> {
    let mut statement = tx.prepare_cached("SELECT at_ms FROM chain_troubles WHERE account = ?1")?;
    Ok(statement.query_row([account.as_bytes()], |row| row.get(0)).optional()?)
}

/// Everybody with whose chain there is trouble.
pub(crate) fn troubled(tx: &Transaction<'_>) -> Result<Vec<AccountId>, Error> {
    let mut statement = tx.prepare_cached("SELECT account FROM chain_troubles")?;
    let rows = statement.query_map([], |row| Ok(AccountId::from_bytes(bytes(row, "account")?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// How somebody stands.
pub(crate) fn of(tx: &Transaction<'_>, account: AccountId) -> Result<Safety, Error> {
    if trouble_since(tx, account)?.is_some() {
        return Ok(Safety::Broken);
    }
    let asks: Option<bool> = tx
        .prepare_cached("SELECT asks FROM verifications WHERE account = ?1")?
        .query_row([account.as_bytes()], |row| row.get(0))
        .optional()?;
    Ok(match asks {
        None => Safety::NotVerified,
        Some(false) => Safety::Verified,
        Some(true) => Safety::Ask,
    })
}

/// The others of a conversation together: the worst that there is; verified if all of them are.
pub(crate) fn of_conversation(
    tx: &Transaction<'_>,
    me: AccountId,
    conversation: &ConversationId,
) -> Result<Safety, Error> {
    let mut statement = tx.prepare_cached(
        "WITH here AS (
             SELECT account FROM people WHERE conversation = ?1
             UNION SELECT account FROM conversations WHERE id = ?1 AND kind = 0)
         SELECT count(*), count(chain_troubles.account), coalesce(sum(asks), 0), count(verifications.account)
         FROM here LEFT JOIN chain_troubles USING (account) LEFT JOIN verifications USING (account)
         WHERE here.account <> ?2",
    )?;
    let (all, troubled, asking, compared): (u32, u32, u32, u32) = statement
        .query_row(params![conversation, me.as_bytes()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
    Ok(if troubled > 0 {
        Safety::Broken
    } else if asking > 0 {
        Safety::Ask
    } else if all > 0 && compared == all {
        Safety::Verified
    } else {
        Safety::NotVerified
    })
}

/// Whoever had been verified and is so no longer, where the timeline has not said so yet.
pub(crate) fn untold(tx: &Transaction<'_>) -> Result<Vec<(AccountId, Safety)>, Error> {
    let mut statement = tx.prepare_cached(
        "SELECT account, 0 AS broken FROM verifications WHERE asks = 1 AND told = 0
         UNION ALL SELECT account, 1 FROM chain_troubles JOIN verifications USING (account) WHERE chain_troubles.told = 0",
    )?;
    let rows = statement.query_map([], |row| {
        let safety = if row.get("broken")? { Safety::Broken } else { Safety::Ask };
        Ok((AccountId::from_bytes(bytes(row, "account")?), safety))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The timeline has said it.
pub(crate) fn set_told(tx: &Transaction<'_>, account: AccountId, safety: Safety) -> Result<(), Error> {
    let statement = match safety {
        Safety::Broken => "UPDATE chain_troubles SET told = 1 WHERE account = ?1",
        _ => "UPDATE verifications SET told = 1 WHERE account = ?1",
    };
    tx.execute(statement, [account.as_bytes()])?;
    Ok(())
}
