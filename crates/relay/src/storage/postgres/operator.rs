//! What an operator does: invitations, disabled accounts, counts.

use deadpool_postgres::Transaction;
use waxwing_wire::AccountId;
use waxwing_wire::transparency::SignedCheckpoint;

use super::super::rules::NOBODY;
use super::super::{
    AccountRef, AccountUse, Decided, Invitation, Invited, NewAccount, Quota, Registered, SetQuotas, Totals,
};
use super::fault::{Fault, Result};
use super::query::{all, count, execute, exists, fixed, get, int, one};
use super::{Context, accounts};
use crate::clock::Moment;

/// Keeps an invitation; forgets those whose time is over.
pub(super) async fn invite(tx: &Transaction<'_>, invitation: &Invitation, now: Moment) -> Result<()> {
    execute(tx, "DELETE FROM invitations WHERE until_hour < $1", &[&now.hour()]).await?;
    let sql = "INSERT INTO invitations (hash, uses, until_hour) VALUES ($1, $2, $3)";
    let uses = i64::from(invitation.uses);
    execute(tx, sql, &[&invitation.hash.as_slice(), &uses, &int(invitation.until_hour)]).await.map(drop)
}

/// Whether an invitation is good for one more account.
pub(super) async fn is_good(tx: &Transaction<'_>, hash: &[u8; 32], now: Moment) -> Result<bool> {
    let sql = "SELECT 1 FROM invitations WHERE hash = $1 AND uses > 0 AND until_hour >= $2";
    exists(tx, sql, &[&hash.as_slice(), &now.hour()]).await
}

/// Registers with an invitation, and counts it in the same transaction.
pub(super) async fn register(
    tx: &Transaction<'_>,
    new: &NewAccount,
    hash: &[u8; 32],
    context: &Context,
) -> Result<(Invited, Option<SignedCheckpoint>)> {
    // The transparency log's row comes first here as everywhere: whoever registers goes after this one, and finds what it has left of the invitation.
    let _turn = super::transparency::Growing::lock(tx).await?;
    let good = is_good(tx, hash, context.clock.now()).await?;
    // Who was told nothing after the first time asks again, with an invitation that is used up by then.
    if !good && accounts::number(tx, new.entry.unsigned.account).await?.is_none() {
        return Ok((Invited::Refused, None));
    }
    let (registered, checkpoint) = accounts::register(tx, new, context).await?;
    if checkpoint.is_some() {
        execute(tx, "UPDATE invitations SET uses = uses - 1 WHERE hash = $1", &[&hash.as_slice()]).await?;
        execute(tx, "DELETE FROM invitations WHERE hash = $1 AND uses <= 0", &[&hash.as_slice()]).await?;
    }
    // An account id that somebody else has is told to those alone who have an invitation.
    let judged = good || registered == Registered::Stored;
    Ok((if judged { Invited::Judged(registered) } else { Invited::Refused }, checkpoint))
}

/// Disables an account, or enables it again; none if there is no such account.
pub(super) async fn set_disabled(
    tx: &Transaction<'_>,
    account: &AccountRef,
    disabled: bool,
) -> Result<Option<AccountId>> {
    let Some((n, id)) = find(tx, account).await? else { return Ok(None) };
    let sql = match disabled {
        true => "INSERT INTO disabled_accounts (account) VALUES ($1) ON CONFLICT DO NOTHING",
        false => "DELETE FROM disabled_accounts WHERE account = $1",
    };
    execute(tx, sql, &[&n]).await?;
    decide(tx).await?;
    Ok(Some(id))
}

/// Something was decided. Under the row's lock: the turns are in the order of the commits.
async fn decide(tx: &Transaction<'_>) -> Result<()> {
    let sql = "INSERT INTO decisions AS d (n, turn) VALUES (1, 1) ON CONFLICT (n) DO UPDATE SET turn = d.turn + 1";
    execute(tx, sql, &[]).await.map(drop)
}

/// What was decided; none if that is nothing newer than of the turn `known`.
pub(super) async fn decided(tx: &Transaction<'_>, known: Option<u64>) -> Result<Option<Decided>> {
    let turn = one(tx, "SELECT turn FROM decisions WHERE n = 1", &[]).await?;
    let turn = turn.map(|row| count(&row, 0)).transpose()?.unwrap_or(0);
    if known.is_some_and(|known| turn <= known) {
        return Ok(None);
    }
    let sql = "SELECT id FROM disabled_accounts JOIN accounts ON n = account ORDER BY n";
    let disabled = all(tx, sql, &[]).await?;
    let disabled = disabled.iter().map(|row| fixed(row, 0).map(AccountId::from_bytes)).collect::<Result<_>>()?;
    Ok(Some(Decided { turn, disabled, quotas: quotas(tx, NOBODY).await? }))
}

/// Sets quotas of an account, or of everybody; false if there is no such account.
pub(super) async fn set_quotas(
    tx: &Transaction<'_>,
    of: Option<&AccountRef>,
    changes: &[(Quota, Option<u64>)],
) -> Result<bool> {
    let n = match of {
        None => NOBODY,
        Some(account) => match find(tx, account).await? {
            Some((n, _)) => n,
            None => return Ok(false),
        },
    };
    // First, so that whoever else decides something waits here.
    decide(tx).await?;
    for (quota, bytes) in changes {
        match bytes {
            Some(bytes) => {
                let sql = "INSERT INTO quotas (account, name, bytes) VALUES ($1, $2, $3)
                           ON CONFLICT (account, name) DO UPDATE SET bytes = excluded.bytes";
                execute(tx, sql, &[&n, &quota.name(), &int(*bytes)]).await?;
            }
            None => {
                execute(tx, "DELETE FROM quotas WHERE account = $1 AND name = $2", &[&n, &quota.name()]).await?;
            }
        }
    }
    Ok(true)
}

/// What was set for the account of this number, or for everybody.
pub(super) async fn quotas(tx: &Transaction<'_>, n: i64) -> Result<SetQuotas> {
    let rows = all(tx, "SELECT name, bytes FROM quotas WHERE account = $1", &[&n]).await?;
    let set: Vec<_> = rows.iter().map(|row| Ok((get(row, 0)?, count(row, 1)?))).collect::<Result<_>>()?;
    Ok(SetQuotas::from_rows(set))
}

/// What an account takes up.
pub(super) async fn account_use(tx: &Transaction<'_>, account: &AccountRef) -> Result<Option<AccountUse>> {
    let Some((n, account)) = find(tx, account).await? else { return Ok(None) };
    // The source of strangers is 0.
    let sql = "SELECT (SELECT count(*) FROM disabled_accounts WHERE account = $1),
                      (SELECT count(*) FROM devices WHERE account = $1),
                      (SELECT coalesce(sum(bytes) FILTER (WHERE source <> 0), 0)::bigint
                       FROM inbox_usage JOIN devices ON n = device WHERE account = $1),
                      (SELECT coalesce(sum(bytes) FILTER (WHERE source = 0), 0)::bigint
                       FROM inbox_usage JOIN devices ON n = device WHERE account = $1),
                      (SELECT count(*) FROM key_packages JOIN devices d ON d.n = device WHERE account = $1)";
    let row = one(tx, sql, &[&n]).await?.ok_or(Fault::Damaged)?;
    Ok(Some(AccountUse {
        account,
        disabled: count(&row, 0)? > 0,
        devices: count(&row, 1)?,
        inbox_bytes: count(&row, 2)?,
        stranger_bytes: count(&row, 3)?,
        key_packages: count(&row, 4)?,
        quotas: quotas(tx, n).await?,
    }))
}

/// Counts everything.
pub(super) async fn totals(tx: &Transaction<'_>, now: Moment) -> Result<Totals> {
    let sql = "SELECT (SELECT count(*) FROM accounts), (SELECT count(*) FROM disabled_accounts),
                      (SELECT count(*) FROM devices), (SELECT count(*) FROM logs),
                      (SELECT coalesce(sum(bytes), 0)::bigint FROM logs),
                      (SELECT coalesce(sum(bytes), 0)::bigint FROM inbox_usage),
                      (SELECT size FROM transparency_log WHERE n = 1),
                      (SELECT count(*) FROM invitations WHERE uses > 0 AND until_hour >= $1)";
    let row = one(tx, sql, &[&now.hour()]).await?.ok_or(Fault::Damaged)?;
    Ok(Totals {
        accounts: count(&row, 0)?,
        disabled: count(&row, 1)?,
        devices: count(&row, 2)?,
        logs: count(&row, 3)?,
        log_bytes: count(&row, 4)?,
        inbox_bytes: count(&row, 5)?,
        leaves: count(&row, 6)?,
        invitations: count(&row, 7)?,
    })
}

/// Size of the database on disk, in bytes.
pub(super) async fn database_bytes(tx: &Transaction<'_>) -> Result<u64> {
    let row = one(tx, "SELECT pg_database_size(current_database())", &[]).await?;
    count(&row.ok_or(Fault::Damaged)?, 0)
}

/// Writes something, to see whether that works.
pub(super) async fn probe(tx: &Transaction<'_>) -> Result<()> {
    let sql = "INSERT INTO probes AS p (n, turn) VALUES (1, 0) ON CONFLICT (n) DO UPDATE SET turn = p.turn + 1";
    execute(tx, sql, &[]).await.map(drop)
}

async fn find(tx: &Transaction<'_>, account: &AccountRef) -> Result<Option<(i64, AccountId)>> {
    match account {
        AccountRef::Id(id) => by_id(tx, id).await,
        AccountRef::Name(name) => by_name(tx, name.as_str()).await,
        AccountRef::IdOrName(id, name) => match by_id(tx, id).await? {
            Some(found) => Ok(Some(found)),
            None => by_name(tx, name.as_str()).await,
        },
    }
}

async fn by_id(tx: &Transaction<'_>, id: &AccountId) -> Result<Option<(i64, AccountId)>> {
    Ok(accounts::number(tx, *id).await?.map(|n| (n, *id)))
}

async fn by_name(tx: &Transaction<'_>, name: &str) -> Result<Option<(i64, AccountId)>> {
    let row = one(tx, "SELECT n, id FROM accounts WHERE name = $1", &[&name]).await?;
    row.map(|row| Ok((get(&row, 0)?, AccountId::from_bytes(fixed(&row, 1)?)))).transpose()
}
