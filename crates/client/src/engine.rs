//! The engine: what ties keystore, store and relays together.
//!
//! Locks, outermost first: `rotating` (whoever holds another tries it and never waits for it), a log's lock, `keys_guard`, the store. None is held over another's network request
//! except a log's own.

mod abroad;
mod account_key;
mod admit;
mod ahead;
mod asking;
mod attempt;
mod blocking;
mod carried;
mod chain_parts;
mod chains;
mod changes;
mod claims;
mod closing;
mod compose;
mod contacts;
mod context;
mod conversations;
mod deliveries;
mod emit;
mod entries;
mod follow;
mod full;
mod given_up;
mod groups;
mod handshake;
mod held;
mod held_back;
mod impossible;
mod in_hand;
mod inbox;
mod join;
mod key_log;
mod keys;
mod link_here;
mod linking;
mod links;
mod missed;
mod not_followed;
mod notices;
mod outbox;
mod outcome;
mod own_devices;
mod own_leaves;
mod own_news;
mod own_parts;
mod packages;
mod pending;
mod phrase;
mod receive;
mod recover;
mod recover_here;
mod register;
mod renewal;
mod restart;
mod restored;
mod resync;
mod rotation;
mod safety;
mod sealing;
mod stale_keys;
mod start;
mod sync;
#[cfg(test)]
mod testing;
mod transparency;
mod transparency_view;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::{Notify, broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use waxwing_protocol::envelope::CompactCheckpoint;
use waxwing_protocol::{AccountKey, DeviceKeys};
use waxwing_wire::{AccountId, DeviceId, LogId, RelayAddress};

pub use link_here::{LinkHere, Linked, Linking};
pub use recover::Recovery;
pub use register::{Registration, check_relay};

use crate::error::{Error, ErrorCode, ErrorView};
use crate::event::Event;
use crate::keystore::{Keystore, Secrets};
use crate::mls::Crypto;
use crate::profile::Profile;
use crate::relay::{Credentials, RelayApi};
use crate::store::conversations::{self as stored, Conversation};
use crate::store::{Store, account, messages, people};
use crate::views::{Connection, ConversationView, MessagePage, ProfileView};

/// Events that a slow reader may lag behind before it is told to load everything again.
const EVENTS: usize = 1024;

/// The running engine of one profile. Clones share it.
#[derive(Clone)]
pub struct Client(Arc<Engine>);

pub(crate) struct Engine {
    /// Holds the profile's lock for as long as the engine lives.
    profile: Profile,
    keystore: Keystore,
    /// What the keystore holds now.
    secrets: tokio::sync::Mutex<Secrets>,
    store: Store,
    account: AccountId,
    device: DeviceId,
    account_key: RwLock<Arc<AccountKey>>,
    /// The device keys in force.
    keys: RwLock<Arc<DeviceKeys>>,
    /// Sealing holds it shared; a rotation's last step holds it alone.
    keys_guard: tokio::sync::RwLock<()>,
    /// One rotation at a time.
    rotating: tokio::sync::Mutex<()>,
    rotation_problem: Mutex<Option<ErrorView>>,
    /// When the other own devices were asked last for what they have stated.
    asked_own_devices: Mutex<Option<std::time::Instant>>,
    /// Why nothing came of linking a device, or has not yet.
    link_problem: Mutex<Option<ErrorView>>,
    /// Why the own relay, which was restored, does not take what it has lost of this account.
    restored_problem: Mutex<Option<ErrorView>>,
    /// What the own relay has taken of this account's chain and does not show in its log.
    unlogged_problem: Mutex<Option<ErrorView>>,
    /// What its log said of the own entries when the own keys were shown last.
    logged_as_shown: Mutex<Option<key_log::Logged>>,
    /// When the schedule last began a rotation in this run: a relay that lies about the time must not bring about one after another.
    last_scheduled: Mutex<Option<std::time::Instant>>,
    /// The own relay, spoken to as oneself.
    home: Arc<RelayApi>,
    credentials: Arc<Credentials>,
    /// Relays spoken to unnamed, the own one among them: on connections of their own.
    relays: Mutex<HashMap<RelayAddress, Arc<RelayApi>>>,
    chains: context::Chains,
    /// The cryptography of MLS.
    crypto: Arc<Crypto>,
    packages_lock: tokio::sync::Mutex<()>,
    in_hand: in_hand::InHand,
    /// Logs that were read to their head since the start: nothing is sealed for any other.
    replayed: Mutex<HashSet<LogId>>,
    /// Whose chains could not be had, and when: in groups they are not waited for again and again.
    absent: Mutex<HashMap<AccountId, std::time::Instant>>,
    /// Relays that did not answer when they were asked about somebody who had written, and when.
    silent: Mutex<HashMap<String, std::time::Instant>>,
    /// Logs at other relays that an inbox entry says have news.
    to_look_at: Mutex<HashSet<LogId>>,
    /// How the relays stand that something is on its way into inboxes of.
    lanes: deliveries::Lanes,
    log_locks: Mutex<HashMap<LogId, Arc<tokio::sync::Mutex<()>>>>,
    /// One pass of the outbox at a time.
    flushing: tokio::sync::Mutex<()>,
    inbox_lock: tokio::sync::Mutex<()>,
    events: broadcast::Sender<Event>,
    connection: watch::Sender<Connection>,
    outbox_wake: Notify,
    introductions_wake: Notify,
    transparency_wake: Notify,
    /// One reader of each transparency log at a time.
    transparency_locks: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// Relays that the user has named in this run: their logs are read whatever their length.
    wanted_logs: Mutex<HashSet<String>>,
    /// Relays whose logs were longer than what is kept for strangers, by how much was still to be read, and when.
    too_long: Mutex<HashMap<String, (u64, std::time::Instant)>>,
    /// The newest checkpoint of the own relay's log, in its compact form.
    checkpoint: Mutex<Option<CompactCheckpoint>>,
    /// Checkpoints that others have seen, to be held against the own view.
    heard: Arc<Mutex<transparency::AllHeard>>,
    /// Told whenever a pass of the outbox lets go of a conversation's queue.
    queue_freed: Notify,
    /// Conversations whose queue is being sent.
    sending: Mutex<HashSet<stored::ConversationId>>,
    /// Counts up whenever a log is added or becomes readable.
    logs_changed: watch::Sender<u64>,
    /// Counts up whenever a waiting connection is to try again at once.
    try_now: watch::Sender<u64>,
    stop: CancellationToken,
    /// Told when the engine has ended by itself.
    ended: CancellationToken,
    tasks: TaskTracker,
}

impl Client {
    /// Events from now on. A reader that lags too far behind gets `Lagged` from the channel and loads everything again.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.0.events.subscribe()
    }

    /// How the engine stands with its relay.
    #[must_use]
    pub fn connection(&self) -> Connection {
        self.0.connection.borrow().clone()
    }

    /// That this computer's clock is wrong, as soon as the own relay has told the time and where it differs by more than 10 minutes.
    #[must_use]
    pub fn clock_problem(&self) -> Option<ErrorView> {
        self.0.clock_notice()
    }

    /// The own account on this device.
    pub async fn profile(&self) -> Result<ProfileView, Error> {
        let kind = self.0.keystore.kind();
        self.0.store.run(move |tx| Ok(emit::profile_view(&account::require(tx)?, kind))).await
    }

    /// All conversations, the newest activity first.
    pub async fn conversations(&self) -> Result<Vec<ConversationView>, Error> {
        self.0
            .store
            .run(|tx| {
                let me = account::require(tx)?;
                stored::shown(tx)?.iter().map(|one| stored::view(tx, &me, one)).collect()
            })
            .await
    }

    /// One conversation.
    pub async fn conversation(&self, id: &str) -> Result<ConversationView, Error> {
        let id = stored::parse_id(id)?;
        self.0.store.run(move |tx| stored::view(tx, &account::require(tx)?, &stored::load(tx, &id)?)).await
    }

    /// Up to `limit` (at most 500) lines of a timeline before the order `before`, or the newest.
    pub async fn messages(&self, conversation: &str, before: Option<f64>, limit: u32) -> Result<MessagePage, Error> {
        let id = stored::parse_id(conversation)?;
        self.0
            .store
            .run(move |tx| {
                stored::load(tx, &id)?;
                messages::page(tx, &account::require(tx)?, &id, before, limit)
            })
            .await
    }

    /// Tries the relay again at once instead of waiting.
    pub fn try_now(&self) {
        self.0.try_now.send_modify(|count| *count += 1);
        self.0.lanes.try_now();
        self.0.silent.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.0.outbox_wake.notify_one();
    }

    /// Fetches everything there is and sends everything that waits, once.
    pub async fn sync(&self) -> Result<(), Error> {
        self.0.sync_once().await
    }

    /// Whether the engine has ended: by [`Client::stop`], by itself, or since another one has taken its place.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.stop.is_cancelled()
    }

    /// Comes to its end once the engine has ended by itself: an own act whose answer was lost has got through, and nothing can go on with the
    /// keys that it had. The profile is to be opened again, which takes that act to its end. Holds nothing of the engine.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        self.0.ended.clone().cancelled_owned()
    }

    /// Nothing is done by itself any more.
    async fn end_tasks(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Ends the engine: tasks stop, the database is closed. Nothing is lost; what waits is sent at the next start.
    pub async fn stop(&self) {
        self.end_tasks().await;
        if let Err(error) = self.0.store.close().await {
            tracing::warn!(%error, "closing the database");
        }
    }
}

impl Engine {
    pub(crate) fn keys(&self) -> Arc<DeviceKeys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A relay, spoken to unnamed.
    fn relay(&self, address: &RelayAddress) -> Result<Arc<RelayApi>, Error> {
        let mut relays = self.relays.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(relay) = relays.get(address) {
            return Ok(Arc::clone(relay));
        }
        let relay = Arc::new(RelayApi::new(address.clone(), self.profile.dir(), None)?);
        relays.insert(address.clone(), Arc::clone(&relay));
        Ok(relay)
    }

    /// Nothing can go on with the keys that this engine has: whoever runs it is to open the profile again.
    fn end_by_itself(&self) -> Error {
        self.stop.cancel();
        self.ended.cancel();
        Error::new(ErrorCode::Stopped, "the engine has ended, and the profile is to be opened again")
    }

    fn log_lock(&self, log: LogId) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.log_locks.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(locks.entry(log).or_default())
    }

    /// Relay time in milliseconds.
    fn now_ms(&self) -> u64 {
        self.home.now_ms()
    }
}

fn not_found(what: &str) -> Error {
    Error::new(ErrorCode::NotFound, what)
}

/// The accounts in a conversation.
fn people_in(tx: &rusqlite::Transaction<'_>, conversation: &Conversation) -> Result<Vec<AccountId>, Error> {
    Ok(people::of(tx, &conversation.id)?.into_iter().map(|person| person.account).collect())
}
