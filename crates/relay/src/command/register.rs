//! `POST /v1/accounts`: a chain's first entry, and with it a name.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use http::{HeaderMap, HeaderName};
use waxwing_wire::api::{EntryAccepted, REGISTRATION_HEADER, SubmitEntry, base64url};
use waxwing_wire::chain::{ChainEntry, Statement};
use waxwing_wire::log::token_hash;
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::{AccountId, VerifiedChain};

use super::{MAX_ENTRY_BODY, created};
use crate::audit::{Event, Subject};
use crate::config::Registration;
use crate::error::{Refusal, Reply};
use crate::openapi::problems;
use crate::request as parse;
use crate::state::{App, Peer};
use crate::storage::{AccountRef, Invited, NewAccount, PublicName, Registered};

problems!(Problems: TooLarge, UnsupportedMediaType, InvalidEntry, NameTaken, AccountExists, RegistrationClosed, RegistrationInviteRequired, RateLimited, InsufficientStorage);

/// A new account, by its chain's first entry
#[utoipa::path(
    post,
    path = "/v1/accounts",
    operation_id = "register",
    tag = "accounts",
    params((
        "Waxwing-Registration" = Option<String>,
        Header,
        description = "An invitation of the operator's, where the relay asks for one"
    )),
    request_body = SubmitEntry,
    responses((status = 201, description = "Stored, now or before", body = EntryAccepted), Problems),
)]
pub(crate) async fn run(State(app): State<Arc<App>>, Extension(peer): Extension<Peer>, request: Request) -> Reply {
    app.limiters.registration.check(&peer.address.into())?;
    let (parts, body) = request.into_parts();
    let invitation = invitation(&parts.headers)?;
    let SubmitEntry { entry } = parse::json(&parts.headers, body, MAX_ENTRY_BODY).await?;
    // Before the name is hashed: that is too much work for anybody who asks.
    if let Some(refused) = shut(&app, invitation).await? {
        return match stored(&app, entry.as_ref()).await? {
            Some(account) => Ok(created(EntryAccepted { account, seq: 0 })),
            None => Err(refused.into()),
        };
    }
    let new = verify(&app, entry.as_ref()).await?;
    let account = new.entry.unsigned.account;
    let registered = match invitation.filter(|_| app.registration == Registration::Invite) {
        None => app.storage.register(new).await?,
        Some(invitation) => match app.storage.register_invited(new, invitation).await? {
            Invited::Judged(registered) => registered,
            Invited::Refused => return Err(ProblemCode::RegistrationInviteRequired.into()),
        },
    };
    match registered {
        Registered::Stored => {
            app.audit.record(Event::Registered, Subject::Account(account));
            Ok(created(EntryAccepted { account, seq: 0 }))
        }
        Registered::NameTaken => Err(ProblemCode::NameTaken.into()),
        Registered::IdTaken => Err(ProblemCode::AccountExists.into()),
    }
}

/// Why nobody gets an account like this, whatever the entry says.
async fn shut(app: &App, invitation: Option<[u8; 32]>) -> Result<Option<ProblemCode>, Refusal> {
    let invited = match (app.registration, invitation) {
        (Registration::Open, _) => return Ok(None),
        (Registration::Closed, _) => return Ok(Some(ProblemCode::RegistrationClosed)),
        (Registration::Invite, None) => false,
        // Whoever stores the account looks again: this one may be used up by then.
        (Registration::Invite, Some(invitation)) => app.storage.invited(invitation).await?,
    };
    Ok((!invited).then_some(ProblemCode::RegistrationInviteRequired))
}

/// Whose account it is if these very bytes are stored already: who was told nothing the first time gets their answer.
async fn stored(app: &App, bytes: &[u8]) -> Result<Option<AccountId>, Refusal> {
    let account = ChainEntry::decode(bytes).map_err(|_| ProblemCode::InvalidEntry)?.unsigned.account;
    let found = app.storage.chain(AccountRef::Id(account), 0, 1).await?;
    let same = found.is_some_and(|chain| chain.entries.first().is_some_and(|first| first == bytes));
    Ok(same.then_some(account))
}

/// Hash of the invitation that came along. One that cannot be read is refused like an unknown one, where it matters.
fn invitation(headers: &HeaderMap) -> Result<Option<[u8; 32]>, Refusal> {
    let header = parse::header(headers, &HeaderName::from_static(REGISTRATION_HEADER))?;
    Ok(header.and_then(base64url::decode).map(|token| token_hash(&token)))
}

/// A whole chain of one entry, made for this relay, with a name.
async fn verify(app: &App, bytes: &[u8]) -> Result<NewAccount, Refusal> {
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

#[cfg(test)]
mod tests;
