//! JSON bodies of the HTTP API. Whatever carries envelopes or key packages is binary: [`crate::frame`].

use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, LogId};
use crate::username::Username;

mod counts;
mod transparency;

pub(crate) use counts::maybe_count;
use counts::{all_counts, count};
pub use transparency::{ConsistencyProof, InclusionProof, ProofPath, Restorations};

/// Bytes as base64url without padding (RFC 4648, section 5), the one spelling accepted.
pub mod base64url {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde::{Deserialize, Deserializer, Serializer, de};

    /// Text of `bytes`.
    #[must_use]
    pub fn encode(bytes: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Bytes of `text`; none if it is not canonical.
    #[must_use]
    pub fn decode(text: &str) -> Option<Vec<u8>> {
        URL_SAFE_NO_PAD.decode(text).ok()
    }

    /// For `#[serde(with = "base64url")]`.
    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&encode(bytes))
    }

    /// For `#[serde(with = "base64url")]`.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        decode(&String::deserialize(deserializer)?).ok_or_else(|| de::Error::custom("not base64url"))
    }
}

/// One chain entry in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntryBytes(#[serde(with = "base64url")] pub Vec<u8>);

impl AsRef<[u8]> for EntryBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// `GET /v1/relay`: what this relay is. A client that does not get this is not talking to a Waxwing relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RelayInfo {
    /// Always `waxwing-relay`.
    pub service: String,
    /// Version of the program.
    pub version: String,
    /// [`crate::API_VERSION`].
    pub api: u32,
    /// `host[:port]` that tokens name as their audience, and the origin of its transparency log.
    pub audience: String,
    /// The key of its transparency log, as [`crate::transparency::NoteKey`] spells it; none from a relay that keeps no log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_key: Option<String>,
}

/// [`RelayInfo::service`].
pub const SERVICE: &str = "waxwing-relay";

/// Header of `POST /v1/accounts` with an operator's invitation, where the relay asks for one
/// ([`RegistrationInviteRequired`](crate::problem::ProblemCode::RegistrationInviteRequired)): base64url of its 16 bytes.
pub const REGISTRATION_HEADER: &str = "waxwing-registration";

/// Goes along with `PUT /v1/blobs/{id}`: the owner's tag of this blob ([`crate::blob::BlobSecret::owner_tag`]), base64url. A blob without one stays until it
/// expires.
pub const BLOB_OWNER_HEADER: &str = "waxwing-blob-owner";

/// Goes along with the entry that closes an account: the secret ([`crate::blob::BlobSecret`], base64url) whose blobs are to go with it.
pub const BLOB_SECRET_HEADER: &str = "waxwing-blob-secret";

/// `POST /v1/accounts` and `POST /v1/accounts/{id}/chain`: one signed chain entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SubmitEntry {
    /// The entry's bytes.
    pub entry: EntryBytes,
}

/// Answer to [`SubmitEntry`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EntryAccepted {
    /// Whose chain.
    pub account: AccountId,
    /// Its place.
    pub seq: u32,
}

/// `GET /v1/accounts/{name|id}/chain?from=n`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChainPage {
    /// Whose chain.
    pub account: AccountId,
    /// Name on this relay.
    pub name: Option<Username>,
    /// Number of the newest entry.
    pub head: u32,
    /// Entries from `from` on, as many as fit.
    pub entries: Vec<EntryBytes>,
    /// Where the leaf of each of `entries` stands in the transparency log; empty from a relay that keeps none.
    #[serde(default, deserialize_with = "all_counts")]
    pub indexes: Vec<u64>,
    /// Where the leaf of the account's name stands; only where the page starts with entry 0 and the account has a public name.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_count")]
    pub name_index: Option<u64>,
    /// The log's newest checkpoint, a signed note ([`crate::transparency::SignedCheckpoint`]): every index is below its size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
}

/// `POST /oauth/token`, form fields (RFC 7523, section 2.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenRequest {
    /// [`JWT_BEARER`].
    pub grant_type: String,
    /// The signed assertion.
    pub assertion: String,
}

/// The only grant type.
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// Answer to [`TokenRequest`] (RFC 6749, section 5.1; RFC 9449, section 5).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenResponse {
    /// The access token.
    pub access_token: String,
    /// Always `DPoP`.
    pub token_type: String,
    /// Life in seconds.
    pub expires_in: u64,
}

impl std::fmt::Debug for TokenResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenResponse").field("access_token", &"***").field("expires_in", &self.expires_in).finish()
    }
}

/// `PUT` and `DELETE /v1/access-keys`: [`crate::log::token_hash`] of keys to admit, or to admit no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AccessKeys {
    /// The hashes.
    pub hashes: Vec<EntryBytes>,
}

/// Answer to `GET` and `POST /v1/key-packages`: what is there to be claimed of the own device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyPackageCount {
    /// One-time packages that are left.
    pub count: u32,
    /// Whether there is a last resort.
    pub last_resort: bool,
}

/// Answer to `PUT /v1/blobs/{id}`: all of it, or a part, is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BlobReceived {
    /// How many of its bytes are there, from the first on: the next part begins here.
    pub received: u64,
    /// How many it has.
    pub size: u64,
}

/// Answer to an append or an inbox send that was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Stored {
    /// Its place.
    #[serde(deserialize_with = "count")]
    pub seq: u64,
}

/// `POST /v1/inboxes/{device}/ack`: everything up to `up_to` has been stored by the device and may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Ack {
    /// Seq of the newest entry that is done with.
    pub up_to: u64,
}

/// A client's text frame on `GET /v1/subscribe`. May be sent again, with more logs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscribe {
    /// Logs to follow from now on.
    #[serde(default)]
    pub logs: Vec<SubscribeLog>,
    /// Whether to follow the own inbox (authenticated connections alone).
    #[serde(default)]
    pub inbox: bool,
    /// Whether to be told of new checkpoints of the transparency log (authenticated connections alone).
    // Left out where it is not asked for: a relay that does not know it refuses what it does not know.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub transparency: bool,
}

/// One log to follow.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscribeLog {
    /// Which.
    pub log: LogId,
    /// Its read token.
    pub read_token: EntryBytes,
}

impl std::fmt::Debug for SubscribeLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SubscribeLog").field("log", &self.log).field("read_token", &"***").finish()
    }
}

impl std::fmt::Debug for Subscribe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { logs, inbox, transparency } = self;
        f.debug_struct("Subscribe")
            .field("logs", logs)
            .field("inbox", inbox)
            .field("transparency", transparency)
            .finish()
    }
}

/// Header with the API version in every answer.
pub const API_HEADER: &str = "waxwing-api";
/// Header with the relay's newest nonce for DPoP proofs (RFC 9449, section 8.1): on a refusal for want of it, and wherever a good proof had an older
/// one.
pub const DPOP_NONCE_HEADER: &str = "dpop-nonce";
/// Header with an access key, base64url.
pub const ACCESS_KEY_HEADER: &str = "waxwing-access-key";
