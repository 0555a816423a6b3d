//! `GET /v1/transparency/restored`: the notes of restorations from backups, oldest first; an empty list where there was none.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::response::IntoResponse as _;
use waxwing_wire::api::Restorations;

use crate::error::Reply;
use crate::openapi::problems;
use crate::state::{App, Peer};

problems!(Problems: RateLimited);

/// Where the log went on under another origin after the relay was restored from a backup
#[utoipa::path(
    get,
    path = "/v1/transparency/restored",
    operation_id = "transparency_restored",
    tag = "transparency",
    responses((status = 200, description = "Signed notes, oldest first", body = Restorations), Problems),
)]
pub(crate) async fn run(State(app): State<Arc<App>>, Extension(peer): Extension<Peer>) -> Reply {
    app.limiters.lookup.check(&peer.address.into())?;
    let notes = app.restorations.iter().map(|restored| restored.note.clone()).collect();
    Ok(Json(Restorations { notes }).into_response())
}
