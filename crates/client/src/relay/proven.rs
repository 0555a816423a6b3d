//! Requests as oneself: with a token, and with a proof that names the relay's nonce. What a refusal says is heeded once: its time, its nonce, and that
//! the token is good no more.
//!
//! Not here: what tokens and proofs are ([`super::auth`]), requests that name nobody ([`super::http`]).

use std::sync::{Mutex, PoisonError};

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, Response, header};
use waxwing_wire::api::{DPOP_NONCE_HEADER, JWT_BEARER, TokenRequest, TokenResponse};
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::token::is_nonce;
use zeroize::Zeroizing;

use super::auth::{Credentials, Token};
use super::failure::ApiError;
use super::http::{RelayApi, read_json, sensitive};

/// A relay's newest nonce for proofs (RFC 9449, section 8), as long as the process lives.
///
/// Taken from answers to proofs alone. One that came over a connection without a name, and went out with a proof, would tell the relay whose that
/// connection is.
#[derive(Default)]
pub(super) struct Nonce(Mutex<Option<String>>);

impl Nonce {
    fn newest(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes the nonce that an answer comes with; whether there is one. Two, or what cannot be one, is none.
    pub(super) fn heard(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(DPOP_NONCE_HEADER).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return false };
        let Some(nonce) = value.to_str().ok().filter(|text| is_nonce(text)) else { return false };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(nonce.to_owned());
        true
    }
}

impl RelayApi {
    /// An authenticated request; a refused token is replaced once (the relay restarted, or the clock was unknown).
    pub(super) async fn authenticated(
        &self,
        method: Method,
        path: &str,
        media: &str,
        body: Vec<u8>,
    ) -> Result<Response, ApiError> {
        let mut again = true;
        loop {
            let token = self.token().await?;
            let request = self.request(method.clone(), path).header(header::AUTHORIZATION, dpop(&token)?);
            let request =
                if body.is_empty() { request } else { request.header(header::CONTENT_TYPE, media).body(body.clone()) };
            match self.send_proven(request, &method, path, Some(&token)).await {
                Err(error) if again && error.problem() == Some(ProblemCode::Unauthorized) => {
                    again = false;
                    self.credentials()?.forget().await;
                }
                other => return other,
            }
        }
    }

    /// The token of these credentials, a new one where it is about to end.
    pub(super) async fn token(&self) -> Result<Token, ApiError> {
        let credentials = self.credentials()?;
        credentials.token(self.now_s(), || self.new_token(credentials)).await
    }

    /// The proof for one request, with the newest nonce. Its URL is the one asked for, without query.
    pub(super) fn proof(&self, method: &Method, path: &str, token: Option<&Token>) -> Result<String, ApiError> {
        let url = self.url(path.split('?').next().unwrap_or(path));
        let token = token.map(|token| token.text.as_str());
        self.credentials()?.proof(method.as_str(), &url, token, self.nonce.newest(), self.now_s())
    }

    /// Takes an answer to a proof as [`RelayApi::accept`] does, and the nonce that comes with it. One that wants a nonce and gives none cannot be served.
    pub(super) async fn accept_proven(&self, response: Response) -> Result<Response, ApiError> {
        let heard = self.nonce.heard(response.headers());
        match self.accept(response).await {
            Err(error) if wants_nonce(&error) && !heard => Err(ApiError::Malformed("DPoP nonce")),
            other => other,
        }
    }

    /// Sends `request` with a proof, and once more with another where the relay wants a nonce that it has just given. The rest of the request stays what
    /// it is, so a write is still the same write. A relay that is not content with its own nonce is not asked a third time.
    async fn send_proven(
        &self,
        request: RequestBuilder,
        method: &Method,
        path: &str,
        token: Option<&Token>,
    ) -> Result<Response, ApiError> {
        // None of a body that is a stream; there is no such.
        let again = request.try_clone();
        let first = request.header("DPoP", self.proof(method, path, token)?);
        match (self.send_once(first).await, again) {
            (Err(error), Some(again)) if wants_nonce(&error) => {
                self.send_once(again.header("DPoP", self.proof(method, path, token)?)).await
            }
            (outcome, _) => outcome,
        }
    }

    async fn send_once(&self, request: RequestBuilder) -> Result<Response, ApiError> {
        let response = self.attempt(request).await?;
        self.accept_proven(response).await
    }

    /// `POST /oauth/token`. Relay time must be known first, or a wrong local clock would block: the first answer of any
    /// kind carries it.
    async fn new_token(&self, credentials: &Credentials) -> Result<Token, ApiError> {
        const PATH: &str = "/oauth/token";
        self.info().await?;
        let now = self.now_s();
        // The name that the user gave, not one that the relay claims: an assertion must be of no use at another relay.
        let audience = self.address().authority();
        let form =
            TokenRequest { grant_type: JWT_BEARER.to_owned(), assertion: credentials.assertion(&audience, now)? };
        let request = self.request(Method::POST, PATH).form(&form);
        let answer: TokenResponse = read_json(self.send_proven(request, &Method::POST, PATH, None).await?).await?;
        // Renewed after three quarters of its life, so that no request meets its end.
        let renew_at = now.saturating_add(answer.expires_in.saturating_mul(3) / 4);
        Ok(Token { text: Zeroizing::new(answer.access_token), renew_at })
    }

    fn now_s(&self) -> u64 {
        self.now_ms() / 1000
    }
}

/// Whether a request was refused for want of a nonce.
pub(super) fn wants_nonce(error: &ApiError) -> bool {
    error.problem() == Some(ProblemCode::UseDpopNonce)
}

/// The `Authorization` of a token that is bound to a key (RFC 9449, section 7.1).
pub(super) fn dpop(token: &Token) -> Result<header::HeaderValue, ApiError> {
    sensitive(&format!("DPoP {}", token.text.as_str()))
}

#[cfg(test)]
mod tests;
