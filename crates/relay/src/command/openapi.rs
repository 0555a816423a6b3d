//! `GET /openapi.json`: what this relay's API is, for programs.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::IntoResponse as _;
use http::header::CONTENT_TYPE;

use crate::error::Reply;
use crate::openapi::problems;
use crate::request::JSON;
use crate::router::DOCUMENT;
use crate::state::{App, Peer};

problems!(Problems: RateLimited);

/// This document
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "openapi",
    tag = "relay",
    responses((status = 200, description = "An OpenAPI 3.1 document", body = Object, content_type = "application/json"), Problems),
)]
pub(crate) async fn run(State(app): State<Arc<App>>, Extension(peer): Extension<Peer>) -> Reply {
    // It is by far the largest answer to so short a request.
    app.limiters.lookup.check(&peer.address.into())?;
    Ok(([(CONTENT_TYPE, JSON)], DOCUMENT.clone()).into_response())
}
