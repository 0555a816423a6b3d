//! `POST /v1/accounts/{id}/chain`: the next entry of one's own chain, compare-and-swap on the one before.

use std::sync::Arc;

use axum::extract::{Request, State};
use waxwing_wire::api::{EntryAccepted, SubmitEntry};
use waxwing_wire::chain::{ChainEntry, Statement};
use waxwing_wire::limits::{MAX_CHAIN, MAX_CHAIN_PAGE};
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::{AccountId, ChainError, VerifiedChain};

use super::{MAX_ENTRY_BODY, created};
use crate::auth::Device;
use crate::error::{Refusal, Reply};
use crate::request::{self as parse, Segment};
use crate::state::App;
use crate::storage::{AccountRef, Chained, NextEntry};

/// Parses, applies, replies.
pub(crate) async fn run(State(app): State<Arc<App>>, Segment(account): Segment, request: Request) -> Reply {
    let (parts, body) = request.into_parts();
    let device = Device::authenticate(&app, &parts)?;
    let account: AccountId = parse::id(&account)?;
    if device.account != account {
        return Err(ProblemCode::Unauthorized.into());
    }
    app.limiters.chain.check(&account)?;
    let SubmitEntry { entry } = parse::json(body, MAX_ENTRY_BODY).await?;
    let entry = ChainEntry::decode(entry.as_ref()).map_err(|_| ProblemCode::InvalidEntry)?;
    let seq = entry.unsigned.seq;
    let next = verify(&app, account, entry).await?;
    match next {
        Verified::Stored => Ok(created(EntryAccepted { account, seq })),
        Verified::Next(next) => match app.storage.extend_chain(*next).await? {
            Chained::Stored => Ok(created(EntryAccepted { account, seq })),
            Chained::Conflict => Err(ProblemCode::ChainConflict.into()),
        },
    }
}

enum Verified {
    /// These very bytes are stored already.
    Stored,
    /// They follow the chain as stored now; whether they still do is for the storage to decide.
    Next(Box<NextEntry>),
}

/// Judges the entry by the chain before it.
async fn verify(app: &App, account: AccountId, entry: ChainEntry) -> Result<Verified, Refusal> {
    if entry.unsigned.account != account {
        return Err(ProblemCode::InvalidEntry.into());
    }
    let Statement::RotateDeviceKeys(record) = &entry.unsigned.statement else {
        return Err(Refusal::invalid_entry("A chain has one first entry"));
    };
    let device = (**record).clone();
    let chain = whole_chain(app, account).await?;
    if let Some(stored) = chain.get(entry.unsigned.seq as usize) {
        return if stored == entry.as_bytes() { Ok(Verified::Stored) } else { Err(ProblemCode::ChainConflict.into()) };
    }
    // Four signatures for each entry: too much for an async thread when the chain is long.
    let judged = tokio::task::spawn_blocking(move || {
        let mut chain = VerifiedChain::verify(&chain)?;
        chain.extend(entry.as_bytes()).map(|()| entry)
    });
    match judged.await.map_err(|_| ProblemCode::Internal)? {
        Ok(entry) => Ok(Verified::Next(Box::new(NextEntry { entry, device }))),
        Err(ChainError::Order) => Err(ProblemCode::ChainConflict.into()),
        Err(_) => Err(ProblemCode::InvalidEntry.into()),
    }
}

async fn whole_chain(app: &App, account: AccountId) -> Result<Vec<Vec<u8>>, Refusal> {
    let mut entries = Vec::new();
    while entries.len() <= MAX_CHAIN {
        let from = u32::try_from(entries.len()).map_err(|_| ProblemCode::Internal)?;
        let page = app.storage.chain(AccountRef::Id(account), from, MAX_CHAIN_PAGE).await?;
        let page = page.ok_or(ProblemCode::UnknownAccount)?.entries;
        if page.is_empty() {
            break;
        }
        entries.extend(page);
    }
    Ok(entries)
}
