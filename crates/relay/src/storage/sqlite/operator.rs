//! What an operator does: invitations, disabled accounts, counts.

use rusqlite::{Connection, OptionalExtension as _, Result, params};
use waxwing_wire::AccountId;
use waxwing_wire::transparency::SignedCheckpoint;

use super::super::rules::{NOBODY, STRANGER};
use super::super::{
    AccountRef, AccountUse, Decided, Invitation, Invited, NewAccount, Quota, Registered, SetQuotas, Totals,
};
use super::{accounts, int, nat, transparency};
use crate::clock::Moment;
use crate::log_signer::LogSigner;

/// Keeps an invitation; forgets those whose time is over.
pub(super) fn invite(db: &Connection, invitation: &Invitation, now: Moment) -> Result<()> {
    db.prepare_cached("DELETE FROM invitations WHERE until_hour < ?1")?.execute(params![now.hour()])?;
    db.prepare_cached("INSERT INTO invitations (hash, uses, until_hour) VALUES (?1, ?2, ?3)")?.execute(params![
        invitation.hash,
        invitation.uses,
        int(invitation.until_hour)
    ])?;
    Ok(())
}

/// Whether an invitation is good for one more account.
pub(super) fn is_good(db: &Connection, hash: &[u8; 32], now: Moment) -> Result<bool> {
    db.prepare_cached("SELECT 1 FROM invitations WHERE hash = ?1 AND uses > 0 AND until_hour >= ?2")?
        .exists(params![hash, now.hour()])
}

/// Registers with an invitation, and counts it in the same transaction.
pub(super) fn register(
    db: &Connection,
    new: &NewAccount,
    hash: &[u8; 32],
    signer: &LogSigner,
    now: Moment,
) -> Result<(Invited, Option<SignedCheckpoint>)> {
    let good = is_good(db, hash, now)?;
    // Who was told nothing after the first time asks again, with an invitation that is used up by then.
    if !good && accounts::number(db, new.entry.unsigned.account)?.is_none() {
        return Ok((Invited::Refused, None));
    }
    let (registered, checkpoint) = accounts::register(db, new, signer, now)?;
    if checkpoint.is_some() {
        db.prepare_cached("UPDATE invitations SET uses = uses - 1 WHERE hash = ?1")?.execute(params![hash])?;
        db.prepare_cached("DELETE FROM invitations WHERE hash = ?1 AND uses = 0")?.execute(params![hash])?;
    }
    // An account id that somebody else has is told to those alone who have an invitation.
    let judged = good || registered == Registered::Stored;
    Ok((if judged { Invited::Judged(registered) } else { Invited::Refused }, checkpoint))
}

/// Disables an account, or enables it again; none if there is no such account.
pub(super) fn set_disabled(db: &Connection, account: &AccountRef, disabled: bool) -> Result<Option<AccountId>> {
    let Some((n, id)) = find(db, account)? else { return Ok(None) };
    let sql = match disabled {
        true => "INSERT OR IGNORE INTO disabled_accounts (account) VALUES (?1)",
        false => "DELETE FROM disabled_accounts WHERE account = ?1",
    };
    db.prepare_cached(sql)?.execute(params![n])?;
    decide(db)?;
    Ok(Some(id))
}

/// Something was decided.
fn decide(db: &Connection) -> Result<()> {
    db.prepare_cached("INSERT INTO decisions (n, turn) VALUES (1, 1) ON CONFLICT (n) DO UPDATE SET turn = turn + 1")?
        .execute([])?;
    Ok(())
}

/// What was decided; none if that is nothing newer than of the turn `known`.
pub(super) fn decided(db: &Connection, known: Option<u64>) -> Result<Option<Decided>> {
    let turn = db.prepare_cached("SELECT turn FROM decisions WHERE n = 1")?.query_row([], |row| row.get(0).map(nat));
    let turn = turn.optional()?.unwrap_or(0);
    if known.is_some_and(|known| turn <= known) {
        return Ok(None);
    }
    let disabled = db
        .prepare_cached("SELECT id FROM disabled_accounts JOIN accounts ON n = account ORDER BY n")?
        .query_map([], |row| row.get(0).map(AccountId::from_bytes))?
        .collect::<Result<_>>()?;
    Ok(Some(Decided { turn, disabled, quotas: quotas(db, NOBODY)? }))
}

/// Sets quotas of an account, or of everybody; false if there is no such account.
pub(super) fn set_quotas(db: &Connection, of: Option<&AccountRef>, changes: &[(Quota, Option<u64>)]) -> Result<bool> {
    let n = match of {
        None => NOBODY,
        Some(account) => match find(db, account)? {
            Some((n, _)) => n,
            None => return Ok(false),
        },
    };
    for (quota, bytes) in changes {
        match bytes {
            Some(bytes) => db
                .prepare_cached("INSERT OR REPLACE INTO quotas (account, name, bytes) VALUES (?1, ?2, ?3)")?
                .execute(params![n, quota.name(), int(*bytes)])?,
            None => db
                .prepare_cached("DELETE FROM quotas WHERE account = ?1 AND name = ?2")?
                .execute(params![n, quota.name()])?,
        };
    }
    decide(db)?;
    Ok(true)
}

/// What was set for the account of this number, or for everybody.
pub(super) fn quotas(db: &Connection, n: i64) -> Result<SetQuotas> {
    let mut set = db.prepare_cached("SELECT name, bytes FROM quotas WHERE account = ?1")?;
    let rows = set.query_map(params![n], |row| Ok((row.get(0)?, row.get(1).map(nat)?)))?;
    Ok(SetQuotas::from_rows(rows.collect::<Result<Vec<_>>>()?))
}

/// What an account takes up.
pub(super) fn account_use(db: &Connection, account: &AccountRef) -> Result<Option<AccountUse>> {
    let Some((n, account)) = find(db, account)? else { return Ok(None) };
    let count = |sql: &str| db.query_row(sql, params![n], |row| row.get(0).map(nat));
    let bytes = |which: &str| {
        let sql = format!(
            "SELECT coalesce(sum(bytes), 0) FROM inbox_usage JOIN devices ON n = device WHERE account = ?1 AND source {which} {STRANGER}"
        );
        count(&sql)
    };
    Ok(Some(AccountUse {
        account,
        disabled: count("SELECT count(*) FROM disabled_accounts WHERE account = ?1")? > 0,
        devices: count("SELECT count(*) FROM devices WHERE account = ?1")?,
        inbox_bytes: bytes("<>")?,
        stranger_bytes: bytes("=")?,
        key_packages: count("SELECT count(*) FROM key_packages JOIN devices ON devices.n = device WHERE account = ?1")?,
        quotas: quotas(db, n)?,
    }))
}

/// Counts everything.
pub(super) fn totals(db: &Connection, now: Moment) -> Result<Totals> {
    let count = |sql: &str| db.query_row(sql, [], |row| row.get(0).map(nat));
    Ok(Totals {
        accounts: count("SELECT count(*) FROM accounts")?,
        disabled: count("SELECT count(*) FROM disabled_accounts")?,
        devices: count("SELECT count(*) FROM devices")?,
        logs: count("SELECT count(*) FROM logs")?,
        log_bytes: count("SELECT coalesce(sum(bytes), 0) FROM logs")?,
        inbox_bytes: count("SELECT coalesce(sum(bytes), 0) FROM inbox_usage")?,
        leaves: transparency::size(db)?,
        invitations: db.query_row(
            "SELECT count(*) FROM invitations WHERE uses > 0 AND until_hour >= ?1",
            params![now.hour()],
            |row| row.get(0).map(nat),
        )?,
    })
}

/// Writes something, to see whether that works.
pub(super) fn probe(db: &Connection) -> Result<()> {
    db.prepare_cached("INSERT INTO probes (n, turn) VALUES (1, 0) ON CONFLICT (n) DO UPDATE SET turn = turn + 1")?
        .execute([])?;
    Ok(())
}

fn find(db: &Connection, account: &AccountRef) -> Result<Option<(i64, AccountId)>> {
    let by_id = |id: &AccountId| Ok(accounts::number(db, *id)?.map(|n| (n, *id)));
    let by_name = |name: &str| {
        db.prepare_cached("SELECT n, id FROM accounts WHERE name = ?1")?
            .query_row(params![name], |row| Ok((row.get(0)?, AccountId::from_bytes(row.get(1)?))))
            .optional()
    };
    match account {
        AccountRef::Id(id) => by_id(id),
        AccountRef::Name(name) => by_name(name.as_str()),
        AccountRef::IdOrName(id, name) => match by_id(id)? {
            Some(found) => Ok(Some(found)),
            None => by_name(name.as_str()),
        },
    }
}
