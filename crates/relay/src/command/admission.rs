//! Who may send to an account's inboxes and claim its key packages: somebody with an access key (unnamed), or with an account here.

use http::HeaderName;
use http::header::AUTHORIZATION;
use http::request::Parts;
use waxwing_wire::AccountId;
use waxwing_wire::api::{ACCESS_KEY_HEADER, base64url};
use waxwing_wire::log::token_hash;
use waxwing_wire::problem::ProblemCode;

use crate::auth::Device;
use crate::error::Refusal;
use crate::request;
use crate::state::{App, Peer};

const ACCESS_KEY: HeaderName = HeaderName::from_static(ACCESS_KEY_HEADER);

/// Who asks. Whether the key is one of the account's is for the storage to say.
pub(super) enum Caller {
    /// With an access key, known by its hash.
    Holder([u8; 32]),
    /// With an account on this relay.
    Stranger(AccountId),
}

impl Caller {
    /// By key, or else by account: never both, so that a key's holder is not named by accident.
    pub(super) async fn of(app: &App, peer: &Peer, parts: &Parts) -> Result<Self, Refusal> {
        if let Some(key) = request::header(&parts.headers, &ACCESS_KEY)? {
            if parts.headers.contains_key(AUTHORIZATION) {
                return Err(Refusal::bad_request("An access key goes without a name"));
            }
            let key = base64url::decode(key).ok_or(ProblemCode::InboxRefused)?;
            return Ok(Self::Holder(token_hash(&key)));
        }
        app.limiters.stranger.check(&peer.address.into())?;
        Ok(Self::Stranger(Device::in_force(app, parts).await?.account))
    }
}
