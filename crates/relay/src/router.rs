//! Which request is which command, and what every answer has in common.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, UNIX_EPOCH};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post, put};
use http::header::{CACHE_CONTROL, DATE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, StatusCode};
use waxwing_wire::API_VERSION;
use waxwing_wire::api::API_HEADER;
use waxwing_wire::problem::ProblemCode;

use crate::audit::{Event, Subject};
use crate::command;
use crate::error::{Refusal, Refused};
use crate::request;
use crate::state::{App, Peer, now};

const VERSION: HeaderName = HeaderName::from_static(API_HEADER);

/// All commands.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/healthz", get(command::healthz::run))
        .route("/i", get(command::invite_page::run))
        .route("/v1/relay", get(command::relay_info::run))
        .route("/.well-known/jwks.json", get(command::jwks::run))
        .route("/oauth/token", post(command::token::run))
        .route("/v1/accounts", post(command::register::run))
        .route("/v1/accounts/{account}/chain", get(command::read_chain::run).post(command::append_chain::run))
        .route("/v1/transparency/checkpoint", get(command::transparency_checkpoint::run))
        .route("/v1/transparency/leaves", get(command::transparency_leaves::run))
        .route("/v1/transparency/proof", get(command::transparency_proof::run))
        .route("/v1/transparency/restored", get(command::transparency_restored::run))
        .route("/v1/access-keys", put(command::access_keys::admit).delete(command::access_keys::dismiss))
        .route("/v1/key-packages", get(command::count_key_packages::run).post(command::upload_key_packages::run))
        .route("/v1/key-packages/claim", post(command::claim_key_packages::run))
        .route("/v1/logs", post(command::create_log::run))
        .route("/v1/logs/{log}/entries", get(command::read_log::run).post(command::append_log::run))
        .route("/v1/inboxes/{device}", get(command::read_inbox::run).post(command::send_inbox::run))
        .route("/v1/inboxes/{device}/ack", post(command::ack_inbox::run))
        .route("/v1/subscribe", get(command::subscribe::run))
        .fallback(|| async { Refusal::bad_request("There is no such address").with_status(StatusCode::NOT_FOUND) })
        .method_not_allowed_fallback(|| async {
            Refusal::bad_request("That method does not go with this address")
                .with_status(StatusCode::METHOD_NOT_ALLOWED)
        })
        .layer(from_fn_with_state(Arc::clone(&app), around))
        .with_state(app)
}

/// Around every command: the client's version, the time limit, the common headers.
async fn around(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    // A template, or nothing: a path would name accounts and logs.
    let endpoint = request.extensions().get::<MatchedPath>().cloned();
    let address = locate(&app, &mut request);
    let mut response = match check_version(&request) {
        Err(refusal) => refusal.into_response(),
        Ok(()) => match tokio::time::timeout(app.timeouts.request, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Refusal::bad_request("The request took too long")
                .with_status(StatusCode::REQUEST_TIMEOUT)
                .into_response(),
        },
    };
    let refused = response.extensions().get::<Refused>().copied();
    let endpoint = endpoint.as_ref().map_or("none", MatchedPath::as_str);
    app.metrics.answered(&method, endpoint, response.status(), refused, begun.elapsed());
    if let (Some(event), Some(address)) = (refused.and_then(|refused| event(refused.code)), address) {
        app.audit.record(event, Subject::Address(address.into()));
    }
    let headers = response.headers_mut();
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

/// A client that speaks another major version is told so before anything else is read.
fn check_version(request: &Request) -> Result<(), Refusal> {
    match request::header(request.headers(), &VERSION)?.map(str::parse::<u32>) {
        None | Some(Ok(API_VERSION)) => Ok(()),
        Some(Ok(_)) => Err(ProblemCode::UpdateNeeded.into()),
        Some(Err(_)) => Err(Refusal::bad_request("The API version is a number")),
    }
}
