//! `GET /v1/inboxes/{device}?after=n`: what waits for oneself.

use std::sync::Arc;

use axum::extract::{Request, State};
use waxwing_wire::DeviceId;
use waxwing_wire::problem::ProblemCode;

use super::page;
use crate::auth::Device;
use crate::error::{Refusal, Reply};
use crate::openapi::{Binary, problems};
use crate::request::{self as parse, Segment};
use crate::state::App;

problems!(Problems: Unauthorized, UseDpopNonce, AccountDisabled, InboxRefused, RateLimited);

/// What waits for oneself
#[utoipa::path(
    get,
    path = "/v1/inboxes/{device}",
    operation_id = "read_inbox",
    tag = "inboxes",
    params(("device" = inline(DeviceId), Path, description = "The own device"), ("after" = Option<u64>, Query, description = "Seq of the newest entry that is known; 0 if absent")),
    security(("device_token" = [], "device_proof" = [])),
    responses((status = 200, description = "inbox page", body = inline(Binary), content_type = "application/octet-stream"), Problems),
)]
pub(crate) async fn run(State(app): State<Arc<App>>, Segment(device): Segment, request: Request) -> Reply {
    let (parts, _) = request.into_parts();
    let device = own(&app, &parts, &device).await?;
    let after = parse::number(&parts.uri, "after", 0)?;
    let read = || async {
        let page = app.storage.read_inbox(device, after).await?.ok_or(ProblemCode::InboxRefused)?;
        Ok(page.encode())
    };
    page(&app, parse::BINARY, read).await
}

/// The device in the path, if it is the one that asks. Anybody else's inbox and none at all answer alike.
pub(super) async fn own(app: &App, parts: &http::request::Parts, path: &str) -> Result<DeviceId, Refusal> {
    let authenticated = Device::in_force(app, parts).await?;
    let device: DeviceId = parse::id(path)?;
    if authenticated.device == device { Ok(device) } else { Err(ProblemCode::InboxRefused.into()) }
}
