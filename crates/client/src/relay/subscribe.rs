//! The subscription: a WebSocket on which the relay says that something is new. A wake-up is never load-bearing.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Method;
use reqwest::header::AUTHORIZATION;
use reqwest_websocket::{CloseCode, Message, Upgrade as _, WebSocket};
use waxwing_wire::api::{Subscribe, SubscribeLog};
use waxwing_wire::frame::Push;
use waxwing_wire::limits::SUBSCRIBE_MESSAGE_LOGS;
use waxwing_wire::problem::ProblemCode;

use super::auth::Token;
use super::failure::{ApiError, classify};
use super::http::RelayApi;
use super::proven::{dpop, wants_nonce};

/// No frame for this long (the relay pings every 30 s): the connection is dead.
const SILENCE: Duration = Duration::from_secs(90);
const PATH: &str = "/v1/subscribe";

/// An open subscription.
pub(crate) struct Subscription {
    socket: WebSocket,
    asked: Asked,
    /// Messages that go once the relay has answered the one before: nobody would read meanwhile, neither here what it tells, nor there, once that
    /// is more than the connection holds.
    unsent: VecDeque<String>,
    /// Whether the relay has one that it has not answered.
    unanswered: bool,
    /// Whether one is still to be written out.
    unflushed: bool,
}

/// What was asked and is not answered yet, oldest first: of each, in how many messages. The relay answers each message with a `ready` of its own, in their
/// order.
#[derive(Default)]
struct Asked(VecDeque<usize>);

impl Asked {
    /// One more answer; whether that was the last one to what was asked first.
    fn answered(&mut self) -> bool {
        if let Some(left) = self.0.front_mut()
            && *left > 1
        {
            *left -= 1;
            return false;
        }
        self.0.pop_front();
        true
    }
}

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
        socket.map(|socket| Subscription {
            socket,
            asked: Asked::default(),
            unsent: VecDeque::new(),
            unanswered: false,
            unflushed: false,
        })
    }
}

impl Subscription {
    /// Asks to be told of the inbox, or of (more) logs. However many these are, one [`Push::Ready`] comes once all of it is followed.
    pub(crate) async fn ask(&mut self, what: &Subscribe) -> Result<(), ApiError> {
        let messages = in_messages(what);
        let texts = messages.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>();
        self.unsent.extend(texts.map_err(|_| ApiError::Malformed("request"))?);
        self.asked.0.push_back(messages.len());
        self.send().await
    }

    /// Sends the next message, if its turn has come. Cancel-safe: what is taken from the queue is the socket's.
    async fn send(&mut self) -> Result<(), ApiError> {
        if !self.unanswered
            && let Some(text) = self.unsent.front()
        {
            self.socket.feed(Message::Text(text.clone())).await.map_err(|error| broken(&error))?;
            self.unsent.pop_front();
            (self.unanswered, self.unflushed) = (true, true);
        }
        if self.unflushed {
            self.socket.flush().await.map_err(|error| broken(&error))?;
            self.unflushed = false;
        }
        Ok(())
    }

    /// The next frame. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Frame, ApiError> {
        let gone = || ApiError::Unreachable("the subscription ended".to_owned());
        self.send().await?;
        match tokio::time::timeout(SILENCE, self.socket.next()).await {
            Err(_) | Ok(None) => Err(gone()),
            Ok(Some(Err(error))) => Err(broken(&error)),
            Ok(Some(Ok(Message::Binary(bytes)))) => {
                let push = Push::decode(&bytes).map_err(|_| ApiError::Malformed("frame"))?;
                if push == Push::Ready {
                    // The next message goes with the next look.
                    self.unanswered = false;
                    if !self.asked.answered() {
                        // A part of what was asked is followed.
                        return Ok(Frame::Alive);
                    }
                }
                Ok(Frame::Push(push))
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

/// What is asked, in messages that the relay takes; at least one.
fn in_messages(what: &Subscribe) -> Vec<Subscribe> {
    let Subscribe { logs, inbox, transparency } = what;
    let of = |logs: &[SubscribeLog]| Subscribe { logs: logs.to_vec(), inbox: *inbox, transparency: *transparency };
    if logs.is_empty() {
        return vec![of(&[])];
    }
    logs.chunks(SUBSCRIBE_MESSAGE_LOGS).map(of).collect()
}

#[cfg(test)]
mod tests {
    use waxwing_wire::LogId;
    use waxwing_wire::api::EntryBytes;
    use waxwing_wire::limits::{MAX_SUBSCRIBE_MESSAGE, MAX_SUBSCRIBED_LOGS};

    use super::*;

    /// A3: the relay closes a subscription for a message that is larger than it takes, so all that can be followed is asked for in several.
    #[test]
    fn a3_what_is_followed_is_asked_for_in_messages_that_are_taken() {
        let log = |n: usize| {
            let mut id = [0xff; 16];
            id[..8].copy_from_slice(&(n as u64).to_be_bytes());
            SubscribeLog { log: LogId::from_bytes(id), read_token: EntryBytes(vec![0xff; 32]) }
        };
        for many in [0, 1, SUBSCRIBE_MESSAGE_LOGS, SUBSCRIBE_MESSAGE_LOGS + 1, MAX_SUBSCRIBED_LOGS] {
            let all = Subscribe { logs: (0..many).map(log).collect(), inbox: many == 0, transparency: false };
            let messages = in_messages(&all);
            assert_eq!(messages.len(), many.div_ceil(SUBSCRIBE_MESSAGE_LOGS).max(1));
            for message in &messages {
                assert!(serde_json::to_string(message).unwrap().len() <= MAX_SUBSCRIBE_MESSAGE);
                assert_eq!((message.inbox, message.transparency), (many == 0, false));
            }
            let asked: Vec<_> = messages.into_iter().flat_map(|message| message.logs).collect();
            assert_eq!(asked, all.logs);
        }
    }

    /// Whoever asks for many logs hears of the last answer alone, for what was asked first.
    #[test]
    fn several_messages_have_one_answer() {
        let mut asked = Asked(VecDeque::from([3, 1, 2]));
        assert_eq!([(); 6].map(|()| asked.answered()), [false, false, true, true, false, true]);
        // What nobody has asked for is handed on.
        assert!(asked.answered() && asked.0.is_empty());
    }
}
