//! `POST /v1/logs/{id}/entries`: one more entry. 201 means that it is on disk.

use std::sync::Arc;

use axum::extract::{Request, State};
use waxwing_wire::api::Stored;
use waxwing_wire::frame::Append;
use waxwing_wire::hash;
use waxwing_wire::problem::ProblemCode;

use super::{MAX_ENVELOPE_BODY, created};
use crate::error::{Refusal, Reply};
use crate::request::{self as parse, Segment};
use crate::state::App;
use crate::storage::{Appended, Appending};

/// Parses, applies, replies.
pub(crate) async fn run(State(app): State<Arc<App>>, Segment(log): Segment, request: Request) -> Reply {
    let (parts, body) = request.into_parts();
    let log = parse::id(&log)?;
    let write_hash = parse::log_token(&parts.headers)?;
    let bytes = parse::body(body, MAX_ENVELOPE_BODY).await?;
    let append = Append::decode(&bytes).map_err(|_| Refusal::bad_request("The append cannot be read"))?;
    let digest = hash(&[&bytes]);
    match app.storage.append(Appending { log, write_hash, digest, append }).await? {
        Appended::Stored { seq } => Ok(created(Stored { seq })),
        Appended::Refused => Err(ProblemCode::LogRefused.into()),
        Appended::IdReused => Err(ProblemCode::IdReused.into()),
        Appended::Rekeyed { head } => Err(Refusal::new(ProblemCode::Rekeyed).with_head(head)),
        Appended::Conflict { head } => Err(Refusal::new(ProblemCode::Conflict).with_head(head)),
        Appended::QuotaExceeded => Err(ProblemCode::QuotaExceeded.into()),
    }
}
