//! `PUT` and `DELETE /v1/access-keys`: whom the account admits to its inboxes, by hashes of keys.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::IntoResponse as _;
use http::StatusCode;
use waxwing_wire::AccountId;
use waxwing_wire::api::AccessKeys;
use waxwing_wire::limits::MAX_ACCESS_KEYS;
use waxwing_wire::problem::ProblemCode;

use crate::auth::Device;
use crate::error::{Refusal, Reply};
use crate::openapi::problems;
use crate::request as parse;
use crate::state::App;

/// 43 letters, quotes and a comma for each.
const MAX_BODY: usize = MAX_ACCESS_KEYS * 48 + 1024;

problems!(Problems: TooLarge, UnsupportedMediaType, Unauthorized, UseDpopNonce, AccountDisabled, QuotaExceeded, RateLimited, InsufficientStorage);
problems!(DismissProblems: TooLarge, UnsupportedMediaType, Unauthorized, UseDpopNonce, AccountDisabled, RateLimited, InsufficientStorage);

/// Admits whoever has one of these access keys
#[utoipa::path(
    put,
    path = "/v1/access-keys",
    operation_id = "admit_access_keys",
    tag = "accounts",
    request_body = AccessKeys,
    security(("device_token" = [], "device_proof" = [])),
    responses((status = 204, description = "They are admitted"), Problems),
)]
pub(crate) async fn admit(State(app): State<Arc<App>>, request: Request) -> Reply {
    let (account, hashes) = read(&app, request).await?;
    if app.storage.admit(account, hashes).await? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(ProblemCode::QuotaExceeded.into())
    }
}

/// Admits them no more
#[utoipa::path(
    delete,
    path = "/v1/access-keys",
    operation_id = "dismiss_access_keys",
    tag = "accounts",
    request_body = AccessKeys,
    security(("device_token" = [], "device_proof" = [])),
    responses((status = 204, description = "They are not admitted"), DismissProblems),
)]
pub(crate) async fn dismiss(State(app): State<Arc<App>>, request: Request) -> Reply {
    let (account, hashes) = read(&app, request).await?;
    app.storage.dismiss(account, hashes).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn read(app: &App, request: Request) -> Result<(AccountId, Vec<[u8; 32]>), Refusal> {
    let (parts, body) = request.into_parts();
    let device = Device::in_force(app, &parts).await?;
    let AccessKeys { hashes } = parse::json(&parts.headers, body, MAX_BODY).await?;
    let hashes = hashes
        .iter()
        .map(|hash| hash.as_ref().try_into().map_err(|_| Refusal::bad_request("A hash has 32 bytes")))
        .collect::<Result<_, _>>()?;
    Ok((device.account, hashes))
}
