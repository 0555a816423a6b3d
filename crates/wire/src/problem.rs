//! Errors of the HTTP API: `application/problem+json` (RFC 9457) with a stable code.

use serde::{Deserialize, Serialize};

use crate::api::maybe_count;

/// What went wrong, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ProblemCode {
    /// The request cannot be read.
    BadRequest,
    /// There is no such address.
    NotFound,
    /// The method does not go with the address.
    MethodNotAllowed,
    /// The body is of another media type than the address takes.
    UnsupportedMediaType,
    /// The body, header or address is too large.
    TooLarge,
    /// The request did not come in time.
    Timeout,
    /// The chain entry is not valid.
    InvalidEntry,
    /// The name is taken.
    NameTaken,
    /// The account id is taken.
    AccountExists,
    /// No such account.
    UnknownAccount,
    /// The chain entry does not follow the stored head.
    ChainConflict,
    /// No valid token, proof, assertion or access key.
    Unauthorized,
    /// The DPoP proof has no nonce, or none that is good any more: again with the one in the answer's header (RFC 9449, sections 8 and 9).
    UseDpopNonce,
    /// No such log, or the token does not open it (both answer alike).
    LogRefused,
    /// The write token was replaced by a rekeying handshake: replay to head.
    Rekeyed,
    /// `after` is not the last handshake: replay to `head`.
    Conflict,
    /// The entry id was used with other bytes.
    IdReused,
    /// Entries before `oldest` are gone.
    Gone,
    /// No such inbox or account, or the sender is not admitted (all answer alike).
    InboxRefused,
    /// The relay makes no accounts.
    RegistrationClosed,
    /// The relay makes accounts by invitation: none came, or it is unknown, used up or too old.
    RegistrationInviteRequired,
    /// The operator has disabled the account.
    AccountDisabled,
    /// A quota of the log, the inbox, or for blobs is used up.
    QuotaExceeded,
    /// No such blob: never put up, not whole yet, or expired (all answer alike).
    UnknownBlob,
    /// The part of a blob is not the next one: go on from `head`.
    WrongOffset,
    /// The bytes are not those that the blob's id names. Nothing is kept of them.
    BlobMismatch,
    /// The blob has no such bytes.
    RangeNotSatisfiable,
    /// Too many requests.
    RateLimited,
    /// The relay is out of space.
    InsufficientStorage,
    /// The relay cannot answer now.
    Unavailable,
    /// The client speaks another version of the API than the relay: please update.
    UpdateNeeded,
    /// A fault of the relay.
    Internal,
    /// A code that this program does not know. Never sent.
    #[serde(other)]
    Unknown,
}

/// The body of every answer that is no success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// For programs.
    pub code: ProblemCode,
    /// HTTP status.
    pub status: u16,
    /// For people who read logs; holds no id, token or address.
    pub title: String,
    /// The log's head, with `conflict` and `rekeyed`; how many bytes of a blob are there, with `wrong_offset`.
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "maybe_count")]
    pub head: Option<u64>,
    /// First kept seq, with `gone`.
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "maybe_count")]
    pub oldest: Option<u64>,
    /// Seconds to wait, with `rate_limited`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retry_after: Option<u64>,
}

/// Media type of [`Problem`].
pub const PROBLEM_JSON: &str = "application/problem+json";
