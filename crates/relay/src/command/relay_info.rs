//! `GET /v1/relay`: what this is.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use waxwing_wire::API_VERSION;
use waxwing_wire::api::{RelayInfo, SERVICE};

use crate::openapi::problems;
use crate::state::App;

problems!(Problems:);

/// What this is
#[utoipa::path(
    get,
    path = "/v1/relay",
    operation_id = "relay_info",
    tag = "relay",
    responses((status = 200, description = "This relay", body = RelayInfo), Problems),
)]
pub(crate) async fn run(State(app): State<Arc<App>>) -> Json<RelayInfo> {
    Json(RelayInfo {
        service: SERVICE.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        api: API_VERSION,
        audience: app.audience.clone(),
        log_key: Some(app.log_key.to_string()),
    })
}
