//! `POST /v1/accounts`: a chain's first entry, and with it a name.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, State};
use waxwing_wire::VerifiedChain;
use waxwing_wire::api::{EntryAccepted, SubmitEntry};
use waxwing_wire::chain::{ChainEntry, Statement};
use waxwing_wire::problem::ProblemCode;

use super::{MAX_ENTRY_BODY, created};
use crate::error::{Refusal, Reply};
use crate::request;
use crate::state::{App, Peer};
use crate::storage::{NewAccount, PublicName, Registered};

/// Parses, applies, replies.
pub(crate) async fn run(State(app): State<Arc<App>>, Extension(peer): Extension<Peer>, body: Body) -> Reply {
    app.limiters.registration.check(&peer.address.into())?;
    let SubmitEntry { entry } = request::json(body, MAX_ENTRY_BODY).await?;
    let new = parse(&app, entry.as_ref()).await?;
    let account = new.entry.unsigned.account;
    match app.storage.register(new).await? {
        Registered::Stored => Ok(created(EntryAccepted { account, seq: 0 })),
        Registered::NameTaken => Err(ProblemCode::NameTaken.into()),
        Registered::IdTaken => Err(ProblemCode::AccountExists.into()),
    }
}

/// A whole chain of one entry, made for this relay, with a name.
async fn parse(app: &App, bytes: &[u8]) -> Result<NewAccount, Refusal> {
    let entry = ChainEntry::decode(bytes).map_err(|_| ProblemCode::InvalidEntry)?;
    let chain = VerifiedChain::verify(&[bytes]).map_err(|_| ProblemCode::InvalidEntry)?;
    if chain.log_origin() != app.audience {
        return Err(Refusal::invalid_entry("The chain was made for another relay"));
    }
    let name = chain.name().ok_or_else(|| Refusal::invalid_entry("The account has no name"))?.clone();
    let Statement::Create(create) = &entry.unsigned.statement else { return Err(ProblemCode::InvalidEntry.into()) };
    let device = create.device.clone();
    let hash = app.names.hash(&name).await?;
    Ok(NewAccount { entry, name: Some(PublicName { name, hash }), device })
}
