//! `GET /.well-known/jwks.json`: the public keys under which access tokens verify (RFC 7517).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use waxwing_wire::api::base64url;

use crate::state::App;

/// Replies.
pub(crate) async fn run(State(app): State<Arc<App>>) -> Json<Value> {
    let x = base64url::encode(app.key.public());
    Json(json!({ "keys": [
        { "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": app.key.kid(), "x": x },
    ] }))
}
