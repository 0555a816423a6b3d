//! Who is asking: access tokens bound to a key (RFC 9449), each proof good once.
//!
//! Not here: the tokens of logs and the access keys of inboxes, which name nobody.

use http::header::HOST;
use http::{HeaderName, request::Parts};
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::token::{AccessToken, DpopProof};
use waxwing_wire::{AccountId, DeviceId};

use crate::error::Refusal;
use crate::nonce::{Age, Ending};
use crate::replay::{Seen, Showing, Shows};
use crate::request;
use crate::state::{App, now};

const DPOP: HeaderName = HeaderName::from_static("dpop");

/// A device that has proved itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// Its account.
    pub account: AccountId,
    /// The device.
    pub device: DeviceId,
    /// The relay-auth key that its token was asked for with.
    pub relay_auth: [u8; 32],
}

impl Device {
    /// The device behind a request: its token, and a proof by the token's key for this very request. A token outlives the revocation of its device,
    /// and the key that it was asked for with, by minutes: whether both are still in force is for the caller to find out.
    pub(crate) async fn authenticate(app: &App, parts: &Parts) -> Result<Self, Refusal> {
        let token = request::credentials(&parts.headers, "DPoP")?.ok_or(ProblemCode::Unauthorized)?;
        let now = now().as_secs();
        let kid = AccessToken::kid(token).map_err(|_| ProblemCode::Unauthorized)?;
        let key = app.keys.verifying(&kid, now).ok_or(ProblemCode::Unauthorized)?;
        let claims = AccessToken::verify(token, &key, &app.audience, now).map_err(|_| ProblemCode::Unauthorized)?;
        let proof = Proven::check(app, parts, Some(&AccessToken::ath(token)))?;
        // Before it is looked up: what was signed by another key than the token's is not worth remembering.
        if proof.key != claims.cnf.jkt {
            return Err(ProblemCode::Unauthorized.into());
        }
        proof.first_showing(app).await?;
        app.decisions.check(&claims.account)?;
        // Counted last: a token alone, without its key, uses up nothing of its account's allowance.
        app.limiters.account.check(&claims.account)?;
        Ok(Self { account: claims.account, device: claims.sub, relay_auth: claims.relay_auth })
    }

    /// The same, of a device that is still in force with that key.
    pub(crate) async fn in_force(app: &App, parts: &Parts) -> Result<Self, Refusal> {
        let device = Self::authenticate(app, parts).await?;
        device.check(app).await?;
        Ok(device)
    }

    /// Refuses a device that is in force no longer, or with another key.
    pub(crate) async fn check(&self, app: &App) -> Result<(), Refusal> {
        match app.storage.relay_auth(self.account, self.device).await? {
            Some(key) if key == self.relay_auth => Ok(()),
            _ => Err(ProblemCode::Unauthorized.into()),
        }
    }
}

/// A proof that is made for its request, now, with a nonce that is good. Whether it was shown before is still to be asked.
pub(crate) struct Proven {
    /// Thumbprint of the key that signed it.
    pub(crate) key: String,
    jti: String,
}

impl Proven {
    /// Checks the proof in a request. `ath` as in [`DpopProof::verify`].
    pub(crate) fn check(app: &App, parts: &Parts, ath: Option<&str>) -> Result<Self, Refusal> {
        let proof = request::header(&parts.headers, &DPOP)?.ok_or(ProblemCode::Unauthorized)?;
        let now = now().as_secs();
        let verify = |url: &String| DpopProof::verify(proof, parts.method.as_str(), url, ath, now).ok();
        let (proof, key) = urls(app, parts)?.iter().find_map(verify).ok_or(ProblemCode::Unauthorized)?;
        // RFC 9449, sections 8 and 9. Only now: who cannot even make a proof is told that, and not to come again.
        match proof.nonce.and_then(|nonce| app.nonces.check(&nonce, now)) {
            Some(Age::Newest) => {}
            Some(Age::Older) => parts.extensions.get::<Ending>().into_iter().for_each(Ending::note),
            None => return Err(ProblemCode::UseDpopNonce.into()),
        }
        Ok(Self { key, jti: proof.jti })
    }

    /// Lets it pass if it was never shown.
    pub(crate) async fn first_showing(&self, app: &App) -> Result<(), Refusal> {
        first_showing(app, Showing::new(Shows::Proof, self.key.as_bytes(), &self.jti)).await
    }
}

/// Lets pass what was never shown.
pub(crate) async fn first_showing(app: &App, showing: Showing) -> Result<(), Refusal> {
    match app.storage.shown(showing).await? {
        Seen::Fresh => Ok(()),
        Seen::Replayed => Err(ProblemCode::Unauthorized.into()),
    }
}

/// The request's URL as the client sees it, without query: with and without the scheme's own port (RFC 9449, section 4.3: after
/// normalisation).
fn urls(app: &App, parts: &Parts) -> Result<Vec<String>, Refusal> {
    let host = match parts.uri.authority() {
        Some(authority) => authority.as_str(),
        None => request::header(&parts.headers, &HOST)?.ok_or_else(|| Refusal::bad_request("There is no host"))?,
    };
    let own_port = if app.scheme == "https" { ":443" } else { ":80" };
    let bare = |authority: &str| authority.strip_suffix(own_port).unwrap_or(authority).to_ascii_lowercase();
    // Somebody in between may not pass on a proof that was made for another name. On one computer there are many names and no between.
    if !app.local && bare(host) != bare(&app.audience) {
        return Err(ProblemCode::Unauthorized.into());
    }
    let url = |authority: &str| format!("{}://{authority}{}", app.scheme, parts.uri.path());
    let (bare, lower) = (bare(host), host.to_ascii_lowercase());
    let mut urls = vec![url(&bare)];
    if lower != bare {
        urls.push(url(&lower));
    } else if !has_port(&bare) {
        urls.push(url(&format!("{bare}{own_port}")));
    }
    Ok(urls)
}

fn has_port(authority: &str) -> bool {
    authority.rsplit(']').next().is_some_and(|rest| rest.contains(':'))
}
