//! `POST /v1/accounts/{id}/chain`: the next entry of one's own chain, compare-and-swap on the one before.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use http::HeaderName;
use http::header::AUTHORIZATION;
use waxwing_wire::api::{BLOB_SECRET_HEADER, EntryAccepted, SubmitEntry};
use waxwing_wire::blob::BlobSecret;
use waxwing_wire::chain::{ChainEntry, InForce, Statement};
use waxwing_wire::limits::{MAX_CHAIN, MAX_CHAIN_PAGE};
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::{AccountId, ChainError, VerifiedChain};

use super::{MAX_ENTRY_BODY, created};
use crate::audit::{Event, Subject};
use crate::auth::Device;
use crate::budget::Held;
use crate::error::{Refusal, Reply};
use crate::openapi::problems;
use crate::request::{self as parse, Segment};
use crate::state::{App, Peer};
use crate::storage::{AccountRef, Chained, DeviceChange, NextEntry};

/// Told to whoever found no room, in seconds.
const AGAIN: u64 = 5;

problems!(Problems: TooLarge, UnsupportedMediaType, Unauthorized, UseDpopNonce, AccountDisabled, UnknownAccount, InvalidEntry, ChainConflict, AccountExists, RateLimited, InsufficientStorage);

/// The next entry of one's own chain; a recovery comes without a token
#[utoipa::path(
    post,
    path = "/v1/accounts/{account}/chain",
    operation_id = "append_chain",
    tag = "accounts",
    params(
        ("account" = inline(AccountId), Path, description = "Whose chain"),
        (
            "Waxwing-Blob-Secret" = Option<String>,
            Header,
            description = "With the entry that closes the account: of this secret (base64url of 32 bytes) the tags were made with which its blobs were put up; they go"
        ),
    ),
    request_body = SubmitEntry,
    security((), ("device_token" = [], "device_proof" = [])),
    responses((status = 201, description = "Stored, now or before", body = EntryAccepted), Problems),
)]
pub(crate) async fn run(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    Segment(account): Segment,
    request: Request,
) -> Reply {
    let (parts, body) = request.into_parts();
    let account: AccountId = parse::id(&account)?;
    // Whoever recovers an account has no device that could ask for a token: the entry itself proves who it is from. Nor has whoever states
    // again what a relay out of a backup has lost: it knows none of the keys that are in force.
    let device = if parts.headers.contains_key(AUTHORIZATION) {
        Some(Device::authenticate(&app, &parts).await?)
    } else {
        app.limiters.registration.check(&peer.address.into())?;
        None
    };
    if device.is_some_and(|device| device.account != account) {
        return Err(ProblemCode::Unauthorized.into());
    }
    if device.is_some() {
        app.limiters.chain.check(&account)?;
    }
    let blobs = parse::key(&parts.headers, &HeaderName::from_static(BLOB_SECRET_HEADER))?.map(BlobSecret::from_bytes);
    let SubmitEntry { entry } = parse::json(&parts.headers, body, MAX_ENTRY_BODY).await?;
    let entry = ChainEntry::decode(entry.as_ref()).map_err(|_| ProblemCode::InvalidEntry)?;
    // For a while: a key that was replaced after the backup, and stolen, is in force here until its owner has stated the replacement again.
    let restored = app.restorations.last().is_some_and(|last| last.is_recent(app.storage.arrival_time().day()));
    if device.is_none() && !restored && !matches!(entry.unsigned.statement, Statement::Recover(_)) {
        return Err(ProblemCode::Unauthorized.into());
    }
    let seq = entry.unsigned.seq;
    match verify(&app, account, device, entry).await? {
        Verified::Stored => Ok(created(EntryAccepted { account, seq })),
        Verified::Next(mut next) => {
            if let DeviceChange::Closed(secret) = &mut next.devices {
                *secret = blobs;
            }
            // Again, for whoever came without a token; and only now: whether an account is disabled is for those to know who have its keys.
            app.decisions.check(&account)?;
            let event = event(&next.devices);
            match app.storage.extend_chain(*next).await? {
                Chained::Stored => {
                    if matches!(event, Event::Closed) {
                        app.blobs_wake.notify_one();
                    }
                    app.audit.record(event, Subject::Account(account));
                    Ok(created(EntryAccepted { account, seq }))
                }
                Chained::Conflict => Err(ProblemCode::ChainConflict.into()),
                Chained::IdTaken => Err(ProblemCode::AccountExists.into()),
            }
        }
    }
}

fn event(change: &DeviceChange) -> Event {
    match change {
        DeviceChange::Added(_) => Event::DeviceAdded,
        DeviceChange::Rotated(_) => Event::KeysRotated,
        DeviceChange::Revoked(_) => Event::DevicesRevoked,
        DeviceChange::Only(_) => Event::Recovered,
        DeviceChange::Closed(_) => Event::Closed,
    }
}

enum Verified {
    /// These very bytes are stored already.
    Stored,
    /// They follow the chain as stored now; whether they still do is for the storage to decide.
    Next(Box<NextEntry>),
}

/// How an entry stands to the chain as stored now.
enum Stands {
    /// These very bytes are there already.
    Stored,
    /// Another one has its place.
    Taken,
    /// It does not follow the newest one.
    Beside,
    /// It may be the next one.
    Next,
}

/// Judges the entry by the chain before it.
async fn verify(
    app: &Arc<App>,
    account: AccountId,
    device: Option<Device>,
    entry: ChainEntry,
) -> Result<Verified, Refusal> {
    if entry.unsigned.account != account {
        return Err(ProblemCode::InvalidEntry.into());
    }
    let devices = change(&entry.unsigned.statement)?;
    match stands(app, &entry).await? {
        Stands::Stored => return Ok(Verified::Stored),
        Stands::Taken => return Err(ProblemCode::ChainConflict.into()),
        Stands::Beside => {
            // As it would be judged: a token that has outlived its device, or its key, is told so first.
            if let Some(device) = device {
                device.check(app).await?;
            }
            return Err(ProblemCode::ChainConflict.into());
        }
        Stands::Next => {}
    }
    // A place first: the chain may have megabytes.
    let place = app.judges.place().await?;
    let (chain, held) = whole_chain(app, account).await?;
    // It may have come in meanwhile.
    if let Some(stored) = chain.get(entry.unsigned.seq as usize) {
        return if stored == entry.as_bytes() { Ok(Verified::Stored) } else { Err(ProblemCode::ChainConflict.into()) };
    }
    // Several signatures for each entry: too much for an async thread when the chain is long.
    let shared = Arc::clone(app);
    let judged = tokio::task::spawn_blocking(move || {
        // Held by the work, not by the request: one that is given up goes on computing.
        let _held = (place, held);
        judge(&shared, device, &chain, entry)
    });
    let entry = judged.await.map_err(|_| ProblemCode::Internal)??;
    Ok(Verified::Next(Box::new(NextEntry { entry, devices })))
}

/// A look at the two entries that say whether this one can be the next: whoever makes up one that cannot must not have the whole chain judged for it.
async fn stands(app: &App, entry: &ChainEntry) -> Result<Stands, Refusal> {
    let unsigned = &entry.unsigned;
    let from = unsigned.seq.saturating_sub(1);
    let found = app.storage.chain(AccountRef::Id(unsigned.account), from, 2).await?;
    let mut entries = found.ok_or(ProblemCode::UnknownAccount)?.entries.into_iter();
    let before = if unsigned.seq == 0 { None } else { entries.next() };
    Ok(match (before, entries.next()) {
        (_, Some(there)) if there == entry.as_bytes() => Stands::Stored,
        (_, Some(_)) => Stands::Taken,
        (Some(before), None) => match ChainEntry::decode(&before) {
            Ok(before) if before.hash() != unsigned.prev_hash => Stands::Beside,
            // Of one that cannot be read the judgement says so.
            Ok(_) | Err(_) => Stands::Next,
        },
        (None, None) => Stands::Beside,
    })
}

/// Whether the entry may follow the chain.
fn judge(app: &App, device: Option<Device>, chain: &[Vec<u8>], entry: ChainEntry) -> Result<ChainEntry, Refusal> {
    // Too much to do for anybody who asks: whoever has the phrase, or the account key, shows it first. Only then does it count against the account, whose owner
    // could else be kept from changing their keys by anybody.
    if device.is_none() {
        if !is_begun(chain, &entry) {
            return Err(ProblemCode::InvalidEntry.into());
        }
        app.limiters.chain.check(&entry.unsigned.account)?;
    }
    let extended = VerifiedChain::verify(chain).and_then(|mut verified| {
        let in_force = |device: Device| {
            let state = verified.device(device.device);
            state.is_some_and(|state| state.current().record.relay_auth == device.relay_auth)
        };
        if device.is_some_and(|device| !in_force(device)) {
            // Its token has outlived it, or its key.
            return Err(ChainError::Account);
        }
        verified.extend(entry.as_bytes())
    });
    match extended {
        Ok(()) => Ok(entry),
        Err(ChainError::Order) => Err(ProblemCode::ChainConflict.into()),
        Err(ChainError::Account) => Err(ProblemCode::Unauthorized.into()),
        Err(_) => Err(ProblemCode::InvalidEntry.into()),
    }
}

fn change(statement: &Statement) -> Result<DeviceChange, Refusal> {
    Ok(match statement {
        Statement::Create(_) => return Err(Refusal::invalid_entry("A chain has one first entry")),
        Statement::AddDevice(record) => DeviceChange::Added((**record).clone()),
        Statement::RotateDeviceKeys(record) => DeviceChange::Rotated((**record).clone()),
        Statement::RotateAccountKey(rotate) => DeviceChange::Revoked(rotate.revoked.clone()),
        Statement::Recover(recover) => DeviceChange::Only(recover.device.clone()),
        Statement::Close => DeviceChange::Closed(None),
    })
}

/// Whether the key in force that may make such an entry has signed it. The stored chain is taken as it is: it was verified when it was stored.
fn is_begun(chain: &[Vec<u8>], entry: &ChainEntry) -> bool {
    let (mut account_key, mut recovery_key) = (None, None);
    // The newest first: what a later entry states is in force.
    for stored in chain.iter().rev().filter_map(|bytes| ChainEntry::decode(bytes).ok()) {
        let (account, recovery) = match &stored.unsigned.statement {
            Statement::Create(create) => (Some(create.account_key), Some(create.recovery_key)),
            Statement::Recover(recover) => (Some(recover.account_key), Some(recover.recovery_key)),
            Statement::RotateAccountKey(rotate) => (Some(rotate.account_key), None),
            Statement::AddDevice(_) | Statement::RotateDeviceKeys(_) | Statement::Close => (None, None),
        };
        account_key = account_key.or(account);
        recovery_key = recovery_key.or(recovery);
        if let (Some(account_key), Some(recovery_key)) = (&account_key, &recovery_key) {
            return entry.is_begun_by(InForce { account_key, recovery_key });
        }
    }
    false
}

/// All entries, with the room that they take: to be held as long as they are.
async fn whole_chain(app: &App, account: AccountId) -> Result<(Vec<Vec<u8>>, Held), Refusal> {
    let (mut entries, mut bytes, mut held) = (Vec::new(), 0, Held::default());
    while entries.len() <= MAX_CHAIN {
        let from = u32::try_from(entries.len()).map_err(|_| ProblemCode::Internal)?;
        let page = app.storage.chain(AccountRef::Id(account), from, MAX_CHAIN_PAGE).await?;
        let page = page.ok_or(ProblemCode::UnknownAccount)?.entries;
        if page.is_empty() {
            break;
        }
        bytes += page.iter().map(Vec::len).sum::<usize>();
        // Not waited for: whoever waits here has a place that everybody else is waiting for.
        if !app.budget.grow_now(&mut held, bytes) {
            return Err(Refusal::busy(AGAIN));
        }
        entries.extend(page);
    }
    Ok((entries, held))
}

#[cfg(test)]
mod tests;
