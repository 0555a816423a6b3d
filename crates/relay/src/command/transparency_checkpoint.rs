//! `GET /v1/transparency/checkpoint`: the newest signed checkpoint of the transparency log, as a note.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::IntoResponse as _;
use http::header::CONTENT_TYPE;

use crate::error::Reply;
use crate::openapi::problems;
use crate::state::{App, Peer};

problems!(Problems: RateLimited);

/// The newest signed checkpoint
#[utoipa::path(
    get,
    path = "/v1/transparency/checkpoint",
    operation_id = "transparency_checkpoint",
    tag = "transparency",
    responses((status = 200, description = "A signed note", body = String, content_type = "text/plain; charset=utf-8"), Problems),
)]
pub(crate) async fn run(State(app): State<Arc<App>>, Extension(peer): Extension<Peer>) -> Reply {
    app.limiters.lookup.check(&peer.address.into())?;
    let note = app.storage.checkpoint().await?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], note).into_response())
}
