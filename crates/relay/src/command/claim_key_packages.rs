//! `POST /v1/key-packages/claim`: one key package of each device of an account, for whoever may send to its inboxes.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use waxwing_wire::frame::ClaimKeyPackages;
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::{hash, label};

use super::admission::Caller;
use super::binary;
use crate::error::{Refusal, Reply};
use crate::openapi::{Binary, problems};
use crate::request as parse;
use crate::state::{App, Peer};
use crate::storage::{Claim, Claimed, Claimer};

const MAX_BODY: usize = 256;

problems!(Problems: TooLarge, UnsupportedMediaType, Unauthorized, UseDpopNonce, AccountDisabled, InboxRefused, RateLimited, InsufficientStorage);

/// One key package of each device of an account
#[utoipa::path(
    post,
    path = "/v1/key-packages/claim",
    operation_id = "claim_key_packages",
    tag = "key packages",
    request_body(content = inline(Binary), description = "claim key packages", content_type = "application/octet-stream"),
    security(("access_key" = []), ("device_token" = [], "device_proof" = [])),
    responses((status = 200, description = "claimed key packages", body = inline(Binary), content_type = "application/octet-stream"), Problems),
)]
pub(crate) async fn run(State(app): State<Arc<App>>, Extension(peer): Extension<Peer>, request: Request) -> Reply {
    let (parts, body) = request.into_parts();
    app.limiters.claim.check(&peer.address.into())?;
    let caller = Caller::of(&app, &peer, &parts).await?;
    let bytes = parse::binary(&parts.headers, body, MAX_BODY).await?;
    let asked = ClaimKeyPackages::decode(&bytes).map_err(|_| Refusal::bad_request("The claim cannot be read"))?;
    let claim = Claim { account: asked.account, id: id(&asked, &caller), claimer: claimer(&app, &asked, &caller)? };
    match app.storage.claim_key_packages(claim).await? {
        Claimed::Packages(packages) => Ok(binary(packages.encode())),
        Claimed::Refused => Err(ProblemCode::InboxRefused.into()),
    }
}

/// What is kept of a claim. It names the claimer, so that nobody else gets the same answer, but only to those who know the claim's random id,
/// which is not kept.
fn id(asked: &ClaimKeyPackages, caller: &Caller) -> [u8; 32] {
    // An access key's hash and an account id differ in length: the one is never taken for the other.
    let who: &[u8] = match caller {
        Caller::Holder(hash) => hash,
        Caller::Stranger(account) => account.as_bytes(),
    };
    hash(&[&label("relay claim"), &asked.claim, asked.account.as_bytes(), who])
}

fn claimer(app: &App, asked: &ClaimKeyPackages, caller: &Caller) -> Result<Claimer, Refusal> {
    match caller {
        Caller::Holder(hash) => Ok(Claimer::AccessKey(*hash)),
        Caller::Stranger(account) => Ok(Claimer::Stranger(app.pseudonyms.of(*account, asked.account)?)),
    }
}
