//! `POST /v1/key-packages`: what others may claim of this device. 201 means that it is on disk.

use std::sync::Arc;

use axum::extract::{Request, State};
use waxwing_wire::api::KeyPackageCount;
use waxwing_wire::frame::UploadKeyPackages;
use waxwing_wire::limits::{KEY_PACKAGES, MAX_KEY_PACKAGE};
use waxwing_wire::problem::ProblemCode;

use super::created;
use crate::auth::Device;
use crate::error::{Refusal, Reply};
use crate::openapi::{Binary, problems};
use crate::request as parse;
use crate::state::App;
use crate::storage::Uploaded;

/// As many one-time packages as there may be, the last resort, and what stands around them.
const MAX_BODY: usize = (KEY_PACKAGES + 1) * (MAX_KEY_PACKAGE + 4) + 16;

problems!(Problems: TooLarge, UnsupportedMediaType, Unauthorized, UseDpopNonce, AccountDisabled, QuotaExceeded, RateLimited, InsufficientStorage);

/// What others may claim of this device
#[utoipa::path(
    post,
    path = "/v1/key-packages",
    operation_id = "upload_key_packages",
    tag = "key packages",
    request_body(content = inline(Binary), description = "upload key packages", content_type = "application/octet-stream"),
    security(("device_token" = [], "device_proof" = [])),
    responses((status = 201, description = "Stored, now or before", body = KeyPackageCount), Problems),
)]
pub(crate) async fn run(State(app): State<Arc<App>>, request: Request) -> Reply {
    let (parts, body) = request.into_parts();
    let device = Device::in_force(&app, &parts).await?;
    app.limiters.key_packages.check(&device.account)?;
    let (bytes, _held) = parse::large(&app, &parts.headers, body, MAX_BODY).await?;
    let upload =
        UploadKeyPackages::decode(&bytes).map_err(|_| Refusal::bad_request("The key packages cannot be read"))?;
    drop(bytes);
    match app.storage.upload_key_packages(device.device, upload).await? {
        Uploaded::Stored(count) => Ok(created(count)),
        Uploaded::QuotaExceeded => Err(ProblemCode::QuotaExceeded.into()),
        // A token of a time that this database does not know (an older copy was put back).
        Uploaded::UnknownDevice => Err(ProblemCode::Unauthorized.into()),
    }
}
