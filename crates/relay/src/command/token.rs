//! `POST /oauth/token`: an assertion by the device's relay-auth key (RFC 7523) for an access token bound by DPoP (RFC 9449).

use std::sync::Arc;

use axum::extract::{Extension, FromRequest as _, Request, State};
use axum::response::IntoResponse as _;
use axum::{Form, Json};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use waxwing_wire::api::{JWT_BEARER, TokenRequest, TokenResponse};
use waxwing_wire::limits::TOKEN_SECONDS;
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::token::{AccessToken, Assertion, Confirmation};

use crate::auth::{Proven, first_showing};
use crate::error::{Refusal, Reply};
use crate::openapi::problems;
use crate::replay::{Showing, Shows};
use crate::request as parse;
use crate::state::{App, Peer, now};

const MAX_BODY: usize = 4 * 1024;

problems!(Problems: TooLarge, UnsupportedMediaType, Unauthorized, UseDpopNonce at BAD_REQUEST, AccountDisabled, RateLimited);

/// An assertion by the device's relay-auth key (RFC 7523) for an access token bound by DPoP (RFC 9449)
#[utoipa::path(
    post,
    path = "/oauth/token",
    operation_id = "token",
    tag = "tokens",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    security(("device_proof" = [])),
    responses((status = 200, description = "The token", body = TokenResponse), Problems),
)]
pub(crate) async fn run(State(app): State<Arc<App>>, Extension(peer): Extension<Peer>, request: Request) -> Reply {
    app.limiters.token.check(&peer.address.into())?;
    let (parts, body) = request.into_parts();
    parse::media(&parts.headers, parse::FORM)?;
    let bytes = parse::body(body, MAX_BODY).await?;
    let form: TokenRequest = form(bytes).await?;
    if form.grant_type != JWT_BEARER {
        return Err(Refusal::bad_request("The only grant is a JWT bearer assertion"));
    }
    // Before the assertion is: the same one is good again together with a proof that has a nonce.
    let proof = Proven::check(&app, &parts, None).map_err(nonce_wanted)?;
    let (claims, relay_auth) = verify(&app, &form.assertion).await?;
    proof.first_showing(&app).await?;
    let now = now().as_secs();
    first_showing(&app, Showing::new(Shows::Assertion, claims.iss.as_bytes(), &claims.jti)).await?;
    // Only now: whether an account is disabled is for those to know who have its keys.
    app.decisions.check(&claims.sub)?;
    let token = AccessToken {
        iss: app.audience.clone(),
        sub: claims.iss,
        account: claims.sub,
        relay_auth,
        iat: now,
        exp: now + TOKEN_SECONDS,
        cnf: Confirmation { jkt: proof.key },
    };
    let key = &app.keys.ring().current;
    let access_token = token.sign(key.kid(), key.signing()).map_err(|_| ProblemCode::Internal)?;
    Ok(Json(TokenResponse { access_token, token_type: "DPoP".to_owned(), expires_in: TOKEN_SECONDS }).into_response())
}

/// RFC 9449, section 8: a token endpoint asks for a nonce as OAuth asks for anything, with a 400; other addresses with a 401 (section 9).
fn nonce_wanted(refusal: Refusal) -> Refusal {
    match refusal.code() {
        ProblemCode::UseDpopNonce => refusal.with_status(StatusCode::BAD_REQUEST),
        _ => refusal,
    }
}

async fn form(bytes: Vec<u8>) -> Result<TokenRequest, Refusal> {
    let request = http::Request::post("/").header(CONTENT_TYPE, parse::FORM).body(bytes.into());
    let request = request.map_err(|_| ProblemCode::Internal)?;
    match Form::from_request(request, &()).await {
        Ok(Form(form)) => Ok(form),
        Err(_) => Err(Refusal::bad_request("The form cannot be read")),
    }
}

/// Checks the assertion with the device's key in force; gives that too. For a device that nobody has, some key that did not sign it takes that place, so
/// that both take the same way.
async fn verify(app: &App, assertion: &str) -> Result<(Assertion, [u8; 32]), Refusal> {
    let claimed = Assertion::peek(assertion).map_err(|_| ProblemCode::Unauthorized)?;
    let key = app.storage.relay_auth(claimed.sub, claimed.iss).await?.unwrap_or(*app.keys.ring().current.public());
    match Assertion::verify(assertion, &key, &app.audience, now().as_secs()) {
        Ok(claims) => Ok((claims, key)),
        Err(_) => Err(ProblemCode::Unauthorized.into()),
    }
}
