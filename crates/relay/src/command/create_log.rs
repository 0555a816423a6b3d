//! `POST /v1/logs`: a new log. Some device asks; which one is not kept.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::IntoResponse as _;
use http::StatusCode;
use waxwing_wire::frame::CreateLog;
use waxwing_wire::problem::ProblemCode;

use crate::auth::Device;
use crate::error::{Refusal, Reply};
use crate::request as parse;
use crate::state::App;

const MAX_BODY: usize = 256;

/// Parses, applies, replies.
pub(crate) async fn run(State(app): State<Arc<App>>, request: Request) -> Reply {
    let (parts, body) = request.into_parts();
    Device::authenticate(&app, &parts)?;
    let bytes = parse::body(body, MAX_BODY).await?;
    let log = CreateLog::decode(&bytes).map_err(|_| Refusal::bad_request("The new log cannot be read"))?;
    if app.storage.create_log(log).await? {
        Ok(StatusCode::CREATED.into_response())
    } else {
        Err(ProblemCode::LogRefused.into())
    }
}
