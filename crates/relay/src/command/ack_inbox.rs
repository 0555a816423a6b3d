//! `POST /v1/inboxes/{device}/ack`: what the device has stored may go.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::IntoResponse as _;
use http::StatusCode;
use waxwing_wire::api::Ack;

use super::read_inbox::own;
use crate::error::Reply;
use crate::request::{self as parse, Segment};
use crate::state::App;

const MAX_BODY: usize = 256;

/// Parses, applies, replies.
pub(crate) async fn run(State(app): State<Arc<App>>, Segment(device): Segment, request: Request) -> Reply {
    let (parts, body) = request.into_parts();
    let device = own(&app, &parts, &device)?;
    let Ack { up_to } = parse::json(body, MAX_BODY).await?;
    app.storage.acknowledge(device, up_to).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
