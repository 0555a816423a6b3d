//! What all commands share.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use waxwing_wire::transparency::NoteKey;

use crate::config::Timeouts;
use crate::hub::Hub;
use crate::keys::TokenKey;
use crate::limits::Limiters;
use crate::names::NameHasher;
use crate::pseudonym::Pseudonyms;
use crate::replay::ReplayWindow;
use crate::storage::Storage;

/// A running relay, as its commands see it.
pub(crate) struct App {
    /// Where everything is kept.
    pub(crate) storage: Arc<dyn Storage>,
    /// Wake-ups.
    pub(crate) hub: Arc<Hub>,
    /// Signs access tokens.
    pub(crate) key: TokenKey,
    /// Under which the transparency log's checkpoints are signed. The private half is the storage's.
    pub(crate) log_key: NoteKey,
    /// What the transparency log says in place of names.
    pub(crate) names: NameHasher,
    /// `host[:port]` that tokens and chains name.
    pub(crate) audience: String,
    /// `https` or `http`, as clients see it: a relay on loopback with another audience stands behind a proxy that does TLS.
    pub(crate) scheme: &'static str,
    /// Whether it is for this computer alone.
    pub(crate) local: bool,
    /// Rates.
    pub(crate) limiters: Limiters,
    /// Assertions shown.
    pub(crate) assertions: ReplayWindow,
    /// DPoP proofs shown.
    pub(crate) proofs: ReplayWindow,
    /// What claimers of key packages are called today.
    pub(crate) pseudonyms: Pseudonyms,
    /// Times.
    pub(crate) timeouts: Timeouts,
    /// Cancelled at a graceful stop.
    pub(crate) stopping: CancellationToken,
    /// Connections and subscriptions.
    pub(crate) tasks: TaskTracker,
}

/// Who is at the other end of a connection.
#[derive(Clone)]
pub(crate) struct Peer {
    /// Its address, as the socket says it; no header is believed.
    pub(crate) address: IpAddr,
    /// Its place among the connections that the relay takes; goes along when the connection becomes a subscription.
    pub(crate) place: Arc<OwnedSemaphorePermit>,
}

/// Relay time.
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
