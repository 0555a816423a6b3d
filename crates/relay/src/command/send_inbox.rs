//! `POST /v1/inboxes/{device}`: an envelope for a device, by somebody with an access key (unnamed) or with an account here.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use waxwing_wire::api::Stored;
use waxwing_wire::frame::InboxSend;
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::{DeviceId, hash};

use super::admission::Caller;
use super::{MAX_ENVELOPE_BODY, created};
use crate::error::{Refusal, Reply};
use crate::openapi::{Binary, problems};
use crate::request::{self as parse, Segment};
use crate::state::{App, Peer};
use crate::storage::{Admission, Delivered, Delivery};

problems!(Problems: TooLarge, UnsupportedMediaType, Unauthorized, UseDpopNonce, AccountDisabled, InboxRefused, IdReused, QuotaExceeded, RateLimited, InsufficientStorage);

/// An envelope for a device
#[utoipa::path(
    post,
    path = "/v1/inboxes/{device}",
    operation_id = "send_inbox",
    tag = "inboxes",
    params(("device" = inline(DeviceId), Path, description = "Whose inbox")), request_body(content = inline(Binary), description = "inbox send", content_type = "application/octet-stream"),
    security(("access_key" = []), ("device_token" = [], "device_proof" = [])),
    responses((status = 201, description = "Stored, now or before", body = Stored), Problems),
)]
pub(crate) async fn run(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    Segment(device): Segment,
    request: Request,
) -> Reply {
    let (parts, body) = request.into_parts();
    let device = parse::id(&device)?;
    let admission = match Caller::of(&app, &peer, &parts).await? {
        Caller::Holder(hash) => Admission::AccessKey(hash),
        Caller::Stranger(_) => Admission::Stranger,
    };
    let (bytes, _held) = parse::large(&app, &parts.headers, body, MAX_ENVELOPE_BODY).await?;
    // Not before it was read: whoever is writing it would see a reset in place of the answer.
    app.space.check()?;
    let send = InboxSend::decode(&bytes).map_err(|_| Refusal::bad_request("The envelope cannot be read"))?;
    let digest = hash(&[&bytes]);
    drop(bytes);
    match app.storage.deliver(Delivery { device, admission, digest, send }).await? {
        Delivered::Stored { seq } => Ok(created(Stored { seq })),
        Delivered::Refused => Err(ProblemCode::InboxRefused.into()),
        Delivered::IdReused => Err(ProblemCode::IdReused.into()),
        Delivered::QuotaExceeded => Err(ProblemCode::QuotaExceeded.into()),
    }
}
