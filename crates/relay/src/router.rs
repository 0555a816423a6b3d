//! Which request is which command, and what every answer has in common.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Instant, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, DATE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, StatusCode};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use waxwing_wire::API_VERSION;
use waxwing_wire::api::{API_HEADER, DPOP_NONCE_HEADER};
use waxwing_wire::problem::ProblemCode;

use crate::audit::{Event, Subject};
use crate::command;
use crate::error::{Refusal, Refused};
use crate::nonce::Ending;
use crate::openapi;
use crate::request;
use crate::state::{App, Peer, now};

const VERSION: HeaderName = HeaderName::from_static(API_HEADER);
const DPOP_NONCE: HeaderName = HeaderName::from_static(DPOP_NONCE_HEADER);

/// Request line and headers, in bytes; DPoP proofs and tokens take about 1.5 KiB.
const MAX_HEADER_BYTES: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;

/// All commands. Whatever is added here is in the OpenAPI document: the method and address of each are the command's own.
fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(openapi::document())
        .routes(routes!(command::healthz::run))
        .routes(routes!(command::openapi::run))
        .routes(routes!(command::invite_page::run))
        .routes(routes!(command::relay_info::run))
        .routes(routes!(command::jwks::run))
        .routes(routes!(command::token::run))
        .routes(routes!(command::register::run))
        .routes(routes!(command::read_chain::run, command::append_chain::run))
        .routes(routes!(command::transparency_checkpoint::run))
        .routes(routes!(command::transparency_leaves::run))
        .routes(routes!(command::transparency_proof::run))
        .routes(routes!(command::transparency_restored::run))
        .routes(routes!(command::access_keys::admit, command::access_keys::dismiss))
        .routes(routes!(command::count_key_packages::run, command::upload_key_packages::run))
        .routes(routes!(command::claim_key_packages::run))
        .routes(routes!(command::create_log::run))
        .routes(routes!(command::read_log::run, command::append_log::run))
        .routes(routes!(command::read_inbox::run, command::send_inbox::run))
        .routes(routes!(command::ack_inbox::run))
        .routes(routes!(command::get_blob::run, command::put_blob::run))
        .routes(routes!(command::subscribe::run))
}

/// The OpenAPI document of all commands.
pub(crate) static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| openapi::serve(routes().into_openapi()));

/// All commands, what answers in place of one, and what is around them.
pub(crate) fn router(app: Arc<App>) -> Router {
    let (router, _) = routes().split_for_parts();
    router
        .fallback(|| async { Refusal::new(ProblemCode::NotFound) })
        // axum adds the header `Allow`.
        .method_not_allowed_fallback(|| async { Refusal::new(ProblemCode::MethodNotAllowed) })
        .layer(from_fn_with_state(Arc::clone(&app), around))
        .with_state(app)
}

/// Around every command: how often an address asks, the client's version, the time limit, the common headers.
async fn around(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    // A template, or nothing: a path would name accounts and logs.
    let endpoint = request.extensions().get::<MatchedPath>().cloned();
    let address = locate(&app, &mut request);
    let ending = Ending::default();
    request.extensions_mut().insert(ending.clone());
    let often = address.map_or(Ok(()), |address| app.limiters.address.check(&address.into()));
    let mut response = match often.and_then(|()| check_size(&request)).and_then(|()| check_version(&request)) {
        Err(refusal) => refusal.into_response(),
        Ok(()) => match tokio::time::timeout(app.timeouts.request, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Refusal::new(ProblemCode::Timeout).into_response(),
        },
    };
    let refused = response.extensions().get::<Refused>().copied();
    let endpoint = endpoint.as_ref().map_or("none", MatchedPath::as_str);
    app.metrics.answered(&method, endpoint, response.status(), refused, begun.elapsed());
    if let (Some(event), Some(address)) = (refused.and_then(|refused| event(refused.code)), address) {
        app.audit.record(event, Subject::Address(address.into()));
    }
    let headers = response.headers_mut();
    let wanted = refused.is_some_and(|refused| refused.code == ProblemCode::UseDpopNonce);
    if (wanted || ending.noted())
        && let Ok(nonce) = HeaderValue::try_from(app.nonces.newest(now().as_secs()))
    {
        headers.insert(DPOP_NONCE, nonce);
    }
    // Told anew in each answer: what hyper would add stands still after the clock was set back, and clients go by it.
    if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(UNIX_EPOCH + now())) {
        headers.insert(DATE, date);
    }
    headers.insert(VERSION, HeaderValue::from(API_VERSION));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Puts the client's address in the place of a trusted proxy's.
fn locate(app: &App, request: &mut Request) -> Option<IpAddr> {
    let peer = request.extensions().get::<Peer>()?;
    let address = app.proxies.client(peer.address, request.headers());
    if address != peer.address {
        let peer = Peer { address, ..peer.clone() };
        request.extensions_mut().insert(peer);
    }
    Some(address)
}

/// What the audit log says of a refusal.
fn event(code: ProblemCode) -> Option<Event> {
    match code {
        ProblemCode::Unauthorized => Some(Event::TokenRefused),
        ProblemCode::AccountDisabled => Some(Event::DisabledRefused),
        ProblemCode::RegistrationClosed | ProblemCode::RegistrationInviteRequired => Some(Event::RegistrationRefused),
        ProblemCode::RateLimited => Some(Event::RateLimit),
        ProblemCode::QuotaExceeded => Some(Event::Quota),
        _ => None,
    }
}

/// Long addresses and headers (RFC 9110, section 15.5.15; RFC 6585, section 5).
fn check_size(request: &Request) -> Result<(), Refusal> {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let headers: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if target > MAX_HEADER_BYTES {
        return Err(Refusal::new(ProblemCode::TooLarge).with_status(StatusCode::URI_TOO_LONG));
    }
    if headers > MAX_HEADER_BYTES || request.headers().len() > MAX_HEADERS {
        return Err(Refusal::new(ProblemCode::TooLarge).with_status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
    }
    Ok(())
}

/// A client that speaks another major version is told so before anything else is read.
fn check_version(request: &Request) -> Result<(), Refusal> {
    match request::header(request.headers(), &VERSION)?.map(str::parse::<u32>) {
        None | Some(Ok(API_VERSION)) => Ok(()),
        Some(Ok(_)) => Err(ProblemCode::UpdateNeeded.into()),
        Some(Err(_)) => Err(Refusal::bad_request("The API version is a number")),
    }
}
