//! `GET /v1/transparency/checkpoint`: the newest signed checkpoint of the transparency log, as a note.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::IntoResponse as _;
use http::header::CONTENT_TYPE;

use crate::error::Reply;
use crate::state::{App, Peer};

/// Parses, applies, replies.
pub(crate) async fn run(State(app): State<Arc<App>>, Extension(peer): Extension<Peer>) -> Reply {
    app.limiters.lookup.check(&peer.address.into())?;
    let note = app.storage.checkpoint().await?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], note).into_response())
}
