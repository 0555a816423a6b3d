//! The commands, one file each: parse, apply, reply.

pub(crate) mod access_keys;
pub(crate) mod ack_inbox;
mod admission;
pub(crate) mod append_chain;
pub(crate) mod append_log;
pub(crate) mod claim_key_packages;
pub(crate) mod count_key_packages;
pub(crate) mod create_log;
pub(crate) mod get_blob;
pub(crate) mod healthz;
pub(crate) mod invite_page;
pub(crate) mod jwks;
pub(crate) mod openapi;
pub(crate) mod put_blob;
pub(crate) mod read_chain;
pub(crate) mod read_inbox;
pub(crate) mod read_log;
pub(crate) mod register;
pub(crate) mod relay_info;
pub(crate) mod send_inbox;
pub(crate) mod subscribe;
pub(crate) mod token;
pub(crate) mod transparency_checkpoint;
pub(crate) mod transparency_leaves;
pub(crate) mod transparency_proof;
pub(crate) mod transparency_restored;
pub(crate) mod upload_key_packages;

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;

use crate::error::{Refusal, Reply};
use crate::state::App;

/// A JSON chain entry in base64url, with room to spare.
const MAX_ENTRY_BODY: usize = waxwing_wire::limits::MAX_CHAIN_ENTRY * 4 / 3 + 1024;
/// What stands around an envelope in a request.
const MAX_ENVELOPE_BODY: usize = waxwing_wire::limits::MAX_ENVELOPE + 256;

fn created<T: Serialize>(body: T) -> Response {
    (StatusCode::CREATED, Json(body)).into_response()
}

/// Answers with a page. One that is more than small has its room until it has gone out; where there is none, it is not kept until there is.
async fn page<R>(app: &App, media: &'static str, read: impl Fn() -> R) -> Reply
where
    R: Future<Output = Result<Vec<u8>, Refusal>>,
{
    let bytes = read().await?;
    let (bytes, held) = match app.budget.take(bytes.len()) {
        Some(held) => (bytes, held),
        None => {
            let size = bytes.len();
            drop(bytes);
            let mut held = app.budget.wait(size).await?;
            let bytes = read().await?;
            // It may have grown meanwhile.
            app.budget.grow(&mut held, bytes.len()).await?;
            (bytes, held)
        }
    };
    Ok(([(CONTENT_TYPE, media)], held.around(bytes)).into_response())
}

fn binary(body: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, crate::request::BINARY)], body).into_response()
}
