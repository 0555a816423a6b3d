//! What all commands share.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use waxwing_wire::transparency::NoteKey;

use crate::access::Decisions;
use crate::audit::Audit;
use crate::blobs::Blobs;
use crate::budget::Budget;
use crate::config::{Quotas, Registration, Timeouts};
use crate::crowd::{Crowd, Place};
use crate::high_water::HighWater;
use crate::hub::Hub;
use crate::inflow::Inflow;
use crate::judges::Judges;
use crate::limits::Limiters;
use crate::metrics::Metrics;
use crate::names::NameHasher;
use crate::nonce::Nonces;
use crate::proxies::Proxies;
use crate::pseudonym::Pseudonyms;
use crate::space::Space;
use crate::storage::{RestoredOn, Storage};
use crate::token_keys::TokenKeys;

/// A running relay, as its commands see it.
pub(crate) struct App {
    /// Where everything is kept.
    pub(crate) storage: Arc<dyn Storage>,
    /// Larger ciphertext.
    pub(crate) blobs: Arc<Blobs>,
    /// Told when an account was closed: its blobs may have to go.
    pub(crate) blobs_wake: Notify,
    /// Whether other processes may serve what is in the same database.
    pub(crate) shared: bool,
    /// Wake-ups.
    pub(crate) hub: Arc<Hub>,
    /// Sign access tokens.
    pub(crate) keys: Arc<TokenKeys>,
    /// Of DPoP proofs.
    pub(crate) nonces: Nonces,
    /// What the operator has decided.
    pub(crate) decisions: Arc<Decisions>,
    /// Who may make an account.
    pub(crate) registration: Registration,
    /// Whose word about addresses is taken.
    pub(crate) proxies: Proxies,
    /// Counters for the operator.
    pub(crate) metrics: Metrics,
    /// What an operator looks at after something went wrong.
    pub(crate) audit: Audit,
    /// Under which the transparency log's checkpoints are signed. The private half is the storage's.
    pub(crate) log_key: NoteKey,
    /// The log's newest checkpoint that this process knows of.
    pub(crate) high_water: HighWater,
    /// Restorations of the database, oldest first.
    pub(crate) restorations: Vec<RestoredOn>,
    /// What the transparency log says in place of names.
    pub(crate) names: NameHasher,
    /// Places for judging chains.
    pub(crate) judges: Judges,
    /// `host[:port]` that tokens and chains name.
    pub(crate) audience: String,
    /// `https` or `http`, as clients see it: a relay on loopback with another audience stands behind a proxy that does TLS.
    pub(crate) scheme: &'static str,
    /// Whether it is for this computer alone.
    pub(crate) local: bool,
    /// Stored bytes.
    pub(crate) quotas: Quotas,
    /// Rates.
    pub(crate) limiters: Limiters,
    /// Room in memory for bodies and pages.
    pub(crate) budget: Budget,
    /// How many logs each address follows.
    pub(crate) followed: Arc<Crowd>,
    /// Whether the disk has its reserve.
    pub(crate) space: Space,
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
    /// Its address: as the socket says it, or as a trusted proxy does.
    pub(crate) address: IpAddr,
    /// Its place among the connections that the relay takes; goes along when the connection becomes a subscription.
    pub(crate) place: Arc<Places>,
}

/// What a connection takes up as long as it lasts.
pub(crate) struct Places {
    /// What it has sent of a message that is not whole.
    pub(crate) inflow: Inflow,
    open: Gauge,
    // Given back when this is dropped.
    _of_all: OwnedSemaphorePermit,
    _of_address: Option<Place>,
}

impl Places {
    /// One of all connections, and one of those of its address unless that is a trusted proxy's.
    pub(crate) fn new(app: &App, of_all: OwnedSemaphorePermit, of_address: Option<Place>) -> Self {
        let open = app.metrics.connections.clone();
        open.inc();
        let inflow = Inflow::new(app.budget.clone());
        Self { inflow, open, _of_all: of_all, _of_address: of_address }
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        self.open.dec();
    }
}

/// Relay time.
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
