//! `GET /openapi.json`: what this relay's API is, for programs.

use axum::extract::Extension;
use axum::response::{IntoResponse as _, Response};
use http::header::CONTENT_TYPE;

use crate::openapi::{Served, problems};
use crate::request::JSON;

problems!(Problems:);

/// This document
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "openapi",
    tag = "relay",
    responses((status = 200, description = "An OpenAPI 3.1 document", body = Object, content_type = "application/json"), Problems),
)]
pub(crate) async fn run(Extension(Served(document)): Extension<Served>) -> Response {
    ([(CONTENT_TYPE, JSON)], document).into_response()
}
