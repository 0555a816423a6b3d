//! `GET /healthz`: the process answers. Says nothing about the database.

use crate::openapi::problems;

problems!(Problems:);

/// Whether the process answers
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "healthz",
    tag = "relay",
    responses((status = 200, description = "It does", body = String, content_type = "text/plain; charset=utf-8"), Problems),
)]
pub(crate) async fn run() -> &'static str {
    "ok"
}
