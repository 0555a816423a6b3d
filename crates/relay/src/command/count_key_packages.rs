//! `GET /v1/key-packages`: how many of the device's own key packages are left.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::IntoResponse as _;
use waxwing_wire::api::KeyPackageCount;
use waxwing_wire::problem::ProblemCode;

use crate::auth::Device;
use crate::error::Reply;
use crate::openapi::problems;
use crate::state::App;

problems!(Problems: Unauthorized, UseDpopNonce, AccountDisabled, RateLimited);

/// How many of the device's own key packages are left
#[utoipa::path(
    get,
    path = "/v1/key-packages",
    operation_id = "count_key_packages",
    tag = "key packages",
    security(("device_token" = [], "device_proof" = [])),
    responses((status = 200, description = "What is left", body = KeyPackageCount), Problems),
)]
pub(crate) async fn run(State(app): State<Arc<App>>, request: Request) -> Reply {
    let (parts, _) = request.into_parts();
    let device = Device::in_force(&app, &parts).await?;
    let count = app.storage.count_key_packages(device.device).await?.ok_or(ProblemCode::Unauthorized)?;
    Ok(Json(count).into_response())
}
