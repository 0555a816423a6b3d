//! `GET /v1/logs/{id}/entries?after=n`: what came after `n`.

use std::sync::Arc;

use axum::extract::State;
use http::{HeaderMap, Uri};
use waxwing_wire::LogId;
use waxwing_wire::problem::ProblemCode;

use super::page;
use crate::error::{Refusal, Reply};
use crate::openapi::{Binary, problems};
use crate::request::{self as parse, Segment};
use crate::state::App;
use crate::storage::LogRead;

problems!(Problems: LogRefused, Gone);

/// What came after an entry
#[utoipa::path(
    get,
    path = "/v1/logs/{log}/entries",
    operation_id = "read_log",
    tag = "logs",
    params(("log" = inline(LogId), Path, description = "Which log"), ("after" = Option<u64>, Query, description = "Seq of the newest entry that is known; 0 if absent")),
    security(("log_token" = [])),
    responses((status = 200, description = "log page", body = inline(Binary), content_type = "application/octet-stream"), Problems),
)]
pub(crate) async fn run(State(app): State<Arc<App>>, Segment(log): Segment, uri: Uri, headers: HeaderMap) -> Reply {
    let log = parse::id(&log)?;
    let read_hash = parse::log_token(&headers)?;
    let after = parse::number(&uri, "after", 0)?;
    let read = || async {
        match app.storage.read_log(log, read_hash, after).await? {
            LogRead::Page(page) => Ok(page.encode()),
            LogRead::Gone { oldest } => Err(Refusal::gone(oldest)),
            LogRead::Refused => Err(ProblemCode::LogRefused.into()),
        }
    };
    page(&app, parse::BINARY, read).await
}
