//! A refusal, as the client sees it: `application/problem+json` with a stable code (RFC 9457).

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, CONTENT_RANGE, CONTENT_TYPE, RETRY_AFTER, UPGRADE, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use waxwing_wire::problem::{PROBLEM_JSON, Problem, ProblemCode};

use crate::storage::StorageError;

/// Why a request is refused. The code says whose fault it is; the title is for people who read logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    code: ProblemCode,
    status: StatusCode,
    title: &'static str,
    head: Option<u64>,
    oldest: Option<u64>,
    retry_after: Option<u64>,
    accept: Option<&'static str>,
    size: Option<u64>,
    storage: Option<StorageError>,
}

/// What the relay's own counters and audit log see of a refusal: it goes along with the answer, not into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The code.
    pub(crate) code: ProblemCode,
    /// The storage's trouble, if it was that.
    pub(crate) storage: Option<StorageError>,
}

/// What a command answers.
pub type Reply = Result<Response, Refusal>;

impl Refusal {
    /// A refusal with its code's status and title.
    #[must_use]
    pub fn new(code: ProblemCode) -> Self {
        let (status, title) = wording(code);
        Self {
            code,
            status,
            title,
            head: None,
            oldest: None,
            retry_after: None,
            accept: None,
            size: None,
            storage: None,
        }
    }

    /// A request that cannot be read, and what about it.
    #[must_use]
    pub fn bad_request(title: &'static str) -> Self {
        Self { title, ..Self::new(ProblemCode::BadRequest) }
    }

    /// A chain entry that breaks a rule, and which.
    #[must_use]
    pub fn invalid_entry(title: &'static str) -> Self {
        Self { title, ..Self::new(ProblemCode::InvalidEntry) }
    }

    /// The same with another HTTP status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same with a log's head.
    #[must_use]
    pub fn with_head(mut self, head: u64) -> Self {
        self.head = Some(head);
        self
    }

    /// Entries before `oldest` are gone.
    #[must_use]
    pub fn gone(oldest: u64) -> Self {
        Self { oldest: Some(oldest), ..Self::new(ProblemCode::Gone) }
    }

    /// Too many requests; again in `seconds`.
    #[must_use]
    pub fn rate_limited(seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..Self::new(ProblemCode::RateLimited) }
    }

    /// There is no room for it now; again in `seconds`.
    #[must_use]
    pub fn busy(seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..Self::new(ProblemCode::Unavailable) }
    }

    /// The body is of another media type than `accept`, or compressed.
    #[must_use]
    pub fn unsupported_media_type(accept: &'static str) -> Self {
        Self { accept: Some(accept), ..Self::new(ProblemCode::UnsupportedMediaType) }
    }

    /// A range of none of the `size` bytes that there are.
    #[must_use]
    pub fn range_not_satisfiable(size: u64) -> Self {
        Self { size: Some(size), ..Self::new(ProblemCode::RangeNotSatisfiable) }
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> ProblemCode {
        self.code
    }
}

/// The status and title of a code.
pub(crate) fn wording(code: ProblemCode) -> (StatusCode, &'static str) {
    match code {
        ProblemCode::BadRequest => (StatusCode::BAD_REQUEST, "The request cannot be read"),
        ProblemCode::NotFound => (StatusCode::NOT_FOUND, "There is no such address"),
        ProblemCode::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "That method does not go with this address"),
        ProblemCode::UnsupportedMediaType => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is of another media type than this address takes")
        }
        ProblemCode::Timeout => (StatusCode::REQUEST_TIMEOUT, "The request took too long"),
        ProblemCode::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
        ProblemCode::InvalidEntry => (StatusCode::UNPROCESSABLE_ENTITY, "The chain entry is not valid"),
        ProblemCode::NameTaken => (StatusCode::CONFLICT, "The name is taken"),
        ProblemCode::AccountExists => (StatusCode::CONFLICT, "The account or device id is taken"),
        ProblemCode::UnknownAccount => (StatusCode::NOT_FOUND, "No such account"),
        ProblemCode::ChainConflict => (StatusCode::CONFLICT, "The chain entry does not follow the stored head"),
        ProblemCode::Unauthorized => (StatusCode::UNAUTHORIZED, "No valid token, proof or assertion"),
        ProblemCode::UseDpopNonce => {
            (StatusCode::UNAUTHORIZED, "The proof needs a nonce of this relay that is good now")
        }
        ProblemCode::LogRefused => (StatusCode::FORBIDDEN, "No such log, or the token does not open it"),
        ProblemCode::Rekeyed => (StatusCode::CONFLICT, "The write token was replaced"),
        ProblemCode::Conflict => (StatusCode::CONFLICT, "Not after the last handshake"),
        ProblemCode::IdReused => (StatusCode::UNPROCESSABLE_ENTITY, "The entry id was used with other bytes"),
        ProblemCode::Gone => (StatusCode::GONE, "Older entries are gone"),
        ProblemCode::InboxRefused => (StatusCode::FORBIDDEN, "No such inbox or account, or the sender is not admitted"),
        ProblemCode::RegistrationClosed => (StatusCode::FORBIDDEN, "This relay makes no accounts"),
        ProblemCode::RegistrationInviteRequired => {
            (StatusCode::FORBIDDEN, "An account here needs an invitation of the operator's that is still good")
        }
        ProblemCode::AccountDisabled => (StatusCode::FORBIDDEN, "The operator has disabled this account"),
        ProblemCode::QuotaExceeded => (StatusCode::FORBIDDEN, "A quota is used up"),
        ProblemCode::UnknownBlob => (StatusCode::NOT_FOUND, "No such blob"),
        ProblemCode::WrongOffset => (StatusCode::CONFLICT, "The part is not the next one"),
        ProblemCode::BlobMismatch => {
            (StatusCode::UNPROCESSABLE_ENTITY, "The bytes are not those that the blob's id names")
        }
        ProblemCode::RangeNotSatisfiable => (StatusCode::RANGE_NOT_SATISFIABLE, "The blob has no such bytes"),
        ProblemCode::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "Too many requests"),
        ProblemCode::InsufficientStorage => (StatusCode::INSUFFICIENT_STORAGE, "The relay is out of space"),
        ProblemCode::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "The relay cannot answer now"),
        ProblemCode::UpdateNeeded => {
            (StatusCode::UPGRADE_REQUIRED, "Please update: this relay speaks another version of the API")
        }
        ProblemCode::Internal | ProblemCode::Unknown => (StatusCode::INTERNAL_SERVER_ERROR, "A fault of the relay"),
    }
}

impl From<StorageError> for Refusal {
    fn from(error: StorageError) -> Self {
        let code = match error {
            StorageError::Full => ProblemCode::InsufficientStorage,
            StorageError::Unavailable => ProblemCode::Unavailable,
            StorageError::Damaged => ProblemCode::Internal,
        };
        Self { storage: Some(error), ..Self::new(code) }
    }
}

impl From<ProblemCode> for Refusal {
    fn from(code: ProblemCode) -> Self {
        Self::new(code)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let problem = Problem {
            code: self.code,
            status: self.status.as_u16(),
            title: self.title.to_owned(),
            head: self.head,
            oldest: self.oldest,
            retry_after: self.retry_after,
        };
        let mut response = (self.status, Json(problem)).into_response();
        response.extensions_mut().insert(Refused { code: self.code, storage: self.storage });
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        match self.code {
            ProblemCode::Unauthorized => {
                // RFC 9449, section 7.1.
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("DPoP algs=\"EdDSA\""));
            }
            // RFC 9449, section 9. The token endpoint's 400 has no such header.
            ProblemCode::UseDpopNonce if self.status == StatusCode::UNAUTHORIZED => {
                let wanted = HeaderValue::from_static("DPoP error=\"use_dpop_nonce\", algs=\"EdDSA\"");
                headers.insert(WWW_AUTHENTICATE, wanted);
            }
            // RFC 9110, section 15.5.22: a 426 names what to upgrade to.
            ProblemCode::UpdateNeeded => {
                headers.insert(UPGRADE, HeaderValue::from_static("waxwing-api/1"));
            }
            _ => {}
        }
        // RFC 9110, section 15.5.16.
        if let Some(media) = self.accept {
            headers.insert(ACCEPT, HeaderValue::from_static(media));
        }
        // RFC 9110, section 15.5.17.
        if let Some(Ok(range)) = self.size.map(|size| HeaderValue::try_from(format!("bytes */{size}"))) {
            headers.insert(CONTENT_RANGE, range);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
