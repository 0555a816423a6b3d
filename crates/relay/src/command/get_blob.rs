//! `GET /v1/blobs/{id}`: a blob or a range of it, for whoever knows its id. Nobody is named.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::Response;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, IF_RANGE, RANGE};
use http::{HeaderMap, Method, StatusCode};
use waxwing_wire::BlobId;
use waxwing_wire::problem::ProblemCode;

use crate::blobs::range::{Asked, range};
use crate::error::{Refusal, Reply};
use crate::openapi::{Binary, problems};
use crate::request::{self as parse, BINARY, Segment};
use crate::state::{App, Peer};

problems!(Problems: UnknownBlob, RangeNotSatisfiable, RateLimited);

/// A blob, or a range of it
#[utoipa::path(
    get,
    path = "/v1/blobs/{id}",
    operation_id = "get_blob",
    tag = "blobs",
    params(
        ("id" = inline(BlobId), Path, description = "The hash of the blob's bytes"),
        ("Range" = Option<String>, Header, description = "`bytes=FIRST-LAST`, `bytes=FIRST-` or `bytes=-LENGTH` (RFC 9110, section 14.2)"),
    ),
    responses(
        (status = 200, description = "All of it", body = inline(Binary), content_type = "application/octet-stream"),
        (
            status = 206, description = "The range", body = inline(Binary), content_type = "application/octet-stream",
            headers(("Content-Range" = String, description = "Which bytes these are"))
        ),
        Problems
    ),
)]
pub(crate) async fn run(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    Segment(id): Segment,
    method: Method,
    headers: HeaderMap,
) -> Reply {
    app.limiters.lookup.check(&peer.address.into())?;
    // What cannot be an id is that of no blob.
    let id: BlobId = id.parse().map_err(|_| ProblemCode::UnknownBlob)?;
    let whole = app.blobs.find(id).await?.ok_or(ProblemCode::UnknownBlob)?;
    let size = whole.size();
    // Ranges are for GET alone (RFC 9110, section 14.2), and there is no validator that `If-Range` could name, so its condition is false (section 13.1.5).
    let ranged = method == Method::GET && !headers.contains_key(IF_RANGE);
    let asked = match parse::header(&headers, &RANGE)? {
        Some(text) if ranged => range(text, size),
        _ => Asked::All,
    };
    let answer = Response::builder().header(CONTENT_TYPE, BINARY).header(ACCEPT_RANGES, "bytes");
    let (answer, bytes) = match asked {
        Asked::All => (answer.status(StatusCode::OK), 0..size),
        Asked::Bytes(bytes) => {
            let range = format!("bytes {}-{}/{size}", bytes.start, bytes.end - 1);
            (answer.status(StatusCode::PARTIAL_CONTENT).header(CONTENT_RANGE, range), bytes)
        }
        Asked::Unsatisfiable => return Err(Refusal::range_not_satisfiable(size)),
    };
    let answer = answer.header(CONTENT_LENGTH, bytes.end - bytes.start);
    answer.body(Body::from_stream(app.blobs.read(&whole, bytes))).map_err(|_| ProblemCode::Internal.into())
}
