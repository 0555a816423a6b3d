//! `GET /v1/relay`: what this is.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use waxwing_wire::API_VERSION;
use waxwing_wire::api::{RelayInfo, SERVICE};

use crate::state::App;

/// Replies.
pub(crate) async fn run(State(app): State<Arc<App>>) -> Json<RelayInfo> {
    Json(RelayInfo {
        service: SERVICE.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        api: API_VERSION,
        audience: app.audience.clone(),
        log_key: Some(app.log_key.to_string()),
    })
}
