//! `PUT /v1/blobs/{id}`: a blob, whole or a part of it. Some device asks; which one is not kept, but a tag that it may give, by which it has the blob
//! removed when its account is closed.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::IntoResponse as _;
use http::header::CONTENT_RANGE;
use http::{HeaderName, StatusCode};
use waxwing_wire::BlobId;
use waxwing_wire::api::{BLOB_OWNER_HEADER, BlobReceived};

use crate::auth::Device;
use crate::blobs::range::content_range;
use crate::blobs::{Part, Received, Uploader};
use crate::error::{Refusal, Reply};
use crate::openapi::{Binary, problems};
use crate::request::{self as parse, BINARY, Segment};
use crate::state::App;

problems!(
    Problems: TooLarge, UnsupportedMediaType, Unauthorized, UseDpopNonce, AccountDisabled, WrongOffset, BlobMismatch, QuotaExceeded, RateLimited, InsufficientStorage
);

/// A blob, whole or a part of it; its answer means that what came is on disk
#[utoipa::path(
    put,
    path = "/v1/blobs/{id}",
    operation_id = "put_blob",
    tag = "blobs",
    params(
        ("id" = inline(BlobId), Path, description = "The hash of the blob's bytes"),
        (
            "Content-Range" = Option<String>,
            Header,
            description = "`bytes FIRST-LAST/SIZE`: the body is a part (RFC 9110, section 14.5). `bytes */SIZE`, without a body: how much is there?"
        ),
        (
            "Waxwing-Blob-Owner" = Option<String>,
            Header,
            description = "The owner's tag of this blob, base64url of 32 bytes: it goes when they close their account with the secret that it was made of"
        ),
    ),
    request_body(content = inline(Binary), description = "Bytes", content_type = "application/octet-stream"),
    security(("device_token" = [], "device_proof" = [])),
    responses(
        (status = 201, description = "All of it is there, since now or before", body = BlobReceived),
        (status = 202, description = "A part is there; the next one begins at `received`", body = BlobReceived),
        Problems
    ),
)]
pub(crate) async fn run(State(app): State<Arc<App>>, Segment(id): Segment, request: Request) -> Reply {
    let (parts, body) = request.into_parts();
    let device = Device::in_force(&app, &parts).await?;
    let id: BlobId =
        id.parse().map_err(|_| Refusal::bad_request("The id of a blob has 64 lower-case hexadecimal digits"))?;
    parse::media(&parts.headers, BINARY)?;
    let part = match parse::header(&parts.headers, &CONTENT_RANGE)? {
        None => Part::Whole,
        Some(text) => content_range(text).ok_or_else(|| Refusal::bad_request("The content range cannot be read"))?,
    };
    let owner = parse::key(&parts.headers, &HeaderName::from_static(BLOB_OWNER_HEADER))?;
    let by = Uploader { who: app.pseudonyms.of(device.account, device.account)?, owner };
    // How much is there may be asked in any case.
    let refused = match part {
        Part::Nothing { .. } => None,
        Part::Whole | Part::Some { .. } => app.space.check_blobs().err(),
    };
    if let Some(refused) = refused {
        app.blobs.pass_over(&mut body.into_data_stream()).await;
        return Err(refused);
    }
    Ok(match app.blobs.put(id, part, by, body).await? {
        Received::Whole(size) => (StatusCode::CREATED, Json(BlobReceived { received: size, size })),
        Received::Some { received, size } => (StatusCode::ACCEPTED, Json(BlobReceived { received, size })),
    }
    .into_response())
}
