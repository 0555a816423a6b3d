//! `POST /v1/inboxes/{device}`: an envelope for a device, by somebody with an access key (unnamed) or with an account here.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use http::HeaderName;
use http::header::AUTHORIZATION;
use http::request::Parts;
use waxwing_wire::api::{ACCESS_KEY_HEADER, Stored, base64url};
use waxwing_wire::frame::InboxSend;
use waxwing_wire::hash;
use waxwing_wire::log::token_hash;
use waxwing_wire::problem::ProblemCode;

use super::{MAX_ENVELOPE_BODY, created};
use crate::auth::Device;
use crate::error::{Refusal, Reply};
use crate::request::{self as parse, Segment};
use crate::state::{App, Peer};
use crate::storage::{Admission, Delivered, Delivery};

const ACCESS_KEY: HeaderName = HeaderName::from_static(ACCESS_KEY_HEADER);

/// Parses, applies, replies.
pub(crate) async fn run(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    Segment(device): Segment,
    request: Request,
) -> Reply {
    let (parts, body) = request.into_parts();
    let device = parse::id(&device)?;
    let admission = admission(&app, &peer, &parts)?;
    let bytes = parse::body(body, MAX_ENVELOPE_BODY).await?;
    let send = InboxSend::decode(&bytes).map_err(|_| Refusal::bad_request("The envelope cannot be read"))?;
    let digest = hash(&[&bytes]);
    match app.storage.deliver(Delivery { device, admission, digest, send }).await? {
        Delivered::Stored { seq } => Ok(created(Stored { seq })),
        Delivered::Refused => Err(ProblemCode::InboxRefused.into()),
        Delivered::IdReused => Err(ProblemCode::IdReused.into()),
        Delivered::QuotaExceeded => Err(ProblemCode::QuotaExceeded.into()),
    }
}

/// By key, or else by account: never both, so that a key's holder is not named by accident.
fn admission(app: &App, peer: &Peer, parts: &Parts) -> Result<Admission, Refusal> {
    if let Some(key) = parse::header(&parts.headers, &ACCESS_KEY)? {
        if parts.headers.contains_key(AUTHORIZATION) {
            return Err(Refusal::bad_request("An access key goes without a name"));
        }
        let key = base64url::decode(key).ok_or(ProblemCode::InboxRefused)?;
        return Ok(Admission::AccessKey(token_hash(&key)));
    }
    app.limiters.stranger.check(&peer.address.into())?;
    Device::authenticate(app, parts)?;
    Ok(Admission::Stranger)
}
