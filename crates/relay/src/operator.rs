//! The operator's listener: `/metrics` and `/readyz`, apart from everything that clients reach.
//!
//! Not here: `/healthz`, which is on both; the admin socket ([`mod@crate::admin`]).

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;

use crate::command::healthz;
use crate::state::App;

/// As prometheus-client writes it; Prometheus takes it as it is.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// A storage that takes longer for one small write is not what one sends people to.
const PATIENCE: Duration = Duration::from_secs(5);

/// All that an operator can ask here.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/readyz", get(readyz))
        .route("/healthz", get(healthz::run))
        .with_state(app)
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    let bytes = app.storage.database_bytes().await.ok();
    let ready = bytes.is_some() && !app.stopping.is_cancelled();
    match app.metrics.text(app.storage.stats(), bytes, ready) {
        Some(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// 200 while something can be stored and the relay is not stopping; else 503 and why.
async fn readyz(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    if app.stopping.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    match tokio::time::timeout(PATIENCE, app.storage.probe()).await {
        Ok(Ok(())) => (StatusCode::OK, "ready\n"),
        Ok(Err(_)) | Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "nothing can be stored\n"),
    }
}
