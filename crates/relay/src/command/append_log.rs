//! `POST /v1/logs/{id}/entries`: one more entry. 201 means that it is on disk.

use std::sync::Arc;

use axum::extract::{Request, State};
use waxwing_wire::api::Stored;
use waxwing_wire::frame::Append;
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::{LogId, hash};

use super::{MAX_ENVELOPE_BODY, created};
use crate::error::{Refusal, Reply};
use crate::openapi::{Binary, problems};
use crate::request::{self as parse, Segment};
use crate::state::App;
use crate::storage::{Appended, Appending};

problems!(Problems: TooLarge, UnsupportedMediaType, LogRefused, IdReused, Rekeyed, Conflict, QuotaExceeded, InsufficientStorage);

/// One more entry; its answer means that it is on disk
#[utoipa::path(
    post,
    path = "/v1/logs/{log}/entries",
    operation_id = "append_log",
    tag = "logs",
    params(("log" = inline(LogId), Path, description = "Which log")), request_body(content = inline(Binary), description = "append", content_type = "application/octet-stream"),
    security(("log_token" = [])),
    responses((status = 201, description = "Stored, now or before", body = Stored), Problems),
)]
pub(crate) async fn run(State(app): State<Arc<App>>, Segment(log): Segment, request: Request) -> Reply {
    let (parts, body) = request.into_parts();
    let log = parse::id(&log)?;
    let write_hash = parse::log_token(&parts.headers)?;
    let (bytes, _held) = parse::large(&app, &parts.headers, body, MAX_ENVELOPE_BODY).await?;
    let append = Append::decode(&bytes).map_err(|_| Refusal::bad_request("The append cannot be read"))?;
    // Handshakes go on: without them nobody could be removed.
    if append.kind == EnvelopeKind::App {
        app.space.check()?;
    }
    let digest = hash(&[&bytes]);
    drop(bytes);
    match app.storage.append(Appending { log, write_hash, digest, append }).await? {
        Appended::Stored { seq } => Ok(created(Stored { seq })),
        Appended::Refused => Err(ProblemCode::LogRefused.into()),
        Appended::IdReused => Err(ProblemCode::IdReused.into()),
        Appended::Rekeyed { head } => Err(Refusal::new(ProblemCode::Rekeyed).with_head(head)),
        Appended::Conflict { head } => Err(Refusal::new(ProblemCode::Conflict).with_head(head)),
        Appended::QuotaExceeded => Err(ProblemCode::QuotaExceeded.into()),
    }
}
