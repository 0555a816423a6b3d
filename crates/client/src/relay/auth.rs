//! Access tokens: an assertion by the device's relay-auth key (RFC 7523) buys one, a DPoP key of this process (RFC 9449)
//! proves each use of it.

use std::sync::Arc;

use ed25519_dalek::SigningKey;
use tokio::sync::Mutex;
use waxwing_protocol::DeviceKeys;
use waxwing_wire::api::base64url;
use waxwing_wire::limits::ASSERTION_SECONDS;
use waxwing_wire::token::{AccessToken, Assertion, DpopProof};
use waxwing_wire::{AccountId, DeviceId};
use zeroize::Zeroizing;

use super::failure::ApiError;
use crate::random;

/// What a device needs to speak as itself.
pub(crate) struct Credentials {
    account: AccountId,
    device: DeviceId,
    /// Replaced by a rotation.
    relay_auth: std::sync::RwLock<Arc<SigningKey>>,
    /// Lives as long as the process: a stolen token is useless without it.
    dpop: SigningKey,
    token: Mutex<Option<Token>>,
}

#[derive(Clone)]
pub(super) struct Token {
    pub(super) text: Zeroizing<String>,
    /// Relay time, in seconds.
    pub(super) renew_at: u64,
}

impl Credentials {
    pub(crate) fn new(account: AccountId, keys: &DeviceKeys) -> Self {
        Self {
            account,
            device: keys.device(),
            relay_auth: std::sync::RwLock::new(Arc::new(keys.relay_auth().clone())),
            dpop: SigningKey::from_bytes(&random::bytes()),
            token: Mutex::new(None),
        }
    }

    pub(crate) fn device(&self) -> DeviceId {
        self.device
    }

    /// After a rotation: the next token is asked for with the new key.
    pub(crate) async fn rotated(&self, keys: &DeviceKeys) {
        *self.relay_auth.write().unwrap_or_else(std::sync::PoisonError::into_inner) =
            Arc::new(keys.relay_auth().clone());
        self.forget().await;
    }

    /// The token was refused, or its key is gone.
    pub(crate) async fn forget(&self) {
        *self.token.lock().await = None;
    }

    /// The token, asked for through `request` where there is none or it is about to end.
    /// Held over the request, so that many callers ask once.
    pub(super) async fn token<F, R>(&self, now: u64, request: F) -> Result<Token, ApiError>
    where
        F: FnOnce() -> R,
        R: Future<Output = Result<Token, ApiError>>,
    {
        let mut token = self.token.lock().await;
        if let Some(token) = token.as_ref().filter(|token| now < token.renew_at) {
            return Ok(token.clone());
        }
        let fresh = request().await?;
        *token = Some(fresh.clone());
        Ok(fresh)
    }

    /// The signed request for a token.
    pub(super) fn assertion(&self, audience: &str, now: u64) -> Result<String, ApiError> {
        let key = Arc::clone(&self.relay_auth.read().unwrap_or_else(std::sync::PoisonError::into_inner));
        let assertion = Assertion {
            iss: self.device,
            sub: self.account,
            aud: audience.to_owned(),
            iat: now,
            exp: now + ASSERTION_SECONDS,
            jti: jti(),
        };
        assertion.sign(&key).map_err(|_| ApiError::Malformed("assertion"))
    }

    /// The proof for one request. `nonce`: the relay's newest one that is known.
    pub(super) fn proof(
        &self,
        method: &str,
        url: &str,
        token: Option<&str>,
        nonce: Option<String>,
        now: u64,
    ) -> Result<String, ApiError> {
        let proof = DpopProof {
            jti: jti(),
            htm: method.to_owned(),
            htu: url.to_owned(),
            iat: now,
            ath: token.map(AccessToken::ath),
            nonce,
        };
        proof.sign(&self.dpop).map_err(|_| ApiError::Malformed("proof"))
    }
}

fn jti() -> String {
    base64url::encode(&random::bytes::<16>())
}
