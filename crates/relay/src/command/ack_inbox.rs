//! `POST /v1/inboxes/{device}/ack`: what the device has stored may go.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::IntoResponse as _;
use http::StatusCode;
use waxwing_wire::DeviceId;
use waxwing_wire::api::Ack;

use super::read_inbox::own;
use crate::error::Reply;
use crate::openapi::problems;
use crate::request::{self as parse, Segment};
use crate::state::App;

const MAX_BODY: usize = 256;

problems!(Problems: TooLarge, UnsupportedMediaType, Unauthorized, UseDpopNonce, AccountDisabled, InboxRefused, RateLimited, InsufficientStorage);

/// What the device has stored may go
#[utoipa::path(
    post,
    path = "/v1/inboxes/{device}/ack",
    operation_id = "ack_inbox",
    tag = "inboxes",
    params(("device" = inline(DeviceId), Path, description = "The own device")), request_body = Ack,
    security(("device_token" = [], "device_proof" = [])),
    responses((status = 204, description = "It has gone"), Problems),
)]
pub(crate) async fn run(State(app): State<Arc<App>>, Segment(device): Segment, request: Request) -> Reply {
    let (parts, body) = request.into_parts();
    let device = own(&app, &parts, &device).await?;
    let Ack { up_to } = parse::json(&parts.headers, body, MAX_BODY).await?;
    app.storage.acknowledge(device, up_to).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
