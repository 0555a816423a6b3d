//! `GET /.well-known/jwks.json`: the public keys under which access tokens verify (RFC 7517): the one in force, then those
//! before it whose tokens can still be good.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use waxwing_wire::api::base64url;

use crate::openapi::problems;
use crate::state::{App, now};

problems!(Problems:);

/// The public keys under which access tokens verify (RFC 7517)
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    operation_id = "jwks",
    tag = "tokens",
    responses((status = 200, description = "The keys in force", body = Object, content_type = "application/json"), Problems),
)]
pub(crate) async fn run(State(app): State<Arc<App>>) -> Json<Value> {
    let ring = app.keys.ring();
    let keys = ring.public(now().as_secs()).into_iter().map(|(kid, public)| {
        let x = base64url::encode(&public);
        json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid, "x": x })
    });
    Json(json!({ "keys": keys.collect::<Vec<_>>() }))
}
