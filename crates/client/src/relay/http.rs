//! Requests and their answers. Every method is safe to repeat: ids are made by the client.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use waxwing_protocol::{AccessKey, ChainPages, ChainProgress};
use waxwing_wire::api::{
    ACCESS_KEY_HEADER, API_HEADER, AccessKeys, Ack, ChainPage, EntryAccepted, EntryBytes, RelayInfo, SERVICE, Stored,
    SubmitEntry, base64url,
};
use waxwing_wire::frame::{Append, CreateLog, InboxPage, InboxSend, LogPage};
use waxwing_wire::limits::{MAX_ENVELOPE, MAX_PAGE_BYTES};
use waxwing_wire::problem::{Problem, ProblemCode};
use waxwing_wire::{API_VERSION, AccountId, DeviceId, LogId, RelayAddress, VerifiedChain};

use super::auth::Credentials;
use super::clock::{RelayClock, parse_http_date};
use super::failure::{ApiError, ChainRefused, classify};
use super::own_certificate::OwnCertificate;
use super::proven::Nonce;
use super::tls;

const CONNECT: Duration = Duration::from_secs(10);
const REQUEST: Duration = Duration::from_secs(30);
const IDLE: Duration = Duration::from_secs(5);
/// Largest answer: a page of entries, or of chain entries in base64.
const MAX_ANSWER: usize = MAX_PAGE_BYTES + MAX_ENVELOPE + 64 * 1024;
pub(super) const BINARY: &str = "application/octet-stream";

/// One relay, as seen from here.
pub(crate) struct RelayApi {
    address: RelayAddress,
    base: String,
    http: reqwest::Client,
    credentials: Option<Arc<Credentials>>,
    clock: RelayClock,
    own_certificate: Arc<OwnCertificate>,
    pub(super) nonce: Nonce,
}

impl RelayApi {
    /// Speaks to `address`; as a device where `credentials` are given. A relay that asks for a certificate is shown the one that the profile in the
    /// folder `profile` has for it, named or not. Nothing is sent yet.
    pub(crate) fn new(
        address: RelayAddress,
        profile: &Path,
        credentials: Option<Arc<Credentials>>,
    ) -> Result<Self, ApiError> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(REQUEST)
            // Less than the relay waits for a next request, so that none is written to a connection it is closing.
            .pool_idle_timeout(IDLE)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("waxwing/", env!("CARGO_PKG_VERSION")))
            .referer(false);
        if address.is_loopback() {
            builder = builder.no_proxy();
        } else {
            builder = builder.https_only(true);
        }
        let (base, own_certificate) = (address.base_url(), Arc::new(OwnCertificate::new(profile, &address)));
        if base.starts_with("https:") {
            let config = tls::config(&address, Arc::clone(&own_certificate));
            let config = config.map_err(|error| ApiError::Unreachable(error.to_string()))?;
            builder = builder.tls_backend_preconfigured(config);
        }
        let http = builder.build().map_err(|error| ApiError::Unreachable(error.to_string()))?;
        let (clock, nonce) = (RelayClock::new(), Nonce::default());
        Ok(Self { address, base, http, credentials, clock, own_certificate, nonce })
    }

    pub(crate) fn address(&self) -> &RelayAddress {
        &self.address
    }

    /// Relay time in milliseconds: the last answer's `Date` and what has passed since; the local clock's as long as there was none.
    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// Relay time, once an answer has told it: what must not depend on this computer's clock asks here.
    pub(crate) fn relay_ms(&self) -> Option<u64> {
        self.clock.told_ms()
    }

    /// Goes by other clocks than this computer's.
    #[cfg(test)]
    pub(super) fn go_by(&mut self, clock: RelayClock) {
        self.clock = clock;
    }

    /// As an answer that was dated so would set it.
    #[cfg(test)]
    pub(crate) fn set_offset(&self, offset_ms: i64) {
        self.clock.tell_ahead_ms(offset_ms);
    }

    /// Whether the local clock is more than 10 minutes off, by how many milliseconds.
    pub(crate) fn clock_error_ms(&self) -> Option<i64> {
        self.clock.wall_error_ms()
    }

    /// `GET /v1/relay`: whether this is a relay, and which.
    pub(crate) async fn info(&self) -> Result<RelayInfo, ApiError> {
        let info: RelayInfo = match self.json(self.request(Method::GET, "/v1/relay")).await {
            // It is one, of another version than ours.
            Err(error) if error.problem() == Some(ProblemCode::UpdateNeeded) => return Err(error),
            Err(ApiError::Problem(_) | ApiError::Malformed(_)) => {
                return Err(ApiError::NotARelay("no relay information"));
            }
            other => other?,
        };
        if info.service != SERVICE {
            return Err(ApiError::NotARelay("another service"));
        }
        if info.api != API_VERSION {
            return Err(ApiError::Version(info.api.to_string()));
        }
        Ok(info)
    }

    /// Appends to the own chain.
    pub(crate) async fn append_chain(&self, account: AccountId, entry: &[u8]) -> Result<EntryAccepted, ApiError> {
        let body = to_json(&SubmitEntry { entry: EntryBytes(entry.to_vec()) })?;
        let path = format!("/v1/accounts/{account}/chain");
        let response = self.authenticated(Method::POST, &path, "application/json", body).await?;
        read_json(response).await
    }

    /// Appends to a chain unnamed what proves itself: a recovery, since no device of the account is here; to a relay that was restored also
    /// what it has lost, since it knows none of the keys that are in force.
    pub(crate) async fn append_unnamed(&self, account: AccountId, entry: &[u8]) -> Result<EntryAccepted, ApiError> {
        let body = SubmitEntry { entry: EntryBytes(entry.to_vec()) };
        self.json(self.request(Method::POST, &format!("/v1/accounts/{account}/chain")).json(&body)).await
    }

    /// The whole chain of an account (by id or name), verified. `known` is extended where it is given: the relay cannot
    /// take back what it has shown.
    pub(crate) async fn chain(
        &self,
        who: &str,
        known: Option<VerifiedChain>,
    ) -> Result<(VerifiedChain, Vec<Vec<u8>>), ChainRefused> {
        let mut pages = ChainPages::new(known);
        loop {
            let path = format!("/v1/accounts/{who}/chain?from={}", pages.from());
            let page: ChainPage = self.json(self.request(Method::GET, &path)).await?;
            pages = match pages.page(page)? {
                ChainProgress::More(pages) => pages,
                ChainProgress::Whole(chain, fresh) => return Ok((chain, fresh)),
            };
        }
    }

    /// Admits whoever has one of these access keys.
    pub(crate) async fn put_access_keys(&self, hashes: Vec<[u8; 32]>) -> Result<(), ApiError> {
        self.access_keys(Method::PUT, hashes).await
    }

    /// Admits them no more.
    pub(crate) async fn delete_access_keys(&self, hashes: Vec<[u8; 32]>) -> Result<(), ApiError> {
        self.access_keys(Method::DELETE, hashes).await
    }

    async fn access_keys(&self, method: Method, hashes: Vec<[u8; 32]>) -> Result<(), ApiError> {
        let hashes = hashes.into_iter().map(|hash| EntryBytes(hash.to_vec())).collect();
        let body = to_json(&AccessKeys { hashes })?;
        self.authenticated(method, "/v1/access-keys", "application/json", body).await.map(|_| ())
    }

    pub(crate) async fn create_log(&self, log: &CreateLog) -> Result<(), ApiError> {
        self.authenticated(Method::POST, "/v1/logs", BINARY, log.encode()).await.map(|_| ())
    }

    pub(crate) async fn append(&self, log: LogId, write_token: &[u8; 32], entry: &Append) -> Result<Stored, ApiError> {
        let request = self
            .request(Method::POST, &format!("/v1/logs/{log}/entries"))
            .header(header::AUTHORIZATION, bearer(write_token)?)
            .header(header::CONTENT_TYPE, BINARY)
            .body(entry.encode());
        self.json(request).await
    }

    pub(crate) async fn read_log(&self, log: LogId, read_token: &[u8; 32], after: u64) -> Result<LogPage, ApiError> {
        let request = self
            .request(Method::GET, &format!("/v1/logs/{log}/entries?after={after}"))
            .header(header::AUTHORIZATION, bearer(read_token)?);
        let bytes = read_body(self.send(request).await?).await?;
        LogPage::decode(&bytes).map_err(|_| ApiError::Malformed("log page"))
    }

    /// Puts an envelope into a device's inbox: unnamed with an access key, else as oneself.
    pub(crate) async fn inbox_send(
        &self,
        device: DeviceId,
        access_key: Option<&AccessKey>,
        entry: &InboxSend,
    ) -> Result<Stored, ApiError> {
        let response = self.admitted(&format!("/v1/inboxes/{device}"), access_key, entry.encode()).await?;
        read_json(response).await
    }

    /// Posts `body` to somebody else's place: unnamed with an access key of theirs, else as oneself. Never both.
    pub(super) async fn admitted(
        &self,
        path: &str,
        access_key: Option<&AccessKey>,
        body: Vec<u8>,
    ) -> Result<Response, ApiError> {
        let Some(key) = access_key else { return self.authenticated(Method::POST, path, BINARY, body).await };
        let request = self
            .request(Method::POST, path)
            .header(ACCESS_KEY_HEADER, sensitive(&base64url::encode(key.as_bytes()))?)
            .header(header::CONTENT_TYPE, BINARY)
            .body(body);
        self.send(request).await
    }

    pub(crate) async fn read_inbox(&self, after: u64) -> Result<InboxPage, ApiError> {
        let device = self.credentials()?.device();
        let path = format!("/v1/inboxes/{device}?after={after}");
        let response = self.authenticated(Method::GET, &path, BINARY, Vec::new()).await?;
        InboxPage::decode(&read_body(response).await?).map_err(|_| ApiError::Malformed("inbox page"))
    }

    pub(crate) async fn ack_inbox(&self, up_to: u64) -> Result<(), ApiError> {
        let device = self.credentials()?.device();
        let body = to_json(&Ack { up_to })?;
        let path = format!("/v1/inboxes/{device}/ack");
        self.authenticated(Method::POST, &path, "application/json", body).await.map(|_| ())
    }

    pub(super) fn credentials(&self) -> Result<&Arc<Credentials>, ApiError> {
        self.credentials.as_ref().ok_or(ApiError::Malformed("no credentials for this relay"))
    }

    /// An unauthenticated request for `path`.
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(path)).header(API_HEADER, API_VERSION)
    }

    /// Where `path` is.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub(super) async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ApiError> {
        read_json(self.send(request).await?).await
    }

    /// Sends, notes the relay's time, and turns refusals into [`ApiError::Problem`].
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, ApiError> {
        let response = self.attempt(request).await?;
        self.accept(response).await
    }

    /// Sends, and gives whatever is answered.
    pub(super) async fn attempt(&self, request: RequestBuilder) -> Result<Response, ApiError> {
        let response = request.send().await.map_err(|error| self.failed(&error))?;
        self.answered();
        Ok(response)
    }

    /// There was an answer: a certificate that was asked for is taken, or not needed.
    pub(super) fn answered(&self) {
        self.own_certificate.is_taken();
    }

    /// Why there was none. Where nothing else is known it may be for the certificate that the relay has asked for.
    pub(super) fn failed(&self, error: &reqwest::Error) -> ApiError {
        match (classify(error), self.own_certificate.fault(error)) {
            (ApiError::Unreachable(_), Some(fault)) => {
                ApiError::OwnCertificate { relay: self.address.authority(), fault }
            }
            (other, _) => other,
        }
    }

    pub(super) async fn accept(&self, response: Response) -> Result<Response, ApiError> {
        let api = response.headers().get(API_HEADER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        match api {
            None => return Err(ApiError::NotARelay("no API version")),
            Some(version) if version != API_VERSION.to_string() => return Err(ApiError::Version(version)),
            Some(_) => self.note_time(&response),
        }
        if response.status().is_success() || response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response);
        }
        let status = response.status();
        let body = read_body(response).await?;
        let problem: Problem = serde_json::from_slice(&body).map_err(|_| ApiError::Malformed("problem"))?;
        // Only known fields are kept; the title is the relay's text and ends up in reports, so it is cut.
        Err(ApiError::Problem(Problem {
            title: problem.title.chars().take(200).collect(),
            status: status.as_u16(),
            ..problem
        }))
    }

    fn note_time(&self, response: &Response) {
        let date = response.headers().get(header::DATE).and_then(|value| value.to_str().ok());
        if let Some(seconds) = date.and_then(parse_http_date) {
            self.clock.tell(seconds);
        }
    }
}

fn bearer(token: &[u8; 32]) -> Result<header::HeaderValue, ApiError> {
    sensitive(&format!("Bearer {}", base64url::encode(token)))
}

/// A header value that no debug output prints.
pub(super) fn sensitive(text: &str) -> Result<header::HeaderValue, ApiError> {
    let mut value = header::HeaderValue::from_str(text).map_err(|_| ApiError::Malformed("header"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn to_json<T: Serialize>(body: &T) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(body).map_err(|_| ApiError::Malformed("request"))
}

pub(super) async fn read_json<T: DeserializeOwned>(response: Response) -> Result<T, ApiError> {
    serde_json::from_slice(&read_body(response).await?).map_err(|_| ApiError::Malformed("JSON"))
}

/// The body, at most [`MAX_ANSWER`] bytes of it: a relay must not fill our memory.
pub(super) async fn read_body(mut response: Response) -> Result<Vec<u8>, ApiError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| classify(&error))? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(ApiError::Malformed("answer too large"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
