//! `POST /v1/logs`: a new log. Some device asks; which one is not kept.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::IntoResponse as _;
use http::StatusCode;
use waxwing_wire::frame::CreateLog;
use waxwing_wire::problem::ProblemCode;

use crate::auth::Device;
use crate::error::{Refusal, Reply};
use crate::openapi::{Binary, problems};
use crate::request as parse;
use crate::state::App;

const MAX_BODY: usize = 256;

problems!(Problems: TooLarge, UnsupportedMediaType, Unauthorized, UseDpopNonce, AccountDisabled, LogRefused, RateLimited, InsufficientStorage);

/// A new log; who asks is not kept
#[utoipa::path(
    post,
    path = "/v1/logs",
    operation_id = "create_log",
    tag = "logs",
    request_body(content = inline(Binary), description = "create log", content_type = "application/octet-stream"),
    security(("device_token" = [], "device_proof" = [])),
    responses((status = 201, description = "It is there, since now or before"), Problems),
)]
pub(crate) async fn run(State(app): State<Arc<App>>, request: Request) -> Reply {
    let (parts, body) = request.into_parts();
    let device = Device::in_force(&app, &parts).await?;
    app.limiters.logs.check(&device.account)?;
    let bytes = parse::binary(&parts.headers, body, MAX_BODY).await?;
    let log = CreateLog::decode(&bytes).map_err(|_| Refusal::bad_request("The new log cannot be read"))?;
    if app.storage.create_log(log).await? {
        Ok(StatusCode::CREATED.into_response())
    } else {
        Err(ProblemCode::LogRefused.into())
    }
}
