//! What each act does.

use std::sync::Arc;

use serde_json::{Value, json};
use waxwing_wire::api::base64url;
use waxwing_wire::log::token_hash;
use waxwing_wire::{AccountId, Username};
use zeroize::Zeroizing;

use super::{Act, KeysAct, Outcome};
use crate::audit::{Event, Subject};
use crate::database;
use crate::keys::{KeyError, KeyRole};
use crate::state::{App, now};
use crate::storage::{AccountRef, BackupError, Invitation, StorageError};

/// Of an invitation.
const TOKEN_BYTES: usize = 16;
/// The log has no more than some ten thousands.
const MAX_LINES: usize = 100_000;

/// An act was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("there is no such account")]
    UnknownAccount,
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(
        "the database is away, and it must be told of the keys that are in force before they are replaced; nothing was changed, do it again once it answers"
    )]
    KeysUnknown,
    #[error(
        "the database knows other keys than those in this relay's folder, which may be a copy that is behind; nothing was changed"
    )]
    OtherKeys,
    #[error("the audit log cannot be read: {0}")]
    Audit(#[from] std::io::Error),
    #[error("the path of a backup is a whole one, from the root on")]
    RelativePath,
    #[error("the system gives no randomness")]
    Random,
    #[error("the quotas of logs are everybody's: nobody knows whose a log is")]
    OfLogs,
}

/// Does it, and writes it down.
pub(super) async fn perform(app: &App, act: Act) -> Outcome {
    let done = match act {
        Act::Stats => stats(app).await,
        Act::Disable { account } => disable(app, &account, true).await,
        Act::Enable { account } => disable(app, &account, false).await,
        Act::Quota(quota) => quota.perform(app).await,
        Act::Keys { what: KeysAct::Rotate } => rotate(app).await,
        Act::Audit { lines } => audit(app, lines),
        Act::Backup { file } => backup(app, file).await,
        Act::Invite { uses, days } => invite(app, uses, days).await,
    };
    match done {
        Ok(value) => Outcome::Done(value),
        Err(refusal) => Outcome::Refused(refusal.to_string()),
    }
}

async fn stats(app: &App) -> Result<Value, Refusal> {
    let totals = app.storage.totals().await?;
    let stats = app.storage.stats();
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "accounts": totals.accounts,
        "disabled-accounts": totals.disabled,
        "devices": totals.devices,
        "logs": totals.logs,
        "log-bytes": totals.log_bytes,
        "inbox-bytes": totals.inbox_bytes,
        "transparency-leaves": totals.leaves,
        "invitations": totals.invitations,
        "database-bytes": app.storage.database_bytes().await?,
        "commits-since-start": stats.commits,
        "writes-since-start": stats.writes,
        "connections": app.metrics.connections.get(),
        "subscriptions": app.metrics.subscriptions.get(),
    }))
}

async fn disable(app: &App, account: &str, disabled: bool) -> Result<Value, Refusal> {
    let found = app.storage.set_disabled(account_ref(account)?, disabled).await?.ok_or(Refusal::UnknownAccount)?;
    // Kept first: a relay that dies here refuses the account from its next start on.
    app.decisions.follow(&*app.storage).await?;
    let event = if disabled { Event::AdminDisabled } else { Event::AdminEnabled };
    app.audit.record(event, Subject::Account(found));
    Ok(json!({ "account": found.to_string(), "disabled": disabled }))
}

async fn rotate(app: &App) -> Result<Value, Refusal> {
    if app.shared {
        know_keys(app).await?;
    }
    // Off the async threads: another process may have the folder, for however long.
    let keys = Arc::clone(&app.keys);
    let rotating = tokio::task::spawn_blocking(move || keys.rotate(now().as_secs()));
    let kid = rotating.await.unwrap_or_else(|error| Err(KeyError::Io(KeyRole::Token, error.into())))?;
    let keys = app.keys.fingerprints(app.log_key.public());
    if let Some(before) = keys.before.first().copied() {
        // The folder is what counts: this process tells the database what it has missed, or whoever starts next with these keys.
        if !app.storage.record_keys(keys.current, Some(before)).await.unwrap_or(false) {
            tracing::warn!("the database could not be told of the new keys; it is told once it answers");
        }
    }
    app.audit.record(Event::AdminKeysRotated, Subject::Nobody);
    Ok(json!({ "kid": kid }))
}

/// The database knows the keys that are to be replaced: of one rotation that it has missed the folder says from which key it was, of two it need not.
async fn know_keys(app: &App) -> Result<(), Refusal> {
    let keys = Arc::clone(&app.keys);
    // Another process may have replaced them.
    let _ = tokio::task::spawn_blocking(move || keys.refresh()).await;
    let keys = app.keys.fingerprints(app.log_key.public());
    match database::record_keys(&*app.storage, &keys).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Refusal::OtherKeys),
        Err(_) => Err(Refusal::KeysUnknown),
    }
}

fn audit(app: &App, lines: usize) -> Result<Value, Refusal> {
    app.audit.record(Event::AdminRead, Subject::Nobody);
    Ok(json!(app.audit.read(lines.min(MAX_LINES))?))
}

async fn backup(app: &App, to: std::path::PathBuf) -> Result<Value, Refusal> {
    if !to.is_absolute() {
        return Err(Refusal::RelativePath);
    }
    let bytes = app.storage.backup(to).await?;
    app.audit.record(Event::AdminBackup, Subject::Nobody);
    Ok(json!({ "bytes": bytes }))
}

async fn invite(app: &App, uses: u32, days: u32) -> Result<Value, Refusal> {
    let mut token = Zeroizing::new([0; TOKEN_BYTES]);
    getrandom::fill(token.as_mut()).map_err(|_| Refusal::Random)?;
    let until_hour = now().as_secs() / 3600 + u64::from(days) * 24;
    app.storage.invite(Invitation { hash: token_hash(token.as_ref()), uses, until_hour }).await?;
    app.audit.record(Event::AdminInvited, Subject::Nobody);
    Ok(json!({ "invitation": base64url::encode(token.as_ref()), "uses": uses, "days": days }))
}

pub(super) fn account_ref(text: &str) -> Result<AccountRef, Refusal> {
    match (text.parse::<AccountId>(), text.parse::<Username>()) {
        (Ok(id), Ok(name)) => Ok(AccountRef::IdOrName(id, name)),
        (Ok(id), Err(_)) => Ok(AccountRef::Id(id)),
        (Err(_), Ok(name)) => Ok(AccountRef::Name(name)),
        (Err(_), Err(_)) => Err(Refusal::UnknownAccount),
    }
}
