//! `GET /v1/key-packages`: how many of the device's own key packages are left.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::IntoResponse as _;
use waxwing_wire::problem::ProblemCode;

use crate::auth::Device;
use crate::error::Reply;
use crate::state::App;

/// Parses, applies, replies.
pub(crate) async fn run(State(app): State<Arc<App>>, request: Request) -> Reply {
    let (parts, _) = request.into_parts();
    let device = Device::authenticate(&app, &parts)?;
    let count = app.storage.count_key_packages(device.device).await?.ok_or(ProblemCode::Unauthorized)?;
    Ok(Json(count).into_response())
}
