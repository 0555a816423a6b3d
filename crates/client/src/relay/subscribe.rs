//! The subscription: a WebSocket on which the relay says that something is new. A wake-up is never load-bearing.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Method;
use reqwest::header::AUTHORIZATION;
use reqwest_websocket::{CloseCode, Message, Upgrade as _, WebSocket};
use waxwing_wire::api::Subscribe;
use waxwing_wire::frame::Push;
use waxwing_wire::problem::ProblemCode;

use super::auth::Token;
use super::failure::{ApiError, classify};
use super::http::RelayApi;
use super::proven::{dpop, wants_nonce};

/// No frame for this long (the relay pings every 30 s): the connection is dead.
const SILENCE: Duration = Duration::from_secs(90);
const PATH: &str = "/v1/subscribe";

/// An open subscription.
pub(crate) struct Subscription(WebSocket);

/// What came in.
pub(crate) enum Frame {
    /// Something is new.
    Push(Push),
    /// The connection lives.
    Alive,
    /// The relay has ended it (close code 1008): the account is disabled, the device revoked. The next request is told which.
    ShutOut,
}

impl RelayApi {
    /// Opens a subscription; as oneself (for the inbox) or unnamed (for logs), never both on one connection. As oneself a refusal is heeded once, as of
    /// every request.
    pub(crate) async fn subscribe(&self, as_oneself: bool) -> Result<Subscription, ApiError> {
        if !as_oneself {
            return self.open(None).await;
        }
        let (mut another_token, mut another_nonce) = (true, true);
        loop {
            let token = self.token().await?;
            match self.open(Some(&token)).await {
                Err(error) if another_nonce && wants_nonce(&error) => another_nonce = false,
                Err(error) if error.problem() == Some(ProblemCode::Unauthorized) => {
                    self.credentials()?.forget().await;
                    if !std::mem::take(&mut another_token) {
                        return Err(error);
                    }
                }
                other => return other,
            }
        }
    }

    async fn open(&self, token: Option<&Token>) -> Result<Subscription, ApiError> {
        let mut request = self.request(Method::GET, PATH).timeout(Duration::from_secs(u64::from(u32::MAX)));
        if let Some(token) = token {
            let proof = self.proof(&Method::GET, PATH, Some(token))?;
            request = request.header(AUTHORIZATION, dpop(token)?).header("DPoP", proof);
        }
        let attempt = async {
            let response = request.upgrade().send().await.map_err(|error| match &error {
                reqwest_websocket::Error::Reqwest(error) => self.failed(error),
                _ => broken(&error),
            })?;
            self.answered();
            if response.status() != reqwest::StatusCode::SWITCHING_PROTOCOLS {
                let response = response.into_inner();
                match token {
                    Some(_) => self.accept_proven(response).await?,
                    None => self.accept(response).await?,
                };
                return Err(ApiError::NotARelay("no WebSocket"));
            }
            if token.is_some() {
                self.nonce.heard(response.headers());
            }
            response.into_websocket().await.map_err(|error| broken(&error))
        };
        let socket = tokio::time::timeout(Duration::from_secs(20), attempt)
            .await
            .map_err(|_| ApiError::Unreachable("no answer in time".to_owned()))?;
        socket.map(Subscription)
    }
}

impl Subscription {
    /// Asks to be told of the inbox, or of (more) logs.
    pub(crate) async fn ask(&mut self, what: &Subscribe) -> Result<(), ApiError> {
        let text = serde_json::to_string(what).map_err(|_| ApiError::Malformed("request"))?;
        self.0.send(Message::Text(text)).await.map_err(|error| broken(&error))
    }

    /// The next frame. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Frame, ApiError> {
        let gone = || ApiError::Unreachable("the subscription ended".to_owned());
        match tokio::time::timeout(SILENCE, self.0.next()).await {
            Err(_) | Ok(None) => Err(gone()),
            Ok(Some(Err(error))) => Err(broken(&error)),
            Ok(Some(Ok(Message::Binary(bytes)))) => {
                Push::decode(&bytes).map(Frame::Push).map_err(|_| ApiError::Malformed("frame"))
            }
            Ok(Some(Ok(Message::Close { code: CloseCode::Policy, .. }))) => Ok(Frame::ShutOut),
            Ok(Some(Ok(Message::Close { .. }))) => Err(gone()),
            Ok(Some(Ok(_))) => Ok(Frame::Alive),
        }
    }
}

fn broken(error: &reqwest_websocket::Error) -> ApiError {
    match error {
        reqwest_websocket::Error::Reqwest(error) => classify(error),
        _ => ApiError::Unreachable("the subscription broke".to_owned()),
    }
}
