//! What other processes of the relay store, told to those who follow it here.
//!
//! A relay that is one process needs none of this. Where there are more (over one PostgreSQL) each of them asks the database how far the logs and
//! inboxes are that somebody follows here, every half second; with a NATS server it is told at once where to look, and asks about everything only now
//! and then. Whether a device was revoked or has another key, or an account was disabled, is asked every half second in any case, and waits for nothing else that is asked: their
//! connections are to end within a second. Nothing here is load-bearing: what a message on the bus says is looked up
//! in the database, one that is lost is made up for by the next round, and clients drain by themselves.
//!
//! Not here: who follows what ([`crate::hub`]).

mod disguise;
mod look;
mod nats;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use waxwing_wire::transparency::NoteKey;

use crate::access::Decisions;
use crate::hub::{Hub, Wake};
use crate::state::App;
use crate::storage::Storage;

pub(crate) use disguise::{Disguise, Tag};
pub use nats::{BusError, NatsConfig, NatsUrl};

/// How often to ask: what cannot wait, and without a bus everything.
const ROUND: Duration = Duration::from_millis(500);
/// Rounds about everything, from when the server is there again.
const SETTLED: u32 = 4;
/// How often to ask about everything where there is a bus.
const FULL_ROUND: Duration = Duration::from_secs(15);

/// How this process learns of what others store.
pub(crate) struct Bus {
    disguise: Arc<Disguise>,
    way: Way,
}

enum Way {
    /// It asks.
    Polling,
    /// It is told where to look, as long as the server is there.
    Nats(nats::Nats),
}

impl Bus {
    /// Connects to the server, if there is one. One that cannot be reached now is tried again, behind this.
    pub(crate) async fn open(config: Option<&NatsConfig>, disguise: Arc<Disguise>) -> Result<Self, BusError> {
        let way = match config {
            None => Way::Polling,
            Some(config) => Way::Nats(nats::Nats::connect(config).await?),
        };
        Ok(Self { disguise, way })
    }

    /// Tells others that something was stored here. Never waits.
    pub(crate) fn tell(&self, wake: &Wake) {
        let Way::Nats(nats) = &self.way else { return };
        nats.tell(match wake {
            Wake::Log { log, .. } => self.disguise.log(*log),
            Wake::Inbox { device, .. } | Wake::Revoked { device } | Wake::Rotated { device, .. } => {
                self.disguise.device(*device)
            }
            Wake::Checkpoint(_) => self.disguise.checkpoint(),
            Wake::Decided => self.disguise.decisions(),
        });
    }

    /// What others have told of; never where nobody tells.
    async fn told(&self) -> Vec<Tag> {
        match &self.way {
            Way::Polling => std::future::pending().await,
            Way::Nats(nats) => nats.told().await,
        }
    }

    /// Whether others can tell of anything now.
    fn is_told(&self) -> bool {
        match &self.way {
            Way::Polling => false,
            Way::Nats(nats) => nats.is_connected(),
        }
    }
}

/// Looks for what others store.
pub(crate) struct Watcher {
    bus: Arc<Bus>,
    hub: Arc<Hub>,
    storage: Arc<dyn Storage>,
    decisions: Arc<Decisions>,
    log_key: NoteKey,
    stopping: CancellationToken,
}

impl Watcher {
    /// For this relay.
    pub(crate) fn new(app: &App, bus: Arc<Bus>) -> Self {
        let (hub, storage, decisions) = (Arc::clone(&app.hub), Arc::clone(&app.storage), Arc::clone(&app.decisions));
        Self { bus, hub, storage, decisions, log_key: app.log_key.clone(), stopping: app.stopping.clone() }
    }

    /// Looks until the relay stops.
    pub(crate) async fn run(self) {
        // Beside each other: a log that has grown by much keeps no revoked device connected.
        tokio::select! {
            () = self.stopping.cancelled() => {}
            () = self.watch_who_is_out() => {}
            () = self.watch_what_is_stored() => {}
        }
    }

    async fn watch_who_is_out(&self) {
        let mut round = interval(ROUND);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            round.tick().await;
            self.look_who_is_out().await;
        }
    }

    async fn watch_what_is_stored(&self) {
        let mut round = interval(ROUND);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut full_at, mut told_for) = (Instant::now(), 0_u32);
        loop {
            tokio::select! {
                tags = self.bus.told() => self.look_at(&tags).await,
                _ = round.tick() => {
                    told_for = if self.bus.is_told() { told_for.saturating_add(1) } else { 0 };
                    // Also when the server has just come back: what was told meanwhile nobody has heard, and it may not know yet who listens.
                    if told_for < SETTLED || Instant::now() >= full_at {
                        full_at = Instant::now() + FULL_ROUND;
                        self.look_around().await;
                    }
                }
            }
        }
    }
}
