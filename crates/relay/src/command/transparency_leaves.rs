//! `GET /v1/transparency/leaves?from=n`: leaves of the transparency log from index `n` on, one after the other.

use std::sync::Arc;

use axum::extract::{Extension, State};
use http::Uri;
use waxwing_wire::limits::MAX_LEAVES_PAGE;

use super::page;
use crate::error::{Refusal, Reply};
use crate::openapi::{Binary, problems};
use crate::request;
use crate::state::{App, Peer};

problems!(Problems: RateLimited);

/// Leaves, 69 bytes each
#[utoipa::path(
    get,
    path = "/v1/transparency/leaves",
    operation_id = "transparency_leaves",
    tag = "transparency",
    params(("from" = Option<u64>, Query, description = "Index of the first one wanted; 0 if absent")),
    responses((status = 200, description = "Leaves, as many as fit", body = inline(Binary), content_type = "application/octet-stream"), Problems),
)]
pub(crate) async fn run(State(app): State<Arc<App>>, Extension(peer): Extension<Peer>, uri: Uri) -> Reply {
    app.limiters.lookup.check(&peer.address.into())?;
    let from = request::number(&uri, "from", 0)?;
    let read = || async {
        let leaves = app.storage.leaves(from, MAX_LEAVES_PAGE).await?;
        leaves.ok_or_else(|| Refusal::bad_request("The log is not that long"))
    };
    page(&app, request::BINARY, read).await
}
